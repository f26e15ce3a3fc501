# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# tap.sh: counts and shows the tests' results, in TAP, and builds what the tests need.  To be sourced, in the top
# folder.  Each test's TAP is kept in $out, its numbers and skips beside it in a .sum.

out=build/check
limit=${VENOM_TEST_TIMEOUT:-600} # seconds for one program, against hangs
cpus=$(nproc)
reports='ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|FATAL: ThreadSanitizer|runtime error: '

# The test programs: NAME of selftests/FOLDER/NAME.c, kmod/NAME of the module's.
programs=()
for t in selftests/{api,attack,crash,load,plane,tool}/*.c; do programs+=("$(basename "$t" .c)"); done
module_programs=()
for t in selftests/kmod/*.c; do module_programs+=("kmod/$(basename "$t" .c)"); done
unset t

# count FILE STATUS TROUBLE: sets n_pass, n_fail, n_skip of a TAP file; adds the skips' reasons to why.
count() {
	local file=$1 status=$2 trouble=$3 line plan
	n_pass=0 n_fail=0 n_skip=0 why=()
	plan=$(grep -a -m1 -oP '^1\.\.\K[0-9]+' "$file") || plan=
	while IFS= read -r line; do
		case $line in
		"not ok"*) n_fail=$((n_fail + 1)) ;;
		"ok"*"# SKIP"* | "ok"*"# skip"*)
			n_skip=$((n_skip + 1))
			why+=("$(sed -E 's/^ok [0-9]* ?(- )?//; s/ *# [Ss][Kk][Ii][Pp] */: /' <<<"$line")")
			;;
		"ok"*) n_pass=$((n_pass + 1)) ;;
		esac
	done < <(grep -aE '^(not )?ok( |$)' "$file")
	if [ "$plan" = 0 ] && line=$(grep -a -m1 -ioP '^1\.\.0 # skip \K.*' "$file"); then
		n_skip=$((n_skip + 1))
		why+=("$line")
	elif [ -z "$plan" ] || [ "$plan" = 0 ]; then
		trouble+=" no plan;"
	elif [ "$plan" != $((n_pass + n_fail + n_skip)) ]; then
		trouble+=" $((n_pass + n_fail + n_skip)) of $plan test cases ran;"
	fi
	[ "$status" != 124 ] && [ "$status" != 137 ] || trouble+=" did not end within $limit s;"
	# the harness ends with status 4 if all cases are skipped
	[ "$status" = 0 ] || [ "$status" = 4 ] || [ "$n_fail" -gt 0 ] || trouble+=" ended with status $status;"
	! grep -aqE "$reports" "$file" || trouble+=" a sanitizer's report;"
	if [ -n "$trouble" ]; then
		echo "# run.sh:$trouble" >>"$file"
		[ "$n_fail" -gt 0 ] || n_fail=1 # else the trouble is a consequence of the failure
	fi
}

# explain FILE: prints what a TAP file says about its failures.
explain() {
	awk -v report="$reports" '
		$0 ~ report { print; left = 12; next }
		/^not ok|^Bail out/ { print; left = 6; next }
		/^ok|^# *(RUN|OK|FAIL|PASSED|FAILED|Totals)/ { left = 0; next }
		left > 0 || /^# .*(Expected|in process|hangs|terminated|run\.sh:)/ { print; left-- }
	' "$1"
}

# add LABEL START FILE: prints one test's line, and writes its numbers and skips to FILE's .sum.
add() {
	local t=$((${EPOCHREALTIME/./} - $2)) s
	{
		printf '%-22s %4d passed %3d failed %3d skipped %4d.%d s\n' "$1" $n_pass $n_fail $n_skip \
			$((t / 1000000)) $((t / 100000 % 10))
		[ "$n_fail" = 0 ] || {
			explain "$3" | head -n 40
			echo "	see $3"
		}
	} >"${3%.tap}.line"
	cat "${3%.tap}.line" # in one piece: others may print at the same time
	rm "${3%.tap}.line"
	{
		echo "$n_pass $n_fail $n_skip"
		for s in "${why[@]}"; do echo "$1: $s"; done
	} >"${3%.tap}.sum"
}

# build LABEL ARGUMENT...: runs make with these arguments, as a test case: a warning is an error (-Werror).
build() {
	local label=$1 file=$out/build-$1.tap start=${EPOCHREALTIME/./}
	shift
	n_pass=1 n_fail=0 n_skip=0 why=()
	if ! make -j"$cpus" --no-print-directory "$@" >"$file" 2>&1; then
		n_pass=0 n_fail=1
		grep -aE -m20 'error: |warning: |undefined reference|\*\*\*' "$file"
	fi
	add "build/$label" "$start" "$file"
	[ "$n_fail" = 0 ]
}

finish() {
	local passed=0 failed=0 skipped=0 ran=0 f p q r
	for f in "$out"/*.sum; do
		read -r p q r <"$f"
		[[ $f = */build-* ]] || ran=$((ran + p))
		passed=$((passed + p)) failed=$((failed + q)) skipped=$((skipped + r))
	done
	if [ "$skipped" -gt 0 ]; then
		echo "skipped:"
		tail -q -n +2 "$out"/*.sum | awk -F': ' '
			{ label = $1; reason = $NF; n[label ": " reason]++; case_of[label ": " reason] = $0 }
			END { for (k in n) print "\t" (n[k] > 1 ? k " (" n[k] " cases)" : case_of[k]) }' | sort
	fi
	echo "$passed passed, $failed failed, $skipped skipped" | tee "$out/result"
	[ "$failed" = 0 ] && [ "$ran" -gt 0 ]
	exit
}

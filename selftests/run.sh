#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh           what `make check` runs: builds everything with gcc, with clang and with the
#                  sanitizers, and runs every test there is
# run.sh NAME...   these tests only, of the plain build
#
# A test is a program made from selftests/NAME.c, or a script selftests/test-NAME.sh or tool.sh.
# It prints TAP (a plan, a line for each test case), which is kept in build/check/.  It fails also if it
# crashes, hangs, prints fewer cases than planned, makes a sanitizer speak, or leaves a process or a
# socket behind.  Every test case counts.  The last line is "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

out=build/check
limit=${VENOM_TEST_TIMEOUT:-300} # seconds for one program, against hangs
cpus=$(nproc)
mkdir -p "$out"
rm -f "$out"/*.sum "$out/result"

export ASAN_OPTIONS=detect_leaks=1:exitcode=99
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:exitcode=99
export TSAN_OPTIONS=halt_on_error=1:exitcode=66:die_after_fork=0
reports='ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|FATAL: ThreadSanitizer|runtime error: '

# The thread sanitizer of older compilers can't live with much randomness in addresses.
still=()
if setarch -R true 2>/dev/null; then still=(setarch -R); fi

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
	# 4 is the harness' word for "all skipped"
	[ "$status" = 0 ] || [ "$status" = 4 ] || [ "$n_fail" -gt 0 ] || trouble+=" ended with status $status;"
	! grep -aqE "$reports" "$file" || trouble+=" a sanitizer's report;"
	if [ -n "$trouble" ]; then
		echo "# run.sh:$trouble" >>"$file"
		[ "$n_fail" -gt 0 ] || n_fail=1 # else it is what came of the failure
	fi
}

# run LABEL COMMAND...: run one test.
run() {
	local label=$1 file=$out/${1//\//-}.tap dir start status pid trouble=
	shift
	dir=$(mktemp -d /tmp/venom-check.XXXXXX)
	start=${EPOCHREALTIME/./}
	VENOM_RUNTIME_DIR=$dir timeout -k 10 "$limit" "$@" </dev/null >"$file" 2>&1
	status=$?
	# What still runs with this test's folder in its environment is left over from it.
	for pid in $(grep -lsz "^VENOM_RUNTIME_DIR=$dir" /proc/[0-9]*/environ | cut -d/ -f3); do
		trouble+=" left behind: process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null));"
		kill -9 "$pid" 2>/dev/null
	done
	[ -z "$(find "$dir" -type s)" ] || trouble+=" left behind: $(cd "$dir" && find . -type s | tr '\n' ' ');"
	rm -rf "$dir"
	count "$file" "$status" "$trouble"
	add "$label" "$start" "$file"
}

# explain FILE: what a TAP file says about its failures.
explain() {
	awk -v report="$reports" '
		$0 ~ report { print; left = 12; next }
		/^not ok|^Bail out/ { print; left = 6; next }
		/^ok|^# *(RUN|OK|FAIL|PASSED|FAILED|Totals)/ { left = 0; next }
		left > 0 || /^# .*(Expected|in process|hangs|terminated|run\.sh:)/ { print; left-- }
	' "$1"
}

# add LABEL START FILE: one test's line on the screen, and its numbers and skips into FILE's .sum.
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

# build LABEL ARGUMENT...: make with these, as a test case of its own: a warning is an error (-Werror).
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

# sanitized LABEL SAN [WRAPPER...]: build the test programs with these sanitizers, and run them side by side: what
# they look for is not speed.
sanitized() {
	local label=$1 san=$2 name
	shift 2
	build "$label" B="build/$label" SAN="$san" CFLAGS='-O1 -g -Werror' "${programs[@]/#/build/$label/selftests/}" || return
	for name in "${programs[@]}"; do
		while [ "$(jobs -rp | wc -l)" -ge "$cpus" ]; do wait -n; done
		run "$label/$name" "$@" "build/$label/selftests/$name" &
	done
	wait
}

programs=()
for t in selftests/*.c; do [ ! -e "$t" ] || programs+=("$(basename "$t" .c)"); done
scripts=()
for t in selftests/tool.sh selftests/test-*.sh; do [ ! -e "$t" ] || scripts+=("$t"); done

make --no-print-directory -s build/kselftest/kselftest_harness.h || exit 1

if [ $# -gt 0 ]; then
	build gcc tests || finish
	for name in "$@"; do
		if [ -x "build/selftests/$name" ]; then
			run "$name" "build/selftests/$name"
		elif [ -e "selftests/$name.sh" ]; then
			run "$name" bash "selftests/$name.sh"
		else
			echo "run.sh: no test '$name'; there are: ${programs[*]} $(basename -as .sh "${scripts[@]}" | tr '\n' ' ')" >&2
			exit 2
		fi
	done
	finish
fi

rm -f "$out"/*.tap
# What was built without -Werror since our last build is built again.
again=
if [ ! -e "$out/strict" ] || find build/libvenom build/tools build/selftests -name '*.o' -newer "$out/strict" | grep -q .; then
	again=-B
fi
build gcc $again tests CFLAGS='-O2 -g -Werror' || finish
touch "$out/strict"
for name in "${programs[@]}"; do run "$name" "build/selftests/$name"; done
for script in "${scripts[@]}"; do run "$(basename "$script" .sh)" bash "$script"; done

build clang tests B=build/clang CC=clang CFLAGS='-O2 -g -Werror'

export VENOM_TEST_SCALE=${VENOM_TEST_SCALE:-0.05}
sanitized asan address,undefined
sanitized tsan thread "${still[@]}"
finish

#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The fuzzers (selftests/fuzz/NAME.c), briefly: each runs its stored corpus, which holds what once showed a defect, and then
# goes on from there for some seconds.  One that runs nothing, or does not meet what it is there for, fails.  `make fuzz`
# runs them for long.  TAP on stdout.
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
out=build/fuzz
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export ASAN_OPTIONS=quarantine_size_mb=8:${ASAN_OPTIONS:-}
seconds=$(awk -v s="${VENOM_TEST_SCALE:-1}" 'BEGIN { print 1 + int(4 * s) }')

result() { # result STATUS NAME [LOG]
	verdict "$1" "$2" || [ -z "${3-}" ] ||
		grep -aE 'ERROR|error: |\*\*\*|: runtime error|fuzz/.*:[0-9]+: |^ *#[0-9]+ .* in [a-z_]+ .*\.[ch]:|artifact|^met:|^Base64' "$3" |
			head -n 30 | sed 's/^/# /'
}

go() { # go NAME
	mkdir -p "$dir/$1" "$dir/run-$1" "$out/found"
	VENOM_RUNTIME_DIR=$dir/run-$1 timeout -k 5 120 "$out/selftests/fuzz/$1" -max_total_time="$seconds" -timeout=20 -max_len=512 \
		-artifact_prefix="$out/found/$1-" "$dir/$1" "selftests/fuzz/corpus/$1" >"$dir/$1.log" 2>&1
	echo $? >"$dir/$1.status"
}

make -j"$(nproc)" --no-print-directory -s fuzzers >"$dir/build.log" 2>&1
result $? "the fuzzers are built" "$dir/build.log"

fuzzers=$(basename -as .c selftests/fuzz/*.c)
# As many at once as there are CPUs.
for name in $fuzzers; do
	while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
	go "$name" &
done
wait
for name in $fuzzers; do
	log=$dir/$name.log
	[ "$(cat "$dir/$name.status" 2>/dev/null)" = 0 ]
	result $? "$name finds nothing" "$log"
	stored=$(find "selftests/fuzz/corpus/$name" -type f | wc -l)
	read -r inputs edges features < <(awk '$2 == "DONE" { print substr($1, 2), $4, $6 }' "$log")
	[ "$stored" -gt 0 ] && [ "${inputs:-0}" -gt "$stored" ]
	result $? "$name ran ${inputs:-no} inputs, $stored of them stored; coverage ${edges:-0} edges, ${features:-0} features"
	met=$(sed -n 's/^met: //p' "$log")
	[ -n "$met" ] && ! grep -qE ' 0(,|$)' <<<"$met"
	result $? "$name met: ${met:-nothing}"
done

echo "1..$n"
exit $failed

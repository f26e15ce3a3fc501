#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fuzz.sh [NAME...]: `make fuzz` runs this script.  It runs all fuzzers (selftests/fuzz/NAME.c), or those named, one
# after the other, each for TIME seconds (600) from its stored corpus.  At its end each prints how many inputs it ran,
# how much of the code they reached, and what they met.  Findings, grown corpora and logs are in build/fuzz/, never
# among the sources.
#
# fuzz.sh --store [NAME...]	adds to the stored corpora the fewest inputs of build/fuzz/ that reach as much
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
out=build/fuzz
time=${TIME:-600}
export ASAN_OPTIONS=quarantine_size_mb=8:${ASAN_OPTIONS:-} # the default is for programs that free less
corpora=selftests/fuzz/corpus

store=
if [ "${1-}" = --store ]; then
	store=1
	shift
fi
[ $# -gt 0 ] || set -- $(basename -as .c selftests/fuzz/*.c)
make --no-print-directory -s fuzzers || exit 1

failed=0
for name; do
	mkdir -p "$out/corpus/$name" "$out/found" "$corpora/$name"
	if [ -n "$store" ]; then
		# By edges alone, for a few dozen inputs; inputs whose name is no hash stay as they are.
		rm -rf "$out/new"
		mkdir "$out/new"
		"$out/selftests/fuzz/$name" -merge=1 -use_counters=0 -max_len=256 "$out/new" "$corpora/$name" \
			"$out/corpus/$name" >"$out/$name.log" 2>&1 || { failed=1; echo "$name: see $out/$name.log"; continue; }
		find "$corpora/$name" -type f -regextype egrep -regex '.*/[0-9a-f]{40}' -delete
		cp -n "$out/new"/* "$corpora/$name"/
		echo "$name: $(find "$corpora/$name" -type f | wc -l) inputs stored"
		continue
	fi
	dir=$(mktemp -d /tmp/venom-fuzz.XXXXXX)
	VENOM_RUNTIME_DIR=$dir "$out/selftests/fuzz/$name" -max_total_time="$time" -timeout=20 -max_len=1024 -len_control=20 \
		-artifact_prefix="$out/found/$name-" -print_final_stats=1 "$out/corpus/$name" "$corpora/$name" \
		2>&1 | tee "$out/$name.log" | grep --line-buffered -E '#[0-9]+[[:space:]]+pulse' |
		awk -v name="$name" '{ printf "\r%s: %s inputs, coverage %s, %s features ", name, substr($1, 2), $4, $6; fflush() }'
	status=${PIPESTATUS[0]}
	rm -rf "$dir"
	echo
	awk -v name="$name" '
		$2 == "DONE" { printf "%s: %d inputs, coverage %d edges, %d features\n", name, substr($1, 2), $4, $6 }
		/^met:/ { print name ": " $0 }
		/^artifact_prefix/ { print name ": " $0 }' "$out/$name.log"
	[ "$status" = 0 ] || { failed=1; echo "$name: see $out/$name.log"; }
done
exit $failed

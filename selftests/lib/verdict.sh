# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# verdict.sh: the test cases of a script, in TAP; to be sourced.  The script ends with 1..$n and exits with $failed.

n=0 failed=0

# verdict STATUS NAME: prints the case's line.  False if the case has failed: the script then prints the details.
verdict() {
	n=$((n + 1))
	[ "$1" != 0 ] || { echo "ok $n - $2"; return; }
	failed=1
	echo "not ok $n - $2"
	return 1
}

skip() { # NAME REASON
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# explained STATUS NAME: the same, but prints $tmp/log if the case has failed.  Then it empties the log.
explained() {
	verdict "$1" "$2" || sed 's/^/# /' "$tmp/log"
	: >"$tmp/log"
}

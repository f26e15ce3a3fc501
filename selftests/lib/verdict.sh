# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# verdict.sh: the test cases of a script, in TAP; to be sourced.  At its end it prints 1..$n and exits with $failed.

n=0 failed=0

# verdict STATUS NAME: the case's line.  False if it has failed: then it is the script's to say more.
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

# explained STATUS NAME: the same, with the words of $tmp/log if it failed; and the log is empty again.
explained() {
	verdict "$1" "$2" || sed 's/^/# /' "$tmp/log"
	: >"$tmp/log"
}

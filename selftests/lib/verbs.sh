# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# verbs.sh: runs the verbs of the `venom` command, beside each other, in a folder of their own, and looks at what they
# print; to be sourced in the top folder.  TAP on stdout: the script ends with 1..$n, and fails unless $failed is 0.
# B names the build folder.
#
# shellcheck disable=SC2034 # what is set here is for the scripts
venom=$PWD/${B:-build}/venom
case ${B:-} in /*) venom=$B/venom ;; esac
[ -x "$venom" ] || { echo "1..0 # SKIP no $venom"; exit 1; }

dir=$(mktemp -d)
export VENOM_RUNTIME_DIR=$dir/run
unset VENOM_LOG
mkdir "$VENOM_RUNTIME_DIR"
cd "$dir" || exit 1
mine=()
cleanup() {
	local pid
	for pid in "${mine[@]}"; do kill "$pid" 2>/dev/null; done
	wait 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT

n=0 failed=0
# ok NAME COMMAND...: a test case is a command that succeeds.
ok() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $name"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $n - $name"
	echo "# failed: $*; status $status"
	head -n 5 out | cut -c1-200 | cat -v | sed 's/^/# stdout: /'
	head -n 5 err | cut -c1-200 | cat -v | sed 's/^/# stderr: /'
}

# v ARGUMENT...: run venom to its end (a hang is a failure); its output is in out and err, its exit status in $status.
v() {
	timeout -k 5 60 "$venom" "$@" >out 2>err
	status=$?
}
# bg ARGUMENT...: run venom beside us, with the file $input as its input, or none; its pid is in $pid, its output in
# out.$pid and err.$pid.
bg() {
	(exec "$venom" "$@" <"${input:-/dev/null}" >"out.$BASHPID" 2>"err.$BASHPID" 3>&-) &
	pid=$!
	mine+=("$pid")
}
# ended PID: wait for it; its exit status is in $status, its output in out and err.
ended() {
	wait "$1" 2>/dev/null # bash tells of those that were killed
	status=$?
	mv "out.$1" out
	mv "err.$1" err
}
# until_true COMMAND...: wait for something that will be, a minute at most.
until_true() {
	local i
	for ((i = 0; i < 1200; i++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.05
	done
	return 1
}
up() { until_true "$venom" stat "$1"; } # the channel is there
shells() { "$venom" stat --json "$1" | grep -q "\"clients\": $2,"; }
is() { [ "$status" = "$1" ]; }
prints() { [ "$(cat out)" = "$1" ]; }
says() { [ "$(cat out)" != "" ] && grep -qE -- "$1" out; }
complains() { [ ! -s out ] && [ "$(wc -l <err)" = 1 ] && grep -qE -- "$1" err; }
long() { head -c "$1" /dev/zero | tr '\0' x; }
# error PATTERN: one sentence of this kind on stderr, nothing on stdout, status 1
error() { is 1 && complains "$1"; }
misuse() { is 2 && [ ! -s out ] && grep -qE -- "$1" err && grep -q -- '--help' err; }
# Nothing on stderr but, where the pool has no huge pages, the note that says so.
silent() { ! grep -v 'note: no huge pages' "$1"; }

#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test-environment.sh: the verbs of `venom` where the system refuses what they ask of it: each call of theirs in turn, as a
# seccomp filter does it, and what a process has too little of.  Each ends with an errno's sentence, or does without; none
# is killed, spins or hangs.  TAP on stdout.
#
# shellcheck disable=SC2086 # words are meant to be split
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
venom=$PWD/${B:-build}/venom
dir=$(mktemp -d)
export VENOM_RUNTIME_DIR=$dir/run
unset VENOM_LOG
mkdir "$VENOM_RUNTIME_DIR"
cd "$dir" || exit 1
trap 'kill $server 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT

"$venom" serve --rate 200 --mode 600 box 2>/dev/null &
server=$!
for _ in $(seq 600); do
	! "$venom" stat box >/dev/null 2>&1 || break
	sleep 0.1
done

result() { verdict "$1" "$2" || sed "s|^|# |" "$3"; }

# well STATUS: it has ended by itself with 0, or with 1 and a sentence.
well() { [ "$1" = 0 ] || { [ "$1" = 1 ] && grep -q '^venom' err; }; }
verbs=("pub --linger 0.01 mine" "sub --count 2 box" "req --count 2 box ping" "req --one-way box x" ls "stat box"
	"stat --interval 0.01 --count 2 box")
input() { seq 3; }

# Too little of something.  A program that the loader can't start is none of ours.
for limit in "-f 16" "-f 64" "-v 8000" "-v 16000" "-v 200000" "-n 3" "-n 4" "-n 5" "-n 6" "-n 8" "-n 12" "-s 64" "-l 0" "-d 1024" "-c 0"; do
	bad=
	for verb in "${verbs[@]}" "serve mine" "demo --seconds 0.1"; do
		input | (ulimit -S $limit && exec timeout -s INT -k 20 0.5 "$venom" $verb) >out 2>err
		status=$?
		grep -qE 'shared (libraries|object)|run command|cannot execute' err || [ $status = 124 ] || well $status ||
			bad+="$verb: status $status, $(head -n 1 err); "
	done
	echo "$bad" >log
	[ -z "$bad" ]
	result $? "ulimit $limit" log
done 2>/dev/null
export LANG=xx_YY.nonsense
for env in "-u HOME" "-u TMPDIR -u PATH" "-i VENOM_RUNTIME_DIR=$VENOM_RUNTIME_DIR"; do
	bad=
	for verb in "${verbs[@]}"; do
		input | timeout -k 5 60 env $env "$venom" $verb >out 2>err
		status=$?
		[ $status = 0 ] || bad+="$verb: status $status, $(head -n 1 err); "
	done
	echo "$bad" >log
	[ -z "$bad" ]
	result $? "env $env, and an odd locale" log
done
unset LANG
if unshare -m true 2>/dev/null; then
	bad=
	for verb in "${verbs[@]}" "serve mine" "demo --seconds 0.1"; do
		input | unshare -m sh -c 'mount -t tmpfs none /proc && exec timeout -s INT -k 20 0.5 "$@"' - "$venom" $verb >out 2>err
		status=$?
		[ $status = 124 ] || well $status || bad+="$verb: status $status, $(head -n 1 err); "
	done
	echo "$bad" >log
	[ -z "$bad" ]
	result $? "without /proc" log
else
	skip "without /proc" "no mount namespace"
fi

if ! strace -qq -o /dev/null true 2>/dev/null; then
	skip "calls refused" "no strace, or it may not trace"
	echo "1..$n"
	exit $failed
fi

# refused ERRNO CALLS WHEN VERB...: run it so that these calls fail, all from the WHENth on.
refused() {
	local errno=$1 calls=$2 when=$3
	shift 3
	input | timeout -k 5 20 strace -f -qq -o trace -e "trace=$calls" -e "inject=$calls:error=$errno:when=$when" \
		"$venom" "$@" >out 2>err
	status=$?
} 2>/dev/null

# What is said is about what failed, not about what else the errno means.
says() { # PATTERN NAME
	[ $status = 1 ] && grep -qE "$1" err && ! grep -qE 'lane|answer in time' err
	result $? "$2" err
}
refused EAGAIN clone,clone3 1+ pub --linger 0.01 mine
says 'Resource temporarily unavailable' "pub, without the library's thread"
refused EAGAIN clone,clone3 2+ pub --linger 0.01 mine
says 'no thread .*: Resource temporarily unavailable' "pub, without a thread that answers"
refused EAGAIN clone,clone3,fork,vfork 1+ demo
says 'fork: Resource temporarily unavailable' "demo, without a child"
refused EPERM ppoll 1+ sub --await 1000 nobody
says 'ppoll: Operation not permitted' "sub --await, without a sleep"

for verb in "${verbs[@]}"; do
	input | strace -f -qq -o calls "$venom" $verb >/dev/null 2>&1
	# What the loader calls comes before our first, of descriptor 0.  A C library that may not use a futex aborts.
	sed -n '/F_GETFD/,$p' calls | sed -nE 's/^[0-9]+ +([a-z_0-9]+)\(.*/\1/p' | grep -vE 'exit|sigreturn|futex' | sort -u >names
	bad=
	while read -r call; do
		# As often as the loader has called it, it succeeds.
		before=$(sed '/F_GETFD/,$d' calls | grep -cE "^[0-9]+ +$call\\(")
		refused EPERM "$call" $((before + 1))+ $verb
		# Without write there is no sentence.
		well $status || { [ "$call" = write ] && [ $status = 1 ]; } || bad+=" $call (status $status: $(head -n 1 err))"
	done <names
	echo "$bad" >log
	[ -z "$bad" ]
	result $? "venom $verb: every call refused in turn ($(wc -l <names) calls)" log
done
echo "1..$n"
exit $failed

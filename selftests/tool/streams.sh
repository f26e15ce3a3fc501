#!/bin/bash
# SPDX-License-Identifier: MIT
#
# streams.sh: what goes in and out of the `venom` command: lines and frames through pub and sub, what others say on its
# way to the terminal, the shell's completion, closed descriptors and limits.  TAP on stdout.
#
# shellcheck disable=SC2016,SC2086,SC1090 # conditions are for eval; words are meant to be split
set -u
cd "$(dirname "$0")/../.." || exit 1
completion=$PWD/tools/venom.bash-completion
. selftests/lib/verbs.sh

# ---- pub and sub: lines -----------------------------------------------------
# publish ARGUMENT... with standard input from the file `in`; a subscriber of all versions, with its own arguments.
through() { # SUB-ARGUMENTS -- PUB-ARGUMENTS
	local sub=()
	while [ "$1" != -- ]; do
		sub+=("$1")
		shift
	done
	shift
	"$venom" pub "$@" --wait 1 pipe <in >pub.out 2>pub.err &
	pub=$!
	mine+=("$pub")
	up pipe
	v sub "${sub[@]}" pipe
	wait $pub
	pub=$?
}
seq 1 1000 >in
through --every --
ok "lines through pub and sub --every" eval 'is 0 && cmp in out && [ $pub = 0 ] && grep -q "daemon has gone.*1000" err && silent pub.err'
printf 'a\n\n\nno newline at the end' >in
through --every -- --versions 4
printf '\n' >>in
ok "empty lines, and a last one without newline" eval 'cmp in out && [ $pub = 0 ]'
seq 1 5 >in
through --every --count 9 -- --versions 8
ok "sub --count that is not reached: status 1" eval 'is 1 && cmp in out'
through --every --count 3 -- --versions 8
ok "sub --count that is reached: status 0" eval 'is 0 && [ "$(tr "\n" " " <out)" = "1 2 3 " ]'
"$venom" pub --versions 8 --linger forever pipe <in 2>pub.err &
pub=$!
mine+=("$pub")
until_true eval '"$venom" stat pipe | grep -qE "^versions +5$"'
v req pipe hello
ok "pub answers requests with an error" eval 'is 0 && prints "error: this daemon only publishes"'
v sub --every --count 5 pipe
ok "pub that lingers can still be read" eval 'is 0 && cmp in out'
v sub --every --timeout 0.1 pipe
ok "sub --timeout: one sentence" eval 'is 1 && cmp in out && grep -q "pipe: nothing new for 0.1 s" err'
kill "$pub"
wait "$pub"
status=$?
ok "pub that lingers ends with a signal" eval 'is 0 && silent pub.err && [ -z "$("$venom" ls)" ]'

# Both sides at once, the shell first.
v sub --await 0 --once late
ok "sub --await 0 of a missing channel: one sentence" error "late: no living daemon"
v stat --await 0.1 late
ok "stat --await of a channel that doesn't come: one sentence" error "late: no living daemon"
bg sub --every --await 60 late
subscriber=$pid
bg req --await 60 late hello
asker=$pid
bg stat --await 60 late
observer=$pid
sleep 0.3
v sub --await never late
ok "sub --await of no number is a usage error" misuse "--await"
kill -0 "$subscriber" "$asker" "$observer" 2>/dev/null
ok "sub, req and stat --await wait" [ $? = 0 ]
seq 5 >in
input=in bg pub --versions 8 --wait 1 --linger forever late
server=$pid
ended "$asker"
ok "req --await gets its answer" eval 'is 0 && prints "error: this daemon only publishes"'
ended "$observer"
ok "stat --await gets its look" eval 'is 0 && says "^late: alive"'
until_true grep -qx 5 "out.$subscriber"
kill "$server"
ended "$server"
ended "$subscriber"
ok "sub --await gets every version" eval 'is 0 && cmp in out'
bg sub --await 60 late
sleep 0.1
kill "$pid"
ended "$pid"
ok "a signal ends it" is 143

# A subscriber that can't keep up: it is stopped while 1000 versions go through a ring of 4.
mkfifo lines
"$venom" pub --versions 4 gaps <lines &
pub=$!
mine+=("$pub")
exec 3>lines
echo first >&3
up gaps
bg sub --every gaps
until_true grep -q first "out.$pid"
kill -STOP "$pid"
seq 2 1000 >&3
until_true eval '"$venom" stat gaps | grep -qE "^versions +1000$"'
kill -CONT "$pid"
until_true grep -qx 1000 "out.$pid"
exec 3>&-
wait $pub
ended "$pid"
ok "sub --every tells of a gap, and ends with 1" eval 'is 1 && grep -qE "gaps: missed [0-9]+ versions \(2 to [0-9]+\)$" err &&
	[ $(($(wc -l <out) + $(sed -nE "s/.*missed ([0-9]+) .*/\1/p" err | paste -sd+))) = 1000 ]'

printf 'short\n%17s\nnever\n' x >in
through --every -- --data-size 16
ok "a line too long: its number and size, and what came before is there" \
	eval '[ $pub = 1 ] && prints short && grep -q "pipe: line 2 has 17 bytes, .* 16" pub.err'
{ echo short; long 300000; } >in
through --every -- --data-size 16
ok "a line without end" eval '[ $pub = 1 ] && prints short && grep -q "pipe: line 2 has more than" pub.err'

# ---- pub and sub: frames ----------------------------------------------------
head -c $((64 * 4099)) /dev/urandom >in
through --every --raw -- --frame-size 4099 --versions 64
ok "binary frames, byte for byte" eval 'is 0 && cmp in out && [ $pub = 0 ]'
head -c $((3 * 2000000)) /dev/urandom >in
through --every --raw -- --frame-size 2000000 --versions 3
ok "large frames, byte for byte" eval 'is 0 && cmp in out && [ $pub = 0 ]'
head -c 250 /dev/urandom >in
through --every --raw -- --frame-size 100
ok "a partial frame: an error that says so, the whole ones are there" \
	eval '[ $pub = 1 ] && cmp <(head -c 200 in) out && grep -q "frame 3, after 50 of its 100 bytes" pub.err'
printf '\377\000\001\nabc\n' >in
through --every --json -- --frame-size 4
ok "sub --json of bytes that are no text" eval 'is 0 && [ "$(sed -E "s/\"time_ns\": [0-9]+, //" out)" = \
"{\"version\": 1, \"length\": 4, \"base64\": \"/wABCg==\"}
{\"version\": 2, \"length\": 4, \"data\": \"abc\\u000a\"}" ]'
printf '"\\\303\251\t\n' >in
through --every --json -- --versions 2
ok "sub --json quotes what must be" says '"length": 5, .*"data": "\\"\\\\é\\u0009"}'

# ---- what others say is not sent to the terminal ----------------------------
raw() { LC_ALL=C grep -q $'[\001-\010\013-\037\177-\237]\|\342\200\256' out err; } # of all UTF-8 only what is used below
for bad in $'\e[31mred' $'a\177' $'a\nb' $'a\23331m' $'a\302\23331m' $'a\342\200\256b'; do
	for args in "serve --mode 0" "pub --mode 0" "sub --once" "req --timeout 0" stat; do
		timeout -k 5 60 "$venom" $args --huge "$bad" >out 2>err
		status=$?
		ok "$args: a bad option's value is escaped" eval 'is 2 && ! raw'
		word=ping
		[[ $args == req* ]] || word=
		timeout -k 5 60 "$venom" $args -- "$bad/" $word >out 2>err
		status=$?
		ok "$args: a bad name is escaped" eval '[ $status != 0 ] && ! raw && grep -q "\\\\x[0-9a-f][0-9a-f]" err'
	done
	for args in "" "ls" "ls --" "ls --json=" "demo --"; do
		timeout -k 5 60 "$venom" ${args% *} "${args##* }$bad" >out 2>err
		status=$?
		ok "'$args': a bad word is escaped" eval 'is 2 && ! raw'
	done
done
# A name may have such, as far as it is no control character of ASCII.
for name in $'a\23331m' $'a\302\23331m' $'a\342\200\256b' grö plain; do
	bg pub --linger forever "$name"
	up "$name"
done
v ls
ok "ls escapes names" eval 'is 0 && ! raw && says "^a.x9b31m +alive" && says "^a.xc2.x9b31m +alive" && says "^a.xe2.x80.xaeb +alive"'
ok "and its columns are straight" \
	eval '[ "$(LC_ALL=C tr -d "\200-\277" <out | awk "{ print index(\$0, NR == 1 ? \"STATE\" : \"alive\") }" | sort -u | wc -l)" = 1 ]'
v ls --json
ok "ls --json, too" eval 'is 0 && ! raw && says "\"a.u009b31m\"" && says "\"a.u202eb\"" && says "\"a.ufffd31m\"" && says grö'
v stat $'a\302\23331m'
ok "stat, too" eval 'is 0 && ! raw && says "^a.xc2.x9b31m: alive"'
v stat --json $'a\302\23331m'
ok "stat --json, too" eval 'is 0 && ! raw && says "\"a.u009b31m\""'
kill "${mine[@]}" 2>/dev/null
wait

# ---- completion -------------------------------------------------------------
# tab VERB... WORD: what TAB offers after WORD, in out
tab() {
	COMP_WORDS=(venom "$@")
	COMP_CWORD=$#
	_venom "$venom" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>err
	status=$?
	printf '%s\n' "${COMPREPLY[@]}" >out
}
if [ ! -e "$completion" ]; then
	ok "completion # SKIP not here" true
else
	. "$completion"
	evil='$(touch${IFS}evil)'
	for name in box bore "$evil"; do
		bg pub --linger forever "$name"
		up "$name"
	done
	tab se
	ok "completion of a verb" prints serve
	tab sub --j
	ok "completion of an option" prints --json
	tab sub --spin f
	ok "completion of an option's value" prints forever
	tab sub bo
	ok "completion of a name" eval '[ "$(sort out | tr "\n" " ")" = "bore box " ]'
	tab sub ""
	ok "a name that is a command is not run" eval '[ ! -e evil ] && [ "$(wc -l <out)" = 3 ]'
	ok "nor when it has been completed" eval '[ "$(eval "echo $(grep touch out)")" = "$evil" ] && [ ! -e evil ]'
	kill "${mine[@]}" 2>/dev/null
	wait
fi

# ---- descriptors 0 to 2, and limits -----------------------------------------
bg serve --rate 100 box
server=$pid
up box
: >out
timeout -k 5 60 "$venom" pub closed <&- 2>err
status=$?
# The note about huge pages aside.
ok "pub without standard input: one sentence" eval 'is 1 && grep -q "closed: standard input: Bad file descriptor" err'
timeout -k 5 60 "$venom" req box - <&- 2>err
status=$?
ok "req - without standard input: one sentence" error "box: standard input: Bad file descriptor"
for args in "sub --once box" "sub box" "sub --json --count 3 box" "req box ping" "req --count 3 box ping" "req --count 1000000000 box ping" \
	ls "ls --json" "stat box" "stat --interval 0.01 --json box" --help "pub --help" --version; do
	timeout -k 5 60 "$venom" $args >&- 2>err
	status=$?
	ok "$args without standard output: a sentence" eval 'is 1 && grep -q "standard output: Bad file descriptor" err'
done
for args in ls "stat box" "req --count 2 box ping" "sub --count 2 box"; do
	timeout -k 5 60 "$venom" $args >out 2>&-
	status=$?
	ok "$args without standard error works" eval 'is 0 && [ -s out ]'
done
timeout -k 5 60 "$venom" req nobody ping <&- >&- 2>&-
status=$?
ok "without any of them it fails as it should" is 1
# Where they are closed, no file of venom's is in their place: not in the verb's process, nor in its children.
stdio() { for fd in 0 1 2; do [ "$(readlink "/proc/$1/fd/$fd")" = /dev/null ] || return; done; }
"$venom" pub --linger forever quiet </dev/null 2>/dev/null &
quiet=$!
mine+=("$quiet")
up quiet
for args in "serve closed" "pub --linger forever closed" "sub quiet" "demo --seconds 60"; do
	(exec "$venom" $args <&- >&- 2>&- 3>&-) &
	pid=$!
	mine+=("$pid")
	case $args in *closed) up closed ;; sub*) until_true shells quiet 1 ;; demo*) until_true shells "demo-$pid" 4 ;; esac
	ok "$args without any of them: nothing of it in their place" stdio $pid
	children=$(cat "/proc/$pid/task/$pid/children")
	[ "$args" != "demo --seconds 60" ] || for child in $children; do
		ok "nor in a child's" stdio $child
	done
	kill "$pid"
	wait "$pid" 2>/dev/null
done
kill "$quiet"
wait "$quiet"
until_true eval '! "$venom" stat closed'
# What it has to say then goes nowhere, least of all into a file of its own.
echo long >in
(exec "$venom" pub --data-size 1 --linger forever closed <in 2>&- 3>&-) &
pid=$!
mine+=("$pid")
up closed
v req closed hello
ok "pub without standard error answers, and its files have none of its words" eval 'is 0 && ! grep -rqa venom "$VENOM_RUNTIME_DIR"'
kill "$pid"
wait "$pid"
(trap '' CHLD; exec "$venom" demo --seconds 0.5) >out 2>err
status=$?
ok "demo learns of its children's ends where the parent ignores SIGCHLD" eval 'is 0 && says "^Good: "'
truncate -s 1000K large
(ulimit -f 1000; exec timeout -k 5 60 "$venom" sub --once box) >>large 2>err # its memory counts, too
status=$?
rm large
: >out
ok "sub to a file over ulimit -f: one sentence" error "standard output: File too large"
kill "$server"
wait "$server"

echo "1..$n"
[ $failed = 0 ]

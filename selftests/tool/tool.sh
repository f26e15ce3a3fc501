#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tool.sh: every verb of the `venom` command, for real, with what it prints and its exit status.
# TAP on stdout.  B names the build folder.  Nothing here depends on how fast anything is.
#
# shellcheck disable=SC2016,SC2086,SC1090 # conditions are for eval; words are meant to be split
set -u
cd "$(dirname "$0")/../.." || exit 1
venom=$PWD/${B:-build}/venom
case ${B:-} in /*) venom=$B/venom ;; esac
[ -x "$venom" ] || { echo "1..0 # SKIP no $venom"; exit 1; }

dir=$(mktemp -d)
export VENOM_RUNTIME_DIR=$dir/run
unset VENOM_LOG
mkdir "$VENOM_RUNTIME_DIR"
completion=$PWD/tools/venom.bash-completion
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
# bg ARGUMENT...: run venom beside us, with the file $input as its input, or none; its pid is in $pid, its output in out.$pid and err.$pid.
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
up() { until_true "$venom" stat "$1"; }         # the channel is there
shells() { "$venom" stat --json "$1" | grep -q "\"clients\": $2,"; }
is() { [ "$status" = "$1" ]; }
prints() { [ "$(cat out)" = "$1" ]; }
says() { [ "$(cat out)" != "" ] && grep -qE -- "$1" out; }
complains() { [ ! -s out ] && [ "$(wc -l <err)" = 1 ] && grep -qE -- "$1" err; }
long() { head -c "$1" /dev/zero | tr '\0' x; }
# error PATTERN: one sentence of this kind on stderr, nothing on stdout, status 1
error() { is 1 && complains "$1"; }
misuse() { is 2 && [ ! -s out ] && grep -qE -- "$1" err && grep -q -- '--help' err; }

# ---- help and usage ---------------------------------------------------------
v --help
ok "--help lists the verbs" eval 'is 0 && says "serve" && says "demo"'
v --version
ok "--version" eval 'is 0 && says "^venom [0-9]+\.[0-9]+\.[0-9]+$"'
verbs="serve pub sub req ls stat demo"
[ ! -x "${venom}-bench" ] || verbs+=" bench" # a program of its own
for verb in $verbs; do
	v $verb --help
	ok "$verb --help" eval 'is 0 && says "^usage: venom $verb" && [ ! -s err ]'
	v $verb --no-such-option
	ok "$verb: an unknown option is a usage error" misuse "no-such-option"
done
v
ok "no verb is a usage error" misuse "verb"
v frobnicate
ok "an unknown verb is a usage error" misuse "frobnicate"
for verb in serve pub sub req stat; do
	v $verb
	ok "$verb: no NAME is a usage error" misuse "NAME"
done
v req name
ok "req: no WORDS is a usage error" misuse "WORDS"
v sub a b
ok "sub: two names are a usage error" misuse "'b'"
v ls a
ok "ls: a name is a usage error" misuse "'a'"
for bad in "serve --rate 0" "serve --rate x" "serve --mode 8" "serve --mode 7777" "serve --mode 40000000666" "serve --spin often" \
	"serve --huge maybe" "serve --versions 0" "serve --versions -1" "pub --frame-size 0" "pub --data-size 99999999999G" \
	"pub --wait 9 --clients 8" "pub --frame-size 8 --data-size 9" "sub --count 0" "sub --timeout never" "sub --raw --json" "stat --count 2" "req --count 1.5"; do
	v $bad name
	ok "$bad is a usage error" misuse "--"
done
for bad in 1 0,0 0,1,2 0,-1 4294967296,1; do
	v demo --cpus "$bad"
	ok "demo --cpus $bad is a usage error" misuse "--cpus"
done

# ---- names ------------------------------------------------------------------
for verb in sub stat "req --timeout 1"; do
	v $verb nobody ping
	[ "$verb" = "req --timeout 1" ] || v $verb nobody
	ok "$verb of a missing channel: one sentence, status 1" error "nobody: .*(no|not)"
done
for name in "" . .. .hidden a/b "a b" $'a\nb' "$(long 64)"; do
	v serve "$name"
	ok "serve '${name//$'\n'/\\n}': no such name can be" eval 'is 1 && [ ! -s out ] && grep -q "^venom serve: " err'
done
v ls
ok "ls of nothing prints nothing" eval 'is 0 && [ ! -s out ] && [ ! -s err ]'

# ---- serve and req ----------------------------------------------------------
bg serve --versions 4096 --rate 100 machine # so that nobody is too slow
server=$pid
ok "serve: the channel appears" up machine
v req machine ping
ok "ping" eval 'is 0 && prints pong'
v req machine echo some words  "and  spaces"
ok "echo" eval 'is 0 && prints "some words and  spaces"'
v req machine echo
ok "echo of nothing is an empty line" eval 'is 0 && [ "$(wc -c <out)" = 1 ]'
v req machine -- echo --count -x
ok "words that begin with a dash" eval 'is 0 && prints "--count -x"'
v req machine time
ok "time" eval 'is 0 && says "^[0-9]{19}$"'
v req machine stats
ok "stats" eval 'is 0 && says "^versions [0-9]+$" && says "^commands [0-9]+$" && says "^clients 1$"'
v req machine dance now
ok "an unknown command gets an answer that says so" \
	eval 'is 0 && prints "error: unknown command '"'dance'"'; there are: ping, echo, time, stats"'
v req --count 5 machine ping
ok "req --count: each answer, and the latencies on stderr" \
	eval 'is 0 && [ "$(grep -c "^pong$" out)" = 5 ] && grep -qE "^5 answers; p50 .* p99 .* max " err'
v req --json machine ping
ok "req --json" eval 'is 0 && says "^\{\"latency_ns\": [0-9]+, \"length\": 4, \"data\": \"pong\"\}$"'
printf 'echo from stdin' | "$venom" req machine - >out 2>err
status=$?
ok "req -: the command from stdin" eval 'is 0 && prints "from stdin"'
v req --one-way --count 5000 machine ping # many times what the lane holds
ok "req --one-way prints nothing" eval 'is 0 && [ ! -s out ] && [ ! -s err ]'
v req machine "$(long 1024)"
ok "the longest command goes through" eval 'is 0 && says "^error: unknown command"'
v req machine "$(long 1025)"
ok "a command too long: one sentence" error "too long.* 1024 bytes"
v sub --once machine
ok "sub --once: the figures" eval 'is 0 && [ "$(head -n 1 out | cut -d" " -f1)" = seq ] &&
	says "^load1 [0-9.]+$" && says "^mem_total_kb [1-9]" && says "^cpu_busy_percent [0-9.]+$"'
v sub --count 20 --every machine
ok "sub --every: one version after the other" eval 'is 0 && [ "$(grep -c ^seq out)" = 20 ] &&
	[ "$(grep ^seq out | cut -d" " -f2 | sort -nu | wc -l)" = 20 ]'
v sub --count 3 --json machine
ok "sub --json" eval 'is 0 && [ "$(grep -cE "^\{\"version\": [0-9]+, \"length\": [0-9]+, (\"time_ns\": [0-9]+, )?\"data\": \"seq [0-9]+\\\\u000atime_ns .*\"\}$" out)" = 3 ]'
"$venom" sub machine 2>err | head -n 3 >out
status=${PIPESTATUS[0]}
ok "sub into a closed pipe ends without a word" eval '[ $status != 0 ] && [ ! -s err ] && [ "$(wc -l <out)" = 3 ]'
"$venom" sub --once machine >/dev/full 2>err
status=$?
: >out
ok "sub to a full disk: one sentence" error "standard output"

# ---- ls and stat ------------------------------------------------------------
v ls
ok "ls" eval 'is 0 && says "^NAME .*STATE .*BACKEND .*PID" && says "^machine +alive +(memfd|dev) +$server "'
v ls --json
ok "ls --json" eval 'is 0 && says "^\{\"name\": \"machine\", \"alive\": true, \"backend\": \"(memfd|dev)\", \"pid\": $server, .*\"page_size\": [0-9]+, .*\"epoch\": [0-9]+\}$"'
bg sub machine
subscriber=$pid
ok "a subscriber attaches" until_true shells machine 1
v stat machine
ok "stat" eval 'is 0 && says "^machine: alive, " && says "^versions +[1-9]" && says "^ +[0-9]+ +$subscriber +"'
v stat --json machine
ok "stat --json" eval 'is 0 && says "^\{\"name\": \"machine\", .*\"versions\": [0-9]+, .*\"shells\": \[\{.*\"reads\": [0-9]+, .*\"pid\": $subscriber, \"uid\": [0-9]+\}\]\}$"'
v stat --interval 0.05 --count 3 machine
ok "stat --interval --count" eval 'is 0 && [ "$(grep -cE "^versions " out)" = 3 ] && [ "$(grep -cE "^versions .*/s$" out)" = 2 ]'
v stat --interval 0.05 --count 2 --json machine
ok "stat --interval --json" eval 'is 0 && [ "$(grep -c "\"rates\": {\"versions\": [0-9.]*, " out)" = 1 ] && [ "$(wc -l <out)" = 2 ]'

# One that is stopped doesn't answer; the module needs no answer.
bg serve stopped
up stopped
kill -STOP "$pid"
v ls
if [ "${VENOM_BACKEND-}" = dev ]; then
	ok "ls shows a stopped daemon" eval 'is 0 && says "^machine +alive " && says "^stopped +alive +dev +$pid "'
else
	ok "ls shows a stopped daemon as silent" eval 'is 0 && says "^machine +alive " && says "^stopped +silent .* $pid "'
	v ls --json
	ok "ls --json, too" eval 'is 0 && says "^\{\"name\": \"stopped\", \"alive\": true, \"silent\": true, \"pid\": $pid, \"uid\": [0-9]+, \"gid\": [0-9]+\}$"'
fi
kill -CONT "$pid"
v req stopped ping
ok "and when it goes on it answers" eval 'is 0 && prints pong'
kill "$pid"
ended "$pid"
# A folder that can't be read, by somebody who isn't root.
chmod 711 .
cp "$venom" copy
mkdir -m 700 sealed
as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if [ "$(id -u)" != 0 ]; then
	as=()
	chmod 0 sealed
fi
if [ "${VENOM_BACKEND-}" != dev ] && "${as[@]}" ./copy --version >/dev/null 2>&1; then
	VENOM_BACKEND=memfd VENOM_RUNTIME_DIR=$dir/sealed timeout -k 5 60 "${as[@]}" ./copy ls >out 2>err
	status=$?
	ok "ls of a folder that can't be read: one sentence" error "sealed.*Permission denied"
else
	ok "ls of a folder that can't be read # SKIP with the module, or no setpriv" true
fi

# ---- life and death ---------------------------------------------------------
v serve machine
ok "serve: a living daemon has the name" error "machine: "
v req machine ping
ok "and it still answers" eval 'is 0 && prints pong'
{ kill -9 "$server"; wait "$server"; } 2>/dev/null
ended "$subscriber"
ok "sub is told of the daemon's death" eval 'is 1 && [ "$(wc -l <err)" = 1 ] && grep -q "machine: .*gone" err'
v ls
ok "ls doesn't show the dead" eval 'is 0 && [ ! -s out ] && [ ! -s err ]'
v ls --all
if [ "${VENOM_BACKEND-}" = dev ]; then
	ok "ls --all has no trace of the dead whom nobody holds" eval 'is 0 && ! says "^machine "'
else
	ok "ls --all shows the dead" eval 'is 0 && says "^machine +dead$"'
	v ls --all --json
	ok "ls --all --json" eval 'is 0 && says "^\{\"name\": \"machine\", \"alive\": false\}$"'
fi
v req machine ping
ok "req to the dead: one sentence" error "machine: "
bg serve machine
server=$pid
ok "serve again after kill -9" up machine
v req machine ping
ok "and it answers" eval 'is 0 && prints pong'
# Nothing on stderr but, where the pool has no huge pages, the note that says so.
silent() { ! grep -v 'note: no huge pages' "$1"; }
for signal in TERM INT; do
	# A background job of a script has SIGINT ignored; serve takes it all the same.
	kill -$signal "$server"
	ended "$server"
	ok "serve ends cleanly on SIG$signal" eval 'is 0 && silent err && [ -z "$("$venom" ls)" ]'
	[ $signal = INT ] || { bg serve machine; server=$pid; up machine; }
done
ok "serve notes base pages, or has huge ones" eval 'grep -q "note: no huge pages" err || [ "$(awk "/^HugePages_Free/ {print \$2}" /proc/meminfo)" -gt 0 ]'
# With the module a daemon goes on with a dead one's channel, if a shell is still on it: here one that is halted meanwhile.
if [ "${VENOM_BACKEND-}" = dev ]; then
	seq 5 >in
	for args in "serve --rate 50" "pub --linger forever"; do
		last() { grep -c . "out.$reader"; } # each version is a line
		input=in bg $args --versions 4096 phoenix
		server=$pid
		up phoenix
		bg sub --every --json phoenix
		reader=$pid
		until_true eval '[ "$(last)" -ge 5 ]'
		kill -STOP "$reader"
		{ kill -9 "$server"; wait "$server"; } 2>/dev/null
		input=in bg $args --versions 4096 --resume phoenix
		server=$pid
		up phoenix
		v ls --json
		ok "$args --resume goes on with the channel" says '"name": "phoenix", .*"pid": '"$server"', .*"epoch": 2\}$'
		before=$(last)
		kill -CONT "$reader"
		ok "its shell gets the new versions" until_true eval '[ "$(last)" -ge $((before + 5)) ]'
		kill "$server"
		ended "$server"
		ended "$reader"
		ok "each once, in their order" eval 'is 0 && cmp <(sed -E "s/.*\"version\": ([0-9]+).*/\1/" out) <(seq "$(wc -l <out)")'
	done
fi
bg serve --rate 50 --versions 8 --mode 640 --spin none --huge never --clients 3 options
server=$pid
up options
v ls --json
ok "serve's options arrive" says '"mode": "640", .*"versions": 8, "page_size": 4096, .*"max_clients": 3,'
kill "$server"
ended "$server"

ok "and with --huge never it notes nothing" [ ! -s err ]

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
looker=$pid
sleep 0.3
v sub --await never late
ok "sub --await of no number is a usage error" misuse "--await"
kill -0 "$subscriber" "$asker" "$looker" 2>/dev/null
ok "sub, req and stat --await wait" [ $? = 0 ]
seq 5 >in
input=in bg pub --versions 8 --wait 1 --linger forever late
server=$pid
ended "$asker"
ok "req --await gets its answer" eval 'is 0 && prints "error: this daemon only publishes"'
ended "$looker"
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

# ---- bench ------------------------------------------------------------------
if [ ! -x "${venom}-bench" ] || [ "$(nproc)" -lt 2 ]; then
	for name in list rows cpus json sides plot peer table leaves dies; do
		ok "bench $name # SKIP no venom-bench here, or one CPU" true
	done
else
	v bench --list
	ok "bench --list" eval 'is 0 && [ "$(wc -l <out)" -gt 25 ] && says "^request-64 +[0-9]+ bytes"'
	v bench --only nonsense
	ok "bench: a row that isn't there" misuse "no row begins with 'nonsense'"
	v bench --cpus 0
	ok "bench: one CPU isn't two" misuse "--cpus"
	if [ -e /dev/venom ]; then # three short rows are enough, even of an emulated machine
		v bench --only request-32,fresh-64,read-1m --rounds 1 --slice 0.005 --json
		for way in venom venom-4k module module-4k; do
			ok "bench: rows of $way" eval 'is 0 && [ "$(grep -c "\"name\": \"$way\", \"who\": \"venom\"" out)" = 3 ]'
		done
	fi
	if [ -z "${VENOM_IN_GUEST-}" ]; then # which is too slow for the peers and for long rows
		v bench --only request-64,read-64k,life,wake --rounds 1 --slice 0.05 --json
		ok "bench --json" eval 'is 0 && says "^\{\"venom\": " && tail -n 1 out | grep -qx "\]}" &&
			says "\"name\": \"venom, in place\", \"who\": \"venom\", \"unit\": \"GB/s\", \"value\": [0-9]" &&
			says "\"at_least\": 0.97, \"ratio\": [0-9.]+, \"met\": (true|false)"'
		ok "bench: the peers' rows too" says '"name": "pipe", "who": "peer", "unit": "ns", "samples": [1-9]'
		draw="--plot plots"
		command -v gnuplot >/dev/null || draw=
		v bench --only request-64 --rounds 1 --slice 0.005 $draw
		if [ -z "$draw" ] || says "Boost message_queue +skipped"; then
			ok "bench --plot # SKIP no gnuplot here, or no Boost" true
		else
			ok "bench --plot draws names as they are written" grep -q ">Boost message_queue<" plots/request-64.svg
		fi
		if says "iceoryx +skipped"; then
			ok "bench: iceoryx # SKIP not here, or nothing can be mounted" true
		else
			ok "bench: iceoryx leaves nothing in /dev/shm or /tmp" eval 'is 0 && says "^  peer  iceoryx +[1-9]" &&
				! ls /dev/shm /tmp | grep -qE "^(iceoryx|iox|roudi|side-[01])"'
		fi
		v bench --only publish-64 --rounds 2 --slice 0.005
		ok "bench: a table" eval 'is 0 && says "^publish-64: " && says "^  limit a bare seqlock +[0-9.]+ ns" &&
			says "^  venom venom +[0-9.]+ ns" && says "^  (met|MISSED) +venom, in line p50 / venom.s words by hand p50: [0-9.]+ "'
	fi
	ok "bench leaves no channel" eval '! "$venom" ls | grep -q bench'
	if [ -z "${VENOM_IN_GUEST-}" ]; then
		bg bench --only steady --slice 5
		until_true eval '"$venom" ls | grep -q "^bench-"'
		kill -9 "$pid"
		ok "the bench's processes die with it" until_true eval '! "$venom" ls | grep -q "^bench-.*alive"'
		rm -f "$VENOM_RUNTIME_DIR"/bench-* # the name of a daemon that was killed
	fi
fi

# ---- demo -------------------------------------------------------------------
v demo --seconds 1
ok "demo" eval 'is 0 && says "^all +[1-9]" && says "^Good: " && [ ! -s err ]'
v demo --seconds 0.5 --shells 4 --rate 1000 --json
ok "demo --json" eval 'is 0 && [ "$(wc -l <out)" = 1 ] && says "^\{\"ok\": true, .*\"torn\": 0, \"back\": 0, \"lost\": 0, \"wrong\": 0, .*\}$"'
# Kill one of its shells in the middle: it must say so and end.
bg demo --seconds 60
ok "demo: its channel appears" until_true eval '"$venom" ls | grep -q "^demo-$pid "'
until_true shells "demo-$pid" 4 # one of them is the parent's
victim=$("$venom" stat --json "demo-$pid" | grep -o '"pid": [0-9]*, "uid": [0-9]*}' |
	tr -dc '0-9,\n' | cut -d, -f1 | grep -vx -m1 "$pid")
kill -9 "$victim"
ended "$pid"
ok "demo notices a shell that is killed" eval 'is 1 && grep -q "shell .* was killed by signal 9" err'
until_true eval '[ -z "$("$venom" ls)" ]'
bg demo --seconds 60
until_true shells "demo-$pid" 4
{ kill -9 "$pid"; wait "$pid"; } 2>/dev/null
ok "the demo's processes die with it" until_true eval '! "$venom" ls | grep -q "^demo-.*alive"'

echo "1..$n"
[ $failed = 0 ]

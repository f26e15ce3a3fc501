#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tool.sh: every verb of the `venom` command, for real, with what it prints and its exit status; what goes through its
# standard input and output is in streams.sh.  What all verbs have in common (--help, venom(1), completion):
# source/test-verbs.sh.  TAP on stdout.  Nothing here depends on how fast anything is.
#
# shellcheck disable=SC2016,SC2086 # conditions are for eval; words are meant to be split
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verbs.sh

# ---- help and usage ---------------------------------------------------------
v --help
ok "--help lists the verbs" eval 'is 0 && says "serve" && says "demo"'
v --version
ok "--version" eval 'is 0 && says "^venom [0-9]+\.[0-9]+\.[0-9]+$"'
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

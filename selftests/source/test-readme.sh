#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The documents tell the truth: each complete C program in README.md compiles, without a warning, against what `make` built, and
# its daemons and shells run together to a good end; figures are those of the last run, links lead somewhere, and the tests that
# a document names are there.  TAP on stdout.
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
B=$PWD/${B:-build}
top=$PWD
dir=$(mktemp -d)
daemons=()
cleanup() {
	[ ${#daemons[@]} = 0 ] || kill -9 "${daemons[@]}" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
export VENOM_RUNTIME_DIR=$dir/run
mkdir "$VENOM_RUNTIME_DIR"
cd "$dir" || exit 1

result() { # result STATUS NAME [FILE]
	verdict "$1" "$2" || [ ! -e "${3:-}" ] || sed 's/^/# /' "$3"
}

awk '/^```c$/ { n++; on = 1; next } /^```/ { on = 0 } on { print > ("block" n ".c") }' "$top/README.md"
programs=()
for block in block*.c; do
	if [ -e "$block" ] && grep -q 'int main' "$block"; then programs+=("$block"); fi
done
[ ${#programs[@]} -gt 0 ]
result $? "README.md has complete programs in C"

for p in "${programs[@]}"; do
	name=$(sed -n '1s|^/\* *\([a-z]*\)\.c *\*/.*|\1|p' "$p")
	what="${name:-$p} of README.md"
	cc "$p" -o "${p%.c}" -Wall -Wextra -Werror -I"$top/libvenom/include" "$B/libvenom.a" -pthread 2>log
	result $? "$what compiles" log
done

# The daemons first; each is there when its channel is.
for p in "${programs[@]}"; do
	p=${p%.c}
	if ! grep -q venom_daemon_create "$p.c" || [ ! -x "$p" ]; then continue; fi
	before=$(find run -type s | wc -l)
	"./$p" >"$p.out" 2>&1 &
	daemons+=($!)
	for _ in $(seq 600); do
		[ "$(find run -type s | wc -l)" = "$before" ] || break
		sleep 0.1
	done
	[ "$(find run -type s | wc -l)" != "$before" ]
	result $? "the daemon of README.md starts" "$p.out"
done
[ ${#daemons[@]} -gt 0 ]
result $? "README.md has a daemon"

if command -v jq >/dev/null; then
	for f in README.md tools/bench/README.md; do
		"$top/tools/bench/readme.sh" "$top/$f" | diff -u "$top/$f" - >log
		result $? "the figures of $f are those of tools/bench/results.json" log
	done
fi

[ "$(wc -l <"$top/README.md")" -le 200 ]
result $? "README.md has at most 200 lines"

# Links to files, from where the document is.
for f in README.md kmod/README.md libvenom/docs/README.md selftests/README.md tools/bench/README.md; do
	grep -oE '\]\([^):#]+\)' "$top/$f" | tr -d '](' | tr -d ')' | while read -r link; do
		[ -e "$top/$(dirname "$f")/$link" ] || echo "$f: $link is not there"
	done
done >log
[ ! -s log ]
result $? "links lead to files" log

# The tests that the documents name: files, and cases in them.
named() {
	awk -F'|' '/^\|/ && NF > 4 { print $(NF - 1) }' "$top/kmod/README.md" | grep -oE '`(kmod/)?[a-z0-9_]+(\.[a-z0-9_]+)?`' | tr -d '`'
	grep -oE 'build/selftests/[a-z0-9_/]+' "$top/selftests/README.md" | sed 's|build/selftests/||'
	awk '/^Tests: / { on = 1; sub(/^Tests: /, "") } !NF || /^[A-Z*]/ { on = 0 } on' "$top/libvenom/man/venom-security.7.scd" | tr -d ' \t' | tr ',' '\n' | grep .
}
missing=() names=0
for t in $(named); do
	names=$((names + 1))
	file=${t%.*} case=${t#"$file"}
	case $file in */*) source=$top/selftests/$file.c ;; *) source=$(find "$top"/selftests/{api,attack,crash,load,plane,tool} -name "$file.c") ;; esac
	if [ -n "$case" ] && grep -qE "^TEST_F(_TIMEOUT)?\\($file, ${case#.}\\b" "$top"/selftests/*/*.c; then
		continue # FIXTURE.CASE; the others are PROGRAM or PROGRAM.CASE
	elif [ ! -e "$source" ] || { [ -n "$case" ] && ! grep -qE "^TEST.*\\b${case#.}\\b" "$source"; }; then
		missing+=("$t")
	fi
done
printf '%s\n' "${missing[@]}" >log
[ ${#missing[@]} = 0 ] && [ $names -gt 80 ]
result $? "the tests that the documents name are there ($names)" log

shells=0
for p in "${programs[@]}"; do
	p=${p%.c}
	if ! grep -q venom_shell_connect "$p.c" || [ ! -x "$p" ]; then continue; fi
	shells=$((shells + 1))
	timeout 60 "./$p" >"$p.out" 2>&1
	status=$?
	[ $status = 0 ] && [ -s "$p.out" ]
	result $? "the shell of README.md runs (status $status)" "$p.out"
done
[ $shells -gt 0 ]
result $? "README.md has a shell"

# The line that pipes numbers through: all of them, each time.
line=$(grep -E '^seq 1000 \|.*venom sub' "$top/README.md")
lost=
for _ in {1..10}; do
	seq 1000 >numbers
	timeout 60 env PATH="$B:$PATH" bash -c "$line; wait" 2>log | diff -q numbers - >/dev/null || lost=1
done
[ -n "$line" ] && [ -z "$lost" ]
result $? "README.md's pub and sub lose nothing" log

for pid in "${daemons[@]}"; do
	kill -TERM "$pid"
	wait "$pid"
	result $? "the daemon of README.md ends well"
done
daemons=()
echo "1..$n"
exit $failed

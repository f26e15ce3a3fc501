#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Follows the recipes for a verb and for a test in selftests/README.md to the letter, in a copy of the source: puts each block
# where the line above it says, builds the verb and the test, and runs them with the checks that each must pass.  A recipe that
# leaves out a step fails here.  TAP on stdout.
#
# shellcheck disable=SC2013,SC2016,SC2206 # words and patterns are meant to be split; backquotes are Markdown's
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tree=$tmp/tree
mkdir -p "$tree/build/selftests" "$tmp/blocks" "$tmp/run"
export VENOM_RUNTIME_DIR=$tmp/run
unset B MAKEFLAGS
: >"$tmp/log"

# The copy has the objects, too, so that only what the recipes change is built.  Times are kept to the nanosecond for make.
tar --format=posix -cf - --exclude=./build --exclude=./.git . | tar -xf - -C "$tree" || exit 1
for built in kselftest libvenom tools selftests/lib peers libvenom.{a,o,so,so.0,pc} venom venom-bench; do
	[ ! -e "build/$built" ] || cp -a "build/$built" "$tree/build/$built"
done

# ---- the blocks ----
# Each goes to blocks/N; the line above it to blocks/N.place.
awk -v to="$tmp/blocks/" '
	/^```/ && block { close(block); block = ""; next }
	block { print > block; next }
	/^## / { on = $0 == "## Adding something" }
	on && /^```/ { block = to (++n); print above > (block ".place"); close(block ".place"); printf "" > block; next }
	NF { above = $0 }' selftests/README.md

# place FILE WHERE LINE BLOCK: puts the block after or before the only line of the copy's file that is LINE, blanks at its ends aside.
place() {
	LINE=$3 awk -v where="$2" -v block="$4" '
		function put(l) { while ((getline l < block) > 0) print l }
		{ text = $0; gsub(/^[ \t]+|[ \t]+$/, "", text); here = text == ENVIRON["LINE"]; found += here }
		here && where == "before" { put() }
		{ print }
		here && where == "after" { put() }
		END { exit found != 1 }' "$tree/$1" >"$tmp/placed" && cat "$tmp/placed" >"$tree/$1"
}

verb='' test='' cases='' mutation=''
for block in $(find "$tmp/blocks" -name '*.place' | sort -V); do
	above=$(cat "$block") block=${block%.place} status=1
	if [[ $above =~ ^\`([^\`]+)\`,\ new:$ ]]; then
		file=${BASH_REMATCH[1]}
		if [ -e "$file" ]; then
			echo "$file is there already" >"$tmp/log"
		elif cp "$block" "$tree/$file" 2>"$tmp/log"; then
			status=0
		fi
		case $file in
		tools/*.c) verb=$(basename "$file" .c) ;;
		selftests/*.c) test=$(basename "$file" .c) ;;
		esac
	elif [[ $above =~ ^\`([^\`]+)\`,\ (after|before)\ \`(.*)\`:$ ]]; then
		file=${BASH_REMATCH[1]}
		place "$file" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}" "$block"
		status=$?
		[ $status = 0 ] || echo "$file does not have this line once: ${BASH_REMATCH[3]}" >"$tmp/log"
		case $file in
		*/tool.sh) cases=$block ;;
		*/test-break.sh) mutation=$(grep -oE '"[a-z]+:' "$block" | tr -d '":') ;;
		esac
	else
		file="block ${block##*/}"
		echo "the line above it names no file and no place: $above" >"$tmp/log"
	fi
	explained $status "$file: the block goes where it says"
done
# ---- the steps ----
# The files that they name are there, and so are the functions and tables, name() and name[], in a file that the same step names.
awk '/^```/ { code = !code } code { next } /^## / { on = $0 == "## Adding something" } !on { next }
	/^#/ { recipe = $0 } /^[0-9]+\. / { if (step) print step; step = recipe ": " $0; next } /^   / { step = step $0; next }
	step { print step; step = "" }' selftests/README.md >"$tmp/steps"
while IFS= read -r step; do
	files=()
	for word in $(grep -oE '`[^` ]+`' <<<"$step" | tr -d '`' | grep -E '^[a-zA-Z]+/.*\.[a-z]+$' | grep -v NAME); do
			found=($word)
		[ -e "${found[0]}" ] || echo "${step%%: *}: $word is not there"
		files+=("${found[@]}")
	done
	for word in $(grep -oE '`[a-z_]+(\(\)|\[\])`' <<<"$step" | grep -oE '[a-z_]+'); do
		grep -qE "\b$word(\(|\[)" "${files[@]}" /dev/null || echo "${step%%: *}: $word is in none of: ${files[*]}"
	done
done <"$tmp/steps" >"$tmp/log"
[ "$(wc -l <"$tmp/steps")" -gt 20 ] && [ ! -s "$tmp/log" ]
explained $? "the recipes' steps name files, functions and tables that are there"

[ -n "$verb" ] && [ -n "$test" ]
explained $? "the recipes make a verb and a test (${verb:-none}, ${test:-none})"

cd "$tree" || exit 1
for file in "tools/$verb.c" selftests/*/"$test.c"; do
	head -n 1 "$file" | grep -q 'SPDX-License-Identifier: MIT'
	explained $? "$file names its licence"
	if command -v clang-format >/dev/null; then
		clang-format --dry-run -Werror "$file" 2>"$tmp/log"
		explained $? "$file is in the style of make format"
	else
		skip "$file is in the style of make format" "no clang-format here"
	fi
done
build() { make --no-print-directory -s -j2 CFLAGS='-O2 -g -Werror' "$@" >"$tmp/log" 2>&1; }

# ---- the verb ----
build all
explained $? "the verb builds, without a warning"
build/venom --help | grep -qE "^  $verb +[^ ]"
explained $? "venom --help lists it"
bash selftests/source/test-verbs.sh >"$tmp/out" 2>&1
status=$?
grep -v '^ok' "$tmp/out" >"$tmp/log"
[ $status = 0 ] && grep -q "^ok .* - $verb: completion" "$tmp/out"
explained $? "it passes test-verbs.sh"
if command -v scdoc >/dev/null; then
	build man
	explained $? "venom(1) can be made"
else
	skip "venom(1) can be made" "no scdoc here"
fi
# Its cases of tool.sh, between the script's functions and its end.
if [ -n "$cases" ]; then
	{
		sed '/^# ---- help and usage/,$d' selftests/tool/tool.sh
		cat "$cases"
		echo 'echo "1..$n"; exit $failed'
	} >selftests/tool/cases.sh
	bash selftests/tool/cases.sh >"$tmp/log" 2>&1 && grep -q "^ok .* - $verb" "$tmp/log"
else
	echo "no block for tool.sh" >"$tmp/log"
	false
fi
explained $? "its test cases of tool.sh pass"

# ---- the test ----
build "build/selftests/$test"
explained $? "the test builds, without a warning"
"build/selftests/$test" >"$tmp/log" 2>&1 && grep -q '^ok' "$tmp/log"
explained $? "it passes"
if [ -n "$mutation" ]; then
	bash selftests/source/test-break.sh "$mutation:" >"$tmp/log" 2>&1
	! grep -q '^not ok' "$tmp/log" && grep -q "^ok .*caught by $test " "$tmp/log"
else
	echo "no block for test-break.sh" >"$tmp/log"
	false
fi
explained $? "test-break.sh sees it fail"

echo "1..$n"
exit $failed

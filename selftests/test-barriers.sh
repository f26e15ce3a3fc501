#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every barrier in libvenom names its partner ("pairs with ... in FUNCTION"), and every partner exists; each fence and
# each acquire or release outside barrier.h has such a comment; and barrier.h's list names functions that are there.
cd "$(dirname "$0")/.." || exit 1
. selftests/lib/verdict.sh
cd libvenom/src || exit 1

result() { # result OK NAME [DETAIL...]
	verdict "$1" "$2" && return
	shift 2
	printf '# %s\n' "$@"
}

defined() { grep -qE "^[a-zV].*[ *]$1\(" ./*.[ch] ../../kmod/*.c; }

# The partners named in the code.
missing=()
while read -r name; do
	defined "$name" || missing+=("$name is named as a partner, and is no function")
done < <(grep -ohE 'pairs with .*' ./*.[ch] | grep -oE ' (in|and) [a-z_]+' | awk '{print $2}' | grep _ | sort -u)
result ${#missing[@]} "partners exist" "${missing[@]}"

# The functions named in barrier.h's list.
missing=()
while read -r name; do
	defined "$name" || missing+=("barrier.h lists $name, which is no function")
done < <(sed -n '/^\/\*$/,/^ \*\/$/p' barrier.h | grep -oE '\b(venom|daemon|shell|lane|conn|serve|wake|copy)_[a-z_]+\b' | sort -u)
result ${#missing[@]} "barrier.h names functions that are there" "${missing[@]}"

# Fences say what they pair with, on the line or the one before or after.
missing=()
while IFS=: read -r file line _; do
	sed -n "$((line - 1)),$((line + 1))p" "$file" | grep -qE 'pairs with|barrier\.h|refreshes|hot_fence' ||
		missing+=("$file:$line: a fence without its partner's name")
done < <(grep -nE '\bfence_(full|acquire|release|stores)\(\);' ./*.[ch] | grep -v '^./barrier.h')
result ${#missing[@]} "fences name their partners" "${missing[@]}"

echo "1..$n"
exit $failed

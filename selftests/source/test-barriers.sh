#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every barrier of the plane has a label (FUNCTION:LETTER), at its line and in barrier.h's list, and a partner that names it
# back; every barrier of the library's other files names its partner, and that is there; and the list names functions
# that are there.
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
cd libvenom || exit 1
plane=(src/plane/*.h include/venom_inline.h)
rest=(src/*.h src/{calls,control,dev,memfd,system}/*.[ch])
files=("${plane[@]}" "${rest[@]}")
list=src/plane/barrier.h

result() { # result OK NAME [DETAIL...]
	verdict "$1" "$2" && return
	shift 2
	printf '# %s\n' "$@"
}

defined() { grep -qE "^[a-zV].*[ *]$1\(" "${files[@]}" ../kmod/*.c; }
listed() { sed -n '/^\/\*$/,/^ \*\/$/p' $list; }

label='[a-z_]+:[A-Z]'

# The plane: label, partners.
missing=()
declare -A partners
while read -r from to; do
	partners[$from]=$to
done < <(grep -ohE "$label pairs with [a-zA-Z_:, and]+" "${plane[@]}" src/control/readers.c | sed -E "s/ pairs with / /" |
	awk -v l="$label" '{ printf "%s ", $1; for (i = 2; i <= NF; i++) if ($i ~ l) { gsub(/[^a-z_:A-Z]/, "", $i); sub(/:$/, "", $i); printf "%s,", $i } print "" }')
for from in "${!partners[@]}"; do
	listed | grep -qE "(^|[^a-z_])$from($|[^a-zA-Z])" || missing+=("$from is not in barrier.h's list")
	for to in ${partners[$from]//,/ }; do
		[ -n "${partners[$to]-}" ] || missing+=("$from pairs with $to, which is no barrier")
	done
	grep -q ",$from," <(printf ',%s\n' "${partners[@]}") || missing+=("$from is nobody's partner")
done
while read -r from; do
	[ -n "${partners[$from]-}" ] || missing+=("barrier.h lists $from, which is no barrier")
done < <(listed | grep -oE "\b$label\b" | sort -u)
[ ${#partners[@]} -gt 10 ] || missing+=("${#partners[@]} labels found: this script does not read the code")
result ${#missing[@]} "labels of the plane have partners, here and in the list" "${missing[@]}"

# Each line of it that orders something has one.
missing=()
while IFS=: read -r file line _; do
	sed -n "$((line - 1)),${line}p" "$file" | grep -qE "$label pairs with" || missing+=("$file:$line: a barrier without a label")
done < <(grep -nE '\b(fence_(full|acquire|release)|load_acquire|store_release)\(|__ATOMIC_(ACQUIRE|RELEASE)' "${plane[@]}" | grep -vE '#define|^src/plane/barrier.h')
result ${#missing[@]} "barriers of the plane have labels" "${missing[@]}"

# The partners named in the code.
missing=()
while read -r name; do
	defined "$name" || missing+=("$name is named as a partner, and is no function")
done < <(grep -ohE 'pairs with .*' "${rest[@]}" | grep -oE ' (in|and) [a-z_]+(:|\b)' | grep -v : | awk '{print $2}' | grep _ | sort -u)
result ${#missing[@]} "partners exist" "${missing[@]}"

# The functions named in barrier.h's list.
missing=()
while read -r name; do
	defined "$name" || missing+=("barrier.h lists $name, which is no function")
done < <(listed | grep -oP '\b(venom|daemon|shell|lane|conn|serve|wake|copy)_[a-z_]+\b(?!\.h)' | grep -vE "^(lane|must)_[a-z]+$" | sort -u)
result ${#missing[@]} "barrier.h names functions that are there" "${missing[@]}"

# Fences say what they pair with, on the line or the one before or after.
missing=()
while IFS=: read -r file line _; do
	sed -n "$((line - 1)),$((line + 1))p" "$file" | grep -qE 'pairs with|barrier\.h|refreshes|hot_fence' ||
		missing+=("$file:$line: a fence without its partner's name")
done < <(grep -nE '\bfence_(full|acquire|release|stores)\(\);' "${rest[@]}")
result ${#missing[@]} "fences name their partners" "${missing[@]}"

echo "1..$n"
exit $failed

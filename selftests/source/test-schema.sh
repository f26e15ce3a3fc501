#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test-schema.sh: what VENOM_TYPE() accepts without a warning, and what the compiler refuses in it, with the field's name; the
# table is the same in C and C++.  The hash, by another program.  TAP on stdout.
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
B=${B:-build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
strict="-Wall -Wextra -Wpedantic -Wshadow -Werror -Ilibvenom/include"

: >"$tmp/log"

compilers=()
for with in gcc:c:c11 gcc:c:gnu17 clang:c:c11 clang:c:c17 g++:c++:c++11 g++:c++:c++17 clang++:c++:c++11 clang++:c++:c++20; do
	IFS=: read -r cc lang std <<<"$with"
	if echo '#include <stddef.h>' | $cc -x "$lang" -std="$std" -fsyntax-only - 2>/dev/null; then
		compilers+=("$with")
	else
		skip "VENOM_TYPE() in $std ($cc)" "no such compiler here"
	fi
done

# ---- accepted ----
cat >"$tmp/good.c" <<'END_C'
#include <venom_schema.h>
#include <stdio.h>
#ifndef __cplusplus
#include <stdbool.h>
#endif
#define NAME  "a user's"
#define FIELD "macros"
struct point { double x, y; };
VENOM_TYPE(struct point, x, y);
enum side { BUY, SELL };
enum change { DOWN = -1, SAME, UP };
typedef struct {
	struct point from, to[2];
	enum side side; char symbol[12]; enum change change; bool b, bs[3]; uint64_t ns;
	signed char i8; uint8_t u8[1]; int16_t i16; uint16_t u16; int i32; unsigned u32; long i64; unsigned long long u64;
	float f32; double f64; char c;
} trade_t;
VENOM_TYPE(trade_t, VENOM_SUB(struct point, from), VENOM_SUB(struct point, to), side, symbol, change, b, bs, ns,
	   i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, c);
int main(void)
{
	const struct venom_type *t = VENOM_TYPE_OF(trade_t);
	printf("%s %zu\n", t->name, t->size);
	for (size_t i = 0; i < t->count; i++)
		printf("%s %d %s %zu %zu %zu\n", t->fields[i].name, (int)t->fields[i].kind,
		       t->fields[i].type ? t->fields[i].type->name : "", t->fields[i].offset, t->fields[i].size, t->fields[i].count);
	return 0;
}
END_C
for with in "${compilers[@]}"; do
	IFS=: read -r cc lang std <<<"$with"
	# shellcheck disable=SC2086
	$cc -x $lang -std=$std $strict -o "$tmp/good" "$tmp/good.c" 2>"$tmp/log" && "$tmp/good" >"$tmp/table.new" &&
		{ [ -e "$tmp/table" ] || cp "$tmp/table.new" "$tmp/table"; } && diff "$tmp/table" "$tmp/table.new" >"$tmp/log"
	explained $? "VENOM_TYPE() in $std ($cc), and the same table as the others'"
done

# ---- refused ----
# One standard of each language's compilers is enough for that.
few=()
for with in "${compilers[@]}"; do
	case $with in *:c11 | *:c++17 | *:c++20) few+=("$with") ;; esac
done
# refused WORDS WHAT CODE: each compiler refuses CODE, and has WORDS (an extended regular expression) in its error.
refused() {
	local words=$1 what=$2 code=$3 with cc lang std bad=0
	for with in "${few[@]}"; do
		IFS=: read -r cc lang std <<<"$with"
		if printf '%s\n' '#include <venom_schema.h>' 'struct point { double x, y; };' 'VENOM_TYPE(struct point, x, y);' \
			'struct plain { double x, y; };' 'union either { int i; float f; };' "$code" |
			$cc -x "$lang" -std="$std" -Ilibvenom/include -fsyntax-only - 2>"$tmp/err" ||
			! grep -E 'error:' "$tmp/err" | grep -qE "$words"; then
			bad=1
			{ echo "$cc -std=$std: not refused with '$words', but:"; head -n 5 "$tmp/err"; } >>"$tmp/log"
		fi
	done
	[ ${#few[@]} -gt 0 ] && [ $bad = 0 ]
	explained $? "refused: $what"
}
kind="struct a\): field f is of a type that no schema has"
refused "$kind" "a pointer" 'struct a { int *f; }; VENOM_TYPE(struct a, f);'
refused "$kind" "a pointer to char" 'struct a { char *f; }; VENOM_TYPE(struct a, f);'
refused "$kind" "an array of pointers" 'struct a { char *f[2]; }; VENOM_TYPE(struct a, f);'
refused "$kind" "a pointer to a function" 'struct a { void (*f)(void); }; VENOM_TYPE(struct a, f);'
refused "$kind" "a union" 'struct a { union either f; }; VENOM_TYPE(struct a, f);'
refused "$kind" "long double" 'struct a { long double f; }; VENOM_TYPE(struct a, f);'
refused "$kind" "__int128" 'struct a { __int128 f; }; VENOM_TYPE(struct a, f);'
refused "$kind" "an array of arrays" 'struct a { int f[2][2]; }; VENOM_TYPE(struct a, f);'
refused "$kind" "a const field" 'struct a { const int f; }; VENOM_TYPE(struct a, f);'
refused "$kind" "a volatile array" 'struct a { volatile char f[3]; }; VENOM_TYPE(struct a, f);'
refused "$kind" "a struct without VENOM_SUB()" 'struct a { struct point f; }; VENOM_TYPE(struct a, f);'
sub="struct a\): field f is not of the type"
refused "$sub" "VENOM_SUB() of another struct" 'struct a { struct plain f; }; VENOM_TYPE(struct a, VENOM_SUB(struct point, f));'
refused "$sub" "VENOM_SUB() of a pointer" 'struct a { struct point *f; }; VENOM_TYPE(struct a, VENOM_SUB(struct point, f));'
refused "$sub" "VENOM_SUB() of an array of arrays" 'struct a { struct point f[2][2]; }; VENOM_TYPE(struct a, VENOM_SUB(struct point, f));'
refused "venom_type_plain" "VENOM_SUB() of a struct without VENOM_TYPE()" 'struct a { struct plain f; }; VENOM_TYPE(struct a, VENOM_SUB(struct plain, f));'
refused "bit-field" "a bit-field" 'struct a { unsigned int f : 3; }; VENOM_TYPE(struct a, f);'
align="struct a\): field f is packed or over-aligned"
refused "$align" "a packed struct" 'struct a { char c; int f; } __attribute__((packed)); VENOM_TYPE(struct a, c, f);'
refused "$align" "a packed struct whose fields lie well" 'struct a { int f; char c; } __attribute__((packed)); VENOM_TYPE(struct a, f, c);'
refused "$align" "a packed struct around another" 'struct a { char c; struct point f; } __attribute__((packed)); VENOM_TYPE(struct a, c, VENOM_SUB(struct point, f));'
refused "$align" "an over-aligned field" 'struct a { int f __attribute__((aligned(16))); }; VENOM_TYPE(struct a, f);'
order="struct a\): field f is out of order, or one before it is left out"
refused "$order" "the first field left out" 'struct a { int e, f; }; VENOM_TYPE(struct a, f);'
refused "$order" "a field left out" 'struct a { int d, e, f; }; VENOM_TYPE(struct a, d, f);'
refused "$order" "a nested struct left out" 'struct a { int d; struct point e; int f; }; VENOM_TYPE(struct a, d, f);'
refused "$order" "fields out of order" 'struct a { int e, f, g; }; VENOM_TYPE(struct a, f, e, g);'
refused "$order" "a field twice" 'struct a { int e, f, g; }; VENOM_TYPE(struct a, e, f, f, g);'
refused "struct a\): fields at its end are left out" "the last field left out" 'struct a { int e, f; }; VENOM_TYPE(struct a, e);'
refused "no member named .f" "a field that is not there" 'struct a { int e; }; VENOM_TYPE(struct a, f);'
many=$(seq -s, -f 'f%g' 65)
refused "" "65 fields" "struct a { int $many; }; VENOM_TYPE(struct a, $many);"
refused "" "a union as a whole" 'VENOM_TYPE(union either, i);'

# ---- hash ----
if command -v python3 >/dev/null; then
	python3 - >"$tmp/log" 2>&1 <<'END_PY'
import re, sys
def fnv1a(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 % 2**64
    return h
# Published with the function.
assert fnv1a(b"") == 0xcbf29ce484222325 and fnv1a(b"a") == 0xaf63dc4c8601ec8c and fnv1a(b"foobar") == 0x85944171f73967e8
source = open("selftests/api/schema.c").read()
for parts in [("a", "", ""), ("", "a", ""), ("", "", "a"),
              ("venom/msg/Quote", "ros2msg", "float64 bid\nfloat64 ask\nuint64 ns\n"), ("n", "e", "a\0b")]:
    h = fnv1a("\0".join(parts).encode())
    assert "0x%016x" % h in source, (parts, hex(h))
END_PY
	explained $? "schema.c's hashes are those of another implementation"
else
	skip "schema.c's hashes are those of another implementation" "no python3 here"
fi

echo "1..$n"
exit $failed

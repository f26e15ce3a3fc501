#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What can be seen without running it: the library exports what its header declares and nothing else, the headers are
# good C and C++, memory orders stand in one file and the two that users include, each file names its licence, manual pages can be
# made, the calls of the device are tested and documented, drawings name functions that are there, and an installed library can be built with.  TAP on stdout.
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
B=${B:-build}
headers=libvenom/include/*.h
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

: >"$tmp/log"

# ---- symbols ----
grep -h '^VENOM_API' $headers | grep -oP '\bvenom_\w+(?=\()' | sort -u >"$tmp/declared"
nm -D --defined-only "$B/libvenom.so.0" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$tmp/exported"
[ -s "$tmp/declared" ] && [ -s "$tmp/exported" ]
explained $? "there are functions"
grep -v '^venom_' "$tmp/exported" >"$tmp/log"
[ ! -s "$tmp/log" ]
explained $? "exported names start with venom_"
nm -g --defined-only "$B/libvenom.a" | awk 'NF == 3 { print $3 }' | grep -v '^venom_' >"$tmp/log"
[ ! -s "$tmp/log" ]
explained $? "libvenom.a has no other global names"
comm -23 "$tmp/declared" "$tmp/exported" >"$tmp/log"
[ ! -s "$tmp/log" ]
explained $? "what the headers declare is exported"
comm -13 "$tmp/declared" "$tmp/exported" >"$tmp/log"
[ ! -s "$tmp/log" ]
explained $? "what is exported is declared in a header"

# ---- headers (those of the library: test-headers.sh) ----
printf '#include <linux/venom_layout.h>\n' >"$tmp/l.c"
strict="-fsyntax-only -Wall -Wextra -Werror -pedantic -Ilibvenom/include -Ikmod/uapi"
for cc in gcc clang; do
	if command -v $cc >/dev/null; then
		# shellcheck disable=SC2086
		$cc -std=c11 $strict "$tmp/l.c" 2>"$tmp/log"
		explained $? "venom_layout.h is C11 ($cc)"
	else
		skip "venom_layout.h is C11 ($cc)" "no $cc here"
	fi
done

# ---- sources ----
# (The fuzzers' inputs are bytes; corpus/README names their licence.)
git ls-files -co --exclude-standard >"$tmp/files" 2>/dev/null || find . -path ./build -prune -o -type f -print >"$tmp/files"
grep -vE '^(\./)?(LICENSE|\.gitignore|selftests/fuzz/corpus/.*/.*)$' "$tmp/files" | while read -r f; do
	[ ! -f "$f" ] || head -n 5 "$f" | grep -aqE 'SPDX-License-Identifier"?: ' || echo "$f"
done >"$tmp/log"
[ ! -s "$tmp/log" ]
explained $? "each file names its licence"
printf '%s\n' libvenom/include/venom_{arch,inline}.h libvenom/src/plane/barrier.h |
	diff - <(grep -rlE 'memory_order_|__atomic_|__sync_' libvenom | sort -u) >"$tmp/log"
explained $? "memory orders stand in one file, and in the two that users include"

# ---- manual pages ----
for page in libvenom/man/*.scd; do
	if [ ! -e "$page" ]; then
		echo "there are none" >"$tmp/log"
		explained 1 "manual pages"
	elif command -v scdoc >/dev/null; then
		scdoc <"$page" >"$tmp/page" 2>"$tmp/log" && [ -s "$tmp/page" ]
		explained $? "$(basename "$page" .scd) can be made"
	else
		skip "$(basename "$page" .scd) can be made" "no scdoc here"
	fi
done

# ---- the calls of the device ----
for call in $(grep -oP '^#define \KVENOM_IOC_\w+(?=\s+_IO)' kmod/uapi/linux/venom.h); do
	grep -qE "CALL\($call," kmod/ioctl.c || echo "$call has no row in kmod/ioctl.c"
	grep -qE "\{$call, sizeof" selftests/kmod/*.[ch] || echo "$call has no row in selftests/kmod/calls.h"
	grep -qE "\.cmd = $call," selftests/kmod/*.[ch] || echo "$call is not tested in selftests/kmod/ioctl.c"
	grep -qE "\b$call\b" libvenom/man/venom.4.scd || echo "$call is not in venom(4)"
done >"$tmp/log"
grep -q VENOM_IOC_CREATE kmod/ioctl.c && [ ! -s "$tmp/log" ]
explained $? "each call of the device is in the module, in its tests and in venom(4)"

# ---- drawings ----
# What the code has: all words outside of comments, in the library and the module.
for f in kmod/*.[ch] kmod/uapi/linux/*.h libvenom/include/*.h libvenom/src/*.h libvenom/src/*/*.[ch]; do
	cc -fpreprocessed -dD -E -P "$f" 2>/dev/null
done | grep -oE '\w+' | sort -u >"$tmp/words"
# The functions in FILE's text, which is on stdin: a word with an underscore, or with () behind it; but not the name of a file.
drawn() { grep -oP '\b[a-z][a-z0-9]*(_[a-z0-9]+)+\b(?!\.[a-z])|\b[a-z]\w*(?=\(\))' | sort -u; }
for f in libvenom/docs/*.dot kmod/uapi/linux/venom_layout.h libvenom/src/plane/lane.h libvenom/src/control/manager.h; do
	case $f in *.dot) grep -v '^//' "$f" ;; *) sed '/^ \*\/$/q' "$f" ;; esac | drawn >"$tmp/drawn"
	[ -s "$tmp/drawn" ] || [ "$f" = libvenom/docs/areas.dot ] || echo "$f names no function, or this script does not read it"
	comm -23 "$tmp/drawn" "$tmp/words" | sed "s|.*|$f: & is not in the code|"
done >"$tmp/log"
[ -s "$tmp/words" ] && [ ! -s "$tmp/log" ]
explained $? "drawings name functions that are there"
for f in libvenom/docs/*.{dot,svg}; do
	f=${f%.*}
	head -n 5 "$f.svg" | grep -q "sha256 of ${f##*/}.dot: $(sha256sum <"$f.dot" | cut -d' ' -f1) " || echo "$f.svg is not made of its .dot: make docs"
done 2>&1 | sort -u >"$tmp/log"
[ ! -s "$tmp/log" ]
explained $? "drawings are made of their sources"

# ---- installed ----
if command -v scdoc >/dev/null; then
	make --no-print-directory install B="$B" DESTDIR="$tmp/root" PREFIX=/usr >"$tmp/log" 2>&1
	explained $? "make install"
	cat >"$tmp/use.c" <<-'END'
	#include <string.h>
	#include <venom.h>
	int main(int argc, char **argv)
	{
		return argc < 2 || strcmp(venom_version(), argv[1]);
	}
	END
	version=$(sed -n 's/^Version: //p' "$tmp/root/usr/lib/pkgconfig/libvenom.pc")
	for link in "-lvenom" "-l:libvenom.a -pthread"; do
		# shellcheck disable=SC2086
		cc "$tmp/use.c" -o "$tmp/use" -I"$tmp/root/usr/include" -L"$tmp/root/usr/lib" $link 2>"$tmp/log" &&
			LD_LIBRARY_PATH=$tmp/root/usr/lib "$tmp/use" "$version" 2>"$tmp/log"
		explained $? "a program with $link of the installed library runs, and finds version $version"
	done
	"$tmp/root/usr/bin/venom" --version >"$tmp/log" 2>&1 && grep -q "$version" "$tmp/log"
	explained $? "the installed venom is of that version"
else
	skip "make install" "no scdoc here"
fi

echo "1..$n"
exit $failed

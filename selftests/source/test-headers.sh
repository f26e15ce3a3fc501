#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test-headers.sh: venom.h, venom_schema.h and venom_inline.h under each standard of C and C++ that has what they need, without a warning,
# and what venom.h says to a 32-bit build; and the library with other C libraries: musl, and what an older glibc has not.  TAP on stdout.
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
B=${B:-build}
tmp=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$tmp"' EXIT
unset VENOM_LOG

: >"$tmp/log"

# ---- standards ----
strict="-Wall -Wextra -Wpedantic -pedantic -Werror -Ilibvenom/include"
# Fields that VENOM_CONFIG_INIT does not set by their names must have got what is theirs all the same.
cat >"$tmp/init.c" <<'END'
#include <venom.h>
#include <venom_schema.h>
#define CONFIG struct venom_config
static CONFIG shared = VENOM_CONFIG_INIT;
int main(void)
{
	CONFIG c = VENOM_CONFIG_INIT;

	if (c.size != sizeof(c) || c.size != shared.size || c.flags || c.data_size != 4096 || c.versions != 4)
		return 1;
	if (c.cmd_slots != 64 || c.cmd_size != 256 || c.resp_size != 256 || c.max_clients != 64 || c.mode != 0600)
		return 2;
	if (c.huge != VENOM_HUGE_PREFER || c.reserved || c.huge_size || c.spin_ns != VENOM_SPIN_ADAPTIVE)
		return 3;
	return c.node != VENOM_NODE_ANY || c.max_holders || c.full_ns != -1 || c.limit_ns != 1000000000;
}
END
cp "$tmp/init.c" "$tmp/init.cc"
cat >"$tmp/inline.c" <<'END'
#include <string.h>
#include <venom_inline.h>
int main(void)
{
	struct venom_inline_publisher p;
	struct venom_inline_reader r;
	struct venom_daemon *d;
	struct venom_shell *s;
	char data[64], copy[64];

	if (venom_daemon_create(&d, "inline", NULL) || venom_shell_connect(&s, "inline"))
		return 1;
	venom_inline_publisher_init(d, &p);
	venom_inline_reader_init(&r);
	for (int v = 1; v < 100; v++) {
		memset(data, v, sizeof(data));
		if (venom_inline_publish(d, &p, data, sizeof(data)))
			return 2;
		for (int again = 0; again < 4; again++)
			if (venom_inline_read(s, &r, copy, sizeof(copy)) != sizeof(copy) || memcmp(copy, data, sizeof(copy)) ||
			    venom_inline_look(s, &r) || memcmp(r.data, data, r.len) || !venom_inline_whole(&r))
				return 3;
	}
	venom_shell_close(s);
	venom_daemon_destroy(d);
	return 0;
}
END
for with in gcc:c99 gcc:c11 gcc:c17 clang:c99 clang:c11 clang:c17 \
	g++:c++11 g++:c++14 g++:c++17 g++:c++20 clang++:c++11 clang++:c++14 clang++:c++17 clang++:c++20; do
	cc=${with%%:*} std=${with#*:}
	case $cc in *++) source=$tmp/init.cc probe="-x c++" ;; *) source=$tmp/init.c probe="-x c" ;; esac
	# shellcheck disable=SC2086
	if ! echo '#include <stddef.h>' | $cc $probe -std=$std -fsyntax-only - 2>/dev/null; then
		skip "venom.h as $std ($cc)" "no such compiler here"
		continue
	fi
	# shellcheck disable=SC2086
	$cc -std=$std $strict -o "$tmp/init" "$source" 2>"$tmp/log" && "$tmp/init"
	explained $? "venom.h as $std ($cc), and VENOM_CONFIG_INIT"
	# In line: the same functions, with the compiler's eyes on them.
	cp "$tmp/inline.c" "$tmp/inline.${source##*.}"
	# shellcheck disable=SC2086
	$cc -std=$std $strict -O2 -o "$tmp/inline" "$tmp/inline.${source##*.}" -L"$B" -lvenom -Wl,-rpath,"$PWD/$B" 2>"$tmp/log" &&
		VENOM_RUNTIME_DIR=$tmp "$tmp/inline" 2>>"$tmp/log"
	explained $? "venom_inline.h as $std ($cc), and a version read in line"
done

# ---- 32 bits ----
# Headers of a 32-bit C library need not be there for that.
mkdir -p "$tmp/gnu"
: >"$tmp/gnu/stubs-32.h"
for cc in gcc clang; do
	if ! echo | $cc -m32 -E - >/dev/null 2>&1; then
		skip "a 32-bit build is refused ($cc)" "$cc knows no -m32 here"
		continue
	fi
	echo '#include <venom.h>' | $cc -m32 -fsyntax-only -isystem "$tmp" -Ilibvenom/include -x c - >"$tmp/log" 2>&1
	[ $? != 0 ] && grep -qE 'venom\.h:.*error:.*64-bit' "$tmp/log"
	explained $? "a 32-bit build is refused in plain words ($cc)"
done

# ---- C libraries ----
# Calls that a glibc of some years ago has not: the library makes them by itself, or not at all.
nm -D --undefined-only "$B/libvenom.so.0" | grep -E '(epoll_pwait2|pidfd_open|close_range|closefrom|sched_setattr|getrandom|statx|memfd_secret)@' >"$tmp/log"
[ ! -s "$tmp/log" ]
explained $? "no symbol that glibc has only since lately"

# What musl has not, too.  The kernel's headers are the same.
musl() {
	local kernel=$tmp/include dir p
	mkdir "$kernel" "$tmp/run"
	for dir in linux asm asm-generic mtd; do
		for p in /usr/include "/usr/include/$(gcc -dumpmachine)"; do
			[ ! -d "$p/$dir" ] || [ -e "$kernel/$dir" ] || ln -s "$p/$dir" "$kernel/$dir"
		done
	done
	make --no-print-directory -s B="$tmp/musl" CC="musl-gcc -idirafter $kernel" CFLAGS='-O2 -Werror' >"$tmp/log" 2>&1
	explained $? "builds with musl"
	[ -x "$tmp/musl/venom" ] || return
	export VENOM_RUNTIME_DIR=$tmp/run
	"$tmp/musl/venom" serve --rate 50 box 2>"$tmp/log" &
	pids+=($!)
	for _ in $(seq 600); do
		! "$tmp/musl/venom" stat box >/dev/null 2>&1 || break
		sleep 0.1
	done
	[ "$("$tmp/musl/venom" req box ping 2>>"$tmp/log")" = pong ]
	explained $? "a request with musl"
	[ "$(timeout 60 "$tmp/musl/venom" sub --count 3 box 2>>"$tmp/log" | grep -c '^seq ')" = 3 ]
	explained $? "state with musl"
	# The two C libraries' daemons and shells speak with each other.
	[ "$("$B/venom" req box ping 2>>"$tmp/log")" = pong ]
	explained $? "a request of this build's to musl's daemon"
}
if command -v musl-gcc >/dev/null; then
	musl
else
	skip "builds with musl" "no musl-gcc here"
fi

echo "1..$n"
exit $failed

#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The module as a distribution would carry it: `make install-kmod` puts source and configuration where they belong, and
# DKMS builds it from there against each kernel whose headers are installed.  Nothing is installed on this machine.
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
version=$(sed -n 's/^VERSION := //p' Makefile)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

result() { # result STATUS NAME: with what is in $tmp/log, if it failed
	verdict "$1" "$2" || tail -n 20 "$tmp/log" | sed 's/^/# /'
}

make --no-print-directory -s install-kmod DESTDIR="$tmp/root" >"$tmp/log" 2>&1
result $? "make install-kmod"
src=$tmp/root/usr/src
for f in usr/src/venom-"$version"/{dkms.conf,Kbuild,kmod/main.c,kmod/uapi/linux/venom.h} \
	usr/lib/udev/rules.d/90-venom.rules usr/lib/sysusers.d/venom.conf usr/lib/modules-load.d/venom.conf; do
	[ -e "$tmp/root/$f" ] || echo "no $f"
done >"$tmp/log"
[ ! -s "$tmp/log" ]
result $? "all that belongs there is there"

if command -v udevadm >/dev/null && udevadm verify --help >/dev/null 2>&1; then
	udevadm verify "$tmp/root/usr/lib/udev/rules.d/90-venom.rules" >"$tmp/log" 2>&1
	result $? "the udev rule is one"
else
	n=$((n + 1))
	echo "ok $n - the udev rule is one # SKIP no udevadm verify here"
fi
if command -v systemd-sysusers >/dev/null; then
	mkdir "$tmp/root/etc"
	systemd-sysusers --root="$tmp/root" venom.conf >"$tmp/log" 2>&1 && grep -q '^venom:' "$tmp/root/etc/group"
	result $? "sysusers makes the group"
else
	n=$((n + 1))
	echo "ok $n - sysusers makes the group # SKIP no systemd-sysusers here"
fi

kernels=()
for k in /lib/modules/*/build; do
	[ ! -e "$k/include/generated/utsrelease.h" ] || kernels+=("$(basename "$(dirname "$k")")")
done
if ! command -v dkms >/dev/null || [ "$(id -u)" != 0 ] || [ ${#kernels[@]} = 0 ]; then
	n=$((n + 1))
	echo "ok $n - dkms builds it # SKIP takes root, dkms and some kernel's headers"
else
	how=(-m venom -v "$version" --sourcetree "$src" --dkmstree "$tmp/dkms" --installtree "$tmp/modules")
	mkdir "$tmp/dkms" "$tmp/modules"
	dkms add "${how[@]}" >"$tmp/log" 2>&1
	result $? "dkms add"
	for k in "${kernels[@]}"; do
		dkms build "${how[@]}" -k "$k" >"$tmp/log" 2>&1 && find "$tmp/dkms" -path "*$k*" -name 'venom.ko*' | grep -q .
		result $? "dkms build for $k"
	done
fi
echo "1..$n"
exit $failed

#!/bin/bash
# SPDX-License-Identifier: MIT
#
# kernel.sh 6.1|6.12|6.1-rt|debug: see that this kernel for a guest is there, and print its folder, with
#
#	bzImage		the kernel
#	kdir		what the module is built against
#	release		its name (uname -r)
#	config
#
# 6.1, 6.12 and 6.1-rt are Debian's, of the version whose headers are installed.  debug is built here, once, from Debian's
# source of 6.12: tinyconfig and debug.config, in some 8 minutes on two CPUs.
# All of it is kept in ${VENOM_CACHE:-~/.cache/venom}.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/fetch.sh"
name=${1:?usage: kernel.sh 6.1|6.12|6.1-rt|debug}

# debian_dir HEADERS: HEADERS is the package that depends on the newest ones.  Sets dir, release, version.
debian_dir() {
	local headers
	headers=$(dpkg-query -W -f '${Depends}' "$1" 2>/dev/null | grep -o 'linux-headers-[^ ,]*') ||
		die "please install first:  apt-get install $1"
	release=${headers#linux-headers-}
	version=$(dpkg-query -W -f '${Version}' "$headers")
	case $release in
	"${name%-rt}".*) ;;
	*) die "$1 is for $release here, not for $name" ;;
	esac
	dir=$cache/kernel-$release-$version
}

debian() {
	fetch "linux-image-$release-unsigned=$version" "$tmp"
	dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -x -C "$tmp" "./boot/vmlinuz-$release" "./boot/config-$release"
	mv "$tmp/boot/vmlinuz-$release" "$new/bzImage"
	mv "$tmp/boot/config-$release" "$new/config"
	ln -s "/lib/modules/$release/build" "$new/kdir"
	echo "$release" >"$new/release"
}

# configure: .config from our fragment; and what the fragment wants must have come true.
configure() {
	local line lost=()
	make -s tinyconfig
	scripts/kconfig/merge_config.sh -m .config "$here/debug.config"
	make -s olddefconfig
	while IFS= read -r line; do
		case $line in
		CONFIG_*=n) ! grep -q "^${line%n}" .config || lost+=("$line") ;;
		CONFIG_*) grep -qxF "$line" .config || lost+=("$line") ;;
		esac
	done <"$here/debug.config"
	[ ${#lost[@]} = 0 ] || die "debug.config: not to be had with $kernel_source: ${lost[*]}"
}

# progress PID LOG: how far make is.
progress() {
	local last=$SECONDS
	while kill -0 "$1" 2>/dev/null; do
		sleep 1
		[ $((SECONDS - last)) -lt 30 ] || {
			last=$SECONDS
			say "building the debug kernel: $(grep -c '^  CC' "$2") files of some 1300"
		}
	done
}

debug() {
	local pid
	say "building the debug kernel (once; some 8 minutes on two CPUs)"
	kernel_tar | tar -x -C "$tmp"
	cd "$tmp/$kernel_source"
	configure >make.log
	nice -n 10 make -j"$(nproc)" bzImage modules >>make.log 2>&1 &
	pid=$!
	progress $pid make.log
	wait $pid || {
		grep -E -B2 -A10 -m3 'error: |\*\*\*' make.log >&2
		die "the debug kernel does not build"
	}
	# The kernel's own script for packages of headers.
	srctree=. SRCARCH=x86 CC=gcc HOSTCC=gcc MAKE=make sh scripts/package/install-extmod-build "$new/kdir"
	cp arch/x86/boot/bzImage "$new/"
	cp .config "$new/config"
	cat include/config/kernel.release >"$new/release"
	rm -f "$cache/$kernel_source.deb"
}

case $name in
6.1) debian_dir linux-headers-amd64 ;;
6.12) debian_dir linux-headers-6.12-amd64 ;;
6.1-rt) debian_dir linux-headers-rt-amd64 ;;
debug) dir=$cache/kernel-debug-6.12-$(sha256sum <"$here/debug.config" | head -c 12) ;;
*) die "no kernel '$name'; there are: 6.1 6.12 6.1-rt debug" ;;
esac
if [ ! -e "$dir" ]; then
	mkdir -p "$cache"
	# Two at a time would make the same twice.
	exec 9>"$cache/.lock-$name"
	flock -n 9 || {
		say "another one is making the $name kernel; waiting"
		flock 9
	}
fi
if [ ! -e "$dir" ]; then
	tmp=$(mktemp -d "$cache/.kernel.XXXXXX")
	trap 'kill $(jobs -p) 2>/dev/null || :; rm -rf "$tmp"' EXIT
	trap 'exit 1' INT TERM HUP
	new=$tmp/new
	mkdir "$new"
	chmod 755 "$tmp" "$new"
	case $name in
	debug) debug ;;
	*) debian ;;
	esac
	mv "$new" "$dir"
fi
echo "$dir"

# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# fetch.sh: what is taken out of Debian's packages without installing them. To be sourced.

cache=${VENOM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/venom} # once a machine, for all checkouts
kernel_source=linux-source-6.12

say() { echo "${0##*/}: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# fetch PACKAGE[=VERSION] DIR: its .deb into DIR.
fetch() {
	local log=$2/apt.log
	command -v apt-get >/dev/null || die "no apt-get here, to fetch $1"
	say "fetching $1"
	if ! (cd "$2" && apt-get download -qq "$1") >"$log" 2>&1; then
		[ "$(id -u)" != 0 ] || apt-get update -qq >>"$log" 2>&1 || :
		(cd "$2" && apt-get download -qq "$1") >>"$log" 2>&1 ||
			die "apt-get download $1 failed: $(grep -v '^W:' "$log" | tail -n 3)"
	fi
}

# kernel_tar: the kernel's source, as tar, from where it is installed, or else from its package, which stays in the
# cache: two scripts want it.
kernel_tar() {
	local tarball=/usr/src/$kernel_source.tar.xz deb=$cache/$kernel_source.deb tmp
	if [ -e "$tarball" ]; then
		xz -dcT0 "$tarball"
		return
	fi
	if [ ! -e "$deb" ]; then
		mkdir -p "$cache"
		tmp=$(mktemp -d "$cache/.fetch.XXXXXX")
		(fetch "$kernel_source" "$tmp") || { # 150 MB
			rm -rf "$tmp"
			return 1
		}
		mv "$tmp"/*.deb "$deb"
		rm -rf "$tmp"
	fi
	dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$kernel_source.tar.xz" | xz -dcT0
}

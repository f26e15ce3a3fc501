#!/bin/bash
# SPDX-License-Identifier: MIT
#
# get-harness.sh DIR: put the kernel's own test harness, kselftest_harness.h and what it
# includes, into DIR.  It comes from Debian's package linux-source-6.12: from the installed
# tarball if there is one, else from the package, which is downloaded but not installed.
# The headers are cached in ${VENOM_CACHE:-~/.cache/venom}, so that this happens once per machine.
set -euo pipefail

pkg=linux-source-6.12
tarball=/usr/src/$pkg.tar.xz
dir=${1:?usage: get-harness.sh DIR}
cache=${VENOM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/venom}/kselftest-6.12
want=kselftest_harness.h

die() {
	echo "get-harness.sh: $*" >&2
	exit 1
}

# fill DIR FOLDER: copies FOLDER's headers beside DIR, then renames the copy, so that no process sees a partial DIR.
fill() {
	mkdir -p "$(dirname "$1")"
	local new
	new=$(mktemp -d "$(dirname "$1")/.kselftest.XXXXXX")
	cp "$2"/*.h "$new"/
	chmod 755 "$new"
	rm -rf "$1"
	mv -T "$new" "$1" 2>/dev/null || rm -rf "$new" # another process was faster
	[ -e "$1/$want" ] || die "could not write $1"
}

if [ ! -e "$cache/$want" ]; then
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	if [ ! -e "$tarball" ]; then
		command -v apt-get >/dev/null || die "$want is not here: install the kernel's source as $tarball"
		echo "fetching $pkg (150 MB, once) for $want" >&2
		chmod 755 "$tmp"
		cd "$tmp"
		if ! apt-get download -qq "$pkg" 2>apt.log; then
			[ "$(id -u)" != 0 ] || apt-get update -qq >>apt.log 2>&1 || :
			apt-get download -qq "$pkg" 2>>apt.log ||
				die "apt-get download $pkg failed (apt-get install $pkg would do, too): $(tail -n 3 apt.log)"
		fi
		cd "$OLDPWD"
	fi
	echo "unpacking $want" >&2
	{
		if [ -e "$tarball" ]; then
			cat "$tarball"
		else
			dpkg-deb --fsys-tarfile "$tmp"/$pkg*.deb | tar -xO "./usr/src/$pkg.tar.xz"
		fi
	} | xz -dcT0 | tar -x -C "$tmp" --wildcards '*/tools/testing/selftests/kselftest*.h' ||
		die "could not unpack $pkg"
	set -- "$tmp"/*/tools/testing/selftests
	[ -e "$1/$want" ] || die "$pkg has no $want"
	fill "$cache" "$1"
fi
fill "$dir" "$cache"

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# deps.sh GROUP...: check that the packages that a make target needs are installed.  As root on a
# machine with apt-get it installs the missing ones; else it prints exactly what to install.
set -eu

missing=""
# need TEST... -- PACKAGE: the package is missing if the test fails.
need() {
	test=""
	while [ "$1" != -- ]; do test="$test $1"; shift; done
	sh -c "$test" >/dev/null 2>&1 || missing="$missing $2"
}

header() { # prints a test whether the compiler finds a header
	echo "echo '#include <$1>' | ${CC:-cc} -E -"
}

for group in "$@"; do
	case $group in
	build)
		need command -v objcopy -- binutils
		need command -v "${CC:-cc}" -- gcc
		need "$(header stdlib.h)" -- libc6-dev
		;;
	man)
		need command -v scdoc -- scdoc
		;;
	docs) # the drawings
		need command -v dot -- graphviz
		;;
	bench) # the other IPC libraries, and the pictures
		need command -v g++ -- g++
		need "$(header zmq.h)" -- libzmq3-dev
		need "$(header nng/nng.h)" -- libnng-dev
		need "$(header ck_ring.h)" -- libck-dev
		need "$(header boost/version.hpp)" -- libboost-dev
		need test -d /usr/include/iceoryx -- libiceoryx-posh-dev
		need "$(header sys/acl.h)" -- libacl1-dev # iceoryx's headers include it
		need command -v gnuplot -- gnuplot-nox
		need command -v jq -- jq
		;;
	check)
		need command -v clang -- clang
		need "echo 'int LLVMFuzzerTestOneInput(void){return 0;}' | clang -x c -fsanitize=fuzzer -o /dev/null -" -- libclang-rt-14-dev
		need command -v g++ -- g++
		need command -v musl-gcc -- musl-tools
		need command -v xz -- xz-utils
		need command -v dpkg-deb -- dpkg
		need command -v dkms -- dkms
		need command -v sparse -- sparse
		need command -v cppcheck -- cppcheck
		need command -v strace -- strace
		need perl -MTerm::ANSIColor -e 1 -- perl # perl-base lacks it
		need command -v systemd-sysusers -- systemd-standalone-sysusers
		need "$(header liburing.h)" -- liburing-dev
		need "echo 'int main(void){return 0;}' | cc -x c -fsanitize=address -o /dev/null -" -- gcc
		;;
	aarch64) # a cross compiler, and an emulator for its programs
		need command -v aarch64-linux-gnu-gcc -- gcc-aarch64-linux-gnu
		need test -e /usr/aarch64-linux-gnu/include/stdlib.h -- libc6-dev-arm64-cross
		need command -v qemu-aarch64 -- qemu-user
		need command -v xz -- xz-utils
		need command -v dpkg-deb -- dpkg
		;;
	models)
		need command -v gcc -- gcc
		need "$(header stdlib.h)" -- libc6-dev
		need command -v spin -- spin
		;;
	vm) # virtual machines, and modules for their kernels
		need command -v qemu-system-x86_64 -- qemu-system-x86
		need test -x /bin/busybox -- busybox-static
		need command -v cpio -- cpio
		need command -v flock -- util-linux
		need command -v pkill -- procps
		need command -v dpkg-deb -- dpkg
		;;
	vm-6.1)    need dpkg -s linux-headers-amd64 -- linux-headers-amd64 ;;
	vm-6.12)   need dpkg -s linux-headers-6.12-amd64 -- linux-headers-6.12-amd64 ;;
	vm-6.1-rt) need dpkg -s linux-headers-rt-amd64 -- linux-headers-rt-amd64 ;;
	vm-debug) # a kernel of our own
		need command -v bc -- bc
		need command -v bison -- bison
		need command -v flex -- flex
		need command -v xz -- xz-utils
		need "$(header libelf.h)" -- libelf-dev
		;;
	*)
		echo "deps.sh: no group '$group'; there are: build man docs bench check models aarch64 vm vm-6.1 vm-6.12 vm-6.1-rt vm-debug" >&2
		exit 2
		;;
	esac
done
[ -n "$missing" ] || exit 0

# shellcheck disable=SC2086 # the list is meant to be split
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing:$missing" >&2
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
	echo "please install first:  apt-get install$missing" >&2
	exit 1
fi

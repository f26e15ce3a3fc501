#!/bin/bash
# SPDX-License-Identifier: MIT
#
# vm.sh KERNEL             build venom.ko for this kernel (6.1, 6.12, 6.1-rt, debug), boot the kernel in a
#                          virtual machine, run every test there with the module, and check what is left of it
# vm.sh KERNEL TEST...     run these tests only: state, kmod/maps, tool
# vm.sh KERNEL --shell     start a shell in such a guest
#
# VENOM_VM_ACCEL=kvm       use hardware virtualization; if unset: tcg, which works everywhere
# VENOM_VM_STRESS=SECONDS  duration of the stress test
# VENOM_VM_TIMEOUT=SECONDS time limit for the whole run, against hangs
# VENOM_VM_APPEND=WORDS    added to the kernel's command line
# VENOM_BACKEND=memfd      run the tests without the module
# VENOM_TEST_*             as for run.sh
#
# The tests' output is kept in build/check/vm-KERNEL-TEST.tap, the guest's console in build/vm/KERNEL/console.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. selftests/lib/tap.sh

kernel=${1:?usage: vm.sh 6.1|6.12|6.1-rt|debug [TEST... | --shell]}
shift
accel=${VENOM_VM_ACCEL:-tcg}
vm=build/vm/$kernel
# An emulated machine is 10 to 20 times slower than a real one, with KASAN and lockdep 100 times.
scale=0.02 stress=10 patience=240 boot_limit=180 vm_limit=${VENOM_VM_TIMEOUT:-1200}
[ "$kernel" != debug ] || scale=0.005 stress=30
# The slow kernels run all of the module's own tests, and these of the library's tests, which are not about speed.
brief='access arguments command errors fds huge memory request state stat'

say() { echo "vm-$kernel: $*" >&2; }

# module: builds venom.ko for this kernel, as a test case.  Any warning is a failure, even one of W=1.
module() {
	local kdir=$1 release=$2 ko=build/kmod-$2/venom.ko
	rm -f "$ko"
	build "venom.ko-$kernel" modules KDIR="$kdir" W=1 KCFLAGS=-Werror
	if [ "$n_fail" = 0 ] && { [ ! -e "$ko" ] || grep -aE 'kmod/.*warning:|(WARNING|ERROR): modpost' "$out/build-venom.ko-$kernel.tap"; }; then
		[ -e "$ko" ] || echo "	Kbuild makes no venom.ko"
		n_pass=0 n_fail=1 why=()
		add "build/venom.ko-$kernel" "${EPOCHREALTIME/./}" "$out/build-venom.ko-$kernel.tap"
	fi
	[ -e "$ko" ]
}

# with_libs ROOT FILE...: copies the shared libraries that these programs need to ROOT.
with_libs() {
	local root=$1 lib
	shift
	ldd "$@" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' | sort -u | while read -r lib; do
		mkdir -p "$root${lib%/*}"
		cp -L "$lib" "$root$lib"
	done
}

# pack RELEASE: packs the guest's files into an initramfs.
pack() {
	local root=$vm/root t p elf
	rm -rf "$root"
	mkdir -p "$root"/{bin,etc,dev,proc,sys,venom/selftests/{tool,lib},venom/build/selftests/kmod}
	cp /bin/busybox "$root/bin/"
	for p in bash timeout; do cp "$(command -v "$p")" "$root/bin/"; done
	cp selftests/vm/init "$root/init"
	cp selftests/tool/*.sh "$root/venom/selftests/tool/"
	cp selftests/lib/verbs.sh "$root/venom/selftests/lib/"
	cp build/venom "$root/venom/build/"
	for t in "${programs[@]}"; do cp "build/selftests/$t" "$root/venom/build/selftests/$t"; done
	[ ! -e "build/kmod-$1/venom.ko" ] || cp "build/kmod-$1/venom.ko" "$root/venom/build/"
	[ "${VENOM_BACKEND:-dev}" != dev ] || cp build/venom-bench "$root/venom/build/" # to measure with the module
	strip -g "$root"/venom/build/venom* "$root"/venom/build/selftests/* "$root"/venom/build/selftests/kmod/* 2>/dev/null
	mapfile -t elf < <(find "$root"/bin "$root"/venom/build -type f)
	with_libs "$root" "${elf[@]}"
	mkdir -p "$root/lib"
	cp -L "$(cc -print-file-name=libgcc_s.so.1)" "$root/lib/" # pthread_cancel() loads it
	cat >"$root/etc/passwd" <<-END
		root:x:0:0:root:/root:/bin/sh
		daemon:x:1:1:daemon:/tmp:/bin/false
		nobody:x:65534:65534:nobody:/tmp:/bin/false
	END
	cat >"$root/etc/group" <<-END
		root:x:0:
		daemon:x:1:
		tty:x:5:
		venom:x:997:daemon
		nogroup:x:65534:
	END
	cat >"$root/venom/env" <<-END
		export RELEASE='$1' VENOM_IN_GUEST=1 MODE='$mode' TESTS='${tests[*]}' LIMIT='$limit'
		export TERM='${TERM:-dumb}' COLUMNS='$(tput cols 2>/dev/null)' LINES='$(tput lines 2>/dev/null)'
		export VENOM_BACKEND='${VENOM_BACKEND:-dev}' VENOM_VM_STRESS='${VENOM_VM_STRESS:-$stress}'
		export VENOM_TEST_SCALE='${VENOM_TEST_SCALE:-$scale}' VENOM_TEST_PATIENCE='${VENOM_TEST_PATIENCE:-$patience}'
		${VENOM_TEST_SEED:+export VENOM_TEST_SEED=$VENOM_TEST_SEED}
	END
	(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$vm/initramfs"
}

# boot ARGUMENT...: starts the machine: two CPUs, each on its own NUMA node (2 and 4 GiB of memory), two serial lines.
boot() {
	local cpu=max
	case $accel in tcg) accel=tcg,thread=multi ;; kvm) cpu=host ;; esac
	exec qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none \
		-accel "$accel" -cpu "$cpu" -smp 2,sockets=2 -m 6G \
		-object memory-backend-ram,id=m0,size=2G -numa node,memdev=m0,cpus=0 \
		-object memory-backend-ram,id=m1,size=4G -numa node,memdev=m1,cpus=1 \
		-kernel "$kdir/bzImage" -initrd "$vm/initramfs" "$@"
}
# 1 GiB pages must be reserved at boot.  The kernel's own watchdogs get long time-outs, since the machine is slow.
append="console=ttyS0 panic=-1 log_buf_len=8M mitigations=off nokaslr tsc=reliable kasan_multi_shot
	hugepagesz=1G hugepages=1 default_hugepagesz=2M hugepagesz=2M hugepages=128
	rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60 hung_task_timeout_secs=120"
[ "$kernel" != debug ] || append="$append numa=fake=2" # this kernel has no ACPI, so it does not see the real nodes
append=$(tr -s '\n\t' ' ' <<<"$append ${VENOM_VM_APPEND-}")

# follow: reads the guest's results as they arrive, and counts each test when it has ended.
declare -A want=()
done_=
follow() {
	local line name='' file start word
	while IFS= read -r line; do
		case $line in
		"@@venom begin "*)
			name=${line#@@venom begin }
			file=$out/vm-$kernel-${name//\//-}.tap
			start=${EPOCHREALTIME/./}
			exec 4>"$file"
			;;
		"@@venom end "*)
			exec 4>&-
			read -r _ _ _ word line <<<"$line"
			count "$file" "$word" "${line:+ $line}"
			add "vm-$kernel/$name" "$start" "$file"
			unset "want[$name]"
			name=
			;;
		"@@venom done") done_=1 ;;
		*) [ -z "$name" ] || printf '%s\n' "$line" >&4 ;;
		esac
	done < <(tail -q -n +1 -s 0.2 -f --pid="$qemu" "$vm/results")
	[ -z "$name" ] || {
		count "$file" 1 " the guest died;"
		add "vm-$kernel/$name" "$start" "$file"
		unset "want[$name]"
	}
}

# the_dead: a test without a result has failed.
the_dead() {
	local file=$out/vm-$kernel-lost.tap names
	[ ${#want[@]} -gt 0 ] || [ -z "$done_" ] || return
	echo "the guest's last words, of $vm/console:"
	tail -n 30 "$vm/console" | tr -d '\r' | sed 's/^/	/'
	names=$(printf '%s\n' "${!want[@]}" | sort | tr '\n' ' ')
	echo "# run.sh: did not run, or has no result: $names" >"$file"
	n_pass=0 n_fail=${#want[@]} n_skip=0 why=()
	[ "$n_fail" = 0 ] || add "vm-$kernel/lost" "${EPOCHREALTIME/./}" "$file"
}

mode=tests
if [ "${1-}" = --shell ]; then
	mode=shell
	shift
fi
# The module's own tests run first: what fails there makes the other tests fail, too.
programs=("${module_programs[@]}" "${programs[@]}")
scripts=(selftests/tool/*.sh)
scripts=("${scripts[@]##*/}")
tests=("${programs[@]}" "${scripts[@]}")
case $kernel in
debug | 6.1-rt) mapfile -t tests < <(printf '%s\n' "${tests[@]}" | grep -E "^(kmod/.*|${brief// /|})\$") ;;
esac
if [ $# -gt 0 ]; then
	tests=()
	for t; do
		if [ -e "selftests/tool/$t.sh" ]; then t=$t.sh; fi
		printf '%s\n' "${programs[@]}" "${scripts[@]}" | grep -qFx -- "$t" || {
			echo "vm.sh: no test '$t'; there are: ${programs[*]} ${scripts[*]%.sh}" >&2
			exit 2
		}
		tests+=("$t")
	done
fi
for t in "${tests[@]}"; do want[${t%.sh}]=1; done
want[guest]=1

[ "$mode" = tests ] || vm=$vm-shell
mkdir -p "$out" "$vm"
exec 8>"$vm/lock"
flock -n 8 || {
	say "another guest of this kernel runs in this folder; waiting"
	flock 8
}
# As a part of `make check`, vm.sh leaves the other parts' results, and the sum, to run.sh.
[ -n "${VENOM_CHECK-}" ] || rm -f "$out"/*.sum "$out/result"
[ -n "${VENOM_CHECK-}" ] || tools/deps.sh build check vm "vm-$kernel" || exit
kdir=$(selftests/vm/kernel.sh "$kernel") || exit
release=$(cat "$kdir/release")

build tests tests || exit
module "$kdir/kdir" "$release" || say "no venom.ko"
pack "$release"

if [ "$mode" = shell ]; then
	[ -t 0 ] || { say "no terminal, no shell"; exit 1; }
	say "booting Linux $release ($accel); Ctrl-A X ends it"
	boot -append "$append quiet" -serial mon:stdio -serial null
fi

# An emulated kernel sometimes stops before our init has written anything: the guest is then booted again.
qemu= watch=
trap 'kill $qemu $watch 2>/dev/null' EXIT
trap 'exit 1' INT TERM HUP
for try in 1 2 3; do
	say "booting Linux $release ($accel)"
	: >"$vm/results"
	: >"$vm/console"
	(boot -append "$append" -serial "file:$vm/console" -serial "file:$vm/results") </dev/null 2>"$vm/qemu.log" &
	qemu=$!
	for ((i = 0; i < boot_limit && try < 3; i++)); do
		[ ! -s "$vm/results" ] && kill -0 "$qemu" 2>/dev/null || break
		sleep 1
	done
	[ ! -s "$vm/results" ] && [ "$try" -lt 3 ] || break
	say "it does not boot; its last words, of $vm/console:"
	tail -n 5 "$vm/console" | tr -d '\r' | sed 's/^/	/' >&2
	kill "$qemu" 2>/dev/null
	wait "$qemu" 2>/dev/null
done
(sleep "$vm_limit" && kill "$qemu") 2>/dev/null &
watch=$!
follow
wait "$qemu" || cat "$vm/qemu.log"
pkill -P $watch
the_dead
[ -n "${VENOM_CHECK-}" ] || finish

#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh           what `make check` runs: builds everything with gcc, with clang and with the
#                  sanitizers, and runs every test there is, here and in virtual machines (vm.sh)
# run.sh NAME...   these tests only, of the plain build
# run.sh --vm KERNEL...   the virtual machines only, with these kernels
# run.sh --aarch64        built for aarch64, and run under qemu-user
# run.sh --models [MODEL...]   the models of the protocols only (models/check.sh)
#
# A test is a program made from selftests/FOLDER/NAME.c, or a script in source/ or tool/.
# It prints TAP (a plan, a line for each test case), which is kept in build/check/.  It fails also if it
# crashes, hangs, prints fewer cases than planned, makes a sanitizer speak, or leaves a process or a
# socket behind.  Every test case counts.  The last line is "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

. selftests/lib/tap.sh
mkdir -p "$out"
rm -f "$out"/*.sum "$out/result"

export ASAN_OPTIONS=detect_leaks=1:exitcode=99
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:exitcode=99
export TSAN_OPTIONS=halt_on_error=1:exitcode=66:die_after_fork=0

# The thread sanitizer of older compilers can't live with much randomness in addresses.
still=()
if setarch -R true 2>/dev/null; then still=(setarch -R); fi

# run LABEL COMMAND...: run one test.
run() {
	local label=$1 file=$out/${1//\//-}.tap dir start status pid trouble=
	shift
	dir=$(mktemp -d /tmp/venom-check.XXXXXX)
	start=${EPOCHREALTIME/./}
	VENOM_RUNTIME_DIR=$dir timeout -k 10 "$limit" "$@" </dev/null >"$file" 2>&1
	status=$?
	# What still runs with this test's folder in its environment is left over from it.
	for pid in $(grep -lsz "^VENOM_RUNTIME_DIR=$dir" /proc/[0-9]*/environ | cut -d/ -f3); do
		trouble+=" left behind: process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null));"
		kill -9 "$pid" 2>/dev/null
	done
	[ -z "$(find "$dir" -type s)" ] || trouble+=" left behind: $(cd "$dir" && find . -type s | tr '\n' ' ');"
	rm -rf "$dir"
	count "$file" "$status" "$trouble"
	add "$label" "$start" "$file"
}

# side_by_side LABEL [WRAPPER...]: run the test programs of this build, as many at a time as there are CPUs: for where
# speed is not what one looks for.
side_by_side() {
	local label=$1 name
	shift
	for name in "${programs[@]}"; do
		[ "$name" != killpoints ] || [ "$label" = asan ] || continue # long, and the same points as there
		[ "$name" != soak ] || continue
		while [ "$(jobs -rp | wc -l)" -ge "$cpus" ]; do wait -n; done
		run "$label/$name" "$@" "build/$label/selftests/$name" &
	done
	wait
	run "$label/soak" "$@" "build/$label/selftests/soak" # it counts what all processes have
}

# sanitized LABEL SAN [WRAPPER...]: build the test programs with these sanitizers, and run them.
sanitized() {
	local label=$1 san=$2
	shift 2
	build "$label" B="build/$label" SAN="$san" CFLAGS='-O1 -g -Werror' "${programs[@]/#/build/$label/selftests/}" || return
	side_by_side "$label" "$@"
}

# aarch64: the tests of another machine: that all builds there, and that its atomics, fences, alignments and structs do
# what they should.  Whether its memory orders are enough can't be seen in a run: qemu-user on x86 has x86's.  That they
# are in the code is orders.sh's; that they are the right ones, the models'.
# There is no liburing to link with, nor would qemu-user do its calls.
aarch64() {
	local b=build/aarch64 cross=aarch64-linux-gnu no_huge=build/aarch64/selftests/aarch64/no_huge.so qemu
	qemu=(qemu-aarch64 -L "/usr/$cross" -E "LD_PRELOAD=$PWD/$no_huge")
	build aarch64 B=$b CC=$cross-gcc AR=$cross-ar OBJCOPY=$cross-objcopy test_libs= CFLAGS='-O2 -g -Werror' \
		all "${programs[@]/#/$b/selftests/}" $no_huge || return
	run aarch64/orders bash selftests/aarch64/orders.sh
	run aarch64/labels bash selftests/source/test-break.sh --labels
	side_by_side aarch64 "${qemu[@]}"
	# The tool's tests find it in the folder B.
	mkdir -p $b/wrapped
	printf '#!/bin/sh\nexec %s "$@"\n' "${qemu[*]} $PWD/$b/venom" >$b/wrapped/venom
	chmod +x $b/wrapped/venom
	for script in selftests/tool/*.sh; do
		B=$b/wrapped run "aarch64/$(basename "$script" .sh)" bash "$script"
	done
}

# guests KERNEL...: the tests with the module, in a virtual machine for each kernel.
guests() {
	local k
	for k; do
		VENOM_CHECK=1 selftests/vm.sh "$k" && continue
		n_pass=0 n_fail=1 n_skip=0 why=()
		echo "# run.sh: vm.sh could not start this guest" >"$out/vm-$k-start.tap"
		add "vm-$k/start" "${EPOCHREALTIME/./}" "$out/vm-$k-start.tap"
	done
}

if [ "${1-}" = --vm ]; then
	shift
	rm -f "$out"/vm-*.tap
	guests "$@"
	finish
fi

if [ "${1-}" = --models ]; then
	shift
	[ $# -gt 0 ] || set -- $(basename -as .pml selftests/models/*.pml | grep -vx memory)
	rm -f "$out"/models-*.tap
	limit=$((2 * limit))
	for model; do
		while [ "$(jobs -rp | wc -l)" -ge "$cpus" ]; do wait -n; done
		run "models/$model" selftests/models/check.sh "$model" &
	done
	wait
	echo "states explored:"
	sed -n 's/^# \(.* states in .*\)/\t\1/p' "$out"/models-*.tap
	finish
fi

scripts=(selftests/{tool,source}/*.sh)

make --no-print-directory -s build/kselftest/kselftest_harness.h || exit 1

if [ "${1-}" = --aarch64 ]; then
	rm -f "$out"/aarch64-*.tap
	export VENOM_TEST_SCALE=${VENOM_TEST_SCALE:-0.05}
	aarch64
	finish
fi

if [ $# -gt 0 ]; then
	build gcc tests || finish
	for name in "$@"; do
		if [ -f "build/selftests/$name" ]; then
			run "$name" "build/selftests/$name"
		elif script=$(printf '%s\n' "${scripts[@]}" | grep "/$name\.sh\$"); then
			run "$name" bash "$script"
		else
			echo "run.sh: no test '$name'; there are: ${programs[*]} $(basename -as .sh "${scripts[@]}" | tr '\n' ' ')" >&2
			exit 2
		fi
	done
	finish
fi

rm -f "$out"/*.tap
# What was built without -Werror since our last build is built again.
again=
if [ ! -e "$out/strict" ] || find build/libvenom build/tools build/selftests -name '*.o' -newer "$out/strict" | grep -q .; then
	again=-B
fi
build gcc $again tests CFLAGS='-O2 -g -Werror' || finish
touch "$out/strict"
for name in "${programs[@]}"; do run "$name" "build/selftests/$name"; done
for script in selftests/tool/*.sh; do run "$(basename "$script" .sh)" bash "$script"; done
for script in selftests/source/*.sh; do
	while [ "$(jobs -rp | wc -l)" -ge "$cpus" ]; do wait -n; done
	limit=$((3 * limit)) run "$(basename "$script" .sh)" bash "$script" & # test-break breaks the library some 70 times
done
wait

build clang tests B=build/clang CC=clang CFLAGS='-O2 -g -Werror'

scale=${VENOM_TEST_SCALE-}
export VENOM_TEST_SCALE=${scale:-0.05}
sanitized asan address,undefined
sanitized tsan thread "${still[@]}"
export VENOM_TEST_SCALE=$scale # the guests have one of their own

guests 6.1 6.12
finish

#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Breaks the library on purpose, one mutation at a time, and expects the test that guards the place to fail: what no
# test catches is a hole in the tests.  Works on a copy of the sources; a mutation that changes nothing, or does not
# compile, is a failure too, so that this list follows the code.
#
# test-break.sh [WORD...]	only the mutations whose names contain one of these words
# test-break.sh --labels [LABEL...]	takes each labelled barrier of the plane out, or these: aarch64/orders.sh must notice
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

# mutate FILE SED TEST[,ARGUMENT...] NAME: the tests are the first to fail, with the fewest cases that show it.
# On x86 a load may pass an older store to another word, and the compiler may move either: each of these shows there.
list() {
	# The seqlock and the ring of versions
	mutate src/plane/ring.h '/^static inline struct venom_version \*venom_ring_begin/,/^}/ s/^\tstore_re(laxed|lease)\(&b->seq.*$//' \
		torn,-v,versions_1_4KiB "seqlock: no odd sequence before the write"
	mutate src/plane/ring.h '/^static inline bool venom_ring_check/,/^}/ s/return .*;/return c->seq;/' \
		torn,-v,versions_1_4KiB,-v,versions_2_4KiB "seqlock: the reader does not look again"
	mutate src/plane/ring.h '/^static inline enum venom_pick venom_ring_claim/,/^}/ s/if \(!VENOM_SEQ_IS_WHOLE\(c->seq\)\)/if (0)/' \
		torn,-v,versions_1_4KiB "seqlock: the reader takes an odd sequence for a whole version"
	mutate src/calls/publish.c '/ int publish\(/,/^}/ {
		s/^\tcopy_to_shared\(.*\);$//
		s/^\treturn (commit_opened\(.*\));$/\t\1; copy_to_shared(venom_ring_payload(\&d->ring, b), data, len); return 0;/ }' \
		torn,-v,versions_2_4KiB "ring: a version is committed before its bytes are there"
	mutate src/calls/publish.c '/ venom_daemon_write_commit\(/,/^}/ s/fence_stores\(\);//' \
		torn,-v,versions_2_64B,-v,versions_8_64B,-v,versions_8_4KiB \
		"ring: no fence between non-temporal stores and the even sequence"
	mutate include/venom_inline.h '/ venom_inline_publish\(/,/^}/ {
		s/^\tVENOM_INLINE_COPY_TO(.*);$//
		s/^\tVENOM_INLINE_STORE\(p->latest.*;$/&\n\tfor (volatile int i = 0; i < 100; i++);\n\tVENOM_INLINE_COPY_TO(b + p->payload, data, len);/ }' \
		torn,-v,versions_2_64B "ring: a small version is committed before its bytes are there"
	mutate include/venom_inline.h '/ venom_inline_copy\(/,/^}/ s/ != r->next_was\)\)/ == 1))/' \
		inline,-r,in_line.versions_2.as_the_calls "in line: the reader does not look at the next buffer"
	mutate src/calls/read.c '/^static void settle/,/^}/ s/VENOM_SEQ_NUMBER\(was\) > v &&.*\)$/0)/' \
		torn,-v,versions_2_64B,-v,versions_2_8B "in line: the reader settles though the next version may be there"
	mutate src/plane/ring.h '/^static inline enum venom_pick venom_ring_pick/,/^}/ s/!seen \|\| venom_ring_newer\(r, seen\)/!seen/' \
		torn,-v,versions_2_4KiB "ring: the reader does not look whether there is a newer one"
	mutate src/calls/read.c '/^static int lapped/,/^}/ s/versions \+ 1 : 1;/versions + 2 : 1;/' \
		torn,-v,versions_8_4KiB "read_next: one version too many counted as missed"

	# Readers that the writer heeds.  Not here: the second looks of writer and holder, without which no run has failed, and a
	# reader's at the numbers that were passed over, which takes a race that no test makes.  The model hold.pml rejects each.
	mutate src/plane/readers.h '/^static inline struct venom_version \*venom_ring_open/,/^}/ s/^\t\tstore_relaxed\(.*;/\t\t;/' \
		hold,-t,others_read_on "hold: a number that is passed over is not marked"
	mutate src/plane/readers.h '/^static inline void venom_cursor_move/,/^}/ s/store_release\(.*\);/(void)cursor, (void)version;/' \
		lossless,-r,lossless.block.full "lossless: the cursor does not move"
	mutate src/plane/readers.h '/venom_ring_owed\(const/,/^}/ s/i = 0; i < n/i = 1; i < n/' \
		lossless,-r,lossless.block.full "lossless: the publisher leaves out a reader"
	mutate src/plane/readers.h '/^static inline uint64_t venom_reader_at/,/^}/ s/at < rd->cut/rd->cut/' \
		lossless,-r,lossless.block.a_stop_is_limited "lossless: one that was cut off and reads again does not count"
	mutate src/control/readers.c '/^static void set_roles/,/^}/ s/\? 0 : load_acquire\(&d->version\)/? 0 : VENOM_NOT_YET/' \
		lossless,-r,lossless.block.full "lossless: the floor is never set"
	mutate src/control/readers.c '/^static void set_roles/,/^}/ s/^\t\tbell_signal\(d->publisher.bell\);/\t\t;/' \
		lossless,-r,lossless.block.a_death_frees "lossless: nobody wakes the publisher when a reader has died"
	mutate src/control/readers.c '/^static void set_roles/,/^}/ s/^\t\tbell_signal\(d->publisher.bell\);/\t\t;/' \
		lossless,-r,lossless.block.to_turn_it_off_frees "lossless: nobody wakes the publisher when a reader needs no more"
	mutate src/calls/roles.c '/^void venom_cursor_set/,/^}/ s/if \(\(load_relaxed/if (0 \&\& (load_relaxed/' \
		lossless,-r,lossless.block.publish_waits "lossless: nobody wakes the publisher when a reader has moved"

	# The lanes
	mutate src/plane/lane.h '/^static inline void venom_slot_fill/,/^}/ { /^\tstore_release\(&slot->seq/d
		s/^\tif \(len > n\)/\tstore_release(\&slot->seq, seq);\n&/ }' \
		order,-v,producers_1_slots_2_spinning,-v,producers_1_slots_2_8KiB "lane: a slot is shown before its message is written"
	mutate src/plane/lane.h '/^static inline uint32_t venom_lane_left/,/^}/ { s/used < n/used <= n/; s/n - used :/n + 1 - used :/ }' \
		order,-v,producers_1_slots_1_adaptive,-v,producers_1_slots_2_adaptive "lane: one command too many before it is full"
	mutate src/calls/receive.c '/^static (inline )?bool daemon_take/,/^}/ s/^\tcopy_from_shared/\tstore_release(\&l->rsp->cursor, l->pos + 1);\n&/' \
		order,-v,producers_1_slots_1_8KiB "lane: a slot is given back before it is copied"
	mutate src/calls/receive.c '/^static void block_take/,/^}/ s/^\tvenom_block_get/\tif (b->left == 1)\n\t\tstore_release(\&l->rsp->cursor, l->pos + b->slots);\n&/' \
		order,-v,producers_1_slots_2_8KiB "lane: a block is given back before its last message is copied"
	mutate src/plane/lane.h '/^static inline uint32_t venom_block_fits/,/^}/ s/most < end \? most : end/end/' \
		order,-v,producers_1_slots_2_adaptive "lane: a block takes slots that are not free"

	mutate src/calls/receive.c '/ venom_daemon_receive_many\(/,/^}/ s/buf \+ got \* d->cmd_stride/buf/' \
		command "lane: commands taken at once share a buffer"

	# Turns
	mutate src/calls/lanes.c '/^static struct venom_lane \*next_in_turn/,/^}/ s/d->batch < VENOM_BATCH && //' \
		fair,-v,by_turns_1 "turns: a batch has no end"
	mutate src/calls/lanes.c '/^static struct venom_lane \*next_by_arrival/,/^}/ s/return longest .*;/return best;/' \
		fair,-v,by_arrival_2_forged "turns: a time stamp is believed"

	# Sleep and wake
	mutate src/plane/wait.h '/ops->arm\(w\);/,/ops->disarm/ s/rc = ops->ready\(w\);/rc = 0;/' \
		lostwake,-v,commands_busy,-v,answers_busy,-v,commands_poll_busy,-v,state_busy "wake: the sleeper does not look again after its flag"
	mutate src/calls/receive.c '/^static void daemon_arm/,/^}/ s/venom_arm\(&d->state->sleeping.*$/fence_full();/' \
		lostwake,-v,commands "wake: the daemon does not set its flag"
	mutate src/calls/wait.c '/^static void shell_arm/,/^}/ s/venom_arm\(&s->cmd->sleeping.*$/fence_full();/' \
		lostwake,-v,answers "wake: the shell does not set its flag"
	mutate src/calls/request.c '/^static (inline )?void wake_daemon/,/^}/ s/venom_must_wake\(/0 \&\& &/' \
		lostwake,-v,commands "wake: the shell does not look at the daemon's flag"
	mutate src/calls/request.c '/^static (inline )?void wake_daemon/,/^}/ s/venom_must_wake\(/venom_asleep(/' \
		lostwake,-v,commands,-v,commands_cross,-v,commands_2us "wake: no fence between a command and the look at the flag"
	mutate src/calls/receive.c '/^static void daemon_arm/,/^}/ s/venom_arm\((.*, .*)\);/store_relaxed(\1);/' \
		lostwake,-v,commands,-v,commands_cross,-v,commands_2us "wake: no fence between the daemon's flag and its look"
	mutate src/calls/receive.c '/^static (inline )?void wake_for_answer/,/^}/ s/venom_must_wake\(/venom_asleep(/' \
		lostwake,-v,answers_second,-v,answers_second_cross "wake: no fence between an answer and the look at the flag"
	mutate src/calls/wait.c '/^static void shell_arm/,/^}/ s/venom_arm\((.*, .*)\);/store_relaxed(\1);/' \
		lostwake,-v,answers_cross,-v,state_cross "wake: no fence between the shell's flag and its look"
	mutate src/memfd/daemon.c '/^static void wake_state/,/^}/ s/fence_full\(\);//' \
		lostwake,-v,state,-v,state_cross "wake: no fence between a version and the look at the flag"
	mutate src/memfd/daemon.c '/^static void wake_state/,/^}/ s/VENOM_ASLEEP_STATE,/VENOM_ASLEEP_ANSWER,/' \
		lostwake,-v,state "wake: the publisher looks at the wrong flag"
	mutate src/calls/receive.c '/^static (inline )?void lane_advance/,/^}/ s/if \(venom_asleep\(.*ROOM.*$/if (0)/' \
		lostwake,-v,room_1_slot "wake: nobody tells that a full lane has room"
	mutate src/calls/wait.c '/^static void shell_arm/,/^}/ s/what & VENOM_WAIT_ROOM\)$/0)/' \
		lostwake,-v,room_lazy,-v,room_lazy_cross "wake: no fence between room in a lane and the look at the flag"

	# Answers
	mutate src/calls/shell.h '/^static inline bool answered/,/^}/ s/return .*;/return load_acquire(\&venom_slots_at(\&s->in, slot_of(s, r))->seq);/' \
		answers,-v,two_clients "answers: the shell does not compare the tag"
	mutate src/calls/receive.c '/ venom_daemon_respond\(/,/^}/ s/\*seen != cmd->tag/0/' \
		answers,-v,two_clients "answers: the daemon does not compare the tag"
	mutate src/calls/receive.c '/ venom_daemon_respond\(/,/^}/ s/l->generation != cmd->generation/0/' \
		answers,-v,two_clients "answers: the daemon does not compare the generation"

	# Death
	mutate src/memfd/link.c '/^bool link_alive/,/^}/ s/return .*;/return (void)p, true;/' \
		kill,-r,daemon.versions_4.killed_in_mid_publish "death: the daemon's hang-up is ignored"
	mutate src/memfd/conn.c 's/^(\t+)venom_manager_gone\(d, l\);/\1;/' \
		killshell "death: a shell's hang-up is ignored"
	mutate src/control/manager.c '/^static void \*manager_main/,/^}/ s/, m->nap_ns\)/, -1)/' \
		reclaim,-t,a_death_during_the_last_call_is_not_forgotten "death: one that comes during a call waits for the next one"
	mutate src/calls/receive.c '/^static inline void lane_advance/,/^}/ s/venom_manager_wake\(d\);/return;/' \
		reclaim,-t,what_the_dead_left_goes_with_the_last_command "death: the manager does not hear that the last command is taken"
	mutate src/control/manager.c '/^static bool is_over/,/^}/ s/^\t\treturn false;/\t\treturn true;/' \
		churn "hand-over: a lane is freed while the server is inside"
	mutate src/control/manager.c '/^static bool is_over/,/^}/ s/return !\(l->walk.*;/return true;/' \
		churn "hand-over: a lane is freed while the publisher walks"
	mutate src/control/manager.c '/^static void retire/,/^}/ s/^\tchanged\(d\);/\t;/' \
		churn "hand-over: the manager does not say that a lane has vanished"
	mutate src/control/manager.c '/^void venom_manager_add/,/^}/ s/^\tchanged\(d\);/\t;/' \
		command "hand-over: the manager does not say that a lane has appeared"
	mutate src/calls/lanes.c '/^void venom_lanes_sync/,/^}/ s/^\t\tif \(d->served\[id\]\)/\t\tif (0)/' \
		churn "hand-over: the server goes on with a lane that has vanished"
	mutate src/control/manager.c '/^static bool is_drained/,/^}/ s/return .*;/return (void)pos, true;/' \
		reclaim,-t,a_dead_shell_s_commands_are_delivered_and_its_id_comes_back "hand-over: a lane is freed with commands in it"
	mutate src/handles.h '/^static inline bool death_seen/,/^}/ s/load_relaxed\(&own->generation\) != s->generation/0/' \
		evicted "death: a shell that was thrown out takes its successor's life for its own"
	mutate src/system/fd.c '/^static void in_child/,/^}/ s/^\t+close\(.*;/;/' \
		forks "death: a forked child keeps the descriptors"
	mutate src/calls/read.c '/^static int gave_up/,/^}/ s/-EOWNERDEAD/-EAGAIN/' \
		kill,-r,daemon.versions_1.killed_in_mid_publish "death: a version torn for ever is called one to try again"
	mutate src/control/shell.c '/^void venom_shell_has_died/,/^}/ s/if \(v > s->seen\)/if (0)/' \
		killpoints,-t,all_end_with_the_same_version "death: a version that nobody could call the latest is left out"
	mutate src/plane/lane.h '/^static inline void venom_lane_advance/,/^}/ s/store_release\(cursor, pos\)/*cursor = pos/' \
		killpoints,-t,every_store_is_one "death: a store to shared pages that is no kill point"
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tree=$tmp/tree
mkdir -p "$tree/build"
tar -cf - --exclude=./build --exclude=./.git . | tar -xf - -C "$tree" || exit 1
[ ! -e build/kselftest ] || cp -r build/kselftest "$tree/build/"
mkdir "$tmp/run"
export VENOM_TEST_SCALE=0.2 VENOM_TEST_PATIENCE=2 VENOM_RUNTIME_DIR=$tmp/run
unset VENOM_TEST_SEED MAKEFLAGS

n=0
report() { # OK NAME
	n=$((n + 1))
	echo "$1 $n - $2"
}

build() { # TEST
	make --no-print-directory -s -C "$tree" -j2 CFLAGS=-O2 "build/selftests/$1" >"$tmp/make" 2>&1
}

try() { # TEST,ARGUMENT...
	local -a cmd
	IFS=, read -ra cmd <<<"$1"
	timeout -k 1 60 "$tree/build/selftests/${cmd[0]}" "${cmd[@]:1}" >"$tmp/out" 2>&1
}

mutate() {
	local file=libvenom/$1 sed=$2 run=$3 name=$4 tries status
	if [ -n "$words" ] && ! grep -qE "$words" <<<"$name"; then return; fi
	if [ "$how" = plan ]; then
		runs+=("$run")
		return
	fi
	if [ "$(nproc)" = 1 ] && grep -q 'fence' <<<"$name"; then
		report ok "$name # SKIP takes two CPUs to show"
		return
	fi
	cp "$file" "$tree/$file"
	sed -Ei "$sed" "$tree/$file"
	if cmp -s "$file" "$tree/$file"; then
		report "not ok" "$name: the code is not as it was, the mutation finds nothing in $file"
		return
	fi
	if ! build "${run%%,*}"; then
		sed 's/^/# /' "$tmp/make" | tail -n 5
		report "not ok" "$name: does not compile"
	else
		for tries in {1..10}; do
			try "$run"
			status=$?
			[ $status = 0 ] || break
		done
		if [ $status = 0 ]; then
			report "not ok" "not caught by $run: $name"
		else
			grep -a -m1 -E "in process|watchdog|Expected" "$tmp/out"
			report ok "caught by ${run%%,*} (try $tries): $name"
		fi
	fi
	cp "$file" "$tree/$file"
}

# without FILE LINE: the barrier there, or on the next line where that one is its comment, is one no more.
without() {
	sed -E "$2 { /load_acquire|store_release|fence_[a-z]+\(\)|__ATOMIC_/! n
		s/load_acquire/load_relaxed/; s/store_release/store_relaxed/; s/__ATOMIC_(ACQUIRE|RELEASE)/__ATOMIC_RELAXED/
		s/\b(venom_)?fence_[a-z]+\(\);// }" "$1"
}

function_at() { # FILE LINE
	awk -v at="$2" '/^[a-zV].*\(/ { f = $0; sub(/\(.*/, "", f); sub(/.*[ *]/, "", f) } NR == at { print f; exit }' "$1"
}

if [ "${1-}" = --labels ]; then
	shift
	label='[a-z_]+:[A-Z]'
	mapfile -t places < <(grep -nE "/\* $label pairs with" libvenom/src/plane/*.h libvenom/include/venom_inline.h libvenom/src/*/*.c |
		sed -E "s/^([^:]*):([0-9]+):.*\/\* ($label) pairs with.*/\3 \1 \2/" |
		grep -E "^($([ $# -gt 0 ] && (IFS='|'; echo "$*") || echo "$label")) ")
	echo "1..${#places[@]}"
	command -v aarch64-linux-gnu-gcc >/dev/null || missing="# SKIP no aarch64-linux-gnu-gcc: tools/deps.sh aarch64"
	for place in "${places[@]}"; do
		read -r name file line <<<"$place"
		if [ -n "${missing-}" ]; then
			report ok "$name $missing"
			continue
		fi
		without "$file" "$line" >"$tree/$file"
		if cmp -s "$file" "$tree/$file"; then
			report "not ok" "$name: no barrier at $file:$line"
		elif bash "$tree/selftests/aarch64/orders.sh" "$(function_at "$file" "$line")" >"$tmp/out" 2>&1 || ! grep -q '^not ok' "$tmp/out"; then
			tail -n 3 "$tmp/out" | sed 's/^/# /'
			report "not ok" "$name is taken out, and orders.sh does not notice"
		else
			report ok "$name is missed: $(sed -n 's/^not ok [0-9]* - //p' "$tmp/out" | head -n 1)"
		fi
		cp "$file" "$tree/$file"
	done
	exit
fi

words=$(IFS='|'; echo "$*")
how=plan
runs=()
list
# The same cases, of the code as it is, must pass: else a failure says nothing.
controls=()
for program in $(printf '%s\n' "${runs[@]%%,*}" | sort -u); do
	cases=$(printf '%s\n' "${runs[@]}" | grep "^$program," | grep -oE -- '-[vrt],[^,]+' | sort -u | tr '\n' ',')
	controls+=("$program${cases:+,${cases%,}}")
done
echo "TAP version 13"
echo "1..$((${#runs[@]} + ${#controls[@]}))"
for run in "${controls[@]}"; do
	if build "${run%%,*}" && try "$run"; then
		report ok "passes unbroken: $run"
	else
		sed 's/^/# /' "$tmp/make" | tail -n 5
		grep -a -m3 -E "in process|watchdog|Expected" "$tmp/out"
		report "not ok" "fails unbroken: $run"
	fi
done
how=run
list

#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test-plane.sh: the plane stands alone.  A program of all its functions, compiled without a C library, has no undefined
# symbol: nothing is called, not even memcpy; with the machine's own copies and with portable ones, for each machine that a
# compiler is here for.  TAP on stdout.
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

: >"$tmp/log"

cat >"$tmp/all.c" <<'END'
static long long ticks;
#define VENOM_CLOCK_NS() (++ticks)
#include "ring.h"
#include "lane.h"
#include "wake.h"
#include "wait.h"

static struct venom_ring ring;
static struct venom_slots slots;
static struct venom_spin spin;
static struct venom_block block;
static uint32_t word, signalled;
static __u64 cursor;

static bool ready(void *w) { return venom_slot_ready(w, 1, 2); }
static int beat(void *w, int64_t now) { return w == (void *)now; }
static void nothing(void *w) { (void)w; }
static int sleep(void *w, int64_t ns) { return w == (void *)ns; }
static const struct venom_wait_ops ops = {ready, ready, beat, nothing, nothing, nothing, sleep};

long all(struct venom_state *state, const struct venom_geometry *geo, void *area, char *buf, size_t len);
long all(struct venom_state *state, const struct venom_geometry *geo, void *area, char *buf, size_t len)
{
	struct venom_version *b;
	static struct venom_claim c;
	bool behind = false;
	long n;

	venom_ring_init(&ring, state, geo);
	b = venom_ring_begin(&ring, len);
	copy_to_shared(venom_ring_payload(&ring, b), buf, len);
	fence_stores();
	venom_ring_commit(&ring, b, len, len, 0);
	n = venom_ring_latest(&ring) + venom_ring_await(&ring, len) + venom_ring_last(&ring);
	n += venom_ring_pick(&ring, len, &c);
	copy_from_shared(buf, venom_ring_payload(&ring, c.buf), c.len);
	n += venom_ring_check(&c);
	venom_slots_init(&slots, area, geo->cmd_slots, venom_command_head(geo->flags), geo->cmd_size);
	venom_slot_soon(&slots, len, n);
	venom_slot_fill(&slots, venom_slots_at(&slots, len), len, buf, len, 0, 0);
	venom_slot_next(&slots, len, &behind);
	block.left = venom_block_fits(&slots, len, len, len, len);
	block.slots = venom_block_slots(&slots, len, block.left);
	venom_block_put(&slots, &block, buf);
	venom_block_get(&slots, &block, buf);
	venom_block_show(venom_slots_at(&slots, len), len, len, block.left);
	venom_lane_advance(&cursor, len);
	n += venom_lane_left(len, venom_lane_taken(&cursor), geo->cmd_slots);
	venom_arm(&word, 1);
	n += venom_must_wake(&word, 1, &signalled) + venom_asleep(&word, 1, &signalled);
	return n + venom_wait_for(&ops, &slots, &spin, len);
}
END

for cc in gcc clang aarch64-linux-gnu-gcc; do
	command -v $cc >/dev/null || { skip "the plane by $cc" "there is no $cc here"; continue; }
	for how in -O0 -O2 "-O3 -DVENOM_PORTABLE"; do
		# shellcheck disable=SC2086
		$cc -std=gnu11 -Wall -Wextra -Werror $how -ffreestanding -nostdlib -Ilibvenom/src/plane -Ilibvenom/include -Ikmod/uapi -c -o "$tmp/all.o" "$tmp/all.c" 2>"$tmp/log" &&
			nm -u "$tmp/all.o" >"$tmp/log" && ! grep -q . "$tmp/log"
		explained $? "the plane by $cc $how needs no symbol of others"
	done
done

echo "1..$n"
exit $failed

/* SPDX-License-Identifier: MIT */
/*
 * Attacks the data plane within one process, for ThreadSanitizer, which can't see what two processes do to each other.
 *
 * ring, readers, slots: the inline functions of ring.h, readers.h and lane.h on plain memory, writer and reader in one
 * address space, so that both sides of each pair of barriers are seen at the same address.
 *
 * A race shows as the sanitizer's report; wrong answers and torn versions are checked for besides.
 */
#include <pthread.h>
#include <sched.h>
#include "lib/harness.h"
#include "plane.h"

#define SIZE 400 /* up to VENOM_COPY_SMALL the copies are atomics, which the sanitizer knows */

FIXTURE(plane)
{
	int unused;
};

FIXTURE_SETUP(plane)
{
}

FIXTURE_TEARDOWN(plane)
{
}

/* ---- the ring, on plain memory ---- */

struct bare_ring {
	struct venom_ring ring;
	uint32_t stop;
	uint64_t last, whole, spoiled;
};

static void *ring_writer(void *arg)
{
	struct bare_ring *b = arg;
	struct venom_version *buf;
	char data[SIZE];
	uint64_t v;

	for (v = 1; !load_acquire(&b->stop); v++) {
		size_t len = 8 + v % (SIZE - 7);

		vt_fill(data, len, (uint32_t)v);
		buf = venom_ring_begin(&b->ring, v);
		copy_to_shared(venom_ring_payload(&b->ring, buf), data, len);
		venom_ring_commit(&b->ring, buf, v, len, 0);
	}
	b->last = v - 1;
	return NULL;
}

static void *ring_reader(void *arg)
{
	struct bare_ring *b = arg;
	struct venom_claim c;
	char data[SIZE];
	uint64_t seen = 0, spoiled = 0;

	while (!load_acquire(&b->stop)) {
		if (venom_ring_pick(&b->ring, seen, &c) != VENOM_PICK_WHOLE || c.len > SIZE)
			continue;
		copy_from_shared(data, venom_ring_payload(&b->ring, c.buf), c.len);
		if (!venom_ring_check(&c)) {
			spoiled++;
			continue;
		}
		VT_CHECK(VENOM_SEQ_VERSION(c.seq) >= seen && vt_is(data, c.len, (uint32_t)VENOM_SEQ_VERSION(c.seq)));
		seen = VENOM_SEQ_VERSION(c.seq);
		fetch_add(&b->whole, 1);
	}
	fetch_add(&b->spoiled, spoiled);
	return NULL;
}

static const uint32_t versions[] = {1, 2, 3, 8};

TEST_F_TIMEOUT(plane, ring, 240)
{
	pthread_t thread[3];
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(versions); i++) {
		struct venom_geometry geo = {
			.versions = versions[i],
			.data_size = SIZE,
			.payload = sizeof(struct venom_version),
			.stride = 512,
			.first = 512,
		};
		void *area = aligned_alloc(64, 512 + 512 * versions[i]);
		struct bare_ring b = {.stop = 0};

		ASSERT_NE(NULL, area);
		memset(area, 0, 512 + 512 * versions[i]);
		venom_ring_init(&b.ring, area, &geo);
		for (k = 0; k < 3; k++)
			ASSERT_EQ(0, pthread_create(&thread[k], NULL, k ? ring_reader : ring_writer, &b));
		usleep((useconds_t)vt_scaled(400000));
		EXPECT_TRUE(VT_UNTIL(load_acquire(&b.whole))); /* on a busy machine that is not enough */
		store_release(&b.stop, 1);
		for (k = 0; k < 3; k++)
			ASSERT_EQ(0, pthread_join(thread[k], NULL));
		free(area);
		ksft_print_msg("%u buffers: %ju versions, %ju whole reads, %ju spoiled\n", versions[i],
			       (uintmax_t)b.last, (uintmax_t)b.whole, (uintmax_t)b.spoiled);
	}
}

/* ---- readers that the writer heeds, on plain memory ---- */

#define HOLDERS 2

struct bare_readers {
	struct venom_ring ring;
	struct venom_readers readers;
	struct venom_reader *at[HOLDERS + 1], reader[HOLDERS + 1]; /* the last is lossless */
	struct venom_commands cmd[HOLDERS + 1];
	uint32_t stop, next_who;
	uint64_t last, passed, holds, read;
};

/* A version is known by the number of versions before it. */
static void *heeding_writer(void *arg)
{
	struct bare_readers *b = arg;
	uint64_t version = 0, all, v;
	struct venom_version *buf;
	char data[SIZE];
	uint32_t n = 1, none = 0;

	while (!load_acquire(&b->stop)) {
		size_t len = 8 + n % (SIZE - 7);

		v = venom_ring_next(&b->ring, &b->readers, version);
		/* A holder that moved from one buffer to the next meanwhile may be seen at both. */
		if (!v) {
			VT_CHECK(++none < 100000);
			sched_yield();
			continue;
		}
		none = 0;
		if (v > b->ring.versions && venom_ring_owed(&b->readers, v - b->ring.versions, version, &all)) {
			sched_yield();
			continue;
		}
		buf = venom_ring_open(&b->ring, &b->readers, version, v);
		if (!buf)
			continue;
		vt_fill(data, len, n++);
		copy_to_shared(venom_ring_payload(&b->ring, buf), data, len);
		venom_ring_commit(&b->ring, buf, v, len, 0);
		b->passed += v - version - 1;
		version = v;
	}
	b->last = n - 1;
	return NULL;
}

/* The held bytes are read by plain loads: nobody writes there. */
static void *holder(void *arg)
{
	struct bare_readers *b = arg;
	__u64 *held = &b->cmd[fetch_add(&b->next_who, 1)].held;
	struct venom_claim c;
	uint64_t seen = 0;

	while (!load_acquire(&b->stop)) {
		if (venom_ring_pick(&b->ring, seen, &c) != VENOM_PICK_WHOLE)
			continue;
		if (venom_ring_hold(&c, held)) {
			VT_CHECK(VENOM_SEQ_VERSION(c.seq) >= seen && c.len <= SIZE);
			for (int i = 0; i < 3; i++)
				VT_CHECK(vt_whole(venom_ring_payload(&b->ring, c.buf), c.len, NULL));
			seen = VENOM_SEQ_VERSION(c.seq);
			fetch_add(&b->holds, 1);
		}
		venom_ring_release(held);
	}
	return NULL;
}

/* So are the bytes that the writer may not overwrite yet. */
static void *lossless(void *arg)
{
	struct bare_readers *b = arg;
	__u64 *cursor = &b->cmd[HOLDERS].cursor;
	uint64_t v = 0, latest;
	struct venom_claim c;
	uint32_t n = 1;

	while (!load_acquire(&b->stop)) {
		for (latest = venom_ring_latest(&b->ring); v < latest;) {
			venom_ring_claim(venom_ring_at(&b->ring, ++v), &c);
			if (c.seq == VENOM_SEQ_PASSED(v))
				continue;
			VT_CHECK(c.seq == VENOM_SEQ_WHOLE(v));
			VT_CHECK(vt_is(venom_ring_payload(&b->ring, c.buf), c.len, n++));
			venom_cursor_move(cursor, v);
		}
		sched_yield();
	}
	b->read = n - 1;
	return NULL;
}

TEST_F_TIMEOUT(plane, readers, 240)
{
	static const uint32_t of[] = {HOLDERS + 2, 8};
	void *(*const fn[])(void *) = {heeding_writer, lossless, holder, holder};
	pthread_t thread[HOLDERS + 2];
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(of); i++) {
		struct venom_geometry geo = {
			.versions = of[i],
			.data_size = SIZE,
			.payload = sizeof(struct venom_version),
			.stride = 512,
			.first = 512,
		};
		void *area = aligned_alloc(64, 512 + 512 * of[i]);
		struct bare_readers *b = aligned_alloc(64, (sizeof(*b) + 63) & ~63UL);

		ASSERT_TRUE(area && b);
		memset(area, 0, 512 + 512 * of[i]);
		memset(b, 0, sizeof(*b));
		venom_ring_init(&b->ring, area, &geo);
		b->readers = (struct venom_readers){.at = b->at, .n = HOLDERS + 1};
		for (k = 0; k <= HOLDERS; k++) {
			b->reader[k].cmd = &b->cmd[k];
			b->reader[k].roles = k < HOLDERS ? VENOM_ROLE_HOLDER : VENOM_ROLE_LOSSLESS;
			b->at[k] = &b->reader[k];
		}
		for (k = 0; k < HOLDERS + 2; k++)
			ASSERT_EQ(0, pthread_create(&thread[k], NULL, fn[k], b));
		usleep((useconds_t)vt_scaled(600000));
		EXPECT_TRUE(VT_UNTIL(load_acquire(&b->holds) && load_acquire(&b->cmd[HOLDERS].cursor) > 8));
		store_release(&b->stop, 1);
		for (k = 0; k < HOLDERS + 2; k++)
			ASSERT_EQ(0, pthread_join(thread[k], NULL));
		ksft_print_msg("%u buffers: %ju versions, %ju numbers passed over, %ju holds, %ju read in turn\n",
			       of[i], (uintmax_t)b->last, (uintmax_t)b->passed, (uintmax_t)b->holds,
			       (uintmax_t)b->read);
		EXPECT_GE(b->last, b->read);
		free(area);
		free(b);
	}
}

/* ---- slots, on plain memory ---- */

struct bare_lane {
	struct venom_slots slots;
	__u64 cursor __attribute__((aligned(64))); /* taken; as venom_responses.cursor */
	uint64_t count;
};

static void *lane_writer(void *arg)
{
	struct bare_lane *l = arg;
	char data[SIZE];
	uint64_t pos;

	for (pos = 0; pos < l->count; pos++) {
		size_t len = 8 + pos % (SIZE - 7);

		vt_fill(data, len, (uint32_t)pos);
		while (!venom_lane_left(pos, venom_lane_taken(&l->cursor), l->slots.mask + 1))
			sched_yield();
		venom_slot_fill(&l->slots, venom_slots_at(&l->slots, pos), pos + 1, data, (uint32_t)len, (uint32_t)pos,
				0);
	}
	return NULL;
}

static void *lane_reader(void *arg)
{
	struct bare_lane *l = arg;
	struct venom_slot *slot;
	char data[SIZE];
	uint64_t pos;
	uint32_t len;

	for (pos = 0; pos < l->count; pos++) {
		slot = venom_slots_at(&l->slots, pos);
		while (!venom_slot_ready(&l->slots, pos, pos + 1))
			sched_yield();
		len = load_relaxed(&slot->len);
		VT_CHECK(len == 8 + pos % (SIZE - 7) && load_relaxed(&slot->word) == (uint32_t)pos);
		copy_from_shared(data, venom_slot_data(&l->slots, slot), len);
		VT_CHECK(vt_is(data, len, (uint32_t)pos));
		venom_lane_advance(&l->cursor, pos + 1);
	}
	return NULL;
}

TEST_F_TIMEOUT(plane, slots, 240)
{
	static const uint32_t sizes[] = {1, 2, 7, 64};
	pthread_t thread[2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct venom_geometry geo = {.cmd_slots = sizes[i], .cmd_size = SIZE};
		uint64_t bytes = venom_commands_bytes(&geo);
		void *area = aligned_alloc(64, bytes);
		struct bare_lane l = {.count = vt_scaled(200000)};

		ASSERT_NE(NULL, area);
		memset(area, 0, bytes);
		venom_slots_init(&l.slots, area, sizes[i], sizeof(struct venom_slot), SIZE);
		ASSERT_EQ(0, pthread_create(&thread[0], NULL, lane_writer, &l));
		ASSERT_EQ(0, pthread_create(&thread[1], NULL, lane_reader, &l));
		ASSERT_EQ(0, pthread_join(thread[0], NULL));
		ASSERT_EQ(0, pthread_join(thread[1], NULL));
		free(area);
		EXPECT_EQ(l.count, l.cursor);
	}
	ksft_print_msg("%ju messages through each of %zu rings\n", (uintmax_t)vt_scaled(200000), ARRAY_SIZE(sizes));
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Attacks state.  What is published must be what is read, whole and under its number; nothing may be cut short or left
 * over, and a call that fails must leave its outputs alone.  The daemon is a process of its own, the reader is the
 * test.  torn.c tests torn reads beside a busy writer.
 */
#include <string.h>

#include "lib/harness.h"
#include "lib/peer.h"

#define SIZE   4096
#define POISON 0x5a

FIXTURE(state)
{
	struct vt_peer dm;
	struct venom_config *cfg;
	const char *name;
	struct venom_shell *s;
	char buf[SIZE + 64];
	uint64_t version;
};

FIXTURE_VARIANT(state)
{
	uint32_t versions;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(state, versions_1) { .versions = 1 };
FIXTURE_VARIANT_ADD(state, versions_2) { .versions = 2 };
FIXTURE_VARIANT_ADD(state, versions_3) { .versions = 3 };
FIXTURE_VARIANT_ADD(state, versions_8) { .versions = 8 };
/* clang-format on */

FIXTURE_SETUP(state)
{
	self->cfg = vt_config();
	self->cfg->data_size = SIZE;
	self->cfg->versions = variant->versions;
	self->name = vt_name();
	vt_start(&self->dm);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
	memset(self->buf, POISON, sizeof(self->buf));
	self->version = 99;
}

FIXTURE_TEARDOWN(state)
{
	venom_shell_close(self->s);
	EXPECT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_EQ(0, vt_stop(&self->dm));
}

#define read(self, size)      venom_shell_read((self)->s, (self)->buf, size, &(self)->version)
#define read_next(self, size) venom_shell_read_next((self)->s, (self)->buf, size, &(self)->version)
/* Nothing was given out: the outputs are unchanged. */
#define untouched(self) ((self)->version == 99 && vt_all((self)->buf, POISON, sizeof((self)->buf)))

TEST_F(state, nothing_published)
{
	struct venom_view view, before;

	memset(&view, POISON, sizeof(view));
	before = view;
	EXPECT_EQ(0, venom_shell_version(self->s));
	EXPECT_EQ(-ENODATA, read(self, SIZE));
	EXPECT_TRUE(untouched(self));
	EXPECT_EQ(-ENODATA, venom_shell_read_begin(self->s, &view));
	EXPECT_EQ(0, memcmp(&view, &before, sizeof(view)));
	EXPECT_EQ(0, venom_shell_wait(self->s, 0, 0));
	/* The next version is 1, which isn't there yet. */
	self->version = 0;
	EXPECT_EQ(-EAGAIN, read_next(self, SIZE));
	EXPECT_EQ(0, self->version);
	EXPECT_TRUE(vt_all(self->buf, POISON, sizeof(self->buf)));
}

TEST_F(state, read_gives_the_latest)
{
	uint32_t v;

	for (v = 1; v <= 40; v++) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, v, SIZE - v));
		ASSERT_EQ(SIZE - v, read(self, SIZE));
		ASSERT_EQ(v, self->version);
		ASSERT_EQ(v, venom_shell_version(self->s));
		ASSERT_TRUE(vt_is(self->buf, SIZE - v, v));
		/* A second read gives the same: reading takes nothing away. */
		ASSERT_EQ(SIZE - v, venom_shell_read(self->s, self->buf, SIZE, NULL));
	}
	/* Many versions later, a read still gives the latest. */
	for (; v <= 60; v++) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, v, 100));
	}
	EXPECT_EQ(100, read(self, SIZE));
	EXPECT_EQ(60, self->version);
	EXPECT_TRUE(vt_is(self->buf, 100, 60));
}

TEST_F(state, shorter_after_longer_has_no_old_tail)
{
	uint32_t v;

	for (v = 1; v <= 2 * variant->versions; v++) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, v, SIZE));
	}
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 7, 9));
	ASSERT_EQ(9, read(self, SIZE));
	EXPECT_TRUE(vt_is(self->buf, 9, 7));
	EXPECT_TRUE(vt_all(self->buf + 9, POISON, sizeof(self->buf) - 9));
	/* Length 0 is a version, too. */
	memset(self->buf, POISON, sizeof(self->buf));
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 7, 0));
	ASSERT_EQ(0, read(self, SIZE));
	EXPECT_EQ(2 * variant->versions + 2, self->version);
	EXPECT_TRUE(vt_all(self->buf, POISON, sizeof(self->buf)));
}

TEST_F(state, too_long_is_not_published)
{
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 3, SIZE));
	EXPECT_EQ(-EMSGSIZE, vt_call(&self->dm, pd_publish, 4, SIZE + 1));
	EXPECT_EQ(-EMSGSIZE, vt_call(&self->dm, pd_publish, 4, 3 * SIZE));
	EXPECT_EQ(SIZE, read(self, SIZE));
	EXPECT_EQ(1, self->version);
	EXPECT_TRUE(vt_is(self->buf, SIZE, 3));
	/* The next good publish is version 2: the failed ones used up no number. */
	EXPECT_EQ(0, vt_call(&self->dm, pd_publish, 5, 64));
	EXPECT_EQ(64, read(self, SIZE));
	EXPECT_EQ(2, self->version);
}

TEST_F(state, buffer_too_small)
{
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 3, 1000));
	EXPECT_EQ(-EMSGSIZE, read(self, 999));
	EXPECT_EQ(1000, venom_shell_needed(self->s));
	EXPECT_EQ(-EMSGSIZE, read(self, 0));
	EXPECT_EQ(1000, venom_shell_needed(self->s));
	EXPECT_TRUE(untouched(self));
	self->version = 0;
	EXPECT_EQ(-EMSGSIZE, read_next(self, 999));
	EXPECT_EQ(1000, venom_shell_needed(self->s));
	EXPECT_EQ(0, self->version);
	EXPECT_TRUE(vt_all(self->buf, POISON, sizeof(self->buf)));
	/* With the size that it asked for, both calls get it. */
	EXPECT_EQ(1000, read_next(self, 1000));
	EXPECT_EQ(1, self->version);
	EXPECT_EQ(1000, read(self, 1000));
	EXPECT_TRUE(vt_is(self->buf, 1000, 3));
	EXPECT_TRUE(vt_all(self->buf + 1000, POISON, sizeof(self->buf) - 1000));
}

TEST_F(state, read_next_gives_each_in_order)
{
	uint32_t n = variant->versions, v, round;

	self->version = 0;
	for (round = 0; round < 5; round++) {
		for (v = 1; v <= n; v++) {
			ASSERT_EQ(0, vt_call(&self->dm, pd_publish, round * n + v, 50 + v));
		}
		for (v = 1; v <= n; v++) {
			ASSERT_EQ(50 + v, read_next(self, SIZE));
			ASSERT_EQ(round * n + v, self->version);
			ASSERT_TRUE(vt_is(self->buf, 50 + v, round * n + v));
		}
		memset(self->buf, POISON, sizeof(self->buf));
		ASSERT_EQ(-EAGAIN, read_next(self, SIZE));
		ASSERT_EQ((round + 1) * n, self->version);
		ASSERT_TRUE(vt_all(self->buf, POISON, sizeof(self->buf)));
	}
}

TEST_F(state, lapped_reader_learns_how_many_it_missed)
{
	uint32_t n = variant->versions, v;
	struct venom_shell_stats before, after;

	self->version = 0;
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 20));
	ASSERT_EQ(20, read_next(self, SIZE));
	/* Versions 2 to n + 6: the ring holds the last n, so 2 to 6 are lost. */
	for (v = 2; v <= n + 6; v++) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, v, 20));
	}
	memset(self->buf, POISON, sizeof(self->buf));
	ASSERT_EQ(0, venom_shell_stats(self->s, &before));
	ASSERT_EQ(-EOVERFLOW, read_next(self, SIZE));
	EXPECT_EQ(1 + 5, self->version);
	EXPECT_TRUE(vt_all(self->buf, POISON, sizeof(self->buf)));
	ASSERT_EQ(0, venom_shell_stats(self->s, &after));
	EXPECT_EQ(5, after.overruns - before.overruns);
	for (v = 7; v <= n + 6; v++) {
		ASSERT_EQ(20, read_next(self, SIZE));
		ASSERT_EQ(v, self->version);
		ASSERT_TRUE(vt_is(self->buf, 20, v));
	}
	EXPECT_EQ(-EAGAIN, read_next(self, SIZE));
}

TEST_F(state, read_next_from_zero_starts_at_the_oldest)
{
	uint32_t n = variant->versions, v;

	for (v = 1; v <= n + 4; v++) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, v, 20));
	}
	self->version = 0;
	for (v = 5; v <= n + 4; v++) {
		ASSERT_EQ(20, read_next(self, SIZE));
		ASSERT_EQ(v, self->version);
		ASSERT_TRUE(vt_is(self->buf, 20, v));
	}
	/* A reader that starts at the latest version gets nothing old. */
	self->version = venom_shell_version(self->s);
	EXPECT_EQ(-EAGAIN, read_next(self, SIZE));
}

TEST_F(state, write_in_place)
{
	uint32_t n = variant->versions;

	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 11, 100));
	ASSERT_EQ(0, vt_call(&self->dm, pd_begin, 12, SIZE));
	/* The version is open: no shell sees it, and publish fails. */
	EXPECT_EQ(-EBUSY, vt_call(&self->dm, pd_publish, 13, 100));
	EXPECT_EQ(1, venom_shell_version(self->s));
	if (n == 1) {
		struct venom_shell_stats st;

		EXPECT_EQ(-EAGAIN, read(self, SIZE));
		EXPECT_TRUE(untouched(self));
		ASSERT_EQ(0, venom_shell_stats(self->s, &st));
		EXPECT_LT(0, st.last_tries);
	} else {
		EXPECT_EQ(100, read(self, SIZE));
		EXPECT_EQ(1, self->version);
		EXPECT_TRUE(vt_is(self->buf, 100, 11));
	}
	/* A commit that is too long fails: the version is still open, and can be committed with less. */
	EXPECT_EQ(-EMSGSIZE, vt_call(&self->dm, pd_commit, SIZE + 1));
	EXPECT_EQ(1, venom_shell_version(self->s));
	EXPECT_EQ(0, vt_call(&self->dm, pd_commit, SIZE));
	EXPECT_EQ(SIZE, read(self, SIZE));
	EXPECT_EQ(2, self->version);
	EXPECT_TRUE(vt_is(self->buf, SIZE, 12));
	EXPECT_EQ(-EINVAL, vt_call(&self->dm, pd_commit, 10));
	EXPECT_EQ(2, venom_shell_version(self->s));
	EXPECT_EQ(0, vt_call(&self->dm, pd_publish, 14, 30));
	EXPECT_EQ(30, read(self, SIZE));
	EXPECT_EQ(3, self->version);
}

static long begin_twice(long a, long b, long c)
{
	size_t capacity = 0;
	void *first = venom_daemon_write_begin(pd, &capacity), *again;

	VT_CHECK(first);
	VT_CHECK(capacity == SIZE);
	VT_CHECK(!((uintptr_t)first % 4096));
	vt_fill(first, SIZE, 21);
	again = venom_daemon_write_begin(pd, NULL);
	VT_CHECK(again == first);
	VT_CHECK(venom_daemon_version(pd) == 0);
	VT_CHECK(!venom_daemon_write_commit(pd, SIZE / 2));
	VT_CHECK(venom_daemon_version(pd) == 1);
	return a + b + c;
}

TEST_F(state, second_begin_gives_the_same_buffer)
{
	ASSERT_EQ(0, vt_call(&self->dm, begin_twice));
	EXPECT_EQ(SIZE / 2, read(self, SIZE));
	EXPECT_EQ(1, self->version);
	EXPECT_TRUE(vt_is(self->buf, SIZE / 2, 21));
}

TEST_F(state, read_in_place)
{
	uint32_t n = variant->versions, v;
	struct venom_view view;

	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 1000));
	ASSERT_EQ(0, venom_shell_read_begin(self->s, &view));
	EXPECT_EQ(1000, view.len);
	EXPECT_EQ(1, view.version);
	EXPECT_EQ(0, view.time_ns);
	EXPECT_TRUE(vt_is(view.data, 1000, 1));
	EXPECT_EQ(0, venom_shell_read_retry(self->s, &view));
	/* The view is good until the ring comes round to its buffer; from then on read_retry says that it is not. */
	for (v = 2; v <= n; v++) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, v, 1000));
		ASSERT_TRUE(vt_is(view.data, 1000, 1));
		ASSERT_EQ(0, venom_shell_read_retry(self->s, &view));
	}
	ASSERT_EQ(0, vt_call(&self->dm, pd_begin, v, 1000));
	EXPECT_EQ(-EAGAIN, venom_shell_read_retry(self->s, &view));
	ASSERT_EQ(0, vt_call(&self->dm, pd_commit, 1000));
	EXPECT_EQ(-EAGAIN, venom_shell_read_retry(self->s, &view));
	ASSERT_EQ(0, venom_shell_read_begin(self->s, &view));
	EXPECT_EQ(v, view.version);
	EXPECT_TRUE(vt_is(view.data, 1000, v));
	EXPECT_EQ(0, venom_shell_read_retry(self->s, &view));
}

TEST_F(state, two_readers_don_t_disturb_each_other)
{
	struct venom_shell *other;
	uint64_t a = 0, b = 0;

	ASSERT_EQ(0, venom_shell_connect(&other, self->name));
	EXPECT_NE(venom_shell_id(other), venom_shell_id(self->s));
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 77));
	EXPECT_EQ(77, venom_shell_read_next(other, self->buf, SIZE, &a));
	EXPECT_EQ(77, venom_shell_read_next(self->s, self->buf, SIZE, &b));
	EXPECT_EQ(-EAGAIN, venom_shell_read_next(other, self->buf, SIZE, &a));
	venom_shell_close(other);
	EXPECT_EQ(77, read(self, SIZE));
	EXPECT_TRUE(vt_is(self->buf, 77, 1));
}

/* ---- what the config changes ---- */

static int stamped(struct vt_peer *dm, uint32_t flags, struct venom_view *view)
{
	struct venom_config *cfg = vt_config();
	const char *name = vt_name();
	struct venom_shell *s;

	cfg->flags = flags;
	vt_start(dm);
	if (vt_call(dm, pd_create, name, cfg) || vt_call(dm, pd_publish, 1, 10) || venom_shell_connect(&s, name) ||
	    venom_shell_read_begin(s, view))
		return -1;
	venom_shell_close(s);
	vt_call(dm, pd_destroy);
	return vt_stop(dm);
}

TEST(versions_are_stamped_on_request)
{
	uint64_t before = vt_now();
	struct venom_view view;
	struct vt_peer dm;

	ASSERT_EQ(0, stamped(&dm, VENOM_STAMP, &view));
	EXPECT_LE(before, view.time_ns);
	EXPECT_GE(vt_now(), view.time_ns);
	ASSERT_EQ(0, stamped(&dm, 0, &view));
	EXPECT_EQ(0, view.time_ns);
}

static long aligned(long to, long b, long c)
{
	size_t capacity;
	void *buf = venom_daemon_write_begin(pd, &capacity);

	vt_fill(buf, capacity, 5);
	VT_CHECK(!((uintptr_t)buf % (uintptr_t)to));
	VT_CHECK(!venom_daemon_write_commit(pd, capacity));
	return (long)capacity + b + c;
}

TEST(sizes)
{
	static const uint64_t sizes[] = {1, 2, 31, 32, 33, 64, 511, 513, 4095, 4096, 4097, 3 << 20};
	char *buf = malloc((3 << 20) + 1);
	uint32_t versions;
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		struct venom_config *cfg = vt_config();
		uint64_t size = sizes[i / 2], version;
		const char *name = vt_name();
		struct venom_shell *s;
		struct vt_peer dm;
		uint32_t v;

		cfg->data_size = size;
		cfg->versions = versions = i % 2 ? 3 : 1;
		vt_start(&dm);
		ASSERT_EQ(0, vt_call(&dm, pd_create, name, cfg));
		ASSERT_EQ(0, venom_shell_connect(&s, name));
		for (v = 1; v < 2 * versions + 2; v++) {
			uint64_t len = v % 2 ? size : size / 2;

			memset(buf, POISON, size + 1);
			ASSERT_EQ(0, vt_call(&dm, pd_publish, v, len));
			ASSERT_EQ(len, venom_shell_read(s, buf, size, &version)) TH_LOG("size %lu", size);
			ASSERT_EQ(v, version);
			ASSERT_TRUE(vt_is(buf, len, v)) TH_LOG("size %lu", size);
			ASSERT_TRUE(vt_all(buf + len, POISON, size + 1 - len)) TH_LOG("size %lu", size);
		}
		EXPECT_EQ(-EMSGSIZE, vt_call(&dm, pd_publish, v, size + 1));
		EXPECT_EQ(size, vt_call(&dm, aligned, size >= 4096 ? 4096 : size > 48 ? 64 : 16));
		EXPECT_EQ(size, venom_shell_read(s, buf, size, NULL));
		EXPECT_TRUE(vt_is(buf, size, 5));
		venom_shell_close(s);
		vt_call(&dm, pd_destroy);
		ASSERT_EQ(0, vt_stop(&dm));
	}
	free(buf);
}

/* This much is copied past the caches: it must be whole all the same, at any address, and not a byte more. */
TEST(past_the_caches)
{
	const uint64_t size = (64 << 20) + 77;
	struct venom_config *cfg = vt_config();
	char *buf = malloc(size + 64), *at;
	const char *name = vt_name();
	struct venom_shell *s;
	struct vt_peer dm;
	uint32_t v;

	ASSERT_NE(NULL, buf);
	cfg->data_size = size;
	cfg->versions = 1;
	cfg->huge = VENOM_HUGE_NEVER;
	vt_start(&dm);
	ASSERT_EQ(0, vt_call(&dm, pd_create, name, cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, venom_shell_connect(&s, name));
	for (v = 1; v < 3; v++) {
		at = buf + 21 * v;
		memset(buf, POISON, size + 64);
		ASSERT_EQ(0, vt_call(&dm, pd_publish, v, size));
		ASSERT_EQ(size, venom_shell_read(s, at, size, NULL));
		EXPECT_TRUE(vt_is(at, size, v));
		EXPECT_TRUE(vt_all(buf, POISON, at - buf));
		EXPECT_TRUE(vt_all(at + size, POISON, buf + size + 64 - (at + size)));
	}
	venom_shell_close(s);
	vt_call(&dm, pd_destroy);
	EXPECT_EQ(0, vt_stop(&dm));
	free(buf);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Attacks state with the defects of the library that this one replaces: none of them may happen here.  Each test does
 * what brought its defect out there; the torture tests do the same for longer.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/fake.h" /* first: the harness takes ARRAY_SIZE from it */

#include "attack/defects.h"

/* Reading one value again and again was counted as traffic.  Here a version has a number, and is new once. */
TEST_F(defect, 02_rereads_are_not_traffic)
{
	struct venom_daemon_stats st;
	uint64_t next = 0, distinct = 0, last = 0;

	daemon_and_two_shells(self);
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 64));
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(64, venom_shell_read(self->s, self->buf, sizeof(self->buf), &self->version));
		distinct += self->version != last;
		last = self->version;
	}
	EXPECT_EQ(1, distinct);
	EXPECT_EQ(64, venom_shell_read_next(self->s, self->buf, sizeof(self->buf), &next));
	EXPECT_EQ(-EAGAIN, venom_shell_read_next(self->s, self->buf, sizeof(self->buf), &next));
	EXPECT_EQ(0, venom_shell_wait(self->s, last, 0));
	ASSERT_EQ(0, venom_stat(self->name, NULL, &st, NULL, NULL));
	EXPECT_EQ(1, st.versions);
}

/* A writer killed in mid-write hung every reader for ever. */
TEST_F(defect, 05_a_writer_killed_in_mid_write_hangs_nobody)
{
	vt_kill(&self->other, SIGKILL);
	for (int versions = 1; versions <= 3; versions++) {
		struct vt_peer dm;

		self->cfg->versions = (uint32_t)versions;
		self->name = vt_name();
		vt_start(&dm);
		ASSERT_EQ(0, vt_call(&dm, pd_create, self->name, self->cfg));
		ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
		ASSERT_EQ(0, vt_call(&dm, pd_publish, 1, 4096));
		ASSERT_EQ(0, vt_call(&dm, pd_begin, 2, 2000));
		vt_kill(&dm, SIGKILL);
		if (versions == 1) {
			EXPECT_EQ(-EOWNERDEAD, venom_shell_read(self->s, self->buf, sizeof(self->buf), NULL));
		} else {
			EXPECT_EQ(4096, venom_shell_read(self->s, self->buf, sizeof(self->buf), NULL));
			EXPECT_TRUE(vt_is(self->buf, 4096, 1));
		}
		EXPECT_EQ(-EPIPE, venom_shell_wait(self->s, 1, -1));
		venom_shell_close(self->s);
		self->s = NULL;
		snprintf(self->buf, sizeof(self->buf), "%s/%s", getenv("VENOM_RUNTIME_DIR"), self->name);
		unlink(self->buf);
	}
}

static long publish_until_told(long len, long b, long c)
{
	volatile bool *stop = (volatile bool *)vt_box;
	long v = 1;

	while (!*stop)
		VT_CHECK(pd_publish(v++ % 1000000 + 1, len, 0) == 0);
	return b + c;
}

/* Readers starved beside a busy writer: there was one read in the whole run, and no read had a bound. */
TEST_F(defect, 06_readers_don_t_starve)
{
	const size_t len = 1 << 20;
	char *buf = malloc(len);
	struct venom_shell_stats st;
	uint64_t most = 0;
	int whole = 0;

	self->cfg->data_size = len;
	self->cfg->versions = 8;
	daemon_and_two_shells(self);
	*vt_box = false;
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, len));
	vt_post(&self->dm, publish_until_told, len);
	for (int i = 0; i < 200; i++) {
		ssize_t n = venom_shell_read(self->s, buf, len, &self->version);

		ASSERT_TRUE(n == (ssize_t)len || n == -EAGAIN);
		whole += n == (ssize_t)len && vt_whole(buf, len, NULL);
		ASSERT_EQ(0, venom_shell_stats(self->s, &st));
		most = st.last_tries > most ? st.last_tries : most;
	}
	*vt_box = true;
	EXPECT_EQ(0, vt_result(&self->dm));
	free(buf);
	EXPECT_LE(190, whole) TH_LOG("%d of 200 reads got a version, in up to %lu tries", whole, (unsigned long)most);
}

/* A second create() of a name in use zeroed it, gave the same id again, truncated it, and unlinked it at its end. */
TEST_F(defect, 08_a_living_name_can_t_be_created_again)
{
	struct venom_config small = VENOM_CONFIG_INIT;
	struct venom_daemon *d = VT_POISON_D;
	struct venom_shell *more;

	self->cfg->data_size = 1 << 20;
	daemon_and_two_shells(self);
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 1 << 20));
	small.data_size = 1;
	EXPECT_EQ(-EBUSY, venom_daemon_create(&d, self->name, &small));
	EXPECT_EQ(-EBUSY, vt_call(&self->dm, pd_create, self->name, self->cfg));
	EXPECT_EQ(VT_POISON_D, d);
	/* Nothing was zeroed, truncated or unlinked, and no id is given twice. */
	EXPECT_EQ(1, vt_call(&self->sh, ps_read));
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 2, 1 << 20));
	EXPECT_EQ(2, vt_call(&self->other, ps_read));
	ASSERT_EQ(0, venom_shell_connect(&more, self->name));
	EXPECT_NE(venom_shell_id(more), vt_call(&self->sh, ps_id));
	EXPECT_NE(venom_shell_id(more), vt_call(&self->other, ps_id));
	EXPECT_NE(venom_shell_id(more), venom_shell_id(self->s));
	venom_shell_close(more);
}

static void wild_offsets(void)
{
	fake.state->geo.first = 1ull << 40;
	fake.state->geo.stride = 1ull << 50;
}

static void wild_sizes(void)
{
	fake.state->geo.data_size = 1ull << 40;
	fake.state->geo.versions = 60000;
}

/* connect() trusted any header: invalid offsets were a SIGSEGV in the reader. */
TEST_F(defect, 10_a_wild_header_is_refused)
{
	static void (*const lies[])(void) = {wild_offsets, wild_sizes};

	embedded_only();
	ASSERT_EQ(0, vt_call(&self->dm, fake_listen, self->name));
	for (int i = 0; i < 2; i++) {
		vt_post(&self->dm, fake_serve, lies[i]);
		EXPECT_EQ(-EPROTO, venom_shell_connect(&self->s, self->name));
		EXPECT_EQ(NULL, self->s);
		EXPECT_EQ(-1, vt_result(&self->dm));
		ASSERT_EQ(0, vt_call(&self->dm, fake_end));
	}
	/* A valid header is accepted; a later change of it is not read any more. */
	vt_post(&self->dm, fake_serve);
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
	ASSERT_EQ(0, vt_result(&self->dm));
	EXPECT_EQ(-ENODATA, venom_shell_read(self->s, self->buf, sizeof(self->buf), NULL));
	EXPECT_EQ(0, vt_call(&self->dm, fake_end));
	EXPECT_EQ(0, vt_call(&self->dm, fake_close, self->name));
}

static long maps_with(long perms, long b, long c)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	long n = 0;

	VT_CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (!vt_is_area(line) || !strstr(line, (const char *)perms))
			continue;
		n++;
		VT_CHECK(sscanf(line, "%lx-%lx", &from, &to) == 2);
		if (*(const char *)perms == 'r' && ((const char *)perms)[1] == '-')
			VT_CHECK(mprotect((void *)from, to - from, PROT_READ | PROT_WRITE) == -1);
	}
	fclose(f);
	return n + b + c;
}

/* Readers mapped everything writable.  (Other users could not connect at all: access.c tests that.) */
TEST_F(defect, 11_readers_can_t_write)
{
	daemon_and_two_shells(self);
	EXPECT_EQ(3, vt_call(&self->sh, maps_with, "r--s"));
	EXPECT_EQ(1, vt_call(&self->sh, maps_with, "rw-s")); /* its own commands */
}

/* "B" after "AAAAAAAA" was read as "BAAAAAAA", and what was too long was silently truncated. */
TEST_F(defect, 13_no_old_tail_and_nothing_cut)
{
	self->cfg->data_size = 16;
	daemon_and_two_shells(self);
	for (self->cfg->versions = 0; self->cfg->versions < 10; self->cfg->versions++) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 'A', 7));
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 'B', 1));
		memset(self->buf, 0, sizeof(self->buf));
		ASSERT_EQ(1, venom_shell_read(self->s, self->buf, sizeof(self->buf), NULL));
		ASSERT_STREQ("B", self->buf);
	}
	EXPECT_EQ(-EMSGSIZE, vt_call(&self->dm, pd_publish, 1, 17));
	EXPECT_EQ(1, venom_shell_read(self->s, self->buf, sizeof(self->buf), NULL));
	EXPECT_STREQ("B", self->buf);
}

#define RING_DATA 1024

struct ring_test {
	struct venom_ring ring;
	uint64_t last;
	uint64_t torn, whole;
};

static void *ring_writer(void *arg)
{
	struct ring_test *t = arg;
	char buf[RING_DATA];

	for (uint64_t v = 1; v <= t->last; v++) {
		struct venom_version *b;

		vt_fill(buf, 8 + v % (RING_DATA - 8), (uint32_t)v);
		b = venom_ring_begin(&t->ring, v);
		copy_to_shared(venom_ring_payload(&t->ring, b), buf, 8 + v % (RING_DATA - 8));
		venom_ring_commit(&t->ring, b, v, 8 + v % (RING_DATA - 8), 0);
	}
	return NULL;
}

static void *ring_reader(void *arg)
{
	struct ring_test *t = arg;
	uint64_t seen = 0;
	char buf[RING_DATA];

	while (seen < t->last) {
		struct venom_claim c;

		if (venom_ring_pick(&t->ring, seen, &c) != VENOM_PICK_WHOLE || c.len > RING_DATA)
			continue;
		copy_from_shared(buf, venom_ring_payload(&t->ring, c.buf), c.len);
		if (!venom_ring_check(&c))
			continue;
		seen = VENOM_SEQ_VERSION(c.seq);
		if (c.len == 8 + seen % (RING_DATA - 8) && vt_is(buf, c.len, (uint32_t)seen))
			__atomic_fetch_add(&t->whole, 1, __ATOMIC_RELAXED);
		else
			__atomic_fetch_add(&t->torn, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/*
 * Payload copies were data races by the language's memory model.  Here the library's own ring, its writer and two
 * readers share one address space, so that the thread sanitizer's build sees each access of both sides.
 */
TEST_F(defect, 16_payload_copies_don_t_race)
{
	for (uint32_t versions = 1; versions <= 3; versions++) {
		struct venom_config cfg = VENOM_CONFIG_INIT;
		struct ring_test t = {.last = vt_scaled(100000)};
		struct venom_geometry geo;
		pthread_t threads[3];
		void *mem;

		cfg.data_size = RING_DATA;
		cfg.versions = versions;
		venom_geometry_make(&geo, &cfg, 4096);
		mem = aligned_alloc(4096, venom_state_bytes(&geo));
		ASSERT_NE(NULL, mem);
		memset(mem, 0, venom_state_bytes(&geo));
		venom_ring_init(&t.ring, mem, &geo);
		ASSERT_EQ(0, pthread_create(&threads[0], NULL, ring_reader, &t));
		ASSERT_EQ(0, pthread_create(&threads[1], NULL, ring_reader, &t));
		ASSERT_EQ(0, pthread_create(&threads[2], NULL, ring_writer, &t));
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, pthread_join(threads[i], NULL));
		}
		EXPECT_EQ(0, t.torn);
		EXPECT_LT(0, t.whole);
		free(mem);
	}
}

TEST_HARNESS_MAIN

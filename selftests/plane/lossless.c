/* SPDX-License-Identifier: MIT */
/*
 * Attacks lossless readers.  They must miss nothing, whichever side is slower.  The publisher must wait for them, or
 * say that it can't go on, as the channel's config has it; and no death, no end and no reader that stands still may
 * keep it waiting.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"

#define SIZE	 20
#define VERSIONS 4
#define LIMIT	 (100 * VT_MS)

FIXTURE(lossless)
{
	struct vt_peer dm, reader;
	const char *name;
	struct venom_config *cfg;
	struct venom_shell *s;
	uint64_t version;
	char buf[SIZE];
};

FIXTURE_VARIANT(lossless)
{
	int64_t spin_ns;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(lossless, block) { .spin_ns = VENOM_SPIN_NONE };
FIXTURE_VARIANT_ADD(lossless, adaptive) { .spin_ns = VENOM_SPIN_ADAPTIVE };
FIXTURE_VARIANT_ADD(lossless, busy_poll) { .spin_ns = VENOM_SPIN_FOREVER };
/* clang-format on */

FIXTURE_SETUP(lossless)
{
	self->cfg = vt_config();
	self->cfg->versions = VERSIONS;
	self->cfg->flags = VENOM_LOSSLESS;
	self->cfg->limit_ns = 600 * VT_S;
	self->cfg->spin_ns = variant->spin_ns;
	self->name = vt_name();
	vt_start(&self->dm);
	vt_start(&self->reader);
}

FIXTURE_TEARDOWN(lossless)
{
	venom_shell_close(self->s);
	vt_stop(&self->reader);
	vt_call(&self->dm, pd_destroy);
	EXPECT_EQ(0, vt_stop(&self->dm));
}

#define set_up(self)                                                                      \
	do {                                                                              \
		ASSERT_EQ(0, vt_call(&(self)->dm, pd_create, (self)->name, (self)->cfg)); \
		ASSERT_EQ(0, venom_shell_connect(&(self)->s, (self)->name));              \
		ASSERT_EQ(0, venom_shell_lossless((self)->s, 1));                         \
	} while (0)

static struct venom_daemon_stats stats;

#define get_stats(self)                                              \
	do {                                                         \
		ASSERT_EQ(0, vt_call(&(self)->dm, pd_stats, vt_box)); \
		memcpy(&stats, vt_box, sizeof(stats));               \
	} while (0)

static long publish_many(long v, long n, long c)
{
	for (long i = 0; i < n; i++) {
		long rc = pd_publish(v + i, SIZE, c);

		if (rc)
			return rc;
	}
	return 0;
}

/* The next version must have this v. */
#define reads(self, v)                                                                                           \
	do {                                                                                                     \
		ASSERT_EQ(SIZE, venom_shell_read_next((self)->s, (self)->buf, SIZE, &(self)->version));           \
		EXPECT_TRUE(vt_is((self)->buf, SIZE, v));                                                        \
	} while (0)

TEST_F(lossless, needs_leave)
{
	struct venom_connect how = VENOM_CONNECT_INIT;
	struct venom_shell *s;

	self->cfg->flags = 0;
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
	EXPECT_EQ(-EPERM, venom_shell_lossless(self->s, 1));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "VENOM_LOSSLESS"));
	EXPECT_EQ(0, venom_shell_lossless(self->s, 0));
	how.flags = VENOM_CONNECT_LOSSLESS;
	EXPECT_EQ(-EPERM, venom_shell_connect_with(&s, self->name, &how));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "VENOM_LOSSLESS"));
	how.flags = 2;
	EXPECT_EQ(-EINVAL, venom_shell_connect_with(&s, self->name, &how));
	how.flags = 0;
	how.size = 4;
	EXPECT_EQ(-EINVAL, venom_shell_connect_with(&s, self->name, &how));
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 1, 3 * VERSIONS));
}

/* With full_ns 0 publish fails at once, and changes nothing. */
TEST_F(lossless, full)
{
	self->cfg->full_ns = 0;
	set_up(self);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 1, VERSIONS));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(-EAGAIN, vt_call(&self->dm, publish_many, 5, 1));
	}
	EXPECT_NE(0, vt_call(&self->dm, pd_begin, 5, SIZE));
	get_stats(self);
	EXPECT_EQ(4, stats.full);
	EXPECT_EQ(VERSIONS, stats.versions);
	EXPECT_EQ(0, stats.cut);
	reads(self, 1);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 5, 1));
	EXPECT_EQ(-EAGAIN, vt_call(&self->dm, publish_many, 6, 1));
	for (uint32_t v = 2; v <= 5; v++)
		reads(self, v);
	EXPECT_EQ(-EAGAIN, venom_shell_read_next(self->s, self->buf, SIZE, &self->version));
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 6, VERSIONS));
	/* A reader that moves its own cursor on counts as having read what it leaves out. */
	self->version = venom_shell_version(self->s);
	EXPECT_EQ(-EAGAIN, venom_shell_read_next(self->s, self->buf, SIZE, &self->version));
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 10, VERSIONS));
	EXPECT_EQ(-EAGAIN, vt_call(&self->dm, publish_many, 14, 1));
	/* Readers that are not lossless do not count. */
	ASSERT_EQ(0, vt_call(&self->reader, ps_connect, self->name));
	ASSERT_EQ(0, venom_shell_lossless(self->s, 0));
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 14, 100));
}

TEST_F(lossless, publish_waits)
{
	set_up(self);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 1, VERSIONS));
	for (uint32_t v = 1; v < 50; v++) {
		vt_post(&self->dm, publish_many, v + VERSIONS, 1);
		if (v % 8 == 1) {
			EXPECT_FALSE(vt_has_result(&self->dm, 20));
		}
		reads(self, v);
		ASSERT_EQ(0, vt_result(&self->dm));
	}
}

TEST_F(lossless, for_a_time)
{
	uint64_t began;

	self->cfg->full_ns = 20 * VT_MS;
	set_up(self);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 1, VERSIONS));
	began = vt_now();
	EXPECT_EQ(-EAGAIN, vt_call(&self->dm, publish_many, 5, 1));
	EXPECT_LE(20 * VT_MS, vt_now() - began);
	reads(self, 1);
	EXPECT_EQ(0, vt_call(&self->dm, publish_many, 5, 1));
}

/* Another reader blocks the publisher; what that reader does next must free the publisher at once. */
#define in_the_way(self)                                                                  \
	do {                                                                              \
		ASSERT_EQ(0, vt_call(&(self)->dm, pd_create, (self)->name, (self)->cfg)); \
		ASSERT_EQ(0, vt_call(&(self)->reader, ps_connect, (self)->name));         \
		ASSERT_EQ(0, vt_call(&(self)->reader, ps_lossless, 1));                   \
		ASSERT_EQ(0, vt_call(&(self)->dm, publish_many, 1, VERSIONS));            \
		vt_post(&(self)->dm, publish_many, VERSIONS + 1, 3 * VERSIONS);           \
		EXPECT_FALSE(vt_has_result(&(self)->dm, 30));                             \
	} while (0)

TEST_F(lossless, a_death_frees)
{
	in_the_way(self);
	vt_kill(&self->reader, SIGKILL);
	EXPECT_EQ(0, vt_result(&self->dm));
}

TEST_F(lossless, a_close_frees)
{
	in_the_way(self);
	ASSERT_EQ(0, vt_call(&self->reader, ps_close));
	EXPECT_EQ(0, vt_result(&self->dm));
}

TEST_F(lossless, to_turn_it_off_frees)
{
	in_the_way(self);
	ASSERT_EQ(0, vt_call(&self->reader, ps_lossless, 0));
	EXPECT_EQ(0, vt_result(&self->dm));
}

static void stop_it(int sig)
{
	(void)sig;
	venom_daemon_stop(pd);
}

static long pd_stop_on_signal(long a, long b, long c)
{
	signal(SIGUSR1, stop_it);
	return a + b + c;
}

TEST_F(lossless, a_stop_frees)
{
	ASSERT_EQ(0, vt_call(&self->dm, pd_stop_on_signal));
	in_the_way(self);
	kill(self->dm.pid, SIGUSR1);
	EXPECT_EQ(-ECANCELED, vt_result(&self->dm));
}

/*
 * A reader that reads nothing for the limit no longer counts, and learns what it has missed.  It counts again when it
 * reads.
 */
TEST_F(lossless, a_stop_is_limited)
{
	uint64_t began, before;

	self->cfg->limit_ns = LIMIT;
	set_up(self);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 1, VERSIONS));
	reads(self, 1);
	began = vt_now();
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, VERSIONS + 1, 3 * VERSIONS));
	EXPECT_LE(LIMIT, vt_now() - began);
	get_stats(self);
	EXPECT_EQ(1, stats.cut);
	EXPECT_EQ(1, stats.full);
	before = self->version;
	ASSERT_EQ(1, before);
	ASSERT_EQ(-EOVERFLOW, venom_shell_read_next(self->s, self->buf, SIZE, &self->version));
	EXPECT_EQ(3 * VERSIONS, self->version);
	for (uint32_t v = 1; v <= VERSIONS; v++)
		reads(self, 3 * VERSIONS + v);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 100, VERSIONS));
	vt_post(&self->dm, publish_many, 100 + VERSIONS, 1);
	EXPECT_FALSE(vt_has_result(&self->dm, 20));
	reads(self, 100);
	EXPECT_EQ(0, vt_result(&self->dm));
}

/*
 * A reader that is stopped for good costs the publisher the limit once, not once a version; the others miss nothing for
 * it.  When it goes on, it learns how many versions it has missed, and counts again.
 */
TEST_F(lossless, one_that_is_stopped_is_waited_for_once)
{
	const uint32_t many = (uint32_t)vt_scaled(2000);

	self->cfg->limit_ns = LIMIT;
	set_up(self);
	ASSERT_EQ(0, vt_call(&self->reader, ps_connect, self->name));
	ASSERT_EQ(0, vt_call(&self->reader, ps_lossless, 1));
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 1, VERSIONS));
	for (uint32_t v = 1; v <= VERSIONS; v++)
		reads(self, v);
	ASSERT_EQ(1, vt_call(&self->reader, ps_read_next));
	vt_halt(&self->reader);
	/* The second publish from here on overwrites a version that the stopped reader has not read. */
	for (uint32_t v = VERSIONS + 1; v <= many + VERSIONS; v++) {
		vt_post(&self->dm, publish_many, v, 1);
		ASSERT_EQ(0, vt_result(&self->dm));
		reads(self, v);
	}
	get_stats(self);
	EXPECT_EQ(1, stats.cut);
	EXPECT_EQ(1, stats.full);
	EXPECT_EQ(many + VERSIONS, stats.versions);
	ASSERT_EQ(0, kill(self->reader.pid, SIGCONT));
	ASSERT_EQ(-EOVERFLOW, vt_call(&self->reader, ps_read_next));
	EXPECT_EQ(many - 1, vt_call(&self->reader, ps_missed));
	/*
	 * The reader has been moved on, and counts.  If it stops now, the publisher waits until it reads or the limit
	 * is over.
	 */
	self->version = venom_shell_version(self->s);
	for (uint32_t v = 1; v <= VERSIONS; v++)
		ASSERT_EQ(many + v, vt_call(&self->reader, ps_read_next));
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, many + VERSIONS + 1, VERSIONS));
	for (uint32_t v = 1; v <= VERSIONS; v++)
		reads(self, many + VERSIONS + v);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, many + 2 * VERSIONS + 1, 1));
	get_stats(self);
	EXPECT_EQ(2, stats.full);
	EXPECT_EQ(2, stats.cut);
}

/* A reader that has been cut off and asks again counts from then on, as any other reader that asks. */
TEST_F(lossless, counts_again_when_it_asks_again)
{
	self->cfg->limit_ns = 1;
	self->cfg->full_ns = VT_S;
	set_up(self);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 1, VERSIONS));
	reads(self, 1);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 5, VERSIONS));
	get_stats(self);
	ASSERT_EQ(1, stats.cut);
	ASSERT_EQ(0, venom_shell_lossless(self->s, 0));
	ASSERT_EQ(0, venom_shell_lossless(self->s, 1));
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 9, VERSIONS));
	get_stats(self);
	EXPECT_EQ(1, stats.full);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 13, 1));
	get_stats(self);
	EXPECT_EQ(2, stats.full);
	EXPECT_EQ(2, stats.cut);
}

/* The time in which no publisher waited for the reader does not count against its limit. */
TEST_F(lossless, its_limit_begins_when_it_is_in_the_way)
{
	self->cfg->limit_ns = LIMIT;
	self->cfg->full_ns = 0;
	set_up(self);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 1, VERSIONS));
	EXPECT_EQ(-EAGAIN, vt_call(&self->dm, publish_many, 5, 1));
	ASSERT_EQ(0, venom_shell_lossless(self->s, 0));
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 5, VERSIONS));
	ASSERT_EQ(0, venom_shell_lossless(self->s, 1));
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 9, VERSIONS));
	vt_sleep_ms(2 * LIMIT / VT_MS);
	EXPECT_EQ(-EAGAIN, vt_call(&self->dm, publish_many, 13, 1));
	get_stats(self);
	EXPECT_EQ(0, stats.cut);
}

/* A cursor that moves to and fro is not progress. */
TEST_F(lossless, only_a_cursor_that_rises_counts)
{
	uint64_t end;

	self->cfg->limit_ns = LIMIT;
	self->cfg->full_ns = 0;
	set_up(self);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 1, VERSIONS));
	reads(self, 1);
	ASSERT_EQ(0, vt_call(&self->dm, publish_many, 5, 1));
	end = vt_now() + 5 * VT_S;
	for (uint64_t i = 0; vt_call(&self->dm, publish_many, 6, 1) && vt_now() < end; i++)
		__atomic_store_n(&self->s->cmd->cursor, i % 2, __ATOMIC_RELEASE);
	get_stats(self);
	EXPECT_EQ(1, stats.cut);
}

/* ---- streams ---- */

struct stream {
	const char *name;
	uint64_t n;
	uint64_t every; /* reads, or publishes, between two pauses */
	int64_t spin_ns;
	uint32_t ready;
};

/* Reads n versions, all in order. */
static int stream_reader(struct vt_peer *self, void *arg)
{
	struct stream *t = arg;
	struct venom_connect how = VENOM_CONNECT_INIT;
	struct venom_shell *s;
	uint64_t version = 0;
	char buf[SIZE];

	how.flags = VENOM_CONNECT_LOSSLESS;
	VT_CHECK(!venom_shell_connect_with(&s, t->name, &how));
	VT_CHECK(!venom_shell_set_spin(s, t->spin_ns));
	vt_signal(self);
	for (uint64_t i = 1; i <= t->n;) {
		ssize_t n = venom_shell_read_next(s, buf, SIZE, &version);

		if (n == -EAGAIN) {
			int rc = venom_shell_wait(s, version, -1);

			VT_CHECK(rc == 1 || rc == -EPIPE);
			continue;
		}
		VT_CHECK(n == SIZE && version == i && vt_is(buf, SIZE, (uint32_t)i));
		if (t->every && i % t->every == 0)
			usleep(200);
		i++;
	}
	venom_shell_close(s);
	return 0;
}

/* Reads on, until it is killed. */
static int stream_victim(struct vt_peer *self, void *arg)
{
	struct stream *t = arg;
	struct venom_shell *s;
	uint64_t version;
	char buf[SIZE];

	if (venom_shell_connect(&s, t->name) || venom_shell_lossless(s, 1))
		return 1;
	version = venom_shell_version(s);
	for (;;) {
		ssize_t rc = venom_shell_read_next(s, buf, SIZE, &version);

		if (rc == -EAGAIN)
			venom_shell_wait(s, version, 100 * VT_MS);
	}
	(void)self;
	return 1;
}

static void stream(const char *name, struct venom_config *cfg, uint64_t n, uint64_t read_every, uint64_t publish_every,
		   bool victims)
{
	struct stream *t = vt_shared(sizeof(*t));
	struct vt_peer reader[2], victim;
	struct venom_daemon *d;
	char buf[SIZE];
	int rc;

	if (cfg->spin_ns == VENOM_SPIN_FOREVER)
		n = n / 20 + 1; /* three processes spin, perhaps on two CPUs */
	*t = (struct stream){.name = name, .n = n, .every = read_every, .spin_ns = cfg->spin_ns};
	VT_CHECK(!venom_daemon_create(&d, name, cfg));
	for (int i = 0; i < 2; i++) {
		vt_spawn(&reader[i], stream_reader, t);
		VT_CHECK(!vt_await(&reader[i]));
	}
	VT_CHECK(VT_UNTIL(!venom_daemon_stats(d, &stats) && stats.clients == 2));
	if (victims)
		vt_spawn(&victim, stream_victim, t);
	for (uint64_t i = 1; i <= n; i++) {
		vt_fill(buf, SIZE, (uint32_t)i);
		rc = venom_daemon_publish(d, buf, SIZE);
		if (rc)
			ksft_print_msg("version %ju: %d\n", (uintmax_t)i, rc);
		VT_CHECK(!rc);
		if (publish_every && i % publish_every == 0)
			usleep(200);
		if (victims && i % 1024 == 0) {
			vt_kill(&victim, SIGKILL);
			vt_spawn(&victim, stream_victim, t);
		}
	}
	/* All that is there can be read, whatever becomes of the daemon. */
	if (victims)
		vt_kill(&victim, SIGKILL);
	VT_CHECK(!venom_daemon_stats(d, &stats) && !stats.cut && stats.versions == n);
	venom_daemon_destroy(d);
	for (int i = 0; i < 2; i++)
		VT_CHECK(!vt_wait(&reader[i]));
}

TEST_F(lossless, slow_reader)
{
	stream(self->name, self->cfg, vt_scaled(5000), 64, 0, false);
}

TEST_F(lossless, slow_writer)
{
	stream(self->name, self->cfg, vt_scaled(5000), 0, 64, false);
}

TEST_F(lossless, at_full_speed)
{
	self->cfg->versions = 64;
	stream(self->name, self->cfg, vt_scaled(100000), 0, 0, false);
}

TEST_F(lossless, one_buffer)
{
	self->cfg->versions = 1;
	stream(self->name, self->cfg, vt_scaled(1000), 0, 0, false);
}

TEST_F(lossless, beside_the_dying)
{
	self->cfg->versions = 16;
	stream(self->name, self->cfg, vt_scaled(10000), 0, 0, true);
}

TEST_HARNESS_MAIN

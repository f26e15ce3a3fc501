/* SPDX-License-Identifier: MIT */
/*
 * Attacks versions that are held in place.  They must stay whole for as long as their shell likes, while the daemon
 * publishes.  The daemon must never wait for a holder, and may fail only where holders have every buffer but the latest
 * version's.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include "lib/harness.h"
#include "lib/peer.h"

#define SIZE	20
#define LARGE	65536
#define HOLDERS 8

FIXTURE(hold)
{
	struct vt_peer dm;
	const char *name;
	struct venom_config *cfg;
	struct venom_shell *s, *more[HOLDERS];
	struct venom_view view;
};

FIXTURE_SETUP(hold)
{
	self->cfg = vt_config();
	self->cfg->versions = 3;
	self->cfg->data_size = LARGE;
	self->name = vt_name();
	vt_start(&self->dm);
}

FIXTURE_TEARDOWN(hold)
{
	venom_shell_close(self->s);
	for (int i = 0; i < HOLDERS; i++)
		venom_shell_close(self->more[i]);
	vt_call(&self->dm, pd_destroy);
	EXPECT_EQ(0, vt_stop(&self->dm));
}

#define set_up(self)                                                                      \
	do {                                                                              \
		ASSERT_EQ(0, vt_call(&(self)->dm, pd_create, (self)->name, (self)->cfg)); \
		ASSERT_EQ(0, venom_shell_connect(&(self)->s, (self)->name));              \
	} while (0)

static struct venom_daemon_stats stats;

/* Publishes n versions, from v on; returns the number of the last version, or an errno. */
static long publish_many(long v, long n, long len)
{
	for (long i = 0; i < n; i++) {
		long rc = pd_publish(v + i, len, 0);

		if (rc)
			return rc;
	}
	return (long)venom_daemon_version(pd);
}

TEST_F(hold, stays_whole)
{
	struct venom_view other;

	set_up(self);
	EXPECT_EQ(-ENODATA, venom_shell_hold(self->s, 0, &self->view));
	EXPECT_EQ(-EINVAL, venom_shell_release(self->s));
	ASSERT_EQ(1, vt_call(&self->dm, publish_many, 1, 1, LARGE));
	ASSERT_EQ(0, venom_shell_hold(self->s, 0, &self->view));
	EXPECT_EQ(1, self->view.version);
	ASSERT_EQ(LARGE, self->view.len);
	EXPECT_TRUE(vt_is(self->view.data, LARGE, 1));
	EXPECT_EQ(-EBUSY, venom_shell_hold(self->s, 0, &other));
	/* A held version stays for any number of laps. */
	for (int i = 0; i < 100; i++) {
		ASSERT_LT(0, vt_call(&self->dm, publish_many, 2 + i, 1, LARGE));
		ASSERT_TRUE(vt_is(self->view.data, LARGE, 1));
	}
	ASSERT_EQ(0, venom_shell_release(self->s));
	ASSERT_EQ(0, venom_shell_hold(self->s, 0, &self->view));
	EXPECT_TRUE(vt_is(self->view.data, LARGE, 101));
	EXPECT_EQ(0, venom_shell_release(self->s));
	EXPECT_EQ(-EINVAL, venom_shell_release(self->s));
}

/* Version numbers are passed over, but readers of all kinds go on: they miss no version for it, and read none twice. */
TEST_F(hold, others_read_on)
{
	static char buf[LARGE];
	uint64_t version = 0, last = 0, in_order = 0, waited = 0;
	struct venom_shell_stats st;

	set_up(self);
	ASSERT_EQ(0, venom_shell_connect(&self->more[0], self->name));
	ASSERT_EQ(1, vt_call(&self->dm, publish_many, 1, 1, SIZE));
	ASSERT_EQ(0, venom_shell_hold(self->s, 0, &self->view));
	for (uint32_t v = 1; v < 300; v++) {
		ssize_t n;

		if (v > 1)
			ASSERT_LT(0, vt_call(&self->dm, publish_many, v, 1, SIZE));
		ASSERT_EQ(1, venom_shell_wait(self->more[0], waited, 0));
		ASSERT_EQ(SIZE, venom_shell_read(self->more[0], buf, sizeof(buf), &last));
		ASSERT_TRUE(vt_is(buf, SIZE, v));
		waited = last;
		ASSERT_EQ(0, venom_shell_wait(self->more[0], waited, 0));
		n = venom_shell_read_next(self->more[0], buf, sizeof(buf), &version);
		ASSERT_EQ(SIZE, n) TH_LOG("version %u: %zd", v, n);
		ASSERT_TRUE(vt_is(buf, SIZE, v));
		ASSERT_EQ(last, version);
		in_order++;
		ASSERT_EQ(-EAGAIN, venom_shell_read_next(self->more[0], buf, sizeof(buf), &version));
	}
	EXPECT_EQ(299, in_order);
	EXPECT_TRUE(vt_is(self->view.data, SIZE, 1));
	ASSERT_EQ(0, venom_shell_stats(self->more[0], &st));
	EXPECT_EQ(0, st.overruns);
	ASSERT_EQ(0, vt_call(&self->dm, pd_stats, vt_box));
	memcpy(&stats, vt_box, sizeof(stats));
	EXPECT_EQ(last - 299, stats.passed);
	EXPECT_LT(100, stats.passed);
	EXPECT_EQ(0, stats.held_up);
}

TEST_F(hold, a_given_version)
{
	struct venom_view before;

	set_up(self);
	ASSERT_EQ(2, vt_call(&self->dm, publish_many, 1, 2, SIZE));
	memset(&self->view, 0x5a, sizeof(self->view));
	before = self->view;
	EXPECT_EQ(-EAGAIN, venom_shell_hold(self->s, 3, &self->view));
	EXPECT_EQ(0, memcmp(&before, &self->view, sizeof(before)));
	ASSERT_EQ(0, venom_shell_hold(self->s, 1, &self->view));
	EXPECT_TRUE(vt_is(self->view.data, SIZE, 1));
	/* Version 3 is in the third buffer; 4 would overwrite the held version; 5 is where 2 was. */
	ASSERT_EQ(3, vt_call(&self->dm, publish_many, 3, 1, SIZE));
	ASSERT_EQ(5, vt_call(&self->dm, publish_many, 5, 1, SIZE));
	ASSERT_EQ(0, venom_shell_release(self->s));
	EXPECT_EQ(-ESTALE, venom_shell_hold(self->s, 1, &self->view));
	EXPECT_EQ(-ESTALE, venom_shell_hold(self->s, 2, &self->view));
	EXPECT_EQ(-ESTALE, venom_shell_hold(self->s, 4, &self->view));
	EXPECT_EQ(-EAGAIN, venom_shell_hold(self->s, 6, &self->view));
	ASSERT_EQ(0, venom_shell_hold(self->s, 3, &self->view));
	EXPECT_TRUE(vt_is(self->view.data, SIZE, 3));
}

/* With as many holders as possible each has its own version, and the daemon uses the last two buffers by turns. */
TEST_F(hold, many)
{
	struct venom_view view[HOLDERS];

	self->cfg->versions = HOLDERS + 2;
	set_up(self);
	for (int i = 0; i < HOLDERS; i++) {
		ASSERT_EQ(0, venom_shell_connect(&self->more[i], self->name));
		ASSERT_LT(0, vt_call(&self->dm, publish_many, i + 1, 1, LARGE));
		ASSERT_EQ(0, venom_shell_hold(self->more[i], 0, &view[i]));
	}
	EXPECT_EQ(-EUSERS, venom_shell_hold(self->s, 0, &self->view));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "max_holders (8)"));
	ASSERT_LT(0, vt_call(&self->dm, publish_many, 100, 50, LARGE));
	for (int i = 0; i < HOLDERS; i++) {
		EXPECT_TRUE(vt_is(view[i].data, LARGE, (uint32_t)i + 1));
	}
	/* A shell keeps the right to hold until it closes. */
	ASSERT_EQ(0, venom_shell_release(self->more[0]));
	EXPECT_EQ(-EUSERS, venom_shell_hold(self->s, 0, &self->view));
	venom_shell_close(self->more[0]);
	self->more[0] = NULL;
	EXPECT_TRUE(VT_UNTIL(!venom_shell_hold(self->s, 0, &self->view)));
	EXPECT_TRUE(vt_is(self->view.data, LARGE, 149));
}

/* The config allows more holders than buffers: publish fails and counts it, and goes on when a version is released. */
TEST_F(hold, all_but_the_latest)
{
	char buf[SIZE];

	self->cfg->max_holders = 2;
	set_up(self);
	ASSERT_EQ(0, venom_shell_connect(&self->more[0], self->name));
	ASSERT_EQ(3, vt_call(&self->dm, publish_many, 1, 3, SIZE));
	ASSERT_EQ(0, venom_shell_hold(self->s, 1, &self->view));
	ASSERT_EQ(0, venom_shell_hold(self->more[0], 2, &self->view));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(-EAGAIN, vt_call(&self->dm, publish_many, 4, 1, SIZE));
		EXPECT_EQ(-EAGAIN, vt_call(&self->dm, pd_begin, 4, SIZE) ? -EAGAIN : 0);
		EXPECT_EQ(SIZE, venom_shell_read(self->more[0], buf, SIZE, NULL));
		EXPECT_TRUE(vt_is(buf, SIZE, 3));
	}
	ASSERT_EQ(0, vt_call(&self->dm, pd_stats, vt_box));
	memcpy(&stats, vt_box, sizeof(stats));
	EXPECT_EQ(6, stats.held_up);
	EXPECT_EQ(3, stats.versions);
	EXPECT_TRUE(vt_is(self->view.data, SIZE, 2));
	ASSERT_EQ(0, venom_shell_release(self->s));
	EXPECT_EQ(4, vt_call(&self->dm, publish_many, 4, 1, SIZE));
	EXPECT_EQ(SIZE, venom_shell_read(self->more[0], buf, SIZE, NULL));
	EXPECT_TRUE(vt_is(buf, SIZE, 4));
}

TEST_F(hold, without_leave)
{
	self->cfg->max_holders = VENOM_HOLDERS_NONE;
	set_up(self);
	ASSERT_EQ(1, vt_call(&self->dm, publish_many, 1, 1, SIZE));
	EXPECT_EQ(-EUSERS, venom_shell_hold(self->s, 0, &self->view));
	vt_call(&self->dm, pd_destroy);
	self->cfg->max_holders = 1;
	self->cfg->versions = 1;
	EXPECT_EQ(-EINVAL, vt_call(&self->dm, pd_create, self->name, self->cfg));
	EXPECT_NE(NULL, strstr(vt_errmsg, "max_holders"));
}

static long ps_hold(long version, long b, long c)
{
	struct venom_view view;

	return venom_shell_hold(ps, (uint64_t)version, &view) + b + c;
}

/* The holder's death ends the hold at once. */
TEST_F(hold, until_death)
{
	struct vt_peer holder;

	set_up(self);
	vt_start(&holder);
	ASSERT_EQ(0, vt_call(&holder, ps_connect, self->name));
	ASSERT_EQ(1, vt_call(&self->dm, publish_many, 1, 1, SIZE));
	ASSERT_EQ(0, vt_call(&holder, ps_hold, 0));
	EXPECT_EQ(-EUSERS, venom_shell_hold(self->s, 0, &self->view));
	vt_kill(&holder, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(!venom_shell_hold(self->s, 0, &self->view)));
	/* The dead shell's buffer is used again. */
	ASSERT_EQ(0, venom_shell_release(self->s));
	ASSERT_LT(0, vt_call(&self->dm, publish_many, 2, 10, SIZE));
	ASSERT_EQ(0, vt_call(&self->dm, pd_stats, vt_box));
	memcpy(&stats, vt_box, sizeof(stats));
	EXPECT_EQ(0, stats.held_up);
}

TEST_F(hold, past_the_daemon_s_death)
{
	set_up(self);
	ASSERT_EQ(2, vt_call(&self->dm, publish_many, 1, 2, LARGE));
	ASSERT_EQ(0, venom_shell_hold(self->s, 1, &self->view));
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_TRUE(VT_UNTIL(!venom_shell_alive(self->s)));
	EXPECT_TRUE(vt_is(self->view.data, LARGE, 1));
	ASSERT_EQ(0, venom_shell_release(self->s));
	ASSERT_EQ(0, venom_shell_hold(self->s, 0, &self->view));
	EXPECT_TRUE(vt_is(self->view.data, LARGE, 2));
}

/* A writer at full speed, and holders that look at a version for a while: what they see must never change. */
struct busy {
	const char *name;
	uint32_t stop;
	uint64_t holds;
	uint32_t looking; /* holders that have held a version */
};

static int busy_holder(struct vt_peer *self, void *arg)
{
	struct busy *b = arg;
	struct venom_shell *s;
	struct venom_view view;
	uint64_t rnd = vt_seed(), last = 0, holds = 0;

	VT_CHECK(!venom_shell_connect(&s, b->name));
	vt_signal(self);
	while (!__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE)) {
		uint32_t v;
		int rc = venom_shell_hold(s, 0, &view);

		VT_CHECK(rc == 0 || rc == -EAGAIN || rc == -ENODATA);
		if (rc)
			continue;
		VT_CHECK(view.version >= last);
		last = view.version;
		for (uint64_t looks = 1 + vt_rand(&rnd) % 4; looks; looks--)
			VT_CHECK(vt_whole(view.data, view.len, &v));
		VT_CHECK(!venom_shell_release(s));
		if (!holds++)
			__atomic_fetch_add(&b->looking, 1, __ATOMIC_RELAXED);
	}
	__atomic_fetch_add(&b->holds, holds, __ATOMIC_RELAXED);
	venom_shell_close(s);
	return 0;
}

TEST_F(hold, beside_a_busy_writer)
{
	struct busy *b = vt_shared(sizeof(*b));
	struct vt_peer holder[HOLDERS];
	struct venom_daemon *d;
	static char buf[LARGE];
	uint64_t end;

	self->cfg->versions = HOLDERS + 2;
	ASSERT_EQ(0, venom_daemon_create(&d, self->name, self->cfg));
	b->name = self->name;
	for (int i = 0; i < HOLDERS; i++) {
		vt_spawn(&holder[i], busy_holder, b);
		ASSERT_EQ(0, vt_await(&holder[i]));
	}
	end = vt_now() + vt_scaled(3000) * VT_MS;
	for (uint32_t v = 1; vt_now() < end || __atomic_load_n(&b->looking, __ATOMIC_RELAXED) < HOLDERS; v++) {
		size_t len = 8 + v * 641 % (LARGE - 8);

		vt_fill(buf, len, v);
		ASSERT_EQ(0, venom_daemon_publish(d, buf, len));
	}
	__atomic_store_n(&b->stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < HOLDERS; i++)
		EXPECT_EQ(0, vt_wait(&holder[i]));
	ASSERT_EQ(0, venom_daemon_stats(d, &stats));
	ksft_print_msg("%ju versions, %ju holds, %ju numbers passed over\n", (uintmax_t)stats.versions, (uintmax_t)b->holds,
		       (uintmax_t)stats.passed);
	EXPECT_LT(0, b->holds);
	EXPECT_EQ(0, stats.held_up);
	venom_daemon_destroy(d);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * A daemon dies and another resumes its channel, both with the library: shells stay, the state stays, and no command is
 * lost or delivered twice. The kernel's part of it, without the library: takeover.c.
 */
#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"
#include "kmod/common.h"

__attribute__((constructor)) static void set_up_resume(void)
{
	setenv("VENOM_BACKEND", "dev", 1);
}

FIXTURE(library)
{
	struct venom_config *cfg;
	const char *name;
	struct vt_peer dm, next, third, sh;
	struct venom_shell *s;
	uint64_t version;
	struct venom_info info;
	char buf[256];
};

FIXTURE_VARIANT(library)
{
	uint32_t versions;
	bool torn; /* the daemon dies between write_begin and write_commit */
	bool later; /* shells ask for open requests only after the next daemon is there */
	int64_t spin_ns;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(library, ring) { .versions = 4 };
FIXTURE_VARIANT_ADD(library, ring_torn) { .versions = 4, .torn = true, .later = true };
FIXTURE_VARIANT_ADD(library, ring_spin) { .versions = 2, .spin_ns = VENOM_SPIN_FOREVER, .later = true };
FIXTURE_VARIANT_ADD(library, one) { .versions = 1, .later = true };
FIXTURE_VARIANT_ADD(library, one_torn) { .versions = 1, .torn = true };
/* clang-format on */

static long l_version(long a, long b, long c)
{
	return (long)venom_daemon_version(pd) + a + b + c;
}

static long l_info(long out, long b, long c)
{
	return venom_shell_info(ps, (struct venom_info *)out) + b + c;
}

static long l_hold(long a, long b, long c)
{
	struct venom_view view;

	return venom_shell_hold(ps, 0, &view) + a + b + c;
}

FIXTURE_SETUP(library)
{
	self->cfg = vt_config();
	self->cfg->flags = VENOM_RESUME;
	self->cfg->versions = variant->versions;
	self->cfg->max_holders = variant->versions > 2 ? 1 : VENOM_HOLDERS_AUTO;
	self->cfg->spin_ns = variant->spin_ns;
	self->cfg->huge = VENOM_HUGE_NEVER;
	self->cfg->cmd_slots = 16;
	self->name = vt_name();
	vt_start(&self->dm);
	vt_start(&self->next);
	vt_start(&self->third);
	vt_start(&self->sh);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	for (int v = 1; v <= 3; v++) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, v, 100));
	}
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
	ASSERT_EQ(0, venom_shell_set_spin(self->s, variant->spin_ns));
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->sh, ps_set_spin, variant->spin_ns));
}

FIXTURE_TEARDOWN(library)
{
	venom_shell_close(self->s);
	vt_kill(&self->sh, SIGKILL);
	vt_kill(&self->third, SIGKILL);
	vt_kill(&self->next, SIGKILL);
	vt_kill(&self->dm, SIGKILL);
}

static int send_v(struct venom_shell *s, uint32_t v)
{
	char buf[20];

	vt_fill(buf, sizeof(buf), v);
	return venom_shell_send(s, buf, sizeof(buf));
}

static int submit_v(struct venom_shell *s, uint32_t v, uint64_t *tag)
{
	char buf[20];

	vt_fill(buf, sizeof(buf), v);
	return venom_shell_submit(s, buf, sizeof(buf), tag);
}

/* After its daemon's death a shell can read, and no more. */
static void check_dead(struct venom_shell *s)
{
	char buf[20];
	uint64_t tag;

	VT_CHECK(VT_UNTIL(!venom_shell_alive(s)));
	VT_CHECK(send_v(s, 1) == -EPIPE);
	VT_CHECK(submit_v(s, 1, &tag) == -EPIPE);
	VT_CHECK(venom_shell_request(s, buf, 1, buf, 1, -1) == -EPIPE);
	VT_CHECK(venom_shell_wait(s, 1000, -1) == -EPIPE);
	VT_CHECK(venom_shell_room(s, -1) == -EPIPE);
}

TEST_F(library, it_goes_on)
{
	uint64_t taken, left, tag;
	bool readable = variant->versions > 1 || !variant->torn;

	/* 1 to 3 are taken, one of them a request; 4 to 6 are not, one of them a request. */
	ASSERT_EQ(0, send_v(self->s, 1));
	ASSERT_EQ(0, send_v(self->s, 2));
	ASSERT_EQ(0, submit_v(self->s, 3, &taken));
	ASSERT_EQ(0, send_v(self->s, 4));
	ASSERT_EQ(0, submit_v(self->s, 5, &left));
	ASSERT_EQ(0, send_v(self->s, 6));
	for (int v = 1; v <= 3; v++) {
		ASSERT_EQ(v, vt_call(&self->dm, pd_receive, -1));
	}
	if (variant->torn) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_begin, 9, 100));
	}
	vt_post(&self->sh, ps_wait, 3, -1);
	vt_kill(&self->dm, SIGKILL);
	EXPECT_EQ(-EPIPE, vt_result(&self->sh));
	check_dead(self->s);
	memset(self->buf, 0x5a, sizeof(self->buf));
	for (int when = 0; when < 2; when++) {
		if (when) {
			ASSERT_EQ(0, vt_call(&self->next, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
		}
		if (when != variant->later)
			continue;
		tag = taken;
		EXPECT_EQ(-ECONNRESET, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
		tag = left;
		EXPECT_EQ(-EPIPE, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
		tag = VENOM_ANY;
		EXPECT_EQ(-EINVAL, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
		EXPECT_TRUE(vt_all(self->buf, 0x5a, sizeof(self->buf)));
	}
	/* The last daemon's state stays until there is a newer one. */
	EXPECT_EQ(1, venom_shell_alive(self->s));
	EXPECT_LE(3, vt_call(&self->next, l_version));
	if (readable) {
		EXPECT_EQ(3, vt_call(&self->next, l_version));
		EXPECT_EQ(100, venom_shell_read(self->s, self->buf, sizeof(self->buf), &self->version));
		EXPECT_EQ(3, self->version);
		EXPECT_TRUE(vt_is(self->buf, 100, 3));
		EXPECT_EQ(3, vt_call(&self->sh, ps_read));
	} else {
		EXPECT_EQ(-EAGAIN, venom_shell_read(self->s, self->buf, sizeof(self->buf), NULL));
	}
	ASSERT_EQ(0, venom_shell_info(self->s, &self->info));
	EXPECT_EQ(2, self->info.epoch);
	EXPECT_EQ(self->next.pid, self->info.pid);
	EXPECT_EQ(1, self->info.alive);
	/* The commands that were not taken come now, in order and once; but no request that has failed. */
	EXPECT_EQ(4, vt_call(&self->next, pd_receive, -1));
	EXPECT_EQ(6, vt_call(&self->next, pd_receive, -1));
	EXPECT_EQ(0, vt_call(&self->next, pd_receive, 30));
	/* All works as before: state, commands, requests, waits. */
	vt_post(&self->sh, ps_wait, vt_call(&self->next, l_version), -1);
	EXPECT_FALSE(vt_has_result(&self->sh, 10));
	ASSERT_EQ(0, vt_call(&self->next, pd_publish, 7, 100));
	EXPECT_EQ(1, vt_result(&self->sh));
	EXPECT_EQ(100, venom_shell_read(self->s, self->buf, sizeof(self->buf), &self->version));
	EXPECT_TRUE(vt_is(self->buf, 100, 7));
	EXPECT_EQ(self->version, vt_call(&self->next, l_version));
	EXPECT_LT(3, self->version);
	if (readable) {
		EXPECT_EQ(4, self->version);
	}
	EXPECT_EQ(0, send_v(self->s, 8));
	EXPECT_EQ(8, vt_call(&self->next, pd_receive, -1));
	for (int v = 10; v < 20; v++) {
		vt_post(&self->next, pd_echo, 2);
		vt_fill(self->buf, 20, v);
		EXPECT_EQ(20, venom_shell_request(self->s, self->buf, 20, self->buf, sizeof(self->buf), -1));
		EXPECT_TRUE(vt_is(self->buf, 20, v));
		EXPECT_EQ(v, vt_call(&self->sh, ps_request, v, 20, -1));
		EXPECT_EQ(0, vt_result(&self->next));
	}
	EXPECT_EQ(0, vt_call(&self->next, pd_receive, 0));
}

/* No command comes twice, however many daemons come and go. */
TEST_F(library, again_and_again)
{
	struct vt_peer dm = self->dm, next;
	int sent = 0, got = 0, version = 3;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 9; i++) {
			ASSERT_EQ(0, send_v(self->s, ++sent));
		}
		vt_post(&self->sh, ps_request, 1000, 20, -1);
		for (int i = 0; i < 3 + round; i++) {
			ASSERT_LE(1, (int)(vt_call(&dm, pd_receive, -1)));
		}
		/* Round robin: among our 9, and the other shell's request. */
		vt_kill(&dm, SIGKILL);
		EXPECT_GT(0, vt_result(&self->sh));
		vt_start(&next);
		ASSERT_EQ(0, vt_call(&next, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
		EXPECT_EQ(version, vt_call(&next, l_version));
		ASSERT_EQ(0, vt_call(&self->sh, l_info, vt_box));
		EXPECT_EQ(round + 2, ((struct venom_info *)vt_box)->epoch);
		/* All remaining commands come in order, up to the last one. */
		got = (int)vt_call(&next, pd_receive, -1);
		EXPECT_LT(sent - 9, got);
		while (got < sent) {
			ASSERT_EQ(got + 1, vt_call(&next, pd_receive, -1));
			got++;
		}
		EXPECT_EQ(0, vt_call(&next, pd_receive, 10));
		ASSERT_EQ(0, vt_call(&next, pd_publish, 50 + round, 100));
		version++;
		EXPECT_EQ(50 + round, vt_call(&self->sh, ps_read));
		dm = next;
		self->dm = next;
	}
}

/* A full lane, and a dead shell's lane, are delivered to the last command. */
TEST_F(library, full_and_dead_lanes)
{
	int theirs = 0, ours = 0;

	for (int v = 101; v <= 116; v++) {
		ASSERT_EQ(0, send_v(self->s, v));
		ASSERT_EQ(0, vt_call(&self->sh, ps_send, v + 100, 20));
	}
	EXPECT_EQ(-EAGAIN, send_v(self->s, 117));
	vt_kill(&self->sh, SIGKILL);
	vt_kill(&self->dm, SIGKILL);
	ASSERT_TRUE(VT_UNTIL(!venom_shell_alive(self->s)));
	ASSERT_EQ(0, vt_call(&self->next, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	for (int i = 0; i < 32; i++) {
		long v = vt_call(&self->next, pd_receive, -1);

		if (v > 200) {
			EXPECT_EQ(201 + theirs, v);
			theirs++;
		} else {
			EXPECT_EQ(101 + ours, v);
			ours++;
		}
	}
	EXPECT_EQ(0, vt_call(&self->next, pd_receive, 10));
	EXPECT_EQ(16, ours);
	EXPECT_EQ(16, theirs);
	EXPECT_EQ(1, venom_shell_room(self->s, -1));
	EXPECT_EQ(0, send_v(self->s, 117));
	EXPECT_EQ(117, vt_call(&self->next, pd_receive, -1));
}

/*
 * Commands that were sent together are received one by one: those that the dead daemon has received do not come again.
 */
TEST_F(library, a_block_goes_on_where_it_was)
{
	struct iovec iov[8];
	char buf[8][20];

	for (int i = 0; i < 8; i++) {
		vt_fill(buf[i], sizeof(buf[i]), 100 + i);
		iov[i] = (struct iovec){buf[i], sizeof(buf[i])};
	}
	for (int round = 0; round < 4; round++)
		ASSERT_EQ(8, venom_shell_send_many(self->s, iov, 8));
	for (int i = 0; i < 19; i++)
		ASSERT_EQ(100 + i % 8, vt_call(&self->dm, pd_receive, -1));
	vt_kill(&self->dm, SIGKILL);
	ASSERT_TRUE(VT_UNTIL(!venom_shell_alive(self->s)));
	ASSERT_EQ(0, vt_call(&self->next, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	for (int i = 19; i < 32; i++)
		ASSERT_EQ(100 + i % 8, vt_call(&self->next, pd_receive, -1));
	EXPECT_EQ(0, vt_call(&self->next, pd_receive, 10));
}

/* An answer that was given before the death is delivered. */
TEST_F(library, an_answer_given_is_kept)
{
	uint64_t tag;

	ASSERT_EQ(0, submit_v(self->s, 5, &tag));
	ASSERT_EQ(5, vt_call(&self->dm, pd_receive, -1));
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 0, 77, 30));
	vt_kill(&self->dm, SIGKILL);
	ASSERT_TRUE(VT_UNTIL(!venom_shell_alive(self->s)));
	ASSERT_EQ(0, vt_call(&self->next, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(30, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
	EXPECT_TRUE(vt_is(self->buf, 30, 77));
	EXPECT_EQ(0, vt_call(&self->next, pd_receive, 10));
}

/* A skipped request counts as never taken, however many daemons have come and gone before its shell looks. */
TEST_F(library, passed_over_twice)
{
	uint64_t tag;

	ASSERT_EQ(0, submit_v(self->s, 5, &tag));
	vt_kill(&self->dm, SIGKILL);
	ASSERT_EQ(0, vt_call(&self->next, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->next, pd_receive, 10));
	vt_kill(&self->next, SIGKILL);
	ASSERT_EQ(0, vt_call(&self->third, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(-EPIPE, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
	EXPECT_EQ(0, vt_call(&self->third, pd_receive, 10));
	EXPECT_EQ(-EINVAL, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
}

/* A held version stays whole, and the holder keeps its right, whatever other shells have asked for it meanwhile. */
TEST_F(library, holders_keep_their_right)
{
	struct vt_peer *dm = &self->dm;
	struct venom_view view, other;
	struct venom_shell *s[3] = {};

	if (variant->versions < 3)
		SKIP(return, "holders need three buffers");
	/* The shells that ask have lower ids than the holder, or higher; one asks between two daemons. */
	ASSERT_EQ(1, self->cfg->max_holders);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, venom_shell_connect(&s[i], self->name));
	ASSERT_EQ(0, venom_shell_hold(s[0], 0, &view));
	ASSERT_EQ(-EUSERS, venom_shell_hold(self->s, 0, &other));
	ASSERT_EQ(-EUSERS, venom_shell_hold(s[1], 0, &other));
	for (int round = 0; round < 2; round++) {
		struct vt_peer *next = round ? &self->third : &self->next;

		vt_kill(dm, SIGKILL);
		ASSERT_TRUE(VT_UNTIL(!venom_shell_alive(self->s)));
		ASSERT_EQ(-EPIPE, venom_shell_hold(self->s, 0, &other));
		/* A shell that asks at this very moment. */
		self->s->cmd->wants = VENOM_ROLES_ASK(VENOM_ROLE_HOLDER, 77 + round);
		ASSERT_EQ(0, vt_call(next, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
		for (int v = 10; v < 30; v++)
			ASSERT_EQ(0, vt_call(next, pd_publish, v, 100));
		ASSERT_EQ(100, view.len);
		ASSERT_TRUE(vt_is(view.data, 100, 3));
		ASSERT_EQ(-EUSERS, venom_shell_hold(self->s, 0, &other));
		dm = next;
	}
	ASSERT_EQ(0, venom_shell_release(s[0]));
	ASSERT_EQ(0, venom_shell_hold(s[0], 0, &view));
	ASSERT_TRUE(vt_is(view.data, 100, 29));
	venom_shell_close(s[0]);
	venom_shell_close(s[1]);
}

/* A holder that died, and left a command behind, has lost its right. */
TEST_F(library, a_dead_holder_has_no_right)
{
	struct venom_view view;
	struct venom_shell *s;

	if (variant->versions < 3)
		SKIP(return, "holders need three buffers");
	ASSERT_EQ(1, self->cfg->max_holders);
	ASSERT_EQ(0, venom_shell_connect(&s, self->name)); /* with a higher id than the dead one's */
	ASSERT_EQ(0, vt_call(&self->sh, l_hold));
	ASSERT_EQ(0, vt_call(&self->sh, ps_send, 1, 20));
	vt_kill(&self->sh, SIGKILL);
	ASSERT_TRUE(VT_UNTIL(venom_shell_hold(s, 0, &view) != -EUSERS));
	vt_kill(&self->dm, SIGKILL);
	ASSERT_TRUE(VT_UNTIL(!venom_shell_alive(s)));
	ASSERT_EQ(0, vt_call(&self->next, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	for (int v = 10; v < 30; v++)
		ASSERT_EQ(0, vt_call(&self->next, pd_publish, v, 100));
	ASSERT_TRUE(vt_is(view.data, 100, 3));
	venom_shell_close(s);
}

/* Without VENOM_RESUME, or after an end in order, the next channel is another one; the old handle reports that. */
TEST_F(library, not_resumed)
{
	struct venom_shell *fresh;

	ASSERT_EQ(0, send_v(self->s, 1));
	if (variant->torn) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	} else {
		vt_kill(&self->dm, SIGKILL);
		self->cfg->flags = 0;
	}
	ASSERT_TRUE(VT_UNTIL(!venom_shell_alive(self->s)));
	ASSERT_EQ(0, vt_call(&self->next, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->next, l_version));
	EXPECT_EQ(0, vt_call(&self->next, pd_receive, 10));
	check_dead(self->s);
	EXPECT_EQ(100, venom_shell_read(self->s, self->buf, sizeof(self->buf), NULL));
	EXPECT_TRUE(vt_is(self->buf, 100, 3));
	ASSERT_EQ(0, venom_shell_connect(&fresh, self->name));
	EXPECT_EQ(-ENODATA, venom_shell_read(fresh, self->buf, sizeof(self->buf), NULL));
	ASSERT_EQ(0, venom_shell_info(fresh, &self->info));
	EXPECT_EQ(variant->torn ? 1 : 2, self->info.epoch);
	EXPECT_EQ(0, send_v(fresh, 2));
	EXPECT_EQ(2, vt_call(&self->next, pd_receive, -1));
	venom_shell_close(fresh);
}

TEST_HARNESS_MAIN

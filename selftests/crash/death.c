/* SPDX-License-Identifier: MIT */
/*
 * Attacks the notice of a daemon's death.  Every waiter must be notified, in each way to wait, and each open request
 * must get its own result.  What the dead daemon had published must be readable.  reclaim.c tests what the dead leave;
 * kill.c and killshell.c kill at random instants.
 */
#include <signal.h>
#include <string.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"

FIXTURE(death)
{
	struct vt_peer dm, sh;
	struct venom_config *cfg;
	const char *name;
	struct venom_shell *s;
	uint64_t version;
	char buf[256];
};

FIXTURE_VARIANT(death)
{
	int64_t spin_ns;
	bool in_order; /* destroyed, not killed */
};

/* clang-format off */
FIXTURE_VARIANT_ADD(death, killed_block) { .spin_ns = VENOM_SPIN_NONE };
FIXTURE_VARIANT_ADD(death, killed_adaptive) { .spin_ns = VENOM_SPIN_ADAPTIVE };
FIXTURE_VARIANT_ADD(death, killed_busy_poll) { .spin_ns = VENOM_SPIN_FOREVER };
FIXTURE_VARIANT_ADD(death, ended_block) { .spin_ns = VENOM_SPIN_NONE, .in_order = true };
FIXTURE_VARIANT_ADD(death, ended_busy_poll) { .spin_ns = VENOM_SPIN_FOREVER, .in_order = true };
/* clang-format on */

FIXTURE_SETUP(death)
{
	self->cfg = vt_config();
	self->cfg->cmd_slots = 4;
	self->cfg->spin_ns = variant->spin_ns;
	self->name = vt_name();
	vt_start(&self->dm);
	vt_start(&self->sh);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 20));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
	ASSERT_EQ(0, venom_shell_set_spin(self->s, variant->spin_ns));
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name));
	ASSERT_EQ(0, vt_call(&self->sh, ps_set_spin, variant->spin_ns));
}

FIXTURE_TEARDOWN(death)
{
	char path[200];

	venom_shell_close(self->s);
	EXPECT_EQ(0, vt_call(&self->sh, ps_close));
	EXPECT_EQ(0, vt_stop(&self->sh));
	vt_kill(&self->dm, SIGKILL);
	/* A killed daemon's files stay for the next daemon of the name; here there is none. */
	snprintf(path, sizeof(path), "%s/%s", getenv("VENOM_RUNTIME_DIR"), self->name);
	unlink(path);
}

#define end(self)                                                       \
	do {                                                            \
		if (variant->in_order) {                                \
			ASSERT_EQ(0, vt_call(&(self)->dm, pd_destroy)); \
		} else {                                                \
			vt_kill(&(self)->dm, SIGKILL);                  \
		}                                                       \
	} while (0)

/*
 * A call that finds nothing to do sees the death at once, without a system call.  But where the kernel marks no dead
 * owner's word (in an emulator, say), only every 256th call asks.
 */
#define EXPECT_TOLD(s, call)                                                  \
	do {                                                                  \
		int left_ = death_seen(s) || death_is_marked(s) ? 1 : 256; \
		ssize_t rc_;                                                  \
                                                                              \
		do                                                            \
			rc_ = (call);                                         \
		while (rc_ != -EPIPE && --left_);                             \
		EXPECT_EQ(-EPIPE, rc_);                                       \
	} while (0)

TEST_F(death, while_a_shell_waits_for_state)
{
	vt_post(&self->sh, ps_wait, 1, -1);
	EXPECT_FALSE(vt_has_result(&self->sh, 30));
	end(self);
	EXPECT_EQ(-EPIPE, vt_result(&self->sh));
	/* A later wait is notified, too. */
	EXPECT_EQ(-EPIPE, venom_shell_wait(self->s, 1, -1));
	EXPECT_TOLD(self->s, venom_shell_wait(self->s, 1, 0));
	EXPECT_EQ(0, venom_shell_alive(self->s));
}

TEST_F(death, while_a_request_is_with_the_daemon)
{
	vt_post(&self->sh, ps_request, 5, 20, -1);
	ASSERT_EQ(5, vt_call(&self->dm, pd_receive, -1));
	EXPECT_FALSE(vt_has_result(&self->sh, 30));
	end(self);
	EXPECT_EQ(-ECONNRESET, vt_result(&self->sh));
	EXPECT_EQ(-EPIPE, vt_call(&self->sh, ps_request, 6, 20, -1));
}

TEST_F(death, while_a_request_is_not_taken)
{
	vt_post(&self->sh, ps_request, 5, 20, -1);
	EXPECT_FALSE(vt_has_result(&self->sh, 30));
	end(self);
	EXPECT_EQ(-EPIPE, vt_result(&self->sh));
}

TEST_F(death, while_a_request_waits_for_room)
{
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, vt_call(&self->sh, ps_send, 1, 20));
	}
	vt_post(&self->sh, ps_request, 5, 20, -1);
	EXPECT_FALSE(vt_has_result(&self->sh, 30));
	end(self);
	EXPECT_EQ(-EPIPE, vt_result(&self->sh));
}

/* Each of several requests gets its own result. */
TEST_F(death, each_open_request_is_told_its_own)
{
	uint64_t answered, taken, left, tag;

	ASSERT_EQ(0, venom_shell_submit(self->s, "\1", 1, &answered));
	ASSERT_EQ(0, venom_shell_submit(self->s, "\2", 1, &taken));
	ASSERT_EQ(0, venom_shell_submit(self->s, "\3", 1, &left));
	ASSERT_EQ(1, vt_call(&self->dm, pd_receive, -1));
	ASSERT_EQ(2, vt_call(&self->dm, pd_receive, -1));
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 0, 9, 20));
	end(self);
	memset(self->buf, 0x5a, sizeof(self->buf));
	tag = left;
	EXPECT_EQ(-EPIPE, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
	tag = taken;
	EXPECT_EQ(-ECONNRESET, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
	EXPECT_TRUE(vt_all(self->buf, 0x5a, sizeof(self->buf)));
	/* The answer that was given before the death is there. */
	tag = VENOM_ANY;
	EXPECT_EQ(20, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
	EXPECT_EQ(answered, tag);
	EXPECT_TRUE(vt_is(self->buf, 20, 9));
	tag = VENOM_ANY;
	EXPECT_EQ(-EINVAL, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
}

TEST_F(death, any_fails_one_by_one)
{
	uint64_t first, second, tag;
	ssize_t err;

	ASSERT_EQ(0, venom_shell_submit(self->s, "\1", 1, &first));
	ASSERT_EQ(0, venom_shell_submit(self->s, "\2", 1, &second));
	ASSERT_EQ(1, vt_call(&self->dm, pd_receive, -1));
	end(self);
	for (int i = 0; i < 2; i++) {
		tag = VENOM_ANY;
		err = venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1);
		ASSERT_TRUE(tag == first || tag == second);
		EXPECT_EQ(tag == first ? -ECONNRESET : -EPIPE, err);
	}
	tag = VENOM_ANY;
	EXPECT_EQ(-EINVAL, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
}

TEST_F(death, nothing_can_be_sent_any_more)
{
	struct venom_shell_stats st;
	uint64_t tag = 99;

	end(self);
	EXPECT_TRUE(VT_UNTIL(!venom_shell_alive(self->s)));
	EXPECT_EQ(-EPIPE, venom_shell_send(self->s, "x", 1));
	EXPECT_EQ(-EPIPE, venom_shell_submit(self->s, "x", 1, &tag));
	EXPECT_EQ(99, tag);
	EXPECT_EQ(-EPIPE, venom_shell_request(self->s, "x", 1, self->buf, 1, -1));
	EXPECT_EQ(-EPIPE, venom_shell_room(self->s, -1));
	ASSERT_EQ(0, venom_shell_stats(self->s, &st));
	EXPECT_EQ(0, st.commands);
}

TEST_F(death, what_was_published_can_be_read)
{
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 2, 30));
	/* They can be read even if the daemon dies while it writes version 3. */
	ASSERT_EQ(0, vt_call(&self->dm, pd_begin, 3, 100));
	end(self);
	EXPECT_EQ(30, venom_shell_read(self->s, self->buf, sizeof(self->buf), &self->version));
	EXPECT_EQ(2, self->version);
	EXPECT_TRUE(vt_is(self->buf, 30, 2));
	EXPECT_EQ(1, venom_shell_wait(self->s, 1, -1));
	EXPECT_EQ(-EPIPE, venom_shell_wait(self->s, 2, -1));
	self->version = 0;
	EXPECT_EQ(20, venom_shell_read_next(self->s, self->buf, sizeof(self->buf), &self->version));
	EXPECT_EQ(30, venom_shell_read_next(self->s, self->buf, sizeof(self->buf), &self->version));
	EXPECT_TOLD(self->s, venom_shell_read_next(self->s, self->buf, sizeof(self->buf), &self->version));
	EXPECT_EQ(2, self->version);
}

/* ---- the one version torn for ever ---- */

TEST(dead_in_the_only_version)
{
	struct venom_config *cfg = vt_config();
	const char *name = vt_name();
	struct venom_view view, before;
	struct venom_shell *s;
	uint64_t version = 99;
	struct vt_peer dm;
	char buf[100];

	cfg->versions = 1;
	for (int in_order = 0; in_order < 2; in_order++) {
		vt_start(&dm);
		ASSERT_EQ(0, vt_call(&dm, pd_create, name, cfg));
		ASSERT_EQ(0, vt_call(&dm, pd_publish, 1, 50));
		ASSERT_EQ(0, venom_shell_connect(&s, name));
		ASSERT_EQ(0, vt_call(&dm, pd_begin, 2, 50));
		memset(buf, 0x5a, sizeof(buf));
		memset(&view, 0x5a, sizeof(view));
		before = view;
		/* The daemon is not dead yet: the version may still come. */
		EXPECT_EQ(-EAGAIN, venom_shell_read(s, buf, sizeof(buf), &version));
		EXPECT_EQ(-EAGAIN, venom_shell_read_begin(s, &view));
		if (in_order) {
			vt_call(&dm, pd_destroy);
			ASSERT_EQ(0, vt_stop(&dm));
		} else {
			vt_kill(&dm, SIGKILL);
		}
		EXPECT_EQ(-EOWNERDEAD, venom_shell_read(s, buf, sizeof(buf), &version));
		EXPECT_EQ(-EOWNERDEAD, venom_shell_read_begin(s, &view));
		EXPECT_EQ(99, version);
		EXPECT_TRUE(vt_all(buf, 0x5a, sizeof(buf)));
		EXPECT_EQ(0, memcmp(&view, &before, sizeof(view)));
		EXPECT_EQ(-EPIPE, venom_shell_wait(s, 1, -1));
		venom_shell_close(s);
	}
}

/* ---- an exec ---- */

static long become_another_program(long a, long b, long c)
{
	execl("/bin/sleep", "sleep", "100", (char *)NULL);
	return a + b + c + 1;
}

/* A daemon that execs another program is as dead as a killed one. */
TEST(exec_is_an_end_too)
{
	const char *name = vt_name();
	struct vt_peer dm, sh;
	struct venom_daemon *d;

	vt_start(&dm);
	vt_start(&sh);
	ASSERT_EQ(0, vt_call(&dm, pd_create, name, NULL));
	ASSERT_EQ(0, vt_call(&sh, ps_connect, name));
	vt_post(&sh, ps_wait, 0, -1);
	EXPECT_FALSE(vt_has_result(&sh, 30));
	vt_post(&dm, become_another_program);
	EXPECT_EQ(-EPIPE, vt_result(&sh));
	ASSERT_EQ(0, venom_daemon_create(&d, name, NULL)) TH_LOG("%s", venom_errmsg());
	venom_daemon_destroy(d);
	vt_kill(&dm, SIGKILL);
	vt_call(&sh, ps_close);
	EXPECT_EQ(0, vt_stop(&sh));
}

TEST_HARNESS_MAIN

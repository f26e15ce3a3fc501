/* SPDX-License-Identifier: MIT */
/*
 * A new channel in the place of an old one: where the next daemon does not resume it, where no process holds it any
 * more, and where its daemon has ended it. Neither has a byte or a shell of the other.
 */
#include "kmod/takeover.h"

static long t_wake(long what, long id, long c)
{
	return dev_wake(dev, (unsigned int)what, (unsigned int)id) + c;
}

static long t_end(long a, long b, long c)
{
	return dev_end(dev) + a + b + c;
}

TEST_F(takeover, without_resume_it_is_another)
{
	struct venom_ioc_peer daemon = {.size = sizeof(daemon)};
	struct venom_ioc_info info;
	struct km_shell fresh, late;

	die(self, &self->dm, variant->closed);
	self->create->geo.versions++;
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create));
	EXPECT_EQ(0, answer->resumed);
	EXPECT_EQ(2, answer->epoch);
	ASSERT_EQ(0, vt_call(&self->next, t_map));
	EXPECT_EQ(1, vt_call(&self->next, t_is, 0));
	ASSERT_EQ(0, km_info(self->name, &info));
	EXPECT_EQ(1, info.alive);
	EXPECT_EQ(self->next.pid, info.pid);
	EXPECT_EQ(0, info.attached);
	/* The old shell keeps what it had, and no more. */
	for (int i = 0; i < 2; i++) {
		EXPECT_TRUE(hung_up(self->own.fd));
		EXPECT_EQ(VENOM_DAEMON_GONE, km_daemon_life(self->own.status));
		EXPECT_EQ(1, self->own.status->epoch);
		EXPECT_TRUE(vt_is(self->own.state, self->own.c.state_size, STATE));
		EXPECT_EQ(-EPIPE, dev_wake(self->own.fd, VENOM_WAKE_DAEMON, 0));
		ASSERT_EQ(0, dev_call(self->own.fd, VENOM_IOC_PEER, &daemon));
		EXPECT_EQ(VENOM_DAEMON_GONE, daemon.life);
		EXPECT_EQ(0, daemon.pid);
		/* The new daemon does not know the old shell. */
		EXPECT_EQ(-ENOENT, vt_call(&self->next, t_peer, self->own.c.id, peer));
		if (!i) {
			ASSERT_EQ(0, vt_call(&self->next, t_fill, 44));
		}
	}
	ASSERT_EQ(0, km_shell_make(&fresh, self->name));
	EXPECT_EQ(2, fresh.c.epoch);
	EXPECT_TRUE(vt_is(fresh.state, fresh.c.state_size, 44));
	EXPECT_EQ(1, fresh.status->attached);
	/* The old shell's end does not affect the new channel. */
	km_shell_close(&self->own);
	EXPECT_EQ(1, fresh.status->attached);
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(fresh.status));
	vt_kill(&self->next, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(hung_up(fresh.fd)));
	ASSERT_EQ(0, vt_call(&self->third, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_EQ(1, answer->resumed);
	EXPECT_EQ(3, answer->epoch);
	km_shell_close(&fresh);
	EXPECT_EQ(0, km_shell_make(&late, self->name));
	km_shell_close(&late);
}

TEST_F(takeover, a_channel_that_nobody_holds_is_gone)
{
	struct venom_ioc_info info;

	for (int shell_first = 0; shell_first < 2; shell_first++) {
		if (shell_first) {
			ASSERT_EQ(0, km_shell_make(&self->own, self->name));
			km_shell_close(&self->own);
			vt_kill(&self->dm, SIGKILL);
		} else {
			die(self, &self->dm, variant->closed);
			km_shell_close(&self->own);
		}
		EXPECT_TRUE(VT_UNTIL(km_info(self->name, &info) == -ENOENT));
		vt_kill(&self->dm, SIGKILL);
		vt_start(&self->dm);
		ASSERT_EQ(0, vt_call(&self->dm, t_create, self->create, VENOM_CREATE_RESUME));
		EXPECT_EQ(0, answer->resumed);
		EXPECT_EQ(1, answer->epoch);
		ASSERT_EQ(0, vt_call(&self->dm, t_map));
		EXPECT_EQ(1, vt_call(&self->dm, t_is, 0));
	}
}

/* A channel ends with its last living process, whatever dead shells have left in their lanes. */
TEST_F(takeover, the_dead_hold_nothing)
{
	struct venom_ioc_info info;

	ASSERT_EQ(0, vt_call(&self->sh, t_connect, self->name, 33, self->other));
	die(self, &self->dm, variant->closed);
	vt_kill(&self->sh, SIGKILL);
	ASSERT_TRUE(VT_UNTIL(km_shell_life(self->own.status, self->other->id) == VENOM_SHELL_GONE));
	ASSERT_EQ(0, km_info(self->name, &info));
	km_shell_close(&self->own);
	EXPECT_EQ(-ENOENT, km_info(self->name, &info));
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_EQ(0, answer->resumed);
}

/* ---- the end ---- */

TEST_F(takeover, an_end_is_for_good)
{
	struct venom_ioc_info info;
	struct km_shell fresh;
	int efd = km_efd();

	ASSERT_EQ(0, dev_bell(self->own.fd, VENOM_BELL_WAKE, efd));
	ASSERT_EQ(0, vt_call(&self->dm, t_end));
	/* The end takes effect at once. */
	EXPECT_EQ(-ENOENT, km_info(self->name, &info));
	EXPECT_EQ(-ENOENT, km_shell_make(&fresh, self->name));
	EXPECT_EQ(VENOM_DAEMON_GONE, km_daemon_life(self->own.status));
	EXPECT_TRUE(hung_up(self->own.fd));
	EXPECT_LE(1, km_signals(efd));
	EXPECT_EQ(-EPIPE, dev_wake(self->own.fd, VENOM_WAKE_DAEMON, 0));
	/* The daemon's file has no channel any more. */
	EXPECT_EQ(-EPIPE, vt_call(&self->dm, t_end));
	EXPECT_EQ(-EPIPE, vt_call(&self->dm, t_wake, VENOM_WAKE_STATE));
	EXPECT_EQ(-EPIPE, vt_call(&self->dm, t_wake, VENOM_WAKE_SHELL, self->own.c.id));
	EXPECT_EQ(-EPIPE, vt_call(&self->dm, t_look, VENOM_AREA_COMMANDS, self->own.c.id, VENOM_PAGE));
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_EQ(0, answer->resumed);
	EXPECT_EQ(1, answer->epoch);
	ASSERT_EQ(0, vt_call(&self->next, t_map));
	EXPECT_EQ(1, vt_call(&self->next, t_is, 0));
	ASSERT_EQ(0, km_shell_make(&fresh, self->name));
	/* The old daemon's death does not affect the new channel. */
	die(self, &self->dm, variant->closed);
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(fresh.status));
	EXPECT_FALSE(hung_up(fresh.fd));
	EXPECT_TRUE(hung_up(self->own.fd));
	EXPECT_EQ(0, vt_call(&self->next, t_wake, VENOM_WAKE_SHELL, fresh.c.id));
	km_shell_close(&fresh);
	close(efd);
}

TEST_HARNESS_MAIN

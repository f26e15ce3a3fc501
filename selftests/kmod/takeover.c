/* SPDX-License-Identifier: MIT */
/*
 * Another daemon of the same owner resumes the channel of a dead one, with its state, its shells and the commands that
 * were not taken, those of dead shells too. This test does not use the library; resume.c does.
 */
#include "kmod/takeover.h"

static long t_lane(long id, long generation, long what)
{
	return dev_lane(dev, (unsigned int)id, (unsigned int)generation, (unsigned int)what);
}

TEST_F(takeover, it_goes_on)
{
	struct km_shell late;
	struct vt_peer *p = &self->dm, *after[] = {&self->next, &self->third};
	int efd = km_efd();

	ASSERT_EQ(0, vt_call(p, t_bell));
	ASSERT_EQ(0, dev_bell(self->own.fd, VENOM_BELL_LIFE, efd));
	ASSERT_EQ(0, dev_sleep(self->own.fd, VENOM_SLEEP_WATCH));
	for (unsigned int i = 0; i < ARRAY_SIZE(after); i++) {
		ASSERT_EQ(0, dev_sleep(self->own.fd, VENOM_SLEEP_ARM));
		die(self, p, variant->closed);
		EXPECT_EQ(1, km_signals(efd));
		EXPECT_TRUE(hung_up(self->own.fd));
		EXPECT_EQ(-ENOENT, km_shell_make(&late, self->name));
		EXPECT_EQ(0, self->own.status->state_sleepers);
		EXPECT_EQ(1, self->own.status->state_waiters);
		EXPECT_EQ(-EPIPE, dev_wake(self->own.fd, VENOM_WAKE_DAEMON, 0));
		EXPECT_EQ(-EPIPE, dev_sleep(self->own.fd, VENOM_SLEEP_ARM));
		note(self);
		EXPECT_EQ(0, self->info.pid);
		EXPECT_EQ(getuid(), self->info.uid);
		EXPECT_EQ(1, self->info.attached);
		EXPECT_EQ(i + 1, self->info.epoch);
		ASSERT_EQ(0, vt_call(after[i], t_create, self->create, VENOM_CREATE_RESUME));
		ASSERT_TRUE(resumed(self, after[i], i + 2));
		if (variant->closed) {
			/* The last daemon's eventfd is no longer signalled. */
			EXPECT_EQ(0, vt_call(p, t_rung));
		}
		p = after[i];
	}
	/* A shell that connects now is of this epoch. */
	ASSERT_EQ(0, km_shell_make(&late, self->name));
	EXPECT_EQ(3, late.c.epoch);
	EXPECT_EQ(3, late.commands->head.epoch);
	EXPECT_NE(self->own.c.generation, late.c.generation);
	EXPECT_EQ(2, self->own.status->attached);
	km_shell_close(&late);
	close(efd);
}

TEST_F(takeover, huge_is_not_asked_for_again)
{
	die(self, &self->dm, variant->closed);
	self->create->huge = VENOM_IOC_HUGE_REQUIRE;
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_TRUE(resumed(self, &self->next, 2));
}

/* ---- shells from before the daemon's death ---- */

TEST_F(takeover, a_dead_shell_s_commands_are_kept)
{
	/* The shell's death may come before the daemon's, or after. */
	for (int after = 0; after < 2; after++) {
		struct vt_peer *dm = after ? &self->next : &self->dm, *next = after ? &self->third : &self->next;
		struct km_shell heir;

		if (after)
			vt_start(&self->sh);
		ASSERT_EQ(0, vt_call(&self->sh, t_connect, self->name, 33, self->other));
		ASSERT_NE(self->own.c.id, self->other->id);
		if (!after) {
			vt_kill(&self->sh, SIGKILL);
			ASSERT_TRUE(VT_UNTIL(km_shell_life(self->own.status, self->other->id) == VENOM_SHELL_GONE));
		}
		die(self, dm, variant->closed);
		if (after) {
			vt_kill(&self->sh, SIGKILL);
			ASSERT_TRUE(VT_UNTIL(km_shell_life(self->own.status, self->other->id) == VENOM_SHELL_GONE));
		}
		note(self);
		EXPECT_EQ(1, self->info.attached);
		ASSERT_EQ(0, vt_call(next, t_create, self->create, VENOM_CREATE_RESUME));
		ASSERT_TRUE(resumed(self, next, 2 + (unsigned int)after));
		ASSERT_EQ(0, vt_call(next, t_peer, self->other->id, peer));
		EXPECT_EQ(VENOM_SHELL_GONE, peer->life);
		EXPECT_EQ(self->other->generation, peer->generation);
		EXPECT_EQ(33, vt_call(next, t_look, VENOM_AREA_COMMANDS, self->other->id, self->other->commands_size));
		EXPECT_EQ(0, vt_call(next, t_lane, self->other->id, self->other->generation, VENOM_LANE_FREE));
		EXPECT_EQ(VENOM_SHELL_NONE, km_shell_life(self->own.status, self->other->id));
		EXPECT_EQ(-ENOENT, vt_call(next, t_look, VENOM_AREA_COMMANDS, self->other->id, VENOM_PAGE));
		ASSERT_EQ(0, km_shell_make(&heir, self->name));
		EXPECT_EQ(self->other->id, heir.c.id);
		EXPECT_NE(self->other->generation, heir.c.generation);
		km_shell_close(&heir);
		EXPECT_EQ(0, vt_call(next, t_lane, heir.c.id, heir.c.generation, VENOM_LANE_FREE));
	}
}

/* A lane that the last daemon has marked with KEEP is checked again by the next daemon. */
TEST_F(takeover, the_dead_are_looked_at_again)
{
	struct km_shell late;

	ASSERT_EQ(4, self->create->geo.max_clients);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, km_shell_make(&late, self->name));
		km_shell_close(&late);
		EXPECT_EQ(0, vt_call(&self->dm, t_lane, late.c.id, late.c.generation, VENOM_LANE_KEEP));
	}
	EXPECT_EQ(-EUSERS, km_shell_make(&late, self->name));
	die(self, &self->dm, variant->closed);
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_EQ(-EAGAIN, km_shell_make(&late, self->name));
}

TEST_HARNESS_MAIN

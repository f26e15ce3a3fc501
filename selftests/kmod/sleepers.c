/* SPDX-License-Identifier: MIT */
/*
 * Sleepers on the state: one WAKE_STATE wakes all armed shells, be it one or a thousand, each once; and the status
 * page's counts of sleepers and waiters are right whatever becomes of these.
 */
#include "kmod/bells.h"

#define life(i) km_shell_life(self->d.status, i)
#define ARMED	(VENOM_SHELL_ALIVE | VENOM_SHELL_ARMED)

TEST_F(wakes, twice_armed_is_once)
{
	set_bells();
	EXPECT_EQ(VENOM_SHELL_ALIVE, life(1));
	EXPECT_EQ(0, dev_sleep(self->s[1].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(1, state_sleepers());
	EXPECT_EQ(ARMED, life(1));
	EXPECT_EQ(0, dev_sleep(self->s[1].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(1, state_sleepers());
	EXPECT_EQ(ARMED, life(1));
	EXPECT_EQ(VENOM_SHELL_ALIVE, life(0));
	EXPECT_EQ(1, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(SHELL_SIGNAL(1), signals(self->bell));
	EXPECT_EQ(0, state_sleepers());
	EXPECT_EQ(VENOM_SHELL_ALIVE, life(1));
}

TEST_F(wakes, disarmed_is_not_rung)
{
	set_bells();
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_DISARM)); /* disarming an unarmed shell is valid */
	EXPECT_EQ(0, state_sleepers());
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(0, dev_sleep(self->s[1].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(2, state_sleepers());
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_DISARM));
	EXPECT_EQ(1, state_sleepers());
	EXPECT_EQ(VENOM_SHELL_ALIVE, life(0));
	EXPECT_EQ(ARMED, life(1));
	EXPECT_EQ(1, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(SHELL_SIGNAL(1), signals(self->bell));
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_DISARM));
	EXPECT_EQ(0, state_sleepers());
	/* A WAKE_SHELL leaves it armed. */
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 0));
	EXPECT_EQ(1, state_sleepers());
	EXPECT_EQ(ARMED, life(0));
}

TEST_F(wakes, watched_once_for_good)
{
	EXPECT_EQ(0, state_waiters());
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_WATCH));
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_WATCH));
	EXPECT_EQ(1, state_waiters());
	EXPECT_EQ(0, dev_sleep(self->s[1].fd, VENOM_SLEEP_WATCH));
	EXPECT_EQ(2, state_waiters());
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_DISARM));
	EXPECT_EQ(2, state_waiters());
	EXPECT_EQ(0, state_sleepers());
}

/* A shell that has died or was evicted no longer counts. */
TEST_F(wakes, the_dead_neither_sleep_nor_wait)
{
	int i;

	set_bells();
	for (i = 0; i < SHELLS; i++) {
		EXPECT_EQ(0, dev_sleep(self->s[i].fd, VENOM_SLEEP_WATCH));
		EXPECT_EQ(0, dev_sleep(self->s[i].fd, VENOM_SLEEP_ARM));
	}
	EXPECT_EQ(3, state_sleepers());
	EXPECT_EQ(3, state_waiters());
	km_shell_close(&self->s[1]);
	EXPECT_EQ(2, state_sleepers());
	EXPECT_EQ(2, state_waiters());
	EXPECT_EQ(VENOM_SHELL_GONE, life(1));
	EXPECT_EQ(0, dev_lane(self->d.fd, 2, self->s[2].c.generation, VENOM_LANE_EVICT));
	EXPECT_EQ(1, state_sleepers());
	EXPECT_EQ(1, state_waiters());
	EXPECT_EQ(VENOM_SHELL_GONE, life(2));
	signals(self->bell);
	EXPECT_EQ(1, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(SHELL_SIGNAL(0), signals(self->bell));
	km_shell_close(&self->s[0]);
	EXPECT_EQ(0, state_sleepers());
	EXPECT_EQ(0, state_waiters());
}

/* A daemon with VENOM_CREATE_FENCED counts as a waiter: the publisher always checks. */
TEST(fenced_is_a_waiter_for_good)
{
	struct venom_ioc_create c = dev_create_init(vt_name());
	struct km_daemon d;
	struct km_shell s;

	c.flags = VENOM_CREATE_FENCED;
	ASSERT_EQ(0, km_daemon_make(&d, &c));
	EXPECT_EQ(1, vt_load(&d.status->state_waiters));
	ASSERT_EQ(0, km_shell_make(&s, c.name));
	EXPECT_EQ(0, dev_sleep(s.fd, VENOM_SLEEP_WATCH));
	EXPECT_EQ(2, vt_load(&d.status->state_waiters));
	km_shell_close(&s);
	EXPECT_EQ(1, vt_load(&d.status->state_waiters));
	km_daemon_close(&d);
}

FIXTURE(crowd)
{
	struct venom_ioc_create c;
	struct km_daemon d;
	struct km_crowd crowd;
};

FIXTURE_VARIANT(crowd)
{
	unsigned int n;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(crowd, of_1) { .n = 1 };
FIXTURE_VARIANT_ADD(crowd, of_64) { .n = 64 };
FIXTURE_VARIANT_ADD(crowd, of_1000) { .n = 1000 };
/* clang-format on */

FIXTURE_SETUP(crowd)
{
	const char *name = vt_name();

	self->c = dev_create_init(name);
	self->c.geo.max_clients = VENOM_CLIENTS_MAX;
	ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
	ASSERT_TRUE(km_crowd_start(&self->crowd, name, variant->n));
	ASSERT_EQ(variant->n, vt_load(&self->d.status->attached));
}

FIXTURE_TEARDOWN(crowd)
{
	km_crowd_end(&self->crowd);
	km_daemon_close(&self->d);
}

TEST_F(crowd, is_woken_by_one_call)
{
	unsigned int round, i;

	for (round = 0; round < 2; round++) {
		ASSERT_EQ(variant->n, km_crowd_call(&self->crowd, km_crowd_sleep, VENOM_SLEEP_ARM));
		ASSERT_EQ(variant->n, state_sleepers());
		for (i = 0; i < variant->n; i++) {
			ASSERT_EQ(ARMED, life(i));
		}
		EXPECT_EQ(variant->n, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
		EXPECT_EQ(0, state_sleepers());
		for (i = 0; i < variant->n; i++) {
			ASSERT_EQ(VENOM_SHELL_ALIVE, life(i));
		}
		EXPECT_EQ(variant->n, km_crowd_call(&self->crowd, km_crowd_rung, 0));
		EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
		EXPECT_EQ(0, km_crowd_call(&self->crowd, km_crowd_rung, 0));
	}
	/* They all die at once. */
	ASSERT_EQ(variant->n, km_crowd_call(&self->crowd, km_crowd_sleep, VENOM_SLEEP_WATCH));
	ASSERT_EQ(variant->n, km_crowd_call(&self->crowd, km_crowd_sleep, VENOM_SLEEP_ARM));
	EXPECT_EQ(variant->n, state_waiters());
	km_crowd_end(&self->crowd);
	EXPECT_EQ(0, state_sleepers());
	EXPECT_EQ(0, state_waiters());
	EXPECT_EQ(0, vt_load(&self->d.status->attached));
}

TEST_HARNESS_MAIN

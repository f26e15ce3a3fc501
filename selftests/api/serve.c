/* SPDX-License-Identifier: MIT */
/*
 * Attacks the order in which the daemon serves, and its end.  It serves shells by turns, so that a flooding shell must
 * not delay another by more than a batch; or the oldest command first.  Silent shells must not be forgotten.  Stop,
 * from a thread or from a signal handler, must end receive and run.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "lib/harness.h"
#include "lib/peer.h"

#define SLOTS 1024
#define BATCH 128 /* the most that one shell may be served in a row: "bounded", and far below SLOTS */

#define MANY 40 /* shells; enough for some of them to go cold */

FIXTURE(serve)
{
	struct vt_peer sh[MANY];
	int shells;
	const char *name;
	struct venom_config *cfg;
	struct venom_daemon *d;
	struct venom_command cmd;
};

FIXTURE_VARIANT(serve)
{
	uint32_t flags;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(serve, by_turns) { .flags = 0 };
FIXTURE_VARIANT_ADD(serve, by_arrival) { .flags = VENOM_ORDER_ARRIVAL };
/* clang-format on */

FIXTURE_SETUP(serve)
{
	self->cfg = vt_config();
	self->cfg->cmd_slots = SLOTS;
	self->cfg->flags = variant->flags;
	self->name = vt_name();
}

FIXTURE_TEARDOWN(serve)
{
	for (int i = 0; i < self->shells; i++) {
		EXPECT_EQ(0, vt_call(&self->sh[i], ps_close));
	}
	venom_daemon_destroy(self->d);
	for (int i = 0; i < self->shells; i++) {
		EXPECT_EQ(0, vt_stop(&self->sh[i]));
	}
}

#define start(self, n)                                                                    \
	do {                                                                              \
		(self)->shells = n;                                                       \
		for (int i_ = 0; i_ < (n); i_++)                                          \
			vt_start(&(self)->sh[i_]);                                        \
		ASSERT_EQ(0, venom_daemon_create(&(self)->d, (self)->name, (self)->cfg)); \
		for (int i_ = 0; i_ < (n); i_++) {                                        \
			ASSERT_EQ(0, vt_call(&(self)->sh[i_], ps_connect, (self)->name)); \
		}                                                                         \
	} while (0)

static uint32_t do_next(struct venom_daemon *d, struct venom_command *cmd, int timeout_ms)
{
	uint32_t v;

	if (venom_daemon_receive(d, cmd, timeout_ms * VT_MS) != 1 || !vt_whole(cmd->data, cmd->len, &v))
		return 0;
	return v;
}

#define next(self) do_next((self)->d, &(self)->cmd, 30000)

static long send_many(long v, long n, long c)
{
	while (n--)
		VT_CHECK(ps_send(v, 20, 0) == 0);
	return c;
}

TEST_F(serve, a_flood_holds_up_nobody)
{
	int served = 0, round;
	uint32_t v;

	start(self, 3);
	ASSERT_EQ(0, vt_call(&self->sh[0], send_many, 1, SLOTS));
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, vt_call(&self->sh[1], ps_send, 2, 20));
		ASSERT_EQ(0, vt_call(&self->sh[2], ps_send, 3, 20));
		for (int others = 0, waited = 0; others < 2; waited++) {
			v = next(self);
			ASSERT_NE(0, v);
			if (v == 1)
				served++;
			else
				others++;
			ASSERT_GE(BATCH, waited) TH_LOG("the other shells still wait");
		}
	}
	/* The flooding shell loses nothing by that. */
	for (; served < SLOTS; served++) {
		ASSERT_EQ(1, next(self));
	}
	EXPECT_EQ(0, venom_daemon_receive(self->d, &self->cmd, 0));
}

TEST_F(serve, order_between_shells)
{
	int i, last = 0;

	start(self, 2);
	/* The two shells alternate, so that time stamps decide where order is by arrival. */
	for (i = 1; i <= 20; i++) {
		ASSERT_EQ(0, vt_call(&self->sh[i % 3 == 0], ps_send, i, 20));
	}
	for (i = 1; i <= 20; i++) {
		uint32_t v = next(self);

		ASSERT_NE(0, v);
		if (variant->flags & VENOM_ORDER_ARRIVAL) {
			ASSERT_EQ(i, v);
			ASSERT_LT(0, self->cmd.time_ns);
			ASSERT_GE(vt_now(), self->cmd.time_ns);
		} else {
			ASSERT_EQ(0, self->cmd.time_ns);
			if (v % 3) { /* in order from each shell */
				ASSERT_LT(last, v);
				last = (int)v;
			}
		}
	}
	EXPECT_EQ(0, venom_daemon_receive(self->d, &self->cmd, 0));
}

TEST_F(serve, who_was_silent_for_long_is_heard)
{
	int i, k;

	start(self, MANY);
	/* One shell sends until the others have gone cold, then each of the others sends once. */
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, vt_call(&self->sh[0], send_many, 1, 100));
		for (k = 0; k < 100; k++) {
			ASSERT_EQ(1, next(self));
		}
		for (k = 0; k < 50; k++) {
			ASSERT_EQ(0, venom_daemon_receive(self->d, &self->cmd, 0));
		}
	}
	for (i = 1; i < MANY; i++) {
		ASSERT_EQ(0, vt_call(&self->sh[i], ps_send, 100 + i, 20));
		ASSERT_EQ(100 + i, next(self));
	}
	/* The same beside a flood; by arrival they come after the commands that were there before. */
	ASSERT_EQ(0, vt_call(&self->sh[0], send_many, 1, SLOTS));
	for (i = 1; i < MANY; i++) {
		ASSERT_EQ(0, vt_call(&self->sh[i], ps_send, 100 + i, 20));
	}
	for (i = 0, k = 0; k < MANY - 1; i++) {
		ASSERT_GE(variant->flags ? SLOTS + MANY : SLOTS, i) TH_LOG("only %d were served", k);
		k += next(self) > 1;
	}
}

/* ---- the end ---- */

static int answer(struct venom_daemon *d, const struct venom_command *cmd, void *user)
{
	int *left = user;
	uint32_t v;

	if (!vt_whole(cmd->data, cmd->len, &v))
		return -1;
	if (cmd->flags & VENOM_CMD_REQUEST)
		venom_daemon_respond(d, cmd, cmd->data, cmd->len);
	return --*left ? 0 : 42;
}

TEST_F(serve, run_ends_with_the_handler_s_value)
{
	int left = 3;

	start(self, 1);
	vt_post(&self->sh[0], ps_request, 5, 20, -1);
	vt_post(&self->sh[0], ps_send, 6, 20);
	vt_post(&self->sh[0], ps_send, 7, 20);
	EXPECT_EQ(42, venom_daemon_run(self->d, answer, &left));
	EXPECT_EQ(0, left);
	EXPECT_EQ(5, vt_result(&self->sh[0]));
	EXPECT_EQ(0, vt_result(&self->sh[0]));
	EXPECT_EQ(0, vt_result(&self->sh[0]));
}

static void *stop_later(void *d)
{
	vt_sleep_ms(50);
	venom_daemon_stop(d);
	return NULL;
}

TEST_F(serve, stop_from_a_thread)
{
	struct venom_command poison;
	int left = 1000;
	pthread_t t;

	start(self, 1);
	ASSERT_EQ(0, pthread_create(&t, NULL, stop_later, self->d));
	EXPECT_EQ(0, venom_daemon_run(self->d, answer, &left));
	ASSERT_EQ(0, pthread_join(t, NULL));
	/* From now on each receive ends like that, with something to receive or not. */
	ASSERT_EQ(0, vt_call(&self->sh[0], ps_send, 6, 20));
	memset(&self->cmd, 0x5a, sizeof(self->cmd));
	poison = self->cmd;
	EXPECT_EQ(-ECANCELED, venom_daemon_receive(self->d, &self->cmd, -1));
	EXPECT_EQ(-ECANCELED, venom_daemon_receive(self->d, &self->cmd, 0));
	EXPECT_EQ(0, memcmp(&self->cmd, &poison, sizeof(poison)));
	EXPECT_EQ(0, venom_daemon_run(self->d, answer, &left));
	EXPECT_EQ(1000, left);
	EXPECT_EQ(1, venom_daemon_arm(self->d));
}

TEST_F(serve, stop_while_it_busy_polls)
{
	int left = 1000;
	pthread_t t;

	start(self, 1);
	ASSERT_EQ(0, venom_daemon_set_spin(self->d, VENOM_SPIN_FOREVER));
	ASSERT_EQ(0, pthread_create(&t, NULL, stop_later, self->d));
	EXPECT_EQ(0, venom_daemon_run(self->d, answer, &left));
	ASSERT_EQ(0, pthread_join(t, NULL));
}

static struct venom_daemon *to_stop;

static void on_alarm(int sig)
{
	(void)sig;
	venom_daemon_stop(to_stop);
}

TEST_F(serve, stop_from_a_signal_handler)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	int left = 1000;
	uint64_t began;
	timer_t timer;
	struct itimerspec when = {.it_value.tv_nsec = 50 * VT_MS};

	start(self, 1);
	to_stop = self->d;
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_EQ(0, timer_create(CLOCK_MONOTONIC,
				  &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1}, &timer));
	began = vt_now();
	ASSERT_EQ(0, timer_settime(timer, 0, &when, NULL));
	EXPECT_EQ(0, venom_daemon_run(self->d, answer, &left));
	EXPECT_LE(50 * VT_MS, vt_now() - began);
	timer_delete(timer);
}

static void ignore(int sig)
{
	(void)sig;
}

/* A signal that does not stop the daemon neither ends a wait nor lengthens it. */
TEST_F(serve, waits_go_on_after_a_signal)
{
	struct sigaction sa = {.sa_handler = ignore};
	struct itimerspec when = {.it_value.tv_nsec = 5 * VT_MS, .it_interval.tv_nsec = 5 * VT_MS};
	uint64_t began;
	timer_t timer;

	start(self, 1);
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_EQ(0, timer_create(CLOCK_MONOTONIC,
				  &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1}, &timer));
	ASSERT_EQ(0, timer_settime(timer, 0, &when, NULL));
	began = vt_now();
	EXPECT_EQ(0, venom_daemon_receive(self->d, &self->cmd, 100 * VT_MS));
	EXPECT_LE(100 * VT_MS, vt_now() - began);
	timer_delete(timer);
	EXPECT_EQ(0, vt_call(&self->sh[0], ps_send, 6, 20));
	EXPECT_EQ(6, next(self));
}

TEST_HARNESS_MAIN

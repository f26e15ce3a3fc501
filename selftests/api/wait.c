/* SPDX-License-Identifier: MIT */
/*
 * Attacks waits.  They must end when there is something, or when their time is up, and never else.  A sleeper must be
 * woken by one system call, a peer that is awake must cost none, and an idle wait must cost no CPU time.  Every test
 * runs for each way to wait: sleep at once, spin a while, learn, busy-poll.
 */
#include "lib/harness.h"
#include "lib/peer.h"

#define SHORT (20 * VT_MS)

FIXTURE(wait)
{
	struct vt_peer p; /* the other side, as the name of each test says */
	const char *name;
	struct venom_config *cfg;
	struct venom_daemon *d;
	struct venom_shell *s;
	struct venom_command cmd;
};

FIXTURE_VARIANT(wait)
{
	int64_t spin_ns;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(wait, block) { .spin_ns = VENOM_SPIN_NONE };
FIXTURE_VARIANT_ADD(wait, spin_50_us) { .spin_ns = 50000 };
FIXTURE_VARIANT_ADD(wait, adaptive) { .spin_ns = VENOM_SPIN_ADAPTIVE };
FIXTURE_VARIANT_ADD(wait, busy_poll) { .spin_ns = VENOM_SPIN_FOREVER };
/* clang-format on */

FIXTURE_SETUP(wait)
{
	self->cfg = vt_config();
	self->cfg->spin_ns = variant->spin_ns;
	self->name = vt_name();
	vt_start(&self->p);
}

FIXTURE_TEARDOWN(wait)
{
	venom_shell_close(self->s);
	venom_daemon_destroy(self->d);
	EXPECT_EQ(0, vt_stop(&self->p));
}

/* The peer is the daemon, the test is a shell. */
#define be_shell(self)                                                                   \
	do {                                                                             \
		ASSERT_EQ(0, vt_call(&(self)->p, pd_create, (self)->name, (self)->cfg)); \
		ASSERT_EQ(0, venom_shell_connect(&(self)->s, (self)->name));             \
		ASSERT_EQ(0, venom_shell_set_spin((self)->s, (self)->cfg->spin_ns));     \
	} while (0)

#define be_daemon(self)                                                                   \
	do {                                                                              \
		ASSERT_EQ(0, venom_daemon_create(&(self)->d, (self)->name, (self)->cfg)); \
		ASSERT_EQ(0, vt_call(&(self)->p, ps_connect, (self)->name));              \
		ASSERT_EQ(0, vt_call(&(self)->p, ps_set_spin, (self)->cfg->spin_ns));     \
	} while (0)

TEST_F(wait, for_state)
{
	struct venom_shell_stats st;
	uint64_t began;

	be_shell(self);
	EXPECT_EQ(0, venom_shell_wait(self->s, 0, 0));
	began = vt_now();
	EXPECT_EQ(0, venom_shell_wait(self->s, 0, SHORT));
	EXPECT_LE(SHORT, vt_now() - began);
	/* The state is there already: the wait ends at once, whatever its time-out. */
	ASSERT_EQ(0, vt_call(&self->p, pd_publish, 1, 20));
	EXPECT_EQ(1, venom_shell_wait(self->s, 0, 0));
	EXPECT_EQ(1, venom_shell_wait(self->s, 0, -1));
	EXPECT_EQ(0, venom_shell_wait(self->s, 1, 0));
	/* The state is not there yet: the wait ends when it comes. */
	vt_post(&self->p, pd_publish_later, 30, 2, 20);
	EXPECT_EQ(1, venom_shell_wait(self->s, 1, -1));
	EXPECT_EQ(2, venom_shell_version(self->s));
	ASSERT_EQ(0, vt_result(&self->p));
	vt_post(&self->p, pd_publish_later, 30, 3, 20);
	EXPECT_EQ(1, venom_shell_wait(self->s, 2, 60 * VT_S));
	ASSERT_EQ(0, vt_result(&self->p));
	ASSERT_EQ(0, venom_shell_stats(self->s, &st));
	if (variant->spin_ns == VENOM_SPIN_FOREVER) {
		EXPECT_EQ(0, st.sleeps);
	} else {
		EXPECT_LE(3, st.sleeps);
	}
	vt_call(&self->p, pp_end);
}

TEST_F(wait, for_commands)
{
	struct venom_daemon_stats st;
	uint64_t began;

	be_daemon(self);
	EXPECT_EQ(0, venom_daemon_receive(self->d, &self->cmd, 0));
	began = vt_now();
	EXPECT_EQ(0, venom_daemon_receive(self->d, &self->cmd, SHORT));
	EXPECT_LE(SHORT, vt_now() - began);
	vt_post(&self->p, ps_send_later, 0, 1, 20);
	EXPECT_EQ(1, venom_daemon_receive(self->d, &self->cmd, -1));
	ASSERT_EQ(0, vt_result(&self->p));
	vt_post(&self->p, ps_send_later, 30, 2, 20);
	EXPECT_EQ(1, venom_daemon_receive(self->d, &self->cmd, -1));
	ASSERT_EQ(0, vt_result(&self->p));
	vt_post(&self->p, ps_send_later, 30, 3, 20);
	EXPECT_EQ(1, venom_daemon_receive(self->d, &self->cmd, 60 * VT_S));
	EXPECT_TRUE(vt_is(self->cmd.data, 20, 3));
	ASSERT_EQ(0, vt_result(&self->p));
	ASSERT_EQ(0, venom_daemon_stats(self->d, &st));
	if (variant->spin_ns == VENOM_SPIN_FOREVER) {
		EXPECT_EQ(0, st.sleeps);
	} else {
		EXPECT_LE(3, st.sleeps);
	}
	vt_call(&self->p, pp_end);
}

TEST_F(wait, for_an_answer)
{
	char buf[256];

	be_shell(self);
	EXPECT_EQ(-ETIMEDOUT, venom_shell_request(self->s, "xxxxxxxx", 1, buf, sizeof(buf), SHORT));
	EXPECT_EQ(1, vt_call(&self->p, pd_echo, 1) + 1);
	for (int i = 0; i < 200; i++) {
		char cmd[20];

		vt_fill(cmd, 20, 1 + i);
		vt_post(&self->p, pd_echo, 1);
		ASSERT_EQ(20, venom_shell_request(self->s, cmd, 20, buf, sizeof(buf), i % 2 ? -1 : 60 * VT_S));
		ASSERT_TRUE(vt_is(buf, 20, 1 + i));
		ASSERT_EQ(0, vt_result(&self->p));
	}
	vt_call(&self->p, pp_end);
}

TEST_F(wait, for_room)
{
	uint64_t began;

	self->cfg->cmd_slots = 4;
	be_shell(self);
	EXPECT_EQ(1, venom_shell_room(self->s, 0));
	EXPECT_EQ(1, venom_shell_room(self->s, -1));
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, venom_shell_send(self->s, "xxxxxxxx", 1));
	}
	EXPECT_EQ(0, venom_shell_room(self->s, 0));
	began = vt_now();
	EXPECT_EQ(0, venom_shell_room(self->s, SHORT));
	EXPECT_LE(SHORT, vt_now() - began);
	EXPECT_EQ(-EAGAIN, venom_shell_send(self->s, "xxxxxxxx", 1));
	vt_post(&self->p, pd_echo, 4);
	EXPECT_EQ(1, venom_shell_room(self->s, -1));
	EXPECT_EQ(0, venom_shell_send(self->s, "xxxxxxxx", 1));
	EXPECT_EQ(0, vt_result(&self->p));
	vt_call(&self->p, pp_end);
}

/* ---- how many system calls it takes to wake a sleeper ---- */

static int add_sleeps(const struct venom_peer *peer, void *sum)
{
	*(uint64_t *)sum += peer->shell.sleeps;
	return 0;
}

/* How often the shells of the channel have gone to sleep so far. */
static uint64_t shell_sleeps(const char *name)
{
	uint64_t sum = 0;

	venom_stat(name, NULL, NULL, add_sleeps, &sum);
	return sum;
}

static uint64_t daemon_wakes(struct venom_daemon *d)
{
	struct venom_daemon_stats st;

	venom_daemon_stats(d, &st);
	return st.wakes;
}

static uint64_t shell_wakes(struct venom_shell *s)
{
	struct venom_shell_stats st;

	venom_shell_stats(s, &st);
	return st.wakes;
}

static uint64_t daemon_sleeps(const char *name)
{
	struct venom_daemon_stats st = {0};

	venom_stat(name, NULL, &st, NULL, NULL);
	return st.sleeps;
}

TEST_F(wait, state_wakes_one_call_for_a_sleeper_none_for_others)
{
	bool sleeps = variant->spin_ns != VENOM_SPIN_FOREVER;
	uint64_t wakes, slept;

	be_daemon(self);
	for (int v = 1; v <= 20; v++) {
		slept = shell_sleeps(self->name);
		wakes = daemon_wakes(self->d);
		vt_post(&self->p, ps_wait, v - 1, -1);
		if (sleeps) {
			ASSERT_TRUE(VT_UNTIL(shell_sleeps(self->name) > slept));
		} else
			vt_sleep_ms(2);
		ASSERT_EQ(0, venom_daemon_publish(self->d, "xxxxxxxx", 1));
		ASSERT_EQ(1, vt_result(&self->p));
		ASSERT_EQ(wakes + sleeps, daemon_wakes(self->d));
		if (!sleeps) {
			ASSERT_EQ(0, shell_sleeps(self->name));
		}
	}
	/* The shell is awake now, though it has slept before. */
	wakes = daemon_wakes(self->d);
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, venom_daemon_publish(self->d, "xxxxxxxx", 1));
	}
	EXPECT_EQ(wakes, daemon_wakes(self->d));
	vt_call(&self->p, pp_end);
}

TEST_F(wait, command_wakes_one_call_for_a_sleeper_none_for_others)
{
	bool sleeps = variant->spin_ns != VENOM_SPIN_FOREVER;
	uint64_t wakes, slept;

	be_shell(self);
	for (int v = 1; v <= 20; v++) {
		slept = daemon_sleeps(self->name);
		wakes = shell_wakes(self->s);
		vt_post(&self->p, pd_receive, -1);
		if (sleeps) {
			ASSERT_TRUE(VT_UNTIL(daemon_sleeps(self->name) > slept));
		} else
			vt_sleep_ms(2);
		ASSERT_EQ(0, venom_shell_send(self->s, "\1\1\1", 1));
		ASSERT_EQ(1, vt_result(&self->p));
		ASSERT_EQ(wakes + sleeps, shell_wakes(self->s));
	}
	/* The daemon is awake, and does something else. */
	wakes = shell_wakes(self->s);
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, venom_shell_send(self->s, "\1\1\1", 1));
	}
	EXPECT_EQ(wakes, shell_wakes(self->s));
	vt_call(&self->p, pp_end);
}

/* A sleeper is signalled once, whatever comes before it is up. */
TEST_F(wait, one_wake_for_many_versions)
{
	struct venom_daemon_stats st;

	be_shell(self);
	ASSERT_EQ(0, venom_shell_arm(self->s, VENOM_WAIT_STATE, 0));
	for (int v = 1; v <= 5; v++) {
		ASSERT_EQ(0, vt_call(&self->p, pd_publish, v, 20));
	}
	EXPECT_EQ(1, venom_shell_wait(self->s, 0, -1));
	ASSERT_EQ(0, venom_stat(self->name, NULL, &st, NULL, NULL));
	EXPECT_EQ(1, st.wakes);
	EXPECT_EQ(5, st.versions);
	vt_call(&self->p, pp_end);
}

static long arm_daemon(long a, long b, long c)
{
	return venom_daemon_arm(pd) + a + b + c;
}

TEST_F(wait, one_wake_for_many_commands)
{
	be_shell(self);
	for (int round = 1; round <= 3; round++) {
		ASSERT_EQ(0, vt_call(&self->p, arm_daemon));
		for (int v = 1; v <= 5; v++) {
			ASSERT_EQ(0, venom_shell_send(self->s, "\1\1\1", 1));
		}
		EXPECT_EQ(round, shell_wakes(self->s));
		for (int v = 1; v <= 5; v++) {
			ASSERT_EQ(1, vt_call(&self->p, pd_receive, 0));
		}
	}
	vt_call(&self->p, pp_end);
}

TEST_F(wait, one_wake_for_many_answers)
{
	struct venom_daemon_stats st;
	uint64_t tag[5];
	char buf[64];

	be_shell(self);
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, venom_shell_submit(self->s, "\1\1\1", 1, &tag[i]));
	}
	ASSERT_EQ(0, venom_shell_arm(self->s, VENOM_WAIT_ANSWER, 0));
	ASSERT_EQ(0, vt_call(&self->p, pd_echo, 5));
	ASSERT_EQ(0, venom_stat(self->name, NULL, &st, NULL, NULL));
	EXPECT_EQ(1, st.wakes);
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(1, venom_shell_complete(self->s, &tag[i], buf, sizeof(buf), 0));
	}
	vt_call(&self->p, pp_end);
}

/* ---- what waiting costs ---- */

static long cpu_ms_of_receive(long timeout_ms, long b, long c)
{
	uint64_t began = vt_cpu();
	struct venom_command cmd;
	int err = venom_daemon_receive(pd, &cmd, pp_ns(timeout_ms));

	return err ? -1 : (long)((vt_cpu() - began) / VT_MS) + b + c;
}

/* The limit is generous: a tenth of the time.  Busy polling takes all it gets, so the measurement works. */
TEST_F(wait, idle_costs_no_cpu_time)
{
	bool busy = variant->spin_ns == VENOM_SPIN_FOREVER;
	uint64_t began;
	long daemon_ms;

	be_shell(self);
	began = vt_cpu();
	EXPECT_EQ(0, venom_shell_wait(self->s, 0, VT_S));
	EXPECT_EQ(busy, vt_cpu() - began > VT_S / 10);
	daemon_ms = vt_call(&self->p, cpu_ms_of_receive, 1000);
	EXPECT_LE(0, daemon_ms);
	EXPECT_EQ(busy, daemon_ms > 100);
	vt_call(&self->p, pp_end);
}

TEST_F(wait, spin_values)
{
	be_shell(self);
	EXPECT_EQ(-EINVAL, venom_shell_set_spin(self->s, -3));
	EXPECT_EQ(-EINVAL, venom_shell_set_spin(self->s, INT64_MIN));
	EXPECT_EQ(-EINVAL, vt_call(&self->p, pd_set_spin, -3));
	EXPECT_EQ(0, venom_shell_set_spin(self->s, INT64_MAX));
	EXPECT_EQ(0, venom_shell_wait(self->s, 0, SHORT));
	EXPECT_EQ(0, vt_call(&self->p, pd_set_spin, VENOM_SPIN_NONE));
	vt_call(&self->p, pp_end);
}

TEST_HARNESS_MAIN

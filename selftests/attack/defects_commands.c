/* SPDX-License-Identifier: MIT */
/*
 * Attacks commands with the defects of the library that this one replaces: none of them may happen here.  Each test
 * does what brought its defect out there; the torture tests do the same for longer.
 */
#include <signal.h>
#include <string.h>

#include "attack/defects.h"

/* request() gave answers to earlier requests, and to those of other clients. */
TEST_F(defect, 01_stale_and_foreign_answers)
{
	int at = 0;

	daemon_and_two_shells(self);
	for (int i = 1; i <= (int)vt_scaled(100); i++) {
		/*
		 * One shell gives up.  Then both ask; the daemon answers the late request first, then the others in
		 * reverse.
		 */
		ASSERT_EQ(-ETIMEDOUT, vt_call(&self->sh, ps_request, 3 * i, 20, 0));
		ASSERT_EQ(3 * i, vt_call(&self->dm, pd_receive, -1));
		vt_post(&self->sh, ps_request, 3 * i + 1, 20, -1);
		ASSERT_EQ(3 * i + 1, vt_call(&self->dm, pd_receive, -1));
		vt_post(&self->other, ps_request, 3 * i + 2, 20, -1);
		ASSERT_EQ(3 * i + 2, vt_call(&self->dm, pd_receive, -1));
		ASSERT_EQ(0, vt_call(&self->dm, pd_respond, at % PD_KEPT, 100000, 20));
		ASSERT_EQ(0, vt_call(&self->dm, pd_respond, (at + 2) % PD_KEPT, 3 * i + 2, 20));
		ASSERT_EQ(0, vt_call(&self->dm, pd_respond, (at + 1) % PD_KEPT, 3 * i + 1, 20));
		ASSERT_EQ(3 * i + 1, vt_result(&self->sh));
		ASSERT_EQ(3 * i + 2, vt_result(&self->other));
		at += 3;
	}
}

/* A command over the limit made its sender spin for ever. */
TEST_F(defect, 03_too_long_a_command_is_refused)
{
	daemon_and_two_shells(self);
	EXPECT_EQ(-EMSGSIZE, vt_call(&self->sh, ps_send, 1, self->cfg->cmd_size + 1));
	EXPECT_EQ(-EMSGSIZE, vt_call(&self->sh, ps_request, 1, self->cfg->cmd_size + 1, -1));
	EXPECT_EQ(0, vt_call(&self->sh, ps_send, 2, self->cfg->cmd_size));
	EXPECT_EQ(2, vt_call(&self->dm, pd_receive, -1));
}

/* A push that was refused on a full queue used up its ticket: first the order was lost, then the whole queue. */
TEST_F(defect, 04_a_refused_push_leaves_no_hole)
{
	int sent = 0, got = 0;

	daemon_and_two_shells(self);
	for (int round = 0; round < 20; round++) {
		while (vt_call(&self->sh, ps_send, sent + 1, 20) == 0)
			sent++;
		ASSERT_EQ(got + 8, sent);
		ASSERT_EQ(-EAGAIN, vt_call(&self->sh, ps_send, 999, 20));
		ASSERT_EQ(-ETIMEDOUT, vt_call(&self->sh, ps_request, 999, 20, 0));
		for (int i = 0; i <= round % 8; i++, got++) {
			ASSERT_EQ(got + 1, vt_call(&self->dm, pd_receive, 0));
		}
	}
	for (; got < sent; got++) {
		ASSERT_EQ(got + 1, vt_call(&self->dm, pd_receive, 0));
	}
	EXPECT_EQ(0, vt_call(&self->dm, pd_receive, 0));
}

static int flood(struct vt_peer *self, void *name)
{
	uint32_t v = 0;

	VT_CHECK(!ps_connect((long)name, 0, 0));
	vt_signal(self);
	for (;;)
		v += ps_send(v + 1, 8 + v % 200, 0) == 0;
}

/* A client killed in mid-push jammed the queue for all. */
TEST_F(defect, 07_a_client_killed_in_mid_push_jams_nothing)
{
	struct venom_command cmd;
	struct venom_daemon *d;
	struct vt_peer victim;
	int kills = (int)vt_scaled(100);
	uint64_t seed = vt_seed();

	ASSERT_EQ(0, venom_daemon_create(&d, self->name, self->cfg));
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name));
	for (int i = 0; i < kills; i++) {
		uint64_t until;
		uint32_t v, last = 0, others = 0;

		vt_spawn(&victim, flood, (void *)self->name);
		ASSERT_EQ(0, vt_await(&victim));
		until = vt_now() + vt_rand(&seed) % VT_MS;
		while (vt_now() < until && venom_daemon_receive(d, &cmd, 0) == 1) {
			ASSERT_TRUE(vt_whole(cmd.data, cmd.len, NULL));
			last++;
		}
		vt_kill(&victim, SIGKILL);
		/* What the victim had sent is whole and in order; then the other shell is served. */
		vt_post(&self->sh, ps_request, 5, 7, -1);
		for (others = 0; !others;) {
			ASSERT_EQ(1, venom_daemon_receive(d, &cmd, 60 * VT_S));
			ASSERT_TRUE(vt_whole(cmd.data, cmd.len, &v));
			if (cmd.flags & VENOM_CMD_REQUEST) {
				others++;
				ASSERT_EQ(0, venom_daemon_respond(d, &cmd, cmd.data, cmd.len));
			} else {
				ASSERT_EQ(8 + last % 200, cmd.len);
				last++;
			}
		}
		ASSERT_EQ(5, vt_result(&self->sh));
		while (venom_daemon_receive(d, &cmd, 0) == 1)
			;
	}
	venom_daemon_destroy(d);
}

/* max_clients was ignored, and ids were never given back. */
TEST_F(defect, 09_max_clients_holds_and_ids_come_back)
{
	self->cfg->max_clients = 2;
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, vt_call(&self->other, ps_connect, self->name));
	for (int i = 0; i < 50; i++) {
		ASSERT_TRUE(VT_UNTIL(vt_call(&self->sh, ps_connect, self->name) == 0));
		ASSERT_GT(2, vt_call(&self->sh, ps_id));
		ASSERT_EQ(-EUSERS, venom_shell_connect(&self->s, self->name));
		ASSERT_EQ(0, vt_call(&self->sh, ps_close));
	}
}

static long cpu_ms_idle(long ms, long b, long c)
{
	uint64_t began = vt_cpu();

	VT_CHECK(pd_receive(ms, 0, 0) == 0);
	return (long)((vt_cpu() - began) / VT_MS) + b + c;
}

/* An idle daemon used a whole CPU, and a request to a silent daemon never ended. */
TEST_F(defect, 12_idle_is_idle_and_silence_ends)
{
	uint64_t began;

	daemon_and_two_shells(self);
	EXPECT_GT(50, vt_call(&self->dm, cpu_ms_idle, 500));
	began = vt_now();
	EXPECT_EQ(-ETIMEDOUT, vt_call(&self->sh, ps_request, 1, 20, 100));
	EXPECT_LE(100 * VT_MS, vt_now() - began);
}

/* A config with no slots was accepted, and led to a panic later. */
TEST_F(defect, 14_zero_slots_are_refused)
{
	self->cfg->cmd_slots = 0;
	EXPECT_EQ(-EINVAL, vt_call(&self->dm, pd_create, self->name, self->cfg));
	EXPECT_NE(NULL, strstr(vt_errmsg, "cmd_slots"));
	/* One slot is enough to work. */
	self->cfg->cmd_slots = 1;
	daemon_and_two_shells(self);
	for (int v = 1; v < 10; v++) {
		vt_post(&self->dm, pd_echo, 1);
		ASSERT_EQ(v, vt_call(&self->sh, ps_request, v, 8, -1));
		ASSERT_EQ(0, vt_result(&self->dm));
	}
}

static long send_words(long a, long b, long c)
{
	static const char *const words[] = {
		"",	    "stop",	"STOP",		"__stop__", "quit", "QUIT", "exit",
		"shutdown", "SHUTDOWN", "__shutdown__", "kill",	"halt", "\4",	"\3",
	};
	uint64_t seed = vt_seed();
	char noise[64];

	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++) {
		VT_CHECK(!venom_shell_send(ps, words[i], strlen(words[i])));
		VT_CHECK(venom_shell_room(ps, -1) == 1);
		VT_CHECK(!venom_shell_send(ps, words[i], strlen(words[i]) + 1));
		VT_CHECK(venom_shell_room(ps, -1) == 1);
	}
	for (int i = 0; i < 1000; i++) {
		for (unsigned int k = 0; k < sizeof(noise); k += 8)
			*(uint64_t *)(noise + k) = vt_rand(&seed);
		VT_CHECK(!venom_shell_send(ps, noise, vt_rand(&seed) % 64));
		VT_CHECK(venom_shell_room(ps, -1) == 1);
	}
	return 2 * ARRAY_SIZE(words) + 1000 + a + b + c;
}

static int count_one(struct venom_daemon *d, const struct venom_command *cmd, void *user)
{
	(void)d;
	(void)cmd;
	return ++*(int *)user == 1028 ? 42 : 0;
}

/* Any client could stop the daemon with a magic string.  Here all that clients send is data. */
TEST_F(defect, 15_no_word_stops_the_daemon)
{
	struct venom_daemon *d;
	int n = 0;

	ASSERT_EQ(0, venom_daemon_create(&d, self->name, self->cfg));
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name));
	vt_post(&self->sh, send_words);
	EXPECT_EQ(42, venom_daemon_run(d, count_one, &n));
	EXPECT_EQ(1028, n);
	EXPECT_EQ(1028, vt_result(&self->sh));
	venom_daemon_destroy(d);
}

TEST_HARNESS_MAIN

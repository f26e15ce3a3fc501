/* SPDX-License-Identifier: MIT */
/*
 * Attacks commands.  Each must arrive once, whole, in the order in which it was sent, and with its sender's name on it.
 * Each request must get its own answer, once.  What is invalid to send or to answer must be refused without a trace.
 * The test is the daemon, the shells are processes of their own.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"

#define SLOTS	  8
#define CMD_SIZE  100
#define RESP_SIZE 300
#define POISON	  0x5a

FIXTURE(command)
{
	struct vt_peer sh, other;
	const char *name;
	struct venom_daemon *d;
	struct venom_command cmd, poison;
};

/* On the module connect does not wait for the daemon: its manager maps the lanes a moment later. */
static unsigned int lanes(const struct venom_daemon *d)
{
	unsigned int n = 0;

	for (uint32_t id = 0; id < d->geo.max_clients; id++)
		n += load_acquire(&d->lanes[id]) != NULL;
	return n;
}

FIXTURE_SETUP(command)
{
	struct venom_config *cfg = vt_config();

	cfg->cmd_slots = SLOTS;
	cfg->cmd_size = CMD_SIZE;
	cfg->resp_size = RESP_SIZE;
	cfg->max_clients = 4;
	self->name = vt_name();
	vt_start(&self->sh);
	vt_start(&self->other);
	ASSERT_EQ(0, venom_daemon_create(&self->d, self->name, cfg)) TH_LOG("%s", venom_errmsg());
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name));
	ASSERT_EQ(0, vt_call(&self->other, ps_connect, self->name));
	ASSERT_TRUE(VT_UNTIL(lanes(self->d) == 2));
	memset(&self->poison, POISON, sizeof(self->poison));
	self->cmd = self->poison;
}

FIXTURE_TEARDOWN(command)
{
	if (self->sh.pid) {
		EXPECT_EQ(0, vt_call(&self->sh, ps_close));
	}
	EXPECT_EQ(0, vt_call(&self->other, ps_close));
	venom_daemon_destroy(self->d);
	if (self->sh.pid) {
		EXPECT_EQ(0, vt_stop(&self->sh));
	}
	EXPECT_EQ(0, vt_stop(&self->other));
}

#define receive(self, timeout_ms) venom_daemon_receive((self)->d, &(self)->cmd, pp_ns(timeout_ms))
#define untouched(self)		  (!memcmp(&(self)->cmd, &(self)->poison, sizeof((self)->cmd)))
#define PATIENT			  30000 /* ms */

/* Receives the next command, which must be whole and `len` long; returns its v, or 0 if none comes. */
static uint32_t next(struct venom_daemon *d, struct venom_command *cmd, size_t len)
{
	uint32_t v;

	if (venom_daemon_receive(d, cmd, PATIENT * VT_MS) != 1 || cmd->len != len || !vt_whole(cmd->data, len, &v))
		return 0;
	return v;
}

static int respond(struct venom_daemon *d, const struct venom_command *cmd, uint32_t v, size_t len)
{
	char buf[RESP_SIZE + 1];

	vt_fill(buf, len < sizeof(buf) ? len : sizeof(buf), v);
	return venom_daemon_respond(d, cmd, buf, len);
}

static long shell_stats(long into, long b, long c)
{
	return venom_shell_stats(ps, (struct venom_shell_stats *)into) + b + c;
}

TEST_F(command, nothing_there)
{
	EXPECT_EQ(0, receive(self, 0));
	EXPECT_EQ(0, receive(self, 20));
	EXPECT_TRUE(untouched(self));
}

TEST_F(command, in_the_order_sent_and_over_the_wrap)
{
	long id = vt_call(&self->sh, ps_id), sent = 0, seen = 0, burst;

	for (burst = 1; burst <= SLOTS; burst++) {
		for (int i = 0; i < burst; i++, sent++) {
			ASSERT_EQ(0, vt_call(&self->sh, ps_send, sent + 1, 8 + sent % 90));
		}
		for (int i = 0; i < burst; i++, seen++) {
			ASSERT_EQ(seen + 1, next(self->d, &self->cmd, 8 + seen % 90));
			ASSERT_EQ(id, self->cmd.client_id);
			ASSERT_EQ(0, self->cmd.flags);
			ASSERT_EQ(0, self->cmd.tag);
			ASSERT_EQ(0, self->cmd.time_ns);
		}
		ASSERT_EQ(0, receive(self, 0));
	}
}

TEST_F(command, the_sender_is_who_the_kernel_says)
{
	pid_t pid = self->sh.pid;

	ASSERT_EQ(0, vt_call(&self->sh, ps_send, 1, 10));
	ASSERT_EQ(1, next(self->d, &self->cmd, 10));
	EXPECT_EQ(pid, self->cmd.pid);
	EXPECT_EQ(getuid(), self->cmd.uid);
	EXPECT_EQ(getgid(), self->cmd.gid);
	ASSERT_EQ(0, vt_call(&self->other, ps_send, 2, 10));
	ASSERT_EQ(2, next(self->d, &self->cmd, 10));
	EXPECT_EQ(self->other.pid, self->cmd.pid);
	EXPECT_EQ(vt_call(&self->other, ps_id), self->cmd.client_id);
}

/* The daemon gets its own copy of the data: the sender's next command does not change it. */
TEST_F(command, data_is_a_copy)
{
	const void *data;
	int i;

	ASSERT_EQ(0, vt_call(&self->sh, ps_send, 1, CMD_SIZE));
	ASSERT_EQ(1, next(self->d, &self->cmd, CMD_SIZE));
	data = self->cmd.data;
	for (i = 2; i < 2 + SLOTS; i++) {
		ASSERT_EQ(0, vt_call(&self->sh, ps_send, i, CMD_SIZE));
	}
	EXPECT_TRUE(vt_is(data, CMD_SIZE, 1));
}

/* Sends v, v + 1, ... in 20, 21, ... bytes; the command at `odd`, if any, is too long. */
static long send_many(long v, long n, long odd)
{
	static char buf[32][CMD_SIZE + 1];
	struct iovec iov[32];

	for (long i = 0; i < n; i++) {
		iov[i] = (struct iovec){.iov_base = buf[i], .iov_len = (size_t)(i == odd ? CMD_SIZE + 1 : 20 + i)};
		vt_fill(buf[i], iov[i].iov_len, (uint32_t)(v + i));
	}
	return venom_shell_send_many(ps, iov, (unsigned int)n);
}

TEST_F(command, many_at_once)
{
	struct venom_command cmd[40];
	uint32_t v;
	int i;

	EXPECT_EQ(-EINVAL, venom_daemon_receive_many(self->d, cmd, 0, 0));
	EXPECT_EQ(0, venom_daemon_receive_many(self->d, cmd, 40, 0));
	EXPECT_EQ(0, vt_call(&self->sh, send_many, 1, 0, -1));
	EXPECT_EQ(-EMSGSIZE, vt_call(&self->sh, send_many, 1, 3, 0));
	EXPECT_EQ(0, venom_daemon_receive_many(self->d, cmd, 40, 0));
	/* The commands before an invalid one are sent. */
	EXPECT_EQ(2, vt_call(&self->sh, send_many, 1, 4, 2));
	/* As many are sent as there is room for. */
	EXPECT_EQ(SLOTS - 2, vt_call(&self->sh, send_many, 3, 12, -1));
	EXPECT_EQ(-EAGAIN, vt_call(&self->sh, send_many, 50, 1, -1));
	/* Commands that are taken at once lie side by side, and stay while the lane fills again. */
	ASSERT_EQ(3, venom_daemon_receive_many(self->d, cmd, 3, 0));
	EXPECT_EQ(3, vt_call(&self->sh, send_many, SLOTS + 1, 3, -1));
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(vt_whole(cmd[i].data, cmd[i].len, &v));
		EXPECT_EQ(i + 1, v);
	}
	ASSERT_EQ(SLOTS, venom_daemon_receive_many(self->d, cmd, 40, -1));
	for (i = 0; i < SLOTS; i++) {
		EXPECT_TRUE(vt_whole(cmd[i].data, cmd[i].len, &v));
		EXPECT_EQ(i + 4, v);
	}
	/* The same with several shells and with requests: each gets its own answer. */
	EXPECT_EQ(2, vt_call(&self->sh, send_many, 100, 2, -1));
	vt_post(&self->other, ps_request, 7, 30, PATIENT);
	for (i = 0; i < 3;) {
		int n = venom_daemon_receive_many(self->d, cmd, 40, PATIENT * VT_MS);

		ASSERT_LT(0, n);
		for (int at = 0; at < n; at++, i++) {
			ASSERT_TRUE(vt_whole(cmd[at].data, cmd[at].len, &v));
			if (cmd[at].flags & VENOM_CMD_REQUEST) {
				EXPECT_EQ(0, respond(self->d, &cmd[at], v + 1, 40));
			}
		}
	}
	EXPECT_EQ(8, vt_result(&self->other));
	venom_daemon_stop(self->d);
	EXPECT_EQ(-ECANCELED, venom_daemon_receive_many(self->d, cmd, 40, -1));
}

static long send_sizes(long a, long b, long c)
{
	char buf[CMD_SIZE + 1];

	memset(buf, 7, sizeof(buf));
	VT_CHECK(venom_shell_send(ps, buf, 0) == 0);
	VT_CHECK(venom_shell_send(ps, buf, 1) == 0);
	VT_CHECK(venom_shell_send(ps, buf, CMD_SIZE) == 0);
	VT_CHECK(venom_shell_send(ps, buf, CMD_SIZE + 1) == -EMSGSIZE);
	VT_CHECK(venom_shell_send(ps, buf, SIZE_MAX) == -EMSGSIZE);
	return a + b + c;
}

TEST_F(command, sizes)
{
	struct venom_shell_stats *st = (void *)vt_box;

	ASSERT_EQ(0, vt_call(&self->sh, send_sizes));
	ASSERT_EQ(0, vt_call(&self->sh, shell_stats, st));
	EXPECT_EQ(3, st->commands);
	ASSERT_EQ(1, receive(self, 0));
	EXPECT_EQ(0, self->cmd.len);
	ASSERT_EQ(1, receive(self, 0));
	EXPECT_EQ(1, self->cmd.len);
	ASSERT_EQ(1, receive(self, 0));
	EXPECT_EQ(CMD_SIZE, self->cmd.len);
	EXPECT_TRUE(vt_all(self->cmd.data, 7, CMD_SIZE));
	/* The refused commands left nothing behind. */
	self->cmd = self->poison;
	EXPECT_EQ(0, receive(self, 0));
	EXPECT_TRUE(untouched(self));
}

TEST_F(command, full_lane)
{
	struct venom_shell_stats *st = (void *)vt_box;
	int i, of_other = 0;

	for (i = 1; i <= SLOTS; i++) {
		ASSERT_EQ(0, vt_call(&self->sh, ps_send, i, 20));
	}
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EAGAIN, vt_call(&self->sh, ps_send, 99, 20));
	}
	/* A request waits for room, and gives up at its time-out. */
	EXPECT_EQ(-ETIMEDOUT, vt_call(&self->sh, ps_request, 98, 20, 0));
	EXPECT_EQ(-ETIMEDOUT, vt_call(&self->sh, ps_request, 97, 20, 30));
	ASSERT_EQ(0, vt_call(&self->sh, shell_stats, st));
	EXPECT_EQ(SLOTS, st->commands);
	EXPECT_LE(3 + 1, st->full);
	/* The other shells have their own lanes. */
	EXPECT_EQ(0, vt_call(&self->other, ps_send, 50, 20));
	for (i = 1; i <= SLOTS || !of_other;) {
		uint32_t v = next(self->d, &self->cmd, 20);

		if (v == 50)
			of_other++;
		else
			ASSERT_EQ(i++, v);
	}
	EXPECT_EQ(1, of_other);
	EXPECT_EQ(0, receive(self, 0));
	EXPECT_EQ(0, vt_call(&self->sh, ps_send, i, 20));
	EXPECT_EQ(i, next(self->d, &self->cmd, 20));
}

TEST_F(command, request_waits_for_room)
{
	int i;

	for (i = 1; i <= SLOTS; i++) {
		ASSERT_EQ(0, vt_call(&self->sh, ps_send, i, 20));
	}
	vt_post(&self->sh, ps_request, 77, 20, -1);
	EXPECT_FALSE(vt_has_result(&self->sh, 50));
	for (i = 1; i <= SLOTS; i++) {
		ASSERT_EQ(i, next(self->d, &self->cmd, 20));
	}
	ASSERT_EQ(77, next(self->d, &self->cmd, 20));
	ASSERT_EQ(0, respond(self->d, &self->cmd, 78, 20));
	EXPECT_EQ(78, vt_result(&self->sh));
}

TEST_F(command, request_and_its_answer)
{
	uint32_t v;

	for (v = 1; v <= 3 * SLOTS; v++) {
		vt_post(&self->sh, ps_request, v, 10 + v, -1);
		ASSERT_EQ(v, next(self->d, &self->cmd, 10 + v));
		ASSERT_EQ(VENOM_CMD_REQUEST, self->cmd.flags);
		ASSERT_NE(0, self->cmd.tag);
		ASSERT_EQ(0, respond(self->d, &self->cmd, 1000 + v, v == 3 ? RESP_SIZE : v));
		ASSERT_EQ(v < 8 && v != 3 ? (1000 + v) % 256 : 1000 + v, vt_result(&self->sh));
	}
}

TEST_F(command, answered_twice)
{
	struct venom_daemon_stats st;

	vt_post(&self->sh, ps_request, 5, 10, -1);
	ASSERT_EQ(5, next(self->d, &self->cmd, 10));
	ASSERT_EQ(0, respond(self->d, &self->cmd, 6, 10));
	EXPECT_EQ(-EALREADY, respond(self->d, &self->cmd, 7, 10));
	EXPECT_EQ(6, vt_result(&self->sh));
	EXPECT_EQ(-EALREADY, respond(self->d, &self->cmd, 8, 10));
	ASSERT_EQ(0, venom_daemon_stats(self->d, &st));
	EXPECT_EQ(1, st.responses);
	/* None of these answers reaches the next request. */
	vt_post(&self->sh, ps_request, 9, 10, -1);
	ASSERT_EQ(9, next(self->d, &self->cmd, 10));
	ASSERT_EQ(0, respond(self->d, &self->cmd, 10, 10));
	EXPECT_EQ(10, vt_result(&self->sh));
}

TEST_F(command, no_answer_to_one_way)
{
	struct venom_daemon_stats st;

	ASSERT_EQ(0, vt_call(&self->sh, ps_send, 5, 10));
	ASSERT_EQ(5, next(self->d, &self->cmd, 10));
	EXPECT_EQ(-EINVAL, respond(self->d, &self->cmd, 6, 10));
	ASSERT_EQ(0, venom_daemon_stats(self->d, &st));
	EXPECT_EQ(0, st.responses);
}

TEST_F(command, forged_command)
{
	struct venom_daemon_stats st;
	struct venom_command cmd = {0};

	EXPECT_EQ(-EINVAL, respond(self->d, &cmd, 6, 10));
	cmd = self->poison;
	EXPECT_EQ(-EINVAL, respond(self->d, &cmd, 6, 10));
	vt_post(&self->sh, ps_request, 5, 10, -1);
	ASSERT_EQ(5, next(self->d, &self->cmd, 10));
	cmd = self->cmd;
	cmd.tag += 1;
	EXPECT_EQ(-EINVAL, respond(self->d, &cmd, 6, 10));
	cmd.tag = self->cmd.tag + SLOTS; /* same slot */
	EXPECT_EQ(-EINVAL, respond(self->d, &cmd, 6, 10));
	cmd.tag = 0;
	EXPECT_EQ(-EINVAL, respond(self->d, &cmd, 6, 10));
	cmd = self->cmd;
	cmd.client_id = 1000000;
	EXPECT_EQ(-EINVAL, respond(self->d, &cmd, 6, 10));
	cmd.client_id = (uint32_t)vt_call(&self->other, ps_id);
	cmd.generation = self->cmd.generation;
	EXPECT_GT(0, respond(self->d, &cmd, 6, 10));
	ASSERT_EQ(0, venom_daemon_stats(self->d, &st));
	EXPECT_EQ(0, st.responses);
	EXPECT_FALSE(vt_has_result(&self->sh, 20));
	ASSERT_EQ(0, respond(self->d, &self->cmd, 6, 10));
	EXPECT_EQ(6, vt_result(&self->sh));
}

TEST_F(command, answer_too_long)
{
	struct venom_daemon_stats st;

	vt_post(&self->sh, ps_request, 5, 10, -1);
	ASSERT_EQ(5, next(self->d, &self->cmd, 10));
	EXPECT_EQ(-EMSGSIZE, respond(self->d, &self->cmd, 6, RESP_SIZE + 1));
	ASSERT_EQ(0, venom_daemon_stats(self->d, &st));
	EXPECT_EQ(0, st.responses);
	EXPECT_FALSE(vt_has_result(&self->sh, 20));
	EXPECT_EQ(0, respond(self->d, &self->cmd, 6, RESP_SIZE));
	EXPECT_EQ(6, vt_result(&self->sh));
}

TEST_F(command, sent_then_closed_is_still_delivered)
{
	uint32_t id = (uint32_t)vt_call(&self->sh, ps_id), i;

	for (i = 1; i <= SLOTS; i++) {
		ASSERT_EQ(0, vt_call(&self->sh, ps_send, i, 20));
	}
	ASSERT_EQ(0, vt_call(&self->sh, ps_close));
	ASSERT_EQ(0, vt_stop(&self->sh));
	vt_sleep_ms(50);
	for (i = 1; i <= SLOTS; i++) {
		ASSERT_EQ(i, next(self->d, &self->cmd, 20));
		ASSERT_EQ(id, self->cmd.client_id);
	}
	EXPECT_EQ(0, receive(self, 0));
}

static long submit(long v, long len, long c)
{
	char buf[CMD_SIZE];
	uint64_t tag = 0;

	vt_fill(buf, (size_t)len, (uint32_t)v);
	VT_CHECK(!venom_shell_submit(ps, buf, (size_t)len, &tag));
	VT_CHECK(tag);
	return c;
}

TEST_F(command, answer_to_a_shell_that_has_gone)
{
	struct venom_daemon_stats st;

	ASSERT_EQ(0, vt_call(&self->sh, submit, 5, 10));
	ASSERT_EQ(5, next(self->d, &self->cmd, 10));
	ASSERT_EQ(0, vt_call(&self->sh, ps_close));
	ASSERT_EQ(0, vt_stop(&self->sh));
	ASSERT_TRUE(VT_UNTIL((venom_daemon_stats(self->d, &st), st.clients) == 1));
	EXPECT_EQ(-EPIPE, respond(self->d, &self->cmd, 6, 10));
	ASSERT_EQ(0, venom_daemon_stats(self->d, &st));
	EXPECT_EQ(0, st.responses);
	EXPECT_EQ(1, st.stale);
	/* The next shell under the same id does not get the answer, either. */
	vt_start(&self->sh);
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name));
	ASSERT_EQ(self->cmd.client_id, vt_call(&self->sh, ps_id));
	vt_post(&self->sh, ps_request, 7, 10, -1);
	EXPECT_EQ(-EPIPE, respond(self->d, &self->cmd, 6, 10));
	ASSERT_EQ(7, next(self->d, &self->cmd, 10));
	ASSERT_EQ(0, respond(self->d, &self->cmd, 8, 10));
	EXPECT_EQ(8, vt_result(&self->sh));
}

TEST_F(command, ids_are_unique_and_reused_with_another_generation)
{
	long a = vt_call(&self->sh, ps_id), b = vt_call(&self->other, ps_id);
	uint32_t generation;

	EXPECT_NE(a, b);
	EXPECT_GT(4, a);
	EXPECT_GT(4, b);
	ASSERT_EQ(0, vt_call(&self->sh, ps_send, 1, 10));
	ASSERT_EQ(1, next(self->d, &self->cmd, 10));
	generation = self->cmd.generation;
	ASSERT_EQ(0, vt_call(&self->sh, ps_close));
	for (int i = 0; i < 20; i++) {
		ASSERT_TRUE(VT_UNTIL(vt_call(&self->sh, ps_connect, self->name) == 0));
		ASSERT_GT(4, vt_call(&self->sh, ps_id));
		ASSERT_NE(b, vt_call(&self->sh, ps_id));
		if (vt_call(&self->sh, ps_id) == a) {
			ASSERT_EQ(0, vt_call(&self->sh, ps_send, 2, 10));
			ASSERT_EQ(2, next(self->d, &self->cmd, 10));
			ASSERT_NE(generation, self->cmd.generation);
			generation = self->cmd.generation;
		}
		ASSERT_EQ(0, vt_call(&self->sh, ps_close));
	}
	ASSERT_TRUE(VT_UNTIL(vt_call(&self->sh, ps_connect, self->name) == 0));
}

TEST_HARNESS_MAIN

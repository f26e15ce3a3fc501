/* SPDX-License-Identifier: MIT */
/*
 * Attacks requests, from their shell's side: many at once, answered in any order.  Each must get its own answer and no
 * other's, however late that comes.  The test is the shell; the daemon is a process of its own that answers when the
 * test tells it to.
 */
#include <string.h>

#include "internal.h"
#include "lib/harness.h"
#include "lib/peer.h"

#define SLOTS	  8
#define CMD_SIZE  100
#define RESP_SIZE 300
#define POISON	  0x5a
#define PATIENT	  (30 * VT_S)

FIXTURE(request)
{
	struct vt_peer dm;
	struct venom_shell *s;
	const char *name;
	char buf[RESP_SIZE];
	uint64_t tag;
};

FIXTURE_SETUP(request)
{
	struct venom_config *cfg = vt_config();

	cfg->cmd_slots = SLOTS;
	cfg->cmd_size = CMD_SIZE;
	cfg->resp_size = RESP_SIZE;
	self->name = vt_name();
	vt_start(&self->dm);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
	memset(self->buf, POISON, sizeof(self->buf));
	self->tag = 99;
}

FIXTURE_TEARDOWN(request)
{
	venom_shell_close(self->s);
	EXPECT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_EQ(0, vt_stop(&self->dm));
}

static int do_submit(struct venom_shell *s, uint32_t v, uint64_t *tag)
{
	char cmd[CMD_SIZE];

	vt_fill(cmd, 20, v);
	return venom_shell_submit(s, cmd, 20, tag);
}

#define submit(self, v) do_submit((self)->s, v, &(self)->tag)

static ssize_t do_request(struct venom_shell *s, uint32_t v, void *buf, size_t size, int64_t timeout_ns)
{
	char cmd[CMD_SIZE];

	vt_fill(cmd, 20, v);
	return venom_shell_request(s, cmd, 20, buf, size, timeout_ns);
}

#define request(self, v, size, timeout_ns) do_request((self)->s, v, (self)->buf, size, timeout_ns)

#define complete(self, tag, timeout_ns) venom_shell_complete((self)->s, tag, (self)->buf, RESP_SIZE, timeout_ns)
#define buf_untouched(self)		vt_all((self)->buf, POISON, sizeof((self)->buf))

/* Makes the daemon take n commands, with v from `first` on; they become pd_cmd[at], ... */
#define take(self, n, first)                                            \
	for (uint32_t v_ = first; v_ < (uint32_t)(first) + (n); v_++) { \
		ASSERT_EQ(v_, vt_call(&(self)->dm, pd_receive, -1));    \
	}

/* Serves one whole request: takes it, and answers with v + 1000. */
static long serve_one(long a, long b, long c)
{
	long v = pd_receive(-1, 0, 0);

	return v < 0 ? v : pd_respond((pd_cmds - 1) % PD_KEPT, v + 1000, 20) + a + b + c;
}

#define ask(self, v)                                                                           \
	({                                                                                     \
		vt_post(&(self)->dm, serve_one);                                               \
		ssize_t n_ = request(self, v, RESP_SIZE, PATIENT);                             \
		vt_result(&(self)->dm) == 0 && n_ == 20 && vt_is((self)->buf, 20, (v) + 1000); \
	})

TEST_F(request, many_answered_in_reverse)
{
	uint64_t tag[SLOTS];
	int round, i, j;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < SLOTS; i++) {
			ASSERT_EQ(0, submit(self, 1 + i));
			tag[i] = self->tag;
			ASSERT_NE(0, tag[i]);
			for (j = 0; j < i; j++) {
				ASSERT_NE(tag[i], tag[j]);
			}
		}
		take(self, SLOTS, 1);
		for (i = SLOTS - 1; i >= 0; i--) {
			ASSERT_EQ(0, vt_call(&self->dm, pd_respond, round * SLOTS + i, 101 + i, 10 + i));
		}
		for (i = 0; i < SLOTS; i++) {
			uint64_t t = tag[i];

			ASSERT_EQ(10 + i, complete(self, &t, PATIENT));
			ASSERT_EQ(tag[i], t);
			ASSERT_TRUE(vt_is(self->buf, 10 + i, 101 + i));
		}
	}
}

/* A request that stays open keeps its place, however many laps the others make. */
TEST_F(request, one_stays_open_beside_many)
{
	uint64_t first, second;

	ASSERT_EQ(0, submit(self, 1));
	first = self->tag;
	take(self, 1, 1);
	for (uint32_t v = 2; v < 2 + 2 * SLOTS; v++) {
		ASSERT_TRUE(ask(self, v));
	}
	ASSERT_EQ(0, submit(self, 50));
	second = self->tag;
	take(self, 1, 50);
	for (uint32_t v = 100; v < 100 + 2 * SLOTS; v++) {
		ASSERT_TRUE(ask(self, v));
	}
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 1 + 2 * SLOTS, 1050, 20));
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 0, 1001, 20));
	EXPECT_EQ(20, complete(self, &first, PATIENT));
	EXPECT_TRUE(vt_is(self->buf, 20, 1001));
	EXPECT_EQ(20, complete(self, &second, PATIENT));
	EXPECT_TRUE(vt_is(self->buf, 20, 1050));
}

TEST_F(request, any)
{
	uint64_t tag[3], t;

	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, submit(self, 1 + i));
		tag[i] = self->tag;
	}
	take(self, 3, 1);
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 1, 51, 20));
	t = VENOM_ANY;
	ASSERT_EQ(20, complete(self, &t, PATIENT));
	EXPECT_EQ(tag[1], t);
	EXPECT_TRUE(vt_is(self->buf, 20, 51));
	/* The other two requests are still open. */
	t = VENOM_ANY;
	memset(self->buf, POISON, sizeof(self->buf));
	EXPECT_EQ(-ETIMEDOUT, complete(self, &t, 0));
	EXPECT_EQ(-ETIMEDOUT, complete(self, &t, 20 * VT_MS));
	EXPECT_EQ(VENOM_ANY, t);
	EXPECT_TRUE(buf_untouched(self));
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 0, 50, 20));
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 2, 52, 20));
	t = tag[2];
	EXPECT_EQ(20, complete(self, &t, PATIENT));
	EXPECT_TRUE(vt_is(self->buf, 20, 52));
	t = VENOM_ANY;
	EXPECT_EQ(20, complete(self, &t, PATIENT));
	EXPECT_EQ(tag[0], t);
	EXPECT_TRUE(vt_is(self->buf, 20, 50));
}

TEST_F(request, no_such_open_request)
{
	uint64_t t = VENOM_ANY, done;

	EXPECT_EQ(-EINVAL, complete(self, &t, 0));
	EXPECT_EQ(VENOM_ANY, t);
	t = 12345;
	EXPECT_EQ(-EINVAL, complete(self, &t, 0));
	EXPECT_EQ(12345, t);
	EXPECT_EQ(-EINVAL, venom_shell_cancel(self->s, 12345));
	EXPECT_EQ(-EINVAL, venom_shell_cancel(self->s, VENOM_ANY));
	EXPECT_TRUE(buf_untouched(self));
	/* A completed request is not open any more. */
	ASSERT_EQ(0, submit(self, 1));
	done = self->tag;
	take(self, 1, 1);
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 0, 2, 20));
	ASSERT_EQ(20, complete(self, &done, PATIENT));
	EXPECT_EQ(-EINVAL, complete(self, &done, 0));
	EXPECT_EQ(-EINVAL, venom_shell_cancel(self->s, done));
	/* One open request does not make another tag valid. */
	ASSERT_EQ(0, submit(self, 3));
	EXPECT_EQ(-EINVAL, complete(self, &done, 0));
	EXPECT_EQ(-EINVAL, venom_shell_cancel(self->s, done));
	EXPECT_EQ(0, venom_shell_cancel(self->s, self->tag));
}

TEST_F(request, as_many_open_as_slots)
{
	struct venom_shell_stats st;
	uint64_t first = 0, t;

	for (int i = 0; i < SLOTS; i++) {
		ASSERT_EQ(0, submit(self, 1 + i));
		if (!i)
			first = self->tag;
	}
	take(self, SLOTS, 1);
	/* The lane has room again, but the requests are still open. */
	self->tag = 99;
	EXPECT_EQ(-EAGAIN, submit(self, 50));
	EXPECT_EQ(99, self->tag);
	ASSERT_EQ(0, venom_shell_stats(self->s, &st));
	EXPECT_EQ(SLOTS, st.commands);
	EXPECT_EQ(1, st.full);
	EXPECT_EQ(-EAGAIN, request(self, 51, RESP_SIZE, 20 * VT_MS));
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 0, 2, 20));
	t = first;
	ASSERT_EQ(20, complete(self, &t, PATIENT));
	EXPECT_EQ(0, submit(self, 9));
	take(self, 1, 9);
	EXPECT_EQ(0, vt_call(&self->dm, pd_receive, 0));
}

TEST_F(request, refused_sizes)
{
	struct venom_shell_stats st;
	char cmd[CMD_SIZE + 1] = {0};

	EXPECT_EQ(-EMSGSIZE, venom_shell_submit(self->s, cmd, CMD_SIZE + 1, &self->tag));
	EXPECT_EQ(99, self->tag);
	EXPECT_EQ(-EMSGSIZE, venom_shell_request(self->s, cmd, CMD_SIZE + 1, self->buf, RESP_SIZE, PATIENT));
	EXPECT_TRUE(buf_untouched(self));
	ASSERT_EQ(0, venom_shell_stats(self->s, &st));
	EXPECT_EQ(0, st.commands);
	EXPECT_EQ(0, vt_call(&self->dm, pd_receive, 0));
	EXPECT_TRUE(ask(self, 5));
}

TEST_F(request, answer_larger_than_the_buffer)
{
	uint64_t t;

	vt_post(&self->dm, serve_one);
	ASSERT_EQ(-EMSGSIZE, request(self, 5, 19, PATIENT));
	ASSERT_EQ(0, vt_result(&self->dm));
	EXPECT_EQ(20, venom_shell_needed(self->s));
	EXPECT_TRUE(buf_untouched(self));
	t = venom_shell_tag(self->s);
	EXPECT_NE(0, t);
	EXPECT_EQ(-EMSGSIZE, venom_shell_complete(self->s, &t, self->buf, 0, 0));
	EXPECT_TRUE(buf_untouched(self));
	EXPECT_EQ(20, complete(self, &t, 0));
	EXPECT_TRUE(vt_is(self->buf, 20, 1005));
	EXPECT_EQ(-EINVAL, complete(self, &t, 0));
	/* The tag stays valid until the next request() only. */
	vt_post(&self->dm, serve_one);
	ASSERT_EQ(-EMSGSIZE, request(self, 6, 19, PATIENT));
	ASSERT_EQ(0, vt_result(&self->dm));
	t = venom_shell_tag(self->s);
	ASSERT_TRUE(ask(self, 7));
	EXPECT_EQ(-EINVAL, complete(self, &t, 0));
}

TEST_F(request, too_small_leaves_a_submitted_one_open)
{
	ASSERT_EQ(0, submit(self, 1));
	take(self, 1, 1);
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 0, 2, 20));
	EXPECT_EQ(-EMSGSIZE, venom_shell_complete(self->s, &self->tag, self->buf, 19, PATIENT));
	EXPECT_EQ(20, venom_shell_needed(self->s));
	EXPECT_TRUE(buf_untouched(self));
	/* Other requests do not take its place. */
	ASSERT_TRUE(ask(self, 7));
	EXPECT_EQ(20, complete(self, &self->tag, 0));
	EXPECT_TRUE(vt_is(self->buf, 20, 2));
}

TEST_F(request, late_answer_is_dropped)
{
	struct venom_shell_stats st;

	ASSERT_EQ(-ETIMEDOUT, request(self, 1, RESP_SIZE, 20 * VT_MS));
	ASSERT_EQ(-ETIMEDOUT, request(self, 2, RESP_SIZE, 0));
	EXPECT_TRUE(buf_untouched(self));
	ASSERT_EQ(0, venom_shell_stats(self->s, &st));
	EXPECT_EQ(2, st.timeouts);
	take(self, 2, 1);
	/* One answer is late, one comes while the next request waits: neither is given to the third. */
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 0, 101, 20));
	ASSERT_EQ(0, submit(self, 3));
	take(self, 1, 3);
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 1, 102, 20));
	EXPECT_EQ(-ETIMEDOUT, complete(self, &self->tag, 20 * VT_MS));
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 2, 103, 20));
	EXPECT_EQ(20, complete(self, &self->tag, PATIENT));
	EXPECT_TRUE(vt_is(self->buf, 20, 103));
	ASSERT_EQ(0, venom_shell_stats(self->s, &st));
	EXPECT_EQ(1, st.answers);
}

/* An answer may be late by any time: every slot has been used again, and the daemon gets -ESTALE. */
TEST_F(request, late_answer_to_a_slot_used_again)
{
	struct venom_daemon_stats st;

	ASSERT_EQ(-ETIMEDOUT, request(self, 1, RESP_SIZE, 0));
	take(self, 1, 1);
	for (uint32_t v = 2; v < 2 + 2 * SLOTS; v++) {
		ASSERT_TRUE(ask(self, v));
	}
	EXPECT_EQ(-ESTALE, vt_call(&self->dm, pd_respond, 0, 666, 20));
	ASSERT_EQ(0, venom_stat(self->name, NULL, &st, NULL, NULL));
	EXPECT_EQ(1, st.stale);
	EXPECT_EQ(2 * SLOTS, st.responses);
	for (uint32_t v = 2; v < 2 + 2 * SLOTS; v++) {
		ASSERT_TRUE(ask(self, v));
	}
}

TEST_F(request, cancelled)
{
	uint64_t first;

	ASSERT_EQ(0, submit(self, 1));
	first = self->tag;
	take(self, 1, 1);
	EXPECT_EQ(0, venom_shell_cancel(self->s, first));
	EXPECT_EQ(-EINVAL, venom_shell_cancel(self->s, first));
	EXPECT_EQ(-EINVAL, complete(self, &first, 0));
	EXPECT_EQ(0, vt_call(&self->dm, pd_respond, 0, 666, 20));
	EXPECT_EQ(-EINVAL, complete(self, &first, 0));
	EXPECT_TRUE(buf_untouched(self));
	/* A cancelled request frees its place: as many as before can be open. */
	for (int i = 0; i < SLOTS; i++) {
		ASSERT_EQ(0, submit(self, 10 + i));
	}
	EXPECT_EQ(-EAGAIN, submit(self, 50));
	take(self, SLOTS, 10);
	self->tag = VENOM_ANY;
	EXPECT_EQ(-ETIMEDOUT, complete(self, &self->tag, 20 * VT_MS));
}

/* Many late answers, in every order that a small generator finds: each request gets its own only. */
TEST_F(request, never_another_s_answer)
{
	uint64_t seed = vt_seed();
	long taken = 0, kept = 0;
	uint32_t v = 0;

	for (int i = 0; i < (int)vt_scaled(2000); i++) {
		switch (vt_rand(&seed) % 3) {
		case 0: /* gives up at once, or after a moment */
			ASSERT_EQ(-ETIMEDOUT, request(self, ++v, RESP_SIZE, vt_rand(&seed) % 2 ? 0 : 1000));
			ASSERT_EQ(v, vt_call(&self->dm, pd_receive, -1));
			taken++;
			break;
		case 1: /* an old request is answered late, or too late */
			if (kept < taken && taken < kept + PD_KEPT) {
				long err = vt_call(&self->dm, pd_respond, kept++ % PD_KEPT, 500000, 20);

				ASSERT_TRUE(err == 0 || err == -ESTALE || err == -EALREADY) TH_LOG("%ld", err);
			}
			break;
		case 2:
			v++;
			ASSERT_EQ(0, submit(self, v));
			ASSERT_EQ(v, vt_call(&self->dm, pd_receive, -1));
			ASSERT_EQ(0, vt_call(&self->dm, pd_respond, taken % PD_KEPT, v + 1000000, 20));
			taken++;
			ASSERT_EQ(20, complete(self, &self->tag, PATIENT));
			ASSERT_TRUE(vt_is(self->buf, 20, v + 1000000));
			break;
		}
		if (kept < taken - PD_KEPT / 2)
			kept = taken - PD_KEPT / 2;
	}
}

/* Makes the daemon treat the lane as another daemon's before. */
static long may_pass(long id, long n, long c)
{
	(void)c;
	serve_enter(pd);
	VT_CHECK(VT_UNTIL((venom_lanes_sync(pd), pd->served[id]))); /* the daemon may not have met its shell yet */
	pd->served[id]->stale = (uint32_t)n;
	serve_leave(pd);
	return 0;
}

/* A daemon that goes on with the channel passes over a request to the one before, which nobody took: it has failed. */
TEST_F(request, passed_over)
{
	uint64_t tag;

	ASSERT_EQ(0, vt_call(&self->dm, may_pass, venom_shell_id(self->s), 1));
	ASSERT_EQ(0, submit(self, 1));
	venom_slots_at(&self->s->out, self->s->pos - 1)->word ^= VENOM_SLOT_EPOCH(1);
	tag = self->tag;
	ASSERT_EQ(0, submit(self, 2));
	take(self, 1, 2);
	EXPECT_EQ(1, venom_shell_arm(self->s, VENOM_WAIT_ANSWER, 0));
	EXPECT_EQ(-EPIPE, complete(self, &tag, PATIENT));
	EXPECT_EQ(-EINVAL, complete(self, &tag, 0));
	EXPECT_TRUE(buf_untouched(self));
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 0, 7, 30));
	EXPECT_EQ(30, complete(self, &self->tag, PATIENT));
	EXPECT_TRUE(vt_is(self->buf, 30, 7));
}

TEST_HARNESS_MAIN

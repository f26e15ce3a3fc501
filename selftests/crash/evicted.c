/* SPDX-License-Identifier: MIT */
/*
 * Attacks with an evicted shell, whose id another shell has by now.  The id's word in the status page says ALIVE again,
 * for the other shell: only the generation beside it shows that the id is not the evicted shell's own any more.  Each
 * of its calls must fail with -EPIPE, and none may wait; the shell that has the id must not be disturbed.
 */
#include "internal.h"
#include "lib/harness.h"
#include "lib/peer.h"

FIXTURE(evicted)
{
	struct vt_peer daemon, shell, next;
	const char *name;
};

FIXTURE_VARIANT(evicted)
{
	vt_fn call;
	int64_t spin;
};

static long s_send(long a, long b, long c)
{
	return venom_shell_send(ps, "x", 1) + a + b + c;
}

static long s_send_many(long a, long b, long c)
{
	struct iovec cmd[2] = {{"x", 1}, {"y", 1}};

	return venom_shell_send_many(ps, cmd, 2) + a + b + c;
}

static long s_submit(long a, long b, long c)
{
	uint64_t tag;

	return venom_shell_submit(ps, "x", 1, &tag) + a + b + c;
}

static long s_request(long a, long b, long c)
{
	char answer[64];

	return venom_shell_request(ps, "x", 1, answer, sizeof(answer), -1) + a + b + c;
}

static long s_wait(long a, long b, long c)
{
	return venom_shell_wait(ps, 1, -1) + a + b + c;
}

static long s_room(long a, long b, long c)
{
	return venom_shell_room(ps, -1) + a + b + c;
}

static long s_arm_answer(long a, long b, long c)
{
	return venom_shell_arm(ps, VENOM_WAIT_ANSWER, 0) + a + b + c;
}

static long s_arm_state(long a, long b, long c)
{
	return venom_shell_arm(ps, VENOM_WAIT_STATE, 1) + a + b + c;
}

/* clang-format off */
#define CALL(name, ...) FIXTURE_VARIANT_ADD(evicted, name) { __VA_ARGS__ }
CALL(send, .call = s_send);
CALL(send_many, .call = s_send_many);
CALL(submit, .call = s_submit);
CALL(request, .call = s_request);
CALL(request_spinning, .call = s_request, .spin = VENOM_SPIN_FOREVER);
CALL(wait, .call = s_wait);
CALL(wait_spinning, .call = s_wait, .spin = VENOM_SPIN_FOREVER);
CALL(room, .call = s_room);
CALL(arm_answer, .call = s_arm_answer);
CALL(arm_state, .call = s_arm_state);
/* clang-format on */

FIXTURE_SETUP(evicted)
{
	struct venom_config *cfg = vt_config();

	self->name = vt_name();
	cfg->max_clients = 1;
	vt_start(&self->daemon);
	vt_start(&self->shell);
	vt_start(&self->next);
	ASSERT_EQ(0, vt_call(&self->daemon, pd_create, self->name, cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->daemon, pd_publish, 1, 8));
	ASSERT_EQ(0, vt_call(&self->shell, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->shell, ps_set_spin, variant->spin));
}

FIXTURE_TEARDOWN(evicted)
{
	vt_stop(&self->next);
	vt_stop(&self->shell);
	vt_call(&self->daemon, pd_destroy);
	vt_stop(&self->daemon);
}

/* A command that is longer than its slot. */
static long s_break_the_rules(long a, long b, long c)
{
	struct venom_slot *slot = venom_slots_at(&ps->out, ps->pos);

	store_relaxed(&slot->len, 1u << 20);
	store_release(&slot->seq, ++ps->pos);
	return a + b + c;
}

static long d_evicted(long a, long b, long c)
{
	struct venom_daemon_stats st;
	struct venom_command cmd;

	VT_CHECK(venom_daemon_receive(pd, &cmd, 0) == 0);
	VT_CHECK(!venom_daemon_stats(pd, &st));
	return (long)st.evicted + a + b + c;
}

TEST_F(evicted, and_the_id_is_anothers)
{
	ASSERT_EQ(0, vt_call(&self->shell, s_break_the_rules));
	ASSERT_TRUE(VT_UNTIL(vt_call(&self->daemon, d_evicted) == 1));
	ASSERT_TRUE(VT_UNTIL(vt_call(&self->next, ps_connect, self->name) != -EUSERS));
	ASSERT_EQ(0, vt_call(&self->next, ps_id));

	EXPECT_EQ(-EPIPE, vt_call(&self->shell, variant->call));

	vt_post(&self->daemon, pd_echo, 1);
	EXPECT_EQ(77, vt_call(&self->next, ps_request, 77, 8, -1));
	EXPECT_EQ(0, vt_result(&self->daemon));
}

TEST_HARNESS_MAIN

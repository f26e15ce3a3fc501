/* SPDX-License-Identifier: MIT */
/*
 * The daemon's library has another version of the layout than the shell's, or has not written its version yet.
 */
#include <signal.h>

#include "internal.h"
#include "lib/harness.h"
#include "lib/peer.h"

FIXTURE(abi)
{
	struct vt_peer daemon, shell;
	const char *name;
};

FIXTURE_SETUP(abi)
{
	setenv("VENOM_BACKEND", "dev", 1);
	self->name = vt_name();
	vt_start(&self->daemon);
	vt_start(&self->shell);
	ASSERT_EQ(0, vt_call(&self->daemon, pd_create, self->name, NULL)) TH_LOG("%s", vt_errmsg);
}

FIXTURE_TEARDOWN(abi)
{
	vt_stop(&self->shell);
	vt_stop(&self->daemon);
}

static long d_set_abi(long abi, long b, long c)
{
	store_relaxed(&pd->state->head.abi, (uint32_t)abi);
	return b + c;
}

static long d_set_magic(long magic, long b, long c)
{
	store_release(&pd->state->head.magic, (uint64_t)magic);
	return b + c;
}

static long s_stat(long name, long b, long c)
{
	struct venom_daemon_stats st;
	struct venom_info info;
	long rc = venom_stat((const char *)name, &info, &st, NULL, NULL);

	snprintf((char *)vt_errmsg, 1024, "%s", venom_errmsg());
	return rc + b + c;
}

#define SAYS(what)                                                     \
	EXPECT_NE(NULL, strstr(vt_errmsg, what)) TH_LOG("%s", vt_errmsg)

TEST_F(abi, another)
{
	static const uint32_t abis[] = {0, VENOM_ABI - 1, VENOM_ABI + 1, ~0u};

	for (unsigned int i = 0; i < ARRAY_SIZE(abis); i++) {
		char theirs[64], ours[64];

		snprintf(theirs, sizeof(theirs), "the state area has ABI version %u,", abis[i]);
		snprintf(ours, sizeof(ours), "this library speaks %u", VENOM_ABI);
		ASSERT_EQ(0, vt_call(&self->daemon, d_set_abi, abis[i]));
		EXPECT_EQ(-EPROTO, vt_call(&self->shell, ps_connect, self->name));
		SAYS(theirs);
		SAYS(ours);
		EXPECT_EQ(-EPROTO, vt_call(&self->shell, s_stat, self->name));
		SAYS(theirs);
		SAYS(ours);
	}
	/* The failed calls have left nothing. */
	ASSERT_EQ(0, vt_call(&self->daemon, d_set_abi, VENOM_ABI));
	EXPECT_EQ(0, vt_call(&self->shell, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->shell, s_stat, self->name)) TH_LOG("%s", vt_errmsg);
}

TEST_F(abi, no_venom_at_all)
{
	ASSERT_EQ(0, vt_call(&self->daemon, d_set_magic, 77));
	EXPECT_EQ(-EPROTO, vt_call(&self->shell, ps_connect, self->name));
	SAYS("magic");
	EXPECT_EQ(-EPROTO, vt_call(&self->shell, s_stat, self->name));
	SAYS("magic");
}

/* A shell connects between the daemon's CREATE and its first store. */
TEST_F(abi, not_said_yet)
{
	ASSERT_EQ(0, vt_call(&self->daemon, d_set_magic, 0));
	vt_post(&self->shell, ps_connect, self->name);
	EXPECT_FALSE(vt_has_result(&self->shell, 300));
	ASSERT_EQ(0, vt_call(&self->daemon, d_set_magic, VENOM_MAGIC));
	EXPECT_EQ(0, vt_result(&self->shell)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->shell, ps_close));
	ASSERT_EQ(0, vt_call(&self->daemon, d_set_magic, 0));
	vt_post(&self->shell, s_stat, self->name);
	EXPECT_FALSE(vt_has_result(&self->shell, 300));
	ASSERT_EQ(0, vt_call(&self->daemon, d_set_magic, VENOM_MAGIC));
	EXPECT_EQ(0, vt_result(&self->shell)) TH_LOG("%s", vt_errmsg);
}

TEST_F(abi, and_never_will_be)
{
	ASSERT_EQ(0, vt_call(&self->daemon, d_set_magic, 0));
	vt_post(&self->shell, ps_connect, self->name);
	EXPECT_FALSE(vt_has_result(&self->shell, 100));
	vt_kill(&self->daemon, SIGKILL);
	EXPECT_EQ(-ENOENT, vt_result(&self->shell));
	SAYS("no living daemon");
}

/* The daemon lives, but never writes its version: the shell's wait ends with a time-out. */
TEST_F(abi, for_too_long)
{
	ASSERT_EQ(0, vt_call(&self->daemon, d_set_magic, 0));
	EXPECT_EQ(-ETIMEDOUT, vt_call(&self->shell, ps_connect, self->name));
	SAYS("does not answer");
}

TEST_HARNESS_MAIN

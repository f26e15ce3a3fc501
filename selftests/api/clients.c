/* SPDX-License-Identifier: MIT */
/*
 * Attacks a channel with as many shells as it can have.  Each must have its own id, read the same state and get its own
 * answers, and all must be woken by one publish.  One more shell must be refused, and the number of descriptors must be
 * as the header says.
 */
#include <string.h>
#include <sys/resource.h>

#include "lib/harness.h"
#include "lib/peer.h"

#define PER_SHELL	 4 /* descriptors of a shell, in its own process */
#define PER_SHELL_DAEMON 5 /* and in the daemon's process */
#define DAEMON_S_OWN	 11

FIXTURE(clients)
{
	struct vt_peer dm;
	const char *name;
	struct venom_shell *s[VENOM_CLIENTS_MAX];
	int n, fds;
	bool ready;
};

FIXTURE_VARIANT(clients)
{
	uint32_t flags;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(clients, by_turns) { .flags = 0 };
FIXTURE_VARIANT_ADD(clients, by_arrival) { .flags = VENOM_ORDER_ARRIVAL };
/* clang-format on */

FIXTURE_SETUP(clients)
{
	const rlim_t need = VENOM_CLIENTS_MAX * PER_SHELL_DAEMON + 100;
	struct venom_config *cfg = vt_config();
	struct rlimit lim;

	getrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_max < need)
		SKIP(return, "needs %lu descriptors, the hard limit is %lu", (unsigned long)need,
			   (unsigned long)lim.rlim_max);
	lim.rlim_cur = lim.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	cfg->max_clients = VENOM_CLIENTS_MAX;
	cfg->cmd_slots = 2;
	cfg->flags = variant->flags;
	self->name = vt_name();
	vt_start(&self->dm);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, cfg)) TH_LOG("%s", vt_errmsg);
	self->fds = vt_count_fds();
	for (; self->n < VENOM_CLIENTS_MAX; self->n++) {
		ASSERT_EQ(0, venom_shell_connect(&self->s[self->n], self->name))
		{
			TH_LOG("shell %d: %s", self->n, venom_errmsg());
		}
	}
	self->ready = true;
}

FIXTURE_TEARDOWN(clients)
{
	for (int i = 0; i < self->n; i++)
		venom_shell_close(self->s[i]);
	if (!self->ready)
		return;
	EXPECT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_EQ(0, vt_stop(&self->dm));
}

static long count_fds(long a, long b, long c)
{
	return vt_count_fds() + a + b + c;
}

static long destroyed_fds(long a, long b, long c)
{
	pd_destroy(a, b, c);
	return vt_count_fds();
}

TEST_F(clients, all_at_once)
{
	static bool seen[VENOM_CLIENTS_MAX];
	struct venom_shell *more = VT_POISON_S;
	long with, without;
	int i;

	for (i = 0; i < VENOM_CLIENTS_MAX; i++) {
		uint32_t id = venom_shell_id(self->s[i]);

		ASSERT_GT(VENOM_CLIENTS_MAX, id);
		ASSERT_FALSE(seen[id]);
		seen[id] = true;
	}
	EXPECT_EQ(-EUSERS, venom_shell_connect(&more, self->name));
	EXPECT_EQ(VT_POISON_S, more);
	EXPECT_GE(PER_SHELL * VENOM_CLIENTS_MAX, vt_count_fds() - self->fds);
	/* One shell closes, another connects. */
	venom_shell_close(self->s[500]);
	ASSERT_TRUE(VT_UNTIL(venom_shell_connect(&self->s[500], self->name) == 0));
	with = vt_call(&self->dm, count_fds);
	without = vt_call(&self->dm, destroyed_fds);
	EXPECT_GE(PER_SHELL_DAEMON * VENOM_CLIENTS_MAX + DAEMON_S_OWN, with - without);
}

TEST_F(clients, each_gets_its_own_answer)
{
	uint64_t tag[VENOM_CLIENTS_MAX];
	char buf[64];
	int i;

	vt_post(&self->dm, pd_echo, VENOM_CLIENTS_MAX);
	for (i = 0; i < VENOM_CLIENTS_MAX; i++) {
		vt_fill(buf, 20, 1 + i);
		ASSERT_EQ(0, venom_shell_submit(self->s[i], buf, 20, &tag[i]));
	}
	for (i = VENOM_CLIENTS_MAX - 1; i >= 0; i--) {
		ASSERT_EQ(20, venom_shell_complete(self->s[i], &tag[i], buf, sizeof(buf), 60 * VT_S));
		ASSERT_TRUE(vt_is(buf, 20, 1 + i));
	}
	ASSERT_EQ(0, vt_result(&self->dm));
}

TEST_F(clients, one_publish_wakes_them_all)
{
	struct venom_daemon_stats before, st;
	char buf[64];
	int i;

	ASSERT_EQ(0, venom_stat(self->name, NULL, &before, NULL, NULL));
	for (i = 0; i < VENOM_CLIENTS_MAX; i++) {
		ASSERT_EQ(0, venom_shell_arm(self->s[i], VENOM_WAIT_STATE, 0));
	}
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 7, 50));
	for (i = 0; i < VENOM_CLIENTS_MAX; i++) {
		ASSERT_EQ(1, venom_shell_wait(self->s[i], 0, 60 * VT_S));
		ASSERT_EQ(50, venom_shell_read(self->s[i], buf, sizeof(buf), NULL));
		ASSERT_TRUE(vt_is(buf, 50, 7));
	}
	ASSERT_EQ(0, venom_stat(self->name, NULL, &st, NULL, NULL));
	EXPECT_GE(VENOM_CLIENTS_MAX, st.wakes - before.wakes);
	EXPECT_EQ(VENOM_CLIENTS_MAX, st.clients);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Attacks the statistics.  What a channel is and what happened on it must be the same from the daemon, from a shell and
 * from a mere observer; counters must count each thing once and never go back.
 */
#include <string.h>

#include "lib/harness.h"
#include "lib/peer.h"

FIXTURE(stat)
{
	struct vt_peer dm, sh;
	struct venom_config *cfg;
	const char *name;
	struct venom_shell *s;
	struct venom_info info;
	struct venom_daemon_stats st;
	struct venom_shell_stats mine;
	char buf[2000];
};

FIXTURE_SETUP(stat)
{
	self->cfg = vt_config();
	self->cfg->data_size = 1000;
	self->cfg->versions = 5;
	self->cfg->cmd_slots = 7;
	self->cfg->cmd_size = 33;
	self->cfg->resp_size = 44;
	self->cfg->max_clients = 20;
	self->cfg->flags = VENOM_STAMP;
	self->cfg->huge = VENOM_HUGE_NEVER;
	self->name = vt_name();
	vt_start(&self->dm);
	vt_start(&self->sh);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
}

FIXTURE_TEARDOWN(stat)
{
	venom_shell_close(self->s);
	vt_call(&self->sh, ps_close);
	EXPECT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_EQ(0, vt_stop(&self->sh));
	EXPECT_EQ(0, vt_stop(&self->dm));
}

static long daemon_info(long a, long b, long c)
{
	return venom_daemon_info(pd, (struct venom_info *)vt_box) + a + b + c;
}

static long daemon_stats(long a, long b, long c)
{
	return venom_daemon_stats(pd, (struct venom_daemon_stats *)vt_box) + a + b + c;
}

TEST_F(stat, info_is_the_same_from_all_sides)
{
	struct venom_info of_daemon, looked;

	memset(&self->info, 0x5a, sizeof(self->info));
	memset(&looked, 0x5a, sizeof(looked));
	ASSERT_EQ(0, venom_shell_info(self->s, &self->info));
	EXPECT_STREQ(self->name, self->info.name);
	EXPECT_STREQ(vt_on_dev() ? "dev" : "memfd", self->info.backend);
	EXPECT_EQ(self->cfg->flags, self->info.flags);
	EXPECT_EQ(self->cfg->mode, self->info.mode);
	EXPECT_EQ(5, self->info.versions);
	EXPECT_EQ(7, self->info.cmd_slots);
	EXPECT_EQ(33, self->info.cmd_size);
	EXPECT_EQ(44, self->info.resp_size);
	EXPECT_EQ(20, self->info.max_clients);
	EXPECT_EQ(1000, self->info.data_size);
	EXPECT_EQ(4096, self->info.page_size);
	EXPECT_LE(5 * 1000, self->info.state_bytes);
	EXPECT_EQ(0, self->info.state_bytes % 4096);
	EXPECT_LE(7 * (33 + 44), self->info.lane_bytes);
	EXPECT_EQ(1, self->info.epoch);
	EXPECT_EQ(self->dm.pid, self->info.pid);
	EXPECT_EQ(getuid(), self->info.uid);
	EXPECT_EQ(getgid(), self->info.gid);
	EXPECT_EQ(1, self->info.alive);
	EXPECT_NE(0, self->info.abi);
	ASSERT_EQ(0, vt_call(&self->dm, daemon_info));
	memcpy(&of_daemon, vt_box, sizeof(of_daemon));
	EXPECT_EQ(0, memcmp(&of_daemon, &self->info, sizeof(of_daemon)));
	ASSERT_EQ(0, venom_stat(self->name, &looked, NULL, NULL, NULL));
	EXPECT_EQ(0, memcmp(&looked, &self->info, sizeof(looked)));
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	ASSERT_EQ(0, venom_shell_info(self->s, &self->info));
	EXPECT_EQ(0, self->info.alive);
}

#define stats(self)                                                        \
	do {                                                               \
		ASSERT_EQ(0, vt_call(&(self)->dm, daemon_stats));          \
		memcpy(&(self)->st, vt_box, sizeof((self)->st));           \
		ASSERT_EQ(0, venom_shell_stats((self)->s, &(self)->mine)); \
	} while (0)

TEST_F(stat, nothing_yet)
{
	static const struct venom_shell_stats none;

	stats(self);
	EXPECT_EQ(0, memcmp(&none, &self->mine, sizeof(none)));
	EXPECT_EQ(0, self->st.versions);
	EXPECT_EQ(0, self->st.commands);
	EXPECT_EQ(0, self->st.responses);
	EXPECT_EQ(0, self->st.stale);
	EXPECT_EQ(0, self->st.evicted);
	EXPECT_EQ(0, self->st.refused);
	EXPECT_EQ(1, self->st.clients);
}

TEST_F(stat, state_is_counted)
{
	uint64_t version = 0;

	for (int v = 1; v <= 8; v++) {
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, v, 10));
	}
	vt_call(&self->dm, pd_publish, 1, 1001);
	EXPECT_EQ(10, venom_shell_read(self->s, self->buf, sizeof(self->buf), NULL));
	EXPECT_EQ(-EMSGSIZE, venom_shell_read(self->s, self->buf, 1, NULL));
	stats(self);
	EXPECT_EQ(8, self->st.versions);
	EXPECT_EQ(1, self->mine.reads);
	EXPECT_EQ(1, self->mine.last_tries);
	EXPECT_EQ(0, self->mine.retries);
	version = 1;
	EXPECT_EQ(-EOVERFLOW, venom_shell_read_next(self->s, self->buf, sizeof(self->buf), &version));
	EXPECT_EQ(10, venom_shell_read_next(self->s, self->buf, sizeof(self->buf), &version));
	EXPECT_EQ(4, version);
	stats(self);
	EXPECT_EQ(2, self->mine.overruns);
	EXPECT_EQ(2, self->mine.reads);
}

TEST_F(stat, commands_are_counted)
{
	uint64_t tag;

	ASSERT_EQ(0, venom_shell_send(self->s, "\1", 1));
	ASSERT_EQ(0, venom_shell_submit(self->s, "\2", 1, &tag));
	ASSERT_EQ(-EMSGSIZE, venom_shell_send(self->s, self->buf, 34));
	ASSERT_EQ(1, vt_call(&self->dm, pd_receive, -1));
	ASSERT_EQ(2, vt_call(&self->dm, pd_receive, -1));
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 1, 5, 20));
	ASSERT_EQ(20, venom_shell_complete(self->s, &tag, self->buf, sizeof(self->buf), -1));
	ASSERT_EQ(-ETIMEDOUT, venom_shell_request(self->s, "\3", 1, self->buf, sizeof(self->buf), 0));
	stats(self);
	EXPECT_EQ(2, self->st.commands);
	EXPECT_EQ(1, self->st.responses);
	EXPECT_EQ(3, self->mine.commands);
	EXPECT_EQ(1, self->mine.answers);
	EXPECT_EQ(1, self->mine.timeouts);
	EXPECT_EQ(0, self->mine.full);
	/* Three of seven slots were used, two have been freed: one is taken. */
	for (int i = 0; i < 6; i++) {
		ASSERT_EQ(0, venom_shell_send(self->s, "\1", 1));
	}
	ASSERT_EQ(-EAGAIN, venom_shell_send(self->s, "\1", 1));
	stats(self);
	EXPECT_EQ(9, self->mine.commands);
	EXPECT_EQ(1, self->mine.full);
}

/* ---- from outside ---- */

struct peers {
	int n;
	struct venom_peer peer[20];
};

static int note_peer(const struct venom_peer *peer, void *user)
{
	struct peers *p = user;

	p->peer[p->n++ % 20] = *peer;
	return 0;
}

static int stop_at_once(const struct venom_peer *peer, void *user)
{
	(void)peer;
	(void)user;
	return 55;
}

TEST_F(stat, each_shell_is_seen)
{
	struct venom_shell *more[18] = {0};
	struct peers p = {0};
	int of_other = -1;

	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name));
	for (int i = 0; i < 18; i++) {
		ASSERT_EQ(0, venom_shell_connect(&more[i], self->name));
	}
	ASSERT_EQ(0, vt_call(&self->sh, ps_send, 1, 20));
	ASSERT_EQ(0, vt_call(&self->sh, ps_send, 2, 20));
	ASSERT_EQ(1, vt_call(&self->dm, pd_receive, -1));
	ASSERT_EQ(0, venom_stat(self->name, &self->info, &self->st, note_peer, &p));
	EXPECT_EQ(20, p.n);
	EXPECT_EQ(20, self->st.clients);
	for (int i = 0; i < p.n; i++) {
		for (int k = 0; k < i; k++) {
			ASSERT_NE(p.peer[i].client_id, p.peer[k].client_id);
		}
		EXPECT_EQ(getuid(), p.peer[i].uid);
		EXPECT_EQ(getgid(), p.peer[i].gid);
		if (p.peer[i].pid == (uint32_t)self->sh.pid) {
			of_other = i;
		} else {
			EXPECT_EQ(getpid(), p.peer[i].pid);
			EXPECT_EQ(0, p.peer[i].shell.commands);
		}
	}
	ASSERT_LE(0, of_other);
	EXPECT_EQ(vt_call(&self->sh, ps_id), p.peer[of_other].client_id);
	EXPECT_EQ(2, p.peer[of_other].shell.commands);
	EXPECT_EQ(1, p.peer[of_other].received);
	EXPECT_EQ(0, p.peer[of_other].responses);
	/* An observer takes no place, and its function can end the look. */
	EXPECT_EQ(55, venom_stat(self->name, NULL, NULL, stop_at_once, NULL));
	EXPECT_EQ(0, venom_stat(self->name, NULL, NULL, NULL, NULL));
	for (int i = 0; i < 18; i++)
		venom_shell_close(more[i]);
	EXPECT_TRUE(VT_UNTIL((venom_stat(self->name, NULL, &self->st, NULL, NULL), self->st.clients) == 2));
}

struct names {
	const char *want[3];
	int seen[3], alive[3], others;
};

static int note_name(const struct venom_info *info, void *user)
{
	struct names *n = user;

	for (int i = 0; i < 3; i++) {
		if (!strcmp(info->name, n->want[i])) {
			n->seen[i]++;
			n->alive[i] = (int)info->alive;
			return 0;
		}
	}
	n->others++;
	return 0;
}

static int stop_list(const struct venom_info *info, void *user)
{
	(void)info;
	++*(int *)user;
	return -5;
}

TEST_F(stat, channels_are_listed)
{
	struct names n = {{self->name, "list.b", "list.c.lock"}, {0}, {0}, 0};
	struct venom_daemon *b, *c;
	int calls = 0;

	ASSERT_EQ(0, venom_daemon_create(&b, "list.b", NULL));
	ASSERT_EQ(0, venom_daemon_create(&c, "list.c.lock", NULL));
	EXPECT_EQ(3, venom_list(note_name, &n) - n.others);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(1, n.seen[i]) TH_LOG("%s", n.want[i]);
		EXPECT_EQ(1, n.alive[i]);
	}
	EXPECT_EQ(-5, venom_list(stop_list, &calls));
	EXPECT_EQ(1, calls);
	venom_daemon_destroy(b);
	venom_daemon_destroy(c);
	memset(n.seen, 0, sizeof(n.seen));
	n.others = 0;
	EXPECT_EQ(1, venom_list(note_name, &n) - n.others);
	EXPECT_EQ(1, n.seen[0]);
	EXPECT_EQ(0, n.seen[1] + n.seen[2]);
}

TEST_HARNESS_MAIN

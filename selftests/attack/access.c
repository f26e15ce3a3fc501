/* SPDX-License-Identifier: MIT */
/*
 * Attacks the access rights of a channel.  The mode says which users may read and command it: by user, by group (first
 * or supplementary), and for others.  Without a right each call must give -EACCES and leave no trace.  Two users'
 * private channels of one name must not meet.  Needs root, to become other users.
 */
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/user.h"

#define OWNER	 VT_ID(1)
#define STRANGER VT_ID(2)
#define GROUP	 VT_ID(10)
#define OTHERS	 VT_ID(11)

FIXTURE(access)
{
	struct vt_peer dm, sh;
	struct venom_config *cfg;
	const char *name;
	char *dir;
	bool ready;
};

FIXTURE_SETUP(access)
{
	if (geteuid())
		SKIP(return, "needs root, to become other users");
	/* The folder is open to all, as an administrator would make it: the default one of root's tests is private. */
	self->dir = vt_dir(0, 0, 01777);
	setenv("VENOM_RUNTIME_DIR", self->dir, 1);
	self->cfg = vt_config();
	self->name = vt_name();
	vt_start(&self->dm);
	vt_start(&self->sh);
	self->ready = true;
}

FIXTURE_TEARDOWN(access)
{
	if (!self->ready)
		return;
	if (self->sh.pid) {
		EXPECT_EQ(0, vt_call(&self->sh, pp_end));
		EXPECT_EQ(0, vt_stop(&self->sh));
	}
	EXPECT_EQ(0, vt_call(&self->dm, pp_end));
	EXPECT_EQ(0, vt_stop(&self->dm));
	vt_remove_tree(self->dir);
}

#define start(self, mode_)                                                               \
	do {                                                                             \
		(self)->cfg->mode = mode_;                                               \
		ASSERT_EQ(0, vt_call(&(self)->dm, vt_become, OWNER, GROUP, 0));             \
		ASSERT_EQ(0, vt_call(&(self)->dm, pd_create, (self)->name, (self)->cfg)) \
		{                                                                        \
			TH_LOG("%s", vt_errmsg);                                         \
		}                                                                        \
		ASSERT_EQ(0, vt_call(&(self)->dm, pd_publish, 9, 20));                   \
	} while (0)

/* A refused connect gives no handle, leaks no descriptor and names the mode; venom_stat() is refused, too. */
static long connect_poisoned(long name, long b, long c)
{
	struct venom_shell *s = VT_POISON_S;
	int fds = vt_count_fds(), err = venom_shell_connect(&s, (const char *)name);

	VT_CHECK(err == -EACCES);
	VT_CHECK(s == VT_POISON_S);
	VT_CHECK(vt_count_fds() == fds);
	VT_CHECK(strstr(venom_errmsg(), "mode"));
	VT_CHECK(venom_stat((const char *)name, NULL, NULL, NULL, NULL) == -EACCES);
	return b + c;
}

/* The shell may read, and nothing else. */
static long reads_only(long v, long b, long c)
{
	struct venom_shell_stats st;
	uint64_t tag = 99;
	char buf[64];

	VT_CHECK(ps_read(0, 0, 0) == v);
	VT_CHECK(ps_send(1, 20, 0) == -EACCES);
	VT_CHECK(ps_request(1, 20, 0) == -EACCES);
	VT_CHECK(ps_request(1, 20, -1) == -EACCES);
	VT_CHECK(venom_shell_submit(ps, buf, 1, &tag) == -EACCES);
	VT_CHECK(venom_shell_room(ps, -1) == -EACCES);
	VT_CHECK(tag == 99);
	VT_CHECK(!venom_shell_stats(ps, &st));
	VT_CHECK(st.commands == 0 && st.reads == 1);
	return b + c;
}

/* The shell may do all: read, and get an answer under its own name. */
#define ALLOWED(self, uid_, gid_)                                                          \
	do {                                                                               \
		ASSERT_EQ(0, vt_call(&(self)->sh, ps_connect, (self)->name))               \
		{                                                                          \
			TH_LOG("%s", vt_errmsg);                                           \
		}                                                                          \
		EXPECT_EQ(9, vt_call(&(self)->sh, ps_read));                               \
		vt_post(&(self)->sh, ps_request, 7, 20, -1);                               \
		EXPECT_EQ(0, vt_call(&(self)->dm, answer_to, uid_, gid_, (self)->sh.pid)); \
		EXPECT_EQ(8, vt_result(&(self)->sh));                                      \
	} while (0)

static long answer_to(long uid, long gid, long pid)
{
	VT_CHECK(pd_receive(-1, 0, 0) == 7);
	VT_CHECK(pd_cmd[pd_cmds - 1].uid == uid);
	VT_CHECK(pd_cmd[pd_cmds - 1].gid == gid);
	VT_CHECK(pd_cmd[pd_cmds - 1].pid == pid);
	return pd_respond(pd_cmds - 1, 8, 20);
}

TEST_F(access, private_by_default)
{
	start(self, 0600);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, OTHERS, 0));
	EXPECT_EQ(0, vt_call(&self->sh, connect_poisoned, self->name));
}

TEST_F(access, not_even_for_the_group)
{
	start(self, 0600);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, GROUP, 0));
	EXPECT_EQ(0, vt_call(&self->sh, connect_poisoned, self->name));
}

TEST_F(access, the_owner_may)
{
	start(self, 0600);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, OWNER, OTHERS, 0));
	ALLOWED(self, OWNER, OTHERS);
}

TEST_F(access, root_may)
{
	start(self, 0600);
	ALLOWED(self, 0, 0);
}

TEST_F(access, for_all)
{
	start(self, 0666);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, OTHERS, 0));
	ALLOWED(self, STRANGER, OTHERS);
}

TEST_F(access, others_may_read)
{
	start(self, 0644);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, OTHERS, 0));
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->sh, reads_only, 9));
	EXPECT_EQ(0, vt_call(&self->dm, pd_receive, 0));
}

TEST_F(access, others_may_not_just_command)
{
	start(self, 0622);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, OTHERS, 0));
	EXPECT_EQ(0, vt_call(&self->sh, connect_poisoned, self->name));
}

TEST_F(access, the_group_may_all_others_nothing)
{
	start(self, 0660);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, GROUP, 0));
	ALLOWED(self, STRANGER, GROUP);
}

TEST_F(access, a_supplementary_group_counts)
{
	start(self, 0660);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, OTHERS, GROUP));
	ALLOWED(self, STRANGER, OTHERS);
}

/* More groups than a fixed-size buffer holds.  The kernel sorts them, and the group that counts is the last. */
static long become_one_of_many(long uid, long gid, long group)
{
	static gid_t groups[300];

	for (int i = 0; i < 299; i++)
		groups[i] = (gid_t)(1000 + i);
	groups[299] = (gid_t)group;
	VT_CHECK(!setgroups(300, groups));
	VT_CHECK(!setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid));
	VT_CHECK(!setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid));
	prctl(PR_SET_DUMPABLE, 1); /* as vt_become() */
	prctl(PR_SET_PDEATHSIG, 9);
	return 0;
}

/* Does the kernel say how many groups a peer has if they do not fit into the buffer?  (Not every emulator does.) */
static bool groups_are_counted(void)
{
	gid_t one, groups[2] = {1000, 1001};
	socklen_t len = sizeof(one);
	int sv[2];

	VT_CHECK(!setgroups(2, groups) && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	VT_CHECK(getsockopt(sv[0], SOL_SOCKET, SO_PEERGROUPS, &one, &len));
	close(sv[0]);
	close(sv[1]);
	setgroups(0, NULL);
	return len == sizeof(groups);
}

TEST_F(access, the_last_of_many_groups_counts)
{
	if (!groups_are_counted())
		SKIP(return, "SO_PEERGROUPS does not tell how many there are here");
	start(self, 0660);
	ASSERT_EQ(0, vt_call(&self->sh, become_one_of_many, STRANGER, OTHERS, GROUP));
	ALLOWED(self, STRANGER, OTHERS);
}

TEST_F(access, not_of_the_group)
{
	start(self, 0660);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, OTHERS, 0));
	EXPECT_EQ(0, vt_call(&self->sh, connect_poisoned, self->name));
}

TEST_F(access, the_group_may_read)
{
	start(self, 0640);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, OTHERS, GROUP));
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->sh, reads_only, 9));
}

/* As with files, the first class that fits decides. */
TEST_F(access, the_group_less_than_others)
{
	start(self, 0606);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, GROUP, 0));
	EXPECT_EQ(0, vt_call(&self->sh, connect_poisoned, self->name));
}

TEST_F(access, the_owner_binds_himself)
{
	start(self, 0400);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, OWNER, GROUP, 0));
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->sh, reads_only, 9));
}

TEST_F(access, a_stranger_can_t_take_a_living_name)
{
	long err;

	start(self, 0666);
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, OTHERS, 0));
	err = vt_call(&self->sh, pd_create, self->name, self->cfg);
	EXPECT_TRUE(err == -EBUSY || err == -EACCES) TH_LOG("%ld", err);
	ALLOWED(self, STRANGER, OTHERS);
}

/* ---- no user but the owner may keep all others out ---- */

/* Connects shells of one process until one is refused; returns how many were let in, and the next errno in vt_box. */
static long connect_many(long name, long n, long c)
{
	static struct venom_shell *s[32];
	long i;
	int err = 0;

	for (i = 0; i < n && !err; i++)
		err = venom_shell_connect(&s[i], (const char *)name);
	*(int *)vt_box = err;
	return i - !!err + c;
}

TEST_F(access, a_stranger_gets_half_of_the_places)
{
	static const struct {
		uint32_t all;
		long half;
	} cases[] = {{8, 4}, {5, 3}, {2, 1}, {1, 1}};
	struct vt_peer stranger, owner;

	embedded_only(); /* the module's own tests cover it there */
	ASSERT_EQ(0, vt_call(&self->dm, vt_become, OWNER, GROUP, 0));
	self->cfg->mode = 0666;
	for (int i = 0; i < 4; i++) {
		self->cfg->max_clients = cases[i].all;
		ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
		vt_start(&stranger);
		vt_start(&owner);
		ASSERT_EQ(0, vt_call(&stranger, vt_become, STRANGER, OTHERS, 0));
		ASSERT_EQ(0, vt_call(&owner, vt_become, OWNER, GROUP, 0));
		EXPECT_EQ(cases[i].half, vt_call(&stranger, connect_many, self->name, 32))
		TH_LOG("of %u", cases[i].all);
		EXPECT_EQ(-EUSERS, *(int *)vt_box) TH_LOG("of %u", cases[i].all);
		/* The owner gets the remaining places. */
		EXPECT_EQ(cases[i].all - cases[i].half, vt_call(&owner, connect_many, self->name, 32))
		TH_LOG("of %u", cases[i].all);
		EXPECT_EQ(-EUSERS, *(int *)vt_box) TH_LOG("of %u", cases[i].all);
		/* The owner may have all places, and so may root. */
		vt_kill(&stranger, SIGKILL);
		EXPECT_TRUE(VT_UNTIL(vt_call(&owner, connect_many, self->name, 1) == 1 || *(int *)vt_box != -EUSERS));
		vt_kill(&owner, SIGKILL);
		ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	}
	self->cfg->max_clients = 8;
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(8, vt_call(&self->sh, connect_many, self->name, 32));
	vt_kill(&self->sh, SIGKILL);
}

TEST_F(access, no_place_for_a_channel)
{
	embedded_only();
	ASSERT_EQ(0, chmod(self->dir, 0755));
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, STRANGER, OTHERS, 0));
	EXPECT_EQ(-EACCES, vt_call(&self->sh, pd_create, self->name, self->cfg));
	EXPECT_NE(0, strlen(vt_errmsg));
}

/* ---- each user's own place ---- */

static long own_xdg(long uid, long gid, long dir)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/%ld", (const char *)dir, uid);
	VT_CHECK(!mkdir(path, 0700));
	VT_CHECK(!chown(path, (uid_t)uid, (gid_t)gid));
	setenv("XDG_RUNTIME_DIR", path, 1);
	unsetenv("VENOM_RUNTIME_DIR");
	return vt_become(uid, gid, 0);
}

static int count(const struct venom_info *info, void *n)
{
	if (!strncmp(info->name, "test-", 5))
		++*(int *)n;
	return 0;
}

static long list(long a, long b, long c)
{
	int n = 0;

	VT_CHECK(venom_list(count, &n) >= 0);
	return n + a + b + c;
}

TEST_F(access, private_channels_of_two_users_don_t_meet)
{
	char *dir = vt_box + 100;

	embedded_only(); /* on the module a name is one user's in its whole IPC namespace */
	strcpy(dir, self->dir);
	ASSERT_EQ(0, vt_call(&self->dm, own_xdg, OWNER, GROUP, dir));
	ASSERT_EQ(0, vt_call(&self->sh, own_xdg, STRANGER, GROUP, dir));
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 20));
	/* The stranger neither sees nor finds the channel, and has its own channel under the same name. */
	EXPECT_EQ(1, vt_call(&self->dm, list));
	EXPECT_EQ(0, vt_call(&self->sh, list));
	EXPECT_EQ(-ENOENT, vt_call(&self->sh, ps_connect, self->name));
	ASSERT_EQ(0, vt_call(&self->sh, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->sh, pd_publish, 2, 20));
	EXPECT_EQ(1, vt_call(&self->sh, list));
	ASSERT_EQ(0, vt_call(&self->dm, ps_connect, self->name));
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name));
	EXPECT_EQ(1, vt_call(&self->dm, ps_read));
	EXPECT_EQ(2, vt_call(&self->sh, ps_read));
}

/* Without XDG_RUNTIME_DIR the place is a folder in /tmp, which anyone could have made first. */
static long without_xdg(long uid, long gid, long squatter)
{
	char path[40];

	snprintf(path, sizeof(path), "/tmp/venom-%ld", uid);
	VT_CHECK(!mkdir(path, squatter ? 0777 : 0700));
	VT_CHECK(!chown(path, (uid_t)(squatter ? squatter : uid), (gid_t)gid));
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("VENOM_RUNTIME_DIR");
	return vt_become(uid, gid, 0);
}

TEST_F(access, a_folder_taken_by_another_is_not_used)
{
	char path[40];

	embedded_only();
	ASSERT_EQ(0, vt_call(&self->dm, without_xdg, OWNER, GROUP, 0));
	ASSERT_EQ(0, vt_call(&self->sh, without_xdg, STRANGER, GROUP, OWNER));
	EXPECT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(-EACCES, vt_call(&self->sh, pd_create, self->name, self->cfg));
	EXPECT_NE(NULL, strstr(vt_errmsg, "/tmp/venom-"));
	EXPECT_EQ(-ENOENT, vt_call(&self->sh, ps_connect, self->name));
	EXPECT_EQ(0, vt_call(&self->dm, ps_connect, self->name));
	vt_call(&self->dm, pp_end);
	snprintf(path, sizeof(path), "/tmp/venom-%d", OWNER);
	vt_remove_tree(path);
	snprintf(path, sizeof(path), "/tmp/venom-%d", STRANGER);
	vt_remove_tree(path);
}

TEST_HARNESS_MAIN

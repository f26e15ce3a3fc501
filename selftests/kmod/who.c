/* SPDX-License-Identifier: MIT */
/*
 * Which user may do what: the mode of a channel by owner, group and others, and processes that change their user.
 */
#include "lib/harness.h"
#include "kmod/somebody.h"

/* ---- mode ---- */

/* Bits of w_try()'s answer. */
#define MAY_READ    1
#define MAY_COMMAND 2

/*
 * Try all that depends on the mode; each failure must be for that reason. The daemon frees the lanes of connected
 * shells.
 */
static long w_try(long name, long b, long c)
{
	long rc, may = b + c;

	w_open(0, 0, 0);
	rc = w_connect(name, 0, 0);
	if (rc) {
		struct venom_ioc_connect con = dev_connect_init((const char *)name);

		VT_CHECK(rc == -EACCES);
		VT_CHECK(!memcmp(&con, &answer->connect, sizeof(con)));
		VT_CHECK(w_connect(name, VENOM_CONNECT_OBSERVE, 0) == -EACCES);
		VT_CHECK(w_info(name, 0, 0) == -EACCES);
		VT_CHECK(w_listed(name, 0, 0) == 0);
		w_close(0, 0, 0);
		return may;
	}
	may |= MAY_READ;
	rc = w_wake(VENOM_WAKE_DAEMON, 0, 0);
	if (answer->connect.may_command) {
		VT_CHECK(answer->connect.may_command == 1);
		VT_CHECK(!rc);
		may |= MAY_COMMAND;
	} else {
		VT_CHECK(rc == -EACCES);
	}
	w_open(0, 0, 0);
	{
		struct venom_ioc_connect shell = answer->connect;

		VT_CHECK(!w_connect(name, VENOM_CONNECT_OBSERVE, 0));
		answer->connect = shell;
	}
	VT_CHECK(!w_info(name, 0, 0));
	VT_CHECK(w_listed(name, 0, 0) == 1);
	w_close(0, 0, 0);
	return may;
}

static const struct who owner = {.what = "owner", .uid = 1000, .gid = 1000};
static const struct {
	struct who who;
	int shift; /* which bits of the mode apply; -1: none are needed */
} whos[] = {
	{{.what = "the owner", .uid = 1000, .gid = 1000}, 6},
	{{.what = "the owner, of another group", .uid = 1000, .gid = 1001}, 6},
	{{.what = "the group", .uid = 1001, .gid = 1000}, 3},
	{{.what = "the group, among others", .uid = 1001, .gid = 1001, .groups = {5, 1000}, .ngroups = 2}, 3},
	{{.what = "another", .uid = 1001, .gid = 1001}, 0},
	{{.what = "root without capabilities"}, 0},
	{{.what = "with CAP_IPC_OWNER", .uid = 1001, .gid = 1001, .caps = CAP(CAP_IPC_OWNER)}, -1},
	{{.what = "with all but CAP_IPC_OWNER", .uid = 1001, .gid = 1001, .caps = ~CAP(CAP_IPC_OWNER)}, 0},
	{{.what = "root", .caps = ALL_CAPS}, -1},
};

TEST(mode)
{
	static const unsigned int modes[] = {0,	   0400, 0200, 0600, 0040, 0020, 0060, 0004, 0002,
					     0006, 0640, 0604, 0066, 0606, 0660, 0444, 0664, 0666};
	struct vt_peer dm, p[ARRAY_SIZE(whos)];
	const char *name = vt_name();

	NEEDS_ROOT();
	be(&dm, &owner);
	for (unsigned int i = 0; i < ARRAY_SIZE(whos); i++)
		be(&p[i], &whos[i].who);
	for (unsigned int m = 0; m < ARRAY_SIZE(modes); m++) {
		unsigned int refused = 0;

		ASSERT_EQ(0, vt_call(&dm, w_open));
		ASSERT_EQ(0, vt_call(&dm, w_create, name, modes[m]));
		for (unsigned int i = 0; i < ARRAY_SIZE(whos); i++) {
			unsigned int bits = whos[i].shift < 0 ? 6 : modes[m] >> whos[i].shift & 6;
			long may = vt_call(&p[i], w_try, name);

			EXPECT_EQ(!(bits & 4) ? 0 : bits == 4 ? MAY_READ : MAY_READ | MAY_COMMAND, may)
			TH_LOG("mode 0%03o, %s", modes[m], whos[i].who.what);
			if (may > 0) {
				EXPECT_EQ(0, vt_call(&dm, w_peer, answer->connect.id));
				EXPECT_EQ(answer->connect.generation, answer->peer.generation);
				EXPECT_EQ(!!(may & MAY_COMMAND), answer->peer.may_command);
				EXPECT_EQ(p[i].pid, answer->peer.pid);
				EXPECT_EQ(whos[i].who.uid, answer->peer.uid);
				EXPECT_EQ(whos[i].who.gid, answer->peer.gid);
				EXPECT_EQ(VENOM_SHELL_GONE, answer->peer.life);
				EXPECT_EQ(0, vt_call(&dm, w_free, answer->connect.id, answer->connect.generation));
			} else {
				refused++;
			}
		}
		/* The refusal of an observer may be counted, too. */
		EXPECT_LE(refused, vt_call(&dm, w_refused)) TH_LOG("mode 0%03o", modes[m]);
		EXPECT_GE(2 * refused, vt_call(&dm, w_refused)) TH_LOG("mode 0%03o", modes[m]);
	}
	EXPECT_EQ(0, vt_stop(&dm));
	for (unsigned int i = 0; i < ARRAY_SIZE(whos); i++) {
		EXPECT_EQ(0, vt_stop(&p[i]));
	}
}

/* ---- users that change ---- */

TEST(rights_are_those_at_the_call)
{
	static const struct who user = USER(.uid = 1000, .gid = 1000), another = USER(.uid = 1001, .gid = 1001);
	const char *mine = vt_name(), *his = vt_name();
	struct vt_peer a, b, c;

	NEEDS_ROOT();
	vt_start(&a);
	vt_start(&b);
	vt_start(&c);
	/* Opened by root, created by a user: it is the user's. */
	ASSERT_EQ(0, vt_call(&a, w_open));
	ASSERT_EQ(0, vt_call(&a, become, &user));
	ASSERT_EQ(0, vt_call(&a, w_create, his, 0600));
	ASSERT_EQ(0, vt_call(&b, w_info, his));
	EXPECT_EQ(1000, answer->info.uid);
	EXPECT_EQ(1000, answer->info.gid);
	/* Opened by root, connected by a user without the right. */
	ASSERT_EQ(0, vt_call(&b, w_create, mine, 0600));
	ASSERT_EQ(0, vt_call(&c, w_open));
	ASSERT_EQ(0, vt_call(&c, become, &another));
	EXPECT_EQ(-EACCES, vt_call(&c, w_connect, mine));
	EXPECT_EQ(-EACCES, vt_call(&c, w_connect, his));
	EXPECT_EQ(-EACCES, vt_call(&c, w_info, mine));
	EXPECT_EQ(0, vt_stop(&c));
	EXPECT_EQ(0, vt_stop(&b));
	EXPECT_EQ(0, vt_stop(&a));
}

static long w_map_all(long daemon, long id, long c)
{
	static const unsigned int kinds[] = {VENOM_AREA_STATE, VENOM_AREA_RESPONSES, VENOM_AREA_COMMANDS};

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		int prot = (kinds[i] != VENOM_AREA_COMMANDS) == daemon ? PROT_READ | PROT_WRITE : PROT_READ;
		void *p = dev_map(fd, kinds[i], i ? (unsigned int)id : 0, VENOM_PAGE, prot);

		if (p == MAP_FAILED)
			return -errno;
		munmap(p, VENOM_PAGE);
	}
	return c;
}

TEST(a_later_change_changes_nothing)
{
	static const struct who user = USER(.uid = 1000, .gid = 1000), another = USER(.uid = 1001, .gid = 1001);
	const char *name = vt_name();
	struct venom_ioc_connect con;
	struct vt_peer dm, sh, next;
	struct km_shell own;

	NEEDS_ROOT();
	vt_start(&dm);
	vt_start(&sh);
	vt_start(&next);
	ASSERT_EQ(0, vt_call(&dm, w_create, name, 0600));
	ASSERT_EQ(0, vt_call(&sh, w_connect, name));
	con = answer->connect;
	ASSERT_EQ(0, vt_call(&dm, become, &user));
	ASSERT_EQ(0, vt_call(&sh, become, &another));
	EXPECT_EQ(0, vt_call(&dm, w_wake, VENOM_WAKE_SHELL, con.id));
	EXPECT_EQ(0, vt_call(&sh, w_wake, VENOM_WAKE_DAEMON));
	EXPECT_EQ(0, vt_call(&dm, w_map_all, 1, con.id));
	EXPECT_EQ(0, vt_call(&sh, w_map_all, 0, con.id));
	/* The others still see the old users. */
	EXPECT_EQ(0, vt_call(&dm, w_peer, con.id));
	EXPECT_EQ(0, answer->peer.uid);
	EXPECT_EQ(0, answer->peer.gid);
	EXPECT_EQ(sh.pid, answer->peer.pid);
	EXPECT_EQ(0, vt_call(&sh, w_peer));
	EXPECT_EQ(0, answer->peer.uid);
	EXPECT_EQ(0, answer->peer.gid);
	EXPECT_EQ(dm.pid, answer->peer.pid);
	/* It is still root's channel: root can connect, the daemon's new user can't. */
	ASSERT_EQ(0, km_shell_make(&own, name));
	ASSERT_EQ(0, vt_call(&next, become, &user));
	EXPECT_EQ(-EACCES, vt_call(&next, w_connect, name));
	vt_kill(&dm, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(km_daemon_life(own.status) == VENOM_DAEMON_GONE));
	EXPECT_EQ(-EEXIST, vt_call(&next, w_create, name, 0600, VENOM_CREATE_RESUME));
	km_shell_close(&own);
	EXPECT_EQ(0, vt_stop(&next));
	EXPECT_EQ(0, vt_stop(&sh));
}

TEST_HARNESS_MAIN

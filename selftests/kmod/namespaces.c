/* SPDX-License-Identifier: MIT */
/*
 * Namespaces: IPC namespaces, which don't see each other's channels; pid and user namespaces, which see the other side
 * by their own numbers, and give no power.
 */
#include <sys/wait.h>

#include "lib/harness.h"
#include "kmod/somebody.h"

/* ---- IPC namespaces ---- */

TEST(another_ipc_namespace)
{
	const char *name = vt_name(), *second = vt_name();
	struct vt_peer here, there, both;
	long rc;

	NEEDS_ROOT();
	vt_start(&here);
	vt_start(&there);
	vt_start(&both);
	rc = vt_call(&there, w_leave, CLONE_NEWIPC);
	if (rc)
		SKIP(return, "no IPC namespaces: errno %ld", -rc);
	ASSERT_EQ(0, vt_call(&here, w_create, name, 0666));
	EXPECT_EQ(1, vt_call(&here, w_listed, name));
	EXPECT_EQ(-ENOENT, vt_call(&there, w_connect, name));
	EXPECT_EQ(-ENOENT, vt_call(&there, w_connect, name, VENOM_CONNECT_OBSERVE));
	EXPECT_EQ(-ENOENT, vt_call(&there, w_info, name));
	EXPECT_EQ(0, vt_call(&there, w_channels));
	/* The same name there is another channel, with its own mode. */
	ASSERT_EQ(0, vt_call(&there, w_create, name, 0600));
	EXPECT_EQ(1, answer->create.epoch);
	EXPECT_EQ(1, vt_call(&there, w_channels));
	EXPECT_EQ(0, vt_call(&there, w_info, name));
	EXPECT_EQ(there.pid, answer->info.pid);
	EXPECT_EQ(0, vt_call(&here, w_info, name));
	EXPECT_EQ(here.pid, answer->info.pid);
	EXPECT_EQ(0666, answer->info.geo.mode);
	/* A process that leaves keeps its channel, and sees the names of the new namespace only. */
	ASSERT_EQ(0, vt_call(&both, w_connect, name));
	ASSERT_EQ(0, vt_call(&both, w_leave, CLONE_NEWIPC));
	EXPECT_EQ(0, vt_call(&both, w_wake, VENOM_WAKE_DAEMON));
	EXPECT_EQ(0, vt_call(&both, w_peer));
	EXPECT_EQ(here.pid, answer->peer.pid);
	EXPECT_EQ(0, vt_call(&both, w_channels));
	EXPECT_EQ(-ENOENT, vt_call(&both, w_info, name));
	/* The end of the channel here does not end the one there. */
	ASSERT_EQ(0, vt_call(&here, w_close));
	EXPECT_EQ(-EPIPE, vt_call(&both, w_wake, VENOM_WAKE_DAEMON));
	EXPECT_EQ(0, vt_call(&there, w_info, name));
	EXPECT_EQ(1, answer->info.alive);
	/* After an end there, a new channel can be created there; it is invisible here. */
	ASSERT_EQ(0, vt_call(&there, w_close));
	ASSERT_EQ(0, vt_call(&there, w_create, second, 0600));
	ASSERT_EQ(0, vt_call(&both, w_return));
	EXPECT_EQ(-ENOENT, vt_call(&both, w_info, second));
	EXPECT_EQ(0, vt_stop(&both));
	EXPECT_EQ(0, vt_stop(&there));
	EXPECT_EQ(0, vt_stop(&here));
}

/*
 * A namespace has died while its channel was held from elsewhere: the next namespace, which may be at the same address
 * and have the same number, has no such channel.
 */
TEST(a_dead_namespace_s_channel)
{
	const char *name = vt_name();
	struct vt_peer dm, next;
	long rc;

	NEEDS_ROOT();
	vt_start(&dm);
	vt_start(&next);
	rc = vt_call(&dm, w_leave, CLONE_NEWIPC);
	if (rc)
		SKIP(return, "no IPC namespaces: errno %ld", -rc);
	ASSERT_EQ(0, vt_call(&dm, w_create, name, 0666));
	ASSERT_EQ(0, vt_call(&dm, w_return));
	EXPECT_EQ(0, vt_call(&dm, w_wake, VENOM_WAKE_STATE));
	EXPECT_EQ(0, vt_call(&dm, w_channels));
	for (int i = 0; i < 30; i++) {
		vt_sleep_ms(10); /* a worker frees namespaces */
		ASSERT_EQ(0, vt_call(&next, w_leave, CLONE_NEWIPC));
		ASSERT_EQ(0, vt_call(&next, w_channels));
		ASSERT_EQ(-ENOENT, vt_call(&next, w_info, name));
		ASSERT_EQ(-ENOENT, vt_call(&next, w_connect, name));
		ASSERT_EQ(0, vt_call(&next, w_create, name, 0666));
		ASSERT_EQ(1, vt_call(&next, w_channels));
		ASSERT_EQ(0, vt_call(&next, w_close));
		ASSERT_EQ(0, vt_call(&next, w_return));
	}
	EXPECT_EQ(0, vt_call(&dm, w_wake, VENOM_WAKE_STATE));
	EXPECT_EQ(0, vt_stop(&next));
	EXPECT_EQ(0, vt_stop(&dm));
}

/* ---- the other side, from other namespaces ---- */

static struct {
	int done, go;
	pid_t pid_inside;
	long rc[3];
	struct venom_ioc_peer daemon;
	struct venom_ioc_connect con;
	struct venom_ioc_info info;
} * inner;

static void in_pid_namespace(const char *name)
{
	inner->pid_inside = getpid();
	inner->rc[0] = w_connect((long)name, 0, 0);
	inner->con = answer->connect;
	inner->rc[1] = w_peer(0, 0, 0);
	inner->daemon = answer->peer;
	inner->rc[2] = km_info(name, &inner->info);
	vt_store(&inner->done, 1);
	if (VT_UNTIL(vt_load(&inner->go)))
		(_exit)(0);
	(_exit)(1);
}

TEST(from_another_pid_namespace)
{
	const char *name = vt_name();
	struct vt_peer dm;
	pid_t child;
	int status;

	NEEDS_ROOT();
	inner = vt_shared(sizeof(*inner));
	vt_start(&dm);
	ASSERT_EQ(0, vt_call(&dm, w_create, name, 0600));
	if (unshare(CLONE_NEWPID))
		SKIP(return, "no pid namespaces: errno %d", errno);
	child = fork();
	if (!child)
		in_pid_namespace(name);
	ASSERT_TRUE(VT_UNTIL(vt_load(&inner->done)));
	EXPECT_EQ(1, inner->pid_inside);
	EXPECT_EQ(0, inner->rc[0]);
	EXPECT_EQ(0, inner->rc[1]);
	EXPECT_EQ(0, inner->rc[2]);
	/* The daemon's pid is invisible in there; its user is visible. */
	EXPECT_EQ(0, inner->daemon.pid);
	EXPECT_EQ(0, inner->daemon.uid);
	EXPECT_EQ(VENOM_DAEMON_ALIVE, inner->daemon.life);
	EXPECT_EQ(0, inner->info.pid);
	EXPECT_EQ(1, inner->info.alive);
	/* From here the shell has the pid that it has here. */
	EXPECT_EQ(0, vt_call(&dm, w_peer, inner->con.id));
	EXPECT_EQ(child, answer->peer.pid);
	vt_store(&inner->go, 1);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, vt_stop(&dm));
}

#define OVERFLOW_ID 65534

TEST(from_another_user_namespace)
{
	static const struct who user = USER(.uid = 1000, .gid = 1000);
	const char *root_s = vt_name(), *his = vt_name();
	struct vt_peer a, b, p;
	struct venom_ioc_connect con;
	long rc;

	NEEDS_ROOT();
	vt_start(&a);
	be(&b, &user);
	ASSERT_EQ(0, vt_call(&a, w_create, root_s, 0604));
	ASSERT_EQ(0, vt_call(&b, w_create, his, 0600));
	be(&p, &user);
	rc = vt_call(&p, w_leave, CLONE_NEWUSER);
	if (rc)
		SKIP(return, "no user namespaces: errno %ld", -rc);
	/* No user is mapped in there yet. It can read root's channel, as others can. */
	ASSERT_EQ(0, vt_call(&p, w_connect, root_s));
	EXPECT_EQ(0, answer->connect.may_command);
	ASSERT_EQ(0, vt_call(&p, w_peer));
	EXPECT_EQ(OVERFLOW_ID, answer->peer.uid);
	EXPECT_EQ(OVERFLOW_ID, answer->peer.gid);
	EXPECT_EQ(a.pid, answer->peer.pid);
	ASSERT_EQ(0, vt_call(&p, w_info, his));
	EXPECT_EQ(OVERFLOW_ID, answer->info.uid);
	ASSERT_EQ(0, vt_call(&p, w_close));
	/* Now it is root in there. */
	ASSERT_EQ(0, vt_call(&p, w_map_user, 1000));
	ASSERT_EQ(0, vt_call(&p, w_connect, his));
	con = answer->connect;
	EXPECT_EQ(1, con.may_command);
	ASSERT_EQ(0, vt_call(&p, w_peer));
	EXPECT_EQ(0, answer->peer.uid);
	EXPECT_EQ(0, answer->peer.gid);
	ASSERT_EQ(0, vt_call(&p, w_info, root_s));
	EXPECT_EQ(OVERFLOW_ID, answer->info.uid);
	EXPECT_EQ(OVERFLOW_ID, answer->info.gid);
	/* From outside it has its real ids. */
	ASSERT_EQ(0, vt_call(&b, w_peer, con.id));
	EXPECT_EQ(1000, answer->peer.uid);
	EXPECT_EQ(1000, answer->peer.gid);
	EXPECT_EQ(p.pid, answer->peer.pid);
	EXPECT_EQ(0, vt_stop(&p));
	EXPECT_EQ(0, vt_stop(&b));
	EXPECT_EQ(0, vt_stop(&a));
}

/* Capabilities in a user namespace of one's own give no power outside it. */
TEST(a_user_namespace_gives_no_power)
{
	static const struct who user = USER(.uid = 1000, .gid = 1000);
	const char *name = vt_name(), *readable = vt_name();
	struct vt_peer a, b, p;
	long rc;

	NEEDS_ROOT();
	vt_start(&a);
	vt_start(&b);
	be(&p, &user);
	ASSERT_EQ(0, vt_call(&a, w_create, name, 0600));
	ASSERT_EQ(0, vt_call(&b, w_create, readable, 0644));
	rc = vt_call(&p, w_leave, CLONE_NEWUSER);
	if (rc)
		SKIP(return, "no user namespaces: errno %ld", -rc);
	EXPECT_EQ(-EACCES, vt_call(&p, w_connect, name));
	EXPECT_EQ(-EACCES, vt_call(&p, w_info, name));
	ASSERT_EQ(0, vt_call(&p, w_map_user, 1000));
	EXPECT_EQ(-EACCES, vt_call(&p, w_connect, name));
	EXPECT_EQ(-EACCES, vt_call(&p, w_info, name));
	ASSERT_EQ(0, vt_call(&p, w_connect, readable));
	EXPECT_EQ(0, answer->connect.may_command);
	EXPECT_EQ(-EACCES, vt_call(&p, w_wake, VENOM_WAKE_DAEMON));
	/* In an IPC namespace of its own it may do all, but that is empty. */
	ASSERT_EQ(0, vt_call(&p, w_leave, CLONE_NEWIPC));
	EXPECT_EQ(0, vt_call(&p, w_channels));
	ASSERT_EQ(0, vt_call(&p, w_close));
	ASSERT_EQ(0, vt_call(&p, w_create, name, 0));
	EXPECT_EQ(0, vt_call(&p, w_info, name));
	EXPECT_EQ(0, vt_stop(&p));
	EXPECT_EQ(0, vt_stop(&b));
	EXPECT_EQ(0, vt_stop(&a));
}

TEST_HARNESS_MAIN

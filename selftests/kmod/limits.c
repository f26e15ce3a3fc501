/* SPDX-License-Identifier: MIT */
/*
 * What one user may take: channels and memory, by the module's parameters; the ids of a channel.
 */
#include "lib/harness.h"
#include "kmod/somebody.h"

#define PARAMETERS "/sys/module/venom/parameters/"
#define CHANNELS   PARAMETERS "channels_per_user"
#define MIB	   PARAMETERS "mib_per_user"

FIXTURE(limits)
{
	long channels, mib;
	struct vt_peer user, another;
};

static const struct who limited = USER(.uid = 1000, .gid = 1000);

FIXTURE_SETUP(limits)
{
	static const struct who another = USER(.uid = 1001, .gid = 1001);

	self->channels = km_read_long(CHANNELS);
	self->mib = km_read_long(MIB);
	NEEDS_ROOT();
	ASSERT_LE(0, self->channels) TH_LOG("no " CHANNELS);
	ASSERT_LE(0, self->mib) TH_LOG("no " MIB);
	be(&self->user, &limited);
	be(&self->another, &another);
}

FIXTURE_TEARDOWN(limits)
{
	if (!is_root())
		return;
	EXPECT_TRUE(km_write_long(CHANNELS, self->channels));
	EXPECT_TRUE(km_write_long(MIB, self->mib));
	EXPECT_EQ(0, vt_stop(&self->another));
	EXPECT_EQ(0, vt_stop(&self->user));
}

static int own_fd[16], n_own;

/* Make n more channels in this process; return how many succeeded before one was refused with EDQUOT. */
static long w_many(long n, long b, long c)
{
	struct venom_ioc_create create, before;
	int rc;

	for (long i = 0; i < n; i++) {
		create = dev_create_init(vt_name());
		before = create;
		own_fd[n_own] = dev_open();
		rc = dev_call(own_fd[n_own], VENOM_IOC_CREATE, &create);
		if (rc) {
			VT_CHECK(rc == -EDQUOT);
			VT_CHECK(!memcmp(&create, &before, sizeof(create)));
			VT_CHECK(w_info((long)create.name, 0, 0) == -ENOENT);
			VT_CHECK(dev_wake(own_fd[n_own], VENOM_WAKE_STATE, 0) == -EBADFD);
			close(own_fd[n_own]);
			return i;
		}
		n_own++;
	}
	return n + b + c;
}

static long w_fewer(long n, long b, long c)
{
	while (n--)
		close(own_fd[--n_own]);
	return b + c;
}

TEST_F(limits, channels)
{
	static const struct who resource = USER(.uid = 1000, .gid = 1000, .caps = CAP(CAP_SYS_RESOURCE)),
				but = USER(.uid = 1000, .gid = 1000, .caps = ~CAP(CAP_SYS_RESOURCE));
	struct vt_peer second, root, capable, incapable;

	vt_start(&root);
	be(&second, &limited);
	be(&capable, &resource);
	be(&incapable, &but);
	ASSERT_TRUE(km_write_long(CHANNELS, 3));
	/* All processes of one user share the limit; other users do not. */
	EXPECT_EQ(2, vt_call(&self->user, w_many, 2));
	EXPECT_EQ(1, vt_call(&second, w_many, 2));
	EXPECT_EQ(0, vt_call(&self->user, w_many, 1));
	EXPECT_EQ(0, vt_call(&incapable, w_many, 1));
	EXPECT_EQ(3, vt_call(&self->another, w_many, 4));
	EXPECT_EQ(5, vt_call(&root, w_many, 5));
	/* A process with CAP_SYS_RESOURCE may exceed the limit, but its channels count. */
	EXPECT_EQ(1, vt_call(&capable, w_many, 1));
	EXPECT_EQ(0, vt_call(&second, w_fewer, 1));
	EXPECT_EQ(0, vt_call(&second, w_many, 1));
	EXPECT_EQ(0, vt_call(&capable, w_fewer, 1));
	EXPECT_EQ(1, vt_call(&second, w_many, 1));
	/* However a channel ends, its share is given back. */
	vt_kill(&second, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(vt_call(&self->user, w_many, 1) == 1));
	EXPECT_EQ(0, vt_call(&self->user, w_many, 1));
	/* A limit set below the current use takes no channel away, and gives no new one. */
	ASSERT_TRUE(km_write_long(CHANNELS, 1));
	EXPECT_EQ(0, vt_call(&self->user, w_many, 1));
	EXPECT_EQ(0, vt_call(&self->user, w_fewer, 2));
	EXPECT_EQ(0, vt_call(&self->user, w_many, 1));
	EXPECT_EQ(0, vt_call(&self->user, w_fewer, 1));
	EXPECT_EQ(1, vt_call(&self->user, w_many, 2));
	EXPECT_EQ(0, vt_stop(&incapable));
	EXPECT_EQ(0, vt_stop(&capable));
	EXPECT_EQ(0, vt_stop(&root));
}

TEST_F(limits, not_by_a_user_namespace)
{
	struct vt_peer p;
	long rc;

	be(&p, &limited);
	ASSERT_TRUE(km_write_long(CHANNELS, 1));
	rc = vt_call(&p, w_leave, CLONE_NEWUSER | CLONE_NEWIPC);
	if (rc)
		SKIP(return, "no user namespaces: errno %ld", -rc);
	EXPECT_EQ(1, vt_call(&p, w_many, 2));
	EXPECT_EQ(0, vt_call(&self->user, w_many, 1));
	ASSERT_EQ(0, vt_call(&p, w_map_user, 1000));
	EXPECT_EQ(0, vt_call(&p, w_many, 1));
	EXPECT_EQ(0, vt_stop(&p));
}

/* A daemon that resumes a channel needs no second share of the limit. */
TEST_F(limits, resume)
{
	const char *name = vt_name();
	struct vt_peer next;
	struct km_shell own;

	be(&next, &limited);
	ASSERT_TRUE(km_write_long(CHANNELS, 1));
	ASSERT_EQ(0, vt_call(&self->user, w_create, name, 0600));
	ASSERT_EQ(0, km_shell_make(&own, name));
	ASSERT_EQ(0, vt_call(&self->user, w_close));
	/* The dead daemon's channel counts as long as a shell holds it. */
	EXPECT_EQ(0, vt_call(&next, w_many, 1));
	EXPECT_EQ(0, vt_call(&next, w_create, name, 0600, VENOM_CREATE_RESUME));
	EXPECT_EQ(1, answer->create.resumed);
	km_shell_close(&own);
	EXPECT_EQ(0, vt_stop(&next));
	EXPECT_EQ(1, vt_call(&self->user, w_many, 1));
}

/* A channel whose state takes `kib`, and its lanes together as much. */
static long w_large(long name, long kib, long c)
{
	struct venom_ioc_create create = dev_create_init((const char *)name);

	w_open(0, 0, 0);
	create.geo.mode = 0666;
	create.geo.versions = 1;
	create.geo.data_size = (__u64)kib << 10;
	create.geo.cmd_slots = 1;
	create.geo.cmd_size = create.geo.resp_size = (__u32)kib << 9;
	return dev_call(fd, VENOM_IOC_CREATE, &create) + c;
}

TEST_F(limits, memory)
{
	const char *name = vt_name(), *second = vt_name(), *third = vt_name();
	struct vt_peer other, root, shell;
	struct venom_ioc_connect con;
	long refused;

	be(&other, &limited);
	be(&shell, &limited);
	vt_start(&root);
	ASSERT_TRUE(km_write_long(MIB, 1));
	/* The state counts for the daemon's user. */
	EXPECT_EQ(-EDQUOT, vt_call(&self->user, w_large, name, 1024));
	EXPECT_EQ(-EDQUOT, vt_call(&self->user, w_large, name, 1L << 21));
	EXPECT_EQ(0, vt_call(&self->user, w_large, name, 600));
	EXPECT_EQ(-EDQUOT, vt_call(&other, w_large, second, 600));
	EXPECT_EQ(0, vt_call(&self->another, w_large, second, 600));
	EXPECT_EQ(0, vt_call(&root, w_large, third, 2000));
	/* Lanes count for the shell's user: at root's channel, too. */
	refused = vt_call(&root, w_refused);
	EXPECT_EQ(-EDQUOT, vt_call(&shell, w_connect, third));
	EXPECT_EQ(refused + 1, vt_call(&root, w_refused));
	EXPECT_EQ(-EDQUOT, vt_call(&shell, w_connect, second));
	/* An observer has no lanes. */
	EXPECT_EQ(0, vt_call(&shell, w_connect, third, VENOM_CONNECT_OBSERVE));
	EXPECT_EQ(0, vt_call(&shell, w_close));
	EXPECT_EQ(0, vt_call(&self->user, w_close));
	EXPECT_EQ(0, vt_call(&shell, w_connect, second));
	con = answer->connect;
	EXPECT_EQ(-EDQUOT, vt_call(&self->user, w_large, name, 600));
	/* A dead shell's lanes are given back when the daemon has freed them. */
	EXPECT_EQ(0, vt_call(&shell, w_close));
	EXPECT_EQ(-EDQUOT, vt_call(&self->user, w_large, name, 600));
	EXPECT_EQ(0, vt_call(&self->another, w_free, con.id, con.generation));
	EXPECT_EQ(0, vt_call(&self->user, w_large, name, 600));
	EXPECT_EQ(0, vt_stop(&shell));
	EXPECT_EQ(0, vt_stop(&root));
	EXPECT_EQ(0, vt_stop(&other));
}

/* ---- ids ---- */

/* Connect up to n more shells of this process; return how many got an id, or -EAGAIN if the kernel says so. */
static long w_seats(long name, long n, long c)
{
	struct venom_ioc_connect con, before;
	int rc;

	for (long i = 0; i < n; i++) {
		con = before = dev_connect_init((const char *)name);
		own_fd[n_own] = dev_open();
		rc = dev_call(own_fd[n_own], VENOM_IOC_CONNECT, &con);
		if (rc) {
			VT_CHECK(rc == -EUSERS || rc == -EAGAIN);
			VT_CHECK(!memcmp(&con, &before, sizeof(con)));
			close(own_fd[n_own]);
			return rc == -EAGAIN ? rc : i;
		}
		answer->connect = con;
		n_own++;
	}
	return n + c;
}

/* A channel for `clients` shells of any user. */
static long w_open_to_all(long name, long clients, long c)
{
	struct venom_ioc_create create = dev_create_init((const char *)name);

	w_open(0, 0, 0);
	create.geo.mode = 0666;
	create.geo.max_clients = (unsigned int)clients;
	return dev_call(fd, VENOM_IOC_CREATE, &create) + c;
}

static long w_lane(long id, long generation, long what)
{
	return dev_lane(fd, (unsigned int)id, (unsigned int)generation, (unsigned int)what);
}

/* A user other than the owner and root gets at most half of the ids, so that others can connect. */
TEST_F(limits, half_of_the_ids)
{
	static const struct who may = USER(.uid = 1002, .gid = 1002, .caps = CAP(CAP_IPC_OWNER)),
				but = USER(.uid = 1002, .gid = 1002, .caps = ~CAP(CAP_IPC_OWNER)),
				owner = USER(.uid = 1003, .gid = 1003);
	struct vt_peer dm, second, third, self_again, capable;
	const char *name = vt_name();
	struct venom_ioc_connect con;

	be(&dm, &owner);
	be(&self_again, &owner);
	be(&second, &limited);
	be(&third, &but);
	be(&capable, &may);
	ASSERT_EQ(0, vt_call(&dm, w_open_to_all, name, 5));
	/* All processes of one user count together. */
	EXPECT_EQ(2, vt_call(&self->user, w_seats, name, 2));
	EXPECT_EQ(1, vt_call(&second, w_seats, name, 5));
	con = answer->connect;
	EXPECT_EQ(0, vt_call(&self->user, w_seats, name, 1));
	/* There is room for others. */
	EXPECT_EQ(1, vt_call(&self->another, w_seats, name, 1));
	EXPECT_EQ(1, vt_call(&third, w_seats, name, 5));
	EXPECT_EQ(0, vt_call(&capable, w_seats, name, 1));
	EXPECT_EQ(0, vt_call(&self_again, w_seats, name, 1));
	/* A dead shell keeps its id until its lane is freed; -EAGAIN: the daemon has not looked at the lane yet. */
	EXPECT_EQ(0, vt_call(&third, w_fewer, 1));
	EXPECT_EQ(0, vt_call(&dm, w_lane, 4, answer->connect.generation, VENOM_LANE_FREE));
	EXPECT_EQ(0, vt_call(&second, w_fewer, 1));
	EXPECT_EQ(-EAGAIN, vt_call(&self->user, w_seats, name, 1));
	EXPECT_EQ(1, vt_call(&self->another, w_seats, name, 1));
	EXPECT_EQ(0, vt_call(&dm, w_lane, con.id, con.generation, VENOM_LANE_KEEP));
	EXPECT_EQ(0, vt_call(&self->user, w_seats, name, 1));
	EXPECT_EQ(0, vt_call(&dm, w_lane, con.id, con.generation, VENOM_LANE_FREE));
	EXPECT_EQ(1, vt_call(&self->user, w_seats, name, 2));
	vt_kill(&dm, SIGKILL);
	/* The owner and root may have all ids. */
	name = vt_name();
	be(&dm, &owner);
	ASSERT_EQ(0, vt_call(&dm, w_open_to_all, name, 4));
	EXPECT_EQ(4, vt_call(&self_again, w_seats, name, 5));
	vt_kill(&dm, SIGKILL);
	name = vt_name();
	be(&dm, &owner);
	ASSERT_EQ(0, vt_call(&dm, w_open_to_all, name, 4));
	EXPECT_EQ(4, vt_call(&capable, w_seats, name, 5));
	vt_kill(&dm, SIGKILL);
	/* If there is only one id, any user may have it. */
	name = vt_name();
	be(&dm, &owner);
	ASSERT_EQ(0, vt_call(&dm, w_open_to_all, name, 1));
	EXPECT_EQ(1, vt_call(&third, w_seats, name, 2));
	EXPECT_EQ(0, vt_stop(&capable));
	EXPECT_EQ(0, vt_stop(&third));
	EXPECT_EQ(0, vt_stop(&second));
	EXPECT_EQ(0, vt_stop(&self_again));
	EXPECT_EQ(0, vt_stop(&dm));
}

/* A limit above any machine's memory means no limit, and does not wrap to a small one. */
TEST_F(limits, more_than_there_is)
{
	static const long mib[] = {1L << 43, 1L << 44, (1L << 44) + 1, LONG_MAX};

	for (unsigned int i = 0; i < ARRAY_SIZE(mib); i++) {
		ASSERT_TRUE(km_write_long(MIB, mib[i]));
		EXPECT_EQ(0, vt_call(&self->user, w_large, vt_name(), 600)) TH_LOG("%ld MiB", mib[i]);
	}
}

/* A small state on huge pages. */
static long w_huge(long name, long huge, long huge_size)
{
	struct venom_ioc_create create = dev_create_init((const char *)name);

	w_open(0, 0, 0);
	create.huge = (__u32)huge;
	create.huge_size = (__u64)huge_size;
	return dev_call(fd, VENOM_IOC_CREATE, &create);
}

/* A page counts in full, however little of it was asked for. */
TEST_F(limits, huge_pages)
{
	const char *name = vt_name();

	ASSERT_TRUE(km_write_long(MIB, 1));
	EXPECT_EQ(0, vt_call(&self->user, w_huge, name, VENOM_IOC_HUGE_NEVER));
	EXPECT_EQ(-EDQUOT, vt_call(&self->user, w_huge, name, VENOM_IOC_HUGE_REQUIRE));
	ASSERT_TRUE(km_write_long(MIB, 100));
	EXPECT_EQ(-EDQUOT, vt_call(&self->user, w_huge, name, VENOM_IOC_HUGE_REQUIRE, 1 << 30));
}

TEST_HARNESS_MAIN

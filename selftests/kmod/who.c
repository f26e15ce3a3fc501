/* SPDX-License-Identifier: MIT */
/*
 * Who may do what: the mode of a channel by owner, group and others; IPC namespaces, that don't see each other; a
 * descriptor, which is of no use to any process but the one that made something of it and hides nobody's death; users
 * that change; who the other side is, as seen from other namespaces; and what one user may take.
 */
#include <linux/capability.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/harness.h"
#include "kmod/common.h"

/* ---- somebody: a process, and calls for vt_call() ---- */

struct who {
	const char *what;
	uid_t uid;
	gid_t gid, groups[2];
	size_t ngroups;
	uint64_t caps;
};

#define CAP(n)	 (1ull << (n))
#define ALL_CAPS (~0ull)
#define ROOT                                     \
	{                                        \
		.what = "root", .caps = ALL_CAPS \
	}
#define USER(...)                           \
	{                                   \
		.what = "user", __VA_ARGS__ \
	}

static int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint64_t have;

	if (syscall(SYS_capget, &head, data))
		return -1;
	have = data[0].permitted | (uint64_t)data[1].permitted << 32;
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t)((caps & have) >> 32 * i);
	return (int)syscall(SYS_capset, &head, data);
}

static long become(long who, long b, long c)
{
	const struct who *w = (const struct who *)who;

	VT_CHECK(!prctl(PR_SET_KEEPCAPS, 1));
	VT_CHECK(!setgroups(w->ngroups, w->groups));
	VT_CHECK(!setresgid(w->gid, w->gid, w->gid));
	VT_CHECK(!setresuid(w->uid, w->uid, w->uid));
	VT_CHECK(!set_caps(w->caps));
	VT_CHECK(!prctl(PR_SET_DUMPABLE, 1)); /* else its /proc/self is root's */
	return b + c;
}

/* What the last call of any of them answered. */
static struct {
	struct venom_ioc_create create;
	struct venom_ioc_connect connect;
	struct venom_ioc_peer peer;
	struct venom_ioc_info info;
} * answer;

__attribute__((constructor)) static void make_answer(void)
{
	answer = vt_shared(sizeof(*answer));
}

/* Its one file. */
static int fd = -1;

static long w_open(long a, long b, long c)
{
	if (fd >= 0)
		close(fd);
	fd = dev_open();
	return fd < 0 ? -errno : a + b + c;
}

static long w_close(long a, long b, long c)
{
	close(fd);
	fd = -1;
	return a + b + c;
}

static long w_create(long name, long mode, long flags)
{
	struct venom_ioc_create cr = dev_create_init((const char *)name);
	long rc;

	cr.geo.mode = (unsigned int)mode;
	cr.geo.max_clients = 64;
	cr.flags = (unsigned int)flags;
	rc = fd < 0 ? w_open(0, 0, 0) : 0;
	rc = rc ? rc : dev_call(fd, VENOM_IOC_CREATE, &cr);
	answer->create = cr;
	return rc;
}

static long w_connect(long name, long flags, long c)
{
	struct venom_ioc_connect con = dev_connect_init((const char *)name);
	long rc = fd < 0 ? w_open(0, 0, 0) : 0;

	con.flags = (unsigned int)flags;
	rc = rc ? rc : dev_call(fd, VENOM_IOC_CONNECT, &con);
	answer->connect = con;
	return rc + c;
}

static long w_wake(long what, long id, long c)
{
	return dev_wake(fd, (unsigned int)what, (unsigned int)id) + c;
}

static long w_free(long id, long generation, long c)
{
	return dev_lane(fd, (unsigned int)id, (unsigned int)generation, VENOM_LANE_FREE) + c;
}

static long w_peer(long id, long b, long c)
{
	struct venom_ioc_peer p = {.size = sizeof(p), .id = (unsigned int)id};
	long rc = dev_call(fd, VENOM_IOC_PEER, &p);

	answer->peer = p;
	return rc + b + c;
}

static long w_info(long name, long b, long c)
{
	struct venom_ioc_info info;
	long rc = km_info((const char *)name, &info);

	answer->info = info;
	return rc + b + c;
}

static long w_listed(long name, long b, long c)
{
	struct venom_ioc_info i = km_info_init("");
	int any = dev_open(), n = 0;

	while (!dev_call(any, VENOM_IOC_INFO, &i)) {
		n += !strcmp(i.name, (const char *)name);
		memset(i.name, 0, sizeof(i.name));
	}
	close(any);
	return n + b + c;
}

static long w_channels(long a, long b, long c)
{
	return km_channels() + a + b + c;
}

/* How many shells were refused; the daemon's, or a shell's or looker's look. */
static long w_refused(long a, long b, long c)
{
	struct venom_status *st = dev_map(fd, VENOM_AREA_STATUS, 0, VENOM_PAGE, PROT_READ);
	long n;

	VT_CHECK(st != MAP_FAILED);
	n = (long)st->refused;
	munmap(st, VENOM_PAGE);
	return n + a + b + c;
}

static void be(struct vt_peer *p, const struct who *w)
{
	vt_start(p);
	VT_CHECK(!vt_call(p, become, w));
}

static bool is_root(void)
{
	return !geteuid();
}
#define NEEDS_ROOT()    \
	if (!is_root()) \
	SKIP(return, "needs root, to be others")

/* ---- mode ---- */

/* Bits of w_try()'s answer. */
#define MAY_READ    1
#define MAY_COMMAND 2

/* All that depends on the mode, in one go; each failure is for that reason.  Shells that came are freed by the daemon. */
static long w_try(long name, long b, long c)
{
	long rc, may = b + c;

	w_open(0, 0, 0);
	rc = w_connect(name, 0, 0);
	if (rc) {
		struct venom_ioc_connect con = dev_connect_init((const char *)name);

		VT_CHECK(rc == -EACCES);
		VT_CHECK(!memcmp(&con, &answer->connect, sizeof(con)));
		VT_CHECK(w_connect(name, VENOM_CONNECT_LOOK, 0) == -EACCES);
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

		VT_CHECK(!w_connect(name, VENOM_CONNECT_LOOK, 0));
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
	int shift; /* which bits of the mode are for him; -1: none are needed */
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
		/* A looker that is refused may be counted, too. */
		EXPECT_LE(refused, vt_call(&dm, w_refused)) TH_LOG("mode 0%03o", modes[m]);
		EXPECT_GE(2 * refused, vt_call(&dm, w_refused)) TH_LOG("mode 0%03o", modes[m]);
	}
	EXPECT_EQ(0, vt_stop(&dm));
	for (unsigned int i = 0; i < ARRAY_SIZE(whos); i++) {
		EXPECT_EQ(0, vt_stop(&p[i]));
	}
}

/* ---- IPC namespaces ---- */

static int home_ns = -1;

/* Into a new namespace. */
static long w_leave(long flags, long b, long c)
{
	if (home_ns < 0)
		home_ns = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	return unshare((int)flags) ? -errno : b + c;
}

/* And back; nobody is left there. */
static long w_return(long a, long b, long c)
{
	return setns(home_ns, CLONE_NEWIPC) ? -errno : a + b + c;
}

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
	EXPECT_EQ(-ENOENT, vt_call(&there, w_connect, name, VENOM_CONNECT_LOOK));
	EXPECT_EQ(-ENOENT, vt_call(&there, w_info, name));
	EXPECT_EQ(0, vt_call(&there, w_channels));
	/* The same name is another channel there, and so is its mode. */
	ASSERT_EQ(0, vt_call(&there, w_create, name, 0600));
	EXPECT_EQ(1, answer->create.epoch);
	EXPECT_EQ(1, vt_call(&there, w_channels));
	EXPECT_EQ(0, vt_call(&there, w_info, name));
	EXPECT_EQ(there.pid, answer->info.pid);
	EXPECT_EQ(0, vt_call(&here, w_info, name));
	EXPECT_EQ(here.pid, answer->info.pid);
	EXPECT_EQ(0666, answer->info.geo.mode);
	/* Who leaves takes along what he has, and finds there what is there. */
	ASSERT_EQ(0, vt_call(&both, w_connect, name));
	ASSERT_EQ(0, vt_call(&both, w_leave, CLONE_NEWIPC));
	EXPECT_EQ(0, vt_call(&both, w_wake, VENOM_WAKE_DAEMON));
	EXPECT_EQ(0, vt_call(&both, w_peer));
	EXPECT_EQ(here.pid, answer->peer.pid);
	EXPECT_EQ(0, vt_call(&both, w_channels));
	EXPECT_EQ(-ENOENT, vt_call(&both, w_info, name));
	/* An end here is none there. */
	ASSERT_EQ(0, vt_call(&here, w_close));
	EXPECT_EQ(-EPIPE, vt_call(&both, w_wake, VENOM_WAKE_DAEMON));
	EXPECT_EQ(0, vt_call(&there, w_info, name));
	EXPECT_EQ(1, answer->info.alive);
	/* Nor does it keep the name from anybody there. */
	ASSERT_EQ(0, vt_call(&there, w_close));
	ASSERT_EQ(0, vt_call(&there, w_create, second, 0600));
	ASSERT_EQ(0, vt_call(&both, w_return));
	EXPECT_EQ(-ENOENT, vt_call(&both, w_info, second));
	EXPECT_EQ(0, vt_stop(&both));
	EXPECT_EQ(0, vt_stop(&there));
	EXPECT_EQ(0, vt_stop(&here));
}

/*
 * A namespace that has died while its channel was held from elsewhere: the next one, which may well be at the same
 * address and have the same number, has no such channel.
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
		vt_sleep_ms(10); /* they are freed by a worker */
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

/* ---- a descriptor in other hands ---- */

static long w_send(long sock, long b, long c)
{
	char data = 'v', room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&data, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&m);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	return sendmsg((int)sock, &m, 0) == 1 ? b + c : -errno;
}

static long w_take(long sock, long b, long c)
{
	char data, room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&data, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};

	if (recvmsg((int)sock, &m, MSG_CMSG_CLOEXEC) != 1)
		return -errno;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return b + c;
}

/* Each call, and each map, with another process's file: EPERM, and nothing else. */
static long w_stranger(long a, long b, long c)
{
	static const unsigned int whats[] = {VENOM_WAKE_DAEMON, VENOM_WAKE_SHELL, VENOM_WAKE_STATE};
	struct venom_ioc_create create = dev_create_init("stranger");
	struct venom_ioc_connect connect = dev_connect_init("stranger");
	struct venom_ioc_info info = km_info_init("");
	struct venom_ioc_info by_name = km_info_init("stranger");
	int efd = km_efd();

	VT_CHECK(dev_call(fd, VENOM_IOC_CREATE, &create) == -EPERM);
	VT_CHECK(dev_call(fd, VENOM_IOC_CONNECT, &connect) == -EPERM);
	connect.flags = VENOM_CONNECT_LOOK;
	VT_CHECK(dev_call(fd, VENOM_IOC_CONNECT, &connect) == -EPERM);
	for (unsigned int bell = 0; bell < 2; bell++) {
		VT_CHECK(dev_bell(fd, (int)bell, efd) == -EPERM);
		VT_CHECK(dev_bell(fd, (int)bell, -1) == -EPERM);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(whats); i++)
		VT_CHECK(dev_wake(fd, whats[i], 0) == -EPERM);
	for (unsigned int what = VENOM_SLEEP_WATCH; what <= VENOM_SLEEP_DISARM; what++)
		VT_CHECK(dev_sleep(fd, what) == -EPERM);
	for (unsigned int what = VENOM_LANE_FREE; what <= VENOM_LANE_EVICT; what++)
		VT_CHECK(dev_lane(fd, 0, 1, what) == -EPERM);
	VT_CHECK(w_peer(0, 0, 0) == -EPERM);
	VT_CHECK(dev_call(fd, VENOM_IOC_INFO, &info) == -EPERM);
	VT_CHECK(dev_call(fd, VENOM_IOC_INFO, &by_name) == -EPERM);
	VT_CHECK(dev_end(fd) == -EPERM);
	for (unsigned int kind = VENOM_AREA_STATUS; kind <= VENOM_AREA_RESPONSES; kind++)
		for (int prot = PROT_NONE; prot <= (PROT_READ | PROT_WRITE); prot++)
			VT_CHECK(dev_map(fd, kind, 0, VENOM_PAGE, prot) == MAP_FAILED && errno == EPERM);
	close(efd);
	return a + b + c;
}

/* The same in a child that this process forks. */
static long w_fork_stranger(long a, long b, long c)
{
	int status;
	pid_t child = fork();

	if (!child) {
		w_stranger(a, b, c);
		(_exit)(0);
	}
	VT_CHECK(waitpid(child, &status, 0) == child);
	return status;
}

/* A child that holds all this process has, until it is killed; its pid. */
static long w_fork_holder(long a, long b, long c)
{
	pid_t child = fork();

	if (!child)
		for (;;)
			pause();
	return child + a + b + c;
}

static long w_end_holder(long child, long b, long c)
{
	VT_CHECK(!kill((pid_t)child, SIGKILL));
	VT_CHECK(waitpid((pid_t)child, NULL, 0) == child);
	return b + c;
}

static short hung_up(int any)
{
	struct pollfd p = {.fd = any, .events = POLLIN};

	return (short)(poll(&p, 1, 0) >= 0 ? p.revents & POLLHUP : 0);
}

FIXTURE(hands)
{
	const char *name;
	int sock[2];
	struct vt_peer dm, sh, lk, stranger;
	struct venom_ioc_connect shell; /* sh's */
	struct km_shell own; /* of this process, to see what is told */
};

FIXTURE_SETUP(hands)
{
	self->name = vt_name();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->sock));
	vt_start(&self->dm);
	vt_start(&self->sh);
	vt_start(&self->lk);
	vt_start(&self->stranger);
	ASSERT_EQ(0, vt_call(&self->dm, w_create, self->name, 0666));
	ASSERT_EQ(0, vt_call(&self->sh, w_connect, self->name));
	self->shell = answer->connect;
	ASSERT_EQ(0, vt_call(&self->lk, w_connect, self->name, VENOM_CONNECT_LOOK));
	ASSERT_EQ(0, km_shell_make(&self->own, self->name));
}

FIXTURE_TEARDOWN(hands)
{
	km_shell_close(&self->own);
	vt_kill(&self->stranger, SIGKILL);
	vt_kill(&self->lk, SIGKILL);
	vt_kill(&self->sh, SIGKILL);
	vt_kill(&self->dm, SIGKILL);
	close(self->sock[0]);
	close(self->sock[1]);
}

TEST_F(hands, a_stranger_can_do_nothing_with_it)
{
	struct vt_peer *owners[] = {&self->dm, &self->sh, &self->lk};

	for (unsigned int i = 0; i < ARRAY_SIZE(owners); i++) {
		ASSERT_EQ(0, vt_call(owners[i], w_send, self->sock[0]));
		ASSERT_EQ(0, vt_call(&self->stranger, w_take, self->sock[1]));
		EXPECT_EQ(0, vt_call(&self->stranger, w_stranger)) TH_LOG("owner %u", i);
		EXPECT_EQ(0, vt_call(owners[i], w_fork_stranger)) TH_LOG("owner %u", i);
		/* Nor does he end anything when he has enough of it. */
		EXPECT_EQ(0, vt_call(&self->stranger, w_close));
	}
	EXPECT_EQ(0, vt_call(&self->dm, w_wake, VENOM_WAKE_SHELL, self->shell.id));
	EXPECT_EQ(0, vt_call(&self->sh, w_wake, VENOM_WAKE_DAEMON));
	EXPECT_EQ(0, vt_call(&self->lk, w_peer, self->shell.id));
	EXPECT_EQ(VENOM_SHELL_ALIVE, answer->peer.life);
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(self->own.status));
	EXPECT_EQ(0, hung_up(self->own.fd));
}

/* What is nothing yet is anybody's. */
TEST_F(hands, nothing_can_be_given_away)
{
	const char *name = vt_name();

	ASSERT_EQ(0, vt_call(&self->dm, w_open));
	ASSERT_EQ(0, vt_call(&self->dm, w_send, self->sock[0]));
	ASSERT_EQ(0, vt_call(&self->stranger, w_take, self->sock[1]));
	ASSERT_EQ(0, vt_call(&self->stranger, w_create, name, 0600));
	EXPECT_EQ(0, vt_call(&self->stranger, w_wake, VENOM_WAKE_STATE));
	EXPECT_EQ(0, vt_call(&self->dm, w_stranger));
	EXPECT_EQ(0, vt_call(&self->sh, w_info, name));
	EXPECT_EQ(self->stranger.pid, answer->info.pid);
	vt_kill(&self->stranger, SIGKILL);
	EXPECT_EQ(-ENOENT, vt_call(&self->sh, w_info, name));
}

TEST_F(hands, a_stranger_doesn_t_hide_the_daemon_s_death)
{
	const char *name = self->name;
	long child;

	ASSERT_EQ(0, vt_call(&self->dm, w_send, self->sock[0]));
	ASSERT_EQ(0, vt_call(&self->stranger, w_take, self->sock[1]));
	child = vt_call(&self->stranger, w_fork_holder);
	ASSERT_LT(0, child);
	vt_kill(&self->dm, SIGKILL);
	/* vt_kill() has waited: it is told before the process can be waited for, or at once after. */
	EXPECT_TRUE(VT_UNTIL(km_daemon_life(self->own.status) == VENOM_DAEMON_GONE));
	EXPECT_EQ(POLLHUP, hung_up(self->own.fd));
	EXPECT_EQ(-EPIPE, dev_wake(self->own.fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(-EPERM, vt_call(&self->stranger, w_wake, VENOM_WAKE_STATE));
	/* The name can be taken by another while he holds it; and what he holds then has no power over that one. */
	vt_start(&self->dm);
	ASSERT_EQ(0, vt_call(&self->dm, w_create, name, 0666, VENOM_CREATE_RESUME));
	EXPECT_EQ(1, answer->create.resumed);
	EXPECT_EQ(0, vt_call(&self->stranger, w_stranger));
	EXPECT_EQ(0, vt_call(&self->stranger, w_close));
	EXPECT_EQ(0, vt_call(&self->stranger, w_end_holder, child));
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(self->own.status));
	EXPECT_EQ(0, hung_up(self->own.fd));
}

TEST_F(hands, a_stranger_doesn_t_hide_a_shell_s_death)
{
	long child;

	ASSERT_EQ(0, vt_call(&self->sh, w_send, self->sock[0]));
	ASSERT_EQ(0, vt_call(&self->stranger, w_take, self->sock[1]));
	child = vt_call(&self->stranger, w_fork_holder);
	ASSERT_LT(0, child);
	vt_kill(&self->sh, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(km_shell_life(self->own.status, self->shell.id) == VENOM_SHELL_GONE));
	EXPECT_EQ(0, vt_call(&self->dm, w_free, self->shell.id, self->shell.generation));
	EXPECT_EQ(0, vt_call(&self->stranger, w_stranger));
	EXPECT_EQ(0, vt_call(&self->stranger, w_close));
	EXPECT_EQ(0, vt_call(&self->stranger, w_end_holder, child));
	EXPECT_EQ(1, self->own.status->attached);
}

TEST_F(hands, a_child_doesn_t_hide_the_daemon_s_death)
{
	long child = vt_call(&self->dm, w_fork_holder);

	ASSERT_LT(0, child);
	vt_kill(&self->dm, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(km_daemon_life(self->own.status) == VENOM_DAEMON_GONE));
	EXPECT_EQ(POLLHUP, hung_up(self->own.fd));
	EXPECT_EQ(0, kill((pid_t)child, SIGKILL));
}

TEST_F(hands, a_child_doesn_t_hide_a_shell_s_death)
{
	long child = vt_call(&self->sh, w_fork_holder);

	ASSERT_LT(0, child);
	vt_kill(&self->sh, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(km_shell_life(self->own.status, self->shell.id) == VENOM_SHELL_GONE));
	EXPECT_EQ(0, kill((pid_t)child, SIGKILL));
}

/* A child's end is not its parent's. */
TEST_F(hands, a_child_s_end)
{
	for (int i = 0; i < 2; i++) {
		struct vt_peer *p = i ? &self->sh : &self->dm;
		long child = vt_call(p, w_fork_holder);

		ASSERT_LT(0, child);
		EXPECT_EQ(0, vt_call(p, w_end_holder, child));
	}
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(self->own.status));
	EXPECT_EQ(VENOM_SHELL_ALIVE, km_shell_life(self->own.status, self->shell.id));
	EXPECT_EQ(0, vt_call(&self->dm, w_wake, VENOM_WAKE_STATE));
	EXPECT_EQ(0, vt_call(&self->sh, w_wake, VENOM_WAKE_DAEMON));
}

static long w_exec(long a, long b, long c)
{
	execl("/bin/sleep", "sleep", "100", (char *)NULL);
	return -errno + a + b + c;
}

/* Who becomes another program is as dead, though a child has the file still. */
TEST_F(hands, exec)
{
	long child[2];

	for (int i = 0; i < 2; i++) {
		child[i] = vt_call(i ? &self->dm : &self->sh, w_fork_holder);
		ASSERT_LT(0, child[i]);
	}
	vt_post(&self->sh, w_exec);
	EXPECT_TRUE(VT_UNTIL(km_shell_life(self->own.status, self->shell.id) == VENOM_SHELL_GONE));
	vt_post(&self->dm, w_exec);
	EXPECT_TRUE(VT_UNTIL(km_daemon_life(self->own.status) == VENOM_DAEMON_GONE));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, kill((pid_t)child[i], SIGKILL));
	}
}

/* A thread is the same process, whichever was first. */
static void *in_thread(void *rc)
{
	((long *)rc)[0] = w_wake(VENOM_WAKE_STATE, 0, 0);
	((long *)rc)[1] = dev_map(fd, VENOM_AREA_STATUS, 0, VENOM_PAGE, PROT_READ) == MAP_FAILED;
	return NULL;
}

static void *thread_with_files_of_its_own(void *rc)
{
	*(long *)rc = unshare(CLONE_FILES) ? -errno : 0;
	return NULL;
}

static long w_threads(long a, long b, long c)
{
	pthread_t t;
	long rc[2] = {1, 1};

	VT_CHECK(!pthread_create(&t, NULL, in_thread, rc));
	VT_CHECK(!pthread_join(t, NULL));
	VT_CHECK(!rc[0] && !rc[1]);
	/* It ends and closes its own table's descriptors; the process goes on. */
	VT_CHECK(!pthread_create(&t, NULL, thread_with_files_of_its_own, rc));
	VT_CHECK(!pthread_join(t, NULL));
	VT_CHECK(!rc[0]);
	return a + b + c;
}

TEST_F(hands, threads)
{
	EXPECT_EQ(0, vt_call(&self->dm, w_threads));
	/* Joined is not quite gone: what it might do wrong comes a moment later. */
	vt_sleep_ms(50);
	EXPECT_EQ(0, vt_call(&self->dm, w_wake, VENOM_WAKE_STATE));
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(self->own.status));
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
	/* Opened by root, connected by a user who may not. */
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
	/* They are for the others who they were. */
	EXPECT_EQ(0, vt_call(&dm, w_peer, con.id));
	EXPECT_EQ(0, answer->peer.uid);
	EXPECT_EQ(0, answer->peer.gid);
	EXPECT_EQ(sh.pid, answer->peer.pid);
	EXPECT_EQ(0, vt_call(&sh, w_peer));
	EXPECT_EQ(0, answer->peer.uid);
	EXPECT_EQ(0, answer->peer.gid);
	EXPECT_EQ(dm.pid, answer->peer.pid);
	/* It is still root's channel: it can be had by root, and not by whom the daemon has become. */
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
	/* The daemon can't be seen from in there; who he is can. */
	EXPECT_EQ(0, inner->daemon.pid);
	EXPECT_EQ(0, inner->daemon.uid);
	EXPECT_EQ(VENOM_DAEMON_ALIVE, inner->daemon.life);
	EXPECT_EQ(0, inner->info.pid);
	EXPECT_EQ(1, inner->info.alive);
	/* The shell is seen from here, by the number that it has here. */
	EXPECT_EQ(0, vt_call(&dm, w_peer, inner->con.id));
	EXPECT_EQ(child, answer->peer.pid);
	vt_store(&inner->go, 1);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, vt_stop(&dm));
}

static bool write_file(const char *path, const char *what)
{
	return km_write(path, what);
}

static long w_map_user(long uid, long b, long c)
{
	char map[64];

	snprintf(map, sizeof(map), "0 %ld 1", uid);
	VT_CHECK(write_file("/proc/self/uid_map", map));
	VT_CHECK(write_file("/proc/self/setgroups", "deny"));
	VT_CHECK(write_file("/proc/self/gid_map", map));
	return b + c;
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
	/* Nobody has an id in there yet.  It can read root's channel as others can. */
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
	/* From outside it is who it is. */
	ASSERT_EQ(0, vt_call(&b, w_peer, con.id));
	EXPECT_EQ(1000, answer->peer.uid);
	EXPECT_EQ(1000, answer->peer.gid);
	EXPECT_EQ(p.pid, answer->peer.pid);
	EXPECT_EQ(0, vt_stop(&p));
	EXPECT_EQ(0, vt_stop(&b));
	EXPECT_EQ(0, vt_stop(&a));
}

/* The capabilities that one has in a namespace of one's own are none for what is outside. */
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
	/* In an IPC namespace of its own it may do all, but there is nothing in it. */
	ASSERT_EQ(0, vt_call(&p, w_leave, CLONE_NEWIPC));
	EXPECT_EQ(0, vt_call(&p, w_channels));
	ASSERT_EQ(0, vt_call(&p, w_close));
	ASSERT_EQ(0, vt_call(&p, w_create, name, 0));
	EXPECT_EQ(0, vt_call(&p, w_info, name));
	EXPECT_EQ(0, vt_stop(&p));
	EXPECT_EQ(0, vt_stop(&b));
	EXPECT_EQ(0, vt_stop(&a));
}

/* ---- limits ---- */

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

/* n channels of this process, more than it has already; how many it were before one was refused with EDQUOT. */
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
	/* All of a user's processes share it, and nobody else. */
	EXPECT_EQ(2, vt_call(&self->user, w_many, 2));
	EXPECT_EQ(1, vt_call(&second, w_many, 2));
	EXPECT_EQ(0, vt_call(&self->user, w_many, 1));
	EXPECT_EQ(0, vt_call(&incapable, w_many, 1));
	EXPECT_EQ(3, vt_call(&self->another, w_many, 4));
	EXPECT_EQ(5, vt_call(&root, w_many, 5));
	/* Who is above it counts all the same. */
	EXPECT_EQ(1, vt_call(&capable, w_many, 1));
	EXPECT_EQ(0, vt_call(&second, w_fewer, 1));
	EXPECT_EQ(0, vt_call(&second, w_many, 1));
	EXPECT_EQ(0, vt_call(&capable, w_fewer, 1));
	EXPECT_EQ(1, vt_call(&second, w_many, 1));
	/* By an end in whatever way it is given back. */
	vt_kill(&second, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(vt_call(&self->user, w_many, 1) == 1));
	EXPECT_EQ(0, vt_call(&self->user, w_many, 1));
	/* Lowered below what is there it takes nothing away, and gives nothing. */
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

/* One that resumes needs no more than there is. */
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
	/* The dead one's counts as long as somebody holds it. */
	EXPECT_EQ(0, vt_call(&next, w_many, 1));
	EXPECT_EQ(0, vt_call(&next, w_create, name, 0600, VENOM_CREATE_RESUME));
	EXPECT_EQ(1, answer->create.resumed);
	km_shell_close(&own);
	EXPECT_EQ(0, vt_stop(&next));
	EXPECT_EQ(1, vt_call(&self->user, w_many, 1));
}

/* A channel whose state has `kib`, its lanes together as much. */
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
	/* The state is the daemon's. */
	EXPECT_EQ(-EDQUOT, vt_call(&self->user, w_large, name, 1024));
	EXPECT_EQ(-EDQUOT, vt_call(&self->user, w_large, name, 1L << 21));
	EXPECT_EQ(0, vt_call(&self->user, w_large, name, 600));
	EXPECT_EQ(-EDQUOT, vt_call(&other, w_large, second, 600));
	EXPECT_EQ(0, vt_call(&self->another, w_large, second, 600));
	EXPECT_EQ(0, vt_call(&root, w_large, third, 2000));
	/* Lanes are the shell's: at root's channel, too. */
	refused = vt_call(&root, w_refused);
	EXPECT_EQ(-EDQUOT, vt_call(&shell, w_connect, third));
	EXPECT_EQ(refused + 1, vt_call(&root, w_refused));
	EXPECT_EQ(-EDQUOT, vt_call(&shell, w_connect, second));
	/* A looker needs none. */
	EXPECT_EQ(0, vt_call(&shell, w_connect, third, VENOM_CONNECT_LOOK));
	EXPECT_EQ(0, vt_call(&shell, w_close));
	EXPECT_EQ(0, vt_call(&self->user, w_close));
	EXPECT_EQ(0, vt_call(&shell, w_connect, second));
	con = answer->connect;
	EXPECT_EQ(-EDQUOT, vt_call(&self->user, w_large, name, 600));
	/* A dead shell's lanes are given back when the daemon has read them. */
	EXPECT_EQ(0, vt_call(&shell, w_close));
	EXPECT_EQ(-EDQUOT, vt_call(&self->user, w_large, name, 600));
	EXPECT_EQ(0, vt_call(&self->another, w_free, con.id, con.generation));
	EXPECT_EQ(0, vt_call(&self->user, w_large, name, 600));
	EXPECT_EQ(0, vt_stop(&shell));
	EXPECT_EQ(0, vt_stop(&root));
	EXPECT_EQ(0, vt_stop(&other));
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

/* A page is counted whole, however little of it was asked for. */
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

/* SPDX-License-Identifier: MIT */
/*
 * A descriptor that was passed on: only the process that gave the file its role can use it; and it hides no process's
 * death.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/harness.h"
#include "kmod/somebody.h"

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

/* Every call and every map of another process's file must fail with EPERM. */
static long w_stranger(long a, long b, long c)
{
	static const unsigned int whats[] = {VENOM_WAKE_DAEMON, VENOM_WAKE_SHELL, VENOM_WAKE_STATE,
					    VENOM_WAKE_LIFE, VENOM_WAKE_MOVED};
	struct venom_ioc_create create = dev_create_init("stranger");
	struct venom_ioc_connect connect = dev_connect_init("stranger");
	struct venom_ioc_info info = km_info_init("");
	struct venom_ioc_info by_name = km_info_init("stranger");
	int efd = km_efd();

	VT_CHECK(dev_call(fd, VENOM_IOC_CREATE, &create) == -EPERM);
	VT_CHECK(dev_call(fd, VENOM_IOC_CONNECT, &connect) == -EPERM);
	connect.flags = VENOM_CONNECT_OBSERVE;
	VT_CHECK(dev_call(fd, VENOM_IOC_CONNECT, &connect) == -EPERM);
	for (unsigned int bell = 0; bell < VENOM_BELLS; bell++) {
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

/* A child that holds all files of this process until it is killed; return its pid. */
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
	struct km_shell own; /* of this process, to observe the status page */
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
	ASSERT_EQ(0, vt_call(&self->lk, w_connect, self->name, VENOM_CONNECT_OBSERVE));
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
		/* The stranger's close ends nothing either. */
		EXPECT_EQ(0, vt_call(&self->stranger, w_close));
	}
	EXPECT_EQ(0, vt_call(&self->dm, w_wake, VENOM_WAKE_SHELL, self->shell.id));
	EXPECT_EQ(0, vt_call(&self->sh, w_wake, VENOM_WAKE_DAEMON));
	EXPECT_EQ(0, vt_call(&self->lk, w_peer, self->shell.id));
	EXPECT_EQ(VENOM_SHELL_ALIVE, answer->peer.life);
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(self->own.status));
	EXPECT_EQ(0, hung_up(self->own.fd));
}

/* A file without a role may get one from any process. */
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
	/* The notification comes before vt_kill() can return, or immediately after. */
	EXPECT_TRUE(VT_UNTIL(km_daemon_life(self->own.status) == VENOM_DAEMON_GONE));
	EXPECT_EQ(POLLHUP, hung_up(self->own.fd));
	EXPECT_EQ(-EPIPE, dev_wake(self->own.fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(-EPERM, vt_call(&self->stranger, w_wake, VENOM_WAKE_STATE));
	/*
	 * Another daemon can take the name while the stranger holds the file; the file gives no power over that daemon.
	 */
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

/* A process that execs is dead to the others, though a child still holds the file. */
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

/* All threads are the same process, whichever was first. */
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
	/* The thread ends and closes the descriptors of its own table; the process lives on. */
	VT_CHECK(!pthread_create(&t, NULL, thread_with_files_of_its_own, rc));
	VT_CHECK(!pthread_join(t, NULL));
	VT_CHECK(!rc[0]);
	return a + b + c;
}

TEST_F(hands, threads)
{
	EXPECT_EQ(0, vt_call(&self->dm, w_threads));
	/* A joined thread may not have gone yet: a wrong effect would come a moment later. */
	vt_sleep_ms(50);
	EXPECT_EQ(0, vt_call(&self->dm, w_wake, VENOM_WAKE_STATE));
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(self->own.status));
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Attacks with descriptors: with limits on them, which must give an errno and a sentence that says whose limit it is;
 * with a program that has closed 0 to 2, which must stay its own; and with code that closes them all while a thread
 * sleeps on them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "api/limits.h"
#include "lib/watch.h"

/* ---- descriptors ---- */

/* Sets the limit so that `left` more descriptors can be opened; < 0: as many as before. */
static long leave_fds(long left, long b, long c)
{
	int fd = dup(0);

	VT_CHECK(left < 0 || fd >= 0);
	close(fd);
	return limit(RLIMIT_NOFILE, left < 0 ? left : fd + left, -1) + b + c;
}

TEST_F(limits, a_shell_out_of_descriptors_blames_itself)
{
	long err = -1;

	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	for (int left = 0; err && left < 32; left++) {
		ASSERT_EQ(0, vt_call(&self->sh, leave_fds, left));
		*vt_box = 0;
		err = vt_call(&self->sh, ps_connect, self->name);
		ASSERT_EQ(0, vt_call(&self->sh, leave_fds, -1));
		if (!err)
			break;
		ASSERT_EQ(-EMFILE, err) TH_LOG("with %d descriptors left: %s", left, vt_errmsg);
		SAYS("this process");
	}
	EXPECT_EQ(0, err);
}

TEST_F(limits, a_daemon_out_of_descriptors_is_blamed)
{
	long err = -1;

	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	for (int left = 0; err && left < 32; left++) {
		ASSERT_EQ(0, vt_call(&self->dm, leave_fds, left));
		err = vt_call(&self->sh, ps_connect, self->name);
		ASSERT_EQ(0, vt_call(&self->dm, leave_fds, -1));
		if (!err)
			break;
		ASSERT_EQ(-EMFILE, err) TH_LOG("with %d descriptors left: %s", left, vt_errmsg);
		SAYS("the daemon");
	}
	EXPECT_EQ(0, err);
}

/* Puts more descriptors of this user into sockets, unread, than its limit allows: the kernel takes no more. */
static long put_in_flight(long n, long b, long c)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * 100)];
	} control = {
		.head = {.cmsg_len = CMSG_LEN(sizeof(int) * 100), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS},
	};
	struct iovec iov = {.iov_base = "x", .iov_len = 1};
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	static int sv[2];

	VT_CHECK(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sv));
	for (int i = 0; i < 100; i++)
		memcpy(CMSG_DATA(&control.head) + i * sizeof(int), &sv[1], sizeof(int));
	while ((n -= 100) >= 0)
		VT_CHECK(sendmsg(sv[0], &mh, MSG_DONTWAIT) == 1);
	return limit(RLIMIT_NOFILE, 64, 64) + b + c;
}

TEST_F(limits, descriptors_in_flight)
{
	if (getuid())
		SKIP(return, "needs root, to become another user");
	/* The daemon's user has them in flight, and a shell of root connects. */
	ASSERT_EQ(0, vt_call(&self->dm, vt_become, USER, USER, 0));
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->dm, put_in_flight, 300));
	EXPECT_EQ(-EMFILE, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	SAYS("the daemon");
	/* A shell of the same user connects to root's daemon. */
	ASSERT_EQ(0, vt_call(&self->sh, pd_create, vt_name(), self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->sh, pp_end));
	ASSERT_EQ(0, vt_call(&self->sh, pd_create, "root-s", self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(-EMFILE, vt_call(&self->dm, ps_connect, "root-s")) TH_LOG("%s", vt_errmsg);
	SAYS("this user");
}

/* ---- 0, 1 and 2 ---- */

static long close_stdio(long a, long b, long c)
{
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	return a + b + c;
}

static long count_stdio(long a, long b, long c)
{
	long n = 0;

	for (int fd = 0; fd < 3; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n + a + b + c;
}

TEST_F(limits, closed_stdio_stays_closed)
{
	struct vt_peer other;

	vt_start(&other);
	ASSERT_EQ(0, vt_call(&self->dm, close_stdio));
	ASSERT_EQ(0, vt_call(&self->sh, close_stdio));
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->dm, count_stdio)) TH_LOG("after create");
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&other, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->dm, count_stdio)) TH_LOG("the daemon's, after two shells came");
	EXPECT_EQ(0, vt_call(&self->sh, count_stdio)) TH_LOG("the shell's, after connect");
	vt_post(&self->sh, ps_wait, 0, -1);
	EXPECT_FALSE(vt_has_result(&self->sh, 20));
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 20));
	EXPECT_EQ(1, vt_result(&self->sh));
	vt_post(&self->sh, ps_request, 5, 20, -1);
	EXPECT_EQ(5, vt_call(&self->dm, pd_receive, -1));
	EXPECT_EQ(0, vt_call(&self->dm, pd_respond, 0, 6, 20));
	EXPECT_EQ(6, vt_result(&self->sh));
	EXPECT_EQ(0, vt_call(&self->dm, count_stdio)) TH_LOG("the daemon's, after a request");
	EXPECT_EQ(0, vt_call(&self->sh, count_stdio)) TH_LOG("the shell's, after a request");
	ASSERT_EQ(0, vt_call(&other, pp_end));
	ASSERT_EQ(0, vt_stop(&other));
}

/* ---- descriptors closed by other code in the process ---- */

struct sleeper {
	struct venom_daemon *d;
	struct venom_shell *s;
	const char *what;
	int rc; /* the last result; 1: none yet */
	unsigned int calls;
};

static int sleep_once(const struct sleeper *w)
{
	struct venom_command cmd;

	if (!strcmp(w->what, "receive"))
		return venom_daemon_receive(w->d, &cmd, 100 * VT_MS);
	if (!strcmp(w->what, "wait"))
		return venom_shell_wait(w->s, venom_shell_version(w->s), 100 * VT_MS);
	if (!strcmp(w->what, "room"))
		return venom_shell_room(w->s, 100 * VT_MS);
	return (int)venom_shell_request(w->s, "x", 1, NULL, 0, 100 * VT_MS);
}

static void *sleeps(void *arg)
{
	struct sleeper *w = arg;
	int rc;

	do {
		rc = sleep_once(w);
		w->calls++;
	} while (rc == 0 || rc == -ETIMEDOUT);
	vt_store(&w->rc, rc);
	return NULL;
}

struct closing {
	const char *name, *what;
	int rc;
	unsigned int calls;
	uint64_t cpu, wall;
};

/* A thread sleeps again and again; another closes all descriptors, as a program does that becomes a service. */
static int closes_all(struct vt_peer *self, void *arg)
{
	struct closing *k = arg;
	struct sleeper w = {.what = k->what, .rc = 1};
	struct venom_config cfg = VENOM_CONFIG_INIT;
	uint64_t start, cpu;
	pthread_t t;

	(void)self;
	cfg.spin_ns = VENOM_SPIN_NONE;
	cfg.cmd_slots = 1;
	VT_CHECK(!venom_daemon_create(&w.d, k->name, &cfg));
	VT_CHECK(!venom_shell_connect(&w.s, k->name));
	venom_shell_set_spin(w.s, VENOM_SPIN_NONE);
	if (!strcmp(k->what, "room"))
		VT_CHECK(!venom_shell_send(w.s, "x", 1));
	VT_CHECK(!pthread_create(&t, NULL, sleeps, &w));
	vt_sleep_ms(50);
	cpu = vt_cpu();
	start = vt_now();
	syscall(SYS_close_range, 3, ~0u, 0);
	if (!VT_UNTIL(vt_load(&w.rc) != 1))
		vt_store(&k->rc, 1);
	else
		vt_store(&k->rc, w.rc);
	vt_sleep_ms(200); /* the library's own thread may not spin, either */
	k->cpu = vt_cpu() - cpu;
	k->wall = vt_now() - start;
	k->calls = w.calls;
	syscall(SYS_exit_group, 0);
	return 0;
}

TEST(closed_under_a_sleeper)
{
	static const char *const what[] = {"receive", "wait", "room", "request"};
	struct closing *k = vt_shared(sizeof(*k));
	struct vt_peer p;

	embedded_only();
	for (unsigned int i = 0; i < ARRAY_SIZE(what); i++) {
		*k = (struct closing){.name = vt_name(), .what = what[i], .rc = 2};
		vt_spawn(&p, closes_all, k);
		EXPECT_EQ(0, vt_wait(&p)) TH_LOG("%s", what[i]);
		/* A shell's socket is closed, too: the daemon may be the first to notice. */
		EXPECT_TRUE(k->rc == -EBADF || (i && k->rc == -EPIPE)) TH_LOG("%s: %d", what[i], k->rc);
		EXPECT_GT(1000, k->calls) TH_LOG("%s: so many times", what[i]);
		EXPECT_GT(k->wall / 2, k->cpu) TH_LOG("%s: CPU time, ns", what[i]);
		vt_forget(k->name);
	}
}

TEST_HARNESS_MAIN

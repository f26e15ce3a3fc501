/* SPDX-License-Identifier: MIT */
/*
 * Attacks with forks and execs.  A child that its program forked must have nothing of a channel, must not be able to
 * harm it with the inherited handles, and must not hide a close, a destroy or an exec of its parent by living on.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/watch.h"

FIXTURE(forks)
{
	struct vt_peer dm, sh, other;
	struct venom_config *cfg;
	const char *name;
	struct child *child;
};

/* A child that a peer has forked, and that does nothing. */
struct child {
	pid_t pid;
	bool ready;
	int fds, areas; /* that the child has */
	char links[1024]; /* what the child's descriptors are of */
};

static void note_links(struct child *k)
{
	char path[40], link[100];
	size_t len = 0;
	ssize_t n;

	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, link, sizeof(link));
		if (n > 0 && len + (size_t)n + 8 < sizeof(k->links))
			len += (size_t)snprintf(k->links + len, sizeof(k->links) - len, " %d:%.*s", fd, (int)n, link);
	}
}

static void child_ends(int status)
{
	syscall(SYS_exit_group, status); /* no leak check: what the parent had is no leak of ours */
}

static long fork_idle(long arg, long b, long c)
{
	struct child *k = (struct child *)arg;
	pid_t pid;

	__atomic_store_n(&k->ready, false, __ATOMIC_RELEASE);
	pid = vt_fork();
	VT_CHECK(pid >= 0);
	if (pid) {
		k->pid = pid;
		VT_CHECK(VT_UNTIL(__atomic_load_n(&k->ready, __ATOMIC_ACQUIRE)));
		return b + c;
	}
	prctl(PR_SET_PDEATHSIG, 0);
	k->fds = vt_count_fds();
	k->areas = vt_count_areas();
	note_links(k);
	__atomic_store_n(&k->ready, true, __ATOMIC_RELEASE);
	alarm(600); /* in case the test forgets the child */
	for (;;)
		pause();
}

FIXTURE_SETUP(forks)
{
	self->child = vt_shared(sizeof(*self->child));
	self->cfg = vt_config();
	self->cfg->max_clients = 4;
	self->cfg->cmd_slots = 4;
	self->cfg->spin_ns = VENOM_SPIN_NONE;
	self->name = vt_name();
	vt_start(&self->dm);
	vt_start(&self->sh);
	vt_start(&self->other);
}

FIXTURE_TEARDOWN(forks)
{
	if (self->child->pid)
		kill(self->child->pid, SIGKILL);
	EXPECT_TRUE(vt_end_all(&self->sh, &self->other, &self->dm));
	vt_forget(self->name);
}

/* ---- what a child has ---- */

static long count_fds(long a, long b, long c)
{
	return vt_count_fds() + a + b + c;
}

static int areas_inherited(const struct child *k)
{
	return vt_takes_advice() ? k->areas : 0;
}

TEST_F(forks, a_child_has_no_descriptor_and_no_area)
{
	long fds;

	fds = vt_call(&self->dm, count_fds);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->other, ps_connect, self->name));
	EXPECT_LT(fds, vt_call(&self->dm, count_fds));
	ASSERT_EQ(0, vt_call(&self->dm, fork_idle, self->child));
	EXPECT_EQ(fds, self->child->fds) TH_LOG("the daemon's child:%s", self->child->links);
	EXPECT_EQ(0, areas_inherited(self->child));
	kill(self->child->pid, SIGKILL);
	fds = vt_call(&self->sh, count_fds);
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_LT(fds, vt_call(&self->sh, count_fds));
	ASSERT_EQ(0, vt_call(&self->sh, fork_idle, self->child));
	EXPECT_EQ(fds, self->child->fds) TH_LOG("the shell's child:%s", self->child->links);
	EXPECT_EQ(0, areas_inherited(self->child));
}

/* The parents do not notice the child. */
TEST_F(forks, a_parent_works_on)
{
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, vt_call(i ? &self->sh : &self->dm, fork_idle, self->child));
		vt_post(&self->sh, ps_wait, i, -1);
		EXPECT_FALSE(vt_has_result(&self->sh, 20));
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, i + 1, 20));
		EXPECT_EQ(1, vt_result(&self->sh));
		EXPECT_EQ(i + 1, vt_call(&self->sh, ps_read));
		vt_post(&self->dm, pd_receive, -1);
		EXPECT_FALSE(vt_has_result(&self->dm, 20));
		vt_post(&self->sh, ps_request, 5, 20, -1);
		ASSERT_EQ(5, vt_result(&self->dm));
		ASSERT_EQ(0, vt_call(&self->dm, pd_respond, i, 6, 20));
		EXPECT_EQ(6, vt_result(&self->sh));
		ASSERT_EQ(0, vt_call(&self->other, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
		ASSERT_EQ(0, vt_call(&self->other, ps_close));
		kill(self->child->pid, SIGKILL);
	}
}

/* ---- what it does with its parent's handles ---- */

#define CHILD_FDS 64

/* Other descriptors take the numbers of the library's.  Are they all unchanged after the handle was closed? */
static int child_closes(void)
{
	struct stat before[CHILD_FDS], after;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), fd;

	while ((fd = dup(null)) >= 0 && fd < CHILD_FDS - 1)
		;
	for (fd = 0; fd < CHILD_FDS; fd++)
		if (fstat(fd, &before[fd]))
			memset(&before[fd], 0, sizeof(before[fd]));
	venom_shell_close(ps);
	venom_daemon_destroy(pd);
	for (fd = 0; fd < CHILD_FDS; fd++) {
		if (fstat(fd, &after))
			memset(&after, 0, sizeof(after));
		if (after.st_ino != before[fd].st_ino || after.st_rdev != before[fd].st_rdev)
			return 1;
	}
	return 0;
}

static long fork_and_close(long a, long b, long c)
{
	pid_t pid = vt_fork();
	int status;

	VT_CHECK(pid >= 0);
	if (!pid) {
		alarm((unsigned int)VT_PATIENCE_S);
		child_ends(child_closes());
	}
	VT_CHECK(waitpid(pid, &status, 0) == pid);
	VT_CHECK(!WIFSIGNALED(status));
	return WEXITSTATUS(status) + a + b + c;
}

TEST_F(forks, a_child_s_close_and_destroy_do_nothing)
{
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 20));
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	vt_post(&self->other, ps_connect, self->name);
	ASSERT_EQ(0, vt_result(&self->other));
	vt_post(&self->other, ps_wait, 1, -1);
	EXPECT_FALSE(vt_has_result(&self->other, 20));
	EXPECT_EQ(0, vt_call(&self->dm, fork_and_close)) TH_LOG("the daemon's child closed descriptors of its own");
	EXPECT_EQ(0, vt_call(&self->sh, fork_and_close)) TH_LOG("the shell's child closed descriptors of its own");
	EXPECT_FALSE(vt_has_result(&self->other, 20));
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 2, 20));
	EXPECT_EQ(1, vt_result(&self->other));
	vt_post(&self->sh, ps_request, 5, 20, -1);
	ASSERT_EQ(5, vt_call(&self->dm, pd_receive, -1));
	ASSERT_EQ(0, vt_call(&self->dm, pd_respond, 0, 6, 20));
	EXPECT_EQ(6, vt_result(&self->sh));
	EXPECT_EQ(2, vt_call(&self->sh, ps_read));
	ASSERT_EQ(0, vt_call(&self->other, ps_close));
	EXPECT_EQ(0, vt_call(&self->other, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(-EBUSY, vt_call(&self->other, pd_create, self->name, self->cfg));
}

/* ---- what it hides ---- */

/* The place is free without a call on the daemon's side. */
TEST_F(forks, a_closed_shell_s_place_is_free)
{
	self->cfg->max_clients = 1;
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->sh, fork_idle, self->child));
	EXPECT_EQ(-EUSERS, vt_call(&self->other, ps_connect, self->name));
	ASSERT_EQ(0, vt_call(&self->sh, ps_close));
	EXPECT_TRUE(VT_UNTIL(!vt_call(&self->other, ps_connect, self->name))) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, kill(self->child->pid, 0));
}

/* A destroyed daemon's name is free, too. */
TEST_F(forks, a_destroyed_daemon_s_name_is_free)
{
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->dm, fork_idle, self->child));
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_EQ(-ENOENT, vt_call(&self->sh, ps_connect, self->name));
	EXPECT_EQ(0, vt_call(&self->other, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
}

static long poll_state(long version, long b, long c)
{
	struct pollfd p = {.fd = venom_shell_fd(ps), .events = POLLIN};

	VT_CHECK(venom_shell_arm(ps, VENOM_WAIT_STATE, (uint64_t)version) == 0);
	VT_CHECK(poll(&p, 1, VT_PATIENCE_S * 1000) == 1);
	return venom_shell_arm(ps, VENOM_WAIT_STATE, (uint64_t)version) + b + c;
}

static long room(long a, long b, long c)
{
	for (int i = 0; i < 4; i++)
		VT_CHECK(!ps_send(1, 8, 0));
	return venom_shell_room(ps, -1) + a + b + c;
}

static long alive_until(long a, long b, long c)
{
	return VT_UNTIL(!venom_shell_alive(ps)) ? a + b + c : 1;
}

/* One sleeper for each thing that can be slept for, in a process of its own. */
static const struct {
	const char *what;
	vt_fn sleep;
	long a, b, c, result;
} sleepers[] = {
	{"state", ps_wait, 1, -1, 0, -EPIPE},
	{"an answer", ps_request, 5, 20, -1, -EPIPE},
	{"room", room, 0, 0, 0, -EPIPE},
	{"its descriptor", poll_state, 1, 0, 0, -EPIPE},
	{"nothing, but looks whether it lives", alive_until, 0, 0, 0, 0},
};

static long become_another_program(long a, long b, long c)
{
	execl("/bin/sleep", "sleep", "600", (char *)NULL);
	execl("/bin/busybox", "sleep", "600", (char *)NULL);
	return a + b + c + 1;
}

static long set_spin(long a, long b, long c)
{
	return venom_shell_set_spin(ps, VENOM_SPIN_NONE) + a + b + c;
}

#define SLEEPERS (sizeof(sleepers) / sizeof(*sleepers))

#define ALL_ARE_TOLD(how)                                                                             \
	do {                                                                                          \
		struct vt_peer p_[SLEEPERS];                                                          \
                                                                                                      \
		self->cfg->max_clients = SLEEPERS;                                                    \
		ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg));                   \
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 20));                                  \
		for (unsigned int i = 0; i < SLEEPERS; i++) {                                         \
			vt_start(&p_[i]);                                                             \
			ASSERT_EQ(0, vt_call(&p_[i], ps_connect, self->name)) TH_LOG("%s", vt_errmsg); \
			ASSERT_EQ(0, vt_call(&p_[i], set_spin));                                      \
			vt_post(&p_[i], sleepers[i].sleep, sleepers[i].a, sleepers[i].b, sleepers[i].c); \
		}                                                                                     \
		ASSERT_EQ(0, vt_call(&self->dm, fork_idle, self->child));                             \
		for (unsigned int i = 0; i < SLEEPERS; i++) {                                         \
			EXPECT_FALSE(vt_has_result(&p_[i], 20)) TH_LOG("%s", sleepers[i].what);       \
		}                                                                                     \
		how;                                                                                  \
		for (unsigned int i = 0; i < SLEEPERS; i++) {                                         \
			long rc_ = vt_result(&p_[i]);                                                 \
                                                                                                      \
			EXPECT_EQ(sleepers[i].result, rc_) TH_LOG("it waits for %s", sleepers[i].what); \
			vt_kill(&p_[i], SIGKILL);                                                     \
		}                                                                                     \
		EXPECT_EQ(0, kill(self->child->pid, 0));                                              \
	} while (0)

TEST_F(forks, a_destroy_is_told)
{
	ALL_ARE_TOLD(ASSERT_EQ(0, vt_call(&self->dm, pd_destroy)));
}

TEST_F(forks, a_daemon_s_exec_is_told)
{
	long rc;

	ALL_ARE_TOLD(vt_post(&self->dm, become_another_program));
	/* The kernel marks the owner's death before it closes the lock file. */
	VT_UNTIL((rc = vt_call(&self->other, pd_create, self->name, self->cfg)) != -EBUSY);
	EXPECT_EQ(0, rc) TH_LOG("%s", vt_errmsg);
	vt_kill(&self->dm, SIGKILL);
}

static long clients(long a, long b, long c)
{
	struct venom_daemon_stats st;

	venom_daemon_stats(pd, &st);
	return st.clients + a + b + c;
}

TEST_F(forks, a_shell_s_exec_is_told)
{
	self->cfg->max_clients = 1;
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(1, vt_call(&self->dm, clients));
	ASSERT_EQ(0, vt_call(&self->sh, fork_idle, self->child));
	vt_post(&self->sh, become_another_program);
	EXPECT_TRUE(VT_UNTIL(!vt_call(&self->dm, clients)));
	EXPECT_EQ(0, vt_call(&self->other, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, kill(self->child->pid, 0));
	vt_kill(&self->sh, SIGKILL);
}

/* ---- at any instant ---- */

struct visits {
	const char *name;
	bool end;
};

static void *visits_main(void *arg)
{
	struct visits *v = arg;
	struct venom_shell *s;

	while (!vt_load(&v->end))
		if (!venom_shell_connect(&s, v->name))
			venom_shell_close(s);
	return NULL;
}

/* Counts the child's new descriptors.  It allocates no memory: another thread was in the allocator. */
static int fds_beyond(const bool *before, int n)
{
	int beyond = 0;

	for (int fd = 0; fd < n; fd++)
		beyond += !before[fd] && fcntl(fd, F_GETFD) >= 0;
	return beyond;
}

#define FDS 256

TEST_F(forks, in_the_middle_of_a_connect)
{
	struct visits v = {.name = self->name};
	bool before[FDS];
	int status, leaks = 0;
	pthread_t t;
	pid_t pid;

	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	for (int fd = 0; fd < FDS; fd++)
		before[fd] = fcntl(fd, F_GETFD) >= 0;
	ASSERT_EQ(0, pthread_create(&t, NULL, visits_main, &v));
	for (uint64_t i = 0; i < vt_scaled(1000); i++) {
		pid = vt_fork();
		ASSERT_LE(0, pid);
		if (!pid)
			child_ends(fds_beyond(before, FDS));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status)) TH_LOG("fork %d: signal %d", (int)i, WTERMSIG(status));
		leaks += WEXITSTATUS(status) != 0;
	}
	vt_store(&v.end, true);
	pthread_join(t, NULL);
	EXPECT_EQ(0, leaks);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Deaths, as the kernel notifies them: whatever a daemon or a shell dies of, and whatever process still holds its
 * descriptor, the others get one wake. When all have died, nothing is left.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/harness.h"
#include "kmod/victim.h"

/* ---- what the victim does, and its child: calls for vt_call() ---- */

#define EXEC_BYTES (64UL << 20)

static long p_fd(long a, long b, long c)
{
	return own_fd + a + b + c;
}

static void *use_for_ever(void *arg)
{
	for (;;)
		use(own_fd);
	return arg;
}

static long p_use_in_threads(long n, long b, long c)
{
	pthread_t thread;

	while (n--)
		VT_CHECK(!pthread_create(&thread, NULL, use_for_ever, NULL));
	return b + c;
}

/* What the victim's child, which holds the descriptor, finds when it is asked. */
struct holder {
	int rc, is_open;
	bool asked, answered;
};

static long p_fork_holder(long holder, long until, long other_end)
{
	struct holder *h = (struct holder *)holder;
	pid_t child = fork();
	char c;

	if (child)
		return child < 0 ? -errno : 0;
	/* The child lives until the test's end of the pipe is closed. */
	close((int)other_end);
	while (!vt_load(&h->asked) && read((int)until, &c, 1) < 0)
		;
	h->is_open = fcntl(own_fd, F_GETFD) >= 0;
	h->rc = use(own_fd);
	vt_store(&h->answered, true);
	while (read((int)until, &c, 1) > 0)
		;
	(_exit)(0);
}

/*
 * exec with memory that takes a while to free: if the death were notified before that, the others would find the maps
 * still there.
 */
static long p_exec(long keep, long b, long c)
{
	VT_CHECK(mmap(NULL, EXEC_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) !=
		 MAP_FAILED);
	if (keep)
		fcntl(own_fd, F_SETFD, 0);
	execl("/bin/sleep", "sleep", "100", (char *)NULL);
	return -errno + b + c;
}

static long p_close_fd(long a, long b, long c)
{
	return close(own_fd) + a + b + c;
}

/* ---- all the ways to die ---- */

enum how { KILLED, EXITS, EXECS, STOPPED_AND_KILLED, BUSY_AND_KILLED, CLOSED_AND_KILLED, EXECS_AND_KEEPS };
enum who { NOBODY, A_CHILD, ANOTHER_PROCESS };

FIXTURE(death)
{
	struct vt_peer victim;
	struct venom_ioc_create c;
	struct venom_ioc_info info;
	struct km_daemon d; /* of this process, if the victim is a shell */
	struct km_shell s;
	struct holder *holder;
	int bell, fd, taken, pipe[2];
	const volatile uint32_t *life;
};

FIXTURE_VARIANT(death)
{
	bool shell;
	enum how how;
	enum who holds;
};

#define DEATH(name, h, w)                                                                     \
	FIXTURE_VARIANT_ADD(death, of_a_daemon_##name){.shell = false, .how = h, .holds = w}; \
	FIXTURE_VARIANT_ADD(death, of_a_shell_##name)                                         \
	{                                                                                     \
		.shell = true, .how = h, .holds = w                                           \
	}
/* clang-format off */
DEATH(killed, KILLED, NOBODY);
DEATH(killed_while_a_child_holds_it, KILLED, A_CHILD);
DEATH(killed_while_another_holds_it, KILLED, ANOTHER_PROCESS);
DEATH(exits, EXITS, NOBODY);
DEATH(exits_while_a_child_holds_it, EXITS, A_CHILD);
DEATH(exits_while_another_holds_it, EXITS, ANOTHER_PROCESS);
DEATH(execs, EXECS, NOBODY);
DEATH(execs_while_a_child_holds_it, EXECS, A_CHILD);
DEATH(execs_while_another_holds_it, EXECS, ANOTHER_PROCESS);
DEATH(stopped_and_killed, STOPPED_AND_KILLED, NOBODY);
DEATH(killed_in_calls, BUSY_AND_KILLED, NOBODY);
DEATH(killed_in_calls_while_a_child_holds_it, BUSY_AND_KILLED, A_CHILD);
DEATH(closed_and_killed_while_a_child_holds_it, CLOSED_AND_KILLED, A_CHILD);
DEATH(execs_and_keeps_it, EXECS_AND_KEEPS, NOBODY);
/* clang-format on */

FIXTURE_SETUP(death)
{
	const char *name = vt_name();

	self->d.fd = self->s.fd = self->taken = -1;
	self->bell = eventfd(0, EFD_CLOEXEC);
	self->holder = vt_shared(sizeof(*self->holder));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	ASSERT_EQ(0, pipe2(self->pipe, O_CLOEXEC));
	vt_start(&self->victim);
	if (variant->shell) {
		self->c = dev_create_init(name);
		ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
		ASSERT_EQ(0, vt_call(&self->victim, p_connect, name));
		self->fd = self->d.fd;
		self->life = &self->d.status->shell[0].life;
		ASSERT_EQ(VENOM_SHELL_ALIVE, *self->life);
		ASSERT_EQ(0, dev_bell(self->fd, VENOM_BELL_LIFE, self->bell));
	} else {
		ASSERT_EQ(0, vt_call(&self->victim, p_create, name));
		ASSERT_EQ(0, km_shell_make(&self->s, name));
		self->fd = self->s.fd;
		self->life = &self->s.status->daemon;
		ASSERT_EQ(VENOM_DAEMON_ALIVE, *self->life);
		ASSERT_EQ(0, dev_bell(self->fd, VENOM_BELL_WAKE, self->bell));
	}
	if (variant->holds == A_CHILD) {
		ASSERT_EQ(0, vt_call(&self->victim, p_fork_holder, self->holder, self->pipe[0], self->pipe[1]));
	}
	if (variant->holds == ANOTHER_PROCESS) {
		int pidfd = (int)syscall(SYS_pidfd_open, self->victim.pid, 0);

		self->taken = (int)syscall(SYS_pidfd_getfd, pidfd, vt_call(&self->victim, p_fd), 0);
		close(pidfd);
		ASSERT_LE(0, self->taken);
	}
	snprintf(vt_box, VT_BOX, "%s", name);
}

FIXTURE_TEARDOWN(death)
{
	vt_kill(&self->victim, SIGKILL);
	close(self->pipe[1]);
	while (waitpid(-1, NULL, 0) > 0)
		;
	close(self->taken);
	km_shell_close(&self->s);
	km_daemon_close(&self->d);
	EXPECT_TRUE(VT_UNTIL(km_info(vt_box, &self->info) == -ENOENT));
}

static void die(struct vt_peer *p, enum how how)
{
	switch (how) {
	case EXITS:
		vt_post(p, NULL);
		return;
	case EXECS:
	case EXECS_AND_KEEPS:
		vt_post(p, p_exec, how == EXECS_AND_KEEPS);
		return;
	case STOPPED_AND_KILLED:
		kill(p->pid, SIGSTOP);
		VT_UNTIL(!waitid(P_PID, (id_t)p->pid, &(siginfo_t){0}, WSTOPPED | WNOWAIT));
		break;
	case BUSY_AND_KILLED:
		VT_CHECK(!vt_call(p, p_use_in_threads, 3));
		vt_sleep_ms(5);
		break;
	case CLOSED_AND_KILLED:
		VT_CHECK(!vt_call(p, p_close_fd));
		break;
	case KILLED:
		break;
	}
	kill(p->pid, SIGKILL);
}

static bool was_signalled(int efd, int ms)
{
	struct pollfd pfd = {.fd = efd, .events = POLLIN};

	return poll(&pfd, 1, ms) == 1;
}

TEST_F(death, is_told_by_one_wake)
{
	struct pollfd pfd = {.fd = self->fd};
	uint32_t gone = variant->shell ? VENOM_SHELL_GONE : VENOM_DAEMON_GONE;
	uint32_t changes = variant->shell ? vt_load(&self->d.status->changes) : 0;

	EXPECT_EQ(0, vt_call(&self->victim, p_use));
	EXPECT_FALSE(was_signalled(self->bell, 5));
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	die(&self->victim, variant->how);
	ASSERT_TRUE(was_signalled(self->bell, VT_PATIENCE_S * 100)) TH_LOG("life is %u", *self->life);
	EXPECT_EQ(gone, *self->life);
	EXPECT_EQ(1, km_signals(self->bell)); /* and no more */
	EXPECT_EQ(0, km_info(vt_box, &self->info));
	if (variant->shell) {
		EXPECT_EQ(changes + 1, vt_load(&self->d.status->changes));
		EXPECT_EQ(0, vt_load(&self->d.status->attached));
		EXPECT_EQ(0, self->info.attached);
		EXPECT_EQ(0, poll(&pfd, 1, 0));
		EXPECT_EQ(0, dev_lane(self->fd, 0, vt_load(&self->d.status->shell[0].generation), VENOM_LANE_FREE));
		EXPECT_EQ(VENOM_SHELL_NONE, *self->life);
	} else {
		EXPECT_EQ(0, self->info.alive);
		EXPECT_EQ(1, poll(&pfd, 1, 0));
		EXPECT_EQ(POLLHUP, pfd.revents);
		EXPECT_EQ(-EPIPE, dev_wake(self->fd, VENOM_WAKE_DAEMON, 0));
	}
	if (variant->holds == A_CHILD) {
		vt_store(&self->holder->asked, true);
		ASSERT_EQ(1, write(self->pipe[1], "?", 1));
		ASSERT_TRUE(VT_UNTIL(vt_load(&self->holder->answered)));
		EXPECT_TRUE(self->holder->is_open);
		EXPECT_EQ(-EPERM, self->holder->rc);
	} else if (variant->holds == ANOTHER_PROCESS) {
		EXPECT_EQ(-EPERM, dev_wake(self->taken, variant->shell ? VENOM_WAKE_DAEMON : VENOM_WAKE_STATE, 0));
	}
	/* The name, or the id, is free again. */
	if (!variant->shell) {
		self->c = dev_create_init(vt_box);
		self->c.flags = VENOM_CREATE_RESUME;
		EXPECT_EQ(0, km_daemon_make(&self->d, &self->c));
		EXPECT_EQ(1, self->d.c.resumed);
		EXPECT_EQ(VENOM_DAEMON_ALIVE, *self->life);
	} else {
		EXPECT_EQ(0, km_shell_make(&self->s, vt_box));
		EXPECT_EQ(0, self->s.c.id);
		EXPECT_EQ(VENOM_SHELL_ALIVE, *self->life);
	}
}

/* ---- all at once ---- */

#define CROWD 32

static int daemon_and_shells(struct vt_peer *self, void *name)
{
	struct venom_ioc_create c = dev_create_init(name);
	uint64_t *there = vt_shared(sizeof(*there));
	pid_t daemon = getpid();
	struct km_daemon d;
	struct km_shell s;
	int i;

	c.geo.max_clients = CROWD;
	c.huge = VENOM_IOC_HUGE_PREFER;
	VT_CHECK(!setpgid(0, 0));
	VT_CHECK(!km_daemon_make(&d, &c));
	for (i = 0; i < CROWD; i++) {
		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != daemon || km_shell_make(&s, name) || dev_sleep(s.fd, VENOM_SLEEP_WATCH) ||
		    dev_sleep(s.fd, VENOM_SLEEP_ARM))
			(_exit)(1);
		vt_add(there, 1);
		for (;;)
			pause();
	}
	VT_CHECK(VT_UNTIL(vt_load(there) == CROWD));
	VT_CHECK(vt_load(&d.status->attached) == CROWD);
	VT_CHECK(!vt_signal(self));
	for (;;)
		dev_wake(d.fd, VENOM_WAKE_SHELL, (unsigned int)i++ % CROWD);
}

TEST(all_die_at_once_and_nothing_is_left)
{
	long free = km_huge_free();
	int channels = km_channels(), i;
	const char *name = vt_name();
	struct venom_ioc_info info;
	struct vt_peer p;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (i = 0; i < 5; i++) {
		vt_spawn(&p, daemon_and_shells, (void *)(uintptr_t)name);
		ASSERT_EQ(0, vt_await(&p));
		ASSERT_EQ(0, km_info(name, &info));
		EXPECT_EQ(CROWD, info.attached);
		ASSERT_EQ(0, kill(-p.pid, SIGKILL));
		while (waitpid(-1, NULL, 0) > 0)
			;
		close(p.fd);
		EXPECT_EQ(-ENOENT, km_info(name, &info));
		EXPECT_EQ(channels, km_channels());
	}
	EXPECT_TRUE(VT_UNTIL(km_huge_free() == free));
}

TEST_HARNESS_MAIN

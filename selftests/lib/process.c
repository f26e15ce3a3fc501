/* SPDX-License-Identifier: MIT */
/*
 * The peers of a test: processes that are forked, called, signalled, waited for and killed.
 */
#include "lib/venom_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef VT_ASAN
#include <sanitizer/lsan_interface.h>
#endif

/* Run the peer's main function, and exit with its status. */
static void run_peer(int fd, int (*fn)(struct vt_peer *self, void *arg), void *arg)
{
	struct vt_peer self = {.fd = fd};

	vt_exit(fn(&self, arg));
}

/*
 * GCC's address sanitizer takes no lock at a fork: while another thread, such as a daemon's manager, is in its
 * allocator, the child may hang, or report that thread's memory as leaked. So fork while all other threads sleep.
 */
static void let_threads_sleep(void)
{
#ifdef VT_ASAN
	char path[64], stat[256], *state;
	struct dirent *e;
	DIR *dir;
	int awake;

	do {
		awake = 0;
		dir = opendir("/proc/self/task");
		if (!dir)
			vt_die("/proc/self/task");
		while ((e = readdir(dir))) {
			int fd, n;

			snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", e->d_name);
			if (atoi(e->d_name) <= 0 || atoi(e->d_name) == gettid() ||
			    (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
				continue;
			n = (int)read(fd, stat, sizeof(stat) - 1);
			close(fd);
			stat[n > 0 ? n : 0] = 0;
			state = strrchr(stat, ')'); /* "TID (NAME) STATE ..." */
			awake += state && state[2] == 'R';
		}
		closedir(dir);
	} while (awake && !usleep(100));
#endif
}

pid_t vt_fork(void)
{
	let_threads_sleep();
	return fork();
}

void vt_spawn(struct vt_peer *p, int (*fn)(struct vt_peer *self, void *arg), void *arg)
{
	pid_t parent = getpid();
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		vt_die("socketpair");
	fflush(NULL);
	p->pid = vt_fork();
	if (p->pid < 0)
		vt_die("fork");
	if (!p->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(sv[0]);
		run_peer(sv[1], fn, arg);
	}
	close(sv[1]);
	p->fd = sv[0];
}

static int wait_readable(int fd, int ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	int n;

	do
		n = poll(&pfd, 1, ms);
	while (n < 0 && errno == EINTR);
	return n;
}

int vt_wait(struct vt_peer *p)
{
	int status, fd, hung = 0;

	if (p->pid <= 0)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (fd < 0)
		vt_die("pidfd_open");
	if (wait_readable(fd, VT_PATIENCE_S * 1000) <= 0) {
		fprintf(stderr, "# venom_test: process %d hangs, killed\n", p->pid);
		kill(p->pid, SIGKILL);
		hung = 1;
	}
	close(fd);
	while (waitpid(p->pid, &status, 0) < 0)
		if (errno != EINTR)
			vt_die("waitpid");
	close(p->fd);
	p->pid = 0;
	p->fd = -1;
	if (hung)
		return -ETIMEDOUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void vt_halt(struct vt_peer *p)
{
	int status;

	VT_CHECK(!kill(p->pid, SIGSTOP));
	VT_CHECK(waitpid(p->pid, &status, WUNTRACED) == p->pid && WIFSTOPPED(status));
}

void vt_kill(struct vt_peer *p, int sig)
{
	if (p->pid <= 0)
		return;
	kill(p->pid, sig);
	vt_wait(p);
}

int vt_signal(struct vt_peer *p)
{
	return send(p->fd, "!", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int vt_await(struct vt_peer *p)
{
	char c;

	if (wait_readable(p->fd, VT_PATIENCE_S * 1000) <= 0)
		return -1;
	return recv(p->fd, &c, 1, 0) == 1 ? 0 : -1;
}

struct call {
	vt_fn fn;
	long args[3];
};

static int serve(struct vt_peer *self, void *arg)
{
	struct call c;
	long ret;

	(void)arg;
	for (;;) {
		if (recv(self->fd, &c, sizeof(c), 0) != sizeof(c))
			return 1;
		if (!c.fn)
			return 0;
		ret = c.fn(c.args[0], c.args[1], c.args[2]);
		if (send(self->fd, &ret, sizeof(ret), MSG_NOSIGNAL) != sizeof(ret))
			return 1;
	}
}

void vt_start(struct vt_peer *p)
{
	vt_spawn(p, serve, NULL);
}

void vt_post4(struct vt_peer *p, vt_fn fn, long a, long b, long c)
{
	struct call call = {.fn = fn, .args = {a, b, c}};

	if (p->pid > 0)
		send(p->fd, &call, sizeof(call), MSG_NOSIGNAL);
}

bool vt_has_result(struct vt_peer *p, int within_ms)
{
	return wait_readable(p->fd, within_ms) > 0;
}

long vt_result(struct vt_peer *p)
{
	long ret;

	if (p->pid <= 0 || wait_readable(p->fd, VT_PATIENCE_S * 1000) <= 0)
		return VT_DEAD;
	return recv(p->fd, &ret, sizeof(ret), 0) == sizeof(ret) ? ret : VT_DEAD;
}

long vt_call4(struct vt_peer *p, vt_fn fn, long a, long b, long c)
{
	vt_post4(p, fn, a, b, c);
	return vt_result(p);
}

int vt_stop(struct vt_peer *p)
{
	vt_post4(p, NULL, 0, 0, 0);
	return vt_wait(p);
}

void vt_exit(int status)
{
	fflush(NULL);
#ifdef VT_ASAN
	if (!status && __lsan_do_recoverable_leak_check())
		status = 23;
#endif
	_exit(status);
}

void vt_failed(const char *file, int line, const char *cond)
{
	fprintf(stderr, "# %s:%d: in process %d: %s (errno %d)\n", file, line, getpid(), cond, errno);
	vt_exit(1);
}

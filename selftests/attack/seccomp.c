/* SPDX-License-Identifier: MIT */
/*
 * Attacks the library with refused system calls, as in a container whose filter answers EPERM or ENOSYS.  Each call
 * that the library makes is refused, from each moment on.  Either all works, or some call gives an errno; nothing may
 * hang, spin or die.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/user.h"
#include "lib/watch.h"

/* ---- the calls ---- */

struct call {
	const char *name;
	long nr;
};

#define CALL(name)               \
	{                        \
#name, SYS_##name \
	}

static const struct call calls[] = {
	{"none", -1},
	CALL(accept4),
	CALL(bind),
	CALL(clone),
	CALL(clone3),
	CALL(connect),
	CALL(dup),
	CALL(dup3),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_pwait),
	CALL(epoll_pwait2),
	CALL(eventfd2),
	CALL(faccessat),
	CALL(fallocate),
	CALL(fchmod),
	CALL(fchmodat),
	CALL(fchown),
	CALL(fcntl),
	CALL(flock),
	CALL(fstat),
	CALL(fstatfs),
	CALL(ftruncate),
	CALL(get_mempolicy),
	CALL(getdents64),
	CALL(getsockname),
	CALL(getsockopt),
	CALL(inotify_add_watch),
	CALL(inotify_init1),
	CALL(ioctl),
	CALL(linkat),
	CALL(listen),
	CALL(lseek),
	CALL(membarrier),
	CALL(memfd_create),
	CALL(mincore),
	CALL(mkdirat),
	CALL(newfstatat),
	CALL(openat),
	CALL(pidfd_open),
	CALL(pidfd_send_signal),
	CALL(ppoll),
	CALL(pread64),
	CALL(prlimit64),
	CALL(pwrite64),
	CALL(readlinkat),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(renameat),
	CALL(renameat2),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(sched_getparam),
	CALL(sched_getscheduler),
	CALL(sched_setaffinity),
	CALL(sched_setattr),
	CALL(sched_setparam),
	CALL(sched_setscheduler),
	CALL(sendmsg),
	CALL(sendto),
	CALL(set_mempolicy),
	CALL(set_robust_list),
	CALL(setsockopt),
	CALL(shutdown),
	CALL(socket),
	CALL(statfs),
	CALL(statx),
	CALL(sysinfo),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(umask),
	CALL(unlinkat),
#ifdef SYS_faccessat2
	CALL(faccessat2),
#endif
#ifdef SYS_poll /* architectures that have the older calls, too */
	CALL(access),
	CALL(chmod),
	CALL(epoll_wait),
	CALL(getrlimit),
	CALL(lstat),
	CALL(mkdir),
	CALL(poll),
	CALL(readlink),
	CALL(rename),
	CALL(stat),
	CALL(unlink),
#endif
/* The sanitizers need these calls. */
#if !defined(VT_ASAN) && !defined(VT_TSAN)
	CALL(madvise),
	CALL(mmap),
	CALL(mprotect),
	CALL(munmap),
	CALL(sched_getaffinity),
#endif
};

/* Refuses the call from now on, in all threads of this process. */
static bool refuse(long nr, int err)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(f), .filter = f};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
}

/* ---- one life of a channel, in a process of its own ---- */

enum when { ALWAYS, CREATED, CONNECTED, MOMENTS };
static const char *const when_name[MOMENTS] = {"always", "after create", "after connect"};

struct life {
	const struct call *call;
	int err;
	enum when when;
	char dir[200];
	/* the result */
	struct vt_step step; /* where it is */
	const char *wrong; /* or NULL */
	long rc;
	bool worked; /* to its end, without an error */
	char errmsg[256];
};

#define WINDOW_MS 200

static struct life *life;
static struct venom_daemon *daemon_;
static struct venom_shell *shell_;
static int stage, server_rc;
static uint64_t server_slept;

/* The errnos that a call may give when some system call is refused. */
static bool is_errno(long rc)
{
	switch (rc) {
	case -EPERM:
	case -ENOSYS:
	case -EACCES:
	case -EBADF:
	case -EIO:
	case -ENOMEM:
	case -EMFILE:
	case -ENODEV:
	case -EPIPE: /* the other end gave up the connection */
	case -ETIMEDOUT:
	case -EPROTO:
	case -ENOENT:
		return true;
	default:
		return false;
	}
}

static void end(const char *wrong, long rc) __attribute__((noreturn));
static void end(const char *wrong, long rc)
{
	life->rc = rc;
	vt_store(&life->wrong, wrong);
	syscall(SYS_exit_group, 0);
	abort();
}

/* If rc is not fine, it must be one of these errnos, and this life ends. */
static void must(const char *what, bool fine, long rc)
{
	if (fine)
		return;
	snprintf(life->errmsg, sizeof(life->errmsg), "%s", venom_errmsg());
	end(is_errno(rc) ? NULL : what, rc);
}

static void *serve(void *arg)
{
	struct venom_command cmd;
	uint64_t start;

	while (vt_load(&stage) < 1)
		usleep(1000);
	start = vt_now();
	server_rc = venom_daemon_receive(daemon_, &cmd, WINDOW_MS * VT_MS);
	server_slept = vt_now() - start;
	vt_store(&stage, 2);
	while (vt_load(&stage) < 3)
		usleep(1000);
	server_rc = venom_daemon_receive(daemon_, &cmd, 30 * VT_S);
	if (server_rc == 1)
		server_rc = venom_daemon_respond(daemon_, &cmd, cmd.data, cmd.len) ?: 1;
	while (vt_load(&stage) < 4)
		usleep(1000);
	vt_sleep_ms(20);
	venom_daemon_publish(daemon_, "second", 6);
	return arg;
}

static int nothing(const struct venom_info *info, void *user)
{
	(void)info;
	(void)user;
	return 0;
}

static void refuse_if(enum when when)
{
	if (life->when == when && life->call->nr >= 0 && !refuse(life->call->nr, life->err))
		end("no filter can be had", -errno);
}

static void live(void)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	uint64_t start, cpu, window;
	pthread_t t;
	char buf[256];
	long rc;

	cfg.spin_ns = VENOM_SPIN_NONE;
	cfg.huge = VENOM_HUGE_NEVER;
	if (pthread_create(&t, NULL, serve, NULL))
		end("no thread", 0);
	refuse_if(ALWAYS);

	vt_step(&life->step, "create", 0);
	rc = venom_daemon_create(&daemon_, "x", &cfg);
	if (rc && !*venom_errmsg())
		end("create says nothing", rc);
	must("create", !rc, rc);
	refuse_if(CREATED);
	vt_step(&life->step, "publish", 0);
	rc = venom_daemon_publish(daemon_, "first", 5);
	must("publish", !rc, rc);
	vt_step(&life->step, "connect", 0);
	rc = venom_shell_connect(&shell_, "x");
	if (rc && !*venom_errmsg())
		end("connect says nothing", rc);
	if (rc) {
		vt_step(&life->step, "destroy after connect", 0);
		venom_daemon_destroy(daemon_);
	}
	must("connect", !rc, rc);
	venom_shell_set_spin(shell_, VENOM_SPIN_NONE);
	refuse_if(CONNECTED);
	vt_step(&life->step, "read", 0);
	rc = venom_shell_read(shell_, buf, sizeof(buf), NULL);
	must("read", rc == 5 && !memcmp(buf, "first", 5), rc);

	/* Both sides sleep, or give an errno; neither may spin instead, nor return before its time-out. */
	vt_step(&life->step, "wait", 0);
	cpu = vt_cpu();
	start = vt_now();
	vt_store(&stage, 1);
	rc = venom_shell_wait(shell_, 1, WINDOW_MS * VT_MS);
	window = vt_now() - start;
	if (!rc && window < WINDOW_MS * VT_MS / 2)
		end("wait ends before its time", (long)window);
	vt_step(&life->step, "receive", 0);
	while (vt_load(&stage) < 2)
		usleep(1000);
	if (!server_rc && server_slept < WINDOW_MS * VT_MS / 2)
		end("receive ends before its time", (long)server_slept);
	cpu = vt_cpu() - cpu;
	if (cpu > WINDOW_MS * VT_MS / 2)
		end("CPU time of sleepers, ns", (long)cpu);
	must("wait", !rc, rc);
	must("receive", !server_rc, server_rc);

	/* Each side wakes the other. */
	vt_step(&life->step, "request", 0);
	vt_store(&stage, 3);
	vt_sleep_ms(20);
	rc = venom_shell_request(shell_, "question", 8, buf, sizeof(buf), 30 * VT_S);
	if (rc == -ETIMEDOUT)
		end("request: no answer", rc);
	must("request", rc == 8 && !memcmp(buf, "question", 8), rc);
	vt_step(&life->step, "wait for the second", 0);
	vt_store(&stage, 4);
	rc = venom_shell_wait(shell_, 1, 30 * VT_S);
	must("wait for the second", rc == 1, rc);
	pthread_join(t, NULL);

	vt_step(&life->step, "list", 0);
	rc = venom_list(nothing, NULL);
	must("list", rc >= 0, rc);
	vt_step(&life->step, "stat", 0);
	rc = venom_stat("x", NULL, NULL, NULL, NULL);
	must("stat", !rc, rc);
	vt_step(&life->step, "close", 0);
	venom_shell_close(shell_);
	vt_step(&life->step, "stop", 0);
	venom_daemon_stop(daemon_);
	vt_step(&life->step, "destroy", 0);
	venom_daemon_destroy(daemon_);
	life->worked = true;
	end(NULL, 0);
}

static int life_main(struct vt_peer *self, void *arg)
{
	(void)self;
	life = arg;
	setenv("VENOM_RUNTIME_DIR", life->dir, 1);
	live();
	return 0;
}

/* ---- all calls, some at a time ---- */

#define AT_ONCE 40
#define LIVES	(ARRAY_SIZE(calls) * (MOMENTS + 1)) /* EPERM from each moment on, ENOSYS always */

static bool have_filters(void)
{
	pid_t pid = vt_fork();
	int status;

	if (!pid)
		syscall(SYS_exit_group, !refuse(SYS_acct, EPERM));
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* Says what was wrong with a life that has ended (or hung, and was killed). */
static bool went_well(struct life *l, int status)
{
	const char *step = l->step.where ? l->step.where : "the start";

	if (!status && !l->wrong)
		return true;
	fprintf(stderr, "# %s answers %s, %s: ", l->call->name, l->err == EPERM ? "EPERM" : "ENOSYS",
		when_name[l->when]);
	if (l->wrong)
		fprintf(stderr, "%s: %ld \"%s\"\n", l->wrong, l->rc, l->errmsg);
	else if (status == -ETIMEDOUT)
		fprintf(stderr, "hangs at %s\n", step);
	else
		fprintf(stderr, "died at %s, status %d\n", step, status);
	return false;
}

TEST(each_call_in_turn)
{
	struct life *lives = vt_shared(sizeof(*lives) * LIVES);
	struct vt_peer p[AT_ONCE] = {{0}};
	struct life *of[AT_ONCE];
	uint64_t seed = vt_seed(), first = vt_rand(&seed) % LIVES, n = vt_scaled(LIVES);
	unsigned int worked = 0, wrong = 0, slot;

	embedded_only();
	if (!have_filters())
		SKIP(return, "no system call can be refused here (no seccomp)");
	if (n < 60)
		n = 60;
	if (n > LIVES)
		n = LIVES;
	for (uint64_t i = 0; i < n + AT_ONCE; i++) {
		slot = i % AT_ONCE;
		if (p[slot].pid) {
			wrong += !went_well(of[slot], vt_wait(&p[slot]));
			worked += of[slot]->worked;
			vt_remove_tree(of[slot]->dir);
		}
		if (i >= n)
			continue;
		of[slot] = &lives[(first + i) % LIVES];
		of[slot]->call = &calls[(first + i) % LIVES / (MOMENTS + 1)];
		of[slot]->when = (first + i) % LIVES % (MOMENTS + 1) % MOMENTS;
		of[slot]->err = (first + i) % LIVES % (MOMENTS + 1) == MOMENTS ? ENOSYS : EPERM;
		/* Each life has its own folder: a life that ends early does not tidy up. */
		snprintf(of[slot]->dir, sizeof(of[slot]->dir), "%s/%u", getenv("VENOM_RUNTIME_DIR"), (unsigned int)i);
		ASSERT_EQ(0, mkdir(of[slot]->dir, 0700));
		vt_spawn(&p[slot], life_main, of[slot]);
	}
	fprintf(stderr, "# %u of %u lives worked to their ends\n", worked, (unsigned int)n);
	EXPECT_EQ(0, wrong);
	EXPECT_LT(n / 4, worked);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Attacks a busy daemon with churn: requests and publishes go on while other shells connect, close and are killed as
 * fast as they can.
 *
 * One thread of the daemon answers requests and publishes in between.  The other shells must cost it no system call but
 * the wakes of sleepers: its calls are counted with ptrace(2), as in syscalls.c.  Nothing that it reads may be freed
 * meanwhile: that shows as a crash, or as a sanitizer's report.  The requests' times with and without the churn are
 * printed, too.
 */
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/venom.h>

#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/watch.h"
#include "venom.h"

#define CHURNERS 6
#define CLIENTS	 32
#define LIMIT_S	 30 /* limit of a phase, for emulated machines */

enum phase { QUIET, CHURN, COUNTED, OVER };
static const char *const phase_name[] = {"without churn", "with churn"};

struct arena {
	char name[VENOM_NAME_MAX + 1];
	enum phase go; /* the test sets it when a phase may begin, */
	enum phase phase; /* and the shell sets it when the phase has ended */
	uint64_t requests[OVER]; /* how many requests each phase has */
	uint64_t answered, published; /* in COUNTED */
	uint64_t lives[CHURNERS], deaths[CHURNERS];
	double ns[2][3]; /* p50, p99, p99.9 of the first two phases */
	double seconds[OVER];
	uint32_t stop; /* ends the churn */
	uint32_t gone; /* all churning shells have gone */
};

/* A system call that nothing else here makes: the traced thread's calls are counted between two of them. */
static void mark(void)
{
	syscall(SYS_getppid);
}

/* This wait has no time-out: how long a phase takes depends on the machine. */
static void await_go(struct arena *a, enum phase phase)
{
	while (vt_load(&a->go) < phase)
		vt_sleep_ms(1);
}

/* ---- the daemon ---- */

static void serve(struct venom_daemon *d, struct arena *a, enum phase phase)
{
	struct venom_command cmd;
	uint64_t word[8] = {0}, turn;
	int rc;

	for (turn = 0; vt_load(&a->phase) == phase; turn++) {
		word[0] = venom_daemon_version(d) + 1;
		VT_CHECK(!venom_daemon_publish(d, word, sizeof(word)));
		/* By turns the call returns at once, and spins. */
		rc = venom_daemon_receive(d, &cmd, turn % 2 ? 0 : VT_MS);
		VT_CHECK(rc >= 0);
		if (rc && (cmd.flags & VENOM_CMD_REQUEST)) {
			rc = venom_daemon_respond(d, &cmd, cmd.data, cmd.len);
			VT_CHECK(!rc || rc == -EPIPE);
			a->answered += phase == COUNTED;
		}
	}
	if (phase == COUNTED)
		a->published = turn;
}

/* All that the dead shells had is given back, also what is freed late. */
static bool all_back(struct venom_daemon *d, int fds, int areas)
{
	struct venom_command cmd;

	while (venom_daemon_receive(d, &cmd, 0))
		;
	return vt_count_fds() <= fds && vt_count_areas() <= areas;
}

static int daemon_main(struct vt_peer *self, void *arg)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct arena *a = arg;
	struct venom_daemon *d;
	int fds, areas;

	vt_pin(0);
	cfg.data_size = 64;
	cfg.cmd_slots = 8;
	cfg.max_clients = CLIENTS;
	cfg.spin_ns = VENOM_SPIN_FOREVER;
	VT_CHECK(!venom_daemon_create(&d, a->name, &cfg));
	fds = vt_count_fds();
	areas = vt_count_areas();
	VT_CHECK(!vt_signal(self));
	serve(d, a, QUIET);
	serve(d, a, CHURN);
	await_go(a, COUNTED);
	mark();
	serve(d, a, COUNTED);
	mark();
	VT_CHECK(VT_UNTIL(vt_load(&a->gone)));
	VT_CHECK(VT_UNTIL(all_back(d, fds, areas)));
	venom_daemon_destroy(d);
	return 0;
}

/* ---- the shell whose requests are measured ---- */

static void ask(struct venom_shell *s, struct arena *a, enum phase phase)
{
	uint64_t n = a->requests[phase], i, start, began = vt_now(), word[8] = {0}, got[8];
	double *took = calloc(n, sizeof(*took));

	VT_CHECK(took);
	for (i = 0; i < n && vt_now() - began < LIMIT_S * VT_S; i++) {
		word[0] = i;
		start = vt_now();
		VT_CHECK(venom_shell_request(s, word, sizeof(word), got, sizeof(got), -1) == sizeof(got));
		took[i] = (double)(vt_now() - start);
		VT_CHECK(got[0] == i);
	}
	a->seconds[phase] = (double)(vt_now() - began) / 1e9;
	VT_CHECK(i);
	n = i;
	vt_sort(took, n);
	for (i = 0; i < 3 && phase < COUNTED; i++)
		a->ns[phase][i] = took[(uint64_t)((double)(n - 1) * (double[]){0.5, 0.99, 0.999}[i])];
	free(took);
}

static int shell_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_shell *s;

	(void)self;
	vt_pin(1);
	VT_CHECK(!venom_shell_connect(&s, a->name));
	VT_CHECK(!venom_shell_set_spin(s, VENOM_SPIN_FOREVER));
	for (enum phase phase = QUIET; phase < OVER; phase++) {
		await_go(a, phase);
		ask(s, a, phase);
		vt_store(&a->phase, phase + 1);
	}
	venom_shell_close(s);
	return 0;
}

/* ---- the churn ---- */

/* A short-lived shell, which by turns leaves one of these things behind, or nothing. */
static void live(struct arena *a, uint64_t turn, bool dies)
{
	struct venom_shell *s;
	uint64_t tag;
	int rc;

	rc = venom_shell_connect(&s, a->name);
	VT_CHECK(!rc || rc == -EUSERS || rc == -ENOENT || rc == -EAGAIN);
	if (rc) {
		usleep(100);
		return;
	}
	venom_shell_set_spin(s, VENOM_SPIN_NONE);
	switch (turn % 4) {
	case 1: /* commands that have not been taken */
		for (int i = 0; i < 3; i++)
			venom_shell_send(s, "gone", 4);
		break;
	case 2: /* asleep */
		rc = venom_shell_wait(s, venom_shell_version(s), VT_MS / 10);
		VT_CHECK(rc >= 0);
		venom_shell_arm(s, VENOM_WAIT_STATE, venom_shell_version(s));
		break;
	case 3: /* an answer that nobody waits for */
		venom_shell_submit(s, "gone", 4, &tag);
		break;
	}
	if (dies)
		raise(SIGKILL);
	venom_shell_close(s);
}

struct churner {
	struct arena *a;
	int who;
};

static int churner_main(struct vt_peer *self, void *arg)
{
	struct churner *c = arg;
	struct arena *a = c->a;
	int status;
	pid_t pid;

	(void)self;
	await_go(a, CHURN);
	for (uint64_t turn = 0; !vt_load(&a->stop); turn++) {
		if (c->who % 2) {
			live(a, turn, false);
			vt_store(&a->lives[c->who], turn);
			continue;
		}
		pid = vt_fork();
		VT_CHECK(pid >= 0);
		if (!pid) {
			live(a, turn, true);
			_exit(0);
		}
		VT_CHECK(waitpid(pid, &status, 0) == pid);
		VT_CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : !WEXITSTATUS(status));
		a->deaths[c->who] += WIFSIGNALED(status);
	}
	return 0;
}

/* ---- the count ---- */

static bool is_wake(pid_t pid, const struct __ptrace_syscall_info *info)
{
	char path[64], file[64] = "";

	if (info->entry.nr == SYS_ioctl)
		return (unsigned int)info->entry.args[1] == VENOM_IOC_WAKE;
	if (info->entry.nr != SYS_write)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, (int)info->entry.args[0]);
	return readlink(path, file, sizeof(file) - 1) > 0 && !strcmp(file, "anon_inode:[eventfd]");
}

/* Runs the thread to the entry of its next system call; false: it has ended. */
static bool next_call(pid_t pid, struct __ptrace_syscall_info *info)
{
	int status;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, 0, 0) || waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
			return false;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue; /* the stop that PTRACE_INTERRUPT asked for */
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(*info), info) < 0)
			return false;
		if (info->op == PTRACE_SYSCALL_INFO_ENTRY)
			return true;
	}
}

/* Lets p go on, and counts the thread's system calls between its marks; -1 if that failed. */
static long count_calls(struct vt_peer *p, struct arena *a, long *wakes)
{
	struct __ptrace_syscall_info info;
	long others = 0;
	int status;

	if (ptrace(PTRACE_INTERRUPT, p->pid, 0, 0) || waitpid(p->pid, &status, __WALL) != p->pid)
		return -1;
	vt_store(&a->go, COUNTED);
	do {
		if (!next_call(p->pid, &info))
			return -1;
	} while (info.entry.nr != SYS_getppid);
	while (next_call(p->pid, &info)) {
		if (info.entry.nr == SYS_getppid) {
			ptrace(PTRACE_DETACH, p->pid, 0, 0);
			return others;
		}
		if (is_wake(p->pid, &info))
			++*wakes;
		else if (others++ < 5)
			fprintf(stderr, "# system call %ld\n", (long)info.entry.nr);
	}
	return -1;
}

/* ---- the test ---- */

static bool may_count(struct vt_peer *p)
{
#if defined(VT_ASAN) || defined(VT_TSAN)
	(void)p;
	ksft_print_msg("not counted: a sanitizer's runtime makes system calls of its own\n");
	return false;
#else
	if (!ptrace(PTRACE_SEIZE, p->pid, 0, PTRACE_O_TRACESYSGOOD))
		return true;
	ksft_print_msg("not counted: ptrace is not allowed here (%s)\n", strerror(errno));
	return false;
#endif
}

FIXTURE(churn)
{
	struct arena *a;
	struct vt_peer daemon, shell, churner[CHURNERS];
	struct churner arg[CHURNERS];
};

FIXTURE_SETUP(churn)
{
	uint64_t n = vt_scaled(1000000);

	self->a = vt_shared(sizeof(*self->a));
	self->a->requests[QUIET] = self->a->requests[CHURN] = n / 4 + 1;
	self->a->requests[COUNTED] = n;
	strcpy(self->a->name, vt_name());
}

FIXTURE_TEARDOWN(churn)
{
	for (int i = 0; i < CHURNERS; i++)
		if (self->churner[i].pid)
			vt_kill(&self->churner[i], SIGKILL);
	if (self->shell.pid)
		vt_kill(&self->shell, SIGKILL);
	if (self->daemon.pid) {
		vt_kill(&self->daemon, SIGKILL);
		vt_forget(self->a->name);
	}
}

static bool is_over(FIXTURE_DATA(churn) *self, enum phase phase)
{
	while (vt_load(&self->a->phase) <= phase) {
		if (vt_has_ended(&self->daemon) || vt_has_ended(&self->shell) || vt_any_ended(self->churner, CHURNERS))
			return vt_load(&self->a->phase) > phase;
		vt_sleep_ms(1);
	}
	return true;
}

TEST_F_TIMEOUT(churn, costs_nothing_but_wakes, 600)
{
	uint64_t lives = 0, deaths = 0;
	struct arena *a = self->a;
	long others = 0, wakes = 0;
	double seconds;
	bool counted;

	if (vt_cpus() < 2)
		SKIP(return, "needs two CPUs for two that spin");
	for (int i = 0; i < CHURNERS; i++) {
		self->arg[i] = (struct churner){.a = a, .who = i};
		vt_spawn(&self->churner[i], churner_main, &self->arg[i]);
	}
	vt_spawn(&self->daemon, daemon_main, a);
	ASSERT_EQ(0, vt_await(&self->daemon));
	vt_spawn(&self->shell, shell_main, a);
	ASSERT_TRUE(is_over(self, QUIET));
	vt_store(&a->go, CHURN);
	ASSERT_TRUE(is_over(self, CHURN));
	counted = may_count(&self->daemon);
	if (counted)
		others = count_calls(&self->daemon, a, &wakes);
	else
		vt_store(&a->go, COUNTED);
	ASSERT_TRUE(is_over(self, COUNTED));
	EXPECT_EQ(0, others);
	ASSERT_EQ(0, vt_wait(&self->shell));
	vt_store(&a->stop, 1);
	for (int i = 0; i < CHURNERS; i++) {
		EXPECT_EQ(0, vt_wait(&self->churner[i]));
		lives += a->lives[i];
		deaths += a->deaths[i];
	}
	vt_store(&a->gone, 1);
	ASSERT_EQ(0, vt_wait(&self->daemon));

	for (enum phase i = QUIET; i <= CHURN; i++)
		ksft_print_msg("requests %s: p50 %.2f us, p99 %.2f us, p99.9 %.2f us\n", phase_name[i], a->ns[i][0] / 1000,
			       a->ns[i][1] / 1000, a->ns[i][2] / 1000);
	seconds = a->seconds[CHURN] + a->seconds[COUNTED];
	ksft_print_msg("%.0f shells a second came and went, %.0f more were killed\n", (double)lives / seconds,
		       (double)deaths / seconds);
	if (counted)
		ksft_print_msg("%ju requests answered, %ju versions published: %ld wakes, %ld other system calls\n",
			       (uintmax_t)a->answered, (uintmax_t)a->published, wakes, others);
	if (a->seconds[COUNTED] < LIMIT_S) {
		EXPECT_LE(a->requests[COUNTED], a->answered);
		EXPECT_LE(a->requests[COUNTED], a->published);
	}
	EXPECT_LT(0, lives);
	EXPECT_LT(0, deaths);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Attacks the hot path by counting its system calls: there must be none.  One side, daemon or shell, is traced with
 * ptrace(2) between two marks, while it does a million reads, publishes, requests, sends or receives; the other side
 * runs free.  Each call that is made shows with its number.  Only a look whether a stalled peer still lives is allowed,
 * and only if the library counts it (venom_shell_stats.checks).
 */
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/watch.h"
#include "venom.h"

#define IN_FLIGHT 32

enum side { DAEMON, SHELL };
/* The daemon's jobs, then the shell's. */
enum does { REST, PUBLISH, PUBLISH_IN_PLACE, SERVE, READ, READ_NEXT, LOOK, REQUEST, SUBMIT, SEND, CLOCK };

struct arena {
	char name[VENOM_NAME_MAX + 1];
	enum does daemon, shell;
	enum side traced;
	bool slept; /* the shell has slept for state once, and is awake again */
	uint64_t n;
	uint64_t received;
	uint64_t done[2];
	uint64_t got; /* by the shell: versions, answers */
	uint64_t checks; /* of the shell, between the marks */
	uint64_t sleeps, wakes;
};

/* A system call that nothing else here makes: calls are counted between two of them. */
static void mark(void)
{
	syscall(SYS_getppid);
}

static void publish(struct venom_daemon *d, bool in_place, uint64_t v)
{
	uint64_t word[8] = {v}, *p;

	if (!in_place) {
		VT_CHECK(!venom_daemon_publish(d, word, sizeof(word)));
		return;
	}
	p = venom_daemon_write_begin(d, NULL);
	p[0] = v;
	VT_CHECK(!venom_daemon_write_commit(d, sizeof(word)));
}

static void serve(struct venom_daemon *d, struct arena *a)
{
	struct venom_command cmd;
	uint64_t n;

	for (n = 0; n < a->n; n++) {
		VT_CHECK(venom_daemon_receive(d, &cmd, -1) == 1);
		if (cmd.flags & VENOM_CMD_REQUEST)
			VT_CHECK(!venom_daemon_respond(d, &cmd, cmd.data, cmd.len));
		vt_store(&a->received, n + 1);
	}
}

static void daemon_works(struct venom_daemon *d, struct arena *a)
{
	uint64_t v;

	if (a->daemon == SERVE)
		serve(d, a);
	else if (a->daemon == REST)
		VT_CHECK(VT_UNTIL(vt_load(&a->done[SHELL])));
	else
		for (v = 2; a->traced == DAEMON ? v < a->n + 2 : !vt_load(&a->done[SHELL]); v++)
			publish(d, a->daemon == PUBLISH_IN_PLACE, v);
}

static int daemon_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_command cmd;
	struct venom_daemon *d;

	vt_pin(0);
	cfg.data_size = 64;
	cfg.cmd_slots = 2 * IN_FLIGHT;
	cfg.spin_ns = VENOM_SPIN_FOREVER;
	VT_CHECK(!venom_daemon_create(&d, a->name, &cfg));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	VT_CHECK(!venom_daemon_receive(d, &cmd, 0)); /* the new shell is noticed once, which takes a lock */
	publish(d, false, 1); /* wakes the shell that sleeps once */
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	mark();
	daemon_works(d, a);
	mark();
	vt_store(&a->done[DAEMON], 1);
	VT_CHECK(!vt_await(self));
	venom_daemon_destroy(d);
	return 0;
}

static void requests(struct venom_shell *s, struct arena *a)
{
	uint64_t word[8] = {0}, got[8], tag[IN_FLIGHT], n, i;

	for (n = 0; n < a->n; n++) {
		if (a->shell == REQUEST) {
			word[0] = n;
			VT_CHECK(venom_shell_request(s, word, sizeof(word), got, sizeof(got), -1) == sizeof(got));
			VT_CHECK(got[0] == n);
			continue;
		}
		i = n % IN_FLIGHT;
		if (n >= IN_FLIGHT) {
			VT_CHECK(venom_shell_complete(s, &tag[i], got, sizeof(got), -1) == sizeof(got));
			VT_CHECK(got[0] == n - IN_FLIGHT);
		}
		word[0] = n;
		VT_CHECK(!venom_shell_submit(s, word, sizeof(word), &tag[i]));
	}
	a->got = n;
}

static void sends(struct venom_shell *s, struct arena *a)
{
	uint64_t word[8] = {0}, n;

	for (n = 0; n < a->n; n++) {
		while (n - vt_load(&a->received) >= IN_FLIGHT)
			; /* never fill the lane: that is not the hot path */
		word[0] = n;
		VT_CHECK(!venom_shell_send(s, word, sizeof(word)));
	}
	a->got = n;
}

static void reads(struct venom_shell *s, struct arena *a)
{
	uint64_t word[8], v = 0, n;
	struct venom_view view;
	ssize_t rc;

	for (n = 0; n < a->n; n++) {
		if (a->shell == READ) {
			rc = venom_shell_read(s, word, sizeof(word), &v);
			VT_CHECK(rc == sizeof(word) ? word[0] == v : rc == -EAGAIN);
		} else if (a->shell == READ_NEXT) {
			rc = venom_shell_read_next(s, word, sizeof(word), &v);
			VT_CHECK(rc == sizeof(word) ? word[0] == v : rc == -EAGAIN || rc == -EOVERFLOW);
		} else {
			rc = venom_shell_read_begin(s, &view);
			if (!rc) {
				word[0] = *(volatile const uint64_t *)view.data;
				rc = venom_shell_read_retry(s, &view);
			}
			VT_CHECK(rc ? rc == -EAGAIN : word[0] == view.version);
		}
		a->got += rc >= 0;
	}
}

static void shell_works(struct venom_shell *s, struct arena *a)
{
	switch (a->shell) {
	case REQUEST:
	case SUBMIT:
		requests(s, a);
		break;
	case SEND:
		sends(s, a);
		break;
	case CLOCK:
		vt_now();
		break;
	case REST:
		VT_CHECK(VT_UNTIL(vt_load(&a->done[DAEMON])));
		break;
	default:
		reads(s, a);
	}
}

static int shell_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_shell_stats before, after;
	struct venom_shell *s;

	vt_pin(1);
	VT_CHECK(!venom_shell_connect(&s, a->name));
	VT_CHECK(!venom_shell_set_spin(s, VENOM_SPIN_NONE));
	VT_CHECK(!vt_signal(self));
	if (a->slept)
		VT_CHECK(venom_shell_wait(s, 0, -1) == 1);
	VT_CHECK(!venom_shell_set_spin(s, VENOM_SPIN_FOREVER));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	VT_CHECK(!venom_shell_stats(s, &before));
	mark();
	shell_works(s, a);
	mark();
	VT_CHECK(!venom_shell_stats(s, &after));
	a->checks = after.checks - before.checks;
	a->sleeps = after.sleeps - before.sleeps;
	a->wakes = after.wakes - before.wakes;
	vt_store(&a->done[SHELL], 1);
	VT_CHECK(!vt_await(self));
	venom_shell_close(s);
	return 0;
}

/* Runs pid to the entry of its next system call; returns its number; -1: it ended, or this was another stop. */
static long next_call(pid_t pid)
{
	struct __ptrace_syscall_info info = {.op = 0};
	int status;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, 0, 0) || waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
			return -1;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue; /* the stop that PTRACE_INTERRUPT asked for */
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
			return -1;
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
			return (long)info.entry.nr;
	}
}

/* Lets p go on and counts its system calls between the marks; -1 if that failed; -2: no permission. */
static long count_calls(struct vt_peer *p)
{
	long n = 0, nr, shown = 0;
	int status;

	if (ptrace(PTRACE_SEIZE, p->pid, 0, PTRACE_O_TRACESYSGOOD))
		return -2;
	if (ptrace(PTRACE_INTERRUPT, p->pid, 0, 0) || waitpid(p->pid, &status, __WALL) != p->pid)
		return -1;
	vt_signal(p);
	do
		nr = next_call(p->pid);
	while (nr >= 0 && nr != SYS_getppid);
	while ((nr = next_call(p->pid)) >= 0 && nr != SYS_getppid) {
		n++;
		if (shown++ < 5)
			fprintf(stderr, "# system call %ld\n", nr);
	}
	ptrace(PTRACE_DETACH, p->pid, 0, 0);
	return nr < 0 ? -1 : n;
}

/* One run: daemon and shell start, one of them is traced.  Returns the number of calls, or as count_calls(). */
static long run(struct arena *a)
{
	struct vt_peer peer[2] = {0};
	long n = -1;
	int i;

	a->received = a->got = a->checks = 0;
	a->done[DAEMON] = a->done[SHELL] = 0;
	strcpy(a->name, vt_name());
	vt_spawn(&peer[DAEMON], daemon_main, a);
	if (vt_await(&peer[DAEMON]))
		goto kill;
	vt_spawn(&peer[SHELL], shell_main, a);
	if (vt_await(&peer[SHELL]))
		goto kill;
	if (a->slept)
		vt_sleep_ms(20); /* the shell falls asleep; if it doesn't yet, nothing is lost */
	vt_signal(&peer[DAEMON]);
	if (vt_await(&peer[DAEMON]) || vt_await(&peer[SHELL]))
		goto kill;
	vt_signal(&peer[!a->traced]);
	n = count_calls(&peer[a->traced]);
	if (n < 0)
		goto kill;
	for (i = 0; i < 2; i++)
		if (!VT_UNTIL(vt_load(&a->done[i])))
			n = -1;
	vt_signal(&peer[SHELL]);
	if (vt_wait(&peer[SHELL]))
		n = -1;
	vt_signal(&peer[DAEMON]);
	if (vt_wait(&peer[DAEMON]))
		n = -1;
	return n;
kill:
	for (i = 0; i < 2; i++)
		vt_kill(&peer[i], SIGKILL);
	vt_forget(a->name);
	return n;
}

FIXTURE(hot)
{
	struct arena *a;
};

FIXTURE_VARIANT(hot)
{
	enum does daemon, shell;
	enum side traced;
	bool slept, spins;
};

#define VARIANT(name, d, s, t, sl, sp)                                          \
	FIXTURE_VARIANT_ADD(hot, name)                                          \
	{                                                                       \
		.daemon = d, .shell = s, .traced = t, .slept = sl, .spins = sp, \
	}
VARIANT(read, REST, READ, SHELL, false, false);
VARIANT(read_beside_publisher, PUBLISH, READ, SHELL, false, false);
VARIANT(read_next, PUBLISH, READ_NEXT, SHELL, false, false);
VARIANT(read_in_place, PUBLISH, LOOK, SHELL, false, false);
VARIANT(publish, PUBLISH, REST, DAEMON, false, false);
VARIANT(publish_in_place, PUBLISH_IN_PLACE, REST, DAEMON, false, false);
VARIANT(publish_to_one_who_slept_once, PUBLISH, REST, DAEMON, true, false);
VARIANT(request_shell, SERVE, REQUEST, SHELL, false, true);
VARIANT(request_daemon, SERVE, REQUEST, DAEMON, false, true);
VARIANT(submit_complete_shell, SERVE, SUBMIT, SHELL, false, true);
VARIANT(submit_complete_daemon, SERVE, SUBMIT, DAEMON, false, true);
VARIANT(send_shell, SERVE, SEND, SHELL, false, true);
VARIANT(send_daemon, SERVE, SEND, DAEMON, false, true);

FIXTURE_SETUP(hot)
{
	self->a = vt_shared(sizeof(*self->a));
	self->a->daemon = variant->daemon;
	self->a->shell = variant->shell;
	self->a->traced = variant->traced;
	self->a->slept = variant->slept;
	self->a->n = vt_scaled(1000000);
}

FIXTURE_TEARDOWN(hot)
{
}

TEST_F_TIMEOUT(hot, makes_no_system_call, 240)
{
	struct arena *a = self->a, *clock = vt_shared(sizeof(*clock));
	int tries = 0;
	long n;

#if defined(VT_ASAN) || defined(VT_TSAN)
	SKIP(return, "a sanitizer's runtime makes system calls of its own");
#endif
	if (variant->spins && vt_cpus() < 2)
		SKIP(return, "needs two CPUs for two that spin");
	*clock = (struct arena){.shell = CLOCK, .traced = SHELL};
	n = run(clock);
	if (n == -2)
		SKIP(return, "ptrace is not allowed here (%s)", strerror(errno));
	if (n > 0)
		SKIP(return, "clock_gettime is a system call on this machine");
	ASSERT_EQ(0, n);
	do {
		n = run(a);
		ASSERT_GE(n, 0);
		ksft_print_msg("%ju rounds: %ld system calls of the %s; %ju successes; shell: %ju checks, %ju sleeps, "
			       "%ju wakes\n",
			       (uintmax_t)a->n, n, a->traced == SHELL ? "shell" : "daemon", (uintmax_t)a->got,
			       (uintmax_t)a->checks, (uintmax_t)a->sleeps, (uintmax_t)a->wakes);
		/* A spinning shell checks now and then whether its daemon still lives, whose CPU others may use. */
		EXPECT_EQ(a->traced == SHELL ? a->checks : 0, (uint64_t)n);
		EXPECT_EQ(0, a->sleeps);
		EXPECT_EQ(0, a->wakes);
		if (a->shell != REST)
			EXPECT_GT(a->got, 0);
	} while (n && ++tries < 3);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Processes that measure: each is forked for one task, pinned to a CPU, and waited for with a time-out.
 */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "spin.h"
#include "transport.h"

#define LONGEST_NS (60 * NSEC_PER_SEC)
#define FLAG_NS	   (20 * NSEC_PER_SEC)

unsigned int nth;

const struct way ways[] = {
	{"venom", "memfd", VENOM_HUGE_PREFER},
	{"venom-4k", "memfd", VENOM_HUGE_NEVER},
	{"module", "dev", VENOM_HUGE_PREFER},
	{"module-4k", "dev", VENOM_HUGE_NEVER},
};
unsigned int nways;

void find_ways(void)
{
	nways = access("/dev/venom", R_OK | W_OK) ? 2 : ARRAY_SIZE(ways);
}

int bad(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return complain(bench->row ? bench->row->name : NULL, "%s", text);
}

int bad_rc(const char *what, long rc)
{
	const char *msg = venom_errmsg();

	return bad("%s: %s", what, *msg ? msg : strerror(-rc));
}

/* ---- the stage --------------------------------------------------------------- */

struct stage *stage_new(const struct way *w, size_t scratch)
{
	static struct stage *st;
	static unsigned int count;

	if (st) {
		if (st->scratch)
			munmap(st->scratch, st->scratch_size);
		munmap(st, sizeof(*st));
	}
	st = mmap(NULL, sizeof(*st), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (st == MAP_FAILED)
		goto out;
	st->way = w;
	st->one_cpu = bench->row && bench->row->one_cpu;
	st->slice_ns = bench->slice_ns;
	st->clock_ns = bench->clock_ns;
	snprintf(st->name, sizeof(st->name), "bench-%d-%u", (int)getpid(), count++);
	if (scratch) {
		st->scratch = mmap(NULL, scratch, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (st->scratch == MAP_FAILED)
			goto out;
		st->scratch_size = scratch;
	}
	return st;
out:
	complain(NULL, "no memory for the measurement: %s", strerror(errno));
	exit(1);
}

bool spin_flag(atomic_int *flag, int value)
{
	struct spin s = {0};

	while (atomic_load_explicit(flag, memory_order_acquire) < value)
		if (!spin_for(&s, FLAG_NS))
			return bad("the other process isn't there"), false;
	return true;
}

bool wait_flag(atomic_int *flag, int value)
{
	uint64_t deadline = now_ns() + FLAG_NS;

	while (atomic_load(flag) < value) {
		if (now_ns() > deadline)
			return bad("the other process isn't there"), false;
		nap(100000);
	}
	return true;
}

/* ---- processes ---------------------------------------------------------------- */

struct cast {
	struct stage *st;
	int (*make)(struct stage *st);
	side_fn *first, *other;
	unsigned int n;
};

struct part {
	struct stage *st;
	side_fn *fn;
	unsigned int nth;
};

static int play(void *arg)
{
	struct part *p = arg;
	int cpu = bench->cpu[p->nth > 0 && !p->st->one_cpu];
	int rc;

	nth = p->nth;
	if (nth > 1) /* from the second side's CPU downwards; no other side is on the first side's CPU */
		cpu = bench->cpus[bench->ncpus - 1 - (nth - 1) % (bench->ncpus - 1)];
	rc = pin_to_cpu(cpu);
	if (rc)
		return bad("no process can be put on CPU %d: %s", cpu, strerror(-rc));
	if (p->st->way)
		setenv("VENOM_BACKEND", p->st->way->backend, 1);
	return p->fn(p->st);
}

/* The parent of both sides: what make() opens is closed when this process ends, whatever happens. */
static int stage_manager(void *arg)
{
	struct cast *c = arg;
	uint64_t deadline = now_ns() + LONGEST_NS + c->st->slice_ns * 4;
	unsigned int left = 0;
	bool well = true;

	if (c->make && c->make(c->st))
		return 1;
	for (unsigned int i = 0; i <= c->n; i++) {
		struct part p = {c->st, i ? c->other : c->first, i};

		if (child(play, &p) < 0)
			return bad("fork: %s", strerror(errno));
		left++;
	}
	while (left) {
		struct timespec ms = {.tv_nsec = 500000};
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0) {
			left--;
			if (pid == c->st->helper)
				return bad("%s's helper has ended", c->st->via->name);
			if (WIFSIGNALED(status))
				bad("a process was killed by signal %d (%s)", WTERMSIG(status),
				    strsignal(WTERMSIG(status)));
			well &= !status;
			if (!well)
				break; /* the other sides would wait for this one; they die with us */
			continue;
		}
		if (now_ns() > deadline)
			return bad("did not end within %d s", (int)(LONGEST_NS / NSEC_PER_SEC));
		nanosleep(&ms, NULL);
	}
	if (c->st->helper) {
		kill(c->st->helper, SIGKILL);
		waitpid(c->st->helper, NULL, 0);
	}
	return !well;
}

static int perform(struct cast *c)
{
	pid_t pid = child(stage_manager, c);
	int status = 0;

	if (pid < 0)
		return bad("fork: %s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return bad("wait: %s", strerror(errno));
	return !(WIFEXITED(status) && !WEXITSTATUS(status));
}

int pair(struct stage *st, int (*make)(struct stage *st), side_fn *a, side_fn *b)
{
	struct cast c = {st, make, a, b, 1};

	return perform(&c);
}

int crowd(struct stage *st, side_fn *first, side_fn *other, unsigned int n)
{
	struct cast c = {st, NULL, first, other, n};

	return perform(&c);
}

int alone(struct stage *st, side_fn *fn)
{
	struct cast c = {st, NULL, fn, NULL, 0};

	return perform(&c);
}

/* ---- payloads ------------------------------------------------------------------- */

/* Large payloads: the number is in the first word, in the last word, and in one word of each page. */
void payload_make_large(void *buf, size_t size, uint64_t n)
{
	char *p = buf;

	for (size_t at = 8; at + 16 <= size; at += 4096)
		memcpy(p + at, &n, 8);
	memcpy(p + size - 8, &n, 8);
	memcpy(p, &n, 8);
}

bool payload_is_large(const void *buf, size_t size, uint64_t n)
{
	const char *p = buf;
	uint64_t diff = 0, w;

	for (size_t at = 8; at + 16 <= size; at += 4096) {
		memcpy(&w, p + at, 8);
		diff |= w ^ n;
	}
	memcpy(&w, p + size - 8, 8);
	return !(diff | (w ^ n)) && !memcmp(p, &n, 8);
}

/* ---- venom's sides --------------------------------------------------------------- */

struct venom_daemon *daemon_open(struct stage *st, struct venom_config *cfg)
{
	struct venom_daemon *d;
	int rc;

	if (st->way)
		cfg->huge = st->way->huge;
	rc = venom_daemon_create(&d, st->name, cfg);
	if (rc) {
		bad_rc(st->way ? st->way->name : "venom", rc);
		return NULL;
	}
	return d;
}

struct venom_shell *shell_open(struct stage *st)
{
	struct venom_shell *s;
	int rc;

	if (!wait_flag(&st->ready, 1))
		return NULL;
	rc = venom_shell_connect(&s, st->name);
	if (rc) {
		bad_rc(st->way ? st->way->name : "venom", rc);
		return NULL;
	}
	return s;
}

void many_files(void)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

/* SPDX-License-Identifier: MIT */
/*
 * Rows of the kernel's ways to sleep: a round trip between two processes by each of them, and the system calls of which
 * they are made.  They show what a blocking request could cost at best.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define WARM_UP 20

static int event[2]; /* each side sleeps on its own; no side writes to the quiet ones */
static int quiet[2];
static int pipes[2][2];
static int mine, others; /* this side's and the other's */
static int from, to;     /* the same, pipes */
static int epoll;

/* How often each side has been woken, in a cache line of its own: it shows a wait that ends without a wake. */
struct count {
	_Alignas(128) atomic_uint n;
};

static struct count *in, *out;

static int make(struct stage *st)
{
	(void)st;
	for (int i = 0; i < 2; i++) {
		event[i] = eventfd(0, EFD_CLOEXEC);
		quiet[i] = eventfd(0, EFD_CLOEXEC);
		if (event[i] < 0 || quiet[i] < 0)
			return bad("eventfd: %s", strerror(errno));
		if (pipe(pipes[i]))
			return bad("pipe: %s", strerror(errno));
	}
	return 0;
}

static int watch(int ep, int fd, unsigned int flags)
{
	struct epoll_event e = {.events = EPOLLIN | flags};

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) ? bad("epoll: %s", strerror(errno)) : 0;
}

static int epoll_new(void)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	return epoll < 0 ? bad("epoll: %s", strerror(errno)) : 0;
}

static int epoll_level(void)
{
	return epoll_new() || watch(epoll, mine, 0);
}

static int epoll_edge(void)
{
	return epoll_new() || watch(epoll, mine, EPOLLET) || watch(epoll, quiet[0], EPOLLET) ||
	       watch(epoll, quiet[1], EPOLLET);
}

static int epoll_in_epoll(void)
{
	int inner;

	if (epoll_new() || watch(epoll, mine, EPOLLET))
		return 1;
	inner = epoll;
	return epoll_new() || watch(epoll, inner, EPOLLET);
}

/* ---- the waits; all return whether they went well ---------------------------------- */

static bool wake_event(void)
{
	uint64_t one = 1;

	return write(others, &one, sizeof(one)) == sizeof(one);
}

static bool wait_read(void)
{
	uint64_t n;

	return read(mine, &n, sizeof(n)) == sizeof(n);
}

/* A pipe also reports the other side's death, by an end of file, if only that side has the end to write to. */
static bool wake_pipe(void)
{
	return write(to, "", 1) == 1;
}

static bool wait_pipe(void)
{
	char byte;

	return read(from, &byte, 1) == 1;
}

static bool wait_poll(void)
{
	struct pollfd p = {.fd = mine, .events = POLLIN};

	return ppoll(&p, 1, NULL, NULL) == 1 && wait_read();
}

static bool wait_poll_two(void)
{
	struct pollfd p[2] = {{.fd = mine, .events = POLLIN}, {.fd = quiet[0], .events = POLLIN}};

	return ppoll(p, 2, NULL, NULL) == 1 && wait_read();
}

static bool wait_epoll(void)
{
	struct epoll_event e;

	return epoll_wait(epoll, &e, 1, -1) == 1;
}

static bool wait_epoll_read(void)
{
	return wait_epoll() && wait_read();
}

static bool wake_futex(void)
{
	return syscall(SYS_futex, &out->n, FUTEX_WAKE, 1, NULL, NULL, 0) >= 0;
}

static unsigned int seen; /* value of in->n before this wait */

static bool wait_futex(void)
{
	while (atomic_load(&in->n) == seen)
		if (syscall(SYS_futex, &in->n, FUTEX_WAIT, seen, NULL, NULL, 0) && errno != EAGAIN)
			return false;
	return true;
}

static const struct construct {
	const char *name;
	int (*open)(void); /* or NULL */
	bool (*wake)(void);
	bool (*wait)(void);
} constructs[] = {
	{"eventfd, read", NULL, wake_event, wait_read},
	{"pipe, read", NULL, wake_pipe, wait_pipe},
	{"ppoll of one, read", NULL, wake_event, wait_poll},
	{"ppoll of two, read", NULL, wake_event, wait_poll_two},
	{"epoll, level, read", epoll_level, wake_event, wait_epoll_read},
	{"epoll of three, edge, no read", epoll_edge, wake_event, wait_epoll},
	{"epoll in epoll, edge, no read", epoll_in_epoll, wake_event, wait_epoll},
	{"futex", NULL, wake_futex, wait_futex},
};

static int begin(struct stage *st, int side)
{
	struct count *c = (void *)st->scratch;

	mine = event[side];
	others = event[!side];
	from = pipes[side][0];
	to = pipes[!side][1];
	in = &c[side];
	out = &c[!side];
	seen = 0;
	return constructs[st->n].open ? constructs[st->n].open() : 0;
}

static int wake(struct stage *st)
{
	atomic_fetch_add(&out->n, 1);
	return constructs[st->n].wake() ? 0 : bad("%s: wake: %s", constructs[st->n].name, strerror(errno));
}

static int wait_for(struct stage *st)
{
	const struct construct *c = &constructs[st->n];

	if (!c->wait())
		return bad("%s: wait: %s", c->name, strerror(errno));
	return atomic_load(&in->n) == ++seen ? 0 : bad("%s: a wait ended without a wake", c->name);
}

static int pinger(struct stage *st)
{
	uint64_t start, took, end = UINT64_MAX;
	unsigned int n = 0;

	if (begin(st, 0))
		return 1;
	do {
		start = now_ns();
		if (wake(st) || wait_for(st))
			return 1;
		took = now_ns() - start;
		if (++n > WARM_UP)
			hist_add(&st->hist, took > st->clock_ns ? took - st->clock_ns : 0);
		else if (n == WARM_UP)
			end = start + st->slice_ns;
	} while (start < end);
	atomic_store(&st->done, 1);
	return wake(st);
}

static int ponger(struct stage *st)
{
	if (begin(st, 1))
		return 1;
	while (!wait_for(st)) {
		if (atomic_load(&st->done))
			return 0;
		if (wake(st))
			return 1;
	}
	return 1;
}

static int round_trips(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(constructs); i++) {
		struct stage *st = stage_new(NULL, 2 * sizeof(struct count));

		st->n = i;
		if (pair(st, make, pinger, ponger))
			return 1;
		put_hist(constructs[i].name, LIMIT, &st->hist);
	}
	return 0;
}

const struct row row_constructs = {.name = "constructs",
				   .what = "two processes wake each other by turns, by each way to sleep",
				   .round = round_trips};
const struct row row_constructs_nohalt = {
	.name = "constructs-nohalt", .what = "the same, with no CPU that halts", .round = round_trips, .no_halt = true};
const struct row row_constructs_one = {
	.name = "constructs-one", .what = "the same, both on one CPU", .round = round_trips, .one_cpu = true};
const struct row row_constructs_one_nohalt = {.name = "constructs-one-nohalt",
					      .what = "the same, both on one CPU that does not halt",
					      .round = round_trips,
					      .one_cpu = true,
					      .no_halt = true};

/* ---- the calls alone: nobody sleeps -------------------------------------------------- */

static bool call_nothing(void)
{
	return syscall(SYS_getppid) >= 0;
}

static bool call_clock(void)
{
	keep(now_ns());
	return true;
}

static bool write_read(void)
{
	return wake_event() && wait_read();
}

static bool write_epoll(void)
{
	return wake_event() && wait_epoll();
}

static bool write_pwait2(const struct timespec *timeout)
{
	struct epoll_event e;

	return wake_event() && epoll_pwait2(epoll, &e, 1, timeout, NULL) == 1;
}

static bool write_pwait2_ever(void)
{
	return write_pwait2(NULL);
}

static bool write_pwait2_timeout(void)
{
	return write_pwait2(&(struct timespec){.tv_sec = 1});
}

static unsigned int word; /* that no thread waits for */

static bool futex_shared(void)
{
	return !syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool futex_private(void)
{
	return !syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static const struct call {
	const char *name;
	int (*open)(void);
	bool (*run)(void);
} calls[] = {
	{"a system call, getppid", NULL, call_nothing},
	{"the clock", NULL, call_clock},
	{"eventfd write, read", NULL, write_read},
	{"the same, watched by an epoll", epoll_level, write_read},
	{"eventfd write, epoll_pwait2 edge", epoll_edge, write_pwait2_ever},
	{"the same with a time-out", epoll_edge, write_pwait2_timeout},
	{"the same by epoll_wait", epoll_edge, write_epoll},
	{"futex wake of nobody, shared", NULL, futex_shared},
	{"futex wake of nobody, private", NULL, futex_private},
};

static int caller(struct stage *st)
{
	const struct call *c = &calls[st->n];
	uint64_t start, took, end;

	if (make(st))
		return 1;
	mine = others = event[0];
	if (c->open && c->open())
		return 1;
	end = now_ns() + st->slice_ns;
	do {
		start = now_ns();
		if (!c->run())
			return bad("%s: %s", c->name, strerror(errno));
		took = now_ns() - start;
		hist_add(&st->hist, took > st->clock_ns ? took - st->clock_ns : 0);
	} while (start < end);
	return 0;
}

static int calls_alone(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		struct stage *st = stage_new(NULL, 0);

		st->n = i;
		if (alone(st, caller))
			return 1;
		put_hist(calls[i].name, LIMIT, &st->hist);
	}
	return 0;
}

const struct row row_constructs_calls = {
	.name = "constructs-calls", .what = "the calls of which they are made; nobody sleeps", .round = calls_alone};

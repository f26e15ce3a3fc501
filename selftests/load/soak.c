/* SPDX-License-Identifier: MIT */
/*
 * Attacks with a long run: a daemon publishes and answers, and a shell requests and reads, both as fast as they can,
 * while others connect, close, and are killed.  Everything must be right, and stay as it was in the beginning: memory,
 * descriptors, huge pages, the kernel's slab, and the speed.
 *
 *	soak [--seconds N] [--window SECONDS]
 *
 * As a test it takes some seconds and judges all but the speed.  `make soak` takes 20 minutes and judges the speed,
 * too: the last minute must not be slower than the first by more than 5 %.  But the machine may change meanwhile: the
 * CPUs of a virtual machine move apart, or others use them, or the other threads of their cores.  So two yardsticks are
 * measured side by side with the rest, all the time: a round trip of a cache line between the two processes, and a fill
 * of the daemon's own memory.  Requests must have kept their number a second or their time in round trips, and a
 * publish its time or its time in fills.  If this does not hold in the first and the last minute, it must hold in the
 * first and the last minute of windows in which the yardsticks are alike, and so is the time that the two processes had
 * to wait for a CPU.  If there are no two such minutes, there is no verdict.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/watch.h"
#include "venom.h"

#define SIZE	 1024 /* of the state, in bytes */
#define ASK	 64 /* of requests and their answers, in bytes */
#define WINDOWS	 10000
#define JUDGED	 120 /* seconds; from this run time on the throughput is judged */
#define PERCENT	 5 /* allowed change of the throughput */
#define SLACK_KB 1024 /* of memory: an allocator's noise, not growth */
#define SLAB_KB	 32768 /* of the whole machine: others use it, too */

enum { DAEMON, SHELL, VISITOR, STEPS };

/* What is timed: a cache line's round trip, a fill of each player's own memory, and what is judged. */
enum { BOUNCE, FILL, REQUEST = FILL + 2, PUBLISH, TIMED };

struct window {
	double seconds;
	uint64_t requests, published, reads, visits;
	double took[TIMED]; /* ns */
	double waited; /* share of the time, of the process that waited longer */
	long rss[2], data[2], fds[2], areas[2], huge, slab;
};

#define SAMPLES 4096

/* What something took, in ns: the last samples. */
struct samples {
	uint64_t n; /* how many there were in all */
	double ns[SAMPLES];
};

struct arena {
	struct vt_step step[STEPS];
	char name[VENOM_NAME_MAX + 1];
	uint64_t quit[2];
	uint64_t requests, published, reads, visits;
	struct samples timed[TIMED];
	uint64_t play; /* the shell wants the ball */
	uint64_t ball __attribute__((aligned(128)));
	uint64_t other __attribute__((aligned(128)));
};

/* ---- samples ---- */

#define EVERY 16384 /* versions or requests between two samples */
#define BURST 64

static void sample(struct samples *t, uint64_t start)
{
	t->ns[t->n % SAMPLES] = (double)(vt_now() - start) / BURST;
	vt_store(&t->n, t->n + 1);
}

/* The median of the samples since there were `from`: a sample in which another process had the CPU is far from it. */
static double median(const struct samples *t, uint64_t from)
{
	uint64_t end = vt_load(&t->n), n = end - from;
	double ns[SAMPLES];

	if (!n)
		return 0;
	n = n < SAMPLES ? n : SAMPLES;
	for (uint64_t i = 0; i < n; i++)
		ns[i] = t->ns[(end - 1 - i) % SAMPLES];
	vt_sort(ns, n);
	return ns[n / 2];
}

static void fill_own(struct samples *t)
{
	uint64_t start = vt_now();
	char own[SIZE];

	for (uint32_t i = 0; i < BURST; i++)
		vt_fill(own, SIZE, i);
	sample(t, start);
}

/* A cache line's round trip: the shell's side, and the daemon's.  The first trip waits for the daemon to come. */
static void serve(struct arena *a)
{
	uint64_t start = 0, n = vt_load(&a->ball);

	vt_store(&a->play, 1);
	for (int i = 0; i <= BURST; i++, n += 2) {
		if (i == 1)
			start = vt_now();
		vt_store(&a->ball, n + 1);
		while (vt_load(&a->ball) != n + 2)
			;
	}
	vt_store(&a->play, 0);
	sample(&a->timed[BOUNCE], start);
}

static void hit_back(struct arena *a)
{
	while (vt_load(&a->play)) {
		uint64_t n = vt_load(&a->ball);

		if (n % 2)
			vt_store(&a->ball, n + 1);
	}
}

/* ---- the players ---- */

static void publish(struct arena *a, struct venom_daemon *d, uint64_t v)
{
	char buf[SIZE];

	vt_step(&a->step[DAEMON], "publish", v);
	vt_fill(buf, SIZE, (uint32_t)v);
	VT_CHECK(!venom_daemon_publish(d, buf, SIZE));
	vt_store(&a->published, v);
}

/* Publishes some in a row; returns the last number.  The first publishes take the cache lines back from the readers. */
static uint64_t publish_timed(struct arena *a, struct venom_daemon *d, uint64_t v)
{
	uint64_t start;
	int i;

	for (i = 0; i < 8; i++)
		publish(a, d, ++v);
	start = vt_now();
	for (i = 0; i < BURST; i++)
		publish(a, d, ++v);
	sample(&a->timed[PUBLISH], start);
	return v;
}

static int daemon_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_command cmd;
	struct venom_daemon *d;
	uint64_t v = 0, next = EVERY;
	int rc;

	vt_pin(0);
	cfg.data_size = SIZE;
	cfg.cmd_size = cfg.resp_size = ASK;
	cfg.spin_ns = VENOM_SPIN_FOREVER;
	VT_CHECK(!venom_daemon_create(&d, a->name, &cfg));
	publish(a, d, ++v);
	VT_CHECK(!vt_signal(self));
	while (!vt_load(&a->quit[DAEMON])) {
		if (vt_load(&a->ball) % 2) /* the shell now waits for the ball, not for an answer */
			hit_back(a);
		publish(a, d, ++v);
		while ((rc = venom_daemon_receive(d, &cmd, 0)) == 1) {
			VT_CHECK(vt_whole(cmd.data, cmd.len, NULL));
			if (!(cmd.flags & VENOM_CMD_REQUEST))
				continue;
			rc = venom_daemon_respond(d, &cmd, cmd.data, cmd.len);
			VT_CHECK(rc == 0 || rc == -EPIPE);
		}
		VT_CHECK(rc == 0);
		if (v < next)
			continue;
		fill_own(&a->timed[FILL + DAEMON]);
		v = publish_timed(a, d, v);
		next = v + EVERY;
	}
	venom_daemon_destroy(d);
	return 0;
}

static void ask(struct venom_shell *s, uint32_t n)
{
	char buf[ASK], resp[ASK];

	vt_fill(buf, ASK, n);
	VT_CHECK(venom_shell_request(s, buf, ASK, resp, ASK, -1) == ASK && vt_is(resp, ASK, n));
}

static uint64_t read_one(struct venom_shell *s, uint64_t last)
{
	char buf[SIZE];
	uint64_t v;
	ssize_t n = venom_shell_read(s, buf, SIZE, &v);

	if (n == -EAGAIN)
		return 0;
	VT_CHECK(n == SIZE && v >= last && vt_is(buf, SIZE, (uint32_t)v));
	return v;
}

static void request_and_read(struct arena *a, struct venom_shell *s, uint64_t n)
{
	static uint64_t last;
	uint64_t v;

	vt_step(&a->step[SHELL], "request", n);
	ask(s, (uint32_t)n);
	vt_store(&a->requests, n);
	v = read_one(s, last);
	if (!v)
		return;
	last = v;
	vt_store(&a->reads, a->reads + 1);
}

static int shell_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_shell *s;
	uint64_t n = 0, start;

	vt_pin(1);
	VT_CHECK(!venom_shell_connect(&s, a->name) && !venom_shell_set_spin(s, VENOM_SPIN_FOREVER));
	VT_CHECK(!vt_signal(self));
	while (!vt_load(&a->quit[SHELL])) {
		request_and_read(a, s, ++n);
		if (n % EVERY)
			continue;
		fill_own(&a->timed[FILL + SHELL]);
		serve(a);
		start = vt_now();
		for (int i = 0; i < BURST; i++)
			request_and_read(a, s, ++n);
		sample(&a->timed[REQUEST], start);
	}
	venom_shell_close(s);
	return 0;
}

/* Connects, does a little, and closes; or is killed at any point of that. */
static int visitor_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_shell *s;
	char buf[ASK];
	int rc;

	(void)self;
	for (uint32_t n = 1;; n++) {
		vt_step(&a->step[VISITOR], "connect", n);
		VT_CHECK(!venom_shell_connect(&s, a->name));
		for (uint32_t i = 0; i < 10; i++) {
			ask(s, n + i);
			vt_fill(buf, sizeof(buf), n + i);
			rc = venom_shell_send(s, buf, sizeof(buf));
			VT_CHECK(rc == 0 || rc == -EAGAIN);
		}
		VT_CHECK(venom_shell_wait(s, venom_shell_version(s), -1) == 1);
		read_one(s, 0);
		venom_shell_close(s);
		vt_add(&a->visits, 1);
		usleep(20000);
	}
	return 0;
}

/* ---- what is measured ---- */

static long number(const char *path, const char *format)
{
	FILE *f = fopen(path, "r");
	char line[256];
	long n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, format, &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

static long of_process(pid_t pid, const char *file, const char *format)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return number(path, format);
}

static long count_fds(pid_t pid)
{
	char path[64];
	long n = -2;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static long count_areas(pid_t pid)
{
	char path[64], line[512];
	long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		n += vt_is_area(line);
	if (f)
		fclose(f);
	return n;
}

/* Returns the ns that the first thread was ready but did not run, plus the average stolen time of a CPU. */
static double waited(pid_t pid)
{
	return (double)of_process(pid, "schedstat", "%*d %ld") +
	       (double)number("/proc/stat", "cpu %*d %*d %*d %*d %*d %*d %*d %ld") * 1e9 /
		       (double)sysconf(_SC_CLK_TCK) / (double)sysconf(_SC_NPROCESSORS_ONLN);
}

/* ---- the verdict ---- */

static struct window windows[WINDOWS];
static int nwindows;

#define WAITED 0.15 /* share of a window: above it, other processes decide the throughput */

static bool near(double a, double b, double most)
{
	return a < b * most && b < a * most;
}

static bool alike(const struct window *w, const struct window *v)
{
	return near(w->took[BOUNCE], v->took[BOUNCE], 1.25) &&
	       near(w->took[FILL + DAEMON], v->took[FILL + DAEMON], 1.08) &&
	       near(w->took[FILL + SHELL], v->took[FILL + SHELL], 1.08) && w->waited < WAITED && v->waited < WAITED &&
	       w->waited - v->waited < 0.03 && v->waited - w->waited < 0.03;
}

struct minute {
	int from, to; /* windows */
	double seconds, requests;
	double request, publish; /* a request in bounces, a publish in fills */
	double publish_ns;
};

/* The first minute, or the last; only of windows like w, unless that is NULL. */
static struct minute minute(const struct window *w, bool last)
{
	struct minute m = {.from = -1};

	for (int k = 0; k < nwindows && m.seconds < 59.9; k++) {
		int i = last ? nwindows - 1 - k : k;

		if (w && !alike(&windows[i], w))
			continue;
		if (m.from < 0)
			m.from = m.to = i;
		m.from = i < m.from ? i : m.from;
		m.to = i > m.to ? i : m.to;
		m.seconds += windows[i].seconds;
		m.requests += (double)windows[i].requests;
		m.request += windows[i].seconds * windows[i].took[REQUEST] / windows[i].took[BOUNCE];
		m.publish += windows[i].seconds * windows[i].took[PUBLISH] / windows[i].took[FILL + DAEMON];
		m.publish_ns += windows[i].seconds * windows[i].took[PUBLISH];
	}
	m.requests /= m.seconds;
	m.request /= m.seconds;
	m.publish /= m.seconds;
	m.publish_ns /= m.seconds;
	return m;
}

static double start_of(int window)
{
	double s = 0;

	while (window > 0)
		s += windows[--window].seconds;
	return s;
}

static double change(double first, double last)
{
	return 100 * (last / first - 1);
}

static void show_minute(const char *which, double at, const struct minute *m)
{
	printf("# %s %.0f s: %.0f requests/s, one takes %.3f bounces; a publish takes %.1f ns, %.3f fills\n", which, at,
	       m->requests, m->request, m->publish_ns, m->publish);
}

static bool compare(const struct minute *f, const struct minute *l)
{
	double requests = change(f->requests, l->requests), request = change(f->request, l->request);
	double publish_ns = change(f->publish_ns, l->publish_ns), publish = change(f->publish, l->publish);

	show_minute("first minute, from", start_of(f->from), f);
	show_minute("last minute, to", start_of(l->to + 1), l);
	printf("# change: requests %+.1f %%, one in bounces %+.1f %%; a publish %+.1f %%, in fills %+.1f %%; "
	       "too slow: by %d %% in both\n",
	       requests, request, publish_ns, publish, PERCENT);
	return (requests > -PERCENT || request < PERCENT) && (publish_ns < PERCENT || publish < PERCENT);
}

/* 1: as it was; 0: slower; -1: no two minutes are alike. */
static int judge_throughput(void)
{
	struct minute first = minute(NULL, false), last = minute(NULL, true), f, l;
	bool found = false;

	if (compare(&first, &last))
		return 1;
	for (int i = 0; i < nwindows; i++) {
		f = minute(&windows[i], false);
		l = minute(&windows[i], true);
		if (f.seconds < 59.9 || f.to >= l.from || (found && l.to - f.from <= last.to - first.from))
			continue;
		found = true;
		first = f;
		last = l;
	}
	if (!found)
		return -1;
	printf("# of windows that are alike:\n");
	return compare(&first, &last);
}

static bool flat(const char *what, long first, long last, long slack)
{
	bool ok = last <= first + slack;

	printf("# %-24s %8ld at first, %8ld at last%s\n", what, first, last, ok ? "" : ": not flat");
	return ok;
}

static bool judge_memory(void)
{
	const struct window *f = &windows[0], *l = &windows[nwindows - 1];
	long slack = SLACK_KB;
	bool ok = true;

#if defined(VT_ASAN) || defined(VT_TSAN)
	slack = 1 << 20; /* the sanitizers' own memory */
#endif
	ok &= flat("daemon, RSS in KiB", f->rss[DAEMON], l->rss[DAEMON], slack);
	ok &= flat("daemon, data in KiB", f->data[DAEMON], l->data[DAEMON], slack);
	ok &= flat("daemon, descriptors", f->fds[DAEMON], l->fds[DAEMON], 0);
	ok &= flat("daemon, mapped areas", f->areas[DAEMON], l->areas[DAEMON], 0);
	ok &= flat("shell, RSS in KiB", f->rss[SHELL], l->rss[SHELL], slack);
	ok &= flat("shell, data in KiB", f->data[SHELL], l->data[SHELL], slack);
	ok &= flat("shell, descriptors", f->fds[SHELL], l->fds[SHELL], 0);
	ok &= flat("shell, mapped areas", f->areas[SHELL], l->areas[SHELL], 0);
	ok &= flat("huge pages, not free", -f->huge, -l->huge, 0);
	ok &= flat("slab of all, in KiB", f->slab, l->slab, SLAB_KB);
	return ok;
}

/* ---- the parent ---- */

static struct arena *a;
static struct vt_peer player[STEPS];

static bool well(void)
{
	for (int i = 0; i < STEPS; i++) {
		if (player[i].pid <= 0 || !vt_has_ended(&player[i]))
			continue;
		vt_where(a->step, STEPS, i == VISITOR ? "a visitor has ended" : "a player has ended");
		return false;
	}
	return true;
}

static bool has_one_client(void)
{
	struct venom_daemon_stats st;

	return !venom_stat(a->name, NULL, &st, NULL, NULL) && st.clients == 1;
}

/* Measures what the two processes have, when the visitors have gone. */
static bool measure(struct window *w)
{
	if (!VT_UNTIL(has_one_client() || !well()) || !well())
		return false;
	/* The daemon closes the connection of that venom_stat() a moment later. */
	if (nwindows)
		(void)VT_UNTIL(count_fds(player[DAEMON].pid) <= windows[0].fds[DAEMON] || !well());
	else
		vt_sleep_ms(100);
	for (int i = 0; i < 2; i++) {
		w->rss[i] = of_process(player[i].pid, "status", "VmRSS: %ld");
		w->data[i] = of_process(player[i].pid, "status", "VmData: %ld");
		w->fds[i] = count_fds(player[i].pid);
		w->areas[i] = count_areas(player[i].pid);
	}
	w->huge = number("/proc/meminfo", "HugePages_Free: %ld");
	w->slab = number("/proc/meminfo", "SUnreclaim: %ld");
	return true;
}

static bool run_window(double seconds, double at)
{
	struct window *w = &windows[nwindows];
	uint64_t start, end, requests, published, reads, visits, timed[TIMED];
	double wait[2], most = 0;
	unsigned int n = 0;

	start = vt_now();
	end = start + (uint64_t)(seconds * VT_S);
	requests = vt_load(&a->requests);
	published = vt_load(&a->published);
	reads = vt_load(&a->reads);
	visits = vt_load(&a->visits);
	for (int i = 0; i < 2; i++)
		wait[i] = waited(player[i].pid);
	for (int i = 0; i < TIMED; i++)
		timed[i] = vt_load(&a->timed[i].n);
	do {
		uint64_t visited = vt_load(&a->visits);

		vt_spawn(&player[VISITOR], visitor_main, a);
		vt_sleep_ms(seconds < 5 ? 100 : 500);
		/* Some visitors are killed wherever they are, the others only after a whole visit. */
		if (n++ % 2 && !VT_UNTIL(vt_load(&a->visits) > visited || !well()))
			return false;
		if (!well())
			return false;
		vt_kill(&player[VISITOR], SIGKILL);
	} while (vt_now() < end || n < 2);
	if (!VT_UNTIL(vt_load(&a->requests) > requests && vt_load(&a->published) > published &&
		      vt_load(&a->reads) > reads))
		return false;
	w->seconds = (double)(vt_now() - start) / VT_S;
	w->requests = vt_load(&a->requests) - requests;
	w->published = vt_load(&a->published) - published;
	w->reads = vt_load(&a->reads) - reads;
	w->visits = vt_load(&a->visits) - visits;
	for (int i = 0; i < 2; i++) {
		double share = (waited(player[i].pid) - wait[i]) / 1e9 / w->seconds;

		most = share > most ? share : most;
	}
	for (int i = 0; i < TIMED; i++)
		w->took[i] = median(&a->timed[i], timed[i]);
	w->waited = most;
	if (!measure(w))
		return false;
	printf("# %5.0f s: %8.0f requests/s %8.0f versions/s %8.0f reads/s %3.0f visits/s; bounce %3.0f ns, request "
	       "%4.0f, fill %2.0f + %2.0f, publish %2.0f; waited %4.1f %%; RSS %ld + %ld KiB, descriptors %ld + %ld, "
	       "huge free %ld, slab %ld KiB\n",
	       at + w->seconds, (double)w->requests / w->seconds, (double)w->published / w->seconds,
	       (double)w->reads / w->seconds, (double)w->visits / w->seconds, w->took[BOUNCE], w->took[REQUEST],
	       w->took[FILL + DAEMON], w->took[FILL + SHELL], w->took[PUBLISH], 100 * most, w->rss[0], w->rss[1],
	       w->fds[0], w->fds[1], w->huge, w->slab);
	nwindows++;
	return true;
}

static bool soak(double seconds, double window)
{
	double at = 0;
	bool ok;

	a = vt_shared(sizeof(*a));
	snprintf(a->name, sizeof(a->name), "%s", vt_name());
	vt_spawn(&player[DAEMON], daemon_main, a);
	ok = !vt_await(&player[DAEMON]);
	if (ok)
		vt_spawn(&player[SHELL], shell_main, a);
	ok = ok && !vt_await(&player[SHELL]);
	while (ok && at < seconds - window / 2 && nwindows < WINDOWS) {
		ok = run_window(window, at);
		at += window;
	}
	vt_kill(&player[VISITOR], SIGKILL);
	if (!ok)
		vt_where(a->step, STEPS, "an error");
	/* The shell ends first: it waits for answers. */
	for (int i = SHELL; i >= DAEMON; i--) {
		vt_store(&a->quit[i], 1);
		if (!ok)
			vt_kill(&player[i], SIGKILL);
		else if (vt_wait(&player[i]))
			ok = false;
	}
	return ok;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seconds", 1, NULL, 's'}, {"window", 1, NULL, 'w'}, {NULL, 0, NULL, 0}};
	double seconds = 8 * vt_scale(), window = 0;
	bool ok, all = true;
	int c, verdict;

	seconds = seconds < 2 ? 2 : seconds;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's') {
			seconds = atof(optarg);
		} else if (c == 'w') {
			window = atof(optarg);
		} else {
			fprintf(stderr, "usage: soak [--seconds N] [--window SECONDS]\n");
			return 2;
		}
	}
	if (window <= 0)
		window = seconds >= JUDGED ? 10 : seconds / 4;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..%d\n", seconds < JUDGED ? 2 : 3);
	ok = soak(seconds, window);
	all &= ok;
	printf("%sok 1 - all was right, all the time\n", ok ? "" : "not ");
	ok = ok && judge_memory();
	all &= ok;
	printf("%sok 2 - memory, descriptors, huge pages and slab are as they were\n", ok ? "" : "not ");
	if (seconds < JUDGED)
		return !all;
	verdict = ok ? judge_throughput() : -1;
	printf("%sok 3 - the throughput is as it was%s\n", verdict == 0 ? "not " : "",
	       verdict < 0 ? " # SKIP no two minutes alike: no verdict" : "");
	all &= verdict != 0;
	return !all;
}

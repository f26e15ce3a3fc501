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
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/soak.h"

#define JUDGED 120 /* seconds; from this run time on the throughput is judged */

/* ---- what is measured ---- */

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

/* Returns the ns that the first thread was ready but did not run, plus the average stolen time of a CPU. */
static double waited(pid_t pid)
{
	return (double)of_process(pid, "schedstat", "%*d %ld") +
	       (double)number("/proc/stat", "cpu %*d %*d %*d %*d %*d %*d %*d %ld") * 1e9 /
		       (double)sysconf(_SC_CLK_TCK) / (double)sysconf(_SC_NPROCESSORS_ONLN);
}

/* ---- the parent ---- */

static struct arena *a;
static struct vt_peer player[STEPS];

static struct windows windows;

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

static bool is_back(pid_t daemon, const struct window *first)
{
	return vt_count_fds_of(daemon) <= first->fds[DAEMON] && vt_count_areas_of(daemon) <= first->areas[DAEMON];
}

/* Measures what the two processes have, when the visitors have gone. */
static bool measure(struct window *w)
{
	if (!VT_UNTIL(has_one_client() || !well()) || !well())
		return false;
	/* The daemon closes the connection of that venom_stat() and unmaps the last visitor's lane a moment later. */
	if (windows.n)
		(void)VT_UNTIL(is_back(player[DAEMON].pid, &windows.w[0]) || !well());
	else
		vt_sleep_ms(100);
	for (int i = 0; i < 2; i++) {
		w->rss[i] = of_process(player[i].pid, "status", "VmRSS: %ld");
		w->data[i] = of_process(player[i].pid, "status", "VmData: %ld");
		w->fds[i] = vt_count_fds_of(player[i].pid);
		w->areas[i] = vt_count_areas_of(player[i].pid);
	}
	w->huge = number("/proc/meminfo", "HugePages_Free: %ld");
	w->slab = number("/proc/meminfo", "SUnreclaim: %ld");
	return true;
}

static bool run_window(double seconds, double at)
{
	struct window *w = &windows.w[windows.n];
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

		vt_spawn(&player[VISITOR], soak_visitor_main, a);
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
	windows.n++;
	return true;
}

static bool soak(double seconds, double window)
{
	double at = 0;
	bool ok;

	a = vt_shared(sizeof(*a));
	snprintf(a->name, sizeof(a->name), "%s", vt_name());
	vt_spawn(&player[DAEMON], soak_daemon_main, a);
	ok = !vt_await(&player[DAEMON]);
	if (ok)
		vt_spawn(&player[SHELL], soak_shell_main, a);
	ok = ok && !vt_await(&player[SHELL]);
	while (ok && at < seconds - window / 2 && windows.n < WINDOWS) {
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
	ok = ok && soak_judge_memory(&windows);
	all &= ok;
	printf("%sok 2 - memory, descriptors, huge pages and slab are as they were\n", ok ? "" : "not ");
	if (seconds < JUDGED)
		return !all;
	verdict = ok ? soak_judge_throughput(&windows) : -1;
	printf("%sok 3 - the throughput is as it was%s\n", verdict == 0 ? "not " : "",
	       verdict < 0 ? " # SKIP no two minutes alike: no verdict" : "");
	all &= verdict != 0;
	return !all;
}

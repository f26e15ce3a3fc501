/* SPDX-License-Identifier: MIT */
/*
 * This machine's live figures: a few files of /proc, kept open, read again for each version, and turned into 'name
 * value' lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "figures.h"
#include "tool.h"

enum { LOADAVG, UPTIME, MEMINFO, STAT, FILES };

static const char *const paths[FILES] = {
	[LOADAVG] = "/proc/loadavg", [UPTIME] = "/proc/uptime", [MEMINFO] = "/proc/meminfo", [STAT] = "/proc/stat"};

/* Lines of "KEY VALUE ..." whose value is used unchanged. */
static const struct {
	int file;
	const char *key, *name;
} lines[] = {
	{MEMINFO, "MemTotal:", "mem_total_kb"},
	{MEMINFO, "MemFree:", "mem_free_kb"},
	{MEMINFO, "MemAvailable:", "mem_avail_kb"},
	{MEMINFO, "Cached:", "mem_cached_kb"},
	{MEMINFO, "Dirty:", "mem_dirty_kb"},
	{MEMINFO, "SwapFree:", "swap_free_kb"},
	{STAT, "ctxt", "context_switches"},
	{STAT, "intr", "interrupts"},
	{STAT, "softirq", "softirqs"},
	{STAT, "processes", "forks"},
	{STAT, "procs_running", "running"},
	{STAT, "procs_blocked", "blocked"},
};

/* Columns of the first line of /proc/stat, in ticks. */
static const char *const cpu_names[] = {"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"};
#define CPU_IDLE   3
#define CPU_IOWAIT 4

/* A tick is a few milliseconds long, so a share of the ticks in a shorter window than this says nothing. */
#define WINDOW_NS (NSEC_PER_SEC / 2)

struct figures {
	int fd[FILES];
	uint64_t since, busy, all; /* ticks at the start of the window */
	double percent; /* of the previous window */
	char text[FILES][65536]; /* /proc/stat has a line for each CPU and a number for each interrupt */
};

struct out {
	char *buf;
	size_t len, size;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->buf + o->len, o->size - o->len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < o->size - o->len) /* a line that does not fit is left out whole */
		o->len += n;
}

int figures_open(struct figures **out)
{
	struct figures *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	for (int i = 0; i < FILES; i++) {
		f->fd[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
		if (f->fd[i] < 0) {
			int err = -errno;

			while (i--)
				close(f->fd[i]);
			free(f);
			return err;
		}
	}
	*out = f;
	return 0;
}

void figures_close(struct figures *f)
{
	for (int i = 0; i < FILES; i++)
		close(f->fd[i]);
	free(f);
}

/* The text behind `key` at the start of a line, or NULL. */
static const char *after(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, key, len) && p[len] == ' ')
			return p + len;
	}
	return NULL;
}

double figure(const char *text, const char *name)
{
	const char *p = after(text, name);

	return p ? strtod(p, NULL) : 0;
}

static void put_cpu(struct figures *f, struct out *o, uint64_t now)
{
	const char *p = after(f->text[STAT], "cpu");
	uint64_t busy = 0, all = 0;
	char *end;

	if (!p)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cpu_names); i++) {
		uint64_t ticks = strtoull(p, &end, 10);

		if (end == p)
			break; /* older kernels have fewer columns */
		p = end;
		put(o, "cpu_%s_ticks %llu\n", cpu_names[i], (unsigned long long)ticks);
		all += ticks;
		if (i != CPU_IDLE && i != CPU_IOWAIT)
			busy += ticks;
	}
	if (now - f->since >= WINDOW_NS) {
		if (f->since && all > f->all && busy >= f->busy)
			f->percent = 100.0 * (busy - f->busy) / (all - f->all);
		f->since = now;
		f->busy = busy;
		f->all = all;
	}
	put(o, "cpu_busy_percent %.1f\n", f->percent);
}

size_t figures_text(struct figures *f, uint64_t seq, char *buf, size_t size)
{
	struct out o = {.buf = buf, .size = size};
	struct timespec ts;
	double a, b, c;

	for (int i = 0; i < FILES; i++) {
		ssize_t n = pread(f->fd[i], f->text[i], sizeof(f->text[i]) - 1, 0);

		f->text[i][n > 0 ? n : 0] = 0;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	put(&o, "seq %llu\n", (unsigned long long)seq);
	put(&o, "time_ns %llu\n", (unsigned long long)(ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec));
	if (sscanf(f->text[UPTIME], "%lf", &a) == 1)
		put(&o, "uptime_s %.2f\n", a);
	if (sscanf(f->text[LOADAVG], "%lf %lf %lf", &a, &b, &c) == 3)
		put(&o, "load1 %.2f\nload5 %.2f\nload15 %.2f\n", a, b, c);
	put_cpu(f, &o, now_ns());
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *p = after(f->text[lines[i].file], lines[i].key);

		if (p)
			put(&o, "%s %llu\n", lines[i].name, strtoull(p, NULL, 10));
	}
	return o.len;
}

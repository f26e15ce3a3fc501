/* SPDX-License-Identifier: MIT */
/*
 * The verdict of load/soak.c: which windows can be compared, and whether the last are as good as the first.
 */
#include "lib/soak.h"

#define PERCENT	 5 /* allowed change of the throughput */
#define SLACK_KB 1024 /* of memory: an allocator's noise, not growth */
#define SLAB_KB	 32768 /* of the whole machine: others use it, too */

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
static struct minute minute(const struct windows *all, const struct window *w, bool last)
{
	struct minute m = {.from = -1};

	for (int k = 0; k < all->n && m.seconds < 59.9; k++) {
		int i = last ? all->n - 1 - k : k;

		if (w && !alike(&all->w[i], w))
			continue;
		if (m.from < 0)
			m.from = m.to = i;
		m.from = i < m.from ? i : m.from;
		m.to = i > m.to ? i : m.to;
		m.seconds += all->w[i].seconds;
		m.requests += (double)all->w[i].requests;
		m.request += all->w[i].seconds * all->w[i].took[REQUEST] / all->w[i].took[BOUNCE];
		m.publish += all->w[i].seconds * all->w[i].took[PUBLISH] / all->w[i].took[FILL + DAEMON];
		m.publish_ns += all->w[i].seconds * all->w[i].took[PUBLISH];
	}
	m.requests /= m.seconds;
	m.request /= m.seconds;
	m.publish /= m.seconds;
	m.publish_ns /= m.seconds;
	return m;
}

static double start_of(const struct windows *all, int window)
{
	double s = 0;

	while (window > 0)
		s += all->w[--window].seconds;
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

static bool compare(const struct windows *all, const struct minute *f, const struct minute *l)
{
	double requests = change(f->requests, l->requests), request = change(f->request, l->request);
	double publish_ns = change(f->publish_ns, l->publish_ns), publish = change(f->publish, l->publish);

	show_minute("first minute, from", start_of(all, f->from), f);
	show_minute("last minute, to", start_of(all, l->to + 1), l);
	printf("# change: requests %+.1f %%, one in bounces %+.1f %%; a publish %+.1f %%, in fills %+.1f %%; "
	       "too slow: by %d %% in both\n",
	       requests, request, publish_ns, publish, PERCENT);
	return (requests > -PERCENT || request < PERCENT) && (publish_ns < PERCENT || publish < PERCENT);
}

int soak_judge_throughput(const struct windows *all)
{
	struct minute first = minute(all, NULL, false), last = minute(all, NULL, true), f, l;
	bool found = false;

	if (compare(all, &first, &last))
		return 1;
	for (int i = 0; i < all->n; i++) {
		f = minute(all, &all->w[i], false);
		l = minute(all, &all->w[i], true);
		if (f.seconds < 59.9 || f.to >= l.from || (found && l.to - f.from <= last.to - first.from))
			continue;
		found = true;
		first = f;
		last = l;
	}
	if (!found)
		return -1;
	printf("# of windows that are alike:\n");
	return compare(all, &first, &last);
}

static bool flat(const char *what, long first, long last, long slack)
{
	bool ok = last <= first + slack;

	printf("# %-24s %8ld at first, %8ld at last%s\n", what, first, last, ok ? "" : ": not flat");
	return ok;
}

bool soak_judge_memory(const struct windows *all)
{
	const struct window *f = &all->w[0], *l = &all->w[all->n - 1];
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

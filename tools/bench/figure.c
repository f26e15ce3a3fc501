/* SPDX-License-Identifier: MIT */
/*
 * The figures: how they are kept and shown.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "bench.h"

const double quantile[] = {0.5, 0.9, 0.99, 0.999, 0.9999};
const char *const quantile_name[] = {"p50", "p90", "p99", "p99.9", "p99.99", "max"};

static const char *const who_name[] = {"limit", "venom", "peer"};
static const struct {
	const char *name, *shown;
	double scale;
} units[] = {
	[NS] = {"ns", "ns", 1},	      [MILLION_S] = {"millions/s", "M/s", 1},
	[GB_S] = {"GB/s", "GB/s", 1}, [PER_S] = {"1/s", "/s", 1},
	[COUNT] = {"count", "", 1},   [PERCENT] = {"percent", "%", 1},
	[BYTES] = {"bytes", "B", 1},
};

/* ---- keeping -------------------------------------------------------------------- */

const struct figure *figure_find(const char *row, const char *name)
{
	for (unsigned int i = 0; i < bench->nfigures; i++)
		if (!strcmp(bench->figure[i].row, row) && !strcmp(bench->figure[i].name, name))
			return &bench->figure[i];
	return NULL;
}

/* This row's figure of this name; it is created at the first call. */
static struct figure *figure(const char *name, enum who who, enum unit unit)
{
	struct figure *f = (struct figure *)figure_find(bench->row->name, name);

	if (f)
		return f;
	if (bench->nfigures == FIGURES_MAX) {
		complain(NULL, "more than %d figures", FIGURES_MAX);
		exit(1);
	}
	f = &bench->figure[bench->nfigures++];
	snprintf(f->row, sizeof(f->row), "%s", bench->row->name);
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->who = who;
	f->unit = unit;
	return f;
}

/*
 * A clock may tick in steps of 10 ns or more.  A reading of v stands for any value around v, so each sample is spread
 * over one step.  The quantiles of many samples are then finer than the clock.
 */
static void spread(struct hist *to, const struct hist *from)
{
	unsigned int step = bench->clock_step;

	memset(to, 0, sizeof(*to));
	for (unsigned int b = 0; b < HIST_BUCKETS; b++) {
		uint64_t v = hist_value(b), n = from->bucket[b];

		if (!n)
			continue;
		for (unsigned int i = 0; i < step; i++) {
			uint64_t at = v + i > step / 2 ? v + i - step / 2 : 0;

			hist_add_n(to, at, n / step + (i < n % step));
		}
	}
	to->max = from->max;
}

void put_hist(const char *name, enum who who, const struct hist *measured)
{
	struct figure *f = figure(name, who, NS);
	static struct hist spread_out;
	const struct hist *h = &spread_out;

	spread(&spread_out, measured);
	f->latency = true;
	for (int q = 0; q < MAX; q++)
		f->value[q][bench->round] = hist_quantile(h, quantile[q]);
	f->value[MAX][bench->round] = h->max;
	f->rounds = bench->round + 1;
	f->samples[bench->round] = h->count;
}

void put_value(const char *name, enum who who, enum unit unit, double value)
{
	struct figure *f = figure(name, who, unit);

	f->value[P50][bench->round] = value;
	f->rounds = bench->round + 1;
}

void put_skipped(const char *name, enum who who, const char *why)
{
	snprintf(figure(name, who, NS)->skipped, sizeof(((struct figure *)0)->skipped), "%s", why);
}

const char *numbered(const char *name, unsigned int n, const char *what)
{
	static char text[48];

	snprintf(text, sizeof(text), "%s, %u %s", name, n, what);
	return text;
}

void round_drop(void)
{
	for (unsigned int i = 0; i < bench->nfigures; i++) {
		struct figure *f = &bench->figure[i];

		if (!strcmp(f->row, bench->row->name) && f->rounds > bench->round)
			f->rounds = bench->round;
	}
}

void goal_at(const char *name, int q, const char *beside, int beside_q, bool at_least, double bound)
{
	struct goal *g;

	if (bench->round || bench->ngoals == GOALS_MAX)
		return;
	for (unsigned int i = 0; i < bench->ngoals; i++) {
		g = &bench->goal[i];
		if (!strcmp(g->row, bench->row->name) && !strcmp(g->figure, name) && !strcmp(g->beside, beside) &&
		    g->quantile == q && g->beside_quantile == beside_q)
			return; /* the round is repeated */
	}
	g = &bench->goal[bench->ngoals++];
	*g = (struct goal){.quantile = q, .beside_quantile = beside_q, .at_least = at_least, .bound = bound};
	snprintf(g->row, sizeof(g->row), "%s", bench->row->name);
	snprintf(g->figure, sizeof(g->figure), "%s", name);
	snprintf(g->beside, sizeof(g->beside), "%s", beside);
}

void goal(const char *name, const char *beside, bool at_least, double bound)
{
	goal_at(name, P50, beside, P50, at_least, bound);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *v, unsigned int n)
{
	double sorted[ROUNDS_MAX];

	if (!n)
		return NAN;
	memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*v), by_value);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double figure_median(const struct figure *f, int q)
{
	return median(f->value[q], f->rounds);
}

double goal_ratio(const struct goal *g)
{
	const struct figure *f = figure_find(g->row, g->figure), *b = figure_find(g->row, g->beside);
	double ratio[ROUNDS_MAX];
	unsigned int n = 0;

	if (!f || (!b && g->beside[0]))
		return NAN;
	for (; n < f->rounds && (!b || n < b->rounds); n++)
		ratio[n] = f->value[g->quantile][n] / (b ? b->value[g->beside_quantile][n] : 1);
	return median(ratio, n);
}

static bool met(const struct goal *g, double ratio)
{
	return g->at_least ? ratio >= g->bound : ratio <= g->bound;
}

/* ---- the table ------------------------------------------------------------------ */

static void print_value(const struct figure *f, int q)
{
	double v = figure_median(f, q);
	char text[32];

	if (isnan(v)) {
		snprintf(text, sizeof(text), "-");
	} else if (f->unit == NS && (v >= 10000 || f->latency)) {
		if (v < 10000)
			snprintf(text, sizeof(text), "%.0f ns", v);
		else
			human_ns(text, v);
	} else {
		snprintf(text, sizeof(text), "%.*f %s", v < 10 ? 2 : v < 100 ? 1 : 0, v, units[f->unit].shown);
	}
	printf(" %10s", text);
}

void print_row(unsigned int i)
{
	const struct row *r = rows[i];
	bool head = true;

	printf("\n%s: %s\n", r->name, r->what);
	printf("  rounds: %u; a cache line, there and back, meanwhile: %.0f ns", r->once ? 1 : bench->rounds,
	       bench->bounce[i]);
	if (bench->moved[i])
		printf("; %u done again: the CPUs' distance had changed", bench->moved[i]);
	printf("\n");
	for (enum who who = LIMIT; who <= PEER; who++) {
		for (unsigned int n = 0; n < bench->nfigures; n++) {
			const struct figure *f = &bench->figure[n];

			if (f->who != who || strcmp(f->row, r->name))
				continue;
			if (f->skipped[0]) {
				printf("  %-5s %-32s skipped: %s\n", who_name[who], f->name, f->skipped);
				continue;
			}
			if (head && f->latency) {
				printf("  %38s", "");
				for (int q = 0; q < QUANTILES; q++)
					printf(" %10s", quantile_name[q]);
				printf("\n");
				head = false;
			}
			printf("  %-5s %-32s", who_name[who], f->name);
			for (int q = 0; q < (f->latency ? QUANTILES : 1); q++)
				print_value(f, q);
			printf("\n");
		}
	}
	for (unsigned int n = 0; n < bench->ngoals; n++) {
		const struct goal *g = &bench->goal[n];
		double ratio = goal_ratio(g);

		if (strcmp(g->row, r->name) || isnan(ratio))
			continue;
		printf("  %-6s %s %s", met(g, ratio) ? "met" : "MISSED", g->figure, quantile_name[g->quantile]);
		if (g->beside[0])
			printf(" / %s %s", g->beside, quantile_name[g->beside_quantile]);
		printf(": %.2f (%s %.2f)\n", ratio, g->at_least ? ">=" : "<=", g->bound);
	}
	fflush(stdout);
}

/* ---- JSON ----------------------------------------------------------------------- */

static void print_number(double v)
{
	if (isfinite(v))
		printf("%.6g", v);
	else
		printf("null");
}

static void json_figure(const struct figure *f)
{
	uint64_t samples = 0;

	printf("\n    {\"name\": ");
	json_name(f->name);
	printf(", \"who\": \"%s\"", who_name[f->who]);
	if (f->skipped[0]) {
		printf(", \"skipped\": ");
		json_name(f->skipped);
		printf("}");
		return;
	}
	printf(", \"unit\": \"%s\"", units[f->unit].name);
	if (f->latency) {
		for (unsigned int i = 0; i < f->rounds; i++)
			samples += f->samples[i];
		printf(", \"samples\": %llu", (unsigned long long)samples);
		for (int q = 0; q < QUANTILES; q++) {
			printf(", \"%s\": ", quantile_name[q]);
			print_number(figure_median(f, q));
		}
	} else {
		printf(", \"value\": ");
		print_number(figure_median(f, P50));
	}
	printf(", \"rounds\": [");
	for (unsigned int i = 0; i < f->rounds; i++) {
		printf("%s", i ? ", " : "");
		print_number(f->value[P50][i]);
	}
	printf("]}");
}

static void json_goal(const struct goal *g)
{
	double ratio = goal_ratio(g);

	printf("\n    {\"figure\": ");
	json_name(g->figure);
	printf(", \"of\": \"%s\", \"beside\": ", quantile_name[g->quantile]);
	json_name(g->beside);
	printf(", \"beside_of\": \"%s\", \"%s\": ", quantile_name[g->beside_quantile],
	       g->at_least ? "at_least" : "at_most");
	print_number(g->bound);
	printf(", \"ratio\": ");
	print_number(ratio);
	printf(", \"met\": %s}", isnan(ratio) ? "null" : met(g, ratio) ? "true" : "false");
}

static void cpu_model(char *text, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256], *at;

	snprintf(text, size, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "model name", 10) || !(at = strchr(line, ':')))
			continue;
		at[strcspn(at, "\n")] = 0;
		snprintf(text, size, "%s", at + 2);
		break;
	}
	if (f)
		fclose(f);
}

void print_json(void)
{
	struct utsname uts;
	time_t now = time(NULL);
	char date[16], cpu[128];
	bool first = true;

	uname(&uts);
	cpu_model(cpu, sizeof(cpu));
	strftime(date, sizeof(date), "%Y-%m-%d", gmtime(&now));
	printf("{\"venom\": \"%s\", \"date\": \"%s\", \"kernel\": ", venom_version(), date);
	json_name(uts.release);
	printf(", \"cpu\": ");
	json_name(cpu);
	printf(", \"cpus\": %d, \"pinned\": [%d, %d], \"rounds\": %u, \"slice_s\": %g, \"quick\": %s,\n \"rows\": [",
	       bench->ncpus, bench->cpu[0], bench->cpu[1], bench->rounds, bench->slice_ns / 1e9,
	       bench->quick ? "true" : "false");
	for (unsigned int r = 0; r < nrows; r++) {
		bool any = false;

		for (unsigned int i = 0; i < bench->nfigures; i++) {
			if (strcmp(bench->figure[i].row, rows[r]->name))
				continue;
			if (!any) {
				printf("%s\n  {\"name\": \"%s\", \"what\": ", first ? "" : ",", rows[r]->name);
				json_name(rows[r]->what);
				printf(", \"bounce_ns\": %.0f, \"done_again\": %u, \"figures\": [", bench->bounce[r],
				       bench->moved[r]);
				first = false;
			}
			printf("%s", any ? "," : "");
			json_figure(&bench->figure[i]);
			any = true;
		}
		if (!any)
			continue;
		printf("],\n   \"goals\": [");
		any = false;
		for (unsigned int i = 0; i < bench->ngoals; i++) {
			if (strcmp(bench->goal[i].row, rows[r]->name))
				continue;
			printf("%s", any ? "," : "");
			json_goal(&bench->goal[i]);
			any = true;
		}
		printf("]}");
	}
	printf("\n]}\n");
}

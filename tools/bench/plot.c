/* SPDX-License-Identifier: MIT */
/*
 * Pictures of a run, drawn by gnuplot: latencies by percentile, bandwidth by size, scaling by shells.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "bench.h"

static FILE *gp;

static bool begin(const char *folder, const char *name, const char *title)
{
	fflush(NULL);
	gp = popen("gnuplot", "w");
	if (!gp)
		return false;
	/* noenhanced: a name with _, ^ or {} is drawn as it is written. */
	fprintf(gp, "set terminal svg size 900,520 dynamic noenhanced background rgb 'white'\nset output '%s/%s.svg'\n",
		folder, name);
	fprintf(gp, "set title '%s'\nset grid\nset key outside right\n", title);
	return true;
}

static int end(void)
{
	int status = pclose(gp);

	return status ? complain(NULL, "gnuplot failed (apt-get install gnuplot-nox)") : 0;
}

/* Each series that has points is one data block and one curve; all of them are drawn together at the end. */
static char curves[8192];
static unsigned int blocks;

static void series_begin(void)
{
	fprintf(gp, "$b%u << EOD\n", blocks);
}

static void series_end(const char *title, enum who who)
{
	size_t at = strlen(curves);

	fprintf(gp, "EOD\n");
	snprintf(curves + at, sizeof(curves) - at, "%s $b%u using 1:2%s with linespoints lw %d dt %d title '%s'",
		 at ? "," : "plot", blocks, "", who == VENOM ? 3 : 1, who == LIMIT ? 2 : 1, title);
	blocks++;
}

static int draw(void)
{
	fprintf(gp, "%s\n", curves);
	curves[0] = 0;
	return end();
}

static int latency(const char *folder, const char *row)
{
	bool any = false;

	for (unsigned int i = 0; i < bench->nfigures; i++)
		any |= !strcmp(bench->figure[i].row, row);
	if (!any)
		return 0;
	if (!begin(folder, row, "64 bytes asked and answered: latency by percentile"))
		return complain(NULL, "gnuplot: %s", strerror(errno));
	fprintf(gp, "set logscale y\nset ylabel 'ns'\nset xrange [-0.2:5.2]\nset xtics (");
	for (int q = 0; q < QUANTILES; q++)
		fprintf(gp, "%s'%s' %d", q ? ", " : "", quantile_name[q], q);
	fprintf(gp, ")\n");
	for (unsigned int i = 0; i < bench->nfigures; i++) {
		const struct figure *f = &bench->figure[i];

		if (strcmp(f->row, row) || f->skipped[0])
			continue;
		series_begin();
		for (int q = 0; q < QUANTILES; q++)
			fprintf(gp, "%d %g\n", q, figure_median(f, q));
		series_end(f->name, f->who);
	}
	return draw();
}

static int bandwidth(const char *folder)
{
	static const struct {
		const char *rows, *figure, *title;
		enum who who;
	} lines[] = {
		{"read", "best by hand", "read: best copy by hand", LIMIT},
		{"read", "venom", "read: venom", VENOM},
		{"read", "best by hand, sum", "in place: plain sum", LIMIT},
		{"read", "venom, in place", "in place: venom", VENOM},
		{"publish", "best by hand", "publish: best copy by hand", LIMIT},
		{"publish", "venom", "publish: venom", VENOM},
		{"beside", "venom, reader", "read beside a writer: venom", VENOM},
	};
	static const char *const sizes[] = {"4k", "64k", "1m", "8m", "64m"};

	if (!figure_find("read-64k", "venom"))
		return 0;
	if (!begin(folder, "bandwidth", "Bandwidth by size, bytes counted once"))
		return complain(NULL, "gnuplot: %s", strerror(errno));
	fprintf(gp, "set logscale x 2\nset xlabel 'bytes'\nset ylabel 'GB/s'\nset yrange [0:*]\n"
		    "set xtics ('4K' 4096, '64K' 65536, '1M' 1048576, '8M' 8388608, '64M' 67108864)\n");
	for (unsigned int l = 0; l < ARRAY_SIZE(lines); l++) {
		series_begin();
		for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
			const struct figure *f;
			char row[24];

			snprintf(row, sizeof(row), "%s-%s", lines[l].rows, sizes[i]);
			f = figure_find(row, lines[l].figure);
			for (unsigned int r = 0; f && r < nrows; r++)
				if (!strcmp(rows[r]->name, row))
					fprintf(gp, "%zu %g\n", rows[r]->size, figure_median(f, P50));
		}
		series_end(lines[l].title, lines[l].who);
	}
	return draw();
}

static int scaling(const char *folder)
{
	static const struct {
		const char *row, *figure, *title;
		enum who who;
		double unit;
	} lines[] = {
		{"silent", "venom, %u shell%s", "request beside silent shells", VENOM, 1},
		{"wake", "venom, %u sleepers", "publish that wakes sleepers", VENOM, 1},
		{"wake", "%u write(2) to eventfds", "as many write(2)", LIMIT, 1},
	};
	static const unsigned int counts[] = {1, 16, 100, 256, 1000};

	if (!figure_find("silent", "venom, 1 shell") && !figure_find("wake", "venom, 1 sleepers"))
		return 0;
	if (!begin(folder, "scaling", "Cost by the number of shells, p50"))
		return complain(NULL, "gnuplot: %s", strerror(errno));
	fprintf(gp, "set logscale xy\nset xlabel 'shells'\nset ylabel 'ns'\n");
	for (unsigned int l = 0; l < ARRAY_SIZE(lines); l++) {
		series_begin();
		for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
			const struct figure *f;
			char name[48];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(name, sizeof(name), lines[l].figure, counts[i], counts[i] > 1 ? "s" : "");
#pragma GCC diagnostic pop
			f = figure_find(lines[l].row, name);
			if (f)
				fprintf(gp, "%u %g\n", counts[i], figure_median(f, P50));
		}
		series_end(lines[l].title, lines[l].who);
	}
	return draw();
}

int plot(const char *folder)
{
	if (mkdir(folder, 0777) && errno != EEXIST)
		return complain(folder, "%s", strerror(errno));
	return latency(folder, "request-64") | bandwidth(folder) | scaling(folder);
}

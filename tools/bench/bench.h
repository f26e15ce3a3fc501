/* SPDX-License-Identifier: MIT */
/*
 * venom-bench: what venom does, beside the hardware's limit and beside its peers, in one run.
 *
 *	main.c		options; the rows, round after round
 *	pair.c		two processes on two CPUs, and what they share
 *	figure.c	what was measured: kept, compared, printed as a table or as JSON
 *	plot.c		the same as pictures
 *	row_*.c		the rows; each says what it measures and what it must reach
 *	transport.h	a way to get a message from one process to the other: venom's, the limits', the peers'
 *
 * A row runs for some rounds.  Each round measures everything in the row once, one after the other, each in a pair of
 * processes of its own.  Before and after that it measures the bounces of a bare cache line.  A ratio is taken within
 * its round, and the median over the rounds is shown.  On a virtual machine the distance of two CPUs changes during a
 * run: a round whose two bounces differ by more than a fifth is repeated.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bounce.h"
#include "../hist.h"
#include "../tool.h"

#define PATIENCE_S 5 /* time-out for a side that does not answer */
#define PATIENCE   (PATIENCE_S * (int64_t)NSEC_PER_SEC)

#define ROUNDS_MAX  15
#define FIGURES_MAX 1024
#define GOALS_MAX   256

enum who { LIMIT, VENOM, PEER };
enum unit { NS, MILLION_S, GB_S, PER_S, COUNT, PERCENT, BYTES };

/* Quantiles that are kept of each round. */
enum { P50, P90, P99, P999, P9999, MAX, QUANTILES };
extern const double quantile[QUANTILES - 1];
extern const char *const quantile_name[QUANTILES];

/* One line of a row. */
struct figure {
	char row[24];
	char name[48];
	enum who who;
	enum unit unit;
	bool latency; /* it has quantiles; else one value, in [P50] */
	char skipped[96]; /* why it was not measured; "" if it was */
	unsigned int rounds;
	double value[QUANTILES][ROUNDS_MAX];
	uint64_t samples[ROUNDS_MAX];
};

/* A goal of a figure beside another one: the ratio of two of their quantiles is at most or at least `bound`. */
struct goal {
	char row[24];
	char figure[48], beside[48];
	int quantile, beside_quantile;
	bool at_least;
	double bound;
};

/* Shared by all processes of the run; only the top process writes. */
struct bench {
	int cpu[2]; /* of the two sides */
	int ncpus, cpus[64]; /* all that we may use */
	unsigned int rounds, round;
	bool quick;
	uint64_t slice_ns; /* how long each thing is measured */
	uint64_t clock_ns; /* cost of reading the clock, subtracted from latencies */
	unsigned int clock_step; /* ns */
	const struct row *row;
	unsigned int nfigures, ngoals;
	struct figure figure[FIGURES_MAX];
	struct goal goal[GOALS_MAX];
	unsigned int moved[64]; /* by row: rounds that were repeated */
	double bounce[64]; /* by row: p50, ns */
};
extern struct bench *bench;

struct row {
	const char *name;
	const char *what; /* a sentence */
	int (*round)(void); /* measure all once; 0, or 1 after saying what went wrong */
	bool once; /* takes long: one round */
	bool line; /* the bounces themselves are a figure: LINE */
	bool one_cpu; /* both sides on the first CPU */
	bool no_halt; /* with /dev/cpu_dma_latency held at 0: an idle CPU does not halt */
	size_t size; /* of the payload */
};
extern const struct row *const rows[];
extern const unsigned int nrows;

/* ---- pair.c ---------------------------------------------------------------- */

struct transport;

/* How venom is used. */
struct way {
	const char *name; /* "venom": embedded, on huge pages; "module"; and both "-4k", on base pages */
	const char *backend; /* VENOM_BACKEND */
	int huge;
};
extern const struct way ways[];
extern unsigned int nways; /* available here: without the module, the first two */
void find_ways(void);

/* Shared by the two sides; zeros, except for what the caller of pair() sets. */
struct stage {
	const struct transport *via;
	const struct way *way;
	char name[64]; /* of the channel */
	size_t size;
	uint64_t slice_ns, clock_ns;
	unsigned int n; /* of shells, of versions: as the row needs */
	bool stream; /* messages go one way */
	bool latest; /* one way, and only the newest counts */
	int64_t pause_ns;
	bool one_cpu; /* both sides on the first CPU */
	pid_t helper; /* process started by make(); it lives as long as both sides do */

	struct court court;
	_Alignas(128) atomic_int ready, go, done;
	_Alignas(128) atomic_ullong seen, shown;
	/* results */
	_Alignas(128) struct hist hist;
	_Alignas(128) double value[8];
	uint64_t count;
	double each[64]; /* one for each of many sides */
	uint64_t scratch_size;
	char *scratch; /* memory shared by all sides, zeros; scratch_size bytes */
};

typedef int side_fn(struct stage *st);

/* A clean stage; the next call frees it. */
struct stage *stage_new(const struct way *w, size_t scratch);
/*
 * Run both sides, each in a process on its CPU, until they end.  Before that, run `make`, unless NULL, in their parent.
 * Return 0, or 1 after an error message.
 */
int pair(struct stage *st, int (*make)(struct stage *st), side_fn *a, side_fn *b);
/*
 * The same for n + 1 sides: `first` on the first CPU, `other` n times on the others in turn; `nth` is its number.
 */
int crowd(struct stage *st, side_fn *first, side_fn *other, unsigned int n);
extern unsigned int nth;
/* Run one process, on the first CPU. */
int alone(struct stage *st, side_fn *fn);

int bad(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int bad_rc(const char *what, long rc); /* rc is what libvenom returned */
bool wait_flag(atomic_int *flag, int value); /* sleeps; false after a time-out */
bool spin_flag(atomic_int *flag, int value);
/* Keep the compiler from removing the code that makes this value. */
static inline void keep(uint64_t v)
{
	__asm__ __volatile__("" : : "r"(v) : "memory");
}

/*
 * Message number n.  A message of one cache line is its number eight times, written and read as a compiler would do
 * with a struct, 16 bytes at a time.
 */
typedef uint64_t two_words __attribute__((vector_size(16), aligned(8)));

void payload_make_large(void *buf, size_t size, uint64_t n);
bool payload_is_large(const void *buf, size_t size, uint64_t n);

static inline void payload_make(void *buf, size_t size, uint64_t n)
{
	two_words *p = buf, w = {n, n};

	if (size != 64)
		payload_make_large(buf, size, n);
	else
		p[0] = p[1] = p[2] = p[3] = w;
}

static inline bool payload_is(const void *buf, size_t size, uint64_t n)
{
	const two_words *p = buf;
	two_words w = {n, n}, diff;

	if (size != 64)
		return payload_is_large(buf, size, n);
	diff = (p[0] ^ w) | (p[1] ^ w) | (p[2] ^ w) | (p[3] ^ w);
	return !(diff[0] | diff[1]);
}

#define LINE "a cache line, there and back"

/* ---- figure.c -------------------------------------------------------------- */

void put_hist(const char *name, enum who who, const struct hist *h); /* latencies in ns */
void put_value(const char *name, enum who who, enum unit unit, double value);
void put_skipped(const char *name, enum who who, const char *why);
const char *numbered(const char *name, unsigned int n, const char *what); /* "NAME, 4 THINGS"; until the next call */
/* The goal is for the median over rounds of figure / beside, or of figure itself if beside is "". */
void goal(const char *figure, const char *beside, bool at_least, double bound);
void goal_at(const char *figure, int q, const char *beside, int beside_q, bool at_least, double bound);
#define AT_MOST	 false
#define AT_LEAST true
const struct figure *figure_find(const char *row, const char *name); /* NULL: there is none */
void round_drop(void); /* forget what this round has put */
void print_row(unsigned int row);
void print_json(void);
double figure_median(const struct figure *f, int q);
double goal_ratio(const struct goal *g); /* NaN if a figure is missing */

/* ---- plot.c ---------------------------------------------------------------- */

int plot(const char *folder);

/* ---- venom's sides, for all rows (pair.c) ------------------------------------- */

struct venom_daemon *daemon_open(struct stage *st, struct venom_config *cfg); /* NULL after saying why */
struct venom_shell *shell_open(struct stage *st); /* waits for st->ready */
void many_files(void); /* raises the limit to its maximum: a shell needs some files, on both sides */

#endif /* BENCH_H */

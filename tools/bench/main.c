/* SPDX-License-Identifier: MIT */
/*
 * venom bench: options; the rows, round after round.  See bench.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define AGAIN_MAX 5 /* repeated rounds of a row, at most */
#define MOVED	  1.2

static const char help[] =
	"bench [--quick] [--only ROW,...] [--rounds N] [--slice SECONDS] [--cpus A,B] [--json] [--plot FOLDER]\n"
	"       venom bench --list\n"
	"\n"
	"Measure venom beside the machine's limit and beside other ways to talk between processes, in pairs of\n"
	"processes on two CPUs.  A ratio is taken within one round, and the median over the rounds is shown; what\n"
	"was to be reached is said after each row.  Missed targets are not an error: the exit status is 1 only\n"
	"when something could not be measured, or a payload was wrong.\n"
	"\n"
	"  --quick           under a minute: fewer and shorter rounds\n"
	"  --only ROW,...    these rows; where no row has that name, all that begin so\n"
	"  --list            what rows there are\n"
	"  --rounds N        default 5; with --quick 2\n"
	"  --slice SECONDS   how long each thing is measured in each round; default 0.2, with --quick 0.02\n"
	"  --cpus A,B        the two sides' CPUs; default: the first and the last that we may use\n"
	"  --json            print JSON instead of a table\n"
	"  --plot FOLDER     also draw SVGs there, with gnuplot\n";

const struct verb verb_bench = {.name = "bench", .help = help};
const struct verb *verb = &verb_bench;
struct bench *bench;

static bool json;
static const char *only, *folder;

/* ---- the limit ------------------------------------------------------------------ */

static int serve(struct stage *st)
{
	return !bounce_serve(&st->court, st->slice_ns, st->clock_ns, &st->hist) && bad("nobody hits back");
}

static int hit_back(struct stage *st)
{
	return !bounce_return(&st->court) && bad("the serving side has gone");
}

/* A cache line's round trip now, p50 in ns; 0 after an error.  The samples are added to `all`. */
static double bounce_now(struct hist *all)
{
	struct stage *st = stage_new(NULL, 0);

	st->one_cpu = false;
	st->slice_ns = bench->slice_ns / 4;
	if (pair(st, NULL, serve, hit_back))
		return 0;
	hist_merge(all, &st->hist);
	return hist_quantile(&st->hist, 0.5);
}

/* ---- rows ----------------------------------------------------------------------- */

static void progress(unsigned int row, const char *what)
{
	static bool tty, known;

	if (!known) {
		tty = isatty(STDERR_FILENO);
		known = true;
	}
	if (tty)
		fprintf(stderr, "\r\033[K%s: %s", rows[row]->name, what);
	else if (*what && !bench->round)
		fprintf(stderr, "%s\n", rows[row]->name);
}

/* Keep the CPUs from halting for as long as the returned file is open; -1 with errno. */
static int hold_awake(void)
{
	int fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
	int32_t latency_us = 0;

	if (fd >= 0 && write(fd, &latency_us, sizeof(latency_us)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int run_row(unsigned int i)
{
	const struct row *r = rows[i];
	unsigned int rounds = r->once ? 1 : bench->rounds, again = 0;
	double bounces = 0;
	int awake = -1;

	bench->row = r;
	if (r->no_halt && (awake = hold_awake()) < 0) {
		char why[64];

		snprintf(why, sizeof(why), "/dev/cpu_dma_latency: %s", strerror(errno));
		bench->round = 0;
		put_skipped("all", LIMIT, why);
		rounds = 0;
	}
	for (bench->round = 0; bench->round < rounds;) {
		struct hist line = {0};
		double before, after;
		char text[48];

		snprintf(text, sizeof(text), "round %u of %u", bench->round + 1, rounds);
		progress(i, text);
		before = bounce_now(&line);
		if (!before || r->round())
			return 1;
		after = bounce_now(&line);
		if (!after)
			return 1;
		if ((before > MOVED * after || after > MOVED * before) && again < AGAIN_MAX && !r->once) {
			again++;
			bench->moved[i]++;
			round_drop();
			continue;
		}
		if (r->line)
			put_hist(LINE, LIMIT, &line);
		bounces += (before + after) / 2;
		bench->round++;
	}
	if (awake >= 0)
		close(awake);
	bench->bounce[i] = rounds ? bounces / rounds : 0;
	progress(i, "");
	if (!json)
		print_row(i);
	return 0;
}

static bool is_row(const char *name, size_t len)
{
	for (unsigned int i = 0; i < nrows; i++)
		if (strlen(rows[i]->name) == len && !strncmp(rows[i]->name, name, len))
			return true;
	return false;
}

static bool wanted(const char *name)
{
	const char *p = only;

	while (p) {
		size_t len = strcspn(p, ",");

		if (len && !strncmp(p, name, len) && (strlen(name) == len || !is_row(p, len)))
			return true;
		p = p[len] ? p + len + 1 : NULL;
	}
	return !only;
}

static int list(void)
{
	for (unsigned int i = 0; i < nrows; i++)
		printf("%-16s %s\n", rows[i]->name, rows[i]->what);
	return finish(0);
}

/* The clock's step in ns: differences of two readings are multiples of it, except for rounding. */
static unsigned int clock_step(void)
{
	static unsigned int seen[256];
	unsigned int step = 0, last = 0, n = 20000;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t start = now_ns(), took = now_ns() - start;

		if (took < ARRAY_SIZE(seen))
			seen[took]++;
	}
	for (unsigned int i = 1; i < ARRAY_SIZE(seen); i++) {
		if (seen[i] < n / 200)
			continue;
		if (last && i - last > 3 && (!step || i - last < step))
			step = i - last;
		last = i;
	}
	return step ? step : 1;
}

/* ---- options -------------------------------------------------------------------- */

static void find_cpus(void)
{
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE && bench->ncpus < (int)ARRAY_SIZE(bench->cpus); i++)
		if (CPU_ISSET(i, &set))
			bench->cpus[bench->ncpus++] = i;
	bench->cpu[0] = bench->cpus[0];
	bench->cpu[1] = bench->cpus[bench->ncpus - 1];
}

/* Order the CPUs as crowd() needs them: the first side's CPU first, the second side's last. */
static void place_cpu(int cpu, int at)
{
	for (int i = 0; i < bench->ncpus; i++) {
		if (bench->cpus[i] == cpu) {
			bench->cpus[i] = bench->cpus[at];
			bench->cpus[at] = cpu;
			return;
		}
	}
}

static void choose_cpus(const char *text)
{
	char *end;

	bench->cpu[0] = strtol(text, &end, 10);
	if (end == text || *end != ',')
		usage("--cpus: '%s' is not two numbers with a comma between them", text);
	text = end + 1;
	bench->cpu[1] = strtol(text, &end, 10);
	if (end == text || *end)
		usage("--cpus: '%s' is not two numbers with a comma between them", text);
	place_cpu(bench->cpu[0], 0);
	place_cpu(bench->cpu[1], bench->ncpus - 1);
}

static void parse(int argc, char **argv)
{
	static const struct option opts[] = {
		{"quick", no_argument, NULL, 'q'},	  {"only", required_argument, NULL, 'o'},
		{"rounds", required_argument, NULL, 'r'}, {"slice", required_argument, NULL, 's'},
		{"cpus", required_argument, NULL, 'c'},	  {"json", no_argument, NULL, 'j'},
		{"plot", required_argument, NULL, 'p'},	  {"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},	  {NULL, 0, NULL, 0},
	};
	unsigned int rounds = 0;
	uint64_t slice = 0;
	int c;

	while ((c = option(argc, argv, opts)) != -1) {
		switch (c) {
		case 'q':
			bench->quick = true;
			break;
		case 'o':
			only = optarg;
			break;
		case 'r':
			rounds = opt_number(1, ROUNDS_MAX);
			break;
		case 's':
			slice = opt_real(0.001, 60) * NSEC_PER_SEC;
			break;
		case 'c':
			choose_cpus(optarg);
			break;
		case 'j':
			json = true;
			break;
		case 'p':
			folder = optarg;
			break;
		case 'l':
			exit(list());
		}
	}
	if (optind < argc)
		usage("'%s' is too much", argv[optind]);
	bench->rounds = rounds ? rounds : bench->quick ? 2 : 5;
	bench->slice_ns = slice ? slice : bench->quick ? 20000000 : 200000000;
}

/* Measure all rows; this runs in a process of its own. */
static int measure(void *arg)
{
	bool any = false;
	int status = 0;

	(void)arg;
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	bench->clock_ns = clock_cost();
	bench->clock_step = clock_step();
	find_ways();
	for (unsigned int i = 0; i < nrows; i++) {
		if (!wanted(rows[i]->name))
			continue;
		any = true;
		status |= run_row(i);
	}
	if (!any)
		usage("--only: no row begins with '%s'; `venom bench --list` names them", only);
	bench->row = NULL;
	if (json)
		print_json();
	if (folder)
		status |= plot(folder);
	return finish(status);
}

/* Put the channels in a folder of our own, unless the user set one.  It is removed however we end, but for kill -9. */
static char *own_folder(void)
{
	static char path[] = "/tmp/venom-bench.XXXXXX";

	if (getenv("VENOM_RUNTIME_DIR") || !mkdtemp(path))
		return NULL;
	setenv("VENOM_RUNTIME_DIR", path, 1);
	return path;
}

static void remove_folder(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

int main(int argc, char **argv)
{
	int status = 0;
	char *own;
	pid_t pid;

	bench = mmap(NULL, sizeof(*bench), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (bench == MAP_FAILED)
		return complain(NULL, "no memory: %s", strerror(errno));
	if (argc > 0)
		argv[0] = (char[]){"venom bench"};
	find_cpus();
	parse(argc, argv);
	if (bench->ncpus < 2 || bench->cpu[0] == bench->cpu[1])
		return complain(NULL, "two CPUs are needed, one for each side");
	own = own_folder();
	hold_signals();
	pid = child(measure, NULL);
	while (pid > 0 && !child_gone(pid, &status) && nap(100000000))
		;
	if (pid > 0 && stopped) {
		kill(pid, SIGKILL); /* this also kills all processes that it has started */
		waitpid(pid, &status, 0);
	}
	if (own)
		remove_folder(own);
	if (pid < 0)
		return complain(NULL, "fork: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

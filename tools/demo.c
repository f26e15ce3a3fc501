/* SPDX-License-Identifier: MIT */
/*
 * venom demo: the main use of venom, live.  A daemon process publishes this machine's own figures; shell processes read
 * them and send requests, and all of it is checked (demo_cast.c).  This process starts them, prints a status line,
 * which it reads from the channel like any other shell, and notices if one of them dies.  At the end it adds up the
 * results, and shows the time of a request when both sides spin, beside a cache line's round trip between the same two
 * CPUs (duet.c).
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "demo.h"
#include "duet.h"
#include "figures.h"

struct demo {
	struct board *b;
	double seconds;
	bool json;
	int cpu_daemon, cpu_shell; /* of the duet; -1: none */
	const char *no_duet; /* why there is no duet */
	pid_t daemon, shell[DEMO_SHELLS_MAX];
	struct part part[DEMO_SHELLS_MAX];
	double ran; /* seconds from the first shell's start to the stop */
	uint64_t published;
	struct party total;
	struct duet duet;
};

struct tally { /* sums over all shells, while they run */
	uint64_t time_ns, versions, reads, requests;
};

static void who(char name[24], unsigned int nr)
{
	snprintf(name, 24, "shell %u", nr + 1);
}

/* Whether all children still run.  A child that has ended has failed; its name is printed. */
static bool all_there(struct demo *d)
{
	char name[24];
	int status;

	if (child_gone(d->daemon, &status)) {
		d->daemon = 0;
		if (child_well("the daemon", status))
			complain(NULL, "the daemon ended too early");
		return false;
	}
	for (unsigned int i = 0; i < d->b->shells; i++) {
		if (!d->shell[i] || !child_gone(d->shell[i], &status))
			continue;
		d->shell[i] = 0;
		who(name, i);
		if (child_well(name, status))
			complain(NULL, "%s ended too early", name);
		return false;
	}
	return true;
}

static bool start(struct demo *d)
{
	struct board *b = d->b;
	uint64_t deadline = now_ns() + 10 * NSEC_PER_SEC;

	d->daemon = child(demo_daemon, b);
	if (d->daemon < 0) {
		d->daemon = 0;
		return complain(NULL, "fork: %s", strerror(errno)), false;
	}
	while (!b->ready)
		if (!all_there(d) || now_ns() > deadline || !nap(1000000))
			return false;
	for (unsigned int i = 0; i < b->shells; i++) {
		d->part[i] = (struct part){.board = b, .nr = i};
		d->shell[i] = child(demo_shell, &d->part[i]);
		if (d->shell[i] < 0) {
			d->shell[i] = 0;
			return complain(NULL, "fork: %s", strerror(errno)), false;
		}
	}
	for (unsigned int i = 0; i < b->shells; i++)
		while (!b->party[i].ready)
			if (!all_there(d) || now_ns() > deadline || !nap(1000000))
				return false;
	return true;
}

/* End the shells first: they would fail if the daemon ended before them. */
static bool stop(struct demo *d)
{
	bool well = true;
	char name[24];

	d->b->stop_shells = 1;
	for (unsigned int i = 0; i < d->b->shells; i++) {
		who(name, i);
		if (d->shell[i])
			well &= child_end(name, d->shell[i], 10 * NSEC_PER_SEC);
	}
	d->b->stop_daemon = 1;
	if (d->daemon)
		well &= child_end("the daemon", d->daemon, 10 * NSEC_PER_SEC);
	return well;
}

static struct tally count(const struct demo *d, struct venom_shell *s)
{
	struct tally t = {.time_ns = now_ns(), .versions = venom_shell_version(s)};

	for (unsigned int i = 0; i < d->b->shells; i++) {
		t.reads += d->b->party[i].reads;
		t.requests += d->b->party[i].requests;
	}
	return t;
}

/* Print one line: the state, read as by any other shell, and the rates since the last line. */
static void live(struct demo *d, struct venom_shell *s, double at, const struct tally *was, const struct tally *now)
{
	FILE *out = d->json ? stderr : stdout;
	double sec = (now->time_ns - was->time_ns) / 1e9;
	char text[DEMO_STATE + 1];
	uint64_t version;
	ssize_t len = venom_shell_read(s, text, DEMO_STATE, &version);
	bool tty = isatty(fileno(out));

	if (len < 0)
		return;
	text[len] = 0;
	fprintf(out,
		"%s%5.1f s  load %.2f  cpu %3.0f %%  memory %.1f of %.1f GiB  | %6.0f versions/s %9.0f reads/s %7.0f "
		"requests/s%s",
		tty ? "\r" : "", at, figure(text, "load1"), figure(text, "cpu_busy_percent"),
		(figure(text, "mem_total_kb") - figure(text, "mem_avail_kb")) / 1048576,
		figure(text, "mem_total_kb") / 1048576, (now->versions - was->versions) / sec,
		(now->reads - was->reads) / sec, (now->requests - was->requests) / sec, tty ? "\033[K" : "\n");
	flush_out();
}

static bool watch(struct demo *d)
{
	bool tty = isatty(d->json ? STDERR_FILENO : STDOUT_FILENO), well, more;
	uint64_t begin, step = tty ? NSEC_PER_SEC / 10 : NSEC_PER_SEC;
	struct tally first, was, now;
	struct venom_shell *s;
	int rc = venom_shell_connect(&s, d->b->name);

	if (rc)
		return fail(d->b->name, rc), false;
	first = was = count(d, s);
	begin = was.time_ns;
	do {
		nap(NSEC_PER_SEC / 100);
		well = all_there(d);
		now = count(d, s);
		more = well && !stopped && (now.time_ns - begin) / 1e9 < d->seconds;
		/* The last line may come early, after half a step. */
		if (well && now.time_ns - was.time_ns >= (more ? step : step / 2)) {
			live(d, s, (now.time_ns - begin) / 1e9, &was, &now);
			was = now;
		}
	} while (more);
	if (tty)
		fputc('\n', d->json ? stderr : stdout);
	d->ran = (now.time_ns - begin) / 1e9;
	d->published = now.versions - first.versions;
	venom_shell_close(s);
	return well;
}

static void add_up(struct demo *d)
{
	for (unsigned int i = 0; i < d->b->shells; i++) {
		const struct party *p = &d->b->party[i];

		d->total.reads += p->reads;
		d->total.versions += p->versions;
		d->total.requests += p->requests;
		d->total.torn += p->torn;
		d->total.back += p->back;
		d->total.lost += p->lost;
		d->total.wrong += p->wrong;
		hist_merge(&d->total.latency, &p->latency);
	}
}

static void quantiles(const struct hist *h)
{
	static const double q[] = {0.5, 0.99, 0.999, 1};
	char t[16];

	for (size_t i = 0; i < ARRAY_SIZE(q); i++)
		printf(" %10s", human_ns(t, hist_quantile(h, q[i])));
}

static void row(const char *name, const struct party *p)
{
	printf("%-9s %10llu %9llu %9llu", name, (unsigned long long)p->reads, (unsigned long long)p->versions,
	       (unsigned long long)p->requests);
	quantiles(&p->latency);
	printf(" %5llu %5llu %5llu %5llu\n", (unsigned long long)p->torn, (unsigned long long)p->back,
	       (unsigned long long)p->lost, (unsigned long long)p->wrong);
}

static void report(const struct demo *d)
{
	const struct duet *du = &d->duet;
	char name[24];

	printf("\n%-9s %10s %9s %9s %10s %10s %10s %10s %5s %5s %5s %5s\n", "", "reads", "versions", "requests", "p50",
	       "p99", "p99.9", "max", "torn", "back", "lost", "wrong");
	for (unsigned int i = 0; i < d->b->shells; i++) {
		who(name, i);
		row(name, &d->b->party[i]);
	}
	row("all", &d->total);
	printf("%.0f versions a second were asked for and %.0f published; the daemon took %llu commands, gave %llu "
	       "answers,\n"
	       "slept %llu times and woke shells %llu times.\n",
	       d->b->rate, d->published / d->ran, (unsigned long long)d->b->daemon.commands,
	       (unsigned long long)d->b->daemon.responses, (unsigned long long)d->b->daemon.sleeps,
	       (unsigned long long)d->b->daemon.wakes);
	if (d->no_duet) {
		printf("\nNo figures of a spinning pair: %s.\n", d->no_duet);
		return;
	}
	printf("\nOne daemon on CPU %d and one shell on CPU %d, both spinning; the clock's own %llu ns taken off:\n",
	       du->cpu_daemon, du->cpu_shell, (unsigned long long)du->clock_ns);
	printf("%-31s %9s %10s %10s %10s %10s\n", "", "times", "p50", "p99", "p99.9", "max");
	printf("%-31s %9llu", "a cache line, there and back", (unsigned long long)du->line.count);
	quantiles(&du->line);
	printf("\n%-31s %9llu", "a 64-byte request, its answer", (unsigned long long)du->request.count);
	quantiles(&du->request);
	printf("\nThe request's p50 is %.2f times the cache line's (in %d slices of each in turn: %.2f to %.2f).\n",
	       du->ratio[DUET_SLICES / 2], DUET_SLICES, du->ratio[0], du->ratio[DUET_SLICES - 1]);
}

static void json_hist(const char *name, const struct hist *h)
{
	printf("\"%s\": {\"count\": %llu, \"p50\": %llu, \"p99\": %llu, \"p99.9\": %llu, \"max\": %llu}", name,
	       (unsigned long long)h->count, (unsigned long long)hist_quantile(h, 0.5),
	       (unsigned long long)hist_quantile(h, 0.99), (unsigned long long)hist_quantile(h, 0.999),
	       (unsigned long long)h->max);
}

static void json_party(const struct party *p)
{
	printf("{\"reads\": %llu, \"versions\": %llu, \"requests\": %llu, \"torn\": %llu, \"back\": %llu, "
	       "\"lost\": %llu, \"wrong\": %llu, ",
	       (unsigned long long)p->reads, (unsigned long long)p->versions, (unsigned long long)p->requests,
	       (unsigned long long)p->torn, (unsigned long long)p->back, (unsigned long long)p->lost,
	       (unsigned long long)p->wrong);
	json_hist("latency_ns", &p->latency);
	printf("}");
}

static void json(const struct demo *d, bool well)
{
	printf("{\"ok\": %s, \"seconds\": %.3f, \"rate_asked\": %.1f, \"rate\": %.1f, \"shells\": [",
	       well ? "true" : "false", d->ran, d->b->rate, d->published / d->ran);
	for (unsigned int i = 0; i < d->b->shells; i++) {
		printf("%s", i ? ", " : "");
		json_party(&d->b->party[i]);
	}
	printf("], \"all\": ");
	json_party(&d->total);
	if (d->no_duet) {
		printf(", \"no_duet\": ");
		json_name(d->no_duet);
	} else {
		printf(", \"duet\": {\"cpu_daemon\": %d, \"cpu_shell\": %d, \"clock_ns\": %llu, \"ratio\": %.3f, ",
		       d->duet.cpu_daemon, d->duet.cpu_shell, (unsigned long long)d->duet.clock_ns,
		       d->duet.ratio[DUET_SLICES / 2]);
		json_hist("line_ns", &d->duet.line);
		printf(", ");
		json_hist("request_ns", &d->duet.request);
		printf("}");
	}
	printf("}\n");
}

/* Take the first two CPUs that we may run on, unless the user named two. */
static void choose_cpus(struct demo *d)
{
	cpu_set_t set;

	if (d->cpu_daemon >= 0)
		return;
	if (!sched_getaffinity(0, sizeof(set), &set)) {
		for (int cpu = 0; cpu < CPU_SETSIZE && d->cpu_shell < 0; cpu++) {
			if (!CPU_ISSET(cpu, &set))
				continue;
			if (d->cpu_daemon < 0)
				d->cpu_daemon = cpu;
			else
				d->cpu_shell = cpu;
		}
	}
	if (d->cpu_shell < 0)
		d->no_duet = "two that spin need two CPUs, and only one may be used here";
}

static int perform(struct demo *d)
{
	const struct party *t = &d->total;
	bool well;

	if (!d->json)
		printf("A daemon publishes this machine's figures %.0f times a second as '%s'; %u shells read them\n"
		       "and send requests for %g seconds.\n",
		       d->b->rate, d->b->name, d->b->shells, d->seconds);
	flush_out();
	hold_signals();
	choose_cpus(d);
	well = start(d) && watch(d);
	well &= stop(d);
	add_up(d);
	if (well && stopped)
		d->no_duet = "interrupted";
	if (well && !d->no_duet) {
		d->duet.cpu_daemon = d->cpu_daemon;
		d->duet.cpu_shell = d->cpu_shell;
		well = !duet_run(&d->duet, NSEC_PER_SEC);
	}
	if (!well)
		return complain(NULL, "failed: not all of the demo's processes did well");
	well = !(t->torn + t->back + t->lost + t->wrong) && t->reads && t->requests;
	if (d->json)
		json(d, well);
	else
		report(d);
	if (!well)
		return complain(
			NULL,
			"failed: %llu torn, %llu going back, %llu lost, %llu wrong, of %llu reads and %llu requests",
			(unsigned long long)t->torn, (unsigned long long)t->back, (unsigned long long)t->lost,
			(unsigned long long)t->wrong, (unsigned long long)t->reads, (unsigned long long)t->requests);
	if (!d->json)
		printf("\nGood: no read was torn or went back, no answer was lost or another's.\n");
	return 0;
}

/* Parse "0,1". */
static bool two_cpus(const char *text, int cpus[2])
{
	for (int i = 0; i < 2; i++) {
		char *end;
		unsigned long cpu = strtoul(text, &end, 10);

		if (end == text || *end != (i ? 0 : ',') || cpu >= CPU_SETSIZE)
			return false;
		cpus[i] = cpu;
		text = end + 1;
	}
	return cpus[0] != cpus[1];
}

static int run(int argc, char **argv)
{
	static const struct option opts[] = {{"help", no_argument, NULL, 'h'},
					     {"seconds", required_argument, NULL, 's'},
					     {"shells", required_argument, NULL, 'n'},
					     {"rate", required_argument, NULL, 'r'},
					     {"cpus", required_argument, NULL, 'c'},
					     {"json", no_argument, NULL, 'j'},
					     {0}};
	static struct demo d = {.seconds = 5};
	struct board *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int c, cpus[2] = {-1, -1};

	if (b == MAP_FAILED)
		return complain(NULL, "no memory for the demo: %s", strerror(errno));
	d.b = b;
	b->shells = 3;
	b->rate = 2000;
	while ((c = option(argc, argv, opts)) != -1) {
		if (c == 's')
			d.seconds = opt_real(0.1, 1e6);
		else if (c == 'n')
			b->shells = opt_number(1, DEMO_SHELLS_MAX);
		else if (c == 'r')
			b->rate = opt_real(1, 1e5);
		else if (c == 'j')
			d.json = true;
		else if (!two_cpus(optarg, cpus))
			usage("--cpus: '%s' is not two CPUs such as 0,1", optarg);
	}
	if (optind < argc)
		usage("'%s' is too much; the demo names its channel itself", argv[optind]);
	d.cpu_daemon = cpus[0];
	d.cpu_shell = cpus[1];
	snprintf(b->name, sizeof(b->name), "demo-%d", getpid());
	return perform(&d);
}

const struct verb verb_demo = {
	.name = "demo",
	.summary = "a daemon and some shells at work, all of it checked and measured",
	.help = "demo [OPTIONS]\n\n"
		"A daemon process publishes this machine's own figures; shell processes read them, send requests\n"
		"of 64 bytes, and check every state and every answer.  At the end: what each of them saw, and what\n"
		"a request takes when both sides spin, beside a cache line's round trip between the same CPUs.\n\n"
		"  --seconds S       how long; default 5, and about a second more\n"
		"  --shells N        shell processes; default 3\n"
		"  --rate HZ         versions a second; default 2000\n"
		"  --cpus A,B        CPUs of the spinning daemon and of its shell; default the first two\n"
		"  --json            one object; the live line goes to stderr\n\n"
		"Exit status: 0 if nothing was torn, lost or wrong, else 1.",
	.run = run,
};

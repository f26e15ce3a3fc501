/* SPDX-License-Identifier: MIT */
/*
 * Rows of many shells: producers side by side, silent shells, shells that come and go.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "bench.h"

#define SIZE 64

/* ---- producers --------------------------------------------------------------------- */

/* each[i]: commands of producer i; value[0]: millions of commands a second, of all producers. */
static int consumer(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	uint64_t next[64] = {0}, all = 0, start = 0, end = 0;
	struct venom_command cmd;
	struct venom_daemon *d;
	int rc;

	cfg.cmd_size = SIZE;
	cfg.cmd_slots = 256;
	cfg.spin_ns = VENOM_SPIN_FOREVER;
	d = daemon_open(st, &cfg);
	if (!d)
		return 1;
	atomic_store(&st->ready, 1);
	do {
		rc = venom_daemon_receive(d, &cmd, PATIENCE);
		if (rc != 1)
			return bad_rc("receive", rc);
		if (!payload_is(cmd.data, SIZE, ++next[cmd.client_id]))
			return bad("shell %u: command %llu is not the next", cmd.client_id,
				   (unsigned long long)next[cmd.client_id]);
		/*
		 * Read the clock once in 256 commands.  Commands count from the first such point at which all producers
		 * are there.
		 */
		if (++all % 256)
			continue;
		if (start) {
			end = now_ns();
		} else if (atomic_load_explicit(&st->go, memory_order_relaxed) == (int)st->n) {
			start = now_ns();
			all = 0;
			for (unsigned int i = 0; i < st->n; i++)
				st->each[i] = next[i];
		}
	} while (!start || end < start + st->slice_ns);
	for (unsigned int i = 0; i < st->n; i++)
		st->each[i] = next[i] - st->each[i];
	st->value[0] = 1e3 * all / (end - start);
	atomic_store(&st->done, 1);
	/* A producer that waits for room must see `done` before the daemon dies. */
	while (atomic_load(&st->seen) < st->n)
		venom_daemon_receive(d, &cmd, 1000000);
	venom_daemon_destroy(d);
	return 0;
}

static int producer(struct stage *st)
{
	struct venom_shell *s = shell_open(st);
	char data[SIZE] = {0};
	uint64_t n = 0;
	int rc = 0;

	if (!s)
		return 1;
	venom_shell_set_spin(s, VENOM_SPIN_FOREVER);
	atomic_fetch_add(&st->go, 1);
	while (!atomic_load_explicit(&st->done, memory_order_relaxed)) {
		if (!rc)
			payload_make(data, SIZE, ++n);
		rc = venom_shell_send(s, data, SIZE);
		if (rc == -EAGAIN)
			rc = venom_shell_room(s, 1000000) < 0 ? -EPIPE : -EAGAIN;
		if (rc && rc != -EAGAIN)
			return bad_rc("send", rc);
	}
	atomic_fetch_add(&st->seen, 1);
	venom_shell_close(s);
	return 0;
}

static int producers_by(const struct way *w, unsigned int n)
{
	struct stage *st = stage_new(w, 0);
	double least = 1e300, most = 0;

	st->n = n;
	/* Producers that share CPUs get a longer slice, so that each gets some turns. */
	if (n >= (unsigned int)bench->ncpus)
		st->slice_ns *= 4;
	if (crowd(st, consumer, producer, n))
		return 1;
	for (unsigned int i = 0; i < n; i++) {
		least = st->each[i] < least ? st->each[i] : least;
		most = st->each[i] > most ? st->each[i] : most;
	}
	put_value(numbered(w->name, n, n > 1 ? "producers" : "producer"), VENOM, MILLION_S, st->value[0]);
	if (n > 1 && w == ways)
		put_value(numbered("slowest to fastest", n, "producers"), VENOM, COUNT, most ? least / most : 0);
	return 0;
}

/*
 * The number of producers after n: twice as many; the last is one for each CPU that the consumer leaves, 16 at most;
 * then 0.
 */
static unsigned int more_producers(unsigned int n)
{
	unsigned int most = bench->ncpus < 3 ? 2 : bench->ncpus > 16 ? 16 : (unsigned int)bench->ncpus - 1;

	return n == most ? 0 : 2 * n < most ? 2 * n : most;
}

static int producers(void)
{
	char one[48], two[48];

	for (unsigned int i = 0; i < nways; i++) {
		for (unsigned int n = 1; n; n = more_producers(n))
			if (producers_by(&ways[i], n))
				return 1;
	}
	snprintf(one, sizeof(one), "%s", numbered("venom", 1, "producer"));
	for (unsigned int n = more_producers(1); n; n = more_producers(n)) {
		snprintf(two, sizeof(two), "%s", numbered("venom", n, "producers"));
		goal(two, one, AT_LEAST, 0.9);
		goal(numbered("slowest to fastest", n, "producers"), "", AT_LEAST, 0.8);
	}
	return 0;
}

const struct row row_producers = {
	.name = "producers", .what = "64-byte commands of many shells at once", .round = producers};

/* ---- silent shells ------------------------------------------------------------------- */

static int server(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_command cmd;
	struct venom_daemon *d;
	int rc;

	many_files();
	cfg.cmd_size = cfg.resp_size = SIZE;
	cfg.cmd_slots = 16;
	cfg.max_clients = 1024;
	cfg.spin_ns = VENOM_SPIN_FOREVER;
	d = daemon_open(st, &cfg);
	if (!d)
		return 1;
	atomic_store(&st->ready, 1);
	do {
		rc = venom_daemon_receive(d, &cmd, 20 * (int64_t)NSEC_PER_SEC);
		if (rc == 1)
			rc = venom_daemon_respond(d, &cmd, cmd.data, cmd.len);
		if (rc)
			return bad_rc("serve", rc);
	} while (!atomic_load_explicit(&st->done, memory_order_relaxed));
	venom_daemon_destroy(d);
	return 0;
}

static int asker(struct stage *st)
{
	char data[SIZE] = {0}, answer[SIZE];
	struct venom_shell *s;
	uint64_t n = 0, start, took, end;
	ssize_t rc;

	if (!wait_flag(&st->go, 1)) /* the silent shells are there */
		return 1;
	s = shell_open(st);
	if (!s)
		return 1;
	venom_shell_set_spin(s, VENOM_SPIN_FOREVER);
	end = now_ns() + st->slice_ns;
	do {
		payload_make(data, SIZE, ++n);
		start = now_ns();
		rc = venom_shell_request(s, data, SIZE, answer, SIZE, PATIENCE);
		took = now_ns() - start;
		if (rc < 0)
			return bad_rc("request", rc);
		if (!payload_is(answer, SIZE, n))
			return bad("a wrong answer");
		if (n > 10000)
			hist_add(&st->hist, took > st->clock_ns ? took - st->clock_ns : 0);
		else
			end = start + st->slice_ns;
	} while (start < end);
	atomic_store(&st->shown, 1);
	while (atomic_load(&st->seen)) /* churner() still needs the server */
		nap(100000);
	atomic_store(&st->done, 1);
	venom_shell_request(s, data, SIZE, answer, SIZE, PATIENCE); /* makes the server look at `done` */
	venom_shell_close(s);
	return 0;
}

static int say_nothing(struct stage *st)
{
	many_files();
	for (unsigned int i = 1; i < st->n; i++)
		if (!shell_open(st))
			return 1;
	atomic_store(&st->go, 1);
	return !wait_flag(&st->done, 1);
}

static int ask_or_not(struct stage *st)
{
	return nth == 1 ? asker(st) : say_nothing(st);
}

static int silent(void)
{
	static const unsigned int counts[] = {1, 100, 1000};

	for (unsigned int w = 0; w < nways; w++) {
		/* A lane has base pages in any case. */
		if (ways[w].huge == VENOM_HUGE_NEVER)
			continue;
		for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
			struct stage *st = stage_new(&ways[w], 0);

			st->n = counts[i];
			if (crowd(st, server, ask_or_not, 2))
				return 1;
			put_hist(numbered(ways[w].name, counts[i], counts[i] > 1 ? "shells" : "shell"), VENOM,
				 &st->hist);
		}
	}
	goal("venom, 1000 shells", "venom, 1 shell", AT_MOST, 1.2);
	return 0;
}

const struct row row_silent = {
	.name = "silent", .what = "64 bytes asked and answered, beside shells that say nothing", .round = silent};

/* ---- shells that come and go ------------------------------------------------------------ */

#define CHURN_NS 1000000 /* from one process to the next */

enum { CONNECT, NO_CONNECT }; /* st->n */

/* Every other shell closes; the rest just exit. */
static int short_life(void *arg)
{
	struct stage *st = arg;
	struct venom_shell *s;

	if (st->n == NO_CONNECT)
		return 0;
	s = shell_open(st);
	if (s && st->count % 2)
		venom_shell_close(s);
	return !s;
}

/* value[0]: short lives a second. */
static int churner(struct stage *st)
{
	uint64_t start = now_ns(), next = start;
	int status = 0;

	atomic_store(&st->go, 1);
	while (!status && !atomic_load(&st->shown)) {
		uint64_t now = now_ns();
		pid_t pid;

		if (now < next)
			nap(next - now);
		next += CHURN_NS;
		pid = child(short_life, st);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return bad("fork: %s", strerror(errno));
		st->count++;
	}
	st->value[0] = 1e9 * st->count / (now_ns() - start);
	atomic_store(&st->seen, 0);
	return status != 0;
}

static int ask_or_churn(struct stage *st)
{
	return nth == 1 ? asker(st) : churner(st);
}

static int churn_by(const struct way *w, const char *name, enum who who, unsigned int what)
{
	struct stage *st = stage_new(w, 0);
	char lives[48];

	st->n = what;
	atomic_store(&st->seen, 1);
	if (crowd(st, server, ask_or_churn, 2))
		return 1;
	put_hist(name, who, &st->hist);
	snprintf(lives, sizeof(lives), "%s: lives a second", name);
	put_value(lives, who, PER_S, st->value[0]);
	return 0;
}

static int churn(void)
{
	if (churn_by(ways, "beside forks alone", LIMIT, NO_CONNECT))
		return 1;
	for (unsigned int w = 0; w < nways; w++)
		if (ways[w].huge != VENOM_HUGE_NEVER && churn_by(&ways[w], ways[w].name, VENOM, CONNECT))
			return 1;
	goal_at("venom", P999, "beside forks alone", P999, AT_MOST, 1.5);
	return 0;
}

const struct row row_churn = {
	.name = "churn",
	.what = "64 bytes asked and answered, beside 1,000 processes a second that connect and die",
	.round = churn};

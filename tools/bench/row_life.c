/* SPDX-License-Identifier: MIT */
/*
 * Rows of a channel's life: create, connect, idle, and a long run.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "transport.h"

#define SIZE 64

/* ---- made and met ------------------------------------------------------------------ */

/* Connects before the measurement: the first few hundred take 20 to 30 us more, on huge pages and on base pages. */
#define WARM	 500
#define CONNECTS 500
#define IN_A_ROW 400 /* shells that stay */

enum { CREATE, CONNECT, FIRST, COLD, LANE, RSS, STATE };
enum { ROW, SLOWEST, INDEX }; /* indices of each[] */

static double resident(void)
{
	unsigned long size, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%lu %lu", &size, &rss) != 2)
		rss = 0;
	if (f)
		fclose(f);
	return (double)rss * sysconf(_SC_PAGESIZE);
}

/* Create channels, and leave the last one to the shells. */
static int maker(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_daemon *d = NULL;
	char data[SIZE] = {1};

	many_files();
	cfg.data_size = 1 << 20;
	if (st->n)
		cfg.max_clients = st->n;
	for (int i = 0; i < 20; i++) {
		uint64_t start;

		venom_daemon_destroy(d);
		start = now_ns();
		d = daemon_open(st, &cfg);
		if (!d)
			return 1;
		hist_add(&st->hist, now_ns() - start);
	}
	st->value[CREATE] = hist_quantile(&st->hist, 0.5);
	venom_daemon_publish(d, data, SIZE);
	atomic_store(&st->ready, 1);
	if (!wait_flag(&st->done, 1))
		return 1;
	venom_daemon_destroy(d);
	return 0;
}

static int comer(struct stage *st)
{
	struct hist connect = {0}, first = {0};
	struct venom_shell *s[32];
	struct venom_info info;
	char data[SIZE];
	double rss;

	if (!wait_flag(&st->ready, 1))
		return 1;
	for (int i = 0; i < WARM + CONNECTS; i++) {
		uint64_t start = now_ns(), connected;
		struct venom_shell *one = shell_open(st);
		ssize_t rc;

		if (!one)
			return 1;
		connected = now_ns();
		rc = venom_shell_read(one, data, SIZE, NULL);
		if (rc != SIZE)
			return bad_rc("read", rc);
		if (!i)
			st->value[COLD] = now_ns() - start;
		if (i >= WARM) {
			hist_add(&connect, connected - start);
			hist_add(&first, now_ns() - start);
		}
		venom_shell_info(one, &info);
		venom_shell_close(one);
	}
	rss = resident();
	for (unsigned int i = 0; i < ARRAY_SIZE(s); i++) {
		s[i] = shell_open(st);
		if (!s[i])
			return 1;
		venom_shell_read(s[i], data, SIZE, NULL);
		venom_shell_send(s[i], data, 0);
	}
	st->value[RSS] = (resident() - rss) / ARRAY_SIZE(s);
	st->value[LANE] = info.lane_bytes;
	st->value[STATE] = info.page_size;
	st->value[CONNECT] = hist_quantile(&connect, 0.5);
	st->value[FIRST] = hist_quantile(&first, 0.5);
	for (unsigned int i = 0; i < ARRAY_SIZE(s); i++)
		venom_shell_close(s[i]);
	atomic_store(&st->done, 1);
	return 0;
}

/*
 * The same, but each shell stays, so the tables of descriptors in this process and in the daemon grow.  Where a process
 * has threads, the kernel makes it wait for that.  The number of the slowest connect tells whether this was the cause.
 */
static int comers_stay(struct stage *st)
{
	static struct venom_shell *s[IN_A_ROW];
	struct hist first = {0};
	char data[SIZE];

	many_files();
	if (!wait_flag(&st->ready, 1))
		return 1;
	for (unsigned int i = 0; i < IN_A_ROW; i++) {
		uint64_t start = now_ns(), took;
		ssize_t rc;

		s[i] = shell_open(st);
		if (!s[i])
			return 1;
		rc = venom_shell_read(s[i], data, SIZE, NULL);
		if (rc != SIZE)
			return bad_rc("read", rc);
		took = now_ns() - start;
		hist_add(&first, took);
		if (i && took > st->each[SLOWEST]) { /* the very first has a figure of its own */
			st->each[SLOWEST] = took;
			st->each[INDEX] = i + 1;
		}
	}
	st->each[ROW] = hist_quantile(&first, 0.5);
	for (unsigned int i = 0; i < IN_A_ROW; i++)
		venom_shell_close(s[i]);
	atomic_store(&st->done, 1);
	return 0;
}

/* The same number of bytes without venom. */
static int memfd_alone(struct stage *st)
{
	size_t size = 5 << 20; /* 4 versions of 1 MiB and their headers, in whole 2 MiB pages or not */

	for (int i = 0; i < 20; i++) {
		uint64_t start = now_ns();
		int fd = memfd_create("bench", MFD_CLOEXEC);
		void *p;

		if (fd < 0 || ftruncate(fd, size))
			return bad("memfd");
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
		if (p == MAP_FAILED)
			return bad("mmap");
		hist_add(&st->hist, now_ns() - start);
		munmap(p, size);
		close(fd);
	}
	st->value[CREATE] = hist_quantile(&st->hist, 0.5);
	return 0;
}

static int life(void)
{
	static const struct {
		const char *what;
		int at;
		enum unit unit;
	} put[] = {
		{"create, 1 MiB, 4 versions", CREATE, NS}, {"connect", CONNECT, NS},
		{"connect to first read", FIRST, NS},	   {"the very first", COLD, NS},
		{"memory of a shell's lane", LANE, BYTES}, {"resident in a shell", RSS, BYTES},
		{"page of the state", STATE, BYTES},
	};
	struct stage *st = stage_new(NULL, 0);
	char name[48];

	if (alone(st, memfd_alone))
		return 1;
	put_value("memfd and mmap of 5 MiB", LIMIT, NS, st->value[CREATE]);
	for (unsigned int w = 0; w < nways; w++) {
		st = stage_new(&ways[w], 0);
		if (pair(st, NULL, maker, comer))
			return 1;
		for (unsigned int i = 0; i < ARRAY_SIZE(put); i++) {
			snprintf(name, sizeof(name), "%s: %s", ways[w].name, put[i].what);
			put_value(name, VENOM, put[i].unit, st->value[put[i].at]);
		}
		st = stage_new(&ways[w], 0);
		st->n = IN_A_ROW;
		if (pair(st, NULL, maker, comers_stay))
			return 1;
		snprintf(name, sizeof(name), "%s: one of 400 in a row", ways[w].name);
		put_value(name, VENOM, NS, st->each[ROW]);
		snprintf(name, sizeof(name), "%s: the slowest of them", ways[w].name);
		put_value(name, VENOM, NS, st->each[SLOWEST]);
		snprintf(name, sizeof(name), "%s: it was number", ways[w].name);
		put_value(name, VENOM, COUNT, st->each[INDEX]);
	}
	goal("venom: connect to first read", "", AT_MOST, 100000);
	goal("venom: one of 400 in a row", "", AT_MOST, 100000);
	goal("venom: the slowest of them", "", AT_MOST, 5000000); /* a stall is 10 to 18 ms */
	return 0;
}

const struct row row_life = {.name = "life", .what = "a channel made, and met", .round = life};

/* ---- adaptive waits: no system call while the peer answers, none of the CPU while nobody asks --- */

#define BUDGET_NS 50000 /* the most that an adaptive wait spins */

static double cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

static int adapt_server(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_command cmd;
	struct venom_daemon_stats before, after;
	struct venom_daemon *d;
	double cpu;
	int rc;

	cfg.cmd_size = cfg.resp_size = SIZE;
	d = daemon_open(st, &cfg);
	if (!d)
		return 1;
	atomic_store(&st->ready, 1);
	venom_daemon_stats(d, &before);
	while (!atomic_load_explicit(&st->done, memory_order_relaxed)) {
		rc = venom_daemon_receive(d, &cmd, PATIENCE);
		if (rc == 1)
			rc = venom_daemon_respond(d, &cmd, cmd.data, cmd.len);
		if (rc)
			return bad_rc("serve", rc);
		if (atomic_load_explicit(&st->go, memory_order_relaxed) == 1) { /* warmed up */
			venom_daemon_stats(d, &before);
			atomic_store(&st->go, 2);
		}
	}
	venom_daemon_stats(d, &after);
	st->value[0] = after.sleeps + after.wakes - before.sleeps - before.wakes;
	/* The daemon is idle: no request comes. */
	cpu = cpu_ns();
	rc = venom_daemon_receive(d, &cmd, st->slice_ns * 5);
	st->value[2] = 100 * (cpu_ns() - cpu) / (st->slice_ns * 5);
	venom_daemon_destroy(d);
	return rc ? bad("a command out of nowhere") : 0;
}

static int adapt_asker(struct stage *st)
{
	struct venom_shell *s = shell_open(st);
	struct venom_shell_stats before, after;
	char data[SIZE] = {0}, answer[SIZE];
	uint64_t start, end = 0, n = 0;
	ssize_t rc;

	if (!s)
		return 1;
	do {
		start = now_ns();
		rc = venom_shell_request(s, data, SIZE, answer, SIZE, PATIENCE);
		if (rc < 0)
			return bad_rc("request", rc);
		if (end && now_ns() - start > BUDGET_NS)
			st->value[3]++;
		if (++n == 1000)
			atomic_store(&st->go, 1);
		if (!end && atomic_load(&st->go) == 2) {
			venom_shell_stats(s, &before);
			end = now_ns() + st->slice_ns;
		}
		if (end)
			st->count++;
	} while (!end || now_ns() < end);
	venom_shell_stats(s, &after);
	st->value[1] = after.sleeps + after.wakes + after.checks - before.sleeps - before.wakes - before.checks;
	atomic_store(&st->done, 1);
	rc = venom_shell_request(s, data, SIZE, answer, SIZE, PATIENCE);
	nap(st->slice_ns * 6);
	venom_shell_close(s);
	return rc < 0 ? bad_rc("request", rc) : 0;
}

static int adaptive(void)
{
	for (unsigned int w = 0; w < nways; w++) {
		struct stage *st = stage_new(&ways[w], 0);
		char name[48];

		if (ways[w].huge == VENOM_HUGE_NEVER)
			continue;
		if (pair(st, NULL, adapt_server, adapt_asker))
			return 1;
		/*
		 * A request that takes longer than the budget costs up to four calls: two sleeps, two wakes.  Any other
		 * costs none.
		 */
		snprintf(name, sizeof(name), "%s: over the budget / M", ways[w].name);
		put_value(name, VENOM, COUNT, 1e6 * st->value[3] / st->count);
		snprintf(name, sizeof(name), "%s: system calls / M", ways[w].name);
		put_value(name, VENOM, COUNT, 1e6 * (st->value[0] + st->value[1]) / st->count);
		snprintf(name, sizeof(name), "%s: CPU of an idle daemon", ways[w].name);
		put_value(name, VENOM, PERCENT, st->value[2]);
	}
	goal("venom: system calls / M", "venom: over the budget / M", AT_MOST, 4);
	goal("venom: CPU of an idle daemon", "", AT_MOST, 0.5);
	return 0;
}

const struct row row_adaptive = {.name = "adaptive",
				 .what = "adaptive waits: system calls in a million requests, and an idle daemon",
				 .round = adaptive};

/* ---- long ------------------------------------------------------------------------------ */

#define WINDOWS 10
#define LOOK_NS 100000 /* between two reads: a reader without pause takes the line at a varying rate */

/*
 * Publish without pause, with a rate for each window.  By turns, only make the payload: the rate of that changes with
 * the speed of the CPU, which other processes may use, too.
 */
static int marathon(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_daemon *d;
	char data[SIZE] = {0};
	uint64_t n = 0;
	int rc = 0;

	cfg.data_size = SIZE;
	d = daemon_open(st, &cfg);
	if (!d)
		return 1;
	atomic_store(&st->ready, 1);
	if (!spin_flag(&st->go, 1))
		return 1;
	for (int w = 0; w < WINDOWS; w++) {
		uint64_t start = now_ns(), first = n, took = 0, alone = 0, before, now = start;

		do {
			before = now;
			for (int i = 0; i < 1024; i++) {
				payload_make(data, SIZE, ++n);
				rc |= venom_daemon_publish(d, data, SIZE);
			}
			now = now_ns();
			took += now - before;
			before = now;
			for (int i = 0; i < 1024; i++) {
				payload_make(data, SIZE, i);
				keep((uintptr_t)data);
			}
			now = now_ns();
			alone += now - before;
		} while (now - start < st->slice_ns);
		st->each[w] = 1e3 * (n - first) / took;
		st->each[WINDOWS + w] = (double)took / alone;
	}
	st->count = n;
	atomic_store(&st->done, 1);
	venom_daemon_destroy(d);
	return rc ? bad_rc("publish", rc) : 0;
}

static int follower(struct stage *st)
{
	struct venom_shell *s = shell_open(st);
	uint64_t n = 0, last = 0, next = 0;
	char data[SIZE];

	if (!s)
		return 1;
	atomic_store(&st->go, 1);
	while (!atomic_load_explicit(&st->done, memory_order_relaxed)) {
		if (now_ns() < next || venom_shell_read(s, data, SIZE, &n) < 0)
			continue;
		next = now_ns() + LOOK_NS;
		if (n < last || !payload_is(data, SIZE, n))
			return bad("version %llu after %llu, or not its bytes", (unsigned long long)n,
				   (unsigned long long)last);
		last = n;
	}
	venom_shell_close(s);
	return 0;
}

static int steady(void)
{
	struct stage *st = stage_new(ways, 0);

	/* Ten windows of 2 seconds each; with `--only steady --slice 6`, of a minute each. */
	st->slice_ns = bench->slice_ns * 10;
	if (pair(st, NULL, marathon, follower))
		return 1;
	put_value("versions", VENOM, MILLION_S, st->count / 1e6);
	put_value("first window", VENOM, MILLION_S, st->each[0]);
	put_value("last window", VENOM, MILLION_S, st->each[WINDOWS - 1]);
	put_value("first window: publishes / payloads", VENOM, COUNT, st->each[WINDOWS]);
	put_value("last window: publishes / payloads", VENOM, COUNT, st->each[2 * WINDOWS - 1]);
	goal("last window", "first window", AT_LEAST, 0.98);
	goal("last window: publishes / payloads", "first window: publishes / payloads", AT_MOST, 1 / 0.98);
	return 0;
}

const struct row row_steady = {.name = "steady",
			       .what = "64 bytes published without pause, and read each 100 us, for long",
			       .round = steady,
			       .once = true};

/* SPDX-License-Identifier: MIT */
/*
 * Rows of sleeping shells that one publish wakes.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench.h"

#define SIZE 64

/*
 * n threads sleep; one publish, or n writes to n eventfds, wakes them all.  The figure is how long this delays the
 * waker.
 */
struct sleeper {
	struct stage *st;
	struct venom_shell *s;
	int efd;
	pthread_t thread;
};

static int wake_efd[1024];

static void *sleep_on_shell(void *arg)
{
	struct sleeper *me = arg;
	struct stage *st = me->st;
	uint64_t n = 0;

	venom_shell_set_spin(me->s, VENOM_SPIN_NONE);
	while (venom_shell_wait(me->s, n, PATIENCE) == 1) {
		n = venom_shell_version(me->s);
		atomic_fetch_add(&st->seen, 1);
	}
	return NULL;
}

static void *sleep_on_eventfd(void *arg)
{
	struct sleeper *me = arg;
	struct stage *st = me->st;
	uint64_t n;

	while (read(me->efd, &n, sizeof(n)) == sizeof(n) && !atomic_load(&st->done))
		atomic_fetch_add(&st->seen, 1);
	return NULL;
}

static int sleepers(struct stage *st)
{
	struct sleeper *all = calloc(st->n, sizeof(*all));
	void *(*fn)(void *) = st->way ? sleep_on_shell : sleep_on_eventfd;
	pthread_attr_t attr;

	many_files();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	for (unsigned int i = 0; i < st->n; i++) {
		all[i].st = st;
		all[i].efd = wake_efd[i];
		if (st->way) {
			all[i].s = shell_open(st);
			if (!all[i].s)
				return 1;
		}
		if (pthread_create(&all[i].thread, &attr, fn, &all[i]))
			return bad("no thread");
	}
	atomic_store(&st->go, 1);
	for (unsigned int i = 0; i < st->n; i++) {
		pthread_join(all[i].thread, NULL);
		venom_shell_close(all[i].s);
	}
	return 0;
}

/* Wait until all have woken, and have had the time to fall asleep again. */
static bool rest(struct stage *st, uint64_t woken)
{
	uint64_t deadline = now_ns() + PATIENCE;

	while (atomic_load(&st->seen) < woken) {
		if (now_ns() > deadline)
			return bad("%llu of %llu were woken", (unsigned long long)atomic_load(&st->seen),
				   (unsigned long long)woken),
			       false;
		nap(50000);
	}
	nap(300000 + 5000 * st->n);
	return true;
}

static int waker(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	uint64_t one = 1, start, end, rounds = 0;
	struct venom_daemon *d = NULL;
	int rc = 0;

	many_files();
	if (st->way) {
		cfg.data_size = SIZE;
		cfg.max_clients = 1024;
		d = daemon_open(st, &cfg);
		if (!d)
			return 1;
	}
	atomic_store(&st->ready, 1);
	if (!wait_flag(&st->go, 1))
		return 1;
	nap(20000000);
	end = now_ns() + 2 * st->slice_ns;
	do {
		start = now_ns();
		if (d)
			rc = venom_daemon_publish(d, &rounds, sizeof(rounds));
		else
			for (unsigned int i = 0; i < st->n && !rc; i++)
				rc = write(wake_efd[i], &one, sizeof(one)) != sizeof(one);
		hist_add(&st->hist, now_ns() - start - st->clock_ns);
		if (rc || !rest(st, ++rounds * st->n))
			return rc ? bad_rc("wake", rc) : 1;
	} while (start < end);
	atomic_store(&st->done, 1);
	for (unsigned int i = 0; i < st->n && !d; i++)
		if (write(wake_efd[i], &one, sizeof(one)) < 0)
			return bad("eventfd: %s", strerror(errno));
	venom_daemon_destroy(d);
	return 0;
}

static int make_eventfds(struct stage *st)
{
	many_files();
	for (unsigned int i = 0; i < st->n && !st->way; i++) {
		wake_efd[i] = eventfd(0, EFD_CLOEXEC);
		if (wake_efd[i] < 0)
			return bad("eventfd: %s", strerror(errno));
	}
	return 0;
}

static int wake_by(const struct way *w, const char *name, enum who who, unsigned int n)
{
	struct stage *st = stage_new(w, 0);

	st->n = n;
	if (pair(st, make_eventfds, waker, sleepers))
		return 1;
	put_hist(name, who, &st->hist);
	return 0;
}

static int wake(void)
{
	static const unsigned int counts[] = {1, 16, 256};

	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		char limit[48], name[48];

		snprintf(limit, sizeof(limit), "%u write(2) to eventfds", counts[i]);
		if (wake_by(NULL, limit, LIMIT, counts[i]))
			return 1;
		for (unsigned int w = 0; w < nways; w++) {
			if (ways[w].huge == VENOM_HUGE_NEVER)
				continue;
			snprintf(name, sizeof(name), "%s", numbered(ways[w].name, counts[i], "sleepers"));
			if (wake_by(&ways[w], name, VENOM, counts[i]))
				return 1;
			goal(name, limit, AT_MOST, 1.1);
		}
	}
	return 0;
}

const struct row row_wake = {
	.name = "wake", .what = "one publish that wakes sleeping shells: how long it takes", .round = wake};
const struct row row_wake_nohalt = {
	.name = "wake-nohalt", .what = "the same, with no CPU that halts", .round = wake, .no_halt = true};

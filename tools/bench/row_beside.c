/* SPDX-License-Identifier: MIT */
/*
 * Rows of a reader of large state beside a writer that never pauses.
 */
#include <errno.h>
#include <string.h>

#include "bulk.h"
#include "transport.h"

/* value[0] is the writer's rate, value[1] the reader's. */
static int copy_alone(struct stage *st)
{
	void *src = memory(st->size), *dst = memory(st->size), *past = memory(st->size);
	struct rate by[8] = {0};

	if (!src || !dst || !past)
		return 1;
	atomic_fetch_add(&st->ready, 1);
	if (!spin_flag(&st->ready, 2))
		return 1;
	/* Both sides copy all the time, so that neither has the memory to itself. */
	for (int turn = 0; turn < TURNS; turn++)
		copiers_turn(st, by, dst, past, src, false);
	st->value[nth] = best_of(st, by, 0);
	return 0;
}

/*
 * The same traffic without venom: one side fills its four buffers in turn, the other copies the last one that was
 * filled; nothing is checked.  What one side has just written comes from its cache.
 */
static int write_by_hand(struct stage *st)
{
	void *src = memory(st->size);
	uint64_t n = 0, start, now;

	if (!src)
		return 1;
	for (int i = 0; i < 2 * RING; i++)
		copiers[st->n].copy(st->scratch + i % RING * st->size, src, st->size);
	if (!spin_flag(&st->go, 1))
		return 1;
	start = now_ns();
	do {
		payload_make(src, st->size, ++n);
		copiers[st->n].copy(st->scratch + n % RING * st->size, src, st->size);
		atomic_store_explicit(&st->shown, n, memory_order_release);
		now = now_ns();
	} while (now - start < st->slice_ns);
	atomic_store(&st->done, 1);
	st->value[0] = (double)n * st->size / (now - start);
	return 0;
}

static int read_by_hand(struct stage *st)
{
	void *dst = memory(st->size);
	uint64_t n = 0, start;

	if (!dst)
		return 1;
	atomic_store(&st->go, 1);
	start = now_ns();
	while (!atomic_load_explicit(&st->done, memory_order_relaxed)) {
		uint64_t last = atomic_load_explicit(&st->shown, memory_order_acquire);

		copiers[st->n].copy(dst, st->scratch + last % RING * st->size, st->size);
		n++;
	}
	st->value[1] = (double)n * st->size / (now_ns() - start);
	return 0;
}

static int never_pauses(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	uint64_t n = 0, start, now;
	struct venom_daemon *d;
	void *src = memory(st->size);
	int rc = 0;

	cfg.data_size = st->size;
	cfg.versions = RING;
	d = daemon_open(st, &cfg);
	if (!d || !src)
		return 1;
	while (n < 2 * RING) {
		payload_make(src, st->size, ++n);
		rc |= venom_daemon_publish(d, src, st->size);
	}
	atomic_store(&st->ready, 1);
	if (!spin_flag(&st->go, 1))
		return 1;
	start = now = now_ns();
	while (!atomic_load_explicit(&st->done, memory_order_relaxed)) {
		payload_make(src, st->size, ++n);
		rc |= venom_daemon_publish(d, src, st->size);
	}
	now = now_ns();
	st->value[0] = (double)(n - 2 * RING) * st->size / (now - start);
	venom_daemon_destroy(d);
	return rc ? bad_rc("publish", rc) : 0;
}

static int reads_beside(struct stage *st)
{
	struct venom_shell *s = shell_open(st);
	void *dst = memory(st->size);
	uint64_t n, start, before, end, got = 0;
	struct hist *solo = (void *)st->scratch;
	ssize_t rc;

	if (!s || !dst)
		return 1;
	end = now_ns() + st->slice_ns / 4;
	do {
		before = now_ns();
		rc = venom_shell_read(s, dst, st->size, &n);
		hist_add(solo, now_ns() - before);
	} while (rc > 0 && before < end);
	atomic_store(&st->go, 1);
	while (rc > 0 && n < 10)
		rc = venom_shell_read(s, dst, st->size, &n);
	start = now_ns();
	end = start + st->slice_ns;
	do {
		before = now_ns();
		rc = venom_shell_read(s, dst, st->size, &n);
		hist_add(&st->hist, now_ns() - before);
		if (rc == -EAGAIN) {
			st->count++;
			continue;
		}
		if (rc < 0)
			return bad_rc("read", rc);
		if (!payload_is(dst, st->size, n))
			return bad("version %llu has other bytes", (unsigned long long)n);
		got++;
	} while (before < end);
	st->value[1] = (double)got * st->size / (now_ns() - start);
	atomic_store(&st->done, 1);
	venom_shell_close(s);
	return 0;
}

/* ---- the same by peers: each write and each read is one memcpy ---- */

/*
 * value[1]: reads that passed and were whole; count: reads that the reader gave up; seen: reads that passed but were
 * torn.
 */
static void count_read(struct stage *st, const void *dst, bool passed)
{
	uint64_t n;

	memcpy(&n, dst, sizeof(n));
	if (!passed)
		st->count++;
	else if (!payload_is(dst, st->size, n))
		atomic_fetch_add(&st->seen, 1);
	else
		st->value[1] += 1;
}

static bool writer_ready(struct stage *st, uint64_t *start)
{
	atomic_store(&st->shown, 1);
	if (!spin_flag(&st->go, 1))
		return false;
	*start = now_ns();
	return true;
}

static bool reader_ready(struct stage *st, uint64_t *start)
{
	if (!await(&st->shown, 1))
		return false;
	atomic_store(&st->go, 1);
	*start = now_ns();
	return true;
}

static int peer_writes(struct stage *st)
{
	const struct transport *t = st->via;
	uint64_t n = 0, start = 0;
	void *src = memory(st->size);

	if (!src || t->open(st, 0))
		return 1;
	while (!atomic_load_explicit(&st->done, memory_order_relaxed)) {
		if (n == WARM && !writer_ready(st, &start))
			return 1;
		payload_make(src, st->size, ++n);
		if (t->send(st, src))
			return 1;
	}
	st->value[0] = (double)(n - WARM) * st->size / (now_ns() - start);
	t->close(st, 0);
	return 0;
}

static int peer_reads(struct stage *st)
{
	const struct transport *t = st->via;
	void *dst = memory(st->size);
	uint64_t start, now;

	if (!dst || t->open(st, 1) || !reader_ready(st, &start))
		return 1;
	do {
		if (t->take(st, dst))
			return 1;
		count_read(st, dst, true);
		now = now_ns();
	} while (now - start < st->slice_ns);
	st->value[1] *= 1e9 / (now - start);
	atomic_store(&st->done, 1);
	t->close(st, 1);
	return 0;
}

struct seqlock {
	_Alignas(128) atomic_ullong seq;
	_Alignas(128) char data[];
};

static int seqlock_writes(struct stage *st)
{
	struct seqlock *l = (void *)st->scratch;
	void *src = memory(st->size);
	uint64_t n = 0, start = 0;

	if (!src)
		return 1;
	while (!atomic_load_explicit(&st->done, memory_order_relaxed)) {
		if (n == WARM && !writer_ready(st, &start))
			return 1;
		payload_make(src, st->size, ++n);
		atomic_store_explicit(&l->seq, 2 * n - 1, memory_order_relaxed);
		atomic_thread_fence(memory_order_release);
		memcpy(l->data, src, st->size);
		atomic_store_explicit(&l->seq, 2 * n, memory_order_release);
	}
	st->value[0] = (double)(n - WARM) * st->size / (now_ns() - start);
	return 0;
}

static int seqlock_reads(struct stage *st)
{
	struct seqlock *l = (void *)st->scratch;
	void *dst = memory(st->size);
	uint64_t start, now;

	if (!dst || !reader_ready(st, &start))
		return 1;
	do {
		uint64_t seq = atomic_load_explicit(&l->seq, memory_order_acquire);

		if (!(seq & 1))
			memcpy(dst, l->data, st->size);
		atomic_thread_fence(memory_order_acquire);
		count_read(st, dst, !(seq & 1) && atomic_load_explicit(&l->seq, memory_order_relaxed) == seq);
		now = now_ns();
	} while (now - start < st->slice_ns);
	st->value[1] *= 1e9 / (now - start);
	atomic_store(&st->done, 1);
	return 0;
}

static int beside_peer(const char *peer, struct stage *st, side_fn *writes, side_fn *reads)
{
	char name[48];

	st->size = bench->row->size;
	st->latest = true;
	if (pair(st, st->via ? st->via->make : NULL, writes, reads))
		return 1;
	snprintf(name, sizeof(name), "%s, writer", peer);
	put_value(name, PEER, GB_S, st->value[0]);
	snprintf(name, sizeof(name), "%s, reads", peer);
	put_value(name, PEER, PER_S, st->value[1]);
	snprintf(name, sizeof(name), "%s, torn", peer);
	put_value(name, PEER, COUNT, st->seen);
	return 0;
}

static int beside_peers(void)
{
	struct stage *st = stage_new(NULL, sizeof(struct seqlock) + bench->row->size);

	if (beside_peer("a bare seqlock", st, seqlock_writes, seqlock_reads))
		return 1;
	put_value("a bare seqlock, reads given up", PEER, COUNT, st->count);
	if (!can_have(&via_iceoryx))
		return 0;
	st = stage_new(NULL, 0);
	st->via = &via_iceoryx;
	return beside_peer(st->via->name, st, peer_writes, peer_reads);
}

static int beside(void)
{
	struct stage *st = stage_new(NULL, 0);
	double best[2] = {0};
	char name[48];

	st->size = bench->row->size;
	if (pair(st, NULL, copy_alone, copy_alone))
		return 1;
	put_value("two copies at once, one", LIMIT, GB_S, st->value[0]);
	put_value("two copies at once, the other", LIMIT, GB_S, st->value[1]);
	for (unsigned int i = 0; copiers[i].name; i++) {
		if (!copiers[i].copy)
			continue;
		st = stage_new(NULL, RING * bench->row->size);
		st->size = bench->row->size;
		st->n = i;
		if (pair(st, NULL, write_by_hand, read_by_hand))
			return 1;
		if (st->value[0] + st->value[1] > best[0] + best[1]) {
			best[0] = st->value[0];
			best[1] = st->value[1];
		}
	}
	put_value("the same traffic by hand, writer", LIMIT, GB_S, best[0]);
	put_value("the same traffic by hand, reader", LIMIT, GB_S, best[1]);
	for (unsigned int i = 0; i < nways; i++) {
		st = stage_new(&ways[i], sizeof(struct hist));
		st->size = bench->row->size;
		if (pair(st, NULL, never_pauses, reads_beside))
			return 1;
		snprintf(name, sizeof(name), "%s, writer", ways[i].name);
		put_value(name, VENOM, GB_S, st->value[0]);
		snprintf(name, sizeof(name), "%s, reader", ways[i].name);
		put_value(name, VENOM, GB_S, st->value[1]);
		snprintf(name, sizeof(name), "%s, reads", ways[i].name);
		put_value(name, VENOM, PER_S, 1e9 * st->value[1] / st->size);
		if (i)
			continue;
		put_hist("a read, alone", VENOM, (void *)st->scratch);
		put_hist("a read, beside the writer", VENOM, &st->hist);
		put_value("reads given up (EAGAIN)", VENOM, COUNT, st->count);
	}
	if (beside_peers())
		return 1;
	goal("venom, writer", "two copies at once, one", AT_LEAST, 0.85);
	goal("venom, reader", "two copies at once, the other", AT_LEAST, 0.85);
	goal("venom, writer", "the same traffic by hand, writer", AT_LEAST, 0.85);
	goal("venom, reader", "the same traffic by hand, reader", AT_LEAST, 0.85);
	goal_at("a read, beside the writer", P9999, "a read, alone", P50, AT_MOST, 10);
	goal_at("a read, beside the writer", MAX, "a read, alone", P50, AT_MOST, 10);
	return 0;
}

const struct row row_beside_64k = {.name = "beside-64k",
				   .what = "64 KiB read beside a writer that never pauses",
				   .round = beside,
				   .size = 64 << 10};
const struct row row_beside_1m = {
	.name = "beside-1m", .what = "1 MiB read beside a writer that never pauses", .round = beside, .size = 1 << 20};
const struct row row_beside_8m = {
	.name = "beside-8m", .what = "8 MiB read beside a writer that never pauses", .round = beside, .size = 8 << 20};

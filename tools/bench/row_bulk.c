/* SPDX-License-Identifier: MIT */
/*
 * Rows of large state: copied, read in place, handed over, and read beside a writer that never pauses.  Bytes are
 * counted once: a copy of 1 MiB is 1 MiB.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "copies.h"
#include "transport.h"

#define RING 4 /* versions */
#define WARM (4 * RING) /* a peer's writes before the measurement: each of its buffers has been written twice */

/* Private memory, on huge pages where the kernel gives them, so that base pages do not make the limit lower. */
static void *memory(size_t size)
{
	void *p = aligned_alloc(2 << 20, (size + (2 << 20) - 1) & ~((size_t)(2 << 20) - 1));

	if (!p)
		return bad("no memory"), NULL;
	madvise(p, size, MADV_HUGEPAGE);
	memset(p, 1, size);
	return p;
}

/* A word of payload n, in which all bytes are the same. */
static uint64_t word_of(uint64_t n)
{
	return n * 0x0101010101010101;
}

static bool whole(const void *p, size_t size, uint64_t n)
{
	const uint64_t *w = p;
	uint64_t diff = 0, word = word_of(n & 0xff);

	for (size_t i = 0; i < size / 8; i++)
		diff |= w[i] ^ word;
	return !diff;
}

#define TURNS 4 /* the things compared take turns in a round, so a change of the machine changes all of them */

struct rate {
	double bytes, ns;
};

/*
 * Repeat an operation of st->size bytes for one turn.  With `cold`, a and b are flushed from the caches each time; else
 * small operations are repeated between two readings of the clock.  One run for each version and a third of the turn do
 * not count: the previous turn has left the buffers elsewhere in the caches, or in none.
 */
#define MEASURE(rate, st, a, b, cold, operation)                                  \
	do {                                                                      \
		uint64_t turn_ = (st)->slice_ns / TURNS, begin_, start_;          \
		unsigned int burst_ = cold ? 1 : 1 + (1 << 20) / (st)->size;      \
		for (int i_ = 0; i_ < RING; i_++) {                               \
			operation;                                                \
		}                                                                 \
		begin_ = now_ns();                                                \
		do {                                                              \
			if (cold) {                                               \
				flush_lines(a, (st)->size);                       \
				flush_lines(b, (st)->size);                       \
			}                                                         \
			start_ = now_ns();                                        \
			for (unsigned int i_ = 0; i_ < burst_; i_++) {            \
				operation;                                        \
			}                                                         \
			if (start_ - begin_ >= turn_ / 3) {                       \
				(rate)->ns += now_ns() - start_ - (st)->clock_ns; \
				(rate)->bytes += (double)burst_ * (st)->size;     \
			}                                                         \
		} while (start_ - begin_ < turn_);                                \
	} while (0)

/*
 * value[]: rates of a copy and of a look in place, each warm and cold; by venom, and by hand.  each[]: of each copier.
 */
enum { READ, READ_COLD, LOOK, LOOK_COLD, COPY, COPY_COLD, SUM, SUM_COLD, RATES };

static double gb_s(const struct rate *r)
{
	return r->ns ? r->bytes / r->ns : 0;
}

static double best_of(struct stage *st, const struct rate *by, int step)
{
	double best = 0;

	for (int i = 0; copiers[i].name; i++) {
		st->each[i * 2 + step] = gb_s(&by[i]);
		best = gb_s(&by[i]) > best ? gb_s(&by[i]) : best;
	}
	return best;
}

/*
 * A copier that bypasses the caches copies to `past`: else the next copier is slow at `dst`, for up to 70 ms
 * (tools/bench/NOTES.md).
 */
static void copiers_turn(struct stage *st, struct rate *by, void *dst, void *past, const void *src, bool cold)
{
	for (int i = 0; copiers[i].name; i++) {
		void *to = copiers[i].past ? past : dst;

		if (copiers[i].copy)
			MEASURE(&by[i], st, src, to, cold, copiers[i].copy(to, src, st->size));
	}
}

static void put_copiers(const struct stage *st, int step)
{
	char name[48];

	for (int i = 0; copiers[i].name; i++) {
		snprintf(name, sizeof(name), "%s%s", copiers[i].name, step ? ", cold" : "");
		if (copiers[i].copy)
			put_value(name, LIMIT, GB_S, st->each[2 * i + step]);
	}
}

/* ---- a read of what nobody writes ------------------------------------------------- */

static int holder(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_daemon *d;

	cfg.data_size = st->size;
	cfg.versions = 2;
	d = daemon_open(st, &cfg);
	if (!d)
		return 1;
	fill_words(venom_daemon_write_begin(d, NULL), st->size, word_of(1));
	venom_daemon_write_commit(d, st->size);
	atomic_store(&st->ready, 1);
	if (!wait_flag(&st->done, 1))
		return 1;
	venom_daemon_destroy(d);
	return 0;
}

static uint64_t look(struct venom_shell *s, int *rc)
{
	struct venom_view view;
	uint64_t sum;

	*rc |= venom_shell_read_begin(s, &view);
	sum = plain_sum(view.data, view.len);
	*rc |= venom_shell_read_retry(s, &view);
	return sum;
}

static int reader(struct stage *st)
{
	struct venom_shell *s = shell_open(st);
	void *dst = memory(st->size), *past = memory(st->size);
	struct venom_view view;
	int rc = 0;

	if (!s || !dst || !past)
		return 1;
	rc = venom_shell_read_begin(s, &view);
	if (rc)
		return bad_rc("read", rc);
	for (int cold = 0; cold <= can_flush(); cold++) {
		struct rate r[RATES] = {0}, by[8] = {0};

		for (int turn = 0; turn < TURNS; turn++) {
			MEASURE(&r[READ], st, dst, view.data, cold, rc |= venom_shell_read(s, dst, st->size, NULL) < 0);
			copiers_turn(st, by, dst, past, view.data, cold);
			MEASURE(&r[LOOK], st, view.data, view.data, cold, keep(look(s, &rc)));
			MEASURE(&r[SUM], st, view.data, view.data, cold, keep(plain_sum(view.data, st->size)));
		}
		st->value[READ + cold] = gb_s(&r[READ]);
		st->value[LOOK + cold] = gb_s(&r[LOOK]);
		st->value[SUM + cold] = gb_s(&r[SUM]);
		st->value[COPY + cold] = best_of(st, by, cold);
	}
	if (rc || !whole(dst, st->size, 1) || look(s, &rc) != word_of(1) * (st->size / 8))
		return bad("a wrong payload");
	atomic_store(&st->done, 1);
	venom_shell_close(s);
	return 0;
}

static int read_bulk(void)
{
	for (unsigned int i = 0; i < nways; i++) {
		struct stage *st = stage_new(&ways[i], 0);
		char name[48];

		st->size = bench->row->size;
		if (pair(st, NULL, holder, reader))
			return 1;
#define PUT(what, who, at)                                                                        \
	snprintf(name, sizeof(name), "%s%s", who == VENOM ? ways[i].name : "best by hand", what); \
	if (st->value[at] && (who == VENOM || !i))                                                \
	put_value(name, who, GB_S, st->value[at])
		for (int cold = 0; cold <= can_flush() && !i; cold++)
			put_copiers(st, cold);
		PUT("", LIMIT, COPY);
		PUT(", cold", LIMIT, COPY_COLD);
		PUT(", sum", LIMIT, SUM);
		PUT(", sum, cold", LIMIT, SUM_COLD);
		PUT("", VENOM, READ);
		PUT(", cold", VENOM, READ_COLD);
		PUT(", in place", VENOM, LOOK);
		PUT(", in place, cold", VENOM, LOOK_COLD);
	}
	goal("venom", "best by hand", AT_LEAST, 0.97);
	goal("venom, cold", "best by hand, cold", AT_LEAST, 0.97);
	goal("venom, in place", "best by hand, sum", AT_LEAST, 0.99);
	return 0;
}

const struct row row_read_4k = {
	.name = "read-4k", .what = "4 KiB read, nobody publishes", .round = read_bulk, .size = 4 << 10};
const struct row row_read_64k = {
	.name = "read-64k", .what = "64 KiB read, nobody publishes", .round = read_bulk, .size = 64 << 10};
const struct row row_read_1m = {
	.name = "read-1m", .what = "1 MiB read, nobody publishes", .round = read_bulk, .size = 1 << 20};
const struct row row_read_8m = {
	.name = "read-8m", .what = "8 MiB read, nobody publishes", .round = read_bulk, .size = 8 << 20};
const struct row row_read_64m = {
	.name = "read-64m", .what = "64 MiB read, nobody publishes", .round = read_bulk, .size = 64 << 20};

/* ---- publish ------------------------------------------------------------------------ */

static int publisher(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	void *src = memory(st->size), *past = memory(st->size), *at[RING];
	struct venom_daemon *d;
	struct rate mine = {0}, by[8] = {0};
	unsigned int next = 0;
	int rc = 0;

	cfg.data_size = st->size;
	cfg.versions = RING;
	d = daemon_open(st, &cfg);
	if (!d || !src || !past)
		return 1;
	for (int i = 0; i < RING; i++) {
		at[i] = venom_daemon_write_begin(d, NULL);
		memcpy(at[i], src, st->size);
		rc |= venom_daemon_write_commit(d, st->size);
	}
	/* A virtual machine's pages may be slow not only at the first write, but at the second, too. */
	for (int i = 0; i < 2 * RING; i++)
		rc |= venom_daemon_publish(d, src, st->size);
	for (int turn = 0; turn < TURNS; turn++) {
		MEASURE(&mine, st, src, src, false, rc |= venom_daemon_publish(d, src, st->size));
		/* The same buffers in the same order, by hand. */
		for (int i = 0; copiers[i].name; i++) {
			copy_fn *copy = copiers[i].copy;

			if (copy)
				MEASURE(&by[i], st, src, src, false,
					copy(copiers[i].past ? past : at[next++ % RING], src, st->size));
		}
	}
	st->value[READ] = gb_s(&mine);
	st->value[COPY] = best_of(st, by, 0);
	venom_daemon_destroy(d);
	return rc ? bad_rc("publish", rc) : 0;
}

static int publish_bulk(void)
{
	for (unsigned int i = 0; i < nways; i++) {
		struct stage *st = stage_new(&ways[i], 0);

		st->size = bench->row->size;
		if (alone(st, publisher))
			return 1;
		if (!i) {
			put_copiers(st, 0);
			put_value("best by hand", LIMIT, GB_S, st->value[COPY]);
		}
		put_value(ways[i].name, VENOM, GB_S, st->value[READ]);
	}
	goal("venom", "best by hand", AT_LEAST, 0.97);
	return 0;
}

const struct row row_publish_64k = {
	.name = "publish-64k", .what = "64 KiB published, nobody reads", .round = publish_bulk, .size = 64 << 10};
const struct row row_publish_1m = {
	.name = "publish-1m", .what = "1 MiB published, nobody reads", .round = publish_bulk, .size = 1 << 20};
const struct row row_publish_8m = {
	.name = "publish-8m", .what = "8 MiB published, nobody reads", .round = publish_bulk, .size = 8 << 20};
const struct row row_publish_64m = {
	.name = "publish-64m", .what = "64 MiB published, nobody reads", .round = publish_bulk, .size = 64 << 20};

/* ---- handed over: copied in by one CPU, copied out by the other, again and again ------ */

/* Notified by hand: `told` counts the versions that are there, `seen` those that have been taken. */
static bool await(atomic_ullong *count, uint64_t n)
{
	uint64_t looks = 0;

	while (atomic_load_explicit(count, memory_order_acquire) < n)
		if (++looks > 1ull << 32)
			return bad("the other side has gone"), false;
	return true;
}

static int give(struct stage *st, struct venom_daemon *d)
{
	void *src = memory(st->size);
	uint64_t n = 0, start, end;
	int rc = 0;

	if (!src || !spin_flag(&st->go, 1))
		return 1;
	end = now_ns() + st->slice_ns;
	do {
		n++;
		payload_make(src, st->size, n);
		start = now_ns();
		if (d) {
			rc |= venom_daemon_publish(d, src, st->size);
		} else if (st->via) {
			rc |= st->via->send(st, src);
		} else {
			copiers[st->n].copy(st->scratch, src, st->size);
			atomic_store_explicit(&st->told, n, memory_order_release);
		}
		if (!await(&st->seen, n))
			return 1;
		if (!st->via || n > WARM)
			hist_add(&st->hist, now_ns() - start - st->clock_ns);
		else
			end = start + st->slice_ns;
	} while (start < end);
	atomic_store(&st->done, 1);
	return rc ? bad_rc("publish", rc) : 0;
}

static int taken(struct stage *st, const void *dst, uint64_t n)
{
	if (!payload_is(dst, st->size, n))
		return bad("version %llu has other bytes", (unsigned long long)n);
	atomic_store_explicit(&st->seen, n, memory_order_release);
	return 0;
}

static int give_by_hand(struct stage *st)
{
	memset(st->scratch, 0, st->size);
	return give(st, NULL);
}

static int take_by_hand(struct stage *st)
{
	void *dst = memory(st->size);

	atomic_store(&st->go, 1);
	for (uint64_t n = 1; dst; n++) {
		while (atomic_load_explicit(&st->told, memory_order_acquire) < n)
			if (atomic_load_explicit(&st->done, memory_order_relaxed))
				return 0;
		copiers[st->n].copy(dst, st->scratch, st->size);
		if (taken(st, dst, n))
			return 1;
	}
	return 1;
}

static int give_by_venom(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_daemon *d;
	int rc;

	cfg.data_size = st->size;
	cfg.versions = 1; /* the same buffer each time, as by hand */
	d = daemon_open(st, &cfg);
	if (!d)
		return 1;
	atomic_store(&st->ready, 1);
	rc = give(st, d);
	venom_daemon_destroy(d);
	return rc;
}

static int take_by_venom(struct stage *st)
{
	struct venom_shell *s = shell_open(st);
	void *dst = memory(st->size);
	uint64_t n = 0;
	ssize_t rc;

	if (!s || !dst)
		return 1;
	venom_shell_set_spin(s, VENOM_SPIN_FOREVER);
	atomic_store(&st->go, 1);
	for (;;) {
		rc = venom_shell_wait(s, n, PATIENCE);
		if (rc == -EPIPE)
			return 0;
		if (rc != 1)
			return bad_rc("wait", rc);
		rc = venom_shell_read(s, dst, st->size, &n);
		if (rc < 0)
			return bad_rc("read", rc);
		if (taken(st, dst, n))
			return 1;
	}
}

static int give_by_peer(struct stage *st)
{
	const struct transport *t = st->via;
	void *last = memory(st->size);

	if (!last || t->open(st, 0) || give(st, NULL))
		return 1;
	payload_make(last, st->size, LAST);
	if (t->send(st, last))
		return 1;
	t->close(st, 0);
	return 0;
}

static int take_by_peer(struct stage *st)
{
	const struct transport *t = st->via;
	void *dst = memory(st->size);
	uint64_t n = 0;

	if (!dst || t->open(st, 1))
		return 1;
	atomic_store(&st->go, 1);
	for (;;) {
		if (t->take(st, dst))
			return 1;
		if (payload_is(dst, st->size, LAST))
			break;
		if (taken(st, dst, ++n))
			return 1;
	}
	t->close(st, 1);
	return 0;
}

static int hand_over(void)
{
	char name[48];
	struct stage *st;

	for (unsigned int i = 0; copiers[i].name; i++) {
		if (!copiers[i].copy)
			continue;
		st = stage_new(NULL, bench->row->size);
		st->size = bench->row->size;
		st->n = i;
		if (pair(st, NULL, give_by_hand, take_by_hand))
			return 1;
		snprintf(name, sizeof(name), "by hand, %s", copiers[i].name);
		put_hist(name, LIMIT, &st->hist);
	}
	for (unsigned int i = 0; i < nways; i++) {
		st = stage_new(&ways[i], 0);
		st->size = bench->row->size;
		if (pair(st, NULL, give_by_venom, take_by_venom))
			return 1;
		put_hist(ways[i].name, VENOM, &st->hist);
	}
	/* A short slice of larger sizes would see nothing but the fresh memory of iceoryx's pool. */
	if (bench->row->size <= 64 << 10 && can_have(&via_iceoryx)) {
		st = stage_new(NULL, 0);
		st->via = &via_iceoryx;
		st->size = bench->row->size;
		st->stream = true;
		if (pair(st, st->via->make, give_by_peer, take_by_peer))
			return 1;
		put_hist(st->via->name, PEER, &st->hist);
	}
	goal("venom", "by hand, memcpy", AT_MOST, 1 / 0.97);
	goal("venom", "by hand, rep movsb", AT_MOST, 1 / 0.97);
	return 0;
}

const struct row row_hand_64k = {.name = "hand-64k",
				 .what = "64 KiB copied in by one CPU, and out by the other",
				 .round = hand_over,
				 .size = 64 << 10};
const struct row row_hand_1m = {.name = "hand-1m",
				.what = "1 MiB copied in by one CPU, and out by the other",
				.round = hand_over,
				.size = 1 << 20};
const struct row row_hand_8m = {.name = "hand-8m",
				.what = "8 MiB copied in by one CPU, and out by the other",
				.round = hand_over,
				.size = 8 << 20};

/* ---- a reader beside a writer that never pauses ---------------------------------------- */

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
		atomic_store_explicit(&st->told, n, memory_order_release);
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
		uint64_t last = atomic_load_explicit(&st->told, memory_order_acquire);

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
	atomic_store(&st->told, 1);
	if (!spin_flag(&st->go, 1))
		return false;
	*start = now_ns();
	return true;
}

static bool reader_ready(struct stage *st, uint64_t *start)
{
	if (!await(&st->told, 1))
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

/* SPDX-License-Identifier: MIT */
/*
 * Rows of small state: what a publish and a read of 64 bytes cost, and how soon a reader sees a publish.
 */
#include <errno.h>
#include <string.h>

#include "bench.h"
#include "venom_inline.h"

#define SIZE  64
#define BATCH 1024 /* operations between two readings of the clock */

/* A bare seqlock, in line: one writer, one line of payload, the sequence before and after it. */
struct seqlock {
	_Alignas(128) atomic_ullong seq;
	_Alignas(64) char data[SIZE];
};

static void seqlock_store(struct seqlock *l, uint64_t n, const void *data)
{
	atomic_store_explicit(&l->seq, 2 * n - 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memcpy(l->data, data, SIZE);
	atomic_store_explicit(&l->seq, 2 * n, memory_order_release);
}

static bool seqlock_load(struct seqlock *l, void *data, uint64_t *n)
{
	uint64_t seq = atomic_load_explicit(&l->seq, memory_order_acquire);

	memcpy(data, l->data, SIZE);
	atomic_thread_fence(memory_order_acquire);
	*n = seq / 2;
	return !(seq & 1) && atomic_load_explicit(&l->seq, memory_order_relaxed) == seq;
}

/*
 * The same with what else venom keeps: the length beside the sequence, a count of versions or reads, the check for
 * sleepers.  It is in a call, which learns the length only there.
 */
struct words {
	_Alignas(128) atomic_ullong seq, len, time_ns;
	_Alignas(64) char data[SIZE];
	_Alignas(128) atomic_uint sleepers;
	_Alignas(128) uint64_t count;
};

static __attribute__((noinline)) int words_store(struct words *w, const void *data, size_t len)
{
	uint64_t n = w->count + 1;

	if (len != SIZE)
		return -1;
	atomic_store_explicit(&w->seq, 2 * n - 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memcpy(w->data, data, SIZE);
	w->count = n;
	atomic_store_explicit(&w->len, len, memory_order_relaxed);
	atomic_store_explicit(&w->time_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&w->seq, 2 * n, memory_order_release);
	return (int)atomic_load_explicit(&w->sleepers, memory_order_relaxed);
}

static __attribute__((noinline)) ssize_t words_load(struct words *w, void *data, size_t size, uint64_t *n)
{
	uint64_t seq = atomic_load_explicit(&w->seq, memory_order_acquire);
	uint64_t len = atomic_load_explicit(&w->len, memory_order_relaxed);

	if (seq & 1 || len > size || len != SIZE)
		return -1;
	memcpy(data, w->data, SIZE);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&w->seq, memory_order_relaxed) != seq)
		return -1;
	w->count++;
	*n = seq / 2;
	return (ssize_t)len;
}

/* value[0]: ns for one operation. */
#define TIMED(st, operation)                                     \
	do {                                                     \
		uint64_t ops_ = 0, start_ = now_ns(), now_;      \
		do {                                             \
			for (int i_ = 0; i_ < BATCH; i_++) {     \
				operation;                       \
			}                                        \
			ops_ += BATCH;                           \
			now_ = now_ns();                         \
		} while (now_ - start_ < (st)->slice_ns);        \
		(st)->value[0] = (double)(now_ - start_) / ops_; \
	} while (0)

/* ---- publish ------------------------------------------------------------------- */

static int store_by_hand(struct stage *st)
{
	struct seqlock *l = (void *)st->scratch;
	char data[SIZE] = {0};
	uint64_t n = 0;

	TIMED(st, payload_make(data, SIZE, ++n); seqlock_store(l, n, data));
	return 0;
}

static int words_by_hand(struct stage *st)
{
	struct words *w = (void *)st->scratch;
	char data[SIZE] = {0};
	uint64_t n = 0;
	int rc = 0;

	TIMED(st, payload_make(data, SIZE, ++n); rc |= words_store(w, data, SIZE));
	return rc;
}

static int publish_loop(struct stage *st, bool in_line)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_inline_publisher p;
	struct venom_daemon *d;
	char data[SIZE] = {0};
	uint64_t n = 0;
	int rc = 0;

	cfg.data_size = SIZE;
	cfg.versions = st->n;
	d = daemon_open(st, &cfg);
	if (!d)
		return 1;
	venom_inline_publisher_init(d, &p);
	if (in_line)
		TIMED(st, payload_make(data, SIZE, ++n); rc |= venom_inline_publish(d, &p, data, SIZE));
	else
		TIMED(st, payload_make(data, SIZE, ++n); rc |= venom_daemon_publish(d, data, SIZE));
	venom_daemon_destroy(d);
	return rc ? bad_rc("publish", rc) : 0;
}

static int publisher(struct stage *st)
{
	return publish_loop(st, false);
}

static int publisher_in_line(struct stage *st)
{
	return publish_loop(st, true);
}

static int publish_by(const char *name, enum who who, const struct way *w, unsigned int n, side_fn *fn)
{
	struct stage *st = stage_new(w, 4096);

	st->n = n;
	if (alone(st, fn))
		return 1;
	put_value(name, who, NS, st->value[0]);
	return 0;
}

static int publish_64(void)
{
	if (publish_by("a bare seqlock", LIMIT, NULL, 1, store_by_hand) ||
	    publish_by("venom's words by hand", LIMIT, NULL, 1, words_by_hand))
		return 1;
	for (unsigned int i = 0; i < nways; i++)
		if (publish_by(ways[i].name, VENOM, &ways[i], 1, publisher))
			return 1;
	if (publish_by("venom, 4 versions", VENOM, &ways[0], 4, publisher) ||
	    publish_by("venom, in line", VENOM, &ways[0], 1, publisher_in_line) ||
	    publish_by("venom, in line, 4 versions", VENOM, &ways[0], 4, publisher_in_line))
		return 1;
	goal("venom, in line", "venom's words by hand", AT_MOST, 1.1);
	goal("venom, in line", "a bare seqlock", AT_MOST, 1.1);
	return 0;
}

const struct row row_publish_64 = {
	.name = "publish-64", .what = "64 bytes published, nobody reads", .round = publish_64};

/* ---- read ---------------------------------------------------------------------- */

static int load_by_hand(struct stage *st)
{
	struct seqlock *l = (void *)st->scratch;
	char data[SIZE];
	uint64_t n = 0;
	bool well = true;

	payload_make(data, SIZE, 1);
	seqlock_store(l, 1, data);
	TIMED(st, well &= seqlock_load(l, data, &n); keep(*(uint64_t *)data));
	return (!well || !payload_is(data, SIZE, n)) && bad("by hand: a torn read");
}

static int words_read(struct stage *st)
{
	struct words *w = (void *)st->scratch;
	char data[SIZE];
	uint64_t n = 0;
	ssize_t rc = 0;

	payload_make(data, SIZE, 1);
	words_store(w, data, SIZE);
	TIMED(st, rc |= words_load(w, data, SIZE, &n); keep(*(uint64_t *)data));
	return (rc != SIZE || !payload_is(data, SIZE, n)) && bad("by hand: a torn read");
}

static int one_version(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_daemon *d;
	char data[SIZE];
	int rc;

	cfg.data_size = SIZE;
	cfg.versions = st->n;
	d = daemon_open(st, &cfg);
	if (!d)
		return 1;
	payload_make(data, SIZE, 1);
	rc = venom_daemon_publish(d, data, SIZE);
	if (rc)
		return bad_rc("publish", rc);
	atomic_store(&st->ready, 1);
	if (!wait_flag(&st->done, 1))
		return 1;
	venom_daemon_destroy(d);
	return 0;
}

static int read_loop(struct stage *st, bool in_line)
{
	struct venom_shell *s = shell_open(st);
	struct venom_inline_reader r;
	char data[SIZE];
	uint64_t n = 0;
	ssize_t rc = 0;

	if (!s)
		return 1;
	venom_inline_reader_init(&r);
	if (in_line)
		TIMED(st, rc |= venom_inline_read(s, &r, data, SIZE); n = r.version; keep(*(uint64_t *)data));
	else
		TIMED(st, rc |= venom_shell_read(s, data, SIZE, &n); keep(*(uint64_t *)data));
	atomic_store(&st->done, 1);
	if (rc != SIZE || !payload_is(data, SIZE, n))
		return bad_rc("read", rc);
	venom_shell_close(s);
	return 0;
}

static int reader(struct stage *st)
{
	return read_loop(st, false);
}

static int reader_in_line(struct stage *st)
{
	return read_loop(st, true);
}

static int read_by(const char *name, const struct way *w, unsigned int versions, side_fn *fn)
{
	struct stage *st = stage_new(w, 0);

	st->n = versions;
	if (pair(st, NULL, one_version, fn))
		return 1;
	put_value(name, VENOM, NS, st->value[0]);
	return 0;
}

static int nobody(struct stage *st)
{
	(void)st;
	return 0;
}

/* Run on the CPU of venom's reader: the two CPUs may differ in speed by half. */
static int read_by_hand(const char *name, side_fn *fn)
{
	struct stage *st = stage_new(NULL, 4096);

	if (pair(st, NULL, nobody, fn))
		return 1;
	put_value(name, LIMIT, NS, st->value[0]);
	return 0;
}

static int read_64(void)
{
	if (read_by_hand("a bare seqlock", load_by_hand) || read_by_hand("venom's words by hand", words_read))
		return 1;
	for (unsigned int i = 0; i < nways; i++)
		if (read_by(ways[i].name, &ways[i], 1, reader))
			return 1;
	if (read_by("venom, 4 versions", &ways[0], 4, reader) ||
	    read_by("venom, in line", &ways[0], 1, reader_in_line) ||
	    read_by("venom, in line, 4 versions", &ways[0], 4, reader_in_line))
		return 1;
	goal("venom", "venom's words by hand", AT_MOST, 1.8);
	goal("venom, in line", "venom's words by hand", AT_MOST, 1.3);
	goal("venom, in line", "a bare seqlock", AT_MOST, 1.3);
	return 0;
}

const struct row row_read_64 = {.name = "read-64", .what = "64 bytes read, nobody publishes", .round = read_64};

/* ---- freshness ------------------------------------------------------------------- */

#define PAUSE_NS 1500 /* between two versions, so that the reader is polling again by then */

/* The second word of the payload is the time of the publish; n is UINT64_MAX in the last payload. */
struct stamped {
	uint64_t n, time_ns;
	char rest[SIZE - 16];
};

static void pause_for(uint64_t ns)
{
	uint64_t end = now_ns() + ns;

	while (now_ns() < end)
		;
}

static void note(struct stage *st, const struct stamped *p)
{
	uint64_t age = now_ns() - p->time_ns;

	if (p->n > 1000)
		hist_add(&st->hist, age > st->clock_ns ? age - st->clock_ns : 0);
}

static int fresh_by_hand(struct stage *st)
{
	struct seqlock *l = (void *)st->scratch;
	uint64_t end = now_ns() + st->slice_ns;
	struct stamped p = {0};

	if (!spin_flag(&st->ready, 1))
		return 1;
	while (now_ns() < end) {
		pause_for(PAUSE_NS);
		p.n++;
		p.time_ns = now_ns();
		seqlock_store(l, p.n, &p);
	}
	atomic_store(&st->done, 1);
	return 0;
}

static int look_by_hand(struct stage *st)
{
	struct seqlock *l = (void *)st->scratch;
	uint64_t seen = 0, n;
	struct stamped p;

	atomic_store(&st->ready, 1);
	while (!atomic_load_explicit(&st->done, memory_order_relaxed)) {
		for (int i = 0; i < 1000; i++) {
			if (!seqlock_load(l, &p, &n) || n == seen)
				continue;
			note(st, &p);
			seen = n;
		}
	}
	return 0;
}

static int fresh_publisher(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct stamped p = {0};
	struct venom_daemon *d;
	uint64_t end;
	int rc = 0;

	cfg.data_size = SIZE;
	cfg.versions = st->n;
	d = daemon_open(st, &cfg);
	if (!d)
		return 1;
	atomic_store(&st->ready, 1);
	if (!spin_flag(&st->go, 1))
		return 1;
	end = now_ns() + st->slice_ns;
	while (now_ns() < end) {
		pause_for(PAUSE_NS);
		p.n++;
		p.time_ns = now_ns();
		rc |= venom_daemon_publish(d, &p, SIZE);
	}
	p.n = UINT64_MAX;
	rc |= venom_daemon_publish(d, &p, SIZE);
	if (!wait_flag(&st->done, 1))
		return 1;
	venom_daemon_destroy(d);
	return rc ? bad_rc("publish", rc) : 0;
}

static int fresh_reader(struct stage *st)
{
	struct venom_shell *s = shell_open(st);
	uint64_t n = 0;
	struct stamped p;
	ssize_t rc;

	if (!s)
		return 1;
	venom_shell_set_spin(s, VENOM_SPIN_FOREVER);
	atomic_store(&st->go, 1);
	for (;;) {
		rc = venom_shell_wait(s, n, PATIENCE);
		if (rc != 1)
			return bad_rc("wait", rc);
		rc = venom_shell_read(s, &p, SIZE, &n);
		if (rc == -EAGAIN)
			continue;
		if (rc != SIZE)
			return bad_rc("read", rc);
		if (p.n == UINT64_MAX)
			break;
		if (p.n != n)
			return bad("version %llu has the bytes of %llu", (unsigned long long)n,
				   (unsigned long long)p.n);
		note(st, &p);
	}
	atomic_store(&st->done, 1);
	venom_shell_close(s);
	return 0;
}

static int fresh_by(const char *name, enum who who, const struct way *w, unsigned int versions, side_fn *a, side_fn *b)
{
	struct stage *st = stage_new(w, 4096);

	st->n = versions;
	if (pair(st, NULL, a, b))
		return 1;
	put_hist(name, who, &st->hist);
	return 0;
}

static int fresh_64(void)
{
	if (fresh_by("one way, by hand", LIMIT, NULL, 1, fresh_by_hand, look_by_hand))
		return 1;
	for (unsigned int i = 0; i < nways; i++)
		if (fresh_by(ways[i].name, VENOM, &ways[i], 1, fresh_publisher, fresh_reader))
			return 1;
	if (fresh_by("venom, 4 versions", VENOM, &ways[0], 4, fresh_publisher, fresh_reader))
		return 1;
	goal("venom", LINE, AT_MOST, 0.6);
	goal("venom", "one way, by hand", AT_MOST, 1.1);
	return 0;
}

const struct row row_fresh_64 = {"fresh-64", "from the publish of 64 bytes until a spinning reader has them", fresh_64,
				 .line = true};

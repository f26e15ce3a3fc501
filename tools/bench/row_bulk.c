/* SPDX-License-Identifier: MIT */
/*
 * Rows of large state: read while nobody publishes, copied or in place, and published while nobody reads.
 */
#include <string.h>

#include "bulk.h"

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

/*
 * value[]: rates of a copy and of a look in place, each warm and cold; by venom, and by hand.  each[]: of each copier.
 */
enum { READ, READ_COLD, LOOK, LOOK_COLD, COPY, COPY_COLD, SUM, SUM_COLD, RATES };

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

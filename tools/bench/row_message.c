/* SPDX-License-Identifier: MIT */
/*
 * Rows of messages: asked and answered, and one way.
 */
#include <stdlib.h>
#include <string.h>

#include "transport.h"

#define SIZE_MAX_ 4096
#define WARM_UP	  1000

/* The name of the figure: that of the way, else that of the transport; always that for adaptive waits. */
static const char *label(const struct transport *t, const struct way *w)
{
	return w && t != &via_venom_adaptive ? w->name : t->name;
}

/* ---- asked and answered ----------------------------------------------------------- */

static int asker(struct stage *st)
{
	const struct transport *t = st->via;
	char msg[SIZE_MAX_] = {0}, answer[SIZE_MAX_];
	uint64_t n = 0, start, took, end = UINT64_MAX;
	unsigned int warm = t->blocks || st->pause_ns ? 20 : WARM_UP;
	int rc;

	if (t->open && t->open(st, 0))
		return 1;
	do {
		if (st->pause_ns)
			nap(st->pause_ns);
		payload_make(msg, st->size, ++n);
		start = now_ns();
		rc = t->ask ? t->ask(st, msg, answer) : t->send(st, msg) || t->take(st, answer);
		took = now_ns() - start;
		if (rc)
			return 1;
		if (!payload_is(answer, st->size, n))
			return bad("%s: a wrong answer to message %llu", t->name, (unsigned long long)n);
		if (n > warm)
			hist_add(&st->hist, took > st->clock_ns ? took - st->clock_ns : 0);
		else if (n == warm)
			end = start + st->slice_ns;
	} while (start < end);
	payload_make(msg, st->size, LAST);
	rc = t->ask ? t->ask(st, msg, answer) : t->send(st, msg) || t->take(st, answer);
	if (t->close)
		t->close(st, 0);
	return rc;
}

static int answerer(struct stage *st)
{
	const struct transport *t = st->via;
	char msg[SIZE_MAX_];

	if (t->open && t->open(st, 1))
		return 1;
	do {
		if (t->serve ? t->serve(st, msg) : t->take(st, msg) || t->send(st, msg))
			return 1;
	} while (!payload_is(msg, st->size, LAST));
	if (t->close)
		t->close(st, 1);
	return 0;
}

static int ask_by(const struct transport *t, const struct way *w, size_t size, int64_t pause_ns)
{
	struct stage *st = stage_new(w, t->scratch ? t->scratch(size) : 0);

	st->via = t;
	st->size = size;
	st->pause_ns = pause_ns;
	if (pair(st, t->make, asker, answerer))
		return 1;
	put_hist(label(t, w), t->who, &st->hist);
	return 0;
}

static int ask_by_venom(const struct transport *t, size_t size, int64_t pause_ns)
{
	for (unsigned int i = 0; i < nways; i++)
		if (ask_by(t, &ways[i], size, pause_ns))
			return 1;
	return 0;
}

/* All peers that take messages of this size. */
static int ask_by_peers(size_t size)
{
	for (const struct transport *const *t = peers; *t; t++) {
		if (can_have(*t) && (!(*t)->most || size <= (*t)->most) && ask_by(*t, NULL, size, 0))
			return 1;
	}
	return 0;
}

static int request_64(void)
{
	if (ask_by(&via_lines, NULL, 8, 0) || ask_by(&via_mailbox, NULL, 64, 0) || ask_by_venom(&via_venom, 64, 0) ||
	    ask_by_peers(64))
		return 1;
	goal("venom", via_lines.name, AT_MOST, 1.06);
	goal_at("venom", P99, via_lines.name, P99, AT_MOST, 1.3);
	goal_at("venom", P9999, LINE, P9999, AT_MOST, 1.5);
	return 0;
}

/* A message that fits in the first line of its slot: one line each way, as in the limit. */
static int request_line(void)
{
	if (ask_by(&via_lines, NULL, 8, 0) || ask_by_venom(&via_venom, bench->row->size, 0))
		return 1;
	goal("venom", via_lines.name, AT_MOST, 1.06);
	goal_at("venom", P99, via_lines.name, P99, AT_MOST, 1.3);
	return 0;
}

static int request_copied(size_t size)
{
	if (ask_by(&via_mailbox, NULL, size, 0) || ask_by_venom(&via_venom, size, 0))
		return 1;
	goal("venom", via_mailbox.name, AT_MOST, 1.15);
	return 0;
}

static int request_1k(void)
{
	return request_copied(1024);
}

static int request_4k(void)
{
	return request_copied(4096);
}

/* One request a millisecond: what the caches and the predictors have forgotten in between. */
static int request_cold(void)
{
	return ask_by(&via_mailbox, NULL, 64, 1000000) || ask_by_venom(&via_venom, 64, 1000000);
}

static int request_sleep(void)
{
	if (ask_by(&via_eventfd, NULL, 64, 0) || ask_by_venom(&via_venom_block, 64, 0))
		return 1;
	goal("venom", via_eventfd.name, AT_MOST, 1.08);
	if (bench->row->one_cpu) {
		if (ask_by(&via_venom_adaptive, ways, 64, 0))
			return 1;
		goal(via_venom_adaptive.name, "venom", AT_MOST, 1.1);
	}
	return 0;
}

const struct row row_request_64 = {.name = "request-64",
				   .what = "64 bytes asked and answered, both sides spin",
				   .round = request_64,
				   .line = true};
const struct row row_request_32 = {.name = "request-32",
				   .what = "32 bytes, one line, asked and answered, both sides spin",
				   .round = request_line,
				   .size = 32};
const struct row row_request_48 = {.name = "request-48",
				   .what = "48 bytes asked and answered, both sides spin",
				   .round = request_line,
				   .size = 48};
const struct row row_request_1k = {
	.name = "request-1k", .what = "1 KiB asked and answered, both sides spin", .round = request_1k};
const struct row row_request_4k = {
	.name = "request-4k", .what = "4 KiB asked and answered, both sides spin", .round = request_4k};
const struct row row_request_cold = {.name = "request-cold",
				     .what = "64 bytes asked and answered once a millisecond, both sides spin",
				     .round = request_cold};
const struct row row_request_sleep = {
	.name = "request-sleep", .what = "64 bytes asked and answered, the side that waits sleeps", .round = request_sleep};
const struct row row_request_sleep_nohalt = {.name = "request-sleep-nohalt",
					     .what = "the same, with no CPU that halts",
					     .round = request_sleep,
					     .no_halt = true};
const struct row row_request_sleep_one = {.name = "request-sleep-one",
					  .what = "the same, and adaptive waits too, both sides on one CPU",
					  .round = request_sleep,
					  .one_cpu = true};

/* ---- one way ---------------------------------------------------------------------- */

#define SLOTS	  256
#define FEW_SLOTS 64

static int sender(struct stage *st)
{
	const struct transport *t = st->via;
	char msg[SIZE_MAX_] = {0};
	uint64_t n = 0, end;

	if (t->open && t->open(st, 0))
		return 1;
	end = now_ns() + st->slice_ns;
	do {
		for (int i = 0; i < 64; i++) {
			payload_make(msg, st->size, ++n);
			if (t->send(st, msg))
				return 1;
		}
	} while (now_ns() < end || n < 2 * WARM_UP);
	payload_make(msg, st->size, LAST);
	if (t->send(st, msg) || !wait_flag(&st->done, 1))
		return 1;
	if (t->close)
		t->close(st, 0);
	return 0;
}

static int taker(struct stage *st)
{
	const struct transport *t = st->via;
	uint64_t n = 0, start = 0;
	char msg[SIZE_MAX_];

	if (t->open && t->open(st, 1))
		return 1;
	for (;;) {
		const void *got = t->look ? t->look(st) : t->take(st, msg) ? NULL : msg;

		if (!got)
			return 1;
		if (payload_is(got, st->size, LAST))
			break;
		if (!payload_is(got, st->size, ++n))
			return bad("%s: message %llu is not the one that was next", t->name, (unsigned long long)n);
		if (n == WARM_UP)
			start = now_ns();
	}
	st->value[0] = n > WARM_UP ? 1e3 * (n - WARM_UP) / (now_ns() - start) : 0;
	atomic_store(&st->done, 1);
	if (t->close)
		t->close(st, 1);
	return 0;
}

static int stream_by(const struct transport *t, const struct way *w, unsigned int slots, const char *name)
{
	struct stage *st = stage_new(w, t->scratch ? t->scratch(64) : 0);

	st->via = t;
	st->size = 64;
	st->n = slots;
	st->stream = true;
	if (pair(st, t->make, sender, taker))
		return 1;
	put_value(name, t->who, MILLION_S, st->value[0]);
	return 0;
}

static int stream_limit(void)
{
	double best = 0;

	for (unsigned int i = 0; line_limits[i].ring; i++) {
		struct stage *st = stage_new(NULL, belt_size());

		st->n = i;
		if (pair(st, NULL, fill_lines, take_lines))
			return 1;
		best = st->value[0] > best ? st->value[0] : best;
	}
	put_value("lines of 64 bytes handed over", LIMIT, MILLION_S, best);
	put_value("the same in bytes", LIMIT, GB_S, best * 64 / 1e3);
	return 0;
}

static int stream(void)
{
	if (stream_limit())
		return 1;
	for (unsigned int i = 0; i < nways; i++)
		if (stream_by(&via_venom, &ways[i], SLOTS, ways[i].name))
			return 1;
	if (stream_by(&via_venom_batch, ways, SLOTS, via_venom_batch.name) ||
	    stream_by(&via_venom, ways, FEW_SLOTS, "venom, 64 slots") ||
	    stream_by(&via_venom_batch, ways, FEW_SLOTS, "venom, 32 at a time, 64 slots") ||
	    stream_by(&via_venom_take_batch, ways, FEW_SLOTS, "venom, taken by 32, 64 slots"))
		return 1;
	for (const struct transport *const *t = peers; *t; t++) {
		if (can_have(*t) && stream_by(*t, NULL, 0, (*t)->name))
			return 1;
	}
	goal("venom", via_ck.name, AT_LEAST, 1.2);
	goal(via_venom_batch.name, "venom", AT_LEAST, 1.5);
	goal("venom, 32 at a time, 64 slots", "venom, 64 slots", AT_LEAST, 1.5);
	goal("venom, taken by 32, 64 slots", "venom, 64 slots", AT_LEAST, 1);
	for (const struct transport *const *t = peers; *t; t++)
		if ((*t)->socket && !(*t)->missing)
			goal("venom", (*t)->name, AT_LEAST, 4);
	return 0;
}

const struct row row_stream = {
	.name = "stream-64", .what = "64-byte commands one way, through one lane", .round = stream};

/* The other direction: versions that a daemon publishes; st->n is the number of versions in the ring. */
static int stream_lossless(void)
{
	if (stream_limit() || stream_by(&via_venom, ways, SLOTS, "venom's lane"))
		return 1;
	for (unsigned int i = 0; i < nways; i++)
		if (stream_by(&via_lossless, &ways[i], SLOTS, ways[i].name))
			return 1;
	if (stream_by(&via_lossless, ways, FEW_SLOTS, "venom, 64 versions"))
		return 1;
	goal("venom", "venom's lane", AT_LEAST, 0.8);
	return 0;
}

const struct row row_stream_lossless = {.name = "stream-lossless",
					.what = "64-byte versions to one reader that misses none",
					.round = stream_lossless};

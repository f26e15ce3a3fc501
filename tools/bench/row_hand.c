/* SPDX-License-Identifier: MIT */
/*
 * Rows of large state handed over: copied in by one CPU, copied out by the other, again and again.
 */
#include <errno.h>
#include <string.h>

#include "bulk.h"
#include "transport.h"

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
			atomic_store_explicit(&st->shown, n, memory_order_release);
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
		while (atomic_load_explicit(&st->shown, memory_order_acquire) < n)
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

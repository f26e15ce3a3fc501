/* SPDX-License-Identifier: MIT */
/*
 * 8K video: frames of 7680 x 4320 in P010 (two bytes for each sample, 4:2:0), written in place by one process and read
 * in place by another.  Each word of a frame is made from the frame's number, and all words are checked by their sum.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "copies.h"

#define FRAME (7680ull * 4320 * 3) /* 99,532,800 bytes */
#define RING  3

static uint64_t word_of(uint64_t frame)
{
	return frame * 0x9e3779b97f4a7c15;
}

/* ---- the limit: one fills, the other sums, each its own memory, at once ---------------- */

static int by_hand(struct stage *st)
{
	void *p = mmap(NULL, RING * FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t n = 0, start, now, end;

	if (p == MAP_FAILED)
		return bad("no memory");
	madvise(p, RING * FRAME, MADV_HUGEPAGE);
	memset(p, 1, RING * FRAME);
	atomic_fetch_add(&st->ready, 1);
	if (!spin_flag(&st->ready, 2))
		return 1;
	start = now_ns();
	end = start + st->slice_ns;
	do {
		char *frame = (char *)p + n % RING * FRAME;

		if (nth)
			keep(plain_sum(frame, FRAME));
		else
			fill_words(frame, FRAME, word_of(n));
		n++;
		now = now_ns();
	} while (now < end);
	st->value[nth] = 1e9 * n / (now - start);
	return 0;
}

/* ---- venom -------------------------------------------------------------------------------- */

static int capture(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	uint64_t n = 0, start, now, end;
	struct venom_daemon *d;
	int rc = 0;

	cfg.data_size = FRAME;
	cfg.versions = RING;
	d = daemon_open(st, &cfg);
	if (!d)
		return 1;
	for (int i = 0; i < RING; i++) { /* touches all pages */
		fill_words(venom_daemon_write_begin(d, NULL), FRAME, word_of(++n));
		rc |= venom_daemon_write_commit(d, FRAME);
	}
	atomic_store(&st->ready, 1);
	if (!spin_flag(&st->go, 1))
		return 1;
	start = now_ns();
	end = start + st->slice_ns;
	do {
		fill_words(venom_daemon_write_begin(d, NULL), FRAME, word_of(++n));
		rc |= venom_daemon_write_commit(d, FRAME);
		now = now_ns();
	} while (now < end);
	st->value[0] = 1e9 * (n - RING) / (now - start);
	atomic_store_explicit(&st->shown, n, memory_order_release);
	if (!wait_flag(&st->done, 1))
		return 1;
	venom_daemon_destroy(d);
	return rc ? bad_rc("commit", rc) : 0;
}

/*
 * value[1]: frames a second seen whole; [2]: missed, [3]: overwritten during the read; both are detected and counted.
 */
static int display(struct stage *st)
{
	struct venom_shell *s = shell_open(st);
	uint64_t seen = 0, start, last, shown = 0, sum;
	struct venom_view view;
	int rc;

	if (!s)
		return 1;
	venom_shell_set_spin(s, VENOM_SPIN_FOREVER);
	rc = venom_shell_read_begin(s, &view);
	if (rc)
		return bad_rc("read", rc);
	keep(plain_sum(view.data, view.len)); /* maps all pages */
	seen = last = view.version;
	atomic_store(&st->go, 1);
	start = now_ns();
	while (!(atomic_load_explicit(&st->shown, memory_order_acquire) && seen >= atomic_load(&st->shown))) {
		rc = venom_shell_wait(s, seen, 1000000);
		if (rc == 0)
			continue;
		if (rc < 0)
			return bad_rc("wait", rc);
		rc = venom_shell_read_begin(s, &view);
		if (rc == -EAGAIN)
			continue;
		if (rc)
			return bad_rc("read", rc);
		sum = plain_sum(view.data, view.len);
		seen = view.version;
		if (venom_shell_read_retry(s, &view)) {
			st->value[3]++;
			continue;
		}
		if (view.len != FRAME || sum != word_of(view.version) * (FRAME / 8))
			return bad("frame %llu is torn, and nobody said so", (unsigned long long)view.version);
		st->value[2] += view.version - last - 1;
		last = view.version;
		shown++;
	}
	st->value[1] = 1e9 * shown / (now_ns() - start);
	atomic_store(&st->done, 1);
	venom_shell_close(s);
	return 0;
}

static int video(void)
{
	struct stage *st = stage_new(NULL, 0);
	char name[48];

	st->slice_ns = bench->slice_ns * 5;
	if (pair(st, NULL, by_hand, by_hand))
		return 1;
	put_value("filled by hand, beside", LIMIT, PER_S, st->value[0]);
	put_value("summed by hand, beside", LIMIT, PER_S, st->value[1]);
	for (unsigned int w = 0; w < nways; w++) {
		static const char *const what[] = {"captured", "shown", "missed", "overwritten"};

		st = stage_new(&ways[w], 0);
		st->slice_ns = bench->slice_ns * 5;
		if (pair(st, NULL, capture, display))
			return 1;
		for (int i = 0; i < 4; i++) {
			snprintf(name, sizeof(name), "%s: %s", ways[w].name, what[i]);
			put_value(name, VENOM, i < 2 ? PER_S : COUNT, st->value[i]);
		}
	}
	goal("venom: captured", "filled by hand, beside", AT_LEAST, 0.9);
	goal("venom: shown", "", AT_LEAST, 60);
	return 0;
}

const struct row row_video = {
	.name = "video-8k", .what = "frames of 99.5 MB written in place, and looked at in place", .round = video};

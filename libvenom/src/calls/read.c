/* SPDX-License-Identifier: MIT */
/*
 * Reading state.
 *
 *	read		venom_ring_pick the latest, copy, venom_ring_check; retry if the writer has overwritten it
 *	read_next	the same with the buffer of the next version: absent, there, or overwritten
 *
 * Every read ends: after max_tries torn copies, or BUSY_TRIES looks at a buffer that is being written.
 */
#include "internal.h"

#define BUSY_TRIES  16384
#define START_TRIES 8

/* Until a reader has settled, its pointers lead here: the value never equals next_was or seq_was, so checks fail. */
static const uint64_t nowhere;

VENOM_API void venom_inline_reader_init(struct venom_inline_reader *r)
{
	*r = (struct venom_inline_reader){
		.next = &nowhere, .next_was = 1, .data = &nowhere, .seq = &nowhere, .seq_was = 1};
}

int venom_len_check(struct venom_shell *s, uint64_t len, size_t size)
{
	if (len > s->ring.data_size)
		return venom_fail(-EPROTO, "version's length is %llu, data_size is %llu", (unsigned long long)len,
				  (unsigned long long)s->ring.data_size);
	if (len > size) {
		s->needed = len;
		return -EMSGSIZE;
	}
	return 0;
}

static inline void count_read(struct venom_shell *s, uint64_t tries, uint64_t spoiled, bool whole)
{
	struct venom_shell_counts *c = &s->cmd->counts;

	if (load_relaxed(&c->last_tries) != tries)
		store_relaxed(&c->last_tries, tries);
	if (spoiled)
		count_up(&c->retries, spoiled);
	if (whole)
		count_up(&c->reads, 1);
}

/* Every try met the writer: -EOWNERDEAD if it died in the only buffer, else -EAGAIN. */
static int gave_up(struct venom_shell *s)
{
	return s->ring.versions == 1 && venom_shell_gone(s) ? -EOWNERDEAD : -EAGAIN;
}

/* The tries of a read so far: all, those that met the writer, those with a torn copy. */
struct effort {
	uint64_t tries, busy, spoiled;
};

/* Claim the latest version; if it is being written, retry up to BUSY_TRIES times. */
static int claim(struct venom_shell *s, struct venom_claim *c, struct effort *e)
{
	for (;;) {
		enum venom_pick pick = venom_ring_pick(&s->ring, s->seen, c);

		e->tries++;
		if (pick == VENOM_PICK_WHOLE)
			return 0;
		if (pick == VENOM_PICK_NONE)
			return -ENODATA;
		if (++e->busy >= BUSY_TRIES)
			return gave_up(s);
		cpu_relax();
	}
}

/* The writer has overwritten what we read: 0 to retry. */
static int spoiled(struct venom_shell *s, struct effort *e)
{
	return ++e->spoiled < s->max_tries ? 0 : gave_up(s);
}

static void point_at(struct venom_shell *s, struct venom_inline_reader *r, const struct venom_claim *c)
{
	r->data = venom_ring_payload(&s->ring, c->buf);
	r->len = c->len;
	r->seq = (const uint64_t *)&c->buf->seq;
	r->seq_was = c->seq;
}

/*
 * The claimed version is whole: for reads in line, note where it is, and the word that changes when a newer one comes.
 * That is the seq of the next version's buffer: an older number until the writer opens the buffer, then "writing".  (A
 * number that was passed over may still become a version, or not.)
 * model: ring
 */
static void settle(struct venom_shell *s, struct venom_inline_reader *r, const struct venom_claim *c)
{
	uint64_t v = VENOM_SEQ_VERSION(c->seq);
	const struct venom_version *next = venom_ring_at(&s->ring, v + 1);
	uint64_t was = load_relaxed(&next->seq);

	if (next == c->buf ? was != c->seq : VENOM_SEQ_NUMBER(was) > v && was != VENOM_SEQ_WRITING(v + 1))
		return;
	point_at(s, r, c);
	r->next_was = was;
	r->next = (const uint64_t *)&next->seq;
}

/* Settle only at the second read of a version: the look at the next one's buffer takes a line that the writer needs. */
static ssize_t have_read(struct venom_shell *s, struct venom_inline_reader *r, const struct venom_claim *c)
{
	uint64_t v = VENOM_SEQ_VERSION(c->seq);

	if (s->seen != v)
		s->seen = v;
	if (r->version == v)
		settle(s, r, c);
	r->version = v;
	return c->len;
}

/* Count the reads that were in line. */
static void count_steady(struct venom_shell *s, struct venom_inline_reader *r)
{
	if (!r->reads)
		return;
	count_read(s, 1, 0, false);
	count_up(&s->cmd->counts.reads, r->reads);
	r->reads = 0;
}

/*
 * Claim the latest version, copy it to buf or make a view of it (the other is NULL), check that the writer has not
 * overwritten it; retry if it has.  0, or an errno.  On failure the view is unspecified.
 */
static inline int read_whole(struct venom_shell *s, struct venom_claim *c, struct effort *e, void *buf, size_t size,
			     struct venom_view *view)
{
	int rc;

	do {
		bool fits;

		rc = claim(s, c, e);
		if (rc)
			break;
		fits = c->len <= size && c->len <= s->ring.data_size;
		if (view)
			venom_view_make(s, c, view);
		else if (fits)
			copy_from_shared(buf, venom_ring_payload(&s->ring, c->buf), c->len);
		if (venom_ring_check(c)) {
			rc = fits ? 0 : venom_len_check(s, c->len, size);
			break;
		}
		rc = spoiled(s, e);
	} while (!rc);
	return rc;
}

/* The general read, after `tries` tries: any size, with retries. */
static __attribute__((noinline)) ssize_t read_again(struct venom_shell *s, struct venom_inline_reader *r, void *buf,
						    size_t size, uint64_t tries)
{
	struct effort e = {.tries = tries, .spoiled = tries};
	struct venom_claim c;
	int rc = read_whole(s, &c, &e, buf, size, NULL);

	count_read(s, e.tries, e.spoiled, !rc);
	return rc ? rc : have_read(s, r, &c);
}

VENOM_API ssize_t venom_inline_read_slow(struct venom_shell *s, struct venom_inline_reader *r, void *buf, size_t size)
{
	struct venom_claim c;

	count_steady(s, r);
	/* Fast path: with nothing to keep over a loop or a call, a small version costs half as much. */
	if (venom_ring_pick(&s->ring, s->seen, &c) != VENOM_PICK_WHOLE || c.len > size || c.len > s->small)
		return read_again(s, r, buf, size, 0);
	copy_small_from_shared(buf, venom_ring_payload(&s->ring, c.buf), c.len);
	if (!venom_ring_check(&c))
		return read_again(s, r, buf, size, 1);
	count_read(s, 1, 0, true);
	return have_read(s, r, &c);
}

static __attribute__((noinline)) ssize_t read_slow(struct venom_shell *s, void *buf, size_t size, uint64_t *version)
{
	ssize_t len = venom_inline_read_slow(s, &s->steady, buf, size);

	if (len >= 0 && version)
		*version = s->steady.version;
	return len;
}

VENOM_API ssize_t venom_shell_read(struct venom_shell *s, void *buf, size_t size, uint64_t *version)
{
	struct venom_inline_reader *r = &s->steady;

	if (!venom_inline_copy(r, buf, size))
		return read_slow(s, buf, size, version);
	if (version)
		*version = r->version;
	return r->len;
}

/* ---- in place -------------------------------------------------------------------- */

void venom_view_make(const struct venom_shell *s, const struct venom_claim *c, struct venom_view *view)
{
	*view = (struct venom_view){
		.data = venom_ring_payload(&s->ring, c->buf),
		.len = c->len,
		.version = VENOM_SEQ_VERSION(c->seq),
		.time_ns = s->ring.stamped ? load_relaxed(&c->buf->time_ns[0]) : 0,
		.seq = c->seq,
	};
}

static int begin(struct venom_shell *s, struct venom_claim *c, struct venom_view *view)
{
	struct effort e = {0};
	struct venom_view seen;
	int rc = read_whole(s, c, &e, NULL, s->ring.data_size, &seen);

	if (!rc) {
		*view = seen;
		s->seen = view->version;
	}
	count_read(s, e.tries, e.spoiled, false);
	return rc;
}

VENOM_API int venom_shell_read_begin(struct venom_shell *s, struct venom_view *view)
{
	struct venom_claim c;

	return begin(s, &c, view);
}

VENOM_API int venom_shell_read_retry(struct venom_shell *s, const struct venom_view *view)
{
	struct venom_claim c = {.buf = venom_ring_at(&s->ring, view->version), .seq = view->seq};
	bool whole = venom_ring_check(&c);

	count_read(s, load_relaxed(&s->cmd->counts.last_tries), !whole, whole);
	return whole ? 0 : -EAGAIN;
}

VENOM_API int venom_inline_look_slow(struct venom_shell *s, struct venom_inline_reader *r)
{
	struct venom_view view;
	struct venom_claim c;
	int rc;

	count_steady(s, r);
	rc = begin(s, &c, &view);
	if (rc)
		return rc;
	point_at(s, r, &c);
	have_read(s, r, &c);
	return 0;
}

VENOM_API uint64_t venom_shell_version(const struct venom_shell *s)
{
	uint64_t v = venom_ring_latest(&s->ring);

	return v > s->seen ? v : s->seen;
}

/* The version after *version was overwritten: move *version to just before the oldest that is still there. */
static int lapped(struct venom_shell *s, uint64_t *version)
{
	uint64_t latest = venom_shell_version(s);
	uint64_t v = latest >= s->ring.versions ? latest - s->ring.versions + 1 : 1;
	struct venom_claim c;

	if (latest <= *version)
		return -EAGAIN;
	if (v <= *version)
		v = *version + 1;
	/* At most one lap of the ring, whatever a hostile daemon says is the latest. */
	for (uint64_t left = latest - v + 1; left; left--, v++)
		if (venom_ring_claim(venom_ring_at(&s->ring, v), &c) == VENOM_PICK_WHOLE && c.seq == VENOM_SEQ_WHOLE(v))
			break;
	v--;
	if (v == *version)
		return -EAGAIN;
	if (*version)
		count_up(&s->cmd->counts.overruns, v - *version);
	*version = v;
	return -EOVERFLOW;
}

/* Whether the numbers `from` to `to` - 1 are all still marked as passed over. */
static bool all_passed(const struct venom_ring *r, uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		if (load_relaxed(&venom_ring_at(r, from)->seq) != VENOM_SEQ_PASSED(from))
			return false;
	return true;
}

/* model: hold */
static ssize_t read_next(struct venom_shell *s, void *buf, size_t size, uint64_t *version)
{
	uint64_t want = *version;
	enum venom_pick pick;
	struct venom_claim c;
	ssize_t rc;

	if (!venom_ring_newer(&s->ring, *version) && !venom_shell_idle(s) && !venom_ring_newer(&s->ring, *version))
		return -EPIPE;
	/* Skip the numbers that the writer has passed over: there are fewer of them than buffers. */
	do {
		pick = venom_ring_claim(venom_ring_at(&s->ring, ++want), &c);
	} while (c.seq == VENOM_SEQ_PASSED(want) && want - *version < s->ring.versions);
	if (VENOM_SEQ_NUMBER(c.seq) > want)
		return lapped(s, version);
	if (pick != VENOM_PICK_WHOLE || VENOM_SEQ_VERSION(c.seq) < want)
		return -EAGAIN;
	/* The writer may have made a version of one of them after all, but only before it committed this one. */
	if (!all_passed(&s->ring, *version + 1, want))
		return -EAGAIN;
	rc = venom_len_check(s, c.len, size);
	if (!rc)
		copy_from_shared(buf, venom_ring_payload(&s->ring, c.buf), c.len);
	if (!venom_ring_check(&c)) {
		count_read(s, 1, 1, false);
		return lapped(s, version);
	}
	if (rc)
		return rc;
	count_read(s, 1, 0, true);
	*version = want;
	if (s->seen < want)
		s->seen = want;
	return c.len;
}

static ssize_t read_from(struct venom_shell *s, void *buf, size_t size, uint64_t *version)
{
	bool start = !*version;
	ssize_t rc = read_next(s, buf, size, version);

	/* A reader that starts has missed nothing: give it the oldest version; retry if that is overwritten first. */
	for (int tries = 0; start && rc == -EOVERFLOW && tries < START_TRIES; tries++)
		rc = read_next(s, buf, size, version);
	if (start && rc < 0) {
		*version = 0;
		if (rc == -EOVERFLOW)
			rc = -EAGAIN;
	}
	return rc;
}

VENOM_API ssize_t venom_shell_read_next(struct venom_shell *s, void *buf, size_t size, uint64_t *version)
{
	ssize_t rc = read_from(s, buf, size, version);

	/* Also if the caller has changed *version itself, or lapped() has. */
	if ((s->roles & VENOM_ROLE_LOSSLESS) && *version > s->cursor_at)
		venom_cursor_set(s, *version);
	return rc;
}

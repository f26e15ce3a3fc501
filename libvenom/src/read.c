/* SPDX-License-Identifier: MIT */
/*
 * Reading state.
 *
 *	read		venom_ring_pick the latest, copy, venom_ring_check; again if the writer came round
 *	read_next	the same with the buffer of the next version: absent, there, or overwritten
 *
 * Every read ends: after max_tries spoiled copies, or BUSY_TRIES looks at a buffer that is being written.
 */
#include "internal.h"

#define BUSY_TRIES 16384

/* What a whole version's length says; 0 if it can be copied. */
static int check_len(struct venom_shell *s, uint64_t len, size_t size)
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

static void count_read(struct venom_shell *s, uint64_t tries, uint64_t spoiled, bool whole)
{
	struct venom_shell_counts *c = &s->cmd->counts;

	if (load_relaxed(&c->last_tries) != tries)
		store_relaxed(&c->last_tries, tries);
	if (spoiled)
		count_up(&c->retries, spoiled);
	if (whole)
		count_up(&c->reads, 1);
}

/* The writer was in the way every time: does it still write, or did it die there? */
static int gave_up(struct venom_shell *s)
{
	return s->ring.versions == 1 && venom_shell_gone(s) ? -EOWNERDEAD : -EAGAIN;
}

VENOM_API ssize_t venom_shell_read(struct venom_shell *s, void *buf, size_t size, uint64_t *version)
{
	uint64_t tries = 0, spoiled = 0, busy = 0;
	struct venom_claim c;
	ssize_t rc;

	for (;;) {
		enum venom_pick pick = venom_ring_pick(&s->ring, s->seen, &c);

		tries++;
		if (pick == VENOM_PICK_NONE) {
			rc = -ENODATA;
			break;
		}
		if (pick == VENOM_PICK_WHOLE) {
			bool fits = c.len <= size && c.len <= s->ring.data_size;

			if (fits)
				copy_from_shared(buf, venom_ring_payload(&s->ring, c.buf), c.len);
			if (venom_ring_check(&c)) {
				rc = fits ? (ssize_t)c.len : check_len(s, c.len, size);
				break;
			}
			if (++spoiled >= s->max_tries) {
				rc = gave_up(s);
				break;
			}
		} else {
			if (++busy >= BUSY_TRIES) {
				rc = gave_up(s);
				break;
			}
			cpu_relax();
		}
	}
	count_read(s, tries, spoiled, rc >= 0);
	if (rc >= 0) {
		s->seen = c.seq / 2;
		if (version)
			*version = s->seen;
	}
	return rc;
}

VENOM_API int venom_shell_read_begin(struct venom_shell *s, struct venom_view *view)
{
	struct venom_claim c;
	uint64_t tries = 0;
	int rc;

	for (;;) {
		enum venom_pick pick = venom_ring_pick(&s->ring, s->seen, &c);

		tries++;
		if (pick == VENOM_PICK_NONE) {
			rc = -ENODATA;
			break;
		}
		if (pick == VENOM_PICK_WHOLE) {
			uint64_t time_ns = load_relaxed(&c.buf->time_ns);

			rc = c.len <= s->ring.data_size ? 0 : -EPROTO;
			if (venom_ring_check(&c)) {
				if (rc)
					break;
				*view = (struct venom_view){
					.data = venom_ring_payload(&s->ring, c.buf),
					.len = c.len,
					.version = c.seq / 2,
					.time_ns = time_ns,
					.seq = c.seq,
				};
				break;
			}
		}
		if (tries >= BUSY_TRIES) {
			rc = gave_up(s);
			break;
		}
		cpu_relax();
	}
	count_read(s, tries, tries - 1, false);
	if (!rc)
		s->seen = view->version;
	else if (rc == -EPROTO)
		check_len(s, c.len, 0);
	return rc;
}

VENOM_API int venom_shell_read_retry(struct venom_shell *s, const struct venom_view *view)
{
	struct venom_claim c = {.buf = venom_ring_at(&s->ring, view->version), .seq = view->seq};
	bool whole = venom_ring_check(&c);

	count_read(s, load_relaxed(&s->cmd->counts.last_tries), !whole, whole);
	return whole ? 0 : -EAGAIN;
}

VENOM_API uint64_t venom_shell_version(const struct venom_shell *s)
{
	uint64_t v = venom_ring_latest(&s->ring);

	return v > s->seen ? v : s->seen;
}

/* The writer has gone past the version after *version: move it to just before the oldest that is still there. */
static int lapped(struct venom_shell *s, uint64_t *version)
{
	uint64_t latest = venom_shell_version(s);
	uint64_t v = latest >= s->ring.versions ? latest - s->ring.versions + 1 : 1;
	struct venom_claim c;

	if (v <= *version)
		v = *version + 1;
	for (; v <= latest; v++)
		if (venom_ring_claim(venom_ring_at(&s->ring, v), &c) == VENOM_PICK_WHOLE && c.seq == 2 * v)
			break;
	v--;
	if (v == *version)
		return -EAGAIN;
	if (*version)
		count_up(&s->cmd->counts.overruns, v - *version);
	*version = v;
	return -EOVERFLOW;
}

static ssize_t read_next(struct venom_shell *s, void *buf, size_t size, uint64_t *version)
{
	uint64_t want = *version + 1;
	struct venom_claim c;
	ssize_t rc;

	if (!venom_ring_newer(&s->ring, *version) && !venom_shell_idle(s) && !venom_ring_newer(&s->ring, *version))
		return -EPIPE;
	if (venom_ring_claim(venom_ring_at(&s->ring, want), &c) != VENOM_PICK_WHOLE)
		return (c.seq + 1) / 2 > want ? lapped(s, version) : -EAGAIN;
	if (c.seq / 2 < want)
		return -EAGAIN;
	if (c.seq / 2 > want)
		return lapped(s, version);
	rc = check_len(s, c.len, size);
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

VENOM_API ssize_t venom_shell_read_next(struct venom_shell *s, void *buf, size_t size, uint64_t *version)
{
	bool start = !*version;
	ssize_t rc = read_next(s, buf, size, version);

	/* Who starts has missed nothing: give the oldest there is, unless the writer laps us again right then. */
	if (start && rc == -EOVERFLOW)
		rc = read_next(s, buf, size, version);
	return rc;
}

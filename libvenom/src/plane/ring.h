/* SPDX-License-Identifier: MIT */
/*
 * The version ring: one writer, any number of readers, each in its own process.
 *
 *	writer: venom_ring_begin -> fill -> venom_ring_commit		wait-free
 *	reader: venom_ring_pick -> copy or look -> venom_ring_check	retries only if overwritten meanwhile
 *
 * Version v is in buffer v % versions.  With one buffer this is the classic seqlock: readers
 * wait while the writer writes.  With more, readers copy the last version while the writer
 * fills the next, and a writer that dies in the middle leaves torn only a buffer that no reader uses yet.
 */
#ifndef VENOM_RING_H
#define VENOM_RING_H

#include <linux/venom_layout.h>
#include "barrier.h"

/* One side's private, checked copy of the ring's geometry, which is never read from the area again. */
struct venom_ring {
	struct venom_state *state;
	char	 *buffers;	/* buffer 0 */
	uint64_t  data_size;
	uint64_t  stride;
	uint32_t  payload;
	uint32_t  versions;
	uint32_t  mask;		/* versions - 1, for use if versions is a power of two... */
	bool	  pow2;		/* ...in which case the slow division is skipped */
	bool	  stamped;	/* VENOM_GEO_STAMP */
};

static inline void venom_ring_init(struct venom_ring *r, struct venom_state *state, const struct venom_geometry *geo)
{
	r->state = state;
	r->buffers = (char *)state + geo->first;
	r->data_size = geo->data_size;
	r->stride = geo->stride;
	r->payload = geo->payload;
	r->versions = geo->versions;
	r->mask = geo->versions - 1;
	r->pow2 = !(geo->versions & (geo->versions - 1));
	r->stamped = geo->flags & VENOM_GEO_STAMP;
}

static inline struct venom_version *venom_ring_at(const struct venom_ring *r, uint64_t version)
{
	uint64_t i = r->pow2 ? version & r->mask : version % r->versions;

	return (struct venom_version *)(r->buffers + i * r->stride);
}

static inline void *venom_ring_payload(const struct venom_ring *r, struct venom_version *b)
{
	return (char *)b + r->payload;
}

/* ---- the writer ----------------------------------------------------------- */

/* Open the buffer of `version`: from here to the commit, its old version is torn for its readers. (model: ring) */
static inline struct venom_version *venom_ring_begin(const struct venom_ring *r, uint64_t version)
{
	struct venom_version *b = venom_ring_at(r, version);

	/* ring_begin:B pairs with ring_newer:A: a reader that sees this store sees the previous version in `latest`. */
	store_release(&b->seq, VENOM_SEQ_WRITING(version));
	fence_release(); /* ring_begin:A pairs with ring_check:A, inline_copy:A and inline_whole:A: "writing" before any new byte */
	return b;
}

/* model: ring */
static inline void venom_ring_commit(const struct venom_ring *r, struct venom_version *b, uint64_t version,
				     uint64_t len, uint64_t time_ns)
{
	store_relaxed(&b->len, len);
	if (r->stamped)
		store_relaxed(&b->time_ns[0], time_ns);
	/* ring_commit:A pairs with ring_claim:A, ring_latest:B and ring_last:A */
	store_release(&b->seq, VENOM_SEQ_WHOLE(version));
	if (r->versions > 1)
		store_release(&r->state->latest, version); /* ring_commit:B pairs with ring_latest:A and ring_pick:A */
}

/* ---- readers --------------------------------------------------------------- */

/* A claim on a version: the header of its buffer as we first read it. */
struct venom_claim {
	struct venom_version *buf;
	uint64_t seq;
	uint64_t len;
};

enum venom_pick {
	VENOM_PICK_WHOLE,	/* claimed */
	VENOM_PICK_NONE,	/* nothing has been published in that buffer */
	VENOM_PICK_BUSY,	/* being written, or its number was passed over: nothing to read here */
};

/* model: ring */
static inline enum venom_pick venom_ring_claim(struct venom_version *b, struct venom_claim *c)
{
	c->buf = b;
	c->seq = load_acquire(&b->seq); /* ring_claim:A pairs with ring_commit:A and inline_publish:C */
	c->len = load_relaxed(&b->len);
	if (!VENOM_SEQ_IS_WHOLE(c->seq))
		return VENOM_PICK_BUSY;
	return c->seq ? VENOM_PICK_WHOLE : VENOM_PICK_NONE;
}

/* model: ring */
static inline uint64_t venom_ring_latest(const struct venom_ring *r)
{
	const struct venom_version *only = (struct venom_version *)r->buffers;

	if (r->versions > 1)
		return load_acquire(&r->state->latest); /* ring_latest:A pairs with ring_commit:B and inline_publish:D */
	return VENOM_SEQ_VERSION(load_acquire(&only->seq)); /* ring_latest:B pairs with ring_commit:A and inline_publish:C */
}

/*
 * Return the last committed version, even if its writer died before the store to `latest`.  Not for frequent use: it
 * reads the cache line that a writer at full speed needs next.
 * model: ring
 */
static inline uint64_t venom_ring_last(const struct venom_ring *r)
{
	uint64_t v = venom_ring_latest(r);

	for (uint64_t next = v + 1; next < v + r->versions; next++) {
		uint64_t seq = load_acquire(&venom_ring_at(r, next)->seq); /* ring_last:A pairs with ring_commit:A, inline_publish:C */

		if (VENOM_SEQ_VERSION(seq) < next)
			break;
		if (!VENOM_SEQ_IS_PASSED(seq))
			return VENOM_SEQ_VERSION(seq);
	}
	return v;
}

/*
 * Return a version newer than `version`, or 0 if there is none.  Look only at the buffer of the next version, unless
 * that number was passed over.
 * model: ring
 */
static inline uint64_t venom_ring_newer(const struct venom_ring *r, uint64_t version)
{
	uint64_t seq = load_acquire(&venom_ring_at(r, version + 1)->seq); /* ring_newer:A pairs with ring_begin:B, ring_open:B, inline_publish:B */
	uint64_t v = VENOM_SEQ_VERSION(seq);

	if (v <= version)
		return 0;
	if (VENOM_SEQ_IS_PASSED(seq)) {
		v = venom_ring_last(r); /* the writer may have died before it stored a later one in `latest` */
		return v > version ? v : 0;
	}
	return v;
}

/* The same for a reader that waits: prefetch the payload's first line, too, so that both lines are under way. */
static inline uint64_t venom_ring_await(const struct venom_ring *r, uint64_t version)
{
	uint64_t v = venom_ring_newer(r, version);

	if (!v)
		__builtin_prefetch(venom_ring_payload(r, venom_ring_at(r, version + 1)));
	return v;
}

/*
 * Claim the latest version, or a newer one if its buffer already holds that.  `seen` is the newest version that this
 * reader knows: `latest` may still be behind it, and the reader must not go back.  A reader that keeps up does not read
 * `latest`, whose line the writer must steal back for each version: the buffer of version seen + 1 tells whether there
 * is a newer one.
 * model: ring
 */
static inline enum venom_pick venom_ring_pick(const struct venom_ring *r, uint64_t seen, struct venom_claim *c)
{
	uint64_t v = 0;

	if (r->versions > 1) {
		v = seen;
		if (!seen || venom_ring_newer(r, seen)) {
			v = load_acquire(&r->state->latest); /* ring_pick:A pairs with ring_commit:B and inline_publish:D */
			if (v < seen)
				v = seen;
		}
		if (!v)
			return VENOM_PICK_NONE;
	}
	return venom_ring_claim(venom_ring_at(r, v), c);
}

/* Return whether all that was read from the buffer since the claim belongs to the claimed version. (model: ring) */
static inline bool venom_ring_check(const struct venom_claim *c)
{
	fence_acquire(); /* ring_check:A pairs with ring_begin:A, ring_open:A and inline_publish:A */
	return load_relaxed(&c->buf->seq) == c->seq;
}

#endif /* VENOM_RING_H */

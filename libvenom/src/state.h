/* SPDX-License-Identifier: MIT */
/*
 * The version ring: one writer, any number of readers, each in its own process.
 *
 *	writer: venom_ring_begin -> fill -> venom_ring_commit		wait-free
 *	reader: venom_ring_pick -> copy or look -> venom_ring_check	retries only if the writer came round
 *
 * Version v is in buffer v % versions.  With one buffer this is the classic seqlock: readers
 * wait while the writer writes.  With more, readers copy the last version while the writer
 * fills the next, and a writer that dies in the middle spoils only what nobody reads yet.
 */
#ifndef VENOM_STATE_H
#define VENOM_STATE_H

#include <stdbool.h>
#include <linux/venom_layout.h>
#include "barrier.h"

/* One side's private, checked view of the ring.  What it is made of is never read from the area again. */
struct venom_ring {
	struct venom_state *state;
	char	 *buffers;	/* buffer 0 */
	uint64_t  data_size;
	uint64_t  stride;
	uint32_t  payload;
	uint32_t  versions;
	uint32_t  mask;		/* versions - 1 if that is a power of two... */
	bool	  pow2;		/* ...in which case the slow division is skipped */
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

/* Open the buffer of `version`: from here to the commit, readers of what was in it see it torn. (model: ring) */
static inline struct venom_version *venom_ring_begin(const struct venom_ring *r, uint64_t version)
{
	struct venom_version *b = venom_ring_at(r, version);

	store_release(&b->seq, 2 * version - 1);	/* who sees it sees `latest` of the version before */
	fence_release();	/* pairs with fence_acquire in venom_ring_check: odd seq before any new byte */
	return b;
}

/* model: ring */
static inline void venom_ring_commit(const struct venom_ring *r, struct venom_version *b, uint64_t version,
				     uint64_t len, uint64_t time_ns)
{
	store_relaxed(&b->len, len);
	store_relaxed(&b->time_ns, time_ns);
	store_release(&b->seq, 2 * version);	/* pairs with the acquire in venom_ring_pick */
	if (r->versions > 1)
		store_release(&r->state->latest, version);	/* pairs with the acquire in venom_ring_latest */
}

/* A claim on a version: what its buffer said when we first looked. */
struct venom_claim {
	struct venom_version *buf;
	uint64_t seq;
	uint64_t len;
};

enum venom_pick {
	VENOM_PICK_WHOLE,	/* claimed */
	VENOM_PICK_NONE,	/* nothing has been published in that buffer */
	VENOM_PICK_BUSY,	/* being written */
};

/* model: ring */
static inline enum venom_pick venom_ring_claim(struct venom_version *b, struct venom_claim *c)
{
	c->buf = b;
	c->seq = load_acquire(&b->seq);		/* pairs with the release in venom_ring_commit */
	c->len = load_relaxed(&b->len);
	if (c->seq & 1)
		return VENOM_PICK_BUSY;
	return c->seq ? VENOM_PICK_WHOLE : VENOM_PICK_NONE;
}

/* model: ring */
static inline uint64_t venom_ring_latest(const struct venom_ring *r)
{
	if (r->versions > 1)
		return load_acquire(&r->state->latest);	/* pairs with the release in venom_ring_commit */
	return load_acquire(&((struct venom_version *)r->buffers)->seq) / 2;
}

/* A version newer than `version`, 0 if there is none: looks only at the buffer that the next one goes to. */
/* model: ring */
static inline uint64_t venom_ring_newer(const struct venom_ring *r, uint64_t version)
{
	uint64_t v = load_acquire(&venom_ring_at(r, version + 1)->seq) / 2;

	return v > version ? v : 0;
}

/* The same for who waits: the payload's first line is asked for too, so that both are on their way when it comes. */
static inline uint64_t venom_ring_await(const struct venom_ring *r, uint64_t version)
{
	uint64_t v = venom_ring_newer(r, version);

	if (!v)
		__builtin_prefetch(venom_ring_payload(r, venom_ring_at(r, version + 1)));
	return v;
}

/*
 * The last that was committed, though its writer died before it could call it the latest.  Not for who looks often: a
 * writer in full flight wants that line next.
 * model: ring
 */
static inline uint64_t venom_ring_last(const struct venom_ring *r)
{
	uint64_t v = venom_ring_latest(r), next = venom_ring_newer(r, v);

	return next ? next : v;
}

/*
 * Claim the latest version.  `seen` is the newest that this reader knows of: who saw a buffer's seq may not see
 * `latest` follow yet, and must not go back.  Whoever keeps up need not look at `latest`, a line that the writer has to
 * take away for each version: the buffer where the one after `seen` will be tells whether there is one.  The buffer may
 * by now hold a newer one still: so much the better.
 * model: ring
 */
static inline enum venom_pick venom_ring_pick(const struct venom_ring *r, uint64_t seen, struct venom_claim *c)
{
	uint64_t v = 0;

	if (r->versions > 1) {
		v = seen;
		if (!seen || venom_ring_newer(r, seen)) {
			v = load_acquire(&r->state->latest);	/* pairs with the release in venom_ring_commit */
			if (v < seen)
				v = seen;
		}
		if (!v)
			return VENOM_PICK_NONE;
	}
	return venom_ring_claim(venom_ring_at(r, v), c);
}

/* Whether all that was read from the buffer since the claim belongs to the claimed version. (model: ring) */
static inline bool venom_ring_check(const struct venom_claim *c)
{
	fence_acquire();	/* pairs with fence_release in venom_ring_begin */
	return load_relaxed(&c->buf->seq) == c->seq;
}

#endif /* VENOM_STATE_H */

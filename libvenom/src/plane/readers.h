/* SPDX-License-Identifier: MIT */
/*
 * Readers that the writer heeds, that is, checks before it overwrites a buffer (barrier.h 9 and 10): a holder holds a
 * version in place, a lossless reader misses no version.
 *
 *	holder:   venom_ring_hold -> read the bytes for any length of time -> venom_ring_release	wait-free
 *	lossless: read a version -> venom_cursor_move							wait-free
 *	writer:   venom_ring_open -> fill -> venom_ring_commit		wait-free: versions * readers loads at most
 *
 * A holder never stops the writer: the writer passes over the held buffer, and that number becomes no version.  The
 * writer needs one buffer beside the held ones and the latest.  A lossless reader does stop the writer if it has not
 * read the version in the next buffer: the writer's caller decides what to do then.
 */
#ifndef VENOM_READERS_H
#define VENOM_READERS_H

#include "ring.h"

/* ---- a reader's own words --------------------------------------------------- */

/* Hold the claimed version.  False if the writer was faster: then release, claim and retry. (model: hold) */
static inline bool venom_ring_hold(const struct venom_claim *c, __u64 *held)
{
	store_release(held, VENOM_SEQ_VERSION(c->seq)); /* ring_hold:B pairs with ring_held:A: earlier reads first */
	fence_full(); /* ring_hold:A pairs with ring_open:A: `held` before the load of seq */
	return load_relaxed(&c->buf->seq) == c->seq;
}

/* model: hold */
static inline void venom_ring_release(__u64 *held)
{
	store_release(held, 0); /* ring_release:A pairs with ring_held:A: all reads of the bytes come first */
}

/* All versions up to this one have been read. (model: lossless) */
static inline void venom_cursor_move(__u64 *cursor, uint64_t version)
{
	store_release(cursor, version); /* cursor_move:A pairs with ring_owed:A: the copies come first */
}

/* ---- what the writer knows of a reader --------------------------------------- */

#define VENOM_NOT_YET	UINT64_MAX

struct venom_reader {
	const struct venom_commands *cmd;	/* the reader's page: not trusted, may hold any value */
	uint32_t roles;		/* VENOM_ROLE_* that are heeded */
	uint64_t floor;		/* lossless: it may miss versions up to this one; VENOM_NOT_YET: all */
	/* for the writer only */
	uint64_t held;		/* the version that it was last found to hold... */
	const struct venom_version *holds;	/* ...and its buffer: finding it takes a division */
	uint64_t stuck;		/* cursor + floor when this reader first blocked the writer: both only rise... */
	int64_t  since;		/* ...and when that was */
	uint64_t cut;		/* it is ignored until it has read up to this version */
};

/* The manager adds and removes readers while the writer walks over them. */
struct venom_readers {
	struct venom_reader **at;	/* NULL: a free place */
	uint32_t n;			/* places that are or were in use: never decreases */
};

/* Return the version up to which the reader has read, or may miss, all; VENOM_NOT_YET: the writer owes it nothing. */
static inline uint64_t venom_reader_at(const struct venom_reader *rd)
{
	uint64_t floor = load_relaxed(&rd->floor);
	uint64_t cursor = load_acquire(&rd->cmd->cursor); /* ring_owed:A pairs with cursor_move:A */
	uint64_t at = cursor > floor ? cursor : floor;

	return at < rd->cut ? VENOM_NOT_YET : at;
}

/*
 * Return a lossless reader that has not read `version`, or NULL.  *all is set to the version that all lossless readers
 * have read, at most `latest`: up to that version the writer need not ask again.
 * model: lossless
 */
static inline struct venom_reader *venom_ring_owed(const struct venom_readers *rs, uint64_t version, uint64_t latest,
						   uint64_t *all)
{
	struct venom_reader *found = NULL;
	uint32_t n = load_relaxed(&rs->n);

	*all = latest;
	for (uint32_t i = 0; i < n; i++) {
		struct venom_reader *rd = load_acquire(&rs->at[i]); /* ring_owed:B pairs with readers_add:A */
		uint64_t at;

		if (!rd || !(load_relaxed(&rd->roles) & VENOM_ROLE_LOSSLESS))
			continue;
		at = venom_reader_at(rd);
		if (at < *all)
			*all = at;
		if (at < version)
			found = rd;
	}
	return found;
}

/* Return whether a reader holds the version in this buffer. (model: hold) */
static inline bool venom_ring_held(const struct venom_ring *r, const struct venom_readers *rs,
				   const struct venom_version *b)
{
	uint32_t n = load_relaxed(&rs->n);

	for (uint32_t i = 0; i < n; i++) {
		struct venom_reader *rd = load_acquire(&rs->at[i]); /* ring_held:B pairs with readers_add:A */
		uint64_t held;

		if (!rd || !(load_relaxed(&rd->roles) & VENOM_ROLE_HOLDER))
			continue;
		held = load_acquire(&rd->cmd->held); /* ring_held:A pairs with ring_release:A and ring_hold:B */
		if (held != rd->held) {
			rd->held = held;
			rd->holds = held ? venom_ring_at(r, held) : NULL;
		}
		if (rd->holds == b)
			return true;
	}
	return false;
}

/* Return the first number after `last` whose buffer is not held; 0: all but the latest's are held. (model: hold) */
static inline uint64_t venom_ring_next(const struct venom_ring *r, const struct venom_readers *rs, uint64_t last)
{
	if (r->versions == 1)
		return last + 1; /* no reader may hold the only buffer */
	for (uint64_t v = last + 1; v < last + r->versions; v++)
		if (!venom_ring_held(r, rs, venom_ring_at(r, v)))
			return v;
	return 0;
}

/*
 * Open the buffer of `version`, which is from venom_ring_next, as venom_ring_begin does; the numbers between `last` and
 * it are passed over.  Return NULL if a reader has held the buffer meanwhile: then `version` is passed over, too.  A
 * number that was passed over may still become a version as long as no later version has been committed.
 * model: hold
 */
static inline struct venom_version *venom_ring_open(const struct venom_ring *r, const struct venom_readers *rs,
						    uint64_t last, uint64_t version)
{
	struct venom_version *b = venom_ring_at(r, version);

	for (uint64_t v = last + 1; v < version; v++)
		store_relaxed(&venom_ring_at(r, v)->seq, VENOM_SEQ_PASSED(v));
	store_release(&b->seq, VENOM_SEQ_WRITING(version)); /* ring_open:B pairs with ring_newer:A */
	fence_full(); /* ring_open:A pairs with ring_hold:A, ring_check:A, inline_copy:A and inline_whole:A: "writing" before `held`, and any new byte */
	if (!venom_ring_held(r, rs, b))
		return b;
	store_relaxed(&b->seq, VENOM_SEQ_PASSED(version));
	return NULL;
}

#endif /* VENOM_READERS_H */

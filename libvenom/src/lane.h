/* SPDX-License-Identifier: MIT */
/*
 * Lanes: slots of messages between one writer and one reader.
 *
 * The reader polls the seq of the slot that it expects next (commands: position + 1; answers: the request's
 * tag) and shares no index with the writer on that way: a small message is one cache line moved.
 */
#ifndef VENOM_LANE_H
#define VENOM_LANE_H

#include <stdbool.h>
#include <linux/venom_layout.h>
#include "barrier.h"

/* One side's private view of an array of slots. */
struct venom_slots {
	char	*base;
	uint64_t stride;
	uint32_t mask;		/* slots in the ring, a power of two, less one */
	uint32_t size;		/* largest message */
};

static inline void venom_slots_init(struct venom_slots *s, void *area, uint32_t n, uint32_t size)
{
	s->base = (char *)area + VENOM_LANE_FIRST;
	s->stride = VENOM_SLOT_STRIDE(size);
	s->mask = venom_slots_ring(n) - 1;
	s->size = size;
}

static inline struct venom_slot *venom_slots_at(const struct venom_slots *s, uint64_t pos)
{
	return (struct venom_slot *)(s->base + (pos & s->mask) * s->stride);
}

/* What of a message shares the slot's first line with its header. */
#define VENOM_SLOT_HEAD (VENOM_LINE - sizeof(struct venom_slot))

/*
 * Write a message and show it.  len has been checked against the slot's size.  The reader polls the first line, so that
 * is written last and in one go: else it would take the line away half-written, and we would have to fetch it back.
 * model: lane
 */
static inline void venom_slot_fill(struct venom_slot *slot, uint64_t seq, const void *data, uint32_t len,
				   uint32_t flags, uint64_t tag, uint64_t time_ns)
{
	uint32_t head = len < VENOM_SLOT_HEAD ? len : VENOM_SLOT_HEAD;

	if (len > head)
		copy_to_shared(slot->data + head, (const char *)data + head, len - head);
	store_relaxed(&slot->len, len);
	store_relaxed(&slot->flags, flags);
	store_relaxed(&slot->tag, tag);
	store_relaxed(&slot->time_ns, time_ns);
	copy_to_shared(slot->data, data, head);
	store_release(&slot->seq, seq);		/* pairs with the acquire in venom_slot_ready */
}

/*
 * Whether the slot of pos has a message with this seq.  While it has not, the line behind its first is asked for too,
 * so that both are on their way when the message comes (a sixth off a 64-byte round trip between far CPUs).
 * model: lane
 */
static inline bool venom_slot_ready(const struct venom_slots *s, uint64_t pos, uint64_t seq)
{
	const struct venom_slot *slot = venom_slots_at(s, pos);

	if (load_acquire(&slot->seq) == seq)	/* pairs with the release in venom_slot_fill */
		return true;
	if (s->stride > VENOM_LINE)
		__builtin_prefetch((const char *)slot + VENOM_LINE);
	return false;
}

/*
 * Whoever streams will write a slot that he last wrote a lap ago, and that the reader has had since, as `taken` tells: ask
 * for it early, so far ahead that the reader doesn't poll it yet.  But not for one that the reader has yet to read: its lines
 * may be there already, and many full lanes are read in turn.  (tools/bench/NOTES.md has what it gives.)
 */
#define VENOM_SLOTS_AHEAD 16

static inline void venom_slot_soon(const struct venom_slots *s, uint64_t pos, uint64_t taken)
{
	const char *slot = (const char *)venom_slots_at(s, pos + VENOM_SLOTS_AHEAD);

	if (s->mask < 4 * VENOM_SLOTS_AHEAD - 1 || pos + VENOM_SLOTS_AHEAD - taken > s->mask)
		return;
	prefetch_write(slot);
	if (s->stride > VENOM_LINE)
		prefetch_write(slot + VENOM_LINE);
}

/*
 * Whoever takes messages one after the other waits for each one's lines in turn.  Where enough of them are there he asks for
 * the lines of those to come; but not for one that is being written, which would take it from under the writer's hands.  So
 * he looks now and then at one far ahead: if that is there, so are all before it.  What he looks at is asked for half-way
 * to the look.  (One function: gcc leaves out one that only prefetches.)
 */
#define VENOM_SLOTS_BEHIND 32
#define VENOM_SLOTS_LOOK   (VENOM_SLOTS_BEHIND / 2) /* messages between two looks */
#define VENOM_SLOTS_NEXT   8 /* at most what is left when the next look is due */

static inline void venom_slot_next(const struct venom_slots *s, uint64_t pos, bool *behind)
{
	const char *slot = (const char *)venom_slots_at(s, pos + VENOM_SLOTS_NEXT);
	uint64_t far = pos + VENOM_SLOTS_BEHIND;

	if (pos % VENOM_SLOTS_LOOK == 0)
		*behind = s->mask >= 2 * VENOM_SLOTS_BEHIND - 1 &&
			  load_relaxed(&venom_slots_at(s, far)->seq) == far + 1;
	if (!*behind)
		return;
	if (pos % VENOM_SLOTS_LOOK == VENOM_SLOTS_LOOK / 2)
		__builtin_prefetch(venom_slots_at(s, far + VENOM_SLOTS_LOOK / 2));
	__builtin_prefetch(slot);
	if (s->stride > VENOM_LINE)
		__builtin_prefetch(slot + VENOM_LINE);
}

#endif /* VENOM_LANE_H */

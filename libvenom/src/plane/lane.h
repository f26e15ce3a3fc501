/* SPDX-License-Identifier: MIT */
/*
 * Lanes: slots of messages between one writer and one reader.
 *
 * The reader polls the next slot until its seq is the expected one (commands: position + 1; answers: the request's
 * tag).  Reader and writer share no index on this path, so a small message moves one cache line.
 *
 * The life of a request; venom_shell_request() is submit and complete.  ---> is a store and the load that sees it;
 * - - > is an eventfd, signalled only if the other side sleeps.
 *
 *	shell (calls/request.c)					daemon's server thread (calls/receive.c)
 *
 *	venom_shell_submit					venom_daemon_receive
 *	  free_request: claim an answer slot			  venom_lanes_next: poll the slot that each lane
 *	  venom_lane_room: is a slot free for it?		  expects next; after the spin budget:
 *	  venom_slot_fill: len, word, bytes; last		  daemon_arm, look again, sleep
 *	    seq = tag ----------------- commands[i] ----------->  venom_slot_ready: seq == pos + 1
 *	  wake_daemon: venom_must_wake: fence,
 *	    sleeping word odd?  signal - - - eventfd - - - - - >  (asleep: daemon_disarm, venom_lanes_next)
 *								  daemon_take: check len and word, copy the bytes,
 *								    tags[answer slot] = tag
 *	  (venom_lane_room, a later time) <---- cursor ---------    lane_advance: the command's slot is free
 *								the user's code
 *	venom_shell_complete					venom_daemon_respond
 *	  answered: poll the answer slot; after the		  is the tag the newest seen for the answer slot?
 *	  spin budget: shell_arm, look again, sleep		  venom_slot_fill: len, bytes; last
 *	  venom_slot_ready: seq == tag <----- responses[i] -----    seq = tag
 *								  wake_for_answer: venom_must_wake: fence,
 *	  (asleep: shell_disarm, answered) < - - eventfd - - - -    sleeping word has ANSWER?  signal
 *	  collect: check len, copy the bytes
 *	    end_request: the answer slot is free
 *
 * At time-out venom_shell_request() cancels: the answer slot may then serve another request, which expects another tag.
 */
#ifndef VENOM_LANE_H
#define VENOM_LANE_H

#include <linux/venom_layout.h>
#include "barrier.h"

/* One side's private view of an array of slots. */
struct venom_slots {
	char	*base;
	uint64_t stride;
	uint32_t mask;		/* number of slots, a power of two, minus one */
	uint32_t size;		/* largest message */
	uint32_t head;		/* bytes of header before it */
};

static inline void venom_slots_init(struct venom_slots *s, void *area, uint32_t n, uint32_t head, uint32_t size)
{
	s->base = (char *)area + VENOM_LANE_FIRST;
	s->stride = VENOM_SLOT_STRIDE(head, size);
	s->head = head;
	s->mask = venom_slots_ring(n) - 1;
	s->size = size;
}

static inline struct venom_slot *venom_slots_at(const struct venom_slots *s, uint64_t pos)
{
	return (struct venom_slot *)(s->base + (pos & s->mask) * s->stride);
}

static inline char *venom_slot_data(const struct venom_slots *s, struct venom_slot *slot)
{
	return (char *)slot + s->head;
}

/*
 * Write a message and make it visible.  The caller has checked len against the slot's size.  The reader polls the first
 * cache line, so write that line last and at once: else the reader steals it half-written and we must fetch it back.
 * model: lane
 */
static inline void venom_slot_fill(const struct venom_slots *s, struct venom_slot *slot, uint64_t seq, const void *data,
				   uint32_t len, uint32_t word, uint64_t time_ns)
{
	uint32_t first = VENOM_LINE - s->head, n = len < first ? len : first;

	if (len > n)
		copy_to_shared(venom_slot_data(s, slot) + n, (const char *)data + n, len - n);
	store_relaxed(&slot->len, len);
	store_relaxed(&slot->word, word);
	if (s->head > sizeof(*slot))
		store_relaxed(&slot->time_ns[0], time_ns);
	copy_to_shared(venom_slot_data(s, slot), data, n);
	store_release(&slot->seq, seq); /* slot_fill:A pairs with slot_ready:A */
}

/* ---- blocks of messages ------------------------------------------------------ */

/* A position in the slots' payload bytes, that is, those behind each slot's header. */
struct venom_block {
	uint64_t pos;		/* slot */
	uint32_t at;		/* offset behind the slot's header */
	uint32_t len;		/* of each message */
	uint32_t count, left;	/* messages */
	uint32_t slots;		/* slots that the block takes */
};

/* Bytes that one message takes: len, rounded up to 16. */
static inline uint64_t venom_block_step(uint32_t len)
{
	return (len + 15ULL) & ~15ULL;
}

static inline uint32_t venom_block_room(const struct venom_slots *s)
{
	return s->stride - s->head;
}

/* Slots for n messages. */
static inline uint64_t venom_block_slots(const struct venom_slots *s, uint32_t len, uint32_t n)
{
	uint64_t room = venom_block_room(s);

	return (venom_block_step(len) * n + room - 1) / room;
}

/*
 * Return how many of n messages of len bytes fit into a block at pos of up to `most` slots; 0: use single slots, which
 * are as good.
 * model: lane
 */
static inline uint32_t venom_block_fits(const struct venom_slots *s, uint64_t pos, uint32_t len, uint32_t n, uint32_t most)
{
	uint32_t end = s->mask + 1 - (uint32_t)(pos & s->mask);
	uint64_t step = venom_block_step(len), bytes;

	if (!len || step >= venom_block_room(s))
		return 0;
	bytes = (uint64_t)(most < end ? most : end) * venom_block_room(s);
	return bytes / step < n ? (uint32_t)(bytes / step) : n;
}

static inline char *venom_block_here(const struct venom_slots *s, const struct venom_block *b)
{
	return venom_slot_data(s, venom_slots_at(s, b->pos)) + b->at;
}

static inline void venom_block_skip(const struct venom_slots *s, struct venom_block *b, uint64_t bytes)
{
	for (bytes += b->at; bytes >= venom_block_room(s); bytes -= venom_block_room(s))
		b->pos++;
	b->at = bytes;
}

/* Bytes of the message, of which `done` are copied, that fit into this slot. */
static inline uint32_t venom_block_piece(const struct venom_slots *s, const struct venom_block *b, uint32_t done)
{
	uint32_t here = venom_block_room(s) - b->at;

	return b->len - done < here ? b->len - done : here;
}

/* Copy one message into the block, or (venom_block_get) out of it. (model: lane) */
static inline void venom_block_put(const struct venom_slots *s, struct venom_block *b, const void *data)
{
	for (uint32_t done = 0, n; done < b->len; done += n) {
		n = venom_block_piece(s, b, done);
		copy_to_shared(venom_block_here(s, b), (const char *)data + done, n);
		venom_block_skip(s, b, n);
	}
	venom_block_skip(s, b, venom_block_step(b->len) - b->len);
}

/* model: lane */
static inline void venom_block_get(const struct venom_slots *s, struct venom_block *b, void *data)
{
	for (uint32_t done = 0, n; done < b->len; done += n) {
		n = venom_block_piece(s, b, done);
		copy_from_shared((char *)data + done, venom_block_here(s, b), n);
		venom_block_skip(s, b, n);
	}
	venom_block_skip(s, b, venom_block_step(b->len) - b->len);
	b->left--;
}

/* Make a block of n messages visible; the caller has written all their bytes. (model: lane) */
static inline void venom_block_show(struct venom_slot *slot, uint64_t seq, uint32_t len, uint32_t n)
{
	store_relaxed(&slot->len, len);
	store_relaxed(&slot->word, VENOM_SLOT_BLOCK | n);
	store_release(&slot->seq, seq); /* block_show:A pairs with slot_ready:A */
}

/* ---- reading ------------------------------------------------------------------- */

/*
 * Return whether the slot at pos has a message with this seq.  If not, prefetch the slot's second cache line, too, so
 * that both lines are under way when the message comes (a sixth off a 64-byte round trip between far CPUs).
 * model: lane
 */
static inline bool venom_slot_ready(const struct venom_slots *s, uint64_t pos, uint64_t seq)
{
	const struct venom_slot *slot = venom_slots_at(s, pos);

	if (load_acquire(&slot->seq) == seq) /* slot_ready:A pairs with slot_fill:A and block_show:A */
		return true;
	if (s->stride > VENOM_LINE)
		__builtin_prefetch((const char *)slot + VENOM_LINE);
	return false;
}

/*
 * Prefetch the slot 16 ahead for writing, but only if its last message has been read (`taken` messages have): else we
 * steal the line from the reader.  The gain is in tools/bench/NOTES.md.
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
 * A reader that takes messages one by one waits for the cache lines of each, so prefetch the next slots; but not a slot
 * that is being written, or we steal its line from the writer.  Every VENOM_SLOTS_LOOK messages look at a slot far
 * ahead: if its message is there, so are all before it.  Half-way between two looks prefetch the slot of the next look.
 * (This is one function, since gcc drops a function that only prefetches.)
 */
#define VENOM_SLOTS_BEHIND 32
#define VENOM_SLOTS_LOOK   (VENOM_SLOTS_BEHIND / 2) /* messages between two looks */
#define VENOM_SLOTS_NEXT   8 /* prefetch so far ahead: at most what is left when the next look is due */

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

/* ---- the room in a lane ------------------------------------------------------ */

/* The reader has copied all messages before `pos`: their slots may be overwritten. (model: lane, wake) */
static inline void venom_lane_advance(__u64 *cursor, uint64_t pos)
{
	store_release(cursor, pos); /* lane_advance:A pairs with lane_taken:A */
}

/* Return the room in a lane of n messages whose writer is at pos; 0 if the cursor is invalid. (model: lane) */
static inline uint32_t venom_lane_left(uint64_t pos, uint64_t cursor, uint32_t n)
{
	uint64_t used = pos - cursor;

	return used < n ? n - used : 0;
}

/* model: lane */
static inline uint64_t venom_lane_taken(const __u64 *cursor)
{
	return load_acquire(cursor); /* lane_taken:A pairs with lane_advance:A */
}

#endif /* VENOM_LANE_H */

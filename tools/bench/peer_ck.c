/* SPDX-License-Identifier: MIT */
/*
 * Concurrency Kit: its ring of one producer and one consumer, with messages by value; one each way.
 */
#include <string.h>

#include "transport.h"

#define SIZE 64 /* the ring needs the size at compile time */

#if __has_include(<ck_ring.h>)
#include <ck_pr.h>
#include <ck_ring.h>

#include "spin.h"

#define SLOTS 1024

struct message {
	char data[SIZE];
};
CK_RING_PROTOTYPE(message, message)

struct ring {
	_Alignas(128) ck_ring_t ring;
	_Alignas(128) struct message slot[SLOTS];
};

static struct ring *in, *out; /* this side's */

static size_t two_rings(size_t size)
{
	(void)size;
	return 2 * sizeof(struct ring);
}

static int make(struct stage *st)
{
	struct ring *r = (struct ring *)st->scratch;

	ck_ring_init(&r[0].ring, SLOTS);
	ck_ring_init(&r[1].ring, SLOTS);
	return 0;
}

static int open_side(struct stage *st, int side)
{
	struct ring *r = (struct ring *)st->scratch;

	out = &r[side];
	in = &r[!side];
	return 0;
}

static int send(struct stage *st, const void *msg)
{
	struct message *m = (struct message *)msg, small; /* the ring only reads it */
	struct ring *r = out;
	struct spin s = {0};

	if (st->size < SIZE)
		m = memcpy(&small, msg, st->size);
	while (!ck_ring_enqueue_spsc_message(&r->ring, r->slot, m)) {
		ck_pr_stall();
		if (!spin_on(&s))
			return bad("%s: nobody takes", st->via->name);
	}
	return 0;
}

static int take(struct stage *st, void *msg)
{
	struct message small, *m = st->size < SIZE ? &small : msg;
	struct ring *r = in;
	struct spin s = {0};

	while (!ck_ring_dequeue_spsc_message(&r->ring, r->slot, m)) {
		ck_pr_stall();
		if (!spin_on(&s))
			return bad("%s: nothing comes", st->via->name);
	}
	if (m == &small)
		memcpy(msg, &small, st->size);
	return 0;
}
#endif

const struct transport via_ck = {
	.name = "Concurrency Kit ring",
	.who = PEER,
	.most = SIZE,
#if __has_include(<ck_ring.h>)
	.scratch = two_rings,
	.make = make,
	.open = open_side,
	.send = send,
	.take = take,
#else
	.missing = "built without ck_ring.h: apt-get install libck-dev",
#endif
};

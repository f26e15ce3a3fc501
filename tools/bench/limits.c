/* SPDX-License-Identifier: MIT */
/*
 * The lower limit of a message there and one back: hand-written for this only, with one slot each way in shared memory.
 * Only for requests and answers, where the slot is free again when its turn comes; one way, a message would overwrite
 * the one before it.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "spin.h"
#include "transport.h"

struct slot {
	_Alignas(128) _Atomic uint64_t seq; /* of the message that is in it */
	char data[];
};

static struct slot *out, *in; /* this side's */
static uint64_t sent, taken;

/* The slots are in different pages, so that they are not prefetched with each other. */
static size_t slot_size(size_t size)
{
	return (sizeof(struct slot) + size + 4095) / 4096 * 4096;
}

static size_t two_slots(size_t size)
{
	return 2 * slot_size(size);
}

static int open_slots(struct stage *st, int side)
{
	out = (struct slot *)(st->scratch + side * slot_size(st->size));
	in = (struct slot *)(st->scratch + !side * slot_size(st->size));
	sent = taken = 0;
	return 0;
}

/* Hand-written code would know the size, so the usual size is copied without a call. */
static inline void copy(void *to, const void *from, size_t size)
{
	if (size == 64)
		memcpy(to, from, 64);
	else
		memcpy(to, from, size);
}

/* ---- both spin ------------------------------------------------------------------ */

static inline int mailbox_send(struct stage *st, const void *msg)
{
	copy(out->data, msg, st->size);
	/* release: the other side's mailbox_take() */
	atomic_store_explicit(&out->seq, ++sent, memory_order_release);
	return 0;
}

static inline int mailbox_take(struct stage *st, void *msg)
{
	struct slot *slot = in;
	uint64_t next = ++taken;
	struct spin s = {0};

	/* acquire: the other side's mailbox_send() */
	while (atomic_load_explicit(&slot->seq, memory_order_acquire) != next)
		if (!spin_on(&s))
			return bad("mailbox: nothing comes");
	copy(msg, slot->data, st->size);
	return 0;
}

static int mailbox_ask(struct stage *st, const void *msg, void *answer)
{
	return mailbox_send(st, msg) || mailbox_take(st, answer);
}

static int mailbox_serve(struct stage *st, void *msg)
{
	return mailbox_take(st, msg) || mailbox_send(st, msg);
}

#define MAILBOX                                                                                             \
	.who = LIMIT, .scratch = two_slots, .open = open_slots, .send = mailbox_send, .take = mailbox_take, \
	.ask = mailbox_ask, .serve = mailbox_serve

const struct transport via_mailbox = {.name = "mailbox", MAILBOX};
/* The limit with one writer for each cache line, and so for each page: the message is only the number. */
const struct transport via_lines = {.name = "a line each way, 8 bytes", MAILBOX};

/* ---- both sleep ----------------------------------------------------------------- */

static int event[2]; /* each side signals its own and reads the other side's */
static int event_out, event_in;

static int eventfd_make(struct stage *st)
{
	(void)st;
	for (int i = 0; i < 2; i++) {
		event[i] = eventfd(0, EFD_CLOEXEC);
		if (event[i] < 0)
			return bad("eventfd: %s", strerror(errno));
	}
	return 0;
}

static int eventfd_open(struct stage *st, int side)
{
	event_out = event[side];
	event_in = event[!side];
	return open_slots(st, side);
}

static int eventfd_send(struct stage *st, const void *msg)
{
	uint64_t one = 1;

	copy(out->data, msg, st->size);
	if (write(event_out, &one, sizeof(one)) != sizeof(one))
		return bad("eventfd: %s", strerror(errno));
	return 0;
}

static int eventfd_take(struct stage *st, void *msg)
{
	uint64_t count;

	if (read(event_in, &count, sizeof(count)) != sizeof(count))
		return bad("eventfd: %s", strerror(errno));
	copy(msg, in->data, st->size);
	return 0;
}

const struct transport via_eventfd = {
	.name = "eventfd",
	.who = LIMIT,
	.blocks = true,
	.scratch = two_slots,
	.make = eventfd_make,
	.open = eventfd_open,
	.send = eventfd_send,
	.take = eventfd_take,
};

/* ---- lines, one way --------------------------------------------------------------- */

/*
 * The most that one CPU can hand to another: cache lines are filled and read, in batches, and nothing else is done.
 * The writer prefetches the line `ahead` of the one that it fills.  The best values differ from machine to machine.
 */
const struct line_limit line_limits[] = {{512, 64, 0}, {512, 64, 8}, {8192, 256, 0}, {8192, 256, 8}, {0, 0, 0}};

#define LAST_LINE (UINT64_C(1) << 63) /* bit in `filled`: there are no more lines */

struct belt {
	_Alignas(128) atomic_ullong filled; /* lines, by the writer */
	_Alignas(128) atomic_ullong taken; /* lines, by the reader */
	_Alignas(128) two_words line[][4];
};

size_t belt_size(void)
{
	size_t most = 0;

	for (const struct line_limit *l = line_limits; l->ring; l++)
		most = l->ring > most ? l->ring : most;
	return sizeof(struct belt) + most * sizeof(((struct belt *)0)->line[0]);
}

int fill_lines(struct stage *st)
{
	struct belt *b = (struct belt *)st->scratch;
	struct line_limit l = line_limits[st->n];
	uint64_t mask = l.ring - 1, n = 0, done = 0, end = now_ns() + st->slice_ns;
	struct spin s = {0};

	do {
		for (int i = 0; i < 64; i++) {
			/* acquire: the lines have been read, take_lines() */
			while (n + l.batch - done > l.ring) {
				done = atomic_load_explicit(&b->taken, memory_order_acquire);
				if (!spin_on(&s))
					return bad("lines: nobody takes");
			}
			for (unsigned int j = 0; j < l.batch; j++, n++) {
				two_words *line = b->line[n & mask];

				if (l.ahead)
					__builtin_prefetch(b->line[(n + l.ahead) & mask], 1);
				line[0] = line[1] = line[2] = line[3] = (two_words){n, n};
			}
			/* release: take_lines() */
			atomic_store_explicit(&b->filled, n, memory_order_release);
		}
		s = (struct spin){0};
	} while (now_ns() < end);
	atomic_store_explicit(&b->filled, n | LAST_LINE, memory_order_release);
	return 0;
}

/* value[0]: millions of lines a second. */
int take_lines(struct stage *st)
{
	struct belt *b = (struct belt *)st->scratch;
	struct line_limit l = line_limits[st->n];
	uint64_t mask = l.ring - 1, n = 0, first = 0, start = 0, filled = 0;
	struct spin s = {0};

	for (;;) {
		two_words diff = {0};

		/* acquire: the lines have been filled, fill_lines() */
		while ((filled & ~LAST_LINE) == n) {
			if (filled & LAST_LINE)
				goto out;
			filled = atomic_load_explicit(&b->filled, memory_order_acquire);
			if (!spin_on(&s))
				return bad("lines: nothing comes");
		}
		for (unsigned int j = 0; j < l.batch; j++, n++) {
			two_words *line = b->line[n & mask], w = {n, n};

			diff |= (line[0] ^ w) | (line[1] ^ w) | (line[2] ^ w) | (line[3] ^ w);
		}
		if (diff[0] | diff[1])
			return bad("lines: one before line %llu has other bytes", (unsigned long long)n);
		/* release: the lines have been read; fill_lines() */
		atomic_store_explicit(&b->taken, n, memory_order_release);
		if (!start && n >= l.ring) {
			start = now_ns();
			first = n;
		}
		s = (struct spin){0};
	}
out:
	st->value[0] = start ? 1e3 * (n - first) / (now_ns() - start) : 0;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * What the rows of large state share (row_bulk.c, row_hand.c, row_beside.c): private memory, and the rates of copies
 * that take turns.  Bytes are counted once: a copy of 1 MiB is 1 MiB.
 */
#ifndef BULK_H
#define BULK_H

#include "bench.h"
#include "copies.h"

#define RING 4 /* versions */
#define WARM (4 * RING) /* a peer's writes before the measurement: each of its buffers has been written twice */

/* Private memory, on huge pages where the kernel gives them, so that base pages do not make the limit lower. */
void *memory(size_t size);

#define TURNS 4 /* the things compared take turns in a round, so a change of the machine changes all of them */

struct rate {
	double bytes, ns;
};

/*
 * Repeat an operation of st->size bytes for one turn.  With `cold`, a and b are flushed from the caches each time; else
 * small operations are repeated between two readings of the clock.  One run for each version and a third of the turn do
 * not count: the previous turn has left the buffers elsewhere in the caches, or in none.
 */
#define MEASURE(rate, st, a, b, cold, operation)                                  \
	do {                                                                      \
		uint64_t turn_ = (st)->slice_ns / TURNS, begin_, start_;          \
		unsigned int burst_ = cold ? 1 : 1 + (1 << 20) / (st)->size;      \
		for (int i_ = 0; i_ < RING; i_++) {                               \
			operation;                                                \
		}                                                                 \
		begin_ = now_ns();                                                \
		do {                                                              \
			if (cold) {                                               \
				flush_lines(a, (st)->size);                       \
				flush_lines(b, (st)->size);                       \
			}                                                         \
			start_ = now_ns();                                        \
			for (unsigned int i_ = 0; i_ < burst_; i_++) {            \
				operation;                                        \
			}                                                         \
			if (start_ - begin_ >= turn_ / 3) {                       \
				(rate)->ns += now_ns() - start_ - (st)->clock_ns; \
				(rate)->bytes += (double)burst_ * (st)->size;     \
			}                                                         \
		} while (start_ - begin_ < turn_);                                \
	} while (0)

double gb_s(const struct rate *r);
/* Measure each copier for one turn; by[] has a rate for each. */
void copiers_turn(struct stage *st, struct rate *by, void *dst, void *past, const void *src, bool cold);
/* The best of the copiers' rates; st->each[2 * i + step] gets that of copier i. */
double best_of(struct stage *st, const struct rate *by, int step);

/* Notified by hand: `shown` counts the versions that are there, `seen` those that have been taken. */
bool await(atomic_ullong *count, uint64_t n);

#endif /* BULK_H */

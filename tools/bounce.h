/* SPDX-License-Identifier: MIT */
/*
 * What a cache line's round trip between two CPUs takes: the least that any request and its
 * answer can take on this machine.
 *
 * Two processes, each on its CPU, pass a count to and fro in one word of a shared page: the
 * serving side writes the odd numbers, the other one the even ones, and each spins till the
 * other's is there.  Plain loads and stores, no read-modify-write, no pause between looks.
 */
#ifndef BOUNCE_H
#define BOUNCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hist.h"

struct court { /* in shared memory, starts as zeros; one game after the other, score it in between */
	_Alignas(128) _Atomic uint64_t ball;
	_Alignas(128) uint64_t served; /* by the serving side alone */
};

/* Serve for time_ns, and add each round trip, less clock_ns, to h.  false: nobody hits back. */
bool bounce_serve(struct court *c, uint64_t time_ns, uint64_t clock_ns, struct hist *h);
/* Hit back till the serving side is done.  false: it has died. */
bool bounce_return(struct court *c);

/* What reading the clock adds to each figure: two looks, one right after the other, differ by it. */
uint64_t clock_cost(void);

#endif /* BOUNCE_H */

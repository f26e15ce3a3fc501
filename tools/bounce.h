/* SPDX-License-Identifier: MIT */
/*
 * The round trip of a cache line between two CPUs: the least time of any request and its answer on this machine.
 *
 * Two processes, each on its own CPU, pass a count back and forth in one word of a shared page: the serving side writes
 * the odd numbers, the other side the even ones, and each spins until the other's number is there.  Plain loads and
 * stores, no read-modify-write, no pause between polls.
 */
#ifndef BOUNCE_H
#define BOUNCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hist.h"

struct court { /* in shared memory, zeros at first; for one game after the other */
	_Alignas(128) _Atomic uint64_t ball;
	_Alignas(128) uint64_t served; /* written by the serving side alone */
};

/* Serve for time_ns, and add each round trip, less clock_ns, to h.  Return false if the other does not hit back. */
bool bounce_serve(struct court *c, uint64_t time_ns, uint64_t clock_ns, struct hist *h);
/* Hit back until the serving side has finished.  Return false if that side has died. */
bool bounce_return(struct court *c);

/* What reading the clock adds to each figure: the difference of two reads, one right after the other. */
uint64_t clock_cost(void);

#endif /* BOUNCE_H */

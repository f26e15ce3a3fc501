/* SPDX-License-Identifier: MIT */
/*
 * One daemon and one shell that spin, each on a CPU of its own: what a 64-byte request and its
 * answer take when nobody sleeps, beside what a cache line's round trip between the same two
 * CPUs takes.
 */
#ifndef DUET_H
#define DUET_H

#include "hist.h"

#define DUET_SLICES 10

struct duet {
	int cpu_daemon, cpu_shell;
	uint64_t clock_ns; /* cost of the clock, taken off every figure */
	struct hist line, request;
	double ratio[DUET_SLICES]; /* p50 / p50 in each slice, sorted */
};

/* Takes about time_ns.  0, or 1 after saying what failed. */
int duet_run(struct duet *du, uint64_t time_ns);

#endif /* DUET_H */

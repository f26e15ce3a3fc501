/* SPDX-License-Identifier: MIT */
/*
 * One daemon and one shell that spin, each on a CPU of its own: the time of a 64-byte request and its answer when no
 * side sleeps, beside the time of a cache line's round trip between the same two CPUs.
 */
#ifndef DUET_H
#define DUET_H

#include "hist.h"

#define DUET_SLICES 10

struct duet {
	int cpu_daemon, cpu_shell;
	uint64_t clock_ns; /* cost of reading the clock, subtracted from every figure */
	struct hist line, request;
	double ratio[DUET_SLICES]; /* request's p50 / line's p50 in each slice, sorted */
};

/* Takes about time_ns.  Return 0, or 1 after an error message. */
int duet_run(struct duet *du, uint64_t time_ns);

#endif /* DUET_H */

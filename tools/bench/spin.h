/* SPDX-License-Identifier: MIT */
/*
 * Spin with a time-out: for (struct spin s = {0}; !there();) if (!spin_on(&s)) the time is over.
 */
#ifndef SPIN_H
#define SPIN_H

#include "bench.h"

struct spin {
	unsigned int tries;
	uint64_t deadline;
};

/* Reads the clock only now and then, so that it does not delay the loop. */
static inline bool spin_for(struct spin *s, uint64_t ns)
{
	if (++s->tries % (1 << 16))
		return true;
	if (!s->deadline)
		s->deadline = now_ns() + ns;
	return now_ns() < s->deadline;
}

static inline bool spin_on(struct spin *s)
{
	return spin_for(s, PATIENCE);
}

#endif /* SPIN_H */

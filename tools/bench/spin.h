/* SPDX-License-Identifier: MIT */
/*
 * To spin, but not for ever: for (struct spin s = {0}; !there();) if (!spin_on(&s)) it has been too long.
 */
#ifndef SPIN_H
#define SPIN_H

#include "bench.h"

#define PATIENCE_S 5

struct spin {
	unsigned int tries;
	uint64_t deadline;
};

/* Looks at the clock now and then, not to be held up by it. */
static inline bool spin_on(struct spin *s)
{
	if (++s->tries % (1 << 16))
		return true;
	if (!s->deadline)
		s->deadline = now_ns() + PATIENCE_S * NSEC_PER_SEC;
	return now_ns() < s->deadline;
}

#endif /* SPIN_H */

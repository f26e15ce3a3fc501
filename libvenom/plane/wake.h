/* SPDX-License-Identifier: MIT */
/*
 * Sleep and wake: how a sleeper says so on its own page, and how the other side finds out.
 *
 *	sleeper: venom_arm -> look again -> sleep -> disarm	(barrier.h 5)
 *	waker:   store what was waited for -> venom_must_wake -> signal the sleeper's eventfd
 *
 * A sleeping word is odd, or has bits that say what is waited for, while its owner sleeps; it is never the same in two
 * sleeps, so a waker signals once for each.
 */
#ifndef VENOM_WAKE_H
#define VENOM_WAKE_H

#include "barrier.h"

/* model: wake, wake-state, wake-module */
static inline void venom_arm(uint32_t *sleeping, uint32_t value)
{
	store_relaxed(sleeping, value);
	fence_full(); /* arm:A pairs with must_wake:A: sleeping word before our look */
}

/* Whether the other side sleeps for `what`, and was not signalled for it; the caller has fenced. (model: wake, wake-state) */
static inline bool venom_asleep(const uint32_t *sleeping, uint32_t what, uint32_t *signalled)
{
	uint32_t word = load_relaxed(sleeping);

	if (!(word & what) || word == *signalled)
		return false;
	*signalled = word;
	return true;
}

/* The same for a waker that has just stored what is waited for, and has not fenced. (model: wake) */
static inline bool venom_must_wake(const uint32_t *sleeping, uint32_t what, uint32_t *signalled)
{
	fence_full(); /* must_wake:A pairs with arm:A: what is waited for before the sleeping word */
	return venom_asleep(sleeping, what, signalled);
}

#endif /* VENOM_WAKE_H */

/* SPDX-License-Identifier: MIT */
/*
 * Sleep and wake: the sleeper sets a word on its own page, and the waker reads that word.
 *
 *	sleeper: venom_arm -> look again -> sleep -> disarm	(barrier.h 5)
 *	waker:   store the awaited word -> venom_must_wake -> signal the sleeper's eventfd
 *
 * While its owner sleeps, a sleeping word is odd, or has bits that say what the owner waits for.  Its value is
 * different in each sleep, so a waker signals once per sleep.
 */
#ifndef VENOM_WAKE_H
#define VENOM_WAKE_H

#include "barrier.h"

/* model: wake, wake-state, wake-module */
static inline void venom_arm(uint32_t *sleeping, uint32_t value)
{
	store_relaxed(sleeping, value);
	fence_full(); /* arm:A pairs with must_wake:A: sleeping word before the sleeper's look */
}

/* Return whether the peer sleeps for `what`, not yet signalled; the caller has fenced. (model: wake, wake-state) */
static inline bool venom_asleep(const uint32_t *sleeping, uint32_t what, uint32_t *signalled)
{
	uint32_t word = load_relaxed(sleeping);

	if (!(word & what) || word == *signalled)
		return false;
	*signalled = word;
	return true;
}

/* The same, with the fence, for a waker that has just stored what the peer waits for. (model: wake) */
static inline bool venom_must_wake(const uint32_t *sleeping, uint32_t what, uint32_t *signalled)
{
	fence_full(); /* must_wake:A pairs with arm:A: the awaited word before the sleeping word */
	return venom_asleep(sleeping, what, signalled);
}

#endif /* VENOM_WAKE_H */

/* SPDX-License-Identifier: MIT */
/*
 * A watchdog over several peers: each notes in a struct vt_step, in shared memory, where it is and that it makes
 * progress. When none makes progress any more, some peer has missed a wake or waits for a dead one: the watchdog prints
 * the step of each, kills them all, and the test fails.
 */
#ifndef VENOM_TEST_WATCH_H
#define VENOM_TEST_WATCH_H

#include "lib/venom_test.h"

struct vt_step {
	uint64_t steps;
	const char *where; /* a string constant of the program */
	uint64_t detail;
};

/* Note that `what` comes next; n is a detail (a version, a sequence number). */
static inline void vt_step(struct vt_step *s, const char *what, uint64_t n)
{
	__atomic_store_n(&s->where, what, __ATOMIC_RELAXED);
	__atomic_store_n(&s->detail, n, __ATOMIC_RELAXED);
	__atomic_store_n(&s->steps, s->steps + 1, __ATOMIC_RELAXED);
}

/* Wait until all n peers have ended. Return how many of them failed (status not 0, hung). */
int vt_watch(struct vt_peer *p, struct vt_step *s, int n);

/*
 * A play: one process runs `first` (a daemon), n more run `other` (shells).  Each calls vt_signal(self) when
 * it is ready, `first` before the others start; when all are, each gets a signal (vt_await(self)).  arg is a
 * struct vt_role.  Step i is other number i's, step n is first's.  Returns as vt_watch().
 */
struct vt_role {
	void *arena;
	int who;
};
#define VT_PLAYERS 32
typedef int (*vt_main)(struct vt_peer *self, void *role);
int vt_play(void *arena, struct vt_step *s, vt_main first, vt_main other, int n);

bool vt_has_ended(const struct vt_peer *p);
/* Has one of n peers ended that must not? It has then printed what was wrong. Peers with pid 0 are skipped. */
bool vt_any_ended(const struct vt_peer *p, int n);

/*
 * Does cond become true? If not, print the steps of the n peers of s. For a parent that leads its peers step by step.
 */
#define VT_WATCH_UNTIL(cond, s, n)              \
	({                                      \
		bool vt_came_ = VT_UNTIL(cond); \
		if (!vt_came_)                  \
			vt_where(s, n, #cond);  \
		vt_came_;                       \
	})
void vt_where(const struct vt_step *s, int n, const char *why);

#define vt_load(p)     __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define vt_store(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define vt_add(p, n)   __atomic_add_fetch(p, n, __ATOMIC_SEQ_CST)

#endif /* VENOM_TEST_WATCH_H */

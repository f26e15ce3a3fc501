/* SPDX-License-Identifier: MIT */
/*
 * How either side waits: look, spin for a budget, then sleep.
 *
 *	arm (sleeping = armed, full fence) -> look again -> sleep -> disarm -> look
 *
 * is the sleeper's half of barrier.h 5.  The loop is inlined into its users (calls/receive.c, wait.c, publish.c) with their
 * ops known, so that a spin polls without indirect calls.
 */
#ifndef VENOM_WAIT_H
#define VENOM_WAIT_H

#include "barrier.h"

/* How long a wait spins. */
struct venom_spin {
	int64_t  ns;		/* VENOM_SPIN_* or a time, as the user set it */
	int64_t  budget;	/* adaptive: how long a spin was worth it lately */
	uint32_t waits;
};

struct venom_wait_ops {
	bool (*ready)(void *w);			/* the awaited thing is there */
	bool (*one_cpu)(void *w);		/* the awaited thread is on this CPU: a spin is useless */
	int  (*beat)(void *w, int64_t now);	/* now and then: 0, or a negative errno: stop waiting; now 0: unknown */
	void (*cancel_point)(void *w);		/* now and then: the thread may be cancelled here, as it is not armed */
	void (*arm)(void *w);
	void (*disarm)(void *w);
	/* 1: signalled, 0: time-out, negative: stop waiting; ns -1: for ever.  A cancelled thread disarms first. */
	int  (*sleep)(void *w, int64_t ns);
};

/* The including file may define other values, and must define VENOM_CLOCK_NS(), a monotonic clock. */
#ifndef VENOM_QUICK_POLLS
#define VENOM_QUICK_POLLS	128		/* before the first look at the clock */
#define VENOM_BEAT_POLLS	64		/* between two looks at the clock */
#define VENOM_BUDGET_MAX	50000		/* ns, adaptive: about what a sleep and a wake cost on a slow machine */
#define VENOM_BUDGET_MIN	1000
#define VENOM_BUDGET_PROBE	16		/* one wait in so many spins for the maximum, to see if it pays again */
#endif
#ifndef VENOM_SPIN_FOREVER
#define VENOM_SPIN_FOREVER	(-1)
#define VENOM_SPIN_ADAPTIVE	(-2)
#endif

/* How long this wait may spin. */
static inline int64_t venom_spin_budget(struct venom_spin *sp)
{
	if (sp->ns == VENOM_SPIN_FOREVER)
		return INT64_MAX;
	if (sp->ns != VENOM_SPIN_ADAPTIVE)
		return sp->ns;
	if (sp->budget && ++sp->waits % VENOM_BUDGET_PROBE == 0)
		return VENOM_BUDGET_MAX;
	return sp->budget;
}

/* Adapt the budget to a wait of `took` ns: raise it if a spin of at most VENOM_BUDGET_MAX was enough, else halve it. */
static inline void venom_spin_learn(struct venom_spin *sp, int64_t took)
{
	if (sp->ns != VENOM_SPIN_ADAPTIVE || !sp->budget)
		return;
	if (took <= VENOM_BUDGET_MAX) {
		if (sp->budget < 2 * took)
			sp->budget = 2 * took < VENOM_BUDGET_MAX ? 2 * took : VENOM_BUDGET_MAX;
	} else if (sp->budget > VENOM_BUDGET_MIN) {
		sp->budget /= 2;
	}
}

/* Returns 1 when ready, 0 on time-out, or the negative value from beat or sleep. */
static inline __attribute__((always_inline)) int venom_wait_for(const struct venom_wait_ops *ops, void *w,
								 struct venom_spin *sp, int64_t timeout_ns)
{
	int64_t start = 0, now = 0, deadline = INT64_MAX, budget;
	bool timed;
	int rc;

	if (ops->ready(w))
		return 1;
	if (timeout_ns == 0) {
		rc = ops->beat(w, 0);
		return rc && ops->ready(w) ? 1 : rc;
	}
	budget = ops->one_cpu(w) && sp->ns == VENOM_SPIN_ADAPTIVE ? 0 : venom_spin_budget(sp);
	if (budget) {
		for (int i = 0; i < VENOM_QUICK_POLLS; i++) {
			cpu_relax();
			if (ops->ready(w))
				return 1;
		}
	}
	timed = budget || timeout_ns > 0; /* else the clock is not needed */
	if (timed)
		start = now = VENOM_CLOCK_NS();
	if (timeout_ns > 0 && timeout_ns <= INT64_MAX - start)
		deadline = start + timeout_ns;
	while (now - start < budget) {
		for (int i = 0; i < VENOM_BEAT_POLLS; i++) {
			cpu_relax();
			if (ops->ready(w)) {
				venom_spin_learn(sp, now - start);
				return 1;
			}
		}
		rc = ops->beat(w, now);
		if (rc)
			return ops->ready(w) ? 1 : rc;
		ops->cancel_point(w);
		now = VENOM_CLOCK_NS();
		if (now >= deadline)
			return ops->ready(w);
	}
	for (;;) {
		ops->arm(w);
		rc = ops->ready(w);
		if (!rc)
			rc = ops->beat(w, now);
		if (!rc)
			rc = ops->sleep(w, deadline == INT64_MAX ? -1 : deadline - now);
		ops->disarm(w);
		if (ops->ready(w)) {
			if (budget)
				venom_spin_learn(sp, VENOM_CLOCK_NS() - start);
			return 1;
		}
		if (rc < 0)
			return rc;
		if (timed)
			now = VENOM_CLOCK_NS();
		if (now >= deadline)
			return 0;
	}
}

#endif /* VENOM_WAIT_H */

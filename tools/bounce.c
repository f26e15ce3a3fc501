/* SPDX-License-Identifier: MIT */
/*
 * See bounce.h.
 */
#include <stdlib.h>

#include "bounce.h"
#include "tool.h"

#define WARM_UP 200 /* round trips that are not counted: the other side starts, pages fault */
#define LOOKS	(1u << 20) /* polls before the clock is read for the time-out */
#define OVER	(UINT64_C(1) << 63) /* bit in the ball's number: the game has ended */

/* Spin until the ball has another number than `old`. Return that number, or 0 after a time-out. */
static uint64_t expect(struct court *c, uint64_t old)
{
	uint64_t deadline = 0;

	for (unsigned int looks = 1;; looks++) {
		/* acquire: the other side's hit() */
		uint64_t ball = atomic_load_explicit(&c->ball, memory_order_acquire);

		if (ball != old)
			return ball;
		if (looks % LOOKS)
			continue;
		if (!deadline)
			deadline = now_ns() + 3 * NSEC_PER_SEC;
		else if (now_ns() > deadline)
			return 0;
	}
}

static void hit(struct court *c, uint64_t ball)
{
	/* release: the other side's expect() */
	atomic_store_explicit(&c->ball, ball, memory_order_release);
}

bool bounce_serve(struct court *c, uint64_t time_ns, uint64_t clock_ns, struct hist *h)
{
	uint64_t end = UINT64_MAX;

	for (unsigned int n = 0;; n++) {
		uint64_t start = now_ns(), took;

		if (start > end)
			break;
		hit(c, ++c->served);
		if (expect(c, c->served) != c->served + 1)
			return false;
		took = now_ns() - start;
		c->served++;
		if (n >= WARM_UP)
			hist_add(h, took > clock_ns ? took - clock_ns : 0);
		else if (n == WARM_UP - 1)
			end = now_ns() + time_ns;
	}
	hit(c, c->served | OVER);
	/* The other side clears OVER, so the next game can't begin before it has seen the end of this one. */
	return expect(c, c->served | OVER) == c->served;
}

bool bounce_return(struct court *c)
{
	uint64_t ball = atomic_load(&c->ball);

	/* Wait for the serve, unless it is already there. */
	if (!(ball & 1))
		ball = expect(c, ball);
	while (ball && !(ball & OVER)) {
		hit(c, ball + 1);
		ball = expect(c, ball + 1);
	}
	if (ball)
		hit(c, ball & ~OVER);
	return ball;
}

uint64_t clock_cost(void)
{
	struct hist *h = calloc(1, sizeof(*h));
	uint64_t cost;

	if (!h)
		return 0;
	for (int i = 0; i < 20000; i++) {
		uint64_t start = now_ns();

		hist_add(h, now_ns() - start);
	}
	cost = hist_quantile(h, 0.5);
	free(h);
	return cost;
}

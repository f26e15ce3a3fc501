/* SPDX-License-Identifier: MIT */
/* The plane, with what the library gives it: large copies and a clock. */
#ifndef VENOM_PLANE_H
#define VENOM_PLANE_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

void venom_copy(void *dst, const void *src, size_t len); /* copy.c */
#define VENOM_COPY_FROM(dst, src, len)	venom_copy(dst, src, len)
#define VENOM_COPY_TO(dst, src, len)	venom_copy(dst, src, len)
#include "plane/barrier.h" /* before the clock, which tests replace */

static inline int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}
#define VENOM_CLOCK_NS()		now_ns()

#include "plane/ring.h"
#include "plane/readers.h"
#include "plane/lane.h"
#include "plane/wake.h"
#include "plane/wait.h"

/* Note this thread's CPU in our word; true if the other side's word is the same: a spin would only delay that side. */
static inline bool on_one_cpu(uint32_t *own, const uint32_t *others)
{
	uint32_t cpu = VENOM_CPU_WORD(sched_getcpu());

	if (load_relaxed(own) != cpu)
		store_relaxed(own, cpu);
	return load_relaxed(others) == cpu;
}

#endif /* VENOM_PLANE_H */

/* SPDX-License-Identifier: MIT */
/* The plane, with what the library gives it: large copies and a clock. */
#ifndef VENOM_PLANE_H
#define VENOM_PLANE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

void venom_copy(void *dst, const void *src, size_t len); /* copy.c */
#define VENOM_COPY_FROM(dst, src, len)	venom_copy(dst, src, len)
#define VENOM_COPY_TO(dst, src, len)	venom_copy(dst, src, len)

static inline int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}
#define VENOM_CLOCK_NS()		now_ns()

#include "../plane/ring.h"
#include "../plane/readers.h"
#include "../plane/lane.h"
#include "../plane/wake.h"
#include "../plane/wait.h"

#endif /* VENOM_PLANE_H */

/* SPDX-License-Identifier: MIT */
/*
 * See bulk.h.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bulk.h"

void *memory(size_t size)
{
	void *p = aligned_alloc(2 << 20, (size + (2 << 20) - 1) & ~((size_t)(2 << 20) - 1));

	if (!p)
		return bad("no memory"), NULL;
	madvise(p, size, MADV_HUGEPAGE);
	memset(p, 1, size);
	return p;
}

double gb_s(const struct rate *r)
{
	return r->ns ? r->bytes / r->ns : 0;
}

double best_of(struct stage *st, const struct rate *by, int step)
{
	double best = 0;

	for (int i = 0; copiers[i].name; i++) {
		st->each[i * 2 + step] = gb_s(&by[i]);
		best = gb_s(&by[i]) > best ? gb_s(&by[i]) : best;
	}
	return best;
}

/*
 * A copier that bypasses the caches copies to `past`: else the next copier is slow at `dst`, for up to 70 ms
 * (tools/bench/NOTES.md).
 */
void copiers_turn(struct stage *st, struct rate *by, void *dst, void *past, const void *src, bool cold)
{
	for (int i = 0; copiers[i].name; i++) {
		void *to = copiers[i].past ? past : dst;

		if (copiers[i].copy)
			MEASURE(&by[i], st, src, to, cold, copiers[i].copy(to, src, st->size));
	}
}

bool await(atomic_ullong *count, uint64_t n)
{
	uint64_t looks = 0;

	while (atomic_load_explicit(count, memory_order_acquire) < n)
		if (++looks > 1ull << 32)
			return bad("the other side has gone"), false;
	return true;
}

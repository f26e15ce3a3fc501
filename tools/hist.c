/* SPDX-License-Identifier: MIT */
/*
 * See hist.h.
 */
#include "hist.h"

/* Values from 64 << o to (128 << o) - 1 have the shift o; bucket numbers continue from one doubling to the next. */
static unsigned int bucket_of(uint64_t v)
{
	unsigned int shift;

	if (v >> HIST_TOP)
		return HIST_BUCKETS - 1;
	if (v < 2u << HIST_BITS)
		return v;
	shift = 63 - HIST_BITS - __builtin_clzll(v);
	return (shift << HIST_BITS) + (v >> shift);
}

uint64_t hist_value(unsigned int b)
{
	unsigned int shift = b < 2u << HIST_BITS ? 0 : (b >> HIST_BITS) - 1;

	return (((uint64_t)b - (shift << HIST_BITS) + 1) << shift) - 1;
}

void hist_add_n(struct hist *h, uint64_t value, uint64_t n)
{
	h->bucket[bucket_of(value)] += n;
	h->count += n;
	if (n && value > h->max)
		h->max = value;
}

void hist_add(struct hist *h, uint64_t value)
{
	hist_add_n(h, value, 1);
}

void hist_merge(struct hist *to, const struct hist *from)
{
	for (unsigned int b = 0; b < HIST_BUCKETS; b++)
		to->bucket[b] += from->bucket[b];
	to->count += from->count;
	if (from->max > to->max)
		to->max = from->max;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t rank = q * h->count;
	uint64_t seen = 0;

	if (rank < q * h->count || !rank)
		rank++; /* the first value at which the share is reached */
	for (unsigned int b = 0; b < HIST_BUCKETS; b++) {
		seen += h->bucket[b];
		if (seen >= rank)
			return hist_value(b) < h->max && b != HIST_BUCKETS - 1 ? hist_value(b) : h->max;
	}
	return h->max;
}

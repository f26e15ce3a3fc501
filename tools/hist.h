/* SPDX-License-Identifier: MIT */
/*
 * A histogram of latencies, in the manner of HdrHistogram: it takes any value, its size is
 * fixed, adding is a few instructions, and its quantiles are off by less than 1/64 wherever
 * on the scale they lie.
 *
 * The buckets.  Values below 64 have one each.  Above, each doubling is cut into 64 equal
 * parts: 64..127 in steps of 1, 128..255 in steps of 2, and so on.  Values of 2^42 ns
 * (73 minutes) and more share the last bucket; the maximum is kept exactly.
 *
 * One writer; plain data without pointers, so it may lie in memory shared by processes and be
 * read from there once its writer is done.
 */
#ifndef HIST_H
#define HIST_H

#include <stdint.h>

#define HIST_BITS    6 /* 64 parts to a doubling */
#define HIST_TOP     42 /* values of 2^42 and more share a bucket */
#define HIST_BUCKETS ((HIST_TOP - HIST_BITS + 1) << HIST_BITS)

struct hist { /* starts as zeros */
	uint64_t count;
	uint64_t max;
	uint64_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t value);
void hist_add_n(struct hist *h, uint64_t value, uint64_t n);
void hist_merge(struct hist *to, const struct hist *from);

/*
 * The quantile q (0 to 1): a share q of all values do not exceed it.  It is the top of its bucket, or the maximum if
 * that is less; 0 if there are no values.
 */
uint64_t hist_quantile(const struct hist *h, double q);

/* The largest value that is counted in this bucket. */
uint64_t hist_value(unsigned int bucket);

#endif /* HIST_H */

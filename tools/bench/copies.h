/* SPDX-License-Identifier: MIT */
/*
 * The machine's own ways to copy and to read memory: the limits of the large rows.
 */
#ifndef COPIES_H
#define COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void copy_fn(void *dst, const void *src, size_t len);

struct copier {
	const char *name;
	copy_fn *copy; /* NULL: not on this machine */
	bool past;     /* bypasses the caches: the destination is in no cache afterwards */
};
extern const struct copier copiers[]; /* ends with a name of NULL */

uint64_t plain_sum(const void *p, size_t len); /* of all 8-byte words; len is a multiple of 64 */
void fill_words(void *p, size_t len, uint64_t word);
void flush_lines(const void *p, size_t len); /* from all caches; does nothing where this is impossible */
bool can_flush(void);

#endif /* COPIES_H */

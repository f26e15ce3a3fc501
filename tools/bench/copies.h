/* SPDX-License-Identifier: MIT */
/*
 * The machine's own ways to copy and to look at memory: the limits of the large rows.
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
	bool past;     /* past the caches: what it copies to is out of them afterwards */
};
extern const struct copier copiers[]; /* ends with a name of NULL */

uint64_t plain_sum(const void *p, size_t len); /* of all 8-byte words; len is a multiple of 64 */
void fill_words(void *p, size_t len, uint64_t word);
void flush_lines(const void *p, size_t len); /* out of all caches; does nothing where one can't */
bool can_flush(void);

#endif /* COPIES_H */

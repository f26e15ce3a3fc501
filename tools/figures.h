/* SPDX-License-Identifier: MIT */
/*
 * This machine's live figures, as text.
 */
#ifndef FIGURES_H
#define FIGURES_H

#include <stddef.h>
#include <stdint.h>

#define FIGURES_MAX 2048 /* bytes that the text may take */

struct figures;

/* -errno if /proc can't be read. */
int figures_open(struct figures **f);
void figures_close(struct figures *f);

/* Write 'name value' lines, the first of them 'seq SEQ'; returns their length. No terminating zero. */
size_t figures_text(struct figures *f, uint64_t seq, char *buf, size_t size);

/* The value of a name in such a text, which ends in a zero; 0 if it has none. */
double figure(const char *text, const char *name);

#endif /* FIGURES_H */

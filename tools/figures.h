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

/* Return -errno if /proc can't be read. */
int figures_open(struct figures **f);
void figures_close(struct figures *f);

/* Write 'name value' lines, the first of them 'seq SEQ'.  Return their length.  No terminating zero. */
size_t figures_text(struct figures *f, uint64_t seq, char *buf, size_t size);

/* The value of a name in such a text, which must end in a zero; 0 if the name is not in it. */
double figure(const char *text, const char *name);

#endif /* FIGURES_H */

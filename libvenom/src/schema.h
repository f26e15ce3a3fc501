/* SPDX-License-Identifier: MIT */
#ifndef VENOM_SRC_SCHEMA_H
#define VENOM_SRC_SCHEMA_H

#include <venom_schema.h>

struct venom_state;
struct venom_schema_block;

/* 0, or -EINVAL and a sentence: a string or the text is too long, or the hash is not theirs.  No schema is fine. */
int schema_check(const struct venom_schema *schema);
/* Into a new state area that has room for it; NULL and no schema are fine. */
void schema_put(struct venom_state *st, const struct venom_schema *schema);
/* Out of one that another process may write; its strings end, and control no terminal. */
void schema_block_copy(struct venom_schema_block *to, const struct venom_schema_block *from);

#endif /* VENOM_SRC_SCHEMA_H */

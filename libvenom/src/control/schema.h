/* SPDX-License-Identifier: MIT */
#ifndef VENOM_SRC_SCHEMA_H
#define VENOM_SRC_SCHEMA_H

#include <venom_schema.h>

struct venom_state;
struct venom_schema_block;

/* 0, or -EINVAL and a sentence: a string, the text or the hash is invalid.  An empty schema is valid. */
int schema_check(const struct venom_schema *schema);
/* Write the schema to a new state area that has room for it; NULL or an empty schema writes nothing. */
void schema_put(struct venom_state *st, const struct venom_schema *schema);
/* Copy a block that another process may write.  The copy's strings end, and have no control characters. */
void schema_block_copy(struct venom_schema_block *to, const struct venom_schema_block *from);

#endif /* VENOM_SRC_SCHEMA_H */

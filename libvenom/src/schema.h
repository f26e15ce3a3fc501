/* SPDX-License-Identifier: MIT */
#ifndef VENOM_SRC_SCHEMA_H
#define VENOM_SRC_SCHEMA_H

#include <venom_schema.h>

/* 0, or -EINVAL and a sentence: a string or the text is too long, or the hash is not theirs.  No schema is fine. */
int schema_check(const struct venom_schema *schema);

#endif /* VENOM_SRC_SCHEMA_H */

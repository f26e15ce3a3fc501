/* SPDX-License-Identifier: MIT */
/*
 * The table that fields.c makes of a schema's text, and by which fields_print.c prints a payload.
 */
#ifndef FIELDS_H
#define FIELDS_H

#include "tool.h"

#define TYPES_MAX  256
#define FIELDS_MAX 4096

struct slice {
	const char *p;
	size_t len;
};

enum kind { BOOL, CHAR, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64, FLOAT32, FLOAT64, NESTED };

struct field {
	struct slice name, type;
	enum kind kind;
	size_t nested; /* index of its type */
	bool array;
	size_t count, offset, size; /* size of one element */
};

struct type {
	struct slice name; /* empty: the message itself */
	size_t first, count; /* its fields */
	size_t size, end, align; /* end: without the padding after the last field */
	enum { NEW, OPEN, LAID_OUT } state;
};

struct fields {
	char *text;
	struct slice package; /* of the message */
	size_t ntypes, nfields;
	struct type type[TYPES_MAX];
	struct field field[]; /* as many as the text has lines, FIELDS_MAX at most */
};

#endif /* FIELDS_H */

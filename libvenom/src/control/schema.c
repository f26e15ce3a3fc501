/* SPDX-License-Identifier: MIT */
/*
 * Schemas: their hash, and the ros2msg text of a C struct.
 *
 *	layout_of()	checks the table of a struct, and that its layout in memory is that of CDR
 *	collect()	finds the types nested in it
 *	write_type()	writes the text, one type after the other
 */
#include <stdio.h>

#include "internal.h"
#include "control/schema.h"

#define DEPTH_MAX 16
#define TYPES_MAX 64

/* ---- hash ---- */

static uint64_t fnv(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3;
	return h;
}

static const char *string(const char *s)
{
	return s ? s : "";
}

VENOM_API uint64_t venom_schema_hash(const struct venom_schema *s)
{
	const char *name, *encoding;
	uint64_t h = 0xcbf29ce484222325;

	if (!s)
		return 0;
	name = string(s->name);
	encoding = string(s->encoding);
	if (!*name && !*encoding && !s->text_len)
		return 0;
	h = fnv(h, name, strlen(name) + 1);
	h = fnv(h, encoding, strlen(encoding) + 1);
	h = fnv(h, s->text, s->text_len);
	return h ? h : 1;
}

/* The first control character, or the end. */
static const char *control(const char *p)
{
	while ((unsigned char)*p >= ' ' && *p != 0x7f)
		p++;
	return p;
}

int schema_check(const struct venom_schema *s)
{
	const char *name = string(s->name), *encoding = string(s->encoding);

	if (strlen(name) > VENOM_SCHEMA_NAME_MAX)
		return venom_fail(-EINVAL, "schema: its name is longer than %d bytes", VENOM_SCHEMA_NAME_MAX);
	if (*control(name))
		return venom_fail(-EINVAL, "schema: a control character in its name");
	if (strlen(encoding) > VENOM_SCHEMA_ENCODING_MAX)
		return venom_fail(-EINVAL, "schema '%s': its encoding is longer than %d bytes", name,
				  VENOM_SCHEMA_ENCODING_MAX);
	if (*control(encoding))
		return venom_fail(-EINVAL, "schema '%s': a control character in its encoding", name);
	if (s->text_len > VENOM_SCHEMA_TEXT_MAX)
		return venom_fail(-EINVAL, "schema '%s': its text has %zu bytes, more than %u", name, s->text_len,
				  VENOM_SCHEMA_TEXT_MAX);
	if (s->text_len && !s->text)
		return venom_fail(-EINVAL, "schema '%s': its text is NULL", name);
	if (s->hash != venom_schema_hash(s))
		return venom_fail(-EINVAL,
				  "schema '%s': its hash is %016llx, and not %016llx as venom_schema_hash() makes it",
				  name, (unsigned long long)s->hash, (unsigned long long)venom_schema_hash(s));
	return 0;
}

/* ---- names ---- */

static bool is_small(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Whether this is a valid name of a field or a package in ROS 2. */
static bool name_valid(const char *name)
{
	char before = '_';

	if (!name || !is_small(*name))
		return false;
	for (const char *p = name; *p; before = *p++)
		if (!is_small(*p) && !is_digit(*p) && (*p != '_' || before == '_'))
			return false;
	return before != '_';
}

/* Make the message name: "struct book_level" gives BookLevel. */
static int message_name(char to[VENOM_SCHEMA_NAME_MAX + 1], const struct venom_type *type)
{
	const char *p = type->name;
	bool upper = true;
	size_t n = 0;

	if (!strncmp(p, "struct ", 7))
		p += 7;
	for (; *p; p++) {
		if (*p == '_') {
			upper = true;
			continue;
		}
		if (!is_small(*p | 0x20) && !(n && is_digit(*p)))
			return venom_fail(-EINVAL, "%s: not a name that a message can have", type->name);
		if (n == VENOM_SCHEMA_NAME_MAX)
			return venom_fail(-ENAMETOOLONG, "%s: its name is longer than %d bytes", type->name,
					  VENOM_SCHEMA_NAME_MAX);
		to[n++] = upper && is_small(*p) ? *p & ~0x20 : *p;
		upper = false;
	}
	to[n] = 0;
	return n ? 0 : venom_fail(-EINVAL, "%s: not a name that a message can have", type->name);
}

/* ---- layout ---- */

static const struct {
	const char *name;
	size_t size;
} kinds[] = {
	[VENOM_KIND_BOOL] = {"bool", 1},       [VENOM_KIND_CHAR] = {"char", 1},
	[VENOM_KIND_INT8] = {"int8", 1},       [VENOM_KIND_UINT8] = {"uint8", 1},
	[VENOM_KIND_INT16] = {"int16", 2},     [VENOM_KIND_UINT16] = {"uint16", 2},
	[VENOM_KIND_INT32] = {"int32", 4},     [VENOM_KIND_UINT32] = {"uint32", 4},
	[VENOM_KIND_INT64] = {"int64", 8},     [VENOM_KIND_UINT64] = {"uint64", 8},
	[VENOM_KIND_FLOAT32] = {"float32", 4}, [VENOM_KIND_FLOAT64] = {"float64", 8},
	[VENOM_KIND_STRUCT] = {NULL, 0},
};

struct layout {
	size_t align; /* in C */
	size_t first; /* alignment of its first scalar: CDR starts it there */
	size_t end; /* without the padding at its end: CDR ends it there */
};

static size_t up(size_t n, size_t align)
{
	return (n + align - 1) / align * align;
}

static int layout_of(const struct venom_type *t, unsigned int depth, struct layout *l);

static int element_layout(const struct venom_type *t, const struct venom_field *f, unsigned int depth, struct layout *l)
{
	int rc;

	if (f->kind <= VENOM_KIND_NONE || f->kind >= ARRAY_SIZE(kinds))
		return venom_fail(-EINVAL, "%s: field %s is of a type that no schema has", t->name, f->name);
	if (f->kind == VENOM_KIND_STRUCT) {
		if (!f->type)
			return venom_fail(-EINVAL, "%s: field %s is a struct without a type", t->name, f->name);
		rc = layout_of(f->type, depth + 1, l);
		if (rc)
			return rc;
	} else {
		l->align = l->first = l->end = kinds[f->kind].size;
	}
	if (f->size != (f->kind == VENOM_KIND_STRUCT ? f->type->size : l->end))
		return venom_fail(-EINVAL, "%s: field %s is of %zu bytes, which its type is not", t->name, f->name,
				  f->size);
	return 0;
}

/*
 * Check that each field lies where both C and CDR put it after the field before; C also after that field's padding.  A
 * field lies at a multiple of its whole alignment, so its inside is right if it is right at offset 0.
 */
static int layout_of(const struct venom_type *t, unsigned int depth, struct layout *l)
{
	size_t end = 0, cdr = 0, bytes;
	struct layout el;
	int rc;

	if (!t->name || !t->fields || !t->count)
		return venom_fail(-EINVAL, "%s: a type without a name or fields", string(t->name));
	if (depth == DEPTH_MAX)
		return venom_fail(-EINVAL, "%s: nested more than %d deep", t->name, DEPTH_MAX);
	l->align = 1;
	for (size_t i = 0; i < t->count; i++) {
		const struct venom_field *f = &t->fields[i];

		if (!name_valid(f->name))
			return venom_fail(
				-EINVAL,
				"%s: field %s: its name is not valid in ROS 2 (small letters, digits, single underscores)",
				t->name, string(f->name));
		for (size_t k = 0; k < i; k++)
			if (!strcmp(f->name, t->fields[k].name))
				return venom_fail(-EINVAL, "%s: field %s is there twice", t->name, f->name);
		rc = element_layout(t, f, depth, &el);
		if (rc)
			return rc;
		if (f->offset != up(end, el.align))
			return venom_fail(
				-EINVAL,
				"%s: field %s is at %zu, not at %zu: it is packed, over-aligned or out of order, "
				"or a field before it is left out",
				t->name, f->name, f->offset, up(end, el.align));
		if (f->offset != up(cdr, el.first))
			return venom_fail(
				-EINVAL, "%s: field %s is at %zu, but in CDR at %zu: there is padding that CDR has not",
				t->name, f->name, f->offset, up(cdr, el.first));
		if (f->count > 1 && up(el.end, el.first) != f->size)
			return venom_fail(-EINVAL, "%s: field %s: its elements end in padding that CDR has not",
					  t->name, f->name);
		if (__builtin_mul_overflow(f->size, f->count ? f->count : 1, &bytes) || bytes > t->size ||
		    f->offset > t->size - bytes)
			return venom_fail(-EINVAL, "%s: field %s is larger than the struct", t->name, f->name);
		end = f->offset + bytes;
		cdr = end - f->size + el.end;
		l->first = i ? l->first : el.first;
		l->align = el.align > l->align ? el.align : l->align;
	}
	l->end = cdr;
	if (t->size != up(end, l->align))
		return venom_fail(
			-EINVAL,
			"%s is of %zu bytes, its fields of %zu: it is over-aligned, or fields after %s are left out",
			t->name, t->size, up(end, l->align), t->fields[t->count - 1].name);
	return 0;
}

/* ---- text ---- */

struct type_list {
	size_t n;
	const struct venom_type *type[TYPES_MAX];
	char name[TYPES_MAX][VENOM_SCHEMA_NAME_MAX + 1];
};

static int list_add(struct type_list *list, const struct venom_type *t)
{
	char name[VENOM_SCHEMA_NAME_MAX + 1];
	int rc = message_name(name, t);

	if (rc)
		return rc;
	for (size_t i = 0; i < list->n; i++) {
		if (list->type[i] == t)
			return 0;
		if (!strcmp(list->name[i], name))
			return venom_fail(-EINVAL, "%s and %s would both be the message %s", list->type[i]->name,
					  t->name, name);
	}
	if (list->n == TYPES_MAX)
		return venom_fail(-EINVAL, "%s: more than %d types", list->type[0]->name, TYPES_MAX);
	list->type[list->n] = t;
	memcpy(list->name[list->n++], name, sizeof(name));
	return 0;
}

/* Add the type and all types nested in it, each once. */
static int collect(struct type_list *list, const struct venom_type *t)
{
	int rc = list_add(list, t);

	for (size_t i = 0; !rc && i < list->n; i++)
		for (size_t k = 0; !rc && k < list->type[i]->count; k++)
			if (list->type[i]->fields[k].kind == VENOM_KIND_STRUCT)
				rc = list_add(list, list->type[i]->fields[k].type);
	return rc;
}

static const char *listed_name(const struct type_list *list, const struct venom_type *t)
{
	size_t i = 0;

	while (list->type[i] != t)
		i++;
	return list->name[i];
}

static void write_type(FILE *to, const struct type_list *list, const struct venom_type *t, const char *package)
{
	for (const struct venom_field *f = t->fields; f < t->fields + t->count; f++) {
		if (f->kind == VENOM_KIND_STRUCT)
			fprintf(to, "%s/%s", package, listed_name(list, f->type));
		else
			fputs(kinds[f->kind].name, to);
		if (f->count)
			fprintf(to, "[%zu]", f->count);
		fprintf(to, " %s\n", f->name);
	}
}

/* Write the name, a zero and the text into one allocation. */
static int write_schema(struct venom_schema *schema, const struct type_list *list, const char *package)
{
	struct venom_schema s = {.encoding = "ros2msg"};
	char *buf = NULL, line[81];
	size_t len = 0, text;
	FILE *to = open_memstream(&buf, &len);

	if (!to)
		return -ENOMEM;
	memset(line, '=', 80);
	line[80] = 0;
	text = (size_t)fprintf(to, "%s/msg/%s", package, list->name[0]) + 1;
	fputc(0, to);
	for (size_t i = 0; i < list->n; i++) {
		if (i)
			fprintf(to, "%s\nMSG: %s/%s\n", line, package, list->name[i]);
		write_type(to, list, list->type[i], package);
	}
	if (fclose(to)) {
		free(buf);
		return -ENOMEM;
	}
	s.name = buf;
	s.text = buf + text;
	s.text_len = len - text;
	if (text - 1 > VENOM_SCHEMA_NAME_MAX || s.text_len > VENOM_SCHEMA_TEXT_MAX) {
		int rc = text - 1 > VENOM_SCHEMA_NAME_MAX
				 ? venom_fail(-ENAMETOOLONG, "%s: the schema's name is longer than %d bytes", s.name,
					      VENOM_SCHEMA_NAME_MAX)
				 : venom_fail(-EMSGSIZE, "%s: the schema's text has %zu bytes, more than %u", s.name,
					      s.text_len, VENOM_SCHEMA_TEXT_MAX);

		free(buf);
		return rc;
	}
	s.hash = venom_schema_hash(&s);
	*schema = s;
	return 0;
}

VENOM_API int venom_type_schema(struct venom_schema *schema, const struct venom_type *type, const char *package)
{
	struct type_list *list;
	struct layout l;
	int rc;
	NO_CANCEL;

	venom_errmsg_clear();
	package = package ? package : "venom";
	if (!name_valid(package))
		return venom_fail(-EINVAL, "'%s' is not a name that a ROS package can have", package);
	rc = layout_of(type, 0, &l);
	if (rc)
		return rc;
	list = calloc(1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	rc = collect(list, type);
	if (!rc)
		rc = write_schema(schema, list, package);
	free(list);
	return rc;
}

VENOM_API void venom_schema_free(struct venom_schema *schema)
{
	if (!schema)
		return;
	free((void *)schema->name);
	memset(schema, 0, sizeof(*schema));
}

/* ---- in a channel ---- */

void schema_put(struct venom_state *st, const struct venom_schema *s)
{
	struct venom_schema_block *b = &st->schema;

	if (!s || !s->hash)
		return;
	snprintf(b->name, sizeof(b->name), "%s", string(s->name));
	snprintf(b->encoding, sizeof(b->encoding), "%s", string(s->encoding));
	memcpy((char *)st + VENOM_SCHEMA_TEXT, s->text, s->text_len);
	b->hash = s->hash;
}

static void tame(char *s)
{
	for (size_t at; s[at = control(s) - s];)
		s[at] = '?';
}

void schema_block_copy(struct venom_schema_block *to, const struct venom_schema_block *from)
{
	VENOM_COPY_FROM(to, from, sizeof(*to));
	to->name[sizeof(to->name) - 1] = 0;
	to->encoding[sizeof(to->encoding) - 1] = 0;
	tame(to->name);
	tame(to->encoding);
}

/* Copy the schema once, check and keep the copy: the daemon may overwrite the area at any time. */
static int load_schema(struct venom_shell *s)
{
	struct venom_schema_block *b = &s->schema_block;
	size_t len = s->geo.schema_size;
	struct venom_schema copy;
	char why[256];

	schema_block_copy(b, &s->state->schema);
	if (!b->hash)
		return -ENODATA;
	s->schema_text = malloc(len + 1);
	if (!s->schema_text)
		return venom_fail(-ENOMEM, "out of memory for the schema's text of %zu bytes", len);
	venom_copy(s->schema_text, (const char *)s->state + VENOM_SCHEMA_TEXT, len);
	copy = (struct venom_schema){b->name, b->encoding, s->schema_text, len, b->hash};
	if (schema_check(&copy)) {
		snprintf(why, sizeof(why), "%s", venom_errmsg());
		free(s->schema_text);
		s->schema_text = NULL;
		return venom_fail(-EPROTO, "the channel's %s", why);
	}
	return 0;
}

VENOM_API int venom_shell_schema(struct venom_shell *s, struct venom_schema *schema)
{
	int rc = s->schema_text ? 0 : load_schema(s);

	if (!rc)
		*schema = (struct venom_schema){s->schema_block.name, s->schema_block.encoding, s->schema_text,
						s->geo.schema_size, s->schema_block.hash};
	return rc;
}

VENOM_API int venom_shell_expect(struct venom_shell *s, const struct venom_schema *want)
{
	struct venom_schema_block is;

	if (!want)
		return 0;
	if (want->hash != venom_schema_hash(want))
		return venom_fail(-EINVAL, "the schema that is expected is not one: its hash is not venom_schema_hash()");
	schema_block_copy(&is, &s->state->schema);
	if (is.hash == want->hash)
		return 0;
	if (!is.hash)
		return venom_fail(-EPROTO, "'%s' (%s, %016llx) is expected, and the channel says nothing of its messages",
				  string(want->name), string(want->encoding), (unsigned long long)want->hash);
	return venom_fail(-EPROTO, "the channel's messages are '%s' (%s, %016llx), and '%s' (%s, %016llx) is expected",
			  is.name, is.encoding, (unsigned long long)is.hash, string(want->name), string(want->encoding),
			  (unsigned long long)want->hash);
}

/* SPDX-License-Identifier: MIT */
/*
 * Parse a schema: a ros2msg text becomes a table of offsets, by which fields_print.c prints a payload.
 *
 *	fields_parse()	splits the text into types and their fields, then lays them out as a C compiler does
 *
 * The text comes from another process, so it may be anything.  Types, fields and depth are bounded; a name has only
 * letters, digits and '_'; sizes are checked for overflow; each type is laid out once.  No type is empty, so at most
 * one value is printed for each byte of the payload.
 *
 * What a flat struct can't have is an error: string, wstring, sequences.  Constants, default values and comments are
 * skipped.
 */
#include <stdlib.h>
#include <string.h>

#include "fields.h"

#define WORD_MAX  128
#define DEPTH_MAX 32

static const struct {
	const char *name;
	size_t size;
	enum kind kind;
} scalars[] = {
	{"bool", 1, BOOL},	 {"byte", 1, UINT8},  {"char", 1, CHAR},     {"int8", 1, INT8},
	{"uint8", 1, UINT8},	 {"int16", 2, INT16}, {"uint16", 2, UINT16}, {"int32", 4, INT32},
	{"uint32", 4, UINT32},	 {"int64", 8, INT64}, {"uint64", 8, UINT64}, {"float32", 4, FLOAT32},
	{"float64", 8, FLOAT64},
};

/* ---- the text ---- */

#define is_blank(c) ((c) == ' ' || (c) == '\t' || (c) == '\r')

static bool same(struct slice a, struct slice b)
{
	return a.len == b.len && !memcmp(a.p, b.p, a.len);
}

static bool is(struct slice s, const char *word)
{
	return same(s, (struct slice){word, strlen(word)});
}

static struct slice skip_blanks(struct slice s)
{
	for (; s.len && is_blank(*s.p); s.len--)
		s.p++;
	return s;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Take the name at the front of *s and move *s behind it; with `slashes` for a type's name.  Empty if there is none. */
static struct slice take_word(struct slice *s, bool slashes)
{
	struct slice w = {s->p, 0};

	while (s->len && (is_letter(*s->p) || (w.len && (is_digit(*s->p) || (slashes && *s->p == '/'))))) {
		w.len++;
		s->p++;
		s->len--;
	}
	if (w.len > WORD_MAX)
		w.len = 0;
	return w;
}

static struct slice take_line(struct slice *s)
{
	const char *nl = memchr(s->p, '\n', s->len);
	struct slice line = {s->p, nl ? (size_t)(nl - s->p) : s->len};
	size_t past = line.len + (nl ? 1 : 0);

	s->p += past;
	s->len -= past;
	return line;
}

/* Take "[N]" from the front of *s, if it is there. */
static const char *take_array(struct slice *s, struct field *f)
{
	f->array = false;
	f->count = 1;
	if (!s->len || *s->p != '[')
		return NULL;
	f->array = true;
	f->count = 0;
	for (s->p++, s->len--; s->len && is_digit(*s->p); s->p++, s->len--)
		if (__builtin_mul_overflow(f->count, 10, &f->count) ||
		    __builtin_add_overflow(f->count, (size_t)(*s->p - '0'), &f->count))
			return "an array that is too large";
	if (s->len && (*s->p == ']' || *s->p == '<') && !f->count)
		return "a sequence, or an array of nothing: not in a flat struct";
	if (!s->len || *s->p != ']')
		return "no ']' after the length of an array";
	s->p++;
	s->len--;
	return NULL;
}

/* TYPE NAME, TYPE NAME DEFAULT, TYPE NAME=CONSTANT. */
static const char *parse_field(struct fields *t, struct slice line)
{
	struct type *type = &t->type[t->ntypes - 1];
	struct field f = {.type = take_word(&line, true)};
	bool string = is(f.type, "string") || is(f.type, "wstring");
	const char *why;

	if (!f.type.len)
		return "neither a field nor a comment";
	if (string)
		for (; line.len && !is_blank(*line.p); line.len--) /* skip its bound */
			line.p++;
	why = take_array(&line, &f);
	if (why)
		return why;
	if (!line.len || !is_blank(*line.p))
		return "no name after a type";
	line = skip_blanks(line);
	f.name = take_word(&line, false);
	if (!f.name.len || (line.len && !is_blank(*line.p) && *line.p != '=' && *line.p != '#'))
		return "a name that is not of letters, digits and '_', or is too long";
	line = skip_blanks(line);
	if (line.len && *line.p == '=')
		return NULL;
	if (string)
		return "a string: not in a flat struct, which has char[N]";
	for (size_t i = type->first; i < t->nfields; i++)
		if (same(t->field[i].name, f.name))
			return "a name that another field has";
	if (t->nfields == FIELDS_MAX)
		return "more fields than this tool takes";
	t->field[t->nfields++] = f;
	type->count++;
	return NULL;
}

static const char *parse_type(struct fields *t, struct slice name)
{
	if (t->ntypes == TYPES_MAX)
		return "more types than this tool takes";
	t->type[t->ntypes++] = (struct type){.name = name, .first = t->nfields};
	return NULL;
}

/* "MSG: pkg/Name" */
static const char *parse_msg(struct fields *t, struct slice line)
{
	struct slice name;

	if (line.len < 4 || memcmp(line.p, "MSG:", 4))
		return "no 'MSG:' after a line of '='";
	line = skip_blanks((struct slice){line.p + 4, line.len - 4});
	name = take_word(&line, true);
	if (!name.len || skip_blanks(line).len)
		return "no name after 'MSG:'";
	return parse_type(t, name);
}

static bool is_rule(struct slice line)
{
	size_t n = 0;

	while (n < line.len && line.p[n] == '=')
		n++;
	return n >= 3 && !skip_blanks((struct slice){line.p + n, line.len - n}).len;
}

static const char *parse_lines(struct fields *t, struct slice text, size_t *n)
{
	bool rule = false;
	const char *why = parse_type(t, (struct slice){"", 0});

	for (*n = 0; !why && text.len;) {
		struct slice line = skip_blanks(take_line(&text));

		++*n;
		if (!line.len || *line.p == '#')
			continue;
		if (rule)
			why = parse_msg(t, line);
		else if (!is_rule(line))
			why = parse_field(t, line);
		rule = is_rule(line);
	}
	return why;
}

/* ---- types ---- */

/* Split "pkg/msg/Name" or "pkg/Name" into package and name. */
static void split(struct slice full, struct slice *package, struct slice *name)
{
	const char *slash = memchr(full.p, '/', full.len), *last = memrchr(full.p, '/', full.len);

	*package = (struct slice){full.p, slash ? (size_t)(slash - full.p) : 0};
	*name = slash ? (struct slice){last + 1, (size_t)(full.p + full.len - last - 1)} : full;
}

/* Find the type `wanted`, as named by a field of `in`: a name without a package is in the same package. */
static struct type *find_type(struct fields *t, const struct type *in, struct slice wanted)
{
	struct slice package, name, p, n;

	split(wanted, &package, &name);
	if (!package.len)
		split(in->name, &package, &n);
	if (!package.len)
		package = t->package;
	for (struct type *type = t->type + 1; type < t->type + t->ntypes; type++) {
		split(type->name, &p, &n);
		if (same(n, name) && (!p.len || !package.len || same(p, package)))
			return type;
	}
	return NULL;
}

static bool add_up(size_t *n, size_t align)
{
	if (__builtin_add_overflow(*n, align - 1, n))
		return false;
	*n = *n / align * align;
	return true;
}

static const char *lay_out(struct fields *t, struct type *type, unsigned int depth, struct slice *at);

static const char *resolve(struct fields *t, struct type *in, struct field *f, size_t *align, unsigned int depth,
			   struct slice *at)
{
	struct type *type;
	const char *why;

	for (size_t i = 0; i < ARRAY_SIZE(scalars); i++) {
		if (is(f->type, scalars[i].name)) {
			f->kind = scalars[i].kind;
			f->size = *align = scalars[i].size;
			return NULL;
		}
	}
	type = find_type(t, in, f->type);
	if (!type)
		return "a type that is not in the text";
	why = lay_out(t, type, depth + 1, at);
	f->kind = NESTED;
	f->nested = (size_t)(type - t->type);
	f->size = type->size;
	*align = type->align;
	return why;
}

/* On an error, *at is the field that caused it. */
static const char *lay_out(struct fields *t, struct type *type, unsigned int depth, struct slice *at)
{
	size_t align, bytes;
	const char *why;

	if (type->state == LAID_OUT)
		return NULL;
	if (type->state == OPEN)
		return "a type that contains itself";
	if (depth == DEPTH_MAX)
		return "types nested too deep";
	if (!type->count)
		return "a type without fields";
	type->state = OPEN;
	type->align = 1;
	for (struct field *f = &t->field[type->first]; f < &t->field[type->first + type->count]; f++) {
		*at = f->name;
		why = resolve(t, type, f, &align, depth, at);
		if (why)
			return why;
		*at = f->name;
		f->offset = type->end;
		if (!add_up(&f->offset, align) || __builtin_mul_overflow(f->size, f->count, &bytes) ||
		    __builtin_add_overflow(f->offset, bytes, &type->end))
			return "larger than any memory";
		type->align = align > type->align ? align : type->align;
	}
	type->size = type->end;
	if (!add_up(&type->size, type->align))
		return "larger than any memory";
	type->state = LAID_OUT;
	return NULL;
}

struct fields *fields_parse(const struct venom_schema *schema, char why[FIELDS_WHY])
{
	struct slice text = {schema->text_len ? schema->text : "", schema->text_len}, at = {"", 0}, name;
	const char *wrong, *message = schema->name ? schema->name : "";
	struct fields *t;
	size_t line, lines = 1;

	if (!schema->encoding || strcmp(schema->encoding, "ros2msg")) {
		snprintf(why, FIELDS_WHY, "the schema is not ros2msg");
		return NULL;
	}
	if (text.len > VENOM_SCHEMA_TEXT_MAX) {
		snprintf(why, FIELDS_WHY, "the schema's text is too large");
		return NULL;
	}
	for (const char *p = text.p; (p = memchr(p, '\n', (size_t)(text.p + text.len - p))); p++)
		lines += lines < FIELDS_MAX;
	t = calloc(1, sizeof(*t) + lines * sizeof(t->field[0]));
	/* The table points into its own copy of the text. */
	if (t)
		t->text = malloc(text.len + strlen(message) + 1);
	if (!t || !t->text) {
		free(t);
		snprintf(why, FIELDS_WHY, "out of memory");
		return NULL;
	}
	memcpy(t->text + text.len, message, strlen(message) + 1);
	text.p = memcpy(t->text, text.p, text.len);
	split((struct slice){t->text + text.len, strlen(message)}, &t->package, &name);
	wrong = parse_lines(t, text, &line);
	if (wrong) {
		snprintf(why, FIELDS_WHY, "the schema: line %zu: %s", line, wrong);
		goto fail;
	}
	wrong = lay_out(t, &t->type[0], 0, &at);
	if (wrong) {
		snprintf(why, FIELDS_WHY, "the schema: field '%.*s': %s", (int)at.len, at.p, wrong);
		goto fail;
	}
	return t;
fail:
	fields_free(t);
	return NULL;
}

void fields_free(struct fields *t)
{
	if (t)
		free(t->text);
	free(t);
}

size_t fields_size(const struct fields *t)
{
	return t->type[0].end;
}

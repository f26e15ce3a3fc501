/* SPDX-License-Identifier: MIT */
/*
 * Print a payload by its fields, as fields.c has laid them out.
 *
 *	fields_json()	{"bid": 1.5, "from": {"x": 1, "y": 2}, "symbol": "ABC", "px": [1, 2]}
 *	fields_text()	bid=1.5 from={x=1 y=2} symbol="ABC" px=[1 2]
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"

/* The punctuation of the two forms. */
struct form {
	const char *open, *close, *list_open, *list_close, *between, *name_end, *quote;
};
static const struct form json = {"{", "}", "[", "]", ", ", ": ", "\""}, plain = {"{", "}", "[", "]", " ", "=", ""};

/*
 * Print the fewest of 15 to 17 digits (for a float: 6 to 9) that give the same number again.  JSON has no number for
 * infinity and NaN, so they are printed as strings.
 */
static void print_real(double v, bool single)
{
	char digits[40];

	if (isnan(v)) {
		printf("\"NaN\"");
		return;
	}
	if (isinf(v)) {
		printf("\"%sInfinity\"", v < 0 ? "-" : "");
		return;
	}
	for (int n = single ? 6 : 15; n <= 17; n++) {
		snprintf(digits, sizeof(digits), "%.*g", n, v);
		if (single ? strtof(digits, NULL) == (float)v : strtod(digits, NULL) == v)
			break;
	}
	printf("%s", digits);
}

#define GET(type)                           \
	({                                  \
		type v_;                    \
		memcpy(&v_, p, sizeof(v_)); \
		v_;                         \
	})

static void print_type(const struct form *form, const struct fields *t, const struct type *type,
		       const unsigned char *p);

static void print_value(const struct form *form, const struct fields *t, const struct field *f, const unsigned char *p)
{
	switch (f->kind) {
	case BOOL:
		printf(*p ? "true" : "false");
		break;
	case CHAR:
		json_field((const char *)p, 1);
		break;
	case INT8:
		printf("%d", GET(int8_t));
		break;
	case UINT8:
		printf("%u", *p);
		break;
	case INT16:
		printf("%d", GET(int16_t));
		break;
	case UINT16:
		printf("%u", GET(uint16_t));
		break;
	case INT32:
		printf("%d", GET(int32_t));
		break;
	case UINT32:
		printf("%u", GET(uint32_t));
		break;
	case INT64:
		printf("%lld", (long long)GET(int64_t));
		break;
	case UINT64:
		printf("%llu", (unsigned long long)GET(uint64_t));
		break;
	case FLOAT32:
		print_real(GET(float), true);
		break;
	case FLOAT64:
		print_real(GET(double), false);
		break;
	case NESTED:
		fputs(form->open, stdout);
		print_type(form, t, &t->type[f->nested], p);
		fputs(form->close, stdout);
		break;
	}
}

static void print_field(const struct form *form, const struct fields *t, const struct field *f, const unsigned char *p)
{
	if (f->array && f->kind == CHAR) {
		json_field((const char *)p, f->count);
		return;
	}
	if (f->array)
		fputs(form->list_open, stdout);
	for (size_t i = 0; i < f->count; i++) {
		if (i)
			fputs(form->between, stdout);
		print_value(form, t, f, p + i * f->size);
	}
	if (f->array)
		fputs(form->list_close, stdout);
}

static void print_type(const struct form *form, const struct fields *t, const struct type *type, const unsigned char *p)
{
	for (size_t i = 0; i < type->count; i++) {
		const struct field *f = &t->field[type->first + i];

		printf("%s%s%.*s%s%s", i ? form->between : "", form->quote, (int)f->name.len, f->name.p, form->quote,
		       form->name_end);
		print_field(form, t, f, p + f->offset);
	}
}

bool fields_json(const struct fields *t, const void *data, size_t len)
{
	if (len < fields_size(t))
		return false;
	putchar('{');
	print_type(&json, t, &t->type[0], data);
	putchar('}');
	return true;
}

bool fields_text(const struct fields *t, const void *data, size_t len)
{
	if (len < fields_size(t))
		return false;
	print_type(&plain, t, &t->type[0], data);
	return true;
}

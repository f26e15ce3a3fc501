/* SPDX-License-Identifier: MIT */
/*
 * A schema's text and a payload that any process may have written, printed by names (tools/fields*.c). The output must
 * be one whole JSON object, without a control character.
 *
 *	bytes 0, 1	length of the text
 *	then		the text, and the payload: the rest, repeated up to the length that the schema wants
 */
#include <string.h>
#include <unistd.h>

#include "../../tools/tool.h"
#include "fuzz/lib/fuzz.h"

#define PAYLOAD_MAX 4096

enum { PRINTED, NESTED, SHORT, REFUSED, TOO_LARGE };
const char *const fuzz_goals[] = {"printed", "nested", "short payloads", "texts refused", "too large", NULL};

/* The end of the JSON value at p, or NULL: of strings, numbers, words, objects and arrays as fields_json() has them. */
static const char *value(const char *p);

static const char *string(const char *p)
{
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return NULL;
		if (*p == '\\' && !*++p)
			return NULL;
	}
	return p + 1;
}

static const char *list(const char *p, char end, bool names)
{
	for (p++;; p += 2) {
		if (names) {
			p = string(p);
			if (!p || strncmp(p, ": ", 2))
				return NULL;
			p += 2;
		}
		p = value(p);
		if (!p || *p == end)
			return p ? p + 1 : NULL;
		if (strncmp(p, ", ", 2))
			return NULL;
	}
}

static const char *value(const char *p)
{
	size_t n;

	if (*p == '"')
		return string(p);
	if (*p == '{')
		return list(p, '}', true);
	if (*p == '[')
		return list(p, ']', false);
	n = strspn(p, "truefals0123456789+-.");
	return n ? p + n : NULL;
}

static void print(const struct fields *t, const uint8_t *data, size_t len)
{
	FILE *out = stdout;
	char *text;
	size_t size;
	const char *end;

	stdout = open_memstream(&text, &size);
	FUZZ_CHECK(fields_json(t, data, len));
	FUZZ_CHECK(!fflush(stdout) && strlen(text) == size);
	end = *text == '{' ? value(text) : NULL;
	FUZZ_CHECK(end && !*end);
	fuzz_met[NESTED] += strstr(text, ": {") != NULL;
	FUZZ_CHECK(fields_text(t, data, len));
	fclose(stdout);
	stdout = out;
	free(text);
	fuzz_met[PRINTED]++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct venom_schema s = {.name = "fuzz/msg/Any", .encoding = "ros2msg"};
	char why[FIELDS_WHY] = "";
	uint8_t *payload;
	struct fields *t;
	size_t n;

	if (size < 2)
		return -1;
	n = data[0] | (size_t)data[1] << 8;
	data += 2;
	size -= 2;
	s.text_len = n < size ? n : size;
	s.text = data;
	t = fields_parse(&s, why);
	if (!t) {
		FUZZ_CHECK(*why);
		for (const char *p = why; *p; p++)
			FUZZ_CHECK(*p >= ' ' && *p < 0x7f);
		fuzz_met[REFUSED]++;
		return 0;
	}
	n = fields_size(t);
	FUZZ_CHECK(n);
	if (n > PAYLOAD_MAX) {
		fuzz_met[TOO_LARGE]++;
	} else {
		/* A buffer of just that size, so that a read past its end is detected. */
		payload = malloc(n);
		for (size_t i = 0, left = size - s.text_len; i < n; i++)
			payload[i] = left ? data[s.text_len + i % left] : 0;
		print(t, payload, n);
		FUZZ_CHECK(!fields_json(t, payload, n - 1));
		fuzz_met[SHORT]++;
		free(payload);
	}
	fields_free(t);
	return 0;
}

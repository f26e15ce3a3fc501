/* SPDX-License-Identifier: MIT */
/*
 * The small JSON writer for --json.  A payload may be any bytes, JSON may not: a payload that is not printable UTF-8 is
 * written as base64, under another key, so that no reader has to guess.
 */
#include <string.h>

#include "tool.h"

/*
 * Print a quoted string.  A byte that is not UTF-8, which names may have, becomes U+FFFD.  Characters that control a
 * terminal are escaped.
 */
void json_string(const void *text, size_t len)
{
	const unsigned char *p = text;
	const unsigned char *end = p + len;
	unsigned int code;

	putchar('"');
	while (p < end) {
		size_t n = utf8(p, end - p);

		if (!n)
			printf("\\ufffd");
		else if (*p == '"' || *p == '\\')
			printf("\\%c", *p);
		else if (control(p, n, &code))
			printf("\\u%04x", code);
		else
			fwrite(p, 1, n, stdout);
		p += n ? n : 1;
	}
	putchar('"');
}

void json_name(const char *name)
{
	json_string(name, strlen(name));
}

/* The same for a text that ends with a zero, or else fills its `size` bytes. */
void json_field(const char *text, size_t size)
{
	json_string(text, strnlen(text, size));
}

static bool printable(const unsigned char *p, size_t len)
{
	for (size_t n; len; p += n, len -= n) {
		n = utf8(p, len);
		if (!n || (*p < ' ' && !strchr("\t\n\r", *p)) || !*p || *p == 0x7f)
			return false;
	}
	return true;
}

static void base64(const unsigned char *p, size_t len)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (; len; p += 3) {
		size_t n = len < 3 ? len : 3;
		unsigned int v = p[0] << 16 | (n > 1 ? p[1] << 8 : 0) | (n > 2 ? p[2] : 0);

		putchar(digit[v >> 18]);
		putchar(digit[v >> 12 & 63]);
		putchar(n > 1 ? digit[v >> 6 & 63] : '=');
		putchar(n > 2 ? digit[v & 63] : '=');
		len -= n;
	}
}

/* "data": "text", or "base64": "..." */
void json_data(const void *data, size_t len)
{
	if (printable(data, len)) {
		printf("\"data\": ");
		json_string(data, len);
	} else {
		printf("\"base64\": \"");
		base64(data, len);
		putchar('"');
	}
}

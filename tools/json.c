/* SPDX-License-Identifier: MIT */
/*
 * The little JSON that --json needs.  Payloads may be any bytes, JSON may not: what is not
 * printable UTF-8 goes out as base64, under another key, so that no reader has to guess.
 */
#include <string.h>

#include "tool.h"

/* Length of the UTF-8 sequence at p, 0 if it is none: overlong forms and surrogates aren't. */
static size_t utf8(const unsigned char *p, size_t len)
{
	size_t n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;

	if (!n || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
	    (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* A quoted string.  A byte that is not UTF-8 becomes U+FFFD: names may have such. */
void json_string(const void *text, size_t len)
{
	const unsigned char *p = text;
	const unsigned char *end = p + len;

	putchar('"');
	while (p < end) {
		size_t n = utf8(p, end - p);

		if (!n)
			printf("\\ufffd");
		else if (*p == '"' || *p == '\\')
			printf("\\%c", *p);
		else if (*p < ' ' || *p == 0x7f)
			printf("\\u%04x", *p);
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

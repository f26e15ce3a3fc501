/* SPDX-License-Identifier: MIT */
/*
 * Text from other processes: the names of channels, what a daemon says of itself, a path in an error.  Control
 * characters in it could move the cursor, set colours or answer in the user's place, so they are escaped before a
 * terminal gets them.
 */
#include <stdio.h>
#include <string.h>

#include "tool.h"

/* Length of the UTF-8 sequence at p; 0 if it is invalid, as are overlong forms and surrogates. */
size_t utf8(const unsigned char *p, size_t len)
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

/*
 * Whether the character in the n bytes of UTF-8 at p changes how others are shown; *code is set to its number.  These
 * are the control characters of ASCII (C0, DEL) and of Latin-1 (C1), the separators of lines and paragraphs, and the
 * marks that change the direction of writing.
 */
bool control(const unsigned char *p, size_t n, unsigned int *code)
{
	unsigned int c = n == 1 ? *p : *p & (0x7f >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	*code = c;
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/*
 * Escape text, which ends with a zero or after `len` bytes, into the ESCAPED(len) bytes at `to`.  Return the number of
 * characters shown.
 */
size_t escape(char *to, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end;
	size_t shown = 0, n;
	unsigned int code;

	for (end = p + strnlen(text, len); p < end; p += n) {
		n = utf8(p, end - p);
		if (n && !control(p, n, &code)) {
			to = mempcpy(to, p, n);
			shown++;
			continue;
		}
		n = n ? n : 1;
		for (size_t i = 0; i < n; i++)
			to += sprintf(to, "\\x%02x", p[i]);
		shown += 4 * n;
	}
	*to = 0;
	return shown;
}

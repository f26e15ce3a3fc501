/* SPDX-License-Identifier: MIT */
/*
 * Messages that carry their sender and sequence number; their length and bytes follow from these. A message that is in
 * the wrong place, repeated, cut or mixed with another is detected.
 */
#ifndef VENOM_TEST_MESSAGE_H
#define VENOM_TEST_MESSAGE_H

#include <string.h>

#include "lib/venom_test.h"

#define VT_MESSAGE_MAX 8192

struct vt_message {
	uint32_t who;
	uint32_t kind; /* 0: one-way, 1: request, 2: a request, and the last message; 4: added in answers */
	uint64_t seq;
};
#define VT_LAST	  2
#define VT_ANSWER 4

/* Fill buf with message m, and return its length: sizeof(m) to size. Eight in a row have the same length. */
static inline uint32_t vt_put(char *buf, uint32_t size, uint64_t seed, struct vt_message m)
{
	uint64_t r = seed + m.who * 0x1000193 + (m.kind & VT_ANSWER);
	uint32_t len;

	r = vt_rand(&r) + m.seq / 8;
	r = vt_rand(&r);
	len = (uint32_t)(sizeof(m) + (r >> 32) % (size - sizeof(m) + 1));
	r += m.seq;
	memcpy(buf, &m, sizeof(m));
	vt_fill(buf + sizeof(m), len - sizeof(m), (uint32_t)vt_rand(&r));
	return len;
}

/* Is this the whole message that its head announces? *m gets the head. */
static inline bool vt_get(const char *buf, size_t len, uint32_t size, uint64_t seed, struct vt_message *m)
{
	char want[VT_MESSAGE_MAX];

	if (len < sizeof(*m))
		return false;
	memcpy(m, buf, sizeof(*m));
	return vt_put(want, size, seed, *m) == len && !memcmp(buf, want, len);
}

#endif /* VENOM_TEST_MESSAGE_H */

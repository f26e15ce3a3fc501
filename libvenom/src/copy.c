/* SPDX-License-Identifier: MIT */
/*
 * Copies of more than a few lines; see barrier.h.  In a file of their own, so that no compiler looks into them.
 */
#include "barrier.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdbool.h>

/*
 * Where a core's own copy leads the C library's, measured with `venom bench --only read,request`: see
 * tools/bench/NOTES.md.
 */
#define MOVSB_FROM 3072

#define ERMS (1u << 9) /* cpuid 7, ebx: rep movsb is fast */

static bool fast_movsb;

__attribute__((constructor)) static void look_at_cpu(void)
{
	unsigned int a, b, c, d;

	fast_movsb = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & ERMS);
}
#endif

__attribute__((noinline)) void venom_copy(void *dst, const void *src, size_t len)
{
#if defined(__x86_64__)
#ifndef VENOM_TSAN /* which would see a race in memcpy: there always is one, and its loser's bytes are never used */
	if (fast_movsb && len >= MOVSB_FROM)
#endif
	{
		__asm__ __volatile__("rep movsb" : "+D"(dst), "+S"(src), "+c"(len) : : "memory");
		return;
	}
#endif
	memcpy(dst, src, len);
}

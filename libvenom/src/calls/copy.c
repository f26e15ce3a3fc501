/* SPDX-License-Identifier: MIT */
/*
 * Copies of more than a few cache lines; see plane/arch.h.  In a file of their own, so that no compiler inlines them.
 */
#include <string.h>
#include "plane.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <emmintrin.h>
#include <stdbool.h>

/*
 * The sizes from which the core's own copy is faster than the C library's, measured with `venom bench --only
 * read,request`: see tools/bench/NOTES.md.
 */
#ifdef VENOM_TSAN /* TSan would report the race in memcpy, which is by design: torn bytes are never used */
#define MOVSB_FROM  1
#define STREAM_FROM SIZE_MAX
#else
#define MOVSB_FROM  3072
#define STREAM_FROM (64 << 20) /* larger than what a cache keeps until the copy is read */
#endif

#define ERMS (1u << 9) /* cpuid 7, ebx: rep movsb is fast */

static bool fast_movsb;

__attribute__((constructor)) static void look_at_cpu(void)
{
	unsigned int a, b, c, d;

	fast_movsb = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & ERMS);
}

/*
 * Non-temporal stores bypass the caches: the lines that are overwritten need not be fetched.  The fences keep such
 * stores in order.  The source is prefetched earlier than a core does by itself (tools/bench/NOTES.md has the figures).
 */
#define STREAM_AHEAD 2048 /* bytes; at the end this prefetches bytes behind the source, which does no harm */

static void copy_streaming(char *dst, const char *src, size_t len)
{
	size_t head = -(uintptr_t)dst % 64;

	memcpy(dst, src, head);
	dst += head;
	src += head;
	len -= head;
	fence_stores(); /* barrier.h 1 */
	for (; len >= 64; len -= 64, dst += 64, src += 64) {
		__m128i a = _mm_loadu_si128((const __m128i *)src), b = _mm_loadu_si128((const __m128i *)src + 1);
		__m128i c = _mm_loadu_si128((const __m128i *)src + 2), d = _mm_loadu_si128((const __m128i *)src + 3);

		__builtin_prefetch(src + STREAM_AHEAD);
		_mm_stream_si128((__m128i *)dst, a);
		_mm_stream_si128((__m128i *)dst + 1, b);
		_mm_stream_si128((__m128i *)dst + 2, c);
		_mm_stream_si128((__m128i *)dst + 3, d);
	}
	fence_stores(); /* barrier.h 1 */
	memcpy(dst, src, len);
}
#endif

__attribute__((noinline)) void venom_copy(void *dst, const void *src, size_t len)
{
#if defined(__x86_64__)
	if (len >= STREAM_FROM) {
		copy_streaming(dst, src, len);
		return;
	}
	if (fast_movsb && len >= MOVSB_FROM) {
		__asm__ __volatile__("rep movsb" : "+D"(dst), "+S"(src), "+c"(len) : : "memory");
		return;
	}
	/* The C library's stores may be non-temporal, too: it fences after them, but not before (barrier.h 1). */
	fence_stores();
#endif
	memcpy(dst, src, len);
}

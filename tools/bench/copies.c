/* SPDX-License-Identifier: MIT */
/*
 * See copies.h.
 */
#include <stdbool.h>
#include <string.h>

#include "copies.h"

static void copy_libc(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	__asm__ __volatile__("" : : : "memory");
}

#if defined(__x86_64__)
#include <immintrin.h>

static void copy_movsb(void *dst, const void *src, size_t len)
{
	__asm__ __volatile__("rep movsb" : "+D"(dst), "+S"(src), "+c"(len) : : "memory");
}

/* All buffers measured here are aligned to 32 bytes, and a multiple of 128 bytes long. */
__attribute__((target("avx"))) static void copy_nt(void *dst, const void *src, size_t len)
{
	const char *s = src;
	char *d = dst;

	for (size_t i = 0; i < len; i += 128) {
		__m256i a = _mm256_loadu_si256((const void *)(s + i)),
			b = _mm256_loadu_si256((const void *)(s + i + 32));
		__m256i c = _mm256_loadu_si256((const void *)(s + i + 64)),
			e = _mm256_loadu_si256((const void *)(s + i + 96));

		_mm256_stream_si256((void *)(d + i), a);
		_mm256_stream_si256((void *)(d + i + 32), b);
		_mm256_stream_si256((void *)(d + i + 64), c);
		_mm256_stream_si256((void *)(d + i + 96), e);
	}
	_mm_sfence();
}

__attribute__((target("avx2"))) static uint64_t sum_avx2(const void *p, size_t len)
{
	const __m256i *w = p;
	__m256i a = {0}, b = {0}, c = {0}, d = {0};
	uint64_t part[4];

	for (size_t i = 0; i < len / 32; i += 4) {
		a = _mm256_add_epi64(a, _mm256_load_si256(w + i));
		b = _mm256_add_epi64(b, _mm256_load_si256(w + i + 1));
		c = _mm256_add_epi64(c, _mm256_load_si256(w + i + 2));
		d = _mm256_add_epi64(d, _mm256_load_si256(w + i + 3));
	}
	_mm256_storeu_si256((void *)part, _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d)));
	return part[0] + part[1] + part[2] + part[3];
}

void flush_lines(const void *p, size_t len)
{
	for (size_t i = 0; i < len; i += 64)
		_mm_clflush((const char *)p + i);
	_mm_mfence();
}

bool can_flush(void)
{
	return true;
}
#else
#define copy_movsb NULL
#define copy_nt	   NULL

void flush_lines(const void *p, size_t len)
{
	(void)p;
	(void)len;
}

bool can_flush(void)
{
	return false;
}
#endif

const struct copier copiers[] = {
	{"memcpy", copy_libc, false},
	{"rep movsb", copy_movsb, false},
	{"non-temporal stores", copy_nt, true},
	{NULL, NULL, false},
};

uint64_t plain_sum(const void *p, size_t len)
{
	const uint64_t *w = p;
	uint64_t a = 0, b = 0, c = 0, d = 0;

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return sum_avx2(p, len);
#endif
	for (size_t i = 0; i < len / 8; i += 4) {
		a += w[i];
		b += w[i + 1];
		c += w[i + 2];
		d += w[i + 3];
	}
	return a + b + c + d;
}

void fill_words(void *p, size_t len, uint64_t word)
{
	uint64_t *w = p;

	for (size_t i = 0; i < len / 8; i++)
		w[i] = word;
	__asm__ __volatile__("" : : : "memory");
}

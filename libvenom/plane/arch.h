/* SPDX-License-Identifier: MIT */
/*
 * What of the plane depends on the machine: a pause, prefetches, copies to and from shared pages.
 *
 * With VENOM_PORTABLE there are no instructions by name, only atomic words: for other machines, and for tools
 * that read C and no assembler.
 */
#ifndef VENOM_ARCH_H
#define VENOM_ARCH_H

#if defined(__x86_64__) && !defined(VENOM_PORTABLE)
#define VENOM_X86 1
#elif defined(__aarch64__) && !defined(VENOM_PORTABLE)
#define VENOM_ARM 1
#endif

/*
 * The non-temporal stores of x86, which venom_copy and memcpy use, and which a user who fills a version in place may use,
 * have no order among the other stores; and a release fence is no instruction there.  On aarch64 it holds for all stores.
 */
#ifdef VENOM_X86
#define fence_stores()		__asm__ __volatile__("sfence" ::: "memory")
#else
#define fence_stores()		compiler_barrier()
#endif

static inline void cpu_relax(void)
{
#if defined(VENOM_X86)
	__builtin_ia32_pause();
#elif defined(VENOM_ARM)
	__asm__ __volatile__("isb" ::: "memory");
#else
	compiler_barrier();
#endif
}

/* Ask for the line, to write it. */
static inline void prefetch_write(const void *p)
{
#ifdef VENOM_X86 /* __builtin_prefetch(p, 1) needs -mprfchw; a CPU without the instruction ignores it */
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/*
 * Copies to and from shared pages.  The other process may write while we read: a plain memcpy would be a data race in
 * C11, and a compiler that sees one may read twice.  So a few lines are copied by relaxed atomic words, or on x86-64 by
 * instructions that the compiler does not look into, and more by VENOM_COPY, which the library has in a file of its own.
 * The shared side is 16-aligned and has room for whole words; the other side has just len bytes.
 */
#define VENOM_COPY_INLINE 128

#ifdef VENOM_X86
static inline void copy_16(void *dst, const void *src)
{
	typedef struct { char byte[16]; } chunk;

	__asm__ __volatile__("movups %1, %%xmm0; movups %%xmm0, %0"
			     : "=m"(*(chunk *)dst) : "m"(*(const chunk *)src) : "xmm0");
}

static inline void copy_64(void *dst, const void *src)
{
	typedef struct { char byte[64]; } line;

	__asm__ __volatile__("movups (%2), %%xmm0; movups 16(%2), %%xmm1; movups 32(%2), %%xmm2; movups 48(%2), %%xmm3;"
			     "movups %%xmm0, (%1); movups %%xmm1, 16(%1); movups %%xmm2, 32(%1); movups %%xmm3, 48(%1)"
			     : "=m"(*(line *)dst) : "r"(dst), "r"(src), "m"(*(const line *)src)
			     : "xmm0", "xmm1", "xmm2", "xmm3");
}

/*
 * 16 to VENOM_COPY_INLINE bytes: as much as fits from the start, and as much up to the end, over one another.  No loop,
 * which would cost a small copy more than the copy.
 */
static inline void copy_lines(void *dst, const void *src, size_t len)
{
	const char *s = src, *s_end = s + len;
	char *d = dst, *d_end = d + len;

	if (len >= 64) {
		copy_64(d, s);
		if (len > 64)
			copy_64(d_end - 64, s_end - 64);
		return;
	}
	if (len >= 32) {
		copy_16(d, s);
		copy_16(d + 16, s + 16);
		copy_16(d_end - 32, s_end - 32);
	} else {
		copy_16(d, s);
	}
	copy_16(d_end - 16, s_end - 16);
}
#endif

/* Up to 8 private bytes as a word, and back: without a loop, which a compiler may turn into a call of memcpy. */
static inline uint64_t word_get(const char *p, size_t len)
{
	uint64_t w = 0;
	char *to = (char *)&w;

	if (len >= 8) {
		__builtin_memcpy(to, p, 8);
		return w;
	}
	if (len & 4)
		__builtin_memcpy(to, p, 4);
	if (len & 2)
		__builtin_memcpy(to + (len & 4), p + (len & 4), 2);
	if (len & 1)
		__builtin_memcpy(to + (len & 6), p + (len & 6), 1);
	return w;
}

static inline void word_put(char *p, uint64_t w, size_t len)
{
	const char *from = (const char *)&w;

	if (len >= 8) {
		__builtin_memcpy(p, from, 8);
		return;
	}
	if (len & 4)
		__builtin_memcpy(p, from, 4);
	if (len & 2)
		__builtin_memcpy(p + (len & 4), from + (len & 4), 2);
	if (len & 1)
		__builtin_memcpy(p + (len & 6), from + (len & 6), 1);
}

static inline void copy_words_from_shared(void *dst, const void *src, size_t len)
{
	const char *s = src;
	char *d = dst;

	for (; len >= 8; len -= 8, d += 8, s += 8)
		word_put(d, load_relaxed((const uint64_t *)s), 8);
	if (len)
		word_put(d, load_relaxed((const uint64_t *)s), len);
}

static inline void copy_words_to_shared(void *dst, const void *src, size_t len)
{
	const char *s = src;
	char *d = dst;

	for (; len >= 8; len -= 8, d += 8, s += 8)
		store_relaxed((uint64_t *)d, word_get(s, 8));
	if (len)
		store_relaxed((uint64_t *)d, word_get(s, len));
}

/* Up to VENOM_COPY_INLINE bytes. */
static inline void copy_small_from_shared(void *dst, const void *src, size_t len)
{
#ifdef VENOM_X86
	if (len >= 16) {
		copy_lines(dst, src, len);
		return;
	}
#endif
	copy_words_from_shared(dst, src, len);
}

static inline void copy_small_to_shared(void *dst, const void *src, size_t len)
{
#ifdef VENOM_X86
	if (len >= 16) {
		copy_lines(dst, src, len);
		return;
	}
#endif
	copy_words_to_shared(dst, src, len);
}

#ifndef VENOM_COPY_FROM
#define VENOM_COPY_FROM(dst, src, len)	copy_words_from_shared(dst, src, len)
#define VENOM_COPY_TO(dst, src, len)	copy_words_to_shared(dst, src, len)
#endif

static inline void copy_from_shared(void *dst, const void *src, size_t len)
{
	if (len > VENOM_COPY_INLINE)
		VENOM_COPY_FROM(dst, src, len);
	else
		copy_small_from_shared(dst, src, len);
}

static inline void copy_to_shared(void *dst, const void *src, size_t len)
{
	if (len > VENOM_COPY_INLINE)
		VENOM_COPY_TO(dst, src, len);
	else
		copy_small_to_shared(dst, src, len);
}

#endif /* VENOM_ARCH_H */

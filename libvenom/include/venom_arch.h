/* SPDX-License-Identifier: MIT */
/*
 * Machine-dependent code of reads and publishes: fences, and copies of a few cache lines to and from shared pages.  For
 * venom_inline.h and for the library; not to be called by a program.
 *
 * With VENOM_PORTABLE there is no inline assembly, only atomic words: for other machines, and for tools
 * that read C but no assembler.
 */
#ifndef VENOM_ARCH_H
#define VENOM_ARCH_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && !defined(VENOM_PORTABLE)
#define VENOM_X86 1
#elif defined(__aarch64__) && !defined(VENOM_PORTABLE)
#define VENOM_ARM 1
#endif

#ifdef __SANITIZE_THREAD__
#define VENOM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VENOM_TSAN 1
#endif
#endif

#define venom_compiler_barrier()	__atomic_signal_fence(__ATOMIC_SEQ_CST)

#ifdef VENOM_TSAN
/*
 * ThreadSanitizer doesn't model fences, and gcc warns about them.  The words that they order are atomics here
 * anyway, so use only the hardware's fences.
 */
#if defined(__x86_64__)
#define venom_fence_full()	__asm__ __volatile__("mfence" ::: "memory")
#define venom_fence_acquire()	venom_compiler_barrier()
#define venom_fence_release()	venom_compiler_barrier()
#elif defined(__aarch64__)
#define venom_fence_full()	__asm__ __volatile__("dmb ish" ::: "memory")
#define venom_fence_acquire()	venom_fence_full()
#define venom_fence_release()	venom_fence_full()
#else
#error "no fences for ThreadSanitizer on this machine"
#endif
#else
#define venom_fence_full()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define venom_fence_acquire()	__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define venom_fence_release()	__atomic_thread_fence(__ATOMIC_RELEASE)
#endif

/*
 * Copies to and from shared pages.  The other process may write while we read: a plain memcpy would be a data race in
 * C11, and the compiler may then read twice.  So a few cache lines are copied by relaxed atomic words, or on x86-64 by
 * inline assembly, which is opaque to the compiler.  (Large copies: copy_from_shared and copy_to_shared, plane/arch.h.)
 * The shared side is 16-aligned and has room for whole words; the private side has just len bytes.
 */
#define VENOM_COPY_INLINE 128

#ifdef VENOM_X86
static inline void venom_copy_16(void *dst, const void *src)
{
	typedef struct { char byte[16]; } chunk;

	__asm__ __volatile__("movups %1, %%xmm0; movups %%xmm0, %0"
			     : "=m"(*(chunk *)dst) : "m"(*(const chunk *)src) : "xmm0");
}

static inline void venom_copy_64(void *dst, const void *src)
{
	typedef struct { char byte[64]; } line;

	__asm__ __volatile__("movups (%2), %%xmm0; movups 16(%2), %%xmm1; movups 32(%2), %%xmm2; movups 48(%2), %%xmm3;"
			     "movups %%xmm0, (%1); movups %%xmm1, 16(%1); movups %%xmm2, 32(%1); movups %%xmm3, 48(%1)"
			     : "=m"(*(line *)dst) : "r"(dst), "r"(src), "m"(*(const line *)src)
			     : "xmm0", "xmm1", "xmm2", "xmm3");
}

/*
 * Copy 16 to VENOM_COPY_INLINE bytes in two blocks, one from the start and one up to the end, which may overlap.  A
 * loop would cost more than a small copy itself.
 */
static inline __attribute__((always_inline)) void venom_copy_lines(void *dst, const void *src, size_t len)
{
	const char *s = (const char *)src, *s_end = s + len;
	char *d = (char *)dst, *d_end = d + len;

	if (len >= 64) {
		venom_copy_64(d, s);
		if (len > 64)
			venom_copy_64(d_end - 64, s_end - 64);
		return;
	}
	if (len >= 32) {
		venom_copy_16(d, s);
		venom_copy_16(d + 16, s + 16);
		venom_copy_16(d_end - 32, s_end - 32);
	} else {
		venom_copy_16(d, s);
	}
	venom_copy_16(d_end - 16, s_end - 16);
}
#endif

/* Up to 8 private bytes to a word, and back: without a loop, which a compiler may turn into a call of memcpy. */
static inline uint64_t venom_word_get(const char *p, size_t len)
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

static inline void venom_word_put(char *p, uint64_t w, size_t len)
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

static inline void venom_words_from_shared(void *dst, const void *src, size_t len)
{
	const char *s = (const char *)src;
	char *d = (char *)dst;

	for (; len >= 8; len -= 8, d += 8, s += 8)
		venom_word_put(d, __atomic_load_n((const uint64_t *)s, __ATOMIC_RELAXED), 8);
	if (len)
		venom_word_put(d, __atomic_load_n((const uint64_t *)s, __ATOMIC_RELAXED), len);
}

static inline void venom_words_to_shared(void *dst, const void *src, size_t len)
{
	const char *s = (const char *)src;
	char *d = (char *)dst;

	for (; len >= 8; len -= 8, d += 8, s += 8)
		__atomic_store_n((uint64_t *)d, venom_word_get(s, 8), __ATOMIC_RELAXED);
	if (len)
		__atomic_store_n((uint64_t *)d, venom_word_get(s, len), __ATOMIC_RELAXED);
}

/* Up to VENOM_COPY_INLINE bytes. */
static inline __attribute__((always_inline)) void venom_small_from_shared(void *dst, const void *src, size_t len)
{
#ifdef VENOM_X86
	if (len >= 16) {
		venom_copy_lines(dst, src, len);
		return;
	}
#endif
	venom_words_from_shared(dst, src, len);
}

static inline __attribute__((always_inline)) void venom_small_to_shared(void *dst, const void *src, size_t len)
{
#ifdef VENOM_X86
	if (len >= 16) {
		venom_copy_lines(dst, src, len);
		return;
	}
#endif
	venom_words_to_shared(dst, src, len);
}

#endif /* VENOM_ARCH_H */

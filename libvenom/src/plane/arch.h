/* SPDX-License-Identifier: MIT */
/* The rest of the plane's machine-dependent code: pause, prefetch, large copies.  Included by barrier.h. */
#ifndef VENOM_PLANE_ARCH_H
#define VENOM_PLANE_ARCH_H

/*
 * On x86 non-temporal stores are not ordered with other stores, and a release fence emits no instruction, so they need
 * an sfence.  venom_copy and memcpy use such stores; a caller that fills a version in place may, too.  On aarch64 a
 * release fence orders all stores.
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

/* Prefetch the cache line for writing. */
static inline void prefetch_write(const void *p)
{
#ifdef VENOM_X86 /* __builtin_prefetch(p, 1) needs -mprfchw; a CPU without the instruction ignores it */
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/* Copy up to VENOM_COPY_INLINE bytes inline (venom_arch.h), more by VENOM_COPY_FROM and _TO: the library's copy.c. */
#define copy_small_from_shared	venom_small_from_shared
#define copy_small_to_shared	venom_small_to_shared

#ifndef VENOM_COPY_FROM
#define VENOM_COPY_FROM(dst, src, len)	venom_words_from_shared(dst, src, len)
#define VENOM_COPY_TO(dst, src, len)	venom_words_to_shared(dst, src, len)
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

#endif /* VENOM_PLANE_ARCH_H */

/* SPDX-License-Identifier: MIT */
/*
 * Replacements for a library that is built for the fuzzers (-DVENOM_HOOKS): before each load from shared pages the
 * input may change them, so that "a peer that writes while we read" is a place in the input, not luck. The input
 * controls time, too, and no call sleeps.
 */
#ifndef VENOM_FUZZ_LOOKS_H
#define VENOM_FUZZ_LOOKS_H

#include "fuzz/lib/system.h"

#undef load_relaxed
#undef load_acquire
#undef compiler_barrier
#undef copy_small_from_shared
#define load_relaxed(p)	   ({ fuzz_look(p, sizeof(*(p))); __atomic_load_n(p, __ATOMIC_RELAXED); })
#define load_acquire(p)	   ({ fuzz_look(p, sizeof(*(p))); __atomic_load_n(p, __ATOMIC_ACQUIRE); })
#define compiler_barrier() fuzz_look(NULL, 0) /* bytes copied before must not be read again after it */

/* Not memcpy() or assembly, which the sanitizer can't see into; and in pieces, between which the bytes may change. */
#define copy_from_shared(dst, src, len)	      fuzz_copy(dst, src, len)
#define copy_small_from_shared(dst, src, len) fuzz_copy(dst, src, len)
#define VENOM_INLINE_LOAD(p, order)	      ({ fuzz_look(p, sizeof(*(p))); __atomic_load_n(p, order); })
#define VENOM_INLINE_COPY_FROM(dst, src, len) fuzz_copy(dst, src, len)

#define cpu_relax()		       ((void)0)
#define clock_gettime(clock, ts)       fuzz_clock(clock, ts)
#define usleep(us)		       fuzz_nap(us)
#define ppoll(p, n, ts, mask)	       fuzz_ppoll(p, n, ts, mask)
#define pwait2(e, ev, n, ts)	       fuzz_epoll(e, ev, n, ts)
/* Without MAP_POPULATE: the input chooses the sizes. */
#define mmap(at, size, prot, flags, fd, offset) fuzz_mmap(at, size, prot, (flags) & ~MAP_POPULATE, fd, offset)
#define munmap(p, size)		       fuzz_munmap(p, size)

#endif /* VENOM_FUZZ_LOOKS_H */

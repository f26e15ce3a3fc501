/* SPDX-License-Identifier: MIT */
/*
 * Memory orders: the only file of libvenom that names them.
 *
 * Every pair of barriers between processes, writer's side left, reader's right.  Orders are those
 * that the C11 model needs, not what x86 forgives.
 *
 * 1. A version's bytes (state.h)
 *	venom_ring_begin			venom_ring_check
 *	  seq = 2 v - 1				  s1 = seq, acquire
 *	  fence_release				  copy or look at the payload
 *	  payload				  fence_acquire
 *	venom_ring_commit			  s2 = seq
 *	  seq = 2 v, release
 *    A reader that saw a byte of the next version saw it after the odd seq: fence_acquire pairs with
 *    fence_release, so s2 differs from s1.  s1's acquire pairs with the commit's release: the payload is not
 *    older than s1 says.  Where its stores may be non-temporal ones, fence_stores is on both sides of it.
 *
 * 2. Which version is the latest (state.h)
 *	venom_ring_commit			venom_ring_pick
 *	  seq = 2 v, release			  v = latest, acquire
 *	  latest = v, release			  look at buffer v % versions
 *    The buffer is at least as new as `latest` says, never older.  A reader that keeps up looks at the seq of the next
 *    buffer instead (venom_ring_newer): if that has no newer version, there is none.  So does who has been told that the
 *    daemon died (venom_ring_last): that may have been between the two stores.
 *
 * 3. A message (lane.h), commands and answers alike
 *	venom_slot_fill				venom_slot_ready
 *	  len, tag, payload			  seq, acquire
 *	  seq, release				  len, tag, payload
 *
 * 4. A slot given back (daemon.c, shell.c)
 *	lane_advance				room_now
 *	  (daemon_take has copied it)		  cursor, acquire
 *	  cursor = p + 1, release		  writes into the slot
 *    Answer slots need no cursor: the daemon writes one only when the shell has asked anew, see 3.
 *
 * 5. Sleep and wake (wait.h); X is what the sleeper waits for: a version, a command, an answer
 *	waker: venom_daemon_respond,		sleeper: shell_arm
 *	       wake_state			sleeper: shell_arm
 *	       shell_ring			sleeper: daemon_arm
 *	  X, release				  sleeping = armed
 *	  fence_full				  fence_full
 *	  sleeping?  wake			  X?  don't sleep
 *    Without either fence both may read the old word: nobody wakes, one sleeps.  With both that can't be:
 *
 *	X  ........ fence .... reads 0 (not armed yet)
 *			sleeping = 1 .. fence .. sees X			may happen
 *	sleeping = 1 .. fence .. misses X
 *			X .. fence .. reads 1, wakes			may happen
 *	X .. fence .. reads 0     and     sleeping = 1 .. fence .. misses X	can't
 *
 *    Room in a full lane is the same but for the waker's fence (lane_advance), which would cost every command:
 *    the sleeper's membarrier(2) puts it there (shell_arm: venom_membarrier_daemons).
 *
 * 6. State waiters: the publisher skips fence and look of 5 as long as nobody ever waited
 *	venom_daemon_write_commit		conn_watch
 *	  X, release				  state_waiters++
 *	  state_waiters?			  venom_membarrier: a full fence in the publisher too
 *						  tell the shell, which only then looks for X and sleeps
 *
 * 7. Within the daemon's process, broker thread against serving thread (lanes.c)
 *	serve_enter				venom_lanes_changed_locked
 *	  serving = 1				  changes++
 *	  (compiler barrier)			  membarrier
 *	  changes?  take the lock		  serving?  leave the lane to the server
 *	serve_leave
 *	  serving = 0
 *	  (compiler barrier)
 *	  changes?  enter again
 *    The broker leaves a change to a server that is inside, and a server that leaves looks once more: so one of them takes
 *    it up.  The hot side pays two loads; where membarrier(2) is missing it fences (hot_fence).
 *
 * 8. Another daemon goes on with the channel (the module's; kmod/channel.c, shell.c)
 *	venom_channel_die			venom_shell_gone
 *	  daemon = GONE, release		  daemon alive?  acquire
 *	daemon_comes_locked			  epoch, acquire: is it another one?
 *	  epoch, release			  then daemon, acquire: that one alive?
 *	  daemon = ALIVE, release
 *    And a request to the one before, passed over: lane_pass answers so before it moves the cursor, and who sees the cursor
 *    (4) sees that answer.
 */
#ifndef VENOM_BARRIER_H
#define VENOM_BARRIER_H

#include <stdint.h>
#include <string.h>

#define load_relaxed(p)		__atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store_relaxed(p, v)	__atomic_store_n(p, v, __ATOMIC_RELAXED)
#define store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
/* Within one process only: between processes no word has two writers. */
#define fetch_add(p, v)		__atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define fetch_or(p, v)		__atomic_fetch_or(p, v, __ATOMIC_SEQ_CST)

/* A word with one writer, who may add to it without a locked instruction. */
#define count_up(p, n)		store_relaxed(p, load_relaxed(p) + (n))

#define compiler_barrier()	__asm__ __volatile__("" ::: "memory")

#ifdef __SANITIZE_THREAD__
#define VENOM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VENOM_TSAN 1
#endif
#endif

#ifdef VENOM_TSAN
/*
 * ThreadSanitizer doesn't model fences and gcc warns of them.  The words that they order are atomics here
 * anyway, so give it the hardware's fences alone.
 */
#if defined(__x86_64__)
#define fence_full()		__asm__ __volatile__("mfence" ::: "memory")
#define fence_acquire()		compiler_barrier()
#define fence_release()		compiler_barrier()
#elif defined(__aarch64__)
#define fence_full()		__asm__ __volatile__("dmb ish" ::: "memory")
#define fence_acquire()		fence_full()
#define fence_release()		fence_full()
#else
#error "no fences for ThreadSanitizer on this machine"
#endif
#else
#define fence_full()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define fence_acquire()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define fence_release()		__atomic_thread_fence(__ATOMIC_RELEASE)
#endif

/*
 * x86's non-temporal stores, which venom_copy and memcpy make of much, and who fills a version in place may make, keep no
 * order among the others; and the C11 model's fences for release are no instruction there.  aarch64's hold all stores.
 */
#if defined(__x86_64__)
#define fence_stores()		__asm__ __volatile__("sfence" ::: "memory")
#else
#define fence_stores()		compiler_barrier()
#endif

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#else
	compiler_barrier();
#endif
}

/* Have the line here, for us to write. */
static inline void prefetch_write(const void *p)
{
#if defined(__x86_64__) /* __builtin_prefetch(p, 1) would want -mprfchw; where there is none it does nothing */
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/*
 * Copies to and from shared pages.  The other process may write while we read: a plain memcpy would be a data race in
 * C11, and a compiler that sees one may read twice.  So a few lines are copied by relaxed atomic words, or on x86-64 by
 * instructions that the compiler does not look into, and more by venom_copy (copy.c), which it doesn't either.  The
 * shared side is 16-aligned and has room for whole words; the other side has just len bytes.
 */
#define VENOM_COPY_INLINE 128

void venom_copy(void *dst, const void *src, size_t len);

#if defined(__x86_64__)
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

static inline void copy_small_from_shared(void *dst, const void *src, size_t len)
{
	const char *s = src;
	char *d = dst;

#if defined(__x86_64__)
	if (len >= 16) {
		copy_lines(d, s, len);
		return;
	}
#endif
	for (; len >= 8; len -= 8, d += 8, s += 8) {
		uint64_t w = load_relaxed((const uint64_t *)s);

		memcpy(d, &w, 8);
	}
	if (len) {
		uint64_t w = load_relaxed((const uint64_t *)s);

		memcpy(d, &w, len);
	}
}

static inline void copy_small_to_shared(void *dst, const void *src, size_t len)
{
	const char *s = src;
	char *d = dst;

#if defined(__x86_64__)
	if (len >= 16) {
		copy_lines(d, s, len);
		return;
	}
#endif
	for (; len >= 8; len -= 8, d += 8, s += 8) {
		uint64_t w;

		memcpy(&w, s, 8);
		store_relaxed((uint64_t *)d, w);
	}
	if (len) {
		uint64_t w = 0;

		memcpy(&w, s, len);
		store_relaxed((uint64_t *)d, w);
	}
}

static inline void copy_from_shared(void *dst, const void *src, size_t len)
{
	if (len > VENOM_COPY_INLINE)
		venom_copy(dst, src, len);
	else
		copy_small_from_shared(dst, src, len);
}

static inline void copy_to_shared(void *dst, const void *src, size_t len)
{
	if (len > VENOM_COPY_INLINE)
		venom_copy(dst, src, len);
	else
		copy_small_to_shared(dst, src, len);
}

/* Tests that stand between a process and the shared pages put themselves around all of the above here. */
#ifdef VENOM_HOOKS
#include VENOM_HOOKS
#endif

#endif /* VENOM_BARRIER_H */

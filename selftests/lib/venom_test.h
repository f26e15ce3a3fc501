/* SPDX-License-Identifier: MIT */
/*
 * What the tests share, whatever harness runs them: peers in processes of their own, payloads that show when they are
 * torn, repeatable random numbers, time.
 *
 * A peer is a forked process that serves calls: functions of this very program, run in that process.
 *
 *	vt_start(&dm);				the process
 *	vt_call(&dm, pd_create, &cfg)		runs pd_create(&cfg) in it, returns its result
 *	vt_post(&dm, ...); ...; vt_result(&dm)	the same for a call that blocks
 *	vt_stop(&dm)				ends it: 0 if it went well (no leak, no sanitizer's report)
 *
 * A peer may also run one function from its start to its end (vt_spawn), in step with the test through vt_signal() and
 * vt_await(). Peers die with the process that made them.
 */
#ifndef VENOM_TEST_H
#define VENOM_TEST_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* ---- processes ---- */

struct vt_peer {
	pid_t pid; /* 0 in the peer's own process, and after its end */
	int fd;	   /* socket to the other side */
};

#define VT_DEAD	 LONG_MIN /* result of a call whose process died, or didn't answer for a minute */
#define VT_PATIENCE_S vt_patience_s() /* only catches hangs: $VENOM_TEST_PATIENCE, or 60 */
int vt_patience_s(void);

typedef long (*vt_fn)(long a, long b, long c);

void vt_start(struct vt_peer *p);
long vt_call4(struct vt_peer *p, vt_fn fn, long a, long b, long c);
void vt_post4(struct vt_peer *p, vt_fn fn, long a, long b, long c);
long vt_result(struct vt_peer *p);
bool vt_has_result(struct vt_peer *p, int within_ms);
int vt_stop(struct vt_peer *p);

/* vt_call(p, fn), vt_call(p, fn, a), ...: arguments that are left out are 0. */
#define vt_call(...) VT_CALL_(vt_call4, __VA_ARGS__, 0, 0, 0, 0)
#define vt_post(...) VT_CALL_(vt_post4, __VA_ARGS__, 0, 0, 0, 0)
#define VT_CALL_(how, p, fn, a, b, c, ...) how(p, fn, (long)(a), (long)(b), (long)(c))

/* A process that runs main(self, arg) and ends with its value. */
void vt_spawn(struct vt_peer *p, int (*main)(struct vt_peer *self, void *arg), void *arg);
pid_t vt_fork(void); /* fork(), at a moment when it is safe beside a daemon's manager under the address sanitizer */
int vt_wait(struct vt_peer *p); /* exit status; -signal; -ETIMEDOUT: it hung, and was killed */
void vt_kill(struct vt_peer *p, int sig); /* and wait for its end */
void vt_halt(struct vt_peer *p); /* SIGSTOP, and waits until all of its threads have stopped; SIGCONT lets it go on */
int vt_signal(struct vt_peer *p); /* to the other side: ready, go on.  0, or -1: it has died */
int vt_await(struct vt_peer *p);  /* wait for its signal */

/* As _exit(), but a leak makes the process fail under the address sanitizer. */
void vt_exit(int status) __attribute__((noreturn));

/* For code in a peer: print the condition that was false, and end the process. */
#define VT_CHECK(cond)                                                                              \
	do {                                                                                        \
		if (!(cond))                                                                        \
			vt_failed(__FILE__, __LINE__, #cond);                                       \
	} while (0)
void vt_failed(const char *file, int line, const char *cond) __attribute__((noreturn));

/* The test itself can go no further: print what failed and errno, and abort. */
void vt_die(const char *what) __attribute__((noreturn));

/* Memory that the test and the peers it starts later share. */
void *vt_shared(size_t size);
/* Shared memory that always exists: 64 KiB for strings and small buffers between peers. */
#define VT_BOX 65536
extern char *vt_box;

/* ---- payloads ---- */

/* Fill len bytes that follow from v (32 bits of it); any mixture of two payloads is detected. */
void vt_fill(void *buf, size_t len, uint32_t v);
bool vt_is(const void *buf, size_t len, uint32_t v);
/* Is it whole, whatever its v?  *v (may be NULL) gets it; only its low byte if len < 8. */
bool vt_whole(const void *buf, size_t len, uint32_t *v);
/* All len bytes are `byte`: used to poison an output that must stay untouched. */
bool vt_all(const void *buf, int byte, size_t len);

/* ---- the rest ---- */

/* Whether the library uses /dev/venom here ($VENOM_BACKEND, or the device exists). */
bool vt_on_dev(void);
/* Whether madvise() takes effect: an emulator may accept every advice and ignore it. */
bool vt_takes_advice(void);
/* Whether this line of /proc/PID/maps or smaps is of an area. */
bool vt_is_area(const char *line);

/* A channel name that no other test uses, in memory that peers share; valid for the process's life. */
const char *vt_name(void);
/* $VENOM_TEST_SCALE, 1 if unset: long tests multiply their length by it. */
double vt_scale(void);
uint64_t vt_scaled(uint64_t n); /* n * scale, at least 1 */

/* Repeatable: seeded from $VENOM_TEST_SEED, else from the clock; the seed is printed once. */
uint64_t vt_seed(void);
uint64_t vt_rand(uint64_t *state);

void vt_sort(double *v, size_t n);

uint64_t vt_now(void); /* CLOCK_MONOTONIC, ns */
uint64_t vt_cpu(void); /* CPU time of this process, ns */
void vt_sleep_ms(int ms);
int vt_cpus(void);	/* that this process may run on */
void vt_pin(int n);	/* to the n-th of these, modulo their number */
int vt_count_fds(void); /* open descriptors of this process */
int vt_count_areas(void); /* and mappings of areas */
int vt_count_fds_of(pid_t pid); /* of another process; -1 if it has gone */
int vt_count_areas_of(pid_t pid);

/* Does cond become true within a minute? For what other processes do asynchronously. */
#define VT_UNTIL(cond)                                                                              \
	({                                                                                          \
		uint64_t vt_end_ = vt_now() + (uint64_t)VT_PATIENCE_S * 1000000000ull;              \
		bool vt_ok_;                                                                        \
		while (!(vt_ok_ = (cond)) && vt_now() < vt_end_)                                    \
			vt_sleep_ms(1);                                                             \
		vt_ok_;                                                                             \
	})

#define VT_MS 1000000ll
#define VT_S  1000000000ll

#if defined(__SANITIZE_ADDRESS__)
#define VT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define VT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VT_TSAN 1
#endif
#endif

#endif /* VENOM_TEST_H */

/* SPDX-License-Identifier: MIT */
/*
 * Kill points: places at which a process of a test dies by SIGKILL, exactly there.
 *
 * The library is built once more for this (VENOM_HOOKS, barrier.h). Each atomic store has a point before and a point
 * after it; each copy to shared pages has one in its middle, too; each call into the kernel (killpoint.sym) has one
 * before and one after. The points of stores are known from the start, that of a call once it has been passed.
 *
 * The library names no point, so none can be forgotten: all shared stores go through barrier.h, and with vt_guard() a
 * store that does not is a crash.
 */
#ifndef VENOM_TEST_KILLPOINT_H
#define VENOM_TEST_KILLPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_point {
	const char *file, *what;
	int line;
};

enum vt_moment { VT_BEFORE, VT_AFTER, VT_MIDDLE, VT_MOMENTS };

/* Called around a store; a process that is to die passes these points. */
void vt_store_begin(const struct vt_point *p, void *to);
void vt_store_end(const struct vt_point *p, void *to);
void vt_store_copy(const struct vt_point *p, void *dst, const void *src, size_t len);

#define VT_POINT_HERE(what_)               \
	static const struct vt_point here_ \
		__attribute__((section("vt_points"), used, aligned(8))) = {__FILE__, what_, __LINE__}
#define VT_STORE(p, order, v)                        \
	do {                                         \
		VT_POINT_HERE(#p);                   \
		vt_store_begin(&here_, (void *)(p)); \
		__atomic_store_n(p, v, order);       \
		vt_store_end(&here_, (void *)(p));   \
	} while (0)
#define VT_COPY(dst, src, len)                        \
	do {                                          \
		VT_POINT_HERE("copy to " #dst);       \
		vt_store_copy(&here_, dst, src, len); \
	} while (0)

#ifdef VENOM_HOOKS
#undef store_relaxed
#undef store_release
#undef copy_small_to_shared
#undef copy_to_shared
#undef VENOM_INLINE_STORE
#undef VENOM_INLINE_COPY_TO
#define store_relaxed(p, v)  VT_STORE(p, __ATOMIC_RELAXED, v)
#define store_release(p, v)  VT_STORE(p, __ATOMIC_RELEASE, v)
#define copy_small_to_shared VT_COPY
#define copy_to_shared	     VT_COPY
#define VENOM_INLINE_STORE(p, v, order)	VT_STORE(p, order, v)
#define VENOM_INLINE_COPY_TO	     VT_COPY
#endif

/* ---- for the test ---- */

/* Points by number: first the stores', then the calls'. */
#define VT_POINTS_MAX 1024
unsigned int vt_points(void); /* how many there are now */
unsigned int vt_points_of_stores(void);
/* "daemon.c:123 &l->rsp->cursor, before"; buf is returned */
unsigned int vt_point_of(const char *what); /* the first store to this */
const char *vt_point_file(unsigned int i); /* of a store: its path in libvenom/src */
const char *vt_point_what(unsigned int i);
const char *vt_point_name(unsigned int i, enum vt_moment when, char *buf, size_t size);

/* What the processes share of it; vt_killpoints_init() comes before any fork. */
struct vt_fate {
	unsigned int point, when; /* where the victim dies, */
	uint32_t nth; /* when it passes there for the nth time; 0: never, only count */
	uint64_t died; /* vt_now() then, else 0 */
	uint32_t passed[VT_POINTS_MAX][VT_MOMENTS];
	struct {
		uintptr_t from; /* return address */
		const char *name;
	} call[VT_POINTS_MAX];
};
extern struct vt_fate *vt_fate;
void vt_killpoints_init(void);
void vt_victim(void); /* this process */

/*
 * From now on only stores at kill points may write to these whole pages: any other store prints its place and crashes.
 */
void vt_guard(void *p, size_t size);

#endif /* VENOM_TEST_KILLPOINT_H */

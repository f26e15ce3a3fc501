/* SPDX-License-Identifier: MIT */
/*
 * Small reads and publishes as inline functions: for loops in which a call costs too much.
 *
 *	struct venom_inline_reader r;
 *	venom_inline_reader_init(&r);
 *	for (;;) {
 *		ssize_t len = venom_inline_read(shell, &r, &quote, sizeof(quote));
 *		...
 *	}
 *
 * Fast path: if the last read's version is still the latest, a read is a copy and one load of a shared word; a publish
 * is the stores of the version and nothing else.  All other cases call the library: these functions do all that
 * venom_shell_read() and venom_daemon_publish() do, with the same results, and may be mixed with them.
 *
 * Up to VENOM_COPY_INLINE bytes are copied inline.  If the compiler knows `size` or `len`, the copy is a few
 * instructions.  The structs are the caller's, one for each handle, used by the thread that reads or publishes; they hold
 * pointers into the handle's areas, so they are invalid after the handle's end.  Their members belong to the library's
 * ABI and are for these functions only, unless a comment says otherwise.
 *
 * How it works: the writer first fills the buffer that follows the latest version's, and stores "writing" in that
 * buffer's first word before it touches any other buffer.  So while that word is unchanged, no version is newer, and
 * the buffer of the latest version has not been touched.
 */
#ifndef VENOM_INLINE_H
#define VENOM_INLINE_H

#include <venom.h>
#include <venom_arch.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Tests that intercept the accesses to shared pages define others. */
#ifndef VENOM_INLINE_LOAD
#define VENOM_INLINE_LOAD(p, order)	__atomic_load_n(p, order)
#define VENOM_INLINE_COPY_FROM(dst, src, len)	venom_small_from_shared(dst, src, len)
#endif
#ifndef VENOM_INLINE_STORE
#define VENOM_INLINE_STORE(p, v, order)	__atomic_store_n(p, v, order)
#define VENOM_INLINE_COPY_TO(dst, src, len)	venom_small_to_shared(dst, src, len)
#endif
#define venom_rarely(x)	__builtin_expect(!!(x), 0)

/* ---- reading ------------------------------------------------------------ */

struct venom_inline_reader {
	const uint64_t *next;	/* the first word of the buffer that the next version goes to... */
	uint64_t next_was;	/* ...and its value while the version below is the latest */
	const void *data;	/* that version in place, after a look... */
	uint64_t len;		/* ...and its length */
	uint64_t version;	/* its number, after a read or a look */
	const uint64_t *seq;	/* the first word of its own buffer... */
	uint64_t seq_was;	/* ...and its value while that version is whole */
	uint64_t reads;		/* reads not in venom_shell_stats() yet: 255 at most */
};

/* Call before the first read, or to reset.  Wait-free. */
VENOM_API void venom_inline_reader_init(struct venom_inline_reader *r);

/* The slow paths of the inline functions: not to be called by a program. */
VENOM_API ssize_t venom_inline_read_slow(struct venom_shell *s, struct venom_inline_reader *r, void *buf, size_t size);
VENOM_API int venom_inline_look_slow(struct venom_shell *s, struct venom_inline_reader *r);

/* Return 1 if the last version is still the latest and is in buf; else buf may hold anything.  (model: ring) */
static inline int venom_inline_copy(struct venom_inline_reader *r, void *buf, size_t size)
{
	uint64_t len = r->len;

	if (venom_rarely(len > size || len > VENOM_COPY_INLINE || r->reads >= 255))
		return 0;
	VENOM_INLINE_COPY_FROM(buf, r->data, len);
	venom_fence_acquire(); /* inline_copy:A pairs with ring_begin:A and ring_open:A: a byte of a newer version, then next */
	if (venom_rarely(VENOM_INLINE_LOAD(r->next, __ATOMIC_RELAXED) != r->next_was))
		return 0;
	r->reads++;
	return 1;
}

/*
 * Copy the latest whole version into buf; r->version is its number.  Returns its length, or the same errors as
 * venom_shell_read().  Lock-free, bounded, no system call.
 */
static inline ssize_t venom_inline_read(struct venom_shell *s, struct venom_inline_reader *r, void *buf, size_t size)
{
	return venom_inline_copy(r, buf, size) ? (ssize_t)r->len : venom_inline_read_slow(s, r, buf, size);
}

/*
 * Read the latest version, of any size, in place: after 0, read the r->len bytes at r->data, then venom_inline_whole()
 * tells whether they were whole; if not, discard them and look again.  Until then the bytes may be anything, and may
 * change meanwhile: read each byte once.  Errors as venom_shell_read_begin().  Lock-free, bounded, no system call.
 */
static inline int venom_inline_look(struct venom_shell *s, struct venom_inline_reader *r)
{
	if (venom_rarely(VENOM_INLINE_LOAD(r->next, __ATOMIC_RELAXED) != r->next_was || r->reads >= 255))
		return venom_inline_look_slow(s, r);
	return 0;
}

/* Call once after each look: 1, or 0 if the writer has begun to overwrite that buffer.  Wait-free. */
static inline int venom_inline_whole(struct venom_inline_reader *r)
{
	venom_fence_acquire(); /* inline_whole:A pairs with ring_begin:A and ring_open:A */
	if (venom_rarely(VENOM_INLINE_LOAD(r->seq, __ATOMIC_RELAXED) != r->seq_was))
		return 0;
	r->reads++;
	return 1;
}

/* ---- publishing ---------------------------------------------------------- */

struct venom_inline_publisher {
	uint64_t *buffer;	/* of the next version: its seq, its length */
	uint64_t version;	/* number of the next version */
	uint64_t *first, *last;	/* first and last buffer of the ring */
	uint64_t stride;	/* from one to the next, in words */
	uint64_t payload;	/* offset in a buffer, in words */
	uint64_t size;		/* largest len that is published inline */
	uint64_t *latest;	/* word of the latest version's number; a private word if there is one buffer */
	uint64_t *published;	/* the last version, published by any call */
	void *const *open;	/* not NULL: between write_begin and write_commit */
	const uint32_t *busy;	/* not 0: there are readers that the writer must check first */
	const uint32_t *waiters; /* not 0: a shell may sleep */
};

/* Call before the first publish.  Wait-free. */
VENOM_API void venom_inline_publisher_init(struct venom_daemon *d, struct venom_inline_publisher *p);

/* The slow paths of the inline function: not to be called by a program. */
VENOM_API int venom_inline_publish_slow(struct venom_daemon *d, struct venom_inline_publisher *p, const void *data, size_t len);
VENOM_API int venom_inline_wake(struct venom_daemon *d);

/*
 * Publish len bytes as the next version.  As venom_daemon_publish(): the same errors, and wait-free or blocking in the
 * same cases.  (model: ring)
 */
static inline int venom_inline_publish(struct venom_daemon *d, struct venom_inline_publisher *p, const void *data,
				       size_t len)
{
	uint64_t *b = p->buffer, v = p->version;

	if (venom_rarely(len > p->size || *p->published + 1 != v || *p->open || __atomic_load_n(p->busy, __ATOMIC_RELAXED)))
		return venom_inline_publish_slow(d, p, data, len);
	/* inline_publish:B pairs with ring_newer:A */
	VENOM_INLINE_STORE(b, (v << 2) - 1, __ATOMIC_RELEASE);
	venom_fence_release(); /* inline_publish:A pairs with ring_check:A and inline_copy:A: "writing" before any new byte */
	/* A holder of this buffer may have come just now: pairs with venom_membarrier in venom_fence_all. */
	if (venom_rarely(__atomic_load_n(p->busy, __ATOMIC_RELAXED)))
		return venom_inline_publish_slow(d, p, data, len);
	VENOM_INLINE_COPY_TO(b + p->payload, data, len);
	VENOM_INLINE_STORE(b + 1, len, __ATOMIC_RELAXED);
	/* inline_publish:C pairs with ring_claim:A, ring_latest:B and ring_last:A */
	VENOM_INLINE_STORE(b, v << 2, __ATOMIC_RELEASE);
	/* inline_publish:D pairs with ring_latest:A and ring_pick:A */
	VENOM_INLINE_STORE(p->latest, v, __ATOMIC_RELEASE);
	__atomic_store_n(p->published, v, __ATOMIC_RELEASE); /* inline_publish:E pairs with set_roles:A */
	p->buffer = b == p->last ? p->first : b + p->stride;
	p->version = v + 1;
	return venom_rarely(__atomic_load_n(p->waiters, __ATOMIC_RELAXED)) ? venom_inline_wake(d) : 0;
}

#ifdef __cplusplus
}
#endif
#endif /* VENOM_INLINE_H */

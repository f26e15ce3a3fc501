/* SPDX-License-Identifier: MIT */
/*
 * Publishing.
 *
 *	publish = open the next buffer, copy, commit, wake shells that sleep for state
 *
 * The next buffer is the next version's.  But if shells hold versions in place or are lossless (plane/readers.h),
 * open_heeded() finds a buffer, and waits for lossless shells if it has to.
 */
#include "internal.h"

#define SHORT_NS  1000000 /* longest sleep for half of the buffers to be free, and longest without membarrier(2) */
#define WALKS_MAX 8 /* walks in which every buffer was seen held, before we believe it */
#define RACES_MAX 64 /* tries for a buffer, plus one for each buffer, as a reader may win the race for it each time */

/* ---- waiting for lossless readers ---------------------------------------------- */

struct publish_wait {
	struct venom_daemon *d;
	uint64_t needed; /* all lossless shells must have read this version */
	bool half; /* armed for a later version: until half of the buffers are free */
	bool slept;
};

static bool wait_ready(void *p)
{
	struct publish_wait *w = p;
	struct venom_daemon *d = w->d;
	bool owed;

	walk_begin(d);
	owed = venom_ring_owed(&d->readers, w->needed, d->version, &d->all_read);
	walk_end(d);
	return !owed;
}

/*
 * Cut off the readers in the way whose cursor has not moved for the channel's limit: they no longer count.  Only upward
 * counts as moving, else a cursor that goes to and fro would stop us for ever.  A reader that asks for the role again
 * gets a new floor, so its time begins again.
 */
static void cut_off(struct venom_daemon *d, uint64_t needed, int64_t now)
{
	walk_begin(d);
	for (uint32_t i = 0; i < load_relaxed(&d->readers.n); i++) {
		struct venom_reader *rd = load_acquire(&d->readers.at[i]); /* pairs with the release in venom_readers_add */
		uint64_t at, where;

		if (!rd || !(load_relaxed(&rd->roles) & VENOM_ROLE_LOSSLESS))
			continue;
		at = venom_reader_at(rd);
		if (at >= needed)
			continue;
		where = load_relaxed(&rd->cmd->cursor) + load_relaxed(&rd->floor);
		if (!rd->since || where > rd->stuck) {
			rd->stuck = where;
			rd->since = now;
		} else if (now - rd->since >= (int64_t)d->geo.lossless_limit_ns) {
			rd->cut = at + 1;
			rd->since = 0;
			count_up(&d->state->cut, 1);
		}
	}
	walk_end(d);
}

/* Unknown: any of several readers may be the last. */
static bool wait_one_cpu(void *p)
{
	(void)p;
	return false;
}

static int wait_beat(void *p, int64_t now)
{
	struct publish_wait *w = p;

	if (load_relaxed(&w->d->stop))
		return -ECANCELED;
	cut_off(w->d, w->needed, now ? now : now_ns());
	return 0;
}

static void wait_cancel_point(void *p)
{
	(void)p;
}

/* model: lossless */
static void arm_publish(void *p)
{
	struct publish_wait *w = p;
	struct venom_daemon *d = w->d;
	uint64_t half = d->version - d->ring.versions / 2;

	/* The first sleep, a short one, is until half of the buffers are free: else each version would cost a wake. */
	w->half = !w->slept && half > w->needed && half < d->version;
	store_relaxed(&d->state->awaited, w->half ? half : w->needed);
	venom_arm(&d->state->waiting, d->state->waiting + 1);
	/* A reader moves its cursor without a fence: a publisher that sleeps, which is rare, pays for both sides. */
	d->unfenced = !venom_membarrier_daemons();
}

static void disarm_publish(void *p)
{
	struct venom_daemon *d = ((struct publish_wait *)p)->d;

	store_relaxed(&d->state->waiting, d->state->waiting + 1);
}

static int wait_sleep(void *p, int64_t ns)
{
	struct publish_wait *w = p;
	struct venom_daemon *d = w->d;
	int64_t most = d->unfenced || w->half ? SHORT_NS : (int64_t)d->geo.lossless_limit_ns;

	if (most > (int64_t)d->geo.lossless_limit_ns)
		most = d->geo.lossless_limit_ns;
	w->slept = true;
	return sleeper_sleep(&d->publisher, ns < 0 || ns > most ? most : ns);
}

static const struct venom_wait_ops publish_wait = {
	.ready = wait_ready,
	.one_cpu = wait_one_cpu,
	.beat = wait_beat,
	.cancel_point = wait_cancel_point,
	.arm = arm_publish,
	.disarm = disarm_publish,
	.sleep = wait_sleep,
};

/* Wait until all lossless shells have read `needed`: 0, or -EAGAIN at time-out. */
static int wait_for_readers(struct venom_daemon *d, uint64_t needed)
{
	struct publish_wait w = {.d = d, .needed = needed};
	NO_CANCEL;
	int rc;

	if (d->cfg.full_ns) {
		rc = venom_wait_for(&publish_wait, &w, &d->publish_spin, d->cfg.full_ns);
		return rc == 1 ? 0 : rc ? rc : -EAGAIN;
	}
	cut_off(d, needed, now_ns());
	return wait_ready(&w) ? 0 : -EAGAIN;
}

/* ---- opening a buffer ----------------------------------------------------------- */

/* Open the next buffer that no shell holds and that all lossless shells have read: 0, or why not. (model: hold, lossless) */
static __attribute__((noinline)) int open_heeded(struct venom_daemon *d, struct venom_version **b)
{
	uint32_t walks = 0;
	bool counted = false;
	int rc;

	for (uint32_t tries = 0; tries < d->ring.versions + RACES_MAX; tries++) {
		struct venom_reader *owed = NULL;
		uint64_t v, needed = 0;

		*b = NULL;
		walk_begin(d);
		v = venom_ring_next(&d->ring, &d->readers, d->version);
		if (v > d->ring.versions)
			needed = v - d->ring.versions;
		if (needed > d->all_read)
			owed = venom_ring_owed(&d->readers, needed, d->version, &d->all_read);
		if (v && !owed)
			*b = venom_ring_open(&d->ring, &d->readers, d->version, v);
		walk_end(d);
		if (*b) {
			d->opening = v;
			return 0;
		}
		/* A holder that moved to another buffer during the walk may be seen at both: look again. */
		if (!v && ++walks >= WALKS_MAX)
			break;
		if (!owed)
			continue;
		if (!counted)
			count_up(&d->state->full, 1);
		counted = true;
		rc = wait_for_readers(d, needed);
		if (rc)
			return rc;
	}
	count_up(&d->state->held_up, 1);
	return -EAGAIN;
}

/* The next buffer is known to be free without a walk: no shell may hold it, and all lossless shells have read it. */
static inline bool is_free(const struct venom_daemon *d, uint64_t v)
{
	return !d->hot_fence && !load_relaxed(&d->nholders) && v <= d->all_read + d->ring.versions;
}

/* model: hold, lossless */
static inline int open_next(struct venom_daemon *d, struct venom_version **b)
{
	uint64_t v = d->version + 1;

	if (load_relaxed(&d->heeded) && !is_free(d, v))
		return open_heeded(d, b);
	d->opening = v;
	*b = venom_ring_begin(&d->ring, v);
	compiler_barrier(); /* pairs with venom_membarrier in venom_fence_all: "writing" before nholders */
	/* A holder may have come just now, and hold that buffer; a new lossless reader may miss what is in it. */
	return load_relaxed(&d->nholders) ? open_heeded(d, b) : 0;
}

/* ---- committing ----------------------------------------------------------------- */

/* model: wake-state, wake-module */
static inline int commit(struct venom_daemon *d, struct venom_version *b, uint64_t version, size_t len, uint64_t time_ns)
{
	venom_ring_commit(&d->ring, b, version, len, time_ns);
	store_release(&d->version, version); /* pairs with the acquire in set_roles: after the commit */
	/* barrier.h 6: no fence needed before this look */
	return load_relaxed(&d->status->state_waiters) ? venom_inline_wake(d) : 0;
}

static int commit_opened(struct venom_daemon *d, struct venom_version *b, size_t len)
{
	uint64_t passed = d->opening - d->version - 1;

	if (passed)
		count_up(&d->state->passed, passed);
	return commit(d, b, d->opening, len, d->geo.flags & VENOM_STAMP ? now_ns() : 0);
}

/* ---- the calls -------------------------------------------------------------------- */

VENOM_API void *venom_daemon_write_begin(struct venom_daemon *d, size_t *capacity)
{
	int rc;

	if (!d->open) {
		rc = open_next(d, &d->open);
		if (rc) {
			d->open = NULL;
			errno = -rc;
			return NULL;
		}
	}
	fence_stores(); /* barrier.h 1: "writing" before all that the caller stores */
	if (capacity)
		*capacity = d->ring.data_size;
	return venom_ring_payload(&d->ring, d->open);
}

VENOM_API int venom_daemon_write_commit(struct venom_daemon *d, size_t len)
{
	struct venom_version *b = d->open;

	if (!b)
		return -EINVAL;
	if (len > d->ring.data_size)
		return -EMSGSIZE;
	d->open = NULL;
	fence_stores(); /* barrier.h 1: all that the caller has stored before the version is whole */
	return commit_opened(d, b, len);
}

static __attribute__((noinline)) int publish(struct venom_daemon *d, const void *data, size_t len)
{
	struct venom_version *b;
	int rc;

	if (len > d->ring.data_size)
		return -EMSGSIZE;
	if (d->open)
		return -EBUSY;
	rc = open_next(d, &b);
	if (rc)
		return rc;
	copy_to_shared(venom_ring_payload(&d->ring, b), data, len);
	return commit_opened(d, b, len);
}

/* Note where the next version goes, for publishes in line. */
static void point_to_next(struct venom_daemon *d, struct venom_inline_publisher *p)
{
	p->version = d->version + 1;
	p->buffer = (uint64_t *)venom_ring_at(&d->ring, p->version);
}

VENOM_API void venom_inline_publisher_init(struct venom_daemon *d, struct venom_inline_publisher *p)
{
	static const uint32_t always = 1;
	const struct venom_ring *r = &d->ring;

	*p = (struct venom_inline_publisher){
		.first = (uint64_t *)venom_ring_at(r, 0),
		.last = (uint64_t *)venom_ring_at(r, r->versions - 1),
		.stride = r->stride / sizeof(uint64_t),
		.payload = r->payload / sizeof(uint64_t),
		.size = r->data_size < VENOM_COPY_INLINE ? r->data_size : VENOM_COPY_INLINE,
		.latest = r->versions > 1 ? (uint64_t *)&r->state->latest : &d->no_latest,
		.published = &d->version,
		.open = (void *const *)&d->open,
		.busy = r->stamped ? &always : &d->heeded, /* only the library writes time stamps */
		.waiters = &d->status->state_waiters,
	};
	point_to_next(d, p);
}

VENOM_API __attribute__((noinline)) int venom_inline_publish_slow(struct venom_daemon *d, struct venom_inline_publisher *p,
								   const void *data, size_t len)
{
	int rc = publish(d, data, len);

	point_to_next(d, p);
	return rc;
}

void venom_note_state_wake(struct venom_daemon *d)
{
	uint32_t cpu = VENOM_CPU_WORD(sched_getcpu());

	count_up(&d->state->state_wakes, 1);
	if (d->state->publish_cpu != cpu)
		store_relaxed(&d->state->publish_cpu, cpu);
}

VENOM_API __attribute__((noinline)) int venom_inline_wake(struct venom_daemon *d)
{
	d->be->wake_state(d);
	return 0;
}

VENOM_API int venom_daemon_publish(struct venom_daemon *d, const void *data, size_t len)
{
	return venom_inline_publish(d, &d->steady, data, len);
}

VENOM_API uint64_t venom_daemon_version(const struct venom_daemon *d)
{
	return d->version;
}

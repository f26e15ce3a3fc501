/* SPDX-License-Identifier: MIT */
/*
 * The manager's thread, and how a lane comes and goes; manager.h has the overview.
 *
 * A lane is complete when it appears: daemon.lanes[id] is stored last, then daemon.changes counts up.  The server
 * compares that count with its own at each call and while it spins, and copies the table when they differ
 * (venom_lanes_sync).
 *
 * A lane is removed in these steps, of which none waits:
 *
 *	its shell is dead		venom_manager_gone
 *	its commands are taken		is_done: the server's cursor stands at a slot that is empty, and stays so
 *	lanes[id] = NULL, changes++	retire
 *	a fence in the other threads	venom_manager_tidy
 *	the server is outside of its calls, or has synced since; the publisher has ended the walk that it was in: is_over
 *	unmap, close, free		the backend's lane_unmap
 *
 * While a retired lane can't be freed the manager sleeps 1 to 100 ms, and looks again.  It does not poll for the unread
 * commands of a dead shell: the server wakes it when the last one is taken.
 */
#include <sys/epoll.h>
#include "internal.h"

#define NAP_MIN_NS 1000000
#define NAP_MAX_NS 100000000

/* A full fence in this thread, and in the server and the publisher, wherever they are. */
void venom_fence_all(const struct venom_daemon *d)
{
	if (d->hot_fence)
		fence_full(); /* pairs with fence_full in serve_enter, lane_advance and wake_state */
	else
		venom_membarrier(); /* pairs with compiler_barrier in serve_enter and lane_advance */
}

static void changed(struct venom_daemon *d)
{
	store_release(&d->changes, d->changes + 1); /* pairs with the acquire in venom_lanes_sync */
}

/* model: manager */
void venom_manager_add(struct venom_daemon *d, struct venom_lane *l)
{
	store_release(&d->lanes[l->id], l); /* pairs with the acquire in venom_lanes_sync */
	store_relaxed(&d->attached, d->attached + 1);
	changed(d);
	/* Before the backend looks whether it has a command already: pairs with fence_full in daemon_arm. */
	fence_full();
}

/* The shell is dead: no more commands will come; those that are there are still taken. */
void venom_manager_gone(struct venom_daemon *d, struct venom_lane *l)
{
	struct manager *m = &d->manager;

	store_relaxed(&l->gone, 1);
	store_relaxed(&d->attached, d->attached - 1);
	venom_readers_drop(d, l);
	l->next = m->dead;
	m->dead = l;
}

/* ---- the end of a lane ---- */

static bool is_drained(const struct venom_lane *l)
{
	uint64_t pos = load_acquire(&l->rsp->cursor); /* pairs with the release in lane_advance */

	return load_acquire(&l->broken) || !venom_slot_ready(&l->in, pos, pos + 1);
}

/*
 * Whether a dead shell's commands are all taken.  If not, the server sees `gone` when it has taken the last one, and
 * wakes us: the fence is between our store to `gone` and our second look.
 * model: manager
 */
static bool is_done(struct venom_daemon *d, struct venom_lane *l)
{
	if (is_drained(l))
		return true;
	if (l->kept)
		return false;
	venom_fence_all(d);
	if (is_drained(l))
		return true;
	l->kept = true;
	if (d->be->lane_keep)
		d->be->lane_keep(d, l);
	return false;
}

/* model: manager */
static void retire(struct venom_daemon *d, struct venom_lane *l)
{
	struct manager *m = &d->manager;

	store_release(&d->lanes[l->id], NULL);
	changed(d);
	l->removal = d->changes;
	l->next = m->retired;
	m->retired = l;
	m->nretired++;
	if (d->be->lane_free)
		d->be->lane_free(d, l);
}

/* Neither server nor publisher can still use the lane.  Both loads come after the fence that follows its removal. */
/* model: manager, wake-state */
static bool is_over(const struct venom_daemon *d, const struct venom_lane *l)
{
	/* pairs with the release in serve_leave, venom_lanes_sync, wake_state */
	if (load_acquire(&d->serving) && (int32_t)(load_acquire(&d->changes_seen) - l->removal) < 0)
		return false;
	return !(l->walk & 1) || load_acquire(&d->walks) != l->walk;
}

static void free_retired(struct venom_daemon *d)
{
	struct manager *m = &d->manager;
	struct venom_lane *l, **p;

	for (p = &m->retired; (l = *p);) {
		if (!is_over(d, l)) {
			p = &l->next;
			continue;
		}
		*p = l->next;
		m->nretired--;
		d->be->lane_unmap(d, l);
	}
}

/* model: manager, wake-state */
void venom_manager_tidy(struct venom_daemon *d)
{
	struct manager *m = &d->manager;
	struct venom_lane *l, **p, *before;
	bool more;

	free_retired(d);
	before = m->retired;
	/* While the server is stopped in a call, at most so many lanes are retired: the other dead keep their ids. */
	for (p = &m->dead; (l = *p) && m->nretired < d->geo.max_clients;) {
		if (!is_done(d, l)) {
			p = &l->next;
			continue;
		}
		*p = l->next;
		retire(d, l);
	}
	more = l;
	if (m->retired != before) {
		venom_fence_all(d);
		for (l = m->retired; l != before; l = l->next)
			l->walk = load_acquire(&d->walks);
		free_retired(d);
		m->nap_ns = NAP_MIN_NS;
	} else if (m->nap_ns < NAP_MAX_NS) {
		m->nap_ns *= 2;
	}
	if (!m->retired)
		m->nap_ns = more ? NAP_MIN_NS : -1;
}

void venom_manager_evict(struct venom_daemon *d)
{
	for (uint32_t id = 0; id < d->geo.max_clients; id++) {
		struct venom_lane *l = d->lanes[id];

		if (!l || !load_acquire(&l->broken) || l->evicted || l->gone)
			continue;
		l->evicted = true;
		d->be->lane_evict(d, l);
	}
}

/* ---- the thread ---- */

void venom_manager_wake(struct venom_daemon *d)
{
	bell_signal(d->manager.own.bell);
}

static void *manager_main(void *arg)
{
	struct venom_daemon *d = arg;
	struct manager *m = &d->manager;
	struct epoll_event ev;

	pthread_setname_np(pthread_self(), "venom-manager");
	d->be->manage_begin(d);
	/* One event at a time: an event may free a lane that a later event of the same batch would point to. */
	for (;;) {
		int n;

		venom_manager_tidy(d);
		n = epoll_next(m->own.epfd, &ev, 1, m->nap_ns);
		if (n < 0 && errno != EINTR)
			usleep(10000); /* it can't wait, and must not spin: no shell can connect, but a stop works */
		if (load_acquire(&m->stop))
			break;
		if (n == 1 && ev.data.ptr == m)
			venom_manager_evict(d);
		else if (n == 1)
			d->be->manage(d, ev.data.ptr, ev.events);
	}
	d->be->manage_end(d);
	return NULL;
}

void venom_manager_init(struct venom_daemon *d)
{
	d->manager.own = (struct venom_sleeper){-1, -1};
	d->manager.nap_ns = -1;
}

int venom_manager_open(struct venom_daemon *d)
{
	int rc = sleeper_open(&d->manager.own, &d->manager);

	if (!rc)
		rc = sleeper_open(&d->server, NULL);
	if (!rc && d->geo.flags & VENOM_LOSSLESS)
		rc = sleeper_open(&d->publisher, NULL);
	return rc;
}

int venom_manager_start(struct venom_daemon *d)
{
	return venom_thread_start(&d->manager.thread, manager_main, d);
}

void venom_manager_stop(struct venom_daemon *d)
{
	store_release(&d->manager.stop, 1);
	venom_manager_wake(d);
	pthread_join(d->manager.thread, NULL);
}

void venom_manager_close(struct venom_daemon *d)
{
	struct manager *m = &d->manager;
	struct venom_lane *l;

	while ((l = m->retired)) {
		m->retired = l->next;
		d->be->lane_unmap(d, l);
	}
	/* Unread commands of dead shells go with the channel; on the module they stay there. */
	for (uint32_t id = 0; id < d->cfg.max_clients; id++)
		if (d->lanes[id])
			d->be->lane_unmap(d, d->lanes[id]);
	sleeper_close(&m->own);
	sleeper_close(&d->server);
	sleeper_close(&d->publisher);
}

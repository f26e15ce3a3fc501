/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: the daemon's side.  The manager does the work of the kernel module.
 *
 *	memfd_create_daemon	take the name, make the areas, listen, start the manager
 *	manage			the manager's events: conn_accept, conn_event (memfd/conn.c), place_event
 *
 * The daemon's death: when a thread dies, the kernel walks its robust futex list and marks the words that the thread
 * owns.  The manager's list has one entry, status->owner.  No thread waits on it, but every shell sees the change with
 * one load.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "memfd/daemon.h"

/* ---- the place --------------------------------------------------------------------- */

static void watch_place(struct memfd_daemon *m)
{
	close_fd(&m->removals);
	m->removals = venom_own(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
	if (m->removals >= 0 &&
	    (inotify_add_watch(m->removals, m->name.place.path, IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR) < 0 ||
	     epoll_watch(m->d->manager.own.epfd, m->removals, EPOLLIN, &m->removals)))
		close_fd(&m->removals);
	if (m->removals < 0)
		venom_log("%s: its folder can't be watched (%s): what is removed there is not put back", m->d->name,
			  strerror(errno));
}

/* An entry was removed from the place: if it is ours, put it back. */
static void place_event(struct memfd_daemon *m)
{
	union {
		struct inotify_event ev;
		char bytes[4096];
	} buf;
	bool ours = false;
	ssize_t n;
	int rc;

	while ((n = read(m->removals, &buf, sizeof(buf))) > 0) {
		const struct inotify_event *ev;

		for (char *p = buf.bytes; p < buf.bytes + n; p += sizeof(*ev) + ev->len) {
			ev = (const struct inotify_event *)p;
			ours |= (ev->mask & (IN_DELETE_SELF | IN_IGNORED | IN_Q_OVERFLOW)) ||
				(ev->len && name_is_ours(&m->name, ev->name));
		}
	}
	if (!ours)
		return;
	/* Renew the watch before each check, as the folder may be a new one: no removal after the check is missed. */
	do {
		watch_place(m);
		rc = name_restore(&m->name, m->d->cfg.mode, &m->listener);
		if (rc == 1 && epoll_watch(m->d->manager.own.epfd, m->listener, EPOLLIN, &m->listener))
			rc = -errno;
	} while (rc == 1);
	if (rc) {
		venom_log("%s: somebody has removed its files from %s, and they can't be put back: no shell finds it any more",
			  m->d->name, m->name.place.path);
		close_fd(&m->removals);
	}
}

/* ---- the manager thread -------------------------------------------------------------------- */

static void manage_begin(struct venom_daemon *d)
{
	struct memfd_daemon *m = d->own;
	struct venom_status *st = d->status;

	/* The kernel marks st->owner when this thread dies: one entry, linked to itself and back. */
	st->robust_next = (uintptr_t)&m->robust.list;
	m->robust.list.next = (struct robust_list *)&st->robust_next;
	m->robust.futex_offset = (char *)&st->owner - (char *)&st->robust_next;
	if (!syscall(SYS_set_robust_list, &m->robust, sizeof(m->robust)))
		store_relaxed(&st->owner, syscall(SYS_gettid));
	store_release(&st->daemon, VENOM_DAEMON_ALIVE);
}

static void manage(struct venom_daemon *d, void *of, uint32_t events)
{
	struct memfd_daemon *m = d->own;

	if (of == &m->listener)
		conn_accept(m);
	else if (of == &m->removals)
		place_event(m);
	else
		conn_event(m, of, events);
}

/* Ordinary end: unlink the word, so that the kernel marks nothing. */
static void manage_end(struct venom_daemon *d)
{
	struct memfd_daemon *m = d->own;

	store_relaxed(&d->status->owner, 0);
	m->robust.list.next = &m->robust.list;
}

/* ---- life ------------------------------------------------------------------------ */

static int make_state(struct memfd_daemon *m)
{
	struct venom_daemon *d = m->d;
	uint64_t huge = d->cfg.huge_size ? d->cfg.huge_size : 2ULL << 20;
	int rc = -ENOMEM;

	if (d->cfg.huge != VENOM_HUGE_NEVER) {
		venom_geometry_make(&d->geo, &d->cfg, huge);
		rc = area_make(&d->state_map, &m->state_fd, "state", venom_state_bytes(&d->geo), huge);
		if (rc && d->cfg.huge == VENOM_HUGE_REQUIRE)
			return *venom_errmsg() ? rc : venom_fail_state(rc, &d->cfg, &d->geo);
		if (rc)
			venom_log("%s: no huge pages, the state is on base pages", d->name);
	}
	if (rc) {
		venom_geometry_make(&d->geo, &d->cfg, 4096);
		rc = area_make(&d->state_map, &m->state_fd, "state", venom_state_bytes(&d->geo), 0);
	}
	if (rc)
		return rc;
	d->state = d->state_map.p;
	venom_state_init(d);
	venom_ring_init(&d->ring, d->state, &d->geo);
	return 0;
}

static int make_status(struct memfd_daemon *m)
{
	struct venom_daemon *d = m->d;
	int rc = area_make(&d->status_map, &m->status_fd, "status", venom_status_bytes(d->geo.max_clients), 0);

	if (rc)
		return rc;
	d->status = d->status_map.p;
	venom_head_make(&d->status->head, VENOM_AREA_STATUS, d->status_map.size, m->d->epoch, 0, 0);
	d->status->epoch = m->d->epoch;
	d->status->shells = d->geo.max_clients;
	/* Without membarrier the count is never 0: the publisher must always fence and check for sleepers. */
	d->status->state_waiters = d->hot_fence;
	return 0;
}

static int make_epolls(struct memfd_daemon *m)
{
	struct venom_daemon *d = m->d;
	int rc = venom_manager_open(d);

	if (rc)
		return rc;
	m->spare = venom_own(fcntl(d->manager.own.bell, F_DUPFD_CLOEXEC, 0));
	return m->spare < 0 ? -errno : 0;
}

/*
 * The kernel grows a process's descriptor table by copying it.  In a process with threads each growth waits for all
 * CPUs, 10 ms and more (expand_files() in the kernel, synchronize_rcu()).  So grow it now, not while a shell connects.
 */
static void grow_table(struct memfd_daemon *m)
{
	int most = m->spare + 4 * (int)m->d->cfg.max_clients + PENDING_MAX;
	struct rlimit limit;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	fd = fcntl(m->spare, F_DUPFD_CLOEXEC, (rlim_t)most < limit.rlim_cur ? most : (int)limit.rlim_cur - 1);
	if (fd >= 0)
		close(fd);
}

static void memfd_free(struct memfd_daemon *m)
{
	struct venom_daemon *d = m->d;

	conn_drop_all(m); /* hangs up, which wakes all sleeping shells */
	venom_manager_close(d);
	close_fd(&m->listener);
	close_fd(&m->removals);
	close_fd(&m->spare);
	close_fd(&m->status_fd);
	close_fd(&m->state_fd);
	area_unmap(&d->state_map);
	area_unmap(&d->status_map);
	name_give_back(&m->name);
	free(m->reserved);
	free(m);
}

static int memfd_create_daemon(struct venom_daemon *d)
{
	struct memfd_daemon *m = calloc(1, sizeof(*m));
	int rc = -ENOMEM;

	if (!m)
		return rc;
	m->d = d;
	d->own = m;
	m->listener = m->spare = m->status_fd = m->state_fd = m->name.lock_fd = m->name.place.fd = m->removals = -1;
	m->reserved = calloc(d->cfg.max_clients, sizeof(*m->reserved));
	if (m->reserved)
		rc = name_take(&m->name, d->name, d->cfg.mode, &d->epoch);
	if (!rc)
		rc = make_state(m);
	if (!rc)
		rc = make_status(m);
	if (!rc)
		rc = make_epolls(m);
	if (rc)
		goto fail;
	grow_table(m);
	watch_place(m); /* before the socket exists, so that its removal is not missed */
	/* From here on shells find the socket; they wait in its backlog for the manager. */
	rc = name_listen(&m->name, d->cfg.mode, &m->listener);
	if (!rc)
		rc = epoll_watch(d->manager.own.epfd, m->listener, EPOLLIN, &m->listener);
	if (!rc)
		rc = venom_manager_start(d);
	if (rc)
		goto fail;
	return 0;
fail:
	memfd_free(m);
	return rc;
}

static void memfd_destroy_daemon(struct venom_daemon *d)
{
	struct memfd_daemon *m = d->own;

	store_release(&d->status->daemon, VENOM_DAEMON_GONE);
	venom_manager_stop(d);
	name_hide(&m->name);
	memfd_free(m);
}

/* ---- wake-ups ---------------------------------------------------------------------- */

static void wake_shell(struct venom_daemon *d, struct venom_lane *l)
{
	count_up(&d->state->answer_wakes, 1);
	bell_signal(l->shell_bell);
}

/* The publisher calls this.  A lane stays valid while `walks` is odd (barrier.h 7). (model: wake-state) */
static void wake_state(struct venom_daemon *d)
{
	const struct venom_readers *rs = &d->waiters;
	uint32_t n;

	walk_begin(d);
	fence_full(); /* pairs with fence_full in venom_arm (version before sleeping word), and with venom_fence_all */
	n = load_acquire(&rs->n);
	for (uint32_t i = 0; i < n; i++) {
		struct venom_reader *rd = load_acquire(&rs->at[i]); /* pairs with the release in venom_readers_add */
		struct venom_lane *l = rd ? container_of(rd, struct venom_lane, reader) : NULL;

		if (l && venom_asleep(&l->cmd->sleeping, VENOM_ASLEEP_STATE, &l->signalled_state)) {
			venom_note_state_wake(d);
			bell_signal(l->shell_bell);
		}
	}
	walk_end(d);
}

/* The publisher watches the same eventfd as the server: the shell signals both with one write. */
static int watch_moves(struct venom_daemon *d, struct venom_lane *l)
{
	int rc = epoll_watch(d->publisher.epfd, l->daemon_bell, EPOLLIN | EPOLLET, NULL);

	return rc == -EEXIST ? 0 : rc;
}

static int check(void)
{
	return 0;
}

const struct venom_backend venom_backend_memfd = {
	.name = "memfd",
	.check = check,
	.create = memfd_create_daemon,
	.destroy = memfd_destroy_daemon,
	.daemon_sleep = venom_server_sleep,
	.wake_shell = wake_shell,
	.wake_state = wake_state,
	.manage_begin = manage_begin,
	.manage = manage,
	.manage_end = manage_end,
	.watch_moves = watch_moves,
	.lane_evict = memfd_lane_evict,
	.lane_unmap = memfd_lane_unmap,
	.connect = memfd_connect,
	.close = memfd_close,
	.shell_sleep = venom_shell_sleep,
	.wake_daemon = memfd_wake_daemon,
	.watch = memfd_watch,
	.ask = memfd_ask,
	.wake_publisher = memfd_wake_daemon,
	.alive = memfd_alive,
	.lives = memfd_lives,
	.list = memfd_list,
	.stat = memfd_stat,
};

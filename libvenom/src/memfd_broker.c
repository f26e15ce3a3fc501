/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: the broker, a thread in the daemon's process that stands in for the kernel module.
 *
 * It lets shells in (proto.h), learns of their deaths, keeps the status page, and never touches a message.
 *
 *	broker_main -> accept_conn -> conn_hello -> conn_attach		a shell comes
 *		    -> conn_drop					it goes: hang-up, or its pidfd
 *
 * Bells.  The daemon makes both eventfds of a shell, so that no shell can make it block: the one that it
 * rings (lane.bell) it keeps to itself, and the shell gets an epoll that watches it; a shared eventfd's O_NONBLOCK and count
 * could be changed under the daemon's write.  The one that the shell rings (lane.their_bell) the daemon
 * only ever watches.  Both are edge-triggered and never read.  (A socket for the shell to ring could not be made to block
 * it by a hostile daemon, as a shared eventfd can; but it would have to be read, and with what a shell sends on it may
 * come descriptors, whose close can keep the reader: the server.  Who is to be protected is the daemon.)
 *
 * The daemon's own death: when a thread dies, the kernel walks its robust futex list and marks the words of which it is
 * the owner.  The broker's list has one entry, status->owner; nobody waits on it, but every shell
 * sees it change, with one load.
 *
 * Locks: d->lock guards d->lanes[] and, while the server is out, what it owns (barrier.h 7).  All else here is the
 * broker's alone, but for waiters[], which the publisher reads (wake_state).
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include "proto.h"

#define PENDING_MAX 64 /* connections that have not attached yet */

/* A connection; once it has attached, a shell. */
struct conn {
	struct conn *next, **prev;
	int sock, pidfd;
	struct venom_cred cred;
	bool may_read, may_command;
	bool attached;
	struct venom_lane *lane; /* from HELLO on */
};

struct broker {
	struct venom_daemon *d;
	pthread_t thread;
	uint32_t stop;
	int epfd, listener, quit;
	int removals; /* an inotify of the place, or -1 */
	int spare; /* a descriptor kept for turn_away */
	int server_epfd, server_bell;
	int status_fd, state_fd;
	struct name name;
	struct conn *conns;
	unsigned int pending;
	bool *reserved; /* ids promised to connections that have not attached yet */
	uint32_t generation;
	struct robust_list_head robust;

	/* broker writes, publisher reads; see wake_state */
	struct venom_lane **waiters;
	uint32_t nwaiters; /* in use, or were once: never goes down */
	uint32_t ringing; /* publisher: between its two looks */
};

/* ---- who may ------------------------------------------------------------------ */

static bool in_group(int sock, const struct venom_cred *cred, gid_t gid)
{
	gid_t few[64], *groups = few;
	socklen_t len = sizeof(few);
	bool found = false;
	int rc;

	if (cred->gid == gid)
		return true;
	rc = getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &len);
	if (rc && errno == ERANGE) { /* len says how many there are: 65536 at most */
		groups = malloc(len);
		rc = groups ? getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &len) : -1;
	}
	for (size_t i = 0; !rc && !found && i < len / sizeof(gid_t); i++)
		found = groups[i] == gid;
	if (groups != few)
		free(groups);
	return found;
}

static void conn_rights(struct broker *b, struct conn *c)
{
	uint32_t bits = b->d->cfg.mode;

	if (c->cred.uid == 0)
		bits = 06;
	else if (c->cred.uid == geteuid())
		bits >>= 6;
	else if (in_group(c->sock, &c->cred, b->name.gid))
		bits >>= 3;
	c->may_read = bits & 04;
	c->may_command = bits & 02;
}

/* ---- lanes --------------------------------------------------------------------- */

/* Out of an epoll by hand: a close alone doesn't do it while a forked child, or the other end, has the file too. */
static void unwatch(int epfd, int fd)
{
	if (fd >= 0)
		epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
}

static void lane_free(struct venom_daemon *d, struct venom_lane *l)
{
	unwatch(((struct broker *)d->broker)->server_epfd, l->their_bell);
	area_unmap(&l->cmd_map);
	area_unmap(&l->rsp_map);
	close_fd(&l->bell);
	close_fd(&l->their_bell);
	free(l->tags);
	free(l);
}

/* The server's: have the broker see a hang-up.  It closes the socket with the lock held. */
static void lane_evict(struct venom_daemon *d, struct venom_lane *l)
{
	pthread_mutex_lock(&d->lock);
	if (l->sock >= 0)
		shutdown(l->sock, SHUT_RDWR);
	pthread_mutex_unlock(&d->lock);
}

/* Users other than root and the daemon's have half of the ids at the most, each: so none of them keeps the owner out. */
static bool has_share(struct broker *b, uid_t uid)
{
	struct venom_daemon *d = b->d;
	uint32_t has = 0;

	if (!uid || uid == geteuid())
		return false;
	for (uint32_t i = 0; i < d->geo.max_clients; i++)
		has += d->lanes[i] && d->lanes[i]->cred.uid == uid;
	for (struct conn *c = b->conns; c; c = c->next)
		has += !c->attached && c->lane && c->cred.uid == uid;
	return has >= (d->geo.max_clients + 1) / 2;
}

static int free_id(struct broker *b, uid_t uid)
{
	struct venom_daemon *d = b->d;
	int id = -EUSERS;

	pthread_mutex_lock(&d->lock);
	venom_lanes_changed_locked(d); /* what the server has not tidied away yet, if it is out now */
	for (uint32_t i = 0; i < d->geo.max_clients && !has_share(b, uid); i++) {
		if (!d->lanes[i] && !b->reserved[i]) {
			id = i;
			break;
		}
	}
	pthread_mutex_unlock(&d->lock);
	return id;
}

static int lane_make(struct broker *b, struct conn *c, int *rsp_fd, int *bell_fd)
{
	struct venom_daemon *d = b->d;
	int id = free_id(b, c->cred.uid), rc;
	struct venom_lane *l;

	*rsp_fd = *bell_fd = -1;
	if (id < 0)
		return id;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->sock = -1;
	l->id = id;
	l->generation = ++b->generation;
	l->cred = c->cred;
	l->may_command = c->may_command;
	l->bell = venom_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	l->their_bell = venom_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	*bell_fd = venom_own(epoll_create1(EPOLL_CLOEXEC));
	rc = l->bell < 0 || l->their_bell < 0 || *bell_fd < 0 ? -errno : 0;
	if (!rc)
		rc = epoll_watch(*bell_fd, l->bell, EPOLLIN | EPOLLET, NULL);
	if (!rc)
		rc = epoll_watch(b->server_epfd, l->their_bell, EPOLLIN | EPOLLET, NULL);
	if (!rc)
		rc = area_make(&l->rsp_map, rsp_fd, "responses", venom_responses_bytes(&d->geo), 0);
	if (rc)
		goto fail;
	l->rsp = l->rsp_map.p;
	venom_head_make(&l->rsp->head, VENOM_AREA_RESPONSES, l->rsp_map.size, b->d->epoch, l->id, l->generation);
	venom_slots_init(&l->out, l->rsp, d->geo.cmd_slots, sizeof(struct venom_slot), d->geo.resp_size);
	l->tags = venom_zeroes("table of requests", l->out.mask + 1UL, sizeof(*l->tags));
	if (!l->tags) {
		rc = -ENOMEM;
		goto fail;
	}
	c->lane = l;
	b->reserved[id] = true;
	return 0;

fail:
	close_fd(rsp_fd);
	close_fd(bell_fd);
	lane_free(d, l);
	return rc;
}

/* ---- connections ---------------------------------------------------------------- */

/* model: wake-state */
static void waiters_remove(struct broker *b, struct venom_lane *l)
{
	if (!l->watching)
		return;
	for (uint32_t i = 0; i < b->nwaiters; i++)
		if (b->waiters[i] == l)
			store_release(&b->waiters[i], NULL);
	store_relaxed(&b->d->status->state_waiters, b->d->status->state_waiters - 1);
	fence_full(); /* pairs with fence_full in wake_state: it sees the NULL, or we see it ringing */
	while (load_acquire(&b->ringing))
		usleep(50);
}

/* Not just closed: a child that clone(2) made may have the socket, too, and its shell would never hear of our end. */
static void hang_up(struct conn *c)
{
	if (c->sock >= 0)
		shutdown(c->sock, SHUT_RDWR);
	close_fd(&c->sock);
}

static void conn_drop(struct broker *b, struct conn *c)
{
	struct venom_daemon *d = b->d;
	struct venom_lane *l = c->lane;

	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	unwatch(b->epfd, c->sock);
	unwatch(b->epfd, c->pidfd);
	if (c->attached) {
		waiters_remove(b, l);
		store_release(&d->status->shell[l->id].life, VENOM_SHELL_NONE);
		store_relaxed(&d->status->attached, d->status->attached - 1);
		pthread_mutex_lock(&d->lock);
		l->sock = -1;
		hang_up(c);
		store_release(&l->gone, 1);
		venom_lanes_changed_locked(d); /* the lane may be freed in here */
		pthread_mutex_unlock(&d->lock);
	} else {
		b->pending--;
		if (l) {
			b->reserved[l->id] = false;
			lane_free(d, l);
		}
	}
	hang_up(c);
	close_fd(&c->pidfd);
	free(c);
}

static int refuse(struct broker *b, struct conn *c, int err, enum proto_type type)
{
	struct proto_head head;

	count_up(&b->d->status->refused, 1);
	venom_log("%s: pid %u, uid %u was not let in: %s", b->d->name, c->cred.pid, c->cred.uid, strerror(-err));
	proto_send(c->sock, &head, sizeof(head), type, proto_refusal(err), NULL, 0);
	return err;
}

static int conn_hello(struct broker *b, struct conn *c)
{
	struct proto_welcome w = {.may_command = c->may_command, .epoch = b->d->epoch};
	int rsp_fd, bell_fd, rc;

	if (c->lane)
		return -EPROTO;
	if (!c->may_read)
		return refuse(b, c, -EACCES, PROTO_WELCOME);
	rc = lane_make(b, c, &rsp_fd, &bell_fd);
	if (rc)
		return refuse(b, c, rc, PROTO_WELCOME);
	w.id = c->lane->id;
	w.generation = c->lane->generation;
	rc = proto_send(c->sock, &w, sizeof(w), PROTO_WELCOME, 0,
			(int[]){[FD_STATUS] = b->status_fd,
				[FD_STATE] = b->state_fd,
				[FD_RESPONSES] = rsp_fd,
				[FD_BELL] = bell_fd,
				[FD_THEIR_BELL] = c->lane->their_bell},
			PROTO_FDS);
	close_fd(&rsp_fd);
	close_fd(&bell_fd);
	return rc && rc != -EPIPE ? refuse(b, c, rc, PROTO_WELCOME) : rc;
}

static int conn_attach(struct broker *b, struct conn *c, int fd)
{
	struct venom_daemon *d = b->d;
	struct venom_lane *l = c->lane;
	struct proto_head head;
	int rc;

	if (!l || c->attached)
		return -EPROTO;
	rc = area_open(&l->cmd_map, fd, "commands", venom_commands_bytes(&d->geo), false);
	if (!rc)
		rc = venom_head_check(l->cmd_map.p, VENOM_AREA_COMMANDS, l->cmd_map.size);
	if (rc)
		return refuse(b, c, rc, PROTO_READY);
	l->cmd = l->cmd_map.p;
	venom_slots_init(&l->in, l->cmd_map.p, d->geo.cmd_slots, venom_command_head(d->geo.flags), d->geo.cmd_size);

	/* A forked child of the shell may keep its end of the socket; its pidfd is not fooled. */
	c->pidfd = peer_pidfd(c->sock, &c->cred);
	if (c->pidfd >= 0) {
		rc = epoll_watch(b->epfd, c->pidfd, EPOLLIN, c);
		if (rc)
			return refuse(b, c, rc, PROTO_READY);
	}
	l->sock = c->sock;
	c->attached = true;
	b->pending--;
	b->reserved[l->id] = false;
	store_relaxed(&d->status->shell[l->id].generation, l->generation);
	store_release(&d->status->shell[l->id].life, VENOM_SHELL_ALIVE);
	store_relaxed(&d->status->attached, d->status->attached + 1);
	pthread_mutex_lock(&d->lock);
	store_release(&d->lanes[l->id], l);
	venom_lanes_changed_locked(d);
	pthread_mutex_unlock(&d->lock);
	return proto_send(c->sock, &head, sizeof(head), PROTO_READY, 0, NULL, 0);
}

/* model: wake-state */
static int conn_watch(struct broker *b, struct conn *c)
{
	struct proto_head head;
	uint32_t i = 0;

	if (!c->attached)
		return -EPROTO;
	if (!c->lane->watching) {
		while (i < b->nwaiters && b->waiters[i])
			i++;
		store_release(&b->waiters[i], c->lane);
		if (i == b->nwaiters)
			store_release(&b->nwaiters, i + 1);
		c->lane->watching = true;
		store_release(&b->d->status->state_waiters, b->d->status->state_waiters + 1);
		/* barrier.h 6: a publish that misses this is seen by the shell, which looks after our answer. */
		if (!b->d->hot_fence)
			venom_membarrier();
	}
	return proto_send(c->sock, &head, sizeof(head), PROTO_READY, 0, NULL, 0);
}

static int conn_look(struct broker *b, struct conn *c, uint32_t first)
{
	struct venom_daemon *d = b->d;
	struct venom_daemon_stats st;
	struct proto_looked *looked;
	int rc;

	if (!c->may_read)
		return refuse(b, c, -EACCES, PROTO_LOOKED);
	looked = calloc(1, sizeof(*looked));
	if (!looked)
		return refuse(b, c, -ENOMEM, PROTO_LOOKED);
	venom_daemon_stats(d, &st);
	looked->geo = d->geo;
	looked->epoch = d->epoch;
	looked->versions = st.versions;
	looked->commands = st.commands;
	looked->responses = st.responses;
	looked->stale = st.stale;
	looked->wakes = st.wakes;
	looked->sleeps = st.sleeps;
	looked->refused = st.refused;
	looked->evicted = st.evicted;
	looked->clients = st.clients;
	pthread_mutex_lock(&d->lock);
	for (uint32_t i = first; i < d->geo.max_clients; i++) {
		struct venom_lane *l = d->lanes[i];
		struct proto_peer *p = &looked->peers[looked->npeers];

		if (!l || load_relaxed(&l->gone))
			continue;
		if (looked->npeers == PROTO_PEERS) {
			looked->next = i;
			break;
		}
		*p = (struct proto_peer){
			.id = l->id,
			.generation = l->generation,
			.pid = l->cred.pid,
			.uid = l->cred.uid,
			.gid = l->cred.gid,
			.received = load_relaxed(&l->rsp->cursor),
			.responses = load_relaxed(&l->rsp->responses),
		};
		for (size_t k = 0; k < sizeof(p->counts) / sizeof(uint64_t); k++)
			((uint64_t *)&p->counts)[k] = load_relaxed((const uint64_t *)&l->cmd->counts + k);
		looked->npeers++;
	}
	pthread_mutex_unlock(&d->lock);
	rc = proto_send(c->sock, looked, sizeof(*looked), PROTO_LOOKED, 0, NULL, 0);
	free(looked);
	return rc;
}

/* One message of c; negative: drop it. */
static int conn_message(struct broker *b, struct conn *c)
{
	int fds[PROTO_FDS], nfds, rc = -EPROTO;
	union proto_any msg;
	ssize_t n = proto_recv_any(c->sock, &msg, fds, &nfds);

	if (n == -EAGAIN)
		return 0;
	if (n == -EPROTO || n == -EMFILE) /* to another version, too: the head never changes */
		refuse(b, c, n, PROTO_WELCOME);
	if (n < 0)
		return n;
	if (msg.head.type == PROTO_HELLO && n == sizeof(msg.head) && nfds == 0)
		rc = conn_hello(b, c);
	else if (msg.head.type == PROTO_ATTACH && n == sizeof(msg.head) && nfds == 1)
		rc = conn_attach(b, c, fds[0]);
	else if (msg.head.type == PROTO_WATCH && n == sizeof(msg.head) && nfds == 0)
		rc = conn_watch(b, c);
	else if (msg.head.type == PROTO_LOOK && n == sizeof(msg.look) && nfds == 0)
		rc = conn_look(b, c, msg.look.first);
	proto_close(fds, &nfds);
	return rc;
}

static void conn_event(struct broker *b, struct conn *c, uint32_t events)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
	int rc = 0;

	if (events & EPOLLIN)
		rc = conn_message(b, c);
	if (!rc && c->pidfd >= 0 && poll(&p, 1, 0) == 1)
		rc = -EPIPE;
	if (rc || (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
		conn_drop(b, c);
}

/* Out of descriptors: with the one kept for this, tell who waits in the backlog. */
static void turn_away(struct broker *b, int err)
{
	struct conn c = {.pidfd = -1};

	close_fd(&b->spare);
	c.sock = venom_own(accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
	if (c.sock >= 0) {
		peer_cred(c.sock, &c.cred);
		refuse(b, &c, err, PROTO_WELCOME);
		close_fd(&c.sock);
	}
	b->spare = venom_own(fcntl(b->quit, F_DUPFD_CLOEXEC, 0));
	if (b->spare < 0)
		usleep(10000); /* somebody else took it: don't spin on a backlog that can't be taken */
}

static void accept_conn(struct broker *b)
{
	struct conn *c, *oldest;
	int sock = venom_own(accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));

	if (sock < 0) {
		if (errno == EMFILE || errno == ENFILE)
			turn_away(b, -errno);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c || peer_cred(sock, &c->cred) || epoll_watch(b->epfd, sock, EPOLLIN | EPOLLRDHUP, c)) {
		free(c);
		close_fd(&sock);
		return;
	}
	c->sock = sock;
	c->pidfd = -1;
	conn_rights(b, c);
	/* Those who connect and then say nothing can't keep others out. */
	if (b->pending >= PENDING_MAX) {
		oldest = NULL;
		for (struct conn *o = b->conns; o; o = o->next)
			if (!o->attached)
				oldest = o;
		conn_drop(b, oldest);
	}
	c->next = b->conns;
	c->prev = &b->conns;
	if (c->next)
		c->next->prev = &c->next;
	b->conns = c;
	b->pending++;
}

/* ---- the place --------------------------------------------------------------------- */

static void watch_place(struct broker *b)
{
	close_fd(&b->removals);
	b->removals = venom_own(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
	if (b->removals >= 0 &&
	    (inotify_add_watch(b->removals, b->name.place.path, IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR) < 0 ||
	     epoll_watch(b->epfd, b->removals, EPOLLIN, &b->removals)))
		close_fd(&b->removals);
	if (b->removals < 0)
		venom_log("%s: its folder can't be watched (%s): what is removed there is not put back", b->d->name,
			  strerror(errno));
}

/* Something was removed from the place: if it is ours, put it back. */
static void place_event(struct broker *b)
{
	union {
		struct inotify_event ev;
		char bytes[4096];
	} buf;
	bool ours = false;
	ssize_t n;
	int rc;

	while ((n = read(b->removals, &buf, sizeof(buf))) > 0) {
		const struct inotify_event *ev;

		for (char *p = buf.bytes; p < buf.bytes + n; p += sizeof(*ev) + ev->len) {
			ev = (const struct inotify_event *)p;
			ours |= (ev->mask & (IN_DELETE_SELF | IN_IGNORED | IN_Q_OVERFLOW)) ||
				(ev->len && name_is_ours(&b->name, ev->name));
		}
	}
	if (!ours)
		return;
	/* Watched anew before each look, as the folder may be another one: what is removed after the look is seen. */
	do {
		watch_place(b);
		rc = name_restore(&b->name, b->d->cfg.mode, &b->listener);
		if (rc == 1 && epoll_watch(b->epfd, b->listener, EPOLLIN, &b->listener))
			rc = -errno;
	} while (rc == 1);
	if (rc) {
		venom_log("%s: somebody has removed its files from %s, and they can't be put back: no shell finds it any more",
			  b->d->name, b->name.place.path);
		close_fd(&b->removals);
	}
}

static void *broker_main(void *arg)
{
	struct broker *b = arg;
	struct venom_status *st = b->d->status;
	struct epoll_event ev;

	pthread_setname_np(pthread_self(), "venom-broker");
	/* The kernel marks st->owner when this thread dies: one entry, linked to itself and back. */
	st->robust_next = (uintptr_t)&b->robust.list;
	b->robust.list.next = (struct robust_list *)&st->robust_next;
	b->robust.futex_offset = (char *)&st->owner - (char *)&st->robust_next;
	if (!syscall(SYS_set_robust_list, &b->robust, sizeof(b->robust)))
		store_relaxed(&st->owner, syscall(SYS_gettid));
	store_release(&st->daemon, VENOM_DAEMON_ALIVE);

	/* One event at a time: what it drops can't have another waiting in the same batch. */
	for (;;) {
		int n = epoll_next(b->epfd, &ev, 1, -1);

		if (n < 0 && errno != EINTR)
			usleep(10000); /* it can't wait here, and must not spin: nobody comes in, but it ends */
		if (load_acquire(&b->stop) || (n == 1 && ev.data.ptr == &b->quit))
			break;
		if (n != 1)
			continue;
		if (ev.data.ptr == &b->listener)
			accept_conn(b);
		else if (ev.data.ptr == &b->removals)
			place_event(b);
		else
			conn_event(b, ev.data.ptr, ev.events);
	}
	/* An ordinary end: nothing to mark. */
	store_relaxed(&st->owner, 0);
	b->robust.list.next = &b->robust.list;
	return NULL;
}

/* ---- life ------------------------------------------------------------------------ */

static int make_state(struct broker *b)
{
	struct venom_daemon *d = b->d;
	uint64_t huge = d->cfg.huge_size ? d->cfg.huge_size : 2ULL << 20;
	int rc = -ENOMEM;

	if (d->cfg.huge != VENOM_HUGE_NEVER) {
		venom_geometry_make(&d->geo, &d->cfg, huge);
		rc = area_make(&d->state_map, &b->state_fd, "state", venom_state_bytes(&d->geo), huge);
		if (rc && d->cfg.huge == VENOM_HUGE_REQUIRE)
			return *venom_errmsg() ? rc : venom_fail_state(rc, &d->cfg, &d->geo);
		if (rc)
			venom_log("%s: no huge pages, the state is on base pages", d->name);
	}
	if (rc) {
		venom_geometry_make(&d->geo, &d->cfg, 4096);
		rc = area_make(&d->state_map, &b->state_fd, "state", venom_state_bytes(&d->geo), 0);
	}
	if (rc)
		return rc;
	d->state = d->state_map.p;
	venom_state_init(d);
	venom_ring_init(&d->ring, d->state, &d->geo);
	return 0;
}

static int make_status(struct broker *b)
{
	struct venom_daemon *d = b->d;
	int rc = area_make(&d->status_map, &b->status_fd, "status", venom_status_bytes(d->geo.max_clients), 0);

	if (rc)
		return rc;
	d->status = d->status_map.p;
	venom_head_make(&d->status->head, VENOM_AREA_STATUS, d->status_map.size, b->d->epoch, 0, 0);
	d->status->epoch = b->d->epoch;
	d->status->shells = d->geo.max_clients;
	/* Without membarrier the publisher must always fence and look. */
	d->status->state_waiters = d->hot_fence;
	return 0;
}

static int make_epolls(struct broker *b)
{
	int rc;

	b->epfd = venom_own(epoll_create1(EPOLL_CLOEXEC));
	b->server_epfd = venom_own(epoll_create1(EPOLL_CLOEXEC));
	b->quit = venom_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	b->server_bell = venom_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (b->epfd < 0 || b->server_epfd < 0 || b->quit < 0 || b->server_bell < 0)
		return -errno;
	b->spare = venom_own(fcntl(b->quit, F_DUPFD_CLOEXEC, 0));
	if (b->spare < 0)
		return -errno;
	rc = epoll_watch(b->epfd, b->quit, EPOLLIN, &b->quit);
	if (!rc)
		rc = epoll_watch(b->server_epfd, b->server_bell, EPOLLIN | EPOLLET, NULL);
	return rc;
}

/*
 * A process's table of descriptors grows by copies, and where there are threads each waits for all CPUs to have seen it,
 * 10 ms and more (expand_files() in the kernel, synchronize_rcu()).  So let it grow now, not while a shell connects.
 */
static void grow_table(struct broker *b)
{
	int most = b->spare + 4 * (int)b->d->cfg.max_clients + PENDING_MAX;
	struct rlimit limit;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	fd = fcntl(b->spare, F_DUPFD_CLOEXEC, (rlim_t)most < limit.rlim_cur ? most : (int)limit.rlim_cur - 1);
	if (fd >= 0)
		close(fd);
}

static void broker_free(struct broker *b)
{
	struct venom_daemon *d = b->d;

	while (b->conns)
		conn_drop(b, b->conns);
	/* What the dead left unread goes with the channel. */
	for (uint32_t i = 0; i < d->geo.max_clients; i++)
		if (d->lanes[i])
			lane_free(d, d->lanes[i]);
	close_fd(&b->listener);
	close_fd(&b->removals);
	close_fd(&b->epfd);
	close_fd(&b->server_epfd);
	close_fd(&b->quit);
	close_fd(&b->spare);
	close_fd(&b->server_bell);
	close_fd(&b->status_fd);
	close_fd(&b->state_fd);
	area_unmap(&d->state_map);
	area_unmap(&d->status_map);
	name_give_back(&b->name);
	free(b->reserved);
	free(b->waiters);
	free(b);
}

static void broker_stop(struct broker *b)
{
	store_release(&b->stop, 1);
	ring(b->quit);
	pthread_join(b->thread, NULL);
}

static int memfd_create_daemon(struct venom_daemon *d)
{
	struct broker *b = calloc(1, sizeof(*b));
	int rc = -ENOMEM;

	if (!b)
		return rc;
	b->d = d;
	d->broker = b;
	b->epfd = b->listener = b->quit = b->spare = b->server_epfd = b->server_bell = -1;
	b->status_fd = b->state_fd = b->name.lock_fd = b->name.place.fd = b->removals = -1;
	b->reserved = calloc(d->cfg.max_clients, sizeof(*b->reserved));
	b->waiters = calloc(d->cfg.max_clients, sizeof(*b->waiters));
	if (b->reserved && b->waiters)
		rc = name_take(&b->name, d->name, d->cfg.mode, &b->d->epoch);
	if (!rc)
		rc = make_state(b);
	if (!rc)
		rc = make_status(b);
	if (!rc)
		rc = make_epolls(b);
	if (rc)
		goto fail;
	grow_table(b);
	watch_place(b); /* before our socket is there: it can't be removed unseen */
	/* From here on others see it; they wait in the backlog for the broker. */
	rc = name_listen(&b->name, d->cfg.mode, &b->listener);
	if (!rc)
		rc = epoll_watch(b->epfd, b->listener, EPOLLIN, &b->listener);
	if (!rc)
		rc = venom_thread_start(&b->thread, broker_main, b);
	if (rc)
		goto fail;
	return 0;
fail:
	broker_free(b);
	return rc;
}

static void memfd_destroy_daemon(struct venom_daemon *d)
{
	struct broker *b = d->broker;

	store_release(&d->status->daemon, VENOM_DAEMON_GONE);
	broker_stop(b);
	name_hide(&b->name);
	broker_free(b); /* hangs up, which wakes all who sleep */
}

/* ---- bells ------------------------------------------------------------------------- */

static int daemon_fd(struct venom_daemon *d)
{
	return ((struct broker *)d->broker)->server_epfd;
}

static int daemon_sleep(struct venom_daemon *d, int64_t ns)
{
	int rc = epoll_sleep(daemon_fd(d), ns);

	return rc < 0 ? rc : rc != 0;
}

static void daemon_bell(struct venom_daemon *d)
{
	ring(((struct broker *)d->broker)->server_bell);
}

static void wake_shell(struct venom_daemon *d, struct venom_lane *l)
{
	count_up(&d->state->answer_wakes, 1);
	ring(l->bell);
}

/* The publisher's.  A lane stays valid while `ringing` is set: waiters_remove waits for that. (model: wake-state) */
static void wake_state(struct venom_daemon *d)
{
	struct broker *b = d->broker;
	uint32_t n;

	store_relaxed(&b->ringing, 1);
	fence_full(); /* pairs with fence_full in venom_arm (version before sleeping word) and waiters_remove */
	n = load_acquire(&b->nwaiters);
	for (uint32_t i = 0; i < n; i++) {
		struct venom_lane *l = load_acquire(&b->waiters[i]);

		if (l && venom_asleep(&l->cmd->sleeping, VENOM_ASLEEP_STATE, &l->signalled_state)) {
			count_up(&d->state->state_wakes, 1);
			ring(l->bell);
		}
	}
	store_release(&b->ringing, 0);
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
	.daemon_fd = daemon_fd,
	.daemon_sleep = daemon_sleep,
	.daemon_bell = daemon_bell,
	.wake_shell = wake_shell,
	.wake_state = wake_state,
	.lane_free = lane_free,
	.lane_evict = lane_evict,
	.connect = memfd_connect,
	.close = memfd_close,
	.shell_fd = memfd_shell_fd,
	.shell_sleep = memfd_shell_sleep,
	.wake_daemon = memfd_wake_daemon,
	.watch = memfd_watch,
	.alive = memfd_alive,
	.lives = memfd_lives,
	.list = memfd_list,
	.stat = memfd_stat,
};

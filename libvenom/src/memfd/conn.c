/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: the manager's connections, one for each shell.  The manager does what the kernel module does in the
 * other backend (memfd/proto.h).
 *
 *	conn_accept -> conn_hello -> conn_attach	a shell connects
 *	conn_drop					it leaves or dies: hang-up, or its pidfd
 *
 * The eventfds.  The daemon makes both eventfds of a shell, so that no shell can make the daemon block:
 *
 * - The daemon signals lane.shell_bell.  It does not share this eventfd: the shell gets an epoll that watches it.  With the
 *   eventfd, the shell could change its O_NONBLOCK and count under the daemon's write.
 * - The shell signals lane.daemon_bell.  The daemon only watches it.
 *
 * Both are edge-triggered and never read.  A hostile daemon can make a shell block on the shared lane.daemon_bell.  A
 * socket instead would prevent that, but the server would have to read it; a shell could send descriptors on it, and
 * to close those can block the server.  The daemon is the side to protect.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "memfd/daemon.h"

/* A connection; once it has attached, a shell. */
struct conn {
	struct conn *next, **prev;
	int sock, pidfd;
	struct venom_cred cred;
	bool may_read, may_command;
	bool attached;
	struct venom_lane *lane; /* from HELLO on */
};

/* ---- access rights ------------------------------------------------------------ */

static bool in_group(int sock, const struct venom_cred *cred, gid_t gid)
{
	gid_t few[64], *groups = few;
	socklen_t len = sizeof(few);
	bool found = false;
	int rc;

	if (cred->gid == gid)
		return true;
	rc = getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &len);
	if (rc && errno == ERANGE) { /* len is now the size needed: 65536 groups at most */
		groups = malloc(len);
		rc = groups ? getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &len) : -1;
	}
	for (size_t i = 0; !rc && !found && i < len / sizeof(gid_t); i++)
		found = groups[i] == gid;
	if (groups != few)
		free(groups);
	return found;
}

static void conn_rights(struct memfd_daemon *m, struct conn *c)
{
	uint32_t bits = m->d->cfg.mode;

	if (c->cred.uid == 0)
		bits = 06;
	else if (c->cred.uid == geteuid())
		bits >>= 6;
	else if (in_group(c->sock, &c->cred, m->name.gid))
		bits >>= 3;
	c->may_read = bits & 04;
	c->may_command = bits & 02;
}

/* ---- lanes --------------------------------------------------------------------- */

/* Remove fd from the epoll explicitly: a close does not, while a forked child or the peer has the file open too. */
static void unwatch(int epfd, int fd)
{
	if (fd >= 0)
		epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
}

void memfd_lane_unmap(struct venom_daemon *d, struct venom_lane *l)
{
	unwatch(d->server.epfd, l->daemon_bell);
	if (d->publisher.epfd >= 0)
		unwatch(d->publisher.epfd, l->daemon_bell);
	area_unmap(&l->cmd_map);
	area_unmap(&l->rsp_map);
	close_fd(&l->shell_bell);
	close_fd(&l->daemon_bell);
	free(l->tags);
	free(l);
}

/* The shutdown raises a hang-up event, and conn_drop then does the rest. */
void memfd_lane_evict(struct venom_daemon *d, struct venom_lane *l)
{
	(void)d;
	shutdown(l->sock, SHUT_RDWR);
}

/* Each user other than root and the daemon's gets at most half of the ids, so none of them can lock the owner out. */
static bool has_share(struct memfd_daemon *m, uid_t uid)
{
	struct venom_daemon *d = m->d;
	uint32_t has = 0;

	if (!uid || uid == geteuid())
		return false;
	for (uint32_t i = 0; i < d->geo.max_clients; i++)
		has += d->lanes[i] && d->lanes[i]->cred.uid == uid;
	for (struct conn *c = m->conns; c; c = c->next)
		has += !c->attached && c->lane && c->cred.uid == uid;
	return has >= (d->geo.max_clients + 1) / 2;
}

static int free_id(struct memfd_daemon *m, uid_t uid)
{
	struct venom_daemon *d = m->d;

	venom_manager_tidy(d); /* frees the ids of lanes that are drained by now */
	for (uint32_t i = 0; i < d->geo.max_clients && !has_share(m, uid); i++)
		if (!d->lanes[i] && !m->reserved[i])
			return i;
	return -EUSERS;
}

static int lane_make(struct memfd_daemon *m, struct conn *c, int *rsp_fd, int *bell_fd)
{
	struct venom_daemon *d = m->d;
	int id = free_id(m, c->cred.uid), rc;
	struct venom_lane *l;

	*rsp_fd = *bell_fd = -1;
	if (id < 0)
		return id;
	l = venom_handle(sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->sock = -1;
	l->id = id;
	l->generation = ++m->generation;
	l->cred = c->cred;
	l->may_command = c->may_command;
	l->shell_bell = venom_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	l->daemon_bell = venom_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	*bell_fd = venom_own(epoll_create1(EPOLL_CLOEXEC));
	rc = l->shell_bell < 0 || l->daemon_bell < 0 || *bell_fd < 0 ? -errno : 0;
	if (!rc)
		rc = epoll_watch(*bell_fd, l->shell_bell, EPOLLIN | EPOLLET, NULL);
	if (!rc)
		rc = epoll_watch(d->server.epfd, l->daemon_bell, EPOLLIN | EPOLLET, NULL);
	if (!rc)
		rc = area_make(&l->rsp_map, rsp_fd, "responses", venom_responses_bytes(&d->geo), 0);
	if (rc)
		goto fail;
	l->rsp = l->rsp_map.p;
	venom_head_make(&l->rsp->head, VENOM_AREA_RESPONSES, l->rsp_map.size, m->d->epoch, l->id, l->generation);
	venom_slots_init(&l->out, l->rsp, d->geo.cmd_slots, sizeof(struct venom_slot), d->geo.resp_size);
	l->tags = venom_zeroes("table of requests", l->out.mask + 1UL, sizeof(*l->tags));
	if (!l->tags) {
		rc = -ENOMEM;
		goto fail;
	}
	c->lane = l;
	m->reserved[id] = true;
	return 0;

fail:
	close_fd(rsp_fd);
	close_fd(bell_fd);
	memfd_lane_unmap(d, l);
	return rc;
}

/* ---- connections ---------------------------------------------------------------- */

/* Shut down, then close: a child made by clone(2) may hold the socket too, and the shell would see no hang-up. */
static void hang_up(struct conn *c)
{
	if (c->sock >= 0)
		shutdown(c->sock, SHUT_RDWR);
	close_fd(&c->sock);
}

static void conn_drop(struct memfd_daemon *m, struct conn *c)
{
	struct venom_daemon *d = m->d;
	struct venom_lane *l = c->lane;

	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	unwatch(m->d->manager.own.epfd, c->sock);
	unwatch(m->d->manager.own.epfd, c->pidfd);
	if (c->attached) {
		if (l->watching) {
			venom_readers_remove(&d->waiters, &l->reader);
			store_relaxed(&d->status->state_waiters, d->status->state_waiters - 1);
		}
		store_release(&d->status->shell[l->id].life, VENOM_SHELL_NONE);
		store_relaxed(&d->status->attached, d->status->attached - 1);
		store_release(&d->status->changes, d->status->changes + 1);
		l->sock = -1;
		venom_manager_gone(d, l);
	} else {
		m->pending--;
		if (l) {
			m->reserved[l->id] = false;
			memfd_lane_unmap(d, l);
		}
	}
	hang_up(c);
	close_fd(&c->pidfd);
	free(c);
}

static int refuse(struct memfd_daemon *m, struct conn *c, int err, enum proto_type type)
{
	struct proto_head head;

	count_up(&m->d->status->refused, 1);
	venom_log("%s: pid %u, uid %u was not let in: %s", m->d->name, c->cred.pid, c->cred.uid, strerror(-err));
	proto_send(c->sock, &head, sizeof(head), type, proto_refusal(err), NULL, 0);
	return err;
}

static int conn_hello(struct memfd_daemon *m, struct conn *c)
{
	struct proto_welcome w = {.may_command = c->may_command, .epoch = m->d->epoch};
	int rsp_fd, bell_fd, rc;

	if (c->lane)
		return -EPROTO;
	if (!c->may_read)
		return refuse(m, c, -EACCES, PROTO_WELCOME);
	rc = lane_make(m, c, &rsp_fd, &bell_fd);
	if (rc)
		return refuse(m, c, rc, PROTO_WELCOME);
	w.id = c->lane->id;
	w.generation = c->lane->generation;
	rc = proto_send(c->sock, &w, sizeof(w), PROTO_WELCOME, 0,
			(int[]){[FD_STATUS] = m->status_fd,
				[FD_STATE] = m->state_fd,
				[FD_RESPONSES] = rsp_fd,
				[FD_SLEEP] = bell_fd,
				[FD_DAEMON_BELL] = c->lane->daemon_bell},
			PROTO_FDS);
	close_fd(&rsp_fd);
	close_fd(&bell_fd);
	return rc && rc != -EPIPE ? refuse(m, c, rc, PROTO_WELCOME) : rc;
}

static int conn_attach(struct memfd_daemon *m, struct conn *c, int fd)
{
	struct venom_daemon *d = m->d;
	struct venom_lane *l = c->lane;
	struct proto_head head;
	int rc;

	if (!l || c->attached)
		return -EPROTO;
	rc = area_open(&l->cmd_map, fd, "commands", venom_commands_bytes(&d->geo), false);
	if (!rc)
		rc = venom_head_check(l->cmd_map.p, VENOM_AREA_COMMANDS, l->cmd_map.size);
	if (rc)
		return refuse(m, c, rc, PROTO_READY);
	l->cmd = l->cmd_map.p;
	venom_slots_init(&l->in, l->cmd_map.p, d->geo.cmd_slots, venom_command_head(d->geo.flags), d->geo.cmd_size);

	/* Watch the shell's pidfd, too: a forked child of the shell may keep the socket open after its death. */
	c->pidfd = peer_pidfd(c->sock, &c->cred);
	if (c->pidfd >= 0) {
		rc = epoll_watch(m->d->manager.own.epfd, c->pidfd, EPOLLIN, c);
		if (rc)
			return refuse(m, c, rc, PROTO_READY);
	}
	venom_reader_init(&l->reader, l->cmd);
	venom_readers_serve(d, l);
	l->sock = c->sock;
	c->attached = true;
	m->pending--;
	m->reserved[l->id] = false;
	store_relaxed(&d->status->shell[l->id].generation, l->generation);
	store_release(&d->status->shell[l->id].life, VENOM_SHELL_ALIVE);
	store_relaxed(&d->status->attached, d->status->attached + 1);
	store_release(&d->status->changes, d->status->changes + 1);
	venom_manager_add(d, l);
	return proto_send(c->sock, &head, sizeof(head), PROTO_READY, 0, NULL, 0);
}

/* model: wake-state */
static int conn_watch(struct memfd_daemon *m, struct conn *c)
{
	struct venom_daemon *d = m->d;
	struct proto_head head;

	if (!c->attached)
		return -EPROTO;
	if (!c->lane->watching) {
		venom_readers_add(&d->waiters, &c->lane->reader);
		c->lane->watching = true;
		store_release(&d->status->state_waiters, d->status->state_waiters + 1);
		/* barrier.h 6: if a publish misses this, the shell sees its version: it checks after our answer. */
		if (!d->hot_fence)
			venom_membarrier();
	}
	return proto_send(c->sock, &head, sizeof(head), PROTO_READY, 0, NULL, 0);
}

static int conn_roles(struct memfd_daemon *m, struct conn *c)
{
	if (!c->attached)
		return -EPROTO;
	venom_readers_serve(m->d, c->lane);
	return 0;
}

static int conn_observe(struct memfd_daemon *m, struct conn *c, uint32_t first)
{
	struct venom_daemon *d = m->d;
	struct venom_daemon_stats st;
	struct proto_observed *observed;
	int rc;

	if (!c->may_read)
		return refuse(m, c, -EACCES, PROTO_OBSERVED);
	observed = calloc(1, sizeof(*observed));
	if (!observed)
		return refuse(m, c, -ENOMEM, PROTO_OBSERVED);
	venom_daemon_stats(d, &st);
	observed->geo = d->geo;
	observed->schema = d->state->schema;
	observed->epoch = d->epoch;
	observed->versions = st.versions;
	observed->commands = st.commands;
	observed->responses = st.responses;
	observed->stale = st.stale;
	observed->wakes = st.wakes;
	observed->sleeps = st.sleeps;
	observed->refused = st.refused;
	observed->evicted = st.evicted;
	observed->passed = st.passed;
	observed->held_up = st.held_up;
	observed->full = st.full;
	observed->cut = st.cut;
	observed->clients = st.clients;
	for (uint32_t i = first; i < d->geo.max_clients; i++) {
		struct venom_lane *l = d->lanes[i];
		struct proto_peer *p = &observed->peers[observed->npeers];

		if (!l || l->gone)
			continue;
		if (observed->npeers == PROTO_PEERS) {
			observed->next = i;
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
		observed->npeers++;
	}
	rc = proto_send(c->sock, observed, sizeof(*observed), PROTO_OBSERVED, 0, NULL, 0);
	free(observed);
	return rc;
}

/* Handle one message of c; if the result is negative, the caller drops c. */
static int conn_message(struct memfd_daemon *m, struct conn *c)
{
	int fds[PROTO_FDS], nfds, rc = -EPROTO;
	union proto_any msg;
	ssize_t n = proto_recv_any(c->sock, &msg, fds, &nfds);

	if (n == -EAGAIN)
		return 0;
	if (n == -EPROTO || n == -EMFILE) /* a peer of another version can read it, too: the head never changes */
		refuse(m, c, n, PROTO_WELCOME);
	if (n < 0)
		return n;
	if (msg.head.type == PROTO_HELLO && n == sizeof(msg.head) && nfds == 0)
		rc = conn_hello(m, c);
	else if (msg.head.type == PROTO_ATTACH && n == sizeof(msg.head) && nfds == 1)
		rc = conn_attach(m, c, fds[0]);
	else if (msg.head.type == PROTO_WATCH && n == sizeof(msg.head) && nfds == 0)
		rc = conn_watch(m, c);
	else if (msg.head.type == PROTO_ROLES && n == sizeof(msg.head) && nfds == 0)
		rc = conn_roles(m, c);
	else if (msg.head.type == PROTO_OBSERVE && n == sizeof(msg.observe) && nfds == 0)
		rc = conn_observe(m, c, msg.observe.first);
	proto_close(fds, &nfds);
	return rc;
}

void conn_event(struct memfd_daemon *m, struct conn *c, uint32_t events)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
	int rc = 0;

	if (events & EPOLLIN)
		rc = conn_message(m, c);
	if (!rc && c->pidfd >= 0 && poll(&p, 1, 0) == 1)
		rc = -EPIPE;
	if (rc || (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
		conn_drop(m, c);
}

/* Out of descriptors: close the spare one, to accept a connection from the backlog and refuse it with the reason. */
static void turn_away(struct memfd_daemon *m, int err)
{
	struct conn c = {.pidfd = -1};

	close_fd(&m->spare);
	c.sock = venom_own(accept4(m->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
	if (c.sock >= 0) {
		peer_cred(c.sock, &c.cred);
		refuse(m, &c, err, PROTO_WELCOME);
		close_fd(&c.sock);
	}
	m->spare = venom_own(fcntl(m->d->manager.own.bell, F_DUPFD_CLOEXEC, 0));
	if (m->spare < 0)
		usleep(10000); /* another thread took it: don't spin on a backlog that can't be accepted */
}

void conn_accept(struct memfd_daemon *m)
{
	struct conn *c, *oldest;
	int sock = venom_own(accept4(m->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));

	if (sock < 0) {
		if (errno == EMFILE || errno == ENFILE)
			turn_away(m, -errno);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c || peer_cred(sock, &c->cred) || epoll_watch(m->d->manager.own.epfd, sock, EPOLLIN | EPOLLRDHUP, c)) {
		free(c);
		close_fd(&sock);
		return;
	}
	c->sock = sock;
	c->pidfd = -1;
	conn_rights(m, c);
	/* Drop the oldest pending connection: peers that connect and send nothing must not lock others out. */
	if (m->pending >= PENDING_MAX) {
		oldest = NULL;
		for (struct conn *o = m->conns; o; o = o->next)
			if (!o->attached)
				oldest = o;
		conn_drop(m, oldest);
	}
	c->next = m->conns;
	c->prev = &m->conns;
	if (c->next)
		c->next->prev = &c->next;
	m->conns = c;
	m->pending++;
}

void conn_drop_all(struct memfd_daemon *m)
{
	while (m->conns)
		conn_drop(m, m->conns);
}

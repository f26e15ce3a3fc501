/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: the shell's side of the broker, and who only looks.
 *
 *	memfd_connect = dial (the socket) -> HELLO -> map the state -> make commands[i] -> ATTACH -> map the rest
 *	memfd_list, memfd_stat = dial -> LOOK
 *
 * The daemon's death shows on the socket, and on its pidfd where a forked child of it keeps the other end open.
 */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include "proto.h"

#define CONNECT_TRIES 64
#define ANSWER_NS     10000000000 /* how long a broker may take; it is a thread that does nothing else */

/* ---- the socket ---------------------------------------------------------------- */

struct link {
	int sock, pidfd;
	struct venom_cred daemon;
};

/* Whether the other end is there to stay. */
static bool link_alive(int sock, int pidfd)
{
	struct pollfd p[2] = {{.fd = sock, .events = POLLRDHUP}, {.fd = pidfd, .events = POLLIN}};

	return poll(p, 2, 0) <= 0; /* a descriptor of -1 is passed over */
}

static int silent(void)
{
	return venom_fail(-ETIMEDOUT, "the daemon's process does not answer: is it stopped?");
}

/* Wait for the broker's next message: 1, or 0 when the time is up. */
static int link_wait(int sock, int pidfd, int64_t timeout_ns)
{
	struct pollfd p[2] = {{.fd = sock, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
	int64_t left = timeout_ns, start = now_ns();
	struct timespec ts;
	int n;

	do {
		ts = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
		n = ppoll(p, 2, left < 0 ? NULL : &ts, NULL);
		if (left > 0)
			left = timeout_ns - (now_ns() - start) > 0 ? timeout_ns - (now_ns() - start) : 0;
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : 0;
	/* What it said before its end still counts. */
	return p[0].revents & POLLIN ? 1 : -EPIPE;
}

/* Hung up, not just closed: a child that clone(2) made may have the socket, too, and keep our place with it. */
static void link_close(struct link *k)
{
	if (k->sock >= 0)
		shutdown(k->sock, SHUT_RDWR);
	close_fd(&k->sock);
	close_fd(&k->pidfd);
}

/* Connect, within the time (0: at once, or -EAGAIN). */
static int dial_socket(int sock, const struct sockaddr_un *addr, int64_t patience_ns)
{
	int64_t start = now_ns(), left = patience_ns;
	struct timeval tv;

	for (;;) {
		/* A stopped broker's backlog may be full; and each signal would begin the wait anew. */
		tv = (struct timeval){.tv_sec = left / 1000000000, .tv_usec = left % 1000000000 / 1000};
		if (left)
			setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
		if (!connect(sock, (const struct sockaddr *)addr, sizeof(*addr)))
			return 0;
		if (errno != EINTR)
			return -errno;
		left = patience_ns - (now_ns() - start);
		if (left < 1000)
			return -EAGAIN;
	}
}

/* 0, or -ENOENT: nobody who lives listens there; -EAGAIN: one does, and was not ready for us in time. */
static int dial_place(struct link *k, const struct place *p, const char *name, int64_t patience_ns)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int rc;

	k->pidfd = -1;
	k->sock = -1;
	rc = path_join(addr.sun_path, p, name);
	if (rc)
		return rc;
	k->sock = venom_own(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | (patience_ns ? 0 : SOCK_NONBLOCK), 0));
	if (k->sock < 0)
		return -errno;
	rc = dial_socket(k->sock, &addr, patience_ns);
	if (!rc)
		rc = peer_cred(k->sock, &k->daemon);
	if (!rc) {
		k->pidfd = peer_pidfd(k->sock, &k->daemon);
		/* A dead daemon's child may still hold its listening socket; ours may be hung up with a reason in it. */
		if (!link_alive(-1, k->pidfd))
			rc = -ENOENT;
		/* The path led somewhere else than to this place. */
		else if (k->daemon.uid != p->owner && k->daemon.uid)
			rc = -ENOENT;
	}
	if (rc == -ECONNREFUSED || rc == -ENOTDIR || rc == -ELOOP)
		rc = -ENOENT;
	if (rc == -EACCES && stat(addr.sun_path, &st))
		rc = venom_fail(-EACCES, "%s can't be searched", p->path);
	if (rc)
		link_close(k);
	return rc;
}

bool name_lives(const struct place *p, const char *name, uid_t *uid)
{
	struct link k;
	int rc = dial_place(&k, p, name, 0);

	*uid = rc ? p->owner : k.daemon.uid;
	if (!rc)
		link_close(&k);
	return !rc || rc == -EAGAIN || rc == -EACCES;
}

struct dial {
	struct link *k;
	const char *name;
	int found; /* links in k[]: of others, two at the most */
	int err; /* why one that is there could not be reached */
};

static int dial_one(const struct place *p, void *user)
{
	struct dial *d = user;
	struct link *k = &d->k[d->found];
	int rc = dial_place(k, p, d->name, ANSWER_NS);

	if (rc == -ENOENT)
		return 0;
	if (rc) {
		d->err = rc == -EAGAIN ? silent() : rc;
		return p->owner == geteuid() || !p->owner ? d->err : 0;
	}
	d->found++;
	/* This user's and root's come first; of all the others there can be only one. */
	return p->owner == geteuid() || !p->owner || d->found == 2;
}

static int dial(struct link *k, const char *name)
{
	struct link both[2];
	struct dial d = {.k = both, .name = name};
	int rc;

	venom_errmsg_clear();
	rc = place_each(dial_one, &d);

	if (d.found == 2) {
		rc = venom_fail(-EEXIST, "two daemons have the name, user %u's and user %u's: it is not clear which is meant",
				both[0].daemon.uid, both[1].daemon.uid);
		link_close(&both[0]);
		link_close(&both[1]);
		return rc;
	}
	if (d.found) {
		*k = both[0];
		return 0;
	}
	if (d.err)
		rc = d.err;
	if (!rc)
		return venom_fail(-ENOENT, "no living daemon has the name");
	if (rc == -EACCES && !*venom_errmsg())
		return venom_fail(-EACCES, "the channel's mode does not let this user in");
	return rc;
}

static int tell(int sock, void *msg, size_t size, enum proto_type type, int fd)
{
	int rc = proto_send(sock, msg, size, type, 0, &fd, fd >= 0);

	if (rc == -ETOOMANYREFS)
		return -EMFILE; /* with its sentence */
	/* A broker that hung up may have said why. */
	return rc == -EPIPE ? 0 : rc;
}

static int hear(int sock, int pidfd, void *msg, size_t size, enum proto_type type, int *fds, int nfds)
{
	int rc = link_wait(sock, pidfd, ANSWER_NS);

	if (rc <= 0)
		return rc ? rc : silent();
	return proto_recv(sock, msg, size, type, fds, nfds);
}

/* ---- connecting ------------------------------------------------------------------ */

static int open_state(struct venom_shell *s, int fd)
{
	int rc;

	rc = area_open(&s->state_map, fd, "state", 0, true);
	if (rc)
		return rc;
	s->state = s->state_map.p;
	if (s->state_map.size < sizeof(*s->state))
		return venom_fail(-EPROTO, "the state area's size is %zu: too small for its header", s->state_map.size);
	rc = venom_head_check(&s->state->head, VENOM_AREA_STATE, s->state_map.size);
	if (rc)
		return rc;
	s->geo = s->state->geo;
	compiler_barrier(); /* what is checked is the copy, not the area read again */
	rc = venom_geometry_check(&s->geo, s->state_map.size);
	if (!rc && s->id >= s->geo.max_clients)
		rc = venom_fail(-EPROTO, "the daemon gave id %u, and max_clients is %u", s->id, s->geo.max_clients);
	return rc;
}

static int open_rest(struct venom_shell *s, const int *fds)
{
	int rc;

	rc = area_open(&s->status_map, fds[FD_STATUS], "status", venom_status_bytes(s->geo.max_clients), false);
	if (rc)
		return rc;
	s->status = s->status_map.p;
	rc = venom_head_check(&s->status->head, VENOM_AREA_STATUS, s->status_map.size);
	if (rc)
		return rc;

	rc = area_open(&s->rsp_map, fds[FD_RESPONSES], "responses", venom_responses_bytes(&s->geo), false);
	if (rc)
		return rc;
	s->rsp = s->rsp_map.p;
	return venom_head_check(&s->rsp->head, VENOM_AREA_RESPONSES, s->rsp_map.size);
}

static int attach(struct venom_shell *s)
{
	struct proto_head head;
	int fd, rc;

	rc = area_make(&s->cmd_map, &fd, "commands", venom_commands_bytes(&s->geo), 0);
	if (rc)
		return rc;
	s->cmd = s->cmd_map.p;
	venom_head_make(&s->cmd->head, VENOM_AREA_COMMANDS, s->cmd_map.size, s->epoch, s->id, s->generation);
	rc = tell(s->sock, &head, sizeof(head), PROTO_ATTACH, fd);
	close_fd(&fd);
	return rc;
}

static int take_bells(struct venom_shell *s)
{
	struct stat st;
	int rc;

	/* What we ring is written to: an eventfd, which has no type, and not a pipe that nobody reads, which would kill us. */
	if (fstat(s->bell, &st) || (st.st_mode & S_IFMT))
		return venom_fail(-EPROTO, "the daemon gave no bell to ring");
	rc = epoll_watch(s->their_bell, s->sock, EPOLLRDHUP, s);
	if (!rc && s->pidfd >= 0)
		rc = epoll_watch(s->their_bell, s->pidfd, EPOLLIN, s);
	return rc == -EINVAL ? venom_fail(-EPROTO, "the daemon gave no epoll to wait on") : rc;
}

static int connect_once(struct venom_shell *s)
{
	struct proto_head head;
	struct proto_welcome w;
	int fds[PROTO_FDS];
	struct link k;
	int rc;

	s->sock = s->pidfd = s->bell = s->their_bell = -1;
	rc = dial(&k, s->name);
	if (rc)
		return rc;
	rc = tell(k.sock, &head, sizeof(head), PROTO_HELLO, -1);
	if (!rc)
		rc = hear(k.sock, k.pidfd, &w, sizeof(w), PROTO_WELCOME, fds, PROTO_FDS);
	if (rc) {
		link_close(&k);
		return rc;
	}
	s->sock = k.sock;
	s->pidfd = k.pidfd;
	s->daemon = k.daemon;
	s->id = w.id;
	s->generation = w.generation;
	s->may_command = w.may_command;
	s->epoch = w.epoch;
	s->bell = fds[FD_THEIR_BELL];
	s->their_bell = fds[FD_BELL];

	rc = open_state(s, fds[FD_STATE]);
	if (!rc)
		rc = attach(s);
	/* The rest while the broker looks at that. */
	if (!rc)
		rc = open_rest(s, fds);
	close_fd(&fds[FD_STATUS]);
	close_fd(&fds[FD_STATE]);
	close_fd(&fds[FD_RESPONSES]);
	if (!rc)
		rc = take_bells(s);
	if (!rc)
		rc = hear(s->sock, s->pidfd, &head, sizeof(head), PROTO_READY, NULL, 0);
	if (rc)
		memfd_close(s);
	return rc;
}

int memfd_connect(struct venom_shell *s)
{
	int rc, tries = 0;

	/* Hung up on half-way: it died, which the next dial tells, or it had to make room among many who came at once. */
	do {
		rc = connect_once(s);
	} while (rc == -EPIPE && ++tries < CONNECT_TRIES);
	return rc == -EPIPE ? silent() : rc;
}

void memfd_close(struct venom_shell *s)
{
	area_unmap(&s->cmd_map);
	area_unmap(&s->rsp_map);
	area_unmap(&s->state_map);
	area_unmap(&s->status_map);
	close_fd(&s->their_bell);
	close_fd(&s->bell);
	link_close(&(struct link){.sock = s->sock, .pidfd = s->pidfd});
	s->sock = s->pidfd = -1;
}

/* ---- bells and death --------------------------------------------------------------- */

int memfd_shell_fd(struct venom_shell *s)
{
	return s->their_bell;
}

bool memfd_alive(struct venom_shell *s)
{
	NO_CANCEL;

	return link_alive(s->sock, s->pidfd);
}

int memfd_shell_sleep(struct venom_shell *s, int64_t ns)
{
	int rc = epoll_sleep(s->their_bell, ns);

	if (rc <= 1)
		return rc;
	return memfd_alive(s) ? 1 : -EPIPE;
}

void memfd_wake_daemon(struct venom_shell *s)
{
	ring(s->bell);
}

/* Whether a message of the broker wakes us, too: its end always does. */
static int heed(struct venom_shell *s, uint32_t messages)
{
	struct epoll_event ev = {.events = EPOLLRDHUP | messages, .data.ptr = s};

	return epoll_ctl(s->their_bell, EPOLL_CTL_MOD, s->sock, &ev) ? -errno : 0;
}

/* model: wake-state */
int memfd_watch(struct venom_shell *s, int64_t timeout_ns)
{
	struct proto_head head;
	int rc;

	if (!s->watch_asked) {
		rc = heed(s, EPOLLIN);
		if (!rc)
			rc = proto_send(s->sock, &head, sizeof(head), PROTO_WATCH, 0, NULL, 0);
		if (rc)
			return rc;
		s->watch_asked = true;
	}
	rc = link_wait(s->sock, s->pidfd, timeout_ns);
	if (rc <= 0)
		return rc;
	rc = proto_recv(s->sock, &head, sizeof(head), PROTO_READY, NULL, 0);
	if (rc)
		return rc == -EPIPE ? rc : -EPROTO;
	s->watch_asked = false;
	return heed(s, 0) ?: 1;
}

/* ---- looking --------------------------------------------------------------------------- */

static int look_ask(const struct link *k, uint32_t first)
{
	struct proto_look out = {.first = first};

	return tell(k->sock, &out, sizeof(out), PROTO_LOOK, -1);
}

/* What a daemon said that was asked. */
static int look_take(const struct link *k, struct proto_looked *looked, uint32_t first)
{
	int rc = proto_recv(k->sock, looked, sizeof(*looked), PROTO_LOOKED, NULL, 0);

	if (rc == -EPIPE)
		return venom_fail(-ENOENT, "no living daemon has the name");
	if (!rc)
		rc = venom_geometry_check(&looked->geo, 0);
	if (!rc && (looked->npeers > PROTO_PEERS || (looked->next && looked->next <= first)))
		rc = venom_fail(-EPROTO, "the daemon's list of shells is invalid");
	return rc;
}

static int look(const struct link *k, struct proto_looked *looked, uint32_t first)
{
	int rc = look_ask(k, first);

	if (!rc)
		rc = link_wait(k->sock, k->pidfd, ANSWER_NS);
	if (rc == -EPIPE)
		return venom_fail(-ENOENT, "no living daemon has the name");
	if (rc < 0)
		return rc;
	return rc ? look_take(k, looked, first) : silent();
}

/* Which process it is, the kernel knows; the name is the one that it was found under. */
static void look_info(const struct link *k, const char *name, const struct proto_looked *looked, struct venom_info *info)
{
	venom_info_make(info, "memfd", name, &looked->geo, looked->epoch, &k->daemon, true);
}

static void look_peer(const struct proto_peer *from, struct venom_peer *p)
{
	struct venom_cred cred = {.pid = from->pid, .uid = from->uid, .gid = from->gid};

	venom_peer_make(p, from->id, from->generation, &cred);
	venom_peer_numbers(p, &from->counts, from->received, from->responses);
}

int memfd_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
	       int (*fn)(const struct venom_peer *peer, void *user), void *user)
{
	struct proto_looked *looked;
	struct venom_peer peer;
	uint32_t first = 0;
	struct link k;
	int rc = dial(&k, name);

	if (rc)
		return rc;
	looked = malloc(sizeof(*looked));
	rc = looked ? look(&k, looked, 0) : -ENOMEM;
	if (!rc && info)
		look_info(&k, name, looked, info);
	if (!rc && st)
		*st = (struct venom_daemon_stats){
			.versions = looked->versions,
			.commands = looked->commands,
			.responses = looked->responses,
			.stale = looked->stale,
			.wakes = looked->wakes,
			.sleeps = looked->sleeps,
			.refused = looked->refused,
			.evicted = looked->evicted,
			.clients = looked->clients,
		};
	while (!rc && fn) {
		for (uint32_t i = 0; i < looked->npeers && !rc; i++) {
			look_peer(&looked->peers[i], &peer);
			rc = fn(&peer, user);
		}
		first = looked->next;
		if (rc || !first)
			break;
		rc = look(&k, looked, first);
	}
	free(looked);
	link_close(&k);
	return rc;
}

/*
 * All that are there are asked first, some dozens at a time, and then have a moment to answer.  Their brokers do nothing else:
 * a process that doesn't is stopped, or starved, and is listed as silent.
 */
#define ASK_AT_ONCE 64
#define LIST_NS	    300000000

struct asked {
	struct link k; /* sock -1: it is dead */
	bool silent; /* it could not even be asked */
	char name[VENOM_NAME_MAX + 1];
};

struct list {
	int (*fn)(const struct venom_info *info, void *user);
	void *user;
	int *count;
	int err; /* why one place could not be listed */
	struct proto_looked looked;
	unsigned int n;
	struct asked asked[ASK_AT_ONCE];
};

/* Give one to the user; what can't be looked at by this user does not exist for it. */
static int list_answer(struct list *l, struct asked *a, int64_t deadline)
{
	struct venom_info info = {.alive = a->silent};
	int64_t left = deadline - now_ns();
	int rc;

	if (a->k.sock >= 0) {
		rc = link_wait(a->k.sock, a->k.pidfd, left > 0 ? left : 0);
		info.alive = rc >= 0;
		if (rc == 1)
			rc = look_take(&a->k, &l->looked, 0);
		else if (rc == 0)
			a->silent = true;
		if (rc == -ENOENT || rc == -EPIPE)
			info.alive = false;
		else if (rc < 0)
			return 0;
		else if (!a->silent)
			look_info(&a->k, a->name, &l->looked, &info);
	}
	if (a->silent) {
		info.pid = a->k.daemon.pid;
		info.uid = a->k.daemon.uid;
		info.gid = a->k.daemon.gid;
	}
	snprintf(info.name, sizeof(info.name), "%s", a->name);
	++*l->count;
	return l->fn(&info, l->user);
}

static int list_answers(struct list *l)
{
	int64_t deadline = now_ns() + LIST_NS;
	int rc = 0;

	for (unsigned int i = 0; i < l->n; i++) {
		if (!rc)
			rc = list_answer(l, &l->asked[i], deadline);
		link_close(&l->asked[i].k);
	}
	l->n = 0;
	return rc;
}

static int list_ask(struct list *l, const struct place *p, const char *name)
{
	struct asked *a = &l->asked[l->n];
	char path[VENOM_PATH_MAX];
	struct stat st;
	int rc;

	if (*name == '.' || venom_name_check(name) || path_join(path, p, name))
		return 0;
	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return 0;
	*a = (struct asked){.k = {.sock = -1, .pidfd = -1, .daemon = {.uid = st.st_uid, .gid = st.st_gid}}};
	snprintf(a->name, sizeof(a->name), "%.*s", VENOM_NAME_MAX, name);
	rc = dial_place(&a->k, p, name, 0);
	a->silent = rc == -EAGAIN;
	if (!rc)
		rc = look_ask(&a->k, 0);
	if (rc && rc != -ENOENT && rc != -EAGAIN) {
		link_close(&a->k);
		if (rc != -EACCES)
			l->err = rc;
		return 0;
	}
	return ++l->n == ASK_AT_ONCE ? list_answers(l) : 0;
}

static int list_place(const struct place *p, void *user)
{
	struct list *l = user;
	DIR *dir = opendir(p->path);
	struct dirent *e;
	int rc = 0;

	if (!dir)
		l->err = errno == ENOENT ? l->err : venom_fail(-errno, "%s can't be read: %s", p->path, venom_reason(errno));
	while (dir && !rc && (e = readdir(dir)))
		rc = list_ask(l, p, e->d_name);
	if (dir)
		closedir(dir);
	return rc;
}

int memfd_list(int (*fn)(const struct venom_info *info, void *user), void *user, int *count)
{
	struct list *l = calloc(1, sizeof(*l));
	int rc, last;

	if (!l)
		return -ENOMEM;
	*l = (struct list){.fn = fn, .user = user, .count = count};
	rc = place_each(list_place, l);
	/* Those asked last; not after the user's own word, but where a folder could not be read. */
	last = list_answers(l);
	rc = last ? last : rc ? rc : l->err;
	free(l);
	return rc;
}

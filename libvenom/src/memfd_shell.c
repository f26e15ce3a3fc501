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

static void link_close(struct link *k)
{
	close_fd(&k->sock);
	close_fd(&k->pidfd);
}

static int dial_path(struct link *k, const char *path)
{
	struct timeval patience = {.tv_sec = ANSWER_NS / 1000000000};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int rc;

	k->pidfd = -1;
	strcpy(addr.sun_path, path);
	k->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (k->sock < 0)
		return -errno;
	/* A stopped broker's backlog may be full: don't wait in connect for ever. */
	setsockopt(k->sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	while ((rc = connect(k->sock, (struct sockaddr *)&addr, sizeof(addr))) && errno == EINTR)
		;
	if (rc)
		rc = errno == EAGAIN ? silent() : -errno;
	else
		rc = peer_cred(k->sock, &k->daemon);
	if (!rc) {
		k->pidfd = peer_pidfd(k->sock, &k->daemon);
		/* A dead daemon's child may still hold its listening socket; ours may be hung up with a reason in it. */
		if (!link_alive(-1, k->pidfd))
			rc = -ECONNREFUSED;
	}
	if (rc)
		link_close(k);
	return rc;
}

static int dial(struct link *k, const char *name)
{
	char dirs[2][VENOM_PATH_MAX], path[VENOM_PATH_MAX];
	int n = path_look(dirs), rc = 0;

	for (int i = 0; i < n; i++) {
		rc = path_join(path, dirs[i], name, "");
		if (!rc)
			rc = dial_path(k, path);
		if (rc != -ENOENT && rc != -ECONNREFUSED)
			break;
	}
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		return venom_fail(-ENOENT, "no living daemon has the name");
	if (rc == -EACCES || rc == -EPERM)
		return venom_fail(-EACCES, "the channel's mode does not let this user in");
	return rc;
}

static int tell(int sock, void *msg, size_t size, enum proto_type type, int fd)
{
	int rc = proto_send(sock, msg, size, type, 0, &fd, fd >= 0);

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

static const char *why_not(int rc)
{
	switch (rc) {
	case -EACCES:
		return "the channel's mode does not let this user read";
	case -EUSERS:
		return "max_clients shells are attached already";
	case -EMFILE:
	case -ENFILE:
		return "the daemon is out of descriptors: raise its limit (ulimit -n)";
	case -ENOMEM:
		return "the daemon is out of memory";
	default:
		return NULL;
	}
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
		if (why_not(rc))
			venom_fail(rc, "%s", why_not(rc));
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
	close(fds[FD_STATUS]);
	close(fds[FD_STATE]);
	close(fds[FD_RESPONSES]);
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
	close_fd(&s->pidfd);
	close_fd(&s->sock);
}

/* ---- bells and death --------------------------------------------------------------- */

int memfd_shell_fd(struct venom_shell *s)
{
	return s->their_bell;
}

bool memfd_alive(struct venom_shell *s)
{
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

/* model: wake-state */
int memfd_watch(struct venom_shell *s, int64_t timeout_ns)
{
	struct proto_head head;
	int rc;

	if (!s->watch_asked) {
		rc = proto_send(s->sock, &head, sizeof(head), PROTO_WATCH, 0, NULL, 0);
		if (rc)
			return rc;
		s->watch_asked = true;
	}
	rc = link_wait(s->sock, s->pidfd, timeout_ns);
	if (rc == 1) {
		rc = proto_recv(s->sock, &head, sizeof(head), PROTO_READY, NULL, 0);
		return !rc ? 1 : rc == -EPIPE ? rc : -EPROTO;
	}
	return rc;
}

/* ---- looking --------------------------------------------------------------------------- */

static int look(struct link *k, struct proto_looked *looked, uint32_t first)
{
	struct proto_look out = {.first = first};
	int rc = tell(k->sock, &out, sizeof(out), PROTO_LOOK, -1);

	if (!rc)
		rc = hear(k->sock, k->pidfd, looked, sizeof(*looked), PROTO_LOOKED, NULL, 0);
	if (rc == -EPIPE)
		return venom_fail(-ENOENT, "no living daemon has the name");
	if (rc == -EACCES)
		return venom_fail(rc, "%s", why_not(rc));
	if (rc)
		return rc;
	if (looked->npeers > PROTO_PEERS || (looked->next && looked->next <= first))
		return venom_fail(-EPROTO, "the daemon's list of shells can't be");
	looked->info.name[VENOM_NAME_MAX] = 0;
	looked->info.backend[sizeof(looked->info.backend) - 1] = 0;
	/* Who it is, the kernel knows better. */
	looked->info.pid = k->daemon.pid;
	looked->info.uid = k->daemon.uid;
	looked->info.gid = k->daemon.gid;
	return 0;
}

int memfd_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
	       int (*fn)(const struct venom_peer *peer, void *user), void *user)
{
	struct proto_looked *looked;
	uint32_t first = 0;
	struct link k;
	int rc = dial(&k, name);

	if (rc)
		return rc;
	looked = malloc(sizeof(*looked));
	rc = looked ? look(&k, looked, 0) : -ENOMEM;
	if (!rc) {
		if (info)
			*info = looked->info;
		if (st)
			*st = looked->stats;
	}
	while (!rc && fn) {
		for (uint32_t i = 0; i < looked->npeers && !rc; i++)
			rc = fn(&looked->peers[i], user);
		first = looked->next;
		if (rc || !first)
			break;
		rc = look(&k, looked, first);
	}
	free(looked);
	link_close(&k);
	return rc;
}

static int list_one(const char *dir, const char *name, struct proto_looked *looked)
{
	char path[VENOM_PATH_MAX];
	struct stat st;
	struct link k;
	int rc;

	if (*name == '.' || venom_name_check(name) || path_join(path, dir, name, ""))
		return -EINVAL;
	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return -EINVAL;
	memset(looked, 0, sizeof(*looked));
	rc = dial_path(&k, path);
	if (!rc) {
		rc = look(&k, looked, 0);
		link_close(&k);
	}
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		memset(looked, 0, sizeof(*looked)); /* its daemon is dead */
	else if (rc)
		return rc;
	strcpy(looked->info.name, name);
	return 0;
}

int memfd_list(int (*fn)(const struct venom_info *info, void *user), void *user, int *count)
{
	struct proto_looked *looked = malloc(sizeof(*looked));
	char dirs[2][VENOM_PATH_MAX];
	int n = path_look(dirs), rc = 0;

	if (!looked)
		return -ENOMEM;
	for (int i = 0; i < n && !rc; i++) {
		DIR *dir = opendir(dirs[i]);
		struct dirent *e;

		while (dir && !rc && (e = readdir(dir))) {
			if (list_one(dirs[i], e->d_name, looked))
				continue;
			++*count;
			rc = fn(&looked->info, user);
		}
		if (dir)
			closedir(dir);
	}
	free(looked);
	venom_errmsg_clear();
	return rc;
}

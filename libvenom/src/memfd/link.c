/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: a connection to a daemon's manager, for a shell or for an observer.
 *
 *	link_dial	find the channel in its place (memfd/path.c), connect to its socket
 *	link_send, link_receive	send one message, receive one
 *
 * The daemon's death shows on the socket, or, if a child of the daemon keeps the other end open, on the pidfd.
 */
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include "memfd/proto.h"

/* Whether the other end is alive: no hang-up, and its process has not ended. */
bool link_alive(int sock, int pidfd)
{
	struct pollfd p[2] = {{.fd = sock, .events = POLLRDHUP}, {.fd = pidfd, .events = POLLIN}};

	return poll(p, 2, 0) <= 0; /* poll ignores a descriptor of -1 */
}

/* Wait for the manager's next message: 1, or 0 when the time is up. */
int link_wait(int sock, int pidfd, int64_t timeout_ns)
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
	/* A message that the manager sent before its end is still valid. */
	return p[0].revents & POLLIN ? 1 : -EPIPE;
}

/* Shut down, then close: a child made by clone(2) may hold the socket too, and would keep the connection open. */
void link_close(struct link *k)
{
	if (k->sock >= 0)
		shutdown(k->sock, SHUT_RDWR);
	close_fd(&k->sock);
	close_fd(&k->pidfd);
}

/* Connect within patience_ns (0: at once), else -EAGAIN. */
static int dial_socket(int sock, const struct sockaddr_un *addr, int64_t patience_ns)
{
	int64_t start = now_ns(), left = patience_ns;
	struct timeval tv;

	for (;;) {
		/* A stopped manager's backlog may be full.  A signal restarts the wait: set the time that is left. */
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

/* 0; -ENOENT: no living daemon listens there; -EAGAIN: a daemon does, but did not accept in time. */
int link_dial_place(struct link *k, const struct place *p, const char *name, int64_t patience_ns)
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
		/*
		 * Check the pidfd only.  A dead daemon's child may still hold the listening socket; and our socket may
		 * be hung up already, with the reason still to be read.
		 */
		if (!link_alive(-1, k->pidfd))
			rc = -ENOENT;
		/* Neither the place's owner nor root listens: the path did not lead to this place. */
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
	int rc = link_dial_place(&k, p, name, 0);

	*uid = rc ? p->owner : k.daemon.uid;
	if (!rc)
		link_close(&k);
	return !rc || rc == -EAGAIN || rc == -EACCES;
}

struct dial {
	struct link *k;
	const char *name;
	int found; /* links in k[]; two only if both are to other users' daemons */
	int err; /* why a daemon that is there could not be reached */
};

static int dial_one(const struct place *p, void *user)
{
	struct dial *d = user;
	struct link *k = &d->k[d->found];
	int rc = link_dial_place(k, p, d->name, VENOM_PATIENCE_NS);

	if (rc == -ENOENT)
		return 0;
	if (rc) {
		d->err = rc == -EAGAIN ? venom_silent() : rc;
		return p->owner == geteuid() || !p->owner ? d->err : 0;
	}
	d->found++;
	/* This user's and root's places come first and end the search.  A second daemon of other users is an error. */
	return p->owner == geteuid() || !p->owner || d->found == 2;
}

int link_dial(struct link *k, const char *name)
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

int link_send(int sock, void *msg, size_t size, enum proto_type type, int fd)
{
	int rc = proto_send(sock, msg, size, type, 0, &fd, fd >= 0);

	if (rc == -ETOOMANYREFS)
		return -EMFILE; /* venom_errmsg() is set already */
	/* If the manager hung up, its reason may still be there: the caller is to read it. */
	return rc == -EPIPE ? 0 : rc;
}

int link_receive(int sock, int pidfd, void *msg, size_t size, enum proto_type type, int *fds, int nfds)
{
	int rc = link_wait(sock, pidfd, VENOM_PATIENCE_NS);

	if (rc <= 0)
		return rc ? rc : venom_silent();
	return proto_recv(sock, msg, size, type, fds, nfds);
}

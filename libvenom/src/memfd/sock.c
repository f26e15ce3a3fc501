/* SPDX-License-Identifier: MIT */
/* Embedded backend: messages, descriptors and credentials over the socket. */
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include "memfd/proto.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

union fd_control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int) * PROTO_FDS)];
};

int proto_send(int sock, void *msg, size_t size, enum proto_type type, int error, const int *fds, int nfds)
{
	struct iovec iov = {.iov_base = msg, .iov_len = size};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union fd_control control;

	*(struct proto_head *)msg = (struct proto_head){
		.magic = PROTO_MAGIC,
		.abi = VENOM_ABI,
		.type = type,
		.error = error,
	};
	if (nfds) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * nfds);
	}
	/* Never block: a peer that does not read its few messages counts as hung up. */
	if (sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size)
		return 0;
	if (errno == EAGAIN || errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
		return -EPIPE;
	if (errno == ETOOMANYREFS)
		return venom_fail(-ETOOMANYREFS, "this user has more descriptors in flight over sockets than the limit of "
				  "descriptors (ulimit -n) allows");
	return venom_fail(-errno, "a message can't be sent: %s", venom_reason(errno));
}

void proto_close(int *fds, int *nfds)
{
	while (*nfds)
		close_fd(&fds[--*nfds]);
}

/* Take the descriptors of a message, at most as many as fit in `control`, and mark them as the library's own. */
static int take_fds(struct msghdr *mh, int *fds)
{
	int n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			memcpy(&fds[n], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			fds[n] = venom_mark(fds[n]);
			n++;
		}
	}
	return n;
}

/* Receive any message.  Returns its length, and up to PROTO_FDS descriptors. */
ssize_t proto_recv_any(int sock, union proto_any *msg, int *fds, int *nfds)
{
	struct iovec iov = {.iov_base = msg, .iov_len = sizeof(*msg)};
	union fd_control control;
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	/* The control buffer is rounded up: it may hold more than it was made for. */
	int got[sizeof(control) / sizeof(int)], ngot = 0;
	bool crowded;
	ssize_t n;

	*nfds = 0;
	venom_fds_begin();
	n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	/* The peer closed before it had read all our messages.  This is reported once, before its own last messages. */
	if (n < 0 && errno == ECONNRESET)
		n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n >= 0)
		ngot = take_fds(&mh, got);
	venom_fds_end();
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n < 0)
		return errno == ECONNRESET || errno == ENOTCONN
			       ? -EPIPE
			       : venom_fail(-errno, "a message can't be received: %s", venom_reason(errno));
	crowded = ngot > PROTO_FDS;
	while (ngot > PROTO_FDS)
		close_fd(&got[--ngot]);
	memcpy(fds, got, (size_t)ngot * sizeof(int));
	*nfds = ngot;
	if (n == 0)
		n = -EPIPE;
	else if (crowded)
		n = venom_fail(-EPROTO, "a message came with more than %d descriptors", PROTO_FDS);
	else if (mh.msg_flags & MSG_CTRUNC)
		n = venom_fail(-EMFILE, "this process is out of descriptors: raise its limit (ulimit -n)");
	else if ((size_t)n < sizeof(msg->head) || (mh.msg_flags & MSG_TRUNC) || msg->head.magic != PROTO_MAGIC)
		n = venom_fail(-EPROTO, "the other side doesn't speak venom's protocol");
	else if (msg->head.abi != VENOM_ABI)
		n = venom_fail(-EPROTO, "the other side has ABI version %u, this library speaks %u: %s", msg->head.abi,
			       VENOM_ABI, venom_older(msg->head.abi));
	if (n < 0)
		proto_close(fds, nfds);
	return n;
}

/*
 * The errors with which a manager may refuse: the number in its message, the errno for the caller, and a sentence.  Any
 * other number is invalid: the caller would take it for an errno of this side.
 */
static const struct refusal {
	int error, rc;
	const char *why;
} refusals[] = {
	{-EACCES, -EACCES, "the channel's mode does not let this user read"},
	{-EUSERS, -EUSERS, "max_clients shells are attached already, or half of them for other users than the daemon's"},
	{-EMFILE, -EMFILE, "the daemon is out of descriptors: raise its limit (ulimit -n)"},
	{-ENFILE, -ENFILE, "the daemon is out of descriptors: the system's limit is reached"},
	{-ETOOMANYREFS, -EMFILE, "the daemon's user has too many descriptors in flight over sockets (its limit: ulimit -n)"},
	{-ENOMEM, -ENOMEM, "the daemon is out of memory, or of what its limits or its cgroup allow"},
	{-EPROTO, -EPROTO, "the daemon can't accept what this side sent: another version, or a broken message"},
	{-EIO, -EIO, "the daemon failed at a call of its own; with VENOM_LOG=1 it says which"},
};

static const struct refusal *refusal_of(int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].error == error)
			return &refusals[i];
	return NULL;
}

int proto_refusal(int err)
{
	return refusal_of(err) ? err : -EIO;
}

static int refused(int error)
{
	const struct refusal *r = refusal_of(error);

	if (!r)
		return venom_fail(-EPROTO, "the daemon refuses with the invalid error %d", error);
	return venom_fail(r->rc, "%s", r->why);
}

int proto_recv(int sock, void *msg, size_t size, enum proto_type type, int *fds, int nfds)
{
	int got[PROTO_FDS], ngot, rc = 0;
	union proto_any any;
	ssize_t n = proto_recv_any(sock, &any, got, &ngot);

	if (n < 0)
		return n;
	if (any.head.error < 0)
		rc = refused(any.head.error);
	else if ((size_t)n != size || any.head.type != type || ngot != nfds)
		rc = venom_fail(
			-EPROTO,
			"the daemon's message is type %u with %zd bytes and %d descriptors, not %u with %zu and %d",
			any.head.type, n, ngot, type, size, nfds);
	if (rc) {
		proto_close(got, &ngot);
		return rc;
	}
	memcpy(msg, &any, size);
	if (ngot)
		memcpy(fds, got, ngot * sizeof(int));
	return 0;
}

int peer_cred(int sock, struct venom_cred *cred)
{
	struct ucred uc;
	socklen_t len = sizeof(uc);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &uc, &len))
		return -errno;
	*cred = (struct venom_cred){.pid = uc.pid, .uid = uc.uid, .gid = uc.gid};
	return 0;
}

int peer_pidfd(int sock, const struct venom_cred *cred)
{
	socklen_t len = sizeof(int);
	int fd = -1;

	venom_fds_begin();
	if (!getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len))
		fd = venom_mark(fd);
	else if (cred->pid) /* the pid may be another process's by now: a hang-up of the socket still shows the death */
		fd = venom_mark((int)syscall(SYS_pidfd_open, cred->pid, 0));
	venom_fds_end();
	return fd;
}

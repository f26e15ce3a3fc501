/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: the shell's side of the manager's protocol.
 *
 *	memfd_connect = link_dial (the socket) -> HELLO -> map the state -> make commands[i] -> ATTACH -> map the rest
 */
#include <sys/epoll.h>
#include <sys/stat.h>
#include "memfd/proto.h"

#define CONNECT_TRIES 64

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
	compiler_barrier(); /* check the copy: the compiler must not read the area again */
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
	if (s->wants)
		s->cmd->wants = VENOM_ROLES_ASK(s->wants, 1);
	rc = link_send(s->sock, &head, sizeof(head), PROTO_ATTACH, fd);
	close_fd(&fd);
	return rc;
}

static int take_bells(struct venom_shell *s)
{
	struct stat st;
	int rc;

	/* We write to this fd, so it must have no file type, as an eventfd.  A pipe without readers would kill us. */
	if (fstat(s->daemon_bell, &st) || (st.st_mode & S_IFMT))
		return venom_fail(-EPROTO, "the daemon's bell is no eventfd");
	rc = epoll_watch(s->sleep_fd, s->sock, EPOLLRDHUP, s);
	if (!rc && s->pidfd >= 0)
		rc = epoll_watch(s->sleep_fd, s->pidfd, EPOLLIN, s);
	return rc == -EINVAL ? venom_fail(-EPROTO, "the daemon gave no epoll to wait on") : rc;
}

static int connect_once(struct venom_shell *s)
{
	struct proto_head head;
	struct proto_welcome w;
	int fds[PROTO_FDS];
	struct link k;
	int rc;

	s->sock = s->pidfd = s->daemon_bell = s->sleep_fd = -1;
	rc = link_dial(&k, s->name);
	if (rc)
		return rc;
	rc = link_send(k.sock, &head, sizeof(head), PROTO_HELLO, -1);
	if (!rc)
		rc = link_receive(k.sock, k.pidfd, &w, sizeof(w), PROTO_WELCOME, fds, PROTO_FDS);
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
	s->daemon_bell = fds[FD_DAEMON_BELL];
	s->sleep_fd = fds[FD_SLEEP];

	rc = open_state(s, fds[FD_STATE]);
	if (!rc)
		rc = attach(s);
	/* Map the rest while the manager checks the commands area. */
	if (!rc)
		rc = open_rest(s, fds);
	close_fd(&fds[FD_STATUS]);
	close_fd(&fds[FD_STATE]);
	close_fd(&fds[FD_RESPONSES]);
	if (!rc)
		rc = take_bells(s);
	if (!rc)
		rc = link_receive(s->sock, s->pidfd, &head, sizeof(head), PROTO_READY, NULL, 0);
	if (rc)
		memfd_close(s);
	return rc;
}

int memfd_connect(struct venom_shell *s)
{
	int rc, tries = 0;

	/* Hung up half-way: the daemon died (the next dial shows it), or it dropped us as too many came at once. */
	do {
		rc = connect_once(s);
	} while (rc == -EPIPE && ++tries < CONNECT_TRIES);
	return rc == -EPIPE ? venom_silent() : rc;
}

void memfd_close(struct venom_shell *s)
{
	area_unmap(&s->cmd_map);
	area_unmap(&s->rsp_map);
	area_unmap(&s->state_map);
	area_unmap(&s->status_map);
	close_fd(&s->sleep_fd);
	close_fd(&s->daemon_bell);
	link_close(&(struct link){.sock = s->sock, .pidfd = s->pidfd});
	s->sock = s->pidfd = -1;
}

/* ---- wake-ups, death --------------------------------------------------------------- */

bool memfd_alive(struct venom_shell *s)
{
	NO_CANCEL;

	return link_alive(s->sock, s->pidfd);
}

void memfd_wake_daemon(struct venom_shell *s)
{
	bell_signal(s->daemon_bell);
}

int memfd_ask(struct venom_shell *s)
{
	struct proto_head head;

	return proto_send(s->sock, &head, sizeof(head), PROTO_ROLES, 0, NULL, 0);
}

/* Let messages of the manager wake us as well (EPOLLIN), or not (0); its hang-up always does. */
static int heed(struct venom_shell *s, uint32_t messages)
{
	struct epoll_event ev = {.events = EPOLLRDHUP | messages, .data.ptr = s};

	return epoll_ctl(s->sleep_fd, EPOLL_CTL_MOD, s->sock, &ev) ? -errno : 0;
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

/* SPDX-License-Identifier: MIT */
#include "lib/fake.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/venom_test.h"

struct fake fake;
static int listener = -1, conn = -1;

long fake_listen(long name, long b, long c)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", getenv("VENOM_RUNTIME_DIR"), (const char *)name);
	VT_CHECK(!bind(listener, (struct sockaddr *)&addr, sizeof(addr)));
	VT_CHECK(!listen(listener, 8));
	return b + c;
}

long fake_close(long name, long b, long c)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", getenv("VENOM_RUNTIME_DIR"), (const char *)name);
	unlink(path);
	close(listener);
	return b + c;
}

static void make_good(void)
{
	uint64_t size;

	fake = (struct fake){
		.cfg = VENOM_CONFIG_INIT, .size = sizeof(fake.w), .type = PROTO_WELCOME, .nfds = PROTO_FDS};
	fake.cfg.max_clients = FAKE_CLIENTS;
	fake.cfg.cmd_slots = FAKE_SLOTS;
	fake.cfg.resp_size = FAKE_RESP_SIZE;
	venom_geometry_make(&fake.geo, &fake.cfg, 4096);
	size = venom_status_bytes(FAKE_CLIENTS);
	VT_CHECK(!area_make(&fake.status_map, &fake.fds[FD_STATUS], "status", size, 0));
	fake.status = fake.status_map.p;
	venom_head_make(&fake.status->head, VENOM_AREA_STATUS, size, 1, 0, 0);
	fake.status->daemon = VENOM_DAEMON_ALIVE;
	fake.status->owner = (uint32_t)gettid();
	fake.status->epoch = 1;
	fake.status->shells = FAKE_CLIENTS;
	fake.status->shell[0].generation = 1;
	fake.status->shell[0].life = VENOM_SHELL_ALIVE;
	size = venom_state_bytes(&fake.geo);
	VT_CHECK(!area_make(&fake.state_map, &fake.fds[FD_STATE], "state", size, 0));
	fake.state = fake.state_map.p;
	venom_head_make(&fake.state->head, VENOM_AREA_STATE, size, 1, 0, 0);
	fake.state->geo = fake.geo;
	size = venom_responses_bytes(&fake.geo);
	VT_CHECK(!area_make(&fake.rsp_map, &fake.fds[FD_RESPONSES], "responses", size, 0));
	fake.rsp = fake.rsp_map.p;
	venom_head_make(&fake.rsp->head, VENOM_AREA_RESPONSES, size, 1, 0, 1);
	fake.fds[FD_SLEEP] = epoll_create1(EPOLL_CLOEXEC);
	fake.fds[FD_DAEMON_BELL] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fake.w = (struct proto_welcome){.generation = 1, .may_command = 1, .epoch = 1};
}

/* As proto_send(), but with the test's own head. */
static void send_fds(int sock, void *msg, size_t size, const int *fds, int nfds)
{
	char control[CMSG_SPACE(sizeof(int) * PROTO_FDS)] = {0};
	struct iovec iov = {.iov_base = msg, .iov_len = size};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (nfds) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	VT_CHECK(sendmsg(sock, &mh, MSG_NOSIGNAL) == (ssize_t)size);
}

/* Accept one shell; spoil() has changed what it gets. */
long fake_serve(long spoil, long b, long c)
{
	char buf[4096], control[256];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct proto_head ready;

	make_good();
	if (spoil)
		((void (*)(void))spoil)();
	conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	VT_CHECK(conn >= 0);
	VT_CHECK(recv(conn, buf, sizeof(buf), 0) == sizeof(struct proto_head));
	VT_CHECK(((struct proto_head *)buf)->type == PROTO_HELLO);
	fake.w.head = (struct proto_head){.magic = fake.head.magic ? fake.head.magic : PROTO_MAGIC,
					  .abi = fake.head.abi ? fake.head.abi : VENOM_ABI,
					  .type = (uint32_t)fake.type,
					  .error = fake.head.error};
	send_fds(conn, &fake.w, fake.size, fake.fds, fake.nfds);
	/* A shell that found no error goes on: */
	if (recvmsg(conn, &mh, 0) <= 0)
		return -1;
	VT_CHECK(((struct proto_head *)buf)->type == PROTO_ATTACH);
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&mh); h; h = CMSG_NXTHDR(&mh, h))
		close(*(int *)CMSG_DATA(h));
	if (spoil) /* some fields are checked only now */
		return recv(conn, buf, sizeof(buf), 0) > 0 ? 0 : -1;
	VT_CHECK(!proto_send(conn, &ready, sizeof(ready), PROTO_READY, 0, NULL, 0));
	return b + c;
}

long fake_end(long a, long b, long c)
{
	close(conn);
	area_unmap(&fake.status_map);
	area_unmap(&fake.state_map);
	area_unmap(&fake.rsp_map);
	for (int i = 0; i < PROTO_FDS; i++)
		close(fake.fds[i]);
	return a + b + c;
}

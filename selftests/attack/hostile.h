/* SPDX-License-Identifier: MIT */
/*
 * A hostile shell, which speaks the embedded backend's protocol itself, or makes the device's calls; an honest shell
 * beside it; and the test as the daemon of both.
 */
#ifndef VENOM_TEST_HOSTILE_H
#define VENOM_TEST_HOSTILE_H

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "memfd/proto.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/dev.h"

#include "lib/harness.h"
#include "lib/peer.h"

#define CMD_SIZE 1000
#define SLOTS	 8

/* ---- the hostile shell ---- */

static int sock = -1, fds[PROTO_FDS], cmd_fd = -1;
static struct venom_geometry geo;
static struct venom_map cmd_map;
static struct proto_welcome welcome;

/* On the module there is no socket and no protocol, but a device and one call, and the areas are the kernel's. */
static inline long bad_connect(const char *name)
{
	struct venom_ioc_connect k = dev_connect_init(name);

	sock = dev_open();
	VT_CHECK(sock >= 0 && !dev_call(sock, VENOM_IOC_CONNECT, &k));
	welcome.epoch = k.epoch;
	geo = k.geo;
	cmd_map.size = k.commands_size;
	cmd_map.p = dev_map(sock, VENOM_AREA_COMMANDS, k.id, cmd_map.size, PROT_READ | PROT_WRITE);
	VT_CHECK(cmd_map.p != MAP_FAILED);
	return 0;
}

static inline long bad_dial(long name, long b, long c)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (vt_on_dev())
		return bad_connect((const char *)name);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", getenv("VENOM_RUNTIME_DIR"), (const char *)name);
	VT_CHECK(!connect(sock, (struct sockaddr *)&addr, sizeof(addr)));
	return b + c;
}

/* Returns the next message's error; -EPIPE: the daemon hung up. */
static inline int next_error(void *msg, size_t size, enum proto_type type, int *got, int n)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	VT_CHECK(poll(&p, 1, VT_PATIENCE_S * 1000) == 1);
	return proto_recv(sock, msg, size, type, got, n);
}

static inline long bad_hello(long a, long b, long c)
{
	struct venom_state *state;
	struct proto_head hello;

	if (vt_on_dev())
		return 0;
	VT_CHECK(!proto_send(sock, &hello, sizeof(hello), PROTO_HELLO, 0, NULL, 0));
	VT_CHECK(!next_error(&welcome, sizeof(welcome), PROTO_WELCOME, fds, PROTO_FDS));
	state = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[FD_STATE], 0);
	VT_CHECK(state != MAP_FAILED);
	geo = state->geo;
	munmap(state, 4096);
	return a + b + c;
}

static inline long bad_close(long a, long b, long c)
{
	close(sock);
	close(cmd_fd);
	cmd_fd = -1;
	area_unmap(&cmd_map);
	for (int i = 0; i < PROTO_FDS && welcome.head.type; i++)
		close(fds[i]);
	memset(&welcome, 0, sizeof(welcome));
	return a + b + c;
}

static inline void good_area(void)
{
	uint64_t size = venom_commands_bytes(&geo);

	VT_CHECK(!area_make(&cmd_map, &cmd_fd, "commands", size, 0));
	venom_head_make(cmd_map.p, VENOM_AREA_COMMANDS, size, welcome.epoch, welcome.id, welcome.generation);
}

static inline long bad_attach(long lie, long b, long c)
{
	struct proto_head out, in;

	if (vt_on_dev())
		return 0;
	if (lie)
		((void (*)(void))lie)();
	else
		good_area();
	VT_CHECK(!proto_send(sock, &out, sizeof(out), PROTO_ATTACH, 0, &cmd_fd, 1));
	return next_error(&in, sizeof(in), PROTO_READY, NULL, 0) + b + c;
}

/* ---- the honest shell, and the daemon ---- */

FIXTURE(hostile)
{
	struct vt_peer bad, good;
	const char *name;
	struct venom_daemon *d;
	struct venom_command cmd;
	int fds;
};

FIXTURE_SETUP(hostile)
{
	struct venom_config *cfg = vt_config();

	cfg->cmd_size = CMD_SIZE;
	cfg->cmd_slots = SLOTS;
	cfg->resp_size = 64;
	cfg->max_clients = 4;
	self->name = vt_name();
	vt_start(&self->bad);
	vt_start(&self->good);
	ASSERT_EQ(0, venom_daemon_create(&self->d, self->name, cfg));
	ASSERT_EQ(0, vt_call(&self->good, ps_connect, self->name));
	vt_sleep_ms(50); /* the manager may still have a descriptor in hand */
	self->fds = vt_count_fds();
}

FIXTURE_TEARDOWN(hostile)
{
	EXPECT_EQ(0, vt_call(&self->good, ps_close));
	EXPECT_EQ(0, vt_stop(&self->good));
	EXPECT_EQ(0, vt_stop(&self->bad));
	venom_daemon_destroy(self->d);
}

/* State and a command go through, and the hostile shell holds nothing any more; otherwise it prints what failed. */
static inline bool unharmed(struct venom_daemon *d, struct vt_peer *good, int fds_before)
{
#define IS(cond)                                                      \
	do {                                                          \
		if (!(cond)) {                                        \
			fprintf(stderr, "# not so: %s\n", #cond);     \
			return false;                                 \
		}                                                     \
	} while (0)
	struct venom_command cmd;
	char buf[64];

	vt_fill(buf, sizeof(buf), 7);
	IS(!venom_daemon_publish(d, buf, sizeof(buf)));
	IS(vt_call(good, ps_read) == 7);
	vt_post(good, ps_request, 8, 20, -1);
	IS(venom_daemon_receive(d, &cmd, 60 * VT_S) == 1);
	IS(vt_is(cmd.data, 20, 8));
	IS(!venom_daemon_respond(d, &cmd, cmd.data, cmd.len));
	IS(vt_result(good) == 8);
	IS(VT_UNTIL(vt_clients(d) == 1));
	IS(VT_UNTIL(vt_count_fds() <= fds_before));
#undef IS
	return true;
}

#endif /* VENOM_TEST_HOSTILE_H */

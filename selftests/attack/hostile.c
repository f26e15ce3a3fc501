/* SPDX-License-Identifier: MIT */
/*
 * Attacks the daemon with a hostile shell.  The daemon must trust no shell: a shell that speaks nonsense must not be
 * let in; a shell that turns hostile afterwards may spoil its own commands and nothing else; and the descriptors that
 * it gets must not let it write.  An honest shell beside it must not notice.
 *
 * The hostile shell speaks the embedded backend's protocol itself.  The test is the daemon.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
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
static long bad_connect(const char *name)
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

static long bad_dial(long name, long b, long c)
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
static int next_error(void *msg, size_t size, enum proto_type type, int *got, int n)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	VT_CHECK(poll(&p, 1, VT_PATIENCE_S * 1000) == 1);
	return proto_recv(sock, msg, size, type, got, n);
}

static long bad_hello(long a, long b, long c)
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

static long bad_close(long a, long b, long c)
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

static void good_area(void)
{
	uint64_t size = venom_commands_bytes(&geo);

	VT_CHECK(!area_make(&cmd_map, &cmd_fd, "commands", size, 0));
	venom_head_make(cmd_map.p, VENOM_AREA_COMMANDS, size, welcome.epoch, welcome.id, welcome.generation);
}

static struct venom_area_head *head(void)
{
	good_area();
	return cmd_map.p;
}

/* Makes an area by hand; the daemon must refuse it. */
static void area(uint64_t size, unsigned int seals, bool allocated)
{
	cmd_fd = memfd_create("commands", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	VT_CHECK(cmd_fd >= 0 && !ftruncate(cmd_fd, (off_t)size));
	VT_CHECK(!allocated || !fallocate(cmd_fd, 0, 0, (off_t)size));
	cmd_map.size = size;
	cmd_map.p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cmd_fd, 0);
	VT_CHECK(cmd_map.p != MAP_FAILED);
	venom_head_make(cmd_map.p, VENOM_AREA_COMMANDS, size, welcome.epoch, welcome.id, welcome.generation);
	VT_CHECK(!fcntl(cmd_fd, F_ADD_SEALS, seals));
}

#define SEALED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#define SIZE   venom_commands_bytes(&geo)

#define LIE(name, ...)               \
	static void lie_##name(void) \
	{                            \
		__VA_ARGS__;         \
	}

LIE(magic, head()->magic = 0)
LIE(abi, head()->abi = VENOM_ABI + 1)
LIE(kind, head()->kind = VENOM_AREA_STATE)
LIE(size, head()->size += 64)
LIE(unsealed, area(SIZE, 0, true))
LIE(may_shrink, area(SIZE, SEALED & ~F_SEAL_SHRINK, true))
LIE(others_may_write, area(SIZE, SEALED & ~F_SEAL_FUTURE_WRITE, true))
LIE(seals_may_change, area(SIZE, SEALED & ~F_SEAL_SEAL, true))
LIE(too_small, area(SIZE - 4096, SEALED, true))
LIE(too_large, area(SIZE + 4096, SEALED, true))
LIE(holes, area(SIZE, SEALED, false))
LIE(no_memfd, cmd_fd = open("/dev/zero", O_RDWR | O_CLOEXEC))

#define T(name)                   \
	{                         \
#name, lie_##name \
	}

static const struct {
	const char *what;
	void (*lie)(void);
} lies[] = {
	T(magic),
	T(abi),
	T(kind),
	T(size),
	T(unsealed),
	T(may_shrink),
	T(too_small),
	T(others_may_write),
	T(seals_may_change),
	T(too_large),
	T(holes),
	T(no_memfd),
};

static long bad_attach(long lie, long b, long c)
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
static bool unharmed(struct venom_daemon *d, struct vt_peer *good, int fds_before)
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

TEST_F(hostile, honest_protocol)
{
	ASSERT_EQ(0, vt_call(&self->bad, bad_dial, self->name));
	ASSERT_EQ(0, vt_call(&self->bad, bad_hello));
	ASSERT_EQ(0, vt_call(&self->bad, bad_attach));
	EXPECT_TRUE(VT_UNTIL(vt_clients(self->d) == 2)); /* the module answers before the manager knows of the shell */
	ASSERT_EQ(0, vt_call(&self->bad, bad_close));
	EXPECT_TRUE(unharmed(self->d, &self->good, self->fds));
}

TEST_F(hostile, areas_that_can_t_be)
{
	struct venom_daemon_stats before, after;

	embedded_only();
	for (unsigned int i = 0; i < ARRAY_SIZE(lies); i++) {
		venom_daemon_stats(self->d, &before);
		ASSERT_EQ(0, vt_call(&self->bad, bad_dial, self->name));
		ASSERT_EQ(0, vt_call(&self->bad, bad_hello));
		EXPECT_EQ(-EPROTO, vt_call(&self->bad, bad_attach, lies[i].lie)) TH_LOG("%s", lies[i].what);
		ASSERT_EQ(0, vt_call(&self->bad, bad_close));
		EXPECT_TRUE(unharmed(self->d, &self->good, self->fds)) TH_LOG("%s", lies[i].what);
		venom_daemon_stats(self->d, &after);
		EXPECT_EQ(before.refused + 1, after.refused) TH_LOG("%s", lies[i].what);
	}
}

/* ---- nonsense on the socket ---- */

static long bad_bytes(long seed, long n, long how_many_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 16)] = {0}, buf[8192];
	struct iovec iov = {.iov_base = buf, .iov_len = (size_t)n};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	uint64_t rnd = (uint64_t)seed;
	struct cmsghdr *c;

	for (size_t i = 0; i < sizeof(buf); i += 8)
		*(uint64_t *)(buf + i) = vt_rand(&rnd);
	if (seed % 2) /* looks like a message of ours */
		memcpy(buf, &(struct proto_head){.magic = PROTO_MAGIC, .abi = VENOM_ABI, .type = (uint32_t)seed % 11},
		       16);
	if (how_many_fds) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)how_many_fds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)how_many_fds);
		for (long i = 0; i < how_many_fds; i++)
			((int *)CMSG_DATA(c))[i] = 2;
	}
	sendmsg(sock, &mh, MSG_NOSIGNAL); /* the daemon may have hung up before */
	return 0;
}

/* Does the kernel close the descriptors of a message that its reader has no room for?  (Not every emulator does.) */
static bool surplus_is_closed(void)
{
	char control[CMSG_SPACE(sizeof(int))], byte[1];
	struct iovec iov = {.iov_base = byte, .iov_len = sizeof(byte)};
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int sv[2], before = vt_count_fds();

	VT_CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
	sock = sv[0];
	bad_bytes(0, 1, 16);
	VT_CHECK(recvmsg(sv[1], &mh, MSG_CMSG_CLOEXEC) == 1);
	VT_CHECK(CMSG_FIRSTHDR(&mh));
	close(*(int *)CMSG_DATA(CMSG_FIRSTHDR(&mh)));
	/* The kernel rounds the space up, so it may hold one more descriptor. */
	if (CMSG_FIRSTHDR(&mh)->cmsg_len >= CMSG_LEN(2 * sizeof(int)))
		close(((int *)CMSG_DATA(CMSG_FIRSTHDR(&mh)))[1]);
	close(sv[0]);
	close(sv[1]);
	return vt_count_fds() <= before;
}

TEST_F(hostile, nonsense)
{
	uint64_t seed = vt_seed();
	bool closed;

	embedded_only();
	closed = surplus_is_closed();
	/* Send any number of descriptors, with what looks like a message of ours. */
	for (int n = 0; n <= 16; n++) {
		ASSERT_EQ(0, vt_call(&self->bad, bad_dial, self->name));
		ASSERT_EQ(0, vt_call(&self->bad, bad_bytes, 2 * n + 1, sizeof(struct proto_head), n));
		ASSERT_EQ(0, vt_call(&self->bad, bad_close));
	}
	for (int i = 0; i < (int)vt_scaled(300); i++) {
		ASSERT_EQ(0, vt_call(&self->bad, bad_dial, self->name));
		if (i % 3 == 1) {
			ASSERT_EQ(0, vt_call(&self->bad, bad_hello));
		}
		for (int k = 0; k < 3; k++) {
			ASSERT_EQ(0,
				  vt_call(&self->bad, bad_bytes, vt_rand(&seed) >> 1, vt_rand(&seed) % (k ? 8192 : 40),
					  vt_rand(&seed) % 4 ? 0 : vt_rand(&seed) % 16));
		}
		ASSERT_EQ(0, vt_call(&self->bad, bad_close));
	}
	if (!closed) {
		ASSERT_TRUE(unharmed(self->d, &self->good, INT_MAX));
		SKIP(return, "all went well, but the kernel leaves descriptors open that a message had too many of");
	}
	EXPECT_TRUE(unharmed(self->d, &self->good, self->fds));
}

/* Connections that say nothing keep no shell out. */
static long crowd(long name, long n, long close_them)
{
	static int socks[256];

	for (int i = 0; i < n; i++) {
		if (close_them) {
			close(socks[i]);
			continue;
		}
		bad_dial(name, 0, 0);
		socks[i] = sock;
	}
	return 0;
}

TEST_F(hostile, silent_crowd)
{
	struct venom_shell *s;

	embedded_only();
	ASSERT_EQ(0, vt_call(&self->bad, crowd, self->name, 200));
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(0, venom_shell_connect(&s, self->name)) TH_LOG("%s", venom_errmsg());
		venom_shell_close(s);
	}
	ASSERT_EQ(0, vt_call(&self->bad, crowd, self->name, 200, 1));
	EXPECT_TRUE(unharmed(self->d, &self->good, self->fds));
}

/* ---- the descriptors that it got ---- */

static long try_to_write(long a, long b, long c)
{
	for (int i = FD_STATUS; i <= FD_RESPONSES; i++) {
		char path[40];
		int rw;

		VT_CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0) == MAP_FAILED);
		VT_CHECK(pwrite(fds[i], "x", 1, 0) == -1);
		VT_CHECK(ftruncate(fds[i], 0) == -1);
		VT_CHECK(ftruncate(fds[i], 1 << 30) == -1);
		VT_CHECK(fallocate(fds[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
		VT_CHECK(fcntl(fds[i], F_ADD_SEALS, 0) == -1);
		/* Opened anew, it is the same file with the same seals. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		rw = open(path, O_RDWR | O_CLOEXEC);
		if (rw < 0)
			continue;
		VT_CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0) == MAP_FAILED);
		VT_CHECK(pwrite(rw, "x", 1, 0) == -1);
		VT_CHECK(ftruncate(rw, 0) == -1);
		VT_CHECK(open(path, O_RDWR | O_TRUNC | O_CLOEXEC) == -1);
		close(rw);
	}
	return a + b + c;
}

TEST_F(hostile, descriptors_are_for_reading)
{
	embedded_only();
	ASSERT_EQ(0, vt_call(&self->bad, bad_dial, self->name));
	ASSERT_EQ(0, vt_call(&self->bad, bad_hello));
	EXPECT_EQ(0, vt_call(&self->bad, try_to_write));
	ASSERT_EQ(0, vt_call(&self->bad, bad_close));
	EXPECT_TRUE(unharmed(self->d, &self->good, self->fds));
}

/* ---- hostile after a good start ---- */

static struct venom_slot *slot_at(uint64_t pos)
{
	return (struct venom_slot *)((char *)cmd_map.p + VENOM_LANE_FIRST + pos % SLOTS * VENOM_SLOT_STRIDE(sizeof(struct venom_slot), CMD_SIZE));
}

static long bad_command(long len, long pos, long c)
{
	struct venom_slot *slot = slot_at((uint64_t)pos);

	slot->len = (uint32_t)len;
	__atomic_store_n(&slot->seq, (uint64_t)pos + 1, __ATOMIC_RELEASE);
	return c;
}

TEST_F(hostile, command_longer_than_its_slot)
{
	static const uint32_t lens[] = {CMD_SIZE + 1, 65536, UINT32_MAX};
	struct venom_daemon_stats st;

	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++) {
		ASSERT_EQ(0, vt_call(&self->bad, bad_dial, self->name));
		ASSERT_EQ(0, vt_call(&self->bad, bad_hello));
		ASSERT_EQ(0, vt_call(&self->bad, bad_attach));
		ASSERT_EQ(0, vt_call(&self->bad, bad_command, CMD_SIZE, 0));
		ASSERT_EQ(1, venom_daemon_receive(self->d, &self->cmd, 60 * VT_S));
		ASSERT_EQ(CMD_SIZE, self->cmd.len);
		ASSERT_EQ(self->bad.pid, self->cmd.pid);
		ASSERT_EQ(0, vt_call(&self->bad, bad_command, lens[i], 1));
		ASSERT_EQ(0, venom_daemon_receive(self->d, &self->cmd, 0));
		/* The shell is evicted, and nothing more of it is taken. */
		ASSERT_EQ(0, venom_daemon_stats(self->d, &st));
		EXPECT_EQ(i + 1, st.evicted);
		ASSERT_EQ(0, vt_call(&self->bad, bad_command, 5, 1));
		ASSERT_EQ(0, vt_call(&self->bad, bad_command, 5, 2));
		EXPECT_EQ(0, venom_daemon_receive(self->d, &self->cmd, 0));
		ASSERT_TRUE(unharmed(self->d, &self->good, self->fds));
		ASSERT_EQ(0, vt_call(&self->bad, bad_close));
	}
}

static long bad_request(long pos, long epoch, long c)
{
	struct venom_slot *slot = slot_at((uint64_t)pos);

	slot->word = VENOM_SLOT_REQUEST | VENOM_SLOT_EPOCH(epoch);
	return bad_command(8, pos, c);
}

/*
 * Requests that an earlier daemon may have left are passed over.  A shell that wrote them without end would keep the
 * daemon busy with nothing else, so it is evicted.
 */
TEST_F(hostile, requests_to_another_daemon)
{
	struct venom_daemon_stats st;

	ASSERT_EQ(0, vt_call(&self->bad, bad_dial, self->name));
	ASSERT_EQ(0, vt_call(&self->bad, bad_hello));
	ASSERT_EQ(0, vt_call(&self->bad, bad_attach));
	ASSERT_EQ(0, vt_call(&self->bad, bad_request, 0, 1));
	ASSERT_EQ(1, venom_daemon_receive(self->d, &self->cmd, 60 * VT_S));
	ASSERT_EQ(0, vt_call(&self->bad, bad_request, 1, 2));
	EXPECT_EQ(0, venom_daemon_receive(self->d, &self->cmd, 0));
	ASSERT_EQ(0, venom_daemon_stats(self->d, &st));
	EXPECT_EQ(1, st.evicted);
	ASSERT_EQ(0, vt_call(&self->bad, bad_close));
	EXPECT_TRUE(unharmed(self->d, &self->good, self->fds));
}

static long scribble(long seed, long n, long pos)
{
	static const uint64_t nasty[] = {0, 1, 2, 3, 4, UINT64_MAX, UINT64_MAX - 1, 1ull << 63, 1ull << 32, CMD_SIZE};
	uint64_t rnd = (uint64_t)seed;

	while (n--) {
		uint64_t off = vt_rand(&rnd) % (cmd_map.size - 8) / 8 * 8;

		/* Leave the length alone: a command that is too long would soon get the shell evicted. */
		if (off >= VENOM_LANE_FIRST && (off - VENOM_LANE_FIRST) % VENOM_SLOT_STRIDE(sizeof(struct venom_slot), CMD_SIZE) == 8)
			continue;
		__atomic_store_n((uint64_t *)((char *)cmd_map.p + off),
				 vt_rand(&rnd) % 2 ? nasty[vt_rand(&rnd) % ARRAY_SIZE(nasty)] : vt_rand(&rnd),
				 __ATOMIC_RELAXED);
	}
	/* Some commands are valid for sure: these slots are what the daemon looks at next. */
	for (int i = 0; i < SLOTS; i++) {
		struct venom_slot *slot = slot_at((uint64_t)pos + i);

		slot->len = vt_rand(&rnd) % (CMD_SIZE + 1);
		/* A command with the wrong epoch would be passed over. */
		slot->word = ((uint32_t)vt_rand(&rnd) & ~VENOM_SLOT_EPOCH(~0u)) | VENOM_SLOT_EPOCH(welcome.epoch);
		/* An invalid block would get the shell evicted, too. */
		if (!(slot->word & VENOM_SLOT_REQUEST) && slot->word & VENOM_SLOT_BLOCK) {
			slot->word = VENOM_SLOT_BLOCK | 1;
			slot->len += !slot->len;
		}
		__atomic_store_n(&slot->seq, (uint64_t)pos + i + 1, __ATOMIC_RELEASE);
	}
	return 0;
}

TEST_F(hostile, a_shell_gone_mad)
{
	uint64_t seed = vt_seed(), i, n = vt_scaled(1000), of_bad = 0, start = vt_now();
	char answer[64] = {0};

	ASSERT_EQ(0, vt_call(&self->bad, bad_dial, self->name));
	ASSERT_EQ(0, vt_call(&self->bad, bad_hello));
	ASSERT_EQ(0, vt_call(&self->bad, bad_attach));
	/* With the module the daemon's process maps a new lane in its own time. */
	for (i = 0; i < n || (!of_bad && vt_now() - start < (uint64_t)VT_PATIENCE_S * VT_S); i++) {
		ASSERT_EQ(0, vt_call(&self->bad, scribble, vt_rand(&seed) >> 1, 30, of_bad));
		vt_post(&self->good, ps_request, 5, 20, -1);
		for (bool asked = false; !asked;) {
			int err = venom_daemon_receive(self->d, &self->cmd, 60 * VT_S);

			ASSERT_EQ(1, err);
			ASSERT_GE(CMD_SIZE, self->cmd.len);
			asked = self->cmd.pid == (uint32_t)self->good.pid;
			/* The command has the shell's own name, whatever the shell writes. */
			ASSERT_TRUE(asked || self->cmd.pid == (uint32_t)self->bad.pid);
			if (asked) {
				ASSERT_TRUE(vt_is(self->cmd.data, 20, 5));
				ASSERT_EQ(0, venom_daemon_respond(self->d, &self->cmd, self->cmd.data, 20));
			} else {
				of_bad++;
				err = venom_daemon_respond(self->d, &self->cmd, answer, sizeof(answer));
				ASSERT_TRUE(err == 0 || err == -EINVAL || err == -EALREADY || err == -ESTALE);
			}
		}
		ASSERT_EQ(5, vt_result(&self->good));
		ASSERT_EQ(0, venom_daemon_publish(self->d, answer, sizeof(answer)));
	}
	EXPECT_LT(0, of_bad);
	ASSERT_EQ(0, vt_call(&self->bad, bad_close));
	while (venom_daemon_receive(self->d, &self->cmd, 0) == 1)
		;
	EXPECT_TRUE(unharmed(self->d, &self->good, self->fds));
}

TEST_HARNESS_MAIN

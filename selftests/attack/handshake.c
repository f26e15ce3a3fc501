/* SPDX-License-Identifier: MIT */
/*
 * Attacks the daemon's handshake with a shell, on the embedded backend.  A shell that hands over a false area, speaks
 * nonsense or says nothing must not be let in, nor keep others out; and the descriptors that a shell gets must not let
 * it write.
 */
#include <fcntl.h>
#include <string.h>

#include "attack/hostile.h"

/* ---- areas that lie ---- */

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

TEST_HARNESS_MAIN

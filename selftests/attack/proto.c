/* SPDX-License-Identifier: MIT */
/*
 * Attacks a shell with a lying daemon.  A shell must trust no daemon: anything invalid that the other side hands out
 * must give -EPROTO, with a sentence that names the field, and no descriptor or mapping may be kept.  A daemon that
 * turns hostile afterwards may cause errnos, or garbage of its own making, but never a crash or a hang.
 *
 * The daemon here is a fake that speaks the embedded backend's protocol and lies in one thing at a time.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "lib/fake.h" /* first: the harness takes ARRAY_SIZE from it */

#include "lib/harness.h"
#include "lib/peer.h"

/* ---- lies ---- */

#define LIE(name, ...)               \
	static void lie_##name(void) \
	{                            \
		__VA_ARGS__;         \
	}

LIE(msg_abi, fake.head.abi = VENOM_ABI + 1)
LIE(msg_magic, fake.head.magic = 1)
LIE(msg_short, fake.size = 20)
LIE(msg_tiny, fake.size = 3)
LIE(msg_type, fake.type = PROTO_READY)
LIE(msg_no_fds, fake.nfds = 0)
LIE(msg_few_fds, fake.nfds = PROTO_FDS - 1)
LIE(msg_error, fake.head.error = -12345)
LIE(msg_id, fake.w.id = FAKE_CLIENTS)
LIE(msg_id_wild, fake.w.id = UINT32_MAX)

LIE(status_magic, fake.status->head.magic ^= 1)
LIE(status_swapped, fake.status->head.magic = __builtin_bswap64(VENOM_MAGIC))
LIE(status_abi, fake.status->head.abi = VENOM_ABI + 1)
LIE(status_kind, fake.status->head.kind = VENOM_AREA_STATE)
LIE(status_size, fake.status->head.size += 4096)
LIE(state_magic, fake.state->head.magic = 0)
LIE(state_abi, fake.state->head.abi = 0)
LIE(state_kind, fake.state->head.kind = VENOM_AREA_RESPONSES)
LIE(state_size, fake.state->head.size = UINT64_MAX)
LIE(rsp_magic, fake.rsp->head.magic = 0)
LIE(rsp_abi, fake.rsp->head.abi = VENOM_ABI + 7)
LIE(rsp_kind, fake.rsp->head.kind = VENOM_AREA_COMMANDS)
LIE(rsp_size, fake.rsp->head.size = 0)

LIE(versions_0, fake.state->geo.versions = 0)
LIE(versions_more, fake.state->geo.versions++)
LIE(versions_wild, fake.state->geo.versions = UINT32_MAX)
LIE(data_size_0, fake.state->geo.data_size = 0)
LIE(data_size_more, fake.state->geo.data_size += 8192)
LIE(data_size_wild, fake.state->geo.data_size = UINT64_MAX)
LIE(stride_0, fake.state->geo.stride = 0)
LIE(stride_wild, fake.state->geo.stride = 1ull << 63)
LIE(stride_odd, fake.state->geo.stride += 1)
LIE(first_0, fake.state->geo.first = 0)
LIE(first_wild, fake.state->geo.first = UINT64_MAX - 4095)
LIE(payload_0, fake.state->geo.payload = 0)
LIE(payload_wild, fake.state->geo.payload = UINT32_MAX)
LIE(page_size, fake.state->geo.page_size = 12345)
LIE(page_size_0, fake.state->geo.page_size = 0)
LIE(cmd_slots_0, fake.state->geo.cmd_slots = 0)
LIE(cmd_slots_wild, fake.state->geo.cmd_slots = UINT32_MAX)
LIE(cmd_size_0, fake.state->geo.cmd_size = 0)
LIE(resp_size_0, fake.state->geo.resp_size = 0)
LIE(resp_size_more, fake.state->geo.resp_size += 4096)
LIE(max_clients_0, fake.state->geo.max_clients = 0)
LIE(max_clients_wild, fake.state->geo.max_clients = UINT32_MAX)
LIE(max_clients_more, fake.state->geo.max_clients = 1024)
LIE(flags, fake.state->geo.flags = 1u << 31)
LIE(mode, fake.state->geo.mode = 0777)

/* Puts another file in an area's place. */
static int other(int which, size_t size, unsigned int seals, bool allocated)
{
	int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct venom_area_head *head;
	struct fake *fk = &fake;
	const void *from = which == FD_STATUS ? fk->status_map.p : which == FD_STATE ? fk->state_map.p : fk->rsp_map.p;
	size_t have = which == FD_STATUS  ? fk->status_map.size
		      : which == FD_STATE ? fk->state_map.size
					  : fk->rsp_map.size;

	VT_CHECK(fd >= 0 && !ftruncate(fd, (off_t)size));
	if (allocated)
		VT_CHECK(!fallocate(fd, 0, 0, (off_t)size));
	VT_CHECK(pwrite(fd, from, size < have ? size : 64, 0) > 0);
	head = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	VT_CHECK(head != MAP_FAILED);
	head->size = size;
	munmap(head, 4096);
	if (seals)
		VT_CHECK(!fcntl(fd, F_ADD_SEALS, seals));
	close(fake.fds[which]);
	fake.fds[which] = fd;
	return 0;
}

#define SEALED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

LIE(unsealed_status, other(FD_STATUS, fake.status_map.size, 0, true))
LIE(unsealed_state, other(FD_STATE, fake.state_map.size, 0, true))
LIE(unsealed_rsp, other(FD_RESPONSES, fake.rsp_map.size, 0, true))
LIE(may_shrink, other(FD_STATE, fake.state_map.size, SEALED & ~F_SEAL_SHRINK, true))
LIE(may_be_written, other(FD_STATE, fake.state_map.size, SEALED & ~F_SEAL_FUTURE_WRITE, true))
LIE(short_state, other(FD_STATE, fake.state_map.size - 4096, SEALED, true))
LIE(tiny_state, other(FD_STATE, 100, SEALED, true))
LIE(long_state, other(FD_STATE, fake.state_map.size + 4096, SEALED, true))
LIE(short_status, other(FD_STATUS, 100, SEALED, true))
LIE(short_rsp, other(FD_RESPONSES, 4096, SEALED, true))
LIE(holes, other(FD_STATE, fake.state_map.size, SEALED, false))

static void no_memfd(int which)
{
	close(fake.fds[which]);
	fake.fds[which] = open("/dev/zero", O_RDWR | O_CLOEXEC);
}

LIE(state_no_memfd, no_memfd(FD_STATE))
LIE(status_no_memfd, no_memfd(FD_STATUS))
LIE(rsp_no_memfd, no_memfd(FD_RESPONSES))

static void bad_bell(int fd)
{
	close(fake.fds[FD_DAEMON_BELL]);
	fake.fds[FD_DAEMON_BELL] = fd;
}

/* The pipe has no reader: a write would end the shell. */
static int broken_pipe(void)
{
	int ends[2];

	VT_CHECK(!pipe(ends));
	close(ends[0]);
	return ends[1];
}

LIE(bell_that_kills, bad_bell(broken_pipe()))
LIE(bell_is_a_socket, bad_bell(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)))
LIE(bell_is_a_file, bad_bell(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)))

#define T(lie, word)                  \
	{                             \
#lie, lie_##lie, word \
	}

static const struct {
	const char *what;
	void (*lie)(void);
	const char *word; /* must be in the message */
} lies[] = {
	T(msg_abi, "ABI"),
	T(msg_magic, "protocol"),
	T(msg_short, "message"),
	T(msg_tiny, "protocol"),
	T(msg_type, "message"),
	T(msg_no_fds, "descriptors"),
	T(msg_few_fds, "descriptors"),
	T(msg_error, "error"),
	T(msg_id, "id"),
	T(msg_id_wild, "id"),
	T(status_magic, "status area's magic"),
	T(status_swapped, "status area's magic"),
	T(status_abi, "status area has ABI"),
	T(status_kind, "status area's kind"),
	T(status_size, "status area's size"),
	T(state_magic, "state area's magic"),
	T(state_abi, "state area has ABI"),
	T(state_kind, "state area's kind"),
	T(state_size, "state area's size"),
	T(rsp_magic, "responses area's magic"),
	T(rsp_abi, "responses area has ABI"),
	T(rsp_kind, "responses area's kind"),
	T(rsp_size, "responses area's size"),
	T(versions_0, "versions"),
	T(versions_more, "size"),
	T(versions_wild, "versions"),
	T(data_size_0, "data_size"),
	T(data_size_more, "stride"),
	T(data_size_wild, "data_size"),
	T(stride_0, "stride"),
	T(stride_wild, "stride"),
	T(stride_odd, "stride"),
	T(first_0, "first"),
	T(first_wild, "first"),
	T(payload_0, "payload"),
	T(payload_wild, "payload"),
	T(page_size, "page_size"),
	T(page_size_0, "page_size"),
	T(cmd_slots_0, "cmd_slots"),
	T(cmd_slots_wild, "cmd_slots"),
	T(cmd_size_0, "cmd_size"),
	T(resp_size_0, "resp_size"),
	T(resp_size_more, "responses area's size"),
	T(max_clients_0, "max_clients"),
	T(max_clients_wild, "max_clients"),
	T(max_clients_more, "status area"),
	T(flags, "flags"),
	T(mode, "mode"),
	T(bell_that_kills, "bell"),
	T(bell_is_a_socket, "bell"),
	T(bell_is_a_file, "bell"),
	T(unsealed_status, "status area's seals"),
	T(unsealed_state, "state area's seals"),
	T(unsealed_rsp, "responses area's seals"),
	T(may_shrink, "state area's seals"),
	T(may_be_written, "state area's seals"),
	T(short_state, "size"),
	T(tiny_state, "size"),
	T(long_state, "size"),
	T(short_status, "size"),
	T(short_rsp, "size"),
	T(holes, "holes"),
	T(state_no_memfd, "state area is no memfd"),
	T(status_no_memfd, "status area is no memfd"),
	T(rsp_no_memfd, "responses area is no memfd"),
};

FIXTURE(proto)
{
	struct vt_peer dm;
	const char *name;
	struct venom_shell *s;
};

FIXTURE_SETUP(proto)
{
	embedded_only();
	self->name = vt_name();
	vt_start(&self->dm);
	ASSERT_EQ(0, vt_call(&self->dm, fake_listen, self->name));
}

FIXTURE_TEARDOWN(proto)
{
	venom_shell_close(self->s);
	EXPECT_EQ(0, vt_call(&self->dm, fake_close, self->name));
	EXPECT_EQ(0, vt_stop(&self->dm));
}

static int count_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "memfd:") != NULL;
	fclose(maps);
	return n;
}

static char logged[512];

static void keep_log(const char *line)
{
	snprintf(logged, sizeof(logged), "%s", line);
}

/* The fake is accepted as long as it does not lie; otherwise the tests below would prove nothing. */
TEST_F(proto, the_truth)
{
	vt_post(&self->dm, fake_serve);
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
	ASSERT_EQ(0, vt_result(&self->dm));
	EXPECT_EQ(0, venom_shell_version(self->s));
	EXPECT_EQ(0, venom_shell_send(self->s, "xxxxxxxx", 8));
	EXPECT_EQ(0, vt_call(&self->dm, fake_end));
}

TEST_F(proto, lies)
{
	int fds = vt_count_fds(), maps = count_maps();

	venom_set_log(keep_log);
	for (unsigned int i = 0; i < ARRAY_SIZE(lies); i++) {
		struct venom_shell *s = VT_POISON_S;
		int err;

		*logged = 0;
		vt_post(&self->dm, fake_serve, lies[i].lie);
		err = venom_shell_connect(&s, self->name);
		EXPECT_EQ(-EPROTO, err) TH_LOG("%s", lies[i].what);
		if (!err) {
			venom_shell_close(s);
			vt_result(&self->dm);
			vt_call(&self->dm, fake_end);
			continue;
		}
		EXPECT_EQ(VT_POISON_S, s);
		EXPECT_NE(NULL, strstr(venom_errmsg(), lies[i].word))
		{
			TH_LOG("%s: the message is \"%s\"", lies[i].what, venom_errmsg());
		}
		EXPECT_STREQ(venom_errmsg(), logged);
		ASSERT_EQ(-1, vt_result(&self->dm)) TH_LOG("%s", lies[i].what);
		ASSERT_EQ(0, vt_call(&self->dm, fake_end));
		ASSERT_EQ(fds, vt_count_fds()) TH_LOG("%s", lies[i].what);
		ASSERT_EQ(maps, count_maps()) TH_LOG("%s", lies[i].what);
	}
}

/* ---- hostile after a good start ---- */

static struct venom_version *buffer_at(uint64_t i)
{
	return (struct venom_version *)((char *)fake.state + fake.geo.first + i * fake.geo.stride);
}

/* A version of an invalid length. */
static long long_version(long len, long b, long c)
{
	struct venom_version *v = buffer_at(1);

	v->len = (uint64_t)len;
	v->seq = VENOM_SEQ_WHOLE(1);
	fake.state->latest = 1;
	return b + c;
}

TEST_F(proto, a_version_that_can_t_be)
{
	static const int64_t lens[] = {4097, -1, INT64_MAX, 1ll << 32};
	struct venom_view view, before;
	uint64_t version = 0;
	char buf[8192];

	vt_post(&self->dm, fake_serve);
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
	ASSERT_EQ(0, vt_result(&self->dm));
	memset(&view, 0x5a, sizeof(view));
	before = view;
	for (int i = 0; i < (int)ARRAY_SIZE(lens); i++) {
		ASSERT_EQ(0, vt_call(&self->dm, long_version, lens[i]));
		memset(buf, 0x5a, sizeof(buf));
		EXPECT_EQ(-EPROTO, venom_shell_read(self->s, buf, sizeof(buf), NULL));
		EXPECT_NE(NULL, strstr(venom_errmsg(), "length"));
		EXPECT_EQ(-EPROTO, venom_shell_read_next(self->s, buf, sizeof(buf), &version));
		EXPECT_EQ(0, version);
		EXPECT_EQ(-EPROTO, venom_shell_read_begin(self->s, &view));
		EXPECT_EQ(0, memcmp(&view, &before, sizeof(view)));
		EXPECT_TRUE(vt_all(buf, 0x5a, sizeof(buf)));
	}
	ASSERT_EQ(0, vt_call(&self->dm, long_version, 4096));
	EXPECT_EQ(4096, venom_shell_read(self->s, buf, sizeof(buf), NULL));
	EXPECT_EQ(0, vt_call(&self->dm, fake_end));
}

/* Sequences of versions that can't be where they are, and a latest version beyond all numbers. */
static long no_such_version(long seq, long latest, long c)
{
	for (uint64_t i = 0; i < fake.geo.versions; i++)
		buffer_at(i)->seq = (uint64_t)seq;
	fake.state->latest = (uint64_t)latest;
	return c;
}

TEST_F_TIMEOUT(proto, versions_that_are_nowhere, 20)
{
	static const int64_t seqs[] = {VENOM_SEQ_WHOLE(6),  VENOM_SEQ_WHOLE(1000001), VENOM_SEQ_PASSED(1), VENOM_SEQ_PASSED(6),
				       VENOM_SEQ_PASSED(5), VENOM_SEQ_PASSED(1000001), -4, -3, -2, -1, 1, 3, INT64_MAX, INT64_MIN};
	static const int64_t latest[] = {-1, -2, -3, -4, -5, INT64_MAX, INT64_MIN, 0, 1, 1 << 20};
	char buf[8192];

	vt_post(&self->dm, fake_serve);
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
	ASSERT_EQ(0, vt_result(&self->dm));
	for (unsigned int i = 0; i < ARRAY_SIZE(seqs) * ARRAY_SIZE(latest); i++) {
		static const uint64_t from[] = {0, 1, 5, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2, 1ull << 63};

		ASSERT_EQ(0, vt_call(&self->dm, no_such_version, seqs[i % ARRAY_SIZE(seqs)],
				     latest[i / ARRAY_SIZE(seqs)]));
		for (unsigned int k = 0; k < ARRAY_SIZE(from); k++) {
			uint64_t version = from[k];
			ssize_t err = venom_shell_read_next(self->s, buf, sizeof(buf), &version);

			ASSERT_TRUE(err >= 0 || err == -EPROTO || err == -EAGAIN || err == -EOVERFLOW)
			TH_LOG("%zd", err);
			venom_shell_wait(self->s, from[k], 0);
		}
		venom_shell_read(self->s, buf, sizeof(buf), NULL);
	}
	EXPECT_EQ(0, vt_call(&self->dm, fake_end));
}

/* The answer to tag 1, of an invalid length. */
static long long_answer(long len, long tag, long c)
{
	struct venom_slot *slot;

	slot = (struct venom_slot *)((char *)fake.rsp + VENOM_LANE_FIRST +
				     (uint64_t)tag % 8 * VENOM_SLOT_STRIDE(sizeof(struct venom_slot), FAKE_RESP_SIZE));
	slot->len = (uint32_t)len;
	slot->seq = (uint64_t)tag;
	return c;
}

TEST_F(proto, an_answer_that_can_t_be)
{
	char buf[8192];
	uint64_t tag;

	vt_post(&self->dm, fake_serve);
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
	ASSERT_EQ(0, vt_result(&self->dm));
	memset(buf, 0x5a, sizeof(buf));
	ASSERT_EQ(0, venom_shell_submit(self->s, "xxxxxxxx", 8, &tag));
	ASSERT_EQ(0, vt_call(&self->dm, long_answer, FAKE_RESP_SIZE + 1, tag));
	EXPECT_EQ(-EPROTO, venom_shell_complete(self->s, &tag, buf, sizeof(buf), 0));
	EXPECT_TRUE(vt_all(buf, 0x5a, sizeof(buf)));
	ASSERT_EQ(0, venom_shell_submit(self->s, "xxxxxxxx", 8, &tag));
	ASSERT_EQ(0, vt_call(&self->dm, long_answer, 0xffffffff, tag));
	EXPECT_EQ(-EPROTO, venom_shell_complete(self->s, &tag, buf, sizeof(buf), 0));
	EXPECT_EQ(0, vt_call(&self->dm, fake_end));
}

/* Scribbles over all that the daemon may write, in whole words, often with harmful values. */
static long scribble(long seed, long n, long c)
{
	uint64_t rnd = (uint64_t)seed;

	while (n--) {
		static const uint64_t nasty[] = {0, 1, 2, 3, 4, 8, UINT64_MAX, UINT64_MAX - 1, 1ull << 63, 1ull << 32};
		struct venom_map *m = vt_rand(&rnd) % 3 ? &fake.state_map : &fake.rsp_map;
		uint64_t off = vt_rand(&rnd) % 2 ? vt_rand(&rnd) % m->size : vt_rand(&rnd) % 8192;
		uint64_t v = vt_rand(&rnd) % 4 ? nasty[vt_rand(&rnd) % ARRAY_SIZE(nasty)] : vt_rand(&rnd);

		/* Often hit the headers of versions and slots. */
		if (vt_rand(&rnd) % 2)
			off = m == &fake.state_map
				      ? fake.geo.first + vt_rand(&rnd) % fake.geo.versions * fake.geo.stride + off % 32
				      : VENOM_LANE_FIRST + off % 8 * VENOM_SLOT_STRIDE(sizeof(struct venom_slot), FAKE_RESP_SIZE);
		__atomic_store_n((uint64_t *)((char *)m->p + off % (m->size - 8) / 8 * 8), v, __ATOMIC_RELAXED);
	}
	return c;
}

TEST_F(proto, a_daemon_gone_mad)
{
	uint64_t version = 0, tag = 0, seed = vt_seed(), i, n = vt_scaled(5000), good = 0;
	struct venom_view view;
	char buf[8192];
	ssize_t err;

	vt_post(&self->dm, fake_serve);
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
	ASSERT_EQ(0, vt_result(&self->dm));
	for (i = 0; i < n; i++) {
		if (i % 16 == 0) {
			ASSERT_EQ(0, vt_call(&self->dm, scribble, vt_rand(&seed), 40));
		}
		/* Any of these results is right: the test is that there is one, in bounds and in time. */
		err = venom_shell_read(self->s, buf, sizeof(buf), NULL);
		ASSERT_TRUE(err >= 0 || err == -EPROTO || err == -EAGAIN || err == -ENODATA) TH_LOG("%zd", err);
		ASSERT_GE(4096, err);
		good += err >= 0;
		err = venom_shell_read_next(self->s, buf, sizeof(buf), &version);
		ASSERT_TRUE(err >= 0 || err == -EPROTO || err == -EAGAIN || err == -EOVERFLOW) TH_LOG("%zd", err);
		if (i % 64 == 0)
			version = 0;
		if (!venom_shell_read_begin(self->s, &view)) {
			uint32_t sum = 0;

			for (size_t k = 0; k < view.len; k += 64)
				sum += ((const volatile unsigned char *)view.data)[k];
			venom_shell_read_retry(self->s, &view);
			VT_CHECK(view.len <= 4096 && sum < UINT32_MAX);
		}
		err = venom_shell_submit(self->s, "xxxxxxxx", 8, &tag);
		ASSERT_TRUE(err == 0 || err == -EAGAIN) TH_LOG("%zd", err);
		tag = VENOM_ANY;
		err = venom_shell_complete(self->s, &tag, buf, sizeof(buf), 0);
		ASSERT_TRUE(err >= 0 || err == -ETIMEDOUT || err == -EPROTO || err == -EINVAL || err == -EPIPE)
		TH_LOG("%zd", err);
		ASSERT_GE(FAKE_RESP_SIZE, err);
		if (err == -ETIMEDOUT && i % 8 == 0)
			venom_shell_cancel(self->s, i % 64);
		venom_shell_wait(self->s, version, 0);
	}
	/* The seed decides how many reads give something: one word can spoil the ring for good. */
	ksft_print_msg("%ju of %ju reads gave something\n", (uintmax_t)good, (uintmax_t)n);
	EXPECT_EQ(0, vt_call(&self->dm, fake_end));
}

TEST_HARNESS_MAIN

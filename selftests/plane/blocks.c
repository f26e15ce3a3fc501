/* SPDX-License-Identifier: MIT */
/*
 * Attacks commands that are sent many at a time.  Commands of one length go as a block, which shares one sequence
 * (plane/lane.h).  With any lengths, numbers and lanes, and however many the daemon takes at a time, they must arrive
 * as they were sent.  An invalid block must get its shell evicted.
 */
#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/watch.h"

#define MANY 40

FIXTURE(blocks)
{
	struct venom_daemon *d;
	struct venom_shell *s;
	struct venom_config cfg;
	uint64_t rng;
	uint32_t sent, got;
	char *data;
	struct iovec iov[MANY];
	struct venom_command cmd[MANY];
};

FIXTURE_VARIANT(blocks)
{
	uint32_t cmd_size, cmd_slots, flags;
};

FIXTURE_VARIANT_ADD(blocks, of_8_bytes){.cmd_size = 8, .cmd_slots = 64};
FIXTURE_VARIANT_ADD(blocks, of_48_bytes){.cmd_size = 48, .cmd_slots = 64};
FIXTURE_VARIANT_ADD(blocks, of_64_bytes){.cmd_size = 64, .cmd_slots = 64};
FIXTURE_VARIANT_ADD(blocks, of_100_bytes){.cmd_size = 100, .cmd_slots = 7};
FIXTURE_VARIANT_ADD(blocks, of_4_kib){.cmd_size = 4096, .cmd_slots = 16};
FIXTURE_VARIANT_ADD(blocks, in_2_slots){.cmd_size = 200, .cmd_slots = 2};
FIXTURE_VARIANT_ADD(blocks, in_1_slot){.cmd_size = 200, .cmd_slots = 1};
FIXTURE_VARIANT_ADD(blocks, by_arrival){.cmd_size = 64, .cmd_slots = 16, .flags = VENOM_ORDER_ARRIVAL};

FIXTURE_SETUP(blocks)
{
	const char *name = vt_name();

	self->cfg = *vt_config();
	self->cfg.cmd_size = variant->cmd_size;
	self->cfg.cmd_slots = variant->cmd_slots;
	self->cfg.flags = variant->flags;
	self->rng = vt_seed();
	self->data = malloc((size_t)MANY * variant->cmd_size);
	ASSERT_NE(NULL, self->data);
	ASSERT_EQ(0, venom_daemon_create(&self->d, name, &self->cfg));
	ASSERT_EQ(0, venom_shell_connect(&self->s, name));
}

FIXTURE_TEARDOWN(blocks)
{
	venom_shell_close(self->s);
	venom_daemon_destroy(self->d);
	free(self->data);
}

static uint32_t up_to(FIXTURE_DATA(blocks) * self, uint32_t n)
{
	return (uint32_t)(vt_rand(&self->rng) % n);
}

/* The content of command n. */
static void fill(char *data, size_t len, uint32_t n)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(n * 31 + i);
}

static bool is(const char *data, size_t len, uint32_t n)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != (char)(n * 31 + i))
			return false;
	return true;
}

static uint32_t lens[1 << 16];

/* Sends some commands, most of them of one length; returns how many were sent. */
static int send_some(FIXTURE_DATA(blocks) * self)
{
	uint32_t size = self->cfg.cmd_size, n = 1 + up_to(self, MANY), len = up_to(self, 3) ? size : up_to(self, size + 1);
	int rc;

	for (uint32_t i = 0; i < n; i++) {
		if (!up_to(self, 12))
			len = up_to(self, size + 1);
		self->iov[i] = (struct iovec){.iov_base = self->data + (size_t)i * size, .iov_len = len};
		fill(self->iov[i].iov_base, len, self->sent + i);
		lens[(self->sent + i) % ARRAY_SIZE(lens)] = len;
	}
	rc = n == 1 ? venom_shell_send(self->s, self->iov[0].iov_base, self->iov[0].iov_len)
		    : venom_shell_send_many(self->s, self->iov, n);
	if (n == 1 && !rc)
		rc = 1;
	VT_CHECK(rc == -EAGAIN || (rc > 0 && rc <= (int)n));
	self->sent += rc > 0 ? (uint32_t)rc : 0;
	return rc;
}

static int take_some(FIXTURE_DATA(blocks) * self)
{
	int n = up_to(self, 2) ? venom_daemon_receive(self->d, self->cmd, 0)
			       : venom_daemon_receive_many(self->d, self->cmd, 1 + up_to(self, MANY), 0);

	for (int i = 0; i < n; i++, self->got++) {
		VT_CHECK(self->cmd[i].len == lens[self->got % ARRAY_SIZE(lens)]);
		VT_CHECK(is(self->cmd[i].data, self->cmd[i].len, self->got));
		VT_CHECK(!self->cmd[i].flags && !self->cmd[i].tag);
	}
	return n;
}

TEST_F(blocks, arrive_as_they_were_sent)
{
	struct venom_daemon_stats st;
	uint32_t full = 0;

	for (int round = 0; round < 20000; round++) {
		/* The sender and the receiver are ahead by turns. */
		if (up_to(self, 100) < (round / 500 % 2 ? 70U : 30U)) {
			full += send_some(self) == -EAGAIN;
		} else {
			ASSERT_LE(0, take_some(self));
		}
		ASSERT_GE(ARRAY_SIZE(lens), self->sent - self->got);
	}
	while (self->got < self->sent)
		ASSERT_LT(0, take_some(self));
	ASSERT_EQ(0, venom_daemon_receive(self->d, self->cmd, 0));
	ASSERT_EQ(0, venom_daemon_stats(self->d, &st));
	EXPECT_EQ(self->sent, st.commands);
	EXPECT_LT(0, full);
	EXPECT_EQ(0, st.evicted);
}

/* A lane of blocks takes more commands than it has slots. */
TEST_F(blocks, are_smaller)
{
	char msg[8] = "message";
	struct iovec iov[MANY];
	uint32_t n = 0;
	int rc;

	for (int i = 0; i < MANY; i++)
		iov[i] = (struct iovec){.iov_base = msg, .iov_len = sizeof(msg)};
	while ((rc = venom_shell_send_many(self->s, iov, MANY)) > 0)
		n += (uint32_t)rc;
	ASSERT_EQ(-EAGAIN, rc);
	/* A command takes 16 bytes, a slot has at least 48 behind its header.  With time stamps there are no blocks. */
	EXPECT_LE(variant->flags & VENOM_ORDER_ARRIVAL ? variant->cmd_slots : 2 * (variant->cmd_slots - 1), n);
	while (n) {
		ASSERT_EQ(1, venom_daemon_receive(self->d, self->cmd, 0));
		ASSERT_EQ(sizeof(msg), self->cmd->len);
		n--;
	}
	ASSERT_EQ(0, venom_daemon_receive(self->d, self->cmd, 0));
	ASSERT_EQ(1, venom_shell_room(self->s, 0));
}

/* An invalid block gives no command. */
TEST_F(blocks, that_are_none)
{
	static const struct {
		uint32_t len, n;
	} bad[] = {{8, 0}, {0, 5}, {8, 0xfffff}, {UINT32_MAX, 2}, {1 << 20, 2}};
	struct venom_daemon_stats st;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		venom_shell_close(self->s);
		ASSERT_EQ(0, venom_shell_connect(&self->s, self->d->name));
		venom_block_show(venom_slots_at(&self->s->out, 0), 1, bad[i].len, bad[i].n);
		ASSERT_TRUE(VT_UNTIL(venom_daemon_receive(self->d, self->cmd, 0) == 0 &&
				     !venom_daemon_stats(self->d, &st) && st.evicted == i + 1));
	}
}

TEST_HARNESS_MAIN

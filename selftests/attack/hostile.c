/* SPDX-License-Identifier: MIT */
/*
 * Attacks the daemon with a shell that turns hostile after an honest handshake; handshake.c has the other shells.  It
 * may spoil its own commands and nothing else, and an honest shell beside it must not notice.
 */
#include "attack/hostile.h"

TEST_F(hostile, honest_protocol)
{
	ASSERT_EQ(0, vt_call(&self->bad, bad_dial, self->name));
	ASSERT_EQ(0, vt_call(&self->bad, bad_hello));
	ASSERT_EQ(0, vt_call(&self->bad, bad_attach));
	EXPECT_TRUE(VT_UNTIL(vt_clients(self->d) == 2)); /* the module answers before the manager knows of the shell */
	ASSERT_EQ(0, vt_call(&self->bad, bad_close));
	EXPECT_TRUE(unharmed(self->d, &self->good, self->fds));
}

#define STRIDE VENOM_SLOT_STRIDE(sizeof(struct venom_slot), CMD_SIZE)

static struct venom_slot *slot_at(uint64_t pos)
{
	return (struct venom_slot *)((char *)cmd_map.p + VENOM_LANE_FIRST + pos % SLOTS * STRIDE);
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
		if (off >= VENOM_LANE_FIRST && (off - VENOM_LANE_FIRST) % STRIDE == 8)
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

/* SPDX-License-Identifier: MIT */
/*
 * Attacks the daemon with a hostile shell.  It scribbles over every byte that it may write (its commands area: head,
 * sleeping word, what it holds and has read and wants, counters, slots), signals the daemon without end, on the
 * embedded backend sends nonsense to the manager too, and comes back when it is evicted.  The honest shells beside it
 * must not be harmed: each command of theirs arrives whole, in order, once, each answer is the one to its own request,
 * and each state read is whole; and they must be as fast as beside a harmless process.
 *
 * The harmless process is the same one: in every second window it scribbles over memory of its own.  So it takes as
 * much CPU time in both kinds of window, which on a small machine is more than all that it can do to the daemon, and
 * only the harm is compared.
 *
 * VENOM_SCRIBBLE_S: for how long; else 8 s, scaled as all tests are.
 */
#include <sys/socket.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */

#include "lib/harness.h"
#include "lib/watch.h"

#define HONEST	 2
#define CMD_SIZE 200
#define DATA	 1000
#define SLOTS	 16
#define PLAYERS	 (HONEST + 3) /* the honest shells, the hostile one, the leader, and the daemon */
#define SLOWER	 2.0 /* the honest shells may be so much slower */

/* Windows are short: where the scheduler puts each process lasts longer, and makes ten times more difference. */
#define WINDOW_MS 50
#define SETTLE_MS 10

struct arena {
	struct vt_step step[PLAYERS];
	char name[VENOM_NAME_MAX + 1];
	uint64_t seed;
	uint32_t hostile; /* in this window the shell is hostile */
	uint32_t stop; /* ends the shells */
	uint32_t left; /* shells that still run */
	uint64_t done[HONEST]; /* requests answered */
	uint64_t reads[HONEST];
	uint64_t taken[HONEST]; /* commands of each that the daemon has taken */
	uint32_t pid[HONEST];
	uint64_t bursts, returns, of_hostile, evicted;
	uint64_t passed, full, cut; /* what the publisher made of the hostile shell's words */
	int windows;
	double rate[2], read_rate[2]; /* of the honest shells, a second: [0] beside harmless, [1] beside hostile */
};

/* ---- the daemon ---- */

/* An honest shell's commands are numbered, and none may be missing. */
static void take(struct arena *a, struct venom_daemon *d, const struct venom_command *cmd)
{
	for (int i = 0; i < HONEST; i++) {
		if (vt_load(&a->pid[i]) != cmd->pid)
			continue;
		vt_store(&a->taken[i], a->taken[i] + 1);
		VT_CHECK(vt_is(cmd->data, cmd->len, (uint32_t)(a->taken[i] * HONEST + i)));
		if (cmd->flags & VENOM_CMD_REQUEST)
			VT_CHECK(!venom_daemon_respond(d, cmd, cmd->data, cmd->len));
		return;
	}
	vt_store(&a->of_hostile, a->of_hostile + 1);
	VT_CHECK(cmd->len <= CMD_SIZE);
	if (cmd->flags & VENOM_CMD_REQUEST) {
		int rc = venom_daemon_respond(d, cmd, cmd->data, cmd->len);

		VT_CHECK(rc == 0 || rc == -EPIPE || rc == -EINVAL || rc == -EALREADY || rc == -ESTALE);
	}
}

static int daemon_main(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_command cmd;
	struct venom_daemon_stats st;
	struct venom_daemon *d;
	char buf[DATA];
	uint32_t v = 0;
	int rc;

	cfg.cmd_size = cfg.resp_size = CMD_SIZE;
	cfg.cmd_slots = SLOTS;
	cfg.data_size = DATA;
	cfg.max_clients = HONEST + 8; /* evicted shells count until they have been cleaned up */
	cfg.versions = HONEST + 4;
	cfg.flags = VENOM_LOSSLESS; /* so the publisher also reads what the hostile shell says that it has read */
	cfg.full_ns = VT_MS;
	cfg.limit_ns = VT_MS / 10;
	VT_CHECK(!venom_daemon_create(&d, a->name, &cfg));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	while (vt_load(&a->left)) {
		vt_step(&a->step[PLAYERS - 1], "receive", v);
		rc = venom_daemon_receive(d, &cmd, VT_MS);
		VT_CHECK(rc == 0 || rc == 1);
		if (rc)
			take(a, d, &cmd);
		vt_fill(buf, sizeof(buf), ++v);
		rc = venom_daemon_publish(d, buf, sizeof(buf));
		VT_CHECK(rc == 0 || rc == -EAGAIN);
	}
	VT_CHECK(!venom_daemon_stats(d, &st) && !st.held_up);
	a->evicted = st.evicted;
	a->passed = st.passed;
	a->full = st.full;
	a->cut = st.cut;
	venom_daemon_destroy(d);
	return 0;
}

/* ---- the honest shells ---- */

static int honest_main(struct arena *a, int i, struct vt_peer *self)
{
	struct venom_shell *s;
	char cmd[CMD_SIZE], answer[CMD_SIZE], state[DATA];
	uint64_t n = 0;
	size_t len;
	ssize_t got;
	int rc;

	vt_store(&a->pid[i], (uint32_t)getpid());
	VT_CHECK(!venom_shell_connect(&s, a->name));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	while (!vt_load(&a->stop)) {
		vt_step(&a->step[i], "request", ++n);
		len = 8 + n * 31 % (CMD_SIZE - 7);
		vt_fill(cmd, len, (uint32_t)(n * HONEST + (uint32_t)i));
		if (n % 8) {
			got = venom_shell_request(s, cmd, len, answer, sizeof(answer), VT_PATIENCE_S * VT_S);
			VT_CHECK(got == (ssize_t)len && !memcmp(cmd, answer, len));
			vt_store(&a->done[i], a->done[i] + 1);
		} else {
			while ((rc = venom_shell_send(s, cmd, len)) == -EAGAIN)
				VT_CHECK(venom_shell_room(s, VT_PATIENCE_S * VT_S) == 1);
			VT_CHECK(!rc);
		}
		got = venom_shell_read(s, state, sizeof(state), NULL);
		if (got == -EAGAIN || got == -ENODATA)
			continue; /* a busy writer, or none yet */
		VT_CHECK(got == DATA && vt_whole(state, DATA, NULL));
		vt_store(&a->reads[i], a->reads[i] + 1);
	}
	/* All that was sent must be taken before the shell closes. */
	VT_CHECK(VT_UNTIL(vt_load(&a->taken[i]) == n));
	venom_shell_close(s);
	vt_add(&a->left, -1);
	return 0;
}

/* ---- the hostile shell ---- */

static const uint64_t nasty[] = {0,	     1,		 2,	     3,	       4,	    UINT64_MAX, UINT64_MAX - 1,
				 1ull << 63, 1ull << 32, UINT32_MAX, CMD_SIZE, CMD_SIZE + 1};

static uint64_t word(uint64_t *rnd)
{
	uint64_t r = vt_rand(rnd);

	return r % 2 ? nasty[r / 2 % ARRAY_SIZE(nasty)] : vt_rand(rnd);
}

static void put(char *area, size_t at, uint64_t v)
{
	__atomic_store_n((uint64_t *)(area + at), v, __ATOMIC_RELAXED);
}

/* Writes complete commands of up to `most` bytes into the slots of s that the daemon looks at next. */
static void commands(struct venom_shell *s, char *area, uint64_t *rnd, uint32_t most)
{
	uint64_t pos = load_acquire(&s->rsp->cursor);

	for (int i = 0; i < SLOTS; i++, pos++) {
		struct venom_slot *slot =
			(struct venom_slot *)(area + VENOM_LANE_FIRST + pos % SLOTS * VENOM_SLOT_STRIDE(sizeof(struct venom_slot), CMD_SIZE));

		store_relaxed(&slot->len, (uint32_t)vt_rand(rnd) % (most + 1));
		store_relaxed(&slot->word, ((uint32_t)word(rnd) & ~VENOM_SLOT_EPOCH(~0u)) | VENOM_SLOT_EPOCH(s->epoch));
		store_release(&slot->seq, pos + 1);
	}
}

/* One burst over `area`, which is what s writes, or as much memory that no other process reads. */
static void burst(struct venom_shell *s, char *area, uint64_t *rnd, bool at_all)
{
	size_t size = s->cmd_map.size;
	char nonsense[64];

	switch (vt_rand(rnd) % 18) {
	case 0: /* all of it */
		for (size_t at = 0; at < size; at += 8)
			put(area, at, word(rnd));
		break;
	case 1: /* some of it */
	case 2:
		for (int i = 0; i < 64; i++)
			put(area, vt_rand(rnd) % (size / 8) * 8, word(rnd));
		break;
	case 3: /* the head, the sleeping word and the counters */
		for (size_t at = 0; at < VENOM_LANE_FIRST; at += 8)
			put(area, at, word(rnd));
		break;
	case 4: /* asleep, again and again */
	case 5:
		for (int i = 0; i < 64; i++)
			put(area, offsetof(struct venom_commands, sleeping), vt_rand(rnd) | 7);
		break;
	case 6:
		commands(s, area, rnd, CMD_SIZE + 4);
		break;
	case 7:
		for (int i = 0; at_all && i < 16; i++)
			s->be->wake_daemon(s);
		break;
	case 8:
		memset(nonsense, (int)vt_rand(rnd), sizeof(nonsense));
		if (at_all && !vt_on_dev() && vt_rand(rnd) % 8 == 0)
			send(s->sock, nonsense, vt_rand(rnd) % sizeof(nonsense), MSG_NOSIGNAL | MSG_DONTWAIT);
		break;
	case 9: /* what it holds, has read and wants, near the publisher's version */
	case 10:
		for (int i = 0; i < 64; i++) {
			uint64_t latest = load_acquire(&s->state->latest), r = vt_rand(rnd);

			put(area, offsetof(struct venom_commands, held), r % 4 ? latest - r / 4 % 8 : word(rnd));
			put(area, offsetof(struct venom_commands, cursor), r / 32 % 4 ? latest - r / 128 % 16 : word(rnd));
			if (at_all && i % 32 == 0) {
				store_release(&((struct venom_commands *)area)->wants, VENOM_ROLES_ASK(r / 4096, (uint32_t)r));
				s->be->ask(s);
			}
		}
		break;
	default: /* more commands than the daemon needs, as fast as they are taken */
		for (int i = 0; i < 64; i++)
			commands(s, area, rnd, CMD_SIZE);
	}
}

/* Connects with all roles that there are: then the publisher heeds the words in this shell's page. */
static void come(struct arena *a, struct venom_shell **s)
{
	/* There is no place until the daemon has cleaned up behind us. */
	VT_CHECK(VT_UNTIL(!venom_shell_connect(s, a->name)));
	VT_CHECK(VT_UNTIL(!venom_roles_ask(*s, VENOM_ROLE_HOLDER | VENOM_ROLE_LOSSLESS)));
}

static void come_back(struct arena *a, struct venom_shell **s)
{
	venom_shell_close(*s);
	come(a, s);
	a->returns++;
}

static int hostile_main(struct arena *a, struct vt_peer *self)
{
	struct venom_shell *s;
	uint64_t rnd = a->seed;
	char *own;

	come(a, &s);
	own = aligned_alloc(VENOM_PAGE, s->cmd_map.size);
	VT_CHECK(own && !vt_signal(self) && !vt_await(self));
	while (!vt_load(&a->stop)) {
		bool hostile = vt_load(&a->hostile);

		vt_step(&a->step[HONEST], "scribble", ++a->bursts);
		burst(s, hostile ? (char *)s->cmd : own, &rnd, hostile);
		if (venom_shell_gone(s))
			come_back(a, &s);
	}
	free(own);
	venom_shell_close(s);
	vt_add(&a->left, -1);
	return 0;
}

/* ---- the windows ---- */

static uint64_t sum(const uint64_t *v)
{
	uint64_t n = 0;

	for (int i = 0; i < HONEST; i++)
		n += vt_load(&v[i]);
	return n;
}

/* Makes harmless and hostile windows by turns, and adds up what the honest shells got done in each. */
static int lead_main(struct arena *a, struct vt_peer *self)
{
	double done[2] = {0}, reads[2] = {0}, s[2] = {0};

	VT_CHECK(!vt_signal(self) && !vt_await(self));
	for (int w = 0; w < a->windows; w++) {
		uint64_t start, n, r;

		vt_step(&a->step[HONEST + 1], "window", (uint64_t)w);
		vt_store(&a->hostile, w % 2);
		vt_sleep_ms(SETTLE_MS);
		start = vt_now();
		n = sum(a->done);
		r = sum(a->reads);
		vt_sleep_ms(WINDOW_MS);
		s[w % 2] += (double)(vt_now() - start) / 1e9;
		done[w % 2] += (double)(sum(a->done) - n);
		reads[w % 2] += (double)(sum(a->reads) - r);
	}
	/* A slow machine may not have got so far yet. */
	VT_CHECK(VT_UNTIL(vt_load(&a->of_hostile) && sum(a->done)));
	vt_store(&a->stop, 1);
	for (int k = 0; k < 2; k++) {
		a->rate[k] = done[k] / s[k];
		a->read_rate[k] = reads[k] / s[k];
	}
	return 0;
}

static int shell_main(struct vt_peer *self, void *arg)
{
	struct vt_role *role = arg;

	if (role->who < HONEST)
		return honest_main(role->arena, role->who, self);
	return role->who == HONEST ? hostile_main(role->arena, self) : lead_main(role->arena, self);
}

/* In other builds the sanitizer's or the virtual machine's time would be measured. */
static bool can_tell_speed(void)
{
#if defined(VT_ASAN) || defined(VT_TSAN)
	return false;
#else
	return vt_scale() >= 1;
#endif
}

TEST(everything_it_may_write)
{
	const char *env = getenv("VENOM_SCRIBBLE_S");
	double seconds = env ? atof(env) : 8 * vt_scale(), slower;
	struct arena *a = vt_shared(sizeof(*a));

	a->windows = (int)(seconds * 1000 / (WINDOW_MS + SETTLE_MS)) & ~1;
	if (a->windows < 2)
		a->windows = 2;
	snprintf(a->name, sizeof(a->name), "%s", vt_name());
	a->seed = vt_seed();
	a->left = HONEST + 1;
	ASSERT_EQ(0, vt_play(a, a->step, daemon_main, shell_main, PLAYERS - 1));
	slower = a->rate[0] / a->rate[1];
	ksft_print_msg(
		"%d windows: %.0f requests/s and %.0f reads/s beside the harmless, %.0f and %.0f beside the hostile: "
		"%.2f times as slow\n",
		a->windows, a->rate[0], a->read_rate[0], a->rate[1], a->read_rate[1], slower);
	ksft_print_msg("%ju bursts, %ju commands of the hostile taken, thrown out %ju times, back %ju times\n",
		       (uintmax_t)a->bursts, (uintmax_t)a->of_hostile, (uintmax_t)a->evicted, (uintmax_t)a->returns);
	ksft_print_msg("%ju numbers passed over, %ju publishes that waited, %ju times cut off\n", (uintmax_t)a->passed,
		       (uintmax_t)a->full, (uintmax_t)a->cut);
	EXPECT_LT(0, a->passed);
	EXPECT_LT(0, a->full);
	EXPECT_LT(0, a->cut);
	if (can_tell_speed())
		EXPECT_GT(SLOWER, slower);
}

TEST_HARNESS_MAIN

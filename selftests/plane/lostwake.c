/* SPDX-License-Identifier: MIT */
/*
 * Attacks the wakes: handshakes between processes, as many as fit into the time, in which one side is about to sleep
 * just when the other is about to wake it, with a random delay before each step.  It does so for commands, answers,
 * state with one waiter and with three, and room in a full lane; through the library's own waits in each spin mode, and
 * through the descriptors with arm and poll.
 *
 * No wake may be lost.  In a handshake nothing else comes that could hide a lost wake, and no wait has a time-out: a
 * lost wake hangs its processes, and the watchdog says which process slept where.
 */
#include <poll.h>
#include <sched.h>
#include "lib/harness.h"
#include "lib/watch.h"
#include "venom.h"

#define PAIRS	3
#define WAITERS 3
#define FEW	2000 /* handshakes at least, however slow the machine is */

/*
 * SECOND: of two answers the first is spun for.  So the daemon has loaded the shell's word just before, and its next
 * load, which need not wait for the word, easily overtakes the second answer.  LAZY: room, and only one more slot each
 * time.
 */
enum what { COMMANDS, ANSWERS, SECOND, STATE, ROOM, LAZY };

/* One channel, its daemon and its shells, and what they share outside of it. */
struct pair {
	char name[VENOM_NAME_MAX + 1];
	enum what what;
	bool by_fd;
	uint32_t slots, shells;
	unsigned int ms; /* run time */
	int64_t daemon_spin, shell_spin;
	int cpu; /* the daemon's, its shells are on the other one; -1: any CPU, often the same */
	uint64_t seed;
	uint64_t ack[WAITERS]; /* commands received; versions read */
	uint64_t sent;
	uint64_t done;
	uint64_t handshakes, sleeps, wakes, polls;
	struct vt_step *step; /* of the shells, then of the daemon */
};

struct total {
	uint64_t handshakes, sleeps, wakes;
};
#define total ((struct total *)vt_box)

/* Delays up to some microseconds, about an arm and a second look; now and then not at all, or with a yield. */
static void jitter(uint64_t *rng)
{
	uint64_t r = vt_rand(rng);
	uint64_t n = r % 16 < 4 ? 0 : (r >> 8) % (r % 16 < 9 ? 16 : r % 16 < 14 ? 96 : 2048);

	if (r % 64 == 15)
		sched_yield();
	while (n--)
#ifdef __x86_64__
		__builtin_ia32_pause();
#else
		__asm__ __volatile__("" ::: "memory");
#endif
}

/* Spins until *word is n: without the library, and yielding the CPU. */
static void spin_until(const uint64_t *word, uint64_t n)
{
	unsigned int i;

	for (i = 1; vt_load(word) != n; i++)
		if (i % 128 == 0)
			sched_yield();
}

static void poll_fd(int fd, struct pair *p, uint64_t *rng)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	jitter(rng);
	VT_CHECK(poll(&pfd, 1, -1) == 1 && (pfd.revents & POLLIN));
	vt_add(&p->polls, 1);
}

static int receive(struct venom_daemon *d, struct pair *p, struct venom_command *cmd, uint64_t *rng)
{
	int rc;

	if (!p->by_fd)
		return venom_daemon_receive(d, cmd, -1);
	while (!(rc = venom_daemon_receive(d, cmd, 0))) {
		jitter(rng);
		rc = venom_daemon_arm(d);
		VT_CHECK(rc == 0 || rc == 1);
		if (!rc)
			poll_fd(venom_daemon_fd(d), p, rng);
	}
	return rc;
}

static void serve(struct venom_daemon *d, struct pair *p, struct vt_step *step, uint64_t *rng)
{
	struct venom_command cmd;
	uint64_t seq = 0, got;
	unsigned int i;

	do {
		/*
		 * LAZY: the daemon takes one command from the full lane, and looks no further until it is full again.
		 */
		for (i = 1; p->what == LAZY && vt_load(&p->sent) < seq + p->slots; i++) {
			if (i == 1)
				vt_step(step, "(daemon) its shell's turn", seq);
			else if (i % 128 == 0)
				sched_yield();
		}
		jitter(rng);
		vt_step(step, "receive", seq);
		VT_CHECK(receive(d, p, &cmd, rng) == 1);
		memcpy(&got, cmd.data, sizeof(got));
		VT_CHECK(cmd.len == sizeof(got) && (got == seq || got == UINT64_MAX));
		seq++;
		if (cmd.flags & VENOM_CMD_REQUEST) {
			jitter(rng);
			vt_step(step, "respond", seq);
			VT_CHECK(!venom_daemon_respond(d, &cmd, &got, sizeof(got)));
		}
		vt_store(&p->ack[0], seq);
	} while (got != UINT64_MAX);
	p->handshakes = seq;
}

static void publish(struct venom_daemon *d, struct pair *p, struct vt_step *step, uint64_t *rng)
{
	uint64_t end = vt_now() + (uint64_t)(p->ms * VT_MS * vt_scale()), v = 0, word;
	uint32_t i;
	bool last;

	do {
		v++;
		last = v >= FEW && v % 64 == 0 && vt_now() >= end;
		word = last ? UINT64_MAX : v;
		jitter(rng);
		vt_step(step, "publish", v);
		VT_CHECK(!venom_daemon_publish(d, &word, sizeof(word)));
		vt_step(step, "(publisher) waiters' turn", v);
		for (i = 0; i < p->shells; i++)
			spin_until(&p->ack[i], v);
	} while (!last);
	p->handshakes = v;
}

static int daemon_main(struct vt_peer *self, void *arg)
{
	struct pair *p = ((struct vt_role *)arg)->arena;
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_daemon_stats st;
	struct venom_daemon *d;
	uint64_t rng = p->seed;

	if (p->cpu >= 0)
		vt_pin(p->cpu);
	cfg.cmd_slots = p->slots;
	cfg.spin_ns = p->daemon_spin;
	VT_CHECK(!venom_daemon_create(&d, p->name, &cfg));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	if (p->what == STATE)
		publish(d, p, &p->step[p->shells], &rng);
	else
		serve(d, p, &p->step[p->shells], &rng);
	vt_step(&p->step[p->shells], "(daemon) waiting for its shells to end", 0);
	VT_CHECK(VT_UNTIL(vt_load(&p->done) == p->shells));
	VT_CHECK(!venom_daemon_stats(d, &st));
	vt_add(&p->sleeps, st.sleeps);
	vt_add(&p->wakes, st.wakes);
	venom_daemon_destroy(d);
	return 0;
}

static void follow(struct venom_shell *s, struct pair *p, int who, uint64_t *rng)
{
	uint64_t v, word, got;
	int rc;

	for (v = 0, word = 0; word != UINT64_MAX;) {
		jitter(rng);
		vt_step(&p->step[who], "wait for state", v);
		if (!p->by_fd) {
			VT_CHECK(venom_shell_wait(s, v, -1) == 1);
		} else {
			while (!(rc = venom_shell_arm(s, VENOM_WAIT_STATE, v)))
				poll_fd(venom_shell_fd(s), p, rng);
			VT_CHECK(rc == 1);
		}
		VT_CHECK(venom_shell_read(s, &word, sizeof(word), &got) == sizeof(word));
		VT_CHECK(got == ++v && (word == v || word == UINT64_MAX));
		vt_store(&p->ack[who], v);
	}
}

static void request(struct venom_shell *s, struct pair *p, uint64_t word, uint64_t *rng)
{
	uint64_t tag, got;
	ssize_t n;
	int rc;

	if (!p->by_fd) {
		n = venom_shell_request(s, &word, sizeof(word), &got, sizeof(got), -1);
	} else {
		VT_CHECK(!venom_shell_submit(s, &word, sizeof(word), &tag));
		while ((n = venom_shell_complete(s, &tag, &got, sizeof(got), 0)) == -ETIMEDOUT) {
			jitter(rng);
			rc = venom_shell_arm(s, VENOM_WAIT_ANSWER, 0);
			VT_CHECK(rc == 0 || rc == 1);
			if (!rc)
				poll_fd(venom_shell_fd(s), p, rng);
		}
	}
	VT_CHECK(n == sizeof(got) && got == word);
}

static void request_two(struct venom_shell *s, uint64_t first, uint64_t second, uint64_t *rng)
{
	uint64_t tag[2], got;
	unsigned int i;
	ssize_t n;

	VT_CHECK(!venom_shell_submit(s, &first, sizeof(first), &tag[0]));
	VT_CHECK(!venom_shell_submit(s, &second, sizeof(second), &tag[1]));
	for (i = 1; (n = venom_shell_complete(s, &tag[0], &got, sizeof(got), 0)) == -ETIMEDOUT; i++)
		if (i % 128 == 0)
			sched_yield();
	VT_CHECK(n == sizeof(got) && got == first);
	jitter(rng);
	n = venom_shell_complete(s, &tag[1], &got, sizeof(got), -1);
	VT_CHECK(n == sizeof(got) && got == second);
}

static void send(struct venom_shell *s, struct pair *p, uint64_t word, uint64_t *rng)
{
	int rc;

	while ((rc = venom_shell_send(s, &word, sizeof(word))) == -EAGAIN) {
		jitter(rng);
		if (!p->by_fd) {
			VT_CHECK(venom_shell_room(s, -1) == 1);
			continue;
		}
		rc = venom_shell_arm(s, VENOM_WAIT_ROOM, 0);
		VT_CHECK(rc == 0 || rc == 1);
		if (!rc)
			poll_fd(venom_shell_fd(s), p, rng);
	}
	VT_CHECK(!rc);
}

static void command(struct venom_shell *s, struct pair *p, int who, uint64_t *rng)
{
	static const char *const doing[] = {"(shell) its daemon's turn", "request", "two requests", "", "room, send", "room, send"};
	uint64_t end = vt_now() + (uint64_t)(p->ms * VT_MS * vt_scale()), seq, word;
	bool last = false;

	for (seq = 0; !last; seq++) {
		last = seq >= FEW && seq % 64 == 0 && vt_now() >= end;
		word = last ? UINT64_MAX : seq;
		jitter(rng);
		vt_step(&p->step[who], doing[p->what], seq);
		if (p->what == ANSWERS) {
			request(s, p, word, rng);
			continue;
		}
		if (p->what == SECOND) {
			request_two(s, seq, last ? UINT64_MAX : seq + 1, rng);
			seq++;
			continue;
		}
		send(s, p, word, rng);
		vt_store(&p->sent, last ? UINT64_MAX : seq + 1);
		if (p->what == COMMANDS)
			spin_until(&p->ack[0], seq + 1);
	}
}

static int shell_main(struct vt_peer *self, void *arg)
{
	struct pair *p = ((struct vt_role *)arg)->arena;
	int who = ((struct vt_role *)arg)->who;
	uint64_t rng = p->seed + 1000 + (uint64_t)who;
	struct venom_shell_stats st;
	struct venom_shell *s;

	if (p->cpu >= 0)
		vt_pin(p->cpu + 1);
	VT_CHECK(!venom_shell_connect(&s, p->name));
	VT_CHECK(!venom_shell_set_spin(s, p->shell_spin));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	if (p->what == STATE)
		follow(s, p, who, &rng);
	else
		command(s, p, who, &rng);
	VT_CHECK(!venom_shell_stats(s, &st));
	vt_add(&p->sleeps, st.sleeps);
	vt_add(&p->wakes, st.wakes);
	venom_shell_close(s);
	vt_add(&p->done, 1);
	return 0;
}

FIXTURE(wake)
{
	struct pair *pair;
	struct vt_step *step;
};

FIXTURE_VARIANT(wake)
{
	enum what what;
	bool by_fd;
	uint32_t slots, shells, pairs;
	int64_t daemon_spin, shell_spin;
};

#define VARIANT(name, w, fd, sl, sh, pa, ds, ss)                                                                     \
	FIXTURE_VARIANT_ADD(wake, name)                                                                              \
	{                                                                                                            \
		.what = w, .by_fd = fd, .slots = sl, .shells = sh, .pairs = pa, .daemon_spin = ds, .shell_spin = ss, \
	}
#define NONE	 VENOM_SPIN_NONE
#define ADAPTIVE VENOM_SPIN_ADAPTIVE
#define FOREVER	 VENOM_SPIN_FOREVER
VARIANT(commands, COMMANDS, false, 4, 1, 1, NONE, NONE);
VARIANT(commands_cross, COMMANDS, false, 4, 1, 2, NONE, NONE);
VARIANT(commands_busy, COMMANDS, false, 4, 1, 3, NONE, NONE);
VARIANT(commands_adaptive, COMMANDS, false, 4, 1, 2, ADAPTIVE, NONE);
VARIANT(commands_2us, COMMANDS, false, 4, 1, 1, 2000, NONE);
VARIANT(commands_poll, COMMANDS, true, 4, 1, 1, NONE, NONE);
VARIANT(commands_poll_busy, COMMANDS, true, 4, 1, 3, NONE, NONE);
VARIANT(answers, ANSWERS, false, 4, 1, 1, NONE, NONE);
VARIANT(answers_cross, ANSWERS, false, 4, 1, 2, NONE, NONE);
VARIANT(answers_busy, ANSWERS, false, 4, 1, 3, NONE, NONE);
VARIANT(answers_of_spinner, ANSWERS, false, 4, 1, 1, FOREVER, NONE);
VARIANT(answers_to_spinner, ANSWERS, false, 4, 1, 1, NONE, FOREVER);
VARIANT(answers_adaptive, ANSWERS, false, 4, 1, 1, ADAPTIVE, ADAPTIVE);
VARIANT(answers_adaptive_busy, ANSWERS, false, 4, 1, 3, ADAPTIVE, ADAPTIVE);
VARIANT(answers_2us, ANSWERS, false, 4, 1, 2, 2000, 2000);
VARIANT(answers_second, SECOND, false, 4, 1, 1, FOREVER, NONE);
VARIANT(answers_second_cross, SECOND, false, 4, 1, 2, FOREVER, NONE);
VARIANT(answers_poll, ANSWERS, true, 4, 1, 1, FOREVER, NONE);
VARIANT(answers_poll_both, ANSWERS, true, 4, 1, 3, NONE, NONE);
VARIANT(state, STATE, false, 4, 1, 1, NONE, NONE);
VARIANT(state_cross, STATE, false, 4, 1, 2, NONE, NONE);
VARIANT(state_busy, STATE, false, 4, 1, 3, NONE, NONE);
VARIANT(state_3_waiters, STATE, false, 4, 3, 1, NONE, NONE);
VARIANT(state_3_waiters_busy, STATE, false, 4, 3, 2, NONE, NONE);
VARIANT(state_3_waiters_adaptive, STATE, false, 4, 3, 1, NONE, ADAPTIVE);
VARIANT(state_2us, STATE, false, 4, 1, 1, NONE, 2000);
VARIANT(state_poll, STATE, true, 4, 1, 1, NONE, NONE);
VARIANT(state_poll_3_waiters, STATE, true, 4, 3, 1, NONE, NONE);
VARIANT(room_1_slot, ROOM, false, 1, 1, 1, NONE, NONE);
VARIANT(room_busy, ROOM, false, 2, 1, 3, NONE, NONE);
VARIANT(room_adaptive, ROOM, false, 1, 1, 1, ADAPTIVE, ADAPTIVE);
VARIANT(room_lazy, LAZY, false, 7, 1, 1, NONE, NONE);
VARIANT(room_lazy_cross, LAZY, false, 7, 1, 2, NONE, NONE);
VARIANT(room_lazy_busy, LAZY, false, 1, 1, 3, ADAPTIVE, NONE);
VARIANT(room_lazy_poll, LAZY, true, 2, 1, 3, NONE, NONE);
VARIANT(room_poll, ROOM, true, 1, 1, 2, NONE, NONE);

FIXTURE_SETUP(wake)
{
	uint32_t i;

	self->pair = vt_shared(PAIRS * sizeof(*self->pair));
	self->step = vt_shared(PAIRS * (WAITERS + 1) * sizeof(*self->step));
	for (i = 0; i < variant->pairs; i++) {
		struct pair *p = &self->pair[i];

		strcpy(p->name, vt_name());
		p->what = variant->what;
		p->by_fd = variant->by_fd;
		p->slots = variant->slots;
		p->shells = variant->shells;
		p->cpu = variant->pairs < 3 ? (int)i : -1;
		p->ms = variant->pairs > 1 ? 2000 : 600; /* several pairs keep the CPUs awake, so more fit in */
		p->daemon_spin = variant->daemon_spin;
		p->shell_spin = variant->shell_spin;
		p->seed = vt_seed() + i;
		p->step = &self->step[i * (p->shells + 1)];
	}
}

FIXTURE_TEARDOWN(wake)
{
}

TEST_F_TIMEOUT(wake, none_is_lost, 240)
{
	struct vt_peer peer[PAIRS * (WAITERS + 1)];
	struct vt_role role[PAIRS * (WAITERS + 1)];
	uint32_t i, k, n = 0, each = variant->shells + 1;
	struct pair sum = {.handshakes = 0};

	for (i = 0; i < variant->pairs; i++) {
		for (k = 0; k < each; k++)
			role[n + k] = (struct vt_role){&self->pair[i], (int)k};
		vt_spawn(&peer[n + each - 1], daemon_main, &role[n + each - 1]);
		ASSERT_EQ(0, vt_await(&peer[n + each - 1]));
		for (k = 0; k < each - 1; k++) {
			vt_spawn(&peer[n + k], shell_main, &role[n + k]);
			ASSERT_EQ(0, vt_await(&peer[n + k]));
		}
		n += each;
	}
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, vt_signal(&peer[i]));
	ASSERT_EQ(0, vt_watch(peer, self->step, (int)n));
	for (i = 0; i < variant->pairs; i++) {
		sum.handshakes += self->pair[i].handshakes * self->pair[i].shells;
		sum.sleeps += self->pair[i].sleeps + self->pair[i].polls;
		sum.wakes += self->pair[i].wakes;
	}
	ksft_print_msg("%ju handshakes, %ju sleeps, %ju wakes\n", (uintmax_t)sum.handshakes, (uintmax_t)sum.sleeps,
		       (uintmax_t)sum.wakes);
	vt_add(&total->handshakes, sum.handshakes);
	vt_add(&total->sleeps, sum.sleeps);
	vt_add(&total->wakes, sum.wakes);
	if (variant->daemon_spin == NONE && variant->shell_spin == NONE) { /* else nothing was tried */
		EXPECT_GT(sum.sleeps, 0);
		EXPECT_GT(sum.wakes, 0);
	}
}

FIXTURE(all)
{
	int unused;
};

FIXTURE_SETUP(all)
{
}

FIXTURE_TEARDOWN(all)
{
}

TEST_F(all, of_them_counted)
{
	ksft_print_msg("in all %ju handshakes, %ju sleeps, %ju wakes\n", (uintmax_t)total->handshakes,
		       (uintmax_t)total->sleeps, (uintmax_t)total->wakes);
	EXPECT_GT(total->wakes, 0);
}

TEST_HARNESS_MAIN

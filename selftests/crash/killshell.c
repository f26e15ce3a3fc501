/* SPDX-License-Identifier: MIT */
/*
 * Attacks with kill -9 of shells in mid-push, in mid-request, asleep, and while they connect, at random moments,
 * hundreds of times; and with shells that are stopped and go on.  Beside them other shells send, request and read.
 *
 * What a dead shell sent must arrive in order and whole, and nothing after it.  The other shells' traffic must go on
 * without a gap.  The dead shell's id must come back, and nothing of it may stay in the daemon: no descriptor, no
 * mapping.  A daemon that waits for a dead or stopped shell is caught by the watchdog.
 */
#include <signal.h>
#include "lib/harness.h"
#include "lib/message.h"
#include "lib/watch.h"
#include "venom.h"

#define STEADY	3
#define CLIENTS (STEADY + 2)
#define SIZE	200
#define SLOTS	8

struct arena {
	struct vt_step step[STEADY + 2]; /* the steady shells', the victim's, the daemon's */
	char name[VENOM_NAME_MAX + 1];
	uint64_t seed;
	uint64_t victim; /* `who` of the next victim */
	uint64_t stop, done;
	uint64_t received[STEADY], whole; /* commands, from each steady shell; from victims */
	uint64_t heard; /* victims of which a command was received */
	uint64_t answered, gone;
	struct venom_daemon_stats st;
};

struct known {
	uint32_t generation, who, pid;
	uint64_t next;
};

static void check(struct arena *a, struct known *k, const struct venom_command *cmd, struct vt_message *m)
{
	VT_CHECK(cmd->client_id < CLIENTS);
	k += cmd->client_id;
	VT_CHECK(vt_get(cmd->data, cmd->len, SIZE, a->seed, m));
	if (k->next == UINT64_MAX || cmd->generation != k->generation) {
		/* No command of the shell before comes any more. */
		VT_CHECK(k->next == UINT64_MAX || cmd->generation > k->generation);
		*k = (struct known){cmd->generation, m->who, cmd->pid, 0};
		a->heard += m->who >= STEADY;
	}
	if (m->seq != k->next)
		fprintf(stderr, "# of shell %u came %llu where %llu was due\n", m->who, (unsigned long long)m->seq,
			(unsigned long long)k->next);
	VT_CHECK(m->seq == k->next++ && m->who == k->who && cmd->pid == k->pid);
	VT_CHECK(!(cmd->flags & VENOM_CMD_REQUEST) == !m->kind);
	if (m->who < STEADY)
		vt_store(&a->received[m->who], a->received[m->who] + 1);
	else
		a->whole++;
}

static int daemon_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct vt_step *step = &a->step[STEADY + 1];
	struct known known[CLIENTS] = {{0}};
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_command cmd;
	struct venom_daemon *d;
	struct vt_message m;
	char buf[SIZE];
	uint64_t n = 0, word = 0;
	uint32_t i, len;
	int rc;

	for (i = 0; i < CLIENTS; i++)
		known[i].next = UINT64_MAX;
	cfg.cmd_slots = SLOTS;
	cfg.cmd_size = cfg.resp_size = SIZE;
	cfg.max_clients = CLIENTS;
	VT_CHECK(!venom_daemon_create(&d, a->name, &cfg));
	VT_CHECK(!vt_signal(self));
	while (vt_load(&a->done) < STEADY) {
		vt_step(step, "receive", n);
		if (n++ % 16 == 0) {
			word++;
			VT_CHECK(!venom_daemon_publish(d, &word, sizeof(word)));
		}
		rc = venom_daemon_receive(d, &cmd, VT_MS);
		VT_CHECK(rc == 0 || rc == 1);
		if (!rc)
			continue;
		check(a, known, &cmd, &m);
		if (!m.kind)
			continue;
		vt_step(step, "respond", n);
		m.kind |= VT_ANSWER;
		len = vt_put(buf, SIZE, a->seed, m);
		rc = venom_daemon_respond(d, &cmd, buf, len);
		VT_CHECK(rc == 0 || (rc == -EPIPE && m.who >= STEADY));
		a->answered += !rc;
		a->gone += rc == -EPIPE;
	}
	vt_step(step, "the test's turn", 0);
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	VT_CHECK(VT_UNTIL(venom_daemon_receive(d, &cmd, 0) == 0));
	VT_CHECK(VT_UNTIL(!venom_daemon_stats(d, &a->st) && a->st.clients == 0));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	venom_daemon_destroy(d);
	return 0;
}

static void send_one(struct arena *a, struct venom_shell *s, uint32_t who, uint64_t seq)
{
	char buf[SIZE];
	uint32_t len = vt_put(buf, SIZE, a->seed, (struct vt_message){who, 0, seq});
	int rc;

	while ((rc = venom_shell_send(s, buf, len)) == -EAGAIN)
		VT_CHECK(venom_shell_room(s, -1) == 1);
	VT_CHECK(!rc);
}

static void request_one(struct arena *a, struct venom_shell *s, uint32_t who, uint64_t seq)
{
	char buf[SIZE];
	uint32_t len = vt_put(buf, SIZE, a->seed, (struct vt_message){who, 1, seq});
	struct vt_message m;
	ssize_t n;

	n = venom_shell_request(s, buf, len, buf, SIZE, -1);
	VT_CHECK(n >= 0 && vt_get(buf, (size_t)n, SIZE, a->seed, &m));
	VT_CHECK(m.who == who && m.seq == seq && (m.kind & VT_ANSWER));
}

static int steady_main(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	uint32_t who = (uint32_t)((struct vt_role *)arg)->who;
	struct vt_step *step = &a->step[who];
	uint64_t rng = a->seed + who, seq, v, got, word, r;
	struct venom_shell_stats st;
	struct venom_shell *s;
	ssize_t n;

	VT_CHECK(!venom_shell_connect(&s, a->name));
	VT_CHECK(!venom_shell_set_spin(s, who ? VENOM_SPIN_ADAPTIVE : VENOM_SPIN_NONE));
	VT_CHECK(!vt_signal(self));
	for (seq = 0, v = 0; !vt_load(&a->stop); seq++) {
		r = vt_rand(&rng);
		if (r % 4 == 0) {
			vt_step(step, "request", seq);
			request_one(a, s, who, seq);
		} else {
			vt_step(step, "send", seq);
			send_one(a, s, who, seq);
		}
		if ((r >> 8) % 16)
			continue;
		vt_step(step, "wait for state", v);
		VT_CHECK(venom_shell_wait(s, v, -1) == 1);
		n = venom_shell_read(s, &word, sizeof(word), &got);
		VT_CHECK(n == sizeof(word) ? got > v && word == got : n == -EAGAIN);
		v = n < 0 ? v : got;
	}
	VT_CHECK(!venom_shell_stats(s, &st) && st.commands == seq);
	vt_step(step, "the end", seq);
	VT_CHECK(VT_UNTIL(vt_load(&a->received[who]) == seq));
	vt_add(&a->done, 1);
	VT_CHECK(!vt_await(self));
	venom_shell_close(s);
	return 0;
}

/* Works as fast as it can until it is killed; `who` decides how. */
static int victim_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	uint32_t who = (uint32_t)vt_load(&a->victim);
	struct venom_shell *s;
	uint64_t seq, tag;
	char buf[SIZE];
	uint32_t len;
	int rc;

	vt_step(&a->step[STEADY], "connect", who);
	/* The victim before may not have been cleaned up yet. */
	VT_CHECK(VT_UNTIL((rc = venom_shell_connect(&s, a->name)) != -EUSERS));
	VT_CHECK(!rc && !vt_signal(self));
	for (seq = 0;; seq++) {
		vt_step(&a->step[STEADY], "its work", seq);
		switch (who % 4) {
		case 0:
			request_one(a, s, who, seq);
			break;
		case 1: /* open requests that are never completed */
			len = vt_put(buf, SIZE, a->seed, (struct vt_message){who, 1, seq});
			if (!venom_shell_submit(s, buf, len, &tag))
				break;
			VT_CHECK(venom_shell_wait(s, UINT64_MAX - 1, -1) < 0); /* for ever */
			break;
		default:
			send_one(a, s, who, seq);
		}
	}
	return 0;
}

static uint64_t received_by_others(const struct arena *a, int but)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < STEADY; i++)
		n += i == but ? 0 : vt_load(&a->received[i]);
	return n;
}

/* One steady shell is stopped: the others go on all the same, and it goes on when it is continued. */
static bool stop_and_go(struct arena *a, struct vt_peer *shell, int i)
{
	uint64_t own, others;
	bool ok;

	kill(shell[i].pid, SIGSTOP);
	others = received_by_others(a, i);
	ok = VT_WATCH_UNTIL(received_by_others(a, i) > others + 10 || vt_any_ended(shell, STEADY), a->step, STEADY + 2);
	own = vt_load(&a->received[i]);
	kill(shell[i].pid, SIGCONT);
	return ok && VT_WATCH_UNTIL(vt_load(&a->received[i]) > own || vt_any_ended(shell, STEADY), a->step, STEADY + 2);
}

FIXTURE(shell)
{
	int unused;
};

FIXTURE_SETUP(shell)
{
}

FIXTURE_TEARDOWN(shell)
{
}

TEST_F_TIMEOUT(shell, killed_in_mid_push, 280)
{
	uint64_t rng = vt_seed(), kills = vt_scaled(400), i, early = 0, stops = 0, before[STEADY];
	struct arena *a = vt_shared(sizeof(*a));
	struct vt_role role[STEADY];
	struct vt_peer d, steady[STEADY], victim;
	int fds, maps, k;

	a->seed = vt_seed();
	strcpy(a->name, vt_name());
	vt_spawn(&d, daemon_main, a);
	ASSERT_EQ(0, vt_await(&d));
	for (k = 0; k < STEADY; k++) {
		role[k] = (struct vt_role){a, k};
		vt_spawn(&steady[k], steady_main, &role[k]);
		ASSERT_EQ(0, vt_await(&steady[k]));
	}
	for (k = 0; k < STEADY; k++) {
		ASSERT_TRUE(VT_WATCH_UNTIL(vt_load(&a->received[k]) > 100, a->step, STEADY + 2));
		before[k] = vt_load(&a->received[k]);
	}
	fds = vt_count_fds_of(d.pid);
	maps = vt_count_areas_of(d.pid);
	for (i = 0; i < kills; i++) {
		vt_store(&a->victim, STEADY + i);
		vt_spawn(&victim, victim_main, a);
		if (vt_rand(&rng) % 4) {
			ASSERT_EQ(0, vt_await(&victim));
		} else {
			early++;
		}
		usleep(vt_rand(&rng) % 3000);
		if (vt_rand(&rng) % 8 == 0) {
			kill(victim.pid, SIGSTOP);
			usleep(vt_rand(&rng) % 2000);
		}
		ASSERT_FALSE(vt_has_ended(&victim));
		vt_kill(&victim, SIGKILL);
		if (vt_rand(&rng) % 16 == 0) {
			ASSERT_TRUE(stop_and_go(a, steady, (int)(i % STEADY)));
			stops++;
		}
		ASSERT_FALSE(vt_has_ended(&d));
		ASSERT_FALSE(vt_any_ended(steady, STEADY));
	}
	/* Nothing of the victims is left, while the other shells are still at work. */
	EXPECT_TRUE(VT_UNTIL(vt_count_fds_of(d.pid) == fds && vt_count_areas_of(d.pid) == maps))
	{
		TH_LOG("daemon has %d descriptors and %d mappings, had %d and %d", vt_count_fds_of(d.pid),
		       vt_count_areas_of(d.pid), fds, maps);
	}
	for (k = 0; k < STEADY; k++)
		EXPECT_GT(vt_load(&a->received[k]), before[k]);
	vt_store(&a->stop, 1);
	ASSERT_EQ(0, vt_await(&d));
	for (k = 0; k < STEADY; k++)
		vt_signal(&steady[k]);
	EXPECT_EQ(0, vt_watch(steady, a->step, STEADY));
	vt_signal(&d);
	ASSERT_EQ(0, vt_await(&d));
	/* Five descriptors and two mappings for each shell, as venom.h has it. */
	ksft_print_msg("daemon: %d descriptors and %d mappings with %d shells, %d and %d without\n", fds, maps, STEADY,
		       vt_count_fds_of(d.pid), vt_count_areas_of(d.pid));
	if (vt_on_dev()) {
		EXPECT_EQ(vt_count_fds_of(d.pid), fds); /* none for a shell */
	} else {
		EXPECT_LT(vt_count_fds_of(d.pid), fds);
	}
	EXPECT_LT(vt_count_areas_of(d.pid), maps);
	vt_signal(&d);
	EXPECT_EQ(0, vt_wait(&d));
	ksft_print_msg(
		"%ju shells killed, %ju of them perhaps before they were let in, %ju heard of: %ju whole commands; "
		"%ju answers, %ju to the dead; %ju times one was stopped\n",
		(uintmax_t)kills, (uintmax_t)early, (uintmax_t)a->heard, (uintmax_t)a->whole, (uintmax_t)a->answered,
		(uintmax_t)a->gone, (uintmax_t)stops);
	for (k = 0; k < STEADY; k++)
		ksft_print_msg("steady shell %d: %ju commands\n", k, (uintmax_t)a->received[k]);
	EXPECT_EQ(0, a->st.evicted);
	EXPECT_GT(a->heard, 0);
}

TEST_HARNESS_MAIN

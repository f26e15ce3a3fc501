/* SPDX-License-Identifier: MIT */
/*
 * Attacks with kill -9 of the daemon in mid-publish, at random moments, hundreds of times; each time the next daemon
 * starts under the same name.  Beside it shells read, wait for state, follow each version, poll, and request.
 *
 * Each shell must get whole data or an errno that says what happened, and must find the next daemon.  A waiter that is
 * not woken hangs: the watchdog says which.  A torn version shows by its content.  A version that was whole and can't
 * be read any more, and a wrong errno, have checks of their own.
 */
#include <poll.h>
#include <signal.h>
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/watch.h"
#include "venom.h"

#define SIZE 262144 /* so large that most kills find the writer at work */

enum { READER, WAITER, FOLLOWER, POLLER, REQUESTER, WORKERS };
static const char *const names[] = {"read", "wait", "read_next", "arm, poll", "request"};

struct arena {
	struct vt_step step[WORKERS];
	char name[VENOM_NAME_MAX + 1];
	uint32_t versions;
	bool early; /* the daemon may die before any shell has found it */
	uint64_t round; /* the daemon's number */
	uint64_t up; /* the daemon has published its first version */
	uint64_t writing, committed; /* versions, as noted by the daemon */
	uint64_t found[WORKERS], left[WORKERS], data[WORKERS], torn[WORKERS];
	uint64_t refused; /* connects with -ENOENT */
	uint64_t stop;
};

static uint32_t word_of(uint64_t round, uint64_t v)
{
	return (uint32_t)(round << 20 | (v & 0xfffff));
}

static size_t len_of(uint64_t v)
{
	return SIZE - v % 1000;
}

static int daemon_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	uint64_t v, round = vt_load(&a->round);
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_command cmd;
	struct venom_daemon *d;
	char *buf = malloc(SIZE);
	int rc;

	cfg.data_size = SIZE;
	cfg.versions = a->versions;
	cfg.max_clients = WORKERS;
	vt_store(&a->committed, 0);
	vt_store(&a->writing, 0);
	VT_CHECK(buf && !venom_daemon_create(&d, a->name, &cfg));
	for (v = 1;; v++) {
		vt_store(&a->writing, v);
		if (v % 2) {
			vt_fill(venom_daemon_write_begin(d, NULL), len_of(v), word_of(round, v));
			VT_CHECK(!venom_daemon_write_commit(d, len_of(v)));
		} else {
			vt_fill(buf, len_of(v), word_of(round, v));
			VT_CHECK(!venom_daemon_publish(d, buf, len_of(v)));
		}
		vt_store(&a->committed, v);
		vt_store(&a->writing, 0);
		if (v == 1) {
			vt_store(&a->up, round);
			VT_CHECK(!vt_signal(self));
		}
		while ((rc = venom_daemon_receive(d, &cmd, 0)) == 1) {
			if (!(cmd.flags & VENOM_CMD_REQUEST))
				continue;
			rc = venom_daemon_respond(d, &cmd, cmd.data, cmd.len);
			VT_CHECK(rc == 0 || rc == -EPIPE || rc == -ESTALE);
		}
	}
	return 0;
}

/* Checks version v, of len bytes in buf: it must be whole, and this daemon's. */
static void check_data(struct arena *a, int who, const char *buf, ssize_t len, uint64_t v, uint64_t *last,
		       uint64_t round)
{
	VT_CHECK(v >= *last && len == (ssize_t)len_of(v) && vt_is(buf, (size_t)len, word_of(round, v)));
	*last = v;
	a->data[who]++;
}

/* One turn of this worker's job.  Returns 0, or the errno that it got. */
static int work(struct arena *a, struct venom_shell *s, int who, char *buf, uint64_t *last, uint64_t round, uint64_t n)
{
	struct pollfd pfd = {.events = POLLIN};
	uint64_t v = *last, got;
	ssize_t len = 0;
	int rc;

	if (who == REQUESTER) {
		len = venom_shell_request(s, &n, sizeof(n), &got, sizeof(got), -1);
		VT_CHECK(len < 0 || (len == sizeof(got) && got == n));
		a->data[who] += len > 0;
		return len < 0 ? (int)len : 0;
	}
	if (who == FOLLOWER) {
		len = venom_shell_read_next(s, buf, SIZE, &v);
		if (len == -EAGAIN)
			rc = venom_shell_wait(s, v, -1);
		else
			rc = len < 0 && len != -EOVERFLOW ? (int)len : 1;
		if (len == -EOVERFLOW)
			*last = v;
	} else if (who == POLLER) {
		rc = venom_shell_arm(s, VENOM_WAIT_STATE, v);
		pfd.fd = venom_shell_fd(s);
		if (!rc)
			VT_CHECK(poll(&pfd, 1, -1) == 1);
		if (rc == -EPIPE)
			VT_CHECK(poll(&pfd, 1, -1) == 1); /* the descriptor stays readable */
	} else {
		rc = who == WAITER ? venom_shell_wait(s, v, -1) : venom_shell_alive(s) ? 1 : -EPIPE;
	}
	VT_CHECK(rc == 1 || rc < 0 || (who == POLLER && rc == 0));
	if (rc < 0)
		return rc;
	if (who != FOLLOWER)
		len = venom_shell_read(s, buf, SIZE, &v);
	if (len >= 0)
		check_data(a, who, buf, len, v, last, round);
	return len < 0 && len != -EAGAIN && len != -EOVERFLOW ? (int)len : 0;
}

/* The daemon has gone: checks what can still be read of it. */
static void check_rest(struct arena *a, struct venom_shell *s, int who, char *buf, uint64_t last, uint64_t round)
{
	uint64_t v, committed = vt_load(&a->committed), writing = vt_load(&a->writing);
	ssize_t len = venom_shell_read(s, buf, SIZE, &v);
	uint64_t tag;

	VT_CHECK(!venom_shell_alive(s));
	if (len == -EOWNERDEAD) {
		a->torn[who]++;
		VT_CHECK(a->versions == 1 && (a->early || writing));
	} else {
		VT_CHECK(len >= 0);
		check_data(a, who, buf, len, v, &last, round);
		/* The daemon may have died between a commit and its note of it. */
		VT_CHECK(a->early || v == committed || v == writing);
		VT_CHECK(venom_shell_wait(s, v, -1) == -EPIPE && venom_shell_wait(s, v, 0) == -EPIPE);
		VT_CHECK(venom_shell_read_next(s, buf, SIZE, &v) == -EPIPE);
	}
	VT_CHECK(venom_shell_send(s, "x", 1) == -EPIPE);
	VT_CHECK(venom_shell_submit(s, "x", 1, &tag) == -EPIPE);
	VT_CHECK(venom_shell_request(s, "x", 1, buf, SIZE, -1) == -EPIPE);
}

static int worker(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	int who = ((struct vt_role *)arg)->who, err;
	uint64_t round = 0, last, n = 0;
	char *buf = malloc(SIZE);
	struct venom_shell *s;

	(void)self;
	VT_CHECK(buf);
	for (;;) {
		vt_step(&a->step[who], "connect", round);
		if (!a->early) {
			VT_CHECK(VT_UNTIL(vt_load(&a->up) > round || vt_load(&a->stop)));
			round = vt_load(&a->up);
		}
		if (vt_load(&a->stop))
			break;
		err = venom_shell_connect(&s, a->name);
		if (err && a->early) {
			if (err != -ENOENT)
				fprintf(stderr, "# connect gave errno %d (%s)\n", err, venom_errmsg());
			VT_CHECK(err == -ENOENT);
			vt_add(&a->refused, 1);
			usleep(200);
			continue;
		}
		VT_CHECK(!err);
		last = 0;
		if (a->early) { /* which daemon's is it?  It may have died without a version */
			while ((err = venom_shell_read(s, buf, SIZE, &last)) < 0 && venom_shell_alive(s))
				VT_CHECK(err == -ENODATA || err == -EAGAIN);
			if (err < 0)
				err = venom_shell_read(s, buf, SIZE, &last);
			if (err < 0) {
				VT_CHECK(err == -ENODATA || err == -EOWNERDEAD);
				VT_CHECK(venom_shell_request(s, "x", 1, buf, SIZE, -1) == -EPIPE);
				venom_shell_close(s);
				continue;
			}
			memcpy(&round, buf, sizeof(round));
			round = (uint32_t)round >> 20;
			VT_CHECK(round && round <= vt_load(&a->round));
		}
		vt_store(&a->found[who], round);
		do
			vt_step(&a->step[who], names[who], round);
		while (!(err = work(a, s, who, buf, &last, round, n++)));
		if (who == REQUESTER)
			VT_CHECK(err == -EPIPE || err == -ECONNRESET);
		else
			VT_CHECK(err == -EPIPE || (err == -EOWNERDEAD && a->versions == 1));
		vt_step(&a->step[who], "the reads and sends after", round);
		check_rest(a, s, who, buf, last, round);
		venom_shell_close(s);
		vt_store(&a->left[who], round);
	}
	free(buf);
	return 0;
}

static bool all_at(const uint64_t *word, uint64_t round)
{
	int i;

	for (i = 0; i < WORKERS; i++)
		if (vt_load(&word[i]) < round)
			return false;
	return true;
}

FIXTURE(daemon)
{
	struct arena *a;
	struct vt_peer worker[WORKERS];
};

FIXTURE_VARIANT(daemon)
{
	uint32_t versions;
	bool early;
};

FIXTURE_VARIANT_ADD(daemon, versions_1){
	.versions = 1,
};

FIXTURE_VARIANT_ADD(daemon, versions_2){
	.versions = 2,
};

FIXTURE_VARIANT_ADD(daemon, versions_4){
	.versions = 4,
};

FIXTURE_VARIANT_ADD(daemon, versions_1_while_connecting){
	.versions = 1,
	.early = true,
};

FIXTURE_VARIANT_ADD(daemon, versions_4_while_connecting){
	.versions = 4,
	.early = true,
};

FIXTURE_SETUP(daemon)
{
	self->a = vt_shared(sizeof(*self->a));
	self->a->versions = variant->versions;
	self->a->early = variant->early;
	strcpy(self->a->name, vt_name());
}

FIXTURE_TEARDOWN(daemon)
{
	vt_forget(self->a->name);
}

TEST_F_TIMEOUT(daemon, killed_in_mid_publish, 280)
{
	uint64_t rng = vt_seed(), rounds = vt_scaled(200), round, in_write = 0, stopped = 0, data = 0, torn = 0;
	struct arena *a = self->a;
	struct vt_role role[WORKERS];
	struct vt_peer d;
	int i;

	rounds = rounds < 20 ? 20 : rounds;
	for (i = 0; i < WORKERS; i++) {
		role[i] = (struct vt_role){a, i};
		vt_spawn(&self->worker[i], worker, &role[i]);
	}
	for (round = 1; round <= rounds; round++) {
		bool last = round == rounds;

		vt_store(&a->round, round);
		vt_spawn(&d, daemon_main, a);
		if (!a->early || last) {
			ASSERT_EQ(0, vt_await(&d));
			ASSERT_TRUE(
				VT_WATCH_UNTIL(all_at(a->found, round) || vt_any_ended(self->worker, WORKERS), a->step, WORKERS));
		}
		usleep(vt_rand(&rng) % (a->early ? 6000 : 2500));
		if (last)
			vt_store(&a->stop, 1);
		if (vt_rand(&rng) % 4 == 0) { /* stop it first, so that some shells fall asleep before it dies */
			kill(d.pid, SIGSTOP);
			usleep(vt_rand(&rng) % 3000);
			stopped++;
		}
		vt_kill(&d, SIGKILL);
		in_write += vt_load(&a->writing) != 0;
		ASSERT_TRUE(last || !vt_any_ended(self->worker, WORKERS));
		if (!a->early || last)
			ASSERT_TRUE(
				VT_WATCH_UNTIL(all_at(a->left, round) || vt_any_ended(self->worker, WORKERS), a->step, WORKERS));
	}
	ASSERT_EQ(0, vt_watch(self->worker, a->step, WORKERS));
	for (i = 0; i < WORKERS; i++) {
		ksft_print_msg("%s: %ju times data, %ju times -EOWNERDEAD\n", names[i], (uintmax_t)a->data[i],
			       (uintmax_t)a->torn[i]);
		/* Where daemons die early only the last one is found for sure, and its only version may be torn. */
		EXPECT_GT(a->data[i] + (a->early ? a->torn[i] : 0), 0);
		data += a->data[i];
		torn += a->torn[i];
	}
	ksft_print_msg("%ju daemons killed, %ju in mid-publish, %ju stopped before; %ju times data, %ju times "
		       "-EOWNERDEAD, %ju connects refused\n",
		       (uintmax_t)rounds, (uintmax_t)in_write, (uintmax_t)stopped, (uintmax_t)data, (uintmax_t)torn,
		       (uintmax_t)a->refused);
	if (!a->early)
		EXPECT_GT(in_write, 0);
	if (a->early)
		EXPECT_GT(a->refused, 0);
	if (a->versions == 1 && !a->early)
		EXPECT_GT(torn, 0);
}

FIXTURE(stopped)
{
	struct arena *a;
};

FIXTURE_VARIANT(stopped)
{
	uint32_t versions;
};

FIXTURE_VARIANT_ADD(stopped, versions_1){
	.versions = 1,
};

FIXTURE_VARIANT_ADD(stopped, versions_4){
	.versions = 4,
};

FIXTURE_SETUP(stopped)
{
	self->a = vt_shared(sizeof(*self->a));
	self->a->versions = variant->versions;
	strcpy(self->a->name, vt_name());
}

FIXTURE_TEARDOWN(stopped)
{
	vt_forget(self->a->name);
}

static void stop(pid_t pid)
{
	siginfo_t info;

	kill(pid, SIGSTOP);
	waitid(P_PID, (id_t)pid, &info, WSTOPPED);
}

/* A stopped daemon is not a dead one: waits time out, and all goes on with it.  Then it is killed while stopped. */
TEST_F(stopped, is_not_dead)
{
	struct arena *a = self->a;
	uint64_t word = 1, got, v = 0, last = 0, tag;
	char *buf = malloc(SIZE);
	struct venom_shell *s;
	struct vt_peer d;
	ssize_t len;
	int sent = 0, err;

	vt_store(&a->round, 1);
	vt_spawn(&d, daemon_main, a);
	ASSERT_EQ(0, vt_await(&d));
	ASSERT_EQ(0, venom_shell_connect(&s, a->name));
	ASSERT_EQ(sizeof(got), venom_shell_request(s, &word, sizeof(word), &got, sizeof(got), -1));
	stop(d.pid);
	EXPECT_EQ(1, venom_shell_alive(s));
	v = venom_shell_version(s);
	EXPECT_EQ(0, venom_shell_wait(s, v, 20 * VT_MS));
	len = venom_shell_read(s, buf, SIZE, &v);
	if (len >= 0)
		check_data(a, READER, buf, len, v, &last, 1);
	else
		EXPECT_TRUE(variant->versions == 1 && len == -EAGAIN); /* stopped in mid-write: not torn for ever */
	word = 2;
	EXPECT_EQ(-ETIMEDOUT, venom_shell_request(s, &word, sizeof(word), &got, sizeof(got), 20 * VT_MS));
	while (!(err = venom_shell_send(s, &word, sizeof(word))))
		sent++;
	EXPECT_EQ(-EAGAIN, err);
	EXPECT_EQ(63, sent); /* plus the request */
	EXPECT_EQ(0, venom_shell_room(s, 20 * VT_MS));
	EXPECT_EQ(-ETIMEDOUT, venom_shell_request(s, &word, sizeof(word), &got, sizeof(got), 20 * VT_MS));
	EXPECT_EQ(1, venom_shell_alive(s));
	kill(d.pid, SIGCONT);
	EXPECT_EQ(1, venom_shell_wait(s, v, -1));
	EXPECT_EQ(1, venom_shell_room(s, -1));
	word = 3;
	ASSERT_EQ(sizeof(got), venom_shell_request(s, &word, sizeof(word), &got, sizeof(got), -1));
	EXPECT_EQ(3, got); /* not the late answer to 2 */
	stop(d.pid);
	ASSERT_EQ(0, venom_shell_submit(s, &word, sizeof(word), &tag));
	EXPECT_EQ(-ETIMEDOUT, venom_shell_complete(s, &tag, &got, sizeof(got), 0));
	vt_kill(&d, SIGKILL);
	EXPECT_EQ(-EPIPE, venom_shell_complete(s, &tag, &got, sizeof(got), -1)); /* the request was never taken */
	check_rest(a, s, READER, buf, last, 1);
	venom_shell_close(s);
	free(buf);
}

TEST_HARNESS_MAIN

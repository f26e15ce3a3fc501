/* SPDX-License-Identifier: MIT */
/*
 * Attacks a channel within one process, for ThreadSanitizer, which can't see what two processes do to each other: a
 * daemon with a thread that publishes and a thread that serves, shells in threads of their own that connect, read,
 * wait, request and close, and an observer of the counters.
 *
 * A race shows as the sanitizer's report; wrong answers and torn versions are checked for besides.
 */
#include <pthread.h>
#include <sched.h>
#include "lib/harness.h"
#include "venom.h"
#include "plane.h"

#define SHELLS 4
#define SIZE   400 /* up to VENOM_COPY_SMALL the copies are atomics, which the sanitizer knows */

struct channel {
	const char *name;
	struct venom_daemon *d;
	struct venom_shell *keep;
	uint64_t published, requests, served, connects, looks;
	uint64_t seed;
	uint32_t stop;
	uint32_t next_who;
};

static void *publisher(void *arg)
{
	struct channel *c = arg;
	struct venom_daemon_stats st;
	char buf[SIZE];
	uint32_t v;

	for (v = 1; !load_acquire(&c->stop); v++) {
		size_t len = 8 + v % (SIZE - 7);

		if (v % 2) {
			vt_fill(buf, len, v);
			VT_CHECK(!venom_daemon_publish(c->d, buf, len));
		} else {
			/* As any user must where others read: no plain store into what they read. */
			vt_fill(buf, len, v);
			copy_to_shared(venom_daemon_write_begin(c->d, NULL), buf, len);
			VT_CHECK(!venom_daemon_write_commit(c->d, len));
		}
		VT_CHECK(venom_daemon_version(c->d) == v);
		if (v % 256 == 0) {
			VT_CHECK(!venom_daemon_stats(c->d, &st) && st.versions == v);
			sched_yield();
		}
		if (v % 1024 == 0)
			usleep(300); /* let some fall asleep */
	}
	store_release(&c->published, v - 1);
	return NULL;
}

static int handle(struct venom_daemon *d, const struct venom_command *cmd, void *arg)
{
	struct channel *c = arg;
	struct venom_daemon_stats st;
	int rc;

	VT_CHECK(vt_whole(cmd->data, cmd->len, NULL));
	c->served++;
	if (c->served % 64 == 0)
		VT_CHECK(!venom_daemon_stats(d, &st) && st.commands >= c->served);
	if (!(cmd->flags & VENOM_CMD_REQUEST))
		return 0;
	rc = venom_daemon_respond(d, cmd, cmd->data, cmd->len);
	VT_CHECK(rc == 0 || rc == -EPIPE || rc == -ESTALE);
	return 0;
}

static void *server(void *arg)
{
	struct channel *c = arg;

	VT_CHECK(venom_daemon_run(c->d, handle, c) == 0);
	return NULL;
}

static void use(struct channel *c, struct venom_shell *s, uint64_t *rng)
{
	char buf[SIZE], resp[SIZE];
	uint64_t r = vt_rand(rng), tag, v = 0;
	uint32_t word = (uint32_t)(r >> 32) | 1, got;
	size_t len = 8 + r % (SIZE - 7);
	ssize_t n;
	int rc;

	switch ((r >> 16) % 8) {
	case 0:
		n = venom_shell_read(s, buf, SIZE, &v);
		VT_CHECK(n > 0 ? vt_is(buf, (size_t)n, (uint32_t)v) : n == -EAGAIN || n == -ENODATA);
		return;
	case 1:
		v = venom_shell_version(s);
		rc = venom_shell_wait(s, v, 2 * VT_MS);
		VT_CHECK(rc == 0 || rc == 1);
		return;
	case 2:
		v = venom_shell_version(s);
		n = venom_shell_read_next(s, buf, SIZE, &v);
		VT_CHECK(n > 0 ? vt_is(buf, (size_t)n, (uint32_t)v) : n == -EAGAIN || n == -EOVERFLOW);
		return;
	case 3:
		vt_fill(buf, len, word);
		rc = venom_shell_send(s, buf, len);
		VT_CHECK(rc == 0 || rc == -EAGAIN);
		return;
	case 4:
		vt_fill(buf, len, word);
		rc = venom_shell_submit(s, buf, len, &tag);
		VT_CHECK(rc == 0 || rc == -EAGAIN);
		if (!rc)
			VT_CHECK(!venom_shell_cancel(s, tag));
		return;
	case 5:
		rc = venom_shell_arm(s, VENOM_WAIT_STATE | VENOM_WAIT_ANSWER, venom_shell_version(s));
		VT_CHECK(rc == 0 || rc == 1);
		return;
	default:
		vt_fill(buf, len, word);
		n = venom_shell_request(s, buf, len, resp, SIZE, -1);
		VT_CHECK(n == (ssize_t)len && vt_whole(resp, len, &got) && got == word);
		fetch_add(&c->requests, 1);
	}
}

static void *shell(void *arg)
{
	struct channel *c = arg;
	uint64_t rng = c->seed + fetch_add(&c->next_who, 1);
	struct venom_shell *s;
	int i, rc;

	while (!load_acquire(&c->stop)) {
		VT_CHECK(VT_UNTIL((rc = venom_shell_connect(&s, c->name)) != -EUSERS) && !rc);
		fetch_add(&c->connects, 1);
		VT_CHECK(!venom_shell_set_spin(s, (int64_t)(vt_rand(&rng) % 3) * 1000));
		for (i = (int)(vt_rand(&rng) % 64); i >= 0; i--)
			use(c, s, &rng);
		venom_shell_close(s);
	}
	return NULL;
}

static int see(const struct venom_peer *peer, void *arg)
{
	(void)arg;
	VT_CHECK(peer->client_id < SHELLS + 1 && peer->pid == (uint32_t)getpid());
	return 0;
}

static int find(const struct venom_info *info, void *arg)
{
	struct channel *c = arg;

	return !strcmp(info->name, c->name) && info->alive;
}

static void *observer(void *arg)
{
	struct channel *c = arg;
	struct venom_daemon_stats st;
	struct venom_info info;

	while (!load_acquire(&c->stop)) {
		VT_CHECK(!venom_stat(c->name, &info, &st, see, NULL));
		VT_CHECK(info.pid == (uint32_t)getpid() && info.alive && st.clients <= SHELLS + 1);
		VT_CHECK(venom_list(find, c) == 1);
		fetch_add(&c->looks, 1);
		usleep(500);
	}
	return NULL;
}

FIXTURE(plane)
{
	int unused;
};

FIXTURE_SETUP(plane)
{
}

FIXTURE_TEARDOWN(plane)
{
}

TEST_F_TIMEOUT(plane, threads, 240)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct channel c = {.name = vt_name(), .seed = vt_seed()};
	pthread_t thread[SHELLS + 3];
	void *(*const fn[])(void *) = {publisher, server, observer, shell};
	int i;

	cfg.data_size = cfg.cmd_size = cfg.resp_size = SIZE;
	cfg.cmd_slots = 4;
	cfg.max_clients = SHELLS + 1;
	ASSERT_EQ(0, venom_daemon_create(&c.d, c.name, &cfg));
	for (i = 0; i < SHELLS + 3; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, fn[i < 3 ? i : 3], &c));
	usleep((useconds_t)vt_scaled(3000000));
	EXPECT_TRUE(VT_UNTIL(load_acquire(&c.requests))) TH_LOG("no request was answered");
	EXPECT_TRUE(VT_UNTIL(load_acquire(&c.connects) > SHELLS)) TH_LOG("no shell came again");
	EXPECT_TRUE(VT_UNTIL(load_acquire(&c.looks))) TH_LOG("nobody looked");
	store_release(&c.stop, 1);
	for (i = 0; i < SHELLS + 3; i++)
		if (i != 1)
			ASSERT_EQ(0, pthread_join(thread[i], NULL));
	ASSERT_EQ(0, venom_daemon_stop(c.d));
	ASSERT_EQ(0, pthread_join(thread[1], NULL));
	venom_daemon_destroy(c.d);
	ksft_print_msg("%ju versions, %ju commands, %ju requests answered, %ju connects, %ju looks\n",
		       (uintmax_t)c.published, (uintmax_t)c.served, (uintmax_t)c.requests, (uintmax_t)c.connects,
		       (uintmax_t)c.looks);
	EXPECT_GT(c.published, 0);
}

TEST_HARNESS_MAIN

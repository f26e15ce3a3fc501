/* SPDX-License-Identifier: MIT */
/*
 * The players of load/soak.c: a daemon that publishes and answers, a shell that requests and reads, both as fast as
 * they can, and visitors that connect and close.  Daemon and shell measure the yardsticks as well.
 */
#include <errno.h>
#include <unistd.h>

#include "lib/soak.h"

#define SIZE 1024 /* of the state, in bytes */
#define ASK  64 /* of requests and their answers, in bytes */

#define EVERY 16384 /* versions or requests between two samples */
#define BURST 64

static void sample(struct samples *t, uint64_t start)
{
	t->ns[t->n % SAMPLES] = (double)(vt_now() - start) / BURST;
	vt_store(&t->n, t->n + 1);
}

static void fill_own(struct samples *t)
{
	uint64_t start = vt_now();
	char own[SIZE];

	for (uint32_t i = 0; i < BURST; i++)
		vt_fill(own, SIZE, i);
	sample(t, start);
}

/* A cache line's round trip: the shell's side, and the daemon's.  The first trip waits for the daemon to come. */
static void serve(struct arena *a)
{
	uint64_t start = 0, n = vt_load(&a->ball);

	vt_store(&a->play, 1);
	for (int i = 0; i <= BURST; i++, n += 2) {
		if (i == 1)
			start = vt_now();
		vt_store(&a->ball, n + 1);
		while (vt_load(&a->ball) != n + 2)
			;
	}
	vt_store(&a->play, 0);
	sample(&a->timed[BOUNCE], start);
}

static void hit_back(struct arena *a)
{
	while (vt_load(&a->play)) {
		uint64_t n = vt_load(&a->ball);

		if (n % 2)
			vt_store(&a->ball, n + 1);
	}
}

static void publish(struct arena *a, struct venom_daemon *d, uint64_t v)
{
	char buf[SIZE];

	vt_step(&a->step[DAEMON], "publish", v);
	vt_fill(buf, SIZE, (uint32_t)v);
	VT_CHECK(!venom_daemon_publish(d, buf, SIZE));
	vt_store(&a->published, v);
}

/* Publishes some in a row; returns the last number.  The first publishes take the cache lines back from the readers. */
static uint64_t publish_timed(struct arena *a, struct venom_daemon *d, uint64_t v)
{
	uint64_t start;
	int i;

	for (i = 0; i < 8; i++)
		publish(a, d, ++v);
	start = vt_now();
	for (i = 0; i < BURST; i++)
		publish(a, d, ++v);
	sample(&a->timed[PUBLISH], start);
	return v;
}

int soak_daemon_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_command cmd;
	struct venom_daemon *d;
	uint64_t v = 0, next = EVERY;
	int rc;

	vt_pin(0);
	cfg.data_size = SIZE;
	cfg.cmd_size = cfg.resp_size = ASK;
	cfg.spin_ns = VENOM_SPIN_FOREVER;
	VT_CHECK(!venom_daemon_create(&d, a->name, &cfg));
	publish(a, d, ++v);
	VT_CHECK(!vt_signal(self));
	while (!vt_load(&a->quit[DAEMON])) {
		if (vt_load(&a->ball) % 2) /* the shell now waits for the ball, not for an answer */
			hit_back(a);
		publish(a, d, ++v);
		while ((rc = venom_daemon_receive(d, &cmd, 0)) == 1) {
			VT_CHECK(vt_whole(cmd.data, cmd.len, NULL));
			if (!(cmd.flags & VENOM_CMD_REQUEST))
				continue;
			rc = venom_daemon_respond(d, &cmd, cmd.data, cmd.len);
			VT_CHECK(rc == 0 || rc == -EPIPE);
		}
		VT_CHECK(rc == 0);
		if (v < next)
			continue;
		fill_own(&a->timed[FILL + DAEMON]);
		v = publish_timed(a, d, v);
		next = v + EVERY;
	}
	venom_daemon_destroy(d);
	return 0;
}

static void ask(struct venom_shell *s, uint32_t n)
{
	char buf[ASK], resp[ASK];

	vt_fill(buf, ASK, n);
	VT_CHECK(venom_shell_request(s, buf, ASK, resp, ASK, -1) == ASK && vt_is(resp, ASK, n));
}

static uint64_t read_one(struct venom_shell *s, uint64_t last)
{
	char buf[SIZE];
	uint64_t v;
	ssize_t n = venom_shell_read(s, buf, SIZE, &v);

	if (n == -EAGAIN)
		return 0;
	VT_CHECK(n == SIZE && v >= last && vt_is(buf, SIZE, (uint32_t)v));
	return v;
}

static void request_and_read(struct arena *a, struct venom_shell *s, uint64_t n)
{
	static uint64_t last;
	uint64_t v;

	vt_step(&a->step[SHELL], "request", n);
	ask(s, (uint32_t)n);
	vt_store(&a->requests, n);
	v = read_one(s, last);
	if (!v)
		return;
	last = v;
	vt_store(&a->reads, a->reads + 1);
}

int soak_shell_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_shell *s;
	uint64_t n = 0, start;

	vt_pin(1);
	VT_CHECK(!venom_shell_connect(&s, a->name) && !venom_shell_set_spin(s, VENOM_SPIN_FOREVER));
	VT_CHECK(!vt_signal(self));
	while (!vt_load(&a->quit[SHELL])) {
		request_and_read(a, s, ++n);
		if (n % EVERY)
			continue;
		fill_own(&a->timed[FILL + SHELL]);
		serve(a);
		start = vt_now();
		for (int i = 0; i < BURST; i++)
			request_and_read(a, s, ++n);
		sample(&a->timed[REQUEST], start);
	}
	venom_shell_close(s);
	return 0;
}

/* Connects, does a little, and closes; or is killed at any point of that. */
int soak_visitor_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_shell *s;
	char buf[ASK];
	int rc;

	(void)self;
	for (uint32_t n = 1;; n++) {
		vt_step(&a->step[VISITOR], "connect", n);
		VT_CHECK(!venom_shell_connect(&s, a->name));
		for (uint32_t i = 0; i < 10; i++) {
			ask(s, n + i);
			vt_fill(buf, sizeof(buf), n + i);
			rc = venom_shell_send(s, buf, sizeof(buf));
			VT_CHECK(rc == 0 || rc == -EAGAIN);
		}
		VT_CHECK(venom_shell_wait(s, venom_shell_version(s), -1) == 1);
		read_one(s, 0);
		venom_shell_close(s);
		vt_add(&a->visits, 1);
		usleep(20000);
	}
	return 0;
}

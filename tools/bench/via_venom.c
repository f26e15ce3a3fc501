/* SPDX-License-Identifier: MIT */
/*
 * venom as a transport: a shell sends requests, a daemon answers; through the public calls, as a user would.
 */
#include <errno.h>
#include <string.h>

#include "transport.h"

#define BATCH	   32
#define BATCH_SIZE 64

static struct venom_daemon *d;
static struct venom_shell *s;

static int open_side(struct stage *st, int side)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	int64_t spin = st->via == &via_venom_adaptive ? VENOM_SPIN_ADAPTIVE
		       : st->via->blocks	      ? VENOM_SPIN_NONE
						      : VENOM_SPIN_FOREVER;

	if (side == 0) {
		s = shell_open(st);
		if (s)
			venom_shell_set_spin(s, spin);
		return !s;
	}
	cfg.cmd_size = cfg.resp_size = st->size;
	if (st->stream)
		cfg.cmd_slots = st->n;
	cfg.spin_ns = spin;
	d = daemon_open(st, &cfg);
	atomic_store(&st->ready, 1);
	return !d;
}

static void close_side(struct stage *st, int side)
{
	(void)st;
	if (side == 0)
		venom_shell_close(s);
	else
		venom_daemon_destroy(d);
}

static int ask(struct stage *st, const void *msg, void *answer)
{
	ssize_t rc = venom_shell_request(s, msg, st->size, answer, st->size, PATIENCE);

	return rc < 0 ? bad_rc("request", rc) : 0;
}

static int serve(struct stage *st, void *msg)
{
	struct venom_command cmd;
	int rc = venom_daemon_receive(d, &cmd, PATIENCE);

	if (rc != 1)
		return bad_rc("receive", rc);
	rc = venom_daemon_respond(d, &cmd, cmd.data, st->size);
	memcpy(msg, cmd.data, st->size);
	return rc ? bad_rc("respond", rc) : 0;
}

static int send(struct stage *st, const void *msg)
{
	int rc;

	while ((rc = venom_shell_send(s, msg, st->size)) == -EAGAIN) {
		rc = venom_shell_room(s, PATIENCE);
		if (rc != 1)
			return bad_rc("room", rc);
	}
	return rc ? bad_rc("send", rc) : 0;
}

static const void *look(struct stage *st)
{
	struct venom_command cmd;
	int rc = venom_daemon_receive(d, &cmd, PATIENCE);

	(void)st;
	if (rc != 1)
		return bad_rc("receive", rc), NULL;
	return cmd.data;
}

/* ---- many at a time: what is sent is gathered, and what is taken is handed out one by one ------------- */

static char gathered[BATCH][BATCH_SIZE];
static struct iovec iov[BATCH];
static unsigned int ngathered;
static struct venom_command taken[BATCH];
static unsigned int ntaken, given;

static int flush(void)
{
	unsigned int done = 0;

	while (done < ngathered) {
		int rc = venom_shell_send_many(s, iov + done, ngathered - done);

		if (rc == -EAGAIN)
			rc = venom_shell_room(s, PATIENCE) == 1 ? 0 : -ETIMEDOUT;
		if (rc < 0)
			return bad_rc("send", rc);
		done += rc;
	}
	ngathered = 0;
	return 0;
}

static int send_batch(struct stage *st, const void *msg)
{
	memcpy(gathered[ngathered], msg, st->size);
	iov[ngathered] = (struct iovec){gathered[ngathered], st->size};
	return ++ngathered == BATCH || payload_is(msg, st->size, LAST) ? flush() : 0;
}

static const void *look_batch(struct stage *st)
{
	(void)st;
	if (given == ntaken) {
		int rc = venom_daemon_receive_many(d, taken, BATCH, PATIENCE);

		if (rc <= 0)
			return bad_rc("receive", rc), NULL;
		ntaken = rc;
		given = 0;
	}
	return taken[given++].data;
}

#define VENOM_TRANSPORT \
	.who = VENOM, .open = open_side, .send = send, .look = look, .ask = ask, .serve = serve, .close = close_side

const struct transport via_venom = {.name = "venom", VENOM_TRANSPORT};
const struct transport via_venom_batch = {
	.name = "venom, 32 at a time",
	.most = BATCH_SIZE,
	.who = VENOM,
	.open = open_side,
	.send = send_batch,
	.look = look_batch,
	.close = close_side,
};
/* Messages are sent one by one, and taken in batches. */
const struct transport via_venom_take_batch = {
	.name = "venom, taken by 32",
	.who = VENOM,
	.open = open_side,
	.send = send,
	.look = look_batch,
	.close = close_side,
};
const struct transport via_venom_block = {.name = "venom", .blocks = true, VENOM_TRANSPORT};
const struct transport via_venom_adaptive = {.name = "venom, adaptive", .blocks = true, VENOM_TRANSPORT};

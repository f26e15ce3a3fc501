/* SPDX-License-Identifier: MIT */
/*
 * venom's versions as a transport, one way: the daemon publishes each message, and the shell misses none.
 */
#include <errno.h>

#include "transport.h"

static struct venom_daemon *d;
static struct venom_shell *s;
static uint64_t version; /* the last one that the shell has read */

static int open_daemon(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;

	cfg.flags = VENOM_LOSSLESS;
	cfg.data_size = st->size;
	cfg.versions = st->n;
	cfg.spin_ns = VENOM_SPIN_FOREVER;
	cfg.full_ns = -1;
	d = daemon_open(st, &cfg);
	atomic_store(&st->ready, 1);
	return !d || !wait_flag(&st->go, 1); /* a shell does not get versions from before its connect, so wait for it */
}

static int open_shell(struct stage *st)
{
	struct venom_connect how = VENOM_CONNECT_INIT;
	int rc;

	if (!wait_flag(&st->ready, 1))
		return 1;
	how.flags = VENOM_CONNECT_LOSSLESS;
	rc = venom_shell_connect_with(&s, st->name, &how);
	if (rc)
		return bad_rc("connect", rc);
	venom_shell_set_spin(s, VENOM_SPIN_FOREVER);
	version = 0;
	atomic_store(&st->go, 1);
	return 0;
}

static int open_side(struct stage *st, int side)
{
	return side == 0 ? open_daemon(st) : open_shell(st);
}

static int send(struct stage *st, const void *msg)
{
	int rc = venom_daemon_publish(d, msg, st->size);

	return rc ? bad_rc("publish", rc) : 0;
}

static int take(struct stage *st, void *msg)
{
	ssize_t rc;

	while ((rc = venom_shell_read_next(s, msg, st->size, &version)) == -EAGAIN) {
		int there = venom_shell_wait(s, version, PATIENCE);

		if (there != 1)
			return bad_rc("wait", there);
	}
	return rc < 0 ? bad_rc("read_next", rc) : 0;
}

static void close_side(struct stage *st, int side)
{
	(void)st;
	if (side == 0)
		venom_daemon_destroy(d);
	else
		venom_shell_close(s);
}

const struct transport via_lossless = {
	.name = "venom", .who = VENOM, .open = open_side, .send = send, .take = take, .close = close_side};

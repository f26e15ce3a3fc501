/* SPDX-License-Identifier: MIT */
/*
 * ZeroMQ: a pair of ZMQ_PAIR over ipc://.
 */
#include "transport.h"

#if __has_include(<zmq.h>)
#include <zmq.h>

#include "spin.h"

static void *ctx, *sock;

static int bad_zmq(const char *what)
{
	return bad("ZeroMQ: %s: %s", what, zmq_strerror(zmq_errno()));
}

static int open_side(struct stage *st, int side)
{
	int patience_ms = PATIENCE_S * 1000, linger = 0;
	char url[96];

	/* @: the abstract namespace leaves no file behind */
	snprintf(url, sizeof(url), "ipc://@venom-%s", st->name);
	ctx = zmq_ctx_new();
	sock = ctx ? zmq_socket(ctx, ZMQ_PAIR) : NULL;
	if (!sock)
		return bad_zmq("socket");
	zmq_setsockopt(sock, ZMQ_RCVTIMEO, &patience_ms, sizeof(patience_ms));
	zmq_setsockopt(sock, ZMQ_SNDTIMEO, &patience_ms, sizeof(patience_ms));
	zmq_setsockopt(sock, ZMQ_LINGER, &linger, sizeof(linger));
	if (side == 0) {
		if (!wait_flag(&st->ready, 1))
			return 1;
		return zmq_connect(sock, url) ? bad_zmq("connect") : 0;
	}
	if (zmq_bind(sock, url))
		return bad_zmq("bind");
	atomic_store(&st->ready, 1);
	return 0;
}

/* Side 0 closes first: it has its answer, while side 1's last answer may still be on its way. */
static void close_side(struct stage *st, int side)
{
	if (side == 0)
		atomic_store(&st->ready, 2);
	else
		wait_flag(&st->ready, 2);
	zmq_close(sock);
	zmq_ctx_term(ctx);
}

static int send(struct stage *st, const void *msg)
{
	return zmq_send(sock, msg, st->size, 0) != (int)st->size && bad_zmq("send");
}

static int take(struct stage *st, void *msg)
{
	return zmq_recv(sock, msg, st->size, 0) != (int)st->size && bad_zmq("receive");
}
#endif

const struct transport via_zmq = {
	.name = "ZeroMQ",
	.who = PEER,
	.blocks = true,
	.socket = true,
#if __has_include(<zmq.h>)
	.open = open_side,
	.send = send,
	.take = take,
	.close = close_side,
#else
	.missing = "built without zmq.h: apt-get install libzmq3-dev",
#endif
};

/* SPDX-License-Identifier: MIT */
/*
 * nng: a pair of pair0 over abstract://.
 */
#include "transport.h"

#if __has_include(<nng/nng.h>)
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include "spin.h"

#define BUFFER 1024 /* messages */

static nng_socket sock;

static int bad_nng(const char *what, int rc)
{
	return bad("nng: %s: %s", what, nng_strerror(rc));
}

/* Called after the fork, which nng's threads do not survive. */
static int open_side(struct stage *st, int side)
{
	char url[96];
	int rc;

	/* The abstract namespace leaves no file behind. */
	snprintf(url, sizeof(url), "abstract://venom-%s", st->name);
	rc = nng_pair0_open(&sock);
	if (rc)
		return bad_nng("socket", rc);
	nng_socket_set_ms(sock, NNG_OPT_RECVTIMEO, PATIENCE_S * 1000);
	nng_socket_set_ms(sock, NNG_OPT_SENDTIMEO, PATIENCE_S * 1000);
	/* By default there is no buffer, and a stream is slow then. */
	nng_socket_set_int(sock, NNG_OPT_SENDBUF, BUFFER);
	nng_socket_set_int(sock, NNG_OPT_RECVBUF, BUFFER);
	if (side == 0) {
		if (!wait_flag(&st->ready, 1))
			return 1;
		rc = nng_dial(sock, url, NULL, 0);
		return rc ? bad_nng("dial", rc) : 0;
	}
	rc = nng_listen(sock, url, NULL, 0);
	if (rc)
		return bad_nng("listen", rc);
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
	nng_close(sock);
}

static int send(struct stage *st, const void *msg)
{
	int rc = nng_send(sock, (void *)msg, st->size, 0); /* nng only reads it */

	return rc ? bad_nng("send", rc) : 0;
}

static int take(struct stage *st, void *msg)
{
	size_t size = st->size;
	int rc = nng_recv(sock, msg, &size, 0);

	if (rc)
		return bad_nng("receive", rc);
	return size != st->size && bad("nng: a part of a message");
}
#endif

const struct transport via_nng = {
	.name = "nng",
	.who = PEER,
	.blocks = true,
	.socket = true,
#if __has_include(<nng/nng.h>)
	.open = open_side,
	.send = send,
	.take = take,
	.close = close_side,
#else
	.missing = "built without nng/nng.h: apt-get install libnng-dev",
#endif
};

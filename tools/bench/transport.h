/* SPDX-License-Identifier: MIT */
/*
 * A way to get a message from one process to another.
 *
 * make() runs before the two processes are forked and opens what both inherit; open() runs in each.  A transport keeps
 * its state in variables of its own file, since a process uses only one.  Side 0 sends requests and takes the answers,
 * side 1 answers; one way, side 0 sends and side 1 takes.
 *
 * All return 0, or 1 after an error message by bad().  Messages are st->size bytes.  A take or an ask waits as the
 * transport's users would, spinning or in the kernel (`blocks`), and at most some seconds.
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include "bench.h"

struct transport {
	const char *name;
	enum who who;
	bool blocks; /* a side that waits sleeps in the kernel */
	bool socket; /* the kernel copies each message */
	size_t most; /* largest message; 0: any */
	const char *missing; /* why it is not built in; NULL if it is */
	const char *(*cannot)(void); /* why it can't run here, or NULL */
	size_t (*scratch)(size_t size); /* shared memory wanted, or NULL */
	int (*make)(struct stage *st); /* or NULL */
	int (*open)(struct stage *st, int side); /* or NULL */
	int (*send)(struct stage *st, const void *msg);
	int (*take)(struct stage *st, void *msg);
	const void *(*look)(struct stage *st); /* instead of take: the message, until the next call; NULL: failed */
	/* send and take in one; NULL: one after the other */
	int (*ask)(struct stage *st, const void *msg, void *answer);
	/* take one, and send the same bytes back; NULL: one after the other.  The message is left in *msg. */
	int (*serve)(struct stage *st, void *msg);
	void (*close)(struct stage *st, int side); /* or NULL */
};

#define LAST UINT64_MAX /* number of the last message one way; batched messages are sent with it */

/* Lines of 64 bytes handed over, one way (limits.c); st->n is the index of the variant, the last one has ring 0. */
struct line_limit {
	unsigned int ring, batch; /* lines; powers of two */
	unsigned int ahead;
};
extern const struct line_limit line_limits[];
size_t belt_size(void);
int fill_lines(struct stage *st);
int take_lines(struct stage *st);

/* limits: hand-written, in shared memory */
extern const struct transport via_mailbox, via_lines, via_eventfd;
extern const struct transport via_venom, via_venom_block, via_venom_adaptive;
extern const struct transport via_venom_batch, via_venom_take_batch;
extern const struct transport via_lossless; /* the daemon publishes, a shell misses none (via_lossless.c) */
extern const struct transport via_pipe, via_seqpacket, via_mq, via_futex, via_zmq, via_nng, via_boost, via_ck, via_iceoryx;
extern const struct transport *const peers[]; /* ends with NULL */
/* Whether it is built in and runs here; if not, the row says why. */
bool can_have(const struct transport *t);

#endif /* TRANSPORT_H */

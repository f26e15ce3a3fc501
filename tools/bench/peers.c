/* SPDX-License-Identifier: MIT */
/*
 * The peers, and the transports of those that the kernel provides.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "spin.h"
#include "transport.h"

const struct transport *const peers[] = {
	&via_pipe, &via_seqpacket, &via_mq, &via_futex, &via_zmq, &via_nng, &via_boost, &via_ck, &via_iceoryx, NULL,
};

bool can_have(const struct transport *t)
{
	const char *why = t->missing ? t->missing : t->cannot ? t->cannot() : NULL;

	if (why)
		put_skipped(t->name, t->who, why);
	return !why;
}

static int fd[2][2]; /* pipe: {read, write} of each way; socket: [0]; message queue: [0], one for each way */
static int in, out; /* this side's */

/* Return 0 if n is the size of a whole message. */
static int whole(struct stage *st, ssize_t n)
{
	if (n == (ssize_t)st->size)
		return 0;
	return bad("%s: %s", st->via->name, n < 0 ? strerror(errno) : "a part of a message");
}

/* ---- pipes ---------------------------------------------------------------------- */

static int pipe_make(struct stage *st)
{
	(void)st;
	for (int way = 0; way < 2; way++)
		if (pipe2(fd[way], O_CLOEXEC))
			return bad("pipe: %s", strerror(errno));
	return 0;
}

static int pipe_open(struct stage *st, int side)
{
	(void)st;
	in = fd[!side][0];
	out = fd[side][1];
	return 0;
}

static int pipe_send(struct stage *st, const void *msg)
{
	return whole(st, write(out, msg, st->size));
}

static int pipe_take(struct stage *st, void *msg)
{
	size_t got = 0;
	ssize_t n;

	do {
		n = read(in, (char *)msg + got, st->size - got);
		if (n <= 0)
			return whole(st, n);
		got += n;
	} while (got < st->size);
	return 0;
}

const struct transport via_pipe = {
	.name = "pipe",
	.who = PEER,
	.blocks = true,
	.socket = true,
	.make = pipe_make,
	.open = pipe_open,
	.send = pipe_send,
	.take = pipe_take,
};

/* ---- a pair of sockets ------------------------------------------------------------ */

static int seqpacket_make(struct stage *st)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd[0]))
		return bad("%s: %s", st->via->name, strerror(errno));
	for (int i = 0; i < 2; i++)
		if (setsockopt(fd[0][i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
		    setsockopt(fd[0][i], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
			return bad("%s: %s", st->via->name, strerror(errno));
	return 0;
}

static int seqpacket_open(struct stage *st, int side)
{
	(void)st;
	in = out = fd[0][side];
	return 0;
}

static int seqpacket_send(struct stage *st, const void *msg)
{
	return whole(st, send(out, msg, st->size, MSG_NOSIGNAL));
}

static int seqpacket_take(struct stage *st, void *msg)
{
	return whole(st, recv(in, msg, st->size, 0));
}

const struct transport via_seqpacket = {
	.name = "Unix socket, seqpacket",
	.who = PEER,
	.blocks = true,
	.socket = true,
	.make = seqpacket_make,
	.open = seqpacket_open,
	.send = seqpacket_send,
	.take = seqpacket_take,
};

/* ---- POSIX message queues --------------------------------------------------------- */

static int mq_make(struct stage *st)
{
	struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = st->size}; /* more needs a privilege */

	for (int way = 0; way < 2; way++) {
		char name[64];

		snprintf(name, sizeof(name), "/venom-bench-%d-%d", (int)getpid(), way);
		fd[way][0] = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
		if (fd[way][0] < 0)
			return bad("%s: %s", st->via->name, strerror(errno));
		mq_unlink(name);
	}
	return 0;
}

static int mq_open_side(struct stage *st, int side)
{
	(void)st;
	in = fd[!side][0];
	out = fd[side][0];
	return 0;
}

/* From the clock of whole seconds, since it costs next to nothing. */
static struct timespec mq_patience(void)
{
	return (struct timespec){.tv_sec = time(NULL) + PATIENCE_S};
}

static int mq_put(struct stage *st, const void *msg)
{
	struct timespec until = mq_patience();

	return mq_timedsend(out, msg, st->size, 0, &until) ? whole(st, -1) : 0;
}

static int mq_take(struct stage *st, void *msg)
{
	struct timespec until = mq_patience();

	return whole(st, mq_timedreceive(in, msg, st->size, NULL, &until));
}

const struct transport via_mq = {
	.name = "POSIX message queue",
	.who = PEER,
	.blocks = true,
	.socket = true,
	.make = mq_make,
	.open = mq_open_side,
	.send = mq_put,
	.take = mq_take,
};

/* ---- a ring in shared memory, and futexes ------------------------------------------- */

#define SLOTS 256 /* a power of two */

/* Each word counts messages in steps of two; its lowest bit says that the side that waits for a change sleeps. */
#define SLEEPS 1u
#define ONE    2u

struct ring {
	_Alignas(128) atomic_uint sent;
	_Alignas(128) atomic_uint taken;
	_Alignas(128) char data[];
};

static struct ring *ring_in, *ring_out;
static unsigned int next_in, next_out;

static size_t ring_size(size_t size)
{
	return (sizeof(struct ring) + SLOTS * size + 127) / 128 * 128;
}

static size_t two_rings(size_t size)
{
	return 2 * ring_size(size);
}

static int futex_open(struct stage *st, int side)
{
	ring_out = (struct ring *)(st->scratch + side * ring_size(st->size));
	ring_in = (struct ring *)(st->scratch + !side * ring_size(st->size));
	next_in = next_out = 0;
	return 0;
}

static char *slot(struct stage *st, struct ring *r, unsigned int next)
{
	return r->data + next / ONE % SLOTS * st->size;
}

static int sleep_on(atomic_uint *word, unsigned int seen)
{
	struct timespec patience = {.tv_sec = PATIENCE_S};

	/*
	 * The bit is in the word itself, so a side that changes the word can't miss it, and we don't sleep on another
	 * value.
	 */
	if (!(seen & SLEEPS) && !atomic_compare_exchange_strong(word, &seen, seen | SLEEPS))
		return 0;
	if (syscall(SYS_futex, word, FUTEX_WAIT, seen | SLEEPS, &patience, NULL, 0) && errno == ETIMEDOUT)
		return bad("futex: the other process does nothing");
	return 0;
}

static void step(atomic_uint *word, bool wake)
{
	if (!(atomic_fetch_add(word, ONE) & SLEEPS) || !wake)
		return;
	atomic_fetch_and(word, ~SLEEPS);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int futex_send(struct stage *st, const void *msg)
{
	unsigned int taken;

	/* acquire: futex_take() has read the slot */
	while (taken = atomic_load_explicit(&ring_out->taken, memory_order_acquire),
	       next_out - (taken & ~SLEEPS) == SLOTS * ONE)
		if (sleep_on(&ring_out->taken, taken))
			return 1;
	memcpy(slot(st, ring_out, next_out), msg, st->size);
	next_out += ONE;
	step(&ring_out->sent, true);
	return 0;
}

static int futex_take(struct stage *st, void *msg)
{
	unsigned int sent;

	/* acquire: futex_send() has filled the slot */
	while (sent = atomic_load_explicit(&ring_in->sent, memory_order_acquire), (sent & ~SLEEPS) == next_in)
		if (sleep_on(&ring_in->sent, sent))
			return 1;
	memcpy(msg, slot(st, ring_in, next_in), st->size);
	next_in += ONE;
	/* A sender that found all slots taken sleeps until half of them are free: one wake for many messages. */
	step(&ring_in->taken, (sent & ~SLEEPS) - next_in <= SLOTS / 2 * ONE);
	return 0;
}

const struct transport via_futex = {
	.name = "futex",
	.who = PEER,
	.blocks = true,
	.scratch = two_rings,
	.open = futex_open,
	.send = futex_send,
	.take = futex_take,
};

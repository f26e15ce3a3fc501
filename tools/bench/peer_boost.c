/* SPDX-License-Identifier: MIT */
/*
 * Boost.Interprocess: a message_queue each way.  Its send and receive sleep; here a side that waits spins, trying.
 */
#include <unistd.h>

#include "transport.h"

#if __has_include(<boost/interprocess/ipc/message_queue.hpp>)
#include "peer_boost.h"
#include "spin.h"

#define SLOTS 64

static int me;

static int make(struct stage *st)
{
	for (int way = 0; way < 2; way++) {
		char name[64];
		const char *why;

		snprintf(name, sizeof(name), "venom-bench-%d-%d", (int)getpid(), way);
		why = boost_make(way, name, SLOTS, st->size);
		if (why)
			return bad("%s: %s", st->via->name, why);
	}
	return 0;
}

static int open_side(struct stage *st, int side)
{
	(void)st;
	me = side;
	return 0;
}

static int send(struct stage *st, const void *msg)
{
	struct spin s = {0};
	int rc;

	while (!(rc = boost_send(me, msg, st->size)))
		if (!spin_on(&s))
			return bad("%s: nobody takes", st->via->name);
	return rc < 0 && bad("%s: send failed", st->via->name);
}

static int take(struct stage *st, void *msg)
{
	struct spin s = {0};
	int rc;

	while (!(rc = boost_take(!me, msg, st->size)))
		if (!spin_on(&s))
			return bad("%s: nothing comes", st->via->name);
	return rc < 0 && bad("%s: receive failed", st->via->name);
}
#endif

const struct transport via_boost = {
	.name = "Boost message_queue",
	.who = PEER,
#if __has_include(<boost/interprocess/ipc/message_queue.hpp>)
	.make = make,
	.open = open_side,
	.send = send,
	.take = take,
#else
	.missing = "built without Boost.Interprocess: apt-get install libboost-dev",
#endif
};

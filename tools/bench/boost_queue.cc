/* SPDX-License-Identifier: MIT */
/*
 * See peer_boost.h; the transport is in peer_boost.c.
 */
#include "peer_boost.h"

#if __has_include(<boost/interprocess/ipc/message_queue.hpp>)
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstdio>
#include <exception>

using namespace boost::interprocess;

static message_queue *queue[2];

const char *boost_make(int way, const char *name, size_t slots, size_t size)
{
	static char why[128];

	try {
		queue[way] = new message_queue(create_only, name, slots, size, permissions(0600));
		/* Forked processes inherit the mapping, so the name can go: nothing is left behind. */
		message_queue::remove(name);
		return nullptr;
	} catch (const std::exception &e) {
		snprintf(why, sizeof(why), "%s", e.what());
		return why;
	}
}

int boost_send(int way, const void *msg, size_t size)
{
	try {
		return queue[way]->try_send(msg, size, 0);
	} catch (const std::exception &) {
		return -1;
	}
}

int boost_take(int way, void *msg, size_t size)
{
	message_queue::size_type got;
	unsigned int priority;

	try {
		if (!queue[way]->try_receive(msg, size, got, priority))
			return 0;
		return got == size ? 1 : -1;
	} catch (const std::exception &) {
		return -1;
	}
}
#endif

/* SPDX-License-Identifier: MIT */
/*
 * The counters of a daemon and of a shell, by name.  Text, JSON and the answer to `stats` are all printed from this one
 * list, so they can't differ.
 */
#include <stddef.h>

#include "tool.h"

#define DAEMON(field) .name = #field, .at = offsetof(struct venom_daemon_stats, field)
#define SHELL(field)  .name = #field, .at = offsetof(struct venom_peer, shell.field)
#define PEER(field)   .name = #field, .at = offsetof(struct venom_peer, field)

const struct counter daemon_counters[] = {
	{DAEMON(versions)}, {DAEMON(commands)}, {DAEMON(responses)}, {DAEMON(stale)}, {DAEMON(wakes)},
	{DAEMON(sleeps)},   {DAEMON(refused)},	{DAEMON(evicted)},
	{DAEMON(passed)},   {DAEMON(held_up)},	{DAEMON(full)},	     {DAEMON(cut)},   {.name = NULL},
};

const struct counter shell_counters[] = {
	{SHELL(reads)},	   {SHELL(retries)}, {SHELL(overruns)}, {SHELL(commands)}, {SHELL(answers)},  {SHELL(full)},
	{SHELL(timeouts)}, {SHELL(wakes)},   {SHELL(sleeps)},	{PEER(received)},  {PEER(responses)}, {.name = NULL},
};

uint64_t counter(const struct counter *c, const void *stats)
{
	return *(const uint64_t *)((const char *)stats + c->at);
}

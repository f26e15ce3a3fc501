/* SPDX-License-Identifier: MIT */
/*
 * The demo's processes, and the board on which they report to the parent what they have seen.
 *
 * The board is not the channel: what the demo shows goes through venom; the board only counts it.
 */
#ifndef DEMO_H
#define DEMO_H

#include <stdatomic.h>

#include "hist.h"
#include "tool.h"

#define DEMO_SHELLS_MAX 64
#define DEMO_ORDER	64 /* bytes of a request and of its answer */
#define DEMO_STATE	4096

struct party { /* written by one shell */
	_Atomic uint64_t ready, reads, versions, requests;
	_Atomic uint64_t torn; /* passed the sequence check, but wrong by checksum or number */
	_Atomic uint64_t back; /* older than a version read before */
	_Atomic uint64_t lost; /* requests without an answer */
	_Atomic uint64_t wrong; /* answers to another request */
	struct hist latency;
};

struct board { /* shared, starts as zeros */
	char name[VENOM_NAME_MAX + 1];
	double rate;
	unsigned int shells;
	_Atomic int stop_shells, stop_daemon; /* set by the parent */
	_Atomic int ready; /* set by the daemon, as is the next one */
	struct venom_daemon_stats daemon; /* at its end */
	struct party party[DEMO_SHELLS_MAX];
};

struct part { /* argument of a shell */
	struct board *board;
	unsigned int nr;
};

int demo_daemon(void *board);
int demo_shell(void *part);

/* Whether a state is what the daemon wrote as this version, by its checksum and its number. */
bool demo_state_good(const char *text, size_t len, uint64_t version);

#endif /* DEMO_H */

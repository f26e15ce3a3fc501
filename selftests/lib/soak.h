/* SPDX-License-Identifier: MIT */
/*
 * What the processes of load/soak.c share, and what is measured of them.
 *
 *	soak.c		the parent: starts and kills the players, measures windows of some seconds
 *	soak_players.c	the daemon, the shell and the visitors
 *	soak_verdict.c	compares the first windows with the last
 */
#ifndef VENOM_TEST_SOAK_H
#define VENOM_TEST_SOAK_H

#include "lib/watch.h"
#include "venom.h"

#define WINDOWS	10000
#define SAMPLES	4096

enum { DAEMON, SHELL, VISITOR, STEPS };

/* What is timed: a cache line's round trip, a fill of each player's own memory, and what is judged. */
enum { BOUNCE, FILL, REQUEST = FILL + 2, PUBLISH, TIMED };

struct window {
	double seconds;
	uint64_t requests, published, reads, visits;
	double took[TIMED]; /* ns */
	double waited; /* share of the time, of the process that waited longer */
	long rss[2], data[2], fds[2], areas[2], huge, slab;
};

struct windows {
	int n;
	struct window w[WINDOWS];
};

/* What something took, in ns: the last samples. */
struct samples {
	uint64_t n; /* how many there were in all */
	double ns[SAMPLES];
};

struct arena {
	struct vt_step step[STEPS];
	char name[VENOM_NAME_MAX + 1];
	uint64_t quit[2];
	uint64_t requests, published, reads, visits;
	struct samples timed[TIMED];
	uint64_t play; /* the shell wants the ball */
	uint64_t ball __attribute__((aligned(128)));
	uint64_t other __attribute__((aligned(128)));
};

/* Main functions for vt_spawn(), each with the arena. */
int soak_daemon_main(struct vt_peer *self, void *arena); /* until arena.quit */
int soak_shell_main(struct vt_peer *self, void *arena);
int soak_visitor_main(struct vt_peer *self, void *arena); /* until it is killed */

bool soak_judge_memory(const struct windows *all);
int soak_judge_throughput(const struct windows *all); /* 1: as it was; 0: slower; -1: no two minutes are alike */

#endif /* VENOM_TEST_SOAK_H */

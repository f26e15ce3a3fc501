/* SPDX-License-Identifier: MIT */
/*
 * The processes of killpoints.c: a daemon, three witnesses, and a shell that is the victim; and the ledger, in which
 * each of them notes what it does and what the result was.
 *
 *	killcast_daemon.c	publishes and answers
 *	killcast_shell.c	asks, sends and reads
 */
#ifndef VENOM_TEST_KILLCAST_H
#define VENOM_TEST_KILLCAST_H

#include <string.h>

#include "venom.h"
#include "lib/watch.h"

#define CAST_SIZE  400 /* of the state: more than is copied in line */
#define CAST_N	   65536 /* commands of one shell in a run */
#define CAST_BATCH 3 /* commands sent, and received, at once */
#define CAST_TURNS 60 /* after which a victim ends by itself */
#define CAST_CMD   200 /* largest command */

enum { ASKER, SENDER, READER, WITNESSES, VICTIM = WITNESSES, SHELLS };
extern const char *const cast_name[SHELLS];

/* What the sender knows of a command. */
enum outcome { UNSENT, UNKNOWN, ACCEPTED, ANSWERED, NEVER_TAKEN, RESET };

struct ledger {
	uint32_t sent; /* number of the last one */
	uint8_t outcome[CAST_N], daemon[CAST_N], taken[CAST_N];
};

struct arena {
	struct vt_step step[SHELLS + 1]; /* the last is the daemon's */
	char name[VENOM_NAME_MAX + 1];
	struct venom_config cfg;
	uint32_t daemons, up; /* number of the daemon that was started last; of the last that was created */
	uint32_t published; /* number of the last version's content */
	bool ended; /* a daemon ended in order: its channel is gone, with all that was in it */
	bool guard; /* only stores that are kill points may write to the shared pages */
	bool steady; /* no daemon dies, so no session ends by itself */
	uint64_t stop, quit; /* for shells, for the daemon */
	uint64_t told[SHELLS], served[SHELLS];
	struct ledger ledger[SHELLS];
	struct {
		uint32_t generation, last;
	} order[SHELLS]; /* by id: the last command taken */
};

/* ---- commands ---- */

/* A command, and its answer with ~n. */
struct message {
	uint32_t who, n;
	char more[192];
};
_Static_assert(sizeof(struct message) == CAST_CMD, "the largest command");

/*
 * Length of message n: within the first cache line of its slot, or beyond. Eight in a row have the same length, so that
 * they may go as a block.
 */
static inline size_t cast_put(struct message *m, int who, uint32_t n)
{
	size_t more = n / 8 % 3 ? n / 8 * 16 % sizeof(m->more) : 0;

	m->who = (uint32_t)who;
	m->n = n;
	vt_fill(m->more, more, n);
	return offsetof(struct message, more) + more;
}

static inline bool cast_is_whole(const struct message *m, size_t len)
{
	struct message want;

	return len >= offsetof(struct message, more) && len == cast_put(&want, (int)m->who, m->n) &&
	       !memcmp(m, &want, len);
}

/* ---- the processes ---- */

/* Main functions for vt_spawn(): a daemon gets the arena, a shell its struct vt_role. */
int cast_daemon(struct vt_peer *self, void *arena); /* until arena.quit */
int cast_daemon_victim(struct vt_peer *self, void *arena); /* CAST_TURNS, if it is not killed before */
int cast_witness(struct vt_peer *self, void *role); /* until arena.stop */
int cast_shell_victim(struct vt_peer *self, void *role);

#endif /* VENOM_TEST_KILLCAST_H */

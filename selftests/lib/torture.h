/* SPDX-License-Identifier: MIT */
/*
 * What the processes of load/torture.c share.
 *
 * The ledger: each connection of a shell (a session) numbers its commands. The shell notes what it is about to do with
 * a command and what the result was; the daemon notes each command that it has received. So a killed process leaves
 * only its last step open. Only the test writes the ledger, around the library's calls; it never reads the areas.
 *
 *	torture.c		the parent: starts, stops and kills processes
 *	torture_ledger.c	checks the ledger
 *	torture_daemon.c	publishes and serves
 *	torture_shell.c		does all that a shell can do (torture_shell.h)
 */
#ifndef VENOM_TEST_TORTURE_H
#define VENOM_TEST_TORTURE_H

#include "lib/message.h"
#include "lib/watch.h"
#include "venom.h"

#define T_SHELLS   16 /* processes */
#define T_SESSIONS 2048 /* of a round */
#define T_COMMANDS 8192 /* of a session; then the shell opens another session */
#define T_DAEMONS  256 /* of a round, one after the other */

enum t_sent {
	T_NONE,
	T_TRYING, /* about to send; a process that is killed in the call leaves this */
	T_REFUSED, /* not sent */
	T_SENT, /* one-way, accepted */
	T_OPEN, /* a request, accepted */
	T_ANSWERED,
	T_TIMEDOUT, /* given up by request(); perhaps never sent */
	T_CANCELLED,
	T_RESET, /* -ECONNRESET: it was taken */
	T_PIPE, /* -EPIPE: it was not taken */
};

enum t_end {
	T_KILLED, /* or still there */
	T_CLOSED, /* by its shell, with its daemon alive */
	T_CLOSED_DEAD, /* ...or with a dead daemon, of which the shell was notified */
};

struct t_session {
	uint32_t pid, id;
	uint32_t chan; /* number of the daemon that created the channel */
	uint32_t n; /* numbers given */
	uint32_t last; /* the last number received, + 1 */
	uint32_t to_the_end; /* open when the round ended */
	enum t_end end;
	uint8_t sent[T_COMMANDS]; /* enum t_sent; written by the shell */
	uint8_t got[T_COMMANDS]; /* how many times it was received; written by the daemon */
};

struct t_daemon {
	uint32_t pid, ready, quit;
	uint32_t chan; /* + 1; 0: not known yet */
	uint32_t taking; /* commands that the receive in progress may take */
	uint64_t publishing; /* what it is about to publish, of the channel that it created: the n-th version... */
	uint64_t published; /* ...and has published; a resuming daemon may publish the next one a second time */
};

/* What one process counts, or all of them. */
struct t_tally {
	uint64_t ops, connects, published, reads, in_place, held, in_a_row, missed, received, refused, cut;
	uint64_t sent, lost, open, answered, timedout, cancelled, reset, pipe; /* the parent's sums, from the ledger */
};

/* Sums of a whole run. */
struct t_sums {
	struct t_tally tally;
	uint64_t sessions;
	uint64_t resumed; /* how many times a daemon went on with a channel */
	uint64_t lost_taken; /* commands that a dying daemon had taken, but not noted */
};

struct t_arena {
	struct vt_step step[T_SHELLS + 1]; /* the shells', then the daemon's */
	struct t_tally tally[T_SHELLS + 1];
	char name[VENOM_NAME_MAX + 1];
	struct venom_config cfg;
	bool resume; /* the next daemon resumes the channel */
	uint32_t pause_us; /* of the publisher; 0: none */
	uint32_t handles; /* of a shell, at most */
	bool heed; /* shells hold versions and are lossless */
	bool strict; /* ...and none of these shells is ever cut off */
	int daemon_fds, daemon_areas; /* what a daemon has without shells */
	uint64_t seed; /* the round's */
	uint32_t sessions, chan, daemons;
	uint32_t stop; /* shells come to an end... */
	uint32_t quiet; /* ...all have ended, but for a last look... */
	uint64_t final; /* ...at the last version, + 1... */
	uint32_t end; /* ...and then the daemon */
	struct t_daemon daemon[T_DAEMONS];
	struct t_session session[T_SESSIONS];
};

/* One process. */
struct t_role {
	struct t_arena *a;
	uint32_t who; /* shell's index, daemon's number */
	uint64_t seed;
};

int t_daemon_main(struct vt_peer *self, void *role);
int t_shell_main(struct vt_peer *self, void *role);

/* Returns what is wrong with the ledger, after printing of which command, or NULL; adds it to the sums. */
const char *t_check_ledger(const struct t_arena *a, struct t_sums *sums);
void t_add_tallies(const struct t_arena *a, struct t_sums *sums); /* what the processes have counted */
void t_print_sums(const struct t_sums *sums);

/* The seed of the content of version v. Where version numbers may be skipped, v counts the versions published. */
static inline uint64_t t_version(const struct t_arena *a, uint32_t chan, uint64_t v)
{
	uint64_t r = a->seed ^ (uint64_t)chan << 40 ^ v;

	return vt_rand(&r);
}

static inline size_t t_len(const struct t_arena *a, uint32_t chan, uint64_t v)
{
	uint64_t r = t_version(a, chan, v) >> 32;

	uint64_t least = a->heed ? 8 : 1;

	return r % 4 ? a->cfg.data_size : least + (r >> 2) % (a->cfg.data_size - least + 1);
}

static inline uint32_t t_word(const struct t_arena *a, uint32_t chan, uint64_t v)
{
	return a->heed ? chan << 28 | (uint32_t)v : (uint32_t)t_version(a, chan, v);
}

/* Is that a version of the channel, and which one? `number` is the version number from the library. */
static inline bool t_is(const struct t_arena *a, uint32_t chan, const void *data, size_t len, uint64_t number,
			uint64_t *v)
{
	uint32_t word;

	*v = number;
	if (a->heed) {
		if (len < 8 || !vt_whole(data, len, &word))
			return false;
		*v = word & 0xfffffff;
	}
	return len == t_len(a, chan, *v) && vt_is(data, len, t_word(a, chan, *v));
}

#endif /* VENOM_TEST_TORTURE_H */

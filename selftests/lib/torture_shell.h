/* SPDX-License-Identifier: MIT */
/*
 * What a shell of load/torture.c knows, and all that it can do.
 *
 *	torture_shell.c		opens and closes sessions, and picks what to do in them
 *	torture_commands.c	commands and requests
 *	torture_versions.c	reads, holds, waits
 */
#ifndef VENOM_TEST_TORTURE_SHELL_H
#define VENOM_TEST_TORTURE_SHELL_H

#include "lib/torture.h"

#define HANDLES 3
#define OPEN	16

/* One handle, and what the shell knows of it. */
struct conn {
	struct venom_shell *s;
	struct t_session *l;
	uint32_t no; /* number of the session */
	bool told; /* the daemon's death was reported */
	uint64_t seen; /* the newest version read */
	uint64_t at, first, before; /* of read_next */
	uint64_t passed, missed;
	uint64_t n; /* what read_next returned last: the n-th version of all; 0: not known */
	bool lossless;
	uint64_t owed; /* lossless: the reader may still miss versions up to this one */
	bool holding;
	struct venom_view view;
	uint64_t view_n;
	struct {
		uint64_t tag;
		uint32_t seq, kind;
	} open[OPEN];
	unsigned int nopen;
};

struct shell {
	struct t_arena *a;
	struct t_tally *tally;
	struct vt_step *step;
	uint64_t rng;
	char *buf; /* for a state */
	struct conn conn[HANDLES];
};

static inline uint64_t up_to(struct shell *sh, uint64_t n)
{
	return vt_rand(&sh->rng) % n;
}

static inline int64_t some_time(struct shell *sh)
{
	static const int64_t times[] = {0, 50000, VT_MS, 5 * VT_MS};

	return times[up_to(sh, 4)];
}

static inline void doing(struct shell *sh, const char *what, uint64_t n)
{
	vt_step(sh->step, what, n);
	sh->tally->ops++;
}

/* ---- torture_commands.c ---- */

void t_send_one(struct shell *sh, struct conn *c);
void t_send_many(struct shell *sh, struct conn *c);
void t_request(struct shell *sh, struct conn *c);
void t_submit(struct shell *sh, struct conn *c);
/* Complete any open request, or this one; return whether one was completed. */
bool t_complete(struct shell *sh, struct conn *c, unsigned int i, bool any, int64_t timeout);
void t_cancel(struct shell *sh, struct conn *c, unsigned int i);
void t_flood(struct shell *sh, struct conn *c);

/* ---- torture_versions.c ---- */

/* Check a version; return which one it is of all that were published. */
uint64_t t_check_version(struct shell *sh, struct conn *c, const void *data, ssize_t len, uint64_t v);
void t_read_latest(struct shell *sh, struct conn *c);
void t_look(struct shell *sh, struct conn *c);
void t_let_go(struct shell *sh, struct conn *c);
void t_hold(struct shell *sh, struct conn *c);
void t_be_lossless(struct shell *sh, struct conn *c, bool on);
void t_wait_news(struct shell *sh, struct conn *c);
/* One step of read_next: return whether there was a version, or a report of overwritten ones. */
bool t_follow(struct shell *sh, struct conn *c);
void t_arm(struct shell *sh, struct conn *c);

#endif /* VENOM_TEST_TORTURE_SHELL_H */

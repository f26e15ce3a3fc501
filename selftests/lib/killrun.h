/* SPDX-License-Identifier: MIT */
/*
 * A run of killpoints.c: the processes of killcast.h play, and the victim among them dies at one point of killpoint.h.
 *
 * If the victim is the daemon, or a daemon that took over from a dead one, each witness must be notified; then an heir
 * starts, and must be able to serve them all.  If it is a shell, its place must be free again, and the witnesses must
 * notice nothing.  In the end the ledger must be right.
 */
#ifndef VENOM_TEST_KILLRUN_H
#define VENOM_TEST_KILLRUN_H

#include "lib/killcast.h"
#include "lib/killpoint.h"

enum part { DAEMON, TAKEOVER, SHELL };

struct run {
	struct arena *a;
	enum part part;
	struct vt_peer witness[WITNESSES], daemon, victim;
	struct vt_role role[SHELLS];
	bool met; /* the victim died at its point */
	uint64_t late; /* ns from the death to the last notice, or to the free place */
};

void kill_set_up(struct run *r, enum part part, int64_t spin, uint32_t versions, uint32_t flags, uint32_t holders);
/* The next victim dies at this point when it passes there for the nth time (0: it does not die). */
void kill_set_fate(unsigned int point, unsigned int when, uint32_t nth);
/* One run with that fate: whether all was right.  r->met and r->late have the rest. */
bool kill_run(struct run *r, unsigned int point, unsigned int when, uint32_t nth);

#endif /* VENOM_TEST_KILLRUN_H */

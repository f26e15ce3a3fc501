/* SPDX-License-Identifier: MIT */
/* A shell's open requests, the room in its lane, and its waits: what request.c, wait.c and control/shell.c share. */
#ifndef VENOM_CALLS_SHELL_H
#define VENOM_CALLS_SHELL_H

#include "internal.h"

static inline uint32_t slot_of(const struct venom_shell *s, const struct venom_request *r)
{
	return r - s->open;
}

static inline bool answered(struct venom_shell *s, const struct venom_request *r)
{
	return venom_slot_ready(&s->in, slot_of(s, r), r->tag);
}

/* How many commands the lane has room for; looks at the daemon's cursor only if it seems full. */
uint32_t venom_lane_room(struct venom_shell *s);

/* What a wait is for: bits of VENOM_WAIT_*. */
struct shell_wait {
	struct venom_shell *s;
	uint32_t what;
	uint64_t version; /* STATE: one newer than this */
	struct venom_request *one; /* ANSWER: to this request, or if NULL to any */
	struct venom_request *found;
};

/* 1: there is what the wait is for; 0 at time-out; or an errno.  Blocking. */
int venom_shell_wait_for(struct shell_wait *w, int64_t timeout_ns);
void venom_shell_has_died(struct venom_shell *s);

#endif /* VENOM_CALLS_SHELL_H */

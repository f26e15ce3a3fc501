/* SPDX-License-Identifier: MIT */
/*
 * A backend that is plain memory, for a daemon and its shells in one thread: there are no processes, descriptors or
 * messages, and a sleep lets the input's changes come.
 */
#ifndef VENOM_FUZZ_MEMORY_H
#define VENOM_FUZZ_MEMORY_H

#include "internal.h"

#define HONEST 0 /* id of the one shell that must never be evicted */

/* A target's goals begin with these. */
enum { MEMORY_SLEPT, MEMORY_EVICTED, MEMORY_GOALS };
#define MEMORY_GOAL_NAMES "slept", "evicted"

extern const struct venom_backend memory_backend;
struct venom_lane *memory_lane(struct venom_daemon *d, uint32_t id, bool may_command); /* a new shell's */

#endif /* VENOM_FUZZ_MEMORY_H */

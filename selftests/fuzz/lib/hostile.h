/* SPDX-License-Identifier: MIT */
/*
 * A hostile daemon for the embedded backend's shells: in its messages, in the descriptors that it hands out, and in all
 * of its areas there may be anything.  It runs in the shell's thread, whenever the shell waits.
 */
#ifndef VENOM_FUZZ_HOSTILE_H
#define VENOM_FUZZ_HOSTILE_H

#include "memfd/proto.h"

/* Areas can't be unsealed: those of each geometry are made once, and reused. */
struct shape {
	uint32_t versions, cmd_slots, max_clients;
	uint64_t data_size;
	uint32_t cmd_size, resp_size;
	struct venom_geometry geo;
	struct venom_map map[3]; /* FD_STATUS, FD_STATE, FD_RESPONSES */
	int fd[3];
};

void hostile_init(const char *name); /* once: the areas, and the socket of this channel */
const struct shape *hostile_begin(unsigned int which); /* with one version published; no shell is attached */
void hostile_attached(struct venom_shell *s); /* from now on this shell's mappings change, too */
void hostile_end(void); /* hang up */

/* What it may do at any time: overwrite some words of its areas; publish a version; answer a request. */
void hostile_scribble(void);
void hostile_publish(void);
void hostile_answer(void);

#endif /* VENOM_FUZZ_HOSTILE_H */

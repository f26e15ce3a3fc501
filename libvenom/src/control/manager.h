/* SPDX-License-Identifier: MIT */
/*
 * The manager: the library's own thread in the daemon's process, on both backends.
 *
 * It accepts shells, notices their deaths, and makes, maps and frees their lanes.  For the server and the publisher a
 * lane appears, complete, by the store of one pointer, and is removed by another such store.  They share no lock with
 * the manager, and make no system call for it but to wake it (barrier.h 7).
 *
 *	venom_manager_add	a lane appears in daemon.lanes[]
 *	venom_manager_gone	its shell is dead; the server still takes what it has sent
 *	venom_manager_tidy	all of that is taken: the lane is removed, and freed when neither server nor publisher
 *				can use its pointer any more
 */
#ifndef VENOM_MANAGER_H
#define VENOM_MANAGER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct venom_daemon;
struct venom_lane;

struct manager {
	pthread_t thread;
	struct venom_sleeper own;	/* signalled if a lane is broken, or a dead shell's is empty; and at the end */
	uint32_t stop;
	struct venom_lane *dead;	/* in daemon.lanes[], but the shell is dead */
	struct venom_lane *retired;	/* no longer in daemon.lanes[], not freed yet */
	uint32_t nretired;
	int64_t nap_ns;		/* sleep until the next look at the retired; -1: there are none */
};

void venom_manager_init(struct venom_daemon *d);
int venom_manager_open(struct venom_daemon *d);	/* its descriptors: backends add their own to epfd */
int venom_manager_start(struct venom_daemon *d);
void venom_manager_stop(struct venom_daemon *d);
void venom_manager_close(struct venom_daemon *d);	/* and free all lanes */

/* Any thread's */
void venom_manager_wake(struct venom_daemon *d);

/* The manager's own */
void venom_fence_all(const struct venom_daemon *d);	/* a full fence here, and in the server and the publisher */
void venom_manager_add(struct venom_daemon *d, struct venom_lane *l);
void venom_manager_gone(struct venom_daemon *d, struct venom_lane *l);
void venom_manager_evict(struct venom_daemon *d);	/* evict the shells whose lanes are broken */
void venom_manager_tidy(struct venom_daemon *d);

#endif /* VENOM_MANAGER_H */

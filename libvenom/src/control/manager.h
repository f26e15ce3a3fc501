/* SPDX-License-Identifier: MIT */
/*
 * The manager: the library's own thread in the daemon's process, on both backends.
 *
 * It accepts shells, notices their deaths, and makes, maps and frees their lanes.  For the server and the publisher a
 * lane appears, complete, by the store of one pointer, and is removed by another such store.  They share no lock with
 * the manager, and make no system call for it but to wake it (barrier.h 7).
 *
 * A shell connects: venom_manager_add.  A shell dies, or closes:
 *
 *	module							embedded
 *	  the kernel unmaps its areas and closes its file	  its socket hangs up, or its pidfd is readable
 *	  venom_file_die, venom_client_die: life = GONE,		  manage, conn_event
 *	    changes++, the manager's eventfd is signalled
 *	  manage, sync_lanes: sees `life`			  conn_drop: life = NONE, changes++
 *			|						|
 *			+---------------> venom_manager_gone <----------+
 *					  no more commands will come; the publisher heeds none of its roles
 *	venom_manager_tidy
 *	  is_done		the server has taken all of its commands; if not, lane_advance wakes the manager
 *				after the last one
 *	  retire		the lane leaves daemon.lanes[]: its id is free (module: lane_free)
 *	  venom_fence_all	a full fence here, in the server and in the publisher
 *	  is_over		neither server nor publisher can still use the lane's pointer
 *	  lane_unmap		its areas are unmapped, its memory is freed
 *
 * The daemon dies (at an ordinary end, destroy stores GONE):
 *
 *	module							embedded
 *	  the kernel unmaps its areas and closes its file	  the manager's thread ends: the kernel sets
 *	  venom_file_die, venom_channel_die: daemon = GONE,	    OWNER_DIED in `owner`, a robust futex word
 *	    the eventfd of each shell is signalled		  sockets hang up, pidfds are readable
 *			|						|
 *			+-----------> death_seen, in each shell <-------+
 *				      loads of shared words; a sleeper is woken and looks, too
 *	venom_shell_gone	confirms it: dev_alive looks at `daemon` and `life`, memfd_alive at socket and pidfd
 *	venom_shell_has_died		sends and waits give -EPIPE; reads go on, with the last whole version
 *	abandoned		an open request gives -ECONNRESET if the cursor says that it was taken, else -EPIPE
 *
 * Another daemon takes over, on the module, by venom_daemon_create with VENOM_RESUME.  Else the next daemon makes a new
 * channel, and the shells connect anew.
 *
 *	venom_channel_create	in_the_way_locked: same user and geometry, and no process maps the state for writing
 *	  resume_locked		daemon_comes_locked: epoch + 1, then daemon = ALIVE
 *	resume_state		goes on after the last version; the dead daemon's sleeping words are reset
 *	take_over_lanes		lane_map: each lane goes on at its cursor
 *	resumed			each shell, in venom_shell_gone: open requests without an answer have failed
 *	daemon_take		receives one-way commands; lane_pass passes over requests of an earlier epoch
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
int venom_manager_open(struct venom_daemon *d);	/* what its, the server's and the publisher's thread sleep in */
int venom_manager_start(struct venom_daemon *d);
void venom_manager_stop(struct venom_daemon *d);
void venom_manager_close(struct venom_daemon *d);	/* after a failed open, too; and free all lanes */

/* Any thread's */
void venom_manager_wake(struct venom_daemon *d);

/* The manager's own */
void venom_fence_all(const struct venom_daemon *d);	/* a full fence here, and in the server and the publisher */
void venom_manager_add(struct venom_daemon *d, struct venom_lane *l);
void venom_manager_gone(struct venom_daemon *d, struct venom_lane *l);
void venom_manager_evict(struct venom_daemon *d);	/* evict the shells whose lanes are broken */
void venom_manager_tidy(struct venom_daemon *d);

#endif /* VENOM_MANAGER_H */

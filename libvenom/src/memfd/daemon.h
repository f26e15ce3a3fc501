/* SPDX-License-Identifier: MIT */
/* Embedded backend, the daemon's side: what memfd/daemon.c and memfd/conn.c share. */
#ifndef VENOM_MEMFD_DAEMON_H
#define VENOM_MEMFD_DAEMON_H

#include <linux/futex.h>
#include "memfd/proto.h"

/* Only the manager uses this, once it runs. */
struct memfd_daemon {
	struct venom_daemon *d;
	int listener;
	int removals; /* an inotify that watches the place, or -1 */
	int spare; /* a descriptor reserved for turn_away */
	int status_fd, state_fd;
	struct name name;
	struct conn *conns;
	unsigned int pending;
	bool *reserved; /* ids promised to connections that have not attached yet */
	uint32_t generation;
	struct robust_list_head robust;
};

#define PENDING_MAX 64 /* connections that have not attached yet */

/* ---- memfd/conn.c ---- */

void conn_accept(struct memfd_daemon *m);
void conn_event(struct memfd_daemon *m, struct conn *c, uint32_t events);
void conn_drop_all(struct memfd_daemon *m);
void memfd_lane_evict(struct venom_daemon *d, struct venom_lane *l);
void memfd_lane_unmap(struct venom_daemon *d, struct venom_lane *l);

#endif /* VENOM_MEMFD_DAEMON_H */

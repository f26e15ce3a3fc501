/* SPDX-License-Identifier: MIT */
/*
 * Calls for vt_call() that make a peer a daemon or a shell of a channel: each process has one of each, pd and ps.
 * Payloads are vt_fill(v)'s; a call that gets one checks that it is whole, and returns its v. v is 1 to 2^31 - 1, so
 * that it can't be mistaken for a time-out or an errno.
 */
#ifndef VENOM_TEST_PEER_H
#define VENOM_TEST_PEER_H

#include <errno.h>

#include "lib/venom_test.h"
#include "venom.h"

extern struct venom_daemon *pd;
extern struct venom_shell *ps;

/* VENOM_CONFIG_INIT in memory that all peers share; tests that change a field use it instead of NULL. */
struct venom_config *vt_config(void);
/* venom_errmsg() of the last create or connect in any process. */
#define vt_errmsg ((const char *)vt_box + VT_BOX - 1024)

/* Handles that are none, for a variable that a call which fails must leave as it is. */
#define VT_POISON_D ((struct venom_daemon *)0x5a5a5a)
#define VT_POISON_S ((struct venom_shell *)0x5a5a5a)

#define PD_KEPT 64 /* commands kept to be answered later */
extern struct venom_command pd_cmd[PD_KEPT];
extern int pd_cmds;

long pd_create(long name, long cfg, long c);
long pd_destroy(long a, long b, long c);
long pd_publish(long v, long len, long c);
long pd_begin(long fill, long len, long c); /* 0 if there is a buffer, which is then filled */
long pd_commit(long len, long b, long c);
long pd_receive(long timeout_ms, long b, long c); /* v, 0: time-out; keeps the command in pd_cmd[] */
long pd_respond(long i, long v, long len); /* to pd_cmd[i] */
long pd_echo(long n, long b, long c); /* receives n commands, answers each with itself */
long pd_set_spin(long ns, long b, long c);
long pd_stop(long a, long b, long c);
long pd_stats(long to, long b, long c); /* a struct venom_daemon_stats in shared memory */

long ps_connect(long name, long b, long c);
long ps_close(long a, long b, long c);
long ps_id(long a, long b, long c);
long ps_send(long v, long len, long c);
long ps_request(long v, long len, long timeout_ms); /* the answer's v */
long ps_read(long a, long b, long c); /* v of the latest state */
long ps_read_next(long a, long b, long c); /* v of the next version after the last that this call read */
long ps_missed(long a, long b, long c); /* by how many numbers the last ps_read_next() has gone on */
long ps_lossless(long on, long b, long c);
long ps_wait(long version, long timeout_ms, long c);
long ps_set_spin(long ns, long b, long c);
long pp_end(long a, long b, long c); /* closes the shell, and destroys the daemon */
/* End these peers well; false: one did not.  A peer that has ended before is left out. */
bool vt_end_peers(struct vt_peer *const *peers, unsigned int n);
#define vt_end_all(...)                                                                                       \
	vt_end_peers((struct vt_peer *const[]){__VA_ARGS__},                                                  \
		     sizeof((struct vt_peer *const[]){__VA_ARGS__}) / sizeof(struct vt_peer *))
long pd_publish_later(long ms, long v, long len);
long ps_send_later(long ms, long v, long len);

/* How many shells a daemon of this process has. */
uint32_t vt_clients(struct venom_daemon *d);
/* Remove what a killed daemon has left of a name: create it again and destroy it. */
void vt_forget(const char *name);

/* A time-out in the library's unit: ms, or for ever. */
static inline int64_t pp_ns(long ms)
{
	return ms < 0 ? -1 : ms * VT_MS;
}

#endif /* VENOM_TEST_PEER_H */

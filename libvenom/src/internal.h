/* SPDX-License-Identifier: MIT */
/*
 * Inside libvenom.  From the bottom up, a folder each:
 *
 *	plane/		the hot path on the shared pages, freestanding: ring.h (versions), readers.h (held versions,
 *			lossless readers), lane.h (commands and answers), wake.h and wait.h (arm, spin, sleep),
 *			barrier.h (every pair of fences)
 *	calls/		the public calls on mapped areas.  They make no system call unless they sleep or wake a sleeper:
 *			publish.c, read.c, roles.c (hold, lossless); request.c, receive.c, lanes.c (which lane is served
 *			next); wait.c (the shell's waits), copy.c (large copies)
 *	control/	create, connect, observe, deaths: daemon.c and shell.c make the handles; manager.c is the thread in
 *			the daemon's process that connects shells and notices their deaths, readers.c its part in hold and
 *			lossless; config.c checks what the user asks for, schema.c describes payloads, observe.c is for
 *			observers, backend.c chooses the backend
 *	dev/		the module's backend, on /dev/venom
 *	memfd/		the embedded backend; proto.h has the messages between its two sides
 *	system/		descriptors, eventfds in epolls, memory, threads, log
 *
 * handles.h has what one process knows of a channel.  A backend makes and maps areas, signals sleepers and detects deaths; all else is the same for both backends.
 */
#ifndef VENOM_INTERNAL_H
#define VENOM_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <venom.h>
#include "plane.h"
#include <venom_inline.h> /* after the plane: tests have hooks there */

/* The epoll that a thread sleeps in, and the eventfd in it by which its own process wakes it; -1: not open. */
struct venom_sleeper {
	int epfd, bell;
};

#include "control/manager.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

/* The bits of venom_config.flags that every attached process sees */
#define VENOM_CHANNEL_FLAGS (VENOM_STAMP | VENOM_ORDER_ARRIVAL | VENOM_LOSSLESS)

struct epoll_event;

struct venom_cred {
	uint32_t pid, uid, gid;
};

struct venom_map {
	void  *p;
	size_t size;
};

#include "handles.h"

/* ---- calls/spin.c ------------------------------------------------ */

int venom_spin_set(struct venom_spin *sp, int64_t ns);

/* ---- calls/read.c ------------------------------------------------ */

/* Check the length of a whole version: 0 if the version can be copied to `size` bytes. */
int venom_len_check(struct venom_shell *s, uint64_t len, size_t size);
/* The view of a claimed version, before it is checked. */
void venom_view_make(const struct venom_shell *s, const struct venom_claim *c, struct venom_view *view);

/* ---- calls/roles.c ----------------------------------------------- */

/* Ask for these roles, all at once, and wait for the answer: 0, and s->roles has them; or an errno, explained. */
int venom_roles_ask(struct venom_shell *s, uint32_t roles);
/* The same for the roles that connect has asked for. */
int venom_roles_wait(struct venom_shell *s);
/* All versions up to this one are read: the publisher need not keep them. */
void venom_cursor_set(struct venom_shell *s, uint64_t version);

/* ---- backends ---------------------------------------------------------------- */

struct venom_backend {
	const char *name;
	bool resumes;	/* another daemon may take over from a dead one */
	int  (*check)(void);	/* 0 if it can be used here, else the errno */

	/* daemon; create has d->name, cfg and geo, and fills the maps */
	int  (*create)(struct venom_daemon *d);
	void (*destroy)(struct venom_daemon *d);
	int  (*daemon_sleep)(struct venom_daemon *d, int64_t ns);	/* as epoll_sleep(); -1: for ever */
	void (*wake_shell)(struct venom_daemon *d, struct venom_lane *l);
	void (*wake_state)(struct venom_daemon *d);
	/* manager's */
	void (*manage_begin)(struct venom_daemon *d);
	void (*manage)(struct venom_daemon *d, void *of, uint32_t events);	/* an event of its own in manager.own */
	void (*manage_end)(struct venom_daemon *d);
	int  (*watch_moves)(struct venom_daemon *d, struct venom_lane *l);	/* let its shell wake the publisher */
	void (*lane_evict)(struct venom_daemon *d, struct venom_lane *l);
	void (*lane_keep)(struct venom_daemon *d, struct venom_lane *l);	/* dead, with commands left; or NULL */
	void (*lane_free)(struct venom_daemon *d, struct venom_lane *l);	/* its id is free; or NULL */
	void (*lane_unmap)(struct venom_daemon *d, struct venom_lane *l);	/* and free all that it has */

	/* shell */
	int  (*connect)(struct venom_shell *s);
	void (*close)(struct venom_shell *s);
	int  (*shell_sleep)(struct venom_shell *s, int64_t ns);
	void (*wake_daemon)(struct venom_shell *s);
	/* make the publisher check whether we sleep: 1, or 0 at time-out */
	int  (*watch)(struct venom_shell *s, int64_t timeout_ns);
	/* before a sleep for state (false: there is no daemon that could wake us), and after it; NULL if the sleeping
	 * word is enough */
	bool (*arm_state)(struct venom_shell *s);
	void (*disarm_state)(struct venom_shell *s);
	bool (*alive)(struct venom_shell *s);
	int  (*ask)(struct venom_shell *s);		/* make the manager read cmd->wants */
	void (*wake_publisher)(struct venom_shell *s);	/* it may wait until this shell has read a version */
	void (*meet)(struct venom_shell *s);	/* another daemon took over: get its cred; NULL without `resumes` */

	/* observers */
	bool (*lives)(const char *name);	/* a living daemon has the name; does not wait */
	int (*list)(int (*fn)(const struct venom_info *info, void *user), void *user, int *count);
	int (*stat)(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
		    int (*fn)(const struct venom_peer *peer, void *user), void *user);
};

extern const struct venom_backend venom_backend_dev, venom_backend_memfd;

/* daemon_sleep and shell_sleep of both backends: calls/receive.c, calls/wait.c */
int venom_server_sleep(struct venom_daemon *d, int64_t ns);
int venom_shell_sleep(struct venom_shell *s, int64_t ns);

/* ---- control/backend.c ------------------------------------------- */

int venom_backend_pick(const struct venom_backend **be);
/*
 * -EBUSY if a living daemon has the name on a backend other than `but` that can be used here: a name is one channel.
 * Two daemons that are created at the same time, one on each backend, may both succeed.
 */
int venom_backend_taken(const char *name, const struct venom_backend *but);
int venom_backend_connect(struct venom_shell *s);

/* ---- system/bell.c ----------------------------------------------- */

/*
 * Sleep until there is an event in epfd: 1, or 2 if one of the events is not a bell's (whose data is NULL), 0 at
 * time-out, or a negative errno if it can't sleep.  A signal counts as an event.  The only cancellation point of the
 * library where a thread is armed: the caller has a cleanup handler that disarms.
 */
int epoll_sleep(int epfd, int64_t ns);
/* As epoll_wait(2), but in ns, by the best call that the kernel has; -1: for ever. */
int epoll_next(int epfd, struct epoll_event *ev, int n, int64_t ns);
int epoll_watch(int epfd, int fd, uint32_t events, void *data);
/* The bell's event has `data`.  After a failure sleeper_close() is enough to clean up. */
int sleeper_open(struct venom_sleeper *s, void *data);
void sleeper_close(struct venom_sleeper *s);
/* As epoll_sleep(), for a sleeper that only bells wake. */
int sleeper_sleep(const struct venom_sleeper *s, int64_t ns);
void bell_signal(int bell);

/* ---- system/fd.c ------------------------------------------------- */

/* Make a descriptor by this call: it is above 2, and no forked child inherits it.  Failure: -1 and the call's errno. */
#define venom_own(call)                    \
	({                                 \
		int fd_;                   \
                                           \
		venom_fds_begin();         \
		fd_ = venom_mark(call);    \
		venom_fds_end();           \
		fd_;                       \
	})
/* The same in steps, for a call that makes several. */
void venom_fds_begin(void);
int venom_mark(int fd);
void venom_fds_end(void);
void close_fd(int *fd);
/* Changes in the child at each fork: a handle with another value is the parent's. */
uint32_t venom_forks(void);

/* ---- system/thread.c --------------------------------------------- */

/* The new thread blocks all signals, which are the user's, and drops its maker's CPU mask and real-time class. */
int venom_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg);

/*
 * In this scope the thread is not cancelled.  All public calls that could be left half-done have it: a thread is
 * cancelled only while it sleeps or spins in a wait.
 */
#define NO_CANCEL __attribute__((cleanup(venom_cancel_restore), unused)) int cancel_was = venom_cancel_disable()
static inline int venom_cancel_disable(void)
{
	int was;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &was);
	return was;
}
static inline void venom_cancel_restore(int *was)
{
	pthread_setcancelstate(*was, NULL);
}

/* ---- control/config.c -------------------------------------------- */

int venom_name_check(const char *name);
int venom_config_check(struct venom_config *out, const struct venom_config *cfg);
void venom_geometry_make(struct venom_geometry *geo, const struct venom_config *cfg, uint64_t page_size);
int venom_geometry_check(const struct venom_geometry *geo, uint64_t area_size);
void venom_head_make(struct venom_area_head *h, uint32_t kind, uint64_t size, uint64_t epoch, uint32_t id,
		     uint32_t generation);
int venom_head_check(const struct venom_area_head *h, uint32_t kind, uint64_t size);
/* Which of the two sides has to be updated. */
const char *venom_older(uint32_t abi);
/* Explain why the state's pages, whose sizes are in geo, can't be allocated; returns rc. */
int venom_fail_state(int rc, const struct venom_config *cfg, const struct venom_geometry *geo);
/* Write the first contents of a new state area. */
void venom_state_init(struct venom_daemon *d);

/* ---- control/node.c ---------------------------------------------- */

struct venom_policy {
	bool changed;
	int mode;
	unsigned long nodes[1024 / sizeof(long) / 8];
};
/* Allocate this thread's memory on that node (-1: no change) until restored; threads made meanwhile keep the policy. */
int venom_node_prefer(struct venom_policy *old, int node);
void venom_node_restore(const struct venom_policy *old);

/* ---- control/observe.c ---------------------------------------------- */

void venom_stats_make(struct venom_daemon_stats *st, const struct venom_state *s, const struct venom_status *status,
		      uint64_t versions);
void venom_peer_make(struct venom_peer *p, uint32_t id, uint32_t generation, const struct venom_cred *cred);
void venom_peer_counts(struct venom_peer *p, const struct venom_commands *cmd, const struct venom_responses *rsp);
void venom_peer_numbers(struct venom_peer *p, const struct venom_shell_counts *counts, uint64_t received,
			uint64_t responses);
void venom_info_make(struct venom_info *info, const char *backend, const char *name, const struct venom_geometry *geo,
		     uint64_t epoch, const struct venom_cred *daemon, bool alive, const struct venom_schema_block *schema);

/* ---- system/memory.c --------------------------------------------- */

/* A zeroed handle, aligned to a cache line; free() frees it. */
void *venom_handle(size_t size);
/* As calloc(), but with all pages faulted in; NULL also if the machine or the cgroup has too little memory. */
void *venom_zeroes(const char *what, size_t n, size_t size);
/* 0, or -ENOMEM, explained: a file of this size is over the limit, and a write to it would end in SIGXFSZ. */
int venom_file_for(const char *what, uint64_t size);
/* The same for an area (WHAT: "state"), whose pages could also start the OOM killer. */
int venom_memory_for(const char *what, uint64_t size, bool huge);

/* ---- system/log.c ------------------------------------------------ */

/* Explain err (negative) in the caller's venom_errmsg(), and return it. */
int venom_fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, but only if err is negative and not explained yet; returns err as it is. */
int venom_explain(int err, const char *what);
/* As strerror(); if a limit is the reason, with what to do about it. */
const char *venom_reason(int err);
/* How long the daemon's manager may take to answer: it does nothing else.  venom_silent: -ETIMEDOUT, explained. */
#define VENOM_PATIENCE_NS 10000000000
int venom_silent(void);
/* Log what no return value can report. */
void venom_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void venom_errmsg_clear(void);

#endif /* VENOM_INTERNAL_H */

/* SPDX-License-Identifier: MIT */
/*
 * Inside libvenom.
 *
 *	../plane/		the hot path: ring.h, lane.h, wake.h, wait.h (spin, then sleep), and barrier.h, the memory orders
 *	daemon.c, publish.c, shell.c, read.c	the public calls on mapped areas
 *	roles.c, readers.c	versions held in place, readers that miss nothing: the shell's side, the manager's
 *	lanes.c			which shells the daemon serves, and in what turn
 *	manager.c		the thread that lets shells in and learns of their deaths
 *	config.c		what a user may ask for
 *	look.c			what lookers are told
 *	schema.c		what the bytes mean; schema.h
 *	backend.c		which backend; list and stat
 *	bell.c			eventfds in epolls
 *	memory.c		how much of it there is
 *	fd.c			descriptors: above the standard ones, and not for forked children
 *	thread.c		threads of our own, and the user's that are cancelled
 *	dev_*.c			the module's backend, on /dev/venom
 *	memfd_*.c		the embedded backend; proto.h is what its two sides say to each other
 *
 * A backend makes and maps areas, rings bells and knows who has died; all else is the same for both.
 *
 * In the daemon's process there may be three threads: the publisher and the server, which are the user's, and the
 * manager.  Each field below that more than one of them touches says so.
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

/* A thread that sleeps in an epoll, and an eventfd in it by which its own process wakes it; -1: not open. */
struct venom_sleeper {
	int epfd, bell;
};

#include "manager.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

/* venom_config.flags that a channel is known by, to all who attach */
#define VENOM_CHANNEL_FLAGS (VENOM_STAMP | VENOM_ORDER_ARRIVAL | VENOM_LOSSLESS)

struct epoll_event;

struct venom_cred {
	uint32_t pid, uid, gid;
};

struct venom_map {
	void  *p;
	size_t size;
};

/* ---- waiting (wait.c) ---------------------------------------------------- */

int venom_spin_set(struct venom_spin *sp, int64_t ns);

/* ---- the daemon ------------------------------------------------------------ */

/* The daemon's side of one shell. */
struct venom_lane {
	/* server's, with each command */
	alignas(VENOM_LINE) struct venom_slots in;
	struct venom_slots out;
	const struct venom_commands *cmd;	/* the shell's page: anything may stand there */
	struct venom_responses *rsp;
	uint64_t  pos;		/* next command, or block of them */
	uint64_t *tags;		/* per answer slot: newest tag seen, and whether it has been answered */
	uint32_t  id, generation;
	uint32_t  signalled;	/* the value of the shell's sleeping word that we woke it for last */
	uint32_t  idle;		/* polls since its last command */
	bool	  behind;	/* so many commands are there that the next ones' lines are asked for */
	bool	  may_command;
	bool	  broken;	/* broke the protocol: nothing more is taken, and the manager throws its shell out */
	/* and its others */
	struct venom_block block;	/* at pos, as long as there is something left of it */
	uint32_t  stale;	/* requests to a daemon before us that may still come; see daemon_take */
	uint64_t  waits;	/* VENOM_ORDER_ARRIVAL: the command that is seen to wait, pos + 1... */
	uint64_t  since;	/* ...and how many of all lanes had been taken when it was first seen */
	struct venom_cred cred;

	/* publisher's */
	alignas(VENOM_LINE) uint32_t signalled_state;
	struct venom_reader reader;	/* manager's, too; see there */

	/* manager's */
	alignas(VENOM_LINE) uint32_t roles_seen;	/* of cmd->wants */
	uint32_t gone;		/* server reads: no more commands will come */
	bool	 kept;		/* it is gone with commands left, and the server wakes the manager behind the last one */
	bool	 evicted;
	struct venom_lane *next;	/* of manager.dead or manager.retired */
	uint32_t removal;	/* the value of daemon.changes that took it out of lanes[] */
	uint32_t walk;		/* daemon.walks after that */

	/* the backend's */
	struct venom_map cmd_map, rsp_map;
	/* memfd */
	int sock;		/* -1 once it has hung up */
	int bell;		/* we ring: an eventfd that the shell can only wait for */
	int their_bell;		/* it rings: an eventfd that we only wait for */
	bool watching;		/* has asked to be woken for state */
};
_Static_assert(offsetof(struct venom_lane, broken) < 2 * VENOM_LINE, "a command touches two lines of its lane");
_Static_assert(offsetof(struct venom_lane, signalled_state) % VENOM_LINE == 0, "publisher's line");
_Static_assert(offsetof(struct venom_lane, roles_seen) % VENOM_LINE == 0, "manager's line");

/* A lane that the server polls.  The lane may be freed before the server knows, so the id is here, too. */
struct venom_turn {
	struct venom_lane *lane;
	uint32_t id;
};

/*
 * The words of each thread are in lines of their own: what one of them writes on each call takes no line away from
 * another.
 */
struct venom_daemon {
	/* publisher's, with each version */
	alignas(VENOM_LINE) struct venom_inline_publisher steady;	/* of venom_daemon_publish() */
	alignas(VENOM_LINE) struct venom_ring ring;
	uint64_t version;
	struct venom_version *open;	/* between write_begin and write_commit */
	/* and its others */
	uint64_t opening;		/* the number that `open` is for */
	uint64_t no_latest;		/* instead of state->latest, where there is one buffer */
	uint64_t all_read;		/* lossless shells have all read so far */
	uint32_t walks;			/* odd while it walks a list of lanes or readers; manager reads */
	bool	 unfenced;		/* the last arm_publish had no membarrier */
	struct venom_spin publish_spin;
	struct venom_sleeper publisher;	/* with VENOM_LOSSLESS */

	/* server's */
	alignas(VENOM_LINE) struct venom_lane *found;	/* lane with a command ready, found by the wait */
	struct venom_turn *active;	/* lanes[] as of changes_seen: nhot of them polled each turn, the others now and then */
	uint32_t nactive, nhot;
	uint32_t turn, batch, probe, since_probe;
	uint32_t last;			/* id of the shell that sent the last command */
	uint32_t serving;		/* in a call; manager reads, barrier.h 7 */
	uint32_t changes_seen;		/* manager reads, too */
	bool	 asleep;		/* about to sleep: look at all lanes */
	bool	 burst;			/* the last command was waited for, and was one-way */
	bool	 armed;			/* by venom_daemon_arm() */
	struct venom_lane **served;	/* the same as active, by id */
	void	*cmd_buf;		/* the commands being looked at; venom_command.data */
	size_t	 cmd_stride;		/* from one to the next */
	uint32_t cmd_room;		/* how many there may be */
	struct venom_spin spin;
	int64_t	 looked;		/* when a call that does not wait last found nothing, with some lanes cold */
	struct venom_sleeper server;

	/* manager writes, server and publisher read: seldom written */
	alignas(VENOM_LINE) struct venom_lane **lanes;	/* by id */
	uint32_t changes;		/* of lanes[] */
	uint32_t heeded;		/* how many of readers; and one more where hot_fence is */
	uint32_t nholders;		/* of these, such as hold versions */
	struct venom_readers waiters;	/* memfd: shells that have asked to be woken for state */
	struct venom_readers readers;	/* that the publisher heeds */

	/* any thread */
	uint32_t stop;
	/* written before there are threads */
	bool	 hot_fence;		/* no membarrier(2) here */
	alignas(VENOM_LINE) const struct venom_backend *be;
	struct venom_state *state;
	struct venom_status *status;	/* dev: the kernel's, read-only */
	void *own;			/* the backend's */
	uint64_t epoch;
	uint32_t forks;			/* venom_forks() of the process that made it */
	struct venom_geometry geo;
	struct venom_config cfg;
	struct venom_map status_map, state_map;
	char name[VENOM_NAME_MAX + 1];

	/* manager's */
	alignas(VENOM_LINE) struct manager manager;
	uint32_t attached;		/* lanes that are there, of living shells; any thread reads */
};
#define VENOM_LINE_OF(type, field)	(offsetof(type, field) / VENOM_LINE)
/* A publish in line, by call: its struct, then one line of the handle's. */
_Static_assert(VENOM_LINE_OF(struct venom_daemon, version) == VENOM_LINE_OF(struct venom_daemon, open), "publisher's line");
_Static_assert(VENOM_LINE_OF(struct venom_daemon, publisher) < VENOM_LINE_OF(struct venom_daemon, found), "publisher, server");
/* A turn of the server's. */
_Static_assert(VENOM_LINE_OF(struct venom_daemon, found) == VENOM_LINE_OF(struct venom_daemon, armed), "server's line");
_Static_assert(VENOM_LINE_OF(struct venom_daemon, server) < VENOM_LINE_OF(struct venom_daemon, lanes), "server, manager");
/* What publisher and server read, and others write now and then. */
_Static_assert(VENOM_LINE_OF(struct venom_daemon, lanes) == VENOM_LINE_OF(struct venom_daemon, stop), "the manager's news");
_Static_assert(VENOM_LINE_OF(struct venom_daemon, stop) < VENOM_LINE_OF(struct venom_daemon, be), "news, and what never changes");
_Static_assert(VENOM_LINE_OF(struct venom_daemon, name) < VENOM_LINE_OF(struct venom_daemon, manager), "what never changes, manager");

/* lanes.c */
#define VENOM_BATCH	  32	/* commands in a row from one lane */
#define VENOM_COLD_AFTER  1024	/* polls in vain */
#define VENOM_COLD_PROBES 4	/* cold lanes looked at in one go */

void venom_lanes_sync(struct venom_daemon *d);
bool venom_lanes_next(struct venom_daemon *d);
bool venom_lanes_any(struct venom_daemon *d);
void venom_lanes_evict(struct venom_daemon *d, struct venom_lane *l, const char *why);
/* A full fence in each thread of this process; and of every process that registered. */
void venom_membarrier(void);
bool venom_membarrier_daemons(void);
bool venom_membarrier_register(void);

/* The publisher walks over lanes or readers: none of them is freed before it ends.  (model: wake-state) */
static inline void walk_begin(struct venom_daemon *d)
{
	/* A manager that sees it knows the walk before, too: pairs with the acquire in is_over. */
	store_release(&d->walks, d->walks + 1);
	if (d->hot_fence)
		fence_full();
	else
		compiler_barrier();	/* pairs with venom_membarrier in venom_fence_all */
}

static inline void walk_end(struct venom_daemon *d)
{
	store_release(&d->walks, d->walks + 1);	/* pairs with the acquire in is_over */
}

/* publish.c; its thread makes a call to wake sleepers: a shell that waits on this CPU need not spin. */
void venom_note_state_wake(struct venom_daemon *d);

/* readers.c; the manager's */
void venom_reader_init(struct venom_reader *rd, const struct venom_commands *cmd);
/* Its shell may have asked for roles: have the publisher heed it; tell the shell; both. */
void venom_readers_take(struct venom_daemon *d, struct venom_lane *l);
void venom_readers_answer(struct venom_lane *l);
void venom_readers_serve(struct venom_daemon *d, struct venom_lane *l);
void venom_readers_drop(struct venom_daemon *d, struct venom_lane *l);
/* The publisher may look at it as long as it walks. */
void venom_readers_add(struct venom_readers *rs, struct venom_reader *rd);
void venom_readers_remove(struct venom_readers *rs, const struct venom_reader *rd);

/* daemon.c; what the backends do for the server */
int venom_server_fd(struct venom_daemon *d);
int venom_server_sleep(struct venom_daemon *d, int64_t ns);
void venom_server_bell(struct venom_daemon *d);

/* The server begins a call: it uses no lane that has vanished before.  (model: manager) */
static inline void serve_enter(struct venom_daemon *d)
{
	store_relaxed(&d->serving, 1);
	if (d->hot_fence)
		fence_full();
	else
		compiler_barrier();	/* pairs with venom_membarrier in venom_fence_all */
	if (load_relaxed(&d->changes) != d->changes_seen)
		venom_lanes_sync(d);
}

/* It ends the call: what the manager frees from now on, it has done with.  (model: manager) */
static inline void serve_leave(struct venom_daemon *d)
{
	store_release(&d->serving, 0);	/* pairs with the acquire in is_over */
}

/* ---- the shell ------------------------------------------------------------- */

struct venom_request {
	uint64_t tag;		/* the seq of its command; 0: no open request has this answer slot */
	int	 lost;		/* the daemon that it went to has died, and another has come: the errno */
};

struct venom_shell {
	/* reads */
	alignas(VENOM_LINE) struct venom_inline_reader steady;	/* of venom_shell_read() */
	struct venom_ring ring;
	uint64_t seen;			/* newest version known */
	uint64_t small;			/* versions up to this size are copied in line */

	/* commands and answers */
	struct venom_slots out, in;
	struct venom_commands *cmd;
	const struct venom_responses *rsp;
	const struct venom_status *status;
	const struct venom_state *state;
	uint64_t pos;			/* commands sent */
	uint64_t cursor;		/* commands that the daemon had taken when we last looked */
	struct venom_request *open;	/* by slot */
	uint32_t nopen, nlost;
	uint64_t last_tag;		/* of request() */
	uint64_t epoch;
	uint32_t id, generation;
	uint32_t signalled;		/* daemon's sleeping word that we woke it for last */
	uint32_t idle;			/* calls that found nothing to do */
	uint32_t arm;			/* our sleeping word without its low bits */
	bool	 may_command;
	bool	 blocks;		/* the daemon takes blocks of commands */
	bool	 dead;			/* the daemon is */
	bool	 held;			/* request()'s answer did not fit, or its thread was cancelled: last_tag is open */
	bool	 armed;			/* by venom_shell_arm() */
	bool	 unfenced;		/* the last arm for room had no membarrier */
	bool	 unarmed;		/* the last arm for state found no daemon: another may be here by now */
	bool	 watching;		/* the publisher knows that we may sleep */
	bool	 watch_asked;		/* memfd: the manager has been asked */
	struct venom_spin spin;
	struct venom_geometry geo;	/* checked copy */

	/* the others */
	const struct venom_backend *be;
	uint32_t forks;			/* venom_forks() of the process that made it */
	uint32_t max_tries;
	size_t	 needed;
	struct venom_schema_block schema_block;	/* checked copies, once they were asked for */
	char	*schema_text;
	uint32_t wants;			/* VENOM_ROLE_* that connect asks for */
	uint32_t roles;			/* as granted */
	uint64_t cursor_at;		/* where our cursor stands */
	bool	 holding;
	uint32_t signalled_waiting;	/* publisher's waiting word that we woke it for last */
	int64_t	 next_check;
	struct venom_cred daemon;
	struct venom_map status_map, state_map, cmd_map, rsp_map;
	char name[VENOM_NAME_MAX + 1];

	int their_bell;			/* rung for us: an epoll; what hangs up when the daemon dies is in it, too */
	/* memfd */
	int sock, pidfd;
	int bell;			/* we ring: an eventfd */
	/* dev */
	int dev;
	int own_bell;			/* the module rings: an eventfd, in their_bell */
};
_Static_assert(sizeof(struct venom_inline_reader) == VENOM_LINE, "a steady read touches one line of the handle");
_Static_assert(offsetof(struct venom_shell, small) < 2 * VENOM_LINE, "another read, two");
_Static_assert(offsetof(struct venom_shell, out) % VENOM_LINE == 0, "a request, three");
_Static_assert(offsetof(struct venom_shell, dead) < 5 * VENOM_LINE, "a request, three");

/*
 * Death.  status->daemon tells of an ending daemon, and on the module of a dead one; status->owner of a killed one: the
 * kernel marks that word when the owner exits (see memfd_daemon.c).  The epoch tells that another has come in the
 * meantime, and our own word in shell[] that we were thrown out: its `life` does, or its generation, if the id is another
 * shell's by now.  All are read without a system call.  But a marked owner's other threads may still run for some
 * microseconds: only the backend's alive() says that it can write no more, so the news is confirmed there before
 * anybody acts on it.  Where owner is 0 nothing is told, and waits ask now and then.
 * model: takeover
 */
static inline bool death_told(const struct venom_shell *s)
{
	const struct venom_status *st = s->status;
	const struct venom_status_shell *own = &st->shell[s->id];

	return s->dead || load_acquire(&st->daemon) != VENOM_DAEMON_ALIVE ||
	       (load_relaxed(&st->owner) & VENOM_OWNER_DIED) || load_relaxed(&st->epoch) != s->epoch ||
	       !(load_acquire(&own->life) & VENOM_SHELL_ALIVE) || /* pairs with the release in conn_attach */
	       load_relaxed(&own->generation) != s->generation;
}

static inline bool death_will_be_told(const struct venom_shell *s)
{
	return load_relaxed(&s->status->owner) != 0;
}

bool venom_shell_gone(struct venom_shell *s);	/* confirmed; one system call at most */

/* For calls that found nothing to do and may be repeated for ever: false if the daemon has gone. */
static inline bool venom_shell_idle(struct venom_shell *s)
{
	if (!death_told(s)) {
		if (death_will_be_told(s) || ++s->idle % 256)
			return true;
		count_up(&s->cmd->counts.checks, 1);
	}
	return !venom_shell_gone(s);
}

/* ---- read.c ------------------------------------------------------------------ */

/* What a whole version's length says; 0 if it can be copied to `size` bytes. */
int venom_len_check(struct venom_shell *s, uint64_t len, size_t size);
/* The view of a claimed version, before it is checked. */
void venom_view_make(const struct venom_shell *s, const struct venom_claim *c, struct venom_view *view);

/* ---- roles.c ---------------------------------------------------------------- */

/* Ask for these roles, all at once, and wait for the answer; s->roles then has them.  Else an errno, explained. */
int venom_roles_ask(struct venom_shell *s, uint32_t roles);
/* The same for those that connect has asked for. */
int venom_roles_wait(struct venom_shell *s);
/* All versions up to this one are read: the publisher need not keep them. */
void venom_cursor_set(struct venom_shell *s, uint64_t version);

/* ---- backends ---------------------------------------------------------------- */

struct venom_backend {
	const char *name;
	bool resumes;	/* who has died may come back */
	int  (*check)(void);	/* 0 if it can be used here, else the errno */

	/* daemon; create has d->name, cfg and geo, and fills the maps */
	int  (*create)(struct venom_daemon *d);
	void (*destroy)(struct venom_daemon *d);
	int  (*daemon_fd)(struct venom_daemon *d);
	int  (*daemon_sleep)(struct venom_daemon *d, int64_t ns);	/* as epoll_sleep(); -1: for ever */
	void (*daemon_bell)(struct venom_daemon *d);			/* wake the own server; async-signal-safe */
	void (*wake_shell)(struct venom_daemon *d, struct venom_lane *l);
	void (*wake_state)(struct venom_daemon *d);
	/* manager's */
	void (*manage_begin)(struct venom_daemon *d);
	void (*manage)(struct venom_daemon *d, void *of, uint32_t events);	/* an event of what it watches in manager.own */
	void (*manage_end)(struct venom_daemon *d);
	int  (*watch_moves)(struct venom_daemon *d, struct venom_lane *l);	/* have its shell wake the publisher */
	void (*lane_evict)(struct venom_daemon *d, struct venom_lane *l);
	void (*lane_keep)(struct venom_daemon *d, struct venom_lane *l);	/* it is gone, with commands left; or NULL */
	void (*lane_free)(struct venom_daemon *d, struct venom_lane *l);	/* its id is free; or NULL */
	void (*lane_unmap)(struct venom_daemon *d, struct venom_lane *l);	/* and free all that it has */

	/* shell */
	int  (*connect)(struct venom_shell *s);
	void (*close)(struct venom_shell *s);
	int  (*shell_fd)(struct venom_shell *s);
	int  (*shell_sleep)(struct venom_shell *s, int64_t ns);
	void (*wake_daemon)(struct venom_shell *s);
	/* have the publisher look whether we sleep: 1, or 0 when the time is up */
	int  (*watch)(struct venom_shell *s, int64_t timeout_ns);
	/* about to sleep for state (false: there is no daemon to be woken by), or not after all; NULL where the sleeping
	 * word is all it takes */
	bool (*arm_state)(struct venom_shell *s);
	void (*disarm_state)(struct venom_shell *s);
	bool (*alive)(struct venom_shell *s);
	int  (*ask)(struct venom_shell *s);		/* have the manager look at cmd->wants */
	void (*wake_publisher)(struct venom_shell *s);	/* it may wait for a version that this shell has read */
	void (*meet)(struct venom_shell *s);	/* another daemon has come: who is it?  NULL where none does */

	/* lookers */
	bool (*lives)(const char *name);	/* a living daemon has the name; at once */
	int (*list)(int (*fn)(const struct venom_info *info, void *user), void *user, int *count);
	int (*stat)(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
		    int (*fn)(const struct venom_peer *peer, void *user), void *user);
};

extern const struct venom_backend venom_backend_dev, venom_backend_memfd;

/* ---- backend.c ------------------------------------------------------------- */

int venom_backend_pick(const struct venom_backend **be);
/*
 * -EBUSY if a living daemon has the name on a backend other than `but` that can be used here: a name is one channel.  Two
 * that are created at the same time, one on each backend, may both succeed.
 */
int venom_backend_taken(const char *name, const struct venom_backend *but);
int venom_backend_connect(struct venom_shell *s);

/* ---- bell.c ---------------------------------------------------------------- */

/*
 * Sleep until something in epfd happens: 1, or 2 if something other than a bell (whose data is NULL) is among it, or 0
 * when the time is up.  A signal counts as something.  A negative errno: it can't sleep there.  The only cancellation point
 * of the library: the caller has a cleanup handler that disarms.
 */
int epoll_sleep(int epfd, int64_t ns);
/* As epoll_wait(2), in ns, by whichever call there is for it; -1: for ever. */
int epoll_next(int epfd, struct epoll_event *ev, int n, int64_t ns);
int epoll_watch(int epfd, int fd, uint32_t events, void *data);
/* Its bell comes with `data`; what fails leaves nothing but what sleeper_close() closes. */
int sleeper_open(struct venom_sleeper *s, void *data);
void sleeper_close(struct venom_sleeper *s);
/* As epoll_sleep(), for one that only bells wake. */
int sleeper_sleep(const struct venom_sleeper *s, int64_t ns);
void ring(int bell);

/* ---- fd.c ------------------------------------------------------------------ */

/* Make a descriptor by this call: it is above 2, and no forked child will have it.  -1 as the call, with its errno. */
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
/* Changes with each fork, in the child: a handle of another value is its parent's. */
uint32_t venom_forks(void);

/* ---- thread.c -------------------------------------------------------------- */

/* A thread of ours leaves the user's signals to the user's threads, and keeps to no CPU and no real-time class of its maker. */
int venom_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg);

/*
 * In this scope the thread is not cancelled.  In all public calls that could be left half-done: a thread is cancelled
 * only while it sleeps in a wait, or spins there.
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

/* ---- config.c -------------------------------------------------------------- */

int venom_name_check(const char *name);
int venom_config_check(struct venom_config *out, const struct venom_config *cfg);
void venom_geometry_make(struct venom_geometry *geo, const struct venom_config *cfg, uint64_t page_size);
int venom_geometry_check(const struct venom_geometry *geo, uint64_t area_size);
void venom_head_make(struct venom_area_head *h, uint32_t kind, uint64_t size, uint64_t epoch, uint32_t id,
		     uint32_t generation);
int venom_head_check(const struct venom_area_head *h, uint32_t kind, uint64_t size);
/* Which side of the two has to be brought up to date. */
const char *venom_older(uint32_t abi);
/* Why the state's pages, whose sizes are in geo, can't be had: rc is returned. */
int venom_fail_state(int rc, const struct venom_config *cfg, const struct venom_geometry *geo);
/* What a new state area holds before all else. */
void venom_state_init(struct venom_daemon *d);

/* ---- node.c ------------------------------------------------------------------ */

struct venom_policy {
	bool changed;
	int mode;
	unsigned long nodes[1024 / sizeof(long) / 8];
};
/* This thread's memory from that node (-1: as it is), until restored; threads made meanwhile keep to it. */
int venom_node_prefer(struct venom_policy *old, int node);
void venom_node_restore(const struct venom_policy *old);

/* ---- look.c ------------------------------------------------------------------ */

void venom_stats_make(struct venom_daemon_stats *st, const struct venom_state *s, const struct venom_status *status,
		      uint64_t versions);
void venom_peer_make(struct venom_peer *p, uint32_t id, uint32_t generation, const struct venom_cred *cred);
void venom_peer_counts(struct venom_peer *p, const struct venom_commands *cmd, const struct venom_responses *rsp);
void venom_peer_numbers(struct venom_peer *p, const struct venom_shell_counts *counts, uint64_t received,
			uint64_t responses);
void venom_info_make(struct venom_info *info, const char *backend, const char *name, const struct venom_geometry *geo,
		     uint64_t epoch, const struct venom_cred *daemon, bool alive, const struct venom_schema_block *schema);

/* ---- memory.c ---------------------------------------------------------------- */

/* A zeroed handle, on a line of its own; for free(). */
void *venom_handle(size_t size);
/* As calloc(), but its pages are there already, no fault at their first use; NULL also where nobody would have them. */
void *venom_zeroes(const char *what, size_t n, size_t size);
/* 0, or -ENOMEM with the reason: a file of this size would be over the limit, and writing it end in SIGXFSZ. */
int venom_file_for(const char *what, uint64_t size);
/* The same for an area (WHAT: "state"), whose pages could also end in the OOM killer. */
int venom_memory_for(const char *what, uint64_t size, bool huge);

/* ---- log.c ----------------------------------------------------------------- */

/* Explain err (negative) to the caller's venom_errmsg(), and return it. */
int venom_fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for an errno that nobody has explained yet; returns err as it is. */
int venom_explain(int err, const char *what);
/* As strerror(), where the reason is this process's: what it can do. */
const char *venom_reason(int err);
/* How long the daemon's process may take to do its part: a thread there does nothing else.  -ETIMEDOUT, and why. */
#define VENOM_PATIENCE_NS 10000000000
int venom_silent(void);
/* For what no return value can tell. */
void venom_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void venom_errmsg_clear(void);

#endif /* VENOM_INTERNAL_H */

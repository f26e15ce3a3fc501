/* SPDX-License-Identifier: MIT */
/*
 * The handles: what one process knows of a channel.  struct venom_lane is the daemon's side of one shell.
 *
 * In the daemon's process there may be three threads: the publisher and the server, which are the user's, and the
 * manager.  If more than one of them touches a field below, its comment says so.
 */
#ifndef VENOM_HANDLES_H
#define VENOM_HANDLES_H

#include "internal.h"

/* ---- the daemon ------------------------------------------------------------ */

/* The daemon's side of one shell. */
struct venom_lane {
	/* server's, for each command */
	alignas(VENOM_LINE) struct venom_slots in;
	struct venom_slots out;
	const struct venom_commands *cmd;	/* the shell's page: do not trust its contents */
	struct venom_responses *rsp;
	uint64_t  pos;		/* of the next command or block */
	uint64_t *tags;		/* per answer slot: newest tag seen, and whether it has been answered */
	uint32_t  id, generation;
	uint32_t  signalled;	/* the shell's sleeping word when we last signalled the shell */
	uint32_t  idle;		/* polls since its last command */
	bool	  behind;	/* many commands are unread: prefetch the lines of the next ones */
	bool	  may_command;
	bool	  broken;	/* the shell broke the protocol: the server takes no more, the manager evicts it */
	/* server's, less often */
	struct venom_block block;	/* the block at pos, while `left` is not 0 */
	uint32_t  stale;	/* how many requests to an earlier daemon may still come; see daemon_take */
	uint64_t  waits;	/* VENOM_ORDER_ARRIVAL: the command that was seen waiting, pos + 1... */
	uint64_t  since;	/* ...and how many commands of all lanes had been taken when it was first seen */
	struct venom_cred cred;

	/* publisher's */
	alignas(VENOM_LINE) uint32_t signalled_state;
	struct venom_reader reader;	/* the manager writes some of it; see readers.h */

	/* manager's */
	alignas(VENOM_LINE) uint32_t roles_seen;	/* cmd->wants when it was last read */
	uint32_t gone;		/* server reads: no more commands will come */
	bool	 kept;		/* gone, with commands left: the server wakes the manager after the last one */
	bool	 evicted;
	struct venom_lane *next;	/* in manager.dead or manager.retired */
	uint32_t removal;	/* the value of daemon.changes when it left lanes[] */
	uint32_t walk;		/* daemon.walks after that */

	/* the backend's */
	struct venom_map cmd_map, rsp_map;
	/* memfd */
	int sock;		/* -1 after the shell's hang-up */
	int shell_bell;		/* we signal it; the shell can only wait for it */
	int daemon_bell;	/* the shell signals it; we only wait for it */
	bool watching;		/* the shell has asked to be woken for state */
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
 * The words of each thread have cache lines of their own, against false sharing: a word that one thread writes on each
 * call takes no line from another thread.
 */
struct venom_daemon {
	/* publisher's, for each version */
	alignas(VENOM_LINE) struct venom_inline_publisher steady;	/* of venom_daemon_publish() */
	alignas(VENOM_LINE) struct venom_ring ring;
	uint64_t version;
	struct venom_version *open;	/* between write_begin and write_commit */
	/* publisher's, less often */
	uint64_t opening;		/* the version number of `open` */
	uint64_t no_latest;		/* stands for state->latest if there is one buffer only */
	uint64_t all_read;		/* all lossless shells have read the versions up to this one */
	uint32_t walks;			/* odd while the publisher walks a list of lanes or readers; manager reads */
	bool	 unfenced;		/* the last arm_publish got no membarrier */
	struct venom_spin publish_spin;
	struct venom_sleeper publisher;	/* with VENOM_LOSSLESS */

	/* server's */
	alignas(VENOM_LINE) struct venom_lane *found;	/* lane with a command ready, found by the wait */
	struct venom_turn *active;	/* lanes[] as of changes_seen: nhot polled each turn, the others now and then */
	uint32_t nactive, nhot;
	uint32_t turn, batch, probe, since_probe;
	uint32_t last;			/* id of the shell that sent the last command */
	uint32_t serving;		/* the server is in a call; manager reads, barrier.h 7 */
	uint32_t changes_seen;		/* manager reads, too */
	bool	 asleep;		/* about to sleep: look at all lanes */
	bool	 burst;			/* the server had to wait for the last command, which was one-way */
	bool	 armed;			/* by venom_daemon_arm() */
	struct venom_lane **served;	/* the same as active, by id */
	void	*cmd_buf;		/* copies of the commands that the user has now; venom_command.data */
	size_t	 cmd_stride;		/* bytes from one copy to the next */
	uint32_t cmd_room;		/* how many copies fit */
	struct venom_spin spin;
	int64_t	 looked;		/* when a call with time-out 0 last found nothing while lanes were cold */
	struct venom_sleeper server;

	/* manager writes, server and publisher read: seldom written */
	alignas(VENOM_LINE) struct venom_lane **lanes;	/* by id */
	uint32_t changes;		/* of lanes[] */
	uint32_t heeded;		/* how many `readers` has; plus 1 with hot_fence */
	uint32_t nholders;		/* how many of them may hold versions */
	struct venom_readers waiters;	/* memfd: shells that have asked to be woken for state */
	struct venom_readers readers;	/* that the publisher heeds: it checks them before it reuses a buffer */

	/* any thread */
	uint32_t stop;
	/* written before any thread starts */
	bool	 hot_fence;		/* no membarrier(2) here: the hot path fences by itself */
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
	uint32_t attached;		/* lanes of living shells; any thread reads */
};
#define VENOM_LINE_OF(type, field)	(offsetof(type, field) / VENOM_LINE)
/* venom_daemon_publish() touches `steady`, then one cache line of the handle. */
_Static_assert(VENOM_LINE_OF(struct venom_daemon, version) == VENOM_LINE_OF(struct venom_daemon, open), "publisher's line");
_Static_assert(VENOM_LINE_OF(struct venom_daemon, publisher) < VENOM_LINE_OF(struct venom_daemon, found), "publisher, server");
/* One turn of the server touches one cache line of the handle. */
_Static_assert(VENOM_LINE_OF(struct venom_daemon, found) == VENOM_LINE_OF(struct venom_daemon, armed), "server's line");
_Static_assert(VENOM_LINE_OF(struct venom_daemon, server) < VENOM_LINE_OF(struct venom_daemon, lanes), "server, manager");
/* The publisher and the server read these words; other threads write them now and then. */
_Static_assert(VENOM_LINE_OF(struct venom_daemon, lanes) == VENOM_LINE_OF(struct venom_daemon, stop), "the manager's news");
_Static_assert(VENOM_LINE_OF(struct venom_daemon, stop) < VENOM_LINE_OF(struct venom_daemon, be), "news, and what never changes");
_Static_assert(VENOM_LINE_OF(struct venom_daemon, name) < VENOM_LINE_OF(struct venom_daemon, manager), "what never changes, manager");

/* ---- calls/lanes.c ---- */
#define VENOM_BATCH	  32	/* commands in a row from one lane */
#define VENOM_COLD_AFTER  1024	/* polls that found nothing */
#define VENOM_COLD_PROBES 4	/* cold lanes polled at one time */

void venom_lanes_sync(struct venom_daemon *d);
bool venom_lanes_next(struct venom_daemon *d);
bool venom_lanes_any(struct venom_daemon *d);
void venom_lanes_evict(struct venom_daemon *d, struct venom_lane *l, const char *why);
/* A full fence in each thread of this process; and of every process that registered. */
void venom_membarrier(void);
bool venom_membarrier_daemons(void);
bool venom_membarrier_register(void);

/* The publisher begins a walk over lanes or readers: none of them is freed before its end.  (model: wake-state) */
static inline void walk_begin(struct venom_daemon *d)
{
	/* A manager that sees this value sees the end of the walk before, too: pairs with the acquire in is_over. */
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

/* calls/publish.c: count the call that wakes sleepers, and note this CPU: a shell that waits on it need not spin. */
void venom_note_state_wake(struct venom_daemon *d);

/* ---- control/readers.c, the manager's ---- */
void venom_reader_init(struct venom_reader *rd, const struct venom_commands *cmd);
/* The lane's shell may have asked for roles: make the publisher heed them; answer the shell; both. */
void venom_readers_take(struct venom_daemon *d, struct venom_lane *l);
void venom_readers_answer(struct venom_lane *l);
void venom_readers_serve(struct venom_daemon *d, struct venom_lane *l);
void venom_readers_drop(struct venom_daemon *d, struct venom_lane *l);
/* The publisher may still use a removed reader until its walk ends. */
void venom_readers_add(struct venom_readers *rs, struct venom_reader *rd);
void venom_readers_remove(struct venom_readers *rs, const struct venom_reader *rd);

/* The server begins a call: it uses no lane that was removed before.  (model: manager) */
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

/* The server ends the call: it follows no lane pointer now, so the manager may free removed lanes.  (model: manager) */
static inline void serve_leave(struct venom_daemon *d)
{
	store_release(&d->serving, 0);	/* pairs with the acquire in is_over */
}

/* ---- the shell ------------------------------------------------------------- */

struct venom_request {
	uint64_t tag;		/* the seq of its command; 0: no open request has this answer slot */
	int	 lost;		/* the errno, if its daemon has died and another one has taken over */
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
	uint32_t signalled;		/* the daemon's sleeping word when we last signalled the daemon */
	uint32_t idle;			/* calls that found nothing to do */
	uint32_t arm;			/* our sleeping word without its low bits */
	bool	 may_command;
	bool	 blocks;		/* the daemon takes blocks of commands */
	bool	 dead;			/* the daemon is dead */
	bool	 held;			/* request()'s answer did not fit, or it was cancelled: last_tag is open */
	bool	 armed;			/* by venom_shell_arm() */
	bool	 unfenced;		/* the last arm for room got no membarrier */
	bool	 unarmed;		/* the last arm for state found no daemon: another may be here by now */
	bool	 watching;		/* the publisher knows that we may sleep */
	bool	 watch_asked;		/* memfd: the manager has been asked to note it, no answer yet */
	struct venom_spin spin;
	struct venom_geometry geo;	/* checked copy */

	/* less often used */
	const struct venom_backend *be;
	uint32_t forks;			/* venom_forks() of the process that made it */
	uint32_t max_tries;
	size_t	 needed;
	struct venom_schema_block schema_block;	/* checked copies, once they were asked for */
	char	*schema_text;
	uint32_t wants;			/* VENOM_ROLE_* that connect asks for */
	uint32_t roles;			/* as granted */
	uint64_t cursor_at;		/* our own copy of cmd->cursor */
	bool	 holding;
	uint32_t signalled_waiting;	/* the publisher's waiting word when we last signalled the publisher */
	int64_t	 next_check;
	struct venom_cred daemon;
	struct venom_map status_map, state_map, cmd_map, rsp_map;
	char name[VENOM_NAME_MAX + 1];

	int sleep_fd;			/* we sleep in it: an epoll of our bell, which sees the daemon die, too */
	/* memfd */
	int sock, pidfd;
	int daemon_bell;		/* we signal it */
	/* dev */
	int dev;
	int shell_bell;			/* the module signals it; in sleep_fd */
};
_Static_assert(sizeof(struct venom_inline_reader) == VENOM_LINE, "a steady read touches one line of the handle");
_Static_assert(offsetof(struct venom_shell, small) < 2 * VENOM_LINE, "another read, two");
_Static_assert(offsetof(struct venom_shell, out) % VENOM_LINE == 0, "a request, three");
_Static_assert(offsetof(struct venom_shell, dead) < 5 * VENOM_LINE, "a request, three");

/*
 * A shell sees a death in shared words, without a system call:
 *
 *	status->daemon		the daemon ends; on the module also: the daemon is dead
 *	status->owner		the daemon was killed: the kernel marks it when the owner exits (see memfd/daemon.c)
 *	status->epoch		another daemon has taken over in the meantime
 *	shell[id].life		we were evicted...
 *	shell[id].generation	...and another shell has our id by now
 *
 * Other threads of a marked owner may still run for some microseconds.  Only the backend's alive() says that the daemon
 * can write no more, so it confirms a death before anything is done about it.  If owner is 0, a kill is not marked, and
 * waits call alive() now and then.
 * model: takeover
 */
static inline bool death_seen(const struct venom_shell *s)
{
	const struct venom_status *st = s->status;
	const struct venom_status_shell *own = &st->shell[s->id];

	return s->dead || load_acquire(&st->daemon) != VENOM_DAEMON_ALIVE ||
	       (load_relaxed(&st->owner) & VENOM_OWNER_DIED) || load_relaxed(&st->epoch) != s->epoch ||
	       !(load_acquire(&own->life) & VENOM_SHELL_ALIVE) || /* pairs with the release in conn_attach */
	       load_relaxed(&own->generation) != s->generation;
}

static inline bool death_is_marked(const struct venom_shell *s)
{
	return load_relaxed(&s->status->owner) != 0;
}

bool venom_shell_gone(struct venom_shell *s);	/* confirmed; one system call at most */

/* For calls that found nothing to do and may be repeated for ever: false if the daemon is dead. */
static inline bool venom_shell_idle(struct venom_shell *s)
{
	if (!death_seen(s)) {
		if (death_is_marked(s) || ++s->idle % 256)
			return true;
		count_up(&s->cmd->counts.checks, 1);
	}
	return !venom_shell_gone(s);
}

#endif /* VENOM_HANDLES_H */

/* SPDX-License-Identifier: MIT */
/*
 * The daemon takes commands and answers requests.
 *
 *	receive		venom_lanes_next finds a lane, daemon_take copies its command and moves the lane's cursor
 *	respond		venom_slot_fill in the shell's answer slot, then wake_for_answer
 */
#include "internal.h"

#define TAG_ANSWERED (1ULL << 63) /* in venom_lane.tags: the answer to this tag was sent */

/* model: wake */
static void daemon_disarm(struct venom_daemon *d)
{
	store_relaxed(&d->state->sleeping, d->state->sleeping + 1);
	d->asleep = false;
}

/* model: wake */
static void daemon_arm(struct venom_daemon *d)
{
	d->asleep = true;
	venom_arm(&d->state->sleeping, d->state->sleeping + 1);
}

static bool daemon_ready(struct venom_daemon *d)
{
	if (load_relaxed(&d->changes) != d->changes_seen)
		venom_lanes_sync(d);
	if (d->asleep && !venom_lanes_any(d))
		return false;
	return venom_lanes_next(d);
}

static bool wait_ready(void *w)
{
	return daemon_ready(w);
}

/* The next command is likely to come from the same shell as the last one. */
static bool wait_one_cpu(void *w)
{
	static const uint32_t unknown;
	struct venom_daemon *d = w;
	const struct venom_lane *l = d->served[d->last];

	return on_one_cpu(&d->state->cpu, l ? &l->cmd->cpu : &unknown);
}

static int wait_beat(void *w, int64_t now)
{
	(void)now;
	return load_relaxed(&((struct venom_daemon *)w)->stop) ? -ECANCELED : 0;
}

static void wait_cancel_point(void *w)
{
	serve_leave(w);
	pthread_testcancel();
	serve_enter(w);
}

static void wait_arm(void *w)
{
	daemon_arm(w);
}

static void wait_disarm(void *w)
{
	daemon_disarm(w);
}

/* Sleep; if the thread is cancelled in there, disarm.  (A function of its own: the cleanup handler costs a setjmp.) */
static __attribute__((noinline)) int sleep_cancelled(struct venom_daemon *d, int64_t ns)
{
	int rc;

	pthread_cleanup_push(wait_disarm, d);
	rc = d->be->daemon_sleep(d, ns);
	pthread_cleanup_pop(0);
	return rc;
}

static int wait_sleep(void *w, int64_t ns)
{
	struct venom_daemon *d = w;
	int rc;

	count_up(&d->state->sleeps, 1);
	serve_leave(d);
	rc = sleep_cancelled(d, ns);
	serve_enter(d);
	return rc;
}

static const struct venom_wait_ops daemon_wait = {
	.ready = wait_ready,
	.one_cpu = wait_one_cpu,
	.beat = wait_beat,
	.cancel_point = wait_cancel_point,
	.arm = wait_arm,
	.disarm = wait_disarm,
	.sleep = wait_sleep,
};

/* Wake l's shell if it sleeps for an answer. (model: wake) */
static inline void wake_for_answer(struct venom_daemon *d, struct venom_lane *l)
{
	if (venom_must_wake(&l->cmd->sleeping, VENOM_ASLEEP_ANSWER, &l->signalled))
		d->be->wake_shell(d, l);
}

/* Release the slots of the lane's next command, or of a whole block, to the shell. (model: lane, wake, manager) */
static inline void lane_advance(struct venom_daemon *d, struct venom_lane *l, uint32_t slots)
{
	l->pos += slots;
	venom_lane_advance(&l->rsp->cursor, l->pos);
	if (d->hot_fence)
		fence_full();
	else
		/* pairs with venom_membarrier_daemons in shell_arm: cursor before sleeping word; and with venom_membarrier
		 * in venom_fence_all: cursor before gone */
		compiler_barrier();
	if (venom_asleep(&l->cmd->sleeping, VENOM_ASLEEP_ROOM, &l->signalled))
		d->be->wake_shell(d, l);
	/* That was the last command of a dead shell: the manager can free the lane. */
	if (load_relaxed(&l->gone) && !venom_slot_ready(&l->in, l->pos, l->pos + 1))
		venom_manager_wake(d);
}

/*
 * The lane's next command is a request to an earlier daemon, and fails at its shell.  The shell may not know yet, and
 * must not take the moved cursor for "taken": so answer first, then move the cursor.  (model: takeover)
 */
static void lane_pass(struct venom_daemon *d, struct venom_lane *l, uint32_t at, uint64_t tag)
{
	venom_slot_fill(&l->out, venom_slots_at(&l->out, at), tag, "", 0, VENOM_SLOT_PASSED, 0);
	wake_for_answer(d, l);
	lane_advance(d, l, 1);
	count_up(&d->state->stale, 1);
}

/* Begin a block: check it, and skip the commands that an earlier daemon has taken. (model: lane) */
static bool block_begin(struct venom_daemon *d, struct venom_lane *l, uint32_t len, uint32_t n)
{
	uint64_t slots = venom_block_slots(&l->in, len, n), taken = load_relaxed(&l->rsp->taken);

	if (!n || !len || slots > l->in.mask + 1 - (l->pos & l->in.mask) || l->in.head > sizeof(struct venom_slot)) {
		venom_lanes_evict(d, l, "a block of commands is invalid");
		return false;
	}
	l->block = (struct venom_block){.pos = l->pos, .len = len, .count = n, .left = n, .slots = slots};
	taken = VENOM_TAKEN_OF(taken, l->pos);
	if (taken >= n)
		taken = n - 1;
	venom_block_skip(&l->in, &l->block, taken * venom_block_step(len));
	l->block.left -= taken;
	return true;
}

/* model: lane */
static void block_take(struct venom_daemon *d, struct venom_lane *l, struct venom_command *cmd, void *buf)
{
	struct venom_block *b = &l->block;

	*cmd = (struct venom_command){
		.data = buf,
		.len = b->len,
		.client_id = l->id,
		.generation = l->generation,
		.pid = l->cred.pid,
		.uid = l->cred.uid,
		.gid = l->cred.gid,
	};
	venom_block_get(&l->in, b, buf);
	if (b->left)
		store_relaxed(&l->rsp->taken, VENOM_TAKEN(l->pos, b->count - b->left));
	else
		lane_advance(d, l, b->slots);
	count_up(&d->state->commands, 1);
}

/*
 * The lane's next command is there: copy it to buf, then release the slot.  False if it is invalid, or was passed over.
 * model: lane, takeover
 */
static inline bool daemon_take(struct venom_daemon *d, struct venom_lane *l, struct venom_command *cmd, void *buf)
{
	struct venom_slot *slot = venom_slots_at(&l->in, l->pos);
	uint32_t len = load_relaxed(&slot->len), word = load_relaxed(&slot->word);
	uint32_t at = VENOM_SLOT_AT(word) & l->out.mask;
	bool request = word & VENOM_SLOT_REQUEST;
	uint64_t tag = l->pos + 1;

	if (len > l->in.size) {
		venom_lanes_evict(d, l, "a command is longer than cmd_size");
		return false;
	}
	if (!l->may_command) {
		venom_lanes_evict(d, l, "a command from a shell that may only read");
		return false;
	}
	if (!request && word & VENOM_SLOT_BLOCK) {
		d->last = l->id;
		if (!block_begin(d, l, len, VENOM_SLOT_COUNT(word)))
			return false;
		block_take(d, l, cmd, buf);
		return true;
	}
	if (request && (word ^ VENOM_SLOT_EPOCH(d->epoch)) & VENOM_SLOT_EPOCH(~0U)) {
		/* Limit their number: else a hostile shell could keep us here for ever. */
		if (l->stale) {
			l->stale--;
			lane_pass(d, l, at, tag);
		} else {
			venom_lanes_evict(d, l, "a request to a daemon that it never met");
		}
		return false;
	}
	*cmd = (struct venom_command){
		.data = buf,
		.len = len,
		.client_id = l->id,
		.generation = l->generation,
		.flags = request ? VENOM_CMD_REQUEST : 0,
		.slot = at,
		.pid = l->cred.pid,
		.uid = l->cred.uid,
		.gid = l->cred.gid,
		.time_ns = l->in.head > sizeof(*slot) ? load_relaxed(&slot->time_ns[0]) : 0,
	};
	d->last = l->id;
	venom_slot_next(&l->in, l->pos, &l->behind);
	copy_from_shared(buf, venom_slot_data(&l->in, slot), len);
	if (request) {
		d->burst = false; /* its shell waits for us */
		cmd->tag = tag;
		l->tags[at] = tag;
	}
	lane_advance(d, l, 1);
	count_up(&d->state->commands, 1);
	return true;
}

/* Take the next command: the rest of a block comes first. */
static inline bool take_next(struct venom_daemon *d, struct venom_lane *l, struct venom_command *cmd, void *buf)
{
	if (!l->block.left)
		return daemon_take(d, l, cmd, buf);
	block_take(d, l, cmd, buf);
	return true;
}

/* Undo venom_daemon_arm(): disarm, and clear the descriptor, so that the user's next poll of it sleeps. */
/* model: wake */
static void user_disarm(struct venom_daemon *d)
{
	if (!d->armed)
		return;
	d->armed = false;
	daemon_disarm(d);
	d->be->daemon_sleep(d, 0);
}

/*
 * After a one-way command that the server had to wait for, more are likely to follow.  A poll at once would steal the
 * next command's cache line from the shell that writes it, so pause first: between far CPUs this doubles the
 * throughput, and delays the second of two commands by 0.2 us (tools/bench/NOTES.md).
 */
#define BURST_PAUSES 16

/*
 * Nothing was found, and the caller does not wait.  A caller that polls without a pause has looked at a few cold lanes,
 * and gets to the others soon.  For a caller that polls now and then, look at all lanes: it must find what is there.
 */
#define SELDOM_NS 10000 /* a pause between two calls that leaves time to look at all lanes */

static bool look_at_cold(struct venom_daemon *d)
{
	int64_t now = now_ns(), pause = now - d->looked;

	d->looked = now;
	return pause > SELDOM_NS && venom_lanes_any(d) && venom_lanes_next(d);
}

static inline int await(struct venom_daemon *d, int64_t timeout_ns)
{
	int rc;

	if (load_relaxed(&d->stop))
		return -ECANCELED;
	for (int i = 0; d->burst && timeout_ns && i < BURST_PAUSES; i++)
		cpu_relax();
	d->burst = !daemon_ready(d);
	if (!d->burst)
		return 1;
	rc = venom_wait_for(&daemon_wait, d, &d->spin, timeout_ns);
	return rc || timeout_ns || d->nactive == d->nhot ? rc : look_at_cold(d);
}

VENOM_API int venom_daemon_receive(struct venom_daemon *d, struct venom_command *cmd, int64_t timeout_ns)
{
	int rc;

	serve_enter(d);
	user_disarm(d);
	do {
		rc = await(d, timeout_ns);
	} while (rc == 1 && !take_next(d, d->found, cmd, d->cmd_buf));
	serve_leave(d);
	return rc;
}

VENOM_API int venom_daemon_receive_many(struct venom_daemon *d, struct venom_command *cmds, unsigned int n,
					int64_t timeout_ns)
{
	char *buf = d->cmd_buf;
	unsigned int got = 0;
	int rc;

	if (!n)
		return -EINVAL;
	if (n > d->cmd_room)
		n = d->cmd_room;
	serve_enter(d);
	user_disarm(d);
	do {
		rc = await(d, timeout_ns);
		if (rc != 1)
			break;
		do {
			if (take_next(d, d->found, &cmds[got], buf + got * d->cmd_stride))
				got++;
		} while (got < n && venom_lanes_next(d));
	} while (!got);
	serve_leave(d);
	return got ? (int)got : rc;
}

/* model: wake */
VENOM_API int venom_daemon_respond(struct venom_daemon *d, const struct venom_command *cmd, const void *data,
				   size_t len)
{
	struct venom_lane *l;
	uint64_t *seen;
	int rc = 0;

	if (!(cmd->flags & VENOM_CMD_REQUEST) || !cmd->tag || cmd->client_id >= d->geo.max_clients ||
	    cmd->slot >= VENOM_SLOTS_MAX)
		return -EINVAL;
	if (len > d->geo.resp_size)
		return -EMSGSIZE;
	serve_enter(d);
	l = d->served[cmd->client_id];
	if (!l || l->generation != cmd->generation ||
	    !(load_acquire(&d->status->shell[l->id].life) & VENOM_SHELL_ALIVE)) { /* pairs with the release in conn_attach */
		rc = -EPIPE;
		goto stale;
	}
	seen = &l->tags[cmd->slot & l->out.mask];
	if (*seen != cmd->tag) {
		rc = -EINVAL;
		if (*seen == (cmd->tag | TAG_ANSWERED))
			rc = -EALREADY;
		else if ((*seen & ~TAG_ANSWERED) > cmd->tag)
			rc = -ESTALE;
		goto stale;
	}
	*seen |= TAG_ANSWERED;
	venom_slot_fill(&l->out, venom_slots_at(&l->out, cmd->slot), cmd->tag, data, len, 0, 0);
	count_up(&l->rsp->responses, 1);
	count_up(&d->state->responses, 1);
	wake_for_answer(d, l);
	goto out;

stale:
	if (rc == -EPIPE || rc == -ESTALE)
		count_up(&d->state->stale, 1);
out:
	serve_leave(d);
	return rc;
}

VENOM_API int venom_daemon_run(struct venom_daemon *d, venom_handler fn, void *user)
{
	struct venom_command cmd;
	int rc;

	do {
		rc = venom_daemon_receive(d, &cmd, -1);
		if (rc == 1)
			rc = fn(d, &cmd, user);
	} while (!rc);
	return rc == -ECANCELED ? 0 : rc;
}

VENOM_API int venom_daemon_stop(struct venom_daemon *d)
{
	int saved = errno; /* we may be in a signal handler */

	store_release(&d->stop, 1);
	bell_signal(d->server.bell);
	if (d->publisher.bell >= 0)
		bell_signal(d->publisher.bell);
	errno = saved;
	return 0;
}

int venom_server_sleep(struct venom_daemon *d, int64_t ns)
{
	return sleeper_sleep(&d->server, ns);
}

VENOM_API int venom_daemon_fd(struct venom_daemon *d)
{
	return d->server.epfd;
}

/* model: wake */
VENOM_API int venom_daemon_arm(struct venom_daemon *d)
{
	int rc = 1;

	serve_enter(d);
	user_disarm(d);
	daemon_arm(d);
	d->armed = true;
	if (daemon_ready(d) || load_relaxed(&d->stop))
		user_disarm(d);
	else
		rc = 0;
	serve_leave(d);
	return rc;
}

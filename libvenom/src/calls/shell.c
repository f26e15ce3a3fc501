/* SPDX-License-Identifier: MIT */
/*
 * The shell's calls on commands, and its waits.  Reading state is in read.c.
 *
 *	send = room, venom_slot_fill in our lane, wake_daemon (once for send_many)
 *	submit = the same with a tag, whose answer slot is free
 *	complete = wait until our answer slot has the tag, copy out
 *	request = submit, complete; give up at time-out
 */
#include <limits.h>
#include "internal.h"

#define ARM_NS	    100000000 /* how long venom_shell_arm() waits for the manager, the first time only */
#define BLOCK_MAX   32 /* commands in a block: more are no faster */
#define UNFENCED_NS 1000000 /* without membarrier(2): a sleeper on a full lane looks again at this interval */
#define CHECK_NS    2000000 /* if a kill is not marked: a spinning shell asks the kernel at this interval */

/* Note what this daemon understands; the next one may be of another version. */
static void know_daemon(struct venom_shell *s)
{
	/* With VENOM_ORDER_ARRIVAL each command needs a time stamp of its own, which a block does not have. */
	s->blocks = load_relaxed(&s->state->head.features) & VENOM_FEATURE_BLOCKS && !(s->geo.flags & VENOM_ORDER_ARRIVAL);
}

/* ---- life ------------------------------------------------------------------- */

VENOM_API int venom_shell_connect(struct venom_shell **out, const char *name)
{
	return venom_shell_connect_with(out, name, NULL);
}

static int connect_check(const struct venom_connect *how)
{
	if (how->size != sizeof(*how))
		return venom_fail(-EINVAL, "size is %u, not sizeof(struct venom_connect): start from VENOM_CONNECT_INIT",
				  how->size);
	if (how->flags & ~VENOM_CONNECT_LOSSLESS)
		return venom_fail(-EINVAL, "flags has unknown bits: 0x%x", how->flags);
	return 0;
}

VENOM_API int venom_shell_connect_with(struct venom_shell **out, const char *name, const struct venom_connect *how)
{
	struct venom_shell *s;
	NO_CANCEL;
	int rc;

	venom_errmsg_clear();
	rc = venom_name_check(name);
	if (!rc && how)
		rc = connect_check(how);
	if (rc)
		return rc;
	s = venom_handle(sizeof(*s));
	if (!s)
		return venom_fail(-ENOMEM, "out of memory");
	s->forks = venom_forks();
	venom_inline_reader_init(&s->steady);
	memcpy(s->name, name, strlen(name));
	venom_spin_set(&s->spin, VENOM_SPIN_ADAPTIVE);
	if (how && how->flags & VENOM_CONNECT_LOSSLESS) {
		s->wants = VENOM_ROLE_LOSSLESS;
		venom_membarrier_register(); /* for the publisher's, in arm_publish */
	}
	rc = venom_backend_connect(s);
	if (rc)
		goto free_shell;

	venom_ring_init(&s->ring, (struct venom_state *)s->state, &s->geo);
	s->small = s->ring.data_size < VENOM_COPY_INLINE ? s->ring.data_size : VENOM_COPY_INLINE;
	venom_slots_init(&s->out, s->cmd, s->geo.cmd_slots, venom_command_head(s->geo.flags), s->geo.cmd_size);
	venom_slots_init(&s->in, (void *)s->rsp, s->geo.cmd_slots, sizeof(struct venom_slot), s->geo.resp_size);
	know_daemon(s);
	/* A read gives up after some MiB of torn copies, whatever the size, but tries at least 8 times. */
	s->max_tries = 8 + (1U << 20) / (1 + s->geo.data_size / 64);
	s->open = venom_zeroes("table of requests", s->in.mask + 1UL, sizeof(*s->open));
	if (!s->open) {
		rc = -ENOMEM;
		goto close;
	}
	rc = how ? venom_shell_expect(s, how->schema) : 0;
	/* On the module a shell may be attached before its daemon knows: wait, so that what it sends is received. */
	if (!rc)
		rc = venom_roles_wait(s);
	if (rc == -EPIPE)
		rc = venom_fail(-ENOENT, "no living daemon has the name");
	if (rc)
		goto close;
	*out = s;
	return 0;

close:
	s->be->close(s);
	free(s->open);
free_shell:
	free(s);
	return venom_explain(rc, "it can't connect");
}

VENOM_API void venom_shell_close(struct venom_shell *s)
{
	NO_CANCEL;

	if (!s)
		return;
	if (s->forks == venom_forks()) /* else it is our parent's, and not mapped here */
		s->be->close(s);
	free(s->schema_text);
	free(s->open);
	free(s);
}

VENOM_API uint32_t venom_shell_id(const struct venom_shell *s)
{
	return s->id;
}

/* ---- sending ---------------------------------------------------------------- */

/* How many commands the lane has room for by the cursor that we know. (model: lane) */
static uint32_t room_known(const struct venom_shell *s)
{
	return venom_lane_left(s->pos, s->cursor, s->geo.cmd_slots);
}

/* The same by the daemon's cursor now. (model: lane) */
static uint32_t room_now(struct venom_shell *s)
{
	s->cursor = venom_lane_taken(&s->rsp->cursor);
	return room_known(s);
}

/*
 * A shell that fills each slot of a full lane as soon as it is free steals the cache lines of the cursor and of the
 * next commands from the daemon, which then takes a third fewer.  So while the daemon takes some, let it get ahead.
 * (tools/bench/NOTES.md has the figures.)
 */
#define ROOM_ENOUGH 64 /* or a quarter of the lane */
#define ROOM_LOOKS  8 /* at the cursor, at most */
#define ROOM_PAUSES 16 /* between two looks */

/* How many commands the lane has room for; looks at the daemon's cursor only if it seems full. (model: lane) */
static uint32_t lane_room(struct venom_shell *s)
{
	uint32_t room = room_known(s), before = 0;

	if (room)
		return room;
	room = room_now(s);
	for (int i = 0; room > before && room < ROOM_ENOUGH && room < s->geo.cmd_slots / 4 && i < ROOM_LOOKS; i++) {
		before = room;
		for (int k = 0; k < ROOM_PAUSES; k++)
			cpu_relax();
		room = room_now(s);
	}
	return room;
}

/* model: wake */
static inline void wake_daemon(struct venom_shell *s)
{
	if (venom_must_wake(&s->state->sleeping, 1, &s->signalled)) {
		count_up(&s->cmd->counts.wakes, 1);
		s->be->wake_daemon(s);
	}
}

static inline uint32_t slot_of(const struct venom_shell *s, const struct venom_request *r)
{
	return r - s->open;
}

static bool answered(struct venom_shell *s, const struct venom_request *r)
{
	return venom_slot_ready(&s->in, slot_of(s, r), r->tag);
}

/*
 * Another daemon has taken over: requests that the last one has not answered have failed.  Those that the new daemon
 * has already passed over have an answer that says so.  (model: takeover)
 */
static void resumed(struct venom_shell *s, uint64_t epoch)
{
	uint64_t taken = venom_lane_taken(&s->rsp->cursor);

	for (uint32_t i = 0; i <= s->in.mask; i++) {
		struct venom_request *r = &s->open[i];

		if (!r->tag || r->lost || answered(s, r))
			continue;
		r->lost = taken >= r->tag ? -ECONNRESET : -EPIPE;
		s->nlost++;
	}
	s->epoch = epoch;
	know_daemon(s);
	s->be->meet(s);
}

/* From now on reads give the last version, the same in every shell, and no wait reports a newer one. (model: ring) */
static void has_died(struct venom_shell *s)
{
	uint64_t v = venom_ring_last(&s->ring);

	s->dead = true;
	if (v > s->seen)
		s->seen = v;
}

/* model: takeover */
bool venom_shell_gone(struct venom_shell *s)
{
	uint64_t epoch;

	if (s->dead && !s->be->resumes)
		return true;
	s->dead = load_acquire(&s->status->daemon) != VENOM_DAEMON_ALIVE || !s->be->alive(s);
	if (!s->dead && s->be->resumes) {
		epoch = load_acquire(&s->status->epoch); /* pairs with the release in daemon_comes_locked */
		if (epoch != s->epoch) {
			/* The first look may have seen the last daemon alive: look again, now for the new one. */
			s->dead = !s->be->alive(s);
			if (!s->dead)
				resumed(s, epoch);
		}
	}
	if (s->dead)
		has_died(s);
	return s->dead;
}

/* Whether a command of this size may be sent at all. */
static int sendable(struct venom_shell *s, size_t len)
{
	if (!s->may_command)
		return -EACCES;
	if (len > s->geo.cmd_size) {
		s->needed = len;
		return -EMSGSIZE;
	}
	return death_told(s) && venom_shell_gone(s) ? -EPIPE : 0;
}

/* Write a command whose size and room have been checked; wake_daemon() must follow. (model: lane) */
static inline void put(struct venom_shell *s, const void *data, size_t len, uint32_t word)
{
	venom_slot_fill(&s->out, venom_slots_at(&s->out, s->pos), s->pos + 1, data, len, word,
			s->geo.flags & VENOM_ORDER_ARRIVAL ? now_ns() : 0);
	venom_slot_soon(&s->out, s->pos, s->cursor);
	s->pos++;
	count_up(&s->cmd->counts.commands, 1);
}

static int full(struct venom_shell *s)
{
	count_up(&s->cmd->counts.full, 1);
	return venom_shell_idle(s) ? -EAGAIN : -EPIPE;
}

static int push(struct venom_shell *s, const void *data, size_t len, uint32_t word)
{
	int rc = sendable(s, len);

	if (rc)
		return rc;
	if (!lane_room(s))
		return full(s);
	put(s, data, len, word);
	wake_daemon(s);
	return 0;
}

VENOM_API int venom_shell_send(struct venom_shell *s, const void *cmd, size_t len)
{
	return push(s, cmd, len, 0);
}

/* Write commands of one length as a block; returns how many, 0 if they must go one by one.  (model: lane) */
static unsigned int put_block(struct venom_shell *s, const struct iovec *cmds, unsigned int n, uint32_t room)
{
	struct venom_slot *slot = venom_slots_at(&s->out, s->pos);
	struct venom_block b = {.pos = s->pos, .len = cmds[0].iov_len};
	unsigned int same = 1;

	if (!s->blocks)
		return 0;
	while (same < n && same < BLOCK_MAX && cmds[same].iov_len == cmds[0].iov_len)
		same++;
	same = venom_block_fits(&s->out, s->pos, b.len, same, room);
	if (same < 2)
		return 0;
	/* The reader polls the first slot's line, which holds the first message: write that one last. */
	venom_block_skip(&s->out, &b, venom_block_step(b.len));
	for (unsigned int i = 1; i < same; i++)
		venom_block_put(&s->out, &b, cmds[i].iov_base);
	b = (struct venom_block){.pos = s->pos, .len = b.len};
	venom_block_put(&s->out, &b, cmds[0].iov_base);
	venom_block_show(slot, s->pos + 1, b.len, same);
	s->pos += venom_block_slots(&s->out, b.len, same);
	count_up(&s->cmd->counts.commands, same);
	return same;
}

VENOM_API int venom_shell_send_many(struct venom_shell *s, const struct iovec *cmds, unsigned int n)
{
	unsigned int sent = 0;
	int rc = 0;

	while (sent < n && sent < INT_MAX) {
		uint32_t room = 0;
		unsigned int block;

		rc = sendable(s, cmds[sent].iov_len);
		if (!rc) {
			room = lane_room(s);
			rc = room ? 0 : full(s);
		}
		if (rc)
			break;
		block = put_block(s, &cmds[sent], n - sent, room);
		sent += block;
		if (!block) {
			put(s, cmds[sent].iov_base, cmds[sent].iov_len, 0);
			sent++;
		}
	}
	if (!sent)
		return rc;
	wake_daemon(s);
	return sent;
}

/* Find an answer slot that no open request has; the search starts at the slot of the next command's tag. */
static struct venom_request *free_request(struct venom_shell *s)
{
	uint64_t at = s->pos + 1;

	if (s->nopen >= s->geo.cmd_slots)
		return NULL;
	while (s->open[at & s->in.mask].tag)
		at++;
	return &s->open[at & s->in.mask];
}

static struct venom_request *find_open(struct venom_shell *s, uint64_t tag)
{
	for (uint64_t at = tag; tag && at - tag <= s->in.mask; at++)
		if (s->open[at & s->in.mask].tag == tag)
			return &s->open[at & s->in.mask];
	return NULL;
}

static void end_request(struct venom_shell *s, struct venom_request *r)
{
	s->nlost -= !!r->lost;
	r->tag = 0;
	r->lost = 0;
	s->nopen--;
}

VENOM_API int venom_shell_submit(struct venom_shell *s, const void *cmd, size_t len, uint64_t *tag)
{
	struct venom_request *r = free_request(s);
	int rc;

	if (!r)
		return full(s);
	rc = push(s, cmd, len, VENOM_SLOT_REQUEST | VENOM_SLOT_EPOCH(s->epoch) | slot_of(s, r));
	if (rc)
		return rc;
	*r = (struct venom_request){.tag = s->pos};
	s->nopen++;
	*tag = r->tag;
	return 0;
}

VENOM_API int venom_shell_cancel(struct venom_shell *s, uint64_t tag)
{
	struct venom_request *r = find_open(s, tag);

	if (!r)
		return -EINVAL;
	end_request(s, r);
	return 0;
}

/* ---- waiting ---------------------------------------------------------------- */

/* What a wait is for: bits of VENOM_WAIT_*. */
struct shell_wait {
	struct venom_shell *s;
	uint32_t what;
	uint64_t version; /* STATE: one newer than this */
	struct venom_request *one; /* ANSWER: to this request, or if NULL to any */
	struct venom_request *found;
};

static bool any_answered(struct shell_wait *w)
{
	struct venom_shell *s = w->s;

	for (uint32_t i = 0, left = s->nopen; left; i++) {
		if (!s->open[i].tag)
			continue;
		left--;
		if (answered(s, &s->open[i])) {
			w->found = &s->open[i];
			return true;
		}
	}
	return false;
}

static inline bool shell_ready(struct shell_wait *w)
{
	struct venom_shell *s = w->s;

	if (w->what & VENOM_WAIT_STATE) {
		uint64_t v = venom_ring_await(&s->ring, w->version);

		/* A read after this must not give an older version, though `latest` may still name one. */
		if (v > s->seen)
			s->seen = v;
		if (v)
			return true;
	}
	if (w->what & VENOM_WAIT_ANSWER) {
		if (w->one ? answered(s, w->one) : any_answered(w))
			return true;
	}
	return (w->what & VENOM_WAIT_ROOM) && lane_room(s);
}

static bool wait_ready(void *w)
{
	return shell_ready(w);
}

static bool wait_one_cpu(void *p)
{
	struct shell_wait *w = p;
	const struct venom_state *st = w->s->state;

	return on_one_cpu(&w->s->cmd->cpu, w->what & VENOM_WAIT_STATE ? &st->publish_cpu : &st->cpu);
}

static int wait_beat(void *p, int64_t now)
{
	struct shell_wait *w = p;
	struct venom_shell *s = w->s;

	if (death_told(s)) {
		if (venom_shell_gone(s))
			return -EPIPE;
		/* A wait for an answer ends: its caller finds out whether its own request is lost. */
		return (w->what & VENOM_WAIT_ANSWER) && s->nlost ? -ECONNRESET : 0;
	}
	if (!death_will_be_told(s) && now > s->next_check) { /* a sleep sees a death without this */
		s->next_check = now + CHECK_NS;
		count_up(&s->cmd->counts.checks, 1);
		return venom_shell_gone(s) ? -EPIPE : 0;
	}
	return 0;
}

/* model: wake, wake-state, wake-module */
static void shell_arm(struct venom_shell *s, uint32_t what)
{
	uint32_t bits = (what & VENOM_WAIT_STATE ? VENOM_ASLEEP_STATE : 0) |
			(what & VENOM_WAIT_ANSWER ? VENOM_ASLEEP_ANSWER : 0) |
			(what & VENOM_WAIT_ROOM ? VENOM_ASLEEP_ROOM : 0);

	s->arm += VENOM_ASLEEP_STEP;
	venom_arm(&s->cmd->sleeping, s->arm | bits);
	s->unarmed = (what & VENOM_WAIT_STATE) && s->be->arm_state && !s->be->arm_state(s);
	/* The daemon takes commands without a fence: a wait for room, which is rare, pays for both sides. */
	if (what & VENOM_WAIT_ROOM)
		s->unfenced = !venom_membarrier_daemons();
}

/* model: wake, wake-state, wake-module */
static void shell_disarm(struct venom_shell *s)
{
	store_relaxed(&s->cmd->sleeping, s->arm);
	if (s->be->disarm_state)
		s->be->disarm_state(s);
}

static void wait_cancel_point(void *p)
{
	(void)p;
	pthread_testcancel();
}

static void wait_arm(void *p)
{
	struct shell_wait *w = p;

	shell_arm(w->s, w->what);
}

static void wait_disarm(void *p)
{
	shell_disarm(((struct shell_wait *)p)->s);
}

/* Sleep; if the thread is cancelled in there, disarm.  (A function of its own: the cleanup handler costs a setjmp.) */
static __attribute__((noinline)) int sleep_cancelled(struct shell_wait *w, int64_t ns)
{
	int rc;

	pthread_cleanup_push(wait_disarm, w);
	rc = w->s->be->shell_sleep(w->s, ns);
	pthread_cleanup_pop(0);
	return rc;
}

static int wait_sleep(void *p, int64_t ns)
{
	struct shell_wait *w = p;
	struct venom_shell *s = w->s;
	int rc;

	if (s->unarmed)
		return 1; /* the next beat sees the daemon's death; or another one is here, which would not wake us */
	count_up(&s->cmd->counts.sleeps, 1);
	if ((w->what & VENOM_WAIT_ROOM) && s->unfenced && (ns < 0 || ns > UNFENCED_NS))
		ns = UNFENCED_NS;
	rc = sleep_cancelled(w, ns);
	if (rc == -EPIPE)
		has_died(s);
	return rc;
}

static const struct venom_wait_ops shell_wait_ops = {
	.ready = wait_ready,
	.one_cpu = wait_one_cpu,
	.beat = wait_beat,
	.cancel_point = wait_cancel_point,
	.arm = wait_arm,
	.disarm = wait_disarm,
	.sleep = wait_sleep,
};

/* Make the publisher check our sleeping word; only the first time costs anything.  1, or 0 at time-out. */
static int watch_state(struct venom_shell *s, int64_t timeout_ns)
{
	NO_CANCEL;
	int rc = s->watching ? 1 : s->be->watch(s, timeout_ns);

	if (rc == 1)
		s->watching = true;
	else if (rc == -EPIPE) /* make it known to all calls, also if the kernel marks no owner's death */
		venom_shell_gone(s);
	return rc;
}

/* Undo venom_shell_arm(): disarm, and clear the descriptor, so that the user's next poll of it sleeps. */
/* model: wake */
static void user_disarm(struct venom_shell *s)
{
	if (!s->armed)
		return;
	s->armed = false;
	shell_disarm(s);
	s->be->shell_sleep(s, 0);
}

static int shell_wait(struct shell_wait *w, int64_t timeout_ns)
{
	struct venom_shell *s = w->s;
	int rc;

	user_disarm(s);
	rc = venom_wait_for(&shell_wait_ops, w, &s->spin, timeout_ns);
	if (rc == 0 && timeout_ns == 0 && !venom_shell_idle(s))
		rc = shell_ready(w) ? 1 : -EPIPE;
	return rc;
}

VENOM_API int venom_shell_wait(struct venom_shell *s, uint64_t version, int64_t timeout_ns)
{
	struct shell_wait w = {.s = s, .what = VENOM_WAIT_STATE, .version = version};
	int64_t start;
	int rc;

	if (timeout_ns != 0 && s->spin.ns != VENOM_SPIN_FOREVER && !s->watching && !shell_ready(&w)) {
		start = now_ns();
		rc = watch_state(s, timeout_ns);
		if (rc <= 0)
			return shell_ready(&w) ? 1 : rc;
		if (timeout_ns > 0) {
			timeout_ns -= now_ns() - start;
			if (timeout_ns < 0)
				timeout_ns = 0;
		}
	}
	return shell_wait(&w, timeout_ns);
}

VENOM_API int venom_shell_room(struct venom_shell *s, int64_t timeout_ns)
{
	struct shell_wait w = {.s = s, .what = VENOM_WAIT_ROOM};

	if (!s->may_command)
		return -EACCES;
	if (death_told(s) && venom_shell_gone(s))
		return -EPIPE;
	return shell_wait(&w, timeout_ns);
}

/* ---- answers ---------------------------------------------------------------- */

/* Copy the answer to r, which is there. (model: takeover) */
static ssize_t collect(struct venom_shell *s, struct venom_request *r, void *resp, size_t size)
{
	struct venom_slot *slot = venom_slots_at(&s->in, slot_of(s, r));
	uint32_t len = load_relaxed(&slot->len);

	if (load_relaxed(&slot->word) & VENOM_SLOT_PASSED) {
		end_request(s, r);
		return -EPIPE;
	}
	if (len > s->geo.resp_size) {
		end_request(s, r);
		return venom_fail(-EPROTO, "an answer's length is %u, resp_size is %u", len, s->geo.resp_size);
	}
	if (len > size) {
		s->needed = len;
		return -EMSGSIZE;
	}
	copy_from_shared(resp, venom_slot_data(&s->in, slot), len);
	end_request(s, r);
	count_up(&s->cmd->counts.answers, 1);
	return len;
}

/* A request to an earlier daemon, which has failed, or NULL. */
static struct venom_request *find_lost(struct venom_shell *s, struct venom_request *one)
{
	if (one || !s->nlost)
		return one && one->lost ? one : NULL;
	for (uint32_t i = 0;; i++)
		if (s->open[i].lost)
			return &s->open[i];
}

/* The daemon has died without an answer to r: tell whether it had taken the command. (model: takeover) */
static int abandoned(struct venom_shell *s, struct venom_request *r)
{
	bool moved = venom_lane_taken(&s->rsp->cursor) >= r->tag;
	bool taken = moved && !answered(s, r); /* else another daemon, come meanwhile, has passed it over */

	end_request(s, r);
	return taken ? -ECONNRESET : -EPIPE;
}

/* model: takeover */
VENOM_API ssize_t venom_shell_complete(struct venom_shell *s, uint64_t *tag, void *resp, size_t size,
				       int64_t timeout_ns)
{
	struct shell_wait w = {.s = s, .what = VENOM_WAIT_ANSWER};
	struct venom_request *r;
	ssize_t rc;

	if (*tag != VENOM_ANY) {
		w.one = find_open(s, *tag);
		if (!w.one)
			return -EINVAL;
	} else if (!s->nopen) {
		return -EINVAL;
	}
	if (death_told(s))
		venom_shell_gone(s);
	r = find_lost(s, w.one);
	if (!r) {
		rc = shell_wait(&w, timeout_ns);
		if (rc == 0)
			return -ETIMEDOUT;
		if (rc == -ECONNRESET)
			r = find_lost(s, w.one);
	}
	if (r) {
		*tag = r->tag;
		rc = r->lost;
		end_request(s, r);
		return rc;
	}
	r = w.one ? w.one : w.found;
	if (rc == -EPIPE) {
		/* With VENOM_ANY the open requests fail one by one. */
		for (uint32_t i = 0; !r; i++)
			if (s->open[i].tag)
				r = &s->open[i];
		*tag = r->tag;
		return abandoned(s, r);
	}
	if (rc < 0)
		return rc;
	*tag = r->tag;
	return collect(s, r, resp, size);
}

VENOM_API ssize_t venom_shell_request(struct venom_shell *s, const void *cmd, size_t len, void *resp, size_t size,
				      int64_t timeout_ns)
{
	int64_t start = 0, left = timeout_ns;
	uint64_t tag;
	ssize_t rc;

	if (s->held) {
		s->held = false;
		venom_shell_cancel(s, s->last_tag);
	}
	if (s->nopen >= s->geo.cmd_slots)
		return -EAGAIN;
	while ((rc = venom_shell_submit(s, cmd, len, &tag)) == -EAGAIN) {
		if (!start)
			start = now_ns();
		rc = venom_shell_room(s, left);
		if (rc == 0)
			count_up(&s->cmd->counts.timeouts, 1);
		if (rc <= 0)
			return rc ? rc : -ETIMEDOUT;
		if (timeout_ns > 0) {
			left = timeout_ns - (now_ns() - start);
			if (left < 0)
				left = 0;
		}
	}
	if (rc)
		return rc;
	s->last_tag = tag;
	s->held = true; /* and stays true if we are cancelled in there */
	rc = venom_shell_complete(s, &tag, resp, size, left);
	s->held = rc == -EMSGSIZE;
	if (rc == -ETIMEDOUT) {
		count_up(&s->cmd->counts.timeouts, 1);
		venom_shell_cancel(s, tag);
	}
	return rc;
}

VENOM_API size_t venom_shell_needed(const struct venom_shell *s)
{
	return s->needed;
}

VENOM_API uint64_t venom_shell_tag(const struct venom_shell *s)
{
	return s->last_tag;
}

/* ---- the rest --------------------------------------------------------------- */

VENOM_API int venom_shell_alive(struct venom_shell *s)
{
	return !venom_shell_gone(s);
}

VENOM_API int venom_shell_fd(struct venom_shell *s)
{
	return s->be->shell_fd(s);
}

/* model: wake, takeover */
VENOM_API int venom_shell_arm(struct venom_shell *s, uint32_t what, uint64_t version)
{
	struct shell_wait w = {.s = s, .what = what, .version = version};
	bool ready;
	int rc;

	if (!what || (what & ~(VENOM_WAIT_STATE | VENOM_WAIT_ANSWER | VENOM_WAIT_ROOM)))
		return -EINVAL;
	if (death_told(s))
		venom_shell_gone(s);
	if ((what & VENOM_WAIT_ANSWER) && s->nlost)
		return 1;
	if (shell_ready(&w))
		return 1;
	/* The first time, the manager notes that we wait; if it is slow (maybe stopped), it signals the descriptor. */
	if ((what & VENOM_WAIT_STATE) || s->watch_asked) {
		rc = watch_state(s, s->watch_asked ? 0 : ARM_NS);
		if (rc < 0)
			return shell_ready(&w) ? 1 : rc;
	}
	do {
		user_disarm(s);
		shell_arm(s, what);
		s->armed = true;
		ready = shell_ready(&w);
		if (!ready && !venom_shell_alive(s))
			return -EPIPE;
		/* If another daemon has come just now, user_disarm may have cleared the last one's death signal. */
		if (ready || ((what & VENOM_WAIT_ANSWER) && s->nlost)) {
			user_disarm(s);
			return 1;
		}
	} while (s->unarmed);
	return s->unfenced && (what & VENOM_WAIT_ROOM) ? -ENOSYS : 0;
}

VENOM_API int venom_shell_set_spin(struct venom_shell *s, int64_t spin_ns)
{
	return venom_spin_set(&s->spin, spin_ns);
}

VENOM_API int venom_shell_info(struct venom_shell *s, struct venom_info *info)
{
	venom_info_make(info, s->be->name, s->name, &s->geo, s->epoch, &s->daemon, venom_shell_alive(s),
			&s->state->schema);
	return 0;
}

VENOM_API int venom_shell_stats(const struct venom_shell *s, struct venom_shell_stats *st)
{
	_Static_assert(sizeof(*st) == sizeof(s->cmd->counts), "the same counters, in the same order");
	memcpy(st, &s->cmd->counts, sizeof(*st));
	st->reads += s->steady.reads;
	if (s->steady.reads)
		st->last_tries = 1;
	return 0;
}

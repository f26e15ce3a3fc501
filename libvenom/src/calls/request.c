/* SPDX-License-Identifier: MIT */
/*
 * The shell's commands and their answers.
 *
 *	send		room, venom_slot_fill in our lane, wake_daemon (once for send_many)
 *	submit		the same with a tag, whose answer slot is free
 *	complete	waits until our answer slot has the tag, and copies the answer out
 *	request		submit, complete; gives up at time-out
 */
#include <limits.h>
#include "calls/shell.h"

#define BLOCK_MAX 32 /* commands in a block: more are no faster */

/* ---- room in the lane --------------------------------------------------------- */

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
uint32_t venom_lane_room(struct venom_shell *s)
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

/* ---- sending ---------------------------------------------------------------- */

/* Whether a command of this size may be sent at all. */
static int sendable(struct venom_shell *s, size_t len)
{
	if (!s->may_command)
		return -EACCES;
	if (len > s->geo.cmd_size) {
		s->needed = len;
		return -EMSGSIZE;
	}
	return death_seen(s) && venom_shell_gone(s) ? -EPIPE : 0;
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
	if (!venom_lane_room(s))
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
			room = venom_lane_room(s);
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
	if (death_seen(s))
		venom_shell_gone(s);
	r = find_lost(s, w.one);
	if (!r) {
		rc = venom_shell_wait_for(&w, timeout_ns);
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

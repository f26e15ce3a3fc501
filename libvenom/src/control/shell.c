/* SPDX-License-Identifier: MIT */
/*
 * A shell's life: connect, notice that its daemon has died or that another one has taken over, close.
 *
 *	connect			venom_backend_connect maps the areas; then the handle's rings and slots are made of them
 *	venom_shell_gone	confirms a death that death_seen() has seen; see internal.h
 */
#include "calls/shell.h"

/* Note what this daemon understands; the next one may be of another version. */
static void know_daemon(struct venom_shell *s)
{
	/* With VENOM_ORDER_ARRIVAL each command needs a time stamp of its own, which a block does not have. */
	s->blocks = load_relaxed(&s->state->head.features) & VENOM_FEATURE_BLOCKS && !(s->geo.flags & VENOM_ORDER_ARRIVAL);
}

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

/* ---- the daemon's death --------------------------------------------------------- */

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
void venom_shell_has_died(struct venom_shell *s)
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
		venom_shell_has_died(s);
	return s->dead;
}

VENOM_API int venom_shell_alive(struct venom_shell *s)
{
	return !venom_shell_gone(s);
}

/* ---- facts ------------------------------------------------------------------ */

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

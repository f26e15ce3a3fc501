/* SPDX-License-Identifier: MIT */
/*
 * The roles that a shell may ask for: the publisher then does not overwrite the version that the shell holds in place,
 * or the versions that it has not read (plane/readers.h).
 *
 *	shell				manager
 *	cmd->wants = roles, number
 *	be->ask			->	venom_readers_serve adds the shell to the readers that are heeded, or removes it
 *	polls		<-		rsp->granted = roles, number
 */
#include "internal.h"

#define NAP_US 50

int venom_roles_wait(struct venom_shell *s)
{
	uint32_t wants = s->cmd->wants, granted;
	int64_t start = now_ns();

	/* pairs with the release in venom_readers_answer */
	while (VENOM_ROLES_NUMBER(granted = load_acquire(&s->rsp->granted)) != VENOM_ROLES_NUMBER(wants)) {
		if (venom_shell_gone(s))
			return -EPIPE;
		if (now_ns() - start > VENOM_PATIENCE_NS)
			return venom_silent();
		usleep(NAP_US);
	}
	s->roles = granted & VENOM_ROLES;
	wants &= VENOM_ROLES;
	if (wants & ~s->roles & VENOM_ROLE_LOSSLESS)
		return venom_fail(-EPERM, "the channel was made without VENOM_LOSSLESS");
	if (wants & ~s->roles)
		return venom_fail(-EUSERS, "max_holders (%u) shells hold versions in place already", s->geo.max_holders);
	return 0;
}

int venom_roles_ask(struct venom_shell *s, uint32_t roles)
{
	uint32_t n = VENOM_ROLES_NUMBER(s->cmd->wants) + 1;
	NO_CANCEL;
	int rc;

	store_release(&s->cmd->wants, VENOM_ROLES_ASK(roles, n)); /* pairs with the acquire in venom_readers_take */
	rc = s->be->ask(s);
	if (!rc)
		rc = venom_roles_wait(s);
	/* Take back what was not granted: another daemon may read this word. */
	if (rc)
		store_relaxed(&s->cmd->wants, VENOM_ROLES_ASK(s->roles, n));
	return rc;
}

/* ---- holding ------------------------------------------------------------------ */

/* Claim the latest version (0), or this one: returns 0 if it is claimed. */
static int claim(struct venom_shell *s, uint64_t version, struct venom_claim *c)
{
	if (!version) {
		switch (venom_ring_pick(&s->ring, s->seen, c)) {
		case VENOM_PICK_WHOLE:
			return 0;
		case VENOM_PICK_NONE:
			return -ENODATA;
		default:
			return -EAGAIN;
		}
	}
	venom_ring_claim(venom_ring_at(&s->ring, version), c);
	if (c->seq == VENOM_SEQ_WHOLE(version))
		return 0;
	return VENOM_SEQ_NUMBER(c->seq) > version || c->seq == VENOM_SEQ_PASSED(version) ? -ESTALE : -EAGAIN;
}

VENOM_API int venom_shell_hold(struct venom_shell *s, uint64_t version, struct venom_view *view)
{
	struct venom_claim c;
	uint32_t tries = 0;
	int rc;

	if (s->holding)
		return -EBUSY;
	if (!(s->roles & VENOM_ROLE_HOLDER)) {
		rc = venom_roles_ask(s, s->roles | VENOM_ROLE_HOLDER);
		if (rc)
			return rc;
	}
	/* The writer may overwrite the buffer that we claim, but not at each retry: it first needs another lap. */
	do {
		rc = claim(s, version, &c);
		if (!rc && venom_ring_hold(&c, &s->cmd->held))
			break;
		if (!rc)
			venom_ring_release(&s->cmd->held);
		if (rc && rc != -EAGAIN)
			return rc;
		cpu_relax();
	} while (++tries < s->max_tries);
	if (tries == s->max_tries)
		return -EAGAIN;
	rc = venom_len_check(s, c.len, s->ring.data_size);
	if (rc) {
		venom_ring_release(&s->cmd->held);
		return rc;
	}
	s->holding = true;
	venom_view_make(s, &c, view);
	if (view->version > s->seen)
		s->seen = view->version;
	count_up(&s->cmd->counts.reads, 1);
	return 0;
}

VENOM_API int venom_shell_release(struct venom_shell *s)
{
	if (!s->holding)
		return -EINVAL;
	venom_ring_release(&s->cmd->held);
	s->holding = false;
	return 0;
}

/* ---- missing nothing ------------------------------------------------------------ */

VENOM_API int venom_shell_lossless(struct venom_shell *s, int on)
{
	uint32_t roles = on ? s->roles | VENOM_ROLE_LOSSLESS : s->roles & ~VENOM_ROLE_LOSSLESS;

	if (on && !(s->geo.flags & VENOM_LOSSLESS))
		return venom_fail(-EPERM, "the channel was made without VENOM_LOSSLESS");
	if (roles == s->roles)
		return 0;
	venom_membarrier_register(); /* for the publisher's, in arm_publish */
	return venom_roles_ask(s, roles);
}

/* model: lossless */
void venom_cursor_set(struct venom_shell *s, uint64_t version)
{
	s->cursor_at = version;
	venom_cursor_move(&s->cmd->cursor, version);
	compiler_barrier(); /* pairs with venom_membarrier_daemons in arm_publish: cursor before waiting word */
	if ((load_relaxed(&s->state->waiting) & 1) && version >= load_relaxed(&s->state->awaited) &&
	    venom_asleep(&s->state->waiting, 1, &s->signalled_waiting)) {
		count_up(&s->cmd->counts.wakes, 1);
		s->be->wake_publisher(s);
	}
}

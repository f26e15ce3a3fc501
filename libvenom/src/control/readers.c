/* SPDX-License-Identifier: MIT */
/*
 * The manager's side of plane/readers.h: which shells the publisher heeds (roles.c has the shell's side).
 *
 *	venom_readers_serve	a shell has asked: the publisher heeds it now, or no longer; then answer the shell
 *	venom_readers_drop	a shell is dead
 */
#include "internal.h"

/* model: hold, lossless, wake-state */
void venom_readers_add(struct venom_readers *rs, struct venom_reader *rd)
{
	uint32_t i = 0;

	while (i < rs->n && rs->at[i])
		i++;
	store_release(&rs->at[i], rd); /* readers_add:A pairs with ring_held:B and ring_owed:B */
	if (i == rs->n)
		store_release(&rs->n, i + 1); /* pairs with the acquire in wake_state */
}

/* The publisher may still use the reader until its current walk has ended: the lane is freed after that. */
/* model: wake-state */
void venom_readers_remove(struct venom_readers *rs, const struct venom_reader *rd)
{
	for (uint32_t i = 0; i < rs->n; i++)
		if (rs->at[i] == rd)
			store_release(&rs->at[i], NULL);
}

/* Make the publisher heed these roles of the lane's shell, and no others. (model: hold, lossless) */
static void set_roles(struct venom_daemon *d, struct venom_lane *l, uint32_t roles)
{
	struct venom_reader *rd = &l->reader;
	uint32_t was = rd->roles;
	bool lossless = roles & ~was & VENOM_ROLE_LOSSLESS;

	if (roles == was)
		return;
	store_relaxed(&d->nholders, d->nholders + !!(roles & VENOM_ROLE_HOLDER) - !!(was & VENOM_ROLE_HOLDER));
	if (lossless)
		store_relaxed(&rd->floor, VENOM_NOT_YET);
	store_relaxed(&rd->roles, roles);
	if (!was)
		venom_readers_add(&d->readers, rd);
	else if (!roles)
		venom_readers_remove(&d->readers, rd);
	store_relaxed(&d->heeded, d->heeded + !was - !roles);
	/* From this fence on a publish heeds the roles, or else the shell sees that the buffer is being written. */
	venom_fence_all(d);
	/* The shell may miss what was published before this; but not if an earlier daemon had granted it the role. */
	if (lossless)
		store_relaxed(&rd->floor, load_relaxed(&l->rsp->granted) & VENOM_ROLE_LOSSLESS
						  ? 0 : load_acquire(&d->version)); /* set_roles:A pairs with inline_publish:E; and commit */
	/* A publish may wait for this reader: end that wait. */
	if (was & ~roles & VENOM_ROLE_LOSSLESS)
		bell_signal(d->publisher.bell);
}

void venom_readers_take(struct venom_daemon *d, struct venom_lane *l)
{
	uint32_t wants = load_acquire(&l->cmd->wants); /* pairs with the release in venom_roles_ask */
	uint32_t roles = wants & VENOM_ROLES;

	if (l->roles_seen == wants)
		return;
	l->roles_seen = wants;
	if (!(d->geo.flags & VENOM_LOSSLESS) || d->be->watch_moves(d, l))
		roles &= ~VENOM_ROLE_LOSSLESS;
	if (!(l->reader.roles & VENOM_ROLE_HOLDER) && d->nholders >= d->geo.max_holders)
		roles &= ~VENOM_ROLE_HOLDER;
	set_roles(d, l, roles);
}

void venom_readers_answer(struct venom_lane *l)
{
	uint32_t granted = VENOM_ROLES_ASK(l->reader.roles, VENOM_ROLES_NUMBER(l->roles_seen));

	if (l->rsp->granted != granted)
		store_release(&l->rsp->granted, granted); /* pairs with venom_roles_wait */
}

void venom_readers_serve(struct venom_daemon *d, struct venom_lane *l)
{
	venom_readers_take(d, l);
	venom_readers_answer(l);
}

void venom_readers_drop(struct venom_daemon *d, struct venom_lane *l)
{
	if (l->reader.roles)
		set_roles(d, l, 0);
}

void venom_reader_init(struct venom_reader *rd, const struct venom_commands *cmd)
{
	*rd = (struct venom_reader){.cmd = cmd, .floor = VENOM_NOT_YET};
}

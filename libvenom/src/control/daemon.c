/* SPDX-License-Identifier: MIT */
/*
 * A daemon's life: create, destroy; and what it tells of itself.
 *
 *	create		checks the config and makes the handle; then the backend makes the areas, takes the name and
 *			starts the manager
 */
#include "internal.h"

#define TAKE_MAX   32U /* commands that receive_many() takes at once... */
#define TAKE_BYTES 262144U /* ...if their buffers together are not larger than this */

static void daemon_free(struct venom_daemon *d)
{
	free(d->active);
	free(d->served);
	free(d->waiters.at);
	free(d->readers.at);
	free(d->lanes);
	free(d->cmd_buf);
	free(d);
}

VENOM_API int venom_daemon_create(struct venom_daemon **out, const char *name, const struct venom_config *cfg)
{
	struct venom_policy policy;
	struct venom_daemon *d;
	NO_CANCEL;
	int rc;

	venom_errmsg_clear();
	rc = venom_name_check(name);
	if (rc)
		return rc;
	d = venom_handle(sizeof(*d));
	if (!d)
		return venom_fail(-ENOMEM, "out of memory");
	d->forks = venom_forks();
	d->server = d->publisher = (struct venom_sleeper){-1, -1};
	rc = venom_config_check(&d->cfg, cfg);
	if (!rc)
		rc = venom_backend_pick(&d->be);
	if (!rc)
		rc = venom_backend_taken(name, d->be);
	if (rc)
		goto free_daemon;
	memcpy(d->name, name, strlen(name));
	venom_spin_set(&d->spin, d->cfg.spin_ns);
	venom_manager_init(d);
	venom_spin_set(&d->publish_spin, d->cfg.spin_ns);
	d->hot_fence = !venom_membarrier_register();
	d->heeded = d->hot_fence; /* without membarrier(2) the publisher always looks at the readers */
	rc = -ENOMEM;
	d->cmd_stride = ((size_t)d->cfg.cmd_size + VENOM_LINE) & ~(size_t)(VENOM_LINE - 1);
	d->cmd_room = d->cmd_stride < TAKE_BYTES ? TAKE_BYTES / d->cmd_stride : 1;
	if (d->cmd_room > TAKE_MAX)
		d->cmd_room = TAKE_MAX;
	d->cmd_buf = venom_zeroes("buffer of commands", d->cmd_room, d->cmd_stride);
	d->lanes = calloc(d->cfg.max_clients, sizeof(*d->lanes));
	d->waiters.at = calloc(d->cfg.max_clients, sizeof(*d->waiters.at));
	d->readers.at = calloc(d->cfg.max_clients, sizeof(*d->readers.at));
	d->served = calloc(d->cfg.max_clients, sizeof(*d->served));
	d->active = calloc(d->cfg.max_clients, sizeof(*d->active));
	if (!d->cmd_buf || !d->lanes || !d->waiters.at || !d->readers.at || !d->served || !d->active)
		goto free_daemon;
	rc = venom_node_prefer(&policy, d->cfg.node);
	if (rc)
		goto free_daemon;
	rc = d->be->create(d);
	d->cfg.schema = NULL; /* it belongs to the caller */
	venom_node_restore(&policy);
	if (rc)
		goto free_daemon;
	venom_inline_publisher_init(d, &d->steady);
	*out = d;
	return 0;

free_daemon:
	daemon_free(d);
	return venom_explain(rc, "the channel can't be made");
}

VENOM_API void venom_daemon_destroy(struct venom_daemon *d)
{
	NO_CANCEL;

	if (!d)
		return;
	if (d->forks == venom_forks()) /* else it is our parent's, and not mapped here */
		d->be->destroy(d);
	daemon_free(d);
}

VENOM_API int venom_daemon_set_spin(struct venom_daemon *d, int64_t spin_ns)
{
	return venom_spin_set(&d->spin, spin_ns);
}

VENOM_API int venom_daemon_info(const struct venom_daemon *d, struct venom_info *info)
{
	struct venom_cred self = {.pid = getpid(), .uid = geteuid(), .gid = getegid()};

	venom_info_make(info, d->be->name, d->name, &d->geo, d->epoch, &self, true, &d->state->schema);
	return 0;
}

VENOM_API int venom_daemon_stats(const struct venom_daemon *d, struct venom_daemon_stats *st)
{
	venom_stats_make(st, d->state, d->status, venom_ring_latest(&d->ring));
	st->clients = load_relaxed(&d->attached);
	return 0;
}

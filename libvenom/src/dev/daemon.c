/* SPDX-License-Identifier: MIT */
/*
 * The module's backend: the daemon.
 *
 *	dev_create = CREATE, map status and state, resume_state if the channel goes on
 *	sync_lanes = the manager, each time the LIFE eventfd is signalled: map the lanes of new shells, mark those
 *		of gone shells; as the status page says
 *
 * The kernel attaches and detaches shells; a shell gets its lanes without the daemon.
 */
#include <sys/eventfd.h>
#include <sys/epoll.h>
#include <venom_schema.h>
#include "dev/dev.h"

struct dev_daemon {
	int dev;
	int life_bell;
};

/* ---- lanes ---- */

static void lane_unmap(struct venom_daemon *d, struct venom_lane *l)
{
	(void)d;
	dev_unmap(&l->cmd_map);
	dev_unmap(&l->rsp_map);
	free(l->tags);
	free(l);
}

static int lane_call(struct venom_daemon *d, uint32_t id, uint32_t generation, uint32_t what)
{
	struct venom_ioc_lane arg = {.size = sizeof(arg), .id = id, .generation = generation, .what = what};

	return dev_call(((struct dev_daemon *)d->own)->dev, VENOM_IOC_LANE, &arg);
}

static void lane_free(struct venom_daemon *d, struct venom_lane *l)
{
	lane_call(d, l->id, l->generation, VENOM_LANE_FREE);
}

static void lane_keep(struct venom_daemon *d, struct venom_lane *l)
{
	lane_call(d, l->id, l->generation, VENOM_LANE_KEEP);
}

static void lane_evict(struct venom_daemon *d, struct venom_lane *l)
{
	lane_call(d, l->id, l->generation, VENOM_LANE_EVICT);
}

/* model: takeover */
static struct venom_lane *lane_map(struct venom_daemon *d, int dev, const struct venom_ioc_peer *p)
{
	struct venom_lane *l = venom_handle(sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct venom_lane){
		.id = p->id,
		.generation = p->generation,
		.cred = {.pid = p->pid, .uid = p->uid, .gid = p->gid},
		.may_command = p->may_command,
	};
	if (dev_map(&l->cmd_map, dev, VENOM_AREA_COMMANDS, l->id, venom_commands_bytes(&d->geo), false) ||
	    dev_map(&l->rsp_map, dev, VENOM_AREA_RESPONSES, l->id, venom_responses_bytes(&d->geo), true))
		goto unmap;
	l->cmd = l->cmd_map.p;
	l->rsp = l->rsp_map.p;
	venom_slots_init(&l->in, l->cmd_map.p, d->geo.cmd_slots, venom_command_head(d->geo.flags), d->geo.cmd_size);
	venom_slots_init(&l->out, l->rsp, d->geo.cmd_slots, sizeof(struct venom_slot), d->geo.resp_size);
	l->tags = venom_zeroes("table of requests", l->out.mask + 1UL, sizeof(*l->tags));
	if (!l->tags)
		goto unmap;
	l->pos = load_relaxed(&l->rsp->cursor); /* where the previous daemon stopped */
	if (l->rsp->head.epoch != d->epoch)
		l->stale = d->geo.cmd_slots + 1; /* a full lane, and one command that the shell was about to write */
	return l;
unmap:
	lane_unmap(d, l);
	return NULL;
}

/* Add a shell's lane, and take its roles unless the caller serves them later. */
static void lane_add(struct venom_daemon *d, uint32_t id, bool roles)
{
	struct dev_daemon *dd = d->own;
	struct venom_ioc_peer p;
	struct venom_lane *l;

	if (dev_peer(dd->dev, id, &p))
		return;
	l = lane_map(d, dd->dev, &p);
	if (!l) {
		venom_log("%s: shell %u (pid %u) is thrown out: its lanes can't be mapped", d->name, id, p.pid);
		lane_call(d, id, p.generation, VENOM_LANE_EVICT);
		lane_call(d, id, p.generation, VENOM_LANE_FREE);
		return;
	}
	venom_reader_init(&l->reader, l->cmd);
	/* Take the roles first: a publisher that waits for shells to come then heeds this one as soon as it sees it. */
	if (roles)
		venom_readers_take(d, l);
	venom_manager_add(d, l);
	/* Answer after the lane is added: the shell's connect waits for this, and then its commands are received. */
	if (roles)
		venom_readers_answer(l);
	/*
	 * The shell may have sent a command before its lane was here.  A sleeping server was then signalled, found
	 * nothing and sleeps again.  It gets no other signal for that command, so signal it here.
	 */
	if (venom_slot_ready(&l->in, l->pos, l->pos + 1))
		bell_signal(d->server.bell);
}

/* Update the ids whose life word has changed.  No other shell gets an id before we have freed it. */
static void sync_lanes(struct venom_daemon *d)
{
	for (uint32_t id = 0; id < d->geo.max_clients; id++) {
		uint32_t life = load_acquire(&d->status->shell[id].life); /* pairs with the kernel's release */

		if (!d->lanes[id] && life != VENOM_SHELL_NONE)
			lane_add(d, id, true);
		if (!d->lanes[id] || d->lanes[id]->gone)
			continue;
		if (life & VENOM_SHELL_ALIVE)
			venom_readers_serve(d, d->lanes[id]);
		else
			venom_manager_gone(d, d->lanes[id]);
	}
}

/* Take over the lanes of a dead daemon's shells. */
static void take_over_lanes(struct venom_daemon *d)
{
	for (uint32_t id = 0; id < d->geo.max_clients; id++)
		if (load_acquire(&d->status->shell[id].life) != VENOM_SHELL_NONE) /* pairs with the kernel's release */
			lane_add(d, id, false);
	/* A living shell that was granted HOLDER may hold a version now: serve it before asking and dead shells. */
	for (uint32_t id = 0; id < d->geo.max_clients; id++)
		if (d->lanes[id] && load_relaxed(&d->lanes[id]->rsp->granted) & VENOM_ROLE_HOLDER &&
		    load_acquire(&d->status->shell[id].life) & VENOM_SHELL_ALIVE)
			venom_readers_serve(d, d->lanes[id]);
	sync_lanes(d);
}

static void manage_begin(struct venom_daemon *d)
{
	sync_lanes(d); /* shells that came since CREATE */
}

static void manage(struct venom_daemon *d, void *of, uint32_t events)
{
	(void)of;
	(void)events;
	sync_lanes(d);
}

/* Nothing to do: the module signals the publisher's eventfd. */
static int watch_moves(struct venom_daemon *d, struct venom_lane *l)
{
	(void)d;
	(void)l;
	return 0;
}

static void manage_end(struct venom_daemon *d)
{
	(void)d;
}

/* ---- life ---- */

/* Continue the dead daemon's version number, and reset all its words that would mislead. */
/* model: ring */
static int resume_state(struct venom_daemon *d)
{
	struct venom_state *s = d->state;
	int rc;

	if (!load_relaxed(&s->head.magic)) { /* it died before it had initialized the state */
		venom_state_init(d);
		return 0;
	}
	rc = venom_head_check(&s->head, VENOM_AREA_STATE, d->state_map.size);
	if (!rc && memcmp(&s->geo, &d->geo, sizeof(d->geo)))
		rc = venom_fail(-EPROTO, "the state that the dead daemon left has another geometry");
	if (!rc && s->schema.hash != (d->cfg.schema ? d->cfg.schema->hash : 0))
		rc = venom_fail(-EEXIST, "shells still hold the channel of a dead daemon, and it has another schema");
	if (rc)
		return rc;
	d->version = venom_ring_last(&d->ring);
	if (d->ring.versions > 1)
		store_release(&s->latest, d->version); /* pairs with the acquire in venom_ring_latest */
	store_relaxed(&s->head.epoch, d->epoch);
	store_relaxed(&s->head.features, VENOM_FEATURES);
	store_relaxed(&s->sleeping, s->sleeping + (s->sleeping & 1));
	store_relaxed(&s->waiting, s->waiting + (s->waiting & 1));
	store_relaxed(&s->state_wakes, 0);
	for (uint64_t *count = (uint64_t *)&s->held_up; count <= (uint64_t *)&s->cut; count++)
		store_relaxed(count, 0);
	for (uint64_t *count = (uint64_t *)&s->commands; count <= (uint64_t *)&s->evicted; count++)
		store_relaxed(count, 0);
	return 0;
}

static int why_not(struct venom_daemon *d, const struct venom_ioc_create *c, int rc)
{
	switch (rc) {
	case -EBUSY:
		return venom_fail(rc, c->flags & VENOM_CREATE_RESUME
					      ? "a living daemon has the name, or a dead one's process still maps its state"
					      : "a living daemon has the name");
	case -EEXIST:
		return venom_fail(rc, "shells still hold the channel of a dead daemon: %s",
				  c->flags & VENOM_CREATE_RESUME ? "another user's, or of another geometry"
								 : "another user's");
	case -ENOMEM:
		venom_geometry_make(&d->geo, &d->cfg, d->cfg.huge_size ? d->cfg.huge_size : 2ULL << 20);
		return venom_fail_state(rc, &d->cfg, &d->geo);
	default:
		return dev_why_not(rc);
	}
}

static int become_daemon(struct venom_daemon *d, int dev)
{
	struct venom_ioc_create c = {
		.size = sizeof(c),
		.flags = (d->cfg.flags & VENOM_RESUME ? VENOM_CREATE_RESUME : 0) |
			 (d->hot_fence ? VENOM_CREATE_FENCED : 0),
		.huge = d->cfg.huge, /* the same numbers */
		.huge_size = d->cfg.huge_size,
		.features = VENOM_FEATURES,
	};
	int rc;

	memcpy(c.name, d->name, strlen(d->name));
	venom_geometry_make(&c.geo, &d->cfg, 0);
	c.geo.payload = 0;
	c.geo.stride = c.geo.first = 0;
	rc = dev_become(dev, VENOM_IOC_CREATE, &c);
	if (rc)
		return why_not(d, &c, rc);
	rc = dev_features_check(c.features);
	if (rc)
		return rc;
	d->geo = c.geo;
	d->epoch = c.epoch;
	rc = dev_map(&d->status_map, dev, VENOM_AREA_STATUS, 0, c.status_size, false);
	if (!rc)
		rc = dev_map(&d->state_map, dev, VENOM_AREA_STATE, 0, c.state_size, true);
	if (rc)
		return rc;
	d->status = d->status_map.p;
	rc = venom_head_check(&d->status->head, VENOM_AREA_STATUS, d->status_map.size);
	if (rc)
		return rc;
	d->state = d->state_map.p;
	venom_ring_init(&d->ring, d->state, &d->geo);
	if (c.resumed)
		return resume_state(d);
	if (d->cfg.huge == VENOM_HUGE_PREFER && d->geo.page_size == VENOM_PAGE)
		venom_log("%s: no huge pages, the state is on base pages", d->name);
	venom_state_init(d);
	return 0;
}

static int make_bells(struct venom_daemon *d, struct dev_daemon *dd)
{
	int rc = venom_manager_open(d);

	if (rc)
		return dev_short_of(rc);
	dd->life_bell = venom_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (dd->life_bell < 0)
		return dev_short_of(-errno);
	rc = epoll_watch(d->manager.own.epfd, dd->life_bell, EPOLLIN | EPOLLET, dd);
	if (!rc && d->publisher.bell >= 0)
		rc = dev_bell(dd->dev, VENOM_BELL_MOVED, d->publisher.bell);
	if (!rc)
		rc = dev_bell(dd->dev, VENOM_BELL_WAKE, d->server.bell);
	if (!rc)
		rc = dev_bell(dd->dev, VENOM_BELL_LIFE, dd->life_bell);
	return dev_short_of(rc);
}

static void dev_free(struct venom_daemon *d)
{
	struct dev_daemon *dd = d->own;

	venom_manager_close(d);
	dev_unmap(&d->state_map);
	dev_unmap(&d->status_map);
	close_fd(&dd->life_bell);
	close_fd(&dd->dev);
	free(dd);
}

static int dev_create(struct venom_daemon *d)
{
	struct dev_daemon *dd = calloc(1, sizeof(*dd));
	int rc;

	if (!dd)
		return -ENOMEM;
	d->own = dd;
	dd->life_bell = -1;
	rc = dev_open(&dd->dev);
	if (!rc)
		rc = become_daemon(d, dd->dev);
	if (!rc)
		rc = make_bells(d, dd);
	/* Take over before the first publish. */
	if (!rc)
		take_over_lanes(d);
	if (!rc)
		rc = venom_manager_start(d);
	if (rc)
		dev_free(d);
	return rc;
}

static void dev_destroy(struct venom_daemon *d)
{
	struct venom_ioc_end e = {.size = sizeof(e)};

	dev_call(((struct dev_daemon *)d->own)->dev, VENOM_IOC_END, &e);
	venom_manager_stop(d);
	dev_free(d);
}

/* ---- wake-ups ---- */

static void wake(struct venom_daemon *d, uint32_t what, uint32_t id)
{
	struct venom_ioc_wake w = {.size = sizeof(w), .what = what, .id = id};

	dev_call(((struct dev_daemon *)d->own)->dev, VENOM_IOC_WAKE, &w);
}

static void wake_shell(struct venom_daemon *d, struct venom_lane *l)
{
	count_up(&d->state->answer_wakes, 1);
	wake(d, VENOM_WAKE_SHELL, l->id);
}

/* model: wake-module */
static void wake_state(struct venom_daemon *d)
{
	fence_full(); /* pairs with smp_mb in venom_sleep, kmod/wake.c: version before the count of sleepers */
	if (!load_relaxed(&d->status->state_sleepers))
		return;
	venom_note_state_wake(d);
	wake(d, VENOM_WAKE_STATE, 0);
}

const struct venom_backend venom_backend_dev = {
	.name = "dev",
	.resumes = true,
	.check = dev_check,
	.create = dev_create,
	.destroy = dev_destroy,
	.daemon_sleep = venom_server_sleep,
	.wake_shell = wake_shell,
	.wake_state = wake_state,
	.manage_begin = manage_begin,
	.manage = manage,
	.manage_end = manage_end,
	.watch_moves = watch_moves,
	.lane_evict = lane_evict,
	.lane_keep = lane_keep,
	.lane_free = lane_free,
	.lane_unmap = lane_unmap,
	.connect = dev_shell_connect,
	.close = dev_shell_close,
	.shell_sleep = venom_shell_sleep,
	.wake_daemon = dev_wake_daemon,
	.watch = dev_watch,
	.ask = dev_ask,
	.wake_publisher = dev_wake_publisher,
	.arm_state = dev_arm_state,
	.disarm_state = dev_disarm_state,
	.alive = dev_alive,
	.meet = dev_meet,
	.lives = dev_lives,
	.list = dev_list,
	.stat = dev_stat,
};

/* SPDX-License-Identifier: MIT */
/*
 * See memory.h.
 */
#include <string.h>

#include "fuzz/lib/fuzz.h"
#include "fuzz/lib/memory.h"

static void *room(struct venom_map *map, uint64_t size)
{
	map->size = size;
	map->p = aligned_alloc(VENOM_PAGE, size);
	FUZZ_CHECK(map->p);
	return memset(map->p, 0, size);
}

static void lane_unmap(struct venom_daemon *dm, struct venom_lane *l)
{
	(void)dm;
	fuzz_peaceful(l->cmd_map.p);
	free(l->cmd_map.p);
	free(l->rsp_map.p);
	free(l->tags);
	free(l);
}

static void lane_evict(struct venom_daemon *dm, struct venom_lane *l)
{
	(void)dm;
	FUZZ_CHECK(l->id != HONEST);
	fuzz_met[MEMORY_EVICTED]++;
}

static int create(struct venom_daemon *dm)
{
	venom_geometry_make(&dm->geo, &dm->cfg, VENOM_PAGE);
	dm->epoch = 1;
	dm->state = room(&dm->state_map, venom_state_bytes(&dm->geo));
	dm->status = room(&dm->status_map, venom_status_bytes(dm->geo.max_clients));
	venom_state_init(dm);
	venom_ring_init(&dm->ring, dm->state, &dm->geo);
	dm->status->daemon = VENOM_DAEMON_ALIVE;
	dm->status->owner = 1;
	dm->status->epoch = dm->epoch;
	return dm->geo.flags & VENOM_LOSSLESS ? sleeper_open(&dm->publisher, NULL) : 0;
}

static void destroy(struct venom_daemon *dm)
{
	venom_manager_close(dm);
	free(dm->state_map.p);
	free(dm->status_map.p);
}

static int daemon_sleep(struct venom_daemon *dm, int64_t ns)
{
	FUZZ_CHECK(ns >= 0); /* no caller here waits without a time-out */
	fuzz_met[MEMORY_SLEPT]++;
	fuzz_sleep((uint64_t)ns);
	(void)dm;
	return 0;
}

static int shell_sleep(struct venom_shell *s, int64_t ns)
{
	(void)s;
	fuzz_sleep((uint64_t)ns);
	return 0;
}

static void no_bell(struct venom_daemon *dm)
{
	(void)dm;
}

static void no_wake(struct venom_daemon *dm, struct venom_lane *l)
{
	FUZZ_CHECK(l == dm->lanes[l->id]);
}

/* A publisher that waits is not woken, but checks again after its time-out. */
static int no_moves(struct venom_daemon *dm, struct venom_lane *l)
{
	FUZZ_CHECK(l == dm->lanes[l->id]);
	return 0;
}

static void no_ring(struct venom_shell *s)
{
	(void)s;
}

static bool always(struct venom_shell *s)
{
	(void)s;
	return true;
}

const struct venom_backend memory_backend = {
	.name = "memory",
	.create = create,
	.destroy = destroy,
	.daemon_sleep = daemon_sleep,
	.wake_shell = no_wake,
	.wake_state = no_bell,
	.watch_moves = no_moves,
	.lane_evict = lane_evict,
	.lane_unmap = lane_unmap,
	.close = no_ring,
	.shell_sleep = shell_sleep,
	.wake_daemon = no_ring,
	.alive = always,
};

struct venom_lane *memory_lane(struct venom_daemon *d, uint32_t id, bool may_command)
{
	static uint32_t generation;
	struct venom_lane *l = venom_handle(sizeof(*l));

	FUZZ_CHECK(l);
	l->id = id;
	l->generation = ++generation;
	l->cred = (struct venom_cred){.pid = 1000 + id, .uid = id, .gid = id};
	l->may_command = may_command;
	l->cmd = room(&l->cmd_map, venom_commands_bytes(&d->geo));
	l->rsp = room(&l->rsp_map, venom_responses_bytes(&d->geo));
	l->tags = calloc(venom_slots_ring(d->geo.cmd_slots), sizeof(*l->tags));
	FUZZ_CHECK(l->tags);
	venom_head_make(l->cmd_map.p, VENOM_AREA_COMMANDS, l->cmd_map.size, d->epoch, id, l->generation);
	venom_head_make(&l->rsp->head, VENOM_AREA_RESPONSES, l->rsp_map.size, d->epoch, id, l->generation);
	venom_slots_init(&l->in, l->cmd_map.p, d->geo.cmd_slots, venom_command_head(d->geo.flags), d->geo.cmd_size);
	venom_slots_init(&l->out, l->rsp, d->geo.cmd_slots, sizeof(struct venom_slot), d->geo.resp_size);
	venom_reader_init(&l->reader, l->cmd);
	d->status->shell[id].generation = l->generation;
	d->status->shell[id].life = VENOM_SHELL_ALIVE;
	venom_manager_add(d, l);
	return l;
}

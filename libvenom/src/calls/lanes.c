/* SPDX-License-Identifier: MIT */
/*
 * Which lanes the server polls, and in which order.
 *
 * d->lanes[] is the manager's table of lanes, by id; d->served[] is the server's own copy of it, and d->active[] has
 * the same lanes in the order in which the server polls them.  The manager counts its changes in d->changes.  When that
 * differs from d->changes_seen the server syncs: it copies what has changed, and does not wait.
 *
 * Turns: the server polls hot lanes one after the other, and takes at most a batch of commands from each.  With many
 * lanes, those that are idle for a while go cold: the server polls only a few of them, now and then, so that the cost
 * of a poll does not grow with idle shells.  Before it sleeps the server looks at all lanes.
 */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "internal.h"

#define HOT_MIN 16 /* with up to this many lanes none goes cold */

void venom_membarrier(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

bool venom_membarrier_daemons(void)
{
	return !syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

bool venom_membarrier_register(void)
{
	return !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) &&
	       !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
}

static bool lane_ready(const struct venom_lane *l)
{
	return !l->broken && (l->block.left || venom_slot_ready(&l->in, l->pos, l->pos + 1));
}

static void swap_lanes(struct venom_daemon *d, uint32_t a, uint32_t b)
{
	struct venom_turn t = d->active[a];

	d->active[a] = d->active[b];
	d->active[b] = t;
}

static void list_add(struct venom_daemon *d, struct venom_lane *l)
{
	d->active[d->nactive] = (struct venom_turn){.lane = l, .id = l->id};
	swap_lanes(d, d->nactive++, d->nhot++);
}

static void list_del(struct venom_daemon *d, uint32_t id)
{
	uint32_t i = 0;

	while (d->active[i].id != id)
		i++;
	if (i < d->nhot) {
		swap_lanes(d, i, --d->nhot);
		i = d->nhot;
	}
	swap_lanes(d, i, --d->nactive);
	if (d->turn >= d->nhot)
		d->turn = d->batch = 0;
}

/* A lane that was removed may be freed already: its pointer is compared, but not followed.  (model: manager) */
void venom_lanes_sync(struct venom_daemon *d)
{
	uint32_t changes = load_acquire(&d->changes); /* pairs with the release in changed */

	for (uint32_t id = 0; id < d->geo.max_clients; id++) {
		struct venom_lane *l = load_acquire(&d->lanes[id]); /* pairs with the release in venom_manager_add */

		if (l == d->served[id])
			continue;
		if (d->served[id])
			list_del(d, id);
		if (l)
			list_add(d, l);
		d->served[id] = l;
	}
	store_release(&d->changes_seen, changes); /* pairs with the acquire in is_over */
}

void venom_lanes_evict(struct venom_daemon *d, struct venom_lane *l, const char *why)
{
	venom_log("%s: shell %u (pid %u) is thrown out: %s", d->name, l->id, l->cred.pid, why);
	store_release(&l->broken, true); /* pairs with the acquire in venom_manager_evict */
	count_up(&d->state->evicted, 1);
	venom_manager_wake(d);
}

/* Look at some cold lanes: one with a command becomes hot, and is served at once; the turn does not change. */
static struct venom_lane *probe_cold(struct venom_daemon *d)
{
	d->since_probe = 0;
	for (uint32_t i = 0; i < VENOM_COLD_PROBES && d->nactive > d->nhot; i++) {
		uint32_t cold = d->nactive - d->nhot;
		uint32_t at = d->nhot + d->probe++ % cold;
		struct venom_lane *l = d->active[at].lane;

		if (lane_ready(l)) {
			l->idle = 0;
			swap_lanes(d, at, d->nhot++);
			return l;
		}
	}
	return NULL;
}

static struct venom_lane *next_in_turn(struct venom_daemon *d)
{
	struct venom_lane *l;

	/* Probe cold lanes at intervals, however busy the hot ones are: no lane may starve. */
	if (++d->since_probe >= VENOM_BATCH) {
		l = probe_cold(d);
		if (l)
			return l;
	}
	/* Poll each hot lane once, and the first one again if its batch had run out. */
	for (uint32_t i = 0; d->nhot && i <= d->nhot; i++) {
		l = d->active[d->turn].lane;
		if (d->batch < VENOM_BATCH && lane_ready(l)) {
			d->batch++;
			l->idle = 0;
			return l;
		}
		d->batch = 0;
		if (d->nactive > HOT_MIN && ++l->idle > VENOM_COLD_AFTER) {
			swap_lanes(d, d->turn, --d->nhot);
			if (d->turn >= d->nhot)
				d->turn = 0;
		} else if (++d->turn >= d->nhot) {
			d->turn = 0;
		}
	}
	return probe_cold(d);
}

/*
 * The oldest command by its time stamp.  But a shell may write any time stamp: against starvation, a command goes first
 * once it has been passed over for a batch from each other lane that has commands.
 */
static struct venom_lane *next_by_arrival(struct venom_daemon *d)
{
	struct venom_lane *best = NULL, *longest = NULL;
	uint64_t best_time = 0, taken = d->state->commands, others = 0;

	for (uint32_t i = 0; i < d->nactive; i++) {
		struct venom_lane *l = d->active[i].lane;
		uint64_t t;

		if (!lane_ready(l))
			continue;
		if (l->waits != l->pos + 1) {
			l->waits = l->pos + 1;
			l->since = taken;
		}
		if (!longest || l->since < longest->since)
			longest = l;
		t = load_relaxed(&venom_slots_at(&l->in, l->pos)->time_ns[0]);
		others += best != NULL;
		if (!best || t < best_time) {
			best = l;
			best_time = t;
		}
	}
	return longest && taken - longest->since >= VENOM_BATCH * others ? longest : best;
}

/* Find the next command; d->found is its lane. */
bool venom_lanes_next(struct venom_daemon *d)
{
	d->found = d->geo.flags & VENOM_ORDER_ARRIVAL ? next_by_arrival(d) : next_in_turn(d);
	return d->found;
}

/*
 * The look before a sleep: all lanes, in no order.  A lane with a command becomes hot, and is found again in its turn:
 * else a server that arms before each command would get the first lane's commands each time.
 */
bool venom_lanes_any(struct venom_daemon *d)
{
	for (uint32_t i = 0; i < d->nactive; i++) {
		if (!lane_ready(d->active[i].lane))
			continue;
		d->active[i].lane->idle = 0;
		if (i >= d->nhot)
			swap_lanes(d, i, d->nhot++);
		return true;
	}
	return false;
}

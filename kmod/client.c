// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shells and their lanes.
 *
 *	connect: the shell gets an id, two areas and a word in the status page; the daemon's LIFE bell is signalled
 *	death: the word changes; the lanes stay until the daemon has read them to the end
 *	LANE_FREE: the daemon has read them; the id is free again
 */
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

static void client_free(struct kref *ref)
{
	struct venom_client *cl = container_of(ref, struct venom_client, ref);

	venom_bells_drop(cl->bells);
	venom_area_put(cl->commands);
	venom_area_put(cl->responses);
	venom_uncharge(&cl->charge);
	put_pid(cl->pid);
	kfree(cl);
}

void venom_client_put(struct venom_client *cl)
{
	kref_put(&cl->ref, client_free);
}

static struct venom_client *client_alloc(const struct venom_channel *ch, bool may_command)
{
	u64 commands = venom_commands_bytes(&ch->geo), responses = venom_responses_bytes(&ch->geo);
	struct venom_client *cl;
	int rc;

	cl = kzalloc(sizeof(*cl), GFP_KERNEL_ACCOUNT);
	if (!cl)
		return ERR_PTR(-ENOMEM);
	kref_init(&cl->ref);
	INIT_LIST_HEAD(&cl->armed);
	cl->pid = get_pid(task_tgid(current));
	cl->uid = current_euid();
	cl->gid = current_egid();
	cl->may_command = may_command;
	rc = venom_charge(&cl->charge, 0, commands + responses);
	if (rc)
		goto put;
	cl->commands = venom_area_alloc(commands);
	rc = PTR_ERR_OR_ZERO(cl->commands);
	if (rc) {
		cl->commands = NULL;
		goto put;
	}
	cl->responses = venom_area_alloc(responses);
	rc = PTR_ERR_OR_ZERO(cl->responses);
	if (rc) {
		cl->responses = NULL;
		goto put;
	}
	return cl;
put:
	venom_client_put(cl);
	return ERR_PTR(rc);
}

/* Called before any process can map the area. */
static void head_init(struct venom_area *a, const struct venom_client *cl, u32 kind, u64 size, u64 epoch)
{
	*(struct venom_area_head *)page_address(a->pages[0]) = (struct venom_area_head){
		.magic = VENOM_MAGIC,
		.abi = VENOM_ABI,
		.kind = kind,
		.size = size,
		.epoch = epoch,
		.id = cl->id,
		.generation = cl->generation,
	};
}

/* Set the word of the lane's shell.  A reader that sees the word also sees the generation. */
void venom_life_set_locked(struct venom_channel *ch, const struct venom_client *cl, u32 life)
{
	struct venom_status_shell *word = &ch->status->shell[cl->id];

	lockdep_assert_held(&ch->lock);
	WRITE_ONCE(word->generation, cl->generation);
	/* Pairs with the acquire in sync_lanes(), dev/daemon.c, and in death_seen(). */
	smp_store_release(&word->life, life);
}

/* A shell has come or gone: count it, and notify the daemon. */
static void count_locked(struct venom_channel *ch)
{
	lockdep_assert_held(&ch->lock);
	WRITE_ONCE(ch->status->attached, ch->attached);
	/* For processes that poll this count: stored after what has changed. */
	smp_store_release(&ch->status->changes, ch->status->changes + 1);
	venom_bell_signal_locked(ch->bells, VENOM_BELL_LIFE);
}

/* No user can keep all others out: each has half of the ids at most, except the channel's owner and CAP_IPC_OWNER. */
static bool has_half_locked(const struct venom_channel *ch, kuid_t uid, unsigned int holds)
{
	return holds >= DIV_ROUND_UP(ch->geo.max_clients, 2) && !uid_eq(uid, ch->uid) && !venom_ipc_owner();
}

/* Find an id for a shell of this user.  A dead shell keeps its id until the daemon has read its commands. */
static int free_id_locked(const struct venom_channel *ch, kuid_t uid)
{
	bool again = false, again_own = false;
	unsigned int holds = 0;
	int free = -EUSERS;
	u32 id;

	for (id = 0; id < ch->geo.max_clients; id++) {
		const struct venom_client *cl = ch->clients[id];

		if (!cl) {
			if (free < 0)
				free = id;
			continue;
		}
		holds += uid_eq(cl->uid, uid);
		if (!cl->alive && !cl->kept) {
			again = true;
			again_own |= uid_eq(cl->uid, uid);
		}
	}
	if (has_half_locked(ch, uid, holds))
		return again_own ? -EAGAIN : -EUSERS;
	return free < 0 && again ? -EAGAIN : free;
}

static void attach_locked(struct venom_channel *ch, struct venom_client *cl, u32 wants)
{
	struct venom_commands *cmd = page_address(cl->commands->pages[0]);

	cl->generation = ++ch->generation;
	head_init(cl->commands, cl, VENOM_AREA_COMMANDS, venom_commands_bytes(&ch->geo), ch->epoch);
	head_init(cl->responses, cl, VENOM_AREA_RESPONSES, venom_responses_bytes(&ch->geo), ch->epoch);
	cmd->wants = VENOM_ROLES_ASK(wants, 1);
	kref_get(&cl->ref);
	spin_lock(&ch->lock);
	cl->alive = true;
	ch->clients[cl->id] = cl;
	ch->attached++;
	venom_life_set_locked(ch, cl, VENOM_SHELL_ALIVE);
	count_locked(ch);
	spin_unlock(&ch->lock);
}

static void refused(struct venom_channel *ch)
{
	spin_lock(&ch->lock);
	WRITE_ONCE(ch->status->refused, ch->status->refused + 1);
	spin_unlock(&ch->lock);
}

static int client_connect(struct venom_channel *ch, bool may_command, u32 wants, struct venom_client **out)
{
	struct venom_client *cl = client_alloc(ch, may_command);
	int rc;

	if (IS_ERR(cl))
		return PTR_ERR(cl);
	mutex_lock(&venom_lock);
	rc = ch->alive ? free_id_locked(ch, cl->uid) : -ENOENT;
	if (rc >= 0) {
		cl->id = rc;
		attach_locked(ch, cl, wants);
		trace_venom_connect(ch->name, cl->id, cl->generation);
	}
	mutex_unlock(&venom_lock);
	if (rc < 0) {
		venom_client_put(cl);
		return rc;
	}
	*out = cl;
	return 0;
}

/* Connect a shell; or an observer, for which *out becomes NULL. */
int venom_client_connect(struct venom_channel *ch, struct venom_ioc_connect *c, struct venom_client **out)
{
	unsigned int rights = venom_rights(ch);
	struct venom_client *cl = NULL;
	int rc = 0;

	if (!READ_ONCE(ch->alive))
		rc = -ENOENT; /* regardless of its mode */
	else if (!(rights & 4))
		rc = -EACCES;
	else if (!(c->flags & VENOM_CONNECT_OBSERVE))
		rc = client_connect(ch, rights & 2, c->wants, &cl);
	if (rc) {
		if (rc != -EAGAIN && rc != -ENOENT)
			refused(ch);
		return rc;
	}
	c->geo = ch->geo;
	c->id = cl ? cl->id : 0;
	c->generation = cl ? cl->generation : 0;
	c->may_command = cl && cl->may_command;
	c->epoch = READ_ONCE(ch->epoch);
	c->state_size = venom_state_bytes(&ch->geo);
	c->status_size = venom_status_bytes(ch->geo.max_clients);
	c->commands_size = venom_commands_bytes(&ch->geo);
	c->responses_size = venom_responses_bytes(&ch->geo);
	*out = cl;
	return 0;
}

static void client_die_locked(struct venom_channel *ch, struct venom_client *cl)
{
	lockdep_assert_held(&venom_lock);
	if (!cl->alive)
		return;
	spin_lock(&ch->lock);
	cl->alive = false;
	ch->attached--;
	venom_disarm_locked(ch, cl);
	if (cl->watching)
		WRITE_ONCE(ch->status->state_waiters, --ch->nwaiters);
	venom_life_set_locked(ch, cl, VENOM_SHELL_GONE);
	count_locked(ch);
	/* A shell that is evicted may be asleep. */
	venom_bell_signal_locked(cl->bells, VENOM_BELL_WAKE);
	venom_bell_signal_locked(cl->bells, VENOM_BELL_LIFE);
	spin_unlock(&ch->lock);
	wake_up_poll(&ch->wait, EPOLLHUP);
	trace_venom_death(ch->name, ch->epoch, cl->id);
	venom_channel_settle_locked(ch);
}

void venom_client_die(struct venom_channel *ch, struct venom_client *cl)
{
	mutex_lock(&venom_lock);
	client_die_locked(ch, cl);
	mutex_unlock(&venom_lock);
}

static void forget_locked(struct venom_channel *ch, struct venom_client *cl)
{
	lockdep_assert_held(&venom_lock);
	spin_lock(&ch->lock);
	ch->clients[cl->id] = NULL;
	venom_life_set_locked(ch, cl, VENOM_SHELL_NONE);
	spin_unlock(&ch->lock);
	venom_client_put(cl);
}

/* Forget the dead shells: no daemon will come to read their lanes. */
void venom_clients_free_dead_locked(struct venom_channel *ch)
{
	u32 id;

	for (id = 0; id < ch->geo.max_clients; id++)
		if (ch->clients[id] && !ch->clients[id]->alive)
			forget_locked(ch, ch->clients[id]);
}

static struct venom_client *client_find(const struct venom_channel *ch, u32 id)
{
	return id < ch->geo.max_clients ? ch->clients[id] : NULL;
}

/* The daemon's decision about a shell's lanes: VENOM_LANE_*. */
int venom_client_done(struct venom_channel *ch, const struct venom_ioc_lane *arg)
{
	struct venom_client *cl;
	int rc = 0;

	if (arg->flags || arg->reserved || arg->what > VENOM_LANE_EVICT)
		return -EINVAL;
	mutex_lock(&venom_lock);
	cl = client_find(ch, arg->id);
	if (!cl || cl->generation != arg->generation)
		rc = -ENOENT;
	else if (arg->what == VENOM_LANE_EVICT)
		client_die_locked(ch, cl);
	else if (cl->alive)
		rc = -EBUSY;
	else if (arg->what == VENOM_LANE_KEEP)
		cl->kept = true;
	else
		forget_locked(ch, cl);
	mutex_unlock(&venom_lock);
	return rc;
}

/* Describe shell p->id to a daemon or an observer, or the daemon to a shell (cl is its lane). */
int venom_client_peer(struct venom_channel *ch, const struct venom_client *cl, struct venom_ioc_peer *p)
{
	struct pid_namespace *pids = task_active_pid_ns(current);
	struct user_namespace *users = current_user_ns();
	int rc = 0;

	if (p->flags || p->reserved || (cl && p->id))
		return -EINVAL;
	mutex_lock(&venom_lock);
	if (cl) {
		p->pid = ch->alive ? pid_nr_ns(ch->pid, pids) : 0;
		p->uid = from_kuid_munged(users, ch->uid);
		p->gid = from_kgid_munged(users, ch->gid);
		p->generation = 0;
		p->life = ch->alive ? VENOM_DAEMON_ALIVE : VENOM_DAEMON_GONE;
		p->may_command = 0;
		goto unlock;
	}
	cl = client_find(ch, p->id);
	if (!cl) {
		rc = -ENOENT;
		goto unlock;
	}
	p->pid = pid_nr_ns(cl->pid, pids);
	p->uid = from_kuid_munged(users, cl->uid);
	p->gid = from_kgid_munged(users, cl->gid);
	p->generation = cl->generation;
	p->life = cl->alive ? VENOM_SHELL_ALIVE : VENOM_SHELL_GONE;
	p->may_command = cl->may_command;
unlock:
	mutex_unlock(&venom_lock);
	return rc;
}

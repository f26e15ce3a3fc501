// SPDX-License-Identifier: GPL-2.0-only
/*
 * Channels by their names.
 *
 *	CREATE: make a new channel, in place of a dead daemon's if there is one; or resume that one
 *	death: `daemon` in the status page says so, then all sleepers are signalled and all pollers see a hang-up
 *	end: no daemon can resume the channel, the name is free
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/ipc_namespace.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "internal.h"
#include "trace.h"

DEFINE_MUTEX(venom_lock); /* see internal.h */
static LIST_HEAD(channels);
static u64 last_serial;

/* ---- rights ---- */

/*
 * The mqueue mount of the caller's IPC namespace stands for the namespace, to hold and to compare: each has its own.  A
 * module can't put a reference to the namespace itself, and without a reference another one could get its address.
 */
#if IS_ENABLED(CONFIG_IPC_NS) && !IS_ENABLED(CONFIG_POSIX_MQUEUE)
#error "venom tells IPC namespaces apart by their mqueue mounts: it needs CONFIG_POSIX_MQUEUE"
#endif
static struct vfsmount *venom_ns(void)
{
	return current->nsproxy->ipc_ns->mq_mnt;
}

/* True for root, in the user namespace of the IPC namespace. */
bool venom_ipc_owner(void)
{
	return ns_capable(current->nsproxy->ipc_ns->user_ns, CAP_IPC_OWNER);
}

/* The caller's rights, as bits: 4 may read, 2 may command. */
unsigned int venom_rights(const struct venom_channel *ch)
{
	unsigned int bits = ch->geo.mode;

	if (uid_eq(current_euid(), ch->uid))
		bits >>= 6;
	else if (in_egroup_p(ch->gid))
		bits >>= 3;
	bits &= 6;
	if (bits != 6 && venom_ipc_owner())
		bits = 6;
	return bits;
}

/* ---- names ---- */

int venom_name_check(const char *name)
{
	return venom_name_fault(name) < 0 ? 0 : -EINVAL;
}

static struct venom_channel *find_locked(const char *name)
{
	struct vfsmount *ns = venom_ns();
	struct venom_channel *ch;

	lockdep_assert_held(&venom_lock);
	list_for_each_entry(ch, &channels, node)
		if (ch->ns == ns && !strcmp(ch->name, name))
			return ch;
	return NULL;
}

/* Returns the channel with a reference, or NULL. */
struct venom_channel *venom_channel_get(const char *name)
{
	struct venom_channel *ch;

	mutex_lock(&venom_lock);
	ch = find_locked(name);
	if (ch)
		kref_get(&ch->ref);
	mutex_unlock(&venom_lock);
	return ch;
}

/* ---- create ---- */

/* The caller leaves the fields that the module computes at 0. */
static int geometry_check(const struct venom_geometry *g)
{
	if (g->payload || g->stride || g->first || g->page_size || memchr_inv(g->reserved, 0, sizeof(g->reserved)))
		return -EINVAL;
	return venom_geometry_fault(g) == VENOM_GEO_VALID ? 0 : -EINVAL;
}

static bool geometry_same(const struct venom_geometry *made, const struct venom_geometry *asked)
{
	struct venom_geometry g = *asked;

	venom_geometry_fill(&g, made->page_size);
	return !memcmp(&g, made, sizeof(g));
}

static int create_check(const struct venom_ioc_create *c)
{
	if (c->flags & ~(VENOM_CREATE_RESUME | VENOM_CREATE_FENCED) || c->resumed)
		return -EINVAL;
	if (c->huge > VENOM_IOC_HUGE_NEVER || (c->huge_size && c->huge_size != SZ_2M && c->huge_size != SZ_1G))
		return -EINVAL;
	return venom_name_check(c->name) ?: geometry_check(&c->geo);
}

static void channel_free(struct kref *ref)
{
	struct venom_channel *ch = container_of(ref, struct venom_channel, ref);
	u32 id;

	for (id = 0; id < ch->geo.max_clients; id++)
		if (ch->clients[id])
			venom_client_put(ch->clients[id]);
	venom_bells_drop(ch->bells);
	vunmap(ch->status);
	venom_area_put(ch->status_area);
	if (ch->state)
		fput(ch->state);
	venom_uncharge(&ch->charge);
	put_pid(ch->pid);
	mntput(ch->ns);
	kvfree(ch);
}

void venom_channel_put(struct venom_channel *ch)
{
	kref_put(&ch->ref, channel_free);
}

static void status_init(struct venom_channel *ch, bool fenced)
{
	struct venom_status *st = ch->status;

	st->head = (struct venom_area_head){
		.magic = VENOM_MAGIC,
		.abi = VENOM_ABI,
		.kind = VENOM_AREA_STATUS,
		.size = venom_status_bytes(ch->geo.max_clients),
		.epoch = ch->epoch,
	};
	st->shells = ch->geo.max_clients;
	st->owner = 1;
	ch->nwaiters = fenced;
	st->state_waiters = fenced;
}

/* Allocate a channel with all its pages.  No other process can find it yet. */
static struct venom_channel *channel_alloc(struct venom_ioc_create *c)
{
	struct venom_channel *ch;
	int rc;

	ch = kvzalloc(struct_size(ch, clients, c->geo.max_clients), GFP_KERNEL_ACCOUNT);
	if (!ch)
		return ERR_PTR(-ENOMEM);
	kref_init(&ch->ref);
	spin_lock_init(&ch->lock);
	init_waitqueue_head(&ch->wait);
	INIT_LIST_HEAD(&ch->node);
	INIT_LIST_HEAD(&ch->sleepers);
	strscpy(ch->name, c->name, sizeof(ch->name));
	ch->ns = mntget(venom_ns());
	ch->uid = current_euid();
	ch->gid = current_egid();
	ch->state = venom_state_alloc(c, &ch->charge);
	if (IS_ERR(ch->state)) {
		rc = PTR_ERR(ch->state);
		ch->state = NULL;
		goto put;
	}
	ch->geo = c->geo;
	ch->status_area = venom_area_alloc(venom_status_bytes(ch->geo.max_clients));
	if (IS_ERR(ch->status_area)) {
		rc = PTR_ERR(ch->status_area);
		ch->status_area = NULL;
		goto put;
	}
	ch->status = vmap(ch->status_area->pages, ch->status_area->nr, VM_MAP, PAGE_KERNEL);
	if (!ch->status) {
		rc = -ENOMEM;
		goto put;
	}
	return ch;
put:
	venom_channel_put(ch);
	return ERR_PTR(rc);
}

/* The caller becomes the channel's daemon. (model: takeover) */
static void daemon_comes_locked(struct venom_channel *ch, u64 epoch)
{
	lockdep_assert_held(&venom_lock);
	spin_lock(&ch->lock);
	put_pid(ch->pid);
	ch->pid = get_pid(task_tgid(current));
	ch->epoch = epoch;
	ch->alive = true;
	/* A shell that sees this epoch sees the last daemon's end: pairs with the acquire in venom_shell_gone(). */
	smp_store_release(&ch->status->epoch, epoch);
	/* A shell that sees ALIVE sees the epoch: pairs with the acquire in death_seen(). */
	smp_store_release(&ch->status->daemon, VENOM_DAEMON_ALIVE);
	spin_unlock(&ch->lock);
}

static void resume_locked(struct venom_channel *ch)
{
	u32 id;

	/* `kept` is what the last daemon knew; the new one does not know it. */
	for (id = 0; id < ch->geo.max_clients; id++)
		if (ch->clients[id])
			ch->clients[id]->kept = false;
	daemon_comes_locked(ch, ch->epoch + 1);
}

/* What CREATE does about the old channel: 0 replaces it (or there is none), 1 resumes it, negative fails. */
static int in_the_way_locked(const struct venom_channel *old, const struct venom_ioc_create *c)
{
	if (!old)
		return 0;
	if (old->alive)
		return -EBUSY;
	if (!uid_eq(old->uid, current_euid()))
		return -EEXIST;
	if (!(c->flags & VENOM_CREATE_RESUME))
		return 0;
	if (!geometry_same(&old->geo, &c->geo))
		return -EEXIST;
	/* The state may have one writer only, and its process lives: it has closed the device, but not unmapped. */
	return mapping_writably_mapped(old->state->f_mapping) ? -EBUSY : 1;
}

static void unlist_locked(struct venom_channel *ch)
{
	lockdep_assert_held(&venom_lock);
	ch->ended = true;
	list_del_init(&ch->node);
	venom_clients_free_dead_locked(ch);
}

static void insert_locked(struct venom_channel *ch, struct venom_channel *old, bool fenced)
{
	u64 epoch = 1;

	if (old) {
		epoch = old->epoch + 1;
		unlist_locked(old);
	}
	ch->serial = ++last_serial;
	ch->epoch = epoch;
	status_init(ch, fenced);
	list_add_tail(&ch->node, &channels);
	daemon_comes_locked(ch, epoch);
}

int venom_channel_create(struct venom_ioc_create *c, struct venom_channel **out)
{
	struct venom_channel *fresh = NULL, *old, *ch;
	int rc;

	rc = create_check(c);
	if (rc)
		return rc;
	/* Check; allocate, without the lock; check again. */
	for (;;) {
		mutex_lock(&venom_lock);
		old = find_locked(c->name);
		rc = in_the_way_locked(old, c);
		if (rc || fresh)
			break;
		mutex_unlock(&venom_lock);
		fresh = channel_alloc(c);
		if (IS_ERR(fresh))
			return PTR_ERR(fresh);
	}
	if (rc < 0)
		goto unlock;
	ch = rc ? old : fresh;
	if (rc) {
		kref_get(&ch->ref);
		resume_locked(ch);
	} else {
		fresh = NULL;
		insert_locked(ch, old, c->flags & VENOM_CREATE_FENCED);
	}
	c->geo = ch->geo;
	c->resumed = rc;
	c->epoch = ch->epoch;
	c->state_size = venom_state_bytes(&ch->geo);
	c->status_size = venom_status_bytes(ch->geo.max_clients);
	trace_venom_create(ch->name, ch->epoch, rc);
	*out = ch;
	rc = 0;
unlock:
	mutex_unlock(&venom_lock);
	if (fresh)
		venom_channel_put(fresh);
	return rc;
}

/* ---- death and end ---- */

/* Free the name of a channel that has neither daemon nor shell left. */
void venom_channel_settle_locked(struct venom_channel *ch)
{
	lockdep_assert_held(&venom_lock);
	if (ch->ended)
		venom_clients_free_dead_locked(ch);
	else if (!ch->alive && !ch->attached)
		unlist_locked(ch);
}

/* The daemon of this epoch can write no more.  With `end`, no daemon can resume the channel. (model: takeover) */
void venom_channel_die(struct venom_channel *ch, u64 epoch, bool end)
{
	struct eventfd_ctx *bells[VENOM_BELLS];
	u32 id;

	mutex_lock(&venom_lock);
	if (!venom_daemon_lives(ch, epoch)) {
		mutex_unlock(&venom_lock);
		return;
	}
	spin_lock(&ch->lock);
	ch->alive = false;
	memcpy(bells, ch->bells, sizeof(bells));
	memset(ch->bells, 0, sizeof(ch->bells));
	/* First the word, then the bells: a woken shell sees the word.  Pairs with the acquire in death_seen(). */
	smp_store_release(&ch->status->daemon, VENOM_DAEMON_GONE);
	for (id = 0; id < ch->geo.max_clients; id++) {
		struct venom_client *cl = ch->clients[id];

		if (!cl || !cl->alive)
			continue;
		venom_disarm_locked(ch, cl);
		venom_bell_signal_locked(cl->bells, VENOM_BELL_WAKE);
		venom_bell_signal_locked(cl->bells, VENOM_BELL_LIFE);
		cond_resched_lock(&ch->lock); /* clients[] can't change: venom_lock */
	}
	spin_unlock(&ch->lock);
	wake_up_poll(&ch->wait, EPOLLHUP);
	trace_venom_death(ch->name, ch->epoch, -1);
	if (end)
		unlist_locked(ch);
	else
		venom_channel_settle_locked(ch);
	mutex_unlock(&venom_lock);
	venom_bells_drop(bells);
}

/* ---- info ---- */

static void info_fill_locked(struct venom_channel *ch, struct venom_ioc_info *info)
{
	struct user_namespace *ns = current_user_ns();

	memcpy(info->name, ch->name, sizeof(info->name));
	info->cursor = ch->serial;
	info->geo = ch->geo;
	info->epoch = ch->epoch;
	info->pid = ch->alive ? pid_nr_ns(ch->pid, task_active_pid_ns(current)) : 0;
	info->uid = from_kuid_munged(ns, ch->uid);
	info->gid = from_kgid_munged(ns, ch->gid);
	info->alive = ch->alive;
	info->attached = ch->attached;
}

int venom_channel_info(struct venom_ioc_info *info)
{
	struct vfsmount *ns = venom_ns();
	struct venom_channel *ch;
	int rc = -ENOENT;

	if (info->name[0] && venom_name_check(info->name))
		return -EINVAL;
	mutex_lock(&venom_lock);
	list_for_each_entry(ch, &channels, node) {
		if (ch->ns != ns)
			continue;
		if (info->name[0] ? strcmp(ch->name, info->name) : ch->serial <= info->cursor)
			continue;
		if (venom_rights(ch) & 4) {
			info_fill_locked(ch, info);
			rc = 0;
			break;
		}
		if (info->name[0]) {
			rc = -EACCES;
			break;
		}
	}
	mutex_unlock(&venom_lock);
	return rc;
}

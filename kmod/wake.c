// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bells: eventfds that user space makes and the module signals.  They work with poll, epoll and io_uring as they are.
 *
 * Sleeping until a publish (the pairs of fences in libvenom's barrier.h, 5 and 6):
 *
 *	shell: venom_sleep(ARM)			publisher: wake_state, dev/daemon.c
 *	  state_sleepers++			  version
 *	  smp_mb				  fence_full
 *	  (user) newer version?  don't sleep	  state_sleepers?  WAKE_STATE
 */
#include <linux/eventfd.h>

#include "internal.h"
#include "trace.h"

#define WAKE_BATCH 16	/* shells signalled under one hold of the lock */

void venom_bell_signal_locked(struct eventfd_ctx *bells[VENOM_BELLS], unsigned int bell)
{
	if (bells[bell])
		venom_eventfd_signal(bells[bell]);
}

void venom_bells_drop(struct eventfd_ctx *bells[VENOM_BELLS])
{
	unsigned int i;

	for (i = 0; i < VENOM_BELLS; i++)
		if (bells[i])
			eventfd_ctx_put(bells[i]);
}

int venom_bell_set(struct venom_file *vf, const struct venom_ioc_eventfd *e)
{
	struct eventfd_ctx *ctx = NULL;
	struct venom_channel *ch = vf->ch;
	int rc = 0;

	if (e->flags || e->bell >= VENOM_BELLS || e->fd < -1)
		return -EINVAL;
	if (vf->client && e->bell == VENOM_BELL_MOVED)
		return -EBADFD;
	if (e->fd >= 0) {
		ctx = eventfd_ctx_fdget(e->fd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
	}
	mutex_lock(&venom_lock);
	if (vf->client ? !vf->client->alive : !venom_daemon_lives(ch, vf->epoch)) {
		rc = -EPIPE;
	} else {
		struct eventfd_ctx **at = vf->client ? vf->client->bells : ch->bells;

		spin_lock(&ch->lock);
		swap(at[e->bell], ctx);
		spin_unlock(&ch->lock);
	}
	mutex_unlock(&venom_lock);
	if (ctx)
		eventfd_ctx_put(ctx);
	return rc;
}

/* The next publish does not wake this shell any more. (model: wake-module) */
void venom_disarm_locked(struct venom_channel *ch, struct venom_client *cl)
{
	lockdep_assert_held(&ch->lock);
	if (list_empty(&cl->armed))
		return;
	list_del_init(&cl->armed);
	WRITE_ONCE(ch->status->state_sleepers, --ch->nsleepers);
	venom_life_set_locked(ch, cl, VENOM_SHELL_ALIVE);
}

/* model: wake-module */
static void arm_locked(struct venom_channel *ch, struct venom_client *cl)
{
	if (!list_empty(&cl->armed))
		return;
	list_add_tail(&cl->armed, &ch->sleepers);
	venom_life_set_locked(ch, cl, VENOM_SHELL_ALIVE | VENOM_SHELL_ARMED);
	WRITE_ONCE(ch->status->state_sleepers, ++ch->nsleepers);
}

/* model: wake-module */
int venom_sleep(struct venom_channel *ch, struct venom_client *cl, unsigned int what)
{
	int rc = 0;

	spin_lock(&ch->lock);
	if (!cl->alive || !ch->alive) {
		rc = -EPIPE;
	} else if (what == VENOM_SLEEP_ARM) {
		arm_locked(ch, cl);
	} else if (what == VENOM_SLEEP_DISARM) {
		venom_disarm_locked(ch, cl);
	} else if (!cl->watching) {
		cl->watching = true;
		WRITE_ONCE(ch->status->state_waiters, ++ch->nwaiters);
	}
	spin_unlock(&ch->lock);
	smp_mb(); /* the status word before the caller's next look at the state, see above */
	return rc;
}

/* Wake all shells armed now, in batches; one armed meanwhile is left to the next publish. (model: wake-module) */
static int wake_state(struct venom_channel *ch)
{
	unsigned int left, n, woken = 0;

	spin_lock(&ch->lock);
	left = ch->nsleepers;
	spin_unlock(&ch->lock);
	while (left) {
		spin_lock(&ch->lock);
		for (n = 0; n < WAKE_BATCH && left; n++, left--) {
			struct venom_client *cl = list_first_entry_or_null(&ch->sleepers, struct venom_client, armed);

			if (!cl) {
				left = 0;
				break;
			}
			venom_disarm_locked(ch, cl);
			venom_bell_signal_locked(cl->bells, VENOM_BELL_WAKE);
			woken++;
		}
		spin_unlock(&ch->lock);
		cond_resched();
	}
	return woken;
}

static int wake_daemon(struct venom_channel *ch, const struct venom_client *cl, unsigned int bell)
{
	int rc = 0;

	if (bell == VENOM_BELL_WAKE && !cl->may_command)
		return -EACCES;
	spin_lock(&ch->lock);
	if (ch->alive && cl->alive)
		venom_bell_signal_locked(ch->bells, bell);
	else
		rc = -EPIPE;
	spin_unlock(&ch->lock);
	return rc;
}

static int wake_shell(struct venom_channel *ch, u32 id)
{
	struct venom_client *cl;
	int rc = 0;

	if (id >= ch->geo.max_clients)
		return -ENOENT;
	spin_lock(&ch->lock);
	cl = ch->clients[id];
	if (!cl)
		rc = -ENOENT;
	else if (!cl->alive)
		rc = -EPIPE;
	else
		venom_bell_signal_locked(cl->bells, VENOM_BELL_WAKE);
	spin_unlock(&ch->lock);
	return rc;
}

int venom_wake(struct venom_file *vf, const struct venom_ioc_wake *w)
{
	int rc;

	if (w->flags || w->what > VENOM_WAKE_MOVED || (w->what != VENOM_WAKE_SHELL && w->id))
		return -EINVAL;
	if (!vf->client == (w->what != VENOM_WAKE_SHELL && w->what != VENOM_WAKE_STATE))
		return -EBADFD;
	switch (w->what) {
	case VENOM_WAKE_DAEMON:
		rc = wake_daemon(vf->ch, vf->client, VENOM_BELL_WAKE);
		break;
	case VENOM_WAKE_LIFE:
		rc = wake_daemon(vf->ch, vf->client, VENOM_BELL_LIFE);
		break;
	case VENOM_WAKE_MOVED:
		rc = wake_daemon(vf->ch, vf->client, VENOM_BELL_MOVED);
		break;
	case VENOM_WAKE_SHELL:
		rc = wake_shell(vf->ch, w->id);
		break;
	default:
		rc = wake_state(vf->ch);
	}
	trace_venom_wake(vf->ch->name, w->what, w->id, rc);
	return rc;
}

// SPDX-License-Identifier: GPL-2.0-only
/* The calls: this file copies their arguments in and out, and checks the role of the file against a table. */
#include <linux/pagemap.h>
#include <linux/uaccess.h>

#include "internal.h"

union venom_args {
	struct venom_ioc_create create;
	struct venom_ioc_connect connect;
	struct venom_ioc_eventfd eventfd;
	struct venom_ioc_wake wake;
	struct venom_ioc_sleep sleep;
	struct venom_ioc_lane lane;
	struct venom_ioc_peer peer;
	struct venom_ioc_info info;
	struct venom_ioc_end end;
};

/* Where an answer goes: the caller's struct, up to the size that both the caller and the module know. */
struct venom_out {
	void __user *to;
	size_t size;
};

static int answer(const struct venom_out *out, const void *from)
{
	return copy_to_user(out->to, from, out->size) ? -EFAULT : 0;
}

/* Give the file its role.  A caller that gets the role from venom_role() sees all the other fields, too. */
static void become(struct venom_file *vf, enum venom_role role, struct venom_channel *ch, u64 epoch,
		   struct venom_client *client)
{
	vf->ch = ch;
	vf->epoch = epoch;
	vf->client = client;
	vf->pid = get_pid(task_tgid(current));
	vf->mm = current->mm;
	mmgrab(vf->mm);
	smp_store_release(&vf->role, role); /* pairs with the acquire in venom_role() */
}

/*
 * Other processes see a new channel or shell at once, and would see its removal.  So CREATE and CONNECT check first
 * that the answer can be copied out.  If the caller unmaps its struct meanwhile, the new channel or shell is ended.
 */
static int do_create(struct venom_file *vf, union venom_args *a, const struct venom_out *out)
{
	struct venom_ioc_create *c = &a->create;
	struct venom_channel *ch;
	int rc;

	if (venom_features_missing(c->features))
		return -EPROTO;
	c->features = VENOM_FEATURES;
	if (fault_in_safe_writeable(out->to, out->size))
		return -EFAULT;
	rc = venom_channel_create(c, &ch);
	if (rc)
		return rc;
	rc = answer(out, c);
	if (rc) {
		venom_channel_die(ch, c->epoch, !c->resumed);
		venom_channel_put(ch);
		return rc;
	}
	become(vf, VENOM_DAEMON, ch, c->epoch, NULL);
	return 0;
}

static int do_connect(struct venom_file *vf, union venom_args *a, const struct venom_out *out)
{
	struct venom_ioc_connect *c = &a->connect;
	struct venom_client *client = NULL;
	struct venom_channel *ch;
	int rc;

	if (c->flags & ~VENOM_CONNECT_OBSERVE || c->wants & ~VENOM_ROLES)
		return -EINVAL;
	if (c->wants && c->flags & VENOM_CONNECT_OBSERVE)
		return -EINVAL;
	if (venom_features_missing(c->features))
		return -EPROTO;
	c->features = VENOM_FEATURES;
	if (fault_in_safe_writeable(out->to, out->size))
		return -EFAULT;
	rc = venom_name_check(c->name);
	if (rc)
		return rc;
	ch = venom_channel_get(c->name);
	if (!ch)
		return -ENOENT;
	rc = venom_client_connect(ch, c, &client);
	if (!rc)
		rc = answer(out, c);
	if (!rc) {
		become(vf, client ? VENOM_SHELL : VENOM_OBSERVER, ch, 0, client);
		return 0;
	}
	if (client) {
		venom_client_die(ch, client);
		venom_client_put(client);
	}
	venom_channel_put(ch);
	return rc;
}

static int do_eventfd(struct venom_file *vf, union venom_args *a, const struct venom_out *out)
{
	return venom_bell_set(vf, &a->eventfd);
}

static int do_wake(struct venom_file *vf, union venom_args *a, const struct venom_out *out)
{
	return venom_wake(vf, &a->wake);
}

static int do_sleep(struct venom_file *vf, union venom_args *a, const struct venom_out *out)
{
	if (a->sleep.flags || a->sleep.reserved || a->sleep.what > VENOM_SLEEP_DISARM)
		return -EINVAL;
	return venom_sleep(vf->ch, vf->client, a->sleep.what);
}

static int do_lane(struct venom_file *vf, union venom_args *a, const struct venom_out *out)
{
	return venom_client_done(vf->ch, &a->lane);
}

static int do_peer(struct venom_file *vf, union venom_args *a, const struct venom_out *out)
{
	int rc = venom_client_peer(vf->ch, vf->client, &a->peer);

	return rc ?: answer(out, &a->peer);
}

static int do_info(struct venom_file *vf, union venom_args *a, const struct venom_out *out)
{
	int rc;

	if (a->info.flags || a->info.reserved)
		return -EINVAL;
	rc = venom_channel_info(&a->info);
	return rc ?: answer(out, &a->info);
}

static int do_end(struct venom_file *vf, union venom_args *a, const struct venom_out *out)
{
	if (a->end.flags)
		return -EINVAL;
	venom_channel_die(vf->ch, vf->epoch, true);
	return 0;
}

#define NOBODY BIT(VENOM_NOBODY)
#define DAEMON BIT(VENOM_DAEMON)
#define SHELL  BIT(VENOM_SHELL)
#define OBSERVER BIT(VENOM_OBSERVER)

struct venom_call {
	unsigned int cmd;
	unsigned int size;		/* of the struct in this version */
	unsigned int min;		/* of the struct's first version */
	unsigned int roles;
	int (*fn)(struct venom_file *vf, union venom_args *a, const struct venom_out *out);
};

/* last: the last field of the struct's first version. */
#define CALL(name, arg, last, roles_, fn_) {                   \
	.cmd = name,                                           \
	.size = sizeof_field(union venom_args, arg),           \
	.min = offsetofend(struct venom_ioc_##arg, last),      \
	.roles = roles_,                                       \
	.fn = fn_,                                             \
}

static const struct venom_call calls[] = {
	CALL(VENOM_IOC_CREATE, create, features, NOBODY, do_create),
	CALL(VENOM_IOC_CONNECT, connect, features, NOBODY, do_connect),
	CALL(VENOM_IOC_EVENTFD, eventfd, bell, DAEMON | SHELL, do_eventfd),
	CALL(VENOM_IOC_WAKE, wake, id, DAEMON | SHELL, do_wake),
	CALL(VENOM_IOC_SLEEP, sleep, reserved, SHELL, do_sleep),
	CALL(VENOM_IOC_LANE, lane, reserved, DAEMON, do_lane),
	CALL(VENOM_IOC_PEER, peer, reserved, DAEMON | SHELL | OBSERVER, do_peer),
	CALL(VENOM_IOC_INFO, info, reserved, NOBODY | DAEMON | SHELL | OBSERVER, do_info),
	CALL(VENOM_IOC_END, end, flags, DAEMON, do_end),
};

static int run(struct venom_file *vf, const struct venom_call *call, union venom_args *a, const struct venom_out *out)
{
	int role = venom_role(vf);

	if (role < 0)
		return role;
	if (!(call->roles & BIT(role)))
		return -EBADFD;
	return call->fn(vf, a, out);
}

long venom_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct venom_file *vf = file->private_data;
	struct venom_out out = { .to = (void __user *)arg };
	const struct venom_call *call = calls;
	union venom_args a = {};
	u32 size;
	int rc;

	while (call->cmd != cmd)
		if (++call == calls + ARRAY_SIZE(calls))
			return -ENOTTY;
	if (get_user(size, (u32 __user *)out.to))
		return -EFAULT;
	if (size < call->min)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	rc = copy_struct_from_user(&a, call->size, out.to, size);
	if (rc)
		return rc;
	out.size = min(size, call->size);
	if (call->roles != NOBODY)
		return run(vf, call, &a, &out);
	/* A file gets its role in one thread at a time. */
	rc = mutex_lock_interruptible(&vf->lock);
	if (rc)
		return rc;
	rc = run(vf, call, &a, &out);
	mutex_unlock(&vf->lock);
	return rc;
}

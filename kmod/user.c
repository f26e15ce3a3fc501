// SPDX-License-Identifier: GPL-2.0-only
/* Limits of what a user may take of a machine shared with others; they are module parameters. */
#include <linux/capability.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "internal.h"

static unsigned int channels_per_user = 256;
module_param(channels_per_user, uint, 0644);
MODULE_PARM_DESC(channels_per_user, "channels that a user may have at once (256)");

static unsigned long mib_per_user;
module_param(mib_per_user, ulong, 0644);
MODULE_PARM_DESC(mib_per_user, "MiB that a user's areas may take, 0: half of the memory (0)");

struct venom_user {
	struct list_head node;
	kuid_t uid;
	unsigned int charges;		/* venom_charges that point here */
	unsigned int channels;
	u64 bytes;
};

static LIST_HEAD(users);
static DEFINE_SPINLOCK(users_lock);

static bool over_limit(const struct venom_user *u, unsigned int channels, u64 bytes)
{
	unsigned long mib = READ_ONCE(mib_per_user);
	u64 most = mib ? (u64)min(mib, ULONG_MAX >> 20) << 20 : (u64)totalram_pages() << (PAGE_SHIFT - 1);

	return (channels && u->channels + channels > READ_ONCE(channels_per_user)) || bytes > most ||
	       u->bytes > most - bytes;
}

static struct venom_user *find_locked(kuid_t uid)
{
	struct venom_user *u;

	lockdep_assert_held(&users_lock);
	list_for_each_entry(u, &users, node)
		if (uid_eq(u->uid, uid))
			return u;
	return NULL;
}

/* CAP_SYS_RESOURCE overrides the limits, as elsewhere. */
int venom_charge(struct venom_charge *c, unsigned int channels, u64 bytes)
{
	struct venom_user *u, *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	int rc = 0;

	if (!fresh)
		return -ENOMEM;
	spin_lock(&users_lock);
	u = find_locked(current_euid());
	if (!u) {
		u = fresh;
		u->uid = current_euid();
		list_add(&u->node, &users);
		fresh = NULL;
	}
	if (over_limit(u, channels, bytes) && !capable(CAP_SYS_RESOURCE))
		rc = -EDQUOT;
	if (!rc) {
		u->channels += channels;
		u->bytes += bytes;
		u->charges++;
		*c = (struct venom_charge){ .user = u, .channels = channels, .bytes = bytes };
	} else if (!u->charges) {
		list_del(&u->node);
		fresh = u;
	}
	spin_unlock(&users_lock);
	kfree(fresh);
	return rc;
}

void venom_uncharge(struct venom_charge *c)
{
	struct venom_user *u = c->user;

	if (!u)
		return;
	c->user = NULL;
	spin_lock(&users_lock);
	u->channels -= c->channels;
	u->bytes -= c->bytes;
	if (--u->charges)
		u = NULL;
	else
		list_del(&u->node);
	spin_unlock(&users_lock);
	kfree(u);
}

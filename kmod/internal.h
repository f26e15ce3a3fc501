/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside venom.ko.
 *
 *	main.c		the device: open, flush and release (they notice deaths), poll, fdinfo
 *	ioctl.c		the calls: arguments in and out, which role may make which call
 *	channel.c	names: create, resume, look up, end
 *	client.c	shells: connect, evict, forget
 *	wake.c		eventfds, sleepers
 *	area.c		pages: the module's own, and the state's file
 *	mmap.c		which role maps which of them, and how
 *	user.c		limits of each user, as module parameters
 *
 * The module never reads or writes a page that a user process can write.  Only the module writes the status page; it
 * writes the heads of lanes before any process can map them.
 *
 * Locks, outermost first; code that takes two takes them in this order:
 *
 *	venom_file.lock		mutex, CREATE and CONNECT: one role for each file
 *	venom_lock		mutex: the list of channels; daemons and shells that come and die, in all channels
 *	venom_channel.lock	spinlock: a channel's clients[], bells, sleepers and the words of its status page
 *	(eventfd's own)
 *
 * clients[], alive, attached and all `life` (except its ARMED flag) change with both venom_lock and the channel's lock
 * held: either lock is enough to read them.  User memory is touched with neither held: a fault takes the mmap lock,
 * under which .mmap takes the channel's.  users_lock (user.c) is a leaf.
 *
 * References: a venom_file holds one to its channel, and a shell's file one to its client; a channel holds one to each
 * client, a client to its areas, a map of an area to that area.  A channel is in the list while it has a living daemon
 * or a living shell, and has not ended (VENOM_IOC_END, or a new channel has taken its name).
 */
#ifndef VENOM_INTERNAL_H
#define VENOM_INTERNAL_H

#include <linux/cred.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/venom.h>

#include "compat.h"

#ifndef CONFIG_64BIT
#error "venom's areas and mmap offsets need 64 bits"
#endif

/* ---- user.c ---- */

struct venom_user;

/* What is charged to a user's limits.  venom_uncharge() gives it back; a second call does nothing. */
struct venom_charge {
	struct venom_user *user;
	unsigned int channels;
	u64 bytes;
};

int venom_charge(struct venom_charge *c, unsigned int channels, u64 bytes);
void venom_uncharge(struct venom_charge *c);

/* ---- area.c ---- */

/* A run of the module's own pages: zeroed, never swapped, never freed while mapped. */
struct venom_area {
	struct kref ref;
	unsigned long nr;
	struct page *pages[];
};

struct venom_area *venom_area_alloc(u64 bytes);
void venom_area_get(struct venom_area *a);
void venom_area_put(struct venom_area *a);

int venom_areas_init(void);
void venom_areas_exit(void);
struct file *venom_state_alloc(struct venom_ioc_create *c, struct venom_charge *charge);
bool venom_is_huge(const struct file *file);
unsigned int *venom_state_seals(struct file *file);

/* ---- a client: a shell and its lane, as the channel sees them ---- */

struct venom_client {
	struct kref ref;
	u32 id, generation;
	struct pid *pid;
	kuid_t uid;
	kgid_t gid;
	bool may_command;
	struct venom_area *commands, *responses;
	struct venom_charge charge;

	/* venom_lock and channel.lock */
	bool alive;
	bool kept;			/* dead, and the daemon knows: the lane has commands left */

	/* channel.lock */
	struct eventfd_ctx *bells[VENOM_BELLS];
	bool watching;			/* counted in state_waiters */
	struct list_head armed;		/* in channel.sleepers */
};

/* ---- a channel ---- */

struct venom_channel {
	struct kref ref;
	char name[VENOM_NAME_LEN];
	struct vfsmount *ns;		/* see venom_ns() */
	u64 serial;			/* the cursor of INFO */
	kuid_t uid;
	kgid_t gid;
	struct venom_geometry geo;
	struct file *state;
	struct venom_area *status_area;
	struct venom_status *status;	/* the same pages, as the module writes them */
	struct venom_charge charge;
	wait_queue_head_t wait;		/* pollers, for a hang-up */

	/* venom_lock */
	struct list_head node;		/* in channels, if not empty */
	bool ended;			/* no daemon can resume it */
	u32 generation;			/* of the newest shell */

	/* venom_lock and lock */
	bool alive;			/* the daemon */
	struct pid *pid;		/* the daemon's */
	u64 epoch;
	unsigned int attached;

	spinlock_t lock;		/* for what follows; and see above */
	struct eventfd_ctx *bells[VENOM_BELLS];	/* the daemon's */
	struct list_head sleepers;	/* clients armed for state, in the order of arming */
	unsigned int nsleepers, nwaiters;
	struct venom_client *clients[];	/* by id */
};

/* ---- an open file ---- */

enum venom_role { VENOM_NOBODY, VENOM_DAEMON, VENOM_SHELL, VENOM_OBSERVER };

struct venom_file {
	struct mutex lock;		/* taken while the file gets its role */
	enum venom_role role;		/* stored last, a release; from then on only maps changes */
	struct mm_struct *mm;		/* of the process that gave the file its role */
	struct pid *pid;
	atomic_t maps;			/* of the module's own pages in that mm */
	struct venom_channel *ch;
	struct venom_client *client;	/* shell */
	u64 epoch;			/* daemon: its own, in the channel's count of daemons */
};

/* True while the daemon of this epoch has neither died nor ended.  Once false, it stays false. */
static inline bool venom_daemon_lives(const struct venom_channel *ch, u64 epoch)
{
	return READ_ONCE(ch->alive) && READ_ONCE(ch->epoch) == epoch;
}

/* The file's role, for its own process.  -EPERM for another process, -EPIPE for a daemon that is dead. */
int venom_role(struct venom_file *vf);
/* The file's process can write no more.  A second call does nothing. */
void venom_file_die(struct venom_file *vf);

/* ---- channel.c ---- */

extern struct mutex venom_lock;

int venom_channel_create(struct venom_ioc_create *c, struct venom_channel **ch);
void venom_channel_die(struct venom_channel *ch, u64 epoch, bool end);
void venom_channel_put(struct venom_channel *ch);
struct venom_channel *venom_channel_get(const char *name);
int venom_channel_info(struct venom_ioc_info *info);
int venom_name_check(const char *name);
bool venom_ipc_owner(void);
unsigned int venom_rights(const struct venom_channel *ch);
void venom_channel_settle_locked(struct venom_channel *ch);

/* ---- client.c ---- */

int venom_client_connect(struct venom_channel *ch, struct venom_ioc_connect *c, struct venom_client **client);
void venom_client_die(struct venom_channel *ch, struct venom_client *cl);
void venom_client_put(struct venom_client *cl);
int venom_client_done(struct venom_channel *ch, const struct venom_ioc_lane *arg);
int venom_client_peer(struct venom_channel *ch, const struct venom_client *cl, struct venom_ioc_peer *p);
void venom_clients_free_dead_locked(struct venom_channel *ch);
void venom_life_set_locked(struct venom_channel *ch, const struct venom_client *cl, u32 life);

/* ---- wake.c ---- */

void venom_bell_signal_locked(struct eventfd_ctx *bells[VENOM_BELLS], unsigned int bell);
void venom_bells_drop(struct eventfd_ctx *bells[VENOM_BELLS]);
int venom_bell_set(struct venom_file *vf, const struct venom_ioc_eventfd *e);
int venom_wake(struct venom_file *vf, const struct venom_ioc_wake *w);
int venom_sleep(struct venom_channel *ch, struct venom_client *cl, unsigned int what);
void venom_disarm_locked(struct venom_channel *ch, struct venom_client *cl);

/* ---- ioctl.c, mmap.c ---- */

long venom_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
int venom_mmap(struct file *file, struct vm_area_struct *vma);
unsigned long venom_get_unmapped_area(struct file *file, unsigned long addr, unsigned long len, unsigned long pgoff,
				      unsigned long flags);

#endif /* VENOM_INTERNAL_H */

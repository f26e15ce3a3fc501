// SPDX-License-Identifier: GPL-2.0-only
/*
 * venom: state and commands between processes of one host, on pages that have one writer each.
 *
 * What happens, and in which file:
 *
 *	a daemon opens /dev/venom and makes a channel: VENOM_IOC_CREATE	channel.c, area.c
 *	it maps the state for writing and publishes there		mmap.c
 *	a shell opens it too and attaches: VENOM_IOC_CONNECT		client.c
 *	it maps the state for reading, and lanes of its own		mmap.c
 *	they talk, without the module
 *	a sleeper is woken through an eventfd: VENOM_IOC_WAKE		wake.c
 *	one of them dies; the other is notified				here, channel.c, client.c
 *
 * Death.  Files of a process are closed after its maps are gone, so a daemon that is dead here can write no more.  But
 * another process, a forked child for example, may hold the same open file: then release comes late.  So two more
 * places check whether the file's process ends or has executed another program: each flush, and each unmap of an area
 * (mmap.c), for a process that has closed its descriptor and lives on with its maps.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

int venom_role(struct venom_file *vf)
{
	int role = smp_load_acquire(&vf->role); /* pairs with the release in become() */

	if (role == VENOM_NOBODY)
		return role;
	if (vf->mm != current->mm)
		return -EPERM;
	return role != VENOM_DAEMON || venom_daemon_lives(vf->ch, vf->epoch) ? role : -EPIPE;
}

static int venom_open(struct inode *inode, struct file *file)
{
	struct venom_file *vf = kzalloc(sizeof(*vf), GFP_KERNEL_ACCOUNT);

	if (!vf)
		return -ENOMEM;
	mutex_init(&vf->lock);
	file->private_data = vf;
	return nonseekable_open(inode, file);
}

void venom_file_die(struct venom_file *vf)
{
	switch (smp_load_acquire(&vf->role)) { /* pairs with the release in become() */
	case VENOM_DAEMON:
		venom_channel_die(vf->ch, vf->epoch, false);
		break;
	case VENOM_SHELL:
		venom_client_die(vf->ch, vf->client);
		break;
	default:
		break;
	}
}

/*
 * True if this close ends the owner: its last thread exits (mm is NULL by then), or it has executed another program.  A
 * thread with a file table of its own may exit alone: the process goes on.  exec closes files in the last thread, after
 * the point of no return but before the maps go: then the unmap of the last area notices the death, if there is a map.
 */
static bool owner_ends(const struct venom_file *vf)
{
	if (vf->pid != task_tgid(current))
		return false;
	if (!current->mm)
		return !atomic_read(&current->signal->live);
	return current->mm != vf->mm || (current->in_execve && !atomic_read(&vf->maps));
}

static int venom_flush(struct file *file, fl_owner_t id)
{
	struct venom_file *vf = file->private_data;

	if (smp_load_acquire(&vf->role) && owner_ends(vf)) /* pairs with the release in become() */
		venom_file_die(vf);
	return 0;
}

static int venom_release(struct inode *inode, struct file *file)
{
	struct venom_file *vf = file->private_data;

	if (vf->role != VENOM_NOBODY) {
		venom_file_die(vf);
		if (vf->client)
			venom_client_put(vf->client);
		venom_channel_put(vf->ch);
		put_pid(vf->pid);
		mmdrop(vf->mm);
	}
	mutex_destroy(&vf->lock);
	kfree(vf);
	return 0;
}

/* Poll reports only a hang-up; all else is signalled through eventfds. */
static __poll_t venom_poll(struct file *file, poll_table *pt)
{
	struct venom_file *vf = file->private_data;
	int role = smp_load_acquire(&vf->role); /* pairs with the release in become() */

	if (role == VENOM_NOBODY)
		return EPOLLERR;
	poll_wait(file, &vf->ch->wait, pt);
	if (role == VENOM_DAEMON)
		return venom_daemon_lives(vf->ch, vf->epoch) ? 0 : EPOLLHUP;
	if (!READ_ONCE(vf->ch->alive) || (vf->client && !READ_ONCE(vf->client->alive)))
		return EPOLLHUP;
	return 0;
}

static void venom_show_fdinfo(struct seq_file *m, struct file *file)
{
	static const char *const roles[] = { "none", "daemon", "shell", "observer" };
	struct venom_file *vf = file->private_data;
	int role = smp_load_acquire(&vf->role); /* pairs with the release in become() */

	seq_printf(m, "venom-role:\t%s\n", roles[role]);
	if (role == VENOM_NOBODY)
		return;
	seq_printf(m, "venom-name:\t%s\nvenom-epoch:\t%llu\nvenom-daemon:\t%s\nvenom-attached:\t%u\n",
		   vf->ch->name, READ_ONCE(vf->ch->epoch), READ_ONCE(vf->ch->alive) ? "alive" : "gone",
		   READ_ONCE(vf->ch->attached));
	seq_printf(m, "venom-state-bytes:\t%llu\nvenom-page-size:\t%llu\n", venom_state_bytes(&vf->ch->geo),
		   vf->ch->geo.page_size);
	if (vf->client)
		seq_printf(m, "venom-id:\t%u\nvenom-generation:\t%u\n", vf->client->id, vf->client->generation);
}

static const struct file_operations venom_fops = {
	.owner = THIS_MODULE,
	.open = venom_open,
	.flush = venom_flush,
	.release = venom_release,
	.unlocked_ioctl = venom_ioctl,
	.mmap = venom_mmap,
	.get_unmapped_area = venom_get_unmapped_area,
	.poll = venom_poll,
	.show_fdinfo = venom_show_fdinfo,
};

static struct miscdevice venom_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "venom",
	.fops = &venom_fops,
	.mode = 0660,
};

static int __init venom_init(void)
{
	int rc = venom_areas_init();

	if (rc)
		return rc;
	rc = misc_register(&venom_device);
	if (rc)
		venom_areas_exit();
	return rc;
}

static void __exit venom_exit(void)
{
	misc_deregister(&venom_device);
	venom_areas_exit();
}

module_init(venom_init);
module_exit(venom_exit);

MODULE_DESCRIPTION("Kernel-assisted local IPC: one writer for each page, notice of deaths, eventfd wakes");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which role maps what: each page has one writer; all others map it read-only, for good (VM_MAYWRITE cleared).
 *
 *	           daemon	shell			observer
 *	status     r		r			r
 *	state      rw		r			r
 *	commands   r		rw its own		r, of its own user's channel
 *	responses  rw		r its own		r, the same
 *
 * No map is inherited by fork, grown, executed, or written to a core file.
 */
#include <linux/fcntl.h>
#include <linux/hugetlb.h>

#include "internal.h"

#define PGOFF_KIND(pgoff) ((u32)((pgoff) >> (VENOM_MMAP_KIND_SHIFT - PAGE_SHIFT)))
#define PGOFF_ID(pgoff)	  ((u32)((pgoff) >> (VENOM_MMAP_ID_SHIFT - PAGE_SHIFT)) & \
			   ((1U << (VENOM_MMAP_KIND_SHIFT - VENOM_MMAP_ID_SHIFT)) - 1))
#define PGOFF_REST(pgoff) ((pgoff) & ((1UL << (VENOM_MMAP_ID_SHIFT - PAGE_SHIFT)) - 1))

/* ---- the module's own pages ---- */

static vm_fault_t area_fault(struct vm_fault *vmf)
{
	struct venom_file *vf = vmf->vma->vm_file->private_data;
	struct venom_area *a = vmf->vma->vm_private_data;
	unsigned long n = PGOFF_REST(vmf->pgoff);

	/* A forked child has the map if its parent asked for that (MADV_DOFORK), but it never gets the pages. */
	if (n >= a->nr || vmf->vma->vm_mm != vf->mm)
		return VM_FAULT_SIGBUS;
	get_page(a->pages[n]);
	vmf->page = a->pages[n];
	return 0;
}

static void area_open(struct vm_area_struct *vma)
{
	struct venom_file *vf = vma->vm_file->private_data;

	venom_area_get(vma->vm_private_data);
	if (vma->vm_mm == vf->mm)
		atomic_inc(&vf->maps);
}

/*
 * A map is removed.  If the whole address space goes (mm_users is 0), its process can write no more: all its maps, the
 * state's too, have been unlinked from their files before the first one is closed.
 */
static void area_close(struct vm_area_struct *vma)
{
	struct venom_file *vf = vma->vm_file->private_data;

	venom_area_put(vma->vm_private_data);
	if (vma->vm_mm != vf->mm)
		return;
	atomic_dec(&vf->maps);
	if (!atomic_read(&vf->mm->mm_users))
		venom_file_die(vf);
}

static const struct vm_operations_struct area_ops = {
	.open = area_open,
	.close = area_close,
	.fault = area_fault,
};

static int map_area(struct venom_area *a, struct vm_area_struct *vma)
{
	if (vma_pages(vma) > a->nr)
		return -EINVAL;
	vma->vm_private_data = a;
	vma->vm_ops = &area_ops;
	area_open(vma);
	return 0;
}

/* ---- the state ---- */

static int map_state(struct file *state, struct vm_area_struct *vma)
{
	unsigned long len = vma->vm_end - vma->vm_start;
	u64 size = i_size_read(file_inode(state));
	bool writer = vma->vm_flags & VM_WRITE;
	unsigned int *seals = venom_state_seals(state);
	int rc;

	/* A longer map would make the file grow. */
	if (venom_is_huge(state) ? len != size : len > size)
		return -EINVAL;
	if (venom_is_huge(state) && vma->vm_start & ~huge_page_mask(hstate_file(state)))
		return -EINVAL;
	/*
	 * One writable map is enough; with an earlier one the daemon could punch a hole while the seal is lifted.  Two
	 * threads can't race here: only the daemon's process may map for writing, and it holds its mmap lock.
	 */
	if (writer && mapping_writably_mapped(state->f_mapping))
		return -EBUSY;
	vma->vm_pgoff = 0;
	vma_set_file(vma, state);
	if (writer)
		*seals &= ~F_SEAL_FUTURE_WRITE;
	rc = call_mmap(state, vma);
	if (writer)
		*seals |= F_SEAL_FUTURE_WRITE;
	return rc;
}

/* ---- rights ---- */

static bool observer_may(const struct venom_channel *ch)
{
	return uid_eq(current_euid(), ch->uid) || venom_ipc_owner();
}

/* Returns 0 if this role may map this kind of area (a lane: of shell id), for writing if `write`. */
static int may_map(const struct venom_file *vf, int role, u32 kind, u32 id, bool write)
{
	bool lanes = kind == VENOM_AREA_COMMANDS || kind == VENOM_AREA_RESPONSES;

	if (!lanes && id)
		return -EINVAL;
	if (lanes && role == VENOM_SHELL && id != vf->client->id)
		return -EACCES;
	if (lanes && role == VENOM_OBSERVER && !observer_may(vf->ch))
		return -EACCES;
	if (!write)
		return 0;
	switch (kind) {
	case VENOM_AREA_STATE:
	case VENOM_AREA_RESPONSES:
		return role == VENOM_DAEMON ? 0 : -EACCES;
	case VENOM_AREA_COMMANDS:
		return role == VENOM_SHELL ? 0 : -EACCES;
	default:
		return -EACCES;
	}
}

/* Returns a lane's area with a reference, or NULL. */
static struct venom_area *lane_area(struct venom_file *vf, u32 kind, u32 id)
{
	struct venom_channel *ch = vf->ch;
	struct venom_client *cl = NULL;
	struct venom_area *a = NULL;

	spin_lock(&ch->lock);
	if (vf->client)
		cl = vf->client;
	else if (id < ch->geo.max_clients)
		cl = ch->clients[id];
	if (cl) {
		a = kind == VENOM_AREA_COMMANDS ? cl->commands : cl->responses;
		venom_area_get(a);
	}
	spin_unlock(&ch->lock);
	return a;
}

static int map_lane(struct venom_file *vf, u32 kind, u32 id, struct vm_area_struct *vma)
{
	struct venom_area *a = lane_area(vf, kind, id);
	int rc;

	if (!a)
		return -ENOENT;
	rc = map_area(a, vma);
	venom_area_put(a);
	return rc;
}

int venom_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct venom_file *vf = file->private_data;
	u32 kind = PGOFF_KIND(vma->vm_pgoff), id = PGOFF_ID(vma->vm_pgoff);
	int role = venom_role(vf), rc;

	if (role < 0)
		return role;
	if (role == VENOM_NOBODY)
		return -EBADFD;
	if (kind < VENOM_AREA_STATUS || kind > VENOM_AREA_RESPONSES || PGOFF_REST(vma->vm_pgoff))
		return -EINVAL;
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	rc = may_map(vf, role, kind, id, vma->vm_flags & VM_WRITE);
	if (rc)
		return rc;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	vm_flags_clear(vma, VM_MAYEXEC);
	if (!(vma->vm_flags & VM_WRITE))
		vm_flags_clear(vma, VM_MAYWRITE | VM_SHARED); /* as for a file opened read-only */
	if (kind == VENOM_AREA_STATE)
		return map_state(vf->ch->state, vma);
	if (kind == VENOM_AREA_STATUS)
		return map_area(vf->ch->status_area, vma);
	return map_lane(vf, kind, id, vma);
}

/* A map of huge pages needs an aligned address. */
unsigned long venom_get_unmapped_area(struct file *file, unsigned long addr, unsigned long len, unsigned long pgoff,
				      unsigned long flags)
{
	struct venom_file *vf = file->private_data;

	if (venom_role(vf) > VENOM_NOBODY && PGOFF_KIND(pgoff) == VENOM_AREA_STATE) {
		struct file *state = vf->ch->state;

		if (venom_is_huge(state))
			return state->f_op->get_unmapped_area(state, addr, len, 0, flags);
	}
	return venom_any_address(file, addr, len, pgoff, flags);
}

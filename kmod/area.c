// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages.
 *
 * Lanes and status are on the module's own pages: allocated one by one, accounted to the caller's memory cgroup, and in
 * no file, so that they can't be truncated, punched or swapped.
 *
 * The state is a file of hugetlbfs, or of shmem for base pages: code that pins or registers pages (io_uring's fixed
 * buffers, RDMA, GPUs) supports these.  The module mounts hugetlbfs for itself, once for each page size.  The file is
 * unlinked, owned by root, of mode 0, and sealed against resizing, holes and any further writable map: mmap.c lifts
 * that last seal while it makes the daemon's map.
 */
#include <linux/fcntl.h>
#include <linux/falloc.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

#include "internal.h"

#define STATE_NAME "venom:state"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

/* Fail where memory is short, instead of starting the OOM killer. */
#define GFP_AREA (GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* ---- the module's own pages ---- */

static void area_free(struct kref *ref)
{
	struct venom_area *a = container_of(ref, struct venom_area, ref);

	while (a->nr)
		__free_page(a->pages[--a->nr]);
	kvfree(a);
}

void venom_area_get(struct venom_area *a)
{
	kref_get(&a->ref);
}

void venom_area_put(struct venom_area *a)
{
	if (a)
		kref_put(&a->ref, area_free);
}

static bool memory_for(u64 bytes)
{
	return bytes >> PAGE_SHIFT <= (u64)max(si_mem_available(), 0L);
}

struct venom_area *venom_area_alloc(u64 bytes)
{
	unsigned long nr = bytes >> PAGE_SHIFT;
	struct venom_area *a;

	if (!memory_for(bytes))
		return ERR_PTR(-ENOMEM);
	a = kvzalloc(struct_size(a, pages, nr), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!a)
		return ERR_PTR(-ENOMEM);
	kref_init(&a->ref);
	while (a->nr < nr) {
		struct page *page = fatal_signal_pending(current) ? NULL : alloc_page(GFP_AREA | __GFP_ZERO);

		if (!page) {
			venom_area_put(a);
			return ERR_PTR(-ENOMEM);
		}
		a->pages[a->nr++] = page;
		cond_resched();
	}
	return a;
}

/* ---- the state's file ---- */

static struct vfsmount *huge_mounts[2];

#define HUGE_2M SZ_2M
#define HUGE_1G SZ_1G

int venom_areas_init(void)
{
	static const char *const options[] = { "pagesize=2M", "pagesize=1G" };
	struct file_system_type *type = get_fs_type("hugetlbfs");
	unsigned int i;

	if (!type)
		return 0; /* a kernel without hugetlbfs: base pages only */
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		char data[16];

		strscpy(data, options[i], sizeof(data));
		huge_mounts[i] = vfs_kern_mount(type, SB_KERNMOUNT, "venom", data);
		if (IS_ERR(huge_mounts[i]))
			huge_mounts[i] = NULL; /* a machine without pages of this size */
	}
	module_put(type->owner);
	return 0;
}

void venom_areas_exit(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(huge_mounts); i++)
		if (huge_mounts[i])
			kern_unmount(huge_mounts[i]);
}

/* is_file_hugepages() checks for more than this, and is not there for modules before 6.12. */
bool venom_is_huge(const struct file *file)
{
	return file_inode(file)->i_sb->s_magic == HUGETLBFS_MAGIC;
}

unsigned int *venom_state_seals(struct file *file)
{
	struct inode *inode = file_inode(file);

	return venom_is_huge(file) ? &HUGETLBFS_I(inode)->seals : &SHMEM_I(inode)->seals;
}

/* Allocate all pages now: a lack of them is an errno here, never a SIGBUS later. */
static int state_fill(struct file *file, u64 bytes)
{
	int rc = vfs_fallocate(file, 0, 0, bytes);

	return !rc && i_size_read(file_inode(file)) != bytes ? -ENOMEM : rc;
}

/* Give the file a name that says in /proc/PID/maps what it is, as shmem's name does. */
static struct file *state_name(struct file *tmp, struct vfsmount *mnt)
{
	struct inode *inode = file_inode(tmp);
	struct file *file;

	ihold(inode);
	file = alloc_file_pseudo(inode, mnt, STATE_NAME, O_RDWR | O_LARGEFILE, inode->i_fop);
	if (IS_ERR(file))
		iput(inode);
	fput(tmp);
	return file;
}

static struct file *state_open_huge(u64 page_size)
{
	struct vfsmount *mnt = huge_mounts[page_size == HUGE_1G];
	const struct cred *old;
	struct file *file;
	struct cred *cred;
	struct path dir;

	if (!mnt)
		return ERR_PTR(-ENOMEM);
	cred = prepare_kernel_cred(&init_task);
	if (!cred)
		return ERR_PTR(-ENOMEM);
	dir = (struct path){ .mnt = mnt, .dentry = mnt->mnt_root };
	old = override_creds(cred);
	file = venom_tmpfile(&dir, 0, O_RDWR | O_LARGEFILE);
	revert_creds(old);
	put_cred(cred);
	return IS_ERR(file) ? file : state_name(file, mnt);
}

static struct file *state_open_base(u64 bytes)
{
	struct file *file;

	if (!memory_for(bytes))
		return ERR_PTR(-ENOMEM);
	/* The file is made empty; the allocation makes it grow, as it does the huge one. */
	file = shmem_file_setup(STATE_NAME, 0, VM_NORESERVE);
	if (IS_ERR(file))
		return file;
	mapping_set_gfp_mask(file->f_mapping, GFP_HIGHUSER_MOVABLE | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	mapping_set_unevictable(file->f_mapping); /* not swapped: no read should wait for a disk */
	return file;
}

static struct file *state_make(struct venom_ioc_create *c, u64 page_size, struct venom_charge *charge)
{
	struct file *file;
	u64 bytes;
	int rc;

	venom_geometry_fill(&c->geo, page_size);
	bytes = venom_state_bytes(&c->geo);
	rc = venom_charge(charge, 1, bytes + venom_status_bytes(c->geo.max_clients));
	if (rc)
		return ERR_PTR(rc);
	file = page_size == PAGE_SIZE ? state_open_base(bytes) : state_open_huge(page_size);
	rc = PTR_ERR_OR_ZERO(file);
	if (rc)
		goto fail;
	rc = state_fill(file, bytes);
	if (rc) {
		fput(file);
		goto fail;
	}
	*venom_state_seals(file) |= SEALS;
	return file;
fail:
	venom_uncharge(charge);
	/* The file systems report a lack of memory in different ways. */
	return ERR_PTR(rc == -ENOSPC || rc == -EFBIG ? -ENOMEM : rc);
}

/*
 * Make a file for c's state, fill in the computed fields of c->geo, and charge the caller for a channel.  Unless huge
 * pages are required, base pages are used when huge ones are not there or exceed the caller's limit.
 */
struct file *venom_state_alloc(struct venom_ioc_create *c, struct venom_charge *charge)
{
	if (c->huge != VENOM_IOC_HUGE_NEVER) {
		struct file *file = state_make(c, c->huge_size ? c->huge_size : HUGE_2M, charge);
		int rc = PTR_ERR_OR_ZERO(file);

		if ((rc != -ENOMEM && rc != -EDQUOT) || c->huge == VENOM_IOC_HUGE_REQUIRE)
			return file;
	}
	return state_make(c, PAGE_SIZE, charge);
}

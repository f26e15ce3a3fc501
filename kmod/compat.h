/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The differences between the kernels that venom builds for, each with the version that changed it.  No other file of
 * the module checks the version.  Tested on 6.1 and 6.12, so before and after all of these changes.
 */
#ifndef VENOM_COMPAT_H
#define VENOM_COMPAT_H

#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/version.h>

/* 6.3: the flags of a vma are changed through functions. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/* 6.3: the function takes a mount's id map instead of its user namespace, and has another name. */
static inline struct file *venom_tmpfile(const struct path *dir, umode_t mode, int flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	return vfs_tmpfile_open(&init_user_ns, dir, mode, flags, current_cred());
#else
	return kernel_tmpfile_open(&nop_mnt_idmap, dir, mode, flags, current_cred());
#endif
}

/* 6.8: an eventfd is signalled once per call, without a count. */
static inline void venom_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

/* 6.10: the default is a function, not a pointer in the mm. */
static inline unsigned long venom_any_address(struct file *file, unsigned long addr, unsigned long len,
					      unsigned long pgoff, unsigned long flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	return current->mm->get_unmapped_area(file, addr, len, pgoff, flags);
#else
	return mm_get_unmapped_area(current->mm, file, addr, len, pgoff, flags);
#endif
}

/* 6.10: a trace event's string is assigned without naming its source again. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define venom_assign_str(dst, src) __assign_str(dst, src)
#else
#define venom_assign_str(dst, src) __assign_str(dst)
#endif

#endif /* VENOM_COMPAT_H */

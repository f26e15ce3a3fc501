/* SPDX-License-Identifier: MIT */
/*
 * Preloaded before the C library in run.sh --aarch64. qemu-user chooses addresses in steps of a small page, so it can
 * map huge pages only by luck, where the pool has some: with this library the machine has none.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int memfd_create(const char *name, unsigned int flags)
{
	if (flags & MFD_HUGETLB) {
		errno = ENOSYS;
		return -1;
	}
	return (int)syscall(SYS_memfd_create, name, flags);
}

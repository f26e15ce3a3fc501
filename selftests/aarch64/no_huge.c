/* SPDX-License-Identifier: MIT */
/*
 * Loaded before the C library in run.sh --aarch64.  qemu-user chooses addresses in steps of a small page, so whether it can
 * map huge ones, where the pool has some, is luck: with this the machine has none.
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

/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: areas.
 *
 * An area is a memfd that its writer makes, maps for writing, and then seals with F_SEAL_FUTURE_WRITE.  The writer's
 * map stays writable, but no process can make another writable map, or write, resize or punch holes in the file.  So a
 * process that gets the descriptor can read the area without fear of SIGBUS, and can't write it.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include "memfd/proto.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

void area_unmap(struct venom_map *map)
{
	if (map->p)
		munmap(map->p, map->size);
	map->p = NULL;
}

/* Keep gigabytes of frames out of core files, and keep a child from writing its parent's pages. */
static int area_advise(const struct venom_map *map)
{
	if (madvise(map->p, map->size, MADV_DONTDUMP) || madvise(map->p, map->size, MADV_DONTFORK))
		return venom_fail(-errno, "madvise(2) fails on an area: %s", venom_reason(errno));
	return 0;
}

#define PIECE (64ULL << 20) /* bytes allocated at once: a signal waits that long */

/*
 * Allocate all pages now: if there are too few, it is an errno here, not a SIGBUS later.  A signal interrupts
 * fallocate(2), which then frees what it had; under a fast timer it would never finish.  So each piece blocks signals.
 */
static int area_allocate(int fd, uint64_t size)
{
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	for (uint64_t at = 0, n; !rc && at < size; at += n) {
		n = size - at < PIECE ? size - at : PIECE;
		pthread_sigmask(SIG_SETMASK, &all, &old);
		rc = fallocate(fd, 0, (off_t)at, (off_t)n) ? -errno : 0;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	return rc == -ENOSPC || rc == -EFBIG ? -ENOMEM : rc;
}

/* Map the whole area with its pages (MAP_POPULATE): no page fault at the first use. */
static int area_map(struct venom_map *map, int fd, const char *what, int prot)
{
	map->p = mmap(NULL, map->size, prot, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map->p != MAP_FAILED)
		return 0;
	map->p = NULL;
	if (errno == EAGAIN) /* after mlockall(MCL_FUTURE) */
		return venom_fail(-ENOMEM, "the %s area of %zu bytes is over this process's limit of locked memory: raise it "
				  "(ulimit -l)", what, map->size);
	return venom_fail(-errno, "the %s area of %zu bytes can't be mapped: %s", what, map->size, venom_reason(errno));
}

int area_make(struct venom_map *map, int *fd, const char *what, uint64_t size, uint64_t huge_size)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	char name[64];
	int rc = venom_memory_for(what, size, huge_size);

	*fd = -1;
	if (rc)
		return rc;
	if (huge_size)
		flags |= MFD_HUGETLB | (unsigned int)__builtin_ctzll(huge_size) << MFD_HUGE_SHIFT;
	snprintf(name, sizeof(name), "venom:%s", what);
	*fd = venom_own(memfd_create(name, flags | MFD_NOEXEC_SEAL));
	if (*fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		*fd = venom_own(memfd_create(name, flags));
	if (*fd < 0) {
		if (huge_size && errno != EMFILE && errno != ENFILE)
			return -ENOMEM; /* no such huge pages here */
		return venom_fail(-errno, "the %s area can't be made: %s", what, venom_reason(errno));
	}
	rc = ftruncate(*fd, (off_t)size) ? -errno : area_allocate(*fd, size);
	if (rc) {
		if (!huge_size)
			venom_fail(rc, "the %s area's %llu bytes can't be had: %s", what, (unsigned long long)size,
				   venom_reason(-rc));
		goto fail;
	}
	map->size = size;
	rc = area_map(map, *fd, what, PROT_READ | PROT_WRITE);
	if (rc)
		goto fail;
	rc = area_advise(map);
	if (!rc && fcntl(*fd, F_ADD_SEALS, SEALS))
		rc = venom_fail(-errno, "the %s area can't be sealed: %s", what, venom_reason(errno));
	if (!rc)
		return 0;
	area_unmap(map);
fail:
	close_fd(fd);
	return rc;
}

int area_open(struct venom_map *map, int fd, const char *what, uint64_t size, bool may_be_huge)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;
	int rc;

	/* Check the seals first: only a memfd has them, so no call below can block on a hostile file system. */
	if (seals < 0)
		return venom_fail(-EPROTO, "the %s area is no memfd", what);
	if ((seals & SEALS) != SEALS)
		return venom_fail(-EPROTO, "the %s area's seals are 0x%x: it could still be changed by others", what,
				  seals);
	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return -errno;
	if (!may_be_huge && fs.f_type == HUGETLBFS_MAGIC)
		return venom_fail(-EPROTO, "the %s area is of huge pages", what);
	if (st.st_size <= 0 || (size && (uint64_t)st.st_size != size))
		return venom_fail(-EPROTO, "the %s area's size is %lld, not %llu", what, (long long)st.st_size,
				  (unsigned long long)size);
	/* The first read of a hole would allocate a page at our cost, or raise SIGBUS where memory is short. */
	if (st.st_blocks < st.st_size / 512)
		return venom_fail(-EPROTO, "the %s area has holes", what);
	map->size = st.st_size;
	rc = area_map(map, fd, what, PROT_READ);
	if (!rc)
		rc = area_advise(map);
	return rc;
}

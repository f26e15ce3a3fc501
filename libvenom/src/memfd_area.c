/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: areas.
 *
 * An area is a memfd that its writer makes, maps for writing, and then seals with F_SEAL_FUTURE_WRITE: the
 * writer's map goes on working, but no other can be made, by nobody, nor can the file be written, resized or
 * punched.  So whoever gets the descriptor can read it without fear of SIGBUS, and can't write.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include "proto.h"

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

/* Core files don't need gigabytes of frames, and a child must not write its parent's pages. */
static int area_advise(const struct venom_map *map)
{
	if (madvise(map->p, map->size, MADV_DONTDUMP) || madvise(map->p, map->size, MADV_DONTFORK))
		return -errno;
	return 0;
}

/*
 * Whether so much memory can be had without somebody being killed for it: the kernel hands out the pages of an area
 * that it can't hold, until the OOM killer comes.  A memory cgroup may still be stricter.
 */
static bool memory_for(uint64_t size)
{
	unsigned long long kib, available = 0, swap = 0;
	char line[128];
	FILE *f;

	if (size < 64ULL << 20)
		return true;
	f = fopen("/proc/meminfo", "re");
	if (!f)
		return true;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			available = kib << 10;
		else if (sscanf(line, "SwapFree: %llu", &kib) == 1)
			swap = kib << 10;
	}
	fclose(f);
	return !available || size <= available + swap;
}

int area_make(struct venom_map *map, int *fd, const char *what, uint64_t size, uint64_t huge_size)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	char name[64];
	int rc;

	if (!huge_size && !memory_for(size))
		return -ENOMEM;
	if (huge_size)
		flags |= MFD_HUGETLB | (unsigned int)__builtin_ctzll(huge_size) << MFD_HUGE_SHIFT;
	snprintf(name, sizeof(name), "venom:%s", what);
	*fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (*fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		*fd = memfd_create(name, flags);
	if (*fd < 0)
		return huge_size ? -ENOMEM : -errno;
	/* Take all pages now: a lack of them is an errno here, not a SIGBUS later. */
	rc = ftruncate(*fd, size) || fallocate(*fd, 0, 0, size) ? -errno : 0;
	if (rc == -ENOSPC || rc == -EFBIG)
		rc = -ENOMEM;
	if (rc)
		goto fail;
	map->size = size;
	map->p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (map->p == MAP_FAILED) {
		map->p = NULL;
		rc = -errno;
		goto fail;
	}
	rc = area_advise(map);
	if (!rc && fcntl(*fd, F_ADD_SEALS, SEALS))
		rc = -errno;
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

	/* First, as only a memfd answers it: nothing below can then block on a hostile file system. */
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
	/* A hole would be filled at the first look, at our cost, or with SIGBUS where memory is short. */
	if (st.st_blocks < st.st_size / 512)
		return venom_fail(-EPROTO, "the %s area has holes", what);
	map->size = st.st_size;
	map->p = mmap(NULL, map->size, PROT_READ, MAP_SHARED, fd, 0);
	if (map->p == MAP_FAILED) {
		map->p = NULL;
		return -errno;
	}
	return area_advise(map);
}

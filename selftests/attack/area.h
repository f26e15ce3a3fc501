/* SPDX-License-Identifier: MIT */
/*
 * The areas that a process has mapped, as the kernel reports them, and all the tricks with which it might become the
 * writer of one, or take its pages away.
 */
#ifndef VENOM_TEST_AREA_H
#define VENOM_TEST_AREA_H

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/dev.h"
#include "lib/harness.h"

/* A mapping of this process, found by the name of its file; on the module, by its offset in the device. */
struct area {
	char *p;
	size_t size;
	char perms[8];
	char flags[128];
	unsigned long page_kb;
};

static const char *const areas[] = {"status", "state", "commands", "responses"}; /* in the order of VENOM_AREA_* */

/* Does this line of smaps begin a mapping of the area `what`? */
static inline bool is_area(const char *line, const char *what)
{
	unsigned long long offset = 0;
	char name[64];

	snprintf(name, sizeof(name), "venom:%s ", what); /* "/memfd:venom:state (deleted)" */
	if (strstr(line, name))
		return true;
	if (!strstr(line, "/dev/venom") || sscanf(line, "%*x-%*x %*s %llx", &offset) != 1)
		return false;
	offset >>= VENOM_MMAP_KIND_SHIFT;
	return offset && offset <= ARRAY_SIZE(areas) && !strcmp(areas[offset - 1], what);
}

/* Finds the n-th mapping (from 0) of the area `what` in this process; false if there is none. */
static inline bool find_area(struct area *a, const char *what, int n)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], perms[8];
	bool here = false, found = false;
	unsigned long from, to;

	memset(a, 0, sizeof(*a));
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, perms) == 3) {
			here = is_area(line, what) && n-- == 0;
			if (here) {
				found = true;
				a->p = (char *)from;
				a->size = to - from;
				memcpy(a->perms, perms, sizeof(perms));
			}
		} else if (here) {
			sscanf(line, "KernelPageSize: %lu kB", &a->page_kb);
			if (!strncmp(line, "VmFlags:", 8))
				snprintf(a->flags, sizeof(a->flags), "%.127s", line + 8);
		}
	}
	if (f)
		fclose(f);
	return found;
}

/* Does a write through /proc/self/mem succeed, as a debugger does it?  (Then it is undone.) */
__attribute__((no_sanitize_thread)) static inline bool write_by_proc_mem(void *p)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	unsigned char was = *(volatile unsigned char *)p, now = (unsigned char)~was;
	ssize_t n = pwrite(fd, &now, 1, (off_t)(uintptr_t)p);

	close(fd);
	now = *(volatile unsigned char *)p;
	if (n == 1 && now != was)
		*(volatile unsigned char *)p = was;
	return n == 1 || now != was;
}

/* Tries all ways in which a process without the right might become a writer of this area. */
static inline void check_read_only(const char *what)
{
	struct area a;
	char path[64];
	int fd;

	VT_CHECK(find_area(&a, what, 0));
	VT_CHECK(!strcmp(a.perms, "r--s"));
	VT_CHECK(mprotect(a.p, a.size, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
	VT_CHECK(!write_by_proc_mem(a.p));
	VT_CHECK(!write_by_proc_mem(a.p + a.size / 2));
	VT_CHECK(madvise(a.p, a.size, MADV_REMOVE) == -1);
	/* Through the file behind the mapping, where this user may open that at all. */
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)a.p, (unsigned long)(a.p + a.size));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	VT_CHECK(mmap(NULL, a.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	VT_CHECK(pwrite(fd, "x", 1, 0) == -1);
	VT_CHECK(ftruncate(fd, 0) == -1);
	VT_CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)a.size) == -1);
	close(fd);
}

/* The writer itself can write, and can't take a page away from the readers. */
static inline void check_writable(const char *what)
{
	struct area a;
	char path[64];
	int fd;

	VT_CHECK(find_area(&a, what, 0));
	VT_CHECK(!strcmp(a.perms, "rw-s"));
	VT_CHECK(write_by_proc_mem(a.p + a.size - 1));
	VT_CHECK(madvise(a.p, a.size, MADV_REMOVE) == -1);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)a.p, (unsigned long)(a.p + a.size));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	VT_CHECK(ftruncate(fd, 0) == -1);
	VT_CHECK(ftruncate(fd, (off_t)a.size * 2) == -1);
	VT_CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)a.size) == -1);
	VT_CHECK(mmap(NULL, a.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	close(fd);
}

#endif /* VENOM_TEST_AREA_H */

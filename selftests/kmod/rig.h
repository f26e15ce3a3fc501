/* SPDX-License-Identifier: MIT */
/*
 * A channel as three roles of one process see it, its maps as the kernel reports them, and all the tricks that are
 * tried on a map.
 */
#ifndef VENOM_TEST_KMOD_RIG_H
#define VENOM_TEST_KMOD_RIG_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "kmod/common.h"

enum role { NOTHING, DAEMON, SHELL, OBSERVER, ROLES };
static const char *const role_names[] = {"nothing", "daemon", "shell", "observer"};

/* By kind of area, VENOM_AREA_*. */
static const char *const area_names[] = {"?", "status", "state", "commands", "responses"};
static const enum role writers[] = {NOTHING, NOTHING, DAEMON, SHELL, DAEMON};
#define AREAS(k) (unsigned int k = VENOM_AREA_STATUS; k <= VENOM_AREA_RESPONSES; k++)

#define RW (PROT_READ | PROT_WRITE)

static inline bool is_lane(unsigned int kind)
{
	return kind == VENOM_AREA_COMMANDS || kind == VENOM_AREA_RESPONSES;
}

/* ---- one map of this process, as the kernel reports it ---- */

struct vma {
	char *from, *to;
	char perms[8], flags[128];
	unsigned long page_kb, mmu_kb;
};

static inline bool find_vma(struct vma *v, const void *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	char line[512], perms[8];
	bool here = false, found = false;

	memset(v, 0, sizeof(*v));
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, perms) == 3) {
			here = from <= (uintptr_t)p && (uintptr_t)p < to;
			if (here) {
				found = true;
				v->from = (char *)from;
				v->to = (char *)to;
				memcpy(v->perms, perms, sizeof(perms));
			}
		} else if (here) {
			sscanf(line, "KernelPageSize: %lu kB", &v->page_kb);
			sscanf(line, "MMUPageSize: %lu kB", &v->mmu_kb);
			if (!strncmp(line, "VmFlags:", 8))
				snprintf(v->flags, sizeof(v->flags), "%.126s ", strtok(line + 8, "\n"));
		}
	}
	if (f)
		fclose(f);
	return found;
}

static inline bool is_mapped(const void *p)
{
	unsigned char in;

	return !mincore((void *)((uintptr_t)p & ~(uintptr_t)4095), 4096, &in) || errno != ENOMEM;
}

/* ---- bytes ---- */

/* A pattern over the area, except its head; in a very large area only at its start and its end. */
#define PART (1UL << 20)
#define HEAD 512

static inline void fill(char *p, size_t size, uint32_t v)
{
	size_t n = size - HEAD < PART ? size - HEAD : PART;

	vt_fill(p + HEAD, n, v);
	if (size > 4 * PART)
		vt_fill(p + size - PART, PART, v + 1);
}

static inline bool is(const char *p, size_t size, uint32_t v)
{
	size_t n = size - HEAD < PART ? size - HEAD : PART;

	return vt_is(p + HEAD, n, v) && (size <= 4 * PART || vt_is(p + size - PART, PART, v + 1));
}

/* ---- tricks ---- */

/* Write as a debugger would. (The byte is then restored.) */
static inline bool write_by_proc_mem(char *p)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char was = *(volatile char *)p, now = (char)~was;
	ssize_t n;

	VT_CHECK(fd >= 0);
	n = pwrite(fd, &now, 1, (off_t)(uintptr_t)p);
	now = *(volatile char *)p;
	if (n == 1)
		n = pwrite(fd, &was, 1, (off_t)(uintptr_t)p);
	close(fd);
	return n == 1 || now != was;
}

static inline bool write_by_process_vm(char *p)
{
	char was = *(volatile char *)p, now = (char)~was;
	struct iovec from = {&now, 1}, to = {p, 1};
	ssize_t n = process_vm_writev(getpid(), &from, 1, &to, 1, 0);

	VT_CHECK(n == 1 || errno == EFAULT);
	now = *(volatile char *)p;
	from.iov_base = &was;
	if (n == 1)
		n = process_vm_writev(getpid(), &from, 1, &to, 1, 0);
	return n == 1 || now != was;
}

/* What a map may never become, and the flags that the kernel must keep. */
static inline void check_flags(char *p, bool writer)
{
	struct vma v;

	VT_CHECK(find_vma(&v, p));
	VT_CHECK(!strcmp(v.perms, writer ? "rw-s" : "r--s"));
	VT_CHECK(strstr(v.flags, " dc ")); /* not copied by fork */
	VT_CHECK(strstr(v.flags, " dd ")); /* not in a core file */
	VT_CHECK(strstr(v.flags, " de ")); /* not grown */
	VT_CHECK(!strstr(v.flags, " me ")); /* not executed */
	VT_CHECK(writer == !!strstr(v.flags, " mw "));
}

#define REFUSED(call, err) VT_CHECK((call) == -1 && errno == (err))
#define NO_MAP(call, err)  VT_CHECK((call) == MAP_FAILED && errno == (err))

/* All that a process might try to get more rights to a map. */
static inline void check_tricks(char *p, size_t size, size_t page, bool writer)
{
	check_flags(p, writer);
	REFUSED(mprotect(p, size, PROT_EXEC), EACCES);
	REFUSED(mprotect(p, size, PROT_READ | PROT_EXEC), EACCES);
	REFUSED(mprotect(p, page, PROT_READ | PROT_EXEC), EACCES);
	VT_CHECK(mremap(p, size, size + page, 0) == MAP_FAILED);
	VT_CHECK(mremap(p, size, size + page, MREMAP_MAYMOVE) == MAP_FAILED);
	VT_CHECK(mremap(p, size, 2 * size + 16 * page, MREMAP_MAYMOVE) == MAP_FAILED);
	VT_CHECK(mremap(p, 0, size, MREMAP_MAYMOVE) == MAP_FAILED);
	VT_CHECK(mremap(p, 0, page, MREMAP_MAYMOVE) == MAP_FAILED);
	VT_CHECK(mremap(p, 0, size + page, MREMAP_MAYMOVE) == MAP_FAILED);
	if (!writer) {
		REFUSED(mprotect(p, size, RW), EACCES);
		REFUSED(mprotect(p, size, PROT_WRITE), EACCES);
		REFUSED(mprotect(p + size - page, page, RW), EACCES);
		REFUSED(mprotect(p, size, RW | PROT_EXEC), EACCES);
		VT_CHECK(!write_by_proc_mem(p));
		VT_CHECK(!write_by_proc_mem(p + size - 1));
		VT_CHECK(!write_by_process_vm(p));
		VT_CHECK(!write_by_process_vm(p + size - 1));
		VT_CHECK(madvise(p, size, MADV_REMOVE) == -1);
		/* PROT_NONE, and back: no more than it was. */
		VT_CHECK(!mprotect(p, size, PROT_NONE));
		REFUSED(mprotect(p, size, RW), EACCES);
		VT_CHECK(!mprotect(p, size, PROT_READ));
	}
	check_flags(p, writer);
}

/* All that a writer can do to its map to lose its contents: the bytes stay. */
static inline void abuse(char *p, size_t size)
{
	static const int advice[] = {
		MADV_DONTNEED,
		MADV_FREE,
		MADV_REMOVE,
		MADV_COLD,
		MADV_PAGEOUT,
		MADV_WIPEONFORK,
		MADV_MERGEABLE,
		MADV_HUGEPAGE,
		MADV_NOHUGEPAGE,
		MADV_WILLNEED,
		MADV_RANDOM,
		22,
		23,
		24,
		25, /* POPULATE_, _LOCKED, COLLAPSE */
	};
	static const int modes[] = {
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE,
	};
	struct vma v;
	char path[64];
	int fd;

	for (unsigned int i = 0; i < ARRAY_SIZE(advice); i++)
		madvise(p, size, advice[i]);
	VT_CHECK(madvise(p, size, MADV_REMOVE) == -1);
	msync(p, size, MS_SYNC | MS_INVALIDATE);
	if (!mlock(p, size < PART ? size : PART))
		madvise(p, size, 24);
	munlock(p, size);
	VT_CHECK(find_vma(&v, p));
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)v.from, (unsigned long)v.to);
	/* Through the file behind it, if the kernel allows to open that; else this is the device again. */
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		VT_CHECK(mmap(NULL, size, RW, MAP_SHARED, fd, 0) == MAP_FAILED);
		VT_CHECK(pwrite(fd, "x", 1, HEAD) == -1);
		VT_CHECK(ftruncate(fd, 0) == -1);
		VT_CHECK(ftruncate(fd, (off_t)size * 2) == -1);
		VT_CHECK(fallocate(fd, 0, 0, (off_t)size * 2) == -1);
		for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++)
			VT_CHECK(fallocate(fd, modes[i], 0, (off_t)size) == -1);
		VT_CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1);
		close(fd);
	}
	fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
}

/* ---- a channel, seen by three roles in this process ---- */

struct rig {
	const char *name;
	int fd[ROLES];
	struct venom_ioc_create create;
	struct venom_ioc_connect shell;
	size_t page; /* of the state */
};

static inline size_t size_of(const struct rig *r, unsigned int kind)
{
	switch (kind) {
	case VENOM_AREA_STATUS:
		return r->create.status_size;
	case VENOM_AREA_STATE:
		return r->create.state_size;
	case VENOM_AREA_COMMANDS:
		return r->shell.commands_size;
	default:
		return r->shell.responses_size;
	}
}

static inline size_t page_of(const struct rig *r, unsigned int kind)
{
	return kind == VENOM_AREA_STATE ? r->page : 4096;
}

static inline void *map_as(const struct rig *r, enum role role, unsigned int kind, int prot)
{
	return dev_map(r->fd[role], kind, is_lane(kind) ? r->shell.id : 0, size_of(r, kind), prot);
}

static inline off_t at(const struct rig *r, unsigned int kind)
{
	return (off_t)VENOM_MMAP_OFFSET(kind, is_lane(kind) ? r->shell.id : 0);
}

static inline int rig_make(struct rig *r, unsigned int huge, uint64_t huge_size)
{
	struct venom_ioc_connect observer;

	r->name = vt_name();
	for (int i = 0; i < ROLES; i++)
		r->fd[i] = dev_open();
	r->create = dev_create_init(r->name);
	r->create.huge = huge;
	r->create.huge_size = huge_size;
	r->create.geo.cmd_size = r->create.geo.resp_size = 2000; /* lanes of 5 pages */
	r->create.geo.data_size = huge_size == 2 << 20 ? 1 << 20 : 20000;
	r->shell = observer = dev_connect_init(r->name);
	observer.flags = VENOM_CONNECT_OBSERVE;
	if (dev_call(r->fd[DAEMON], VENOM_IOC_CREATE, &r->create))
		return -errno;
	r->page = r->create.geo.page_size;
	if (dev_call(r->fd[SHELL], VENOM_IOC_CONNECT, &r->shell) || dev_call(r->fd[OBSERVER], VENOM_IOC_CONNECT, &observer))
		return -errno;
	return 0;
}

static inline void rig_end(struct rig *r)
{
	for (int i = 0; i < ROLES; i++)
		close(r->fd[i]);
}

/* The counter "free" or "resv" of the pool of pages of this size. */
static inline long pool(unsigned int kb, const char *what)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%ukB/%s_hugepages", kb, what);
	return km_read_long(path);
}

static inline long free_pages(unsigned int kb)
{
	return pool(kb, "free");
}

#endif /* VENOM_TEST_KMOD_RIG_H */

/* SPDX-License-Identifier: MIT */
/*
 * /dev/venom without the library, for the tests in selftests/kmod/: each call as a program would make it without the
 * library, and valid structs, which the test then spoils.
 */
#ifndef VENOM_TEST_DEV_H
#define VENOM_TEST_DEV_H

#include <errno.h>
#include <fcntl.h>
#include <linux/venom.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define DEV "/dev/venom"

static inline int dev_open(void)
{
	return open(DEV, O_RDWR | O_CLOEXEC);
}

/* An ioctl as negative errno. */
static inline int dev_call(int fd, unsigned long cmd, void *arg)
{
	int rc = ioctl(fd, cmd, arg);

	return rc < 0 ? -errno : rc;
}

/* A small channel on base pages. */
static inline struct venom_ioc_create dev_create_init(const char *name)
{
	struct venom_ioc_create c = {
		.size = sizeof(c),
		.huge = VENOM_IOC_HUGE_NEVER,
		.geo = {
			.mode = 0600,
			.versions = 4,
			.cmd_slots = 8,
			.cmd_size = 64,
			.resp_size = 64,
			.max_clients = 4,
			.data_size = 1000,
		},
	};

	strncpy(c.name, name, sizeof(c.name) - 1);
	return c;
}

static inline struct venom_ioc_connect dev_connect_init(const char *name)
{
	struct venom_ioc_connect c = {.size = sizeof(c)};

	strncpy(c.name, name, sizeof(c.name) - 1);
	return c;
}

static inline int dev_bell(int fd, int bell, int efd)
{
	struct venom_ioc_eventfd e = {.size = sizeof(e), .fd = efd, .bell = (__u32)bell};

	return dev_call(fd, VENOM_IOC_EVENTFD, &e);
}

static inline int dev_wake(int fd, unsigned int what, unsigned int id)
{
	struct venom_ioc_wake w = {.size = sizeof(w), .what = what, .id = id};

	return dev_call(fd, VENOM_IOC_WAKE, &w);
}

static inline int dev_sleep(int fd, unsigned int what)
{
	struct venom_ioc_sleep s = {.size = sizeof(s), .what = what};

	return dev_call(fd, VENOM_IOC_SLEEP, &s);
}

static inline int dev_lane(int fd, unsigned int id, unsigned int generation, unsigned int what)
{
	struct venom_ioc_lane l = {.size = sizeof(l), .id = id, .generation = generation, .what = what};

	return dev_call(fd, VENOM_IOC_LANE, &l);
}

static inline int dev_end(int fd)
{
	struct venom_ioc_end e = {.size = sizeof(e)};

	return dev_call(fd, VENOM_IOC_END, &e);
}

/* Map an area of this file, or return MAP_FAILED. */
static inline void *dev_map(int fd, unsigned int kind, unsigned int id, size_t size, int prot)
{
	return mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)VENOM_MMAP_OFFSET(kind, id));
}

#endif /* VENOM_TEST_DEV_H */

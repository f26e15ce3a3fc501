/* SPDX-License-Identifier: MIT */
/*
 * A state that takes four huge pages; and a daemon and a shell in processes of their own, which take memory: calls for
 * vt_call().
 */
#ifndef VENOM_TEST_KMOD_MEMORY_H
#define VENOM_TEST_KMOD_MEMORY_H

#include "kmod/common.h"

#define MIB 1048576ll

/* A state that takes four huge pages. */
static inline struct venom_ioc_create four_pages(const char *name, unsigned int huge)
{
	struct venom_ioc_create c = dev_create_init(name);

	c.huge = huge;
	c.geo.data_size = 3 * MIB;
	c.geo.versions = 2;
	return c;
}

static struct km_daemon pd;
static struct km_shell ps;

static inline long p_create(long want, long b, long c)
{
	return km_daemon_make(&pd, (const struct venom_ioc_create *)want) + b + c;
}

static inline long p_connect(long name, long b, long c)
{
	return km_shell_make(&ps, (const char *)name) + b + c;
}

/* The daemon fills its whole state. */
static inline long p_fill(long byte, long b, long c)
{
	memset((char *)pd.state + VENOM_PAGE, (int)byte, pd.c.state_size - VENOM_PAGE);
	return b + c;
}

#endif /* VENOM_TEST_KMOD_MEMORY_H */

/* SPDX-License-Identifier: MIT */
/*
 * The victim, which is about to die: a daemon or a shell in a process of its own, as calls for vt_call().
 */
#ifndef VENOM_TEST_KMOD_VICTIM_H
#define VENOM_TEST_KMOD_VICTIM_H

#include "kmod/common.h"

static struct km_daemon pd;
static struct km_shell ps;
static int own_fd; /* the daemon's or the shell's */

static inline long p_create(long name, long b, long c)
{
	struct venom_ioc_create want = dev_create_init((const char *)name);
	int rc = km_daemon_make(&pd, &want);

	own_fd = pd.fd;
	return rc + b + c;
}

static inline long p_connect(long name, long b, long c)
{
	int rc = km_shell_make(&ps, (const char *)name);

	own_fd = ps.fd;
	return rc + b + c;
}

/* Make a call that only the owner may make. */
static inline int use(int fd)
{
	struct venom_ioc_wake w = {.size = sizeof(w), .what = ps.c.size ? VENOM_WAKE_DAEMON : VENOM_WAKE_STATE};

	return dev_call(fd, VENOM_IOC_WAKE, &w);
}

static inline long p_use(long a, long b, long c)
{
	return use(own_fd) + a + b + c;
}

#endif /* VENOM_TEST_KMOD_VICTIM_H */

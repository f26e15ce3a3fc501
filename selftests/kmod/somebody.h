/* SPDX-License-Identifier: MIT */
/*
 * Somebody: a process with the user, the groups and the capabilities that a test wants, and what it does with its one
 * file of the device, as calls for vt_call().
 */
#ifndef VENOM_TEST_KMOD_SOMEBODY_H
#define VENOM_TEST_KMOD_SOMEBODY_H

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kmod/common.h"

struct who {
	const char *what;
	uid_t uid;
	gid_t gid, groups[2];
	size_t ngroups;
	uint64_t caps;
};

#define CAP(n)	 (1ull << (n))
#define ALL_CAPS (~0ull)
#define ROOT                                     \
	{                                        \
		.what = "root", .caps = ALL_CAPS \
	}
#define USER(...)                           \
	{                                   \
		.what = "user", __VA_ARGS__ \
	}

static inline int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint64_t have;

	if (syscall(SYS_capget, &head, data))
		return -1;
	have = data[0].permitted | (uint64_t)data[1].permitted << 32;
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t)((caps & have) >> 32 * i);
	return (int)syscall(SYS_capset, &head, data);
}

static inline long become(long who, long b, long c)
{
	const struct who *w = (const struct who *)who;

	VT_CHECK(!prctl(PR_SET_KEEPCAPS, 1));
	VT_CHECK(!setgroups(w->ngroups, w->groups));
	VT_CHECK(!setresgid(w->gid, w->gid, w->gid));
	VT_CHECK(!setresuid(w->uid, w->uid, w->uid));
	VT_CHECK(!set_caps(w->caps));
	VT_CHECK(!prctl(PR_SET_DUMPABLE, 1)); /* else its /proc/self is root's */
	return b + c;
}

/* The answer of the last call of any process. */
static struct {
	struct venom_ioc_create create;
	struct venom_ioc_connect connect;
	struct venom_ioc_peer peer;
	struct venom_ioc_info info;
} * answer;

__attribute__((constructor)) static void make_answer(void)
{
	answer = vt_shared(sizeof(*answer));
}

/* The process's one file. */
static int fd = -1;

static inline long w_open(long a, long b, long c)
{
	if (fd >= 0)
		close(fd);
	fd = dev_open();
	return fd < 0 ? -errno : a + b + c;
}

static inline long w_close(long a, long b, long c)
{
	close(fd);
	fd = -1;
	return a + b + c;
}

static inline long w_create(long name, long mode, long flags)
{
	struct venom_ioc_create cr = dev_create_init((const char *)name);
	long rc;

	cr.geo.mode = (unsigned int)mode;
	cr.geo.max_clients = 64;
	cr.flags = (unsigned int)flags;
	rc = fd < 0 ? w_open(0, 0, 0) : 0;
	rc = rc ? rc : dev_call(fd, VENOM_IOC_CREATE, &cr);
	answer->create = cr;
	return rc;
}

static inline long w_connect(long name, long flags, long c)
{
	struct venom_ioc_connect con = dev_connect_init((const char *)name);
	long rc = fd < 0 ? w_open(0, 0, 0) : 0;

	con.flags = (unsigned int)flags;
	rc = rc ? rc : dev_call(fd, VENOM_IOC_CONNECT, &con);
	answer->connect = con;
	return rc + c;
}

static inline long w_wake(long what, long id, long c)
{
	return dev_wake(fd, (unsigned int)what, (unsigned int)id) + c;
}

static inline long w_free(long id, long generation, long c)
{
	return dev_lane(fd, (unsigned int)id, (unsigned int)generation, VENOM_LANE_FREE) + c;
}

static inline long w_peer(long id, long b, long c)
{
	struct venom_ioc_peer p = {.size = sizeof(p), .id = (unsigned int)id};
	long rc = dev_call(fd, VENOM_IOC_PEER, &p);

	answer->peer = p;
	return rc + b + c;
}

static inline long w_info(long name, long b, long c)
{
	struct venom_ioc_info info;
	long rc = km_info((const char *)name, &info);

	answer->info = info;
	return rc + b + c;
}

static inline long w_listed(long name, long b, long c)
{
	struct venom_ioc_info i = km_info_init("");
	int any = dev_open(), n = 0;

	while (!dev_call(any, VENOM_IOC_INFO, &i)) {
		n += !strcmp(i.name, (const char *)name);
		memset(i.name, 0, sizeof(i.name));
	}
	close(any);
	return n + b + c;
}

static inline long w_channels(long a, long b, long c)
{
	return km_channels() + a + b + c;
}

/* How many shells were refused, from the status page, as the daemon, a shell or an observer sees it. */
static inline long w_refused(long a, long b, long c)
{
	struct venom_status *st = dev_map(fd, VENOM_AREA_STATUS, 0, VENOM_PAGE, PROT_READ);
	long n;

	VT_CHECK(st != MAP_FAILED);
	n = (long)st->refused;
	munmap(st, VENOM_PAGE);
	return n + a + b + c;
}

static inline void be(struct vt_peer *p, const struct who *w)
{
	vt_start(p);
	VT_CHECK(!vt_call(p, become, w));
}

static inline bool is_root(void)
{
	return !geteuid();
}
#define NEEDS_ROOT()    \
	if (!is_root()) \
	SKIP(return, "needs root, to be others")

static int home_ns = -1;

/* Move to a new namespace. */
static inline long w_leave(long flags, long b, long c)
{
	if (home_ns < 0)
		home_ns = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	return unshare((int)flags) ? -errno : b + c;
}

/* And back; the new namespace is then empty. */
static inline long w_return(long a, long b, long c)
{
	return setns(home_ns, CLONE_NEWIPC) ? -errno : a + b + c;
}

static inline long w_map_user(long uid, long b, long c)
{
	char map[64];

	snprintf(map, sizeof(map), "0 %ld 1", uid);
	VT_CHECK(km_write("/proc/self/uid_map", map));
	VT_CHECK(km_write("/proc/self/setgroups", "deny"));
	VT_CHECK(km_write("/proc/self/gid_map", map));
	return b + c;
}

#endif /* VENOM_TEST_KMOD_SOMEBODY_H */

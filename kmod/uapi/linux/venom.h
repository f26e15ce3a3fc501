/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * /dev/venom: the calls.  What is on the pages that it maps is in venom_layout.h.
 *
 * An open file is nothing until VENOM_IOC_CREATE makes it a daemon or VENOM_IOC_CONNECT a shell; it is
 * that until it is closed, and dies with the process that made it so, whoever else holds the descriptor.
 *
 * Every struct begins with its size as the caller knows it: a shorter one (an older caller) gets the fields that it
 * knows, a longer one (a newer caller) must have zeros in what the kernel doesn't know.  `flags` and
 * reserved fields must be zero where no bit is defined.  On failure nothing is written back.
 *
 * Errors, the same for every call:
 *
 *	EINVAL		size too short; a value, flag or reserved field that can't be
 *	E2BIG		a longer struct has more than zeros at its end
 *	EFAULT		a bad pointer
 *	ENOTTY		no such call
 *	EBADFD		not for this role, or not yet: WAKE before CONNECT, CREATE twice
 *	ENOENT		no such channel, no such shell
 *	EBUSY		a living daemon has the name
 *	EACCES		the channel's mode says no
 *	EEXIST		the channel waits for a daemon of another owner or geometry
 *	EUSERS		max_clients shells are attached, or the user's limit is reached
 *	ENOMEM		no memory, or no huge pages where they were required
 *	EPIPE		the other party has gone
 */
#ifndef _UAPI_LINUX_VENOM_H
#define _UAPI_LINUX_VENOM_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/venom_layout.h>

#define VENOM_NAME_LEN		64	/* with the terminating zero */

/* mmap offsets: the area's kind in the upper half, a lane's shell in the lower. */
#define VENOM_MMAP_SHIFT	44
#define VENOM_MMAP_OFFSET(kind, id)	((__u64)(kind) << VENOM_MMAP_SHIFT | (__u64)(id) << 32)

/* venom_ioc_create.huge */
#define VENOM_IOC_HUGE_PREFER	0
#define VENOM_IOC_HUGE_REQUIRE	1
#define VENOM_IOC_HUGE_NEVER	2

/* Create the channel, or take it over from a dead daemon. */
struct venom_ioc_create {
	__u32 size;
	__u32 flags;		/* 0 */
	char  name[VENOM_NAME_LEN];
	struct venom_geometry geo;	/* in: what is asked for, its offsets 0; out: as made */
	__u32 huge;		/* VENOM_IOC_HUGE_* */
	__s32 node;		/* NUMA node, -1: by the caller's memory policy */
	__u64 huge_size;	/* 0, 2 MiB, 1 GiB */
	__u64 epoch;		/* out: 1, and one more for each take-over */
	__u64 state_size;	/* out: bytes of the areas, to map */
	__u64 status_size;
};

struct venom_ioc_connect {
	__u32 size;
	__u32 flags;		/* 0 */
	char  name[VENOM_NAME_LEN];
	struct venom_geometry geo;	/* out */
	__u32 id;		/* out: whose lanes to map */
	__u32 generation;	/* out */
	__u32 may_command;	/* out */
	__u32 reserved;
	__u64 epoch;		/* out */
	__u64 state_size;	/* out: bytes of the areas, to map */
	__u64 status_size;
	__u64 commands_size;
	__u64 responses_size;
};

/* Be woken through this eventfd; fd -1: no more. */
struct venom_ioc_eventfd {
	__u32 size;
	__u32 flags;		/* 0 */
	__s32 fd;
	__u32 reserved;
};

#define VENOM_WAKE_DAEMON	0U	/* a shell: its daemon */
#define VENOM_WAKE_SHELL	1U	/* the daemon: shell `id` */
#define VENOM_WAKE_STATE	2U	/* the daemon: all who wait for state; returns how many */
struct venom_ioc_wake {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 what;
	__u32 id;
};

/* Who is at the other end, as the kernel knows and as seen from the caller's namespaces. */
struct venom_ioc_peer {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 id;		/* the daemon: of which shell; a shell gets its daemon */
	__u32 pid, uid, gid;	/* out: 0 and the overflow ids where they can't be seen from here */
	__u32 generation;	/* out */
	__u32 alive;		/* out */
};

/* One channel: by name, or, with an empty name, the one after the `cursor` of the last answer. */
struct venom_ioc_info {
	__u32 size;
	__u32 flags;		/* 0 */
	char  name[VENOM_NAME_LEN];
	__u64 cursor;		/* in and out; 0 starts */
	struct venom_geometry geo;	/* out */
	__u64 epoch;		/* out */
	__u32 pid, uid, gid;	/* out: the daemon's */
	__u32 alive;		/* out */
	__u32 attached;		/* out */
	__u32 reserved;
};

#define VENOM_IOC_CREATE	_IOWR('V', 0x60, struct venom_ioc_create)
#define VENOM_IOC_CONNECT	_IOWR('V', 0x61, struct venom_ioc_connect)
#define VENOM_IOC_EVENTFD	_IOW('V', 0x62, struct venom_ioc_eventfd)
#define VENOM_IOC_WAKE		_IOW('V', 0x63, struct venom_ioc_wake)
#define VENOM_IOC_PEER		_IOWR('V', 0x64, struct venom_ioc_peer)
#define VENOM_IOC_INFO		_IOWR('V', 0x65, struct venom_ioc_info)

VENOM_ASSERT(sizeof(struct venom_ioc_create) == 176);
VENOM_ASSERT(sizeof(struct venom_ioc_connect) == 192);
VENOM_ASSERT(sizeof(struct venom_ioc_eventfd) == 16);
VENOM_ASSERT(sizeof(struct venom_ioc_wake) == 16);
VENOM_ASSERT(sizeof(struct venom_ioc_peer) == 32);
VENOM_ASSERT(sizeof(struct venom_ioc_info) == 176);

#endif /* _UAPI_LINUX_VENOM_H */

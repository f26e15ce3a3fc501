/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * /dev/venom: the calls.  venom_layout.h describes the pages that it maps; venom(4) is the manual page.
 *
 * An open file has no role until VENOM_IOC_CREATE makes it a daemon, or VENOM_IOC_CONNECT a shell or an observer; it
 * keeps the role until it is closed and its areas are unmapped.  Only the process that gave it the role can use it (its
 * address space: threads can; a forked child, or a process that was sent the descriptor, can't).  It dies with that
 * process, even if other processes hold the descriptor.
 *
 * Every struct begins with its size as the caller knows it: a shorter one (an older caller) gets the fields that it
 * knows, a longer one (a newer caller) must have zeros in the fields that the kernel doesn't know.  `flags` and
 * reserved fields must be zero where no bit is defined.  On failure nothing is written back.
 *
 * Errors, the same for every call:
 *
 *	EINVAL		size too short; an invalid value, flag or reserved field
 *	E2BIG		a longer struct has more than zeros at its end
 *	EFAULT		a bad pointer
 *	ENOTTY		no such call
 *	EPERM		the file belongs to another process
 *	EBADFD		not for this role, or not yet: WAKE before CONNECT, CREATE twice
 *	ENOENT		no such channel, or its daemon is dead; no such shell
 *	EBUSY		a living daemon has the name, or a dead one's process still maps the state writable; the shell
 *			lives (LANE)
 *	EACCES		the channel's mode does not allow it
 *	EEXIST		the channel waits for a daemon of another owner, or to be resumed with another geometry
 *	EAGAIN		all ids are taken, some by dead shells that the daemon has not handled yet: try again
 *	EUSERS		max_clients shells are attached, or are dead with commands that have not been taken yet; or
 *			half of them, rounded up, are this user's, and it isn't the owner and lacks CAP_IPC_OWNER
 *	EDQUOT		the user's limit (module parameters) is reached
 *	ENOMEM		no memory, or no huge pages where they were required
 *	EINTR		a signal came while memory was allocated; it has been freed.  Block signals for CREATE if a
 *			fast timer sends them
 *	EBADF		EVENTFD: not an open descriptor; EINVAL if it is open, but no eventfd
 *	EPIPE		the daemon has gone; for a shell also: it was evicted
 *	EPROTO		CREATE, CONNECT: the caller needs a feature that the module lacks (VENOM_FEATURES_NEEDED)
 */
#ifndef _UAPI_LINUX_VENOM_H
#define _UAPI_LINUX_VENOM_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/venom_layout.h>


/*
 * mmap offsets: the area's kind and, for lanes, the shell's id.  A map begins at its area's start and is not longer
 * than the area; a map of huge pages covers all of it.  MAP_SHARED only.  One map for each area and process is enough;
 * the daemon can map the state for writing only once at a time.
 *
 *	EINVAL		no such area, map longer than the area, unaligned, MAP_PRIVATE
 *	EACCES		a writable map of an area with another writer; PROT_EXEC; an observer: lanes of another user's
 *			channel
 *	EPERM, EBADFD, EBUSY, ENOENT	as above
 */
#define VENOM_MMAP_KIND_SHIFT	60
#define VENOM_MMAP_ID_SHIFT	48
#define VENOM_MMAP_OFFSET(kind, id) \
	((__u64)(kind) << VENOM_MMAP_KIND_SHIFT | (__u64)(id) << VENOM_MMAP_ID_SHIFT)

/* venom_ioc_create.flags */
#define VENOM_CREATE_RESUME	(1U << 0)	/* resume the channel that a dead daemon left, if there is one */
#define VENOM_CREATE_FENCED	(1U << 1)	/* no fence from outside: the publisher always checks for sleepers */

/* venom_ioc_create.huge */
#define VENOM_IOC_HUGE_PREFER	0
#define VENOM_IOC_HUGE_REQUIRE	1
#define VENOM_IOC_HUGE_NEVER	2

/*
 * Create the channel.  If a dead daemon of the same owner left a channel that shells still hold: RESUME with the same
 * geometry resumes it, with its state, its shells and the commands not yet taken; without RESUME it is left to its
 * shells, and the name goes to the new channel.
 */
struct venom_ioc_create {
	__u32 size;
	__u32 flags;		/* VENOM_CREATE_* */
	char  name[VENOM_NAME_LEN];
	struct venom_geometry geo;	/* in: what is asked for, payload to page_size 0; out: as made */
	__u32 huge;		/* VENOM_IOC_HUGE_* */
	__u32 resumed;		/* in: 0; out: 1 if the channel was resumed */
	__u64 huge_size;	/* 0 (2 MiB), 2 MiB, 1 GiB */
	__u64 epoch;		/* out: 1, and one more for each daemon that replaced a dead one */
	__u64 state_size;	/* out: bytes of the areas, to map */
	__u64 status_size;
	__u64 features;		/* in: VENOM_FEATURES of the caller; out: of the module */
};

/* venom_ioc_connect.flags */
#define VENOM_CONNECT_OBSERVE	(1U << 0)	/* an observer: no lanes, no id, no process is notified */

struct venom_ioc_connect {
	__u32 size;
	__u32 flags;		/* VENOM_CONNECT_* */
	char  name[VENOM_NAME_LEN];
	struct venom_geometry geo;	/* out */
	__u32 id;		/* out: the shell's id, to map its lanes */
	__u32 generation;	/* out */
	__u32 may_command;	/* out */
	__u32 wants;		/* in: VENOM_ROLE_* for venom_commands.wants, from the start */
	__u64 epoch;		/* out */
	__u64 state_size;	/* out: bytes of the areas, to map */
	__u64 status_size;
	__u64 commands_size;
	__u64 responses_size;
	__u64 features;		/* in: VENOM_FEATURES of the caller; out: of the module */
};

#define VENOM_BELL_WAKE		0U	/* signalled by WAKE; a shell's also if its daemon has gone or it is evicted */
#define VENOM_BELL_LIFE		1U	/* daemon's: a shell has come, gone or asks; shell's: the daemon has gone */
#define VENOM_BELL_MOVED	2U	/* daemon's: signalled by VENOM_WAKE_MOVED */
#define VENOM_BELLS		3U

/* From now on the bell signals this eventfd, not the one set before; fd -1: none. */
struct venom_ioc_eventfd {
	__u32 size;
	__u32 flags;		/* 0 */
	__s32 fd;
	__u32 bell;		/* VENOM_BELL_* */
};

#define VENOM_WAKE_DAEMON	0U	/* a shell: its daemon */
#define VENOM_WAKE_SHELL	1U	/* the daemon: shell `id` */
#define VENOM_WAKE_STATE	2U	/* the daemon: all shells armed for state; returns how many */
#define VENOM_WAKE_LIFE		3U	/* a shell: its daemon's LIFE bell, for venom_commands.wants */
#define VENOM_WAKE_MOVED	4U	/* a shell: its daemon's MOVED bell, after reading what a publish waits for */
struct venom_ioc_wake {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 what;
	__u32 id;		/* SHELL; else 0 */
};

/*
 * For a shell that sleeps until a publish.  WATCH once, so that the publisher checks for sleepers at all
 * (status.state_waiters); ARM before each sleep (status.state_sleepers counts the shell, the next WAKE_STATE wakes it,
 * once); DISARM if it does not sleep after all.
 */
#define VENOM_SLEEP_WATCH	0U
#define VENOM_SLEEP_ARM		1U
#define VENOM_SLEEP_DISARM	2U
struct venom_ioc_sleep {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 what;
	__u32 reserved;
};

/* The daemon decides about the lanes of shell `id`, if they still belong to that generation (else ENOENT). */
#define VENOM_LANE_FREE		0U	/* the shell is dead, its commands are taken: free the id */
#define VENOM_LANE_KEEP		1U	/* the shell is dead, and has commands left: keep the id */
#define VENOM_LANE_EVICT	2U	/* the shell broke the protocol: it counts as dead from now on */
struct venom_ioc_lane {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 id;
	__u32 generation;
	__u32 what;
	__u32 reserved;
};

/* The process at the other end, as the kernel knows it and as seen from the caller's namespaces. */
struct venom_ioc_peer {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 id;		/* daemon, observer: the shell's id; a shell: 0, it gets its daemon */
	__u32 pid, uid, gid;	/* out: 0 and the overflow ids where the caller's namespaces don't show them */
	__u32 generation;	/* out */
	__u32 life;		/* out: VENOM_SHELL_*; of the daemon: VENOM_DAEMON_* */
	__u32 may_command;	/* out */
	__u32 reserved;
};

/*
 * A channel that the caller may read: by name, or, with an empty name, the first one after `cursor` (0 starts); ENOENT
 * when there are no more.
 */
struct venom_ioc_info {
	__u32 size;
	__u32 flags;		/* 0 */
	char  name[VENOM_NAME_LEN];	/* in and out */
	__u64 cursor;		/* in and out */
	struct venom_geometry geo;	/* out */
	__u64 epoch;		/* out */
	__u32 pid, uid, gid;	/* out: the daemon's; if it is dead, pid is 0, the others are the owner's */
	__u32 alive;		/* out */
	__u32 attached;		/* out */
	__u32 reserved;
};

/*
 * The daemon ends the channel: the name is free at once, and attached shells are notified that the daemon has gone, for
 * good.  (If a daemon only closes the file, the channel can be resumed.)
 */
struct venom_ioc_end {
	__u32 size;
	__u32 flags;		/* 0 */
};

/* The numbers omit the structs' sizes, which may grow.  0x60 to 0x68 were ABI 1's: calls of another ABI get ENOTTY. */
#define VENOM_IOC_CREATE	_IO('V', 0x70)
#define VENOM_IOC_CONNECT	_IO('V', 0x71)
#define VENOM_IOC_EVENTFD	_IO('V', 0x72)
#define VENOM_IOC_WAKE		_IO('V', 0x73)
#define VENOM_IOC_SLEEP		_IO('V', 0x74)
#define VENOM_IOC_LANE		_IO('V', 0x75)
#define VENOM_IOC_PEER		_IO('V', 0x76)
#define VENOM_IOC_INFO		_IO('V', 0x77)
#define VENOM_IOC_END		_IO('V', 0x78)

VENOM_ASSERT(sizeof(struct venom_ioc_create) == 248);
VENOM_ASSERT(sizeof(struct venom_ioc_connect) == 264);
VENOM_ASSERT(sizeof(struct venom_ioc_eventfd) == 16);
VENOM_ASSERT(sizeof(struct venom_ioc_wake) == 16);
VENOM_ASSERT(sizeof(struct venom_ioc_sleep) == 16);
VENOM_ASSERT(sizeof(struct venom_ioc_lane) == 24);
VENOM_ASSERT(sizeof(struct venom_ioc_peer) == 40);
VENOM_ASSERT(sizeof(struct venom_ioc_info) == 240);
VENOM_ASSERT(sizeof(struct venom_ioc_end) == 8);

#endif /* _UAPI_LINUX_VENOM_H */

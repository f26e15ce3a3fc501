/* SPDX-License-Identifier: MIT */
/*
 * A file of each role on one channel, each call made correctly, and the check whether a refused call has changed
 * anything.
 */
#ifndef VENOM_TEST_KMOD_CALLS_H
#define VENOM_TEST_KMOD_CALLS_H

#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/dev.h"

enum role { NOTHING, DAEMON, SHELL, OBSERVER, ROLES };
static const char *const role_names[] = {"nothing", "daemon", "shell", "observer"};

#define BIT(n)	(1u << (n))
#define POISON	0x5a
#define NO_BELL 900 /* a descriptor that is open, but no eventfd */
#define LONGEST 4096 /* the largest struct: one page */

/* The argument of any call; all begin with size and flags. */
union arg {
	struct {
		__u32 size, flags;
	};
	struct venom_ioc_create create;
	struct venom_ioc_connect connect;
	struct venom_ioc_eventfd eventfd;
	struct venom_ioc_wake wake;
	struct venom_ioc_sleep sleep;
	struct venom_ioc_lane lane;
	struct venom_ioc_peer peer;
	struct venom_ioc_info info;
	struct venom_ioc_end end;
	char bytes[LONGEST];
};

#define END_OF(type, field) \
	(offsetof(struct venom_ioc_##type, field) + sizeof(((struct venom_ioc_##type *)0)->field))
static const struct call {
	unsigned long cmd;
	unsigned int size;
	unsigned int least; /* the size of its first version */
	bool answers; /* writes an answer to the struct */
} calls[] = {
	{VENOM_IOC_CREATE, sizeof(struct venom_ioc_create), END_OF(create, features), true},
	{VENOM_IOC_CONNECT, sizeof(struct venom_ioc_connect), END_OF(connect, features), true},
	{VENOM_IOC_EVENTFD, sizeof(struct venom_ioc_eventfd), END_OF(eventfd, bell), false},
	{VENOM_IOC_WAKE, sizeof(struct venom_ioc_wake), END_OF(wake, id), false},
	{VENOM_IOC_SLEEP, sizeof(struct venom_ioc_sleep), END_OF(sleep, reserved), false},
	{VENOM_IOC_LANE, sizeof(struct venom_ioc_lane), END_OF(lane, reserved), false},
	{VENOM_IOC_PEER, sizeof(struct venom_ioc_peer), END_OF(peer, reserved), true},
	{VENOM_IOC_INFO, sizeof(struct venom_ioc_info), END_OF(info, reserved), true},
	{VENOM_IOC_END, sizeof(struct venom_ioc_end), END_OF(end, flags), false},
};

static inline const struct call *call(unsigned long cmd)
{
	const struct call *c = calls;

	while (c->cmd != cmd)
		c++;
	return c;
}

/* All that a process can see of the channels here. */
struct world {
	struct venom_ioc_info info[8];
	char status[VENOM_PAGE];
};

/* One file of each role, on one channel; the channel has a dead shell, too. */
struct rig {
	int fd[ROLES], efd;
	const char *name, *other;
	struct venom_ioc_connect shell, dead;
	char *status, *room, *guard;
	struct world before;
};

static inline void look(const struct rig *r, struct world *w)
{
	struct venom_ioc_info i = {.size = sizeof(i)};
	int fd = dev_open();

	memset(w, 0, sizeof(*w));
	for (unsigned int n = 0; n < ARRAY_SIZE(w->info) && !dev_call(fd, VENOM_IOC_INFO, &i); n++) {
		w->info[n] = i;
		memset(i.name, 0, sizeof(i.name));
	}
	memcpy(w->status, r->status, sizeof(w->status));
	close(fd);
}

/* NULL, or what could not be made. */
static inline const char *rig_make(struct rig *r)
{
	struct venom_ioc_create c;
	int fd;

	memset(r, 0, sizeof(*r));
	r->name = vt_name();
	r->other = vt_name();
	for (int i = 0; i < ROLES; i++) {
		r->fd[i] = dev_open();
		if (r->fd[i] < 0)
			return "no " DEV;
	}
	c = dev_create_init(r->name);
	if (dev_call(r->fd[DAEMON], VENOM_IOC_CREATE, &c))
		return "create";
	r->shell = r->dead = dev_connect_init(r->name);
	if (dev_call(r->fd[SHELL], VENOM_IOC_CONNECT, &r->shell))
		return "connect";
	fd = dev_open();
	if (dev_call(fd, VENOM_IOC_CONNECT, &r->dead))
		return "connect a second one";
	close(fd);
	{
		struct venom_ioc_connect observer = dev_connect_init(r->name);

		observer.flags = VENOM_CONNECT_OBSERVE;
		if (dev_call(r->fd[OBSERVER], VENOM_IOC_CONNECT, &observer))
			return "connect to look";
	}
	r->status = dev_map(r->fd[DAEMON], VENOM_AREA_STATUS, 0, VENOM_PAGE, PROT_READ);
	/* Structs end at an unmapped page: a read of one byte too many is a fault. */
	r->room = mmap(NULL, 4 * LONGEST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r->guard = r->room + 3 * LONGEST;
	if (r->status == MAP_FAILED || r->room == MAP_FAILED || mprotect(r->guard, LONGEST, PROT_NONE))
		return "map";
	r->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dup2(STDOUT_FILENO, NO_BELL) != NO_BELL || r->efd < 0)
		return "descriptors";
	look(r, &r->before);
	return NULL;
}

static inline void rig_end(struct rig *r)
{
	for (int i = 0; i < ROLES; i++)
		close(r->fd[i]);
	munmap(r->status, VENOM_PAGE);
	munmap(r->room, 4 * LONGEST);
	close(r->efd);
	close(NO_BELL);
}

/* A valid call; outputs are poisoned. */
static inline union arg good(const struct rig *r, unsigned long cmd, unsigned int what)
{
	union arg a;

	memset(&a, 0, sizeof(a));
	switch (cmd) {
	case VENOM_IOC_CREATE:
		a.create = dev_create_init(r->other);
		memset(&a.create.epoch, POISON, offsetof(struct venom_ioc_create, features) - offsetof(struct venom_ioc_create, epoch));
		break;
	case VENOM_IOC_CONNECT:
		memset(&a.connect, POISON, sizeof(a.connect));
		memset(a.connect.name, 0, sizeof(a.connect.name));
		strcpy(a.connect.name, r->name);
		a.connect.flags = what;
		a.connect.wants = 0;
		a.connect.features = VENOM_FEATURES;
		break;
	case VENOM_IOC_EVENTFD:
		a.eventfd.fd = r->efd;
		a.eventfd.bell = what;
		break;
	case VENOM_IOC_WAKE:
		a.wake.what = what;
		a.wake.id = what == VENOM_WAKE_SHELL ? r->shell.id : 0;
		break;
	case VENOM_IOC_SLEEP:
		a.sleep.what = what;
		break;
	case VENOM_IOC_LANE:
		a.lane.id = r->dead.id;
		a.lane.generation = r->dead.generation;
		a.lane.what = VENOM_LANE_KEEP;
		break;
	case VENOM_IOC_PEER:
		memset(&a.peer, POISON, sizeof(a.peer));
		a.peer.id = r->shell.id;
		a.peer.reserved = 0;
		a.flags = 0;
		break;
	case VENOM_IOC_INFO:
		memset(&a.info, POISON, sizeof(a.info));
		memset(a.info.name, 0, sizeof(a.info.name));
		strcpy(a.info.name, r->name);
		a.info.cursor = 0;
		a.info.reserved = 0;
		a.flags = 0;
		break;
	}
	a.size = call(cmd)->size;
	return a;
}

/*
 * The call must fail with `want`, and change nothing: neither the caller's memory nor the channels. An argument lies at
 * p, before the guard page. Print a message if not.
 */
static inline bool refused_at(const struct rig *r, int want, int fd, unsigned long cmd, void *p, const char *what)
{
	char before[3 * LONGEST];
	struct world w;
	int rc;

	memcpy(before, r->room, sizeof(before));
	rc = dev_call(fd, cmd, p);
	if (rc != want)
		fprintf(stderr, "# %s: %d, not %d\n", what, rc, want);
	if (memcmp(before, r->room, sizeof(before))) {
		fprintf(stderr, "# %s: the caller's memory has changed\n", what);
		return false;
	}
	look(r, &w);
	if (memcmp(&w, &r->before, sizeof(w))) {
		fprintf(stderr, "# %s: the channels have changed\n", what);
		return false;
	}
	return rc == want;
}

static inline void *put(const struct rig *r, const void *a, size_t len)
{
	return memcpy(r->guard - len, a, len);
}

static inline bool refused(const struct rig *r, int want, int fd, unsigned long cmd, const union arg *a,
			   const char *what)
{
	size_t len = a->size < 4 ? 4 : a->size < LONGEST ? a->size : LONGEST;

	return refused_at(r, want, fd, cmd, put(r, a, len), what);
}

/* Each role's call still works, and nothing else has changed. */
static inline bool works(struct rig *r)
{
	union arg a = good(r, VENOM_IOC_PEER, 0);
	struct world w;

	if (dev_wake(r->fd[DAEMON], VENOM_WAKE_SHELL, r->shell.id) || dev_wake(r->fd[SHELL], VENOM_WAKE_DAEMON, 0) ||
	    dev_call(r->fd[OBSERVER], VENOM_IOC_PEER, &a))
		return false;
	a = good(r, VENOM_IOC_CONNECT, VENOM_CONNECT_OBSERVE);
	if (dev_call(r->fd[NOTHING], VENOM_IOC_CONNECT, &a))
		return false;
	close(r->fd[NOTHING]);
	r->fd[NOTHING] = dev_open();
	look(r, &w);
	return !memcmp(&w, &r->before, sizeof(w));
}

#endif /* VENOM_TEST_KMOD_CALLS_H */

/* SPDX-License-Identifier: MIT */
/* The module's backend: the device, and calls that only observe channels. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "dev/dev.h"

#define DEV "/dev/venom"

static int open_dev(int *fd)
{
	*fd = venom_own(open(DEV, O_RDWR | O_CLOEXEC));
	if (*fd >= 0)
		return 0;
	switch (errno) {
	case EPERM: /* a container's rules for devices */
	case EACCES:
		return -EACCES;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return -errno;
	default:
		return -ENODEV;
	}
}

int dev_open(int *fd)
{
	int rc = open_dev(fd);

	if (rc == -ENODEV)
		return venom_fail(rc, DEV " isn't there: is venom.ko loaded?");
	if (rc == -EACCES)
		return venom_fail(rc, DEV " is not for this user: add it to the group venom (adduser USER venom), or set "
				      "VENOM_BACKEND=memfd for the embedded backend, which doesn't see the module's channels");
	return rc ? dev_short_of(rc) : 0;
}

int dev_check(void)
{
	int fd, rc = open_dev(&fd);

	close_fd(&fd);
	return rc;
}

int dev_short_of(int rc)
{
	switch (rc) {
	case -EMFILE:
	case -ENFILE:
		return venom_fail(rc, "%s", venom_reason(-rc));
	case -ENOSPC:
		return venom_fail(-ENOMEM, "this user is out of epoll watches: raise fs.epoll.max_user_watches");
	case -ENOMEM:
		return venom_fail(rc, "the kernel is out of memory");
	default:
		return rc;
	}
}

int dev_call(int fd, unsigned int cmd, void *arg)
{
	int rc;

	do {
		rc = ioctl(fd, cmd, arg);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

/*
 * Block all signals.  CREATE allocates all of the state's memory, and a signal makes the kernel free it again: under a
 * timer of a millisecond the call would restart for ever.
 */
int dev_become(int fd, unsigned int cmd, void *arg)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = dev_call(fd, cmd, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int dev_map(struct venom_map *map, int fd, uint32_t kind, uint32_t id, uint64_t size, bool write)
{
	/* MAP_POPULATE maps all pages now: a message takes no page fault. */
	map->p = mmap(NULL, size, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED | MAP_POPULATE, fd,
		      (off_t)VENOM_MMAP_OFFSET(kind, id));
	if (map->p != MAP_FAILED) {
		map->size = size;
		return 0;
	}
	map->p = NULL;
	if (errno == EAGAIN) /* after mlockall(MCL_FUTURE) */
		return venom_fail(-ENOMEM, "an area of %llu bytes is more than this process may lock: raise its limit "
					   "(ulimit -l)", (unsigned long long)size);
	if (errno == ENOMEM)
		return venom_fail(-ENOMEM, "an area of %llu bytes can't be mapped: this process has too little address "
					   "space (ulimit -v), or too many maps", (unsigned long long)size);
	return -errno;
}

void dev_unmap(struct venom_map *map)
{
	if (map->p)
		munmap(map->p, map->size);
	map->p = NULL;
}

int dev_bell(int fd, uint32_t bell, int eventfd)
{
	struct venom_ioc_eventfd e = {.size = sizeof(e), .fd = eventfd, .bell = bell};

	return dev_call(fd, VENOM_IOC_EVENTFD, &e);
}

int dev_peer(int fd, uint32_t id, struct venom_ioc_peer *p)
{
	*p = (struct venom_ioc_peer){.size = sizeof(*p), .id = id};
	return dev_call(fd, VENOM_IOC_PEER, p);
}

int dev_features_check(uint64_t features)
{
	features = venom_features_missing(features);
	return features ? venom_fail(-EPROTO, "venom.ko needs features 0x%llx that this library does not know: it is older",
				     (unsigned long long)features) : 0;
}

int dev_why_not(int rc)
{
	switch (rc) {
	case -ENOENT:
		return venom_fail(rc, "no living daemon has the name");
	case -EACCES:
		return venom_fail(rc, "the channel's mode does not let this user read");
	case -EUSERS:
		return venom_fail(rc, "max_clients shells are attached already, or half of them by this user");
	case -EDQUOT:
		return venom_fail(rc, "this user's limit is reached: see the parameters of venom.ko in venom(4)");
	case -ENOMEM:
		return venom_fail(rc, "the kernel has no memory for the areas");
	case -EPERM:
		return venom_fail(-EACCES, "calls of " DEV " are not allowed to this process: a seccomp filter?");
	case -EPROTO:
		return venom_fail(rc, "this library needs features that venom.ko does not have: venom.ko is older");
	case -EINVAL:
	case -E2BIG:
	case -ENOTTY:
		return venom_fail(-EPROTO, DEV " doesn't know this call: venom.ko is of another version than this library");
	default:
		return rc;
	}
}

int dev_heads_check(const struct venom_map *status_map, const struct venom_map *state_map)
{
	const struct venom_status *status = status_map->p;
	const struct venom_state *state = state_map->p;
	int64_t start = now_ns();
	int rc;

	/* The module writes this head, and those of the lanes; the daemon writes the state's. */
	rc = venom_head_check(&status->head, VENOM_AREA_STATUS, status_map->size);
	if (rc)
		return rc;
	/* CREATE comes before the state's head: pairs with the release in venom_state_init. */
	while (!load_acquire(&state->head.magic)) {
		if (load_relaxed(&status->daemon) != VENOM_DAEMON_ALIVE)
			return dev_why_not(-ENOENT);
		if (now_ns() - start > VENOM_PATIENCE_NS)
			return venom_silent();
		usleep(DEV_NAP_US);
	}
	return venom_head_check(&state->head, VENOM_AREA_STATE, state_map->size);
}

/* ---- observing ---- */

static void info_make(struct venom_info *info, const struct venom_ioc_info *i, const struct venom_schema_block *schema)
{
	struct venom_cred daemon = {.pid = i->pid, .uid = i->uid, .gid = i->gid};

	venom_info_make(info, "dev", i->name, &i->geo, i->epoch, &daemon, i->alive, schema);
}

bool dev_lives(const char *name)
{
	struct venom_ioc_connect c = {.size = sizeof(c), .flags = VENOM_CONNECT_OBSERVE, .features = VENOM_FEATURES};
	int fd, rc = open_dev(&fd);

	memcpy(c.name, name, strlen(name));
	if (!rc)
		rc = dev_become(fd, VENOM_IOC_CONNECT, &c);
	close_fd(&fd);
	return !rc || rc == -EACCES; /* -EACCES: it lives, but this user may not see it */
}

int dev_list(int (*fn)(const struct venom_info *info, void *user), void *user, int *count)
{
	struct venom_ioc_info i = {.size = sizeof(i)};
	struct venom_info info;
	int fd, rc = dev_open(&fd);

	while (!rc) {
		memset(i.name, 0, sizeof(i.name));
		rc = dev_call(fd, VENOM_IOC_INFO, &i);
		if (rc)
			break;
		if (i.alive) {
			info_make(&info, &i, NULL);
		} else {
			memset(&info, 0, sizeof(info));
			snprintf(info.name, sizeof(info.name), "%s", i.name);
		}
		++*count;
		rc = fn(&info, user);
	}
	close_fd(&fd);
	return rc == -ENOENT ? 0 : rc;
}

/* Pass one shell to fn; 0 also if it has gone meanwhile. */
static int observe_shell(int fd, const struct venom_ioc_connect *c, uint32_t id,
			 int (*fn)(const struct venom_peer *peer, void *user), void *user)
{
	struct venom_map cmd = {0}, rsp = {0};
	struct venom_ioc_peer p;
	struct venom_peer peer;
	struct venom_cred cred;

	if (dev_peer(fd, id, &p) || p.life != VENOM_SHELL_ALIVE)
		return 0;
	cred = (struct venom_cred){.pid = p.pid, .uid = p.uid, .gid = p.gid};
	venom_peer_make(&peer, id, p.generation, &cred);
	/* Only root and the owner may see the counters. */
	if (!dev_map(&cmd, fd, VENOM_AREA_COMMANDS, id, c->commands_size, false) &&
	    !dev_map(&rsp, fd, VENOM_AREA_RESPONSES, id, c->responses_size, false))
		venom_peer_counts(&peer, cmd.p, rsp.p);
	dev_unmap(&cmd);
	dev_unmap(&rsp);
	return fn(&peer, user);
}

static int look(int fd, const struct venom_ioc_connect *c, const struct venom_ioc_info *i, struct venom_info *info,
		struct venom_daemon_stats *st,
		int (*fn)(const struct venom_peer *peer, void *user), void *user)
{
	struct venom_map state_map = {0}, status_map = {0};
	const struct venom_status *status;
	struct venom_ring ring;
	int rc;

	rc = dev_map(&status_map, fd, VENOM_AREA_STATUS, 0, c->status_size, false);
	if (!rc)
		rc = dev_map(&state_map, fd, VENOM_AREA_STATE, 0, c->state_size, false);
	if (!rc)
		rc = dev_heads_check(&status_map, &state_map);
	if (!rc && info)
		info_make(info, i, &((const struct venom_state *)state_map.p)->schema);
	if (!rc && st) {
		venom_ring_init(&ring, state_map.p, &c->geo);
		venom_stats_make(st, state_map.p, status_map.p, venom_ring_last(&ring));
	}
	status = status_map.p;
	for (uint32_t id = 0; !rc && fn && id < c->geo.max_clients; id++)
		if (load_acquire(&status->shell[id].life) & VENOM_SHELL_ALIVE)
			rc = observe_shell(fd, c, id, fn, user);
	dev_unmap(&state_map);
	dev_unmap(&status_map);
	return rc;
}

int dev_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
	     int (*fn)(const struct venom_peer *peer, void *user), void *user)
{
	struct venom_ioc_connect c = {.size = sizeof(c), .flags = VENOM_CONNECT_OBSERVE, .features = VENOM_FEATURES};
	struct venom_ioc_info i = {.size = sizeof(i)};
	int fd, rc = dev_open(&fd);

	if (rc)
		return rc;
	memcpy(c.name, name, strlen(name));
	memcpy(i.name, name, strlen(name));
	rc = dev_become(fd, VENOM_IOC_CONNECT, &c);
	if (!rc)
		rc = dev_call(fd, VENOM_IOC_INFO, &i);
	rc = rc ? dev_why_not(rc) : look(fd, &c, &i, info, st, fn, user);
	close_fd(&fd);
	return rc;
}

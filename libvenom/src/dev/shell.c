/* SPDX-License-Identifier: MIT */
/*
 * The module's backend: the shell.
 *
 *	dev_shell_connect = CONNECT, map four areas, make an eventfd for wake-ups
 *
 * The shell waits in an epoll: for its eventfd, which the module signals, and for the device's hang-up.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "dev/dev.h"

static int become_shell(struct venom_shell *s, struct venom_ioc_connect *c)
{
	int64_t start = now_ns();
	int rc;

	*c = (struct venom_ioc_connect){.size = sizeof(*c), .wants = s->wants, .features = VENOM_FEATURES};
	memcpy(c->name, s->name, strlen(s->name));
	/* -EAGAIN: all ids are taken, some by dead shells.  The daemon is notified and about to free those. */
	while ((rc = dev_become(s->dev, VENOM_IOC_CONNECT, c)) == -EAGAIN && now_ns() - start < VENOM_PATIENCE_NS)
		usleep(DEV_NAP_US);
	if (rc == -EAGAIN)
		return venom_silent();
	return rc ? dev_why_not(rc) : dev_features_check(c->features);
}

static int meet(struct venom_shell *s)
{
	struct venom_ioc_peer p;
	int rc = dev_peer(s->dev, 0, &p);

	if (!rc)
		s->daemon = (struct venom_cred){.pid = p.pid, .uid = p.uid, .gid = p.gid};
	return rc;
}

void dev_meet(struct venom_shell *s)
{
	meet(s);
}

static int map_all(struct venom_shell *s, const struct venom_ioc_connect *c)
{
	int rc;

	rc = dev_map(&s->status_map, s->dev, VENOM_AREA_STATUS, 0, c->status_size, false);
	if (!rc)
		rc = dev_map(&s->state_map, s->dev, VENOM_AREA_STATE, 0, c->state_size, false);
	if (!rc)
		rc = dev_map(&s->cmd_map, s->dev, VENOM_AREA_COMMANDS, s->id, c->commands_size, true);
	if (!rc)
		rc = dev_map(&s->rsp_map, s->dev, VENOM_AREA_RESPONSES, s->id, c->responses_size, false);
	if (!rc)
		rc = dev_heads_check(&s->status_map, &s->state_map);
	s->status = s->status_map.p;
	s->state = s->state_map.p;
	s->cmd = s->cmd_map.p;
	s->rsp = s->rsp_map.p;
	return rc;
}

static int make_bell(struct venom_shell *s)
{
	int rc;

	s->shell_bell = venom_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	s->sleep_fd = venom_own(epoll_create1(EPOLL_CLOEXEC));
	if (s->shell_bell < 0 || s->sleep_fd < 0)
		return dev_short_of(-errno);
	rc = epoll_watch(s->sleep_fd, s->shell_bell, EPOLLIN | EPOLLET, NULL);
	if (!rc)
		rc = epoll_watch(s->sleep_fd, s->dev, 0, s); /* epoll always reports a hang-up */
	if (!rc)
		rc = dev_bell(s->dev, VENOM_BELL_WAKE, s->shell_bell);
	return dev_short_of(rc);
}

int dev_shell_connect(struct venom_shell *s)
{
	struct venom_ioc_connect c;
	int rc;

	s->shell_bell = s->sleep_fd = -1;
	rc = dev_open(&s->dev);
	if (rc)
		return rc;
	rc = become_shell(s, &c);
	if (!rc)
		rc = venom_geometry_check(&c.geo, c.state_size);
	if (rc)
		goto close;
	s->geo = c.geo;
	s->id = c.id;
	s->generation = c.generation;
	s->may_command = c.may_command;
	s->epoch = c.epoch;
	rc = map_all(s, &c);
	if (!rc)
		rc = make_bell(s);
	if (!rc)
		rc = meet(s);
	if (rc)
		goto close;
	return 0;
close:
	dev_shell_close(s);
	/* The daemon died while we connected. */
	return rc == -EPIPE ? dev_why_not(-ENOENT) : rc;
}

void dev_shell_close(struct venom_shell *s)
{
	dev_unmap(&s->cmd_map);
	dev_unmap(&s->rsp_map);
	dev_unmap(&s->state_map);
	dev_unmap(&s->status_map);
	close_fd(&s->sleep_fd);
	close_fd(&s->shell_bell);
	close_fd(&s->dev);
}

/* ---- wake-ups and death ---- */

/* The kernel writes both words, so they are right at the time of the load. (model: takeover) */
bool dev_alive(struct venom_shell *s)
{
	return load_acquire(&s->status->daemon) == VENOM_DAEMON_ALIVE &&
	       (load_acquire(&s->status->shell[s->id].life) & VENOM_SHELL_ALIVE) &&
	       load_relaxed(&s->status->shell[s->id].generation) == s->generation;
}

static int wake(struct venom_shell *s, uint32_t what)
{
	struct venom_ioc_wake w = {.size = sizeof(w), .what = what};

	return dev_call(s->dev, VENOM_IOC_WAKE, &w);
}

void dev_wake_daemon(struct venom_shell *s)
{
	wake(s, VENOM_WAKE_DAEMON);
}

int dev_ask(struct venom_shell *s)
{
	return wake(s, VENOM_WAKE_LIFE);
}

void dev_wake_publisher(struct venom_shell *s)
{
	wake(s, VENOM_WAKE_MOVED);
}

static int dev_sleep_call(struct venom_shell *s, uint32_t what)
{
	struct venom_ioc_sleep sl = {.size = sizeof(sl), .what = what};

	return dev_call(s->dev, VENOM_IOC_SLEEP, &sl);
}

/* Called once for a shell; barrier.h 6. (model: wake-module) */
int dev_watch(struct venom_shell *s, int64_t timeout_ns)
{
	int rc = dev_sleep_call(s, VENOM_SLEEP_WATCH);

	(void)timeout_ns;
	if (rc)
		return rc;
	if (!venom_membarrier_daemons())
		return venom_fail(-ENOSYS, "to sleep until a publish takes membarrier(2), which isn't to be had");
	return 1;
}

/* model: wake-module */
bool dev_arm_state(struct venom_shell *s)
{
	return !dev_sleep_call(s, VENOM_SLEEP_ARM);
}

/* Skip the call if the publisher woke us, which has disarmed us already. (model: wake-module) */
void dev_disarm_state(struct venom_shell *s)
{
	if (load_relaxed(&s->status->shell[s->id].life) & VENOM_SHELL_ARMED)
		dev_sleep_call(s, VENOM_SLEEP_DISARM);
}

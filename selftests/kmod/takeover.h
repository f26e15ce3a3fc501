/* SPDX-License-Identifier: MIT */
/*
 * A channel whose daemon dies: the daemon, two that come after it and two shells, without the library; all that is
 * visible of the channel without a daemon; and the check that a daemon has resumed it, with every byte unchanged.
 */
#ifndef VENOM_TEST_KMOD_TAKEOVER_H
#define VENOM_TEST_KMOD_TAKEOVER_H

#include <poll.h>

#include "lib/harness.h"
#include "kmod/common.h"

/* ---- a daemon without the library: calls for vt_call() ---- */

static struct venom_ioc_create *answer; /* the answer of the last t_create() of any process */

__attribute__((constructor)) static void set_up_takeover(void)
{
	answer = vt_shared(sizeof(*answer));
}

static int dev = -1, bell = -1;
static char *state;
static size_t state_size;

/* CREATE as *create says; a failed call leaves *create unchanged, and the file without a role. */
static inline long t_create(long create, long flags, long c)
{
	struct venom_ioc_create cr = *(struct venom_ioc_create *)create, before;
	int rc;

	cr.flags = (unsigned int)flags;
	before = cr;
	dev = dev_open();
	VT_CHECK(dev >= 0);
	rc = dev_call(dev, VENOM_IOC_CREATE, &cr);
	if (rc) {
		VT_CHECK(!memcmp(&cr, &before, sizeof(cr)));
		VT_CHECK(dev_wake(dev, VENOM_WAKE_STATE, 0) == -EBADFD);
		close(dev);
		dev = -1;
		return rc;
	}
	*answer = cr;
	state_size = cr.state_size;
	return c;
}

static inline long t_map(long a, long b, long c)
{
	state = dev_map(dev, VENOM_AREA_STATE, 0, state_size, PROT_READ | PROT_WRITE);
	return state == MAP_FAILED ? -errno : a + b + c;
}

static inline long t_unmap(long a, long b, long c)
{
	km_unmap(state, state_size);
	state = NULL;
	return a + b + c;
}

static inline long t_close(long a, long b, long c)
{
	close(dev);
	dev = -1;
	return a + b + c;
}

static inline long t_fill(long v, long b, long c)
{
	vt_fill(state, state_size, (uint32_t)v);
	return b + c;
}

static inline long t_is(long v, long b, long c)
{
	return (v ? vt_is(state, state_size, (uint32_t)v) : vt_all(state, 0, state_size)) + b + c;
}

#define LANE_HEAD sizeof(struct venom_area_head)

/* Write a pattern over all of a shell's responses, except the head. */
static inline long t_answer(long id, long size, long v)
{
	char *p = dev_map(dev, VENOM_AREA_RESPONSES, (unsigned int)id, (size_t)size, PROT_READ | PROT_WRITE);

	if (p == MAP_FAILED)
		return -errno;
	vt_fill(p + LANE_HEAD, (size_t)size - LANE_HEAD, (uint32_t)v);
	munmap(p, (size_t)size);
	return 0;
}

/* The v of the pattern there, or -errno. */
static inline long t_look(long kind, long id, long size)
{
	char *p = dev_map(dev, (unsigned int)kind, (unsigned int)id, (size_t)size, PROT_READ);
	uint32_t v = 0;

	if (p == MAP_FAILED)
		return -errno;
	if (!vt_whole(p + LANE_HEAD, (size_t)size - LANE_HEAD, &v))
		v = 0;
	munmap(p, (size_t)size);
	return v;
}

static struct venom_ioc_peer *peer;

static inline long t_peer(long id, long out, long c)
{
	struct venom_ioc_peer p = {.size = sizeof(p), .id = (unsigned int)id};
	int rc = dev_call(dev, VENOM_IOC_PEER, &p);

	*(struct venom_ioc_peer *)out = p;
	return rc + c;
}

static inline long t_bell(long a, long b, long c)
{
	bell = km_efd();
	return dev_bell(dev, VENOM_BELL_WAKE, bell) + a + b + c;
}

static inline long t_rung(long a, long b, long c)
{
	return (long)km_signals(bell) + a + b + c;
}

/* A shell in another process, which writes a pattern to its lane. */
static struct km_shell ts;

static inline long t_connect(long name, long v, long out)
{
	int rc = km_shell_make(&ts, (const char *)name);

	if (rc)
		return rc;
	vt_fill((char *)ts.commands + LANE_HEAD, ts.c.commands_size - LANE_HEAD, (uint32_t)v);
	*(struct venom_ioc_connect *)out = ts.c;
	return 0;
}

static inline bool hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

FIXTURE(takeover)
{
	struct venom_ioc_create *create; /* the request of all daemons */
	const char *name;
	struct vt_peer dm, next, third, sh;
	struct km_shell own;
	struct venom_ioc_connect *other; /* sh's answer */
	struct venom_ioc_info info; /* before a call that must not change it */
	char status[VENOM_PAGE];
};

FIXTURE_VARIANT(takeover)
{
	bool closed; /* the daemon closes all that it has; else it is killed */
};

/* clang-format off */
FIXTURE_VARIANT_ADD(takeover, killed) { .closed = false };
FIXTURE_VARIANT_ADD(takeover, closed) { .closed = true };
/* clang-format on */

#define STATE	 5 /* patterns */
#define ANSWERS	 6
#define COMMANDS 7

static inline void set_up(FIXTURE_DATA(takeover) * self)
{
	self->name = vt_name();
	self->create = vt_shared(sizeof(*self->create));
	*self->create = dev_create_init(self->name);
	self->other = vt_shared(sizeof(*self->other));
	peer = vt_shared(sizeof(*peer));
	vt_start(&self->dm);
	vt_start(&self->next);
	vt_start(&self->third);
	vt_start(&self->sh);
	VT_CHECK(!vt_call(&self->dm, t_create, self->create));
	VT_CHECK(!vt_call(&self->dm, t_map));
	VT_CHECK(!vt_call(&self->dm, t_fill, STATE));
	VT_CHECK(!km_shell_make(&self->own, self->name));
	vt_fill((char *)self->own.commands + LANE_HEAD, self->own.c.commands_size - LANE_HEAD, COMMANDS);
	VT_CHECK(!vt_call(&self->dm, t_answer, self->own.c.id, self->own.c.responses_size, ANSWERS));
}

static inline void tear_down(FIXTURE_DATA(takeover) * self)
{
	km_shell_close(&self->own);
	vt_kill(&self->sh, SIGKILL);
	vt_kill(&self->third, SIGKILL);
	vt_kill(&self->next, SIGKILL);
	vt_kill(&self->dm, SIGKILL);
}

FIXTURE_SETUP(takeover)
{
	set_up(self);
}

FIXTURE_TEARDOWN(takeover)
{
	tear_down(self);
}

static inline void die(FIXTURE_DATA(takeover) * self, struct vt_peer *dm, bool closed)
{
	if (closed) {
		VT_CHECK(!vt_call(dm, t_unmap));
		VT_CHECK(!vt_call(dm, t_close));
	} else {
		vt_kill(dm, SIGKILL);
	}
	VT_CHECK(VT_UNTIL(km_daemon_life(self->own.status) == VENOM_DAEMON_GONE));
}

/* Save all that is visible of the channel without a daemon. */
static inline void note(FIXTURE_DATA(takeover) * self)
{
	VT_CHECK(!km_info(self->name, &self->info));
	VT_CHECK(!self->info.alive);
	memcpy(self->status, self->own.status, VENOM_PAGE);
}

static inline bool untouched(FIXTURE_DATA(takeover) * self)
{
	struct venom_ioc_info now;

	return !km_info(self->name, &now) && !memcmp(&now, &self->info, sizeof(now)) &&
	       !memcmp(self->status, self->own.status, VENOM_PAGE) && hung_up(self->own.fd);
}

/* p has resumed the channel: every byte is unchanged. */
static inline bool resumed(FIXTURE_DATA(takeover) * self, struct vt_peer *p, unsigned int epoch)
{
	const struct km_shell *own = &self->own;
	struct venom_ioc_peer daemon = {.size = sizeof(daemon)};
	struct venom_geometry geo = self->create->geo;

	VT_CHECK(answer->resumed == 1);
	VT_CHECK(answer->epoch == epoch);
	venom_geometry_fill(&geo, VENOM_PAGE);
	VT_CHECK(!memcmp(&answer->geo, &geo, sizeof(geo)));
	VT_CHECK(answer->state_size == own->c.state_size);
	VT_CHECK(answer->status_size == own->c.status_size);
	VT_CHECK(!vt_call(p, t_map));
	VT_CHECK(vt_call(p, t_is, STATE) == 1);
	VT_CHECK(vt_call(p, t_look, VENOM_AREA_COMMANDS, own->c.id, own->c.commands_size) == COMMANDS);
	VT_CHECK(vt_call(p, t_look, VENOM_AREA_RESPONSES, own->c.id, own->c.responses_size) == ANSWERS);
	/* The shells see it in the status page, and by poll. */
	VT_CHECK(km_daemon_life(own->status) == VENOM_DAEMON_ALIVE);
	VT_CHECK(vt_load(&own->status->epoch) == epoch);
	VT_CHECK(!hung_up(own->fd));
	VT_CHECK(km_shell_life(own->status, own->c.id) == VENOM_SHELL_ALIVE);
	VT_CHECK(!dev_call(own->fd, VENOM_IOC_PEER, &daemon));
	VT_CHECK(daemon.pid == (unsigned int)p->pid);
	VT_CHECK(daemon.life == VENOM_DAEMON_ALIVE);
	VT_CHECK(!vt_call(p, t_peer, own->c.id, peer));
	VT_CHECK(peer->life == VENOM_SHELL_ALIVE);
	VT_CHECK(peer->generation == own->c.generation);
	VT_CHECK(peer->pid == (unsigned int)getpid());
	/* They see what the daemon writes, and both can wake each other. */
	VT_CHECK(!vt_call(p, t_fill, STATE + 100));
	VT_CHECK(vt_is(own->state, own->c.state_size, STATE + 100));
	VT_CHECK(!vt_call(p, t_fill, STATE));
	VT_CHECK(!dev_wake(own->fd, VENOM_WAKE_DAEMON, 0)); /* the daemon has no bell yet */
	VT_CHECK(!vt_call(p, t_bell));
	VT_CHECK(vt_call(p, t_rung) == 0);
	VT_CHECK(!dev_wake(own->fd, VENOM_WAKE_DAEMON, 0));
	VT_CHECK(vt_call(p, t_rung) == 1);
	return true;
}

#endif /* VENOM_TEST_KMOD_TAKEOVER_H */

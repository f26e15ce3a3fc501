/* SPDX-License-Identifier: MIT */
/*
 * Each call of /dev/venom made wrong in every way there is: it fails with the errno that the header names, and nothing
 * has changed by it: not the caller's struct, not what others see of the channels, not what the file is.  And made
 * well, as an older or a newer caller would, it does what it should.
 */
#include <limits.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/dev.h"

enum role { NOTHING, DAEMON, SHELL, LOOKER, ROLES };
static const char *const role_names[] = {"nothing", "daemon", "shell", "looker"};

#define BIT(n)	(1u << (n))
#define POISON	0x5a
#define NO_BELL 900 /* a descriptor that is open, and no eventfd */
#define LONGEST 4096 /* a struct may be a page */

/* Any call's argument; they all begin with size and flags. */
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

static const struct call {
	unsigned long cmd;
	unsigned int size;
	bool answers; /* in the struct */
} calls[] = {
	{VENOM_IOC_CREATE, sizeof(struct venom_ioc_create), true},
	{VENOM_IOC_CONNECT, sizeof(struct venom_ioc_connect), true},
	{VENOM_IOC_EVENTFD, sizeof(struct venom_ioc_eventfd), false},
	{VENOM_IOC_WAKE, sizeof(struct venom_ioc_wake), false},
	{VENOM_IOC_SLEEP, sizeof(struct venom_ioc_sleep), false},
	{VENOM_IOC_LANE, sizeof(struct venom_ioc_lane), false},
	{VENOM_IOC_PEER, sizeof(struct venom_ioc_peer), true},
	{VENOM_IOC_INFO, sizeof(struct venom_ioc_info), true},
	{VENOM_IOC_END, sizeof(struct venom_ioc_end), false},
};

static const struct call *call(unsigned long cmd)
{
	const struct call *c = calls;

	while (c->cmd != cmd)
		c++;
	return c;
}

/* All that anybody can see of the channels here. */
struct world {
	struct venom_ioc_info info[8];
	char status[VENOM_PAGE];
};

/* One file of each role, on one channel, that has a dead shell, too. */
struct rig {
	int fd[ROLES], efd;
	const char *name, *other;
	struct venom_ioc_connect shell, dead;
	char *status, *room, *guard;
	struct world before;
};

static void look(const struct rig *r, struct world *w)
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
static const char *rig_make(struct rig *r)
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
		struct venom_ioc_connect looker = dev_connect_init(r->name);

		looker.flags = VENOM_CONNECT_LOOK;
		if (dev_call(r->fd[LOOKER], VENOM_IOC_CONNECT, &looker))
			return "connect to look";
	}
	r->status = dev_map(r->fd[DAEMON], VENOM_AREA_STATUS, 0, VENOM_PAGE, PROT_READ);
	/* Structs lie before a page that isn't there: a byte read too many is seen. */
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

static void rig_end(struct rig *r)
{
	for (int i = 0; i < ROLES; i++)
		close(r->fd[i]);
	munmap(r->status, VENOM_PAGE);
	munmap(r->room, 4 * LONGEST);
	close(r->efd);
	close(NO_BELL);
}

/* A call as it should be; outputs are poisoned. */
static union arg good(const struct rig *r, unsigned long cmd, unsigned int what)
{
	union arg a;

	memset(&a, 0, sizeof(a));
	switch (cmd) {
	case VENOM_IOC_CREATE:
		a.create = dev_create_init(r->other);
		memset(&a.create.epoch, POISON, sizeof(a.create) - offsetof(struct venom_ioc_create, epoch));
		break;
	case VENOM_IOC_CONNECT:
		memset(&a.connect, POISON, sizeof(a.connect));
		memset(a.connect.name, 0, sizeof(a.connect.name));
		strcpy(a.connect.name, r->name);
		a.connect.flags = what;
		a.connect.reserved = 0;
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
 * The call fails with `want`, and leaves all as it was: len bytes of memory before the guard, from p on or from
 * where the argument would begin, and the world.  Says so if not.
 */
static bool refused_at(const struct rig *r, int want, int fd, unsigned long cmd, void *p, const char *what)
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

static void *put(const struct rig *r, const void *a, size_t len)
{
	return memcpy(r->guard - len, a, len);
}

static bool refused(const struct rig *r, int want, int fd, unsigned long cmd, const union arg *a, const char *what)
{
	size_t len = a->size < 4 ? 4 : a->size < LONGEST ? a->size : LONGEST;

	return refused_at(r, want, fd, cmd, put(r, a, len), what);
}

/* Each file can still do what it is for, and nothing else has changed. */
static bool works(struct rig *r)
{
	union arg a = good(r, VENOM_IOC_PEER, 0);
	struct world w;

	if (dev_wake(r->fd[DAEMON], VENOM_WAKE_SHELL, r->shell.id) || dev_wake(r->fd[SHELL], VENOM_WAKE_DAEMON, 0) ||
	    dev_call(r->fd[LOOKER], VENOM_IOC_PEER, &a))
		return false;
	a = good(r, VENOM_IOC_CONNECT, VENOM_CONNECT_LOOK);
	if (dev_call(r->fd[NOTHING], VENOM_IOC_CONNECT, &a))
		return false;
	close(r->fd[NOTHING]);
	r->fd[NOTHING] = dev_open();
	look(r, &w);
	return !memcmp(&w, &r->before, sizeof(w));
}

/* ---- every call ---- */

FIXTURE(ioctl)
{
	struct rig r;
	union arg a;
};

FIXTURE_VARIANT(ioctl)
{
	const char *name;
	unsigned long cmd;
	unsigned int what; /* of the call, or a flag of CONNECT */
	unsigned int roles; /* that may make it */
	unsigned int flags; /* that there are */
};

/* clang-format off */
#define CALL(variant, ...) FIXTURE_VARIANT_ADD(ioctl, variant) { .name = #variant, __VA_ARGS__ }
CALL(create, .cmd = VENOM_IOC_CREATE, .roles = BIT(NOTHING), .flags = VENOM_CREATE_RESUME | VENOM_CREATE_FENCED);
CALL(connect, .cmd = VENOM_IOC_CONNECT, .roles = BIT(NOTHING), .flags = VENOM_CONNECT_LOOK);
CALL(look, .cmd = VENOM_IOC_CONNECT, .what = VENOM_CONNECT_LOOK, .roles = BIT(NOTHING), .flags = VENOM_CONNECT_LOOK);
CALL(bell, .cmd = VENOM_IOC_EVENTFD, .what = VENOM_BELL_WAKE, .roles = BIT(DAEMON) | BIT(SHELL));
CALL(bell_life, .cmd = VENOM_IOC_EVENTFD, .what = VENOM_BELL_LIFE, .roles = BIT(DAEMON) | BIT(SHELL));
CALL(wake_daemon, .cmd = VENOM_IOC_WAKE, .what = VENOM_WAKE_DAEMON, .roles = BIT(SHELL));
CALL(wake_shell, .cmd = VENOM_IOC_WAKE, .what = VENOM_WAKE_SHELL, .roles = BIT(DAEMON));
CALL(wake_state, .cmd = VENOM_IOC_WAKE, .what = VENOM_WAKE_STATE, .roles = BIT(DAEMON));
CALL(watch, .cmd = VENOM_IOC_SLEEP, .what = VENOM_SLEEP_WATCH, .roles = BIT(SHELL));
CALL(arm, .cmd = VENOM_IOC_SLEEP, .what = VENOM_SLEEP_ARM, .roles = BIT(SHELL));
CALL(disarm, .cmd = VENOM_IOC_SLEEP, .what = VENOM_SLEEP_DISARM, .roles = BIT(SHELL));
CALL(lane, .cmd = VENOM_IOC_LANE, .roles = BIT(DAEMON));
CALL(peer, .cmd = VENOM_IOC_PEER, .roles = BIT(DAEMON) | BIT(SHELL) | BIT(LOOKER));
CALL(info, .cmd = VENOM_IOC_INFO, .roles = BIT(NOTHING) | BIT(DAEMON) | BIT(SHELL) | BIT(LOOKER));
CALL(end, .cmd = VENOM_IOC_END, .roles = BIT(DAEMON));
/* clang-format on */

FIXTURE_SETUP(ioctl)
{
	const char *missing = rig_make(&self->r);

	ASSERT_EQ(NULL, missing) TH_LOG("%s (errno %d)", missing, errno);
	self->a = good(&self->r, variant->cmd, variant->what);
}

FIXTURE_TEARDOWN(ioctl)
{
	rig_end(&self->r);
}

/* A file that may make the call. */
static int right_fd(const struct rig *r, unsigned int roles)
{
	for (int i = 0; i < ROLES; i++)
		if (roles & BIT(i))
			return r->fd[i];
	return -1;
}

/* Make the call as it should be, on a file that is as it was afterwards; its answer is in *a. */
static int right(struct rig *r, const FIXTURE_VARIANT(ioctl) * v, union arg *a)
{
	struct venom_ioc_create c = dev_create_init(r->other);
	size_t len = a->size;
	char *p = put(r, a, len);
	int fd, rc;

	if (v->roles != BIT(NOTHING) && v->cmd != VENOM_IOC_END) {
		rc = dev_call(right_fd(r, v->roles), v->cmd, p);
		memcpy(a, p, len);
	} else {
		fd = dev_open();
		rc = v->cmd == VENOM_IOC_END ? dev_call(fd, VENOM_IOC_CREATE, &c) : 0;
		rc = rc ? rc : dev_call(fd, v->cmd, p);
		memcpy(a, p, len);
		close(fd);
		if (!rc && v->cmd == VENOM_IOC_CONNECT && !v->what)
			rc = dev_lane(r->fd[DAEMON], a->connect.id, a->connect.generation, VENOM_LANE_FREE);
	}
	look(r, &r->before);
	return rc;
}

TEST_F(ioctl, too_short)
{
	union arg a = self->a;

	for (unsigned int n = 0; n < call(variant->cmd)->size; n++) {
		a.size = n;
		ASSERT_TRUE(
			refused(&self->r, -EINVAL, right_fd(&self->r, variant->roles), variant->cmd, &a, variant->name))
		TH_LOG("size %u", n);
	}
	EXPECT_TRUE(works(&self->r));
	EXPECT_LE(0, right(&self->r, variant, &self->a));
}

TEST_F(ioctl, longer)
{
	static const unsigned int beyond[] = {LONGEST + 1, 2 * LONGEST, 1 << 20, INT_MAX, UINT_MAX};
	unsigned int size = call(variant->cmd)->size;
	unsigned int sizes[] = {size + 1, size + 8, 2 * size, LONGEST};
	int fd = right_fd(&self->r, variant->roles);
	union arg a;

	/* With something there that this kernel doesn't know: at its start, in the midst, at its end. */
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned int dirty[] = {size, (size + sizes[i]) / 2, sizes[i] - 1};

		for (unsigned int k = 0; k < ARRAY_SIZE(dirty); k++) {
			a = self->a;
			a.size = sizes[i];
			a.bytes[dirty[k]] = 1;
			EXPECT_TRUE(refused(&self->r, -E2BIG, fd, variant->cmd, &a, variant->name))
			TH_LOG("size %u, byte %u", a.size, dirty[k]);
		}
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(beyond); i++) {
		a = self->a;
		a.size = beyond[i];
		EXPECT_TRUE(refused(&self->r, -E2BIG, fd, variant->cmd, &a, variant->name)) TH_LOG("size %u", a.size);
	}
	EXPECT_TRUE(works(&self->r));
	/* With zeros it is as good as any; the answer is no longer than what is known. */
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		a = self->a;
		a.size = sizes[i];
		EXPECT_LE(0, right(&self->r, variant, &a)) TH_LOG("size %u", sizes[i]);
		EXPECT_EQ(sizes[i], a.size);
		EXPECT_TRUE(vt_all(a.bytes + size, 0, sizes[i] - size));
	}
}

TEST_F(ioctl, unknown_flags)
{
	for (int bit = 0; bit < 32; bit++) {
		union arg a = self->a;

		if (variant->flags & BIT(bit))
			continue;
		a.flags |= BIT(bit);
		EXPECT_TRUE(
			refused(&self->r, -EINVAL, right_fd(&self->r, variant->roles), variant->cmd, &a, variant->name))
		TH_LOG("flag %d", bit);
	}
	EXPECT_TRUE(works(&self->r));
	EXPECT_LE(0, right(&self->r, variant, &self->a));
}

TEST_F(ioctl, bad_pointers)
{
	int fd = right_fd(&self->r, variant->roles);
	unsigned int size = call(variant->cmd)->size;
	struct rig *r = &self->r;
	char *p = put(r, &self->a, size);
	void *const wild[] = {
		NULL,
		(void *)8,
		r->guard,
		r->guard + 100,
		(void *)0x8000000000000000, /* no address at all */
		(void *)0xffff888000000000, /* the kernel's own */
		(void *)0xffffffff81000000,
		(void *)0xffffffffff600000,
		(void *)-(uintptr_t)size,
		(void *)-1,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(wild); i++) {
		EXPECT_TRUE(refused_at(r, -EFAULT, fd, variant->cmd, wild[i], variant->name)) TH_LOG("%p", wild[i]);
	}
	/* The first byte is there, the first word, all but the last byte. */
	for (unsigned int n = 1; n < size; n += n < 8 ? 1 : size - 9) {
		EXPECT_TRUE(refused_at(r, -EFAULT, fd, variant->cmd, memmove(r->guard - n, &self->a, n), variant->name))
		TH_LOG("%u bytes", n);
	}
	EXPECT_TRUE(works(r));
	/* Where an answer is written it must be possible to; else that doesn't matter. */
	p = put(r, &self->a, size);
	ASSERT_EQ(0, mprotect(r->room, 3 * LONGEST, PROT_READ));
	if (call(variant->cmd)->answers) {
		EXPECT_TRUE(refused_at(r, -EFAULT, fd, variant->cmd, p, variant->name));
	} else if (variant->cmd != VENOM_IOC_END) {
		EXPECT_LE(0, dev_call(fd, variant->cmd, p));
	}
	ASSERT_EQ(0, mprotect(r->room, 3 * LONGEST, PROT_READ | PROT_WRITE));
	/* The first half of the answer could be. */
	if (call(variant->cmd)->answers) {
		struct world w;

		p = memcpy(r->room + LONGEST - size / 2, &self->a, size);
		ASSERT_EQ(0, mprotect(r->room + LONGEST, LONGEST, PROT_READ));
		EXPECT_EQ(-EFAULT, dev_call(fd, variant->cmd, p));
		ASSERT_EQ(0, mprotect(r->room + LONGEST, LONGEST, PROT_READ | PROT_WRITE));
		look(r, &w);
		EXPECT_EQ(0, memcmp(&w, &r->before, sizeof(w)));
	} else {
		look(r, &r->before);
	}
	EXPECT_TRUE(works(r));
	EXPECT_LE(0, right(r, variant, &self->a));
}

TEST_F(ioctl, wrong_role)
{
	struct rig *r = &self->r;

	for (int i = 0; i < ROLES; i++) {
		if (variant->roles & BIT(i))
			continue;
		EXPECT_TRUE(refused(r, -EBADFD, r->fd[i], variant->cmd, &self->a, variant->name))
		TH_LOG("as %s", role_names[i]);
	}
	EXPECT_TRUE(works(r));
	for (int i = 0; i < ROLES && variant->roles != BIT(NOTHING) && variant->cmd != VENOM_IOC_END; i++) {
		union arg a = self->a;

		if (variant->roles & BIT(i)) {
			EXPECT_LE(0, dev_call(r->fd[i], variant->cmd, &a)) TH_LOG("as %s", role_names[i]);
		}
	}
	look(r, &r->before);
	EXPECT_LE(0, right(r, variant, &self->a));
}

/* ---- what can't be in a field ---- */

static const struct bad {
	const char *variant, *field;
	size_t at, len;
	__u64 value;
	int err;
} bad[] = {
#define BAD(variant, type, field, value, err)                                            \
	{                                                                                \
#variant, #field " = " #value, offsetof(struct venom_ioc_##type, field), \
			sizeof(((union arg *)0)->type.field), value, err                 \
	}
#define MAX_AND_ZERO(field, max)                                                                  \
	BAD(create, create, geo.field, 0, -EINVAL), BAD(create, create, geo.field, max, -EINVAL), \
		BAD(create, create, geo.field, UINT_MAX, -EINVAL)

	MAX_AND_ZERO(versions, VENOM_VERSIONS_MAX + 1),
	MAX_AND_ZERO(cmd_slots, VENOM_SLOTS_MAX + 1),
	MAX_AND_ZERO(max_clients, VENOM_CLIENTS_MAX + 1),
	BAD(create, create, geo.cmd_size, 0, -EINVAL),
	BAD(create, create, geo.resp_size, 0, -EINVAL),
	BAD(create, create, geo.data_size, 0, -EINVAL),
	BAD(create, create, geo.data_size, VENOM_AREA_MAX, -EINVAL),
	BAD(create, create, geo.data_size, VENOM_AREA_MAX + 1, -EINVAL),
	BAD(create, create, geo.data_size, VENOM_AREA_MAX / 4, -EINVAL), /* four versions, and their heads */
	BAD(create, create, geo.data_size, 1ULL << 63, -EINVAL),
	BAD(create, create, geo.data_size, ULLONG_MAX, -EINVAL),
	BAD(create, create, geo.data_size, ULLONG_MAX - 8191, -EINVAL),
	BAD(create, create, geo.data_size, VENOM_AREA_MAX / 8, -ENOMEM), /* it can be, but not here */
	BAD(create, create, geo.payload, 1, -EINVAL),
	BAD(create, create, geo.payload, 64, -EINVAL),
	BAD(create, create, geo.stride, 1, -EINVAL),
	BAD(create, create, geo.first, 1, -EINVAL),
	BAD(create, create, geo.first, 1ULL << 63, -EINVAL),
	BAD(create, create, geo.page_size, 1, -EINVAL),
	BAD(create, create, geo.page_size, VENOM_PAGE, -EINVAL),
	BAD(create, create, huge, VENOM_IOC_HUGE_NEVER + 1, -EINVAL),
	BAD(create, create, huge, UINT_MAX, -EINVAL),
	BAD(create, create, huge_size, 1, -EINVAL),
	BAD(create, create, huge_size, VENOM_PAGE, -EINVAL),
	BAD(create, create, huge_size, (2 << 20) - 1, -EINVAL),
	BAD(create, create, huge_size, (2 << 20) + 1, -EINVAL),
	BAD(create, create, huge_size, 4 << 20, -EINVAL),
	BAD(create, create, huge_size, 1ULL << 31, -EINVAL),
	BAD(create, create, huge_size, (1ULL << 32) + (2 << 20), -EINVAL),
	BAD(create, create, huge_size, ULLONG_MAX, -EINVAL),
	BAD(create, create, resumed, 1, -EINVAL),
	BAD(create, create, resumed, 1U << 31, -EINVAL),

	BAD(connect, connect, reserved, 1, -EINVAL),
	BAD(look, connect, reserved, 1, -EINVAL),

	BAD(bell, eventfd, bell, VENOM_BELL_LIFE + 1, -EINVAL),
	BAD(bell, eventfd, bell, UINT_MAX, -EINVAL),
	BAD(bell, eventfd, fd, 1000, -EBADF),
	BAD(bell, eventfd, fd, INT_MAX, -EBADF),
	BAD(bell, eventfd, fd, (__u64)-2, -EINVAL),
	BAD(bell, eventfd, fd, (__u64)INT_MIN, -EINVAL),
	BAD(bell, eventfd, fd, NO_BELL, -EINVAL),
	BAD(bell_life, eventfd, fd, 1000, -EBADF),
	BAD(bell_life, eventfd, fd, NO_BELL, -EINVAL),

	BAD(wake_daemon, wake, what, VENOM_WAKE_STATE + 1, -EINVAL),
	BAD(wake_state, wake, what, VENOM_WAKE_STATE + 1, -EINVAL),
	BAD(wake_state, wake, what, UINT_MAX, -EINVAL),
	BAD(wake_daemon, wake, id, 1, -EINVAL),
	BAD(wake_state, wake, id, 1, -EINVAL),
	BAD(wake_shell, wake, id, 3, -ENOENT), /* nobody has it */
	BAD(wake_shell, wake, id, 4, -ENOENT), /* max_clients */
	BAD(wake_shell, wake, id, UINT_MAX, -ENOENT),

	BAD(arm, sleep, what, VENOM_SLEEP_DISARM + 1, -EINVAL),
	BAD(arm, sleep, what, UINT_MAX, -EINVAL),
	BAD(watch, sleep, reserved, 1, -EINVAL),
	BAD(arm, sleep, reserved, 1, -EINVAL),
	BAD(disarm, sleep, reserved, 1U << 31, -EINVAL),

	BAD(lane, lane, id, 3, -ENOENT),
	BAD(lane, lane, id, 4, -ENOENT),
	BAD(lane, lane, id, UINT_MAX, -ENOENT),
	BAD(lane, lane, generation, 0, -ENOENT),
	BAD(lane, lane, generation, 77, -ENOENT),
	BAD(lane, lane, what, VENOM_LANE_EVICT + 1, -EINVAL),
	BAD(lane, lane, what, UINT_MAX, -EINVAL),
	BAD(lane, lane, reserved, 1, -EINVAL),

	BAD(peer, peer, id, 3, -ENOENT),
	BAD(peer, peer, id, 4, -ENOENT),
	BAD(peer, peer, id, UINT_MAX, -ENOENT),
	BAD(peer, peer, reserved, 1, -EINVAL),

	BAD(info, info, reserved, 1, -EINVAL),
};

TEST_F(ioctl, bad_values)
{
	struct rig *r = &self->r;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		union arg a = self->a;
		int fd = variant->cmd == VENOM_IOC_PEER || variant->cmd == VENOM_IOC_EVENTFD
				 ? r->fd[DAEMON]
				 : right_fd(r, variant->roles);

		if (strcmp(bad[i].variant, variant->name))
			continue;
		memcpy(a.bytes + bad[i].at, &bad[i].value, bad[i].len);
		EXPECT_TRUE(refused(r, bad[i].err, fd, variant->cmd, &a, variant->name)) TH_LOG("%s", bad[i].field);
	}
	EXPECT_TRUE(works(r));
	EXPECT_LE(0, right(r, variant, &self->a));
}

/* ---- names ---- */

/* clang-format off */
static const char *const bad_names[] = {
	"", ".", "..", ".hidden", "/", "a/b", "a/", "/a", " ", "a b", "a ", " a", "a\n", "\t", "\x01", "a\x1f", "a\x7fz",
	"0123456789012345678901234567890123456789012345678901234567890123", /* 64 bytes: no room for its zero */
};

static const char *const good_names[] = {
	"a", "-", "a.b", "a..", "\\", "\xc3\xa4\xc3\xb6", "\xff",
	"012345678901234567890123456789012345678901234567890123456789012",
};
/* clang-format on */

static void set_name(char *to, const char *name)
{
	memset(to, 0, VENOM_NAME_LEN);
	memcpy(to, name, strlen(name));
}

FIXTURE(rig)
{
	struct rig r;
};

FIXTURE_SETUP(rig)
{
	const char *missing = rig_make(&self->r);

	ASSERT_EQ(NULL, missing) TH_LOG("%s (errno %d)", missing, errno);
}

FIXTURE_TEARDOWN(rig)
{
	rig_end(&self->r);
}

TEST_F(rig, names)
{
	struct rig *r = &self->r;
	union arg a;
	int fd;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad_names); i++) {
		a = good(r, VENOM_IOC_CREATE, 0);
		set_name(a.create.name, bad_names[i]);
		EXPECT_TRUE(refused(r, -EINVAL, r->fd[NOTHING], VENOM_IOC_CREATE, &a, "create")) TH_LOG("name %u", i);
		a = good(r, VENOM_IOC_CONNECT, 0);
		set_name(a.connect.name, bad_names[i]);
		EXPECT_TRUE(refused(r, -EINVAL, r->fd[NOTHING], VENOM_IOC_CONNECT, &a, "connect")) TH_LOG("name %u", i);
		a = good(r, VENOM_IOC_INFO, 0);
		set_name(a.info.name, bad_names[i]);
		if (*bad_names[i]) { /* without a name it is the next one */
			EXPECT_TRUE(refused(r, -EINVAL, r->fd[NOTHING], VENOM_IOC_INFO, &a, "info"))
			TH_LOG("name %u", i);
		}
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(good_names); i++) {
		a = good(r, VENOM_IOC_CONNECT, 0);
		set_name(a.connect.name, good_names[i]);
		EXPECT_TRUE(refused(r, -ENOENT, r->fd[NOTHING], VENOM_IOC_CONNECT, &a, "connect")) TH_LOG("name %u", i);
		a = good(r, VENOM_IOC_INFO, 0);
		set_name(a.info.name, good_names[i]);
		EXPECT_TRUE(refused(r, -ENOENT, r->fd[NOTHING], VENOM_IOC_INFO, &a, "info")) TH_LOG("name %u", i);
		a = good(r, VENOM_IOC_CREATE, 0);
		set_name(a.create.name, good_names[i]);
		fd = dev_open();
		EXPECT_EQ(0, dev_call(fd, VENOM_IOC_CREATE, &a)) TH_LOG("name %u", i);
		a = good(r, VENOM_IOC_INFO, 0);
		set_name(a.info.name, good_names[i]);
		EXPECT_EQ(0, dev_call(r->fd[NOTHING], VENOM_IOC_INFO, &a)) TH_LOG("name %u", i);
		close(fd);
	}
	EXPECT_TRUE(works(r));
}

/* ---- more of what can't be asked for ---- */

TEST_F(rig, mode)
{
	struct rig *r = &self->r;
	union arg a;

	for (int bit = 0; bit < 32; bit++) {
		int fd = dev_open();

		a = good(r, VENOM_IOC_CREATE, 0);
		a.create.geo.mode = BIT(bit);
		if (BIT(bit) & 0666) {
			EXPECT_EQ(0, dev_call(fd, VENOM_IOC_CREATE, &a)) TH_LOG("mode 0%o", BIT(bit));
		} else {
			EXPECT_TRUE(refused(r, -EINVAL, fd, VENOM_IOC_CREATE, &a, "create"))
			TH_LOG("mode 0%o", BIT(bit));
		}
		close(fd);
	}
	EXPECT_TRUE(works(r));
}

/* Each is good, their product isn't. */
TEST_F(rig, products)
{
	struct rig *r = &self->r;
	union arg init = good(r, VENOM_IOC_CREATE, 0), a;

	a = init;
	a.create.geo.versions = VENOM_VERSIONS_MAX;
	a.create.geo.data_size = VENOM_AREA_MAX / VENOM_VERSIONS_MAX;
	EXPECT_TRUE(refused(r, -EINVAL, r->fd[NOTHING], VENOM_IOC_CREATE, &a, "versions * data_size"));
	a = init;
	a.create.geo.cmd_slots = VENOM_SLOTS_MAX;
	a.create.geo.cmd_size = UINT_MAX;
	EXPECT_TRUE(refused(r, -EINVAL, r->fd[NOTHING], VENOM_IOC_CREATE, &a, "cmd_slots * cmd_size"));
	a = init;
	a.create.geo.cmd_slots = VENOM_SLOTS_MAX;
	a.create.geo.resp_size = UINT_MAX;
	EXPECT_TRUE(refused(r, -EINVAL, r->fd[NOTHING], VENOM_IOC_CREATE, &a, "cmd_slots * resp_size"));
	EXPECT_TRUE(works(r));
}

/* The largest of each kind can be created, and lanes for which there is no memory can't be connected to. */
TEST_F(rig, largest)
{
	struct rig *r = &self->r;
	union arg a = good(r, VENOM_IOC_CREATE, 0), c;
	int fd = dev_open();

	a.create.geo.versions = VENOM_VERSIONS_MAX;
	a.create.geo.data_size = 1;
	a.create.geo.max_clients = VENOM_CLIENTS_MAX;
	a.create.geo.cmd_slots = 1;
	a.create.geo.cmd_size = UINT_MAX;
	a.create.geo.resp_size = UINT_MAX;
	ASSERT_EQ(0, dev_call(fd, VENOM_IOC_CREATE, &a));
	look(r, &r->before);
	c = good(r, VENOM_IOC_CONNECT, 0);
	set_name(c.connect.name, r->other);
	EXPECT_TRUE(refused(r, -ENOMEM, r->fd[NOTHING], VENOM_IOC_CONNECT, &c, "connect"));
	EXPECT_TRUE(works(r));
	close(fd);
}

/* ---- calls that don't exist ---- */

TEST_F(rig, unknown_calls)
{
	static const char types[] = {'V' - 1, 'V' + 1, 'v', 0};
	static const unsigned int dirs[] = {_IOC_NONE, _IOC_READ, _IOC_WRITE, _IOC_READ | _IOC_WRITE};
	struct rig *r = &self->r;
	union arg a = good(r, VENOM_IOC_INFO, 0);

	for (int i = 0; i < ROLES; i++) {
		for (unsigned int nr = 0; nr < 256; nr++) {
			bool ours = nr >= _IOC_NR(VENOM_IOC_CREATE) && nr <= _IOC_NR(VENOM_IOC_END);

			for (unsigned int k = 0; k < ARRAY_SIZE(dirs); k++) {
				unsigned int size = dirs[k] == _IOC_NONE ? 0 : a.size;

				/* Ours have neither direction nor size in their number. */
				if (!ours || size) {
					ASSERT_EQ(-ENOTTY, dev_call(r->fd[i], _IOC(dirs[k], 'V', nr, size), &a));
				}
				if (ours) {
					ASSERT_EQ(-ENOTTY, dev_call(r->fd[i], _IOC(dirs[k], types[k], nr, size), &a));
				}
			}
		}
		EXPECT_TRUE(refused(r, -ENOTTY, r->fd[i], 0x5401 /* TCGETS */, &a, role_names[i]));
		EXPECT_TRUE(refused(r, -ENOTTY, r->fd[i], 0x541b /* FIONREAD */, &a, role_names[i]));
	}
	EXPECT_TRUE(works(r));
}

/* read, write, seek and the like make no sense here. */
TEST_F(rig, not_a_stream)
{
	struct rig *r = &self->r;
	char c = 0;

	for (int i = 0; i < ROLES; i++) {
		EXPECT_EQ(-1, read(r->fd[i], &c, 1));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-1, write(r->fd[i], &c, 1));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-1, ftruncate(r->fd[i], 0));
		EXPECT_EQ(-1, fallocate(r->fd[i], 0, 0, 4096));
	}
	EXPECT_TRUE(works(r));
}

/* ---- twice, and out of turn ---- */

TEST_F(rig, twice)
{
	struct rig *r = &self->r;
	union arg a;

	for (int i = DAEMON; i < ROLES; i++) {
		for (int other = 0; other < 2; other++) {
			a = good(r, VENOM_IOC_CREATE, 0);
			set_name(a.create.name, other ? r->other : r->name);
			EXPECT_TRUE(refused(r, -EBADFD, r->fd[i], VENOM_IOC_CREATE, &a, role_names[i]));
			a = good(r, VENOM_IOC_CONNECT, 0);
			set_name(a.connect.name, other ? r->other : r->name);
			EXPECT_TRUE(refused(r, -EBADFD, r->fd[i], VENOM_IOC_CONNECT, &a, role_names[i]));
			a.connect.flags = VENOM_CONNECT_LOOK;
			EXPECT_TRUE(refused(r, -EBADFD, r->fd[i], VENOM_IOC_CONNECT, &a, role_names[i]));
		}
	}
	EXPECT_TRUE(works(r));
}

/* A failure doesn't make the file anything: it can become whatever it may afterwards. */
TEST_F(rig, nothing_after_a_failure)
{
	struct rig *r = &self->r;
	union arg create = good(r, VENOM_IOC_CREATE, 0), connect = good(r, VENOM_IOC_CONNECT, 0), a;
	int fd = r->fd[NOTHING];

	a = create;
	set_name(a.create.name, r->name);
	EXPECT_TRUE(refused(r, -EBUSY, fd, VENOM_IOC_CREATE, &a, "create"));
	a.flags = VENOM_CREATE_RESUME;
	EXPECT_TRUE(refused(r, -EBUSY, fd, VENOM_IOC_CREATE, &a, "resume"));
	a = connect;
	set_name(a.connect.name, r->other);
	EXPECT_TRUE(refused(r, -ENOENT, fd, VENOM_IOC_CONNECT, &a, "connect"));
	a.flags = VENOM_CONNECT_LOOK;
	EXPECT_TRUE(refused(r, -ENOENT, fd, VENOM_IOC_CONNECT, &a, "look"));
	EXPECT_EQ(-EBADFD, dev_wake(fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(-EBADFD, dev_end(fd));
	EXPECT_EQ(0, dev_call(fd, VENOM_IOC_CREATE, &create));
	EXPECT_EQ(0, dev_wake(fd, VENOM_WAKE_STATE, 0));
	close(fd);
	r->fd[NOTHING] = dev_open();
	EXPECT_EQ(0, dev_call(r->fd[NOTHING], VENOM_IOC_CONNECT, &connect));
}

/* More shells than the channel has places, and what is counted. */
TEST_F(rig, full)
{
	struct rig *r = &self->r;
	const struct venom_status *st = (void *)r->status;
	union arg connect = good(r, VENOM_IOC_CONNECT, 0), a;
	__u64 refused_before = st->refused;
	struct world w;
	int fd[3];

	/* Of four places one is taken, and one is a dead shell's, which has commands left, or may have. */
	for (int i = 0; i < 3; i++)
		fd[i] = dev_open();
	for (int i = 0; i < 2; i++) {
		a = connect;
		ASSERT_EQ(0, dev_call(fd[i], VENOM_IOC_CONNECT, &a));
	}
	a = connect;
	EXPECT_EQ(-EAGAIN, dev_call(fd[2], VENOM_IOC_CONNECT, &a));
	EXPECT_EQ(0, memcmp(&a, &connect, sizeof(a)));
	EXPECT_EQ(0, dev_lane(r->fd[DAEMON], r->dead.id, r->dead.generation, VENOM_LANE_KEEP));
	EXPECT_EQ(-EUSERS, dev_call(fd[2], VENOM_IOC_CONNECT, &a));
	EXPECT_EQ(0, memcmp(&a, &connect, sizeof(a)));
	EXPECT_EQ(refused_before + 1, st->refused);
	EXPECT_EQ(3, st->attached);
	/* A looker needs no place. */
	a.flags = VENOM_CONNECT_LOOK;
	EXPECT_EQ(0, dev_call(fd[2], VENOM_IOC_CONNECT, &a));
	close(fd[2]);
	fd[2] = dev_open();
	EXPECT_EQ(0, dev_lane(r->fd[DAEMON], r->dead.id, r->dead.generation, VENOM_LANE_FREE));
	look(r, &w);
	EXPECT_EQ(-ENOENT, dev_lane(r->fd[DAEMON], r->dead.id, r->dead.generation, VENOM_LANE_FREE));
	EXPECT_EQ(0, memcmp(&w.status, r->status, sizeof(w.status)));
	a = connect;
	EXPECT_EQ(0, dev_call(fd[2], VENOM_IOC_CONNECT, &a));
	EXPECT_EQ(r->dead.id, a.connect.id);
	EXPECT_NE(r->dead.generation, a.connect.generation);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* The lanes of the living are not freed. */
TEST_F(rig, a_living_lane_is_kept)
{
	struct rig *r = &self->r;
	struct venom_ioc_lane l = {.size = sizeof(l), .id = r->shell.id, .generation = r->shell.generation};
	struct world w;

	for (l.what = VENOM_LANE_FREE; l.what <= VENOM_LANE_KEEP; l.what++) {
		EXPECT_GT(0, dev_call(r->fd[DAEMON], VENOM_IOC_LANE, &l)) TH_LOG("what %u", l.what);
		look(r, &w);
		EXPECT_EQ(0, memcmp(&w, &r->before, sizeof(w)));
	}
	EXPECT_TRUE(works(r));
}

/* ---- what a good call answers ---- */

TEST_F(rig, answers)
{
	struct rig *r = &self->r;
	union arg a = good(r, VENOM_IOC_CREATE, 0);
	struct venom_geometry geo = a.create.geo;
	int fd = dev_open();

	venom_geometry_fill(&geo, VENOM_PAGE);
	ASSERT_EQ(0, dev_call(fd, VENOM_IOC_CREATE, &a));
	EXPECT_EQ(0, memcmp(&geo, &a.create.geo, sizeof(geo)));
	EXPECT_STREQ(r->other, a.create.name);
	EXPECT_EQ(0, a.create.resumed);
	EXPECT_EQ(1, a.create.epoch);
	EXPECT_EQ(venom_state_bytes(&geo), a.create.state_size);
	EXPECT_EQ(venom_status_bytes(geo.max_clients), a.create.status_size);
	close(fd);

	a = good(r, VENOM_IOC_CONNECT, 0);
	fd = dev_open();
	ASSERT_EQ(0, dev_call(fd, VENOM_IOC_CONNECT, &a));
	EXPECT_EQ(0, memcmp(&geo, &a.connect.geo, sizeof(geo)));
	EXPECT_STREQ(r->name, a.connect.name);
	EXPECT_LT(a.connect.id, geo.max_clients);
	EXPECT_NE(r->shell.id, a.connect.id);
	EXPECT_NE(r->dead.id, a.connect.id);
	EXPECT_NE(r->shell.generation, a.connect.generation);
	EXPECT_NE(r->dead.generation, a.connect.generation);
	EXPECT_EQ(1, a.connect.may_command);
	EXPECT_EQ(0, a.connect.reserved);
	EXPECT_EQ(1, a.connect.epoch);
	EXPECT_EQ(venom_state_bytes(&geo), a.connect.state_size);
	EXPECT_EQ(venom_status_bytes(geo.max_clients), a.connect.status_size);
	EXPECT_EQ(venom_commands_bytes(&geo), a.connect.commands_size);
	EXPECT_EQ(venom_responses_bytes(&geo), a.connect.responses_size);
	close(fd);

	a = good(r, VENOM_IOC_CONNECT, VENOM_CONNECT_LOOK);
	fd = dev_open();
	ASSERT_EQ(0, dev_call(fd, VENOM_IOC_CONNECT, &a));
	EXPECT_EQ(0, memcmp(&geo, &a.connect.geo, sizeof(geo)));
	EXPECT_EQ(1, a.connect.epoch);
	EXPECT_EQ(venom_state_bytes(&geo), a.connect.state_size);
	EXPECT_EQ(venom_status_bytes(geo.max_clients), a.connect.status_size);
	/* Nothing is left of the poison, whatever a looker has no use for. */
	EXPECT_NE(POISON, ((char *)&a.connect.id)[0]);
	EXPECT_NE(POISON, ((char *)&a.connect.may_command)[0]);
	close(fd);

	for (int i = DAEMON; i < ROLES; i++) {
		a = good(r, VENOM_IOC_PEER, 0);
		a.peer.id = i == SHELL ? 0 : r->shell.id;
		ASSERT_EQ(0, dev_call(r->fd[i], VENOM_IOC_PEER, &a)) TH_LOG("%s", role_names[i]);
		EXPECT_EQ(getpid(), a.peer.pid);
		EXPECT_EQ(getuid(), a.peer.uid);
		EXPECT_EQ(getgid(), a.peer.gid);
		EXPECT_EQ(0, a.peer.reserved);
		if (i == SHELL) {
			EXPECT_EQ(VENOM_DAEMON_ALIVE, a.peer.life);
			/* It has one peer only. */
			a = good(r, VENOM_IOC_PEER, 0);
			a.peer.id = 1;
			look(r, &r->before);
			EXPECT_TRUE(refused(r, -EINVAL, r->fd[SHELL], VENOM_IOC_PEER, &a, "peer"));
		} else {
			EXPECT_EQ(r->shell.generation, a.peer.generation);
			EXPECT_EQ(VENOM_SHELL_ALIVE, a.peer.life);
			EXPECT_EQ(1, a.peer.may_command);
			a.peer.id = r->dead.id;
			ASSERT_EQ(0, dev_call(r->fd[i], VENOM_IOC_PEER, &a)) TH_LOG("%s", role_names[i]);
			EXPECT_EQ(r->dead.generation, a.peer.generation);
			EXPECT_EQ(VENOM_SHELL_GONE, a.peer.life);
		}
	}

	a = good(r, VENOM_IOC_INFO, 0);
	ASSERT_EQ(0, dev_call(r->fd[NOTHING], VENOM_IOC_INFO, &a));
	EXPECT_STREQ(r->name, a.info.name);
	EXPECT_EQ(0, memcmp(&geo, &a.info.geo, sizeof(geo)));
	EXPECT_EQ(1, a.info.epoch);
	EXPECT_EQ(getpid(), a.info.pid);
	EXPECT_EQ(getuid(), a.info.uid);
	EXPECT_EQ(getgid(), a.info.gid);
	EXPECT_EQ(1, a.info.alive);
	EXPECT_EQ(1, a.info.attached);
	EXPECT_EQ(0, a.info.reserved);
}

/* The list gives each channel once, whatever comes and goes meanwhile. */
TEST_F(rig, list)
{
	struct rig *r = &self->r;
	union arg a;
	int fd[6], seen[6] = {0}, others = 0;

	for (int i = 0; i < 6; i++) {
		a = good(r, VENOM_IOC_CREATE, 0);
		snprintf(a.create.name, VENOM_NAME_LEN, "listed-%d", i);
		fd[i] = dev_open();
		ASSERT_EQ(0, dev_call(fd[i], VENOM_IOC_CREATE, &a));
	}
	a = good(r, VENOM_IOC_INFO, 0);
	memset(a.info.name, 0, VENOM_NAME_LEN);
	for (int n = 0; n < 20 && !dev_call(r->fd[NOTHING], VENOM_IOC_INFO, &a); n++) {
		if (!strncmp(a.info.name, "listed-", 7)) {
			int i = a.info.name[7] - '0';

			ASSERT_TRUE(i >= 0 && i < 6);
			seen[i]++;
			if (i == 1) {
				close(fd[1]); /* the cursor is on it */
				close(fd[3]); /* not yet seen */
			}
		} else {
			others++;
		}
		memset(a.info.name, 0, VENOM_NAME_LEN);
	}
	EXPECT_EQ(1, others);
	for (int i = 0; i < 6; i++) {
		EXPECT_EQ(i != 3, seen[i]) TH_LOG("channel %d", i);
		if (i != 1 && i != 3)
			close(fd[i]);
	}
	a.info.cursor = ULLONG_MAX;
	look(r, &r->before);
	EXPECT_TRUE(refused(r, -ENOENT, r->fd[NOTHING], VENOM_IOC_INFO, &a, "info"));
}

TEST_HARNESS_MAIN

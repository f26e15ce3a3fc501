/* SPDX-License-Identifier: MIT */
/*
 * Each call of /dev/venom with every kind of error: it fails with the errno that the header names, and changes nothing:
 * neither the caller's struct, nor what others see of the channels, nor the role of the file. A valid call of an older
 * or a newer caller works.
 */
#include <limits.h>

#include "lib/harness.h"
#include "kmod/calls.h"

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
	unsigned int roles; /* that may make the call */
	unsigned int flags; /* that are valid */
};

/* clang-format off */
#define CALL(variant, ...) FIXTURE_VARIANT_ADD(ioctl, variant) { .name = #variant, __VA_ARGS__ }
CALL(create, .cmd = VENOM_IOC_CREATE, .roles = BIT(NOTHING), .flags = VENOM_CREATE_RESUME | VENOM_CREATE_FENCED);
CALL(connect, .cmd = VENOM_IOC_CONNECT, .roles = BIT(NOTHING), .flags = VENOM_CONNECT_OBSERVE);
CALL(look, .cmd = VENOM_IOC_CONNECT, .what = VENOM_CONNECT_OBSERVE, .roles = BIT(NOTHING), .flags = VENOM_CONNECT_OBSERVE);
CALL(bell, .cmd = VENOM_IOC_EVENTFD, .what = VENOM_BELL_WAKE, .roles = BIT(DAEMON) | BIT(SHELL));
CALL(bell_moved, .cmd = VENOM_IOC_EVENTFD, .what = VENOM_BELL_MOVED, .roles = BIT(DAEMON));
CALL(bell_life, .cmd = VENOM_IOC_EVENTFD, .what = VENOM_BELL_LIFE, .roles = BIT(DAEMON) | BIT(SHELL));
CALL(wake_daemon, .cmd = VENOM_IOC_WAKE, .what = VENOM_WAKE_DAEMON, .roles = BIT(SHELL));
CALL(wake_life, .cmd = VENOM_IOC_WAKE, .what = VENOM_WAKE_LIFE, .roles = BIT(SHELL));
CALL(wake_moved, .cmd = VENOM_IOC_WAKE, .what = VENOM_WAKE_MOVED, .roles = BIT(SHELL));
CALL(wake_shell, .cmd = VENOM_IOC_WAKE, .what = VENOM_WAKE_SHELL, .roles = BIT(DAEMON));
CALL(wake_state, .cmd = VENOM_IOC_WAKE, .what = VENOM_WAKE_STATE, .roles = BIT(DAEMON));
CALL(watch, .cmd = VENOM_IOC_SLEEP, .what = VENOM_SLEEP_WATCH, .roles = BIT(SHELL));
CALL(arm, .cmd = VENOM_IOC_SLEEP, .what = VENOM_SLEEP_ARM, .roles = BIT(SHELL));
CALL(disarm, .cmd = VENOM_IOC_SLEEP, .what = VENOM_SLEEP_DISARM, .roles = BIT(SHELL));
CALL(lane, .cmd = VENOM_IOC_LANE, .roles = BIT(DAEMON));
CALL(peer, .cmd = VENOM_IOC_PEER, .roles = BIT(DAEMON) | BIT(SHELL) | BIT(OBSERVER));
CALL(info, .cmd = VENOM_IOC_INFO, .roles = BIT(NOTHING) | BIT(DAEMON) | BIT(SHELL) | BIT(OBSERVER));
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

/* Make a valid call, on a file that keeps its role; the answer is in *a. */
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

	for (unsigned int n = 0; n < call(variant->cmd)->least; n++) {
		a.size = n;
		ASSERT_TRUE(
			refused(&self->r, -EINVAL, right_fd(&self->r, variant->roles), variant->cmd, &a, variant->name))
		TH_LOG("size %u", n);
	}
	EXPECT_TRUE(works(&self->r));
	/* An older caller: the struct ends at an unmapped page, so an answer must not be longer. */
	for (unsigned int n = call(variant->cmd)->least; n < call(variant->cmd)->size; n++) {
		a = self->a;
		a.size = n;
		EXPECT_LE(0, right(&self->r, variant, &a)) TH_LOG("size %u", n);
	}
	EXPECT_LE(0, right(&self->r, variant, &self->a));
}

TEST_F(ioctl, longer)
{
	static const unsigned int beyond[] = {LONGEST + 1, 2 * LONGEST, 1 << 20, INT_MAX, UINT_MAX};
	unsigned int size = call(variant->cmd)->size;
	unsigned int sizes[] = {size + 1, size + 8, 2 * size, LONGEST};
	int fd = right_fd(&self->r, variant->roles);
	union arg a;

	/*
	 * A newer caller uses a byte that this kernel doesn't know: at the start, in the middle, at the end of what is
	 * beyond.
	 */
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
	/* With zeros there the call is valid; the answer is no longer than what this kernel knows. */
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
		(void *)0x8000000000000000, /* a non-canonical address */
		(void *)0xffff888000000000, /* kernel addresses */
		(void *)0xffffffff81000000,
		(void *)0xffffffffff600000,
		(void *)-(uintptr_t)size,
		(void *)-1,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(wild); i++) {
		EXPECT_TRUE(refused_at(r, -EFAULT, fd, variant->cmd, wild[i], variant->name)) TH_LOG("%p", wild[i]);
	}
	/* Only the first bytes, the first word, or all but the last byte are mapped. */
	for (unsigned int n = 1; n < size; n += n < 8 ? 1 : size - 9) {
		EXPECT_TRUE(refused_at(r, -EFAULT, fd, variant->cmd, memmove(r->guard - n, &self->a, n), variant->name))
		TH_LOG("%u bytes", n);
	}
	EXPECT_TRUE(works(r));
	/* If the call writes an answer, its memory must be writable; else it may be read-only. */
	p = put(r, &self->a, size);
	ASSERT_EQ(0, mprotect(r->room, 3 * LONGEST, PROT_READ));
	if (call(variant->cmd)->answers) {
		EXPECT_TRUE(refused_at(r, -EFAULT, fd, variant->cmd, p, variant->name));
	} else if (variant->cmd != VENOM_IOC_END) {
		EXPECT_LE(0, dev_call(fd, variant->cmd, p));
	}
	ASSERT_EQ(0, mprotect(r->room, 3 * LONGEST, PROT_READ | PROT_WRITE));
	/* Only the first half of the answer is writable. */
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

/* ---- invalid field values ---- */

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
	BAD(create, create, geo.data_size, VENOM_AREA_MAX / 8, -ENOMEM), /* valid, but not on this machine */
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
	BAD(create, create, geo.schema_size, VENOM_SCHEMA_MAX + 1, -EINVAL),
	BAD(create, create, geo.schema_size, UINT_MAX, -EINVAL),
	BAD(create, create, geo.flags, 1U << 3, -EINVAL),
	BAD(create, create, geo.flags, 1U << 31, -EINVAL),
	BAD(create, create, geo.flags, VENOM_GEO_LOSSLESS, -EINVAL), /* without a limit */
	BAD(create, create, geo.lossless_limit_ns, 1, -EINVAL), /* without the flag */
	BAD(create, create, geo.max_holders, VENOM_CLIENTS_MAX + 1, -EINVAL),
	BAD(create, create, geo.max_holders, UINT_MAX, -EINVAL),
	BAD(create, create, geo.reserved[0], 1, -EINVAL),
	BAD(create, create, geo.reserved[47], 1, -EINVAL),
	BAD(create, create, features, 1ULL << 32, -EPROTO),
	BAD(create, create, features, 1ULL << 63, -EPROTO),
	BAD(connect, connect, features, 1ULL << 32, -EPROTO),
	BAD(look, connect, features, 1ULL << 63, -EPROTO),
	BAD(create, create, resumed, 1, -EINVAL),
	BAD(create, create, resumed, 1U << 31, -EINVAL),

	BAD(connect, connect, wants, VENOM_ROLES + 1, -EINVAL),
	BAD(look, connect, wants, VENOM_ROLE_HOLDER, -EINVAL),

	BAD(bell, eventfd, bell, VENOM_BELLS, -EINVAL),
	BAD(bell, eventfd, bell, UINT_MAX, -EINVAL),
	BAD(bell, eventfd, fd, 1000, -EBADF),
	BAD(bell, eventfd, fd, INT_MAX, -EBADF),
	BAD(bell, eventfd, fd, (__u64)-2, -EINVAL),
	BAD(bell, eventfd, fd, (__u64)INT_MIN, -EINVAL),
	BAD(bell, eventfd, fd, NO_BELL, -EINVAL),
	BAD(bell_life, eventfd, fd, 1000, -EBADF),
	BAD(bell_life, eventfd, fd, NO_BELL, -EINVAL),

	BAD(wake_daemon, wake, what, VENOM_WAKE_MOVED + 1, -EINVAL),
	BAD(wake_state, wake, what, VENOM_WAKE_MOVED + 1, -EINVAL),
	BAD(wake_state, wake, what, UINT_MAX, -EINVAL),
	BAD(wake_daemon, wake, id, 1, -EINVAL),
	BAD(wake_state, wake, id, 1, -EINVAL),
	BAD(wake_shell, wake, id, 3, -ENOENT), /* no shell has it */
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

TEST_HARNESS_MAIN

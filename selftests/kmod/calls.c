/* SPDX-License-Identifier: MIT */
/*
 * Calls of /dev/venom on one channel: names, modes and sizes at their bounds, unknown calls, repeated calls, calls out
 * of turn, and the answers of valid calls. Invalid calls, field by field: ioctl.c.
 */
#include <limits.h>
#include <stdlib.h>

#include "lib/harness.h"
#include "kmod/calls.h"

/* ---- names ---- */

/* clang-format off */
static const char *const bad_names[] = {
	"", ".", "..", ".hidden", "/", "a/b", "a/", "/a", " ", "a b", "a ", " a", "a\n", "\t", "\x01", "a\x1f", "a\x7fz",
	"0123456789012345678901234567890123456789012345678901234567890123", /* 64 bytes: no room for the zero */
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
		if (*bad_names[i]) { /* an empty name asks for the next channel */
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

/* ---- more invalid requests ---- */

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

/* Each value is valid, their product is not. */
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

/* The largest value of each field can be created; connecting fails if there is no memory for the lanes. */
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

/* ---- unknown calls ---- */

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

				/* Our calls have neither direction nor size in their number. */
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

/* read, write, seek and the like are refused. */
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

/* ---- repeated, and out of turn ---- */

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
			a.connect.flags = VENOM_CONNECT_OBSERVE;
			EXPECT_TRUE(refused(r, -EBADFD, r->fd[i], VENOM_IOC_CONNECT, &a, role_names[i]));
		}
	}
	EXPECT_TRUE(works(r));
}

/* A failed call gives the file no role: it can take any role afterwards. */
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
	a.flags = VENOM_CONNECT_OBSERVE;
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

	/* One of the four places is taken, and one is a dead shell's, which may have commands left. */
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
	/* An observer needs no place. */
	a.flags = VENOM_CONNECT_OBSERVE;
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

/* The lanes of a living shell are not freed. */
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

/* ---- the answers of valid calls ---- */

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
	EXPECT_EQ(0, a.connect.wants);
	EXPECT_EQ(1, a.connect.epoch);
	EXPECT_EQ(venom_state_bytes(&geo), a.connect.state_size);
	EXPECT_EQ(venom_status_bytes(geo.max_clients), a.connect.status_size);
	EXPECT_EQ(venom_commands_bytes(&geo), a.connect.commands_size);
	EXPECT_EQ(venom_responses_bytes(&geo), a.connect.responses_size);
	close(fd);

	a = good(r, VENOM_IOC_CONNECT, VENOM_CONNECT_OBSERVE);
	fd = dev_open();
	ASSERT_EQ(0, dev_call(fd, VENOM_IOC_CONNECT, &a));
	EXPECT_EQ(0, memcmp(&geo, &a.connect.geo, sizeof(geo)));
	EXPECT_EQ(1, a.connect.epoch);
	EXPECT_EQ(venom_state_bytes(&geo), a.connect.state_size);
	EXPECT_EQ(venom_status_bytes(geo.max_clients), a.connect.status_size);
	/* No output field is left unwritten, also those that an observer does not use. */
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
			/* A shell has one peer only. */
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

/* The list gives each channel once, whatever is created and destroyed meanwhile. */
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
				close(fd[1]); /* the cursor is at this one */
				close(fd[3]); /* not yet listed */
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

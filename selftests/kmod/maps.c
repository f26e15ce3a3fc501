/* SPDX-License-Identifier: MIT */
/*
 * Which process may map which area, and how: each area is writable by the one process that writes it, and no trick
 * makes it writable for another, or any map grown, executed or dumped; nothing that a writer does to its own map or to
 * the file behind it takes a byte from the readers; and observers map what their user may see.
 */
#include <sys/prctl.h>

#include "kmod/maps.h"

/* ---- rights ---- */

TEST_F(maps, one_writer_for_each_area)
{
	static const int kinds_of_write[] = {RW, PROT_WRITE, RW | PROT_EXEC};
	const struct venom_area_head *head;
	struct rig *r = self->r;
	char *p;

	for (int role = 0; role < ROLES; role++) {
		for
			AREAS(k)
			{
				bool writer = role != NOTHING && (int)writers[k] == role;

				for (int i = 0; i < 3; i++) {
					p = map_as(r, role, k, kinds_of_write[i]);
					if (writer && !(kinds_of_write[i] & PROT_EXEC)) {
						ASSERT_NE(MAP_FAILED, p)
						TH_LOG("%s, %s: %d", role_names[role], area_names[k], errno);
						ASSERT_EQ(0, munmap(p, size_of(r, k)));
					} else {
						ASSERT_EQ(MAP_FAILED, p)
						TH_LOG("%s, %s", role_names[role], area_names[k]);
						ASSERT_EQ(role == NOTHING ? EBADFD : EACCES, errno)
						TH_LOG("%s, %s", role_names[role], area_names[k]);
					}
				}
				EXPECT_EQ(MAP_FAILED, map_as(r, role, k, PROT_READ | PROT_EXEC));
				EXPECT_EQ(role == NOTHING ? EBADFD : EACCES, errno);
				for (int prot = PROT_NONE; prot <= RW; prot++) {
					EXPECT_EQ(MAP_FAILED,
						  mmap(NULL, size_of(r, k), prot, MAP_PRIVATE, r->fd[role], at(r, k)));
					EXPECT_EQ(role == NOTHING ? EBADFD : EINVAL, errno)
					TH_LOG("%s, %s, prot %d", role_names[role], area_names[k], prot);
				}
				if (role == NOTHING) {
					EXPECT_EQ(MAP_FAILED, map_as(r, role, k, PROT_READ));
					EXPECT_EQ(EBADFD, errno);
					continue;
				}
				p = map_as(r, role, k, writer ? RW : PROT_READ);
				ASSERT_NE(MAP_FAILED, p) TH_LOG("%s, %s: %d", role_names[role], area_names[k], errno);
				check_tricks(p, size_of(r, k), page_of(r, k), writer);
				head = (void *)p;
				if (k != VENOM_AREA_STATE) {
					/* The state's is the daemon's to write. */
					EXPECT_EQ(VENOM_MAGIC, head->magic);
					EXPECT_EQ(VENOM_ABI, head->abi);
					EXPECT_EQ(k, head->kind);
					EXPECT_EQ(size_of(r, k), head->size);
					EXPECT_EQ(1, head->epoch);
					EXPECT_EQ(is_lane(k) ? r->shell.id : 0, head->id);
					EXPECT_EQ(is_lane(k) ? r->shell.generation : 0, head->generation);
					EXPECT_TRUE(k == VENOM_AREA_STATUS ||
						    vt_all(p + HEAD, 0, size_of(r, k) - HEAD));
				} else {
					EXPECT_TRUE(vt_all(p, 0, size_of(r, k)));
				}
				ASSERT_EQ(0, munmap(p, size_of(r, k)));
			}
	}
}

/* The daemon's read-only map never becomes writable: the one writable map is counted apart. */
TEST_F(maps, a_reader_stays_one)
{
	char *p = map_as(self->r, DAEMON, VENOM_AREA_STATE, PROT_READ);

	ASSERT_NE(MAP_FAILED, p);
	check_tricks(p, size_of(self->r, VENOM_AREA_STATE), self->r->page, false);
	/* Neither does a map that starts as PROT_NONE. */
	p = map_as(self->r, SHELL, VENOM_AREA_STATE, PROT_NONE);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, mprotect(p, size_of(self->r, VENOM_AREA_STATE), PROT_READ));
	check_tricks(p, size_of(self->r, VENOM_AREA_STATE), self->r->page, false);
}

/* This old call maps the file behind a map without asking the device: it must not give more rights than before. */
TEST_F(maps, remap_file_pages)
{
	long reserved = pool(2048, "resv");
	struct rig *r = self->r;

	for
		AREAS(k)
		{
			size_t size = size_of(r, k), page = page_of(r, k);

			for (size_t to = 0; to <= size + page; to += page) {
				char *p = map_as(r, SHELL, k, PROT_READ);

				ASSERT_NE(MAP_FAILED, p);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
				if (!remap_file_pages(p, page, 0, to / 4096, 0))
					check_tricks(p, page, page, false);
#pragma GCC diagnostic pop
				EXPECT_EQ(reserved, pool(2048, "resv")) TH_LOG("%s, to byte %zu", area_names[k], to);
				munmap(p, size);
			}
		}
}

TEST_F(maps, another_shell_s_lanes)
{
	struct rig *r = self->r;
	long id = vt_call(&self->sh, other_connect, r);

	ASSERT_NE(VT_DEAD, id);
	for (unsigned int k = VENOM_AREA_COMMANDS; k <= VENOM_AREA_RESPONSES; k++) {
		void *p = dev_map(r->fd[DAEMON], k, (unsigned int)id, size_of(r, k), PROT_READ);

		EXPECT_NE(MAP_FAILED, p);
		munmap(p, size_of(r, k));
		for (int prot = PROT_NONE; prot <= RW; prot++) {
			EXPECT_EQ(MAP_FAILED, dev_map(r->fd[SHELL], k, (unsigned int)id, size_of(r, k), prot));
			EXPECT_EQ(EACCES, errno);
		}
	}
}

TEST_F(maps, the_state_has_one_writer)
{
	size_t size = size_of(self->r, VENOM_AREA_STATE), page = self->r->page;
	struct rig *r = self->r;
	char *p, *reader, *q;

	/* Readers before it, beside it and in other processes don't matter. */
	reader = map_as(r, SHELL, VENOM_AREA_STATE, PROT_READ);
	ASSERT_NE(MAP_FAILED, reader);
	ASSERT_NE(VT_DEAD, vt_call(&self->sh, other_connect, r));
	for (int i = 0; i < 3; i++) {
		p = map_as(r, DAEMON, VENOM_AREA_STATE, RW);
		ASSERT_NE(MAP_FAILED, p) TH_LOG("errno %d", errno);
		EXPECT_EQ(MAP_FAILED, map_as(r, DAEMON, VENOM_AREA_STATE, RW));
		EXPECT_EQ(EBUSY, errno);
		q = map_as(r, DAEMON, VENOM_AREA_STATE, PROT_READ);
		ASSERT_NE(MAP_FAILED, q);
		fill(p, size, 7);
		EXPECT_TRUE(is(q, size, 7));
		ASSERT_EQ(0, munmap(q, size));
		/* The writer still counts when its map is cut to pieces, or made read-only for a while. */
		ASSERT_EQ(0, mprotect(p, size, PROT_READ));
		EXPECT_EQ(MAP_FAILED, map_as(r, DAEMON, VENOM_AREA_STATE, RW));
		EXPECT_EQ(EBUSY, errno);
		ASSERT_EQ(0, mprotect(p + page, page, RW));
		ASSERT_EQ(0, mprotect(p, size, RW));
		ASSERT_EQ(0, munmap(p + page, page));
		EXPECT_EQ(MAP_FAILED, map_as(r, DAEMON, VENOM_AREA_STATE, RW));
		EXPECT_EQ(EBUSY, errno);
		ASSERT_EQ(0, munmap(p, page));
		EXPECT_EQ(MAP_FAILED, map_as(r, DAEMON, VENOM_AREA_STATE, RW));
		EXPECT_EQ(EBUSY, errno);
		ASSERT_EQ(0, munmap(p + 2 * page, size - 2 * page));
		EXPECT_TRUE(is(reader, size, 7));
		EXPECT_EQ(1, vt_call(&self->sh, other_is, VENOM_AREA_STATE, 7));
	}
}

/* ---- writers that try to take away what others read ---- */

static long other_fill(long kind, long v, long c)
{
	fill(other_map[kind], size_of(&other, (unsigned int)kind), (uint32_t)v);
	return c;
}

static long other_abuse(long kind, long b, long c)
{
	abuse(other_map[kind], size_of(&other, (unsigned int)kind));
	return b + c;
}

TEST_F(maps, the_daemon_can_t_take_anything_away)
{
	struct rig *r = self->r, its;
	long id = vt_call(&self->sh, other_connect, r);
	char *p;

	ASSERT_NE(VT_DEAD, id);
	its = *r;
	its.shell.id = (unsigned int)id;
	for (unsigned int k = VENOM_AREA_STATE; k <= VENOM_AREA_RESPONSES; k += 2) {
		p = map_as(&its, DAEMON, k, RW);
		ASSERT_NE(MAP_FAILED, p);
		fill(p, size_of(r, k), 40 + k);
		abuse(p, size_of(r, k));
		EXPECT_TRUE(is(p, size_of(r, k), 40 + k)) TH_LOG("%s", area_names[k]);
		EXPECT_EQ(1, vt_call(&self->sh, other_is, k, 40 + k)) TH_LOG("%s", area_names[k]);
		fill(p, size_of(r, k), 50 + k);
		EXPECT_EQ(1, vt_call(&self->sh, other_is, k, 50 + k)) TH_LOG("%s", area_names[k]);
		/* Nor can a reader. */
		EXPECT_EQ(0, vt_call(&self->sh, other_abuse, k));
		EXPECT_TRUE(is(p, size_of(r, k), 50 + k)) TH_LOG("%s", area_names[k]);
		EXPECT_EQ(1, vt_call(&self->sh, other_is, k, 50 + k)) TH_LOG("%s", area_names[k]);
	}
}

TEST_F(maps, a_shell_can_t_take_anything_away)
{
	struct rig *r = self->r, its;
	long id = vt_call(&self->sh, other_connect, r);
	char *p;

	ASSERT_NE(VT_DEAD, id);
	its = *r;
	its.shell.id = (unsigned int)id;
	p = map_as(&its, DAEMON, VENOM_AREA_COMMANDS, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, vt_call(&self->sh, other_fill, VENOM_AREA_COMMANDS, 60));
	EXPECT_TRUE(is(p, size_of(r, VENOM_AREA_COMMANDS), 60));
	EXPECT_EQ(0, vt_call(&self->sh, other_abuse, VENOM_AREA_COMMANDS));
	EXPECT_TRUE(is(p, size_of(r, VENOM_AREA_COMMANDS), 60));
	EXPECT_EQ(1, vt_call(&self->sh, other_is, VENOM_AREA_COMMANDS, 60));
	EXPECT_EQ(0, vt_call(&self->sh, other_abuse, VENOM_AREA_STATUS));
	abuse(p, size_of(r, VENOM_AREA_COMMANDS));
	EXPECT_TRUE(is(p, size_of(r, VENOM_AREA_COMMANDS), 60));
	EXPECT_EQ(0, vt_call(&self->sh, other_fill, VENOM_AREA_COMMANDS, 61));
	EXPECT_TRUE(is(p, size_of(r, VENOM_AREA_COMMANDS), 61));
}

/* ---- observers ---- */

static void become(long uid)
{
	VT_CHECK(!setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) && !setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid));
	VT_CHECK(!prctl(PR_SET_DUMPABLE, 1)); /* else its /proc/self is root's */
}

/* Look at this channel as user `uid`: return a bit for each kind of area that it may map, or 0x100 if it can't look. */
static long look_as(long rig, long uid, long c)
{
	struct rig r = *(struct rig *)rig;
	struct venom_ioc_connect observer = dev_connect_init(r.name);
	long can = c;

	become(uid);
	r.fd[OBSERVER] = dev_open();
	VT_CHECK(r.fd[OBSERVER] >= 0);
	observer.flags = VENOM_CONNECT_OBSERVE;
	if (dev_call(r.fd[OBSERVER], VENOM_IOC_CONNECT, &observer))
		return 0x100;
	for
		AREAS(k)
		{
			char *p = map_as(&r, OBSERVER, k, PROT_READ);

			if (p == MAP_FAILED) {
				VT_CHECK(errno == EACCES);
				continue;
			}
			check_tricks(p, size_of(&r, k), page_of(&r, k), false);
			can |= 1 << k;
			VT_CHECK(map_as(&r, OBSERVER, k, RW) == MAP_FAILED && errno == EACCES);
		}
	return can;
}

#define ALL    (1 << VENOM_AREA_STATUS | 1 << VENOM_AREA_STATE | 1 << VENOM_AREA_COMMANDS | 1 << VENOM_AREA_RESPONSES)
#define PUBLIC (1 << VENOM_AREA_STATUS | 1 << VENOM_AREA_STATE)

/* Make a channel of user `uid` that all may read. */
static long make_as(long rig, long uid, long c)
{
	struct rig *r = (struct rig *)rig;

	become(uid);
	r->name = vt_name();
	r->create = dev_create_init(r->name);
	r->create.geo.mode = 0644;
	r->page = 4096;
	r->shell = dev_connect_init(r->name);
	r->fd[DAEMON] = dev_open();
	r->fd[SHELL] = dev_open();
	VT_CHECK(!dev_call(r->fd[DAEMON], VENOM_IOC_CREATE, &r->create));
	VT_CHECK(!dev_call(r->fd[SHELL], VENOM_IOC_CONNECT, &r->shell));
	return c;
}

TEST(observers)
{
	struct rig *root_s = vt_shared(sizeof(*root_s)), *user_s = vt_shared(sizeof(*user_s));
	struct vt_peer dm[2], observer[3];
	static const long uids[] = {0, 1000, 1001};
	static const long root_sees[] = {ALL, PUBLIC, PUBLIC}, user_sees[] = {ALL, ALL, PUBLIC};

	if (geteuid())
		SKIP(return, "needs root, to be others");
	for (int i = 0; i < 2; i++)
		vt_start(&dm[i]);
	ASSERT_EQ(0, vt_call(&dm[0], make_as, root_s, 0));
	ASSERT_EQ(0, vt_call(&dm[1], make_as, user_s, 1000));
	for (int i = 0; i < 3; i++) {
		vt_start(&observer[i]);
		EXPECT_EQ(root_sees[i], vt_call(&observer[i], look_as, root_s, uids[i])) TH_LOG("uid %ld", uids[i]);
		EXPECT_EQ(0, vt_stop(&observer[i]));
		vt_start(&observer[i]);
		EXPECT_EQ(user_sees[i], vt_call(&observer[i], look_as, user_s, uids[i])) TH_LOG("uid %ld", uids[i]);
		EXPECT_EQ(0, vt_stop(&observer[i]));
	}
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, vt_stop(&dm[i]));
	}
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * mmap of /dev/venom: each area is writable by the one process that writes it, and no trick makes it writable for
 * another; an invalid map is refused at once; pages have the size that was asked for; no map is inherited, grown,
 * executed or dumped; and nothing that a writer does to its own map or to the file behind it takes a byte from the
 * readers.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/harness.h"
#include "kmod/rig.h"

/* ---- the other side, in a process of its own: a shell of the channel, with all that it can map ---- */

static struct rig other;
static char *other_map[VENOM_AREA_RESPONSES + 1];

static long other_connect(long rig, long b, long c)
{
	other = *(struct rig *)rig;
	other.fd[SHELL] = dev_open();
	other.shell = dev_connect_init(other.name);
	VT_CHECK(!dev_call(other.fd[SHELL], VENOM_IOC_CONNECT, &other.shell));
	for
		AREAS(k)
		{
			other_map[k] = map_as(&other, SHELL, k, writers[k] == SHELL ? RW : PROT_READ);
			VT_CHECK(other_map[k] != MAP_FAILED);
		}
	return other.shell.id + b + c;
}

static long other_is(long kind, long v, long c)
{
	return is(other_map[kind], size_of(&other, (unsigned int)kind), (uint32_t)v) + c;
}

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

FIXTURE(maps)
{
	struct rig *r; /* shared with the other side */
	bool ready;
	struct vt_peer sh;
};

FIXTURE_VARIANT(maps)
{
	unsigned int huge;
	uint64_t huge_size;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(maps, base) { .huge = VENOM_IOC_HUGE_NEVER };
FIXTURE_VARIANT_ADD(maps, huge) { .huge = VENOM_IOC_HUGE_REQUIRE, .huge_size = 2 << 20 };
/* clang-format on */

FIXTURE_SETUP(maps)
{
	self->r = vt_shared(sizeof(*self->r));
	if (variant->huge == VENOM_IOC_HUGE_REQUIRE && free_pages(2048) < 8)
		SKIP(return, "%ld huge pages in the pool, 8 are wanted", free_pages(2048));
	vt_start(&self->sh);
	ASSERT_EQ(0, rig_make(self->r, variant->huge, variant->huge_size)) TH_LOG("errno %d", errno);
	self->ready = true;
}

FIXTURE_TEARDOWN(maps)
{
	if (!self->ready)
		return;
	rig_end(self->r);
	EXPECT_EQ(0, vt_stop(&self->sh));
}

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

/* ---- pages ---- */

TEST_F(maps, page_sizes)
{
	size_t size = size_of(self->r, VENOM_AREA_STATE);
	struct rig *r = self->r;
	struct vma v;
	char *p;

	EXPECT_EQ(variant->huge_size ? variant->huge_size : 4096, r->page);
	EXPECT_EQ(0, size % r->page);
	for (int role = DAEMON; role < ROLES; role++) {
		for
			AREAS(k)
			{
				p = map_as(r, role, k, (int)writers[k] == role ? RW : PROT_READ);
				ASSERT_NE(MAP_FAILED, p);
				ASSERT_TRUE(find_vma(&v, p));
				EXPECT_EQ(page_of(r, k), v.page_kb << 10)
				TH_LOG("%s, %s", role_names[role], area_names[k]);
				EXPECT_EQ(page_of(r, k), v.mmu_kb << 10)
				TH_LOG("%s, %s", role_names[role], area_names[k]);
				EXPECT_EQ(0, (uintptr_t)p % page_of(r, k));
				munmap(p, size_of(r, k));
			}
	}
}

TEST_F(maps, they_come_from_the_pool_and_go_back)
{
	long pages = (long)(size_of(self->r, VENOM_AREA_STATE) >> 21), now = free_pages(2048);
	struct rig r = {0};
	char *p;

	if (!variant->huge_size)
		pages = 0;
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, rig_make(&r, variant->huge, variant->huge_size));
		/* The pages are taken at once, not at the first touch. */
		EXPECT_EQ(now - pages, free_pages(2048));
		p = map_as(&r, DAEMON, VENOM_AREA_STATE, RW);
		ASSERT_NE(MAP_FAILED, p);
		fill(p, size_of(&r, VENOM_AREA_STATE), 3);
		EXPECT_EQ(now - pages, free_pages(2048));
		rig_end(&r);
		/* A map keeps its pages. */
		EXPECT_TRUE(is(p, size_of(&r, VENOM_AREA_STATE), 3));
		munmap(p, size_of(&r, VENOM_AREA_STATE));
		EXPECT_TRUE(VT_UNTIL(free_pages(2048) == now));
	}
}

/* A page of 1 GiB, cleared in one go: that takes a while. */
TEST(giant)
{
	static struct rig r;
	struct vma v;
	char *p, *q;

	if (free_pages(1 << 20) <= 0)
		SKIP(return, "no page of 1 GiB in the pool");
	ASSERT_EQ(0, rig_make(&r, VENOM_IOC_HUGE_REQUIRE, 1 << 30)) TH_LOG("errno %d", errno);
	EXPECT_EQ(1 << 30, r.page);
	ASSERT_EQ(1 << 30, size_of(&r, VENOM_AREA_STATE));
	p = map_as(&r, DAEMON, VENOM_AREA_STATE, RW);
	ASSERT_NE(MAP_FAILED, p) TH_LOG("errno %d", errno);
	q = map_as(&r, SHELL, VENOM_AREA_STATE, PROT_READ);
	ASSERT_NE(MAP_FAILED, q) TH_LOG("errno %d", errno);
	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(find_vma(&v, i ? q : p));
		EXPECT_EQ(1 << 20, v.page_kb);
		EXPECT_EQ(1 << 20, v.mmu_kb);
		check_tricks(i ? q : p, 1 << 30, 1 << 30, !i);
	}
	EXPECT_EQ(MAP_FAILED, map_as(&r, DAEMON, VENOM_AREA_STATE, RW));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(MAP_FAILED, dev_map(r.fd[SHELL], VENOM_AREA_STATE, 0, 2 << 20, PROT_READ));
	EXPECT_EQ(EINVAL, errno);
	fill(p, 1 << 30, 5);
	abuse(p, 1 << 30);
	EXPECT_TRUE(is(q, 1 << 30, 5));
	ASSERT_EQ(0, munmap(p, 1 << 30));
	ASSERT_EQ(0, munmap(q, 1 << 30));
	rig_end(&r);
	EXPECT_TRUE(VT_UNTIL(free_pages(1 << 20) > 0));
}

/* ---- invalid maps ---- */

TEST_F(maps, no_such_area)
{
	struct rig *r = self->r;
	static const unsigned int kinds[] = {0, 5, 6, 7, 8, 15};
	void *p;

	for (int role = DAEMON; role < ROLES; role++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
			for (unsigned int id = 0; id < 2; id++) {
				p = dev_map(r->fd[role], kinds[i], id, 4096, PROT_READ);
				EXPECT_EQ(MAP_FAILED, p) TH_LOG("kind %u", kinds[i]);
				EXPECT_EQ(EINVAL, errno) TH_LOG("kind %u", kinds[i]);
			}
		}
		for
			AREAS(k)
			{
				/* Offsets inside the area, beside it, and with any other bit set. */
				for (int bit = 12; bit < VENOM_MMAP_ID_SHIFT; bit++) {
					p = mmap(NULL, r->page, PROT_READ, MAP_SHARED, r->fd[role],
						 at(r, k) + (1L << bit));
					EXPECT_EQ(MAP_FAILED, p) TH_LOG("%s + bit %d", area_names[k], bit);
					EXPECT_EQ(EINVAL, errno) TH_LOG("%s + bit %d", area_names[k], bit);
				}
				for (int bit = 0; bit < 12; bit++) {
					p = mmap(NULL, r->page, PROT_READ, MAP_SHARED, r->fd[role],
						 at(r, k) + (1L << bit));
					EXPECT_EQ(MAP_FAILED, p) TH_LOG("%s + bit %d", area_names[k], bit);
					EXPECT_EQ(EINVAL, errno) TH_LOG("%s + bit %d", area_names[k], bit);
				}
				for (unsigned int id = 1; id < 4096; id = id * 2 + 1) {
					p = dev_map(r->fd[role], k, id, size_of(r, k), PROT_READ);
					EXPECT_EQ(MAP_FAILED, p) TH_LOG("%s of %u", area_names[k], id);
					EXPECT_EQ(!is_lane(k) ? EINVAL : role == SHELL ? EACCES : ENOENT, errno)
					TH_LOG("%s of %u", area_names[k], id);
				}
			}
	}
}

TEST_F(maps, lengths)
{
	struct rig *r = self->r;
	char *p;

	for
		AREAS(k)
		{
			for (int role = DAEMON; role < ROLES; role++) {
				size_t size = size_of(r, k), page = page_of(r, k);
				const size_t longer[] = {size + 1, size + 4096, size + page, 2 * size, 1UL << 40};
				int prot = (int)writers[k] == role ? RW : PROT_READ;

				EXPECT_EQ(MAP_FAILED, mmap(NULL, 0, prot, MAP_SHARED, r->fd[role], at(r, k)));
				EXPECT_EQ(EINVAL, errno);
				for (unsigned int i = 0; i < ARRAY_SIZE(longer); i++) {
					EXPECT_EQ(MAP_FAILED,
						  mmap(NULL, longer[i], prot, MAP_SHARED, r->fd[role], at(r, k)))
					TH_LOG("%s as %s, longer %u", area_names[k], role_names[role], i);
					EXPECT_EQ(EINVAL, errno)
					TH_LOG("%s as %s, longer %u", area_names[k], role_names[role], i);
				}
				for (size_t n = 4096; n<size; n += page> 4096 ? page / 2 : 4096) {
					p = mmap(NULL, n, prot, MAP_SHARED, r->fd[role], at(r, k));
					if (page > 4096) {
						EXPECT_EQ(MAP_FAILED, p) TH_LOG("%s, %zu bytes", area_names[k], n);
						EXPECT_EQ(EINVAL, errno) TH_LOG("%s, %zu bytes", area_names[k], n);
						continue;
					}
					ASSERT_NE(MAP_FAILED, p) TH_LOG("%s, %zu bytes: %d", area_names[k], n, errno);
					if (prot == RW)
						memset(p + HEAD, (int)n, n - HEAD);
					else
						EXPECT_FALSE(write_by_proc_mem(p + n - 1));
					check_flags(p, prot == RW);
					ASSERT_EQ(0, munmap(p, n));
				}
				/* The length is rounded up to whole pages. */
				p = mmap(NULL, size - 1, prot, MAP_SHARED, r->fd[role], at(r, k));
				EXPECT_NE(MAP_FAILED, p) TH_LOG("%s: %d", area_names[k], errno);
				munmap(p, size);
			}
		}
}

TEST_F(maps, addresses)
{
	struct rig *r = self->r;

	for
		AREAS(k)
		{
			size_t size = size_of(r, k), page = page_of(r, k);
			char *room = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			char *aligned = (char *)(((uintptr_t)room + page) & ~(page - 1)), *p;

			ASSERT_NE(MAP_FAILED, room);
			/* The address is only a hint. */
			p = mmap((char *)0x7000000001, size, PROT_READ, MAP_SHARED, r->fd[SHELL], at(r, k));
			ASSERT_NE(MAP_FAILED, p) TH_LOG("%s: %d", area_names[k], errno);
			EXPECT_EQ(0, (uintptr_t)p % page);
			munmap(p, size);
			p = mmap((char *)0x7000001000, size, PROT_READ, MAP_SHARED, r->fd[SHELL], at(r, k));
			ASSERT_NE(MAP_FAILED, p) TH_LOG("%s: %d", area_names[k], errno);
			EXPECT_EQ(0, (uintptr_t)p % page);
			munmap(p, size);
			/* MAP_FIXED at an invalid address; the old map stays. */
			EXPECT_EQ(MAP_FAILED,
				  mmap(aligned + 1, size, PROT_READ, MAP_SHARED | MAP_FIXED, r->fd[SHELL], at(r, k)));
			EXPECT_EQ(EINVAL, errno);
			if (page > 4096) {
				EXPECT_EQ(MAP_FAILED, mmap(aligned + 4096, size, PROT_READ, MAP_SHARED | MAP_FIXED,
							   r->fd[SHELL], at(r, k)));
				EXPECT_EQ(EINVAL, errno);
				EXPECT_EQ(MAP_FAILED, mmap(aligned - 4096, size, PROT_READ, MAP_SHARED | MAP_FIXED,
							   r->fd[SHELL], at(r, k)));
				EXPECT_EQ(EINVAL, errno);
			}
			for (size_t i = 0; i < size + 2 * page; i += page / 2) {
				ASSERT_TRUE(is_mapped(room + i));
			}
			EXPECT_EQ(MAP_FAILED, mmap(aligned, size, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
						   r->fd[SHELL], at(r, k)));
			EXPECT_EQ(EEXIST, errno);
			/* MAP_FIXED at a valid address. */
			p = mmap(aligned, size, PROT_READ, MAP_SHARED | MAP_FIXED, r->fd[SHELL], at(r, k));
			ASSERT_EQ(aligned, p) TH_LOG("%s: %d", area_names[k], errno);
			check_tricks(p, size, page, false);
			munmap(room, size + 2 * page);
			p = mmap(aligned, size, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, r->fd[SHELL], at(r, k));
			ASSERT_EQ(aligned, p) TH_LOG("%s: %d", area_names[k], errno);
			/* A map may be moved, with the same rights. */
			room = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			ASSERT_NE(MAP_FAILED, room);
			aligned = (char *)(((uintptr_t)room + page) & ~(page - 1));
			ASSERT_EQ(aligned, mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, aligned))
			TH_LOG("errno %d", errno);
			check_tricks(aligned, size, page, false);
			EXPECT_TRUE(k == VENOM_AREA_STATE || *(uint64_t *)aligned == VENOM_MAGIC);
			munmap(room, size + 2 * page);
		}
}

/* ---- what becomes of maps ---- */

TEST_F(maps, part_of_a_lane_is_unmapped)
{
	size_t size = size_of(self->r, VENOM_AREA_COMMANDS);
	struct rig *r = self->r;
	char *p = map_as(r, SHELL, VENOM_AREA_COMMANDS, RW), *q = map_as(r, DAEMON, VENOM_AREA_COMMANDS, PROT_READ);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_LE(5 * 4096, size);
	fill(p, size, 9);
	ASSERT_EQ(0, munmap(p + 4096, 8192));
	EXPECT_FALSE(is_mapped(p + 4096));
	EXPECT_TRUE(is(q, size, 9));
	p[size - 1] ^= 1;
	EXPECT_EQ(p[size - 1], q[size - 1]);
	/* The daemon unmaps all but one page; the area stays. */
	ASSERT_EQ(0, munmap(q, 4096));
	ASSERT_EQ(0, munmap(q + 8192, size - 8192));
	EXPECT_TRUE(vt_is(p + HEAD, 8, 9));
	ASSERT_EQ(0, munmap(p, size));
	p = map_as(r, SHELL, VENOM_AREA_COMMANDS, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, memcmp(p + 4096, q + 4096, 4096));
	/* The maps outlive the descriptors. */
	close(r->fd[SHELL]);
	close(r->fd[DAEMON]);
	p[4096] ^= 1;
	EXPECT_EQ(p[4096], q[4096]);
	munmap(p, size);
	EXPECT_NE(0, q[4096]);
	munmap(q, size);
}

TEST_F(maps, part_of_the_state_is_unmapped)
{
	size_t size = size_of(self->r, VENOM_AREA_STATE), page = self->r->page;
	struct rig *r = self->r;
	char *p = map_as(r, DAEMON, VENOM_AREA_STATE, RW), *q;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_LE(3 * page, size);
	ASSERT_NE(VT_DEAD, vt_call(&self->sh, other_connect, r));
	q = map_as(r, SHELL, VENOM_AREA_STATE, PROT_READ);
	ASSERT_NE(MAP_FAILED, q);
	fill(p, size, 9);
	if (page > 4096) {
		EXPECT_EQ(-1, munmap(p + 4096, 4096));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-1, mprotect(q + 4096, 4096, PROT_NONE));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_TRUE(is(p, size, 9));
	}
	ASSERT_EQ(0, munmap(p + page, page));
	EXPECT_FALSE(is_mapped(p + page));
	ASSERT_EQ(0, munmap(q, page));
	EXPECT_EQ(1, vt_call(&self->sh, other_is, VENOM_AREA_STATE, 9));
	p[size - 1] ^= 1;
	EXPECT_EQ(p[size - 1], q[size - 1]);
	p[size - 1] ^= 1;
	ASSERT_EQ(0, munmap(p, size));
	p = map_as(r, DAEMON, VENOM_AREA_STATE, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(is(p, size, 9));
	EXPECT_EQ(0, memcmp(p + page, q + page, size - page));
}

TEST_F(maps, a_fork_has_none)
{
	char *p[2 * VENOM_AREA_RESPONSES] = {NULL};
	struct rig *r = self->r;
	int status, n = 0;
	pid_t child;

	for
		AREAS(k)
		{
			p[n] = map_as(r, writers[k] == SHELL ? SHELL : DAEMON, k,
				      writers[k] == NOTHING ? PROT_READ : RW);
			ASSERT_NE(MAP_FAILED, p[n++]);
			p[n] = map_as(r, SHELL, k, PROT_READ);
			ASSERT_NE(MAP_FAILED, p[n++]);
		}
	fill(p[2], size_of(r, VENOM_AREA_STATE), 4);
	for (int i = 0; i < n; i++) {
		ASSERT_TRUE(is_mapped(p[i]));
	}
	child = fork();
	if (!child) {
		for (int i = 0; i < n; i++)
			if (is_mapped(p[i]))
				(_exit)(1 + i);
		for
			AREAS(k)
		for (int role = DAEMON; role < ROLES; role++)
			if (map_as(r, role, k, PROT_READ) != MAP_FAILED || errno != EPERM)
				(_exit)(100 + role);
		(_exit)(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_TRUE(is(p[3], size_of(r, VENOM_AREA_STATE), 4));
}

/* ---- writers that try to take away what others read ---- */

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

/* ---- the module stays ---- */

static int unload(void)
{
	return syscall(SYS_delete_module, "venom", O_NONBLOCK) ? errno : 0;
}

TEST_F(maps, no_rmmod_while_in_use)
{
	size_t size = size_of(self->r, VENOM_AREA_COMMANDS);
	struct rig *r = self->r;
	char *state, *p;
	int err = unload();

	if (err == ENOSYS || err == ENOENT || err == EPERM)
		SKIP(return, "no module to unload here: %s", strerror(err));
	EXPECT_EQ(EWOULDBLOCK, err);
	state = map_as(r, DAEMON, VENOM_AREA_STATE, RW);
	p = map_as(r, SHELL, VENOM_AREA_COMMANDS, RW);
	ASSERT_NE(MAP_FAILED, state);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(EWOULDBLOCK, unload());
	fill(p, size, 3);
	fill(state, size_of(r, VENOM_AREA_STATE), 4);
	ASSERT_NE(VT_DEAD, vt_call(&self->sh, other_connect, r));
	EXPECT_EQ(1, vt_call(&self->sh, other_is, VENOM_AREA_STATE, 4));
	/* The area is still mapped, but no file is open. */
	EXPECT_EQ(0, vt_stop(&self->sh));
	rig_end(r);
	EXPECT_EQ(EWOULDBLOCK, unload());
	EXPECT_TRUE(is(p, size, 3));
	EXPECT_TRUE(is(state, size_of(r, VENOM_AREA_STATE), 4));
	madvise(p, size, MADV_DONTNEED);
	EXPECT_TRUE(is(p, size, 3));
	vt_start(&self->sh);
	/* The module still works. */
	ASSERT_EQ(0, rig_make(r, variant->huge, variant->huge_size));
	ASSERT_NE(VT_DEAD, vt_call(&self->sh, other_connect, r));
	munmap(state, size_of(r, VENOM_AREA_STATE));
	munmap(p, size);
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
	struct venom_ioc_connect looker = dev_connect_init(r.name);
	long can = c;

	become(uid);
	r.fd[LOOKER] = dev_open();
	VT_CHECK(r.fd[LOOKER] >= 0);
	looker.flags = VENOM_CONNECT_LOOK;
	if (dev_call(r.fd[LOOKER], VENOM_IOC_CONNECT, &looker))
		return 0x100;
	for
		AREAS(k)
		{
			char *p = map_as(&r, LOOKER, k, PROT_READ);

			if (p == MAP_FAILED) {
				VT_CHECK(errno == EACCES);
				continue;
			}
			check_tricks(p, size_of(&r, k), page_of(&r, k), false);
			can |= 1 << k;
			VT_CHECK(map_as(&r, LOOKER, k, RW) == MAP_FAILED && errno == EACCES);
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

TEST(lookers)
{
	struct rig *root_s = vt_shared(sizeof(*root_s)), *user_s = vt_shared(sizeof(*user_s));
	struct vt_peer dm[2], looker[3];
	static const long uids[] = {0, 1000, 1001};
	static const long root_sees[] = {ALL, PUBLIC, PUBLIC}, user_sees[] = {ALL, ALL, PUBLIC};

	if (geteuid())
		SKIP(return, "needs root, to be others");
	for (int i = 0; i < 2; i++)
		vt_start(&dm[i]);
	ASSERT_EQ(0, vt_call(&dm[0], make_as, root_s, 0));
	ASSERT_EQ(0, vt_call(&dm[1], make_as, user_s, 1000));
	for (int i = 0; i < 3; i++) {
		vt_start(&looker[i]);
		EXPECT_EQ(root_sees[i], vt_call(&looker[i], look_as, root_s, uids[i])) TH_LOG("uid %ld", uids[i]);
		EXPECT_EQ(0, vt_stop(&looker[i]));
		vt_start(&looker[i]);
		EXPECT_EQ(user_sees[i], vt_call(&looker[i], look_as, user_s, uids[i])) TH_LOG("uid %ld", uids[i]);
		EXPECT_EQ(0, vt_stop(&looker[i]));
	}
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, vt_stop(&dm[i]));
	}
}

TEST_HARNESS_MAIN

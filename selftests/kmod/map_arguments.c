/* SPDX-License-Identifier: MIT */
/*
 * The arguments of mmap of /dev/venom: a map with an invalid offset, length or address is refused at once, and the map
 * that was there stays; a valid one has the rights that it should.
 */
#include "kmod/maps.h"

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

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * The pages of maps have the size that was asked for: 4 KiB, 2 MiB or 1 GiB. They are taken from the pool when the
 * channel is made, and go back with the last map.
 */
#include "kmod/maps.h"

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

TEST_HARNESS_MAIN

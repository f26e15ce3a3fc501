/* SPDX-License-Identifier: MIT */
/*
 * A channel on base pages and one on huge pages, and the other side: a shell in a process of its own, with all that it
 * can map.
 */
#ifndef VENOM_TEST_KMOD_MAPS_H
#define VENOM_TEST_KMOD_MAPS_H

#include "lib/harness.h"
#include "kmod/rig.h"

/* ---- the other side, in a process of its own: a shell of the channel, with all that it can map ---- */

static struct rig other;
static char *other_map[VENOM_AREA_RESPONSES + 1];

static inline long other_connect(long rig, long b, long c)
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

static inline long other_is(long kind, long v, long c)
{
	return is(other_map[kind], size_of(&other, (unsigned int)kind), (uint32_t)v) + c;
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

#endif /* VENOM_TEST_KMOD_MAPS_H */

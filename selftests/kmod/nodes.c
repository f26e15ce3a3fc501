/* SPDX-License-Identifier: MIT */
/*
 * The NUMA node of the pages: that of the daemon's memory policy, or the one that the daemon asks the library for.
 */
#include "internal.h" /* the library's */

#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "lib/harness.h"
#include "kmod/memory.h"

FIXTURE(node)
{
	struct venom_ioc_create c;
	struct km_daemon d;
	struct venom_daemon *daemon;
};

FIXTURE_VARIANT(node)
{
	unsigned int huge;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(node, base) { .huge = VENOM_IOC_HUGE_NEVER };
FIXTURE_VARIANT_ADD(node, huge) { .huge = VENOM_IOC_HUGE_REQUIRE };
/* clang-format on */

FIXTURE_SETUP(node)
{
	self->d.fd = -1;
	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "this machine has one NUMA node");
}

FIXTURE_TEARDOWN(node)
{
	venom_daemon_destroy(self->daemon);
	km_daemon_close(&self->d);
}

/* The node that the page at p is on, or negative errno. */
static int node_of(const void *p)
{
	const void *page = (const void *)((uintptr_t)p & ~(uintptr_t)(VENOM_PAGE - 1));
	int node = -EIO;

	(void)*(const volatile char *)page;
	return syscall(SYS_move_pages, 0, 1ul, &page, NULL, &node, 0) ? -errno : node;
}

/* Sample some 64 pages of it; return how many are not on this node. */
static int elsewhere(const void *p, size_t size, int node)
{
	size_t step = size / 64 < VENOM_PAGE ? VENOM_PAGE : size / 64 / VENOM_PAGE * VENOM_PAGE, at;
	int n = 0, on;

	for (at = 0; at < size; at += step) {
		on = node_of((const char *)p + at);
		if (on != node)
			fprintf(stderr, "# at %zu of %zu: on node %d\n", at, size, on);
		n += on != node;
	}
	return n;
}

static long set_policy(int mode, unsigned long nodes)
{
	return syscall(SYS_set_mempolicy, mode, mode == MPOL_DEFAULT ? NULL : &nodes,
		       mode == MPOL_DEFAULT ? 0ul : 8 * sizeof(nodes));
}

TEST_F(node, is_the_daemon_s_policy_s)
{
	int node;

	for (node = 1; node >= 0; node--) {
		self->c = four_pages(vt_name(), variant->huge);
		ASSERT_EQ(0, set_policy(MPOL_BIND, 1ul << node));
		ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
		ASSERT_EQ(0, set_policy(MPOL_DEFAULT, 0));
		EXPECT_EQ(0, elsewhere(self->d.state, self->d.c.state_size, node));
		EXPECT_EQ(0, elsewhere(self->d.status, self->d.c.status_size, node));
		km_daemon_close(&self->d);
	}
}

TEST_F(node, is_the_one_asked_for)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	int node;

	setenv("VENOM_BACKEND", "dev", 1);
	cfg.data_size = 3 * MIB;
	cfg.versions = 2;
	cfg.huge = variant->huge;
	for (node = 1; node >= 0; node--) {
		cfg.node = node;
		/* The process's own memory policy does not matter. */
		ASSERT_EQ(0, set_policy(MPOL_BIND, 1ul << !node));
		ASSERT_EQ(0, venom_daemon_create(&self->daemon, vt_name(), &cfg)) TH_LOG("%s", venom_errmsg());
		EXPECT_EQ(0, elsewhere(self->daemon->state_map.p, self->daemon->state_map.size, node));
		EXPECT_EQ(0, elsewhere(self->daemon->status_map.p, self->daemon->status_map.size, node));
		venom_daemon_destroy(self->daemon);
		self->daemon = NULL;
		/* And that policy is unchanged. */
		self->c = four_pages(vt_name(), VENOM_IOC_HUGE_NEVER);
		ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
		EXPECT_EQ(0, elsewhere(self->d.state, self->d.c.state_size, !node));
		km_daemon_close(&self->d);
	}
}

TEST_HARNESS_MAIN

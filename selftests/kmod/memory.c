/* SPDX-License-Identifier: MIT */
/*
 * Where the pages come from, and that they are given back: a lack of huge pages or of all memory is ENOMEM at CREATE or
 * CONNECT, unless base pages may and can stand in; no process is killed for it, and nothing stays taken. All pages are
 * given back with the last unmap after the last death.
 */
#include <signal.h>

#include "lib/harness.h"
#include "kmod/memory.h"

#define GIB (1024 * MIB)

/* ---- the pool of huge pages ---- */

FIXTURE(pool)
{
	long pages;
	int fd, channels;
	struct venom_ioc_create c, was;
	struct venom_ioc_info info;
	struct km_daemon d;
};

FIXTURE_SETUP(pool)
{
	self->fd = -1;
	self->d.fd = -1;
	self->pages = km_read_long(KM_NR_HUGE);
	self->channels = km_channels();
	if (self->pages < 0 || km_meminfo("Hugepagesize") != 2048)
		SKIP(return, "this kernel has no pool of 2 MiB pages");
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(pool)
{
	km_daemon_close(&self->d);
	close(self->fd);
	EXPECT_TRUE(self->pages < 0 || VT_UNTIL(km_set_pool(self->pages)));
	EXPECT_EQ(self->channels, km_channels());
}

static const long too_few[] = {0, 1, 3};

TEST_F(pool, too_small_and_required)
{
	const char *name = vt_name();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(too_few); i++) {
		ASSERT_TRUE(km_set_pool(too_few[i]));
		self->c = self->was = four_pages(name, VENOM_IOC_HUGE_REQUIRE);
		EXPECT_EQ(-ENOMEM, dev_call(self->fd, VENOM_IOC_CREATE, &self->c));
		EXPECT_EQ(0, memcmp(&self->c, &self->was, sizeof(self->c)));
		EXPECT_EQ(too_few[i], km_huge_free());
		EXPECT_EQ(0, km_meminfo("HugePages_Rsvd"));
		EXPECT_EQ(too_few[i], km_meminfo("HugePages_Total"));
		EXPECT_EQ(-ENOENT, km_info(name, &self->info));
		EXPECT_EQ(self->channels, km_channels());
	}
	/* The failed call has left the file without a role. */
	self->c.huge = VENOM_IOC_HUGE_NEVER;
	EXPECT_EQ(0, dev_call(self->fd, VENOM_IOC_CREATE, &self->c));
	EXPECT_EQ(VENOM_PAGE, self->c.geo.page_size);
	EXPECT_EQ(0, km_info(name, &self->info));
	EXPECT_EQ(self->channels + 1, km_channels());
}

TEST_F(pool, too_small_and_preferred)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(too_few); i++) {
		ASSERT_TRUE(km_set_pool(too_few[i]));
		self->c = four_pages(vt_name(), VENOM_IOC_HUGE_PREFER);
		ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
		EXPECT_EQ(VENOM_PAGE, self->d.c.geo.page_size);
		EXPECT_EQ(venom_state_bytes(&self->d.c.geo), self->d.c.state_size);
		EXPECT_GT(7 * MIB, self->d.c.state_size);
		EXPECT_EQ(0, km_info(self->c.name, &self->info));
		EXPECT_EQ(VENOM_PAGE, self->info.geo.page_size);
		EXPECT_EQ(too_few[i], km_huge_free());
		EXPECT_EQ(0, km_meminfo("HugePages_Rsvd"));
		((char *)self->d.state)[self->d.c.state_size - 1] = 1;
		km_daemon_close(&self->d);
	}
}

/* With enough pages, all are taken at CREATE, none later. */
TEST_F(pool, pages_are_taken_at_create)
{
	ASSERT_TRUE(km_set_pool(6));
	self->c = four_pages(vt_name(), VENOM_IOC_HUGE_REQUIRE);
	ASSERT_EQ(0, dev_call(self->fd, VENOM_IOC_CREATE, &self->c));
	EXPECT_EQ(2 * MIB, self->c.geo.page_size);
	EXPECT_EQ(8 * MIB, self->c.state_size);
	EXPECT_EQ(2, km_huge_free() - km_meminfo("HugePages_Rsvd"));
	/* All remaining pages are taken from the pool: the state still has no fault for want of a page. */
	ASSERT_TRUE(km_set_pool(4));
	self->d.c = self->c;
	self->d.state = dev_map(self->fd, VENOM_AREA_STATE, 0, self->c.state_size, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->d.state);
	memset(self->d.state, 1, self->c.state_size);
	EXPECT_EQ(0, km_huge_free());
	EXPECT_EQ(4, km_meminfo("HugePages_Total"));
}

/* A page of 1 GiB, then more than the pool has. */
TEST_F(pool, pages_of_1_gib)
{
	static const char *const free_gib = "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages";
	long n = km_read_long(free_gib);
	struct km_shell s;

	if (n <= 0)
		SKIP(return, "no page of 1 GiB in the pool (it is filled at boot: hugepagesz=1G hugepages=1)");
	self->c = four_pages(vt_name(), VENOM_IOC_HUGE_REQUIRE);
	self->c.huge_size = GIB;
	ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
	EXPECT_EQ(GIB, self->d.c.geo.page_size);
	EXPECT_EQ(GIB, self->d.c.state_size);
	EXPECT_EQ(n - 1, km_read_long(free_gib));
	((volatile char *)self->d.state)[0] = 7;
	((volatile char *)self->d.state)[GIB - 1] = 9;
	ASSERT_EQ(0, km_shell_make(&s, self->c.name));
	EXPECT_EQ(7, ((const volatile char *)s.state)[0]);
	EXPECT_EQ(9, ((const volatile char *)s.state)[GIB - 1]);
	/* More than the pool has. */
	self->c = four_pages(vt_name(), VENOM_IOC_HUGE_REQUIRE);
	self->c.huge_size = GIB;
	self->c.geo.data_size = (__u64)n * GIB;
	EXPECT_EQ(-ENOMEM, dev_call(self->fd, VENOM_IOC_CREATE, &self->c));
	EXPECT_EQ(n - 1, km_read_long(free_gib));
	km_shell_close(&s);
	km_daemon_close(&self->d);
	EXPECT_TRUE(VT_UNTIL(km_read_long(free_gib) == n));
}

/* ---- the last unmap ---- */

FIXTURE(last)
{
	struct vt_peer dm, sh;
	struct venom_ioc_create *c;
	struct venom_ioc_info info;
	struct km_shell s;
	long free, least;
};

FIXTURE_VARIANT(last)
{
	unsigned int huge;
	const char *what; /* of /proc/meminfo, in `unit` KiB */
	long unit, sign;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(last, huge) {
	.huge = VENOM_IOC_HUGE_REQUIRE, .what = "HugePages_Free", .unit = 2048, .sign = 1 };
FIXTURE_VARIANT_ADD(last, base) {
	.huge = VENOM_IOC_HUGE_NEVER, .what = "Shmem", .unit = 1, .sign = -1 };
/* clang-format on */

#define LAST_KIB (64 << 10)
#define NEAR_KIB (4 << 10) /* how late the kernel's counters may be, and what others use meanwhile */

/* Free KiB of the memory that the state is made of, up to a constant. */
#define last_free() (variant->sign * km_meminfo(variant->what) * variant->unit)

FIXTURE_SETUP(last)
{
	self->s.fd = -1;
	self->c = vt_shared(sizeof(*self->c));
	*self->c = dev_create_init(vt_name());
	self->c->huge = variant->huge;
	self->c->geo.versions = 1;
	self->c->geo.data_size = ((__u64)LAST_KIB << 10) - 2 * VENOM_PAGE;
	self->free = last_free();
	vt_start(&self->dm);
	vt_start(&self->sh);
	ASSERT_EQ(0, vt_call(&self->dm, p_create, self->c));
	ASSERT_EQ(0, vt_call(&self->dm, p_fill, 0x5c));
	EXPECT_GT(NEAR_KIB, labs(self->free - LAST_KIB - last_free()));
}

FIXTURE_TEARDOWN(last)
{
	km_shell_close(&self->s);
	vt_kill(&self->sh, SIGKILL);
	vt_kill(&self->dm, SIGKILL);
}

TEST_F(last, unmap_by_a_shell_gives_the_pages_back)
{
	size_t at;

	ASSERT_EQ(0, km_shell_make(&self->s, self->c->name));
	ASSERT_EQ(0, vt_call(&self->sh, p_connect, self->c->name));
	vt_kill(&self->dm, SIGKILL);
	vt_kill(&self->sh, SIGKILL);
	EXPECT_GT(NEAR_KIB, labs(self->free - LAST_KIB - last_free()));
	/* All other processes are dead, and this one has only the maps. */
	close(self->s.fd);
	self->s.fd = -1;
	for (at = VENOM_PAGE; at < self->s.c.state_size; at += VENOM_PAGE) {
		ASSERT_EQ(0x5c, ((const char *)self->s.state)[at]);
	}
	EXPECT_GT(NEAR_KIB, labs(self->free - LAST_KIB - last_free()));
	km_shell_unmap(&self->s);
	EXPECT_TRUE(VT_UNTIL(labs(self->free - last_free()) < NEAR_KIB))
	TH_LOG("before %ld KiB, now %ld", self->free, last_free());
	EXPECT_EQ(-ENOENT, km_info(self->c->name, &self->info));
}

TEST_F(last, death_gives_the_pages_back)
{
	ASSERT_EQ(0, vt_call(&self->sh, p_connect, self->c->name));
	vt_kill(&self->dm, SIGKILL);
	EXPECT_EQ(0, km_info(self->c->name, &self->info));
	EXPECT_GT(NEAR_KIB, labs(self->free - LAST_KIB - last_free()));
	vt_kill(&self->sh, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(labs(self->free - last_free()) < NEAR_KIB))
	TH_LOG("before %ld KiB, now %ld", self->free, last_free());
	EXPECT_EQ(-ENOENT, km_info(self->c->name, &self->info));
}

/* ---- more than the machine has ---- */

FIXTURE(too_much)
{
	int fd, channels;
	long killed;
	struct venom_ioc_create c, was;
	struct km_daemon d;
};

FIXTURE_SETUP(too_much)
{
	self->d.fd = -1;
	self->channels = km_channels();
	self->killed = km_key("/proc/vmstat", "oom_kill");
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(too_much)
{
	km_daemon_close(&self->d);
	close(self->fd);
	EXPECT_EQ(self->channels, km_channels());
	EXPECT_EQ(self->killed, km_key("/proc/vmstat", "oom_kill"));
}

/* No page of it is taken before the answer, so no memory is reclaimed from others. */
TEST_F(too_much, state)
{
	__u64 sizes[] = {(__u64)km_meminfo("MemTotal") << 10, 1ull << 40, (1ull << 46) - 3 * VENOM_PAGE};
	long reclaimed = km_key("/proc/vmstat", "allocstall_normal");
	unsigned int i, huge;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (huge = VENOM_IOC_HUGE_PREFER; huge <= VENOM_IOC_HUGE_NEVER; huge++) {
			self->c = dev_create_init(vt_name());
			self->c.huge = huge;
			self->c.geo.versions = 1;
			self->c.geo.data_size = sizes[i];
			self->was = self->c;
			EXPECT_EQ(-ENOMEM, dev_call(self->fd, VENOM_IOC_CREATE, &self->c))
			TH_LOG("%llu bytes, huge %u", (unsigned long long)sizes[i], huge);
			EXPECT_EQ(0, memcmp(&self->c, &self->was, sizeof(self->c)));
		}
	}
	EXPECT_EQ(reclaimed, km_key("/proc/vmstat", "allocstall_normal"));
	EXPECT_EQ(0, km_meminfo("HugePages_Rsvd"));
}

TEST_F(too_much, lanes)
{
	static const struct {
		__u32 slots, size;
	} lanes[] = {{1 << 20, 1 << 20}, {1 << 20, 8000}};
	struct venom_ioc_connect con, was;
	const char *name;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lanes); i++) {
		name = vt_name();
		self->c = dev_create_init(name);
		self->c.geo.cmd_slots = lanes[i].slots;
		self->c.geo.cmd_size = lanes[i].size;
		ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
		con = was = dev_connect_init(name);
		EXPECT_EQ(-ENOMEM, dev_call(self->fd, VENOM_IOC_CONNECT, &con));
		EXPECT_EQ(0, memcmp(&con, &was, sizeof(con)));
		EXPECT_EQ(0, vt_load(&self->d.status->attached));
		EXPECT_EQ(VENOM_SHELL_NONE, km_shell_life(self->d.status, 0));
		/* An observer needs no lanes. */
		con.flags = VENOM_CONNECT_OBSERVE;
		EXPECT_EQ(0, dev_call(self->fd, VENOM_IOC_CONNECT, &con));
		close(self->fd);
		self->fd = dev_open();
		km_daemon_close(&self->d);
	}
}

TEST_HARNESS_MAIN

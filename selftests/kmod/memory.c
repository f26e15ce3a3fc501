/* SPDX-License-Identifier: MIT */
/*
 * Where the pages come from, and that they are given back: a lack of huge pages, of a cgroup's memory or of all memory
 * is ENOMEM at CREATE or CONNECT, unless base pages may and can stand in; no process is killed for it, and nothing
 * stays taken. Pages are on the node that was asked for, lanes are charged to their shell, and all are given back with
 * the last unmap after the last death.
 */
#include "internal.h" /* the library's */

#include <linux/mempolicy.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lib/harness.h"
#include "kmod/common.h"

#define MIB 1048576ll
#define GIB (1024 * MIB)

/* A state that takes four huge pages. */
static struct venom_ioc_create four_pages(const char *name, unsigned int huge)
{
	struct venom_ioc_create c = dev_create_init(name);

	c.huge = huge;
	c.geo.data_size = 3 * MIB;
	c.geo.versions = 2;
	return c;
}

/* ---- a daemon and a shell in processes of their own: calls for vt_call() ---- */

static struct km_daemon pd;
static struct km_shell ps;

static long p_create(long want, long b, long c)
{
	return km_daemon_make(&pd, (const struct venom_ioc_create *)want) + b + c;
}

static long p_connect(long name, long b, long c)
{
	return km_shell_make(&ps, (const char *)name) + b + c;
}

static long p_close(long a, long b, long c)
{
	if (pd.c.size)
		km_daemon_close(&pd);
	if (ps.c.size)
		km_shell_close(&ps);
	return a + b + c;
}

/* The daemon fills its whole state. */
static long p_fill(long byte, long b, long c)
{
	memset((char *)pd.state + VENOM_PAGE, (int)byte, pd.c.state_size - VENOM_PAGE);
	return b + c;
}

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

/* ---- cgroups ---- */

#define CGROUPS "/sys/fs/cgroup"

FIXTURE(cgroup)
{
	char path[100];
	struct vt_peer p;
	struct venom_ioc_create *c;
	struct venom_ioc_info info;
	struct km_daemon d;
	long killed, before, free;
	int channels;
};

static const char *in_cgroup(const char *path, const char *file)
{
	static char buf[200];

	snprintf(buf, sizeof(buf), "%s/%s", path, file);
	return buf;
}

#define cg_write(file, what) km_write(in_cgroup(self->path, file), what)
#define cg_long(file)	     km_read_long(in_cgroup(self->path, file))
#define cg_killed()	     km_key(in_cgroup(self->path, "memory.events"), "oom_kill")

static bool cgroups_are_there(void)
{
	if (access(CGROUPS "/cgroup.controllers", F_OK))
		mount("cgroup2", CGROUPS, "cgroup2", 0, NULL);
	km_write(CGROUPS "/cgroup.subtree_control", "+memory");
	km_write(CGROUPS "/cgroup.subtree_control", "+hugetlb");
	return !access(CGROUPS "/cgroup.controllers", F_OK);
}

FIXTURE_SETUP(cgroup)
{
	char pid[20];

	self->d.fd = -1;
	if (!cgroups_are_there())
		SKIP(return, "no cgroup2 at " CGROUPS);
	snprintf(self->path, sizeof(self->path), CGROUPS "/venom-%d", getpid());
	ASSERT_EQ(0, mkdir(self->path, 0755));
	self->c = vt_shared(sizeof(*self->c));
	vt_start(&self->p);
	snprintf(pid, sizeof(pid), "%d", self->p.pid);
	ASSERT_TRUE(cg_write("cgroup.procs", pid));
	self->killed = km_key("/proc/vmstat", "oom_kill");
	self->channels = km_channels();
}

FIXTURE_TEARDOWN(cgroup)
{
	km_daemon_close(&self->d);
	vt_kill(&self->p, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(!rmdir(self->path) || errno == ENOENT));
	if (self->c) {
		EXPECT_EQ(self->channels, km_channels());
	}
}

#define need(file)                                                              \
	do {                                                                    \
		if (access(in_cgroup(self->path, file), F_OK))                  \
			SKIP(return, "this kernel's cgroups have no %s", file); \
	} while (0)

#define LIMIT	  (16 * MIB)
#define LIMIT_STR "16M"
#define SLACK	  (2 * MIB) /* charges are made in batches, and a process itself takes some */

TEST_F(cgroup, limit_of_huge_pages)
{
	need("hugetlb.2MB.max");
	self->free = km_huge_free();
	if (self->free < 4)
		SKIP(return, "too few huge pages in the pool");
	*self->c = four_pages(vt_name(), VENOM_IOC_HUGE_REQUIRE);
	ASSERT_TRUE(cg_write("hugetlb.2MB.max", "6M"));
	EXPECT_EQ(-ENOMEM, vt_call(&self->p, p_create, self->c));
	EXPECT_EQ(0, cg_long("hugetlb.2MB.current"));
	EXPECT_EQ(self->free, km_huge_free());
	EXPECT_EQ(0, km_meminfo("HugePages_Rsvd"));
	EXPECT_EQ(-ENOENT, km_info(self->c->name, &self->info));
	/* With HUGE_PREFER: base pages. */
	self->c->huge = VENOM_IOC_HUGE_PREFER;
	EXPECT_EQ(0, vt_call(&self->p, p_create, self->c));
	EXPECT_EQ(0, km_info(self->c->name, &self->info));
	EXPECT_EQ(VENOM_PAGE, self->info.geo.page_size);
	EXPECT_EQ(0, vt_call(&self->p, p_close));
	/* Exactly the limit is allowed; and it is given back. */
	ASSERT_TRUE(cg_write("hugetlb.2MB.max", "8M"));
	self->c->huge = VENOM_IOC_HUGE_REQUIRE;
	EXPECT_EQ(0, vt_call(&self->p, p_create, self->c));
	EXPECT_EQ(8 * MIB, cg_long("hugetlb.2MB.current"));
	EXPECT_EQ(0, vt_call(&self->p, p_close));
	EXPECT_TRUE(VT_UNTIL(cg_long("hugetlb.2MB.current") == 0));
	EXPECT_EQ(self->free, km_huge_free());
}

TEST_F(cgroup, limit_of_memory_for_the_state)
{
	need("memory.max");
	*self->c = dev_create_init(vt_name());
	self->c->geo.data_size = 64 * MIB;
	self->c->geo.versions = 1;
	ASSERT_TRUE(cg_write("memory.max", LIMIT_STR));
	self->before = cg_long("memory.current");
	EXPECT_EQ(-ENOMEM, vt_call(&self->p, p_create, self->c));
	EXPECT_EQ(0, cg_killed());
	EXPECT_EQ(self->killed, km_key("/proc/vmstat", "oom_kill"));
	EXPECT_EQ(-ENOENT, km_info(self->c->name, &self->info));
	EXPECT_TRUE(VT_UNTIL(cg_long("memory.current") < self->before + SLACK))
	TH_LOG("before %ld, now %ld", self->before, cg_long("memory.current"));
	/* A state within the limit is created, and charged to the cgroup. */
	self->c->geo.data_size = LIMIT / 2;
	EXPECT_EQ(0, vt_call(&self->p, p_create, self->c));
	EXPECT_LT(self->before + LIMIT / 2 - SLACK, cg_long("memory.current"));
	EXPECT_EQ(0, vt_call(&self->p, p_fill, 1));
	EXPECT_EQ(0, vt_call(&self->p, p_close));
	EXPECT_TRUE(VT_UNTIL(cg_long("memory.current") < self->before + SLACK));
	EXPECT_EQ(0, cg_killed());
}

TEST_F(cgroup, limit_of_memory_for_lanes)
{
	struct venom_ioc_create want = dev_create_init(vt_name());
	uint64_t changes;

	need("memory.max");
	want.geo.cmd_slots = 8192;
	want.geo.cmd_size = 4096 - sizeof(struct venom_slot); /* 32 MiB each */
	want.geo.resp_size = 1;
	want.geo.max_clients = 1;
	ASSERT_EQ(0, km_daemon_make(&self->d, &want));
	strcpy(vt_box, want.name);
	changes = vt_load(&self->d.status->changes);
	ASSERT_TRUE(cg_write("memory.max", LIMIT_STR));
	self->before = cg_long("memory.current");
	EXPECT_EQ(-ENOMEM, vt_call(&self->p, p_connect, vt_box));
	EXPECT_EQ(0, cg_killed());
	EXPECT_EQ(self->killed, km_key("/proc/vmstat", "oom_kill"));
	EXPECT_TRUE(VT_UNTIL(cg_long("memory.current") < self->before + SLACK))
	TH_LOG("before %ld, now %ld", self->before, cg_long("memory.current"));
	EXPECT_EQ(VENOM_SHELL_NONE, km_shell_life(self->d.status, 0));
	EXPECT_EQ(0, vt_load(&self->d.status->attached));
	EXPECT_EQ(changes, vt_load(&self->d.status->changes));
	/* The only id was not lost; and now the lanes are charged to the shell. */
	ASSERT_TRUE(cg_write("memory.max", "max"));
	EXPECT_EQ(0, vt_call(&self->p, p_connect, vt_box));
	EXPECT_EQ(VENOM_SHELL_ALIVE, km_shell_life(self->d.status, 0));
	EXPECT_LT(self->before + 32 * MIB - SLACK, cg_long("memory.current"));
	/* A dead shell's lanes are kept for the daemon to read, then given back. */
	EXPECT_EQ(0, vt_call(&self->p, p_close));
	EXPECT_LT(self->before + 32 * MIB - SLACK, cg_long("memory.current"));
	EXPECT_EQ(0, dev_lane(self->d.fd, 0, vt_load(&self->d.status->shell[0].generation), VENOM_LANE_FREE));
	EXPECT_TRUE(VT_UNTIL(cg_long("memory.current") < self->before + SLACK))
	TH_LOG("before %ld, now %ld", self->before, cg_long("memory.current"));
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
		con.flags = VENOM_CONNECT_LOOK;
		EXPECT_EQ(0, dev_call(self->fd, VENOM_IOC_CONNECT, &con));
		close(self->fd);
		self->fd = dev_open();
		km_daemon_close(&self->d);
	}
}

/* ---- nodes ---- */

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

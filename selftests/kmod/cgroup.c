/* SPDX-License-Identifier: MIT */
/*
 * A cgroup's limit of huge pages or of memory is ENOMEM at CREATE or CONNECT, unless base pages may and can stand in;
 * no process is killed for it, and nothing stays taken. The state is charged to its daemon, lanes to their shell.
 */
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib/harness.h"
#include "kmod/memory.h"

static long p_close(long a, long b, long c)
{
	if (pd.c.size)
		km_daemon_close(&pd);
	if (ps.c.size)
		km_shell_close(&ps);
	return a + b + c;
}

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

TEST_HARNESS_MAIN

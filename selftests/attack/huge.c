/* SPDX-License-Identifier: MIT */
/*
 * Attacks the state area's huge pages.  They must be used where the pool has them, as configured, and go back to it;
 * they must be as protected as base pages; and a pool that is empty must give an errno, or base pages and a note.
 */
#include <string.h>
#include <sys/mman.h>

#include "attack/area.h"
#include "lib/peer.h"

#define NR_HUGE "/proc/sys/vm/nr_hugepages"

static long read_long(const char *path)
{
	FILE *f = fopen(path, "r");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

static bool write_long(const char *path, long n)
{
	FILE *f = fopen(path, "w");
	bool ok = f && fprintf(f, "%ld", n) > 0;

	return f && fclose(f) == 0 && ok;
}

static long meminfo(const char *key)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long n = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			n = strtol(line + strlen(key) + 1, NULL, 10);
	if (f)
		fclose(f);
	return n;
}

FIXTURE(huge)
{
	bool ready;
	long added; /* pages that we added to the pool, to be taken out again: others may change it, too */
	struct vt_peer dm;
	struct venom_config *cfg;
	const char *name;
	struct venom_shell *s;
	struct venom_info info;
	struct venom_view view;
	struct area area;
};

/* Are huge pages supported at all? */
static bool huge_memfd(void)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

FIXTURE_SETUP(huge)
{
	if (read_long(NR_HUGE) < 0 || meminfo("Hugepagesize:") != 2048)
		SKIP(return, "no pool of 2 MiB pages here");
	if (geteuid() || !write_long(NR_HUGE, read_long(NR_HUGE)))
		SKIP(return, "needs root, to fill the pool of huge pages");
	if (!vt_on_dev() && !huge_memfd())
		SKIP(return, "no huge pages for memfds here");
	self->cfg = vt_config();
	self->cfg->data_size = 3 << 20;
	self->cfg->versions = 2;
	self->name = vt_name();
	vt_start(&self->dm);
	self->ready = true;
}

/* Grows the pool by n pages, or by fewer if there are none; returns the number it grew by. */
static long grow_pool(long n)
{
	long was = read_long(NR_HUGE);

	write_long(NR_HUGE, was + n > 0 ? was + n : 0);
	return read_long(NR_HUGE) - was;
}

FIXTURE_TEARDOWN(huge)
{
	if (!self->ready)
		return;
	EXPECT_EQ(0, vt_stop(&self->dm));
	grow_pool(-self->added);
}

#define PAGES 6 /* more than a channel of this fixture takes */

static bool fill_pool(long *added)
{
	for (int i = 0; i < 5; i++) {
		if (meminfo("HugePages_Free:") >= PAGES)
			return true;
		*added += grow_pool(PAGES - meminfo("HugePages_Free:"));
		write_long("/proc/sys/vm/compact_memory", 1);
	}
	return meminfo("HugePages_Free:") >= PAGES;
}

#define fill_pool(self)                                                                    \
	do {                                                                               \
		if (!(fill_pool)(&(self)->added))                                          \
			SKIP(return, "memory is too fragmented for %d huge pages", PAGES); \
	} while (0)

static long state_page_kb(long a, long b, long c)
{
	struct area area;

	VT_CHECK(find_area(&area, "state", 0));
	return (long)area.page_kb + a + b + c;
}

TEST_F(huge, used_where_the_pool_has_them)
{
	static const uint32_t wish[] = {VENOM_HUGE_PREFER, VENOM_HUGE_REQUIRE};
	long before;

	fill_pool(self);
	before = meminfo("HugePages_Free:");
	for (int i = 0; i < 2; i++) {
		self->cfg->huge = wish[i];
		self->cfg->huge_size = i ? 2 << 20 : 0;
		ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
		ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
		ASSERT_EQ(0, venom_shell_info(self->s, &self->info));
		EXPECT_EQ(2 << 20, self->info.page_size);
		EXPECT_EQ(0, self->info.state_bytes % (2 << 20));
		ASSERT_TRUE(find_area(&self->area, "state", 0));
		EXPECT_EQ(2048, self->area.page_kb);
		EXPECT_STREQ("r--s", self->area.perms);
		EXPECT_EQ(2048, vt_call(&self->dm, state_page_kb));
		check_read_only("state");
		ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 3, 3 << 20));
		ASSERT_EQ(0, venom_shell_read_begin(self->s, &self->view));
		EXPECT_TRUE(vt_is(self->view.data, 3 << 20, 3));
		/* The pages go back to the pool. */
		ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
		venom_shell_close(self->s);
		EXPECT_TRUE(VT_UNTIL(meminfo("HugePages_Free:") >= before));
	}
}

static long writable_huge(long a, long b, long c)
{
	check_writable("state");
	return a + b + c;
}

TEST_F(huge, the_writer_can_t_take_them_away)
{
	fill_pool(self);
	self->cfg->huge = VENOM_HUGE_REQUIRE;
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->dm, writable_huge));
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
}

TEST_F(huge, never)
{
	fill_pool(self);
	self->cfg->huge = VENOM_HUGE_NEVER;
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, venom_stat(self->name, &self->info, NULL, NULL, NULL));
	EXPECT_EQ(4096, self->info.page_size);
	EXPECT_EQ(4, vt_call(&self->dm, state_page_kb));
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
}

static void keep_log(const char *line)
{
	snprintf(vt_box, 512, "%s", line);
}

static long log_to_box(long a, long b, long c)
{
	venom_set_log(keep_log);
	return a + b + c;
}

TEST_F(huge, none_in_the_pool)
{
	struct venom_shell *s = VT_POISON_S;

	self->added += grow_pool(-read_long(NR_HUGE));
	if (meminfo("HugePages_Free:") || read_long("/proc/sys/vm/nr_overcommit_hugepages"))
		SKIP(return, "the pool can't be emptied");
	self->cfg->huge = VENOM_HUGE_REQUIRE;
	EXPECT_EQ(-ENOMEM, vt_call(&self->dm, pd_create, self->name, self->cfg));
	EXPECT_NE(NULL, strstr(vt_errmsg, "huge"));
	EXPECT_EQ(-ENOENT, venom_shell_connect(&s, self->name));
	/* If huge pages are only preferred, there are base pages, and a note. */
	*vt_box = 0;
	ASSERT_EQ(0, vt_call(&self->dm, log_to_box));
	self->cfg->huge = VENOM_HUGE_PREFER;
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_NE(NULL, strstr(vt_box, "huge")) TH_LOG("logged: %s", vt_box);
	ASSERT_EQ(0, venom_stat(self->name, &self->info, NULL, NULL, NULL));
	EXPECT_EQ(4096, self->info.page_size);
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
}

TEST_F(huge, a_gigabyte_that_is_not_there)
{
	if (read_long("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages") > 0)
		SKIP(return, "there are pages of 1 GiB in the pool");
	self->cfg->huge = VENOM_HUGE_REQUIRE;
	self->cfg->huge_size = 1 << 30;
	EXPECT_EQ(-ENOMEM, vt_call(&self->dm, pd_create, self->name, self->cfg));
	EXPECT_EQ(-ENOENT, venom_stat(self->name, NULL, NULL, NULL, NULL));
}

TEST_HARNESS_MAIN

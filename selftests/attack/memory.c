/* SPDX-License-Identifier: MIT */
/*
 * Attacks the protection of the shared pages.  Each page must be writable by one process only, by means of the MMU: a
 * process that may only read must not be able to make itself a writer, and the writer must not be able to take a page
 * away from the others.  A fork must inherit none of the pages, a core file must have none, and huge pages must be used
 * where the pool has them, as configured.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/dev.h"
#include "lib/harness.h"
#include "lib/peer.h"

/* A mapping of this process, found by the name of its file; on the module, by its offset in the device. */
struct area {
	char *p;
	size_t size;
	char perms[8];
	char flags[128];
	unsigned long page_kb;
};

static const char *const areas[] = {"status", "state", "commands", "responses"}; /* in the order of VENOM_AREA_* */

/* Does this line of smaps begin a mapping of the area `what`? */
static bool is_area(const char *line, const char *what)
{
	unsigned long long offset = 0;
	char name[64];

	snprintf(name, sizeof(name), "venom:%s ", what); /* "/memfd:venom:state (deleted)" */
	if (strstr(line, name))
		return true;
	if (!strstr(line, "/dev/venom") || sscanf(line, "%*x-%*x %*s %llx", &offset) != 1)
		return false;
	offset >>= VENOM_MMAP_KIND_SHIFT;
	return offset && offset <= ARRAY_SIZE(areas) && !strcmp(areas[offset - 1], what);
}

/* Finds the n-th mapping (from 0) of the area `what` in this process; false if there is none. */
static bool find_area(struct area *a, const char *what, int n)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], perms[8];
	bool here = false, found = false;
	unsigned long from, to;

	memset(a, 0, sizeof(*a));
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, perms) == 3) {
			here = is_area(line, what) && n-- == 0;
			if (here) {
				found = true;
				a->p = (char *)from;
				a->size = to - from;
				memcpy(a->perms, perms, sizeof(perms));
			}
		} else if (here) {
			sscanf(line, "KernelPageSize: %lu kB", &a->page_kb);
			if (!strncmp(line, "VmFlags:", 8))
				snprintf(a->flags, sizeof(a->flags), "%.127s", line + 8);
		}
	}
	if (f)
		fclose(f);
	return found;
}

/* Does a write through /proc/self/mem succeed, as a debugger does it?  (Then it is undone.) */
__attribute__((no_sanitize_thread)) static bool write_by_proc_mem(void *p)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	unsigned char was = *(volatile unsigned char *)p, now = (unsigned char)~was;
	ssize_t n = pwrite(fd, &now, 1, (off_t)(uintptr_t)p);

	close(fd);
	now = *(volatile unsigned char *)p;
	if (n == 1 && now != was)
		*(volatile unsigned char *)p = was;
	return n == 1 || now != was;
}

/* Tries all ways in which a process without the right might become a writer of this area. */
static void check_read_only(const char *what)
{
	struct area a;
	char path[64];
	int fd;

	VT_CHECK(find_area(&a, what, 0));
	VT_CHECK(!strcmp(a.perms, "r--s"));
	VT_CHECK(mprotect(a.p, a.size, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
	VT_CHECK(!write_by_proc_mem(a.p));
	VT_CHECK(!write_by_proc_mem(a.p + a.size / 2));
	VT_CHECK(madvise(a.p, a.size, MADV_REMOVE) == -1);
	/* Through the file behind the mapping, where this user may open that at all. */
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)a.p, (unsigned long)(a.p + a.size));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	VT_CHECK(mmap(NULL, a.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	VT_CHECK(pwrite(fd, "x", 1, 0) == -1);
	VT_CHECK(ftruncate(fd, 0) == -1);
	VT_CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)a.size) == -1);
	close(fd);
}

/* The writer itself can write, and can't take a page away from the readers. */
static void check_writable(const char *what)
{
	struct area a;
	char path[64];
	int fd;

	VT_CHECK(find_area(&a, what, 0));
	VT_CHECK(!strcmp(a.perms, "rw-s"));
	VT_CHECK(write_by_proc_mem(a.p + a.size - 1));
	VT_CHECK(madvise(a.p, a.size, MADV_REMOVE) == -1);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)a.p, (unsigned long)(a.p + a.size));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	VT_CHECK(ftruncate(fd, 0) == -1);
	VT_CHECK(ftruncate(fd, (off_t)a.size * 2) == -1);
	VT_CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)a.size) == -1);
	VT_CHECK(mmap(NULL, a.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	close(fd);
}

FIXTURE(memory)
{
	struct vt_peer dm, sh;
	struct venom_config *cfg;
	const char *name;
};

FIXTURE_SETUP(memory)
{
	self->cfg = vt_config();
	self->cfg->huge = VENOM_HUGE_NEVER;
	self->name = vt_name();
	vt_start(&self->dm);
	vt_start(&self->sh);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 20));
	ASSERT_EQ(0, vt_call(&self->sh, ps_connect, self->name));
}

FIXTURE_TEARDOWN(memory)
{
	EXPECT_EQ(0, vt_call(&self->sh, ps_close));
	EXPECT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_EQ(0, vt_stop(&self->sh));
	EXPECT_EQ(0, vt_stop(&self->dm));
}

static long shell_s_pages(long a, long b, long c)
{
	check_read_only("status");
	check_read_only("state");
	check_read_only("responses");
	check_writable("commands");
	return a + b + c;
}

static long daemon_s_pages(long a, long b, long c)
{
	if (vt_on_dev())
		check_read_only("status"); /* the kernel writes it */
	else
		check_writable("status");
	check_writable("state");
	check_writable("responses");
	check_read_only("commands");
	return a + b + c;
}

static bool works(struct vt_peer *dm, struct vt_peer *sh)
{
	if (vt_call(dm, pd_publish, 5, 20) || vt_call(sh, ps_read) != 5)
		return false;
	vt_post(dm, pd_echo, 1);
	return vt_call(sh, ps_request, 6, 20, -1) == 6 && !vt_result(dm);
}

#define needs_advice()                                                \
	do {                                                          \
		if (!vt_takes_advice())                               \
			SKIP(return, "madvise(2) does nothing here"); \
	} while (0)

TEST_F(memory, one_writer_for_each_page)
{
	needs_advice();
	EXPECT_EQ(0, vt_call(&self->sh, shell_s_pages));
	EXPECT_EQ(0, vt_call(&self->dm, daemon_s_pages));
	EXPECT_TRUE(works(&self->dm, &self->sh));
}

/* A sanitizer would report the fault that is wanted here. */
#if !defined(VT_ASAN) && !defined(VT_TSAN)
static long poke_state(long a, long b, long c)
{
	struct area area;

	VT_CHECK(find_area(&area, "state", 0));
	*(volatile char *)area.p = 1;
	return a + b + c;
}

/* A write to another process's area kills the process that tries it, and leaves the area unchanged. */
TEST_F(memory, a_write_by_a_reader_is_a_fault)
{
	struct vt_peer victim;

	vt_start(&victim);
	ASSERT_EQ(0, vt_call(&victim, ps_connect, self->name));
	EXPECT_EQ(VT_DEAD, vt_call(&victim, poke_state));
	EXPECT_EQ(-SIGSEGV, vt_wait(&victim));
	EXPECT_TRUE(works(&self->dm, &self->sh));
}
#endif

/* A process can't get around this by the descriptors of areas that it keeps, either. */
static long check_fds(long a, long b, long c)
{
	for (int fd = 3; fd < 100; fd++) {
		char path[40], target[100];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = 0;
		if (!vt_is_area(target))
			continue;
		VT_CHECK(ftruncate(fd, 0) == -1);
		VT_CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
		VT_CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
		VT_CHECK(pwrite(fd, "x", 1, 0) == -1);
	}
	return a + b + c;
}

TEST_F(memory, no_descriptor_lets_anyone_write_or_cut)
{
	EXPECT_EQ(0, vt_call(&self->dm, check_fds));
	EXPECT_EQ(0, vt_call(&self->sh, check_fds));
	EXPECT_TRUE(works(&self->dm, &self->sh));
}

/* A child has none of the areas, and a core file has none of their bytes. */
static long check_fork(long a, long b, long c)
{
	struct area area;
	int status, found = 0;
	pid_t child;

	for (unsigned int i = 0; i < ARRAY_SIZE(areas); i++) {
		for (int n = 0; find_area(&area, areas[i], n); n++) {
			found++;
			VT_CHECK(strstr(area.flags, " dd"));
			VT_CHECK(strstr(area.flags, " dc"));
		}
	}
	VT_CHECK(found >= 4);
	child = vt_fork();
	if (!child) {
		for (unsigned int i = 0; i < ARRAY_SIZE(areas); i++)
			if (find_area(&area, areas[i], 0))
				(_exit)(1);
		(_exit)(0);
	}
	VT_CHECK(waitpid(child, &status, 0) == child);
	VT_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return a + b + c;
}

TEST_F(memory, neither_forked_nor_dumped)
{
	needs_advice();
	EXPECT_EQ(0, vt_call(&self->dm, check_fork));
	EXPECT_EQ(0, vt_call(&self->sh, check_fork));
	EXPECT_TRUE(works(&self->dm, &self->sh));
}

TEST_F(memory, all_is_given_back)
{
	struct area area;
	struct venom_daemon *d;
	struct venom_shell *s;
	int fds = vt_count_fds();

	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(0, venom_daemon_create(&d, "given-back", self->cfg));
		ASSERT_EQ(0, venom_shell_connect(&s, "given-back"));
		if (i % 2)
			venom_daemon_destroy(d);
		venom_shell_close(s);
		if (!(i % 2))
			venom_daemon_destroy(d);
		for (unsigned int k = 0; k < ARRAY_SIZE(areas); k++) {
			ASSERT_FALSE(find_area(&area, areas[k], 0)) TH_LOG("%s", areas[k]);
		}
		ASSERT_EQ(fds, vt_count_fds());
	}
}

/* ---- huge pages ---- */

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

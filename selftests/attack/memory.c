/* SPDX-License-Identifier: MIT */
/*
 * Attacks the protection of the shared pages.  Each page must be writable by one process only, by means of the MMU: a
 * process that may only read must not be able to make itself a writer, and the writer must not be able to take a page
 * away from the others.  A fork must inherit none of the pages, and a core file must have none.  huge.c does the same
 * to huge pages.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "attack/area.h"
#include "lib/peer.h"

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

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * A core dump is complete before the death is notified, and contains no byte of the areas.
 */
#include <signal.h>
#include <sys/prctl.h>

#include "lib/harness.h"
#include "kmod/common.h"

#define CORE_MIB     64
#define PATTERN_N    8 /* words in a row, a sequence that no register or stack contains */
#define CORE_PATTERN "/proc/sys/kernel/core_pattern"

/* Word i of a pattern, which differs for private memory ('m') and for each kind of area. */
static uint64_t word(unsigned int kind, unsigned int i)
{
	return (kind * 0x9e3779b97f4a7c15ull + i + 1) * 0xbf58476d1ce4e5b9ull;
}

static void put_pattern(void *p, unsigned int kind)
{
	volatile uint64_t *at = p;
	unsigned int i;

	for (i = 0; i < PATTERN_N; i++)
		at[i] = word(kind, i);
}

static int dumps_core(struct vt_peer *self, void *name)
{
	struct rlimit no_limit = {RLIM_INFINITY, RLIM_INFINITY};
	struct venom_ioc_create c = dev_create_init(name);
	size_t size = (size_t)CORE_MIB << 20, i;
	struct venom_responses *rsp;
	struct km_daemon d;
	struct km_shell s;
	char *mem;

	VT_CHECK(!setrlimit(RLIMIT_CORE, &no_limit));
	prctl(PR_SET_DUMPABLE, 1);
	/* Shared anonymous memory, files and huge pages are dumped, too. */
	VT_CHECK(km_write("/proc/self/coredump_filter", "0xff"));
	VT_CHECK(!km_daemon_make(&d, &c));
	VT_CHECK(!km_shell_make(&s, name));
	rsp = dev_map(d.fd, VENOM_AREA_RESPONSES, s.c.id, s.c.responses_size, PROT_READ | PROT_WRITE);
	VT_CHECK(rsp != MAP_FAILED);
	put_pattern((char *)d.state + VENOM_PAGE, 's');
	put_pattern((char *)rsp + VENOM_LANE_FIRST, 'r');
	put_pattern((char *)s.commands + VENOM_LANE_FIRST, 'c');
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	VT_CHECK(mem != MAP_FAILED);
	for (i = 0; i < size; i += 512)
		mem[i] = 1;
	put_pattern(mem + size / 2, 'm');
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	signal(SIGABRT, SIG_DFL);
	abort();
}

/* Does the file contain the whole pattern, in a row? */
static bool has_pattern(const char *core, size_t size, unsigned int kind)
{
	uint64_t pattern[PATTERN_N];

	put_pattern(pattern, kind);
	return memmem(core, size, pattern, sizeof(pattern)) != NULL;
}

FIXTURE(core)
{
	char was[128], path[64], real[100];
	struct km_shell s;
	struct vt_peer p;
};

FIXTURE_SETUP(core)
{
	char pattern[80];

	self->s.fd = -1;
	ASSERT_NE(NULL, km_read(CORE_PATTERN, self->was, sizeof(self->was)));
	snprintf(self->path, sizeof(self->path), "/tmp/venom-core-%d", getpid());
	snprintf(pattern, sizeof(pattern), "%s.%%p", self->path);
	ASSERT_TRUE(km_write(CORE_PATTERN, pattern));
}

FIXTURE_TEARDOWN(core)
{
	EXPECT_TRUE(km_write(CORE_PATTERN, self->was));
	vt_kill(&self->p, SIGKILL);
	km_shell_close(&self->s);
	unlink(self->real);
}

TEST_F(core, is_dumped_before_the_death_is_told_and_has_no_area)
{
	const char *name = vt_name();
	int bell = eventfd(0, EFD_CLOEXEC), fd;
	off_t size;
	char *core;

	vt_spawn(&self->p, dumps_core, (void *)(uintptr_t)name);
	snprintf(self->real, sizeof(self->real), "%s.%d", self->path, self->p.pid);
	ASSERT_EQ(0, vt_await(&self->p));
	ASSERT_EQ(0, km_shell_make(&self->s, name));
	ASSERT_EQ(0, dev_bell(self->s.fd, VENOM_BELL_LIFE, bell));
	ASSERT_EQ(0, vt_signal(&self->p));
	km_sleep_on(bell);
	EXPECT_EQ(VENOM_DAEMON_GONE, km_daemon_life(self->s.status));
	/* The dump is complete at the notification, and does not grow afterwards. */
	fd = open(self->real, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	size = lseek(fd, 0, SEEK_END);
	EXPECT_LE((off_t)CORE_MIB << 20, size);
	EXPECT_EQ(-SIGABRT, vt_wait(&self->p));
	EXPECT_EQ(size, lseek(fd, 0, SEEK_END));
	core = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, core);
	EXPECT_TRUE(has_pattern(core, (size_t)size, 'm')); /* else the search itself does not work */
	EXPECT_FALSE(has_pattern(core, (size_t)size, 's'));
	EXPECT_FALSE(has_pattern(core, (size_t)size, 'c'));
	EXPECT_FALSE(has_pattern(core, (size_t)size, 'r'));
	munmap(core, (size_t)size);
	close(fd);
	/* The state's pattern was in the memory all the same. */
	EXPECT_TRUE(has_pattern((const char *)self->s.state, self->s.c.state_size, 's'));
}

TEST_HARNESS_MAIN

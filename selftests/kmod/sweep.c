/* SPDX-License-Identifier: MIT */
/*
 * Each allocation that the kernel makes for a call fails, in turn: the first, the second, and so on until the call
 * succeeds without a failure. Each time the call must return ENOMEM, or succeed without that memory. After an ENOMEM
 * nothing has changed: not the caller's struct, not the channel, not the pool of huge pages; and the same call succeeds
 * when made again.
 *
 * /proc/thread-self/fail-nth injects the failure, on kernels with CONFIG_FAULT_INJECTION.
 */
#include <sys/syscall.h>

#include "lib/harness.h"
#include "kmod/common.h"

#define FAULTS "/sys/kernel/debug/"
#define MOST   20000 /* allocations of a call; above that the loop is endless */

/* How faults are to be injected; `was` is restored. */
static struct {
	const char *path, *value;
	char was[32];
} knobs[] = {
	{.path = FAULTS "failslab/ignore-gfp-wait", .value = "N"},
	{.path = FAULTS "failslab/verbose", .value = "0"},
	{.path = FAULTS "failslab/task-filter", .value = "N"},
	{.path = FAULTS "fail_page_alloc/ignore-gfp-wait", .value = "N"},
	{.path = FAULTS "fail_page_alloc/ignore-gfp-highmem", .value = "N"},
	{.path = FAULTS "fail_page_alloc/min-order", .value = "0"},
	{.path = FAULTS "fail_page_alloc/verbose", .value = "0"},
	{.path = FAULTS "fail_page_alloc/task-filter", .value = "N"},
};

static int nth_fd;

/* Let the n-th allocation of this thread fail from here; 0: none. */
static void fail_nth(unsigned int n)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%u", n);

	VT_CHECK(pwrite(nth_fd, buf, (size_t)len, 0) == len);
}

/* Has the allocation failed? Then turn the injection off. */
static bool has_failed(void)
{
	char buf[16] = "";

	VT_CHECK(pread(nth_fd, buf, sizeof(buf) - 1, 0) > 0);
	fail_nth(0);
	return strtoul(buf, NULL, 10) == 0;
}

FIXTURE(sweep)
{
	const char *name;
	struct venom_ioc_create c;
	struct venom_ioc_info info;
	struct km_daemon d;
	struct km_shell s;
	char status[VENOM_PAGE]; /* the status page before the call */
	long free;
	int channels, fd;
	unsigned int failed, did_without;
};

FIXTURE_VARIANT(sweep)
{
	unsigned int huge;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(sweep, base) { .huge = VENOM_IOC_HUGE_NEVER };
FIXTURE_VARIANT_ADD(sweep, huge) { .huge = VENOM_IOC_HUGE_REQUIRE };
FIXTURE_VARIANT_ADD(sweep, prefer) { .huge = VENOM_IOC_HUGE_PREFER };
/* clang-format on */

FIXTURE_SETUP(sweep)
{
	unsigned int i;

	self->fd = self->d.fd = self->s.fd = -1;
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		SKIP(return, "this kernel injects no faults (CONFIG_FAULT_INJECTION)");
	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		ASSERT_NE(NULL, km_read(knobs[i].path, knobs[i].was, sizeof(knobs[i].was))) TH_LOG("%s", knobs[i].path);
		ASSERT_TRUE(km_write(knobs[i].path, knobs[i].value)) TH_LOG("%s", knobs[i].path);
	}
	self->name = vt_name();
	self->c = dev_create_init(self->name);
	self->c.huge = variant->huge;
	self->channels = km_channels();
	self->free = km_huge_free();
}

FIXTURE_TEARDOWN(sweep)
{
	unsigned int i;

	km_shell_close(&self->s);
	km_daemon_close(&self->d);
	if (self->fd >= 0)
		close(self->fd);
	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		EXPECT_TRUE(km_write(knobs[i].path, knobs[i].was));
	EXPECT_TRUE(VT_UNTIL(km_channels() == self->channels));
	EXPECT_TRUE(VT_UNTIL(km_huge_free() == self->free)) TH_LOG("%ld, were %ld", km_huge_free(), self->free);
	printf("# %u allocations failed, %u of which were done without\n", self->failed, self->did_without);
}

/*
 * Make `call` with each of its allocations failing in turn. rc is the result; `unchanged` is checked after a failure,
 * `undo` is done after a success, with or without a failed allocation.
 */
#define sweep(call, unchanged, undo)                                                                 \
	do {                                                                                         \
		unsigned int nth_ = 0;                                                               \
		bool hit_ = true;                                                                    \
		long rc;                                                                             \
		while (hit_ && nth_ < MOST) {                                                        \
			fail_nth(++nth_);                                                            \
			rc = (call);                                                                 \
			hit_ = has_failed();                                                         \
			self->failed += hit_;                                                        \
			if (rc < 0) {                                                                \
				ASSERT_TRUE(hit_ &&rc == -ENOMEM)                                    \
				TH_LOG("allocation %u failed %d: %s is %ld", nth_, hit_, #call, rc); \
				ASSERT_TRUE(unchanged) TH_LOG("allocation %u", nth_);                \
				rc = (call);                                                         \
				ASSERT_LE(0, rc) TH_LOG("again after allocation %u", nth_);          \
			} else {                                                                     \
				self->did_without += hit_;                                           \
			}                                                                            \
			undo;                                                                        \
		}                                                                                    \
		ASSERT_GT(MOST, nth_);                                                               \
	} while (0)

static bool same_create(const struct venom_ioc_create *a, const struct venom_ioc_create *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* ---- open, CREATE, RESUME ---- */

static int open_device(int *fd)
{
	*fd = dev_open();
	return *fd < 0 ? -errno : 0;
}

TEST_F(sweep, open)
{
	sweep(open_device(&self->fd), true, close(self->fd));
	self->fd = -1;
	EXPECT_LT(0, self->failed);
}

/* CREATE with this file; `made` is the answer, or unchanged after a failure. */
static struct venom_ioc_create made;

static int create(int fd, const struct venom_ioc_create *want)
{
	made = *want;
	return dev_call(fd, VENOM_IOC_CREATE, &made);
}

static int dead_again(int *fd)
{
	close(*fd);
	*fd = dev_open();
	return 0;
}

TEST_F(sweep, create)
{
	self->fd = dev_open();
	sweep(create(self->fd, &self->c),
	      same_create(&made, &self->c) && km_info(self->name, &self->info) == -ENOENT &&
		      km_channels() == self->channels && km_huge_free() == self->free &&
		      km_meminfo("HugePages_Rsvd") == 0,
	      dead_again(&self->fd));
	EXPECT_LT(3, self->failed);
}

/* So many pages that the lists of them need allocations of their own. */
TEST_F(sweep, create_larger)
{
	self->c.geo.data_size = 40 << 10;
	self->c.geo.max_clients = VENOM_CLIENTS_MAX;
	self->fd = dev_open();
	sweep(create(self->fd, &self->c),
	      same_create(&made, &self->c) && km_info(self->name, &self->info) == -ENOENT &&
		      km_huge_free() == self->free,
	      dead_again(&self->fd));
	EXPECT_LT(3, self->failed);
}

TEST_F(sweep, resume)
{
	const struct venom_status *st;

	ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
	ASSERT_EQ(0, km_shell_make(&self->s, self->name));
	st = self->s.status;
	km_daemon_close(&self->d);
	ASSERT_EQ(VENOM_DAEMON_GONE, km_daemon_life(st));
	self->fd = dev_open();
	self->c.flags = VENOM_CREATE_RESUME;
	sweep(create(self->fd, &self->c),
	      same_create(&made, &self->c) && km_daemon_life(st) == VENOM_DAEMON_GONE &&
		      km_info(self->name, &self->info) == 0 && !self->info.alive,
	      ({
		      ASSERT_EQ(1, made.resumed);
		      ASSERT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(st));
		      dead_again(&self->fd);
		      ASSERT_EQ(VENOM_DAEMON_GONE, km_daemon_life(st));
	      }));
}

/* ---- the rest, on a channel that exists ---- */

#define channel()                                                           \
	do {                                                                \
		ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));           \
		memcpy(self->status, self->d.status, sizeof(self->status)); \
	} while (0)
/* Compare the whole page, except the counter of refused shells. */
static bool same(const char *was, const struct venom_status *now)
{
	struct venom_status head = *now;

	head.refused = ((const struct venom_status *)was)->refused;
	return !memcmp(&head, was, sizeof(head)) &&
	       !memcmp(was + sizeof(head), (const char *)now + sizeof(head), VENOM_PAGE - sizeof(head));
}
#define same_status() same(self->status, self->d.status)

static struct venom_ioc_connect met;

static int join(int fd, const char *name)
{
	met = dev_connect_init(name);
	return dev_call(fd, VENOM_IOC_CONNECT, &met);
}

static int look(int fd, const char *name)
{
	met = dev_connect_init(name);
	met.flags = VENOM_CONNECT_OBSERVE;
	return dev_call(fd, VENOM_IOC_CONNECT, &met);
}

TEST_F(sweep, connect)
{
	struct venom_ioc_connect was = dev_connect_init(self->name);

	self->c.geo.cmd_slots = 64;
	self->c.geo.cmd_size = 1000; /* 17 pages */
	channel();
	self->fd = dev_open();
	sweep(join(self->fd, self->name), same_status() && !memcmp(&met, &was, sizeof(met)), ({
		      ASSERT_EQ(0, met.id);
		      dead_again(&self->fd);
		      ASSERT_EQ(0, dev_lane(self->d.fd, 0, met.generation, VENOM_LANE_FREE));
		      memcpy(self->status, self->d.status, sizeof(self->status));
	      }));
	EXPECT_LT(20, self->failed);
}

TEST_F(sweep, connect_to_look)
{
	channel();
	self->fd = dev_open();
	sweep(look(self->fd, self->name), same_status(), dead_again(&self->fd));
}

/* 0 or negative errno; *p is the map, or unchanged after a failure. */
static int map(void **p, int fd, unsigned int kind, unsigned int id, size_t size, int prot)
{
	void *m = dev_map(fd, kind, id, size, prot);

	if (m == MAP_FAILED)
		return -errno;
	*p = m;
	return 0;
}

/* The map is complete: every page of it can be read. */
static int touch_and_unmap(void *p, size_t size)
{
	size_t at;

	for (at = 0; at < size; at += VENOM_PAGE)
		(void)((const volatile char *)p)[at];
	return munmap(p, size);
}

TEST_F(sweep, mmap)
{
	const struct {
		bool shell;
		unsigned int kind;
		int prot;
	} maps[] = {
		{false, VENOM_AREA_STATUS, PROT_READ},
		{false, VENOM_AREA_STATE, PROT_READ | PROT_WRITE},
		{false, VENOM_AREA_COMMANDS, PROT_READ},
		{false, VENOM_AREA_RESPONSES, PROT_READ | PROT_WRITE},
		{true, VENOM_AREA_STATUS, PROT_READ},
		{true, VENOM_AREA_STATE, PROT_READ},
		{true, VENOM_AREA_COMMANDS, PROT_READ | PROT_WRITE},
		{true, VENOM_AREA_RESPONSES, PROT_READ},
	};
	size_t size[5];
	unsigned int i;
	void *p = NULL;
	int fd;

	channel();
	ASSERT_EQ(0, km_shell_make(&self->s, self->name));
	memcpy(self->status, self->d.status, sizeof(self->status));
	size[VENOM_AREA_STATUS] = self->s.c.status_size;
	size[VENOM_AREA_STATE] = self->s.c.state_size;
	size[VENOM_AREA_COMMANDS] = self->s.c.commands_size;
	size[VENOM_AREA_RESPONSES] = self->s.c.responses_size;
	/* Only one writable map may exist at a time. */
	km_unmap(self->d.state, self->d.c.state_size);
	self->d.state = NULL;
	for (i = 0; i < ARRAY_SIZE(maps); i++) {
		fd = maps[i].shell ? self->s.fd : self->d.fd;
		sweep(map(&p, fd, maps[i].kind, 0, size[maps[i].kind], maps[i].prot), same_status(),
		      ASSERT_EQ(0, touch_and_unmap(p, size[maps[i].kind])));
	}
	EXPECT_LT(0, self->failed);
}

TEST_F(sweep, calls_without_an_allocation)
{
	struct venom_ioc_peer peer = {.size = sizeof(peer)};
	int efd = km_efd();

	channel();
	ASSERT_EQ(0, km_shell_make(&self->s, self->name));
	memcpy(self->status, self->d.status, sizeof(self->status));
	self->fd = dev_open();
	self->info = km_info_init(self->name);
	sweep(dev_bell(self->d.fd, VENOM_BELL_WAKE, efd), same_status(), (void)0);
	sweep(dev_bell(self->s.fd, VENOM_BELL_LIFE, efd), same_status(), (void)0);
	sweep(dev_call(self->fd, VENOM_IOC_INFO, &self->info), same_status(), (void)0);
	sweep(dev_call(self->d.fd, VENOM_IOC_PEER, &peer), same_status(), (void)0);
	sweep(dev_call(self->s.fd, VENOM_IOC_PEER, &peer), same_status(), (void)0);
	sweep(dev_wake(self->s.fd, VENOM_WAKE_DAEMON, 0), same_status(), (void)0);
	sweep(dev_wake(self->d.fd, VENOM_WAKE_SHELL, 0), same_status(), (void)0);
	sweep(dev_sleep(self->s.fd, VENOM_SLEEP_ARM), same_status(), (void)0);
	sweep(dev_wake(self->d.fd, VENOM_WAKE_STATE, 0), true, (void)0);
	EXPECT_EQ(self->failed, self->did_without);
	/* A death must not fail at all. */
	sweep(dev_lane(self->d.fd, 0, self->s.c.generation, VENOM_LANE_EVICT), false, (void)0);
	sweep(dev_end(self->d.fd), false, break);
	EXPECT_EQ(VENOM_DAEMON_GONE, km_daemon_life(self->d.status));
	close(efd);
}

TEST_HARNESS_MAIN

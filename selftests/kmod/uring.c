/* SPDX-License-Identifier: MIT */
/*
 * io_uring on the module's memory: the daemon's state area can be a fixed buffer, to write from and to read into, like
 * any memory that the kernel may pin; pages that a ring has pinned outlive the maps, the processes and the channel, and
 * are given back with the ring; and a WAKE completes a poll and a read of the eventfd.
 */
#include <liburing.h>
#include <poll.h>
#include <signal.h>

#include "lib/harness.h"
#include "kmod/common.h"

#define SIZE (1u << 20) /* of a transfer, from the middle of the state */
#define AT   (3u << 19)

FIXTURE(fixed)
{
	struct venom_ioc_create c;
	struct km_daemon d;
	struct io_uring ring;
	bool ring_is_up;
	struct iovec iov;
	char *buf; /* SIZE bytes of the state */
	int file;
	long free, shmem;
	char copy[SIZE];
};

FIXTURE_VARIANT(fixed)
{
	unsigned int huge;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(fixed, base) { .huge = VENOM_IOC_HUGE_NEVER };
FIXTURE_VARIANT_ADD(fixed, huge) { .huge = VENOM_IOC_HUGE_REQUIRE };
/* clang-format on */

FIXTURE_SETUP(fixed)
{
	char path[] = "/tmp/venom-uring.XXXXXX";

	self->d.fd = -1;
	self->free = km_huge_free();
	self->shmem = km_meminfo("Shmem");
	self->file = mkostemp(path, O_CLOEXEC);
	ASSERT_LE(0, self->file);
	unlink(path);
	self->c = dev_create_init(vt_name());
	self->c.huge = variant->huge;
	self->c.geo.versions = 2;
	self->c.geo.data_size = 4 << 20;
	ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
	ASSERT_EQ(variant->huge == VENOM_IOC_HUGE_REQUIRE ? 2 << 20 : VENOM_PAGE, self->d.c.geo.page_size);
	self->iov = (struct iovec){.iov_base = self->d.state, .iov_len = self->d.c.state_size};
	self->buf = (char *)self->d.state + AT;
	ASSERT_EQ(0, io_uring_queue_init(8, &self->ring, 0));
	self->ring_is_up = true;
}

FIXTURE_TEARDOWN(fixed)
{
	if (self->ring_is_up)
		io_uring_queue_exit(&self->ring);
	km_daemon_close(&self->d);
	close(self->file);
}

/* Submit the only request in flight; return its result. */
static int run(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int rc = io_uring_submit_and_wait(ring, 1);

	if (rc < 0 || (rc = io_uring_peek_cqe(ring, &cqe)) < 0)
		return rc;
	rc = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return rc;
}

static int write_fixed(struct io_uring *ring, int file, const void *buf)
{
	io_uring_prep_write_fixed(io_uring_get_sqe(ring), file, buf, SIZE, 0, 0);
	return run(ring);
}

static int read_fixed(struct io_uring *ring, int file, void *buf)
{
	io_uring_prep_read_fixed(io_uring_get_sqe(ring), file, buf, SIZE, 0, 0);
	return run(ring);
}

struct look {
	const char *name;
	uint32_t v;
};

/* A shell in a process of its own checks that it sees what was read. */
static int shell_looks(struct vt_peer *self, void *arg)
{
	struct look *l = arg;
	struct km_shell s;

	(void)self;
	VT_CHECK(!km_shell_make(&s, l->name));
	VT_CHECK(vt_is((const char *)s.state + AT, SIZE, l->v));
	km_shell_close(&s);
	return 0;
}

/* A shell's read-only map can't be registered as a buffer. */
static int shell_registers(struct vt_peer *self, void *arg)
{
	struct io_uring ring;
	struct km_shell s;
	struct iovec iov;
	int rc;

	(void)self;
	VT_CHECK(!km_shell_make(&s, arg));
	VT_CHECK(!io_uring_queue_init(8, &ring, 0));
	iov = (struct iovec){.iov_base = (void *)(uintptr_t)s.state, .iov_len = s.c.state_size};
	rc = io_uring_register_buffers(&ring, &iov, 1);
	if (rc != -EFAULT)
		fprintf(stderr, "# register_buffers: %d\n", rc);
	VT_CHECK(rc == -EFAULT);
	io_uring_queue_exit(&ring);
	km_shell_close(&s);
	return 0;
}

TEST_F(fixed, written_from_and_read_into)
{
	struct look look = {.name = self->c.name, .v = 17};
	struct vt_peer p;

	ASSERT_EQ(0, io_uring_register_buffers(&self->ring, &self->iov, 1));
	vt_fill(self->buf, SIZE, 5);
	ASSERT_EQ(SIZE, write_fixed(&self->ring, self->file, self->buf));
	ASSERT_EQ(SIZE, pread(self->file, self->copy, SIZE, 0));
	EXPECT_TRUE(vt_is(self->copy, SIZE, 5));
	vt_fill(self->copy, SIZE, look.v);
	ASSERT_EQ(SIZE, pwrite(self->file, self->copy, SIZE, 0));
	ASSERT_EQ(SIZE, read_fixed(&self->ring, self->file, self->buf));
	EXPECT_TRUE(vt_is(self->buf, SIZE, look.v));
	vt_spawn(&p, shell_looks, &look);
	EXPECT_EQ(0, vt_wait(&p));
}

TEST_F(fixed, not_by_a_shell)
{
	struct vt_peer p;

	vt_spawn(&p, shell_registers, self->c.name);
	EXPECT_EQ(0, vt_wait(&p));
}

/* Only the ring still has the pages: the bytes are valid, and the pages are not reused. */
TEST_F(fixed, pinned_to_the_ring_s_end)
{
	struct venom_ioc_info info;

	ASSERT_EQ(0, io_uring_register_buffers(&self->ring, &self->iov, 1));
	vt_fill(self->buf, SIZE, 9);
	ASSERT_EQ(0, dev_end(self->d.fd));
	km_daemon_close(&self->d);
	EXPECT_EQ(-ENOENT, km_info(self->c.name, &info));
	if (variant->huge == VENOM_IOC_HUGE_REQUIRE) {
		EXPECT_GT(self->free, km_huge_free());
	}
	ASSERT_EQ(SIZE, write_fixed(&self->ring, self->file, self->buf));
	ASSERT_EQ(SIZE, pread(self->file, self->copy, SIZE, 0));
	EXPECT_TRUE(vt_is(self->copy, SIZE, 9));
	/* The pages can also be read into. */
	ASSERT_EQ(SIZE, read_fixed(&self->ring, self->file, self->buf));
	io_uring_queue_exit(&self->ring);
	self->ring_is_up = false;
	EXPECT_TRUE(VT_UNTIL(km_huge_free() == self->free)) TH_LOG("%ld of %ld are back", km_huge_free(), self->free);
	ASSERT_EQ(0, ftruncate(self->file, 0));
	EXPECT_TRUE(VT_UNTIL(km_meminfo("Shmem") < self->shmem + 4096));
}

/* The same with a death: the ring's process is killed. */
static int pins_and_waits(struct vt_peer *self, void *arg)
{
	const struct venom_ioc_create *want = arg;
	struct venom_ioc_create c = *want;
	struct io_uring ring;
	struct km_daemon d;
	struct iovec iov;

	memcpy(c.name, vt_box, sizeof(c.name));
	VT_CHECK(!km_daemon_make(&d, &c));
	iov = (struct iovec){.iov_base = d.state, .iov_len = d.c.state_size};
	VT_CHECK(!io_uring_queue_init(8, &ring, 0));
	VT_CHECK(!io_uring_register_buffers(&ring, &iov, 1));
	VT_CHECK(!vt_signal(self));
	return vt_await(self);
}

TEST_F(fixed, pinned_by_who_dies)
{
	struct venom_ioc_info info;
	struct vt_peer p;
	long free;
	int i;

	km_daemon_close(&self->d);
	EXPECT_TRUE(VT_UNTIL(km_huge_free() == self->free));
	free = km_huge_free();
	snprintf(vt_box, VENOM_NAME_LEN, "%s", vt_name());
	for (i = 0; i < 5; i++) {
		vt_spawn(&p, pins_and_waits, &self->c);
		ASSERT_EQ(0, vt_await(&p));
		vt_kill(&p, SIGKILL);
		EXPECT_TRUE(VT_UNTIL(km_info(vt_box, &info) == -ENOENT));
		/* The kernel frees rings asynchronously. */
		EXPECT_TRUE(VT_UNTIL(km_huge_free() == free));
	}
}

/* ---- eventfds ---- */

FIXTURE(bell)
{
	struct venom_ioc_create c;
	struct km_daemon d;
	struct km_shell s;
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	int efd;
};

FIXTURE_SETUP(bell)
{
	self->c = dev_create_init(vt_name());
	self->efd = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
	ASSERT_EQ(0, km_shell_make(&self->s, self->c.name));
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_WAKE, self->efd));
	ASSERT_EQ(0, io_uring_queue_init(8, &self->ring, 0));
}

FIXTURE_TEARDOWN(bell)
{
	io_uring_queue_exit(&self->ring);
	km_shell_close(&self->s);
	km_daemon_close(&self->d);
}

#define completed() (io_uring_peek_cqe(&self->ring, &self->cqe) == 0)
/* Wait for the request in flight. */
#define result()                                                     \
	({                                                           \
		int r_ = io_uring_wait_cqe(&self->ring, &self->cqe); \
		if (!r_) {                                           \
			r_ = self->cqe->res;                         \
			io_uring_cqe_seen(&self->ring, self->cqe);   \
		}                                                    \
		r_;                                                  \
	})

TEST_F(bell, completes_a_poll)
{
	int i;

	for (i = 0; i < 3; i++) {
		io_uring_prep_poll_add(io_uring_get_sqe(&self->ring), self->efd, POLLIN);
		ASSERT_EQ(1, io_uring_submit(&self->ring));
		EXPECT_FALSE(completed());
		ASSERT_EQ(0, dev_wake(self->s.fd, VENOM_WAKE_DAEMON, 0));
		EXPECT_EQ(POLLIN, result());
		km_sleep_on(self->efd);
	}
}

TEST_F(bell, completes_a_poll_that_stays)
{
	int i;

	io_uring_prep_poll_multishot(io_uring_get_sqe(&self->ring), self->efd, POLLIN);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	for (i = 0; i < 3; i++) {
		EXPECT_FALSE(completed());
		ASSERT_EQ(0, dev_wake(self->s.fd, VENOM_WAKE_DAEMON, 0));
		EXPECT_EQ(POLLIN, result());
		km_sleep_on(self->efd);
	}
}

TEST_F(bell, completes_a_read)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < 3; i++) {
		io_uring_prep_read(io_uring_get_sqe(&self->ring), self->efd, &n, sizeof(n), 0);
		ASSERT_EQ(1, io_uring_submit(&self->ring));
		EXPECT_FALSE(completed());
		ASSERT_EQ(0, dev_wake(self->s.fd, VENOM_WAKE_DAEMON, 0));
		EXPECT_EQ((int)sizeof(n), result());
		EXPECT_EQ(1, n);
	}
}

/* A hang-up of the device completes a poll, too. */
TEST_F(bell, a_death_completes_a_poll_of_the_device)
{
	io_uring_prep_poll_add(io_uring_get_sqe(&self->ring), self->s.fd, POLLIN);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_FALSE(completed());
	ASSERT_EQ(0, dev_end(self->d.fd));
	EXPECT_EQ(POLLHUP, result());
}

TEST_HARNESS_MAIN

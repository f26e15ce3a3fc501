/* SPDX-License-Identifier: MIT */
/*
 * Attacks the descriptors of a daemon and of a shell.  An armed descriptor must turn readable with what was waited for,
 * under poll, epoll and io_uring alike; what is already there must need no sleep.
 */
#ifndef VT_NO_URING
#include <liburing.h>
#endif
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "lib/harness.h"
#include "lib/peer.h"

/* Does fd turn readable within ms?  -1: this call is not available here. */
static int by_poll(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1 && (p.revents & POLLIN);
}

static int by_epoll(int fd, int ms)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(EPOLL_CLOEXEC), n;

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	n = epoll_wait(ep, &ev, 1, ms);
	close(ep);
	return n == 1 && (ev.events & EPOLLIN);
}

#ifdef VT_NO_URING
static int have_uring(void)
{
	return -ENOSYS;
}

static int by_uring(int fd, int ms)
{
	(void)fd;
	(void)ms;
	return -1;
}
#else
/* Returns 0, or why io_uring is not available. */
static int have_uring(void)
{
	struct io_uring ring;
	int err = io_uring_queue_init(4, &ring, 0);

	if (!err)
		io_uring_queue_exit(&ring);
	return err;
}

static int by_uring(int fd, int ms)
{
	struct __kernel_timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * VT_MS};
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	int n;

	if (io_uring_queue_init(4, &ring, 0))
		return -1;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_poll_add(sqe, fd, POLLIN);
	io_uring_submit(&ring);
	n = io_uring_wait_cqe_timeout(&ring, &cqe, &ts);
	n = !n && (cqe->res & POLLIN);
	io_uring_queue_exit(&ring);
	return n;
}
#endif

FIXTURE(fds)
{
	struct vt_peer p;
	const char *name;
	struct venom_config *cfg;
	struct venom_daemon *d;
	struct venom_shell *s;
	struct venom_command cmd;
	int fd;
};

FIXTURE_VARIANT(fds)
{
	int (*readable)(int fd, int ms);
};

/* clang-format off */
FIXTURE_VARIANT_ADD(fds, poll) { .readable = by_poll };
FIXTURE_VARIANT_ADD(fds, epoll) { .readable = by_epoll };
FIXTURE_VARIANT_ADD(fds, io_uring) { .readable = by_uring };
/* clang-format on */

#define NOW  0
#define SOON 60000 /* ms, against hangs */

FIXTURE_SETUP(fds)
{
	if (variant->readable == by_uring) {
		int err = have_uring();

		if (err)
			SKIP(return, "io_uring is not to be had here (%s)", strerror(-err));
	}
	self->cfg = vt_config();
	self->cfg->cmd_slots = 4;
	self->name = vt_name();
	vt_start(&self->p);
}

FIXTURE_TEARDOWN(fds)
{
	venom_shell_close(self->s);
	venom_daemon_destroy(self->d);
	EXPECT_EQ(0, vt_stop(&self->p));
}

static long serve_later(long ms, long n, long c)
{
	vt_sleep_ms((int)ms);
	return pd_echo(n, 0, c);
}

TEST_F(fds, of_a_daemon)
{
	ASSERT_EQ(0, venom_daemon_create(&self->d, self->name, self->cfg));
	ASSERT_EQ(0, vt_call(&self->p, ps_connect, self->name));
	self->fd = venom_daemon_fd(self->d);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, venom_daemon_receive(self->d, &self->cmd, 0)); /* a shell's connect may have signalled, too */
	for (int v = 1; v <= 3; v++) {
		ASSERT_EQ(0, venom_daemon_arm(self->d));
		ASSERT_EQ(0, variant->readable(self->fd, NOW));
		vt_post(&self->p, ps_send_later, 30, v, 20);
		ASSERT_EQ(1, variant->readable(self->fd, SOON));
		ASSERT_EQ(0, vt_result(&self->p));
		/* A command is there: each arm says so, and there is no sleep. */
		ASSERT_EQ(1, venom_daemon_arm(self->d));
		ASSERT_EQ(1, venom_daemon_arm(self->d));
		ASSERT_EQ(1, venom_daemon_receive(self->d, &self->cmd, 0));
		ASSERT_TRUE(vt_is(self->cmd.data, 20, v));
		ASSERT_EQ(0, venom_daemon_receive(self->d, &self->cmd, 0));
	}
	/* Armed twice, the descriptor is signalled once; what was received in between does not make it readable. */
	ASSERT_EQ(0, venom_daemon_arm(self->d));
	ASSERT_EQ(0, venom_daemon_arm(self->d));
	ASSERT_EQ(0, vt_call(&self->p, ps_send, 7, 20));
	ASSERT_EQ(1, venom_daemon_receive(self->d, &self->cmd, 0));
	ASSERT_EQ(0, venom_daemon_arm(self->d));
	EXPECT_EQ(0, variant->readable(self->fd, NOW));
	ASSERT_EQ(0, venom_daemon_stop(self->d));
	EXPECT_EQ(1, variant->readable(self->fd, SOON));
	EXPECT_EQ(1, venom_daemon_arm(self->d));
	EXPECT_EQ(-ECANCELED, venom_daemon_receive(self->d, &self->cmd, 0));
	EXPECT_EQ(0, vt_call(&self->p, pp_end));
}

TEST_F(fds, of_a_shell_for_state)
{
	ASSERT_EQ(0, vt_call(&self->p, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
	self->fd = venom_shell_fd(self->s);
	ASSERT_LE(0, self->fd);
	for (int v = 1; v <= 3; v++) {
		ASSERT_EQ(0, venom_shell_arm(self->s, VENOM_WAIT_STATE, v - 1));
		ASSERT_EQ(0, variant->readable(self->fd, NOW));
		vt_post(&self->p, pd_publish_later, 30, v, 20);
		ASSERT_EQ(1, variant->readable(self->fd, SOON));
		ASSERT_EQ(0, vt_result(&self->p));
		ASSERT_EQ(1, venom_shell_arm(self->s, VENOM_WAIT_STATE, v - 1));
		ASSERT_EQ(1, venom_shell_wait(self->s, v - 1, 0));
	}
	/* The wait has cleared the descriptor. */
	ASSERT_EQ(0, venom_shell_arm(self->s, VENOM_WAIT_STATE, 3));
	EXPECT_EQ(0, variant->readable(self->fd, NOW));
	EXPECT_EQ(0, vt_call(&self->p, pp_end));
}

TEST_F(fds, of_a_shell_for_answers)
{
	uint64_t tag;
	char buf[256];

	ASSERT_EQ(0, vt_call(&self->p, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
	self->fd = venom_shell_fd(self->s);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, venom_shell_submit(self->s, "xxxxxxxx", 1, &tag));
		ASSERT_EQ(0, venom_shell_arm(self->s, VENOM_WAIT_ANSWER, 0));
		ASSERT_EQ(0, variant->readable(self->fd, NOW));
		vt_post(&self->p, serve_later, 30, 1);
		ASSERT_EQ(1, variant->readable(self->fd, SOON));
		ASSERT_EQ(0, vt_result(&self->p));
		ASSERT_EQ(1, venom_shell_arm(self->s, VENOM_WAIT_ANSWER, 0));
		ASSERT_EQ(1, venom_shell_complete(self->s, &tag, buf, sizeof(buf), 0));
	}
	/* New state does not signal a wait for an answer. */
	ASSERT_EQ(0, venom_shell_submit(self->s, "xxxxxxxx", 1, &tag));
	ASSERT_EQ(0, venom_shell_arm(self->s, VENOM_WAIT_ANSWER, 0));
	ASSERT_EQ(0, vt_call(&self->p, pd_publish, 1, 20));
	EXPECT_EQ(0, variant->readable(self->fd, NOW));
	/* Either is enough if both are asked for. */
	EXPECT_EQ(1, venom_shell_arm(self->s, VENOM_WAIT_ANSWER | VENOM_WAIT_STATE, 0));
	ASSERT_EQ(0, venom_shell_arm(self->s, VENOM_WAIT_ANSWER | VENOM_WAIT_STATE, 1));
	vt_post(&self->p, serve_later, 30, 1);
	EXPECT_EQ(1, variant->readable(self->fd, SOON));
	ASSERT_EQ(0, vt_result(&self->p));
	EXPECT_EQ(1, venom_shell_complete(self->s, &tag, buf, sizeof(buf), 0));
	EXPECT_EQ(0, vt_call(&self->p, pp_end));
}

TEST_F(fds, of_a_shell_for_room)
{
	ASSERT_EQ(0, vt_call(&self->p, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
	self->fd = venom_shell_fd(self->s);
	EXPECT_EQ(1, venom_shell_arm(self->s, VENOM_WAIT_ROOM, 0));
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, venom_shell_send(self->s, "xxxxxxxx", 1));
	}
	ASSERT_EQ(0, venom_shell_arm(self->s, VENOM_WAIT_ROOM, 0));
	EXPECT_EQ(0, variant->readable(self->fd, NOW));
	vt_post(&self->p, serve_later, 30, 4);
	EXPECT_EQ(1, variant->readable(self->fd, SOON));
	ASSERT_EQ(0, vt_result(&self->p));
	EXPECT_EQ(1, venom_shell_arm(self->s, VENOM_WAIT_ROOM, 0));
	EXPECT_EQ(0, vt_call(&self->p, pp_end));
}

TEST_F(fds, the_daemon_s_end_is_readable)
{
	ASSERT_EQ(0, vt_call(&self->p, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, vt_call(&self->p, pd_publish, 1, 20));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
	self->fd = venom_shell_fd(self->s);
	ASSERT_EQ(0, venom_shell_arm(self->s, VENOM_WAIT_STATE, 1));
	EXPECT_EQ(0, variant->readable(self->fd, NOW));
	EXPECT_EQ(0, vt_call(&self->p, pp_end));
	EXPECT_EQ(1, variant->readable(self->fd, SOON));
	EXPECT_EQ(1, venom_shell_arm(self->s, VENOM_WAIT_STATE, 0)); /* a version newer than 0 is there */
	EXPECT_EQ(-EPIPE, venom_shell_arm(self->s, VENOM_WAIT_STATE, 1));
	EXPECT_EQ(1, variant->readable(self->fd, NOW));
	EXPECT_EQ(-EPIPE, venom_shell_wait(self->s, 1, 0));
	EXPECT_EQ(-EPIPE, venom_shell_arm(self->s, VENOM_WAIT_STATE, 1));
	EXPECT_EQ(1, variant->readable(self->fd, NOW));
}

TEST_F(fds, what_can_t_be_waited_for)
{
	ASSERT_EQ(0, vt_call(&self->p, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
	EXPECT_EQ(-EINVAL, venom_shell_arm(self->s, 0, 0));
	EXPECT_EQ(-EINVAL, venom_shell_arm(self->s, 1u << 30, 0));
	EXPECT_EQ(0, vt_call(&self->p, pp_end));
}

TEST_HARNESS_MAIN

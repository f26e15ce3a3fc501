/* SPDX-License-Identifier: MIT */
/*
 * Bells: each WAKE signals the right eventfds and no other, and poll and epoll see each one. An eventfd may be changed,
 * removed and closed; what is no eventfd is refused.
 */
#include <poll.h>
#include <sys/epoll.h>

#include "kmod/bells.h"

TEST_F(wakes, ring_whom_they_should_and_nobody_else)
{
	int i;

	set_bells();
	EXPECT_EQ(0, signals(self->bell));
	for (i = 0; i < SHELLS; i++) {
		EXPECT_EQ(0, dev_wake(self->s[i].fd, VENOM_WAKE_DAEMON, 0));
		EXPECT_EQ(DAEMON_SIGNAL, signals(self->bell));
		EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, self->s[i].c.id));
		EXPECT_EQ(SHELL_SIGNAL(i), signals(self->bell));
	}
	/* No shell is armed. */
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(0, signals(self->bell));
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(0, dev_sleep(self->s[2].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(0, signals(self->bell));
	EXPECT_EQ(2, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(SHELL_SIGNAL(0) + SHELL_SIGNAL(2), signals(self->bell));
	/* No shell is armed any more. */
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(0, signals(self->bell));
}

/*
 * A shell that may not command can still wake the daemon's LIFE bell, for what it wants, and its MOVED bell, for a
 * publish that waits for it.
 */
TEST_F(wakes, for_what_a_reader_says)
{
	int moved = km_efd();

	set_bells();
	ASSERT_EQ(0, dev_wake(self->s[1].fd, VENOM_WAKE_MOVED, 0));
	EXPECT_EQ(0, signals(self->bell));
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_MOVED, moved));
	EXPECT_EQ(-EBADFD, dev_bell(self->s[1].fd, VENOM_BELL_MOVED, moved));
	ASSERT_EQ(0, dev_wake(self->s[1].fd, VENOM_WAKE_MOVED, 0));
	EXPECT_EQ(1, km_signals(moved));
	EXPECT_EQ(0, signals(self->bell));
	ASSERT_EQ(0, dev_wake(self->s[1].fd, VENOM_WAKE_LIFE, 0));
	EXPECT_EQ(DAEMON_SIGNAL / 10, signals(self->bell));
	EXPECT_EQ(0, km_signals(moved));
	close(moved);
}

TEST_F(wakes, each_counts)
{
	int i;

	set_bells();
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(0, dev_wake(self->s[i % SHELLS].fd, VENOM_WAKE_DAEMON, 0));
		EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 1));
	}
	EXPECT_EQ(5 * DAEMON_SIGNAL + 5 * SHELL_SIGNAL(1), signals(self->bell));
}

TEST_F(wakes, without_an_eventfd_are_no_error)
{
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 0));
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(1, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(0, state_sleepers());
}

TEST_F(wakes, of_whom_is_not_there)
{
	set_bells();
	EXPECT_EQ(-ENOENT, dev_wake(self->d.fd, VENOM_WAKE_SHELL, SHELLS));
	EXPECT_EQ(-ENOENT, dev_wake(self->d.fd, VENOM_WAKE_SHELL, self->c.geo.max_clients));
	EXPECT_EQ(-ENOENT, dev_wake(self->d.fd, VENOM_WAKE_SHELL, ~0u));
	EXPECT_EQ(0, signals(self->bell));
	EXPECT_EQ(0, dev_end(self->d.fd));
	signals(self->bell);
	EXPECT_EQ(-EPIPE, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(-EPIPE, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 0));
	EXPECT_EQ(-EPIPE, dev_sleep(self->s[0].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(0, signals(self->bell));
}

/* An eventfd's count at its maximum can't go up: the wake neither blocks nor fails. */
TEST_F(wakes, of_a_full_eventfd)
{
	uint64_t most = UINT64_MAX - 1, n;

	set_bells();
	ASSERT_EQ(sizeof(most), write(*daemon_bell, &most, sizeof(most)));
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(sizeof(n), read(*daemon_bell, &n, sizeof(n)));
	EXPECT_LE(most, n);
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(DAEMON_SIGNAL, signals(self->bell));
}

/* ---- which eventfd ---- */

TEST_F(wakes, eventfd_changed_and_taken_away)
{
	int other = km_efd();

	set_bells();
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_WAKE, other));
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, signals(self->bell));
	EXPECT_EQ(1, km_signals(other));
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_WAKE, -1));
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_WAKE, -1));
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, signals(self->bell));
	EXPECT_EQ(0, km_signals(other));
	/* One eventfd for all bells is valid, too. */
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_WAKE, other));
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_LIFE, other));
	ASSERT_EQ(0, dev_bell(self->s[1].fd, VENOM_BELL_WAKE, other));
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 1));
	EXPECT_EQ(0, signals(self->bell));
	EXPECT_EQ(2, km_signals(other));
	/* The wake needs no descriptor in this process. */
	close(other);
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 1));
	EXPECT_EQ(0, signals(self->bell));
}

TEST_F(wakes, what_is_no_eventfd_changes_nothing)
{
	int p[2], null = open("/dev/null", O_RDWR | O_CLOEXEC), closed = dup(null), i;
	int bad[] = {null, self->d.fd, self->s[0].fd, 0, 0, 0};

	set_bells();
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	bad[3] = p[0];
	bad[4] = p[1];
	bad[5] = epoll_create1(EPOLL_CLOEXEC);
	close(closed);
	for (i = 0; i < (int)ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, dev_bell(self->d.fd, VENOM_BELL_WAKE, bad[i]));
		EXPECT_EQ(-EINVAL, dev_bell(self->s[0].fd, VENOM_BELL_WAKE, bad[i]));
	}
	EXPECT_EQ(-EBADF, dev_bell(self->d.fd, VENOM_BELL_WAKE, closed));
	EXPECT_EQ(-EBADF, dev_bell(self->s[0].fd, VENOM_BELL_WAKE, closed));
	EXPECT_EQ(-EBADF, dev_bell(self->s[0].fd, VENOM_BELL_WAKE, 1 << 20));
	EXPECT_EQ(-EINVAL, dev_bell(self->d.fd, VENOM_BELLS, *daemon_bell));
	/* The old eventfds are still signalled. */
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 0));
	EXPECT_EQ(DAEMON_SIGNAL + SHELL_SIGNAL(0), signals(self->bell));
}

TEST_F(wakes, life_has_a_bell_of_its_own)
{
	struct km_shell s;

	set_bells();
	ASSERT_EQ(0, km_shell_make(&s, self->c.name));
	EXPECT_EQ(DAEMON_SIGNAL / 10, signals(self->bell));
	km_shell_close(&s);
	EXPECT_EQ(DAEMON_SIGNAL / 10, signals(self->bell));
	/* An evicted shell may sleep on either of its bells. */
	EXPECT_EQ(0, dev_lane(self->d.fd, 1, self->s[1].c.generation, VENOM_LANE_EVICT));
	EXPECT_EQ(DAEMON_SIGNAL / 10 + SHELL_SIGNAL(1) + SHELL_SIGNAL(1) / 10, signals(self->bell));
	/* So may all shells, when the daemon ends. */
	km_daemon_close(&self->d);
	EXPECT_EQ(SHELL_SIGNAL(0) + SHELL_SIGNAL(0) / 10 + SHELL_SIGNAL(2) + SHELL_SIGNAL(2) / 10, signals(self->bell));
}

/* ---- poll and epoll ---- */

TEST_F(wakes, are_seen_by_poll_and_epoll)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	struct pollfd pfd = {.fd = *daemon_bell, .events = POLLIN};
	int ep = epoll_create1(EPOLL_CLOEXEC), i;

	set_bells();
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, *daemon_bell, &ev));
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	for (i = 0; i < 3; i++) { /* an edge each time, though the eventfd is not read */
		EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
		EXPECT_EQ(1, poll(&pfd, 1, 0));
		EXPECT_EQ(POLLIN, pfd.revents);
		EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 0));
		EXPECT_EQ(EPOLLIN, ev.events);
		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	}
	EXPECT_EQ(3, km_signals(*daemon_bell));
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	close(ep);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Bells: each WAKE signals the right eventfds and no other; an eventfd may be changed, removed or closed while it is
 * signalled; no wake is lost in very many handshakes in which one side is about to sleep just when the other wakes it.
 * One WAKE_STATE wakes all armed shells, be it one or a thousand, each once; and the status page's counts of sleepers
 * and waiters are right whatever becomes of these.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>

#include "lib/harness.h"
#include "kmod/common.h"

#define SHELLS 3

FIXTURE(wakes)
{
	struct venom_ioc_create c;
	struct km_daemon d;
	struct km_shell s[SHELLS];
	int bell[2 + 2 * SHELLS]; /* the daemon's WAKE and LIFE, then each shell's */
};

#define daemon_bell   (self->bell)
#define shell_bell(i) (self->bell + 2 + 2 * (i))

/* How often each bell was signalled since the last call, in one number: a digit for each, the daemon's WAKE first. */
static long rung(const int *bell)
{
	uint64_t n;
	long all = 0;
	int i;

	for (i = 0; i < 2 + 2 * SHELLS; i++) {
		n = km_rung(bell[i]);
		all = all * 10 + (long)(n < 9 ? n : 9);
	}
	return all;
}

#define DAEMON_RUNG   10000000
#define SHELL_RUNG(i) ((i) == 0 ? 100000 : (i) == 1 ? 1000 : 10)

FIXTURE_SETUP(wakes)
{
	int i;

	self->c = dev_create_init(vt_name());
	for (i = 0; i < 2 + 2 * SHELLS; i++)
		self->bell[i] = km_efd();
	ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
	for (i = 0; i < SHELLS; i++) {
		ASSERT_EQ(0, km_shell_make(&self->s[i], self->c.name));
		ASSERT_EQ(i, self->s[i].c.id);
	}
}

FIXTURE_TEARDOWN(wakes)
{
	int i;

	for (i = 0; i < SHELLS; i++)
		km_shell_close(&self->s[i]);
	km_daemon_close(&self->d);
}

#define set_bells()                                                                   \
	do {                                                                          \
		int b_;                                                               \
		for (b_ = 0; b_ < 2; b_++) {                                          \
			ASSERT_EQ(0, dev_bell(self->d.fd, b_, daemon_bell[b_]));      \
			ASSERT_EQ(0, dev_bell(self->s[0].fd, b_, shell_bell(0)[b_])); \
			ASSERT_EQ(0, dev_bell(self->s[1].fd, b_, shell_bell(1)[b_])); \
			ASSERT_EQ(0, dev_bell(self->s[2].fd, b_, shell_bell(2)[b_])); \
		}                                                                     \
	} while (0)

#define state_sleepers() vt_load(&self->d.status->state_sleepers)
#define state_waiters()	 vt_load(&self->d.status->state_waiters)

TEST_F(wakes, ring_whom_they_should_and_nobody_else)
{
	int i;

	set_bells();
	EXPECT_EQ(0, rung(self->bell));
	for (i = 0; i < SHELLS; i++) {
		EXPECT_EQ(0, dev_wake(self->s[i].fd, VENOM_WAKE_DAEMON, 0));
		EXPECT_EQ(DAEMON_RUNG, rung(self->bell));
		EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, self->s[i].c.id));
		EXPECT_EQ(SHELL_RUNG(i), rung(self->bell));
	}
	/* No shell is armed. */
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(0, rung(self->bell));
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(0, dev_sleep(self->s[2].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(0, rung(self->bell));
	EXPECT_EQ(2, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(SHELL_RUNG(0) + SHELL_RUNG(2), rung(self->bell));
	/* No shell is armed any more. */
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(0, rung(self->bell));
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
	EXPECT_EQ(0, rung(self->bell));
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_MOVED, moved));
	EXPECT_EQ(-EBADFD, dev_bell(self->s[1].fd, VENOM_BELL_MOVED, moved));
	ASSERT_EQ(0, dev_wake(self->s[1].fd, VENOM_WAKE_MOVED, 0));
	EXPECT_EQ(1, km_rung(moved));
	EXPECT_EQ(0, rung(self->bell));
	ASSERT_EQ(0, dev_wake(self->s[1].fd, VENOM_WAKE_LIFE, 0));
	EXPECT_EQ(DAEMON_RUNG / 10, rung(self->bell));
	EXPECT_EQ(0, km_rung(moved));
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
	EXPECT_EQ(5 * DAEMON_RUNG + 5 * SHELL_RUNG(1), rung(self->bell));
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
	EXPECT_EQ(0, rung(self->bell));
	EXPECT_EQ(0, dev_end(self->d.fd));
	rung(self->bell);
	EXPECT_EQ(-EPIPE, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(-EPIPE, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 0));
	EXPECT_EQ(-EPIPE, dev_sleep(self->s[0].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(0, rung(self->bell));
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
	EXPECT_EQ(DAEMON_RUNG, rung(self->bell));
}

/* ---- which eventfd ---- */

TEST_F(wakes, eventfd_changed_and_taken_away)
{
	int other = km_efd();

	set_bells();
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_WAKE, other));
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, rung(self->bell));
	EXPECT_EQ(1, km_rung(other));
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_WAKE, -1));
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_WAKE, -1));
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, rung(self->bell));
	EXPECT_EQ(0, km_rung(other));
	/* One eventfd for all bells is valid, too. */
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_WAKE, other));
	ASSERT_EQ(0, dev_bell(self->d.fd, VENOM_BELL_LIFE, other));
	ASSERT_EQ(0, dev_bell(self->s[1].fd, VENOM_BELL_WAKE, other));
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 1));
	EXPECT_EQ(0, rung(self->bell));
	EXPECT_EQ(2, km_rung(other));
	/* The wake needs no descriptor in this process. */
	close(other);
	EXPECT_EQ(0, dev_wake(self->s[0].fd, VENOM_WAKE_DAEMON, 0));
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 1));
	EXPECT_EQ(0, rung(self->bell));
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
	EXPECT_EQ(DAEMON_RUNG + SHELL_RUNG(0), rung(self->bell));
}

TEST_F(wakes, life_has_a_bell_of_its_own)
{
	struct km_shell s;

	set_bells();
	ASSERT_EQ(0, km_shell_make(&s, self->c.name));
	EXPECT_EQ(DAEMON_RUNG / 10, rung(self->bell));
	km_shell_close(&s);
	EXPECT_EQ(DAEMON_RUNG / 10, rung(self->bell));
	/* An evicted shell may sleep on either of its bells. */
	EXPECT_EQ(0, dev_lane(self->d.fd, 1, self->s[1].c.generation, VENOM_LANE_EVICT));
	EXPECT_EQ(DAEMON_RUNG / 10 + SHELL_RUNG(1) + SHELL_RUNG(1) / 10, rung(self->bell));
	/* So may all shells, when the daemon ends. */
	km_daemon_close(&self->d);
	EXPECT_EQ(SHELL_RUNG(0) + SHELL_RUNG(0) / 10 + SHELL_RUNG(2) + SHELL_RUNG(2) / 10, rung(self->bell));
}

/* ---- changed while it is signalled ---- */

struct ringer {
	int fd, arm; /* a shell that is armed before each ring, or -1 */
	unsigned int what, id;
	uint64_t n, done;
	bool stop, may_fail;
};

/* Signal n times, or until stop is set. */
static void *ring(void *arg)
{
	struct ringer *r = arg;
	int rc;

	while (r->n ? r->done < r->n : !vt_load(&r->stop)) {
		if (r->arm >= 0)
			VT_CHECK(!dev_sleep(r->arm, VENOM_SLEEP_ARM));
		rc = dev_wake(r->fd, r->what, r->id);
		VT_CHECK(rc == (r->arm >= 0) || (r->may_fail && (rc >= 0 || rc == -ENOENT || rc == -EPIPE)));
		vt_store(&r->done, r->done + 1);
	}
	return NULL;
}

FIXTURE(change)
{
	struct venom_ioc_create c;
	struct km_daemon d;
	struct km_shell s;
	struct ringer r;
	pthread_t thread;
	int fd; /* the file whose bell is changed */
};

FIXTURE_VARIANT(change)
{
	unsigned int what;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(change, the_daemon_s) { .what = VENOM_WAKE_DAEMON };
FIXTURE_VARIANT_ADD(change, a_shell_s) { .what = VENOM_WAKE_SHELL };
FIXTURE_VARIANT_ADD(change, a_sleeper_s) { .what = VENOM_WAKE_STATE };
/* clang-format on */

FIXTURE_SETUP(change)
{
	bool by_shell = variant->what == VENOM_WAKE_DAEMON;

	self->c = dev_create_init(vt_name());
	ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
	ASSERT_EQ(0, km_shell_make(&self->s, self->c.name));
	self->fd = by_shell ? self->d.fd : self->s.fd;
	self->r = (struct ringer){
		.fd = by_shell ? self->s.fd : self->d.fd,
		.what = variant->what,
		.arm = variant->what == VENOM_WAKE_STATE ? self->s.fd : -1,
	};
}

FIXTURE_TEARDOWN(change)
{
	km_shell_close(&self->s);
	km_daemon_close(&self->d);
}

/* From one eventfd to the other and back: each signal arrives at one of them. */
TEST_F(change, loses_no_ring)
{
	int a = km_efd(), b = km_efd();
	uint64_t heard, changes = 0;

	self->r.n = km_rounds(1000000, 5000);
	ASSERT_EQ(0, dev_bell(self->fd, VENOM_BELL_WAKE, a));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, ring, &self->r));
	for (; vt_load(&self->r.done) < self->r.n; changes++) {
		ASSERT_EQ(0, dev_bell(self->fd, VENOM_BELL_WAKE, changes % 2 ? a : b));
	}
	pthread_join(self->thread, NULL);
	heard = km_rung(a);
	heard += km_rung(b);
	EXPECT_EQ(self->r.n, heard);
	printf("# %llu rings, %llu changes meanwhile\n", (unsigned long long)self->r.n, (unsigned long long)changes);
	EXPECT_LT(100, changes);
}

/* The eventfd is removed, closed by this process, or replaced, in turn, under a thread that signals all the time. */
TEST_F(change, and_close_under_the_ringer)
{
	uint64_t i, rounds = km_rounds(500000, 3000), heard = 0;
	int efd, old = -1;

	ASSERT_EQ(0, pthread_create(&self->thread, NULL, ring, &self->r));
	for (i = 0; i < rounds; i++) {
		efd = km_efd();
		ASSERT_LE(0, efd);
		ASSERT_EQ(0, dev_bell(self->fd, VENOM_BELL_WAKE, efd));
		if (i % 8 == 0)
			sched_yield();
		heard += km_rung(efd) > 0;
		if (i % 3 == 0) {
			ASSERT_EQ(0, dev_bell(self->fd, VENOM_BELL_WAKE, -1));
		}
		if (i % 3 == 1 || i % 3 == 0)
			close(efd);
		if (old >= 0)
			close(old);
		old = i % 3 == 2 ? efd : -1;
	}
	vt_store(&self->r.stop, true);
	pthread_join(self->thread, NULL);
	if (old >= 0)
		close(old);
	printf("# %llu eventfds, of which %llu were heard; %llu rings\n", (unsigned long long)rounds,
	       (unsigned long long)heard, (unsigned long long)self->r.done);
	EXPECT_LT(rounds / 10, self->r.done);
	/* The bell still works. */
	efd = km_efd();
	ASSERT_EQ(0, dev_bell(self->fd, VENOM_BELL_WAKE, efd));
	self->r.n = 1;
	self->r.done = 0;
	ring(&self->r);
	EXPECT_EQ(1, km_rung(efd));
}

/* ---- the receiver dies ---- */

static int short_lived(struct vt_peer *self, void *arg)
{
	int efd = km_efd();
	struct km_shell s;

	VT_CHECK(!km_shell_make(&s, arg));
	VT_CHECK(!dev_bell(s.fd, VENOM_BELL_WAKE, efd));
	VT_CHECK(!dev_sleep(s.fd, VENOM_SLEEP_WATCH));
	VT_CHECK(!dev_sleep(s.fd, VENOM_SLEEP_ARM));
	VT_CHECK(!vt_signal(self));
	for (;;) /* armed nearly always */
		VT_CHECK(!dev_sleep(s.fd, VENOM_SLEEP_ARM));
}

TEST_F(wakes, of_who_dies_meanwhile)
{
	struct ringer r[] = {
		{.fd = self->d.fd, .what = VENOM_WAKE_SHELL, .id = SHELLS, .arm = -1, .may_fail = true},
		{.fd = self->d.fd, .what = VENOM_WAKE_STATE, .arm = -1, .may_fail = true},
	};
	uint64_t i, rounds = km_rounds(10000, 40);
	pthread_t thread[2];
	struct vt_peer p;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, ring, &r[i]));
	}
	for (i = 0; i < rounds; i++) {
		vt_spawn(&p, short_lived, self->c.name);
		ASSERT_EQ(0, vt_await(&p));
		ASSERT_EQ(1, state_waiters());
		vt_kill(&p, SIGKILL);
		ASSERT_EQ(VENOM_SHELL_GONE, km_shell_life(self->d.status, SHELLS));
		ASSERT_EQ(0, state_sleepers());
		ASSERT_EQ(0, state_waiters());
		ASSERT_EQ(0, dev_lane(self->d.fd, SHELLS, vt_load(&self->d.status->shell[SHELLS].generation),
				      VENOM_LANE_FREE));
	}
	for (i = 0; i < 2; i++) {
		vt_store(&r[i].stop, true);
		pthread_join(thread[i], NULL);
	}
	EXPECT_LT(0, r[0].done);
	EXPECT_LT(0, r[1].done);
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
	EXPECT_EQ(3, km_rung(*daemon_bell));
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	close(ep);
}

/* ---- the state's sleepers ---- */

#define life(i) km_shell_life(self->d.status, i)
#define ARMED	(VENOM_SHELL_ALIVE | VENOM_SHELL_ARMED)

TEST_F(wakes, twice_armed_is_once)
{
	set_bells();
	EXPECT_EQ(VENOM_SHELL_ALIVE, life(1));
	EXPECT_EQ(0, dev_sleep(self->s[1].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(1, state_sleepers());
	EXPECT_EQ(ARMED, life(1));
	EXPECT_EQ(0, dev_sleep(self->s[1].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(1, state_sleepers());
	EXPECT_EQ(ARMED, life(1));
	EXPECT_EQ(VENOM_SHELL_ALIVE, life(0));
	EXPECT_EQ(1, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(SHELL_RUNG(1), rung(self->bell));
	EXPECT_EQ(0, state_sleepers());
	EXPECT_EQ(VENOM_SHELL_ALIVE, life(1));
}

TEST_F(wakes, disarmed_is_not_rung)
{
	set_bells();
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_DISARM)); /* disarming an unarmed shell is valid */
	EXPECT_EQ(0, state_sleepers());
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(0, dev_sleep(self->s[1].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(2, state_sleepers());
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_DISARM));
	EXPECT_EQ(1, state_sleepers());
	EXPECT_EQ(VENOM_SHELL_ALIVE, life(0));
	EXPECT_EQ(ARMED, life(1));
	EXPECT_EQ(1, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(SHELL_RUNG(1), rung(self->bell));
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_DISARM));
	EXPECT_EQ(0, state_sleepers());
	/* A WAKE_SHELL leaves it armed. */
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_ARM));
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_SHELL, 0));
	EXPECT_EQ(1, state_sleepers());
	EXPECT_EQ(ARMED, life(0));
}

TEST_F(wakes, watched_once_for_good)
{
	EXPECT_EQ(0, state_waiters());
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_WATCH));
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_WATCH));
	EXPECT_EQ(1, state_waiters());
	EXPECT_EQ(0, dev_sleep(self->s[1].fd, VENOM_SLEEP_WATCH));
	EXPECT_EQ(2, state_waiters());
	EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(0, dev_sleep(self->s[0].fd, VENOM_SLEEP_DISARM));
	EXPECT_EQ(2, state_waiters());
	EXPECT_EQ(0, state_sleepers());
}

/* A shell that has died or was evicted no longer counts. */
TEST_F(wakes, the_dead_neither_sleep_nor_wait)
{
	int i;

	set_bells();
	for (i = 0; i < SHELLS; i++) {
		EXPECT_EQ(0, dev_sleep(self->s[i].fd, VENOM_SLEEP_WATCH));
		EXPECT_EQ(0, dev_sleep(self->s[i].fd, VENOM_SLEEP_ARM));
	}
	EXPECT_EQ(3, state_sleepers());
	EXPECT_EQ(3, state_waiters());
	km_shell_close(&self->s[1]);
	EXPECT_EQ(2, state_sleepers());
	EXPECT_EQ(2, state_waiters());
	EXPECT_EQ(VENOM_SHELL_GONE, life(1));
	EXPECT_EQ(0, dev_lane(self->d.fd, 2, self->s[2].c.generation, VENOM_LANE_EVICT));
	EXPECT_EQ(1, state_sleepers());
	EXPECT_EQ(1, state_waiters());
	EXPECT_EQ(VENOM_SHELL_GONE, life(2));
	rung(self->bell);
	EXPECT_EQ(1, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
	EXPECT_EQ(SHELL_RUNG(0), rung(self->bell));
	km_shell_close(&self->s[0]);
	EXPECT_EQ(0, state_sleepers());
	EXPECT_EQ(0, state_waiters());
}

/* A daemon with VENOM_CREATE_FENCED counts as a waiter: the publisher always checks. */
TEST(fenced_is_a_waiter_for_good)
{
	struct venom_ioc_create c = dev_create_init(vt_name());
	struct km_daemon d;
	struct km_shell s;

	c.flags = VENOM_CREATE_FENCED;
	ASSERT_EQ(0, km_daemon_make(&d, &c));
	EXPECT_EQ(1, vt_load(&d.status->state_waiters));
	ASSERT_EQ(0, km_shell_make(&s, c.name));
	EXPECT_EQ(0, dev_sleep(s.fd, VENOM_SLEEP_WATCH));
	EXPECT_EQ(2, vt_load(&d.status->state_waiters));
	km_shell_close(&s);
	EXPECT_EQ(1, vt_load(&d.status->state_waiters));
	km_daemon_close(&d);
}

FIXTURE(crowd)
{
	struct venom_ioc_create c;
	struct km_daemon d;
	struct km_crowd crowd;
};

FIXTURE_VARIANT(crowd)
{
	unsigned int n;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(crowd, of_1) { .n = 1 };
FIXTURE_VARIANT_ADD(crowd, of_64) { .n = 64 };
FIXTURE_VARIANT_ADD(crowd, of_1000) { .n = 1000 };
/* clang-format on */

FIXTURE_SETUP(crowd)
{
	const char *name = vt_name();

	self->c = dev_create_init(name);
	self->c.geo.max_clients = VENOM_CLIENTS_MAX;
	ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
	ASSERT_TRUE(km_crowd_start(&self->crowd, name, variant->n));
	ASSERT_EQ(variant->n, vt_load(&self->d.status->attached));
}

FIXTURE_TEARDOWN(crowd)
{
	km_crowd_end(&self->crowd);
	km_daemon_close(&self->d);
}

TEST_F(crowd, is_woken_by_one_call)
{
	unsigned int round, i;

	for (round = 0; round < 2; round++) {
		ASSERT_EQ(variant->n, km_crowd_call(&self->crowd, km_crowd_sleep, VENOM_SLEEP_ARM));
		ASSERT_EQ(variant->n, state_sleepers());
		for (i = 0; i < variant->n; i++) {
			ASSERT_EQ(ARMED, life(i));
		}
		EXPECT_EQ(variant->n, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
		EXPECT_EQ(0, state_sleepers());
		for (i = 0; i < variant->n; i++) {
			ASSERT_EQ(VENOM_SHELL_ALIVE, life(i));
		}
		EXPECT_EQ(variant->n, km_crowd_call(&self->crowd, km_crowd_rung, 0));
		EXPECT_EQ(0, dev_wake(self->d.fd, VENOM_WAKE_STATE, 0));
		EXPECT_EQ(0, km_crowd_call(&self->crowd, km_crowd_rung, 0));
	}
	/* They all die at once. */
	ASSERT_EQ(variant->n, km_crowd_call(&self->crowd, km_crowd_sleep, VENOM_SLEEP_WATCH));
	ASSERT_EQ(variant->n, km_crowd_call(&self->crowd, km_crowd_sleep, VENOM_SLEEP_ARM));
	EXPECT_EQ(variant->n, state_waiters());
	km_crowd_end(&self->crowd);
	EXPECT_EQ(0, state_sleepers());
	EXPECT_EQ(0, state_waiters());
	EXPECT_EQ(0, vt_load(&self->d.status->attached));
}

/* ---- no wake is lost ---- */

#define PLAYERS 2
#define FEW	2000 /* minimum of rounds, however slow the machine */
#define ENOUGH	(8 * VT_S) /* else the test stops after this time */

struct arena {
	struct vt_step step[PLAYERS + 1];
	const char *name;
	uint64_t rounds; /* maximum; the leading process may end it earlier */
	uint64_t end, seed;
	uint64_t ack[PLAYERS];
	uint64_t slept, woken, looked;
};

/* A random delay of up to some microseconds: about as long as an arm, or a check and a wake. */
static void jitter(uint64_t *rng)
{
	uint64_t r = vt_rand(rng), n = r % 16 < 4 ? 0 : (r >> 8) % (r % 16 < 9 ? 16 : r % 16 < 14 ? 96 : 2048);

	if (r % 64 == 15)
		sched_yield();
	while (n--)
		__asm__ __volatile__("" ::: "memory");
}

static int ping(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	struct venom_ioc_create c = dev_create_init(a->name);
	int bell = eventfd(0, EFD_CLOEXEC);
	struct km_daemon d;
	uint64_t i;

	VT_CHECK(!km_daemon_make(&d, &c));
	VT_CHECK(!dev_bell(d.fd, VENOM_BELL_WAKE, bell));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	for (i = 0; i < vt_load(&a->rounds); i++) {
		vt_step(&a->step[1], "read, of the daemon", i);
		km_sleep_on(bell);
		if (i >= FEW && vt_now() > a->end)
			vt_store(&a->rounds, i + 1);
		VT_CHECK(!dev_wake(d.fd, VENOM_WAKE_SHELL, 0));
	}
	km_daemon_close(&d);
	return 0;
}

static int pong(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	int bell = eventfd(0, EFD_CLOEXEC);
	struct km_shell s;
	uint64_t i;

	VT_CHECK(!km_shell_make(&s, a->name));
	VT_CHECK(!dev_bell(s.fd, VENOM_BELL_WAKE, bell));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	for (i = 0; i < vt_load(&a->rounds); i++) {
		vt_step(&a->step[0], "read, of the shell", i);
		VT_CHECK(!dev_wake(s.fd, VENOM_WAKE_DAEMON, 0));
		km_sleep_on(bell);
	}
	km_shell_close(&s);
	return 0;
}

FIXTURE(lost)
{
	struct arena *arena;
};

FIXTURE_SETUP(lost)
{
	self->arena = vt_shared(sizeof(*self->arena));
	self->arena->name = vt_name();
	self->arena->seed = vt_seed();
	self->arena->rounds = km_rounds(1000000, 3000);
	self->arena->end = vt_now() + ENOUGH;
}

FIXTURE_TEARDOWN(lost)
{
	munmap(self->arena, sizeof(*self->arena));
}

/* Each sleeps in read(2) until the other's wake. */
TEST_F_TIMEOUT(lost, in_ping_and_pong, 280)
{
	ASSERT_EQ(0, vt_play(self->arena, self->arena->step, ping, pong, 1));
	printf("# %llu rounds\n", (unsigned long long)self->arena->rounds);
}

static void spin_until(const uint64_t *word, uint64_t n)
{
	unsigned int i;

	for (i = 1; vt_load(word) < n; i++)
		if (i % 128 == 0)
			sched_yield();
}

static int publisher(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	struct venom_ioc_create c = dev_create_init(a->name);
	struct vt_step *step = &a->step[PLAYERS];
	uint64_t v, rng = a->seed;
	struct km_daemon d;
	int i, rc;

	VT_CHECK(!km_daemon_make(&d, &c));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	for (v = 1; v <= vt_load(&a->rounds); v++) {
		if (v >= FEW && vt_now() > a->end)
			vt_store(&a->rounds, v);
		jitter(&rng);
		vt_step(step, "publish", v);
		__atomic_store_n(&d.state->latest, v, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&d.status->state_sleepers, __ATOMIC_RELAXED)) {
			rc = dev_wake(d.fd, VENOM_WAKE_STATE, 0);
			VT_CHECK(rc >= 0 && rc <= PLAYERS);
			a->woken += (uint64_t)rc;
		}
		vt_step(step, "(publisher) sleepers' turn", v);
		for (i = 0; i < PLAYERS; i++)
			spin_until(&a->ack[i], v);
	}
	km_daemon_close(&d);
	return 0;
}

static int sleeper(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	int who = ((struct vt_role *)arg)->who, bell = eventfd(0, EFD_CLOEXEC);
	struct vt_step *step = &a->step[who];
	uint64_t v, rng = a->seed + 1 + (uint64_t)who, slept = 0, looked = 0;
	struct km_shell s;

	VT_CHECK(!km_shell_make(&s, a->name));
	VT_CHECK(!dev_bell(s.fd, VENOM_BELL_WAKE, bell));
	VT_CHECK(!dev_sleep(s.fd, VENOM_SLEEP_WATCH));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	for (v = 1; v <= vt_load(&a->rounds); v++) {
		while (vt_load(&s.state->latest) < v) {
			jitter(&rng);
			vt_step(step, "arm", v);
			VT_CHECK(!dev_sleep(s.fd, VENOM_SLEEP_ARM));
			/* ARM is a full fence. */
			if (__atomic_load_n(&s.state->latest, __ATOMIC_RELAXED) >= v) {
				VT_CHECK(!dev_sleep(s.fd, VENOM_SLEEP_DISARM));
				looked++;
				break;
			}
			jitter(&rng);
			vt_step(step, "read, armed", v);
			km_sleep_on(bell);
			slept++;
		}
		vt_store(&a->ack[who], v);
	}
	vt_add(&a->slept, slept);
	vt_add(&a->looked, looked);
	vt_step(step, "the daemon's end", 0);
	VT_CHECK(VT_UNTIL(km_daemon_life(s.status) == VENOM_DAEMON_GONE));
	km_shell_close(&s);
	return 0;
}

/* Arm, check again, sleep; against publish, fence, check, wake. */
TEST_F_TIMEOUT(lost, in_publish_and_arm, 280)
{
	struct arena *a = self->arena;

	ASSERT_EQ(0, vt_play(a, a->step, publisher, sleeper, PLAYERS));
	printf("# %llu versions: slept %llu times, woken %llu times, seen after arming %llu times\n",
	       (unsigned long long)a->rounds, (unsigned long long)a->slept, (unsigned long long)a->woken,
	       (unsigned long long)a->looked);
	EXPECT_LT(a->rounds / 20, a->slept);
}

TEST_HARNESS_MAIN

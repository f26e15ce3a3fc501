/* SPDX-License-Identifier: MIT */
/*
 * No wake is lost, and none fails: while the eventfd is changed, removed or closed under the thread that signals it,
 * while the receiver dies, and in very many handshakes in which one side is about to sleep just when the other wakes
 * it.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "kmod/bells.h"

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
	heard = km_signals(a);
	heard += km_signals(b);
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
		heard += km_signals(efd) > 0;
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
	EXPECT_EQ(1, km_signals(efd));
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

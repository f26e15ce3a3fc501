/* SPDX-License-Identifier: MIT */
/*
 * Measures how soon the shells are notified of a kill -9 of the daemon.  One shell spins for the next version and one
 * sleeps for it, while a third process polls a pidfd of the daemon, which is how one would watch a process without
 * venom.
 *
 * The time runs from before the kill(2): it includes the time in which the kernel ends the daemon, which is the most of
 * it.  The times are printed, not judged; each shell must be notified, and by -EPIPE.
 */
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/watch.h"
#include "venom.h"

#define ROUNDS 300

enum { SPINNER, SLEEPER, PIDFD, WATCHERS };
static const char *const names[] = {"a shell that spins", "a shell that sleeps", "poll(2) of a pidfd"};

struct arena {
	struct vt_step step[WATCHERS];
	char name[VENOM_NAME_MAX + 1];
	uint64_t round, stop;
	int daemon; /* pid */
	uint64_t there[WATCHERS], told[WATCHERS]; /* round that it waits in; when it was notified */
};

static int daemon_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_daemon *d;

	VT_CHECK(!venom_daemon_create(&d, a->name, NULL));
	VT_CHECK(!venom_daemon_publish(d, "x", 1));
	VT_CHECK(!vt_signal(self));
	for (;;)
		pause();
}

static uint64_t watch_shell(struct arena *a, int who, uint64_t round)
{
	struct venom_shell *s;
	uint64_t told;

	VT_CHECK(!venom_shell_connect(&s, a->name));
	VT_CHECK(!venom_shell_set_spin(s, who == SPINNER ? VENOM_SPIN_FOREVER : VENOM_SPIN_NONE));
	if (who == SLEEPER) /* the first wait asks the daemon to look whether we sleep */
		VT_CHECK(!venom_shell_wait(s, 1, VT_MS));
	vt_store(&a->there[who], round);
	VT_CHECK(venom_shell_wait(s, 1, -1) == -EPIPE);
	told = vt_now();
	venom_shell_close(s);
	return told;
}

static uint64_t watch_pidfd(struct arena *a, uint64_t round)
{
	struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, a->daemon, 0), .events = POLLIN};
	uint64_t told;

	VT_CHECK(p.fd >= 0);
	vt_store(&a->there[PIDFD], round);
	VT_CHECK(poll(&p, 1, -1) == 1);
	told = vt_now();
	close(p.fd);
	return told;
}

static int watcher(struct vt_peer *self, void *arg)
{
	struct vt_role *role = arg;
	struct arena *a = role->arena;
	uint64_t round = 1, told;

	(void)self;
	if (role->who == SPINNER)
		vt_pin(0);
	while (!vt_load(&a->stop)) {
		if (vt_load(&a->round) < round) {
			usleep(100);
			continue;
		}
		vt_step(&a->step[role->who], names[role->who], round);
		told = role->who == PIDFD ? watch_pidfd(a, round) : watch_shell(a, role->who, round);
		vt_store(&a->told[role->who], told);
		round++;
	}
	return 0;
}

static bool all_there(const struct arena *a, uint64_t round)
{
	return vt_load(&a->there[SPINNER]) == round && vt_load(&a->there[SLEEPER]) == round &&
	       vt_load(&a->there[PIDFD]) == round;
}

static bool all_told(const struct arena *a)
{
	return vt_load(&a->told[SPINNER]) && vt_load(&a->told[SLEEPER]) && vt_load(&a->told[PIDFD]);
}

TEST(when_the_daemon_is_killed)
{
	struct arena *a = vt_shared(sizeof(*a));
	struct vt_peer peer[WATCHERS], d;
	struct vt_role role[WATCHERS];
	uint64_t rounds = vt_scaled(ROUNDS), round, start;
	double *took[WATCHERS];
	int i;

	rounds = rounds < 20 ? 20 : rounds;
	strcpy(a->name, vt_name());
	for (i = 0; i < WATCHERS; i++) {
		took[i] = calloc(rounds, sizeof(**took));
		ASSERT_NE(NULL, took[i]);
		role[i] = (struct vt_role){a, i};
		vt_spawn(&peer[i], watcher, &role[i]);
	}
	for (round = 1; round <= rounds; round++) {
		memset(a->told, 0, sizeof(a->told));
		vt_spawn(&d, daemon_main, a);
		ASSERT_EQ(0, vt_await(&d));
		a->daemon = d.pid;
		vt_store(&a->round, round);
		ASSERT_TRUE(VT_WATCH_UNTIL(all_there(a, round), a->step, WATCHERS));
		usleep(500); /* let the sleepers fall asleep */
		start = vt_now();
		vt_kill(&d, SIGKILL);
		ASSERT_TRUE(VT_WATCH_UNTIL(all_told(a), a->step, WATCHERS));
		for (i = 0; i < WATCHERS; i++)
			took[i][round - 1] = (double)(vt_load(&a->told[i]) - start);
	}
	vt_store(&a->stop, 1);
	vt_forget(a->name);
	for (i = 0; i < WATCHERS; i++) {
		EXPECT_EQ(0, vt_wait(&peer[i]));
		vt_sort(took[i], rounds);
		ksft_print_msg("%-20s p50 %6.0f us  p99 %6.0f us  max %6.0f us\n", names[i], took[i][rounds / 2] / 1e3,
			       took[i][rounds - 1 - rounds / 100] / 1e3, took[i][rounds - 1] / 1e3);
		free(took[i]);
	}
}

TEST_HARNESS_MAIN

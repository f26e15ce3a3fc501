/* SPDX-License-Identifier: MIT */
/*
 * When a death is told: not before the last descriptor and the last map are gone; then the word in the status page is
 * written, and only then the wake comes, or poll's hang-up.
 */
#include <poll.h>
#include <signal.h>

#include "lib/harness.h"
#include "kmod/victim.h"

/* ---- the word before the wake ---- */

static long p_end(long a, long b, long c)
{
	return dev_end(own_fd) + a + b + c;
}

/* Make the peer die in the i-th of several ways. */
static void die_somehow(struct vt_peer *p, uint64_t i, bool may_end)
{
	switch (i % 4) {
	case 1:
		vt_post(p, NULL);
		break;
	case 2:
		if (may_end) {
			vt_post(p, p_end);
			break;
		}
		/* fallthrough */
	default:
		kill(p->pid, SIGKILL);
	}
}

TEST(the_daemon_s_death_is_written_before_it_is_rung)
{
	uint64_t i, rounds = km_rounds(10000, 40);
	const char *name = vt_name();
	struct vt_peer p;
	struct km_shell s;
	int bell[2];

	for (i = 0; i < rounds; i++) {
		bell[0] = eventfd(0, EFD_CLOEXEC);
		bell[1] = eventfd(0, EFD_CLOEXEC);
		vt_start(&p);
		ASSERT_EQ(0, vt_call(&p, p_create, name));
		ASSERT_EQ(0, km_shell_make(&s, name));
		ASSERT_EQ(0, dev_bell(s.fd, VENOM_BELL_WAKE, bell[0]));
		ASSERT_EQ(0, dev_bell(s.fd, VENOM_BELL_LIFE, bell[1]));
		die_somehow(&p, i, true);
		km_sleep_on(bell[i / 4 % 2]);
		ASSERT_EQ(VENOM_DAEMON_GONE, km_daemon_life(s.status)) TH_LOG("round %llu", (unsigned long long)i);
		km_sleep_on(bell[!(i / 4 % 2)]);
		km_shell_close(&s);
		vt_kill(&p, SIGKILL);
		close(bell[0]);
		close(bell[1]);
	}
	printf("# %llu deaths\n", (unsigned long long)rounds);
}

TEST(a_shell_s_coming_and_going_is_written_before_it_is_rung)
{
	uint64_t i, rounds = km_rounds(10000, 40);
	const char *name = vt_name();
	struct venom_ioc_create c = dev_create_init(name);
	const struct venom_status_shell *word;
	uint32_t changes, generation = 0;
	struct km_daemon d;
	struct vt_peer p;
	int bell = eventfd(0, EFD_CLOEXEC);

	ASSERT_EQ(0, km_daemon_make(&d, &c));
	ASSERT_EQ(0, dev_bell(d.fd, VENOM_BELL_LIFE, bell));
	word = &d.status->shell[0];
	for (i = 0; i < rounds; i++) {
		changes = vt_load(&d.status->changes);
		vt_start(&p);
		vt_post(&p, p_connect, name);
		km_sleep_on(bell);
		ASSERT_EQ(changes + 1, vt_load(&d.status->changes));
		ASSERT_EQ(VENOM_SHELL_ALIVE, vt_load(&word->life));
		ASSERT_LT(generation, vt_load(&word->generation));
		ASSERT_EQ(1, vt_load(&d.status->attached));
		generation = vt_load(&word->generation);
		ASSERT_EQ(0, vt_result(&p));
		die_somehow(&p, i, false);
		km_sleep_on(bell);
		ASSERT_EQ(changes + 2, vt_load(&d.status->changes));
		ASSERT_EQ(VENOM_SHELL_GONE, vt_load(&word->life));
		ASSERT_EQ(generation, vt_load(&word->generation));
		ASSERT_EQ(0, vt_load(&d.status->attached));
		/* The id is kept until the daemon has freed the lane. */
		ASSERT_EQ(0, dev_lane(d.fd, 0, generation, VENOM_LANE_FREE));
		ASSERT_EQ(VENOM_SHELL_NONE, vt_load(&word->life));
		vt_kill(&p, SIGKILL);
	}
	km_daemon_close(&d);
	printf("# %llu shells\n", (unsigned long long)rounds);
}

/* ---- poll ---- */

static int sleep_in_poll(struct vt_peer *self, void *look)
{
	struct venom_ioc_connect c = dev_connect_init(vt_box);
	struct pollfd pfd = {.fd = dev_open()};

	c.flags = look ? VENOM_CONNECT_OBSERVE : 0;
	VT_CHECK(!dev_call(pfd.fd, VENOM_IOC_CONNECT, &c));
	VT_CHECK(poll(&pfd, 1, 0) == 0);
	VT_CHECK(!vt_signal(self));
	VT_CHECK(poll(&pfd, 1, -1) == 1 && pfd.revents == POLLHUP);
	return 0;
}

TEST(poll_sees_a_hang_up)
{
	struct vt_peer dm, sleeper[2];
	int i;

	strcpy(vt_box, vt_name());
	vt_start(&dm);
	ASSERT_EQ(0, vt_call(&dm, p_create, vt_box));
	for (i = 0; i < 2; i++) {
		vt_spawn(&sleeper[i], sleep_in_poll, i ? vt_box : NULL);
		ASSERT_EQ(0, vt_await(&sleeper[i]));
	}
	vt_sleep_ms(20);
	vt_kill(&dm, SIGKILL);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, vt_wait(&sleeper[i]));
	}
}

/* ---- close ---- */

/*
 * The device is closed, but the maps remain: the owner is dead only when the last map is gone, since it could still
 * write.
 */
TEST(closed_by_its_owner_with_maps_left)
{
	struct venom_ioc_create c = dev_create_init(vt_name());
	int bell = km_efd();
	struct km_daemon d, next;
	struct km_shell s;

	c.flags = VENOM_CREATE_RESUME;
	ASSERT_EQ(0, km_daemon_make(&d, &c));
	ASSERT_EQ(0, km_shell_make(&s, c.name));
	ASSERT_EQ(0, dev_bell(s.fd, VENOM_BELL_WAKE, bell));
	ASSERT_EQ(0, close(d.fd));
	d.fd = -1;
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(s.status));
	EXPECT_EQ(0, km_signals(bell));
	d.state->latest = 77;
	EXPECT_EQ(77, vt_load(&s.state->latest));
	EXPECT_EQ(-EBUSY, km_daemon_make(&next, &c));
	km_daemon_unmap(&d);
	EXPECT_EQ(VENOM_DAEMON_GONE, km_daemon_life(s.status));
	EXPECT_EQ(1, km_signals(bell));
	ASSERT_EQ(0, km_daemon_make(&next, &c));
	EXPECT_EQ(1, next.c.resumed);
	EXPECT_EQ(2, next.c.epoch);
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(s.status));
	EXPECT_EQ(77, next.state->latest);
	/* The same for a shell that closes. */
	ASSERT_EQ(0, close(s.fd));
	s.fd = -1;
	EXPECT_EQ(VENOM_SHELL_ALIVE, km_shell_life(next.status, 0));
	((volatile char *)s.commands)[600] = 5;
	EXPECT_EQ(77, s.state->latest);
	EXPECT_EQ(-EBUSY, dev_lane(next.fd, 0, s.c.generation, VENOM_LANE_FREE));
	km_shell_unmap(&s);
	EXPECT_EQ(VENOM_SHELL_GONE, km_shell_life(next.status, 0));
	EXPECT_EQ(0, dev_lane(next.fd, 0, s.c.generation, VENOM_LANE_FREE));
	km_daemon_close(&next);
	EXPECT_EQ(-ENOENT, km_info(c.name, &(struct venom_ioc_info){0}));
}

/* A second descriptor is as good as the first. */
TEST(closed_but_not_for_the_last_time)
{
	struct venom_ioc_create c = dev_create_init(vt_name());
	struct km_daemon d;
	struct km_shell s;
	int other;

	ASSERT_EQ(0, km_daemon_make(&d, &c));
	ASSERT_EQ(0, km_shell_make(&s, c.name));
	other = dup(d.fd);
	close(d.fd);
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(s.status));
	EXPECT_EQ(0, dev_wake(other, VENOM_WAKE_SHELL, 0));
	d.fd = other;
	km_daemon_close(&d);
	EXPECT_EQ(VENOM_DAEMON_GONE, km_daemon_life(s.status));
	km_shell_close(&s);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * The end of a thread is no death: whatever the thread has done with its descriptors, and be it the process's first
 * one, the daemon or the shell lives on, and the others are not told.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "lib/harness.h"
#include "kmod/victim.h"

static void *ends(void *arg)
{
	return arg;
}

static void *ends_with_files_of_its_own(void *arg)
{
	VT_CHECK(!unshare(CLONE_FILES));
	VT_CHECK(use(own_fd) >= 0); /* the thread belongs to the process */
	VT_CHECK(!fcntl(own_fd, F_SETFD, FD_CLOEXEC));
	return arg;
}

static void *closes_in_files_of_its_own(void *arg)
{
	VT_CHECK(!unshare(CLONE_FILES));
	VT_CHECK(!close(own_fd));
	return arg;
}

static void *(*const threads[])(void *) = {ends, ends_with_files_of_its_own, closes_in_files_of_its_own};

static long p_thread(long i, long b, long c)
{
	pthread_t thread;

	VT_CHECK(!pthread_create(&thread, NULL, threads[i], NULL));
	VT_CHECK(!pthread_join(thread, NULL));
	vt_sleep_ms(20); /* joined is not gone yet */
	return b + c;
}

FIXTURE(thread)
{
	struct vt_peer victim;
	struct km_shell s;
	struct venom_ioc_create c;
	struct km_daemon d;
	int bell, fd;
};

FIXTURE_VARIANT(thread)
{
	bool shell;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(thread, of_a_daemon) { .shell = false };
FIXTURE_VARIANT_ADD(thread, of_a_shell) { .shell = true };
/* clang-format on */

FIXTURE_SETUP(thread)
{
	self->d.fd = self->s.fd = -1;
	self->bell = km_efd();
	strcpy(vt_box, vt_name());
	if (variant->shell) {
		self->c = dev_create_init(vt_box);
		ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
	}
}

FIXTURE_TEARDOWN(thread)
{
	vt_kill(&self->victim, SIGKILL);
	km_shell_close(&self->s);
	km_daemon_close(&self->d);
}

/* Set up this process as the other party, which watches the victim. */
#define party()                                                                \
	do {                                                                   \
		if (!variant->shell) {                                         \
			ASSERT_EQ(0, km_shell_make(&self->s, vt_box));         \
		}                                                              \
		self->fd = variant->shell ? self->d.fd : self->s.fd;           \
		ASSERT_EQ(0, dev_bell(self->fd, VENOM_BELL_LIFE, self->bell)); \
		km_signals(self->bell);                                           \
	} while (0)
#define lives()                                                                \
	(km_signals(self->bell) == 0 && vt_load(its_life) == VENOM_SHELL_ALIVE && \
	 poll(&(struct pollfd){.fd = self->fd}, 1, 0) == 0)
#define its_life (variant->shell ? &self->d.status->shell[0].life : &self->s.status->daemon)
_Static_assert(VENOM_SHELL_ALIVE == VENOM_DAEMON_ALIVE && VENOM_SHELL_GONE == VENOM_DAEMON_GONE, "");

TEST_F(thread, ends_and_the_process_lives)
{
	unsigned int i;

	vt_start(&self->victim);
	ASSERT_EQ(0, vt_call(&self->victim, variant->shell ? p_connect : p_create, vt_box));
	party();
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		EXPECT_EQ(0, vt_call(&self->victim, p_thread, i));
		EXPECT_TRUE(lives()) TH_LOG("after thread %u", i);
		EXPECT_EQ(0, vt_call(&self->victim, p_use));
	}
	vt_kill(&self->victim, SIGKILL);
	EXPECT_EQ(VENOM_SHELL_GONE, vt_load(its_life));
	EXPECT_EQ(1, km_signals(self->bell));
}

/* The first thread ends; the process lives on in another thread, with or without a file table of its own. */
struct heir {
	struct vt_peer *self;
	bool unshared;
};

static void *goes_on(void *arg)
{
	struct heir *h = arg;

	VT_CHECK(!h->unshared || !unshare(CLONE_FILES));
	VT_CHECK(!vt_signal(h->self));
	while (!vt_await(h->self)) {
		VT_CHECK(use(own_fd) >= 0);
		VT_CHECK(!vt_signal(h->self));
	}
	vt_exit(0);
}

static int first_thread_ends(struct vt_peer *self, void *how)
{
	static struct heir h;
	pthread_t thread;

	h = (struct heir){self, (long)how & 2};
	VT_CHECK(!((long)how & 1 ? p_connect : p_create)((long)vt_box, 0, 0));
	VT_CHECK(!pthread_create(&thread, NULL, goes_on, &h));
	syscall(SYS_exit, 0);
	return 1;
}

TEST_F(thread, may_be_the_first_one)
{
	long unshared;

	for (unshared = 0; unshared < 2; unshared++) {
		vt_spawn(&self->victim, first_thread_ends, (void *)(variant->shell + 2 * unshared));
		ASSERT_EQ(0, vt_await(&self->victim));
		party();
		vt_sleep_ms(20);
		EXPECT_TRUE(lives());
		ASSERT_EQ(0, vt_signal(&self->victim));
		EXPECT_EQ(0, vt_await(&self->victim)); /* the call succeeded */
		EXPECT_TRUE(lives());
		vt_kill(&self->victim, SIGKILL);
		EXPECT_EQ(VENOM_SHELL_GONE, vt_load(its_life));
		EXPECT_EQ(1, km_signals(self->bell));
		if (variant->shell) {
			ASSERT_EQ(0, dev_lane(self->d.fd, 0, vt_load(&self->d.status->shell[0].generation),
					      VENOM_LANE_FREE));
		} else {
			km_shell_close(&self->s);
		}
	}
}

TEST_HARNESS_MAIN

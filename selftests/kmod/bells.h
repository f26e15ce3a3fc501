/* SPDX-License-Identifier: MIT */
/*
 * A daemon and three shells of one process, each with its bells, and how often each bell was signalled.
 */
#ifndef VENOM_TEST_KMOD_BELLS_H
#define VENOM_TEST_KMOD_BELLS_H

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
static inline long signals(const int *bell)
{
	uint64_t n;
	long all = 0;
	int i;

	for (i = 0; i < 2 + 2 * SHELLS; i++) {
		n = km_signals(bell[i]);
		all = all * 10 + (long)(n < 9 ? n : 9);
	}
	return all;
}

#define DAEMON_SIGNAL   10000000
#define SHELL_SIGNAL(i) ((i) == 0 ? 100000 : (i) == 1 ? 1000 : 10)

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

#endif /* VENOM_TEST_KMOD_BELLS_H */

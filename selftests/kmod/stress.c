/* SPDX-License-Identifier: MIT */
/*
 * Several processes of two users make all calls of the device, at random, on a few names: calls with valid and invalid
 * arguments, maps, reads and writes where allowed, forks, closes, and kill -9 of one another. None may hang, no call
 * may give an errno that the header doesn't name, no access to a valid map may fault; and at the end nothing is left.
 *
 * $VENOM_VM_STRESS is the length in seconds, 20 if unset; $VENOM_TEST_SEED seeds the random choices. The kernel's
 * complaints are in its log.
 */
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>

#include "kmod/worker.h"

/* ---- a worker: worker.h has what it does ---- */

static enum op some_op(struct worker *w)
{
	static unsigned int sum;
	unsigned int i;
	uint64_t r;

	if (!sum)
		for (i = 0; i < OPS; i++)
			sum += ops[i].often;
	r = up_to(w, sum);
	for (i = 0; r >= ops[i].often; i++)
		r -= ops[i].often;
	return (enum op)i;
}

static void work(int who, uint64_t seed)
{
	struct worker w = {.who = who, .rng = seed};
	unsigned int i;
	enum op op;
	int rc;

	if (who % 2) {
		VT_CHECK(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY));
		VT_CHECK(!setresuid(NOBODY, NOBODY, NOBODY));
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (i = 0; i < FILES; i++)
		w.file[i].fd = -1;
	for (i = 0; i < 2; i++)
		w.efd[i] = km_efd();
	while (vt_now() < sh->end) {
		op = some_op(&w);
		vt_store(&sh->at[who], op);
		rc = fns[op](&w);
		vt_add(&sh->done[op], 1);
		if (rc >= 0)
			vt_add(&sh->well[op], 1);
		if (!in_order(rc)) {
			fprintf(stderr, "# %s gave %d (%s)\n", ops[op].name, rc, strerror(-rc));
			vt_exit(1);
		}
	}
	vt_store(&sh->at[who], OPS);
	vt_exit(0);
}

/* ---- the parent ---- */

static void start(int who)
{
	static uint64_t lives;
	uint64_t seed = sh->seed + ++lives * 1000003;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		work(who, seed);
	VT_CHECK(pid > 0);
	vt_store(&sh->pid[who], pid);
}

/*
 * Replace each worker that has ended, until the time is over: after that a new worker would end at once, and be
 * replaced, for ever.
 */
static void reap(void)
{
	int status, who;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (who = 0; who < WORKERS && sh->pid[who] != pid; who++)
			;
		if (who == WORKERS)
			continue;
		vt_store(&sh->pid[who], 0);
		sh->deaths += WIFSIGNALED(status);
		if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL : WEXITSTATUS(status)) {
			fprintf(stderr, "# worker %d ended with status %#x, in %s\n", who, status,
				sh->at[who] < OPS ? ops[sh->at[who]].name : "its end");
			sh->bad++;
		}
		if (vt_now() < sh->end)
			start(who);
	}
}

static int alive(void)
{
	int who, n = 0;

	for (who = 0; who < WORKERS; who++)
		n += sh->pid[who] > 0;
	return n;
}

FIXTURE(stress)
{
	long free;
	int channels;
};

FIXTURE_SETUP(stress)
{
	int i;

	sh = vt_shared(sizeof(*sh));
	for (i = 0; i < NAMES; i++)
		snprintf(sh->name[i], sizeof(sh->name[i]), "%s", vt_name());
	sh->seed = vt_seed();
	self->channels = km_channels();
	self->free = km_huge_free();
}

FIXTURE_TEARDOWN(stress)
{
}

TEST_F_TIMEOUT(stress, all_that_there_is_to_do, 7200)
{
	const char *s = getenv("VENOM_VM_STRESS");
	unsigned int i;
	int who;

	sh->end = vt_now() + (uint64_t)(s && atoi(s) > 0 ? atoi(s) : 20) * VT_S;
	for (who = 0; who < WORKERS; who++)
		start(who);
	while (vt_now() < sh->end) {
		vt_sleep_ms(2);
		reap();
	}
	EXPECT_TRUE(VT_UNTIL((reap(), !alive())))
	{
		for (who = 0; who < WORKERS; who++) {
			if (sh->pid[who] <= 0)
				continue;
			TH_LOG("worker %d hangs in %s", who, sh->at[who] < OPS ? ops[sh->at[who]].name : "its end");
			kill(sh->pid[who], SIGKILL);
		}
	}
	EXPECT_EQ(0, sh->bad);
	EXPECT_LT(0, sh->deaths);
	for (i = 0; i < OPS; i++) {
		printf("# %-8s %9llu times, %9llu went well\n", ops[i].name, (unsigned long long)sh->done[i],
		       (unsigned long long)sh->well[i]);
		EXPECT_TRUE(sh->well[i] || i == GARBAGE) TH_LOG("%s never went well", ops[i].name);
	}
	printf("# %llu workers were killed\n", (unsigned long long)sh->deaths);
	fflush(stdout); /* what follows may exceed the test's time-out */
	/* The channels of the test before this one may still have been on their way out when they were counted. */
	EXPECT_TRUE(VT_UNTIL(km_channels() <= self->channels)) TH_LOG("%d channels are left", km_channels());
	EXPECT_TRUE(VT_UNTIL(km_huge_free() >= self->free)) TH_LOG("%ld of %ld", km_huge_free(), self->free);
}

TEST_HARNESS_MAIN

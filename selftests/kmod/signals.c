/* SPDX-License-Identifier: MIT */
/*
 * A process that gets a signal each millisecond creates a channel whose pages take much longer than that to clear, and
 * another process attaches to it in the same way. Both calls end, and the state is on huge pages where the pool has
 * them.
 */
#include <signal.h>
#include <sys/time.h>

#include "lib/harness.h"
#include "lib/peer.h"
#include "kmod/common.h"

#define HUGE 2097152

static volatile sig_atomic_t ticks;

static void tick(int sig)
{
	(void)sig;
	ticks = ticks + 1;
}

/* A signal every `us` microseconds, without SA_RESTART; 0: stop. */
static void timer(long us)
{
	struct itimerval each = {.it_interval.tv_usec = us, .it_value.tv_usec = us};
	struct sigaction act = {.sa_handler = tick};

	VT_CHECK(!sigaction(SIGALRM, &act, NULL) && !setitimer(ITIMER_REAL, &each, NULL));
}

static long interrupted(vt_fn fn, long a, long b)
{
	sigset_t set;
	long rc;

	timer(1000);
	rc = fn(a, b, 0);
	timer(0);
	/* There were signals, and SIGALRM is still unblocked. */
	VT_CHECK(ticks && !sigprocmask(SIG_BLOCK, NULL, &set) && !sigismember(&set, SIGALRM));
	return rc;
}

static long create(long name, long cfg, long c)
{
	return interrupted(pd_create, name, cfg) + c;
}

static long join(long name, long b, long c)
{
	return interrupted(ps_connect, name, b) + c;
}

static long page_size(long a, long b, long c)
{
	struct venom_info info;

	VT_CHECK(!venom_daemon_info(pd, &info));
	return (long)info.page_size + a + b + c;
}

FIXTURE(signals)
{
	struct vt_peer daemon, shell;
	struct venom_config *cfg;
};

FIXTURE_VARIANT(signals)
{
	uint32_t huge;
	long page_size;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(signals, never) { .huge = VENOM_HUGE_NEVER, .page_size = VENOM_PAGE };
FIXTURE_VARIANT_ADD(signals, prefer) { .huge = VENOM_HUGE_PREFER, .page_size = HUGE };
FIXTURE_VARIANT_ADD(signals, require) { .huge = VENOM_HUGE_REQUIRE, .page_size = HUGE };
/* clang-format on */

FIXTURE_SETUP(signals)
{
	setenv("VENOM_BACKEND", "dev", 1);
	self->cfg = vt_config();
	vt_start(&self->daemon);
	vt_start(&self->shell);
}

FIXTURE_TEARDOWN(signals)
{
	EXPECT_EQ(0, vt_stop(&self->shell));
	EXPECT_EQ(0, vt_stop(&self->daemon));
}

TEST_F(signals, each_millisecond)
{
	struct venom_config *cfg = self->cfg;
	const char *name = vt_name();

	if (variant->huge != VENOM_HUGE_NEVER && km_huge_free() < 70)
		SKIP(return, "%ld huge pages are free, and 70 are needed", km_huge_free());
	cfg->huge = variant->huge;
	cfg->versions = 4;
	cfg->data_size = 32 << 20;
	cfg->cmd_size = cfg->resp_size = 1 << 20;
	ASSERT_EQ(0, vt_call(&self->daemon, create, name, cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(variant->page_size, vt_call(&self->daemon, page_size));
	EXPECT_EQ(0, vt_call(&self->shell, join, name)) TH_LOG("%s", vt_errmsg);
	vt_call(&self->shell, ps_close);
	vt_call(&self->daemon, pd_destroy);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * All memory that the daemon touches for a request is present when the shell has connected: the areas, and the daemon's
 * note of each open request.
 */
#include <sys/resource.h>

#include "lib/harness.h"
#include "lib/peer.h"

#define REQUESTS 65536 /* their tags take 128 pages */

static long s_submit_all(long n, long b, long c)
{
	uint64_t tag;

	for (long i = 0; i < n; i++)
		VT_CHECK(!venom_shell_submit(ps, "x", 1, &tag));
	return b + c;
}

/* Receive n commands; return the number of page faults. */
static long d_faults(long n, long b, long c)
{
	struct rusage before, after;
	struct venom_command cmd;

	getrusage(RUSAGE_THREAD, &before);
	while (n--)
		VT_CHECK(venom_daemon_receive(pd, &cmd, -1) == 1);
	getrusage(RUSAGE_THREAD, &after);
	return after.ru_minflt - before.ru_minflt + b + c;
}

TEST(all_pages_are_there)
{
	struct venom_config *cfg = vt_config();
	const char *name = vt_name();
	struct vt_peer daemon, shell;
	long faults;

	setenv("VENOM_BACKEND", "dev", 1);
	cfg->cmd_slots = REQUESTS;
	cfg->cmd_size = cfg->resp_size = 8;
	vt_start(&daemon);
	vt_start(&shell);
	ASSERT_EQ(0, vt_call(&daemon, pd_create, name, cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&shell, ps_connect, name)) TH_LOG("%s", vt_errmsg);
	/* One request first, to fault in the code's own pages. */
	ASSERT_EQ(0, vt_call(&shell, s_submit_all, 1));
	ASSERT_LE(0, vt_call(&daemon, d_faults, 1));
	ASSERT_EQ(0, vt_call(&shell, s_submit_all, REQUESTS - 1));
	faults = vt_call(&daemon, d_faults, REQUESTS - 1);
	printf("# %ld faults in %d requests\n", faults, REQUESTS - 1);
	EXPECT_LE(0, faults);
	EXPECT_GE(16, faults);
	EXPECT_EQ(0, vt_call(&shell, ps_close));
	EXPECT_EQ(0, vt_stop(&shell));
	EXPECT_EQ(0, vt_call(&daemon, pd_destroy));
	EXPECT_EQ(0, vt_stop(&daemon));
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Attacks the hot path by counting its page faults in the first lap: each page of a channel must be mapped before it is
 * used for the first time, by create or connect.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "lib/harness.h"
#include "lib/peer.h"

#define MIB (1ull << 20)

static long faults(void)
{
	struct rusage r;

	getrusage(RUSAGE_THREAD, &r);
	return r.ru_minflt;
}

/* Can a mapping be populated in advance?  (Not under every emulator.) */
static bool maps_are_populated(void)
{
	volatile char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	long before = faults();

	VT_CHECK(p != MAP_FAILED);
	for (size_t i = 0; i < MIB; i += 4096)
		p[i] = 1;
	before = faults() - before;
	munmap((void *)p, MIB);
	return before < 16;
}

#define VERSIONS 2
#define SLOTS	 32
#define LARGE	 (2u << 20)
#define MESSAGE	 16384u
#define HANDFUL	 16 /* of 1024 pages of state, and of 128 each of commands and answers */

TEST(no_fault_in_the_first_lap)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	long published = 0, seen = 0, submitted = 0, received = 0, responded = 0, completed = 0;
	char *state = malloc(LARGE), *back = malloc(LARGE), *message = malloc(MESSAGE);
	struct venom_command cmd[SLOTS];
	const char *name = vt_name();
	uint64_t tag[SLOTS], version;
	struct venom_view view;

#if defined(VT_ASAN) || defined(VT_TSAN)
	SKIP(return, "the sanitizers' own memory has faults");
#endif
	if (!maps_are_populated())
		SKIP(return, "no map can be populated here (MAP_POPULATE)");
	cfg.versions = VERSIONS;
	cfg.data_size = LARGE;
	cfg.cmd_slots = SLOTS;
	cfg.cmd_size = MESSAGE;
	cfg.resp_size = MESSAGE;
	cfg.huge = VENOM_HUGE_NEVER;
	vt_fill(state, LARGE, 1);
	vt_fill(back, LARGE, 1);
	vt_fill(message, MESSAGE, 1);
	ASSERT_EQ(0, pd_create((long)name, (long)&cfg, 0)) TH_LOG("%s", venom_errmsg());
	ASSERT_EQ(0, ps_connect((long)name, 0, 0)) TH_LOG("%s", venom_errmsg());
	/* This first call touches the code itself, its stack and its buffers. */
	venom_shell_read(ps, back, LARGE, &version);
	for (int i = 0; i < VERSIONS; i++) {
		published -= faults();
		ASSERT_EQ(0, venom_daemon_publish(pd, state, LARGE));
		published += faults();
		seen -= faults();
		ASSERT_EQ(LARGE, venom_shell_read(ps, back, LARGE, &version));
		ASSERT_EQ(0, venom_shell_read_begin(ps, &view));
		ASSERT_FALSE(memcmp(view.data, state, LARGE));
		seen += faults();
	}
	for (int i = 0; i < SLOTS; i++) {
		submitted -= faults();
		ASSERT_EQ(0, venom_shell_submit(ps, message, MESSAGE, &tag[i]));
		submitted += faults();
	}
	for (int i = 0; i < SLOTS; i++) {
		received -= faults();
		ASSERT_EQ(1, venom_daemon_receive(pd, &cmd[i], 0));
		received += faults();
		responded -= faults();
		ASSERT_EQ(0, venom_daemon_respond(pd, &cmd[i], message, MESSAGE));
		responded += faults();
	}
	for (int i = 0; i < SLOTS; i++) {
		completed -= faults();
		ASSERT_EQ(MESSAGE, venom_shell_complete(ps, &tag[i], back, MESSAGE, 0));
		completed += faults();
	}
	EXPECT_GE(HANDFUL, published);
	EXPECT_GE(HANDFUL, seen);
	EXPECT_GE(HANDFUL, submitted);
	EXPECT_GE(HANDFUL, received);
	EXPECT_GE(HANDFUL, responded);
	EXPECT_GE(HANDFUL, completed);
	pp_end(0, 0, 0);
	free(state);
	free(back);
	free(message);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Attacks what the dead leave.  A dead daemon's name must be free, a dead shell's id, descriptors and areas must come
 * back, and its commands must be delivered before; no child that inherited the descriptors may hinder it.
 */
#include <signal.h>
#include <string.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"

/* ---- a daemon's name ---- */

static int find(const struct venom_info *info, void *alive_of)
{
	struct venom_info *wanted = alive_of;

	if (strcmp(info->name, wanted->name))
		return 0;
	*wanted = *info;
	return 77;
}

TEST(a_dead_daemon_s_name_is_taken_over)
{
	const char *name = vt_name();
	struct venom_info info, listed;
	struct venom_shell *old, *s;
	struct vt_peer dm, next;
	uint64_t epoch;
	char buf[100];

	vt_start(&dm);
	vt_start(&next);
	ASSERT_EQ(0, vt_call(&dm, pd_create, name, NULL));
	ASSERT_EQ(0, vt_call(&dm, pd_publish, 1, 20));
	ASSERT_EQ(0, venom_shell_connect(&old, name));
	ASSERT_EQ(0, venom_shell_info(old, &info));
	epoch = info.epoch;
	vt_kill(&dm, SIGKILL);
	/* No daemon is there, and the list says so. */
	EXPECT_EQ(-ENOENT, venom_shell_connect(&s, name));
	EXPECT_EQ(-ENOENT, venom_stat(name, NULL, NULL, NULL, NULL));
	memset(&listed, 0x5a, sizeof(listed));
	strcpy(listed.name, name);
	EXPECT_EQ(77, venom_list(find, &listed));
	EXPECT_EQ(0, listed.alive);
	EXPECT_EQ(0, listed.pid);
	EXPECT_EQ(0, listed.data_size);
	/* The next daemon has the same name, but another channel. */
	ASSERT_EQ(0, vt_call(&next, pd_create, name, NULL)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&next, pd_publish, 2, 20));
	ASSERT_EQ(0, venom_shell_connect(&s, name));
	ASSERT_EQ(0, venom_shell_info(s, &info));
	EXPECT_EQ(epoch + 1, info.epoch);
	EXPECT_EQ(next.pid, info.pid);
	EXPECT_EQ(20, venom_shell_read(s, buf, sizeof(buf), NULL));
	EXPECT_TRUE(vt_is(buf, 20, 2));
	/* The old shell does not mistake the new daemon for its own. */
	EXPECT_EQ(0, venom_shell_alive(old));
	EXPECT_EQ(-EPIPE, venom_shell_wait(old, 1, -1));
	EXPECT_EQ(-EPIPE, venom_shell_send(old, "x", 1));
	EXPECT_EQ(20, venom_shell_read(old, buf, sizeof(buf), NULL));
	EXPECT_TRUE(vt_is(buf, 20, 1));
	venom_shell_close(old);
	venom_shell_close(s);
	ASSERT_EQ(0, vt_call(&next, pd_destroy));
	EXPECT_EQ(0, vt_stop(&next));
}

/* A child of this process that holds all its descriptors, and does nothing; its pid is put into vt_box. */
static long fork_idle(long a, long b, long c)
{
	pid_t child = vt_fork();

	if (!child)
		for (;;)
			pause();
	*(pid_t *)vt_box = child;
	return a + b + c;
}

TEST(a_child_of_the_daemon_doesn_t_hide_its_death)
{
	const char *name = vt_name();
	struct venom_shell *s, *other = NULL;
	struct vt_peer dm, next, sh;
	pid_t child;
	char buf[100];

	vt_start(&dm);
	vt_start(&next);
	vt_start(&sh);
	ASSERT_EQ(0, vt_call(&dm, pd_create, name, NULL));
	ASSERT_EQ(0, vt_call(&dm, pd_publish, 1, 20));
	ASSERT_EQ(0, vt_call(&sh, ps_connect, name));
	ASSERT_EQ(0, venom_shell_connect(&s, name));
	ASSERT_EQ(0, vt_call(&dm, fork_idle));
	child = *(pid_t *)vt_box;
	vt_post(&sh, ps_wait, 1, -1);
	EXPECT_FALSE(vt_has_result(&sh, 30));
	vt_kill(&dm, SIGKILL);
	EXPECT_EQ(-EPIPE, vt_result(&sh));
	EXPECT_EQ(0, venom_shell_alive(s));
	EXPECT_EQ(-EPIPE, venom_shell_send(s, "x", 1));
	EXPECT_EQ(20, venom_shell_read(s, buf, sizeof(buf), NULL));
	EXPECT_EQ(-ENOENT, venom_shell_connect(&other, name));
	ASSERT_EQ(0, kill(child, 0));
	ASSERT_EQ(0, vt_call(&next, pd_create, name, NULL)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, venom_shell_connect(&other, name)) TH_LOG("%s", venom_errmsg());
	EXPECT_EQ(1, venom_shell_alive(other));
	ASSERT_EQ(0, kill(child, SIGKILL));
	venom_shell_close(other);
	venom_shell_close(s);
	vt_call(&sh, ps_close);
	vt_call(&next, pd_destroy);
	EXPECT_EQ(0, vt_stop(&sh));
	EXPECT_EQ(0, vt_stop(&next));
}

/* ---- a shell's commands, its id and all it had ---- */

TEST(a_dead_shell_s_commands_are_delivered_and_its_id_comes_back)
{
	struct venom_config *cfg = vt_config();
	const char *name = vt_name();
	struct venom_command cmd;
	struct venom_daemon *d;
	uint32_t generation = 0;
	struct vt_peer sh;
	pid_t child;

	cfg->max_clients = 1;
	for (int with_child = 0; with_child < 2; with_child++) {
		vt_start(&sh);
		ASSERT_EQ(0, venom_daemon_create(&d, name, cfg));
		for (int i = 0; i < 3; i++) {
			/* On the module the id is free when the manager has seen that the last command is taken. */
			ASSERT_TRUE(VT_UNTIL(!vt_call(&sh, ps_connect, name))) TH_LOG("%s", vt_errmsg);
			ASSERT_EQ(0, vt_call(&sh, ps_id));
			for (int v = 1; v <= 5; v++) {
				ASSERT_EQ(0, vt_call(&sh, ps_send, v, 20));
			}
			child = 0;
			if (with_child) {
				ASSERT_EQ(0, vt_call(&sh, fork_idle));
				child = *(pid_t *)vt_box;
			}
			vt_kill(&sh, SIGKILL);
			ASSERT_TRUE(VT_UNTIL(vt_clients(d) == 0));
			for (int v = 1; v <= 5; v++) {
				ASSERT_EQ(1, venom_daemon_receive(d, &cmd, 0));
				ASSERT_TRUE(vt_is(cmd.data, 20, v));
				ASSERT_EQ(0, cmd.client_id);
			}
			ASSERT_NE(generation, cmd.generation);
			generation = cmd.generation;
			ASSERT_EQ(0, venom_daemon_receive(d, &cmd, 0));
			if (child) {
				ASSERT_EQ(0, kill(child, SIGKILL));
			}
			vt_start(&sh);
		}
		venom_daemon_destroy(d);
		ASSERT_EQ(0, vt_stop(&sh));
	}
}

/* A dead shell that left commands has its place free at once, and the next shell there does not get what it left. */
TEST(the_heir_of_an_id_is_another)
{
	struct venom_config *cfg = vt_config();
	const char *name = vt_name();
	struct venom_command cmd;
	struct venom_daemon *d;
	struct vt_peer sh, heir;
	uint32_t generation;

	cfg->max_clients = 2;
	vt_start(&sh);
	vt_start(&heir);
	ASSERT_EQ(0, venom_daemon_create(&d, name, cfg));
	ASSERT_EQ(0, vt_call(&sh, ps_connect, name));
	vt_post(&sh, ps_request, 5, 20, -1);
	ASSERT_EQ(1, venom_daemon_receive(d, &cmd, -1));
	generation = cmd.generation;
	vt_kill(&sh, SIGKILL);
	ASSERT_TRUE(VT_UNTIL(vt_clients(d) == 0));
	ASSERT_EQ(0, vt_call(&heir, ps_connect, name));
	EXPECT_EQ(-EPIPE, venom_daemon_respond(d, &cmd, "late", 4));
	vt_post(&heir, ps_request, 6, 20, -1);
	ASSERT_EQ(1, venom_daemon_receive(d, &cmd, -1));
	EXPECT_NE(generation, cmd.generation);
	EXPECT_EQ(heir.pid, cmd.pid);
	ASSERT_EQ(0, venom_daemon_respond(d, &cmd, cmd.data, cmd.len));
	EXPECT_EQ(6, vt_result(&heir));
	vt_call(&heir, ps_close);
	EXPECT_EQ(0, vt_stop(&heir));
	venom_daemon_destroy(d);
}

static uint64_t changes(struct venom_daemon *d)
{
	return __atomic_load_n(&d->status->changes, __ATOMIC_ACQUIRE);
}

/* What a dead shell left is received, and all it had is freed without a call after the last command's. */
TEST(what_the_dead_left_goes_with_the_last_command)
{
	const char *name = vt_name();
	struct venom_command cmd;
	struct venom_daemon *d;
	struct vt_peer sh;
	int fds, areas;

	vt_start(&sh);
	ASSERT_EQ(0, venom_daemon_create(&d, name, NULL));
	fds = vt_count_fds();
	areas = vt_count_areas();
	ASSERT_EQ(0, vt_call(&sh, ps_connect, name));
	for (int v = 1; v <= 3; v++)
		ASSERT_EQ(0, vt_call(&sh, ps_send, v, 20));
	vt_kill(&sh, SIGKILL);
	ASSERT_TRUE(VT_UNTIL(vt_clients(d) == 0));
	for (int v = 1; v <= 3; v++) {
		vt_sleep_ms(20);
		EXPECT_LT(areas, vt_count_areas());
		ASSERT_EQ(1, venom_daemon_receive(d, &cmd, VT_PATIENCE_S * VT_S));
		ASSERT_TRUE(vt_is(cmd.data, 20, v));
	}
	EXPECT_TRUE(VT_UNTIL(vt_count_fds() <= fds && vt_count_areas() <= areas));
	venom_daemon_destroy(d);
}

/*
 * A shell dies while the server is in a call, after that call has looked which shells there are.  The manager can't
 * free the dead shell's things then, and there may be no other call for long.  So the test receives as often as
 * possible until the change has been announced, and then not once more.
 */
TEST(a_death_during_the_last_call_is_not_forgotten)
{
	const char *name = vt_name();
	uint64_t before, rounds = 100 + vt_scaled(400), stuck = 0;
	int fds, areas;
	struct venom_command cmd;
	struct venom_daemon *d;
	struct vt_peer sh;

	embedded_only(); /* on the module the kernel frees */
	vt_start(&sh);
	ASSERT_EQ(0, venom_daemon_create(&d, name, NULL));
	for (uint64_t i = 0; i < rounds && !stuck; i++) {
		fds = vt_count_fds();
		areas = vt_count_areas();
		ASSERT_EQ(0, vt_call(&sh, ps_connect, name)) TH_LOG("%s", vt_errmsg);
		ASSERT_EQ(0, venom_daemon_receive(d, &cmd, 0)); /* the shell has been seen */
		before = changes(d);
		vt_post(&sh, ps_close);
		for (uint64_t end = vt_now() + VT_PATIENCE_S * VT_S; changes(d) == before && vt_now() < end;)
			ASSERT_EQ(0, venom_daemon_receive(d, &cmd, 0));
		stuck = !VT_UNTIL(vt_count_fds() <= fds && vt_count_areas() <= areas);
		EXPECT_EQ(0, stuck) TH_LOG("in round %llu, %d descriptors, before %d", (unsigned long long)i,
					   vt_count_fds(), fds);
		ASSERT_EQ(0, vt_result(&sh));
	}
	venom_daemon_destroy(d);
	EXPECT_EQ(0, vt_stop(&sh));
}

/*
 * A server stands still in a call because it has lost its CPU.  At most as many lanes are held for it as there are ids;
 * shells that die after that keep their ids until it goes on.  Then all is given back.
 */
TEST(a_server_that_stands_still_is_waited_for)
{
	struct venom_config *cfg = vt_config();
	const char *name = vt_name();
	struct venom_daemon *d;
	struct venom_shell *s;
	int fds, areas;

	cfg->max_clients = 2;
	ASSERT_EQ(0, venom_daemon_create(&d, name, cfg));
	fds = vt_count_fds();
	areas = vt_count_areas();
	serve_enter(d);
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, venom_shell_connect(&s, name)) TH_LOG("%s", venom_errmsg());
		venom_shell_close(s);
		ASSERT_TRUE(VT_UNTIL(vt_clients(d) == 0));
	}
	vt_sleep_ms(50);
	EXPECT_LT(areas, vt_count_areas());
	serve_leave(d);
	EXPECT_TRUE(VT_UNTIL(vt_count_fds() <= fds && vt_count_areas() <= areas));
	venom_daemon_destroy(d);
}

TEST_HARNESS_MAIN

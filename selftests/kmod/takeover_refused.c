/* SPDX-License-Identifier: MIT */
/*
 * What refuses a takeover: a daemon that lives, another geometry, another user, a bad pointer, another daemon at the
 * same time, and a process that can still write the state. Each leaves the channel as it was.
 */
#include <signal.h>

#include "kmod/takeover.h"

static long t_become(long uid, long b, long c)
{
	VT_CHECK(!setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid));
	VT_CHECK(!setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid));
	return b + c;
}

TEST_F(takeover, a_living_daemon_is_busy)
{
	struct km_daemon mine;

	for (int flags = 0; flags <= (VENOM_CREATE_RESUME | VENOM_CREATE_FENCED); flags++) {
		EXPECT_EQ(-EBUSY, vt_call(&self->next, t_create, self->create, flags));
		/* Not even the process itself can create it again. */
		EXPECT_EQ(-EBUSY, vt_call(&self->dm, t_create, self->create, flags));
	}
	self->create->geo.versions++;
	EXPECT_EQ(-EBUSY, vt_call(&self->next, t_create, self->create));
	EXPECT_EQ(-EBUSY, km_daemon_make(&mine, self->create));
	EXPECT_FALSE(hung_up(self->own.fd));
	EXPECT_EQ(1, self->own.status->epoch);
	EXPECT_TRUE(vt_is(self->own.state, self->own.c.state_size, STATE));
}

static const struct {
	const char *name;
	size_t at;
	unsigned int change; /* xor */
} fields[] = {
#define FIELD(f, x)                                       \
	{                                                 \
#f, offsetof(struct venom_geometry, f), x \
	}
	FIELD(flags, 1),    FIELD(mode, 0066),	 FIELD(versions, 1),	FIELD(cmd_slots, 1),
	FIELD(cmd_size, 1), FIELD(resp_size, 1), FIELD(max_clients, 1), FIELD(data_size, 1),
};

TEST_F(takeover, another_geometry)
{
	die(self, &self->dm, variant->closed);
	note(self);
	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++) {
		unsigned int *field = (void *)((char *)&self->create->geo + fields[i].at);

		*field ^= fields[i].change;
		EXPECT_EQ(-EEXIST, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME))
		TH_LOG("%s", fields[i].name);
		EXPECT_TRUE(untouched(self)) TH_LOG("%s", fields[i].name);
		*field ^= fields[i].change;
	}
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_TRUE(resumed(self, &self->next, 2));
}

TEST_F(takeover, another_user)
{
	if (geteuid())
		SKIP(return, "needs root, to be another");
	ASSERT_EQ(0, vt_call(&self->third, t_become, 1000));
	EXPECT_EQ(-EBUSY, vt_call(&self->third, t_create, self->create));
	die(self, &self->dm, variant->closed);
	note(self);
	for (int flags = 0; flags <= VENOM_CREATE_RESUME; flags++) {
		EXPECT_EQ(-EEXIST, vt_call(&self->third, t_create, self->create, flags));
		EXPECT_TRUE(untouched(self));
	}
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_TRUE(resumed(self, &self->next, 2));
}

/* Root is another user, too. */
TEST_F(takeover, root_and_a_user_s_channel)
{
	struct venom_ioc_create create = dev_create_init(vt_name());
	struct km_shell shell;

	if (geteuid())
		SKIP(return, "needs root");
	*self->create = create;
	ASSERT_EQ(0, vt_call(&self->third, t_become, 1000));
	ASSERT_EQ(0, vt_call(&self->third, t_create, self->create));
	ASSERT_EQ(0, km_shell_make(&shell, create.name));
	vt_kill(&self->third, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(hung_up(shell.fd)));
	for (int flags = 0; flags <= VENOM_CREATE_RESUME; flags++) {
		EXPECT_EQ(-EEXIST, vt_call(&self->next, t_create, self->create, flags));
	}
	km_shell_close(&shell);
	EXPECT_EQ(0, vt_call(&self->next, t_create, self->create));
	EXPECT_EQ(1, answer->epoch);
}

/* If the caller's struct is not writable, nothing is returned and nothing changes. */
TEST_F(takeover, a_bad_pointer)
{
	struct venom_ioc_create *c = mmap(NULL, VENOM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = dev_open();

	ASSERT_NE(MAP_FAILED, c);
	die(self, &self->dm, variant->closed);
	note(self);
	for (int flags = 0; flags <= VENOM_CREATE_RESUME; flags++) {
		*c = *self->create;
		c->flags = flags;
		ASSERT_EQ(0, mprotect(c, VENOM_PAGE, PROT_READ));
		EXPECT_EQ(-EFAULT, dev_call(fd, VENOM_IOC_CREATE, c));
		ASSERT_EQ(0, mprotect(c, VENOM_PAGE, PROT_READ | PROT_WRITE));
		EXPECT_TRUE(untouched(self)) TH_LOG("flags %d", flags);
	}
	close(fd);
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_TRUE(resumed(self, &self->next, 2));
}

/* ---- no two at once ---- */

TEST_F(takeover, two_at_once)
{
	struct vt_peer *p[] = {&self->next, &self->third};

	die(self, &self->dm, variant->closed);
	for (unsigned int round = 0; round < 10; round++) {
		long rc[2];
		int winner;

		for (int i = 0; i < 2; i++)
			vt_post(p[i], t_create, self->create, VENOM_CREATE_RESUME);
		for (int i = 0; i < 2; i++)
			rc[i] = vt_result(p[i]);
		winner = rc[1] == 0;
		ASSERT_EQ(0, rc[winner]);
		ASSERT_EQ(-EBUSY, rc[!winner]);
		ASSERT_TRUE(resumed(self, p[winner], round + 2));
		die(self, p[winner], true);
	}
}

/* ---- one writer: the last daemon may still map the state ---- */

FIXTURE(writer)
{
	FIXTURE_DATA(takeover) t;
};

FIXTURE_SETUP(writer)
{
	set_up(&self->t);
}

FIXTURE_TEARDOWN(writer)
{
	tear_down(&self->t);
}

/* The last daemon may be alive, and have closed the device only. */
TEST_F(writer, resume_waits_for_the_old_one)
{
	FIXTURE_DATA(takeover) *t = &self->t;

	ASSERT_EQ(0, vt_call(&t->dm, t_close));
	ASSERT_TRUE(VT_UNTIL(km_daemon_life(t->own.status) == VENOM_DAEMON_GONE));
	note(t);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(-EBUSY, vt_call(&t->next, t_create, t->create, VENOM_CREATE_RESUME));
		/* Nor can that process itself. */
		EXPECT_EQ(-EBUSY, vt_call(&t->dm, t_create, t->create, VENOM_CREATE_RESUME));
		EXPECT_TRUE(untouched(t));
	}
	ASSERT_EQ(0, vt_call(&t->dm, t_unmap));
	ASSERT_EQ(0, vt_call(&t->next, t_create, t->create, VENOM_CREATE_RESUME));
	EXPECT_TRUE(resumed(t, &t->next, 2));
}

/* A daemon that does not resume needn't wait: the old daemon writes to pages that the new channel does not use. */
TEST_F(writer, another_channel_need_not_wait)
{
	FIXTURE_DATA(takeover) *t = &self->t;

	ASSERT_EQ(0, vt_call(&t->dm, t_close));
	ASSERT_TRUE(VT_UNTIL(km_daemon_life(t->own.status) == VENOM_DAEMON_GONE));
	ASSERT_EQ(0, vt_call(&t->next, t_create, t->create));
	EXPECT_EQ(0, answer->resumed);
	EXPECT_EQ(2, answer->epoch);
	ASSERT_EQ(0, vt_call(&t->next, t_map));
	ASSERT_EQ(0, vt_call(&t->dm, t_fill, 99));
	EXPECT_EQ(1, vt_call(&t->next, t_is, 0));
	EXPECT_TRUE(vt_is(t->own.state, t->own.c.state_size, 99));
}

/* A child that got the map by MADV_DOFORK is a writer, too; -errno if the kernel refuses the advice. */
static long t_fork_writer(long a, long b, long c)
{
	pid_t child;

	if (madvise(state, state_size, MADV_DOFORK))
		return -errno;
	child = fork();
	if (!child)
		for (;;)
			pause();
	return child + a + b + c;
}

TEST_F(writer, resume_waits_for_a_child)
{
	FIXTURE_DATA(takeover) *t = &self->t;
	long child = vt_call(&t->dm, t_fork_writer);

	if (child < 0) {
		EXPECT_EQ(-EINVAL, child);
		return;
	}
	die(t, &t->dm, false);
	note(t);
	EXPECT_EQ(-EBUSY, vt_call(&t->next, t_create, t->create, VENOM_CREATE_RESUME));
	EXPECT_TRUE(untouched(t));
	ASSERT_EQ(0, kill((pid_t)child, SIGKILL));
	ASSERT_TRUE(VT_UNTIL(vt_call(&t->next, t_create, t->create, VENOM_CREATE_RESUME) == 0));
	EXPECT_TRUE(resumed(t, &t->next, 2));
}

/* A child that inherits the map of responses gets SIGBUS. */
static long t_fork_answerer(long id, long size, long c)
{
	char *p = dev_map(dev, VENOM_AREA_RESPONSES, (unsigned int)id, (size_t)size, PROT_READ | PROT_WRITE);
	pid_t child;
	int status;

	VT_CHECK(p != MAP_FAILED && !madvise(p, (size_t)size, MADV_DOFORK));
	*(volatile char *)p = *p;
	child = fork();
	if (!child) {
		signal(SIGBUS, SIG_DFL);
		*(volatile char *)p = 1;
		(_exit)(0);
	}
	VT_CHECK(waitpid(child, &status, 0) == child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : c;
}

TEST_F(writer, a_child_writes_no_answers)
{
	FIXTURE_DATA(takeover) *t = &self->t;

	EXPECT_EQ(SIGBUS, vt_call(&t->dm, t_fork_answerer, t->own.c.id, t->own.c.responses_size));
}

TEST_HARNESS_MAIN

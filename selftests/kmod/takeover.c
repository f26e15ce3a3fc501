/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a channel whose daemon is dead: another daemon of the same owner resumes it, with its state, its
 * shells and the commands that were not taken; or creates a new channel in its place. No other user can do either, and
 * no two daemons at once. This test does not use the library; resume.c does.
 */
#include <poll.h>

#include "lib/harness.h"
#include "kmod/common.h"

/* ---- a daemon without the library: calls for vt_call() ---- */

static struct venom_ioc_create *answer; /* the answer of the last t_create() of any process */

__attribute__((constructor)) static void set_up_takeover(void)
{
	answer = vt_shared(sizeof(*answer));
}

static int dev = -1, bell = -1;
static char *state;
static size_t state_size;

/* CREATE as *create says; a failed call leaves *create unchanged, and the file without a role. */
static long t_create(long create, long flags, long c)
{
	struct venom_ioc_create cr = *(struct venom_ioc_create *)create, before;
	int rc;

	cr.flags = (unsigned int)flags;
	before = cr;
	dev = dev_open();
	VT_CHECK(dev >= 0);
	rc = dev_call(dev, VENOM_IOC_CREATE, &cr);
	if (rc) {
		VT_CHECK(!memcmp(&cr, &before, sizeof(cr)));
		VT_CHECK(dev_wake(dev, VENOM_WAKE_STATE, 0) == -EBADFD);
		close(dev);
		dev = -1;
		return rc;
	}
	*answer = cr;
	state_size = cr.state_size;
	return c;
}

static long t_map(long a, long b, long c)
{
	state = dev_map(dev, VENOM_AREA_STATE, 0, state_size, PROT_READ | PROT_WRITE);
	return state == MAP_FAILED ? -errno : a + b + c;
}

static long t_unmap(long a, long b, long c)
{
	km_unmap(state, state_size);
	state = NULL;
	return a + b + c;
}

static long t_close(long a, long b, long c)
{
	close(dev);
	dev = -1;
	return a + b + c;
}

static long t_fill(long v, long b, long c)
{
	vt_fill(state, state_size, (uint32_t)v);
	return b + c;
}

static long t_is(long v, long b, long c)
{
	return (v ? vt_is(state, state_size, (uint32_t)v) : vt_all(state, 0, state_size)) + b + c;
}

#define LANE_HEAD sizeof(struct venom_area_head)

/* Write a pattern over all of a shell's responses, except the head. */
static long t_answer(long id, long size, long v)
{
	char *p = dev_map(dev, VENOM_AREA_RESPONSES, (unsigned int)id, (size_t)size, PROT_READ | PROT_WRITE);

	if (p == MAP_FAILED)
		return -errno;
	vt_fill(p + LANE_HEAD, (size_t)size - LANE_HEAD, (uint32_t)v);
	munmap(p, (size_t)size);
	return 0;
}

/* The v of the pattern there, or -errno. */
static long t_look(long kind, long id, long size)
{
	char *p = dev_map(dev, (unsigned int)kind, (unsigned int)id, (size_t)size, PROT_READ);
	uint32_t v = 0;

	if (p == MAP_FAILED)
		return -errno;
	if (!vt_whole(p + LANE_HEAD, (size_t)size - LANE_HEAD, &v))
		v = 0;
	munmap(p, (size_t)size);
	return v;
}

static struct venom_ioc_peer *peer;

static long t_peer(long id, long out, long c)
{
	struct venom_ioc_peer p = {.size = sizeof(p), .id = (unsigned int)id};
	int rc = dev_call(dev, VENOM_IOC_PEER, &p);

	*(struct venom_ioc_peer *)out = p;
	return rc + c;
}

static long t_lane(long id, long generation, long what)
{
	return dev_lane(dev, (unsigned int)id, (unsigned int)generation, (unsigned int)what);
}

static long t_wake(long what, long id, long c)
{
	return dev_wake(dev, (unsigned int)what, (unsigned int)id) + c;
}

static long t_end(long a, long b, long c)
{
	return dev_end(dev) + a + b + c;
}

static long t_bell(long a, long b, long c)
{
	bell = km_efd();
	return dev_bell(dev, VENOM_BELL_WAKE, bell) + a + b + c;
}

static long t_rung(long a, long b, long c)
{
	return (long)km_rung(bell) + a + b + c;
}

static long t_become(long uid, long b, long c)
{
	VT_CHECK(!setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid));
	VT_CHECK(!setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid));
	return b + c;
}

/* A shell in another process, which writes a pattern to its lane. */
static struct km_shell ts;

static long t_connect(long name, long v, long out)
{
	int rc = km_shell_make(&ts, (const char *)name);

	if (rc)
		return rc;
	vt_fill((char *)ts.commands + LANE_HEAD, ts.c.commands_size - LANE_HEAD, (uint32_t)v);
	*(struct venom_ioc_connect *)out = ts.c;
	return 0;
}

static bool hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

FIXTURE(takeover)
{
	struct venom_ioc_create *create; /* the request of all daemons */
	const char *name;
	struct vt_peer dm, next, third, sh;
	struct km_shell own;
	struct venom_ioc_connect *other; /* sh's answer */
	struct venom_ioc_info info; /* before a call that must not change it */
	char status[VENOM_PAGE];
};

FIXTURE_VARIANT(takeover)
{
	bool closed; /* the daemon closes all that it has; else it is killed */
};

/* clang-format off */
FIXTURE_VARIANT_ADD(takeover, killed) { .closed = false };
FIXTURE_VARIANT_ADD(takeover, closed) { .closed = true };
/* clang-format on */

#define STATE	 5 /* patterns */
#define ANSWERS	 6
#define COMMANDS 7

static void set_up(FIXTURE_DATA(takeover) * self)
{
	self->name = vt_name();
	self->create = vt_shared(sizeof(*self->create));
	*self->create = dev_create_init(self->name);
	self->other = vt_shared(sizeof(*self->other));
	peer = vt_shared(sizeof(*peer));
	vt_start(&self->dm);
	vt_start(&self->next);
	vt_start(&self->third);
	vt_start(&self->sh);
	VT_CHECK(!vt_call(&self->dm, t_create, self->create));
	VT_CHECK(!vt_call(&self->dm, t_map));
	VT_CHECK(!vt_call(&self->dm, t_fill, STATE));
	VT_CHECK(!km_shell_make(&self->own, self->name));
	vt_fill((char *)self->own.commands + LANE_HEAD, self->own.c.commands_size - LANE_HEAD, COMMANDS);
	VT_CHECK(!vt_call(&self->dm, t_answer, self->own.c.id, self->own.c.responses_size, ANSWERS));
}

static void tear_down(FIXTURE_DATA(takeover) * self)
{
	km_shell_close(&self->own);
	vt_kill(&self->sh, SIGKILL);
	vt_kill(&self->third, SIGKILL);
	vt_kill(&self->next, SIGKILL);
	vt_kill(&self->dm, SIGKILL);
}

FIXTURE_SETUP(takeover)
{
	set_up(self);
}

FIXTURE_TEARDOWN(takeover)
{
	tear_down(self);
}

static void die(FIXTURE_DATA(takeover) * self, struct vt_peer *dm, bool closed)
{
	if (closed) {
		VT_CHECK(!vt_call(dm, t_unmap));
		VT_CHECK(!vt_call(dm, t_close));
	} else {
		vt_kill(dm, SIGKILL);
	}
	VT_CHECK(VT_UNTIL(km_daemon_life(self->own.status) == VENOM_DAEMON_GONE));
}

/* Save all that is visible of the channel without a daemon. */
static void note(FIXTURE_DATA(takeover) * self)
{
	VT_CHECK(!km_info(self->name, &self->info));
	VT_CHECK(!self->info.alive);
	memcpy(self->status, self->own.status, VENOM_PAGE);
}

static bool untouched(FIXTURE_DATA(takeover) * self)
{
	struct venom_ioc_info now;

	return !km_info(self->name, &now) && !memcmp(&now, &self->info, sizeof(now)) &&
	       !memcmp(self->status, self->own.status, VENOM_PAGE) && hung_up(self->own.fd);
}

/* p has resumed the channel: every byte is unchanged. */
static bool resumed(FIXTURE_DATA(takeover) * self, struct vt_peer *p, unsigned int epoch)
{
	const struct km_shell *own = &self->own;
	struct venom_ioc_peer daemon = {.size = sizeof(daemon)};
	struct venom_geometry geo = self->create->geo;

	VT_CHECK(answer->resumed == 1);
	VT_CHECK(answer->epoch == epoch);
	venom_geometry_fill(&geo, VENOM_PAGE);
	VT_CHECK(!memcmp(&answer->geo, &geo, sizeof(geo)));
	VT_CHECK(answer->state_size == own->c.state_size);
	VT_CHECK(answer->status_size == own->c.status_size);
	VT_CHECK(!vt_call(p, t_map));
	VT_CHECK(vt_call(p, t_is, STATE) == 1);
	VT_CHECK(vt_call(p, t_look, VENOM_AREA_COMMANDS, own->c.id, own->c.commands_size) == COMMANDS);
	VT_CHECK(vt_call(p, t_look, VENOM_AREA_RESPONSES, own->c.id, own->c.responses_size) == ANSWERS);
	/* The shells see it in the status page, and by poll. */
	VT_CHECK(km_daemon_life(own->status) == VENOM_DAEMON_ALIVE);
	VT_CHECK(vt_load(&own->status->epoch) == epoch);
	VT_CHECK(!hung_up(own->fd));
	VT_CHECK(km_shell_life(own->status, own->c.id) == VENOM_SHELL_ALIVE);
	VT_CHECK(!dev_call(own->fd, VENOM_IOC_PEER, &daemon));
	VT_CHECK(daemon.pid == (unsigned int)p->pid);
	VT_CHECK(daemon.life == VENOM_DAEMON_ALIVE);
	VT_CHECK(!vt_call(p, t_peer, own->c.id, peer));
	VT_CHECK(peer->life == VENOM_SHELL_ALIVE);
	VT_CHECK(peer->generation == own->c.generation);
	VT_CHECK(peer->pid == (unsigned int)getpid());
	/* They see what the daemon writes, and both can wake each other. */
	VT_CHECK(!vt_call(p, t_fill, STATE + 100));
	VT_CHECK(vt_is(own->state, own->c.state_size, STATE + 100));
	VT_CHECK(!vt_call(p, t_fill, STATE));
	VT_CHECK(!dev_wake(own->fd, VENOM_WAKE_DAEMON, 0)); /* the daemon has no bell yet */
	VT_CHECK(!vt_call(p, t_bell));
	VT_CHECK(vt_call(p, t_rung) == 0);
	VT_CHECK(!dev_wake(own->fd, VENOM_WAKE_DAEMON, 0));
	VT_CHECK(vt_call(p, t_rung) == 1);
	return true;
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

TEST_F(takeover, it_goes_on)
{
	struct km_shell late;
	struct vt_peer *p = &self->dm, *after[] = {&self->next, &self->third};
	int efd = km_efd();

	ASSERT_EQ(0, vt_call(p, t_bell));
	ASSERT_EQ(0, dev_bell(self->own.fd, VENOM_BELL_LIFE, efd));
	ASSERT_EQ(0, dev_sleep(self->own.fd, VENOM_SLEEP_WATCH));
	for (unsigned int i = 0; i < ARRAY_SIZE(after); i++) {
		ASSERT_EQ(0, dev_sleep(self->own.fd, VENOM_SLEEP_ARM));
		die(self, p, variant->closed);
		EXPECT_EQ(1, km_rung(efd));
		EXPECT_TRUE(hung_up(self->own.fd));
		EXPECT_EQ(-ENOENT, km_shell_make(&late, self->name));
		EXPECT_EQ(0, self->own.status->state_sleepers);
		EXPECT_EQ(1, self->own.status->state_waiters);
		EXPECT_EQ(-EPIPE, dev_wake(self->own.fd, VENOM_WAKE_DAEMON, 0));
		EXPECT_EQ(-EPIPE, dev_sleep(self->own.fd, VENOM_SLEEP_ARM));
		note(self);
		EXPECT_EQ(0, self->info.pid);
		EXPECT_EQ(getuid(), self->info.uid);
		EXPECT_EQ(1, self->info.attached);
		EXPECT_EQ(i + 1, self->info.epoch);
		ASSERT_EQ(0, vt_call(after[i], t_create, self->create, VENOM_CREATE_RESUME));
		ASSERT_TRUE(resumed(self, after[i], i + 2));
		if (variant->closed) {
			/* The last daemon's eventfd is no longer signalled. */
			EXPECT_EQ(0, vt_call(p, t_rung));
		}
		p = after[i];
	}
	/* A shell that connects now is of this epoch. */
	ASSERT_EQ(0, km_shell_make(&late, self->name));
	EXPECT_EQ(3, late.c.epoch);
	EXPECT_EQ(3, late.commands->head.epoch);
	EXPECT_NE(self->own.c.generation, late.c.generation);
	EXPECT_EQ(2, self->own.status->attached);
	km_shell_close(&late);
	close(efd);
}

TEST_F(takeover, huge_is_not_asked_for_again)
{
	die(self, &self->dm, variant->closed);
	self->create->huge = VENOM_IOC_HUGE_REQUIRE;
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_TRUE(resumed(self, &self->next, 2));
}

/* ---- what is refused, and changes nothing ---- */

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

/* ---- a new channel in its place ---- */

TEST_F(takeover, without_resume_it_is_another)
{
	struct venom_ioc_peer daemon = {.size = sizeof(daemon)};
	struct venom_ioc_info info;
	struct km_shell fresh, late;

	die(self, &self->dm, variant->closed);
	self->create->geo.versions++;
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create));
	EXPECT_EQ(0, answer->resumed);
	EXPECT_EQ(2, answer->epoch);
	ASSERT_EQ(0, vt_call(&self->next, t_map));
	EXPECT_EQ(1, vt_call(&self->next, t_is, 0));
	ASSERT_EQ(0, km_info(self->name, &info));
	EXPECT_EQ(1, info.alive);
	EXPECT_EQ(self->next.pid, info.pid);
	EXPECT_EQ(0, info.attached);
	/* The old shell keeps what it had, and no more. */
	for (int i = 0; i < 2; i++) {
		EXPECT_TRUE(hung_up(self->own.fd));
		EXPECT_EQ(VENOM_DAEMON_GONE, km_daemon_life(self->own.status));
		EXPECT_EQ(1, self->own.status->epoch);
		EXPECT_TRUE(vt_is(self->own.state, self->own.c.state_size, STATE));
		EXPECT_EQ(-EPIPE, dev_wake(self->own.fd, VENOM_WAKE_DAEMON, 0));
		ASSERT_EQ(0, dev_call(self->own.fd, VENOM_IOC_PEER, &daemon));
		EXPECT_EQ(VENOM_DAEMON_GONE, daemon.life);
		EXPECT_EQ(0, daemon.pid);
		/* The new daemon does not know the old shell. */
		EXPECT_EQ(-ENOENT, vt_call(&self->next, t_peer, self->own.c.id, peer));
		if (!i) {
			ASSERT_EQ(0, vt_call(&self->next, t_fill, 44));
		}
	}
	ASSERT_EQ(0, km_shell_make(&fresh, self->name));
	EXPECT_EQ(2, fresh.c.epoch);
	EXPECT_TRUE(vt_is(fresh.state, fresh.c.state_size, 44));
	EXPECT_EQ(1, fresh.status->attached);
	/* The old shell's end does not affect the new channel. */
	km_shell_close(&self->own);
	EXPECT_EQ(1, fresh.status->attached);
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(fresh.status));
	vt_kill(&self->next, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(hung_up(fresh.fd)));
	ASSERT_EQ(0, vt_call(&self->third, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_EQ(1, answer->resumed);
	EXPECT_EQ(3, answer->epoch);
	km_shell_close(&fresh);
	EXPECT_EQ(0, km_shell_make(&late, self->name));
	km_shell_close(&late);
}

TEST_F(takeover, a_channel_that_nobody_holds_is_gone)
{
	struct venom_ioc_info info;

	for (int shell_first = 0; shell_first < 2; shell_first++) {
		if (shell_first) {
			ASSERT_EQ(0, km_shell_make(&self->own, self->name));
			km_shell_close(&self->own);
			vt_kill(&self->dm, SIGKILL);
		} else {
			die(self, &self->dm, variant->closed);
			km_shell_close(&self->own);
		}
		EXPECT_TRUE(VT_UNTIL(km_info(self->name, &info) == -ENOENT));
		vt_kill(&self->dm, SIGKILL);
		vt_start(&self->dm);
		ASSERT_EQ(0, vt_call(&self->dm, t_create, self->create, VENOM_CREATE_RESUME));
		EXPECT_EQ(0, answer->resumed);
		EXPECT_EQ(1, answer->epoch);
		ASSERT_EQ(0, vt_call(&self->dm, t_map));
		EXPECT_EQ(1, vt_call(&self->dm, t_is, 0));
	}
}

/* ---- shells from before the daemon's death ---- */

TEST_F(takeover, a_dead_shell_s_commands_are_kept)
{
	/* The shell's death may come before the daemon's, or after. */
	for (int after = 0; after < 2; after++) {
		struct vt_peer *dm = after ? &self->next : &self->dm, *next = after ? &self->third : &self->next;
		struct km_shell heir;

		if (after)
			vt_start(&self->sh);
		ASSERT_EQ(0, vt_call(&self->sh, t_connect, self->name, 33, self->other));
		ASSERT_NE(self->own.c.id, self->other->id);
		if (!after) {
			vt_kill(&self->sh, SIGKILL);
			ASSERT_TRUE(VT_UNTIL(km_shell_life(self->own.status, self->other->id) == VENOM_SHELL_GONE));
		}
		die(self, dm, variant->closed);
		if (after) {
			vt_kill(&self->sh, SIGKILL);
			ASSERT_TRUE(VT_UNTIL(km_shell_life(self->own.status, self->other->id) == VENOM_SHELL_GONE));
		}
		note(self);
		EXPECT_EQ(1, self->info.attached);
		ASSERT_EQ(0, vt_call(next, t_create, self->create, VENOM_CREATE_RESUME));
		ASSERT_TRUE(resumed(self, next, 2 + (unsigned int)after));
		ASSERT_EQ(0, vt_call(next, t_peer, self->other->id, peer));
		EXPECT_EQ(VENOM_SHELL_GONE, peer->life);
		EXPECT_EQ(self->other->generation, peer->generation);
		EXPECT_EQ(33, vt_call(next, t_look, VENOM_AREA_COMMANDS, self->other->id, self->other->commands_size));
		EXPECT_EQ(0, vt_call(next, t_lane, self->other->id, self->other->generation, VENOM_LANE_FREE));
		EXPECT_EQ(VENOM_SHELL_NONE, km_shell_life(self->own.status, self->other->id));
		EXPECT_EQ(-ENOENT, vt_call(next, t_look, VENOM_AREA_COMMANDS, self->other->id, VENOM_PAGE));
		ASSERT_EQ(0, km_shell_make(&heir, self->name));
		EXPECT_EQ(self->other->id, heir.c.id);
		EXPECT_NE(self->other->generation, heir.c.generation);
		km_shell_close(&heir);
		EXPECT_EQ(0, vt_call(next, t_lane, heir.c.id, heir.c.generation, VENOM_LANE_FREE));
	}
}

/* A lane that the last daemon has marked with KEEP is checked again by the next daemon. */
TEST_F(takeover, the_dead_are_looked_at_again)
{
	struct km_shell late;

	ASSERT_EQ(4, self->create->geo.max_clients);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, km_shell_make(&late, self->name));
		km_shell_close(&late);
		EXPECT_EQ(0, vt_call(&self->dm, t_lane, late.c.id, late.c.generation, VENOM_LANE_KEEP));
	}
	EXPECT_EQ(-EUSERS, km_shell_make(&late, self->name));
	die(self, &self->dm, variant->closed);
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_EQ(-EAGAIN, km_shell_make(&late, self->name));
}

/* A channel ends with its last living process, whatever dead shells have left in their lanes. */
TEST_F(takeover, the_dead_hold_nothing)
{
	struct venom_ioc_info info;

	ASSERT_EQ(0, vt_call(&self->sh, t_connect, self->name, 33, self->other));
	die(self, &self->dm, variant->closed);
	vt_kill(&self->sh, SIGKILL);
	ASSERT_TRUE(VT_UNTIL(km_shell_life(self->own.status, self->other->id) == VENOM_SHELL_GONE));
	ASSERT_EQ(0, km_info(self->name, &info));
	km_shell_close(&self->own);
	EXPECT_EQ(-ENOENT, km_info(self->name, &info));
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_EQ(0, answer->resumed);
}

/* ---- the end ---- */

TEST_F(takeover, an_end_is_for_good)
{
	struct venom_ioc_info info;
	struct km_shell fresh;
	int efd = km_efd();

	ASSERT_EQ(0, dev_bell(self->own.fd, VENOM_BELL_WAKE, efd));
	ASSERT_EQ(0, vt_call(&self->dm, t_end));
	/* The end takes effect at once. */
	EXPECT_EQ(-ENOENT, km_info(self->name, &info));
	EXPECT_EQ(-ENOENT, km_shell_make(&fresh, self->name));
	EXPECT_EQ(VENOM_DAEMON_GONE, km_daemon_life(self->own.status));
	EXPECT_TRUE(hung_up(self->own.fd));
	EXPECT_LE(1, km_rung(efd));
	EXPECT_EQ(-EPIPE, dev_wake(self->own.fd, VENOM_WAKE_DAEMON, 0));
	/* The daemon's file has no channel any more. */
	EXPECT_EQ(-EPIPE, vt_call(&self->dm, t_end));
	EXPECT_EQ(-EPIPE, vt_call(&self->dm, t_wake, VENOM_WAKE_STATE));
	EXPECT_EQ(-EPIPE, vt_call(&self->dm, t_wake, VENOM_WAKE_SHELL, self->own.c.id));
	EXPECT_EQ(-EPIPE, vt_call(&self->dm, t_look, VENOM_AREA_COMMANDS, self->own.c.id, VENOM_PAGE));
	ASSERT_EQ(0, vt_call(&self->next, t_create, self->create, VENOM_CREATE_RESUME));
	EXPECT_EQ(0, answer->resumed);
	EXPECT_EQ(1, answer->epoch);
	ASSERT_EQ(0, vt_call(&self->next, t_map));
	EXPECT_EQ(1, vt_call(&self->next, t_is, 0));
	ASSERT_EQ(0, km_shell_make(&fresh, self->name));
	/* The old daemon's death does not affect the new channel. */
	die(self, &self->dm, variant->closed);
	EXPECT_EQ(VENOM_DAEMON_ALIVE, km_daemon_life(fresh.status));
	EXPECT_FALSE(hung_up(fresh.fd));
	EXPECT_TRUE(hung_up(self->own.fd));
	EXPECT_EQ(0, vt_call(&self->next, t_wake, VENOM_WAKE_SHELL, fresh.c.id));
	km_shell_close(&fresh);
	close(efd);
}

TEST_HARNESS_MAIN

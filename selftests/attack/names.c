/* SPDX-License-Identifier: MIT */
/*
 * Attacks the hold of a daemon on its name, on the embedded backend: with a close of its lock file, a second copy of
 * the library, forks, a cleaner of /tmp, many daemons at a time, and kills.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/place.h"
#include "lib/user.h"
#include "lib/watch.h"

/* What the forked child and the test share. */
struct standby {
	bool go, go_on;
	int rc; /* 1: not yet */
	pid_t pid;
	char name[VENOM_NAME_MAX + 1];
};

FIXTURE(names)
{
	struct vt_peer dm, other;
	const char *dir, *name;
	char *sock, *lock;
	struct standby *standby;
	bool ready;
};

FIXTURE_SETUP(names)
{
	embedded_only();
	self->dir = getenv("VENOM_RUNTIME_DIR");
	self->name = vt_name();
	self->sock = vt_string("%s/%s", self->dir, self->name);
	self->lock = vt_string("%s/.%s.lock", self->dir, self->name);
	self->standby = vt_shared(sizeof(*self->standby));
	vt_start(&self->dm);
	vt_start(&self->other);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, NULL)) TH_LOG("%s", vt_errmsg);
	self->ready = true;
}

FIXTURE_TEARDOWN(names)
{
	if (!self->ready)
		return;
	EXPECT_TRUE(vt_end_all(&self->dm, &self->other));
	vt_forget(self->name);
}

/* A POSIX lock would be lost at the close of any descriptor of the file, by a backup program's code here, say. */
static long open_and_close(long path, long b, long c)
{
	int fd = open((const char *)path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return b + c;
}

TEST_F(names, are_not_lost_by_a_close)
{
	ASSERT_EQ(0, vt_call(&self->dm, open_and_close, self->lock));
	EXPECT_EQ(-EBUSY, vt_call(&self->other, pd_create, self->name, NULL));
	EXPECT_EQ(-EBUSY, vt_call(&self->dm, pd_create, self->name, NULL));
	EXPECT_EQ(getuid(), vt_call(&self->other, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
}

static int (*other_create)(struct venom_daemon **d, const char *name, const struct venom_config *cfg);
static void (*other_destroy)(struct venom_daemon *d);

/* Loads the library once more into this process: 0, or -1 if it is not where this program's build has it. */
static long second_copy(long a, long b, long c)
{
	char path[PATH_MAX] = "", *slash;
	void *so;

	if (readlink("/proc/self/exe", path, sizeof(path) - 32) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		slash = strrchr(path, '/');
		if (!slash)
			return -1;
		*slash = 0;
	}
	strcat(path, "/libvenom.so.0");
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!so)
		return -1;
	other_create = dlsym(so, "venom_daemon_create");
	other_destroy = dlsym(so, "venom_daemon_destroy");
	return other_create && other_destroy && other_create != venom_daemon_create ? a + b + c : -1;
}

static long create_by_the_other(long name, long b, long c)
{
	struct venom_daemon *d;
	int err = other_create(&d, (const char *)name, NULL);

	if (!err)
		other_destroy(d);
	return err + b + c;
}

TEST_F(names, are_known_to_a_second_copy_of_the_library)
{
	const char *another = vt_name();

	if (vt_call(&self->dm, second_copy))
		SKIP(return, "no libvenom.so.0 in this build");
	EXPECT_EQ(-EBUSY, vt_call(&self->dm, create_by_the_other, self->name));
	EXPECT_EQ(getuid(), vt_call(&self->other, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->dm, create_by_the_other, another));
	EXPECT_EQ(getuid(), vt_call(&self->other, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
}

static long fork_standby(long arg, long b, long c)
{
	struct standby *s = (struct standby *)arg;
	pid_t child = vt_fork();
	struct venom_daemon *d;
	int rc;

	if (child) {
		s->pid = child;
		return b + c;
	}
	while (!vt_load(&s->go))
		usleep(1000);
	rc = venom_daemon_create(&d, s->name, NULL);
	vt_store(&s->rc, rc);
	while (!vt_load(&s->go_on))
		usleep(1000);
	if (!rc)
		venom_daemon_destroy(d);
	syscall(SYS_exit_group, 0); /* no leak check: what the parent had is no leak of ours */
	return 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static void *a_while(void *arg)
{
	usleep(100000);
	return arg;
}

/* Can the forked child of a program with several threads start a thread?  (Not under every emulator.) */
static bool children_may_have_threads(void)
{
	pthread_t t, u;
	int status;
	pid_t pid;

	VT_CHECK(!pthread_create(&t, NULL, a_while, NULL));
	pid = vt_fork();
	if (!pid)
		syscall(SYS_exit_group, pthread_create(&u, NULL, nothing, NULL) || pthread_join(u, NULL));
	VT_CHECK(waitpid(pid, &status, 0) == pid);
	pthread_join(t, NULL);
	return !status;
}

#define needs_threads_of_children()                                                           \
	do {                                                                                  \
		if (!children_may_have_threads())                                             \
			SKIP(return, "a child of several threads can start none of its own here"); \
	} while (0)

TEST_F(names, a_forked_standby_takes_over)
{
	struct standby *s = self->standby;

	needs_threads_of_children();
	s->rc = 1;
	strcpy(s->name, self->name);
	ASSERT_EQ(0, vt_call(&self->dm, fork_standby, s));
	vt_kill(&self->dm, SIGKILL);
	vt_store(&s->go, true);
	EXPECT_TRUE(VT_UNTIL(vt_load(&s->rc) != 1));
	EXPECT_EQ(0, s->rc);
	EXPECT_EQ(getuid(), vt_call(&self->other, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	vt_store(&s->go_on, true);
}

/* As long as its parent lives, a forked child does not have the name. */
TEST_F(names, a_forked_child_has_none)
{
	struct standby *s = self->standby;

	s->rc = 1;
	s->go = true;
	strcpy(s->name, self->name);
	ASSERT_EQ(0, vt_call(&self->dm, fork_standby, s));
	EXPECT_TRUE(VT_UNTIL(vt_load(&s->rc) != 1));
	EXPECT_EQ(-EBUSY, s->rc);
	vt_store(&s->go_on, true);
	EXPECT_EQ(getuid(), vt_call(&self->other, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
}

static void *creates(void *arg)
{
	struct standby *s = arg;
	struct venom_daemon *d;

	while (!vt_load(&s->go_on))
		if (!venom_daemon_create(&d, s->name, NULL))
			venom_daemon_destroy(d);
	return NULL;
}

static int count_all(const struct venom_info *info, void *n)
{
	++*(int *)n;
	return info->alive > 1;
}

static int child_of_a_crowd(const char *name)
{
	struct venom_daemon *d;
	struct venom_shell *s;
	int n = 0;

	alarm((unsigned int)VT_PATIENCE_S);
	if (venom_list(count_all, &n) < 0)
		return 1;
	if (venom_shell_connect(&s, "nobody") != -ENOENT)
		return 2;
	if (venom_daemon_create(&d, name, NULL))
		return 3;
	if (venom_shell_connect(&s, name))
		return 4;
	venom_shell_close(s);
	venom_daemon_destroy(d);
	return 0;
}

/* One thread creates while another forks: the child must not find a library lock that none of its threads holds. */
TEST_F(names, a_fork_in_the_middle_of_a_create)
{
	struct standby s = {.rc = 0};
	const char *name = vt_name();
	pthread_t t;
	int status;
	pid_t pid;

#if defined(VT_ASAN) || defined(VT_TSAN)
	SKIP(return, "the sanitizer's own locks don't stand a fork in a program of several threads");
#endif
	needs_threads_of_children();
	strcpy(s.name, vt_name());
	ASSERT_EQ(0, pthread_create(&t, NULL, creates, &s));
	for (uint64_t i = 0; i < vt_scaled(100); i++) {
		pid = vt_fork();
		ASSERT_LE(0, pid);
		if (!pid)
			syscall(SYS_exit_group, child_of_a_crowd(name));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status)) TH_LOG("child %d: signal %d", (int)i, WTERMSIG(status));
		ASSERT_EQ(0, WEXITSTATUS(status)) TH_LOG("child %d", (int)i);
	}
	vt_store(&s.go_on, true);
	pthread_join(t, NULL);
}

/* A timer removes old files in /tmp: a live channel's vt_entries, too. */
TEST_F(names, come_back_after_a_cleaner)
{
	static const struct {
		bool sock, lock;
	} gone[] = {{true, true}, {true, false}, {false, true}, {true, true}};

	for (unsigned int i = 0; i < ARRAY_SIZE(gone); i++) {
		if (gone[i].sock) {
			ASSERT_EQ(0, unlink(self->sock));
		}
		if (gone[i].lock) {
			ASSERT_EQ(0, unlink(self->lock));
		}
		ASSERT_TRUE(VT_UNTIL(vt_has_channel(self->dir, self->name, getuid()))) TH_LOG("in round %u", i);
		EXPECT_EQ(getuid(), vt_call(&self->other, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
		EXPECT_EQ(-EBUSY, vt_call(&self->other, pd_create, self->name, NULL)) TH_LOG("in round %u", i);
	}
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_TRUE(vt_has_nothing(self->dir, self->name));
	EXPECT_EQ(0, vt_call(&self->other, pd_create, self->name, NULL)) TH_LOG("%s", vt_errmsg);
}

/*
 * If the daemon can't put its entries back at once, another takes the name; the first daemon's end leaves the other's
 * entries alone.
 */
TEST_F(names, the_end_of_one_removes_nobody_else_s)
{
	struct stat st, now;

	vt_halt(&self->dm);
	ASSERT_EQ(0, unlink(self->sock));
	ASSERT_EQ(0, unlink(self->lock));
	EXPECT_EQ(0, vt_call(&self->other, pd_create, self->name, NULL)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, lstat(self->sock, &st));
	kill(self->dm.pid, SIGCONT);
	vt_sleep_ms(50); /* lets it see the new entries; without, the result is the same */
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_TRUE(vt_has_channel(self->dir, self->name, getuid()));
	ASSERT_EQ(0, lstat(self->sock, &now));
	EXPECT_EQ(st.st_ino, now.st_ino);
	EXPECT_EQ(getuid(), vt_call(&self->dm, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(-EBUSY, vt_call(&self->dm, pd_create, self->name, NULL));
}

struct crowd {
	const char *name[8];
	uint64_t rounds;
};

static long create_often(long arg, long i, long c)
{
	const struct crowd *w = (const struct crowd *)arg;
	long err;

	for (uint64_t n = 0; n < w->rounds; n++) {
		err = pd_create((long)w->name[i], 0, 0);
		if (err)
			return err;
		pd_destroy(0, 0, 0);
	}
	return c;
}

/* Each daemon clears away the dead daemons' vt_entries, and must not take a daemon that is about to live for dead. */
TEST_F(names, of_many_at_the_same_time)
{
	struct crowd *w = (struct crowd *)vt_box;
	struct vt_peer p[8];
	long err;

	w->rounds = vt_scaled(300);
	for (int i = 0; i < 8; i++) {
		w->name[i] = vt_name();
		vt_start(&p[i]);
	}
	for (int i = 0; i < 8; i++)
		vt_post(&p[i], create_often, w, i);
	for (int i = 0; i < 8; i++) {
		err = vt_result(&p[i]);
		EXPECT_EQ(0, err) TH_LOG("%s", vt_errmsg);
		EXPECT_EQ(0, vt_stop(&p[i]));
	}
}

TEST_F(names, of_the_dead_are_cleared_away)
{
	const char *dead[5], *last = vt_name();
	struct vt_peer p;

	for (int i = 0; i < 5; i++) {
		dead[i] = vt_name();
		vt_start(&p);
		ASSERT_EQ(0, vt_call(&p, pd_create, dead[i], NULL)) TH_LOG("%s", vt_errmsg);
		vt_kill(&p, SIGKILL);
		EXPECT_TRUE(vt_exists(vt_string("%s/%s", self->dir, dead[i])));
	}
	ASSERT_EQ(0, vt_call(&self->other, pd_create, last, NULL)) TH_LOG("%s", vt_errmsg);
	for (int i = 0; i < 5; i++) {
		EXPECT_TRUE(vt_has_nothing(self->dir, dead[i])) TH_LOG("the %d. of 5", i + 1);
		vt_forget(dead[i]);
	}
	EXPECT_TRUE(vt_has_channel(self->dir, self->name, getuid()));
	EXPECT_TRUE(vt_has_channel(self->dir, last, getuid()));
	EXPECT_EQ(getuid(), vt_call(&self->dm, vt_reached, last)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(getuid(), vt_call(&self->other, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
}

TEST_HARNESS_MAIN

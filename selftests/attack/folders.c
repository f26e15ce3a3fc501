/* SPDX-License-Identifier: MIT */
/*
 * Attacks the choice of the folder in which a channel lies, on the embedded backend: with the umask, with another
 * user's environment, and with a set-uid program's.  Each test has /run and /tmp of its own, in a mount namespace.
 */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/place.h"
#include "lib/user.h"

#define A     VT_ID(1)
#define B     VT_ID(2)
#define GROUP VT_ID(10)

FIXTURE(folders)
{
	struct vt_peer a, b, root;
	struct venom_config *cfg;
	const char *name;
	bool ready;
};

static int private_mounts(void)
{
	return unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
			       mount("tmpfs", "/run", "tmpfs", 0, "mode=755") ||
			       mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777") ?
		       -errno :
		       0;
}

FIXTURE_SETUP(folders)
{
	int err;

	embedded_only();
	if (geteuid())
		SKIP(return, "needs root, to become other users");
	err = private_mounts();
	if (err)
		SKIP(return, "no mount namespace to be had here (%s)", strerror(-err));
	unsetenv("VENOM_RUNTIME_DIR");
	unsetenv("XDG_RUNTIME_DIR");
	ASSERT_EQ(0, mkdir("/run/user", 0755));
	ASSERT_EQ(0, mkdir("/run/user/a", 0700));
	ASSERT_EQ(0, chown("/run/user/a", A, A));
	self->cfg = vt_config();
	self->name = vt_name();
	vt_start(&self->a);
	vt_start(&self->b);
	vt_start(&self->root);
	ASSERT_EQ(0, vt_call(&self->a, vt_become, A, A, GROUP));
	ASSERT_EQ(0, vt_call(&self->b, vt_become, B, B, GROUP));
	self->ready = true;
}

FIXTURE_TEARDOWN(folders)
{
	if (!self->ready)
		return;
	EXPECT_TRUE(vt_end_all(&self->a, &self->b, &self->root));
}

TEST_F(folders, root_s_umask_keeps_nobody_out)
{
	self->cfg->mode = 0666;
	ASSERT_EQ(0, vt_call(&self->root, vt_umask, 077));
	ASSERT_EQ(0, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(vt_has_mode("/run/venom", S_IFDIR | 0755, 0));
	EXPECT_TRUE(vt_has_channel("/run/venom", self->name, 0));
	EXPECT_EQ(0, vt_call(&self->a, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->a, vt_listed, self->name));
}

TEST_F(folders, private_channels)
{
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(vt_has_channel(vt_string("/tmp/venom-%d", A), self->name, A));
	ASSERT_EQ(0, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(vt_has_channel("/run/venom", self->name, 0));
	EXPECT_EQ(A, vt_call(&self->a, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->root, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	/* A shell with XDG_RUNTIME_DIR finds the channel of a daemon without it, and the other way round. */
	ASSERT_EQ(0, vt_call(&self->a, vt_setenv, "XDG_RUNTIME_DIR", "/run/user/a"));
	EXPECT_EQ(A, vt_call(&self->a, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(A, vt_call(&self->a, vt_listed, self->name));
	ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(vt_has_channel("/run/user/a/venom", self->name, A));
	EXPECT_EQ(A, vt_call(&self->a, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
}

/* As with sudo: the environment is a user's, the rights are root's. */
TEST_F(folders, another_s_xdg_folder_is_left_alone)
{
	ASSERT_EQ(0, vt_call(&self->root, vt_setenv, "XDG_RUNTIME_DIR", "/run/user/a"));
	ASSERT_EQ(0, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_entries("/run/user/a"));
	EXPECT_TRUE(vt_has_channel("/run/venom", self->name, 0));
	EXPECT_EQ(0, vt_call(&self->root, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->a, vt_setenv, "XDG_RUNTIME_DIR", "/run/user/a"));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, vt_name(), self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->b, vt_setenv, "XDG_RUNTIME_DIR", "/run/user/a"));
	ASSERT_EQ(0, vt_call(&self->b, pd_create, vt_name(), self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(2, vt_entries(vt_string("/tmp/venom-%d", B)));
}

TEST_F(folders, shared_channels_of_a_group)
{
	ASSERT_EQ(0, mkdir("/run/venom", 0755));
	ASSERT_EQ(0, chown("/run/venom", 0, GROUP));
	ASSERT_EQ(0, chmod("/run/venom", 03775));
	self->cfg->mode = 0660;
	ASSERT_EQ(0, vt_call(&self->a, vt_umask, 077));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(vt_has_channel(vt_string("/run/venom/%d", A), self->name, A));
	EXPECT_EQ(A, vt_call(&self->b, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(-EBUSY, vt_call(&self->b, pd_create, self->name, self->cfg));
}

/* ---- a set-uid program trusts nothing in its caller's environment ---- */

#define PROBE "VENOM_TEST_PROBE"

/*
 * This program itself, set-uid and run by another user: it creates and destroys a channel, and exits with 0, with its
 * errno, or with 200 if it is not root.
 */
__attribute__((constructor)) static void probe(void)
{
	struct venom_daemon *d;
	int err;

	if (!getenv(PROBE))
		return;
	if (geteuid())
		syscall(SYS_exit_group, 200);
	err = venom_daemon_create(&d, getenv(PROBE), NULL);
	if (!err)
		venom_daemon_destroy(d);
	syscall(SYS_exit_group, -err);
}

static bool copy_set_uid(const char *to)
{
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	static char buf[65536];
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			return false;
	close(in);
	close(out);
	return !n && !chmod(to, 04755);
}

struct probe {
	const char *exe, *variable, *value;
	char said[256]; /* on stderr */
};

static int run_probe(struct vt_peer *self, void *arg)
{
	struct probe *p = arg;
	int fd = open("/run/said", O_RDWR | O_CREAT | O_TRUNC, 0666);

	(void)self;
	dup2(fd, 2);
	vt_become(B, B, 0);
	unsetenv("VENOM_RUNTIME_DIR");
	unsetenv("VENOM_BACKEND");
	setenv(PROBE, "probe", 1);
	if (p->variable)
		setenv(p->variable, p->value, 1);
	execl(p->exe, p->exe, (char *)NULL);
	return 201;
}

static int probe_with(struct probe *p, const char *variable, const char *value)
{
	struct vt_peer peer;
	int fd, status;
	ssize_t n;

	p->variable = variable;
	p->value = value;
	vt_spawn(&peer, run_probe, p);
	status = vt_wait(&peer);
	fd = open("/run/said", O_RDONLY | O_CLOEXEC);
	n = read(fd, p->said, sizeof(p->said) - 1);
	p->said[n > 0 ? n : 0] = 0;
	close(fd);
	return status;
}

static bool is_empty(const char *dir)
{
	return !rmdir(dir) && !mkdir(dir, 0777) && !chmod(dir, 0777);
}

TEST(a_set_uid_program_s_environment)
{
	struct probe p = {.exe = "/run/probe"};
	int status;

	embedded_only();
	if (geteuid())
		SKIP(return, "needs root, for a set-uid program");
	/* The channel is made in /run/venom: mount a private /run. */
	if (private_mounts())
		SKIP(return, "no mount namespace to be had here");
	ASSERT_TRUE(copy_set_uid(p.exe));
	ASSERT_EQ(0, mkdir("/run/evil", 0777));
	ASSERT_EQ(0, chmod("/run/evil", 0777));
	status = probe_with(&p, NULL, NULL);
	if (status)
		SKIP(return, "a set-uid copy of this program does not run here (%d: %s)", status, p.said);
	EXPECT_EQ(0, probe_with(&p, "VENOM_RUNTIME_DIR", "/run/evil"));
	EXPECT_TRUE(is_empty("/run/evil")) TH_LOG("VENOM_RUNTIME_DIR");
	EXPECT_EQ(0, probe_with(&p, "VENOM_RUNTIME_DIR", "/not/there"));
	EXPECT_EQ(0, probe_with(&p, "XDG_RUNTIME_DIR", "/run/evil"));
	EXPECT_TRUE(is_empty("/run/evil")) TH_LOG("XDG_RUNTIME_DIR");
	EXPECT_EQ(0, probe_with(&p, "VENOM_BACKEND", "abacus"));
	/* There are no huge pages for the channel: outside of set-uid programs, that would be logged. */
	EXPECT_EQ(0, probe_with(&p, "VENOM_LOG", "1"));
	EXPECT_STREQ("", p.said);
}

TEST_HARNESS_MAIN

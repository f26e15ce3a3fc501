/* SPDX-License-Identifier: MIT */
/*
 * The module's backend and the embedded one side by side. A user without access to /dev/venom gets an error, and not
 * the embedded backend without notice; and a name is one channel, on one of the two.
 */
#include <signal.h>
#include <sys/stat.h>

#include "lib/harness.h"
#include "lib/peer.h"
#include "kmod/somebody.h"

/* NULL: the library's own choice. */
static long p_backend(long name, long b, long c)
{
	return (name ? setenv("VENOM_BACKEND", (const char *)name, 1) : unsetenv("VENOM_BACKEND")) + b + c;
}

static long note(long rc)
{
	snprintf((char *)vt_errmsg, 1024, "%s", venom_errmsg());
	return rc;
}

static long p_stat(long name, long b, long c)
{
	struct venom_info info;

	return note(venom_stat((const char *)name, &info, NULL, NULL, NULL)) + b + c;
}

static long seen;

static int see(const struct venom_info *info, void *name)
{
	seen += !strcmp(info->name, name);
	return 0;
}

static long p_list(long name, long b, long c)
{
	seen = 0;
	return note(venom_list(see, (void *)name)) + b + c;
}

static long p_seen(long a, long b, long c)
{
	return seen + a + b + c;
}

#define SAYS(what) EXPECT_NE(NULL, strstr(vt_errmsg, what)) TH_LOG("%s", vt_errmsg)

FIXTURE(both)
{
	struct vt_peer dev, memfd, user, p;
	struct venom_config *cfg;
	const char *on_dev, *on_memfd;
	char folder[256];
};

FIXTURE_SETUP(both)
{
	static const struct who user = USER(.uid = 1000, .gid = 1000);

	NEEDS_ROOT();
	self->on_dev = vt_name();
	self->on_memfd = vt_name();
	self->cfg = vt_config();
	self->cfg->mode = 0666;
	self->cfg->huge = VENOM_HUGE_NEVER;
	vt_start(&self->dev);
	vt_start(&self->memfd);
	vt_start(&self->p);
	be(&self->user, &user);
	/* A folder of the user's own, for embedded channels. */
	snprintf(self->folder, sizeof(self->folder), "%s/user", getenv("VENOM_RUNTIME_DIR"));
	ASSERT_EQ(0, mkdir(self->folder, 0700));
	ASSERT_EQ(0, chown(self->folder, 1000, 1000));
	ASSERT_EQ(0, vt_call(&self->dev, p_backend, "dev"));
	ASSERT_EQ(0, vt_call(&self->memfd, p_backend, "memfd"));
	ASSERT_EQ(0, vt_call(&self->p, p_backend, NULL));
	ASSERT_EQ(0, vt_call(&self->user, p_backend, NULL));
	ASSERT_EQ(0, vt_call(&self->dev, pd_create, self->on_dev, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->memfd, pd_create, self->on_memfd, self->cfg)) TH_LOG("%s", vt_errmsg);
}

FIXTURE_TEARDOWN(both)
{
	if (!is_root())
		return;
	chmod(DEV, 0666); /* the guest's mode */
	vt_stop(&self->user);
	vt_stop(&self->p);
	vt_call(&self->dev, pd_destroy);
	vt_stop(&self->dev);
	vt_call(&self->memfd, pd_destroy);
	vt_stop(&self->memfd);
	rmdir(self->folder);
}

/* ---- a user without rights ---- */

#define BARRED(call)                               \
	do {                                       \
		EXPECT_EQ(-EACCES, call);          \
		SAYS("/dev/venom");                \
		SAYS("group venom");               \
		SAYS("adduser USER venom");        \
		SAYS("VENOM_BACKEND=memfd");       \
	} while (0)

TEST_F(both, no_rights_to_the_device)
{
	ASSERT_EQ(0, chmod(DEV, 0660));
	for (int i = 0; i < 2; i++) {
		const char *name = i ? self->on_memfd : self->on_dev;

		BARRED(vt_call(&self->user, ps_connect, name));
		BARRED(vt_call(&self->user, p_stat, name));
	}
	BARRED(vt_call(&self->user, pd_create, vt_name(), self->cfg));
	/* The list gives all that is visible before the error. */
	BARRED(vt_call(&self->user, p_list, self->on_memfd));
	EXPECT_EQ(1, vt_call(&self->user, p_seen));
	BARRED(vt_call(&self->user, p_list, self->on_dev));
	EXPECT_EQ(0, vt_call(&self->user, p_seen));

	ASSERT_EQ(0, vt_call(&self->user, p_backend, "dev"));
	BARRED(vt_call(&self->user, ps_connect, self->on_dev));
	BARRED(vt_call(&self->user, p_list, self->on_memfd));
	EXPECT_EQ(0, vt_call(&self->user, p_seen));
	/* A user who asks for the embedded backend gets it. */
	ASSERT_EQ(0, vt_call(&self->user, p_backend, "memfd"));
	EXPECT_EQ(0, vt_call(&self->user, ps_connect, self->on_memfd)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->user, ps_close));
	EXPECT_EQ(0, vt_call(&self->user, p_stat, self->on_memfd));
	EXPECT_LE(1, vt_call(&self->user, p_list, self->on_memfd));
	EXPECT_EQ(1, vt_call(&self->user, p_seen));
	EXPECT_EQ(-ENOENT, vt_call(&self->user, ps_connect, self->on_dev));
}

TEST_F(both, with_rights)
{
	EXPECT_EQ(0, vt_call(&self->user, ps_connect, self->on_dev)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->user, ps_close));
	EXPECT_EQ(0, vt_call(&self->user, ps_connect, self->on_memfd)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->user, ps_close));
	EXPECT_LE(2, vt_call(&self->user, p_list, self->on_dev));
	EXPECT_EQ(1, vt_call(&self->user, p_seen));
	EXPECT_LE(2, vt_call(&self->user, p_list, self->on_memfd));
	EXPECT_EQ(1, vt_call(&self->user, p_seen));
}

/* ---- a name is one channel ---- */

static long p_folder(long folder, long b, long c)
{
	return setenv("VENOM_RUNTIME_DIR", (const char *)folder, 1) + b + c;
}

TEST_F(both, a_name_on_the_module)
{
	const char *folder = strcpy(vt_box, self->folder), *hidden = vt_name();

	/* Both backends can have one name only if a process asks for the other backend. */
	ASSERT_EQ(0, vt_call(&self->p, p_backend, "memfd"));
	EXPECT_EQ(-EBUSY, vt_call(&self->p, pd_create, self->on_dev, self->cfg));
	SAYS("VENOM_BACKEND=dev");
	/* A channel that this user may not see exists all the same. */
	ASSERT_EQ(0, vt_call(&self->user, p_backend, "memfd"));
	ASSERT_EQ(0, vt_call(&self->user, p_folder, folder));
	ASSERT_EQ(0, vt_call(&self->dev, pd_destroy));
	self->cfg->mode = 0600;
	ASSERT_EQ(0, vt_call(&self->dev, pd_create, hidden, self->cfg));
	EXPECT_EQ(-EBUSY, vt_call(&self->user, pd_create, hidden, self->cfg));
	SAYS("VENOM_BACKEND=dev");
	/* A user without access to the module does not see the channel. */
	ASSERT_EQ(0, chmod(DEV, 0660));
	EXPECT_EQ(0, vt_call(&self->user, pd_create, hidden, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->user, pd_destroy));
	ASSERT_EQ(0, chmod(DEV, 0666));
	/* A dead daemon's channel keeps no name, though a shell still holds the channel. */
	ASSERT_EQ(0, vt_call(&self->p, p_backend, NULL));
	ASSERT_EQ(0, vt_call(&self->p, ps_connect, hidden)) TH_LOG("%s", vt_errmsg);
	vt_kill(&self->dev, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(vt_call(&self->user, pd_create, hidden, self->cfg) == 0));
	EXPECT_EQ(0, vt_call(&self->user, pd_destroy));
	vt_start(&self->dev);
}

TEST_F(both, a_name_on_the_embedded_backend)
{
	/* Whether the process chose the module itself or by default. */
	EXPECT_EQ(-EBUSY, vt_call(&self->p, pd_create, self->on_memfd, self->cfg));
	SAYS("VENOM_BACKEND=memfd");
	ASSERT_EQ(0, vt_call(&self->p, p_backend, "dev"));
	EXPECT_EQ(-EBUSY, vt_call(&self->p, pd_create, self->on_memfd, self->cfg));
	SAYS("VENOM_BACKEND=memfd");
	/* A stopped daemon is alive. */
	kill(self->memfd.pid, SIGSTOP);
	EXPECT_EQ(-EBUSY, vt_call(&self->p, pd_create, self->on_memfd, self->cfg));
	SAYS("VENOM_BACKEND=memfd");
	kill(self->memfd.pid, SIGCONT);
	/* What a killed daemon has left in the folder is no channel. */
	vt_kill(&self->memfd, SIGKILL);
	EXPECT_TRUE(VT_UNTIL(vt_call(&self->p, pd_create, self->on_memfd, self->cfg) == 0)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->p, pd_destroy));
	vt_start(&self->memfd);
	ASSERT_EQ(0, vt_call(&self->memfd, p_backend, "memfd"));
	/* The same after an end in order. */
	ASSERT_EQ(0, vt_call(&self->memfd, pd_create, self->on_memfd, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(-EBUSY, vt_call(&self->p, pd_create, self->on_memfd, self->cfg));
	EXPECT_EQ(0, vt_call(&self->memfd, pd_destroy));
	EXPECT_EQ(0, vt_call(&self->p, pd_create, self->on_memfd, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->p, pd_destroy));
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * Attacks with limits: of locked memory, threads, the size of files, address space and a memory cgroup; and with
 * folders that are out of reach.  Each must give an errno and a sentence that says whose limit it is, never a signal.
 * Limits of descriptors are in descriptors.c.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "api/limits.h"

#define MIB (1u << 20)

/* A limit on memory would hit the sanitizers' own memory. */
#if defined(VT_ASAN) || defined(VT_TSAN)
#define sanitized() true
#else
#define sanitized() false
#endif

/* ---- memory ---- */

/* What create or connect gives under a limit, in a process of its own; a signal ends only that process. */
struct attempt {
	const char *name;
	struct venom_config cfg;
	bool shell; /* connect, to the daemon of this name; else create and connect */
	int resource;
	long limit;
	bool lock; /* mlockall(MCL_FUTURE) */
	uid_t uid;
	int rc;
	char said[512];
};

static int attempts(struct vt_peer *self, void *arg)
{
	struct attempt *t = arg;
	struct venom_daemon *d = NULL;
	struct venom_shell *s = NULL;

	(void)self;
	if (t->uid)
		vt_become(t->uid, t->uid, 0);
	if (t->resource >= 0)
		limit(t->resource, t->limit, t->limit);
	if (t->lock)
		VT_CHECK(!mlockall(MCL_FUTURE));
	t->rc = t->shell ? 0 : venom_daemon_create(&d, t->name, &t->cfg);
	if (!t->rc)
		t->rc = venom_shell_connect(&s, t->name);
	snprintf(t->said, sizeof(t->said), "%s", venom_errmsg());
	venom_shell_close(s);
	venom_daemon_destroy(d);
	return 0;
}

/* The attempt must end without a signal, and give 0 (where it may) or `want` with a sentence. */
#define TRY(t, want, may_work, what)                                                              \
	do {                                                                                      \
		struct vt_peer p_;                                                                \
		int status_;                                                                      \
                                                                                                  \
		vt_spawn(&p_, attempts, t);                                                       \
		status_ = vt_wait(&p_);                                                           \
		EXPECT_EQ(0, status_) TH_LOG("%s: ended with %d", what, status_);                 \
		if (!status_ && !((may_work) && !(t)->rc)) {                                      \
			EXPECT_EQ(want, (t)->rc) TH_LOG("%s: \"%s\"", what, (t)->said);           \
			EXPECT_NE(0, strlen((t)->said)) TH_LOG("%s: says nothing", what);         \
		}                                                                                 \
	} while (0)

static struct attempt *attempt(const char *name, int resource, long lim)
{
	struct attempt *t = vt_shared(sizeof(*t));

	*t = (struct attempt){.name = name, .cfg = VENOM_CONFIG_INIT, .resource = resource, .limit = lim, .rc = 99};
	t->cfg.huge = VENOM_HUGE_NEVER;
	return t;
}

TEST_F(limits, size_of_files)
{
	static const long sizes[] = {0, 1, 4096, 8192, 12288, 65536};
	struct attempt *t;

	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		t = attempt(vt_name(), RLIMIT_FSIZE, sizes[i]);
		TRY(t, -ENOMEM, true, vt_string("a daemon with %ld bytes", sizes[i]));
		t = attempt(self->name, RLIMIT_FSIZE, sizes[i]);
		t->shell = true;
		TRY(t, -ENOMEM, true, vt_string("a shell with %ld bytes", sizes[i]));
	}
	t = attempt(vt_name(), RLIMIT_FSIZE, 4096);
	t->cfg.data_size = MIB;
	TRY(t, -ENOMEM, false, "a MiB with 4096 bytes");
	/* The daemon is limited when a shell connects. */
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(0, vt_call(&self->dm, limit, RLIMIT_FSIZE, sizes[i], -1));
		t = attempt(self->name, -1, 0);
		t->shell = true;
		TRY(t, -ENOMEM, true, vt_string("its daemon has %ld bytes", sizes[i]));
		ASSERT_EQ(0, vt_call(&self->dm, limit, RLIMIT_FSIZE, UNLIMIT))
		TH_LOG("the daemon with %ld bytes", sizes[i]);
	}
	EXPECT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
}

static long lock_future(long on, long b, long c)
{
	if (!on)
		return munlockall() + b + c;
	limit(RLIMIT_MEMLOCK, 8 * MIB, -1);
	return mlockall(MCL_FUTURE) + b + c;
}

TEST_F(limits, locked_memory)
{
	struct attempt *t;

	if (getuid())
		SKIP(return, "needs root, to become another user");
	if (sanitized())
		SKIP(return, "the sanitizers' memory can't be locked");
	t = attempt(vt_name(), RLIMIT_MEMLOCK, 8 * MIB);
	t->lock = true;
	t->uid = USER;
	t->cfg.data_size = 64 * MIB;
	t->cfg.versions = 1;
	TRY(t, -ENOMEM, false, "create of 64 MiB");
	/* The shell is limited. */
	ASSERT_EQ(0, vt_call(&self->dm, vt_become, USER, USER, 0));
	self->cfg->data_size = 64 * MIB;
	self->cfg->versions = 1;
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	t = attempt(self->name, RLIMIT_MEMLOCK, 8 * MIB);
	t->lock = true;
	t->uid = USER;
	t->shell = true;
	TRY(t, -ENOMEM, false, "connect to 64 MiB");
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	/* The daemon is limited when a shell connects: by what it makes, and by what it maps. */
	self->cfg->data_size = 4096;
	for (int mapped = 0; mapped < 2; mapped++) {
		self->cfg->cmd_size = mapped ? MIB : 64;
		self->cfg->resp_size = mapped ? 64 : MIB;
		ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
		ASSERT_EQ(0, vt_call(&self->dm, lock_future, 1));
		EXPECT_EQ(-ENOMEM, vt_call(&self->sh, ps_connect, self->name))
		TH_LOG("mapped %d: %s", mapped, vt_errmsg);
		SAYS("daemon");
		ASSERT_EQ(0, vt_call(&self->dm, lock_future, 0));
		ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	}
}

TEST_F(limits, threads)
{
	if (getuid())
		SKIP(return, "needs root, to become another user");
	ASSERT_EQ(0, vt_call(&self->dm, vt_become, USER, USER, 0));
	ASSERT_EQ(0, vt_call(&self->dm, limit, RLIMIT_NPROC, 0, -1));
	EXPECT_EQ(-ENOMEM, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_NE(0, strlen(vt_errmsg));
	EXPECT_EQ(-ENOENT, vt_call(&self->sh, ps_connect, self->name));
	ASSERT_EQ(0, vt_call(&self->dm, limit, RLIMIT_NPROC, UNLIMIT)); /* the leak check needs a thread */
}

/* Limits the address space to its present size and some more. */
static long limit_space(long more, long b, long c)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	VT_CHECK(f && fscanf(f, "%lu", &pages) == 1);
	fclose(f);
	return limit(RLIMIT_AS, (long)(pages * 4096) + more, -1) + b + c;
}

TEST_F(limits, address_space)
{
	long err;

	if (sanitized())
		SKIP(return, "the sanitizers want all of it");
	self->cfg->data_size = 4 * MIB;
	self->cfg->cmd_size = 65536;
	self->cfg->resp_size = 65536;
	ASSERT_EQ(0, vt_call(&self->sh, pd_create, "other", self->cfg)) TH_LOG("%s", vt_errmsg);
	for (long more = 0; more < 100 * (long)MIB; more += 1536 * 1024) {
		ASSERT_EQ(0, vt_call(&self->dm, limit_space, more));
		err = vt_call(&self->dm, pd_create, self->name, self->cfg);
		if (err) {
			EXPECT_EQ(-ENOMEM, err) TH_LOG("create with %ld KiB more: %s", more / 1024, vt_errmsg);
			EXPECT_NE(0, strlen(vt_errmsg));
		} else {
			ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
		}
		err = vt_call(&self->dm, ps_connect, "other");
		if (err) {
			EXPECT_EQ(-ENOMEM, err) TH_LOG("connect with %ld KiB more: %s", more / 1024, vt_errmsg);
			EXPECT_NE(0, strlen(vt_errmsg));
		} else {
			ASSERT_EQ(0, vt_call(&self->dm, ps_close));
		}
		ASSERT_EQ(0, vt_call(&self->dm, limit, RLIMIT_AS, UNLIMIT));
	}
}

/* ---- a memory cgroup ---- */

struct cgroup {
	char dir[200];
	bool v2;
};

static bool write_to(const char *dir, const char *file, const char *text)
{
	char path[300];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

static bool cgroup_make(struct cgroup *g, const char *bytes)
{
	g->v2 = !access("/sys/fs/cgroup/cgroup.controllers", F_OK);
	if (g->v2)
		write_to("/sys/fs/cgroup", "cgroup.subtree_control", "+memory");
	snprintf(g->dir, sizeof(g->dir), "%s/venom-test-%d", g->v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory",
		 getpid());
	if (mkdir(g->dir, 0755))
		return false;
	if (write_to(g->dir, g->v2 ? "memory.max" : "memory.limit_in_bytes", bytes))
		return true;
	rmdir(g->dir);
	return false;
}

static long cgroup_enter(long arg, long b, long c)
{
	struct cgroup *g = (struct cgroup *)arg;

	return (write_to(g->dir, "cgroup.procs", "0") ? 0 : -errno) + b + c;
}

TEST_F(limits, memory_cgroup)
{
	struct cgroup *g = (struct cgroup *)vt_box;
	long err;

	if (getuid())
		SKIP(return, "needs root, to make a cgroup");
	if (sanitized())
		SKIP(return, "the sanitizers want more than it has");
	if (!cgroup_make(g, "67108864"))
		SKIP(return, "no memory cgroup can be made here");
	ASSERT_EQ(0, vt_call(&self->dm, cgroup_enter, g));
	self->cfg->versions = 1;
	self->cfg->data_size = 256 * MIB;
	EXPECT_EQ(-ENOMEM, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("create: %s", vt_errmsg);
	EXPECT_NE(0, strlen(vt_errmsg));
	/* The buffer of one command, which is not in an area. */
	self->cfg->data_size = 4096;
	self->cfg->cmd_size = 256 * MIB;
	err = vt_call(&self->dm, pd_create, self->name, self->cfg);
	EXPECT_EQ(-ENOMEM, err) TH_LOG("a large command: %s", vt_errmsg);
	if (err == VT_DEAD) { /* killed */
		vt_kill(&self->dm, SIGKILL);
		vt_start(&self->dm);
		ASSERT_EQ(0, vt_call(&self->dm, cgroup_enter, g));
	}
	/* The daemon has no memory for a shell that connects. */
	self->cfg->data_size = 16 * MIB;
	self->cfg->cmd_size = 64;
	self->cfg->resp_size = 2 * MIB; /* 64 of them */
	err = vt_call(&self->dm, pd_create, self->name, self->cfg);
	EXPECT_EQ(0, err) TH_LOG("%s", vt_errmsg);
	if (!err) {
		EXPECT_EQ(-ENOMEM, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("connect: %s", vt_errmsg);
		EXPECT_EQ(0, vt_call(&self->dm, pd_publish, 1, 20)) TH_LOG("the daemon is no more");
	}
	vt_kill(&self->dm, SIGKILL);
	EXPECT_EQ(0, VT_UNTIL(!rmdir(g->dir)) ? 0 : -errno);
}

/* ---- the folder ---- */

static int nothing(const struct venom_info *info, void *user)
{
	(void)info;
	(void)user;
	return 0;
}

static long list_all(long a, long b, long c)
{
	return venom_list(nothing, NULL) + a + b + c;
}

static long stat_of(long name, long b, long c)
{
	return venom_stat((const char *)name, NULL, NULL, NULL, NULL) + b + c;
}

TEST_F(limits, a_folder_that_can_t_be_searched)
{
	if (getuid())
		SKIP(return, "needs root, to become another user");
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, chmod(self->dir, 0700));
	ASSERT_EQ(0, vt_call(&self->sh, vt_become, USER, USER, 0));
	EXPECT_EQ(-EACCES, vt_call(&self->sh, ps_connect, self->name));
	SAYS(self->dir);
	EXPECT_EQ(NULL, strstr(vt_errmsg, "mode")) TH_LOG("\"%s\"", vt_errmsg);
	EXPECT_GT(0, vt_call(&self->sh, list_all));
	EXPECT_EQ(-EACCES, vt_call(&self->sh, stat_of, self->name));
	EXPECT_EQ(-EACCES, vt_call(&self->sh, pd_create, self->name, self->cfg));
	SAYS(self->dir);
	/* The folder can be searched, but not read: a shell that knows a name finds it. */
	ASSERT_EQ(0, chmod(self->dir, 0711));
	EXPECT_GT(0, vt_call(&self->sh, list_all));
	ASSERT_EQ(0, chmod(self->dir, 0755));
	EXPECT_EQ(0, vt_call(&self->sh, ps_connect, self->name)) TH_LOG("%s", vt_errmsg);
}

/* ---- each failure has its sentence ---- */

static long set_dir(long dir, long b, long c)
{
	setenv("VENOM_RUNTIME_DIR", (const char *)dir, 1);
	return b + c;
}

#define X16 "xxxxxxxxxxxxxxxx"

TEST_F(limits, each_failure_says_something)
{
	static const char *const names[] = {NULL, "", X16 X16 X16 X16, "a/b", ".a", "a b", "nobody"};
	char *file = vt_string("%s/file", self->dir);
	const char *const dirs[] = {
		vt_string("%s/not/there", self->dir),
		vt_string("%s/file/below", self->dir),
		file,
		vt_string("%s/" X16 X16 X16 X16 X16 X16 X16, self->dir),
		"relative/path",
		"/proc",
	};
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_daemon *d;
	struct venom_shell *s;
	int fd;

	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	close(fd);
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_GT(0, venom_shell_connect(&s, names[i]));
		EXPECT_NE(0, strlen(venom_errmsg())) TH_LOG("connect, %s", names[i] ? names[i] : "NULL");
	}
	cfg.cmd_slots = 0;
	EXPECT_EQ(-EINVAL, venom_daemon_create(&d, self->name, &cfg));
	EXPECT_NE(0, strlen(venom_errmsg()));
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg));
	EXPECT_EQ(-EBUSY, venom_daemon_create(&d, self->name, NULL));
	EXPECT_NE(0, strlen(venom_errmsg()));
	for (unsigned int i = 0; i < ARRAY_SIZE(dirs); i++) {
		long err;

		vt_call(&self->sh, set_dir, dirs[i]);
		err = vt_call(&self->sh, pd_create, self->name, self->cfg);
		EXPECT_GT(0, err) TH_LOG("create in %s", dirs[i]);
		EXPECT_NE(0, strlen(vt_errmsg)) TH_LOG("create in %s: %ld", dirs[i], err);
		err = vt_call(&self->sh, ps_connect, self->name);
		EXPECT_GT(0, err) TH_LOG("connect in %s", dirs[i]);
		EXPECT_NE(0, strlen(vt_errmsg)) TH_LOG("connect in %s: %ld", dirs[i], err);
	}
}

TEST_HARNESS_MAIN

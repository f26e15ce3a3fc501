/* SPDX-License-Identifier: MIT */
/*
 * Attacks the places of channels on the embedded backend.  In a folder that several users may write, each user has a
 * subfolder of its own: no user may take, spoil or redirect another user's channel, and nothing outside a daemon's own
 * place may be touched.  Also attacks the names with a fork, a close, a second copy of the library, a cleaner of /tmp
 * and a kill.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/user.h"
#include "lib/watch.h"

#define A     VT_ID(1)
#define B     VT_ID(2)
#define C     VT_ID(3)
#define GROUP VT_ID(10)

/* ---- what lies where ---- */

static bool exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

static bool is(const char *path, mode_t mode, uid_t uid)
{
	struct stat st;

	if (lstat(path, &st)) {
		fprintf(stderr, "# %s: %s\n", path, strerror(errno));
		return false;
	}
	if (st.st_mode == mode && st.st_uid == uid)
		return true;
	fprintf(stderr, "# %s is %o of %u, not %o of %u\n", path, st.st_mode, st.st_uid, mode, uid);
	return false;
}

/* A channel's entries in its place: the socket, and the lock file with its epoch. */
static bool has_channel(const char *place, const char *name, uid_t uid)
{
	const char *lock = vt_string("%s/.%s.lock", place, name);
	struct stat st;

	if (lstat(vt_string("%s/%s", place, name), &st) || !S_ISSOCK(st.st_mode) || st.st_uid != uid)
		return false;
	return !lstat(lock, &st) && S_ISREG(st.st_mode) && st.st_uid == uid && st.st_size == 8 && st.st_nlink == 1;
}

static bool has_nothing(const char *place, const char *name)
{
	return !exists(vt_string("%s/%s", place, name)) && !exists(vt_string("%s/.%s.lock", place, name));
}

static int entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = -2; /* . and .. */

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	VT_CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static bool holds(const char *path, const char *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[64];
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n);
}

/* What may lie in a place under a channel's name. */
enum entry { LOCK, SOCKET, NEW_SOCKET, ENTRIES };

static char *entry_of(const char *place, const char *name, enum entry what)
{
	switch (what) {
	case LOCK:
		return vt_string("%s/.%s.lock", place, name);
	case SOCKET:
		return vt_string("%s/%s", place, name);
	default:
		return vt_string("%s/.%s.new", place, name);
	}
}

/* ---- calls for peers ---- */

static long set_umask(long mask, long b, long c)
{
	umask((mode_t)mask);
	return b + c;
}

/* Returns the uid of the daemon that a shell reaches by this name, or the errno. */
static long reached(long name, long b, long c)
{
	struct venom_info info;
	long rc = ps_connect(name, b, c);

	if (rc)
		return rc;
	VT_CHECK(!venom_shell_info(ps, &info));
	ps_close(b, c, 0);
	return info.uid;
}

struct wanted {
	const char *name;
	long uid;
};

static int living(const struct venom_info *info, void *arg)
{
	struct wanted *w = arg;

	if (!strcmp(info->name, w->name) && info->alive)
		w->uid = info->uid;
	return 0;
}

/* The same by venom_list(); -1: no live daemon is listed. */
static long listed(long name, long b, long c)
{
	struct wanted w = {.name = (const char *)name, .uid = -1};

	VT_CHECK(venom_list(living, &w) >= 0);
	return w.uid + b + c;
}

/* ---- a folder that several users may write ---- */

/* For the process that makes links there, without end. */
struct swaps {
	char dir[64], secret[64], name[VENOM_NAME_MAX + 1];
	bool stop;
};

FIXTURE(places)
{
	struct vt_peer a, b, c, root;
	struct venom_config *cfg;
	const char *name;
	char *dir, *place[2]; /* A's and root's */
	char *own[4]; /* other folders */
	int owns;
	struct swaps *swaps;
	bool ready;
};

FIXTURE_VARIANT(places)
{
	mode_t mode;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(places, for_all) { .mode = 01777 };
FIXTURE_VARIANT_ADD(places, for_a_group) { .mode = 02775 };
FIXTURE_VARIANT_ADD(places, sticky_for_a_group) { .mode = 03775 };
/* clang-format on */

FIXTURE_SETUP(places)
{
	embedded_only();
	if (geteuid())
		SKIP(return, "needs root, to become other users");
	self->dir = vt_dir(0, GROUP, variant->mode);
	self->place[0] = vt_string("%s/%d", self->dir, A);
	self->place[1] = vt_string("%s/0", self->dir);
	self->swaps = vt_shared(sizeof(*self->swaps));
	setenv("VENOM_RUNTIME_DIR", self->dir, 1);
	self->cfg = vt_config();
	self->cfg->mode = 0666;
	self->name = vt_name();
	vt_start(&self->a);
	vt_start(&self->b);
	vt_start(&self->c);
	vt_start(&self->root);
	ASSERT_EQ(0, vt_call(&self->a, vt_become, A, A, GROUP));
	ASSERT_EQ(0, vt_call(&self->b, vt_become, B, B, GROUP));
	ASSERT_EQ(0, vt_call(&self->c, vt_become, C, C, GROUP));
	self->ready = true;
}

FIXTURE_TEARDOWN(places)
{
	struct vt_peer *peers[] = {&self->a, &self->b, &self->c, &self->root};

	if (!self->ready)
		return;
	for (int i = 0; i < 4; i++) {
		if (!peers[i]->pid)
			continue;
		EXPECT_EQ(0, vt_call(peers[i], pp_end));
		EXPECT_EQ(0, vt_stop(peers[i]));
	}
	vt_remove_tree(self->dir);
	while (self->owns)
		vt_remove_tree(self->own[--self->owns]);
}

TEST_F(places, each_user_has_one)
{
	mode_t mode = S_IFDIR | 0755 | (variant->mode & 02000);
	struct stat st;

	ASSERT_EQ(0, vt_call(&self->a, set_umask, 077));
	ASSERT_EQ(0, vt_call(&self->root, set_umask, 077));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(is(self->place[0], mode, A));
	EXPECT_TRUE(has_channel(self->place[0], self->name, A));
	EXPECT_EQ(2, entries(self->place[0]));
	EXPECT_EQ(1, entries(self->dir));
	if (variant->mode & 02000) {
		ASSERT_EQ(0, stat(self->place[0], &st));
		EXPECT_EQ(GROUP, st.st_gid);
	}
	EXPECT_EQ(A, vt_call(&self->a, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(A, vt_call(&self->b, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(A, vt_call(&self->root, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(A, vt_call(&self->b, listed, self->name));
	EXPECT_EQ(A, vt_call(&self->root, listed, self->name));
	ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
	EXPECT_EQ(0, entries(self->place[0]));
	ASSERT_EQ(0, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(is(self->place[1], mode, 0));
	EXPECT_TRUE(has_channel(self->place[1], self->name, 0));
	EXPECT_EQ(0, vt_call(&self->b, reached, self->name)) TH_LOG("%s", vt_errmsg);
}

/* A folder that only its owner can write is itself the place. */
TEST_F(places, one_s_own_folder_is_one)
{
	ASSERT_EQ(0, chown(self->dir, A, A));
	ASSERT_EQ(0, chmod(self->dir, 0755));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(has_channel(self->dir, self->name, A));
	EXPECT_EQ(2, entries(self->dir));
	EXPECT_EQ(A, vt_call(&self->b, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(A, vt_call(&self->root, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(-EACCES, vt_call(&self->b, pd_create, vt_name(), self->cfg));
	EXPECT_NE(0, strlen(vt_errmsg));
	ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
	/* The folder is no place any more once its group can write it. */
	ASSERT_EQ(0, chmod(self->dir, 0775));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(has_channel(self->place[0], self->name, A));
	EXPECT_TRUE(has_nothing(self->dir, self->name));
}

TEST_F(places, a_living_name_is_nobody_else_s)
{
	static const uint32_t modes[] = {0666, 0600};

	for (int i = 0; i < 2; i++) {
		self->cfg->mode = modes[i];
		ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
		EXPECT_EQ(-EBUSY, vt_call(&self->b, pd_create, self->name, self->cfg)) TH_LOG("mode %o", modes[i]);
		EXPECT_NE(0, strlen(vt_errmsg));
		EXPECT_EQ(-EBUSY, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("mode %o", modes[i]);
		EXPECT_NE(0, strlen(vt_errmsg));
		EXPECT_EQ(A, vt_call(&self->a, reached, self->name));
		EXPECT_TRUE(has_channel(self->place[0], self->name, A));
		ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
	}
	EXPECT_EQ(0, vt_call(&self->b, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
}

TEST_F(places, a_dead_one_s_name_can_be_taken_by_all)
{
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	vt_kill(&self->a, SIGKILL);
	EXPECT_EQ(-ENOENT, vt_call(&self->c, reached, self->name));
	ASSERT_EQ(0, vt_call(&self->b, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(B, vt_call(&self->c, reached, self->name)) TH_LOG("%s", vt_errmsg);
	vt_kill(&self->b, SIGKILL);
	ASSERT_EQ(0, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->c, reached, self->name)) TH_LOG("%s", vt_errmsg);
}

/* ---- subfolders that others have made ---- */

static int link_elsewhere(const char *path)
{
	return symlink(vt_string("%s-elsewhere", path), path);
}

static int sub_dir(const char *path)
{
	return mkdir(path, 0755);
}

static int sub_file(const char *path)
{
	put(path, "keep");
	return 0;
}

static int sub_fifo(const char *path)
{
	return mkfifo(path, 0644);
}

static const struct {
	const char *what;
	int (*make)(const char *path);
	bool others; /* it belongs to B */
	mode_t mode; /* of a folder, else 0 */
} subs[] = {
	{"another's folder", sub_dir, true, 0755},
	{"another's folder that all can write", sub_dir, true, 0777},
	{"a folder that its group can write", sub_dir, false, 0775},
	{"a folder that all can write", sub_dir, false, 0757},
	{"a link to a good folder", link_elsewhere, false, 0},
	{"another's link to a good folder", link_elsewhere, true, 0},
	{"a file", sub_file, false, 0},
	{"another's file", sub_file, true, 0},
	{"a FIFO", sub_fifo, false, 0},
	{"another's FIFO", sub_fifo, true, 0},
};

TEST_F(places, what_is_no_subfolder_is_not_used)
{
	struct vt_peer *who[] = {&self->a, &self->root};
	static const uid_t uids[] = {A, 0};
	char *elsewhere;
	struct stat before, after;
	long err;

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(subs); i++) {
		const char *what = subs[i / 2].what, *place = self->place[i % 2];
		uid_t owner = subs[i / 2].others ? B : uids[i % 2];

		elsewhere = vt_string("%s-elsewhere", place);
		ASSERT_EQ(0, mkdir(elsewhere, 0755));
		ASSERT_EQ(0, chown(elsewhere, uids[i % 2], GROUP));
		ASSERT_EQ(0, subs[i / 2].make(place)) TH_LOG("%s", what);
		ASSERT_EQ(0, lchown(place, owner, GROUP));
		if (subs[i / 2].mode)
			chmod(place, subs[i / 2].mode);
		ASSERT_EQ(0, lstat(place, &before));

		err = vt_call(who[i % 2], pd_create, self->name, self->cfg);
		EXPECT_TRUE(err < 0 && err > -4096) TH_LOG("%s of %u: %ld", what, uids[i % 2], err);
		if (subs[i / 2].mode) {
			EXPECT_EQ(-EACCES, err) TH_LOG("%s of %u", what, uids[i % 2]);
		}
		EXPECT_NE(NULL, strstr(vt_errmsg, place)) TH_LOG("%s: \"%s\"", what, vt_errmsg);
		ASSERT_EQ(0, lstat(place, &after)) TH_LOG("%s", what);
		EXPECT_EQ(before.st_ino, after.st_ino) TH_LOG("%s", what);
		EXPECT_EQ(before.st_mode, after.st_mode) TH_LOG("%s", what);
		EXPECT_EQ(before.st_uid, after.st_uid) TH_LOG("%s", what);
		EXPECT_EQ(before.st_size, after.st_size) TH_LOG("%s", what);
		EXPECT_EQ(before.st_ctime, after.st_ctime) TH_LOG("%s", what);
		EXPECT_EQ(0, entries(elsewhere)) TH_LOG("%s", what);
		/* It blocks no other user. */
		EXPECT_EQ(-ENOENT, vt_call(&self->c, reached, self->name)) TH_LOG("%s: %s", what, vt_errmsg);
		EXPECT_EQ(0, vt_call(&self->b, pd_create, self->name, self->cfg)) TH_LOG("%s: %s", what, vt_errmsg);
		EXPECT_EQ(B, vt_call(&self->c, reached, self->name)) TH_LOG("%s: %s", what, vt_errmsg);
		ASSERT_EQ(0, vt_call(&self->b, pd_destroy));
		/* What is left would hide the next case. */
		if (!err) {
			ASSERT_EQ(0, vt_call(who[i % 2], pd_destroy));
		}
		vt_remove_tree(place);
		vt_remove_tree(elsewhere);
	}
}

/* ---- entries that are not what their names say ---- */

/* Both are in the same place; `made` does not exist. */
static const char *precious, *made;

static int link_precious(const char *path)
{
	return symlink(precious, path);
}

static int hard_link_precious(const char *path)
{
	return link(precious, path);
}

static int link_to_nothing(const char *path)
{
	return symlink(made, path);
}

static const struct {
	const char *what;
	int (*make)(const char *path);
} oddities[] = {
	{"a link", link_precious},
	{"a link to what isn't there", link_to_nothing},
	{"a hard link", hard_link_precious},
	{"a FIFO", sub_fifo},
	{"a folder", sub_dir},
};

/* Even in a user's own place an entry that is not a channel's is left alone: it was put there for a purpose. */
TEST_F(places, entries_that_are_no_channel_s)
{
	const char *place = self->place[0], *other = vt_name(), *path;
	struct stat before, after;
	long err;

	ASSERT_EQ(0, mkdir(place, 0755));
	ASSERT_EQ(0, chown(place, A, A));
	precious = vt_string("%s/precious", place);
	made = vt_string("%s/made", place);
	for (unsigned int i = 0; i < ENTRIES * ARRAY_SIZE(oddities); i++) {
		const char *what = oddities[i / ENTRIES].what;

		put(precious, "precious");
		ASSERT_EQ(0, chown(precious, A, A));
		path = entry_of(place, self->name, i % ENTRIES);
		ASSERT_EQ(0, oddities[i / ENTRIES].make(path)) TH_LOG("%s as %s", what, path);
		ASSERT_EQ(0, lchown(path, A, A));
		ASSERT_EQ(0, lstat(path, &before));
		if (i % ENTRIES == SOCKET) {
			EXPECT_GT(0, vt_call(&self->c, reached, self->name)) TH_LOG("%s as %s", what, path);
		}
		err = vt_call(&self->a, pd_create, self->name, self->cfg);
		EXPECT_NE(VT_DEAD, err) TH_LOG("%s as %s: hangs", what, path);
		if (i % ENTRIES == LOCK) {
			EXPECT_GT(0, err) TH_LOG("%s as %s", what, path);
		}
		if (err) {
			EXPECT_NE(0, strlen(vt_errmsg)) TH_LOG("%s as %s", what, path);
			ASSERT_EQ(0, lstat(path, &after)) TH_LOG("%s as %s", what, path);
			EXPECT_EQ(before.st_mode, after.st_mode) TH_LOG("%s as %s", what, path);
		} else {
			EXPECT_EQ(A, vt_call(&self->c, reached, self->name)) TH_LOG("%s as %s: %s", what, path, vt_errmsg);
			ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
		}
		EXPECT_TRUE(holds(precious, "precious")) TH_LOG("%s as %s", what, path);
		EXPECT_TRUE(is(precious, S_IFREG | 0600, A)) TH_LOG("%s as %s", what, path);
		EXPECT_FALSE(exists(made)) TH_LOG("%s as %s", what, path);
		/* Another name in the same place works. */
		EXPECT_EQ(0, vt_call(&self->a, pd_create, other, self->cfg)) TH_LOG("%s as %s: %s", what, path, vt_errmsg);
		EXPECT_EQ(A, vt_call(&self->c, reached, other)) TH_LOG("%s as %s: %s", what, path, vt_errmsg);
		ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
		EXPECT_TRUE(holds(precious, "precious")) TH_LOG("%s as %s", what, path);
		if (exists(path))
			vt_remove_tree(path);
		if (exists(made))
			unlink(made);
	}
}

/* ---- sockets in another's place ---- */

/* Makes a daemon of this peer in a folder of its own, and links its socket into `place`. */
#define MADE_ELSEWHERE(peer, uid, place)                                                                    \
	do {                                                                                                \
		char *own_ = vt_dir(uid, uid, 0755);                                                        \
                                                                                                            \
		ASSERT_EQ(0, vt_call(peer, vt_setenv, "VENOM_RUNTIME_DIR", own_));                          \
		ASSERT_EQ(0, vt_call(peer, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);      \
		ASSERT_EQ(0, vt_call(peer, vt_setenv, "VENOM_RUNTIME_DIR", self->dir));                     \
		unlink(vt_string("%s/%s", place, self->name));                                              \
		ASSERT_EQ(0, link(vt_string("%s/%s", own_, self->name), vt_string("%s/%s", place, self->name))); \
		self->own[self->owns++] = own_;                                                             \
	} while (0)

static int make_place(const char *place, uid_t uid)
{
	return mkdir(place, 0755) || chown(place, uid, uid) ? -errno : 0;
}

TEST_F(places, another_s_socket_is_not_believed)
{
	struct vt_peer *who[] = {&self->a, &self->c, &self->root};

	ASSERT_EQ(0, make_place(self->place[0], A));
	MADE_ELSEWHERE(&self->b, B, self->place[0]);
	for (int i = 0; i < 3; i++) {
		EXPECT_GT(0, vt_call(who[i], reached, self->name));
		EXPECT_EQ(-1, vt_call(who[i], listed, self->name));
	}
	EXPECT_EQ(0, vt_call(&self->b, pd_destroy));
	/* Root's socket is trusted. */
	MADE_ELSEWHERE(&self->root, 0, self->place[0]);
	EXPECT_EQ(0, vt_call(&self->c, reached, self->name)) TH_LOG("%s", vt_errmsg);
}

TEST_F(places, one_name_of_two_users)
{
	char *place = vt_string("%s/%d", self->dir, B);

	ASSERT_EQ(0, make_place(self->place[0], A));
	ASSERT_EQ(0, make_place(self->place[1], 0));
	ASSERT_EQ(0, make_place(place, B));
	MADE_ELSEWHERE(&self->a, A, self->place[0]);
	EXPECT_EQ(A, vt_call(&self->c, reached, self->name)) TH_LOG("%s", vt_errmsg);
	MADE_ELSEWHERE(&self->b, B, place);
	EXPECT_EQ(-EEXIST, vt_call(&self->c, reached, self->name));
	EXPECT_NE(NULL, strstr(vt_errmsg, vt_string("%d", A))) TH_LOG("\"%s\"", vt_errmsg);
	EXPECT_NE(NULL, strstr(vt_errmsg, vt_string("%d", B))) TH_LOG("\"%s\"", vt_errmsg);
	EXPECT_EQ(-EEXIST, vt_call(&self->root, reached, self->name));
	/* A user's own channel goes first, then root's. */
	EXPECT_EQ(A, vt_call(&self->a, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(B, vt_call(&self->b, reached, self->name)) TH_LOG("%s", vt_errmsg);
	MADE_ELSEWHERE(&self->root, 0, self->place[1]);
	EXPECT_EQ(A, vt_call(&self->a, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->c, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->root, reached, self->name)) TH_LOG("%s", vt_errmsg);
	/* Dead channels are ignored. */
	ASSERT_EQ(0, vt_call(&self->root, pd_destroy));
	vt_kill(&self->a, SIGKILL);
	EXPECT_EQ(B, vt_call(&self->c, reached, self->name)) TH_LOG("%s", vt_errmsg);
}

/* ---- links that are swapped while root creates ---- */

static long swap_without_end(long arg, long b, long c)
{
	struct swaps *w = (struct swaps *)arg;
	char sub[100], aside[100], old[120], *path[ENTRIES], *to[ENTRIES];
	uint64_t rnd = 1;

	snprintf(sub, sizeof(sub), "%s/0", w->dir);
	snprintf(aside, sizeof(aside), "%s/aside", w->dir);
	for (enum entry i = 0; i < ENTRIES; i++) {
		path[i] = entry_of(w->dir, w->name, i);
		to[i] = entry_of(w->secret, w->name, i);
	}
	while (!vt_load(&w->stop)) {
		/* Swap the subfolder, where the folder's mode lets us. */
		if (!rename(sub, aside) || errno == ENOENT) {
			if (!symlink(w->secret, sub)) {
				usleep(vt_rand(&rnd) % 200);
				unlink(sub);
			}
			snprintf(old, sizeof(old), "%s/old-%u", w->dir, (unsigned int)vt_rand(&rnd));
			if (rename(aside, sub))
				rename(aside, old);
		}
		/* Swap whatever lies in the folder itself. */
		for (enum entry i = 0; i < ENTRIES; i++) {
			if (!symlink(to[i], aside) && rename(aside, path[i]))
				unlink(aside);
			usleep(vt_rand(&rnd) % 100);
			unlink(path[i]);
		}
	}
	return b + c;
}

TEST_F(places, who_swaps_links_gets_nothing)
{
	struct swaps *w = self->swaps;
	char *secret = vt_dir(0, 0, 0755);
	uint64_t until = vt_now() + vt_scaled(1000) * VT_MS + 200 * VT_MS;
	unsigned int worked = 0, tries = 0;
	struct stat before, after;
	long rc;

	strcpy(w->dir, self->dir);
	strcpy(w->secret, secret);
	strcpy(w->name, self->name);
	for (enum entry i = 0; i < ENTRIES; i++)
		put(entry_of(secret, self->name, i), "secret");
	ASSERT_EQ(0, stat(secret, &before));
	vt_post(&self->b, swap_without_end, w);
	while (vt_now() < until) {
		rc = vt_call(&self->root, pd_create, self->name, self->cfg);
		ASSERT_NE(VT_DEAD, rc);
		ASSERT_GE(0, rc);
		tries++;
		worked += !rc;
		if (rc) {
			ASSERT_NE(0, strlen(vt_errmsg)) TH_LOG("%ld", rc);
		} else {
			ASSERT_EQ(0, vt_call(&self->root, pd_destroy));
		}
		rmdir(self->place[1]);
	}
	vt_store(&w->stop, true);
	ASSERT_EQ(0, vt_result(&self->b));
	fprintf(stderr, "# %u of %u creates worked\n", worked, tries);
	ASSERT_EQ(0, stat(secret, &after));
	EXPECT_EQ(before.st_mode, after.st_mode);
	EXPECT_EQ(ENTRIES, entries(secret));
	for (enum entry i = 0; i < ENTRIES; i++) {
		EXPECT_TRUE(is(entry_of(secret, self->name, i), S_IFREG | 0600, 0));
		EXPECT_TRUE(holds(entry_of(secret, self->name, i), "secret"));
	}
	vt_remove_tree(secret);
}

/* ---- which folder: in a mount namespace of our own ---- */

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
	struct vt_peer *peers[] = {&self->a, &self->b, &self->root};

	if (!self->ready)
		return;
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, vt_call(peers[i], pp_end));
		EXPECT_EQ(0, vt_stop(peers[i]));
	}
}

TEST_F(folders, root_s_umask_keeps_nobody_out)
{
	self->cfg->mode = 0666;
	ASSERT_EQ(0, vt_call(&self->root, set_umask, 077));
	ASSERT_EQ(0, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(is("/run/venom", S_IFDIR | 0755, 0));
	EXPECT_TRUE(has_channel("/run/venom", self->name, 0));
	EXPECT_EQ(0, vt_call(&self->a, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->a, listed, self->name));
}

TEST_F(folders, private_channels)
{
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(has_channel(vt_string("/tmp/venom-%d", A), self->name, A));
	ASSERT_EQ(0, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(has_channel("/run/venom", self->name, 0));
	EXPECT_EQ(A, vt_call(&self->a, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->root, reached, self->name)) TH_LOG("%s", vt_errmsg);
	/* A shell with XDG_RUNTIME_DIR finds the channel of a daemon without it, and the other way round. */
	ASSERT_EQ(0, vt_call(&self->a, vt_setenv, "XDG_RUNTIME_DIR", "/run/user/a"));
	EXPECT_EQ(A, vt_call(&self->a, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(A, vt_call(&self->a, listed, self->name));
	ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(has_channel("/run/user/a/venom", self->name, A));
	EXPECT_EQ(A, vt_call(&self->a, reached, self->name)) TH_LOG("%s", vt_errmsg);
}

/* As with sudo: the environment is a user's, the rights are root's. */
TEST_F(folders, another_s_xdg_folder_is_left_alone)
{
	ASSERT_EQ(0, vt_call(&self->root, vt_setenv, "XDG_RUNTIME_DIR", "/run/user/a"));
	ASSERT_EQ(0, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, entries("/run/user/a"));
	EXPECT_TRUE(has_channel("/run/venom", self->name, 0));
	EXPECT_EQ(0, vt_call(&self->root, reached, self->name)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->a, vt_setenv, "XDG_RUNTIME_DIR", "/run/user/a"));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, vt_name(), self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->b, vt_setenv, "XDG_RUNTIME_DIR", "/run/user/a"));
	ASSERT_EQ(0, vt_call(&self->b, pd_create, vt_name(), self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(2, entries(vt_string("/tmp/venom-%d", B)));
}

TEST_F(folders, shared_channels_of_a_group)
{
	ASSERT_EQ(0, mkdir("/run/venom", 0755));
	ASSERT_EQ(0, chown("/run/venom", 0, GROUP));
	ASSERT_EQ(0, chmod("/run/venom", 03775));
	self->cfg->mode = 0660;
	ASSERT_EQ(0, vt_call(&self->a, set_umask, 077));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(has_channel(vt_string("/run/venom/%d", A), self->name, A));
	EXPECT_EQ(A, vt_call(&self->b, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(-EBUSY, vt_call(&self->b, pd_create, self->name, self->cfg));
}

/* ---- names ---- */

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
	struct vt_peer *peers[] = {&self->dm, &self->other};

	if (!self->ready)
		return;
	for (int i = 0; i < 2; i++) {
		if (!peers[i]->pid)
			continue;
		EXPECT_EQ(0, vt_call(peers[i], pp_end));
		EXPECT_EQ(0, vt_stop(peers[i]));
	}
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
	EXPECT_EQ(getuid(), vt_call(&self->other, reached, self->name)) TH_LOG("%s", vt_errmsg);
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
	EXPECT_EQ(getuid(), vt_call(&self->other, reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->dm, create_by_the_other, another));
	EXPECT_EQ(getuid(), vt_call(&self->other, reached, self->name)) TH_LOG("%s", vt_errmsg);
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
	EXPECT_EQ(getuid(), vt_call(&self->other, reached, self->name)) TH_LOG("%s", vt_errmsg);
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
	EXPECT_EQ(getuid(), vt_call(&self->other, reached, self->name)) TH_LOG("%s", vt_errmsg);
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

/* A timer removes old files in /tmp: a live channel's entries, too. */
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
		ASSERT_TRUE(VT_UNTIL(has_channel(self->dir, self->name, getuid()))) TH_LOG("in round %u", i);
		EXPECT_EQ(getuid(), vt_call(&self->other, reached, self->name)) TH_LOG("%s", vt_errmsg);
		EXPECT_EQ(-EBUSY, vt_call(&self->other, pd_create, self->name, NULL)) TH_LOG("in round %u", i);
	}
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_TRUE(has_nothing(self->dir, self->name));
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
	EXPECT_TRUE(has_channel(self->dir, self->name, getuid()));
	ASSERT_EQ(0, lstat(self->sock, &now));
	EXPECT_EQ(st.st_ino, now.st_ino);
	EXPECT_EQ(getuid(), vt_call(&self->dm, reached, self->name)) TH_LOG("%s", vt_errmsg);
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

/* Each daemon clears away the dead daemons' entries, and must not take a daemon that is about to live for dead. */
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
		EXPECT_TRUE(exists(vt_string("%s/%s", self->dir, dead[i])));
	}
	ASSERT_EQ(0, vt_call(&self->other, pd_create, last, NULL)) TH_LOG("%s", vt_errmsg);
	for (int i = 0; i < 5; i++) {
		EXPECT_TRUE(has_nothing(self->dir, dead[i])) TH_LOG("the %d. of 5", i + 1);
		vt_forget(dead[i]);
	}
	EXPECT_TRUE(has_channel(self->dir, self->name, getuid()));
	EXPECT_TRUE(has_channel(self->dir, last, getuid()));
	EXPECT_EQ(getuid(), vt_call(&self->dm, reached, last)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(getuid(), vt_call(&self->other, reached, self->name)) TH_LOG("%s", vt_errmsg);
}

TEST_HARNESS_MAIN

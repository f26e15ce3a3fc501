/* SPDX-License-Identifier: MIT */
/*
 * Attacks a daemon with what others put where it makes its own, on the embedded backend: folders, links, hard links,
 * FIFOs and files, and links that are exchanged meanwhile.  Nothing outside a daemon's own place may be touched, and no
 * such entry may be used.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "attack/places.h"
#include "lib/place.h"
#include "lib/watch.h"

/* ---- files and entries ---- */

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
		EXPECT_EQ(0, vt_entries(elsewhere)) TH_LOG("%s", what);
		/* It blocks no other user. */
		EXPECT_EQ(-ENOENT, vt_call(&self->c, vt_reached, self->name)) TH_LOG("%s: %s", what, vt_errmsg);
		EXPECT_EQ(0, vt_call(&self->b, pd_create, self->name, self->cfg)) TH_LOG("%s: %s", what, vt_errmsg);
		EXPECT_EQ(B, vt_call(&self->c, vt_reached, self->name)) TH_LOG("%s: %s", what, vt_errmsg);
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
			EXPECT_GT(0, vt_call(&self->c, vt_reached, self->name)) TH_LOG("%s as %s", what, path);
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
			EXPECT_EQ(A, vt_call(&self->c, vt_reached, self->name))
			TH_LOG("%s as %s: %s", what, path, vt_errmsg);
			ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
		}
		EXPECT_TRUE(holds(precious, "precious")) TH_LOG("%s as %s", what, path);
		EXPECT_TRUE(vt_has_mode(precious, S_IFREG | 0600, A)) TH_LOG("%s as %s", what, path);
		EXPECT_FALSE(vt_exists(made)) TH_LOG("%s as %s", what, path);
		/* Another name in the same place works. */
		EXPECT_EQ(0, vt_call(&self->a, pd_create, other, self->cfg))
		TH_LOG("%s as %s: %s", what, path, vt_errmsg);
		EXPECT_EQ(A, vt_call(&self->c, vt_reached, other)) TH_LOG("%s as %s: %s", what, path, vt_errmsg);
		ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
		EXPECT_TRUE(holds(precious, "precious")) TH_LOG("%s as %s", what, path);
		if (vt_exists(path))
			vt_remove_tree(path);
		if (vt_exists(made))
			unlink(made);
	}
}

/* ---- links that are swapped while root creates ---- */

/* For the process that makes links there, without end. */
struct swaps {
	char dir[64], secret[64], name[VENOM_NAME_MAX + 1];
	bool stop;
};

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
	struct swaps *w = (struct swaps *)vt_box;
	char *secret = vt_dir(0, 0, 0755);
	uint64_t until = vt_now() + vt_scaled(1000) * VT_MS + 200 * VT_MS;
	unsigned int worked = 0, tries = 0;
	struct stat before, after;
	long rc;

	w->stop = false;
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
	EXPECT_EQ(ENTRIES, vt_entries(secret));
	for (enum entry i = 0; i < ENTRIES; i++) {
		EXPECT_TRUE(vt_has_mode(entry_of(secret, self->name, i), S_IFREG | 0600, 0));
		EXPECT_TRUE(holds(entry_of(secret, self->name, i), "secret"));
	}
	vt_remove_tree(secret);
}

TEST_HARNESS_MAIN

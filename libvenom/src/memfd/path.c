/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: where the channels' files are.
 *
 * Folders:
 *	$VENOM_RUNTIME_DIR		all channels, where that is set; else
 *	$XDG_RUNTIME_DIR/venom		a user's own (mode without bits for group and others)
 *	/tmp/venom-UID			the same where XDG_RUNTIME_DIR is unset, or not this user's; for root it is
 *	/run/venom			channels that others may see, too.  Root makes it; by its owner and mode the
 *					administrator decides which users may make channels in it
 *
 * A channel NAME is a socket NAME and a lock file .NAME.lock in its daemon's *place*.  The place is the folder itself
 * if it belongs to the daemon's user and no other user can write it, else FOLDER/UID, for which both must be true.
 * So only the user and root can change, replace or prepare an entry.  Another user's changes to FOLDER itself have no
 * effect: the daemon works relative to the place's open descriptor, and a shell asks the kernel for the user of the
 * process that listens, which must be the place's owner, or root.
 *
 * A shell searches its own user's places, then root's, then all others'.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include "memfd/proto.h"

#define SHARED_DIR "/run/venom"
#define WRITABLE   022 /* by others than the owner */

static int join(char *to, const char *a, const char *b, const char *c)
{
	int n = snprintf(to, VENOM_PATH_MAX, "%s%s%s", a, b, c);

	if (n < 0 || n >= VENOM_PATH_MAX)
		return venom_fail(-ENAMETOOLONG, "the path %s%s%s is longer than a socket's can be (%d bytes)", a, b, c,
				  VENOM_PATH_MAX - 1);
	return 0;
}

int path_join(char *path, const struct place *p, const char *name)
{
	return join(path, p->path, "/", name);
}

/* ---- folders ---- */

static const char *forced_dir(void)
{
	const char *dir = secure_getenv("VENOM_RUNTIME_DIR");

	return dir && *dir ? dir : NULL;
}

/* The user's own folder below XDG_RUNTIME_DIR; 0 if that is another user's, as after su or sudo -E. */
static int xdg_dir(char *dir)
{
	const char *xdg = secure_getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (!xdg || *xdg != '/' || stat(xdg, &st) || st.st_uid != geteuid())
		return 0;
	return join(dir, xdg, "/venom", "") ?: 1;
}

static int tmp_dir(char *dir)
{
	char uid[16];

	if (!geteuid())
		return join(dir, SHARED_DIR, "", "");
	snprintf(uid, sizeof(uid), "%u", geteuid());
	return join(dir, "/tmp/venom-", uid, "");
}

/* The folder of a new channel. */
static int folder_for(char *dir, bool shared)
{
	int rc;

	if (forced_dir())
		return join(dir, forced_dir(), "", "");
	if (shared)
		return join(dir, SHARED_DIR, "", "");
	rc = xdg_dir(dir);
	return rc ? (rc < 0 ? rc : 0) : tmp_dir(dir);
}

/* All folders to search; returns their number. */
static int folders(char dirs[3][VENOM_PATH_MAX])
{
	int n = 0, rc;

	if (forced_dir())
		return join(dirs[0], forced_dir(), "", "") ?: 1;
	rc = xdg_dir(dirs[0]);
	if (rc < 0)
		return rc;
	n += rc;
	tmp_dir(dirs[n]);
	if (strcmp(dirs[n], SHARED_DIR))
		n++;
	strcpy(dirs[n], SHARED_DIR);
	return n + 1;
}

/* ---- the daemon's side ---- */

/* Map errors that deny access to -EACCES, as venom.h has it; also if another user has put a file or a link there. */
static int access_err(int err)
{
	return err == -EROFS || err == -EPERM || err == -ENOTDIR || err == -ELOOP ? -EACCES : err;
}

static int bad_folder(int err, const char *path, const char *what)
{
	return venom_fail(access_err(err), "%s %s: %s", path, what, venom_reason(-err));
}

/* Open the folder PATH below `at`; make it if it is missing, with exactly these mode bits whatever the umask. */
static int open_folder(int at, const char *path, mode_t bits, int flags, struct stat *st)
{
	bool made = !mkdirat(at, path, 0700);
	int fd, rc = 0;

	if (!made && errno != EEXIST)
		return -errno;
	fd = venom_own(openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
	if (fd < 0)
		return -errno;
	if (fstat(fd, st))
		rc = -errno;
	if (!rc && made && st->st_uid == geteuid()) {
		st->st_mode = bits | (st->st_mode & S_ISGID);
		rc = fchmod(fd, st->st_mode) ? -errno : 0;
	}
	if (rc)
		close_fd(&fd);
	return rc ? rc : fd;
}

int place_make(struct place *p, bool shared)
{
	bool forced = forced_dir(), common;
	char dir[VENOM_PATH_MAX], uid[16];
	struct stat st;
	int folder, rc = folder_for(dir, shared);

	p->fd = -1;
	p->owner = geteuid();
	if (rc)
		return rc;
	common = !strcmp(dir, SHARED_DIR);
	folder = open_folder(AT_FDCWD, dir, common ? 0755 : 0700, forced || common ? 0 : O_NOFOLLOW, &st);
	if (folder < 0 && common)
		return venom_fail(access_err(folder), "%s can't be used: %s; channels for other users need it, as root: "
				  "install -d -m 3775 -g GROUP %s", dir, venom_reason(-folder), dir);
	if (folder < 0)
		return bad_folder(folder, dir, "can't be used");
	if (st.st_uid == p->owner && !(st.st_mode & WRITABLE)) {
		p->fd = folder;
		return join(p->path, dir, "", "");
	}
	/* In /tmp another user could have made it first. */
	if (!forced && !common) {
		close_fd(&folder);
		return venom_fail(-EACCES, "%s has to be a folder that only this user can write", dir);
	}
	snprintf(uid, sizeof(uid), "%u", p->owner);
	rc = join(p->path, dir, "/", uid);
	if (!rc) {
		p->fd = open_folder(folder, uid, 0755, O_NOFOLLOW, &st);
		if (p->fd < 0)
			rc = bad_folder(p->fd, p->path, "can't be used for this user's channels");
	}
	close_fd(&folder);
	if (!rc && (st.st_uid != p->owner || (st.st_mode & WRITABLE))) {
		close_fd(&p->fd);
		rc = venom_fail(-EACCES, "%s has to be a folder of user %u that only this user can write; it is user %u's, "
				"with mode 0%o", p->path, p->owner, st.st_uid, st.st_mode & 07777);
	}
	return rc;
}

/* ---- the shell's side ---- */

/* The uid, if the whole name is a decimal number, else -1. */
static int64_t uid_of(const char *name)
{
	uint64_t uid = 0;
	size_t n = strspn(name, "0123456789");

	if (!n || n > 10 || name[n] || (*name == '0' && n > 1))
		return -1;
	while (*name)
		uid = uid * 10 + (uint64_t)(*name++ - '0');
	return uid < UINT32_MAX ? (int64_t)uid : -1;
}

/* Call fn for the place of this user in the folder, or for the folder itself (uid -1), if it is a valid place. */
static int visit_place(const char *dir, int64_t uid, place_fn fn, void *user)
{
	struct place p = {.fd = -1};
	char name[16] = "";
	struct stat st;
	int rc;

	if (uid >= 0)
		snprintf(name, sizeof(name), "/%u", (uint32_t)uid);
	rc = join(p.path, dir, name, "");
	if (rc)
		return rc;
	if (uid >= 0 ? lstat(p.path, &st) : stat(p.path, &st))
		return 0;
	if (!S_ISDIR(st.st_mode) || (st.st_mode & WRITABLE) || (uid >= 0 && st.st_uid != (uid_t)uid))
		return 0;
	p.owner = st.st_uid;
	return fn(&p, user);
}

/* Call fn for all places in the folder.  *err: why some of it could not be read. */
static int visit_folder(const char *dir, place_fn fn, void *user, int *err)
{
	char inside[VENOM_PATH_MAX];
	struct dirent *e;
	struct stat st;
	DIR *d;
	int rc;

	/* Check for x first: without it no entry can be reached, and all calls below would find nothing. */
	rc = join(inside, dir, "/.", "");
	if (rc)
		return rc;
	if (stat(inside, &st)) {
		*err = -errno;
		return 0;
	}
	rc = visit_place(dir, -1, fn, user);
	if (!rc)
		rc = visit_place(dir, geteuid(), fn, user);
	if (!rc && geteuid())
		rc = visit_place(dir, 0, fn, user);
	if (rc)
		return rc;
	d = opendir(dir);
	if (!d) {
		*err = -errno;
		return 0;
	}
	while (!rc && (e = readdir(d))) {
		int64_t uid = uid_of(e->d_name);

		if (uid > 0 && (uid_t)uid != geteuid())
			rc = visit_place(dir, uid, fn, user);
	}
	closedir(d);
	return rc;
}

int place_each(place_fn fn, void *user)
{
	char dirs[3][VENOM_PATH_MAX];
	int n = folders(dirs), rc = 0, err, bad = 0, bad_err = 0;

	if (n < 0)
		return n;
	for (int i = 0; i < n && !rc; i++) {
		struct stat st;

		/* Skip a folder of this user's that another user has made, or can write. */
		if (!forced_dir() && strcmp(dirs[i], SHARED_DIR) && !lstat(dirs[i], &st) &&
		    (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & WRITABLE)))
			continue;
		err = 0;
		rc = visit_folder(dirs[i], fn, user, &err);
		if (!bad_err && err != -ENOENT && err != -ENOTDIR) {
			bad = i;
			bad_err = err;
		}
	}
	return rc || !bad_err ? rc : bad_folder(bad_err, dirs[bad], "can't be looked through");
}

bool place_forced(void)
{
	return forced_dir();
}

/* SPDX-License-Identifier: MIT */
#include "lib/place.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/peer.h"
#include "lib/user.h"

bool vt_exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

bool vt_has_mode(const char *path, mode_t mode, uid_t uid)
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
bool vt_has_channel(const char *place, const char *name, uid_t uid)
{
	const char *lock = vt_string("%s/.%s.lock", place, name);
	struct stat st;

	if (lstat(vt_string("%s/%s", place, name), &st) || !S_ISSOCK(st.st_mode) || st.st_uid != uid)
		return false;
	return !lstat(lock, &st) && S_ISREG(st.st_mode) && st.st_uid == uid && st.st_size == 8 && st.st_nlink == 1;
}

bool vt_has_nothing(const char *place, const char *name)
{
	return !vt_exists(vt_string("%s/%s", place, name)) && !vt_exists(vt_string("%s/.%s.lock", place, name));
}

int vt_entries(const char *dir)
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

long vt_umask(long mask, long b, long c)
{
	umask((mode_t)mask);
	return b + c;
}

/* Returns the uid of the daemon that a shell reaches by this name, or the errno. */
long vt_reached(long name, long b, long c)
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
long vt_listed(long name, long b, long c)
{
	struct wanted w = {.name = (const char *)name, .uid = -1};

	VT_CHECK(venom_list(living, &w) >= 0);
	return w.uid + b + c;
}

/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: where channels live.
 *
 *	$VENOM_RUNTIME_DIR		all of them, where that is set; else
 *	$XDG_RUNTIME_DIR/venom		a user's own (mode without bits for group and others)
 *	/tmp/venom-UID			the same where XDG_RUNTIME_DIR is unset; root's are in
 *	/run/venom			channels that others may see, too.  Root makes it; who may make channels in it is
 *					the administrator's choice, by the folder's owner and mode
 *
 * A channel NAME is a socket NAME and a lock file .NAME.lock, which its daemon holds; no name starts with '.'.
 */
#include <stdio.h>
#include <sys/stat.h>
#include "proto.h"

#define SHARED_DIR "/run/venom"

static int join(char *to, size_t size, const char *a, const char *b, const char *c)
{
	int n = snprintf(to, size, "%s%s%s", a, b, c);

	if (n < 0 || (size_t)n >= size)
		return venom_fail(-ENAMETOOLONG, "the path %s%s%s is longer than a socket's can be", a, b, c);
	return 0;
}

static int own_dir(char *dir, size_t size)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char uid[16];

	if (xdg && *xdg == '/')
		return join(dir, size, xdg, "/venom", "");
	if (!geteuid())
		return join(dir, size, SHARED_DIR, "", "");
	snprintf(uid, sizeof(uid), "%u", geteuid());
	return join(dir, size, "/tmp/venom-", uid, "");
}

static const char *forced_dir(void)
{
	const char *dir = getenv("VENOM_RUNTIME_DIR");

	return dir && *dir ? dir : NULL;
}

/* Nobody else may be able to put channels among a user's own: in /tmp the name could be taken by anyone. */
static int check_own(const char *dir)
{
	struct stat st;

	if (lstat(dir, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return venom_fail(-EACCES, "%s isn't a folder that only this user can write", dir);
	return 0;
}

int path_own(char *dir, size_t size, bool shared)
{
	const char *forced = forced_dir();
	int rc;

	if (forced)
		rc = join(dir, size, forced, "", "");
	else if (shared)
		rc = join(dir, size, SHARED_DIR, "", "");
	else
		rc = own_dir(dir, size);
	if (rc)
		return rc;
	if (mkdir(dir, !strcmp(dir, SHARED_DIR) ? 0755 : 0700) && errno != EEXIST) {
		rc = errno == EROFS || errno == EPERM ? -EACCES : -errno;
		if (!strcmp(dir, SHARED_DIR))
			return venom_fail(rc,
					  "%s can't be made: channels for other users need it; as root: "
					  "install -d -m 2775 -g GROUP %s",
					  dir, dir);
		return venom_fail(rc, "%s can't be made: %s", dir, strerror(errno));
	}
	if (!forced && strcmp(dir, SHARED_DIR))
		return check_own(dir);
	return 0;
}

int path_look(char dirs[2][VENOM_PATH_MAX])
{
	const char *forced = forced_dir();
	int n = 0;

	if (forced)
		return !join(dirs[0], VENOM_PATH_MAX, forced, "", "");
	if (!own_dir(dirs[0], VENOM_PATH_MAX) && strcmp(dirs[0], SHARED_DIR) && !check_own(dirs[0]))
		n++;
	strcpy(dirs[n], SHARED_DIR);
	return n + 1;
}

int path_join(char *path, const char *dir, const char *name, const char *suffix)
{
	char tail[VENOM_NAME_MAX + 16];

	snprintf(tail, sizeof(tail), "/%s%s%s", *suffix ? "." : "", name, suffix);
	return join(path, VENOM_PATH_MAX, dir, tail, "");
}

/* SPDX-License-Identifier: MIT */
#include "lib/user.h"

#include <ftw.h>
#include <grp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/venom_test.h"

long vt_become(long uid, long gid, long group)
{
	gid_t groups[1] = {(gid_t)group};

	VT_CHECK(!setgroups(group ? 1 : 0, groups));
	VT_CHECK(!setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid));
	VT_CHECK(!setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid));
	prctl(PR_SET_DUMPABLE, 1); /* the leak check needs it */
	prctl(PR_SET_PDEATHSIG, 9);
	return 0;
}

long vt_setenv(long name, long value, long c)
{
	(void)c;
	if (value)
		return setenv((const char *)name, (const char *)value, 1);
	return unsetenv((const char *)name);
}

static struct strings {
	unsigned int n;
	char s[VT_STRINGS][256];
} * strings;

/* The strings must exist before any peer is started. */
__attribute__((constructor)) static void make_strings(void)
{
	strings = vt_shared(sizeof(*strings));
}

char *vt_string(const char *fmt, ...)
{
	char *s = strings->s[__atomic_fetch_add(&strings->n, 1, __ATOMIC_RELAXED) % VT_STRINGS];
	va_list args;

	va_start(args, fmt);
	vsnprintf(s, sizeof(strings->s[0]), fmt, args);
	va_end(args);
	return s;
}

char *vt_dir(uid_t uid, gid_t gid, mode_t mode)
{
	char *dir = vt_string("/tmp/venom-dir.XXXXXX");

	VT_CHECK(mkdtemp(dir));
	VT_CHECK(!chown(dir, uid, gid) && !chmod(dir, mode));
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void vt_remove_tree(const char *dir)
{
	if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS))
		fprintf(stderr, "# can't remove all of %s\n", dir);
}

/* SPDX-License-Identifier: MIT */
/*
 * Other users, and folders that they share, for tests that root runs.
 */
#ifndef VENOM_TEST_USER_H
#define VENOM_TEST_USER_H

#include <sys/types.h>

/* Users and groups that do not exist. */
#define VT_ID(n) (64100 + (n))

/* For vt_call(): become this user for good, with one supplementary group (0: with none). */
long vt_become(long uid, long gid, long group);

/* For vt_call(): setenv(), or unsetenv() if the value is 0. */
long vt_setenv(long name, long value, long c);

/* A string in memory that all peers share, also those that run already; valid until VT_STRINGS more were made. */
#define VT_STRINGS 2000
char *vt_string(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A new folder in /tmp with this owner and mode; its path is a vt_string(). */
char *vt_dir(uid_t uid, gid_t gid, mode_t mode);
void vt_remove_tree(const char *dir);

#endif /* VENOM_TEST_USER_H */

/* SPDX-License-Identifier: MIT */
/*
 * Places: the folders in which the embedded backend keeps the entries of channels.  What lies there, and whom a shell
 * finds through them.
 */
#ifndef VENOM_TEST_PLACE_H
#define VENOM_TEST_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

bool vt_exists(const char *path);
/* Has it this type and mode, and this owner?  Otherwise it prints what it has. */
bool vt_has_mode(const char *path, mode_t mode, uid_t uid);
int vt_entries(const char *dir); /* how many, or -1 */
/* A channel's entries in its place: the socket, and the lock file with its epoch. */
bool vt_has_channel(const char *place, const char *name, uid_t uid);
bool vt_has_nothing(const char *place, const char *name);

/* Calls for vt_call(). */
long vt_umask(long mask, long b, long c);
long vt_reached(long name, long b, long c); /* the uid of the daemon that a shell reaches by this name, or the errno */
long vt_listed(long name, long b, long c); /* the same by venom_list(); -1: no live daemon is listed */

#endif /* VENOM_TEST_PLACE_H */

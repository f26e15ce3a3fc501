/* SPDX-License-Identifier: MIT */
/* Shared by the two sides of the module's backend: opening, calling and mapping /dev/venom. */
#ifndef VENOM_DEV_H
#define VENOM_DEV_H

#include <linux/venom.h>
#include "internal.h"

/* ---- dev.c ---- */

int dev_open(int *fd);
/* An ioctl, restarted if a signal interrupts it.  Returns 0 or more, or a negative errno. */
int dev_call(int fd, unsigned int cmd, void *arg);
/* The same for CREATE and CONNECT, with all signals blocked until it is done. */
int dev_become(int fd, unsigned int cmd, void *arg);
int dev_map(struct venom_map *map, int fd, uint32_t kind, uint32_t id, uint64_t size, bool write);
void dev_unmap(struct venom_map *map);
int dev_bell(int fd, uint32_t bell, int eventfd);
int dev_peer(int fd, uint32_t id, struct venom_ioc_peer *p);
int dev_check(void);
bool dev_lives(const char *name);
int dev_list(int (*fn)(const struct venom_info *info, void *user), void *user, int *count);
int dev_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
	     int (*fn)(const struct venom_peer *peer, void *user), void *user);
/* For a lack of resources: set a sentence and return an errno that venom.h has.  Other errors pass unchanged. */
int dev_short_of(int rc);
/* Check that this library knows all features that the module requires, as answered to CREATE or CONNECT. */
int dev_features_check(uint64_t features);
/* Set a sentence for a failed CREATE or CONNECT: no right, no daemon, a limit, another version. */
int dev_why_not(int rc);
/* Check the layout version of the module and the daemon; wait for a new daemon that has not written its head yet. */
int dev_heads_check(const struct venom_map *status_map, const struct venom_map *state_map);

#define DEV_NAP_US	200

/* ---- dev/shell.c ---- */

int dev_shell_connect(struct venom_shell *s);
void dev_shell_close(struct venom_shell *s);
void dev_wake_daemon(struct venom_shell *s);
int dev_ask(struct venom_shell *s);
void dev_wake_publisher(struct venom_shell *s);
int dev_watch(struct venom_shell *s, int64_t timeout_ns);
bool dev_arm_state(struct venom_shell *s);
void dev_disarm_state(struct venom_shell *s);
bool dev_alive(struct venom_shell *s);
void dev_meet(struct venom_shell *s);

#endif /* VENOM_DEV_H */

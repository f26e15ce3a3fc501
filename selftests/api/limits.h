/* SPDX-License-Identifier: MIT */
/*
 * A daemon and a shell that are to run into limits, in a folder for all users.
 */
#ifndef VENOM_TEST_LIMITS_H
#define VENOM_TEST_LIMITS_H

#include <string.h>
#include <sys/resource.h>

#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/user.h"

#define USER VT_ID(1)

FIXTURE(limits)
{
	struct vt_peer dm, sh;
	struct venom_config *cfg;
	const char *name;
	char *dir;
	bool ready;
};

FIXTURE_SETUP(limits)
{
	embedded_only();
	/* The folder is for all users: some peers become another user. */
	self->dir = vt_dir(getuid(), getgid(), getuid() ? 0755 : 01777);
	setenv("VENOM_RUNTIME_DIR", self->dir, 1);
	self->cfg = vt_config();
	self->cfg->mode = 0666;
	self->cfg->huge = VENOM_HUGE_NEVER;
	self->name = vt_name();
	vt_start(&self->dm);
	vt_start(&self->sh);
	self->ready = true;
}

FIXTURE_TEARDOWN(limits)
{
	if (!self->ready)
		return;
	EXPECT_TRUE(vt_end_all(&self->sh, &self->dm));
	vt_remove_tree(self->dir);
}

static inline long limit(long resource, long soft, long hard)
{
	struct rlimit lim;

	VT_CHECK(!getrlimit((__rlimit_resource_t)resource, &lim));
	lim.rlim_cur = soft < 0 ? lim.rlim_max : (rlim_t)soft;
	if (hard >= 0)
		lim.rlim_max = (rlim_t)hard;
	VT_CHECK(!setrlimit((__rlimit_resource_t)resource, &lim));
	return 0;
}

#define UNLIMIT -1, -1

/* The sentence must say whose limit it is. */
#define SAYS(word) \
	EXPECT_NE(NULL, strstr(vt_errmsg, word)) TH_LOG("\"%s\" does not say \"%s\"", vt_errmsg, word)

#endif /* VENOM_TEST_LIMITS_H */

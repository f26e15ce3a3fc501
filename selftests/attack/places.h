/* SPDX-License-Identifier: MIT */
/*
 * A folder that several users may write, in which each has a place of its own, and one peer for each of three users and
 * for root.
 */
#ifndef VENOM_TEST_PLACES_H
#define VENOM_TEST_PLACES_H

#include <sys/stat.h>

#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/user.h"

#define A     VT_ID(1)
#define B     VT_ID(2)
#define C     VT_ID(3)
#define GROUP VT_ID(10)

FIXTURE(places)
{
	struct vt_peer a, b, c, root;
	struct venom_config *cfg;
	const char *name;
	char *dir, *place[2]; /* A's and root's */
	char *own[4]; /* other folders */
	int owns;
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
	if (!self->ready)
		return;
	EXPECT_TRUE(vt_end_all(&self->a, &self->b, &self->c, &self->root));
	vt_remove_tree(self->dir);
	while (self->owns)
		vt_remove_tree(self->own[--self->owns]);
}

#endif /* VENOM_TEST_PLACES_H */

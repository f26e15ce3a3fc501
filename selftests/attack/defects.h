/* SPDX-License-Identifier: MIT */
/*
 * The fixture of the tests for the sixteen defects of the library that this one replaces: a daemon and two shells.
 * defects_state.c has the defects of state, defects_commands.c those of commands; the numbers run through both.
 */
#ifndef VENOM_TEST_DEFECTS_H
#define VENOM_TEST_DEFECTS_H

#include "lib/harness.h"
#include "lib/peer.h"

FIXTURE(defect)
{
	struct vt_peer dm, sh, other;
	struct venom_config *cfg;
	const char *name;
	struct venom_shell *s;
	char buf[4096];
	uint64_t version;
};

FIXTURE_SETUP(defect)
{
	self->cfg = vt_config();
	self->cfg->cmd_slots = 8;
	self->cfg->max_clients = 8;
	self->name = vt_name();
	vt_start(&self->dm);
	vt_start(&self->sh);
	vt_start(&self->other);
}

FIXTURE_TEARDOWN(defect)
{
	venom_shell_close(self->s);
	EXPECT_TRUE(vt_end_all(&self->sh, &self->other, &self->dm));
}

#define daemon_and_two_shells(self)                                                       \
	do {                                                                              \
		ASSERT_EQ(0, vt_call(&(self)->dm, pd_create, (self)->name, (self)->cfg)); \
		ASSERT_EQ(0, vt_call(&(self)->sh, ps_connect, (self)->name));             \
		ASSERT_EQ(0, vt_call(&(self)->other, ps_connect, (self)->name));          \
		ASSERT_EQ(0, venom_shell_connect(&(self)->s, (self)->name));              \
	} while (0)

#endif /* VENOM_TEST_DEFECTS_H */

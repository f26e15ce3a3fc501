/* SPDX-License-Identifier: MIT */
/*
 * Attacks the places of channels on the embedded backend.  In a folder that several users may write, each user has a
 * subfolder of its own: no user may take another user's name, nor answer under it.
 */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "attack/places.h"
#include "lib/place.h"

TEST_F(places, each_user_has_one)
{
	mode_t mode = S_IFDIR | 0755 | (variant->mode & 02000);
	struct stat st;

	ASSERT_EQ(0, vt_call(&self->a, vt_umask, 077));
	ASSERT_EQ(0, vt_call(&self->root, vt_umask, 077));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(vt_has_mode(self->place[0], mode, A));
	EXPECT_TRUE(vt_has_channel(self->place[0], self->name, A));
	EXPECT_EQ(2, vt_entries(self->place[0]));
	EXPECT_EQ(1, vt_entries(self->dir));
	if (variant->mode & 02000) {
		ASSERT_EQ(0, stat(self->place[0], &st));
		EXPECT_EQ(GROUP, st.st_gid);
	}
	EXPECT_EQ(A, vt_call(&self->a, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(A, vt_call(&self->b, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(A, vt_call(&self->root, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(A, vt_call(&self->b, vt_listed, self->name));
	EXPECT_EQ(A, vt_call(&self->root, vt_listed, self->name));
	ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
	EXPECT_EQ(0, vt_entries(self->place[0]));
	ASSERT_EQ(0, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(vt_has_mode(self->place[1], mode, 0));
	EXPECT_TRUE(vt_has_channel(self->place[1], self->name, 0));
	EXPECT_EQ(0, vt_call(&self->b, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
}

/* A folder that only its owner can write is itself the place. */
TEST_F(places, one_s_own_folder_is_one)
{
	ASSERT_EQ(0, chown(self->dir, A, A));
	ASSERT_EQ(0, chmod(self->dir, 0755));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(vt_has_channel(self->dir, self->name, A));
	EXPECT_EQ(2, vt_entries(self->dir));
	EXPECT_EQ(A, vt_call(&self->b, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(A, vt_call(&self->root, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(-EACCES, vt_call(&self->b, pd_create, vt_name(), self->cfg));
	EXPECT_NE(0, strlen(vt_errmsg));
	ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
	/* The folder is no place any more once its group can write it. */
	ASSERT_EQ(0, chmod(self->dir, 0775));
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_TRUE(vt_has_channel(self->place[0], self->name, A));
	EXPECT_TRUE(vt_has_nothing(self->dir, self->name));
}

TEST_F(places, a_living_name_is_nobody_else_s)
{
	static const uint32_t modes[] = {0666, 0600};

	for (int i = 0; i < 2; i++) {
		self->cfg->mode = modes[i];
		ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
		EXPECT_EQ(-EBUSY, vt_call(&self->b, pd_create, self->name, self->cfg)) TH_LOG("mode %o", modes[i]);
		EXPECT_NE(0, strlen(vt_errmsg));
		EXPECT_EQ(-EBUSY, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("mode %o", modes[i]);
		EXPECT_NE(0, strlen(vt_errmsg));
		EXPECT_EQ(A, vt_call(&self->a, vt_reached, self->name));
		EXPECT_TRUE(vt_has_channel(self->place[0], self->name, A));
		ASSERT_EQ(0, vt_call(&self->a, pd_destroy));
	}
	EXPECT_EQ(0, vt_call(&self->b, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
}

TEST_F(places, a_dead_one_s_name_can_be_taken_by_all)
{
	ASSERT_EQ(0, vt_call(&self->a, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	vt_kill(&self->a, SIGKILL);
	EXPECT_EQ(-ENOENT, vt_call(&self->c, vt_reached, self->name));
	ASSERT_EQ(0, vt_call(&self->b, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(B, vt_call(&self->c, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	vt_kill(&self->b, SIGKILL);
	ASSERT_EQ(0, vt_call(&self->root, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->c, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
}

/* ---- sockets in another's place ---- */

/* Makes a daemon of this peer in a folder of its own, and links its socket into `place`. */
#define MADE_ELSEWHERE(peer, uid, place)                                                                    \
	do {                                                                                                \
		char *own_ = vt_dir(uid, uid, 0755);                                                        \
                                                                                                            \
		ASSERT_EQ(0, vt_call(peer, vt_setenv, "VENOM_RUNTIME_DIR", own_));                          \
		ASSERT_EQ(0, vt_call(peer, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);      \
		ASSERT_EQ(0, vt_call(peer, vt_setenv, "VENOM_RUNTIME_DIR", self->dir));                     \
		unlink(vt_string("%s/%s", place, self->name));                                              \
		ASSERT_EQ(0, link(vt_string("%s/%s", own_, self->name), vt_string("%s/%s", place, self->name))); \
		self->own[self->owns++] = own_;                                                             \
	} while (0)

static int make_place(const char *place, uid_t uid)
{
	return mkdir(place, 0755) || chown(place, uid, uid) ? -errno : 0;
}

TEST_F(places, another_s_socket_is_not_believed)
{
	struct vt_peer *who[] = {&self->a, &self->c, &self->root};

	ASSERT_EQ(0, make_place(self->place[0], A));
	MADE_ELSEWHERE(&self->b, B, self->place[0]);
	for (int i = 0; i < 3; i++) {
		EXPECT_GT(0, vt_call(who[i], vt_reached, self->name));
		EXPECT_EQ(-1, vt_call(who[i], vt_listed, self->name));
	}
	EXPECT_EQ(0, vt_call(&self->b, pd_destroy));
	/* Root's socket is trusted. */
	MADE_ELSEWHERE(&self->root, 0, self->place[0]);
	EXPECT_EQ(0, vt_call(&self->c, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
}

TEST_F(places, one_name_of_two_users)
{
	char *place = vt_string("%s/%d", self->dir, B);

	ASSERT_EQ(0, make_place(self->place[0], A));
	ASSERT_EQ(0, make_place(self->place[1], 0));
	ASSERT_EQ(0, make_place(place, B));
	MADE_ELSEWHERE(&self->a, A, self->place[0]);
	EXPECT_EQ(A, vt_call(&self->c, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	MADE_ELSEWHERE(&self->b, B, place);
	EXPECT_EQ(-EEXIST, vt_call(&self->c, vt_reached, self->name));
	EXPECT_NE(NULL, strstr(vt_errmsg, vt_string("%d", A))) TH_LOG("\"%s\"", vt_errmsg);
	EXPECT_NE(NULL, strstr(vt_errmsg, vt_string("%d", B))) TH_LOG("\"%s\"", vt_errmsg);
	EXPECT_EQ(-EEXIST, vt_call(&self->root, vt_reached, self->name));
	/* A user's own channel goes first, then root's. */
	EXPECT_EQ(A, vt_call(&self->a, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(B, vt_call(&self->b, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	MADE_ELSEWHERE(&self->root, 0, self->place[1]);
	EXPECT_EQ(A, vt_call(&self->a, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->c, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	EXPECT_EQ(0, vt_call(&self->root, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
	/* Dead channels are ignored. */
	ASSERT_EQ(0, vt_call(&self->root, pd_destroy));
	vt_kill(&self->a, SIGKILL);
	EXPECT_EQ(B, vt_call(&self->c, vt_reached, self->name)) TH_LOG("%s", vt_errmsg);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: MIT */
/*
 * What becomes of maps: parts of them are unmapped, their process forks or closes its descriptors, and the module is
 * asked to go. What is still mapped keeps its bytes, and no child inherits a map.
 */
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kmod/maps.h"

TEST_F(maps, part_of_a_lane_is_unmapped)
{
	size_t size = size_of(self->r, VENOM_AREA_COMMANDS);
	struct rig *r = self->r;
	char *p = map_as(r, SHELL, VENOM_AREA_COMMANDS, RW), *q = map_as(r, DAEMON, VENOM_AREA_COMMANDS, PROT_READ);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_LE(5 * 4096, size);
	fill(p, size, 9);
	ASSERT_EQ(0, munmap(p + 4096, 8192));
	EXPECT_FALSE(is_mapped(p + 4096));
	EXPECT_TRUE(is(q, size, 9));
	p[size - 1] ^= 1;
	EXPECT_EQ(p[size - 1], q[size - 1]);
	/* The daemon unmaps all but one page; the area stays. */
	ASSERT_EQ(0, munmap(q, 4096));
	ASSERT_EQ(0, munmap(q + 8192, size - 8192));
	EXPECT_TRUE(vt_is(p + HEAD, 8, 9));
	ASSERT_EQ(0, munmap(p, size));
	p = map_as(r, SHELL, VENOM_AREA_COMMANDS, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, memcmp(p + 4096, q + 4096, 4096));
	/* The maps outlive the descriptors. */
	close(r->fd[SHELL]);
	close(r->fd[DAEMON]);
	p[4096] ^= 1;
	EXPECT_EQ(p[4096], q[4096]);
	munmap(p, size);
	EXPECT_NE(0, q[4096]);
	munmap(q, size);
}

TEST_F(maps, part_of_the_state_is_unmapped)
{
	size_t size = size_of(self->r, VENOM_AREA_STATE), page = self->r->page;
	struct rig *r = self->r;
	char *p = map_as(r, DAEMON, VENOM_AREA_STATE, RW), *q;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_LE(3 * page, size);
	ASSERT_NE(VT_DEAD, vt_call(&self->sh, other_connect, r));
	q = map_as(r, SHELL, VENOM_AREA_STATE, PROT_READ);
	ASSERT_NE(MAP_FAILED, q);
	fill(p, size, 9);
	if (page > 4096) {
		EXPECT_EQ(-1, munmap(p + 4096, 4096));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-1, mprotect(q + 4096, 4096, PROT_NONE));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_TRUE(is(p, size, 9));
	}
	ASSERT_EQ(0, munmap(p + page, page));
	EXPECT_FALSE(is_mapped(p + page));
	ASSERT_EQ(0, munmap(q, page));
	EXPECT_EQ(1, vt_call(&self->sh, other_is, VENOM_AREA_STATE, 9));
	p[size - 1] ^= 1;
	EXPECT_EQ(p[size - 1], q[size - 1]);
	p[size - 1] ^= 1;
	ASSERT_EQ(0, munmap(p, size));
	p = map_as(r, DAEMON, VENOM_AREA_STATE, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(is(p, size, 9));
	EXPECT_EQ(0, memcmp(p + page, q + page, size - page));
}

TEST_F(maps, a_fork_has_none)
{
	char *p[2 * VENOM_AREA_RESPONSES] = {NULL};
	struct rig *r = self->r;
	int status, n = 0;
	pid_t child;

	for
		AREAS(k)
		{
			p[n] = map_as(r, writers[k] == SHELL ? SHELL : DAEMON, k,
				      writers[k] == NOTHING ? PROT_READ : RW);
			ASSERT_NE(MAP_FAILED, p[n++]);
			p[n] = map_as(r, SHELL, k, PROT_READ);
			ASSERT_NE(MAP_FAILED, p[n++]);
		}
	fill(p[2], size_of(r, VENOM_AREA_STATE), 4);
	for (int i = 0; i < n; i++) {
		ASSERT_TRUE(is_mapped(p[i]));
	}
	child = fork();
	if (!child) {
		for (int i = 0; i < n; i++)
			if (is_mapped(p[i]))
				(_exit)(1 + i);
		for
			AREAS(k)
		for (int role = DAEMON; role < ROLES; role++)
			if (map_as(r, role, k, PROT_READ) != MAP_FAILED || errno != EPERM)
				(_exit)(100 + role);
		(_exit)(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_TRUE(is(p[3], size_of(r, VENOM_AREA_STATE), 4));
}

/* ---- the module stays ---- */

static int unload(void)
{
	return syscall(SYS_delete_module, "venom", O_NONBLOCK) ? errno : 0;
}

TEST_F(maps, no_rmmod_while_in_use)
{
	size_t size = size_of(self->r, VENOM_AREA_COMMANDS);
	struct rig *r = self->r;
	char *state, *p;
	int err = unload();

	if (err == ENOSYS || err == ENOENT || err == EPERM)
		SKIP(return, "no module to unload here: %s", strerror(err));
	EXPECT_EQ(EWOULDBLOCK, err);
	state = map_as(r, DAEMON, VENOM_AREA_STATE, RW);
	p = map_as(r, SHELL, VENOM_AREA_COMMANDS, RW);
	ASSERT_NE(MAP_FAILED, state);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(EWOULDBLOCK, unload());
	fill(p, size, 3);
	fill(state, size_of(r, VENOM_AREA_STATE), 4);
	ASSERT_NE(VT_DEAD, vt_call(&self->sh, other_connect, r));
	EXPECT_EQ(1, vt_call(&self->sh, other_is, VENOM_AREA_STATE, 4));
	/* The area is still mapped, but no file is open. */
	EXPECT_EQ(0, vt_stop(&self->sh));
	rig_end(r);
	EXPECT_EQ(EWOULDBLOCK, unload());
	EXPECT_TRUE(is(p, size, 3));
	EXPECT_TRUE(is(state, size_of(r, VENOM_AREA_STATE), 4));
	madvise(p, size, MADV_DONTNEED);
	EXPECT_TRUE(is(p, size, 3));
	vt_start(&self->sh);
	/* The module still works. */
	ASSERT_EQ(0, rig_make(r, variant->huge, variant->huge_size));
	ASSERT_NE(VT_DEAD, vt_call(&self->sh, other_connect, r));
	munmap(state, size_of(r, VENOM_AREA_STATE));
	munmap(p, size);
}

TEST_HARNESS_MAIN

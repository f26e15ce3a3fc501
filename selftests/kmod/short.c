/* SPDX-License-Identifier: MIT */
/*
 * A process that itself has too little of some resource: the errno is one that venom.h names, and the message says what
 * is missing.
 */
#include <sys/resource.h>

#include "lib/harness.h"
#include "lib/peer.h"
#include "kmod/somebody.h"

#define WATCHES "/proc/sys/fs/epoll/max_user_watches"

FIXTURE(too_little)
{
	struct vt_peer daemon, p;
	struct venom_config *cfg;
	const char *name;
	long watches;
};

FIXTURE_SETUP(too_little)
{
	static const struct who user = USER(.uid = 1000, .gid = 1000);

	NEEDS_ROOT();
	setenv("VENOM_BACKEND", "dev", 1);
	self->watches = km_read_long(WATCHES);
	self->name = vt_name();
	self->cfg = vt_config();
	self->cfg->mode = 0666;
	self->cfg->huge = VENOM_HUGE_NEVER;
	self->cfg->data_size = 8 << 20;
	vt_start(&self->daemon);
	ASSERT_EQ(0, vt_call(&self->daemon, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	be(&self->p, &user);
}

FIXTURE_TEARDOWN(too_little)
{
	if (!is_root())
		return;
	km_write_long(WATCHES, self->watches);
	EXPECT_EQ(0, vt_stop(&self->p));
	vt_call(&self->daemon, pd_destroy);
	EXPECT_EQ(0, vt_stop(&self->daemon));
}

static long p_limit(long what, long n, long c)
{
	struct rlimit lim = {(rlim_t)n, (rlim_t)n};

	return setrlimit((__rlimit_resource_t)what, &lim) ? -errno : c;
}

static long p_lock_all(long a, long b, long c)
{
	return p_limit(RLIMIT_MEMLOCK, 4 << 20, 0) || mlockall(MCL_FUTURE) ? -errno : a + b + c;
}

/* Limit the address space to some 4 MiB more than is in use. */
static long p_limit_space(long a, long b, long c)
{
	return p_limit(RLIMIT_AS, (km_key("/proc/self/status", "VmSize") + 4096) << 10, 0) + a + b + c;
}

#define FAILS(err, sentence)                                                                         \
	do {                                                                                         \
		EXPECT_EQ(err, vt_call(&self->p, pd_create, vt_name(), self->cfg));                  \
		EXPECT_NE(NULL, strstr(vt_errmsg, sentence)) TH_LOG("%s", vt_errmsg);                \
		EXPECT_EQ(err, vt_call(&self->p, ps_connect, self->name));                           \
		EXPECT_NE(NULL, strstr(vt_errmsg, sentence)) TH_LOG("%s", vt_errmsg);                \
	} while (0)

TEST_F(too_little, locked_memory)
{
	ASSERT_EQ(0, vt_call(&self->p, p_lock_all));
	FAILS(-ENOMEM, "ulimit -l");
}

TEST_F(too_little, address_space)
{
	ASSERT_EQ(0, vt_call(&self->p, p_limit_space));
	FAILS(-ENOMEM, "ulimit -v");
}

TEST_F(too_little, epoll_watches)
{
	ASSERT_TRUE(km_write_long(WATCHES, 0));
	FAILS(-ENOMEM, "fs.epoll.max_user_watches");
}

TEST_F(too_little, descriptors)
{
	ASSERT_EQ(0, vt_call(&self->p, p_limit, RLIMIT_NOFILE, 3));
	FAILS(-EMFILE, "ulimit -n");
}

TEST_F(too_little, descriptors_after_the_first)
{
	ASSERT_EQ(0, vt_call(&self->p, p_limit, RLIMIT_NOFILE, vt_count_fds() + 1));
	FAILS(-EMFILE, "ulimit -n");
}

TEST_HARNESS_MAIN

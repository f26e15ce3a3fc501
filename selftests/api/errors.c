/* SPDX-License-Identifier: MIT */
/*
 * Attacks create and connect with what they can't have: a name that is taken, a channel or a backend that is not there,
 * too few ids, descriptors or memory.  Each must give the errno that the header names and a sentence; the outputs must
 * stay as they were, no descriptor may leak, and no other user of the channel may be disturbed.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "lib/harness.h"
#include "lib/peer.h"

FIXTURE(errors)
{
	struct vt_peer dm;
	struct venom_config *cfg;
	const char *name;
	struct venom_shell *s;
	char buf[64];
};

FIXTURE_SETUP(errors)
{
	self->cfg = vt_config();
	self->cfg->max_clients = 3;
	self->cfg->data_size = 100000;
	self->name = vt_name();
	vt_start(&self->dm);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 1, 50));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
}

FIXTURE_TEARDOWN(errors)
{
	venom_shell_close(self->s);
	vt_call(&self->dm, pd_destroy);
	EXPECT_EQ(0, vt_stop(&self->dm));
}

/* The channel and our shell on it work, end to end, at version v. */
static bool unharmed(struct vt_peer *dm, struct venom_shell *s, uint32_t v)
{
	char buf[64];
	uint64_t version;

	if (venom_shell_read(s, buf, sizeof(buf), &version) != 50 || version != v || !vt_is(buf, 50, v) ||
	    !venom_shell_alive(s))
		return false;
	if (vt_call(dm, pd_publish, v + 1, 50) || venom_shell_read(s, buf, sizeof(buf), &version) != 50 ||
	    version != v + 1 || !vt_is(buf, 50, v + 1))
		return false;
	vt_fill(buf, 50, 9);
	vt_post(dm, pd_echo, 1);
	return venom_shell_request(s, buf, 50, buf, sizeof(buf), 60 * VT_S) == 50 && vt_is(buf, 50, 9) &&
	       !vt_result(dm);
}

/* ---- a name that is taken ---- */

TEST_F(errors, name_of_a_living_daemon)
{
	struct venom_config smaller = VENOM_CONFIG_INIT;
	struct venom_daemon *d = VT_POISON_D;
	struct venom_shell *other;
	int fds = vt_count_fds();

	smaller.data_size = 1;
	EXPECT_EQ(-EBUSY, venom_daemon_create(&d, self->name, &smaller));
	EXPECT_EQ(-EBUSY, venom_daemon_create(&d, self->name, self->cfg));
	EXPECT_EQ(VT_POISON_D, d);
	EXPECT_EQ(fds, vt_count_fds());
	EXPECT_NE(0, strlen(venom_errmsg()));
	/* The process that owns the name can't create it again, either. */
	EXPECT_EQ(-EBUSY, vt_call(&self->dm, pd_create, self->name, self->cfg));
	EXPECT_TRUE(unharmed(&self->dm, self->s, 1));
	/* The channel is still found under its name. */
	ASSERT_EQ(0, venom_shell_connect(&other, self->name));
	EXPECT_NE(venom_shell_id(self->s), venom_shell_id(other));
	EXPECT_TRUE(unharmed(&self->dm, other, 2));
	venom_shell_close(other);
}

TEST_F(errors, name_is_free_after_destroy)
{
	struct venom_daemon *d;

	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	ASSERT_EQ(0, venom_daemon_create(&d, self->name, self->cfg));
	EXPECT_EQ(0, venom_shell_alive(self->s));
	venom_daemon_destroy(d);
	EXPECT_EQ(0, venom_daemon_create(&d, self->name, self->cfg));
	venom_daemon_destroy(d);
}

/* ---- connect ---- */

TEST_F(errors, no_such_channel)
{
	struct venom_shell *s = VT_POISON_S;
	struct venom_info info, before;
	int fds = vt_count_fds();

	memset(&info, 0x5a, sizeof(info));
	before = info;
	EXPECT_EQ(-ENOENT, venom_shell_connect(&s, "nobody"));
	EXPECT_EQ(VT_POISON_S, s);
	EXPECT_EQ(-ENOENT, venom_stat("nobody", &info, NULL, NULL, NULL));
	EXPECT_EQ(0, memcmp(&before, &info, sizeof(info)));
	EXPECT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_EQ(-ENOENT, venom_shell_connect(&s, self->name));
	EXPECT_EQ(VT_POISON_S, s);
	EXPECT_EQ(fds, vt_count_fds());
}

TEST_F(errors, one_shell_too_many)
{
	struct venom_shell *a, *b, *c = VT_POISON_S;
	struct venom_daemon_stats st;
	int fds;

	ASSERT_EQ(0, venom_shell_connect(&a, self->name));
	ASSERT_EQ(0, venom_shell_connect(&b, self->name));
	fds = vt_count_fds();
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(-EUSERS, venom_shell_connect(&c, self->name));
	}
	EXPECT_EQ(VT_POISON_S, c);
	EXPECT_EQ(fds, vt_count_fds());
	ASSERT_EQ(0, venom_stat(self->name, NULL, &st, NULL, NULL));
	EXPECT_EQ(3, st.clients);
	EXPECT_EQ(5, st.refused);
	EXPECT_TRUE(unharmed(&self->dm, self->s, 1));
	venom_shell_close(b);
	EXPECT_TRUE(VT_UNTIL(venom_shell_connect(&c, self->name) == 0));
	EXPECT_TRUE(unharmed(&self->dm, c, 2));
	venom_shell_close(c);
	venom_shell_close(a);
}

TEST_F(errors, no_such_backend)
{
	struct venom_daemon *d = VT_POISON_D;
	struct venom_shell *s = VT_POISON_S;
	bool on_dev = vt_on_dev();

	setenv("VENOM_BACKEND", "abacus", 1);
	EXPECT_EQ(-ENODEV, venom_daemon_create(&d, "x", NULL));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "abacus"));
	EXPECT_EQ(-ENODEV, venom_shell_connect(&s, self->name));
	EXPECT_EQ(VT_POISON_D, d);
	EXPECT_EQ(VT_POISON_S, s);
	EXPECT_EQ(-ENODEV, venom_stat(self->name, NULL, NULL, NULL, NULL));
	setenv("VENOM_BACKEND", on_dev ? "dev" : "memfd", 1);
	ASSERT_EQ(0, venom_shell_connect(&s, self->name));
	venom_shell_close(s);
}

/* ---- out of descriptors, out of memory ---- */

/* Sets the limit so that `left` more descriptors can be opened; returns the old limit. */
static rlim_t limit_fds(rlim_t left)
{
	struct rlimit lim;
	rlim_t was;

	getrlimit(RLIMIT_NOFILE, &lim);
	was = lim.rlim_cur;
	lim.rlim_cur = left;
	VT_CHECK(!setrlimit(RLIMIT_NOFILE, &lim));
	return was;
}

/* The lowest limit that still holds every descriptor open now. */
static rlim_t fds_in_use(void)
{
	int fd = dup(0);

	VT_CHECK(fd >= 0);
	close(fd);
	return (rlim_t)fd;
}

TEST_F(errors, connect_fails_at_every_descriptor_in_turn)
{
	rlim_t base = fds_in_use(), was;
	int left, fds = vt_count_fds(), err = -1;

	for (left = 0; err && left < 32; left++) {
		struct venom_shell *s = VT_POISON_S;

		was = limit_fds(base + left);
		err = venom_shell_connect(&s, self->name);
		limit_fds(was);
		if (!err) {
			venom_shell_close(s);
		} else {
			EXPECT_EQ(-EMFILE, err) TH_LOG("with %d descriptors left", left);
			EXPECT_EQ(VT_POISON_S, s);
		}
		ASSERT_EQ(fds, vt_count_fds()) TH_LOG("with %d descriptors left", left);
	}
	EXPECT_EQ(0, err);
	EXPECT_LT(2, left);
	/* Shells that failed half way hold no place. */
	for (int i = 0; i < 2; i++) {
		struct venom_shell *s;

		ASSERT_TRUE(VT_UNTIL(venom_shell_connect(&s, self->name) == 0));
		venom_shell_close(s);
	}
	EXPECT_TRUE(unharmed(&self->dm, self->s, 1));
}

TEST(create_fails_at_every_descriptor_in_turn)
{
	rlim_t base = fds_in_use(), was;
	int left, fds = vt_count_fds(), err = -1;
	const char *name = vt_name();

	for (left = 0; err && left < 32; left++) {
		struct venom_daemon *d = VT_POISON_D;

		was = limit_fds(base + left);
		err = venom_daemon_create(&d, name, NULL);
		limit_fds(was);
		if (!err) {
			venom_daemon_destroy(d);
		} else {
			EXPECT_EQ(-EMFILE, err) TH_LOG("with %d descriptors left", left);
			EXPECT_EQ(VT_POISON_D, d);
		}
		ASSERT_EQ(fds, vt_count_fds()) TH_LOG("with %d descriptors left", left);
		EXPECT_EQ(-ENOENT, venom_stat(name, NULL, NULL, NULL, NULL));
	}
	EXPECT_EQ(0, err);
	EXPECT_LT(2, left);
}

static long limit_peer(long left, long b, long c)
{
	static rlim_t was;

	if (left >= 0)
		was = limit_fds(fds_in_use() + (rlim_t)left);
	else
		limit_fds(was);
	return b + c;
}

/* A daemon that can open no more descriptors refuses the new shell, and goes on. */
TEST_F(errors, daemon_out_of_descriptors)
{
	struct venom_shell *s = VT_POISON_S;

	for (int left = 0; left < 5; left++) {
		int err;

		ASSERT_EQ(0, vt_call(&self->dm, limit_peer, left));
		err = venom_shell_connect(&s, self->name);
		ASSERT_EQ(0, vt_call(&self->dm, limit_peer, -1));
		if (!err) {
			venom_shell_close(s);
			s = VT_POISON_S;
			continue;
		}
		EXPECT_EQ(-EMFILE, err) TH_LOG("with %d descriptors left", left);
		EXPECT_EQ(VT_POISON_S, s);
	}
	EXPECT_TRUE(unharmed(&self->dm, self->s, 1));
	ASSERT_TRUE(VT_UNTIL(venom_shell_connect(&s, self->name) == 0));
	EXPECT_TRUE(unharmed(&self->dm, s, 2));
	venom_shell_close(s);
}

/* Under a file size limit a memfd fails as it does without memory, and this machine takes no harm. */
TEST(out_of_memory)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct rlimit lim = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
	struct venom_daemon *d = VT_POISON_D;
	const char *name = vt_name();
	int fds = vt_count_fds();

	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &lim));
	cfg.data_size = 8 << 20;
	EXPECT_EQ(-ENOMEM, venom_daemon_create(&d, name, &cfg));
	EXPECT_EQ(VT_POISON_D, d);
	EXPECT_EQ(fds, vt_count_fds());
	EXPECT_EQ(-ENOENT, venom_stat(name, NULL, NULL, NULL, NULL));
	cfg.data_size = 1 << 10;
	ASSERT_EQ(0, venom_daemon_create(&d, name, &cfg));
	venom_daemon_destroy(d);
}

/* Has free memory shrunk by a large part of the total?  Then something is filling it. */
static bool memory_goes(uint64_t free_before)
{
	struct sysinfo si;

	return !sysinfo(&si) && free_before > si.freeram && (free_before - si.freeram) > si.totalram / 4;
}

/* More memory than the machine has is refused; it is not tried until another process dies of it. */
TEST(more_than_all_memory)
{
	struct venom_config *cfg = vt_config();
	struct sysinfo si;
	struct vt_peer dm;
	bool answered;

	ASSERT_EQ(0, sysinfo(&si));
	cfg->huge = VENOM_HUGE_NEVER;
	cfg->versions = 2;
	cfg->data_size = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	vt_start(&dm);
	vt_post(&dm, pd_create, vt_name(), cfg);
	VT_UNTIL(vt_has_result(&dm, 0) || memory_goes(si.freeram));
	answered = vt_has_result(&dm, 0);
	EXPECT_TRUE(answered) TH_LOG("it fills the memory");
	if (answered) {
		EXPECT_EQ(-ENOMEM, vt_result(&dm));
		EXPECT_NE(0, strlen(vt_errmsg));
		EXPECT_EQ(0, vt_stop(&dm));
	}
	vt_kill(&dm, SIGKILL);
}

/* ---- the message ---- */

static void *other_thread(void *failed)
{
	*(bool *)failed = *venom_errmsg() != 0;
	return NULL;
}

TEST(errmsg_is_the_thread_s_own_and_the_last_failure_s)
{
	struct venom_daemon *d;
	bool failed = true;
	pthread_t t;

	EXPECT_STREQ("", venom_errmsg());
	EXPECT_EQ(-EINVAL, venom_daemon_create(&d, "", NULL));
	EXPECT_NE(0, strlen(venom_errmsg()));
	ASSERT_EQ(0, pthread_create(&t, NULL, other_thread, &failed));
	ASSERT_EQ(0, pthread_join(t, NULL));
	EXPECT_FALSE(failed);
	ASSERT_EQ(0, venom_daemon_create(&d, vt_name(), NULL));
	EXPECT_STREQ("", venom_errmsg());
	venom_daemon_destroy(d);
}

TEST(version_text)
{
	EXPECT_STREQ(VENOM_VERSION, venom_version());
}

TEST_HARNESS_MAIN

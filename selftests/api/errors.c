/* SPDX-License-Identifier: MIT */
/*
 * Attacks the checks of arguments.  What is invalid must be refused, with the errno that the header names and a
 * sentence that names what was wrong; the outputs must stay as they were, no descriptor may leak, and nobody else may
 * be disturbed.  Broken peers are in proto.c, modes and users in access.c, dead processes in death.c.
 */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "lib/harness.h"
#include "lib/peer.h"

#define POISON_D ((struct venom_daemon *)0x5a5a5a)
#define POISON_S ((struct venom_shell *)0x5a5a5a)

/* ---- names ---- */

#define X16 "xxxxxxxxxxxxxxxx"

TEST(names_that_can_t_be)
{
	static const char *const bad[] = {
		NULL,
		"",
		X16 X16 X16 X16,
		X16 X16 X16 X16 X16,
		"/",
		"a/b",
		"/tmp/x",
		"../x",
		"..",
		".",
		".a",
		" ",
		"a b",
		"a\t",
		"a\n",
		"\1",
		"a\x1f",
		"a\x7f",
		"\r",
		"a/",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct venom_daemon *d = POISON_D;
		struct venom_shell *s = POISON_S;

		EXPECT_EQ(-EINVAL, venom_daemon_create(&d, bad[i], NULL)) TH_LOG("name %u", i);
		EXPECT_EQ(POISON_D, d);
		EXPECT_NE(NULL, strstr(venom_errmsg(), "name"));
		EXPECT_EQ(-EINVAL, venom_shell_connect(&s, bad[i])) TH_LOG("name %u", i);
		EXPECT_EQ(POISON_S, s);
		EXPECT_NE(NULL, strstr(venom_errmsg(), "name"));
		EXPECT_EQ(-EINVAL, venom_stat(bad[i], NULL, NULL, NULL, NULL));
	}
}

TEST(names_that_can_be)
{
	static const char *const good[] = {"a",	     "a.b",  "a..",  "-",
					   "Zürich", "a\\b", "%s%n", X16 X16 X16 "xxxxxxxxxxxxxxx"};

	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++) {
		struct venom_daemon *d;
		struct venom_shell *s;
		struct venom_info info;

		ASSERT_EQ(0, venom_daemon_create(&d, good[i], NULL)) TH_LOG("%s: %s", good[i], venom_errmsg());
		EXPECT_STREQ("", venom_errmsg());
		ASSERT_EQ(0, venom_shell_connect(&s, good[i]));
		ASSERT_EQ(0, venom_shell_info(s, &info));
		EXPECT_STREQ(good[i], info.name);
		venom_shell_close(s);
		venom_daemon_destroy(d);
	}
}

/* The files that a backend keeps beside a channel never collide with another channel's name. */
TEST(names_like_the_backend_s_own_files)
{
	static const char *const names[] = {"twin",	      "twin.lock",     "twin.new",
					    "twin.lock.lock", "twin.lock.new", "twin.tmp"};
	struct venom_daemon *d[ARRAY_SIZE(names)], *again;
	struct venom_shell *s;
	unsigned int i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < ARRAY_SIZE(names); i++) {
			unsigned int k = round ? ARRAY_SIZE(names) - 1 - i : i;

			ASSERT_EQ(0, venom_daemon_create(&d[k], names[k], NULL))
			TH_LOG("%s: %s", names[k], venom_errmsg());
		}
		for (i = 0; i < ARRAY_SIZE(names); i++) {
			EXPECT_EQ(-EBUSY, venom_daemon_create(&again, names[i], NULL)) TH_LOG("%s", names[i]);
			ASSERT_EQ(0, venom_shell_connect(&s, names[i])) TH_LOG("%s", names[i]);
			venom_shell_close(s);
		}
		for (i = 0; i < ARRAY_SIZE(names); i++) {
			venom_daemon_destroy(d[i]);
			EXPECT_EQ(-ENOENT, venom_shell_connect(&s, names[i])) TH_LOG("%s", names[i]);
		}
	}
}

/* Two spellings of a path name the same folder. */
TEST(one_name_by_two_paths)
{
	char *dir = strdup(getenv("VENOM_RUNTIME_DIR")), other[200];
	struct venom_daemon *d, *again = POISON_D;
	struct venom_shell *s;

	snprintf(other, sizeof(other), "/%s/.", dir);
	ASSERT_EQ(0, venom_daemon_create(&d, "twice", NULL));
	setenv("VENOM_RUNTIME_DIR", other, 1);
	EXPECT_EQ(-EBUSY, venom_daemon_create(&again, "twice", NULL));
	EXPECT_EQ(POISON_D, again);
	ASSERT_EQ(0, venom_shell_connect(&s, "twice"));
	venom_shell_close(s);
	setenv("VENOM_RUNTIME_DIR", dir, 1);
	free(dir);
	venom_daemon_destroy(d);
}

/* ---- configs ---- */

struct bad_field {
	const char *field;
	size_t offset, size;
	uint64_t value;
};

#define BAD(field, value)                                                                                      \
	{                                                                                                      \
#field, offsetof(struct venom_config, field), sizeof(((struct venom_config *)0)->field), value \
	}

static const struct bad_field bad_fields[] = {
	BAD(size, 0),
	BAD(size, sizeof(struct venom_config) - 1),
	BAD(size, sizeof(struct venom_config) + 1),
	BAD(size, UINT32_MAX),
	BAD(flags, 1u << 3),
	BAD(flags, 1u << 31),
	BAD(data_size, 0),
	BAD(data_size, UINT64_MAX),
	BAD(data_size, UINT64_MAX - 4096),
	BAD(data_size, 1ull << 62),
	BAD(data_size, UINT64_MAX / 4), /* times 4 versions wraps */
	BAD(versions, 0),
	BAD(versions, VENOM_VERSIONS_MAX + 1),
	BAD(versions, UINT32_MAX),
	BAD(cmd_slots, 0),
	BAD(cmd_slots, VENOM_SLOTS_MAX + 1),
	BAD(cmd_slots, UINT32_MAX),
	BAD(cmd_size, 0),
	BAD(resp_size, 0),
	BAD(max_clients, 0),
	BAD(max_clients, VENOM_CLIENTS_MAX + 1),
	BAD(max_clients, UINT32_MAX),
	BAD(mode, 0700),
	BAD(mode, 0601),
	BAD(mode, 01600),
	BAD(mode, 0100600),
	BAD(mode, UINT32_MAX),
	BAD(huge, 3),
	BAD(huge, UINT32_MAX),
	BAD(huge_size, 1),
	BAD(huge_size, 4096),
	BAD(huge_size, (2ull << 20) + 1),
	BAD(huge_size, UINT64_MAX),
	BAD(reserved, 1),
	BAD(spin_ns, (uint64_t)-3),
	BAD(spin_ns, (uint64_t)INT64_MIN),
};

/* The config is refused, the message names the field, and nothing is left behind. */
static bool refused(const struct venom_config *cfg, const char *field)
{
	struct venom_daemon *d = POISON_D;
	struct venom_config before = *cfg;
	const char *name = vt_name();
	int fds = vt_count_fds();
	int err = venom_daemon_create(&d, name, cfg);

	if (err == -EINVAL && d == POISON_D && strstr(venom_errmsg(), field) && vt_count_fds() == fds &&
	    !memcmp(&before, cfg, sizeof(before)) && venom_stat(name, NULL, NULL, NULL, NULL) == -ENOENT)
		return true;
	fprintf(stderr, "# %s: got %d, \"%s\"\n", field, err, venom_errmsg());
	return false;
}

TEST(fields_that_can_t_be)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_fields); i++) {
		struct venom_config cfg = VENOM_CONFIG_INIT;
		const struct bad_field *b = &bad_fields[i];

		memcpy((char *)&cfg + b->offset, &b->value, b->size); /* little-endian, as all that we run on */
		EXPECT_TRUE(refused(&cfg, b->field)) TH_LOG("%s = %#llx", b->field, (unsigned long long)b->value);
	}
}

TEST(products_that_can_t_be)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;

	cfg.data_size = 1ull << 45;
	cfg.versions = VENOM_VERSIONS_MAX;
	EXPECT_TRUE(refused(&cfg, "data_size"));
	EXPECT_TRUE(refused(&cfg, "versions"));
	cfg = (struct venom_config)VENOM_CONFIG_INIT;
	cfg.cmd_slots = VENOM_SLOTS_MAX;
	cfg.cmd_size = UINT32_MAX;
	EXPECT_TRUE(refused(&cfg, "cmd_size"));
	cfg.cmd_size = 1;
	cfg.resp_size = UINT32_MAX;
	EXPECT_TRUE(refused(&cfg, "resp_size"));
	cfg.cmd_size = UINT32_MAX;
	EXPECT_TRUE(refused(&cfg, "size"));
}

TEST(null_config_is_the_default)
{
	const struct venom_config init = VENOM_CONFIG_INIT;
	struct venom_daemon *d;
	struct venom_info info;

	ASSERT_EQ(0, venom_daemon_create(&d, vt_name(), NULL));
	ASSERT_EQ(0, venom_daemon_info(d, &info));
	EXPECT_EQ(init.data_size, info.data_size);
	EXPECT_EQ(init.versions, info.versions);
	EXPECT_EQ(init.cmd_slots, info.cmd_slots);
	EXPECT_EQ(init.cmd_size, info.cmd_size);
	EXPECT_EQ(init.resp_size, info.resp_size);
	EXPECT_EQ(init.max_clients, info.max_clients);
	EXPECT_EQ(init.mode, info.mode);
	venom_daemon_destroy(d);
}

TEST(null_handles)
{
	venom_daemon_destroy(NULL);
	venom_shell_close(NULL);
}

/* ---- a name that is taken ---- */

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

TEST_F(errors, name_of_a_living_daemon)
{
	struct venom_config smaller = VENOM_CONFIG_INIT;
	struct venom_daemon *d = POISON_D;
	struct venom_shell *other;
	int fds = vt_count_fds();

	smaller.data_size = 1;
	EXPECT_EQ(-EBUSY, venom_daemon_create(&d, self->name, &smaller));
	EXPECT_EQ(-EBUSY, venom_daemon_create(&d, self->name, self->cfg));
	EXPECT_EQ(POISON_D, d);
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
	struct venom_shell *s = POISON_S;
	struct venom_info info, before;
	int fds = vt_count_fds();

	memset(&info, 0x5a, sizeof(info));
	before = info;
	EXPECT_EQ(-ENOENT, venom_shell_connect(&s, "nobody"));
	EXPECT_EQ(POISON_S, s);
	EXPECT_EQ(-ENOENT, venom_stat("nobody", &info, NULL, NULL, NULL));
	EXPECT_EQ(0, memcmp(&before, &info, sizeof(info)));
	EXPECT_EQ(0, vt_call(&self->dm, pd_destroy));
	EXPECT_EQ(-ENOENT, venom_shell_connect(&s, self->name));
	EXPECT_EQ(POISON_S, s);
	EXPECT_EQ(fds, vt_count_fds());
}

TEST_F(errors, one_shell_too_many)
{
	struct venom_shell *a, *b, *c = POISON_S;
	struct venom_daemon_stats st;
	int fds;

	ASSERT_EQ(0, venom_shell_connect(&a, self->name));
	ASSERT_EQ(0, venom_shell_connect(&b, self->name));
	fds = vt_count_fds();
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(-EUSERS, venom_shell_connect(&c, self->name));
	}
	EXPECT_EQ(POISON_S, c);
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
	struct venom_daemon *d = POISON_D;
	struct venom_shell *s = POISON_S;
	bool on_dev = vt_on_dev();

	setenv("VENOM_BACKEND", "abacus", 1);
	EXPECT_EQ(-ENODEV, venom_daemon_create(&d, "x", NULL));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "abacus"));
	EXPECT_EQ(-ENODEV, venom_shell_connect(&s, self->name));
	EXPECT_EQ(POISON_D, d);
	EXPECT_EQ(POISON_S, s);
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
		struct venom_shell *s = POISON_S;

		was = limit_fds(base + left);
		err = venom_shell_connect(&s, self->name);
		limit_fds(was);
		if (!err) {
			venom_shell_close(s);
		} else {
			EXPECT_EQ(-EMFILE, err) TH_LOG("with %d descriptors left", left);
			EXPECT_EQ(POISON_S, s);
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
		struct venom_daemon *d = POISON_D;

		was = limit_fds(base + left);
		err = venom_daemon_create(&d, name, NULL);
		limit_fds(was);
		if (!err) {
			venom_daemon_destroy(d);
		} else {
			EXPECT_EQ(-EMFILE, err) TH_LOG("with %d descriptors left", left);
			EXPECT_EQ(POISON_D, d);
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
	struct venom_shell *s = POISON_S;

	for (int left = 0; left < 5; left++) {
		int err;

		ASSERT_EQ(0, vt_call(&self->dm, limit_peer, left));
		err = venom_shell_connect(&s, self->name);
		ASSERT_EQ(0, vt_call(&self->dm, limit_peer, -1));
		if (!err) {
			venom_shell_close(s);
			s = POISON_S;
			continue;
		}
		EXPECT_EQ(-EMFILE, err) TH_LOG("with %d descriptors left", left);
		EXPECT_EQ(POISON_S, s);
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
	struct venom_daemon *d = POISON_D;
	const char *name = vt_name();
	int fds = vt_count_fds();

	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &lim));
	cfg.data_size = 8 << 20;
	EXPECT_EQ(-ENOMEM, venom_daemon_create(&d, name, &cfg));
	EXPECT_EQ(POISON_D, d);
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

/* SPDX-License-Identifier: MIT */
/*
 * Attacks the checks of arguments: channel names, and each field of a config.  What is invalid must be refused with
 * EINVAL and a sentence that says what was wrong, and must leave nothing behind; what is valid must work.  extremes.c
 * tries all fields at their ends.
 */
#include <stddef.h>
#include <string.h>

#include "lib/harness.h"
#include "lib/peer.h"

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
		struct venom_daemon *d = VT_POISON_D;
		struct venom_shell *s = VT_POISON_S;

		EXPECT_EQ(-EINVAL, venom_daemon_create(&d, bad[i], NULL)) TH_LOG("name %u", i);
		EXPECT_EQ(VT_POISON_D, d);
		EXPECT_NE(NULL, strstr(venom_errmsg(), "name"));
		EXPECT_EQ(-EINVAL, venom_shell_connect(&s, bad[i])) TH_LOG("name %u", i);
		EXPECT_EQ(VT_POISON_S, s);
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
	struct venom_daemon *d, *again = VT_POISON_D;
	struct venom_shell *s;

	snprintf(other, sizeof(other), "/%s/.", dir);
	ASSERT_EQ(0, venom_daemon_create(&d, "twice", NULL));
	setenv("VENOM_RUNTIME_DIR", other, 1);
	EXPECT_EQ(-EBUSY, venom_daemon_create(&again, "twice", NULL));
	EXPECT_EQ(VT_POISON_D, again);
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
	struct venom_daemon *d = VT_POISON_D;
	struct venom_config before = *cfg;
	const char *name = vt_name();
	int fds = vt_count_fds();
	int err = venom_daemon_create(&d, name, cfg);

	if (err == -EINVAL && d == VT_POISON_D && strstr(venom_errmsg(), field) && vt_count_fds() == fds &&
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

TEST_HARNESS_MAIN

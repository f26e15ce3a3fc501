/* SPDX-License-Identifier: MIT */
/*
 * Attacks a channel with a schema, which says what its messages mean.  The schema must come to each shell as the daemon
 * gave it, or not at all.  A shell that expects another schema must be refused, with a sentence that names both.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"
#undef ARRAY_SIZE
#include "lib/harness.h"
#include "lib/peer.h"
#include "venom_schema.h"

struct quote {
	double bid, ask;
	uint64_t ns;
};
VENOM_TYPE(struct quote, bid, ask, ns);

struct trade {
	double price;
	uint64_t ns;
};
VENOM_TYPE(struct trade, price, ns);

FIXTURE(typed)
{
	struct vt_peer dm;
	const char *name;
	struct venom_config cfg;
	struct venom_shell *s;
	struct venom_schema quote, trade, is;
};

FIXTURE_SETUP(typed)
{
	self->cfg = (struct venom_config)VENOM_CONFIG_INIT;
	self->cfg.data_size = sizeof(struct quote);
	self->name = vt_name();
	ASSERT_EQ(0, venom_type_schema(&self->quote, VENOM_TYPE_OF(struct quote), NULL));
	ASSERT_EQ(0, venom_type_schema(&self->trade, VENOM_TYPE_OF(struct trade), NULL));
	self->cfg.schema = &self->quote;
	vt_start(&self->dm); /* a fork: it has the schemas, too */
}

FIXTURE_TEARDOWN(typed)
{
	venom_shell_close(self->s);
	vt_call(&self->dm, pd_destroy);
	EXPECT_EQ(0, vt_stop(&self->dm));
	venom_schema_free(&self->quote);
	venom_schema_free(&self->trade);
}

static struct venom_config the_cfg;

static long create(long name, long cfg, long schema)
{
	the_cfg = *(struct venom_config *)cfg;
	the_cfg.schema = (struct venom_schema *)schema;
	return pd_create(name, (long)&the_cfg, 0);
}

#define create_it(self, schema)                                                                                    \
	({                                                                                                         \
		memcpy(vt_box, &(self)->cfg, sizeof((self)->cfg));                                                 \
		vt_call(&(self)->dm, create, (self)->name, vt_box, schema);                                        \
	})

/* What was made before the fork is at the same address in the peer. */
TEST_F(typed, comes_whole)
{
	struct venom_daemon_stats st;
	struct venom_info info;

	ASSERT_EQ(0, create_it(self, &self->quote)) TH_LOG("%s", vt_errmsg);
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, venom_shell_schema(self->s, &self->is)) TH_LOG("%s", venom_errmsg());
		EXPECT_STREQ("venom/msg/Quote", self->is.name);
		EXPECT_STREQ("ros2msg", self->is.encoding);
		ASSERT_EQ(self->quote.text_len, self->is.text_len);
		EXPECT_EQ(0, memcmp(self->quote.text, self->is.text, self->is.text_len));
		EXPECT_EQ(self->quote.hash, self->is.hash);
	}
	EXPECT_EQ(0, venom_shell_expect(self->s, &self->quote));
	EXPECT_EQ(0, venom_shell_expect(self->s, NULL));
	ASSERT_EQ(0, venom_shell_info(self->s, &info));
	EXPECT_EQ(self->quote.hash, info.schema_hash);
	EXPECT_STREQ("venom/msg/Quote", info.schema_name);
	EXPECT_STREQ("ros2msg", info.schema_encoding);
	memset(&info, 0, sizeof(info));
	ASSERT_EQ(0, venom_stat(self->name, &info, &st, NULL, NULL));
	EXPECT_EQ(self->quote.hash, info.schema_hash);
	EXPECT_STREQ("venom/msg/Quote", info.schema_name);
	/* The schema outlives the daemon. */
	ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	ASSERT_EQ(0, venom_shell_schema(self->s, &self->is));
	EXPECT_EQ(self->quote.hash, self->is.hash);
}

TEST_F(typed, another_is_refused)
{
	struct venom_connect how = VENOM_CONNECT_INIT;

	ASSERT_EQ(0, create_it(self, &self->quote));
	how.schema = &self->trade;
	EXPECT_EQ(-EPROTO, venom_shell_connect_with(&self->s, self->name, &how));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "venom/msg/Quote"));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "venom/msg/Trade"));
	how.schema = &self->quote;
	ASSERT_EQ(0, venom_shell_connect_with(&self->s, self->name, &how));
	EXPECT_EQ(-EPROTO, venom_shell_expect(self->s, &self->trade));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "venom/msg/Trade"));
	self->trade.hash++;
	EXPECT_EQ(-EINVAL, venom_shell_expect(self->s, &self->trade));
}

TEST_F(typed, none)
{
	struct venom_connect how = VENOM_CONNECT_INIT;
	struct venom_info info;

	ASSERT_EQ(0, create_it(self, 0));
	how.schema = &self->quote;
	EXPECT_EQ(-EPROTO, venom_shell_connect_with(&self->s, self->name, &how));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "says nothing"));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
	self->is.hash = 77;
	EXPECT_EQ(-ENODATA, venom_shell_schema(self->s, &self->is));
	EXPECT_EQ(77, self->is.hash);
	ASSERT_EQ(0, venom_shell_info(self->s, &info));
	EXPECT_EQ(0, info.schema_hash);
	EXPECT_STREQ("", info.schema_name);
}

TEST_F(typed, that_is_none)
{
	struct venom_schema bad = self->quote;
	struct venom_daemon *d;

	self->cfg.schema = &bad;
	bad.hash++;
	EXPECT_EQ(-EINVAL, venom_daemon_create(&d, self->name, &self->cfg));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "hash"));
	bad.encoding = "an encoding of too many bytes";
	EXPECT_EQ(-EINVAL, venom_daemon_create(&d, self->name, &self->cfg));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "encoding"));
	bad = self->quote;
	bad.text_len = VENOM_SCHEMA_TEXT_MAX + 1;
	EXPECT_EQ(-EINVAL, venom_daemon_create(&d, self->name, &self->cfg));
}

/* The schema may be any bytes, up to the largest; the state behind it is where it should be. */
TEST_F(typed, of_any_length)
{
	static const size_t lens[] = {0, 1, 3391, 3392, 3393, 4096, 65536, VENOM_SCHEMA_TEXT_MAX};
	struct quote q = {1.5, 2.5, 42}, got;
	struct venom_daemon *d;

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		char *text = malloc(lens[i] + 1);
		struct venom_schema any = {"any", "protobuf", text, lens[i], 0};

		vt_fill(text, lens[i], 5);
		any.hash = venom_schema_hash(&any);
		self->cfg.schema = &any;
		ASSERT_EQ(0, venom_daemon_create(&d, self->name, &self->cfg)) TH_LOG("%s", venom_errmsg());
		free(text);
		ASSERT_EQ(0, venom_daemon_publish(d, &q, sizeof(q)));
		ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
		ASSERT_EQ(0, venom_shell_schema(self->s, &self->is));
		ASSERT_EQ(lens[i], self->is.text_len);
		EXPECT_TRUE(vt_is(self->is.text, lens[i], 5));
		ASSERT_EQ(sizeof(got), venom_shell_read(self->s, &got, sizeof(got), NULL));
		EXPECT_EQ(0, memcmp(&q, &got, sizeof(q)));
		venom_shell_close(self->s);
		self->s = NULL;
		venom_daemon_destroy(d);
	}
}

static long forge(long how, long b, long c)
{
	struct venom_schema_block *block = &pd->state->schema;

	switch (how) {
	case 0:
		block->hash++;
		break;
	case 1:
		((char *)pd->state)[VENOM_SCHEMA_TEXT] ^= 1;
		break;
	case 2:
		memset(block->name, 'x', sizeof(block->name));
		break;
	case 3:
		memset(block->encoding, 'x', sizeof(block->encoding));
		break;
	case 4:
		block->name[0] = 27;
		break;
	}
	return b + c;
}

/* A daemon that writes anything it likes there. */
TEST_F(typed, forged)
{
	struct venom_info info;

	for (long how = 0; how < 5; how++) {
		ASSERT_EQ(0, create_it(self, &self->quote));
		ASSERT_EQ(0, venom_shell_connect(&self->s, self->name));
		ASSERT_EQ(0, vt_call(&self->dm, forge, how));
		EXPECT_EQ(-EPROTO, venom_shell_schema(self->s, &self->is)) TH_LOG("%ld", how);
		EXPECT_EQ(how ? 0 : -EPROTO, venom_shell_expect(self->s, &self->quote));
		ASSERT_EQ(0, venom_shell_info(self->s, &info));
		EXPECT_EQ(0, info.schema_name[63]);
		EXPECT_EQ(0, info.schema_encoding[15]);
		EXPECT_EQ(NULL, strchr(info.schema_name, 27));
		EXPECT_EQ(NULL, strchr(venom_errmsg(), 27));
		venom_shell_close(self->s);
		self->s = NULL;
		ASSERT_EQ(0, vt_call(&self->dm, pd_destroy));
	}
}

TEST_HARNESS_MAIN

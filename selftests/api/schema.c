/* SPDX-License-Identifier: MIT */
/*
 * Attacks schemas: the field table of a C struct, the text and the hash made of it, and what must be refused, with the
 * field's name.  test-schema.sh tests what the compiler refuses, fields.c what `venom` makes of a text.
 */
#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "control/schema.h"
#include "lib/harness.h"

#define LINE "================================================================================\n"

struct quote {
	double bid, ask;
	uint64_t ns;
};
VENOM_TYPE(struct quote, bid, ask, ns);

typedef struct {
	_Bool b;
	char c;
	signed char i8;
	unsigned char u8;
	short i16;
	unsigned short u16;
	int i32;
	unsigned int u32;
	long i64;
	unsigned long u64;
	long long i64_again;
	unsigned long long u64_again;
	float f32;
	double f64;
} every_kind_t;
VENOM_TYPE(every_kind_t, b, c, i8, u8, i16, u16, i32, u32, i64, u64, i64_again, u64_again, f32, f64);

enum side { BUY, SELL };
enum change { DOWN = -1, SAME, UP };
struct point {
	double x, y;
};
VENOM_TYPE(struct point, x, y);
struct book_level {
	struct point at;
	int16_t size[3];
};
VENOM_TYPE(struct book_level, VENOM_SUB(struct point, at), size);
struct trade {
	struct point from, to[2];
	enum side side;
	char symbol[12];
	enum change change[1];
	uint64_t ns;
	struct book_level last;
};
VENOM_TYPE(struct trade, VENOM_SUB(struct point, from), VENOM_SUB(struct point, to), side, symbol, change, ns,
	   VENOM_SUB(struct book_level, last));

#define X8(x) x##0, x##1, x##2, x##3, x##4, x##5, x##6, x##7
struct most {
	uint8_t X8(a), X8(b), X8(c), X8(d), X8(e), X8(f), X8(g), X8(h);
};
VENOM_TYPE(struct most, X8(a), X8(b), X8(c), X8(d), X8(e), X8(f), X8(g), X8(h));

static const char *text_of(const struct venom_type *type)
{
	static char text[4096];
	struct venom_schema s;
	int rc = venom_type_schema(&s, type, NULL);

	if (rc)
		return venom_errmsg();
	snprintf(text, sizeof(text), "%.*s", (int)s.text_len, (const char *)s.text);
	venom_schema_free(&s);
	return text;
}

TEST(table)
{
	const struct venom_type *t = VENOM_TYPE_OF(struct trade);
	static const struct venom_field want[] = {
		{"from", VENOM_KIND_STRUCT, VENOM_TYPE_OF(struct point), 0, 16, 0},
		{"to", VENOM_KIND_STRUCT, VENOM_TYPE_OF(struct point), 16, 16, 2},
		{"side", VENOM_KIND_UINT32, NULL, 48, 4, 0},
		{"symbol", VENOM_KIND_CHAR, NULL, 52, 1, 12},
		{"change", VENOM_KIND_INT32, NULL, 64, 4, 1},
		{"ns", VENOM_KIND_UINT64, NULL, 72, 8, 0},
		{"last", VENOM_KIND_STRUCT, VENOM_TYPE_OF(struct book_level), 80, 24, 0},
	};

	EXPECT_STREQ("struct trade", t->name);
	EXPECT_EQ(sizeof(struct trade), t->size);
	ASSERT_EQ(ARRAY_SIZE(want), t->count);
	for (size_t i = 0; i < t->count; i++) {
		EXPECT_STREQ(want[i].name, t->fields[i].name);
		EXPECT_EQ(want[i].kind, t->fields[i].kind) TH_LOG("%s", want[i].name);
		EXPECT_EQ(want[i].type, t->fields[i].type) TH_LOG("%s", want[i].name);
		EXPECT_EQ(want[i].offset, t->fields[i].offset) TH_LOG("%s", want[i].name);
		EXPECT_EQ(want[i].size, t->fields[i].size) TH_LOG("%s", want[i].name);
		EXPECT_EQ(want[i].count, t->fields[i].count) TH_LOG("%s", want[i].name);
	}
	EXPECT_EQ(64, VENOM_TYPE_OF(struct most)->count);
	EXPECT_STREQ("h7", VENOM_TYPE_OF(struct most)->fields[63].name);
	EXPECT_EQ(63, VENOM_TYPE_OF(struct most)->fields[63].offset);
}

TEST(text)
{
	EXPECT_STREQ("float64 bid\nfloat64 ask\nuint64 ns\n", text_of(VENOM_TYPE_OF(struct quote)));
	EXPECT_STREQ("bool b\nchar c\nint8 i8\nuint8 u8\nint16 i16\nuint16 u16\nint32 i32\nuint32 u32\nint64 i64\n"
		     "uint64 u64\nint64 i64_again\nuint64 u64_again\nfloat32 f32\nfloat64 f64\n",
		     text_of(VENOM_TYPE_OF(every_kind_t)));
	EXPECT_STREQ("venom/Point from\nvenom/Point[2] to\nuint32 side\nchar[12] symbol\nint32[1] change\nuint64 ns\n"
		     "venom/BookLevel last\n" LINE "MSG: venom/Point\nfloat64 x\nfloat64 y\n" LINE
		     "MSG: venom/BookLevel\nvenom/Point at\nint16[3] size\n",
		     text_of(VENOM_TYPE_OF(struct trade)));
}

TEST(names)
{
	static const char *const good[] = {"a", "market_2", "x1"};
	static const char *const bad[] = {"", "A", "1a", "_a", "a_", "a__b", "a/b", "a b", "\xc3\xa9"};
	struct venom_schema s;

	ASSERT_EQ(0, venom_type_schema(&s, VENOM_TYPE_OF(struct book_level), NULL));
	EXPECT_STREQ("venom/msg/BookLevel", s.name);
	EXPECT_STREQ("ros2msg", s.encoding);
	EXPECT_EQ(venom_schema_hash(&s), s.hash);
	venom_schema_free(&s);
	EXPECT_EQ(NULL, s.name);
	EXPECT_EQ(0, s.hash);
	venom_schema_free(&s);
	venom_schema_free(NULL);
	ASSERT_EQ(0, venom_type_schema(&s, VENOM_TYPE_OF(every_kind_t), NULL));
	EXPECT_STREQ("venom/msg/EveryKindT", s.name);
	venom_schema_free(&s);
	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++) {
		char name[64];

		ASSERT_EQ(0, venom_type_schema(&s, VENOM_TYPE_OF(struct quote), good[i]));
		snprintf(name, sizeof(name), "%s/msg/Quote", good[i]);
		EXPECT_STREQ(name, s.name);
		venom_schema_free(&s);
	}
	memset(&s, 0x5a, sizeof(s));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, venom_type_schema(&s, VENOM_TYPE_OF(struct quote), bad[i])) TH_LOG("%s", bad[i]);
		EXPECT_NE(NULL, strstr(venom_errmsg(), "package"));
	}
	/* "/msg/Quote" is 10 bytes. */
	EXPECT_EQ(-ENAMETOOLONG, venom_type_schema(&s, VENOM_TYPE_OF(struct quote),
						   "p23456789012345678901234567890123456789012345678901234"));
	EXPECT_EQ(0x5a5a5a5a5a5a5a5a, s.hash);
	ASSERT_EQ(0, venom_type_schema(&s, VENOM_TYPE_OF(struct quote),
				       "p2345678901234567890123456789012345678901234567890123"));
	EXPECT_EQ(VENOM_SCHEMA_NAME_MAX, strlen(s.name));
	venom_schema_free(&s);
}

/* The values come from a Python program of its own; test-schema.sh has them, too. */
TEST(hash)
{
	static const struct {
		const char *name, *encoding, *text;
		uint64_t hash;
	} known[] = {
		{"", "", "", 0},
		{NULL, NULL, NULL, 0},
		{"a", "", "", 0xe5d2f7190427066c},
		{"", "a", "", 0xd8dcec186bafe76e},
		{"", "", "a", 0xd94cb1186c0e8ae4},
		{"venom/msg/Quote", "ros2msg", "float64 bid\nfloat64 ask\nuint64 ns\n", 0xadd1529991f8c623},
	};
	struct venom_schema s;

	EXPECT_EQ(0, venom_schema_hash(NULL));
	for (unsigned int i = 0; i < ARRAY_SIZE(known); i++) {
		s = (struct venom_schema){known[i].name, known[i].encoding, known[i].text,
					  known[i].text ? strlen(known[i].text) : 0, 1234};
		EXPECT_EQ(known[i].hash, venom_schema_hash(&s)) TH_LOG("%u", i);
	}
	/* The text may be any bytes. */
	s = (struct venom_schema){"n", "e", "a\0b", 3, 0};
	EXPECT_EQ(0x9ce5430ab996caf7, venom_schema_hash(&s));
}

TEST(check)
{
	struct venom_schema s = {0}, good;
	char name[VENOM_SCHEMA_NAME_MAX + 2], *text = calloc(1, VENOM_SCHEMA_TEXT_MAX + 1);

	EXPECT_EQ(0, schema_check(&s));
	memset(name, 'n', sizeof(name));
	name[VENOM_SCHEMA_NAME_MAX] = 0;
	good = (struct venom_schema){name, "protobuf1234567", text, VENOM_SCHEMA_TEXT_MAX, 0};
	good.hash = venom_schema_hash(&good);
	EXPECT_EQ(0, schema_check(&good)) TH_LOG("%s", venom_errmsg());

#define REFUSED(word, change)                                                               \
	do {                                                                                \
		s = good;                                                                   \
		change;                                                                     \
		EXPECT_EQ(-EINVAL, schema_check(&s));                                       \
		EXPECT_NE(NULL, strstr(venom_errmsg(), word)) TH_LOG("%s", venom_errmsg()); \
	} while (0)
	REFUSED("hash", s.hash++);
	REFUSED("hash", s.hash = 0);
	REFUSED("hash", s.text_len--);
	REFUSED("text", s.text_len++);
	REFUSED("text", s.text = NULL);
	REFUSED("encoding", s.encoding = "protobuf12345678");
	REFUSED("encoding", s.encoding = "a\n");
	REFUSED("name", s.name = "a\x1b[2J");
	name[VENOM_SCHEMA_NAME_MAX] = 'n';
	name[VENOM_SCHEMA_NAME_MAX + 1] = 0;
	REFUSED("name", );
	free(text);
}

/* ---- refused ---- */

/* What the compiler can't refuse in VENOM_TYPE(), or must not. */
struct camel {
	int lastPx;
};
VENOM_TYPE(struct camel, lastPx);
struct __wide {
	int a;
} __attribute__((aligned(64)));
VENOM_TYPE(struct __wide, a);
struct book__level {
	struct book_level a;
};
VENOM_TYPE(struct book__level, VENOM_SUB(struct book_level, a));
struct deep0 {
	int a;
};
VENOM_TYPE(struct deep0, a);

/* Padding at an end: CDR puts what follows into it, if that fits. */
struct tail {
	double d;
	uint8_t u;
};
VENOM_TYPE(struct tail, d, u);
struct tail_small {
	struct tail tail;
	uint8_t next;
};
VENOM_TYPE(struct tail_small, VENOM_SUB(struct tail, tail), next);
struct tails_small {
	struct tail tails[2];
	uint8_t next;
};
VENOM_TYPE(struct tails_small, VENOM_SUB(struct tail, tails), next);
struct tail_large {
	struct tail tail, tails[2];
	double next;
};
VENOM_TYPE(struct tail_large, VENOM_SUB(struct tail, tail), VENOM_SUB(struct tail, tails), next);
/* A first field that is smaller than the largest: CDR begins the struct by that one's alignment. */
struct head {
	uint8_t u;
	double d;
};
VENOM_TYPE(struct head, u, d);
struct small_head {
	uint8_t before;
	struct head head;
};
VENOM_TYPE(struct small_head, before, VENOM_SUB(struct head, head));
struct heads {
	struct head heads[3];
	struct head head;
};
VENOM_TYPE(struct heads, VENOM_SUB(struct head, heads), VENOM_SUB(struct head, head));
/* Both. */
struct both {
	uint8_t u;
	double d;
	uint8_t v;
};
VENOM_TYPE(struct both, u, d, v);
struct boths {
	struct both boths[2];
};
VENOM_TYPE(struct boths, VENOM_SUB(struct both, boths));

TEST(layouts)
{
	static const struct {
		const struct venom_type *type;
		const char *says; /* NULL: accepted */
	} types[] = {
		{VENOM_TYPE_OF(struct tail), NULL},
		{VENOM_TYPE_OF(struct head), NULL},
		{VENOM_TYPE_OF(struct both), NULL},
		{VENOM_TYPE_OF(struct tail_large), NULL},
		{VENOM_TYPE_OF(struct heads), NULL},
		{VENOM_TYPE_OF(struct tail_small), "struct tail_small: field next is at 16, but in CDR at 9:"},
		{VENOM_TYPE_OF(struct tails_small), "struct tails_small: field next is at 32, but in CDR at 25:"},
		{VENOM_TYPE_OF(struct small_head), "struct small_head: field head is at 8, but in CDR at 1:"},
		{VENOM_TYPE_OF(struct boths), "struct boths: field boths: its elements end in padding"},
		{VENOM_TYPE_OF(struct camel), "struct camel: field lastPx: its name"},
		{VENOM_TYPE_OF(struct __wide), "struct __wide is of 64 bytes, its fields of 4:"},
		{VENOM_TYPE_OF(struct book__level),
		 "struct book__level and struct book_level would both be the message BookLevel"},
	};
	struct venom_schema s, poison;

	memset(&poison, 0x5a, sizeof(poison));
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		s = poison;
		if (!types[i].says) {
			EXPECT_EQ(0, venom_type_schema(&s, types[i].type, NULL)) TH_LOG("%s", venom_errmsg());
			EXPECT_EQ(0, schema_check(&s));
			venom_schema_free(&s);
			continue;
		}
		EXPECT_EQ(-EINVAL, venom_type_schema(&s, types[i].type, NULL)) TH_LOG("%s", types[i].type->name);
		EXPECT_EQ(0, strncmp(venom_errmsg(), types[i].says, strlen(types[i].says)))
		TH_LOG("%s", venom_errmsg());
		EXPECT_EQ(0, memcmp(&s, &poison, sizeof(s)));
	}
}

/* Tables that VENOM_TYPE() would not make, but a binding might. */
TEST(tables_by_hand)
{
	static const struct venom_type point = {"point", NULL, 2, 16};
	static const struct {
		struct venom_field f[3];
		size_t size;
		const char *says;
	} bad[] = {
		{{{"a", VENOM_KIND_INT32, NULL, 0, 4, 0}, {"b", VENOM_KIND_INT32, NULL, 8, 4, 0}},
		 12,
		 "t: field b is at 8, not at 4:"},
		{{{"a", VENOM_KIND_INT32, NULL, 4, 4, 0}, {"b", VENOM_KIND_INT32, NULL, 8, 4, 0}},
		 12,
		 "t: field a is at 4, not at 0:"},
		{{{"a", VENOM_KIND_INT8, NULL, 0, 1, 0}, {"b", VENOM_KIND_INT32, NULL, 1, 4, 0}},
		 5,
		 "t: field b is at 1, not at 4:"},
		{{{"a", VENOM_KIND_INT32, NULL, 0, 4, 0}, {"b", VENOM_KIND_INT32, NULL, 4, 4, 0}},
		 12,
		 "t is of 12 bytes, its fields of 8:"},
		{{{"a", VENOM_KIND_INT32, NULL, 0, 4, 0}, {"a", VENOM_KIND_INT32, NULL, 4, 4, 0}},
		 8,
		 "t: field a is there twice"},
		{{{"a", VENOM_KIND_NONE, NULL, 0, 4, 0}}, 4, "t: field a is of a type"},
		{{{"a", (enum venom_kind)99, NULL, 0, 4, 0}}, 4, "t: field a is of a type"},
		{{{"a", VENOM_KIND_STRUCT, NULL, 0, 4, 0}}, 4, "t: field a is a struct without"},
		{{{"a", VENOM_KIND_STRUCT, &point, 0, 16, 0}}, 16, "point: a type without"},
		{{{"a", VENOM_KIND_INT32, NULL, 0, 8, 0}}, 8, "t: field a is of 8 bytes"},
		{{{"a", VENOM_KIND_INT32, NULL, 0, 4, 3}}, 8, "t: field a is larger than the struct"},
		{{{"a", VENOM_KIND_INT32, NULL, 0, 4, SIZE_MAX / 4 + 2}}, 8, "t: field a is larger than the struct"},
		{{{NULL, VENOM_KIND_INT32, NULL, 0, 4, 0}}, 4, "t: field : its name"},
		{{{"a", VENOM_KIND_INT32, NULL, 0, 4, 0}, {"b_", VENOM_KIND_INT32, NULL, 4, 4, 0}},
		 8,
		 "t: field b_: its name"},
	};
	struct venom_type t = {"t", NULL, 0, 8}, wheel;
	struct venom_field round = {"round", VENOM_KIND_STRUCT, &wheel, 0, 8, 0};
	struct venom_schema s;

	EXPECT_EQ(-EINVAL, venom_type_schema(&s, &t, NULL));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		t = (struct venom_type){"t", bad[i].f, bad[i].f[1].name ? 2 : 1, bad[i].size};
		EXPECT_EQ(-EINVAL, venom_type_schema(&s, &t, NULL)) TH_LOG("%u", i);
		EXPECT_EQ(0, strncmp(venom_errmsg(), bad[i].says, strlen(bad[i].says)))
		TH_LOG("%u: %s", i, venom_errmsg());
	}
	wheel = (struct venom_type){"wheel", &round, 1, 8};
	EXPECT_EQ(-EINVAL, venom_type_schema(&s, &wheel, NULL));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "deep"));
	t = (struct venom_type){"struct 1t", VENOM_TYPE_OF(struct deep0)->fields, 1, 4};
	EXPECT_EQ(-EINVAL, venom_type_schema(&s, &t, NULL));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "name"));
}

/* More depth, more types and more text than allowed. */
TEST(too_deep)
{
	static char names[17][8];
	static struct venom_type type[17];
	static struct venom_field field[17];
	struct venom_schema s;

	for (unsigned int i = 0; i < 17; i++) {
		snprintf(names[i], sizeof(names[i]), "t%u", i);
		field[i] = (struct venom_field){
			"f", i ? VENOM_KIND_STRUCT : VENOM_KIND_INT32, i ? &type[i - 1] : NULL, 0, 4, 0};
		type[i] = (struct venom_type){names[i], &field[i], 1, 4};
	}
	ASSERT_EQ(0, venom_type_schema(&s, &type[15], NULL)) TH_LOG("%s", venom_errmsg());
	venom_schema_free(&s);
	EXPECT_EQ(-EINVAL, venom_type_schema(&s, &type[16], NULL));
	EXPECT_STREQ("t0: nested more than 16 deep", venom_errmsg());
}

TEST(too_much)
{
	static char names[66][8];
	static struct venom_type type[66];
	static struct venom_field field[65], *many;
	static char long_names[2][600001];
	struct venom_schema s;

	for (unsigned int i = 0; i < 65; i++) {
		snprintf(names[i], sizeof(names[i]), "t%u", i);
		type[i] = (struct venom_type){names[i], VENOM_TYPE_OF(struct deep0)->fields, 1, 4};
		field[i] = (struct venom_field){names[i], VENOM_KIND_STRUCT, &type[i], 4 * i, 4, 0};
	}
	type[65] = (struct venom_type){"all", field, 63, 63 * 4};
	ASSERT_EQ(0, venom_type_schema(&s, &type[65], NULL)) TH_LOG("%s", venom_errmsg());
	venom_schema_free(&s);
	type[65] = (struct venom_type){"all", field, 64, 64 * 4};
	EXPECT_EQ(-EINVAL, venom_type_schema(&s, &type[65], NULL));
	EXPECT_NE(NULL, strstr(venom_errmsg(), "64 types"));

	for (int i = 0; i < 2; i++) {
		memset(long_names[i], 'x', 600000);
		long_names[i][0] = (char)('a' + i);
		long_names[i][600000] = 0;
	}
	many = (struct venom_field[2]){{long_names[0], VENOM_KIND_INT8, NULL, 0, 1, 0},
				       {long_names[1], VENOM_KIND_INT8, NULL, 1, 1, 0}};
	type[65] = (struct venom_type){"all", many, 2, 2};
	EXPECT_EQ(-EMSGSIZE, venom_type_schema(&s, &type[65], NULL));
}

TEST_HARNESS_MAIN

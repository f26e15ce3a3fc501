/* SPDX-License-Identifier: MIT */
/*
 * Attacks the printer of payloads by field names (tools/fields*.c).  Each kind of field must print exactly, in both
 * forms; payloads of the wrong length and invalid schema texts must be refused, and valid texts that others write
 * differently must be accepted.
 */
#include <math.h>
#include <string.h>

#include "lib/harness.h"
#undef ARRAY_SIZE /* tool.h has it too */
#include "../tools/tool.h"

#define RULE "================================================================================\n"

static char *printed;

static const char *print(bool (*how)(const struct fields *, const void *, size_t), const struct fields *t,
			 const void *data, size_t len)
{
	FILE *out = stdout;
	size_t size;
	bool done;

	free(printed);
	stdout = open_memstream(&printed, &size);
	done = how(t, data, len);
	fclose(stdout);
	stdout = out;
	return done ? printed : size ? "printed, and yet false" : NULL;
}

static struct fields *parse(const char *text, char why[FIELDS_WHY])
{
	struct venom_schema s = {"venom/msg/Message", "ros2msg", text, strlen(text), 0};

	return fields_parse(&s, why);
}

/* ---- by VENOM_TYPE ---- */

enum side { BUY, SELL };
struct point {
	double x, y;
};
VENOM_TYPE(struct point, x, y);
struct level {
	struct point at;
	int16_t size[3];
};
VENOM_TYPE(struct level, VENOM_SUB(struct point, at), size);
struct all {
	bool yes, no[2];
	char c, text[6];
	int8_t i8;
	uint8_t u8;
	int16_t i16;
	uint16_t u16;
	int32_t i32;
	uint32_t u32;
	int64_t i64;
	uint64_t u64;
	float f32, f32s[2];
	double f64;
	enum side side;
	struct level levels[2];
};
VENOM_TYPE(struct all, yes, no, c, text, i8, u8, i16, u16, i32, u32, i64, u64, f32, f32s, f64, side,
	   VENOM_SUB(struct level, levels));

TEST(every_kind)
{
	struct all a = {
		true,
		{false, true},
		'c',
		"ab\"\\\n",
		INT8_MIN,
		UINT8_MAX,
		INT16_MIN,
		UINT16_MAX,
		INT32_MIN,
		UINT32_MAX,
		INT64_MIN,
		UINT64_MAX,
		0.1f,
		{1, -2.5e30f},
		0.1,
		SELL,
		{{{1, 2}, {3, 4, 5}}, {{-0.0, 1e-300}, {-6, 7, -8}}},
	};
	char why[FIELDS_WHY];
	struct venom_schema s;
	struct fields *t;

	ASSERT_EQ(0, venom_type_schema(&s, VENOM_TYPE_OF(struct all), NULL)) TH_LOG("%s", venom_errmsg());
	t = fields_parse(&s, why);
	ASSERT_NE(NULL, t) TH_LOG("%s", why);
	venom_schema_free(&s);
	EXPECT_EQ(offsetof(struct all, levels) + sizeof(a.levels), fields_size(t));
	EXPECT_STREQ(
		"{\"yes\": true, \"no\": [false, true], \"c\": \"c\", \"text\": \"ab\\\"\\\\\\u000a\", \"i8\": -128, "
		"\"u8\": 255, \"i16\": -32768, \"u16\": 65535, \"i32\": -2147483648, \"u32\": 4294967295, "
		"\"i64\": -9223372036854775808, \"u64\": 18446744073709551615, \"f32\": 0.1, "
		"\"f32s\": [1, -2.5e+30], \"f64\": 0.1, \"side\": 1, "
		"\"levels\": [{\"at\": {\"x\": 1, \"y\": 2}, \"size\": [3, 4, 5]}, "
		"{\"at\": {\"x\": -0, \"y\": 1e-300}, \"size\": [-6, 7, -8]}]}",
		print(fields_json, t, &a, sizeof(a)));
	EXPECT_STREQ("yes=true no=[false true] c=\"c\" text=\"ab\\\"\\\\\\u000a\" i8=-128 u8=255 i16=-32768 u16=65535 "
		     "i32=-2147483648 u32=4294967295 i64=-9223372036854775808 u64=18446744073709551615 f32=0.1 "
		     "f32s=[1 -2.5e+30] f64=0.1 side=1 levels=[{at={x=1 y=2} size=[3 4 5]} "
		     "{at={x=-0 y=1e-300} size=[-6 7 -8]}]",
		     print(fields_text, t, &a, sizeof(a)));
	EXPECT_EQ(NULL, print(fields_json, t, &a, fields_size(t) - 1));
	EXPECT_EQ(NULL, print(fields_text, t, &a, 0));
	fields_free(t);
	fields_free(NULL);
}

/* Real numbers get as few digits as restore the same value, so that a reader of the JSON loses nothing. */
TEST(real_numbers)
{
	static const struct {
		double d;
		float f;
		const char *says;
	} reals[] = {
		{0, 0, "{\"d\": 0, \"f\": 0}"},
		{1.0 / 3, 1.0f / 3, "{\"d\": 0.3333333333333333, \"f\": 0.33333334}"},
		{5e-324, 1e-45f, "{\"d\": 4.94065645841247e-324, \"f\": 1.4013e-45}"},
		{1.7976931348623157e308, 3.4028235e38f, "{\"d\": 1.7976931348623157e+308, \"f\": 3.4028235e+38}"},
		{NAN, NAN, "{\"d\": \"NaN\", \"f\": \"NaN\"}"},
		{INFINITY, -INFINITY, "{\"d\": \"Infinity\", \"f\": \"-Infinity\"}"},
	};
	char why[FIELDS_WHY];
	struct fields *t = parse("float64 d\nfloat32 f\n", why);

	ASSERT_NE(NULL, t);
	for (unsigned int i = 0; i < ARRAY_SIZE(reals); i++)
		EXPECT_STREQ(reals[i].says, print(fields_json, t, &reals[i], 12));
	fields_free(t);
}

/*
 * A string ends with its first zero or with its array.  A byte that is not UTF-8, or that would control a terminal, is
 * not printed as it is.  Any byte is a valid bool.
 */
TEST(hostile_payloads)
{
	static const struct {
		const char *bytes, *says;
	} cases[] = {
		{"abcd\1", "{\"s\": \"abcd\", \"b\": true}"},
		{"a\0cd\0", "{\"s\": \"a\", \"b\": false}"},
		{"\0\0\0\0\xff", "{\"s\": \"\", \"b\": true}"},
		{"a\xff"
		 "b\xc3\x80",
		 "{\"s\": \"a\\ufffdb\\ufffd\", \"b\": true}"},
		{"\x1b[2J\2", "{\"s\": \"\\u001b[2J\", \"b\": true}"},
		{"\xe2\x82\xac!\0", "{\"s\": \"\xe2\x82\xac!\", \"b\": false}"},
	};
	char why[FIELDS_WHY];
	struct fields *t = parse("char[4] s\nbool b\n", why);

	ASSERT_NE(NULL, t);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		EXPECT_STREQ(cases[i].says, print(fields_json, t, cases[i].bytes, 5));
	fields_free(t);
}

/* ---- texts by other programs ---- */

TEST(texts)
{
	static const struct {
		const char *text, *says;
	} good[] = {
		{"uint8 a", "a=1"},
		{"\r\n# a comment\r\n  uint8\ta \r\nuint8 b#one\r\nuint8 c # one\r\n", "a=1 b=2 c=3"},
		{"uint8 X=1\nuint8 Y = 2\nstring S=\"a # b = c\"\nuint8 a 7\nuint8[2] b [1, 2]\n", "a=1 b=[2 3]"},
		{"byte a\nbyte[1] b\n", "a=1 b=[2]"},
		{"P p\n" RULE "MSG: venom/P\nuint8 a\n", "p={a=1}"},
		{"P p\n===\n\n# text\nMSG: venom/msg/P\nuint8 a\n", "p={a=1}"},
		{"other/P p\nP q\n" RULE "MSG: venom/P\nuint8 a\n" RULE "MSG: other/P\nuint8 b\n", "p={b=1} q={a=2}"},
		{"other/msg/P p\n" RULE "MSG: venom/Q\nuint8 a\n" RULE "MSG: other/P\nQ q\n" RULE
		 "MSG: other/Q\nuint8 b\n",
		 "p={q={b=1}}"},
		{"P[2] p\n" RULE "MSG: P\nuint8 a\n", "p=[{a=1} {a=2}]"},
		{"uint8 a\nuint16 b\nP p\nuint8 c\n" RULE "MSG: venom/P\nuint32 u\nuint8 v\n",
		 "a=1 b=1027 p={u=134678021 v=9} c=13"},
	};
	static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	char why[FIELDS_WHY];

	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++) {
		struct fields *t = parse(good[i].text, why);

		ASSERT_NE(NULL, t) TH_LOG("%u: %s", i, why);
		EXPECT_STREQ(good[i].says, print(fields_text, t, data, sizeof(data)));
		fields_free(t);
	}
}

TEST(hostile_texts)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"", "field '': a type without fields"},
		{"# nothing\nuint8 X=1\n", "field '': a type without fields"},
		{"uint8\n", "line 1: no name after a type"},
		{"uint8 a\n\nuint8 1\n", "line 3: a name that is not"},
		{"uint8 \x1b[2J\n", "line 1: a name that is not"},
		{"uint8 a\x1b\n", "line 1: a name that is not"},
		{"\xff\n", "line 1: neither a field nor"},
		{"uint8 a\nuint16 a\n", "line 2: a name that another field has"},
		{"string s\n", "line 1: a string"},
		{"string<=10 s\n", "line 1: a string"},
		{"wstring[2] s\n", "line 1: a string"},
		{"uint8[] a\n", "line 1: a sequence"},
		{"uint8[<=4] a\n", "line 1: a sequence"},
		{"uint8[0] a\n", "line 1: a sequence"},
		{"uint8[2 a\n", "line 1: no ']'"},
		{"uint8[-1] a\n", "line 1: no ']'"},
		{"uint8[99999999999999999999] a\n", "line 1: an array that is too large"},
		{"uint64[4611686018427387904] a\n", "field 'a': larger than any memory"},
		{"uint8[18446744073709551615] a\nuint8 b\n", "field 'b': larger than any memory"},
		{"uint8[18446744073709551615] a\nuint16 b\n", "field 'b': larger than any memory"},
		{"uint16 b\nuint8[18446744073709551613] a\n", "field 'a': larger than any memory"},
		{"P[65536] p\n" RULE "MSG: P\nQ[65536] q\n" RULE "MSG: Q\nR[65536] r\n" RULE "MSG: R\nuint8[65536] a\n",
		 "field 'p': larger than any memory"},
		{"time t\n", "field 't': a type that is not in the text"},
		{"other/P p\n" RULE "MSG: venom/P\nuint8 a\n", "field 'p': a type that is not in the text"},
		{"P p\n" RULE "MSG: P\n", "field 'p': a type without fields"},
		{"P p\n" RULE "MSG: P\nP p\n", "field 'p': a type that contains itself"},
		{"P p\n" RULE "MSG: P\nQ q\n" RULE "MSG: Q\nP r\n", "field 'r': a type that contains itself"},
		{"uint8 a\n" RULE "uint8 b\n", "line 3: no 'MSG:'"},
		{"uint8 a\n" RULE "MSG:\n", "line 3: no name after 'MSG:'"},
		{"uint8 a\n" RULE "MSG: a b\n", "line 3: no name after 'MSG:'"},
		{"uint8 a\n" RULE RULE, "line 3: no 'MSG:'"},
	};
	char why[FIELDS_WHY];

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fields *t = parse(bad[i].text, why);

		EXPECT_EQ(NULL, t) TH_LOG("%u", i);
		EXPECT_NE(NULL, strstr(why, bad[i].says)) TH_LOG("%u: %s", i, why);
	}
}

TEST(too_much)
{
	char why[FIELDS_WHY], *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	struct venom_schema s = {NULL, "ros2msg", "uint8 a\0", 8, 0};

	EXPECT_EQ(NULL, fields_parse(&s, why)); /* a zero byte is not a blank */
	s.text_len = VENOM_SCHEMA_TEXT_MAX + 1;
	EXPECT_EQ(NULL, fields_parse(&s, why));
	EXPECT_NE(NULL, strstr(why, "too large"));
	s = (struct venom_schema){NULL, "protobuf", "uint8 a", 7, 0};
	EXPECT_EQ(NULL, fields_parse(&s, why));
	EXPECT_NE(NULL, strstr(why, "not ros2msg"));
	s = (struct venom_schema){0};
	EXPECT_EQ(NULL, fields_parse(&s, why));

	for (int i = 0; i < 5000; i++)
		fprintf(to, "uint8 f%d\n", i);
	fclose(to);
	EXPECT_EQ(NULL, parse(text, why));
	EXPECT_NE(NULL, strstr(why, "line 4097: more fields")) TH_LOG("%s", why);
	free(text);

	to = open_memstream(&text, &size);
	fprintf(to, "T0 a\n");
	for (int i = 0; i < 40; i++)
		fprintf(to, RULE "MSG: T%d\nT%d a\n", i, i + 1);
	fprintf(to, RULE "MSG: T40\nuint8 a\n");
	fclose(to);
	EXPECT_EQ(NULL, parse(text, why));
	EXPECT_NE(NULL, strstr(why, "too deep")) TH_LOG("%s", why);
	free(text);

	to = open_memstream(&text, &size);
	fprintf(to, "uint8 a\n");
	for (int i = 0; i < 300; i++)
		fprintf(to, RULE "MSG: T%d\nuint8 a\n", i);
	fclose(to);
	EXPECT_EQ(NULL, parse(text, why));
	EXPECT_NE(NULL, strstr(why, "more types")) TH_LOG("%s", why);
	free(text);

	to = open_memstream(&text, &size);
	fprintf(to, "uint8 ");
	for (int i = 0; i < 200; i++)
		fputc('a', to);
	fclose(to);
	EXPECT_EQ(NULL, parse(text, why));
	free(text);
}

TEST_HARNESS_MAIN

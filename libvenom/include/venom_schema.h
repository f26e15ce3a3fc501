/* SPDX-License-Identifier: MIT */
/*
 * Schemas: what the bytes of a message mean, and how to make a schema from a C struct.
 *
 *	struct point { double x, y; };
 *	VENOM_TYPE(struct point, x, y);
 *
 *	enum side { BUY, SELL };
 *	struct trade {
 *		struct point from, to[2];
 *		enum side side;
 *		char symbol[12];
 *		uint64_t ns;
 *	};
 *	VENOM_TYPE(struct trade, VENOM_SUB(struct point, from), VENOM_SUB(struct point, to), side, symbol, ns);
 *
 *	struct venom_schema schema;
 *	int rc = venom_type_schema(&schema, VENOM_TYPE_OF(struct trade), NULL);
 *	...
 *	venom_schema_free(&schema);
 *
 * The schema's name is then "venom/msg/Trade", its encoding "ros2msg", and its text
 *
 *	venom/Point from
 *	venom/Point[2] to
 *	uint32 side
 *	char[12] symbol
 *	uint64 ns
 *	================================================================================
 *	MSG: venom/Point
 *	float64 x
 *	float64 y
 *
 * After a header of 4 bytes that tells the byte order (00 01 00 00: little endian), the bytes of such a struct are its
 * message in CDR (XCDR1), as ROS 2 and MCAP use it: no conversion is needed.
 *
 * Conventions are those of venom.h.  All functions may be called by any thread at any time; they make no system call.
 */
#ifndef VENOM_SCHEMA_H
#define VENOM_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#include <type_traits>
extern "C" {
#endif

#ifndef VENOM_API
#define VENOM_API __attribute__((visibility("default")))
#endif

/* Longest name and encoding, without the terminating zero; largest text. */
#define VENOM_SCHEMA_NAME_MAX		63
#define VENOM_SCHEMA_ENCODING_MAX	15
#define VENOM_SCHEMA_TEXT_MAX		(1u << 20)

/*
 * A schema.  Name, encoding and text are as in MCAP: encoding "ros2msg", "protobuf", "flatbuffer", ..., or "" if
 * there is no text; text is any bytes, and text_len does not count its terminating zero, if any.  All zero: no schema.
 */
struct venom_schema {
	const char *name;	/* of the type of the message, as "venom/msg/Trade"; any but control characters */
	const char *encoding;
	const void *text;
	size_t   text_len;
	uint64_t hash;		/* venom_schema_hash(); 0: no schema */
};

/*
 * The hash of name, encoding and text (not of the member `hash`): FNV-1a of 64 bits over the bytes of the name, a zero,
 * the bytes of the encoding, a zero, and the text:
 *
 *	h = 0xcbf29ce484222325
 *	for each byte: h = (h ^ byte) * 0x100000001b3, modulo 2^64
 *
 * and 1 if that gives 0.  It finds mistakes; two schemas with one hash can be made on purpose.  Returns 0 for no
 * schema: NULL, or a schema with an empty name, encoding and text.  A NULL string is an empty string.
 */
VENOM_API uint64_t venom_schema_hash(const struct venom_schema *schema);

/* ---- C structs ---------------------------------------------------------- */

/* The kind of a field, or of the field's elements. */
enum venom_kind {
	VENOM_KIND_NONE,	/* not a kind that a schema supports */
	VENOM_KIND_BOOL,
	VENOM_KIND_CHAR,	/* an array of these is a string, up to its first zero or its end */
	VENOM_KIND_INT8,
	VENOM_KIND_UINT8,
	VENOM_KIND_INT16,
	VENOM_KIND_UINT16,
	VENOM_KIND_INT32,
	VENOM_KIND_UINT32,
	VENOM_KIND_INT64,
	VENOM_KIND_UINT64,
	VENOM_KIND_FLOAT32,
	VENOM_KIND_FLOAT64,
	VENOM_KIND_STRUCT
};

/* Description of a struct: constants, made by VENOM_TYPE() or by a binding. */
struct venom_field {
	const char *name;
	enum venom_kind kind;
	const struct venom_type *type;	/* VENOM_KIND_STRUCT: its type; else NULL */
	size_t offset;
	size_t size;			/* of one element */
	size_t count;			/* elements of the array; 0: not an array */
};

struct venom_type {
	const char *name;		/* as in C: "struct trade", "trade_t" */
	const struct venom_field *fields;
	size_t count;			/* number of fields */
	size_t size;			/* sizeof */
};

/*
 * Make the schema of a struct.  `package` is the ROS package that the name begins with, NULL: "venom".
 * *schema's strings are one allocation: venom_schema_free() frees it.
 *
 * Names follow the rules of ROS 2, whose tools refuse other names.  The tag or typedef of a struct is converted:
 * "struct book_level" is the message BookLevel.  The name of a field or a package is unchanged, and must consist of
 * small letters, digits and single underscores, begin with a letter and not end with an underscore.
 *
 * The struct's layout in memory must be that of CDR.  All fields are at their natural alignment, in the order of the
 * list, with only padding between them; CDR pads fields in the same way.  But CDR does not pad a struct as a
 * whole: it puts the next field or element where a nested struct in C has padding at its end, and begins a nested
 * struct at the alignment of its first field, not of its largest.  A struct whose layouts differ is refused.  They do
 * not differ if each nested struct begins with a field of its largest alignment and does not end in padding.  Padding
 * at the end of the outermost struct is allowed; it is not part of the message.
 *
 * A field left out of the list is found only if more than padding is missing.
 *
 *	-EINVAL		a name or the layout breaks these rules, or structs are nested more than 16 deep, or of more
 *			than 64 types; venom_errmsg() names the field
 *	-ENAMETOOLONG	the name is longer than VENOM_SCHEMA_NAME_MAX
 *	-EMSGSIZE	the text is larger than VENOM_SCHEMA_TEXT_MAX
 *	-ENOMEM
 */
VENOM_API int venom_type_schema(struct venom_schema *schema, const struct venom_type *type, const char *package);

/* Free what venom_type_schema() made, and set *schema to zeros.  NULL and zeros are fine. */
VENOM_API void venom_schema_free(struct venom_schema *schema);

#ifdef __cplusplus
}
#endif

/*
 * VENOM_TYPE(type, fields...);		at file scope, after the struct's definition
 * VENOM_TYPE_OF(type)			its struct venom_type *
 *
 * `type` is "struct NAME" or a typedef's NAME, spelled the same in both.  List all fields of the struct, in their
 * order, 1 to 64 of them: integers of any kind, enums (as their integer type), bool, float, double, char,
 * arrays of these with a fixed size and one dimension, and structs or arrays of structs that have their own
 * VENOM_TYPE() above: those as VENOM_SUB(type, field).
 *
 * The compiler reports these errors and names the field: pointers, unions, long double, arrays of arrays, const,
 * volatile and atomic fields, bit-fields; a field that is packed or over-aligned; a struct without VENOM_SUB(), or with
 * the wrong type in it; fields left out (if more than padding is missing), out of order or listed twice.
 *
 * In C from C11 on, and in C++ from C++11 on (there within the struct's namespace).
 */
#define VENOM_TYPE(type, ...)										\
	VENOM_EACH_(VENOM_CHECK_, type, __VA_ARGS__, (last_, , ))					\
	__attribute__((unused)) static const struct venom_field VENOM_ID_(venom_fields_, type)[] = {	\
		VENOM_EACH_(VENOM_ENTRY_, type, __VA_ARGS__)						\
	};												\
	__attribute__((unused)) static const struct venom_type VENOM_ID_(venom_type_, type) = {		\
		#type, VENOM_ID_(venom_fields_, type), VENOM_COUNT_(__VA_ARGS__), sizeof(type)		\
	}
#define VENOM_TYPE_OF(type)		(&VENOM_ID_(venom_type_, type))
#define VENOM_SUB(type, field)		(sub_, type, field)

/*
 * ---- internals of VENOM_TYPE: not for other use -------------------------------
 *
 * VENOM_EACH_(M, type, a, b, c) is M(type, (first_,,), a) M(type, a, b) M(type, b, c): each field with the previous
 * field.  A field is a name, or the result of VENOM_SUB(): (sub_, type, name).
 */

/* venom_type_quote of struct quote, venom_type_VENOM_TAG_quote_t of quote_t. */
#define VENOM_TAG_struct
#define VENOM_ID_(what, type)		VENOM_PASTE_(what, VENOM_TAG_##type)
#define VENOM_PASTE_(a, b)		VENOM_PASTE2_(a, b)
#define VENOM_PASTE2_(a, b)		a##b

/* The form of a field: name_, sub_, first_ or last_; and the parts of it. */
#define VENOM_FORM_(field)		VENOM_FORM2_(VENOM_OPEN_ field, name_, name_)
#define VENOM_FORM2_(...)		VENOM_FORM3_(__VA_ARGS__)
#define VENOM_FORM3_(open, form, ...)	form
#define VENOM_OPEN_(form, type, name)	0, form
#define VENOM_NAME_OF_(form, type, name) name
#define VENOM_TYPE_IN_(form, type, name) type
#define VENOM_BY_FORM_(m, t, field)	VENOM_PASTE_(m, VENOM_FORM_(field))(t, field)

#define VENOM_OF_(t, name)		(((t *)0)->name)
#define VENOM_UP_(n, align)		(((n) + (align) - 1) / (align) * (align))

/* Where a field ends. */
#define VENOM_END_(t, field)		VENOM_BY_FORM_(VENOM_END_, t, field)
#define VENOM_END_first_(t, field)	0
#define VENOM_END_name_(t, name)		(offsetof(t, name) + sizeof(VENOM_OF_(t, name)))
#define VENOM_END_sub_(t, field)		VENOM_END_name_(t, VENOM_NAME_OF_ field)

#define VENOM_CHECK_(t, before, field)	VENOM_CHECK2_(t, before, field, VENOM_PASTE_(VENOM_CHECK_, VENOM_FORM_(field)))
#define VENOM_CHECK2_(t, before, field, m) m(t, before, field)
#define VENOM_CHECK_name_(t, before, name)								\
	VENOM_ASSERT_(VENOM_KIND_(t, name) != VENOM_KIND_NONE,						\
		      "VENOM_TYPE(" #t "): field " #name " is of a type that no schema has (pointer, union, ...), " \
		      "or a struct without VENOM_SUB()");						\
	VENOM_CHECK_PLACE_(t, before, name, sizeof(*VENOM_ELEM_(t, name)))
#define VENOM_CHECK_sub_(t, before, field)								\
	VENOM_CHECK_SUB2_(t, before, VENOM_TYPE_IN_ field, VENOM_NAME_OF_ field)
#define VENOM_CHECK_SUB2_(...)		VENOM_CHECK_SUB3_(__VA_ARGS__)
#define VENOM_CHECK_SUB3_(t, before, sub, name)								\
	VENOM_ASSERT_(VENOM_SAME_(sub, t, name), "VENOM_TYPE(" #t "): field " #name " is not of "	\
		      "the type that its VENOM_SUB() says");						\
	VENOM_CHECK_PLACE_(t, before, name, __alignof__(sub))
#define VENOM_CHECK_last_(t, before, field)								\
	VENOM_ASSERT_(sizeof(t) - VENOM_END_(t, before) < __alignof__(t),				\
		      "VENOM_TYPE(" #t "): fields at its end are left out");
#define VENOM_CHECK_PLACE_(t, before, name, align)							\
	VENOM_ASSERT_(__alignof__(VENOM_OF_(t, name)) == (align) && offsetof(t, name) % (align) == 0,	\
		      "VENOM_TYPE(" #t "): field " #name " is packed or over-aligned");			\
	VENOM_ASSERT_(offsetof(t, name) == VENOM_UP_(VENOM_END_(t, before), (align)),			\
		      "VENOM_TYPE(" #t "): field " #name " is out of order, or one before it is left out");

#define VENOM_ENTRY_(t, before, field)	VENOM_BY_FORM_(VENOM_ENTRY_, t, field)
#define VENOM_ENTRY_name_(t, name)	{ #name, VENOM_KIND_(t, name), NULL, VENOM_PLACE_(t, name) },
#define VENOM_ENTRY_sub_(t, field)	VENOM_ENTRY_SUB2_(t, VENOM_TYPE_IN_ field, VENOM_NAME_OF_ field)
#define VENOM_ENTRY_SUB2_(...)		VENOM_ENTRY_SUB3_(__VA_ARGS__)
#define VENOM_ENTRY_SUB3_(t, sub, name)	{ #name, VENOM_KIND_STRUCT, VENOM_TYPE_OF(sub), VENOM_PLACE_(t, name) },
#define VENOM_PLACE_(t, name)										\
	offsetof(t, name), sizeof(*VENOM_ELEM_(t, name)),						\
	VENOM_IS_ARRAY_(t, name) ? sizeof(VENOM_OF_(t, name)) / sizeof(*VENOM_ELEM_(t, name)) : 0

/*
 * C and C++ need different code here: ELEM is a pointer to the field, or to its first element; KIND is the kind of what
 * it points to; SAME tells whether that is a `sub`.
 */
#ifndef __cplusplus
#define VENOM_ASSERT_			_Static_assert
/* The comma operator turns an array into a pointer, and leaves other types unchanged. */
#define VENOM_IS_ARRAY_(t, name)									\
	(!__builtin_types_compatible_p(__typeof__(VENOM_OF_(t, name)), __typeof__(((void)0, VENOM_OF_(t, name)))))
#define VENOM_ELEM_(t, name)										\
	__builtin_choose_expr(VENOM_IS_ARRAY_(t, name), VENOM_OF_(t, name), &VENOM_OF_(t, name))
#define VENOM_SAME_(sub, t, name)	_Generic(VENOM_ELEM_(t, name), sub *: 1, default: 0)
#define VENOM_KIND_(t, name)										\
	_Generic(VENOM_ELEM_(t, name),									\
		_Bool *: VENOM_KIND_BOOL, char *: VENOM_KIND_CHAR,					\
		signed char *: VENOM_KIND_INT8, unsigned char *: VENOM_KIND_UINT8,			\
		short *: VENOM_KIND_INT16, unsigned short *: VENOM_KIND_UINT16,				\
		int *: VENOM_KIND_INT32, unsigned int *: VENOM_KIND_UINT32,				\
		long *: VENOM_KIND_INT64, unsigned long *: VENOM_KIND_UINT64,				\
		long long *: VENOM_KIND_INT64, unsigned long long *: VENOM_KIND_UINT64,			\
		float *: VENOM_KIND_FLOAT32, double *: VENOM_KIND_FLOAT64, default: VENOM_KIND_NONE)
#else
#define VENOM_ASSERT_			static_assert
#define VENOM_MEMBER_(t, name)		std::remove_reference<decltype(VENOM_OF_(t, name))>::type
#define VENOM_IS_ARRAY_(t, name)	std::is_array<VENOM_MEMBER_(t, name)>::value
#define VENOM_ELEM_(t, name)		((std::remove_extent<VENOM_MEMBER_(t, name)>::type *)0)
#define VENOM_SAME_(sub, t, name)	std::is_same<std::remove_extent<VENOM_MEMBER_(t, name)>::type, sub>::value
#define VENOM_KIND_(t, name)		venom_kind_<std::remove_extent<VENOM_MEMBER_(t, name)>::type>()

template <typename T, bool = std::is_enum<T>::value> struct venom_integer_ {
	typedef T type;
};
template <typename T> struct venom_integer_<T, true> {
	typedef typename std::underlying_type<T>::type type;
};

template <typename M> constexpr venom_kind venom_kind_()
{
	typedef typename venom_integer_<M>::type T;
	return std::is_const<T>::value || std::is_volatile<T>::value ? VENOM_KIND_NONE :
	       std::is_same<T, bool>::value ? VENOM_KIND_BOOL :
	       std::is_same<T, char>::value ? VENOM_KIND_CHAR :
	       std::is_same<T, float>::value ? VENOM_KIND_FLOAT32 :
	       std::is_same<T, double>::value ? VENOM_KIND_FLOAT64 :
	       !std::is_integral<T>::value ? VENOM_KIND_NONE :
	       sizeof(T) == 1 ? (std::is_signed<T>::value ? VENOM_KIND_INT8 : VENOM_KIND_UINT8) :
	       sizeof(T) == 2 ? (std::is_signed<T>::value ? VENOM_KIND_INT16 : VENOM_KIND_UINT16) :
	       sizeof(T) == 4 ? (std::is_signed<T>::value ? VENOM_KIND_INT32 : VENOM_KIND_UINT32) :
	       sizeof(T) == 8 ? (std::is_signed<T>::value ? VENOM_KIND_INT64 : VENOM_KIND_UINT64) :
	       VENOM_KIND_NONE;
}
#endif

/* Up to 64 fields, and last_. */
#define VENOM_EACH_(m, t, ...)	VENOM_PASTE_(VENOM_M, VENOM_COUNT_(__VA_ARGS__))(m, t, (first_, , ), __VA_ARGS__)
#define VENOM_COUNT_(...)										\
	VENOM_COUNT2_(__VA_ARGS__,									\
		65, 64, 63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51,				\
		50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34,			\
		33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17,			\
		16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define VENOM_COUNT2_(p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15, p16,		\
		p17, p18, p19, p20, p21, p22, p23, p24, p25, p26, p27, p28, p29, p30, p31, p32,		\
		p33, p34, p35, p36, p37, p38, p39, p40, p41, p42, p43, p44, p45, p46, p47, p48,		\
		p49, p50, p51, p52, p53, p54, p55, p56, p57, p58, p59, p60, p61, p62, p63, p64,		\
		p65, n, ...) n
#define VENOM_M1(m, t, p, x)		m(t, p, x)
#define VENOM_M2(m, t, p, x, ...)	m(t, p, x) VENOM_M1(m, t, x, __VA_ARGS__)
#define VENOM_M3(m, t, p, x, ...)	m(t, p, x) VENOM_M2(m, t, x, __VA_ARGS__)
#define VENOM_M4(m, t, p, x, ...)	m(t, p, x) VENOM_M3(m, t, x, __VA_ARGS__)
#define VENOM_M5(m, t, p, x, ...)	m(t, p, x) VENOM_M4(m, t, x, __VA_ARGS__)
#define VENOM_M6(m, t, p, x, ...)	m(t, p, x) VENOM_M5(m, t, x, __VA_ARGS__)
#define VENOM_M7(m, t, p, x, ...)	m(t, p, x) VENOM_M6(m, t, x, __VA_ARGS__)
#define VENOM_M8(m, t, p, x, ...)	m(t, p, x) VENOM_M7(m, t, x, __VA_ARGS__)
#define VENOM_M9(m, t, p, x, ...)	m(t, p, x) VENOM_M8(m, t, x, __VA_ARGS__)
#define VENOM_M10(m, t, p, x, ...)	m(t, p, x) VENOM_M9(m, t, x, __VA_ARGS__)
#define VENOM_M11(m, t, p, x, ...)	m(t, p, x) VENOM_M10(m, t, x, __VA_ARGS__)
#define VENOM_M12(m, t, p, x, ...)	m(t, p, x) VENOM_M11(m, t, x, __VA_ARGS__)
#define VENOM_M13(m, t, p, x, ...)	m(t, p, x) VENOM_M12(m, t, x, __VA_ARGS__)
#define VENOM_M14(m, t, p, x, ...)	m(t, p, x) VENOM_M13(m, t, x, __VA_ARGS__)
#define VENOM_M15(m, t, p, x, ...)	m(t, p, x) VENOM_M14(m, t, x, __VA_ARGS__)
#define VENOM_M16(m, t, p, x, ...)	m(t, p, x) VENOM_M15(m, t, x, __VA_ARGS__)
#define VENOM_M17(m, t, p, x, ...)	m(t, p, x) VENOM_M16(m, t, x, __VA_ARGS__)
#define VENOM_M18(m, t, p, x, ...)	m(t, p, x) VENOM_M17(m, t, x, __VA_ARGS__)
#define VENOM_M19(m, t, p, x, ...)	m(t, p, x) VENOM_M18(m, t, x, __VA_ARGS__)
#define VENOM_M20(m, t, p, x, ...)	m(t, p, x) VENOM_M19(m, t, x, __VA_ARGS__)
#define VENOM_M21(m, t, p, x, ...)	m(t, p, x) VENOM_M20(m, t, x, __VA_ARGS__)
#define VENOM_M22(m, t, p, x, ...)	m(t, p, x) VENOM_M21(m, t, x, __VA_ARGS__)
#define VENOM_M23(m, t, p, x, ...)	m(t, p, x) VENOM_M22(m, t, x, __VA_ARGS__)
#define VENOM_M24(m, t, p, x, ...)	m(t, p, x) VENOM_M23(m, t, x, __VA_ARGS__)
#define VENOM_M25(m, t, p, x, ...)	m(t, p, x) VENOM_M24(m, t, x, __VA_ARGS__)
#define VENOM_M26(m, t, p, x, ...)	m(t, p, x) VENOM_M25(m, t, x, __VA_ARGS__)
#define VENOM_M27(m, t, p, x, ...)	m(t, p, x) VENOM_M26(m, t, x, __VA_ARGS__)
#define VENOM_M28(m, t, p, x, ...)	m(t, p, x) VENOM_M27(m, t, x, __VA_ARGS__)
#define VENOM_M29(m, t, p, x, ...)	m(t, p, x) VENOM_M28(m, t, x, __VA_ARGS__)
#define VENOM_M30(m, t, p, x, ...)	m(t, p, x) VENOM_M29(m, t, x, __VA_ARGS__)
#define VENOM_M31(m, t, p, x, ...)	m(t, p, x) VENOM_M30(m, t, x, __VA_ARGS__)
#define VENOM_M32(m, t, p, x, ...)	m(t, p, x) VENOM_M31(m, t, x, __VA_ARGS__)
#define VENOM_M33(m, t, p, x, ...)	m(t, p, x) VENOM_M32(m, t, x, __VA_ARGS__)
#define VENOM_M34(m, t, p, x, ...)	m(t, p, x) VENOM_M33(m, t, x, __VA_ARGS__)
#define VENOM_M35(m, t, p, x, ...)	m(t, p, x) VENOM_M34(m, t, x, __VA_ARGS__)
#define VENOM_M36(m, t, p, x, ...)	m(t, p, x) VENOM_M35(m, t, x, __VA_ARGS__)
#define VENOM_M37(m, t, p, x, ...)	m(t, p, x) VENOM_M36(m, t, x, __VA_ARGS__)
#define VENOM_M38(m, t, p, x, ...)	m(t, p, x) VENOM_M37(m, t, x, __VA_ARGS__)
#define VENOM_M39(m, t, p, x, ...)	m(t, p, x) VENOM_M38(m, t, x, __VA_ARGS__)
#define VENOM_M40(m, t, p, x, ...)	m(t, p, x) VENOM_M39(m, t, x, __VA_ARGS__)
#define VENOM_M41(m, t, p, x, ...)	m(t, p, x) VENOM_M40(m, t, x, __VA_ARGS__)
#define VENOM_M42(m, t, p, x, ...)	m(t, p, x) VENOM_M41(m, t, x, __VA_ARGS__)
#define VENOM_M43(m, t, p, x, ...)	m(t, p, x) VENOM_M42(m, t, x, __VA_ARGS__)
#define VENOM_M44(m, t, p, x, ...)	m(t, p, x) VENOM_M43(m, t, x, __VA_ARGS__)
#define VENOM_M45(m, t, p, x, ...)	m(t, p, x) VENOM_M44(m, t, x, __VA_ARGS__)
#define VENOM_M46(m, t, p, x, ...)	m(t, p, x) VENOM_M45(m, t, x, __VA_ARGS__)
#define VENOM_M47(m, t, p, x, ...)	m(t, p, x) VENOM_M46(m, t, x, __VA_ARGS__)
#define VENOM_M48(m, t, p, x, ...)	m(t, p, x) VENOM_M47(m, t, x, __VA_ARGS__)
#define VENOM_M49(m, t, p, x, ...)	m(t, p, x) VENOM_M48(m, t, x, __VA_ARGS__)
#define VENOM_M50(m, t, p, x, ...)	m(t, p, x) VENOM_M49(m, t, x, __VA_ARGS__)
#define VENOM_M51(m, t, p, x, ...)	m(t, p, x) VENOM_M50(m, t, x, __VA_ARGS__)
#define VENOM_M52(m, t, p, x, ...)	m(t, p, x) VENOM_M51(m, t, x, __VA_ARGS__)
#define VENOM_M53(m, t, p, x, ...)	m(t, p, x) VENOM_M52(m, t, x, __VA_ARGS__)
#define VENOM_M54(m, t, p, x, ...)	m(t, p, x) VENOM_M53(m, t, x, __VA_ARGS__)
#define VENOM_M55(m, t, p, x, ...)	m(t, p, x) VENOM_M54(m, t, x, __VA_ARGS__)
#define VENOM_M56(m, t, p, x, ...)	m(t, p, x) VENOM_M55(m, t, x, __VA_ARGS__)
#define VENOM_M57(m, t, p, x, ...)	m(t, p, x) VENOM_M56(m, t, x, __VA_ARGS__)
#define VENOM_M58(m, t, p, x, ...)	m(t, p, x) VENOM_M57(m, t, x, __VA_ARGS__)
#define VENOM_M59(m, t, p, x, ...)	m(t, p, x) VENOM_M58(m, t, x, __VA_ARGS__)
#define VENOM_M60(m, t, p, x, ...)	m(t, p, x) VENOM_M59(m, t, x, __VA_ARGS__)
#define VENOM_M61(m, t, p, x, ...)	m(t, p, x) VENOM_M60(m, t, x, __VA_ARGS__)
#define VENOM_M62(m, t, p, x, ...)	m(t, p, x) VENOM_M61(m, t, x, __VA_ARGS__)
#define VENOM_M63(m, t, p, x, ...)	m(t, p, x) VENOM_M62(m, t, x, __VA_ARGS__)
#define VENOM_M64(m, t, p, x, ...)	m(t, p, x) VENOM_M63(m, t, x, __VA_ARGS__)
#define VENOM_M65(m, t, p, x, ...)	m(t, p, x) VENOM_M64(m, t, x, __VA_ARGS__)

#endif /* VENOM_SCHEMA_H */

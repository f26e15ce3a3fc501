/* SPDX-License-Identifier: MIT */
/*
 * CREATE with every extreme of every field of the geometry, alone and two at a time.
 *
 * The test does the module's arithmetic itself, in 128 bits; so it knows which call must be refused with EINVAL, and
 * the sizes of a channel. A sum that wraps shows as a channel that should not exist, as sizes that are too small, or as
 * an oops of the kernel. All calls are made by a user whose limit is 64 MiB, so that a geometry that is valid and large
 * gets EDQUOT.
 */
#include "lib/harness.h"
#include "kmod/somebody.h"

/* The test makes some thousand channels, also on kernels with debug checks. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 400

#define MIB  "/sys/module/venom/parameters/mib_per_user"
#define MANY 64 /* MiB */

typedef unsigned __int128 wide;

static const __u64 of_32[] = {
	0,	    1,		2,	    3,		 63,	      64,	  65,	      4095,	   4096,
	65536,	    65537,	1u << 20,   (1u << 20) + 1, 0x7fffffff,  0x80000000,  0xffffff9f, 0xffffffa0, 0xffffffbf,
	0xffffffc0, 0xffffffdf, 0xffffffe0, 0xfffffff0,	 0xffffffff,
};
static const __u64 of_64[] = {
	0,
	1,
	32,
	48,
	49,
	33,
	4095,
	4096,
	0xffffffbf,
	0xffffffc0,
	0xffffffff,
	1ull << 32,
	(1ull << 32) + 1,
	VENOM_AREA_MAX - 8192,
	VENOM_AREA_MAX - 8191,
	VENOM_AREA_MAX,
	VENOM_AREA_MAX + 1,
	1ull << 63,
	-8192ull,
	-8191ull,
	-4096ull,
	-64ull,
	-1ull,
};

#define FIELD(name)                                                                                       \
	{                                                                                                 \
		#name, offsetof(struct venom_geometry, name), sizeof(((struct venom_geometry *)0)->name), \
			sizeof(((struct venom_geometry *)0)->name) == 8 ? of_64 : of_32,                  \
			sizeof(((struct venom_geometry *)0)->name) == 8 ? ARRAY_SIZE(of_64) : ARRAY_SIZE(of_32) \
	}
/* Few values of these fields matter; each is tried with each value of all other fields. */
static const __u64 of_flags[] = {VENOM_GEO_STAMP, VENOM_GEO_ORDER_ARRIVAL};
static const __u64 of_schema[] = {1, VENOM_SCHEMA_MAX, VENOM_SCHEMA_MAX + 1};
#define FEW(name, of) {#name, offsetof(struct venom_geometry, name), sizeof(__u32), of, ARRAY_SIZE(of)}

static const struct field {
	const char *name;
	size_t at, len;
	const __u64 *values;
	size_t n;
} fields[] = {
	FIELD(mode),	    FIELD(versions), FIELD(cmd_slots), FIELD(cmd_size), FIELD(resp_size), FIELD(max_clients),
	FIELD(payload),	    FIELD(data_size), FIELD(stride),   FIELD(first),	FIELD(page_size),
	FEW(flags, of_flags), FEW(schema_size, of_schema),
};

/* ---- what the module should answer ---- */

static wide up(wide n, wide to)
{
	return (n + to - 1) / to * to;
}

static wide slots(__u32 n)
{
	wide ring = 1;

	while (ring < n)
		ring *= 2;
	return ring;
}

static wide slot_stride(__u32 size, bool timed)
{
	return up((wide)size + (timed ? 32 : 16), VENOM_LINE);
}

static bool fits(const struct venom_geometry *g)
{
	if (!g->data_size || !g->versions || !g->cmd_slots || !g->cmd_size || !g->resp_size || !g->max_clients)
		return false;
	if (g->versions > VENOM_VERSIONS_MAX || g->cmd_slots > VENOM_SLOTS_MAX || g->max_clients > VENOM_CLIENTS_MAX)
		return false;
	if ((g->mode & ~0666u) || g->payload || g->stride || g->first || g->page_size || g->schema_size > VENOM_SCHEMA_MAX)
		return false;
	return ((wide)g->data_size + 2 * VENOM_PAGE) * g->versions <= VENOM_AREA_MAX &&
	       slot_stride(g->cmd_size, g->flags & VENOM_GEO_ORDER_ARRIVAL) * g->cmd_slots * 2 <= VENOM_AREA_MAX &&
	       slot_stride(g->resp_size, false) * g->cmd_slots * 2 <= VENOM_AREA_MAX;
}

static wide state_bytes(const struct venom_geometry *g)
{
	wide head = g->flags & VENOM_GEO_STAMP ? 32 : 16;
	wide payload = g->data_size <= 64 - head ? head : g->data_size < VENOM_PAGE ? VENOM_LINE : VENOM_PAGE;

	return up(up(704 + (wide)g->schema_size, VENOM_PAGE) + g->versions * up(payload + g->data_size, payload == VENOM_PAGE ? VENOM_PAGE : VENOM_LINE),
		  VENOM_PAGE);
}

static wide status_bytes(const struct venom_geometry *g)
{
	return up(192 + (wide)g->max_clients * 64, VENOM_PAGE);
}

static wide lane_bytes(__u32 n, __u32 size, bool timed)
{
	return up(VENOM_LANE_FIRST + slots(n) * slot_stride(size, timed), VENOM_PAGE);
}

/* ---- what the module answers ---- */

static long calls, made, joined;

static const char *show(const struct venom_geometry *g)
{
	static char buf[256];

	snprintf(buf, sizeof(buf),
		 "mode 0%o versions %u cmd_slots %u cmd_size 0x%x resp_size 0x%x max_clients %u payload %u data_size 0x%llx"
		 " stride 0x%llx first 0x%llx page_size 0x%llx",
		 g->mode, g->versions, g->cmd_slots, g->cmd_size, g->resp_size, g->max_clients, g->payload, g->data_size,
		 g->stride, g->first, g->page_size);
	return buf;
}

/* Connect to this channel: the lanes must have the right size, or the limit must refuse the call. */
static bool shell_is_right(const char *name, const struct venom_geometry *g)
{
	wide commands = lane_bytes(g->cmd_slots, g->cmd_size, g->flags & VENOM_GEO_ORDER_ARRIVAL);
	wide responses = lane_bytes(g->cmd_slots, g->resp_size, false);
	struct venom_ioc_connect c = dev_connect_init(name);
	int any = dev_open(), rc = dev_call(any, VENOM_IOC_CONNECT, &c);

	close(any);
	joined += !rc;
	if (!(g->mode & 0400))
		return rc == -EACCES;
	if (state_bytes(g) + status_bytes(g) + commands + responses > (wide)MANY << 20)
		return rc == -EDQUOT;
	return !rc && c.commands_size == commands && c.responses_size == responses;
}

static bool is_right(const char *name, const struct venom_geometry *g)
{
	struct venom_ioc_create c = dev_create_init(name);
	int any = dev_open(), rc;
	bool ok;

	c.geo = *g;
	rc = dev_call(any, VENOM_IOC_CREATE, &c);
	calls++;
	made += !rc;
	if (!fits(g))
		ok = rc == -EINVAL;
	else if (state_bytes(g) + status_bytes(g) > (wide)MANY << 20)
		ok = rc == -EDQUOT;
	else
		ok = !rc && c.state_size == state_bytes(g) && c.status_size == status_bytes(g) && shell_is_right(name, g);
	close(any);
	if (!ok)
		fprintf(stderr, "# %d: %s\n", rc, show(g));
	return ok;
}

static void set(struct venom_geometry *g, const struct field *f, __u64 value)
{
	memcpy((char *)g + f->at, &value, f->len); /* on a little-endian machine */
}

static long w_sweep(long name, long b, long c)
{
	struct venom_ioc_create init = dev_create_init((const char *)name);
	long wrong = 0;

	VT_CHECK(is_right((const char *)name, &init.geo));
	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++) {
		for (unsigned int k = 0; k < fields[i].n; k++) {
			struct venom_geometry one = init.geo, two;

			set(&one, &fields[i], fields[i].values[k]);
			wrong += !is_right((const char *)name, &one);
			for (unsigned int j = 0; j < i; j++) {
				for (unsigned int l = 0; l < fields[j].n; l++) {
					two = one;
					set(&two, &fields[j], fields[j].values[l]);
					wrong += !is_right((const char *)name, &two);
				}
			}
		}
	}
	printf("# %ld channels asked for, %ld made, %ld shells\n", calls, made, joined);
	fflush(stdout);
	VT_CHECK(made && joined && made < calls);
	return wrong + b + c;
}

TEST(geometry)
{
	static const struct who user = USER(.uid = 1000, .gid = 1000);
	long mib = km_read_long(MIB), wrong;
	struct vt_peer p;

	NEEDS_ROOT();
	ASSERT_LE(0, mib) TH_LOG("no " MIB);
	ASSERT_TRUE(km_write_long(MIB, MANY));
	be(&p, &user);
	wrong = vt_call(&p, w_sweep, vt_name());
	EXPECT_TRUE(km_write_long(MIB, mib));
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, vt_stop(&p));
}

TEST_HARNESS_MAIN

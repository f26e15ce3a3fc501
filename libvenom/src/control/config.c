/* SPDX-License-Identifier: MIT */
/* Checks a user's config, computes the sizes in bytes, and checks headers from other processes. */
#include <stdio.h>
#include "internal.h"
#include "control/schema.h"

int venom_name_check(const char *name)
{
	size_t n;

	if (!name || !*name)
		return venom_fail(-EINVAL, "the name is empty");
	n = strnlen(name, VENOM_NAME_MAX + 1);
	if (n > VENOM_NAME_MAX)
		return venom_fail(-EINVAL, "the name is longer than %d bytes", VENOM_NAME_MAX);
	if (name[0] == '.')
		return venom_fail(-EINVAL, "a name can't start with '.'");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = name[i];

		if (c == '/' || c <= ' ' || c == 127)
			return venom_fail(-EINVAL, "the name has a character that it can't have: byte %zu is 0x%02x", i,
					  c);
	}
	return 0;
}

#define CHECK(cond, ...)                                         \
	do {                                                     \
		if (!(cond))                                     \
			return venom_fail(-EINVAL, __VA_ARGS__); \
	} while (0)

int venom_config_check(struct venom_config *out, const struct venom_config *cfg)
{
	static const struct venom_config init = VENOM_CONFIG_INIT;
	uint64_t stride;

	/* Check the size first: a struct of another size may end before ours does. */
	CHECK(!cfg || cfg->size == sizeof(*out),
	      "size is %u, not sizeof(struct venom_config): start from VENOM_CONFIG_INIT", cfg->size);
	*out = cfg ? *cfg : init;
	CHECK(!(out->flags & ~(VENOM_CHANNEL_FLAGS | VENOM_RESUME)), "flags has unknown bits: 0x%x", out->flags);
	CHECK(!out->reserved, "reserved is not 0");
	CHECK(out->data_size, "data_size is 0");
	CHECK(out->versions, "versions is 0");
	CHECK(out->versions <= VENOM_VERSIONS_MAX, "versions is %u, more than %u", out->versions, VENOM_VERSIONS_MAX);
	CHECK(out->cmd_slots, "cmd_slots is 0");
	CHECK(out->cmd_slots <= VENOM_SLOTS_MAX, "cmd_slots is %u, more than %u", out->cmd_slots, VENOM_SLOTS_MAX);
	CHECK(out->cmd_size, "cmd_size is 0");
	CHECK(out->resp_size, "resp_size is 0");
	CHECK(out->max_clients, "max_clients is 0");
	CHECK(out->max_clients <= VENOM_CLIENTS_MAX, "max_clients is %u, more than %u", out->max_clients,
	      VENOM_CLIENTS_MAX);
	CHECK(!(out->mode & ~0666U), "mode is 0%o: only read (attach) and write (command) bits can be set", out->mode);
	CHECK(out->huge <= VENOM_HUGE_NEVER, "huge is %u, which is no VENOM_HUGE_*", out->huge);
	CHECK(!out->huge_size || out->huge_size == 2ULL << 20 || out->huge_size == 1ULL << 30,
	      "huge_size is %llu: it can be 2 MiB, 1 GiB, or 0 for 2 MiB", (unsigned long long)out->huge_size);
	CHECK(out->max_holders == VENOM_HOLDERS_NONE || out->max_holders <= VENOM_CLIENTS_MAX,
	      "max_holders is %u, more than %u", out->max_holders, VENOM_CLIENTS_MAX);
	CHECK(out->max_holders == VENOM_HOLDERS_NONE || !out->max_holders || out->versions > 1,
	      "max_holders is %u, and versions is 1: the only buffer can't be held", out->max_holders);
	if (out->schema) {
		int rc = schema_check(out->schema);

		if (rc)
			return rc;
	}
	CHECK(out->limit_ns > 0, "limit_ns is %lld, which is no time", (long long)out->limit_ns);
	CHECK(out->node >= VENOM_NODE_ANY && out->node < 1024, "node is %d, which is no node", out->node);
	CHECK(out->spin_ns >= VENOM_SPIN_ADAPTIVE, "spin_ns is %lld, which is no VENOM_SPIN_* and no time",
	      (long long)out->spin_ns);

	CHECK(out->data_size <= VENOM_AREA_MAX, "data_size is %llu: too large to map",
	      (unsigned long long)out->data_size);
	stride = out->data_size + 2 * VENOM_PAGE;
	CHECK(stride <= VENOM_AREA_MAX / out->versions, "versions (%u) * data_size (%llu) is too large to map",
	      out->versions, (unsigned long long)out->data_size);
	CHECK(out->cmd_slots <= VENOM_AREA_MAX / VENOM_SLOT_STRIDE(venom_command_head(out->flags), out->cmd_size) / 2,
	      "cmd_slots (%u) * cmd_size (%u) is too large to map", out->cmd_slots, out->cmd_size);
	CHECK(out->cmd_slots <= VENOM_AREA_MAX / VENOM_SLOT_STRIDE(sizeof(struct venom_slot), out->resp_size) / 2,
	      "cmd_slots (%u) * resp_size (%u) is too large to map", out->cmd_slots, out->resp_size);
	return 0;
}

static uint32_t max_holders(const struct venom_config *cfg)
{
	if (cfg->max_holders == VENOM_HOLDERS_NONE)
		return 0;
	if (cfg->max_holders != VENOM_HOLDERS_AUTO)
		return cfg->max_holders;
	if (cfg->versions <= 2)
		return 0;
	return cfg->versions - 2 < cfg->max_clients ? cfg->versions - 2 : cfg->max_clients;
}

void venom_geometry_make(struct venom_geometry *geo, const struct venom_config *cfg, uint64_t page_size)
{
	*geo = (struct venom_geometry){
		.flags = cfg->flags & VENOM_CHANNEL_FLAGS,
		.mode = cfg->mode,
		.versions = cfg->versions,
		.cmd_slots = cfg->cmd_slots,
		.cmd_size = cfg->cmd_size,
		.resp_size = cfg->resp_size,
		.max_clients = cfg->max_clients,
		.data_size = cfg->data_size,
		.schema_size = cfg->schema ? cfg->schema->text_len : 0,
		.max_holders = max_holders(cfg),
		.lossless_limit_ns = cfg->flags & VENOM_LOSSLESS ? cfg->limit_ns : 0,
	};
	venom_geometry_fill(geo, page_size);
}

/*
 * Check a geometry from another process.  It must be one that venom_geometry_make() could have made: then no sum of its
 * fields overflows, and every offset in it lies within the area (area_size 0: there is no area to check).
 */
int venom_geometry_check(const struct venom_geometry *geo, uint64_t area_size)
{
	struct venom_config cfg = VENOM_CONFIG_INIT, out;
	struct venom_geometry want;

	cfg.flags = geo->flags;
	cfg.mode = geo->mode;
	cfg.versions = geo->versions;
	cfg.cmd_slots = geo->cmd_slots;
	cfg.cmd_size = geo->cmd_size;
	cfg.resp_size = geo->resp_size;
	cfg.max_clients = geo->max_clients;
	cfg.data_size = geo->data_size;
	cfg.max_holders = geo->max_holders ? geo->max_holders : VENOM_HOLDERS_NONE;
	if (geo->flags & VENOM_LOSSLESS)
		cfg.limit_ns = geo->lossless_limit_ns;
	if (venom_config_check(&out, &cfg)) {
		char why[128];

		snprintf(why, sizeof(why), "%s", venom_errmsg());
		return venom_fail(-EPROTO, "the channel's geometry is invalid: %s", why);
	}
	if (geo->page_size != VENOM_PAGE && geo->page_size != 2ULL << 20 && geo->page_size != 1ULL << 30)
		return venom_fail(-EPROTO, "the channel's page_size is invalid: %llu",
				  (unsigned long long)geo->page_size);
	if (geo->schema_size > VENOM_SCHEMA_MAX)
		return venom_fail(-EPROTO, "the channel's schema_size is %u, more than %u", geo->schema_size, VENOM_SCHEMA_MAX);
	venom_geometry_make(&want, &cfg, geo->page_size);
	want.schema_size = geo->schema_size;
	venom_geometry_fill(&want, geo->page_size);
	if (geo->flags != want.flags)
		return venom_fail(-EPROTO, "the channel's flags are invalid: 0x%x", geo->flags);
	if (geo->payload != want.payload)
		return venom_fail(-EPROTO, "the channel's payload offset is %u, not %u", geo->payload, want.payload);
	if (geo->stride != want.stride)
		return venom_fail(-EPROTO, "the channel's stride is %llu, not %llu", (unsigned long long)geo->stride,
				  (unsigned long long)want.stride);
	if (geo->first != want.first)
		return venom_fail(-EPROTO, "the channel's first buffer is at %llu, not %llu",
				  (unsigned long long)geo->first, (unsigned long long)want.first);
	if (area_size && venom_state_bytes(&want) != area_size)
		return venom_fail(-EPROTO, "the state area's size is %llu, not %llu", (unsigned long long)area_size,
				  (unsigned long long)venom_state_bytes(&want));
	return 0;
}

void venom_head_make(struct venom_area_head *h, uint32_t kind, uint64_t size, uint64_t epoch, uint32_t id,
		     uint32_t generation)
{
	*h = (struct venom_area_head){
		.magic = VENOM_MAGIC,
		.abi = VENOM_ABI,
		.kind = kind,
		.size = size,
		.epoch = epoch,
		.id = id,
		.generation = generation,
		.features = VENOM_FEATURES,
	};
}

const char *venom_older(uint32_t abi)
{
	return abi < VENOM_ABI ? "the other side is older" : "this side is older";
}

int venom_head_check(const struct venom_area_head *h, uint32_t kind, uint64_t size)
{
	static const char *const names[] = {"?", "status", "state", "commands", "responses"};
	const char *name = names[kind];
	uint64_t magic = load_relaxed(&h->magic), hsize = load_relaxed(&h->size);
	uint32_t abi = load_relaxed(&h->abi), hkind = load_relaxed(&h->kind);
	uint64_t missing = venom_features_missing(load_relaxed(&h->features));

	if (magic != VENOM_MAGIC)
		return venom_fail(-EPROTO, "the %s area's magic is 0x%016llx, not 0x%016llx", name,
				  (unsigned long long)magic, VENOM_MAGIC);
	if (abi != VENOM_ABI)
		return venom_fail(-EPROTO, "the %s area has ABI version %u, this library speaks %u: %s", name, abi,
				  VENOM_ABI, venom_older(abi));
	if (missing)
		return venom_fail(-EPROTO, "the %s area needs features 0x%llx that this library does not know: it is older",
				  name, (unsigned long long)missing);
	if (hkind != kind)
		return venom_fail(-EPROTO, "the %s area's kind is %u, not %u", name, hkind, kind);
	if (hsize != size)
		return venom_fail(-EPROTO, "the %s area's size field is %llu, its pages %llu", name,
				  (unsigned long long)hsize, (unsigned long long)size);
	return 0;
}

int venom_fail_state(int rc, const struct venom_config *cfg, const struct venom_geometry *geo)
{
	uint64_t huge = cfg->huge_size ? cfg->huge_size : 2ULL << 20;

	if (cfg->huge == VENOM_HUGE_REQUIRE)
		return venom_fail(rc,
				  "not enough huge pages of %llu MiB for the state's %llu MiB: see "
				  "/sys/kernel/mm/hugepages",
				  (unsigned long long)huge >> 20, (unsigned long long)venom_state_bytes(geo) >> 20);
	return venom_fail(rc, "the state's %llu bytes can't be had: %s", (unsigned long long)venom_state_bytes(geo),
			  strerror(-rc));
}

void venom_state_init(struct venom_daemon *d)
{
	struct venom_state *s = d->state;
	struct venom_area_head head;

	venom_head_make(&head, VENOM_AREA_STATE, d->state_map.size, d->epoch, 0, 0);
	head.magic = 0;
	s->head = head;
	s->geo = d->geo;
	memcpy(s->name, d->name, strlen(d->name));
	schema_put(s, d->cfg.schema);
	/* Write the magic last: on the module shells may be here already.  If we die before, a resume starts anew. */
	store_release(&s->head.magic, VENOM_MAGIC);
}

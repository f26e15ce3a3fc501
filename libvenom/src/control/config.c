/* SPDX-License-Identifier: MIT */
/* Checks a user's config, computes the sizes in bytes, and checks headers from other processes. */
#include <stdio.h>
#include "internal.h"
#include "control/schema.h"

int venom_name_check(const char *name)
{
	int at = name ? venom_name_fault(name) : 0;

	if (at < 0)
		return 0;
	if (!name || !name[at])
		return venom_fail(-EINVAL, "the name is empty");
	if (at == VENOM_NAME_MAX)
		return venom_fail(-EINVAL, "the name is longer than %d bytes", VENOM_NAME_MAX);
	if (name[at] == '.')
		return venom_fail(-EINVAL, "a name can't start with '.'");
	return venom_fail(-EINVAL, "the name has a character that it can't have: byte %d is 0x%02x", at,
			  (unsigned char)name[at]);
}

/* The sentence about a geometry's fault, in buf. */
static const char *fault_text(char *buf, size_t size, const struct venom_geometry *g, enum venom_geometry_fault fault)
{
	const char *field = NULL;
	uint64_t is = 0, most = 0;

	switch (fault) {
	case VENOM_GEO_VALID:
		return NULL;
	case VENOM_GEO_BAD_FLAGS:
		snprintf(buf, size, "flags has unknown bits: 0x%x", g->flags);
		return buf;
	case VENOM_GEO_BAD_MODE:
		snprintf(buf, size, "mode is 0%o: only read (attach) and write (command) bits can be set", g->mode);
		return buf;
	case VENOM_GEO_BAD_VERSIONS:
		field = "versions", is = g->versions, most = VENOM_VERSIONS_MAX;
		break;
	case VENOM_GEO_BAD_CMD_SLOTS:
		field = "cmd_slots", is = g->cmd_slots, most = VENOM_SLOTS_MAX;
		break;
	case VENOM_GEO_BAD_CMD_SIZE:
		field = "cmd_size";
		break;
	case VENOM_GEO_BAD_RESP_SIZE:
		field = "resp_size";
		break;
	case VENOM_GEO_BAD_MAX_CLIENTS:
		field = "max_clients", is = g->max_clients, most = VENOM_CLIENTS_MAX;
		break;
	case VENOM_GEO_BAD_DATA_SIZE:
		field = "data_size", is = g->data_size, most = VENOM_AREA_MAX;
		break;
	case VENOM_GEO_BAD_SCHEMA_SIZE:
		field = "schema_size", is = g->schema_size, most = VENOM_SCHEMA_MAX;
		break;
	case VENOM_GEO_BAD_MAX_HOLDERS:
		if (g->max_holders <= VENOM_CLIENTS_MAX) {
			snprintf(buf, size, "max_holders is %u, and versions is 1: the only buffer can't be held",
				 g->max_holders);
			return buf;
		}
		field = "max_holders", is = g->max_holders, most = VENOM_CLIENTS_MAX;
		break;
	case VENOM_GEO_BAD_LIMIT:
		snprintf(buf, size, "lossless_limit_ns is %llu, %s VENOM_LOSSLESS",
			 (unsigned long long)g->lossless_limit_ns, g->flags & VENOM_GEO_LOSSLESS ? "with" : "without");
		return buf;
	case VENOM_GEO_LARGE_STATE:
		snprintf(buf, size, "versions (%u) * data_size (%llu) is too large to map", g->versions,
			 (unsigned long long)g->data_size);
		return buf;
	case VENOM_GEO_LARGE_COMMANDS:
		snprintf(buf, size, "cmd_slots (%u) * cmd_size (%u) is too large to map", g->cmd_slots, g->cmd_size);
		return buf;
	case VENOM_GEO_LARGE_RESPONSES:
		snprintf(buf, size, "cmd_slots (%u) * resp_size (%u) is too large to map", g->cmd_slots, g->resp_size);
		return buf;
	}
	if (is)
		snprintf(buf, size, "%s is %llu, more than %llu", field, (unsigned long long)is, (unsigned long long)most);
	else
		snprintf(buf, size, "%s is 0", field);
	return buf;
}

#define CHECK(cond, ...)                                         \
	do {                                                     \
		if (!(cond))                                     \
			return venom_fail(-EINVAL, __VA_ARGS__); \
	} while (0)

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

int venom_config_check(struct venom_config *out, const struct venom_config *cfg)
{
	static const struct venom_config init = VENOM_CONFIG_INIT;
	struct venom_geometry geo;
	const char *why;
	char buf[128];
	int rc;

	/* Check the size first: a struct of another size may end before ours does. */
	CHECK(!cfg || cfg->size == sizeof(*out),
	      "size is %u, not sizeof(struct venom_config): start from VENOM_CONFIG_INIT", cfg->size);
	*out = cfg ? *cfg : init;
	CHECK(!(out->flags & ~(VENOM_CHANNEL_FLAGS | VENOM_RESUME)), "flags has unknown bits: 0x%x", out->flags);
	CHECK(!out->reserved, "reserved is not 0");
	CHECK(out->huge <= VENOM_HUGE_NEVER, "huge is %u, which is no VENOM_HUGE_*", out->huge);
	CHECK(!out->huge_size || out->huge_size == 2ULL << 20 || out->huge_size == 1ULL << 30,
	      "huge_size is %llu: it can be 2 MiB, 1 GiB, or 0 for 2 MiB", (unsigned long long)out->huge_size);
	CHECK(out->limit_ns > 0, "limit_ns is %lld, which is no time", (long long)out->limit_ns);
	CHECK(out->node >= VENOM_NODE_ANY && out->node < 1024, "node is %d, which is no node", out->node);
	CHECK(out->spin_ns >= VENOM_SPIN_ADAPTIVE, "spin_ns is %lld, which is no VENOM_SPIN_* and no time",
	      (long long)out->spin_ns);
	rc = out->schema ? schema_check(out->schema) : 0;
	if (rc)
		return rc;
	venom_geometry_make(&geo, out, VENOM_PAGE);
	why = fault_text(buf, sizeof(buf), &geo, venom_geometry_fault(&geo));
	CHECK(!why, "%s", why);
	return 0;
}

/*
 * Check a geometry from another process.  If it is valid, no sum of its fields overflows, and every offset in it lies
 * within the area (area_size 0: there is no area to check).
 */
int venom_geometry_check(const struct venom_geometry *geo, uint64_t area_size)
{
	struct venom_geometry want = *geo;
	char buf[128];
	const char *why = fault_text(buf, sizeof(buf), geo, venom_geometry_fault(geo));

	if (why)
		return venom_fail(-EPROTO, "the channel's geometry is invalid: %s", why);
	if (geo->page_size != VENOM_PAGE && geo->page_size != 2ULL << 20 && geo->page_size != 1ULL << 30)
		return venom_fail(-EPROTO, "the channel's page_size is invalid: %llu",
				  (unsigned long long)geo->page_size);
	venom_geometry_fill(&want, geo->page_size);
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

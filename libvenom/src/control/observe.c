/* SPDX-License-Identifier: MIT */
/* What observers get, collected from the areas by the side that has them mapped. */
#include <stdio.h>
#include "internal.h"
#include "control/schema.h"

void venom_stats_make(struct venom_daemon_stats *st, const struct venom_state *s, const struct venom_status *status,
		      uint64_t versions)
{
	*st = (struct venom_daemon_stats){
		.versions = versions - load_relaxed(&s->passed), /* a number passed over is no published version */
		.commands = load_relaxed(&s->commands),
		.responses = load_relaxed(&s->responses),
		.stale = load_relaxed(&s->stale),
		.wakes = load_relaxed(&s->state_wakes) + load_relaxed(&s->answer_wakes),
		.sleeps = load_relaxed(&s->sleeps),
		.evicted = load_relaxed(&s->evicted),
		.passed = load_relaxed(&s->passed),
		.held_up = load_relaxed(&s->held_up),
		.full = load_relaxed(&s->full),
		.cut = load_relaxed(&s->cut),
		.refused = load_relaxed(&status->refused),
		.clients = load_relaxed(&status->attached),
	};
}

void venom_peer_make(struct venom_peer *p, uint32_t id, uint32_t generation, const struct venom_cred *cred)
{
	*p = (struct venom_peer){
		.client_id = id,
		.generation = generation,
		.pid = cred->pid,
		.uid = cred->uid,
		.gid = cred->gid,
	};
}

/* The shell's own counters: do not trust them, a shell may write any numbers. */
void venom_peer_numbers(struct venom_peer *p, const struct venom_shell_counts *counts, uint64_t received,
			uint64_t responses)
{
	const uint64_t *from = (const uint64_t *)counts;
	uint64_t *to = (uint64_t *)&p->shell;

	_Static_assert(sizeof(p->shell) == sizeof(*counts), "the same counters, in the same order");
	p->received = received;
	p->responses = responses;
	for (size_t i = 0; i < sizeof(p->shell) / sizeof(*to); i++)
		to[i] = load_relaxed(&from[i]);
}

void venom_peer_counts(struct venom_peer *p, const struct venom_commands *cmd, const struct venom_responses *rsp)
{
	venom_peer_numbers(p, &cmd->counts, load_relaxed(&rsp->cursor), load_relaxed(&rsp->responses));
}

void venom_info_make(struct venom_info *info, const char *backend, const char *name, const struct venom_geometry *geo,
		     uint64_t epoch, const struct venom_cred *daemon, bool alive, const struct venom_schema_block *schema)
{
	struct venom_schema_block b = {0};

	*info = (struct venom_info){
		.abi = VENOM_ABI,
		.flags = geo->flags,
		.mode = geo->mode,
		.versions = geo->versions,
		.cmd_slots = geo->cmd_slots,
		.cmd_size = geo->cmd_size,
		.resp_size = geo->resp_size,
		.max_clients = geo->max_clients,
		.data_size = geo->data_size,
		.page_size = geo->page_size,
		.state_bytes = venom_state_bytes(geo),
		.lane_bytes = venom_commands_bytes(geo) + venom_responses_bytes(geo),
		.epoch = epoch,
		.pid = daemon->pid,
		.uid = daemon->uid,
		.gid = daemon->gid,
		.alive = alive,
	};
	snprintf(info->name, sizeof(info->name), "%s", name);
	if (schema)
		schema_block_copy(&b, schema);
	info->schema_hash = b.hash;
	memcpy(info->schema_name, b.name, sizeof(b.name));
	memcpy(info->schema_encoding, b.encoding, sizeof(b.encoding));
	snprintf(info->backend, sizeof(info->backend), "%s", backend);
}

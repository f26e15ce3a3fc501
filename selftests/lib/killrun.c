/* SPDX-License-Identifier: MIT */
/*
 * See killrun.h.
 */
#include "internal.h"
#include "kselftest.h"
#include "lib/killrun.h"

#include <signal.h>

void kill_set_up(struct run *r, enum part part, int64_t spin, uint32_t versions, uint32_t flags, uint32_t holders)
{
	struct arena *a = vt_shared(sizeof(*a));

	strcpy(a->name, vt_name());
	a->cfg = (struct venom_config)VENOM_CONFIG_INIT;
	a->cfg.data_size = CAST_SIZE;
	a->cfg.versions = versions;
	a->cfg.flags = flags | VENOM_RESUME;
	a->cfg.cmd_slots = 4;
	a->cfg.cmd_size = a->cfg.resp_size = CAST_CMD;
	a->cfg.max_clients = part == SHELL ? SHELLS : WITNESSES;
	a->cfg.spin_ns = spin;
	a->cfg.max_holders = holders ? holders : VENOM_HOLDERS_NONE;
	/* The daemon serves in the same thread.  Live shells are never cut off where they are to miss nothing. */
	a->cfg.full_ns = VT_MS;
	a->cfg.limit_ns = part == SHELL ? 600 * VT_S : 2 * VT_MS;
	*r = (struct run){.a = a, .part = part};
}

static bool all_told(const struct arena *a)
{
	uint64_t died = vt_load(&vt_fate->died);

	return vt_load(&a->told[ASKER]) > died && vt_load(&a->told[SENDER]) > died && vt_load(&a->told[READER]) > died;
}

static bool all_served(const struct arena *a, uint64_t by)
{
	return vt_load(&a->served[ASKER]) >= by && vt_load(&a->served[SENDER]) >= by &&
	       vt_load(&a->served[READER]) >= by;
}

/* Another shell may take the dead shell's place; r->late says how long that took. */
static bool place_is_free(struct run *r)
{
	struct venom_shell *s;
	struct venom_view view;
	int rc;

	do
		rc = venom_shell_connect(&s, r->a->name);
	while (rc == -EUSERS && vt_now() - vt_fate->died < (uint64_t)VT_PATIENCE_S * VT_S);
	r->late = vt_now() - vt_fate->died;
	if (rc)
		return false;
	/* The dead shell's right to hold a version is free as well. */
	if (r->a->cfg.max_holders != VENOM_HOLDERS_NONE)
		rc = venom_shell_hold(s, 0, &view);
	if (rc == -EUSERS)
		ksft_print_msg("the dead shell still has its right to hold\n");
	venom_shell_close(s);
	return rc != -EUSERS;
}

static bool ledger_holds(const struct run *r, const struct arena *a, int who)
{
	const struct ledger *l = &a->ledger[who];
	uint32_t n, lost = 0;
	bool ok = true;

	for (n = 1; n <= l->sent; n++) {
		const char *wrong = NULL;
		bool dead = r->part != SHELL && l->daemon[n] < a->daemons;

		switch (l->outcome[n]) {
		case UNSENT:
		case NEVER_TAKEN:
			if (l->taken[n])
				wrong = "taken, though its sender was told that it would not be";
			break;
		case ANSWERED:
			if (l->taken[n] != 1)
				wrong = "answered, but not taken once";
			break;
		case ACCEPTED:
			if (!l->taken[n] && !dead)
				wrong = "accepted, but not taken";
			if (!l->taken[n] && dead && vt_on_dev() && !a->ended && ++lost > CAST_BATCH * (a->daemons - 1))
				wrong = "accepted, but not taken by the daemon that went on";
			break;
		case RESET:
			break; /* the command had been taken, or was about to be */
		}
		if (l->taken[n] > 1)
			wrong = "taken more than once";
		if (wrong) {
			ksft_print_msg("the %s's command %u was %s\n", cast_name[who], n, wrong);
			ok = false;
		}
	}
	return ok;
}

void kill_set_fate(unsigned int point, unsigned int when, uint32_t nth)
{
	memset(vt_fate->passed, 0, sizeof(vt_fate->passed));
	vt_fate->point = point;
	vt_fate->when = when;
	vt_fate->nth = nth;
	vt_store(&vt_fate->died, 0);
}

/* Waits until the victim is dead at its point, or has ended. */
static bool victim_ends(struct run *r)
{
	int status = vt_wait(&r->victim);

	r->met = vt_load(&vt_fate->died) != 0;
	if (r->met ? status != -SIGKILL : status != 0) {
		ksft_print_msg("the victim ended with %d\n", status);
		vt_where(r->a->step, SHELLS + 1, "where they stand");
		return false;
	}
	if (!r->met)
		vt_store(&vt_fate->died, vt_now());
	return true;
}

static bool any_ended(const struct run *r)
{
	return vt_any_ended(r->witness, WITNESSES) || vt_any_ended(&r->daemon, 1);
}

static void start_daemon(struct run *r, struct vt_peer *p, vt_main fn)
{
	vt_add(&r->a->daemons, 1);
	vt_spawn(p, fn, r->a);
}

static bool play(struct run *r, unsigned int point, unsigned int when, uint32_t nth)
{
	struct arena *a = r->a;
	int i;

	for (i = 0; i < WITNESSES; i++)
		vt_spawn(&r->witness[i], cast_witness, &r->role[i]);
	if (r->part == SHELL) {
		start_daemon(r, &r->daemon, cast_daemon);
		if (!VT_WATCH_UNTIL(all_served(a, 1) || any_ended(r), a->step, SHELLS + 1) || any_ended(r))
			return false;
	}
	if (r->part == TAKEOVER) {
		/* Its predecessor dies between a commit's two stores, in mid-work: every second commit is small. */
		kill_set_fate(vt_point_of("p->latest"), VT_BEFORE, CAST_TURNS / 4);
		start_daemon(r, &r->daemon, cast_daemon_victim);
		if (vt_wait(&r->daemon) != -SIGKILL)
			return false;
	}
	kill_set_fate(point, when, nth);
	if (r->part == SHELL)
		vt_spawn(&r->victim, cast_shell_victim, &r->role[VICTIM]);
	else
		start_daemon(r, &r->victim, cast_daemon_victim);
	if (!victim_ends(r))
		return false;
	if (r->part == SHELL) {
		if (!place_is_free(r))
			return false;
		for (i = 0; i < WITNESSES; i++)
			vt_store(&a->served[i], 0);
	} else {
		if (!VT_WATCH_UNTIL(all_told(a) || any_ended(r), a->step, SHELLS + 1) || any_ended(r))
			return false;
		for (i = 0; i < WITNESSES; i++)
			if (a->told[i] - vt_fate->died > r->late)
				r->late = a->told[i] - vt_fate->died;
		start_daemon(r, &r->daemon, cast_daemon);
	}
	if (!VT_WATCH_UNTIL(all_served(a, a->daemons) || any_ended(r), a->step, SHELLS + 1) || any_ended(r))
		return false;
	vt_store(&a->stop, 1);
	for (i = 0; i < WITNESSES; i++)
		if (vt_wait(&r->witness[i]))
			return false;
	vt_store(&a->quit, 1);
	if (vt_wait(&r->daemon))
		return false;
	for (i = 0; i < SHELLS; i++)
		if (!ledger_holds(r, a, i))
			return false;
	return true;
}

bool kill_run(struct run *r, unsigned int point, unsigned int when, uint32_t nth)
{
	struct arena *a = r->a, fresh = {.cfg = a->cfg, .guard = a->guard, .steady = r->part == SHELL};
	struct vt_peer *all[] = {&r->witness[0], &r->witness[1], &r->witness[2], &r->daemon, &r->victim};
	bool ok;

	strcpy(fresh.name, a->name);
	memcpy(a, &fresh, sizeof(fresh));
	kill_set_fate(0, 0, 0);
	*r = (struct run){.a = a, .part = r->part};
	for (int i = 0; i < SHELLS; i++)
		r->role[i] = (struct vt_role){a, i};
	ok = play(r, point, when, nth);
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i]->pid > 0)
			vt_kill(all[i], SIGKILL);
	return ok;
}

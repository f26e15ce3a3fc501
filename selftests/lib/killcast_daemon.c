/* SPDX-License-Identifier: MIT */
/*
 * The daemon of killpoints.c: each turn it publishes, receives in one of the ways that there are, and answers.
 */
#include "internal.h"
#include "lib/killcast.h"

#include <poll.h>

#include "lib/killpoint.h"

static void answer(struct venom_daemon *d, const struct venom_command *cmd, struct message *m)
{
	int rc = venom_daemon_respond(d, cmd, m, cast_put(m, (int)m->who, ~m->n));

	VT_CHECK(!rc || rc == -EPIPE || rc == -ESTALE);
}

/* The daemon's state; `late` is one request that is answered later, when its shell may have given up or gone. */
struct work {
	struct arena *a;
	struct venom_daemon *d;
	uint64_t turn, due;
	struct venom_command late;
	struct message m;
};

static void take(struct work *w, const struct venom_command *cmd)
{
	struct message m;
	struct ledger *l;

	VT_CHECK(cmd->len <= sizeof(m));
	memcpy(&m, cmd->data, cmd->len);
	VT_CHECK(cast_is_whole(&m, cmd->len) && m.who < SHELLS && m.n < CAST_N);
	l = &w->a->ledger[m.who];
	VT_CHECK(m.n <= vt_load(&l->sent) && cmd->client_id < SHELLS);
	if (w->a->order[cmd->client_id].generation == cmd->generation)
		VT_CHECK(m.n > w->a->order[cmd->client_id].last);
	w->a->order[cmd->client_id].generation = cmd->generation;
	w->a->order[cmd->client_id].last = m.n;
	l->taken[m.n]++;
	if (!(cmd->flags & VENOM_CMD_REQUEST))
		return;
	if (!w->due && w->turn % 8 == 0) {
		w->due = w->turn + 4;
		w->late = *cmd;
		w->m = m;
	} else {
		answer(w->d, cmd, &m);
	}
}

/* Content is numbered, too: version numbers may be skipped. */
static void publish(struct arena *a, struct venom_daemon *d, uint64_t turn)
{
	uint32_t n = vt_load(&a->published) + 1;
	size_t len = turn % 2 ? CAST_SIZE - n % 7 : 64;
	char buf[CAST_SIZE];
	int rc;

	vt_fill(buf, len, n);
	rc = venom_daemon_publish(d, buf, len);
	VT_CHECK(rc == 0 || (rc == -EAGAIN && (a->cfg.flags & VENOM_LOSSLESS)));
	if (!rc)
		vt_store(&a->published, n);
}

static void guard_lanes(struct venom_daemon *d)
{
	serve_enter(d);
	for (uint32_t i = 0; i < d->nactive; i++)
		vt_guard(d->active[i].lane->rsp_map.p, d->active[i].lane->rsp_map.size);
	serve_leave(d);
}

/* Receive one command, several, or wait in poll() on the descriptor first. */
static void receive(struct work *w)
{
	struct pollfd p = {.fd = venom_daemon_fd(w->d), .events = POLLIN};
	struct venom_command cmd[CAST_BATCH];
	int rc, how = w->turn % 4;

	if (how == 1 && !venom_daemon_arm(w->d))
		VT_CHECK(poll(&p, 1, 1) >= 0);
	rc = how > 1 ? venom_daemon_receive_many(w->d, cmd, CAST_BATCH, VT_MS) : venom_daemon_receive(w->d, cmd, VT_MS);
	VT_CHECK(rc >= 0);
	for (int i = 0; i < rc; i++)
		take(w, &cmd[i]);
	if (w->turn % 32 == 0)
		vt_sleep_ms(1); /* lanes fill up */
}

static int play_daemon(struct arena *a, bool victim)
{
	struct vt_step *step = &a->step[SHELLS];
	struct work w = {.a = a};
	struct venom_command cmd;

	vt_step(step, "create", 0);
	VT_CHECK(!venom_daemon_create(&w.d, a->name, &a->cfg));
	vt_store(&a->up, vt_load(&a->daemons));
	if (!venom_daemon_version(w.d)) {
		/*
		 * No process held the dead daemon's channel: ids and generations start anew, and the contents of its
		 * lanes are lost.
		 */
		memset(a->order, 0, sizeof(a->order));
		a->ended |= vt_load(&a->daemons) > 1;
	}
	if (a->guard)
		vt_guard(w.d->state_map.p, w.d->state_map.size);
	for (w.turn = 1; victim ? w.turn < CAST_TURNS : !vt_load(&a->quit); w.turn++) {
		vt_step(step, "its turns", w.turn);
		if (a->guard)
			guard_lanes(w.d);
		publish(a, w.d, w.turn);
		receive(&w);
		if (w.due && w.due <= w.turn) {
			answer(w.d, &w.late, &w.m);
			w.due = 0;
		}
	}
	/* A daemon that ends in order must first take all commands that were accepted. */
	while (!victim && venom_daemon_receive(w.d, &cmd, 0) == 1)
		take(&w, &cmd);
	vt_step(step, "destroy", 0);
	a->ended |= victim;
	venom_daemon_destroy(w.d);
	return 0;
}

int cast_daemon(struct vt_peer *self, void *arg)
{
	(void)self;
	return play_daemon(arg, false);
}

int cast_daemon_victim(struct vt_peer *self, void *arg)
{
	(void)self;
	vt_victim();
	return play_daemon(arg, true);
}

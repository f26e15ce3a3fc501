/* SPDX-License-Identifier: MIT */
/*
 * A shell of load/torture.c: opens sessions with the daemon of the moment, does all that a shell can do, at random, and
 * notices when the daemon dies.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/torture_shell.h"

static void join(struct shell *sh, struct conn *c)
{
	static const int64_t spins[] = {VENOM_SPIN_ADAPTIVE, VENOM_SPIN_NONE, 20000, VENOM_SPIN_ADAPTIVE,
					VENOM_SPIN_NONE,     200000,	      20000, VENOM_SPIN_FOREVER};
	struct t_arena *a = sh->a;
	struct venom_shell *s;
	struct venom_info info;
	uint32_t no, i;
	int rc;

	doing(sh, "connect", 0);
	rc = venom_shell_connect(&s, a->name);
	if (rc) {
		if (rc != -ENOENT && rc != -EUSERS)
			fprintf(stderr, "# connect gave errno %d (%s)\n", rc, venom_errmsg());
		VT_CHECK(rc == -ENOENT || rc == -EUSERS);
		usleep(200);
		return;
	}
	VT_CHECK(!venom_shell_info(s, &info));
	/* Find the last daemon with this pid, for its channel. It may have died as this shell connected. */
	for (i = vt_load(&a->daemons); i > 0 && vt_load(&a->daemon[i - 1].pid) != info.pid; i--)
		;
	VT_CHECK(i > 0 || !info.pid);
	no = info.pid ? __atomic_fetch_add(&a->sessions, 1, __ATOMIC_SEQ_CST) : T_SESSIONS;
	if (no >= T_SESSIONS) {
		venom_shell_close(s);
		usleep(info.pid ? 5000 : 200);
		return;
	}
	*c = (struct conn){.s = s, .l = &a->session[no], .no = no};
	VT_CHECK(VT_UNTIL(vt_load(&a->daemon[i - 1].chan)));
	c->l->chan = vt_load(&a->daemon[i - 1].chan) - 1;
	c->l->pid = (uint32_t)getpid();
	c->l->id = venom_shell_id(s);
	VT_CHECK(!venom_shell_set_spin(s, spins[up_to(sh, 8)]));
	sh->tally->connects++;
}

static void part(struct shell *sh, struct conn *c)
{
	struct venom_shell_stats st;

	if (c->holding)
		t_let_go(sh, c);
	VT_CHECK(!venom_shell_stats(c->s, &st));
	if (c->first)
		VT_CHECK((sh->a->heed || c->passed + c->missed == c->at - c->first + 1) &&
			 st.overruns - c->before == c->missed);
	vt_step(sh->step, "close", c->no);
	/* A shell that is killed before this store counts as killed, afterwards as closed. */
	vt_store(&c->l->end, venom_shell_alive(c->s) ? T_CLOSED : T_CLOSED_DEAD);
	venom_shell_close(c->s);
	c->s = NULL;
}

/* The daemon has gone. Where another may resume the channel, wait a while for it. */
static void bereaved(struct shell *sh, struct conn *c)
{
	uint64_t patience = vt_now() + up_to(sh, 30 * VT_MS);

	c->told = false;
	if (up_to(sh, 4) == 0)
		t_read_latest(sh, c);
	while (sh->a->resume && vt_now() < patience) {
		if (venom_shell_alive(c->s))
			return;
		usleep(200);
	}
	if (venom_shell_alive(c->s)) /* another daemon has resumed it already */
		return;
	while (c->nopen && up_to(sh, 8))
		t_complete(sh, c, (unsigned int)up_to(sh, c->nopen), up_to(sh, 2), -1);
	part(sh, c);
}

/* Do one random thing, but never wait for an answer that may not come. */
static void act(struct shell *sh, struct conn *c)
{
	unsigned int i;

	if (sh->a->heed && up_to(sh, 4) == 0) {
		if (c->holding)
			t_let_go(sh, c);
		else
			t_hold(sh, c);
	}
	if (sh->a->heed && up_to(sh, c->lossless ? 64 : 8) == 0 && !c->told)
		t_be_lossless(sh, c, !c->lossless);
	for (i = 0; i < 32 && c->lossless && !c->told && t_follow(sh, c); i++)
		;
	switch (c->told ? 17 : up_to(sh, 18)) {
	case 0 ... 3:
		for (i = (unsigned int)up_to(sh, 50); i && !c->told; i--)
			t_send_one(sh, c);
		break;
	case 4:
		t_send_many(sh, c);
		break;
	case 5:
	case 6:
		t_request(sh, c);
		break;
	case 7:
	case 8:
		t_submit(sh, c);
		break;
	case 9:
	case 10:
		if (c->nopen)
			t_complete(sh, c, (unsigned int)up_to(sh, c->nopen), up_to(sh, 2), some_time(sh));
		if (c->nopen && up_to(sh, 4) == 0)
			t_cancel(sh, c, (unsigned int)up_to(sh, c->nopen));
		break;
	case 11:
		if (up_to(sh, 4) == 0)
			t_flood(sh, c);
		break;
	case 12:
		t_read_latest(sh, c);
		break;
	case 13:
		t_look(sh, c);
		break;
	case 14:
		t_wait_news(sh, c);
		break;
	case 15:
		for (i = 0; i < 8 && t_follow(sh, c); i++)
			;
		break;
	case 16:
		t_arm(sh, c);
		break;
	default:
		if (up_to(sh, 8) == 0)
			usleep((useconds_t)up_to(sh, 2000));
		if (up_to(sh, 64) == 0)
			part(sh, c);
	}
	/* Leave room for the most that one step sends. */
	if (c->s && (c->told || c->l->n > T_COMMANDS - 200)) {
		if (c->told)
			bereaved(sh, c);
		else
			part(sh, c);
	}
}

/*
 * The publisher has stopped: a shell with a living daemon sees its last version, and all before it that are in the
 * ring.
 */
static void last_look(struct shell *sh, struct conn *c)
{
	uint64_t final = vt_load(&sh->a->final) - 1, v;
	ssize_t len;

	c->l->to_the_end = 1;
	if (venom_shell_alive(c->s)) {
		len = venom_shell_read(c->s, sh->buf, sh->a->cfg.data_size, &v);
		VT_CHECK(len >= 0 ? v == final : len == -ENODATA && !final);
		if (len >= 0)
			t_check_version(sh, c, sh->buf, len, v);
		while (t_follow(sh, c))
			;
		VT_CHECK(c->at == final);
	}
	part(sh, c);
}

int t_shell_main(struct vt_peer *self, void *arg)
{
	struct t_role *role = arg;
	struct t_arena *a = role->a;
	struct shell *sh = calloc(1, sizeof(*sh));
	int fds = vt_count_fds();
	struct conn *c;

	(void)self;
	VT_CHECK(sh);
	sh->a = a;
	sh->tally = &a->tally[role->who];
	sh->step = &a->step[role->who];
	sh->rng = role->seed;
	sh->buf = malloc(a->cfg.data_size);
	VT_CHECK(sh->buf);
	while (!vt_load(&a->stop)) {
		c = &sh->conn[up_to(sh, a->handles)];
		if (c->s)
			act(sh, c);
		else
			join(sh, c);
	}
	for (c = sh->conn; c < sh->conn + HANDLES; c++) {
		if (!c->s)
			continue;
		for (unsigned int i = c->nopen; i > 0; i--)
			if (c->open[i - 1].kind == 3)
				t_cancel(sh, c, i - 1);
		while (c->nopen)
			t_complete(sh, c, 0, true, -1);
	}
	vt_step(sh->step, "the last version", 0);
	vt_add(&a->quiet, 1);
	VT_CHECK(VT_UNTIL(vt_load(&a->final)));
	for (c = sh->conn; c < sh->conn + HANDLES; c++)
		if (c->s)
			last_look(sh, c);
	VT_CHECK(vt_count_fds() == fds && !vt_count_areas());
	free(sh->buf);
	free(sh);
	return 0;
}

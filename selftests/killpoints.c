/* SPDX-License-Identifier: MIT */
/*
 * A process dies at each point at which it can leave something half-done: between any two stores to shared pages, and
 * before and after each call into the kernel (lib/killpoint.h).  What becomes of the others?
 *
 *	survey		the victim plays its part and lives: which points does it pass, and how often
 *	walk		the same once for each point, where it dies, at one of the times that it passes there
 *
 * Beside the victim three witnesses work, all with waits that never give up: one asks, one sends, one reads.  Where the
 * victim is the daemon, or the one that took over from a dead one, each of them must be told within 100 ms,
 * by the errno of a call; then an heir comes, and must be able to serve them all.  Where it is a shell, its place must be
 * free again within 100 ms, and the witnesses notice nothing.
 *
 * The ledger says of each command, by number, what became of it: taken at most once, in its shell's order, by whom it was
 * sent to; a request answered has been taken, one failed with -EPIPE has not; each accepted command is taken, but
 * for those that the dead daemon had (embedded: all that it had not taken; with the module: what its last receive
 * took and could not note any more).
 */
#include <poll.h>
#include <signal.h>
#include "internal.h"
#include "lib/harness.h"
#include "lib/killpoint.h"
#include "lib/watch.h"

#define SIZE	400 /* of the state: more than is copied in line */
#define N	65536 /* commands of one shell in a run */
#define BATCH	3
#define TURNS	60 /* that a victim plays before it ends by itself */
#define TOLD_NS (100 * VT_MS)
#define TRIES	5 /* late once may be the machine's doing */
#define NTH_MAX 40

enum { ASKER, SENDER, READER, WITNESSES, VICTIM = WITNESSES, SHELLS };
static const char *const names[SHELLS] = {"asker", "sender", "reader", "victim"};

/* What the sender of a command knows of it. */
enum outcome { UNSENT, UNKNOWN, ACCEPTED, ANSWERED, NEVER_TAKEN, RESET };

struct ledger {
	uint32_t sent; /* number of the last one */
	uint8_t outcome[N], daemon[N], taken[N];
};

struct arena {
	struct vt_step step[SHELLS + 1]; /* the last is the daemon's */
	char name[VENOM_NAME_MAX + 1];
	struct venom_config cfg;
	uint32_t daemons, up; /* number of the daemon that was started last; that was created last */
	bool ended; /* a daemon came to its end in order: its channel goes with all that is in it */
	bool guard; /* only stores that are points may write to the shared pages */
	bool steady; /* no daemon dies: no session ends by itself */
	uint64_t stop, quit; /* for shells, for the daemon */
	uint64_t told[SHELLS], served[SHELLS];
	struct ledger ledger[SHELLS];
	struct {
		uint32_t generation, last;
	} order[SHELLS]; /* by id: the last one taken */
};

struct message {
	uint32_t who, n;
	char more[192];
};

/* Bytes of message n: within the first line of its slot, or beyond. */
static size_t put(struct message *m, int who, uint32_t n)
{
	size_t more = n % 3 ? n % sizeof(m->more) : 0;

	m->who = (uint32_t)who;
	m->n = n;
	vt_fill(m->more, more, n);
	return offsetof(struct message, more) + more;
}

static bool is_whole(const struct message *m, size_t len)
{
	struct message want;

	return len >= offsetof(struct message, more) && len == put(&want, (int)m->who, m->n) && !memcmp(m, &want, len);
}

/* ---- the daemon ------------------------------------------------------------ */

static void answer(struct venom_daemon *d, const struct venom_command *cmd, struct message *m)
{
	int rc = venom_daemon_respond(d, cmd, m, put(m, (int)m->who, ~m->n));

	VT_CHECK(!rc || rc == -EPIPE || rc == -ESTALE);
}

/* A command, and one request that is answered later, when its shell may have given up or gone. */
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
	VT_CHECK(is_whole(&m, cmd->len) && m.who < SHELLS && m.n < N);
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

static void publish(struct venom_daemon *d, uint64_t turn)
{
	uint64_t v = venom_daemon_version(d) + 1;
	size_t len = turn % 2 ? SIZE - v % 7 : 64;
	char buf[SIZE];

	vt_fill(buf, len, (uint32_t)v);
	VT_CHECK(!venom_daemon_publish(d, buf, len));
}

static void guard_lanes(struct venom_daemon *d)
{
	pthread_mutex_lock(&d->lock);
	for (uint32_t id = 0; id < d->geo.max_clients; id++)
		if (d->lanes[id])
			vt_guard(d->lanes[id]->rsp_map.p, d->lanes[id]->rsp_map.size);
	pthread_mutex_unlock(&d->lock);
}

/* Receive as one may: one, some, or told by the descriptor. */
static void receive(struct work *w)
{
	struct pollfd p = {.fd = venom_daemon_fd(w->d), .events = POLLIN};
	struct venom_command cmd[BATCH];
	int rc, how = w->turn % 4;

	if (how == 1 && !venom_daemon_arm(w->d))
		VT_CHECK(poll(&p, 1, 1) >= 0);
	rc = how > 1 ? venom_daemon_receive_many(w->d, cmd, BATCH, VT_MS) : venom_daemon_receive(w->d, cmd, VT_MS);
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
	if (!venom_daemon_version(w.d)) /* ids and generations start anew */
		memset(a->order, 0, sizeof(a->order));
	if (a->guard)
		vt_guard(w.d->state_map.p, w.d->state_map.size);
	for (w.turn = 1; victim ? w.turn < TURNS : !vt_load(&a->quit); w.turn++) {
		vt_step(step, "its turns", w.turn);
		if (a->guard)
			guard_lanes(w.d);
		publish(w.d, w.turn);
		receive(&w);
		if (w.due && w.due <= w.turn) {
			answer(w.d, &w.late, &w.m);
			w.due = 0;
		}
	}
	/* An ordinary end leaves nothing that was accepted. */
	while (!victim && venom_daemon_receive(w.d, &cmd, 0) == 1)
		take(&w, &cmd);
	vt_step(step, "destroy", 0);
	a->ended |= victim;
	venom_daemon_destroy(w.d);
	return 0;
}

static int daemon_plain(struct vt_peer *self, void *arg)
{
	(void)self;
	return play_daemon(arg, false);
}

static int daemon_victim(struct vt_peer *self, void *arg)
{
	(void)self;
	vt_victim();
	return play_daemon(arg, true);
}

/* ---- shells ---------------------------------------------------------------- */

static uint32_t next(struct arena *a, int who, enum outcome as)
{
	struct ledger *l = &a->ledger[who];
	uint32_t n = l->sent + 1;

	VT_CHECK(n < N);
	l->outcome[n] = as;
	l->daemon[n] = (uint8_t)vt_load(&a->daemons);
	vt_store(&l->sent, n);
	return n;
}

/* What came of request n. */
static int asked(struct arena *a, int who, uint32_t n, ssize_t rc, const struct message *m)
{
	uint8_t *outcome = &a->ledger[who].outcome[n];

	if (rc == -ETIMEDOUT)
		return 0; /* it may still be taken */
	if (rc >= 0) {
		VT_CHECK(m->who == (uint32_t)who && m->n == ~n && is_whole(m, (size_t)rc));
		*outcome = ANSWERED;
		return 0;
	}
	VT_CHECK(rc == -EPIPE || rc == -ECONNRESET);
	*outcome = rc == -EPIPE ? NEVER_TAKEN : RESET;
	return (int)rc;
}

static int ask(struct arena *a, struct venom_shell *s, int who, int64_t timeout_ns)
{
	uint32_t n = next(a, who, UNKNOWN);
	struct message m;
	size_t len = put(&m, who, n);

	return asked(a, who, n, venom_shell_request(s, &m, len, &m, sizeof(m), timeout_ns), &m);
}

static int submit(struct arena *a, struct venom_shell *s, int who, uint32_t *n, uint64_t *tag)
{
	struct message m;
	size_t len;
	int rc;

	*n = next(a, who, UNKNOWN);
	len = put(&m, who, *n);
	rc = venom_shell_submit(s, &m, len, tag);
	if (rc == -EAGAIN) /* the lane is full */
		a->ledger[who].outcome[*n] = NEVER_TAKEN;
	else if (rc)
		asked(a, who, *n, rc, NULL);
	return rc;
}

/* Two requests at once, and one between them that is given up. */
static int ask_two(struct arena *a, struct venom_shell *s, int who)
{
	uint64_t tag[3], got;
	uint32_t n[3];
	struct message m;
	int rc = 0, open = 0, left;

	while (open < 3 && !(rc = submit(a, s, who, &n[open], &tag[open])))
		open++;
	if (rc == -EAGAIN)
		rc = 0;
	left = open;
	if (open == 3) {
		VT_CHECK(!venom_shell_cancel(s, tag[1]));
		tag[1] = 0;
		left--;
	}
	for (; left; left--) {
		ssize_t len;
		int i = 0, bad;

		got = VENOM_ANY;
		len = venom_shell_complete(s, &got, &m, sizeof(m), -1);
		while (i < open && tag[i] != got)
			i++;
		VT_CHECK(i < open);
		bad = asked(a, who, n[i], len, &m);
		rc = rc ? rc : bad;
	}
	return rc;
}

static int send_some(struct arena *a, struct venom_shell *s, int who, int count)
{
	struct message m[BATCH];
	struct iovec iov[BATCH];
	uint32_t n[BATCH];
	int i, rc;

	for (i = 0; i < count; i++) {
		n[i] = next(a, who, UNKNOWN);
		iov[i] = (struct iovec){&m[i], put(&m[i], who, n[i])};
	}
	rc = count == 1 ? venom_shell_send(s, &m[0], iov[0].iov_len) : venom_shell_send_many(s, iov, BATCH);
	if (count == 1 && !rc)
		rc = 1;
	for (i = 0; i < count; i++)
		a->ledger[who].outcome[n[i]] = i < rc ? ACCEPTED : UNSENT;
	VT_CHECK(rc > 0 || rc == -EAGAIN || rc == -EPIPE);
	return rc < 0 ? rc : 0;
}

static int send_and_wait(struct arena *a, struct venom_shell *s, int who, uint64_t turn)
{
	int rc = send_some(a, s, who, turn % 2 ? 1 : BATCH);

	if (rc == -EAGAIN)
		rc = venom_shell_room(s, -1);
	VT_CHECK(rc >= 0 || rc == -EPIPE);
	return rc < 0 ? rc : 0;
}

/* No time to wait for room, or for the answer. */
static int ask_in_haste(struct arena *a, struct venom_shell *s, int who)
{
	int rc;

	while (!(rc = send_some(a, s, who, 1)))
		;
	return rc == -EAGAIN ? ask(a, s, who, 0) : rc;
}

/* Break the rules: we are thrown out, if the daemon lives to see it. */
static int misbehave(struct venom_shell *s)
{
	struct venom_slot *slot = venom_slots_at(&s->out, s->pos);

	if (venom_shell_room(s, -1) < 0)
		return -EPIPE;
	vt_store(&slot->len, s->geo.cmd_size + 1);
	vt_store(&slot->seq, s->pos + 1);
	s->be->wake_daemon(s);
	VT_CHECK(venom_shell_wait(s, UINT64_MAX - 1, -1) == -EPIPE);
	return -EPIPE;
}

static void check_version(const char *buf, ssize_t len, uint64_t v, uint64_t *last)
{
	VT_CHECK(len > 0 && v >= *last && vt_is(buf, (size_t)len, (uint32_t)v));
	*last = v;
}

static int look(struct venom_shell *s, uint64_t turn, uint64_t *last)
{
	struct pollfd p = {.fd = venom_shell_fd(s), .events = POLLIN};
	struct venom_view view;
	char buf[SIZE];
	uint64_t v = *last;
	ssize_t len;
	int rc;

	if (turn % 4 == 3) {
		rc = venom_shell_arm(s, VENOM_WAIT_STATE, v);
		if (!rc)
			VT_CHECK(poll(&p, 1, -1) == 1);
	}
	rc = venom_shell_wait(s, v, -1);
	VT_CHECK(rc == 1 || rc == -EPIPE);
	if (turn % 4 == 0) {
		len = venom_shell_read_begin(s, &view);
		if (!len) {
			size_t size = view.len < SIZE ? view.len : SIZE;

			memcpy(buf, view.data, size);
			v = view.version;
			len = venom_shell_read_retry(s, &view) ? -EAGAIN : (ssize_t)size;
		}
	} else if (turn % 4 == 1) {
		len = venom_shell_read_next(s, buf, SIZE, &v);
	} else {
		len = venom_shell_read(s, buf, SIZE, &v);
	}
	if (len >= 0)
		check_version(buf, len, v, last);
	else
		VT_CHECK(len == -EAGAIN || len == -EOVERFLOW || (len == -EOWNERDEAD && s->ring.versions == 1) ||
			 (len == -ENODATA && rc == -EPIPE) || (len == -EPIPE && turn % 4 == 1));
	if (len == -EOVERFLOW)
		*last = v;
	if (len == -EOWNERDEAD || len == -EPIPE)
		return (int)len;
	return rc < 0 ? rc : 0;
}

static int play_shell(struct arena *a, struct venom_shell *s, int who, uint64_t turn, uint64_t *last)
{
	int rc;

	vt_step(&a->step[who], names[who], turn);
	switch (who) {
	case ASKER:
		return turn % 2 ? ask(a, s, who, turn % 8 == 1 ? VT_MS / 10 : -1) : ask_two(a, s, who);
	case SENDER:
		return send_and_wait(a, s, who, turn);
	case READER:
		return look(s, turn, last);
	default:
		rc = look(s, turn, last);
		rc = rc ? rc : send_and_wait(a, s, who, turn);
		rc = rc ? rc : turn % 2 ? ask(a, s, who, turn % 4 == 1 ? VT_MS / 10 : -1) : ask_two(a, s, who);
		return rc || turn % 8 ? rc : ask_in_haste(a, s, who);
	}
}

static int connect_to(struct arena *a, struct venom_shell **s, int who)
{
	int rc;

	vt_step(&a->step[who], "connect", 0);
	rc = venom_shell_connect(s, a->name);
	if (rc)
		VT_CHECK(rc == -ENOENT || rc == -EUSERS);
	else
		VT_CHECK(!venom_shell_set_spin(*s, a->cfg.spin_ns));
	if (!rc && a->guard)
		vt_guard((*s)->cmd_map.p, (*s)->cmd_map.size);
	return rc;
}

/* Now and then a witness does not just go on.  True if its session is over. */
static bool leaves(struct arena *a, struct venom_shell *s, int who, uint64_t turn)
{
	struct venom_shell *one_more;
	uint64_t tag;
	uint32_t n;

	if (turn % 8 || a->guard)
		return false;
	if (who == READER && !connect_to(a, &one_more, who))
		venom_shell_close(one_more); /* there was a place */
	if (who == ASKER)
		submit(a, s, who, &n, &tag); /* and goes without the answer */
	if (who == SENDER && turn % 16 == 0)
		misbehave(s);
	return who != READER;
}

static int witness(struct vt_peer *self, void *arg)
{
	struct vt_role *role = arg;
	struct arena *a = role->arena;
	struct venom_shell *s = NULL;
	uint64_t turn, last = 0;
	uint32_t daemons, mine = 0; /* the daemon that served this session */
	int rc, who = role->who;

	(void)self;
	for (turn = 1; !vt_load(&a->stop); turn++) {
		daemons = vt_load(&a->daemons);
		rc = s ? play_shell(a, s, who, turn, &last) : connect_to(a, &s, who);
		if (rc) {
			VT_CHECK(!s || !a->steady);
			if (vt_load(&a->told[who]) <= vt_load(&vt_fate->died))
				vt_store(&a->told[who], vt_now());
			/* With the module it may go on; if it does not once another daemon is there, it will not. */
			if (s && (!vt_on_dev() || (rc == -EPIPE && vt_load(&a->up) > mine))) {
				venom_shell_close(s);
				s = NULL;
				last = 0;
			}
			usleep(200);
		} else if (s) {
			vt_store(&a->served[who], daemons);
			mine = daemons;
			if (turn % 2 == 0)
				usleep(100);
			if (leaves(a, s, who, turn)) {
				venom_shell_close(s);
				s = NULL;
				last = 0;
			}
		}
	}
	venom_shell_close(s);
	return 0;
}

static int shell_victim(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	struct venom_shell *s;
	uint64_t turn, last;
	int i;

	(void)self;
	vt_victim();
	for (i = 0; i < 2; i++) {
		while (connect_to(a, &s, VICTIM))
			usleep(100);
		for (turn = 0, last = 0; turn < (a->guard ? 4 : TURNS / 4); turn++) /* each store costs then */
			VT_CHECK(!play_shell(a, s, VICTIM, turn, &last));
		venom_shell_close(s);
	}
	return 0;
}

/* ---- a run ----------------------------------------------------------------- */

enum part { DAEMON, TAKEOVER, SHELL };

struct run {
	struct arena *a;
	enum part part;
	struct vt_peer witness[WITNESSES], daemon, victim;
	struct vt_role role[SHELLS];
	bool met; /* the victim died where it was to */
	uint64_t late; /* ns from the death to the last who was told, or to the free place */
};

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

/* Somebody else may take the dead shell's place; how long that took. */
static bool place_is_free(struct run *r)
{
	struct venom_shell *s;
	int rc;

	do
		rc = venom_shell_connect(&s, r->a->name);
	while (rc == -EUSERS && vt_now() - vt_fate->died < (uint64_t)VT_PATIENCE_S * VT_S);
	r->late = vt_now() - vt_fate->died;
	if (rc)
		return false;
	venom_shell_close(s);
	return true;
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
			if (!l->taken[n] && dead && vt_on_dev() && !a->ended && ++lost > BATCH * (a->daemons - 1))
				wrong = "accepted, but not taken by the daemon that went on";
			break;
		case RESET:
			break; /* it had been taken, or was about to be */
		}
		if (l->taken[n] > 1)
			wrong = "taken more than once";
		if (wrong) {
			ksft_print_msg("the %s's command %u was %s\n", names[who], n, wrong);
			ok = false;
		}
	}
	return ok;
}

static void set_fate(unsigned int point, unsigned int when, uint32_t nth)
{
	memset(vt_fate->passed, 0, sizeof(vt_fate->passed));
	vt_fate->point = point;
	vt_fate->when = when;
	vt_fate->nth = nth;
	vt_store(&vt_fate->died, 0);
}

/* Wait for the victim: dead where it was to die, or at its end. */
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
		vt_spawn(&r->witness[i], witness, &r->role[i]);
	if (r->part == SHELL) {
		start_daemon(r, &r->daemon, daemon_plain);
		if (!VT_WATCH_UNTIL(all_served(a, 1) || any_ended(r), a->step, SHELLS + 1) || any_ended(r))
			return false;
	}
	if (r->part == TAKEOVER) {
		/* The one before it died between a commit's two stores, in the midst of its work. */
		set_fate(vt_point_of("&r->state->latest"), VT_BEFORE, TURNS / 2);
		start_daemon(r, &r->daemon, daemon_victim);
		if (vt_wait(&r->daemon) != -SIGKILL)
			return false;
	}
	set_fate(point, when, nth);
	if (r->part == SHELL)
		vt_spawn(&r->victim, shell_victim, &r->role[VICTIM]);
	else
		start_daemon(r, &r->victim, daemon_victim);
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
		start_daemon(r, &r->daemon, daemon_plain);
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

/* One run, in which the victim dies there when it passes for the nth time (0: it does not). */
static bool run(struct run *r, unsigned int point, unsigned int when, uint32_t nth)
{
	struct arena *a = r->a, fresh = {.cfg = a->cfg, .guard = a->guard, .steady = r->part == SHELL};
	struct vt_peer *all[] = {&r->witness[0], &r->witness[1], &r->witness[2], &r->daemon, &r->victim};
	bool ok;

	strcpy(fresh.name, a->name);
	memcpy(a, &fresh, sizeof(fresh));
	set_fate(0, 0, 0);
	*r = (struct run){.a = a, .part = r->part};
	for (int i = 0; i < SHELLS; i++)
		r->role[i] = (struct vt_role){a, i};
	ok = play(r, point, when, nth);
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i]->pid > 0)
			vt_kill(all[i], SIGKILL);
	return ok;
}

/* ---- the walk -------------------------------------------------------------- */

/* Died there, in whatever test: what no test reaches is a hole. */
static bool (*died_at)[VT_MOMENTS];
static uint64_t *walks;

static void __attribute__((constructor)) before_all(void)
{
	vt_killpoints_init();
	died_at = vt_shared(VT_POINTS_MAX * sizeof(*died_at));
	walks = vt_shared(sizeof(*walks));
}

FIXTURE(killed)
{
	struct run r;
};

FIXTURE_VARIANT(killed)
{
	enum part part;
	int64_t spin;
	uint32_t versions, flags;
};

FIXTURE_VARIANT_ADD(killed, daemon){
	.part = DAEMON,
	.spin = VENOM_SPIN_ADAPTIVE,
	.versions = 4,
};

FIXTURE_VARIANT_ADD(killed, daemon_sleeper){
	.part = DAEMON,
	.spin = VENOM_SPIN_NONE,
	.versions = 1,
	.flags = VENOM_STAMP | VENOM_ORDER_ARRIVAL,
};

FIXTURE_VARIANT_ADD(killed, heir){
	.part = TAKEOVER,
	.spin = VENOM_SPIN_NONE,
	.versions = 4,
};

FIXTURE_VARIANT_ADD(killed, shell){
	.part = SHELL,
	.spin = VENOM_SPIN_ADAPTIVE,
	.versions = 4,
};

FIXTURE_VARIANT_ADD(killed, shell_sleeper){
	.part = SHELL,
	.spin = VENOM_SPIN_NONE,
	.versions = 1,
	.flags = VENOM_STAMP | VENOM_ORDER_ARRIVAL,
};

static void set_up(struct run *r, enum part part, int64_t spin, uint32_t versions, uint32_t flags)
{
	struct arena *a = vt_shared(sizeof(*a));

	strcpy(a->name, vt_name());
	a->cfg = (struct venom_config)VENOM_CONFIG_INIT;
	a->cfg.data_size = SIZE;
	a->cfg.versions = versions;
	a->cfg.flags = flags | VENOM_RESUME;
	a->cfg.cmd_slots = 4;
	a->cfg.cmd_size = a->cfg.resp_size = sizeof(struct message);
	a->cfg.max_clients = part == SHELL ? SHELLS : WITNESSES;
	a->cfg.spin_ns = spin;
	*r = (struct run){.a = a, .part = part};
}

FIXTURE_SETUP(killed)
{
	set_up(&self->r, variant->part, variant->spin, variant->versions, variant->flags);
}

FIXTURE_TEARDOWN(killed)
{
}

TEST_F_TIMEOUT(killed, at_each_point, 280)
{
	/* Not at full length: some of the points, and as patient as the machine is slow. */
	double share = vt_scale() < 1 ? 4 * vt_scale() : 1;
	uint64_t limit = vt_scale() < 1 ? 50 * TOLD_NS : TOLD_NS;
	uint32_t(*seen)[VT_MOMENTS] = calloc(VT_POINTS_MAX, sizeof(*seen));
	double *late = calloc(VT_POINTS_MAX * VT_MOMENTS, sizeof(*late)); /* ms */
	uint64_t rng = vt_seed();
	struct run *r = &self->r;
	unsigned int i, when, n = 0, points = 0, unmet = 0;
	char name[200];

	if (share > 1)
		share = 1;
	if (variant->part == TAKEOVER && !vt_on_dev())
		SKIP(return, "of the module: here a channel ends with its daemon");
	ASSERT_TRUE(seen && late && vt_points_of_stores());
	ASSERT_TRUE(run(r, 0, 0, 0));
	memcpy(seen, vt_fate->passed, sizeof(vt_fate->passed));
	for (i = 0; i < vt_points(); i++) {
		for (when = 0; when < VT_MOMENTS; when++) {
			uint32_t most = seen[i][when] < NTH_MAX ? seen[i][when] : NTH_MAX;
			uint32_t nth = most ? 1 + (uint32_t)vt_rand(&rng) % most : 0;
			int tries;

			if (!most || vt_rand(&rng) % 1000 >= share * 1000)
				continue;
			points++;
			for (tries = 0; tries < TRIES; tries++) {
				bool ok = run(r, i, when, tries ? 1 : nth);

				if (!ok)
					ksft_print_msg("it was to die %s, time %u\n",
						       vt_point_name(i, when, name, sizeof(name)), tries ? 1 : nth);
				ASSERT_TRUE(ok);
				if (r->met && r->late <= limit)
					break;
			}
			if (!r->met) {
				unmet++;
				continue;
			}
			died_at[i][when] = true;
			late[n++] = (double)r->late / 1e6;
			if (tries == TRIES)
				ksft_print_msg("the others knew %ju ms late: it died %s\n",
					       (uintmax_t)(r->late / VT_MS),
					       vt_point_name(i, when, name, sizeof(name)));
			EXPECT_LT(tries, TRIES);
		}
	}
	vt_sort(late, n);
	ksft_print_msg("%u points passed, died at %u of them, %u not met again\n", points, n, unmet);
	if (n)
		ksft_print_msg("the others knew after %.2f ms (p50), %.2f (p99), %.2f (max)\n", late[n / 2],
			       late[n - 1 - n / 100], late[n - 1]);
	EXPECT_LT(unmet * 10, points + 10);
	*walks += share == 1;
	free(seen);
	free(late);
}

/* Stores that no part above passes, or not always. */
static const struct {
	const char *file, *what, *why;
} exempt[] = {
	{"daemon.c", "&d->stop", "the process' own"},
	{"log.c", "&log_fn", "the process' own"},
	{"read.c", "&c->retries", "takes a race with the writer"},
	{"daemon.c", "&d->state->stale", "takes a request that a dead daemon left unread, or one that was given up"},
	{"internal.h", "&s->cmd->counts.checks", "where the kernel marks no owner's death"},
	{"shell.c", "&s->cmd->counts.checks", "where the kernel marks no owner's death"},
};

static bool is_exempt(unsigned int i)
{
	static const char *const other[] = {"memfd_", "dev_"};
	const char *file = vt_point_file(i);

	if (!strncmp(file, other[!vt_on_dev()], strlen(other[!vt_on_dev()])))
		return true;
	if (vt_on_dev() && !strcmp(vt_point_what(i), "&d->status->changes"))
		return true; /* the kernel's page */
	for (unsigned int n = 0; n < ARRAY_SIZE(exempt); n++)
		if (!strcmp(file, exempt[n].file) && !strcmp(vt_point_what(i), exempt[n].what))
			return true;
	return false;
}

FIXTURE(points){};

FIXTURE_SETUP(points)
{
}

FIXTURE_TEARDOWN(points)
{
}

TEST_F(points, every_store_is_one)
{
	struct run r;

	set_up(&r, SHELL, VENOM_SPIN_NONE, 2, 0);
	r.a->guard = true;
	EXPECT_TRUE(run(&r, 0, 0, 0));
}

TEST_F(points, none_is_passed_by)
{
	unsigned int i, died = 0, calls = 0, bad = 0;
	char name[200];

	if (*walks < 4)
		SKIP(return, "not all parts were walked at full length ($VENOM_TEST_SCALE)");
	for (i = 0; i < vt_points(); i++) {
		if (died_at[i][VT_BEFORE] || died_at[i][VT_AFTER]) {
			died++;
			calls += i >= vt_points_of_stores();
		} else if (i < vt_points_of_stores() && !is_exempt(i)) {
			ksft_print_msg("nobody died %s\n", vt_point_name(i, VT_BEFORE, name, sizeof(name)));
			bad++;
		}
	}
	ksft_print_msg("%u places, %u of them stores of %u, %u calls into the kernel\n", died, died - calls,
		       vt_points_of_stores(), calls);
	EXPECT_EQ(0, bad);
}

TEST_HARNESS_MAIN

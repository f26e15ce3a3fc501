/* SPDX-License-Identifier: MIT */
/*
 * The shells of killpoints.c: three witnesses, one that asks, one that sends and one that reads, and a victim that does
 * all of it.
 */
#include "internal.h"
#include "lib/killcast.h"

#include <poll.h>

#include "lib/killpoint.h"

const char *const cast_name[SHELLS] = {"asker", "sender", "reader", "victim"};

static uint32_t next(struct arena *a, int who, enum outcome as)
{
	struct ledger *l = &a->ledger[who];
	uint32_t n = l->sent + 1;

	VT_CHECK(n < CAST_N);
	l->outcome[n] = as;
	l->daemon[n] = (uint8_t)vt_load(&a->daemons);
	vt_store(&l->sent, n);
	return n;
}

/* Note the result of request n. */
static int asked(struct arena *a, int who, uint32_t n, ssize_t rc, const struct message *m)
{
	uint8_t *outcome = &a->ledger[who].outcome[n];

	if (rc == -ETIMEDOUT)
		return 0; /* it may still be taken */
	if (rc >= 0) {
		VT_CHECK(m->who == (uint32_t)who && m->n == ~n && cast_is_whole(m, (size_t)rc));
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
	size_t len = cast_put(&m, who, n);

	return asked(a, who, n, venom_shell_request(s, &m, len, &m, sizeof(m), timeout_ns), &m);
}

static int submit(struct arena *a, struct venom_shell *s, int who, uint32_t *n, uint64_t *tag)
{
	struct message m;
	size_t len;
	int rc;

	*n = next(a, who, UNKNOWN);
	len = cast_put(&m, who, *n);
	rc = venom_shell_submit(s, &m, len, tag);
	if (rc == -EAGAIN) /* the lane is full */
		a->ledger[who].outcome[*n] = NEVER_TAKEN;
	else if (rc)
		asked(a, who, *n, rc, NULL);
	return rc;
}

/* Submit three requests at once and cancel the second. */
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
	struct message m[CAST_BATCH];
	struct iovec iov[CAST_BATCH];
	uint32_t n[CAST_BATCH];
	int i, rc;

	for (i = 0; i < count; i++) {
		n[i] = next(a, who, UNKNOWN);
		iov[i] = (struct iovec){&m[i], cast_put(&m[i], who, n[i])};
	}
	rc = count == 1 ? venom_shell_send(s, &m[0], iov[0].iov_len) : venom_shell_send_many(s, iov, CAST_BATCH);
	if (count == 1 && !rc)
		rc = 1;
	for (i = 0; i < count; i++)
		a->ledger[who].outcome[n[i]] = i < rc ? ACCEPTED : UNSENT;
	VT_CHECK(rc > 0 || rc == -EAGAIN || rc == -EPIPE);
	return rc < 0 ? rc : 0;
}

static int send_and_wait(struct arena *a, struct venom_shell *s, int who, uint64_t turn)
{
	int rc = send_some(a, s, who, turn % 2 ? 1 : CAST_BATCH);

	if (rc == -EAGAIN)
		rc = venom_shell_room(s, -1);
	VT_CHECK(rc >= 0 || rc == -EPIPE);
	return rc < 0 ? rc : 0;
}

/* Fill the lane, then make a request without waiting for room or for the answer. */
static int ask_in_haste(struct arena *a, struct venom_shell *s, int who)
{
	int rc;

	while (!(rc = send_some(a, s, who, 1)))
		;
	return rc == -EAGAIN ? ask(a, s, who, 0) : rc;
}

/* Write an invalid length: the daemon evicts this shell, if it lives to see it. */
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

/* ---- versions ---- */

/* What a shell has read. */
struct seen {
	uint64_t version;
	uint32_t n; /* number of its content; 0: not known */
};

/* A lossless reader gets all versions, as long as no daemon dies. */
static void check_version(const struct arena *a, const char *buf, size_t len, uint64_t v, struct seen *seen,
			  bool all)
{
	uint32_t n;

	VT_CHECK(len >= 64 && vt_whole(buf, len, &n) && v >= seen->version);
	if (a->steady && seen->n)
		VT_CHECK(all ? n == seen->n + 1 : n >= seen->n);
	*seen = (struct seen){v, n};
}

/* Wait for the next version, and read it. */
static int follow(struct arena *a, struct venom_shell *s, uint64_t turn, struct seen *seen)
{
	struct pollfd p = {.fd = venom_shell_fd(s), .events = POLLIN};
	uint64_t v = seen->version;
	char buf[CAST_SIZE];
	ssize_t len;
	int rc;

	/* Read before the first wait: the read sets the version to go on from. */
	while ((len = venom_shell_read_next(s, buf, CAST_SIZE, &v)) == -EAGAIN) {
		if (turn % 4 == 3 && !venom_shell_arm(s, VENOM_WAIT_STATE, v))
			VT_CHECK(poll(&p, 1, -1) == 1);
		rc = venom_shell_wait(s, v, -1);
		VT_CHECK(rc == 1 || rc == -EPIPE);
		if (rc < 0)
			return rc;
	}
	VT_CHECK(len >= 0 || len == -EPIPE || (len == -EOVERFLOW && !a->steady));
	if (len >= 0)
		check_version(a, buf, (size_t)len, v, seen, true);
	else if (len == -EOVERFLOW)
		*seen = (struct seen){.version = v};
	return len == -EPIPE ? -EPIPE : 0;
}

static int look(struct arena *a, struct venom_shell *s, uint64_t turn, struct seen *seen)
{
	struct pollfd p = {.fd = venom_shell_fd(s), .events = POLLIN};
	struct venom_view view;
	char buf[CAST_SIZE];
	uint64_t v = seen->version;
	ssize_t len;
	int rc;

	if (a->cfg.flags & VENOM_LOSSLESS)
		return follow(a, s, turn, seen);
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
			size_t size = view.len < CAST_SIZE ? view.len : CAST_SIZE;

			memcpy(buf, view.data, size);
			v = view.version;
			len = venom_shell_read_retry(s, &view) ? -EAGAIN : (ssize_t)size;
		}
	} else if (turn % 4 == 1) {
		len = venom_shell_read_next(s, buf, CAST_SIZE, &v);
	} else {
		/* The third read finds the version of the second, and returns it without a load from shared memory. */
		for (int again = 0; again < 3; again++)
			len = venom_shell_read(s, buf, CAST_SIZE, &v);
	}
	if (len >= 0)
		check_version(a, buf, (size_t)len, v, seen, false);
	else
		VT_CHECK(len == -EAGAIN || len == -EOVERFLOW || (len == -EOWNERDEAD && s->ring.versions == 1) ||
			 (len == -ENODATA && rc == -EPIPE) || (len == -EPIPE && turn % 4 == 1));
	if (len == -EOVERFLOW)
		*seen = (struct seen){.version = v};
	if (len == -EOWNERDEAD || len == -EPIPE)
		return (int)len;
	return rc < 0 ? rc : 0;
}

/* Hold the latest version for a while: its bytes must stay the same, whichever process dies. */
static int hold(struct arena *a, struct venom_shell *s, uint64_t turn)
{
	struct venom_view view;
	uint32_t n, again;
	int rc;

	if (a->cfg.max_holders == VENOM_HOLDERS_NONE && turn % 8)
		return 0;
	rc = venom_shell_hold(s, 0, &view);
	if (a->cfg.max_holders == VENOM_HOLDERS_NONE) {
		VT_CHECK(rc == -EUSERS || rc == -EPIPE);
		return rc == -EPIPE ? rc : 0;
	}
	VT_CHECK(rc == 0 || rc == -EAGAIN || rc == -ENODATA || rc == -EPIPE);
	if (rc)
		return rc == -EPIPE ? rc : 0;
	VT_CHECK(vt_whole(view.data, view.len, &n));
	usleep(turn % 8 ? 100 : 3000);
	VT_CHECK(vt_whole(view.data, view.len, &again) && again == n);
	VT_CHECK(!venom_shell_release(s));
	return 0;
}

static int play_shell(struct arena *a, struct venom_shell *s, int who, uint64_t turn, struct seen *seen)
{
	static const int64_t patience[] = {VT_MS / 10, -1, 1, -1}; /* 0.1 ms may be enough for an answer, 1 ns is not */
	int rc;

	vt_step(&a->step[who], cast_name[who], turn);
	switch (who) {
	case ASKER:
		return turn % 2 ? ask(a, s, who, turn % 8 == 1 ? VT_MS / 10 : -1) : ask_two(a, s, who);
	case SENDER:
		return send_and_wait(a, s, who, turn);
	case READER:
		rc = look(a, s, turn, seen);
		return rc || turn % 4 ? rc : hold(a, s, turn);
	default:
		rc = look(a, s, turn, seen);
		rc = rc ? rc : hold(a, s, turn);
		rc = rc ? rc : send_and_wait(a, s, who, turn);
		if (!rc)
			rc = turn % 2 ? ask(a, s, who, patience[turn / 2 % 4]) : ask_two(a, s, who);
		return rc || turn % 8 ? rc : ask_in_haste(a, s, who);
	}
}

/* Readers are lossless where the channel allows it; they ask for it at connect or afterwards. */
static int attach(struct arena *a, struct venom_shell **s, bool lossless)
{
	struct venom_connect how = VENOM_CONNECT_INIT;
	bool at_once = lossless && vt_load(&a->published) % 2;
	int rc;

	how.flags = at_once ? VENOM_CONNECT_LOSSLESS : 0;
	rc = venom_shell_connect_with(s, a->name, &how);
	if (rc || at_once || !lossless)
		return rc;
	rc = venom_shell_lossless(*s, 1);
	if (rc)
		venom_shell_close(*s);
	return rc;
}

static int connect_to(struct arena *a, struct venom_shell **s, int who, struct seen *seen)
{
	bool lossless = (a->cfg.flags & VENOM_LOSSLESS) && (who == READER || who == VICTIM);
	struct venom_shell *fresh;
	int rc;

	vt_step(&a->step[who], "connect", 0);
	rc = attach(a, &fresh, lossless);
	if (rc) {
		VT_CHECK(rc == -ENOENT || rc == -EUSERS || (rc == -EPIPE && lossless && !a->steady));
		return rc;
	}
	VT_CHECK(!venom_shell_set_spin(fresh, a->cfg.spin_ns));
	if (a->guard)
		vt_guard(fresh->cmd_map.p, fresh->cmd_map.size);
	*s = fresh;
	/* From here on a lossless reader must not miss a version. */
	*seen = (struct seen){.version = lossless ? venom_shell_version(fresh) : 0};
	return 0;
}

/*
 * Now and then a witness opens another session, leaves a request open or breaks the rules. True if its session is over.
 */
static bool leaves(struct arena *a, struct venom_shell *s, int who, uint64_t turn)
{
	struct venom_shell *one_more;
	struct seen none;
	uint64_t tag;
	uint32_t n;

	if (turn % 8 || a->guard)
		return false;
	if (who == READER && !connect_to(a, &one_more, who, &none)) {
		venom_shell_close(one_more); /* a place was free */
		if (!a->steady && (a->cfg.flags & VENOM_LOSSLESS))
			usleep(4 * (useconds_t)(a->cfg.limit_ns / 1000)); /* until it no longer counts */
	}
	if (who == ASKER)
		submit(a, s, who, &n, &tag); /* and leave without the answer */
	if (who == SENDER && turn % 16 == 0)
		misbehave(s);
	return who != READER;
}

int cast_witness(struct vt_peer *self, void *arg)
{
	struct vt_role *role = arg;
	struct arena *a = role->arena;
	struct venom_shell *s = NULL;
	struct seen seen = {0};
	uint64_t turn;
	uint32_t daemons, mine = 0; /* the daemon that served this session */
	int rc, who = role->who;

	(void)self;
	for (turn = 1; !vt_load(&a->stop); turn++) {
		daemons = vt_load(&a->daemons);
		rc = s ? play_shell(a, s, who, turn, &seen) : connect_to(a, &s, who, &seen);
		if (rc) {
			VT_CHECK(!s || !a->steady);
			if (vt_load(&a->told[who]) <= vt_load(&vt_fate->died))
				vt_store(&a->told[who], vt_now());
			/*
			 * With the module the session may be resumed; if it is still dead after another daemon's
			 * create, it never will be.
			 */
			if (s && (!vt_on_dev() || (rc == -EPIPE && vt_load(&a->up) > mine))) {
				venom_shell_close(s);
				s = NULL;
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
			}
		}
	}
	venom_shell_close(s);
	return 0;
}

int cast_shell_victim(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	struct venom_shell *s;
	struct seen seen;
	uint64_t turn;
	int i;

	(void)self;
	vt_victim();
	for (i = 0; i < 2; i++) {
		while (connect_to(a, &s, VICTIM, &seen))
			usleep(100);
		for (turn = 0; turn < (a->guard ? 4 : CAST_TURNS / 4); turn++) /* each store is slow then */
			VT_CHECK(!play_shell(a, s, VICTIM, turn, &seen));
		venom_shell_close(s);
	}
	return 0;
}

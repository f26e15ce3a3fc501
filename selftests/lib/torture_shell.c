/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/torture.h"

#define HANDLES 3
#define OPEN	16

/* One handle, and what the shell knows of it. */
struct conn {
	struct venom_shell *s;
	struct t_session *l;
	uint32_t no; /* number of the session */
	bool told; /* the daemon's death was reported */
	uint64_t seen; /* the newest version read */
	uint64_t at, first, before; /* of read_next */
	uint64_t passed, missed;
	uint64_t n; /* what read_next returned last: the n-th version of all; 0: not known */
	bool lossless;
	uint64_t owed; /* lossless: the reader may still miss versions up to this one */
	bool holding;
	struct venom_view view;
	uint64_t view_n;
	struct {
		uint64_t tag;
		uint32_t seq, kind;
	} open[OPEN];
	unsigned int nopen;
};

struct shell {
	struct t_arena *a;
	struct t_tally *tally;
	struct vt_step *step;
	uint64_t rng;
	char *buf; /* for a state */
	struct conn conn[HANDLES];
};

static uint64_t up_to(struct shell *sh, uint64_t n)
{
	return vt_rand(&sh->rng) % n;
}

static int64_t some_time(struct shell *sh)
{
	static const int64_t times[] = {0, 50000, VT_MS, 5 * VT_MS};

	return times[up_to(sh, 4)];
}

static void doing(struct shell *sh, const char *what, uint64_t n)
{
	vt_step(sh->step, what, n);
	sh->tally->ops++;
}

/* ---- commands ---- */

/* Take the next number, and put its message in buf. */
static uint32_t next(struct shell *sh, struct conn *c, uint32_t kind, char *buf, uint32_t *len)
{
	uint32_t n = c->l->n;

	VT_CHECK(n < T_COMMANDS);
	*len = vt_put(buf, sh->a->cfg.cmd_size, sh->a->seed, (struct vt_message){c->no, kind, n});
	vt_store(&c->l->sent[n], T_TRYING);
	vt_store(&c->l->n, n + 1);
	return n;
}

static void came(struct conn *c, uint32_t n, enum t_sent what)
{
	vt_store(&c->l->sent[n], (uint8_t)what);
}

static void check_answer(struct shell *sh, struct conn *c, const char *buf, ssize_t len, uint32_t n, uint32_t kind)
{
	struct vt_message m;

	VT_CHECK(vt_get(buf, (size_t)len, sh->a->cfg.resp_size, sh->a->seed, &m));
	if (m.who != c->no || m.seq != n)
		fprintf(stderr, "# session %u asked %u and got session %u's answer to %llu\n", c->no, n, m.who,
			(unsigned long long)m.seq);
	VT_CHECK(m.who == c->no && m.seq == n && m.kind == (kind | VT_ANSWER));
	came(c, n, T_ANSWERED);
}

/* Note the result of a request that failed. */
static void failed(struct conn *c, uint32_t n, ssize_t rc)
{
	VT_CHECK(rc == -EPIPE || rc == -ECONNRESET);
	came(c, n, rc == -EPIPE ? T_PIPE : T_RESET);
	c->told = true;
}

static void send_one(struct shell *sh, struct conn *c)
{
	char buf[VT_MESSAGE_MAX];
	uint32_t len, n = next(sh, c, 0, buf, &len);
	int rc;

	doing(sh, "send", n);
	rc = venom_shell_send(c->s, buf, len);
	came(c, n, rc ? T_REFUSED : T_SENT);
	VT_CHECK(rc == 0 || rc == -EAGAIN || rc == -EPIPE);
	c->told |= rc == -EPIPE;
}

static void send_many(struct shell *sh, struct conn *c)
{
	static char buf[20][VT_MESSAGE_MAX];
	unsigned int k = 1 + (unsigned int)up_to(sh, 20), i;
	uint32_t len, n[20];
	struct iovec iov[20];
	int rc;

	for (i = 0; i < k; i++) {
		n[i] = next(sh, c, 0, buf[i], &len);
		iov[i] = (struct iovec){buf[i], len};
	}
	doing(sh, "send_many", n[0]);
	rc = venom_shell_send_many(c->s, iov, k);
	for (i = 0; i < k; i++)
		came(c, n[i], (int)i < rc ? T_SENT : T_REFUSED);
	VT_CHECK((rc > 0 && rc <= (int)k) || rc == -EAGAIN || rc == -EPIPE);
	c->told |= rc == -EPIPE;
}

static void request(struct shell *sh, struct conn *c)
{
	bool patient = up_to(sh, 4), small = up_to(sh, 8) == 0;
	uint32_t len, kind = patient ? 1 : 3, n;
	char buf[VT_MESSAGE_MAX], resp[VT_MESSAGE_MAX];
	uint64_t tag;
	ssize_t rc;

	n = next(sh, c, kind, buf, &len);
	doing(sh, "request", n);
	rc = venom_shell_request(c->s, buf, len, resp, small ? 8 : sizeof(resp), patient ? -1 : some_time(sh));
	if (rc == -EMSGSIZE) {
		VT_CHECK(small);
		tag = venom_shell_tag(c->s);
		rc = venom_shell_complete(c->s, &tag, resp, venom_shell_needed(c->s), 0);
		VT_CHECK(rc > 8);
	}
	if (rc >= 0) {
		check_answer(sh, c, resp, rc, n, kind);
	} else if (rc == -EAGAIN) {
		VT_CHECK(c->nopen >= sh->a->cfg.cmd_slots);
		came(c, n, T_REFUSED);
	} else if (rc == -ETIMEDOUT) {
		VT_CHECK(!patient);
		came(c, n, T_TIMEDOUT);
	} else {
		failed(c, n, rc);
	}
}

static void submit(struct shell *sh, struct conn *c)
{
	uint32_t len, n, kind = up_to(sh, 4) ? 1 : 3;
	char buf[VT_MESSAGE_MAX];
	uint64_t tag;
	int rc;

	if (c->nopen == OPEN)
		return;
	n = next(sh, c, kind, buf, &len);
	doing(sh, "submit", n);
	rc = venom_shell_submit(c->s, buf, len, &tag);
	came(c, n, rc ? T_REFUSED : T_OPEN);
	VT_CHECK(rc == 0 || rc == -EAGAIN || rc == -EPIPE);
	c->told |= rc == -EPIPE;
	if (rc)
		return;
	c->open[c->nopen].tag = tag;
	c->open[c->nopen].kind = kind;
	c->open[c->nopen++].seq = n;
}

/* Complete any open request, or this one; return whether one was completed. */
static bool complete(struct shell *sh, struct conn *c, unsigned int i, bool any, int64_t timeout)
{
	uint64_t tag = any ? VENOM_ANY : c->open[i].tag;
	char resp[VT_MESSAGE_MAX];
	ssize_t rc;

	doing(sh, any ? "complete any" : "complete", c->open[i].seq);
	rc = venom_shell_complete(c->s, &tag, resp, sizeof(resp), timeout);
	if (rc == -ETIMEDOUT)
		return false;
	for (i = 0; i < c->nopen && c->open[i].tag != tag; i++)
		;
	VT_CHECK(i < c->nopen);
	if (rc >= 0)
		check_answer(sh, c, resp, rc, c->open[i].seq, c->open[i].kind);
	else
		failed(c, c->open[i].seq, rc);
	c->open[i] = c->open[--c->nopen];
	return true;
}

static void cancel(struct shell *sh, struct conn *c, unsigned int i)
{
	doing(sh, "cancel", c->open[i].seq);
	VT_CHECK(!venom_shell_cancel(c->s, c->open[i].tag));
	came(c, c->open[i].seq, T_CANCELLED);
	c->open[i] = c->open[--c->nopen];
}

static void flood(struct shell *sh, struct conn *c)
{
	unsigned int i;
	int rc;

	for (i = 0; i < 100 && c->l->n < T_COMMANDS - 100 && !c->told; i++)
		send_one(sh, c);
	doing(sh, "room", 0);
	rc = venom_shell_room(c->s, up_to(sh, 2) ? -1 : some_time(sh));
	VT_CHECK(rc == 0 || rc == 1 || rc == -EPIPE);
	c->told |= rc == -EPIPE;
}

/* ---- versions ---- */

/* Check a version; return which one it is of all that were published. */
static uint64_t check_version(struct shell *sh, struct conn *c, const void *data, ssize_t len, uint64_t v)
{
	struct t_arena *a = sh->a;
	uint32_t chan = c->l->chan;
	uint64_t n = 0;
	bool whole = len > 0 && t_is(a, chan, data, (size_t)len, v, &n);

	if (v < c->seen || !whole)
		fprintf(stderr, "# version %llu of channel %u after %llu, %zd bytes: torn, or not that\n",
			(unsigned long long)v, chan, (unsigned long long)c->seen, len);
	VT_CHECK(v && v >= c->seen && whole && n <= v && n <= vt_load(&a->daemon[chan].publishing));
	c->seen = v;
	return n;
}

/* Check that a failed read had no version to return. */
static void check_none(struct shell *sh, struct conn *c, ssize_t rc)
{
	VT_CHECK(rc == -EAGAIN || (rc == -ENODATA && !c->seen) || (rc == -EOWNERDEAD && sh->a->cfg.versions == 1));
}

static void read_once(struct shell *sh, struct conn *c)
{
	uint64_t v, least = venom_shell_version(c->s);
	ssize_t len;

	doing(sh, "read", c->seen);
	VT_CHECK(least >= c->seen);
	len = venom_shell_read(c->s, sh->buf, sh->a->cfg.data_size, &v);
	if (len < 0) {
		check_none(sh, c, len);
		return;
	}
	VT_CHECK(v >= least);
	check_version(sh, c, sh->buf, len, v);
	sh->tally->reads++;
}

/* Often the same version again, which is read by another path (settle() in read.c). */
static void read_latest(struct shell *sh, struct conn *c)
{
	for (int left = 1 + (int)up_to(sh, 4); left; left--)
		read_once(sh, c);
}

/* Read in place; now and then very slowly. */
static void look(struct shell *sh, struct conn *c)
{
	struct t_arena *a = sh->a;
	struct venom_view view;
	bool whole;
	uint64_t n;
	int rc;

	doing(sh, "read_begin, read_retry", c->seen);
	rc = venom_shell_read_begin(c->s, &view);
	if (rc) {
		check_none(sh, c, rc);
		return;
	}
	if (up_to(sh, 4) == 0)
		usleep((useconds_t)up_to(sh, 5000));
	VT_CHECK(view.len <= a->cfg.data_size);
	VT_CHECK(!(a->cfg.flags & VENOM_STAMP) == !view.time_ns && view.time_ns <= vt_now());
	whole = t_is(a, c->l->chan, view.data, view.len, view.version, &n);
	rc = venom_shell_read_retry(c->s, &view);
	VT_CHECK(rc == -EAGAIN || (rc == 0 && whole && view.version >= c->seen));
	if (rc)
		return;
	c->seen = view.version;
	sh->tally->in_place++;
}

/* A held version must not have changed, however long it was held, and whichever process has died. */
static void let_go(struct shell *sh, struct conn *c)
{
	uint64_t n;

	doing(sh, "release", c->view.version);
	VT_CHECK(t_is(sh->a, c->l->chan, c->view.data, c->view.len, c->view.version, &n) && n == c->view_n);
	VT_CHECK(!venom_shell_release(c->s));
	c->holding = false;
	sh->tally->held++;
}

static void hold(struct shell *sh, struct conn *c)
{
	int rc;

	doing(sh, "hold", c->seen);
	rc = venom_shell_hold(c->s, 0, &c->view);
	VT_CHECK(!rc || rc == -EAGAIN || rc == -ENODATA || rc == -EUSERS || rc == -EPIPE || rc == -EOWNERDEAD);
	c->told |= rc == -EPIPE;
	if (rc)
		return;
	c->holding = true;
	c->view_n = check_version(sh, c, c->view.data, (ssize_t)c->view.len, c->view.version);
}

static void be_lossless(struct shell *sh, struct conn *c, bool on)
{
	int rc;

	doing(sh, "lossless", on);
	rc = venom_shell_lossless(c->s, on);
	VT_CHECK(!rc || rc == -EPIPE);
	c->told |= rc == -EPIPE;
	if (rc)
		return;
	c->lossless = on;
	c->owed = venom_shell_version(c->s);
}

/* With holders, no wait is endless: the publisher may need the buffer that this shell itself holds. */
static void wait_news(struct shell *sh, struct conn *c)
{
	int rc;

	doing(sh, "wait for state", c->seen);
	rc = venom_shell_wait(c->s, c->seen, up_to(sh, 2) && !sh->a->heed ? -1 : some_time(sh));
	VT_CHECK(rc == 0 || rc == 1 || rc == -EPIPE);
	VT_CHECK(rc != 1 || venom_shell_version(c->s) > c->seen);
	c->told |= rc == -EPIPE;
}

/* One step of read_next: return whether there was a version, or a report of overwritten ones. */
static bool follow(struct shell *sh, struct conn *c)
{
	uint64_t was = c->at, seen = c->seen, n;
	struct venom_shell_stats st;
	ssize_t len;

	doing(sh, "read_next", was);
	len = venom_shell_read_next(c->s, sh->buf, sh->a->cfg.data_size, &c->at);
	if (len == -EOVERFLOW) {
		VT_CHECK(c->at > was && c->at + (sh->a->heed ? 1 : sh->a->cfg.versions) <= venom_shell_version(c->s) + 1);
		if (sh->a->strict && c->lossless && was && was >= c->owed)
			fprintf(stderr, "# lossless from %llu on, and missed what is between %llu and %llu\n",
				(unsigned long long)c->owed, (unsigned long long)was, (unsigned long long)c->at);
		VT_CHECK(!(sh->a->strict && c->lossless && was && was >= c->owed));
		c->n = 0;
		c->missed += c->first ? c->at - was : 0;
		sh->tally->missed += c->at - was;
		return true;
	}
	if (len < 0) {
		VT_CHECK(len == -EAGAIN || len == -EPIPE);
		VT_CHECK(c->at == was || !c->first);
		c->told |= len == -EPIPE;
		return false;
	}
	VT_CHECK(c->at == was + 1 || !was || (sh->a->heed && c->at > was));
	c->seen = 0; /* read_next may return versions older than what other reads returned */
	n = check_version(sh, c, sh->buf, len, c->at);
	/* Another daemon that resumes the channel may have published it a second time. */
	VT_CHECK(!c->n || n == c->n + 1 || (sh->a->heed && sh->a->resume && n == c->n));
	c->n = n;
	sh->tally->in_a_row += c->lossless;
	c->seen = seen > c->at ? seen : c->at;
	c->passed++;
	sh->tally->reads++;
	if (!c->first) {
		c->first = c->at;
		VT_CHECK(!venom_shell_stats(c->s, &st));
		c->before = st.overruns;
	}
	return true;
}

static void arm(struct shell *sh, struct conn *c)
{
	struct pollfd pfd = {.fd = venom_shell_fd(c->s), .events = POLLIN};
	int rc;

	doing(sh, "arm", 0);
	rc = venom_shell_arm(c->s, 1 + (uint32_t)up_to(sh, 7), c->seen);
	VT_CHECK(rc == 0 || rc == 1 || rc == -EPIPE || rc == -ENOSYS);
	doing(sh, "poll", (uint64_t)-rc);
	if (rc == -EPIPE && !sh->a->resume) /* returns at the daemon's hang-up */
		VT_CHECK(poll(&pfd, 1, VT_PATIENCE_S * 1000) == 1);
	else if (!rc)
		poll(&pfd, 1, 1 + (int)up_to(sh, 5));
	c->told |= rc == -EPIPE;
}

/* ---- sessions ---- */

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
		let_go(sh, c);
	VT_CHECK(!venom_shell_stats(c->s, &st));
	if (c->first)
		VT_CHECK((sh->a->heed || c->passed + c->missed == c->at - c->first + 1) && st.overruns - c->before == c->missed);
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
		read_latest(sh, c);
	while (sh->a->resume && vt_now() < patience) {
		if (venom_shell_alive(c->s))
			return;
		usleep(200);
	}
	if (venom_shell_alive(c->s)) /* another daemon has resumed it already */
		return;
	while (c->nopen && up_to(sh, 8))
		complete(sh, c, (unsigned int)up_to(sh, c->nopen), up_to(sh, 2), -1);
	part(sh, c);
}

/* Do one random thing, but never wait for an answer that may not come. */
static void act(struct shell *sh, struct conn *c)
{
	unsigned int i;

	if (sh->a->heed && up_to(sh, 4) == 0) {
		if (c->holding)
			let_go(sh, c);
		else
			hold(sh, c);
	}
	if (sh->a->heed && up_to(sh, c->lossless ? 64 : 8) == 0 && !c->told)
		be_lossless(sh, c, !c->lossless);
	for (i = 0; i < 32 && c->lossless && !c->told && follow(sh, c); i++)
		;
	switch (c->told ? 17 : up_to(sh, 18)) {
	case 0 ... 3:
		for (i = (unsigned int)up_to(sh, 50); i && !c->told; i--)
			send_one(sh, c);
		break;
	case 4:
		send_many(sh, c);
		break;
	case 5:
	case 6:
		request(sh, c);
		break;
	case 7:
	case 8:
		submit(sh, c);
		break;
	case 9:
	case 10:
		if (c->nopen)
			complete(sh, c, (unsigned int)up_to(sh, c->nopen), up_to(sh, 2), some_time(sh));
		if (c->nopen && up_to(sh, 4) == 0)
			cancel(sh, c, (unsigned int)up_to(sh, c->nopen));
		break;
	case 11:
		if (up_to(sh, 4) == 0)
			flood(sh, c);
		break;
	case 12:
		read_latest(sh, c);
		break;
	case 13:
		look(sh, c);
		break;
	case 14:
		wait_news(sh, c);
		break;
	case 15:
		for (i = 0; i < 8 && follow(sh, c); i++)
			;
		break;
	case 16:
		arm(sh, c);
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
			check_version(sh, c, sh->buf, len, v);
		while (follow(sh, c))
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
				cancel(sh, c, i - 1);
		while (c->nopen)
			complete(sh, c, 0, true, -1);
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

/* SPDX-License-Identifier: MIT */
/*
 * The commands of a torture shell: each gets a number in the ledger before it is sent, and the ledger is told what
 * became of it.
 */
#include <errno.h>

#include "lib/torture_shell.h"

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

void t_send_one(struct shell *sh, struct conn *c)
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

void t_send_many(struct shell *sh, struct conn *c)
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

void t_request(struct shell *sh, struct conn *c)
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

void t_submit(struct shell *sh, struct conn *c)
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

bool t_complete(struct shell *sh, struct conn *c, unsigned int i, bool any, int64_t timeout)
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

void t_cancel(struct shell *sh, struct conn *c, unsigned int i)
{
	doing(sh, "cancel", c->open[i].seq);
	VT_CHECK(!venom_shell_cancel(c->s, c->open[i].tag));
	came(c, c->open[i].seq, T_CANCELLED);
	c->open[i] = c->open[--c->nopen];
}

void t_flood(struct shell *sh, struct conn *c)
{
	unsigned int i;
	int rc;

	for (i = 0; i < 100 && c->l->n < T_COMMANDS - 100 && !c->told; i++)
		t_send_one(sh, c);
	doing(sh, "room", 0);
	rc = venom_shell_room(c->s, up_to(sh, 2) ? -1 : some_time(sh));
	VT_CHECK(rc == 0 || rc == 1 || rc == -EPIPE);
	c->told |= rc == -EPIPE;
}

/* SPDX-License-Identifier: MIT */
/*
 * The reads of a torture shell: each version that it gets must be whole, the one that it is said to be, and in its
 * turn.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "lib/torture_shell.h"

uint64_t t_check_version(struct shell *sh, struct conn *c, const void *data, ssize_t len, uint64_t v)
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
	t_check_version(sh, c, sh->buf, len, v);
	sh->tally->reads++;
}

/* Often the same version again, which is read by another path (settle() in read.c). */
void t_read_latest(struct shell *sh, struct conn *c)
{
	for (int left = 1 + (int)up_to(sh, 4); left; left--)
		read_once(sh, c);
}

/* Read in place; now and then very slowly. */
void t_look(struct shell *sh, struct conn *c)
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
void t_let_go(struct shell *sh, struct conn *c)
{
	uint64_t n;

	doing(sh, "release", c->view.version);
	VT_CHECK(t_is(sh->a, c->l->chan, c->view.data, c->view.len, c->view.version, &n) && n == c->view_n);
	VT_CHECK(!venom_shell_release(c->s));
	c->holding = false;
	sh->tally->held++;
}

void t_hold(struct shell *sh, struct conn *c)
{
	int rc;

	doing(sh, "hold", c->seen);
	rc = venom_shell_hold(c->s, 0, &c->view);
	VT_CHECK(!rc || rc == -EAGAIN || rc == -ENODATA || rc == -EUSERS || rc == -EPIPE || rc == -EOWNERDEAD);
	c->told |= rc == -EPIPE;
	if (rc)
		return;
	c->holding = true;
	c->view_n = t_check_version(sh, c, c->view.data, (ssize_t)c->view.len, c->view.version);
}

void t_be_lossless(struct shell *sh, struct conn *c, bool on)
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
void t_wait_news(struct shell *sh, struct conn *c)
{
	int rc;

	doing(sh, "wait for state", c->seen);
	rc = venom_shell_wait(c->s, c->seen, up_to(sh, 2) && !sh->a->heed ? -1 : some_time(sh));
	VT_CHECK(rc == 0 || rc == 1 || rc == -EPIPE);
	VT_CHECK(rc != 1 || venom_shell_version(c->s) > c->seen);
	c->told |= rc == -EPIPE;
}

bool t_follow(struct shell *sh, struct conn *c)
{
	uint64_t was = c->at, seen = c->seen, n;
	struct venom_shell_stats st;
	ssize_t len;

	doing(sh, "read_next", was);
	len = venom_shell_read_next(c->s, sh->buf, sh->a->cfg.data_size, &c->at);
	if (len == -EOVERFLOW) {
		VT_CHECK(c->at > was &&
			 c->at + (sh->a->heed ? 1 : sh->a->cfg.versions) <= venom_shell_version(c->s) + 1);
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
	n = t_check_version(sh, c, sh->buf, len, c->at);
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

void t_arm(struct shell *sh, struct conn *c)
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

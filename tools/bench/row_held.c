/* SPDX-License-Identifier: MIT */
/*
 * Row of a publisher whose versions are held: what it costs to skip the buffers that shells look at in place.
 *
 * The publisher has two equal channels, and publishes in them by turns.  All shells are connected to the second one.
 * They are in one other process, on the other CPU: as with 16 processes, each has a page of its own that the publisher
 * reads, but on two CPUs 16 processes would measure the scheduler.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define HOLDERS	 16
#define VERSIONS 20
#define FREE	 (VERSIONS - HOLDERS)
#define TURNS	 4 /* of each measurement in a round */
#define MOVE_NS	 100000

enum { NO_HOLDER, HELD, MOVING, BY_HAND, BY_HAND_FREE, RATES };
enum { STAY = 2, MOVE }; /* st->go, once all hold a version: what the holders do */

struct state {
	void *src;
	struct venom_daemon *d[2]; /* no shell is connected to the first */
	void *at[VERSIONS]; /* the buffers of the first channel */
	uint64_t n; /* the last payload's number */
};

/* Return 0, or the error of the publish. */
static int publish(struct stage *st, struct state *p, unsigned int what)
{
	payload_make(p->src, st->size, ++p->n);
	if (what < BY_HAND)
		return venom_daemon_publish(p->d[what != NO_HOLDER], p->src, st->size);
	memcpy(p->at[p->n % (what == BY_HAND ? VERSIONS : FREE)], p->src, st->size);
	return 0;
}

/*
 * Run one turn.  Its first third does not count, since the turn before has left other buffers in the caches.  The rate
 * is in bytes per ns.
 */
static int take_turn(struct stage *st, struct state *p, unsigned int what, double *rate)
{
	uint64_t turn = st->slice_ns / TURNS, begin = now_ns(), start = 0, now, n = 0;
	int rc = 0;

	atomic_store(&st->go, what == MOVING ? MOVE : STAY);
	do {
		for (int i = 0; i < VERSIONS; i++)
			rc |= publish(st, p, what);
		now = now_ns();
		n += VERSIONS;
		if (!start && now - begin >= turn / 3) {
			start = now;
			n = 0;
		}
	} while (now - begin < turn || !n);
	*rate += (double)n * st->size / (now - start) / TURNS;
	return rc;
}

static int publisher(struct stage *st)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct state p = {.src = aligned_alloc(4096, st->size)};
	char name[sizeof(st->name)];
	int rc = 0;

	if (!p.src)
		return bad("no memory");
	memset(p.src, 1, st->size);
	cfg.data_size = st->size;
	cfg.versions = VERSIONS;
	p.d[1] = daemon_open(st, &cfg);
	memcpy(name, st->name, sizeof(name));
	snprintf(st->name, sizeof(st->name), "%.50s-alone", name);
	p.d[0] = daemon_open(st, &cfg);
	memcpy(st->name, name, sizeof(name));
	if (!p.d[0] || !p.d[1])
		return 1;
	for (int i = 0; i < VERSIONS; i++) {
		p.at[i] = venom_daemon_write_begin(p.d[0], NULL);
		memcpy(p.at[i], p.src, st->size);
		rc |= venom_daemon_write_commit(p.d[0], st->size);
		rc |= publish(st, &p, HELD);
	}
	atomic_store(&st->ready, 1);
	if (!wait_flag(&st->go, 1))
		return 1;
	for (int i = 0; i < TURNS; i++)
		for (unsigned int what = 0; what < RATES; what++)
			rc |= take_turn(st, &p, what, &st->value[what]);
	atomic_store(&st->done, 1);
	if (!wait_flag(&st->done, 2))
		return 1;
	venom_daemon_destroy(p.d[0]);
	venom_daemon_destroy(p.d[1]);
	return rc ? bad_rc("publish", rc) : 0;
}

struct holder {
	struct venom_shell *s;
	struct venom_view view;
	uint64_t n; /* the payload's number */
};

static int hold(struct holder *h, uint64_t version)
{
	int rc = venom_shell_hold(h->s, version, &h->view);

	if (rc)
		return bad_rc("hold", rc);
	memcpy(&h->n, h->view.data, sizeof(h->n));
	return 0;
}

static int let_go(struct holder *h)
{
	if (!payload_is(h->view.data, h->view.len, h->n))
		return bad("version %llu changed while it was held", (unsigned long long)h->view.version);
	return venom_shell_release(h->s);
}

/*
 * Each holder keeps a version of its own from first to last.  With MOVE, every 100 us one of them holds the latest
 * instead.
 */
static int holders(struct stage *st)
{
	struct holder all[HOLDERS] = {0};

	for (unsigned int i = 0; i < HOLDERS; i++) {
		all[i].s = shell_open(st);
		if (!all[i].s || hold(&all[i], i + 1))
			return 1;
	}
	atomic_store(&st->go, 1);
	for (unsigned int i = 0; !atomic_load(&st->done); i++) {
		struct holder *h = &all[i % HOLDERS];

		nap(MOVE_NS);
		if (atomic_load(&st->go) == MOVE && (let_go(h) || hold(h, 0)))
			return 1;
	}
	for (unsigned int i = 0; i < HOLDERS; i++) {
		if (let_go(&all[i]))
			return 1;
		venom_shell_close(all[i].s);
	}
	atomic_store(&st->done, 2);
	return 0;
}

static int publish_held(void)
{
	static const char *const names[RATES] = {
		[NO_HOLDER] = "no holder",
		[HELD] = "16 holders",
		[MOVING] = "16 holders, one moves each 100 us",
		[BY_HAND] = "memcpy to 20 buffers",
		[BY_HAND_FREE] = "memcpy to 4 buffers",
	};
	char name[48];

	for (unsigned int w = 0; w < nways; w++) {
		struct stage *st = stage_new(&ways[w], 0);

		st->size = bench->row->size;
		if (pair(st, NULL, publisher, holders))
			return 1;
		for (unsigned int i = BY_HAND; i < RATES && !w; i++)
			put_value(names[i], LIMIT, GB_S, st->value[i]);
		for (unsigned int i = 0; i < BY_HAND; i++) {
			snprintf(name, sizeof(name), "%s, %s", ways[w].name, names[i]);
			put_value(name, VENOM, GB_S, st->value[i]);
		}
	}
	goal("venom, 16 holders", "venom, no holder", AT_LEAST, 0.95);
	return 0;
}

const struct row row_publish_64k_held = {.name = "publish-64k-held",
					 .what = "64 KiB published while 16 shells hold a version",
					 .round = publish_held,
					 .size = 64 << 10};

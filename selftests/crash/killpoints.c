/* SPDX-License-Identifier: MIT */
/*
 * Attacks with a process that dies at each point at which it can leave something half done: between any two stores to
 * shared pages, and before and after each call into the kernel (lib/killpoint.h).
 *
 *	survey		the victim plays its part and lives: which points does it pass, and how often
 *	walk		the same once for each point, where it dies, at one of the times that it passes there
 *
 * Beside the victim three witnesses work (lib/killcast.h), all with waits that have no time-out: one requests, one
 * sends, one reads.  If the victim is the daemon, or a daemon that took over from a dead one, each witness must be
 * notified within 100 ms, by the errno of a call; then an heir starts, and must be able to serve them all.  If the
 * victim is a shell, its place must be free again within 100 ms, and the witnesses must notice nothing.
 *
 * The ledger says of each command, by number, what became of it.  A command must be taken at most once, in its shell's
 * order, by the daemon that it was sent to.  A request that was answered has been taken; a request that failed with
 * -EPIPE has not.  Each accepted command is taken, except those that the dead daemon had (embedded: all that it had not
 * taken; with the module: what its last receive took and could not record any more).
 */
#include <signal.h>
#include "handles.h"
#include "lib/harness.h"
#include "lib/killrun.h"
#include "lib/peer.h"

#define TOLD_NS (100 * VT_MS)
#define TRIES	5 /* a single late run may be due to the machine */
#define MISSES	20 /* to pass some points takes a race: run again until the victim has met its point */
#define NTH_MAX 40

/* ---- the walk -------------------------------------------------------------- */

/* The points at which a victim died, in any test: a point that no test reaches is a hole. */
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
	uint32_t holders;
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

/* The reading witness holds versions and is lossless, but is too slow now and then. */
FIXTURE_VARIANT_ADD(killed, daemon_that_heeds){
	.part = DAEMON,
	.spin = VENOM_SPIN_NONE,
	.versions = 3,
	.flags = VENOM_LOSSLESS,
	.holders = 1,
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

/* The reading witness holds versions, and so does the victim if it is a shell. */
FIXTURE_VARIANT_ADD(killed, shell_that_is_heeded){
	.part = SHELL,
	.spin = VENOM_SPIN_NONE,
	.versions = 4,
	.flags = VENOM_LOSSLESS,
	.holders = 2,
};

FIXTURE_SETUP(killed)
{
	kill_set_up(&self->r, variant->part, variant->spin, variant->versions, variant->flags,
	       variant->holders);
}

FIXTURE_TEARDOWN(killed)
{
}

TEST_F_TIMEOUT(killed, at_each_point, 280)
{
	/* At a scale below 1 the test walks some of the points only, and is as patient as the machine is slow. */
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
	ASSERT_TRUE(kill_run(r, 0, 0, 0));
	memcpy(seen, vt_fate->passed, sizeof(vt_fate->passed));
	for (i = 0; i < vt_points(); i++) {
		for (when = 0; when < VT_MOMENTS; when++) {
			uint32_t most = seen[i][when] < NTH_MAX ? seen[i][when] : NTH_MAX;
			uint32_t nth = most ? 1 + (uint32_t)vt_rand(&rng) % most : 0;
			int tries, misses;

			if (!most || vt_rand(&rng) % 1000 >= share * 1000)
				continue;
			points++;
			for (tries = misses = 0; tries < TRIES && misses < MISSES;) {
				bool first = !(tries + misses), ok = kill_run(r, i, when, first ? nth : 1);

				if (!ok)
					ksft_print_msg("it was to die %s, time %u\n",
						       vt_point_name(i, when, name, sizeof(name)), first ? nth : 1);
				ASSERT_TRUE(ok);
				if (r->met && r->late <= limit)
					break;
				tries += r->met;
				misses += !r->met;
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

/* ---- the last version ------------------------------------------------------ */

#define LAST 7

static int dies_at_last(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_daemon *d;
	uint64_t v;

	vt_victim();
	VT_CHECK(!venom_daemon_create(&d, a->name, &a->cfg));
	for (v = 1; v <= LAST; v++) {
		VT_CHECK(!venom_daemon_publish(d, &v, sizeof(v)));
		if (v == 1 || v == LAST - 1)
			VT_CHECK(!vt_signal(self) && !vt_await(self));
	}
	return 0;
}

FIXTURE(points){};

FIXTURE_SETUP(points)
{
}

FIXTURE_TEARDOWN(points)
{
}

/*
 * The last version is whole, but the daemon dies before it has said that it is the latest.  All shells must take the
 * same version for the last, whatever they had read before, and none may be notified of a newer one.
 */
TEST_F(points, all_end_with_the_same_version)
{
	struct venom_shell *s[3]; /* has read nothing, the first, the last but one */
	uint64_t data, v;
	struct vt_peer d;
	struct run r;

	kill_set_up(&r, DAEMON, VENOM_SPIN_NONE, 4, 0, 0);
	kill_set_fate(vt_point_of("p->latest"), VT_BEFORE, LAST);
	vt_spawn(&d, dies_at_last, r.a);
	ASSERT_EQ(0, vt_await(&d));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, venom_shell_connect(&s[i], r.a->name));
	for (int i = 1; i < 3; i++)
		ASSERT_EQ(sizeof(data), venom_shell_read(s[i], &data, sizeof(data), NULL));
	vt_signal(&d);
	ASSERT_EQ(0, vt_await(&d));
	ASSERT_EQ(sizeof(data), venom_shell_read(s[2], &data, sizeof(data), &v));
	ASSERT_EQ(LAST - 1, v);
	vt_signal(&d);
	ASSERT_EQ(-SIGKILL, vt_wait(&d));
	for (int i = 0; i < 3; i++) {
		if (i)
			EXPECT_EQ(-EPIPE, venom_shell_wait(s[i], LAST, -1));
		EXPECT_FALSE(venom_shell_alive(s[i]));
		EXPECT_EQ(sizeof(data), venom_shell_read(s[i], &data, sizeof(data), &v));
		EXPECT_EQ(LAST, v);
		EXPECT_EQ(LAST, data);
		EXPECT_EQ(-EPIPE, venom_shell_wait(s[i], v, -1));
		EXPECT_EQ(-EPIPE, venom_shell_wait(s[i], v, 0));
		EXPECT_EQ(LAST, venom_shell_version(s[i]));
		venom_shell_close(s[i]);
	}
	vt_forget(r.a->name);
}

/*
 * The same where the last publish passes over a number, because a shell holds that buffer's version; the daemon dies at
 * each of the stores.  One shell waits for the next version, and must be notified, too.
 */
static int dies_passing_over(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_daemon *d;
	uint64_t v;

	VT_CHECK(!venom_daemon_create(&d, a->name, &a->cfg));
	for (v = 1; v <= LAST; v++) {
		if (v == LAST)
			vt_victim();
		VT_CHECK(!venom_daemon_publish(d, &v, sizeof(v)));
		if (v == LAST - 4 || v == LAST - 1)
			VT_CHECK(!vt_signal(self) && !vt_await(self));
	}
	VT_CHECK(venom_daemon_version(d) == LAST + 1);
	return 0;
}

/* The daemon dies where its last publish first passes this point; returns false if it does not pass there. */
static bool dies_at(struct __test_metadata *_metadata, unsigned int point, unsigned int when)
{
	struct venom_shell *s[3]; /* holds, has read nothing, the last but one */
	struct venom_view view;
	uint64_t data, v, last = 0;
	struct vt_peer d, waits;
	struct run r;
	int status;

	kill_set_up(&r, DAEMON, VENOM_SPIN_NONE, 4, 0, 1);
	r.a->cfg.max_clients = 4;
	kill_set_fate(point, when, 1);
	vt_spawn(&d, dies_passing_over, r.a);
	ASSERT_EQ(0, vt_await(&d));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, venom_shell_connect(&s[i], r.a->name));
	ASSERT_EQ(0, venom_shell_hold(s[0], 0, &view));
	ASSERT_EQ(LAST - 4, view.version);
	vt_signal(&d);
	ASSERT_EQ(0, vt_await(&d));
	ASSERT_EQ(sizeof(data), venom_shell_read(s[2], &data, sizeof(data), &v));
	ASSERT_EQ(LAST - 1, v);
	vt_start(&waits);
	ASSERT_EQ(0, vt_call(&waits, ps_connect, r.a->name));
	vt_post(&waits, ps_wait, LAST + 1, -1);
	vt_signal(&d);
	status = vt_wait(&d);
	ASSERT_EQ(vt_fate->died ? -SIGKILL : 0, status);
	ASSERT_EQ(-EPIPE, vt_result(&waits));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(-EPIPE, venom_shell_wait(s[i], LAST + 1, -1));
		EXPECT_EQ(sizeof(data), venom_shell_read(s[i], &data, sizeof(data), &v));
		last = last ? last : v;
		EXPECT_EQ(last, v);
		EXPECT_EQ(v == LAST - 1 ? LAST - 1 : LAST, data);
		EXPECT_TRUE(v == LAST - 1 || v == LAST + 1);
		EXPECT_EQ(-EPIPE, venom_shell_wait(s[i], v, -1));
		EXPECT_EQ(v, venom_shell_version(s[i]));
		/* Reading one version after the other ends there, too. */
		v = LAST - 1;
		if (last > v)
			EXPECT_EQ(sizeof(data), venom_shell_read_next(s[i], &data, sizeof(data), &v));
		EXPECT_EQ(last, v);
		EXPECT_EQ(-EPIPE, venom_shell_read_next(s[i], &data, sizeof(data), &v));
	}
	EXPECT_EQ(LAST - 4, *(const uint64_t *)view.data);
	for (int i = 0; i < 3; i++)
		venom_shell_close(s[i]);
	vt_stop(&waits);
	vt_forget(r.a->name);
	return vt_fate->died;
}

TEST_F(points, all_end_with_the_same_version_past_a_held_one)
{
	unsigned int i, when, n = 0;

	for (i = 0; i < vt_points_of_stores(); i++) {
		const char *file = vt_point_file(i);

		if (strcmp(file, "plane/readers.h") && strcmp(file, "plane/ring.h") &&
		    strcmp(file, "calls/publish.c") && strcmp(file, "handles.h"))
			continue;
		for (when = 0; when < VT_MOMENTS; when++)
			n += dies_at(_metadata, i, when);
	}
	ksft_print_msg("it died at %u points\n", n);
	EXPECT_LE(2 * 6, n); /* passed over, writing, its length, whole, the latest, and the walk */
}

/* Stores that no part above passes, or not in each run. */
static const struct {
	const char *file, *what, *why;
} exempt[] = {
	{"calls/receive.c", "&d->stop", "the process' own"},
	{"calls/receive.c", "&d->changes_seen", "the process' own, and takes a shell that goes with a command unread"},
	{"system/log.c", "&log_fn", "the process' own"},
	{"plane/lane.h", "&slot->time_ns[0]", "the daemon's copy of this function writes answers, which have none"},
	{"calls/read.c", "&c->retries", "takes a race with the writer"},
	{"calls/receive.c", "&d->state->stale",
	 "takes a request that a dead daemon left unread, or one that was given up"},
	{"plane/readers.h", "&b->seq", "takes a race with a shell that gets hold of the buffer"},
	{"plane/readers.h", "&venom_ring_at(r, v)->seq",
	 "takes a held version in the way: see the test past a held one"},
	{"calls/publish.c", "&d->state->passed", "takes a held version in the way: see the test past a held one"},
	{"calls/publish.c", "&d->state->held_up", "takes shells that hold all buffers but the latest's"},
	{"handles.h", "&s->cmd->counts.checks", "where the kernel marks no owner's death"},
	{"calls/wait.c", "&s->cmd->counts.checks", "where the kernel marks no owner's death"},
};

static bool is_exempt(unsigned int i)
{
	static const char *const other[] = {"memfd/", "dev/"};
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

TEST_F(points, every_store_is_one)
{
	struct run r;

	kill_set_up(&r, SHELL, VENOM_SPIN_NONE, 4, VENOM_LOSSLESS, 2);
	r.a->guard = true;
	EXPECT_TRUE(kill_run(&r, 0, 0, 0));
}

TEST_F(points, none_is_passed_by)
{
	unsigned int i, died = 0, calls = 0, bad = 0;
	char name[200];

	if (*walks < 6)
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

/* SPDX-License-Identifier: MIT */
/*
 * Attacks fairness: nobody may starve.
 *
 * Shells that flood their lanes may keep another shell's single command waiting for one batch of each flooder and no
 * longer: in each way to receive, with any forged time stamps, and also if that shell has been silent for so long that
 * its lane went cold.  Daemon and shells are one thread here, so commands are counted, and no time is measured.  A
 * reader beside a writer that publishes without pause must go on getting versions.
 */
#include "lib/harness.h"
#include "lib/watch.h"

#undef ARRAY_SIZE /* the harness has one, too */
#include "internal.h"

#define SLOTS 64
#define MOST  60 /* flooders, or idle shells */

enum how { ONE, MANY, ARM };

FIXTURE(fair)
{
	struct venom_daemon *d;
	struct venom_shell *flood[MOST], *idle[MOST], *asker;
	struct venom_shell *of[MOST + 1]; /* flooders by id; NULL: no flooder */
	struct venom_command cmd[32];
	uint64_t rng;
};

FIXTURE_VARIANT(fair)
{
	int flooders, idlers;
	uint32_t flags;
	enum how how;
	bool forged; /* forged time stamps make the flooders' commands the oldest */
	bool cold; /* all lanes have been silent for long */
};

/* clang-format off */
FIXTURE_VARIANT_ADD(fair, by_turns_1) { .flooders = 1 };
FIXTURE_VARIANT_ADD(fair, by_turns_5) { .flooders = 5 };
FIXTURE_VARIANT_ADD(fair, by_turns_5_many) { .flooders = 5, .how = MANY };
FIXTURE_VARIANT_ADD(fair, by_turns_5_arm) { .flooders = 5, .how = ARM };
FIXTURE_VARIANT_ADD(fair, by_turns_40) { .flooders = 40 };
FIXTURE_VARIANT_ADD(fair, by_turns_40_cold) { .flooders = 40, .cold = true };
FIXTURE_VARIANT_ADD(fair, by_turns_2_among_50_cold) { .flooders = 2, .idlers = 50, .cold = true };
FIXTURE_VARIANT_ADD(fair, by_turns_2_among_50_cold_arm) { .flooders = 2, .idlers = 50, .how = ARM, .cold = true };
FIXTURE_VARIANT_ADD(fair, by_arrival_1) { .flooders = 1, .flags = VENOM_ORDER_ARRIVAL };
FIXTURE_VARIANT_ADD(fair, by_arrival_1_forged) { .flooders = 1, .flags = VENOM_ORDER_ARRIVAL, .forged = true };
FIXTURE_VARIANT_ADD(fair, by_arrival_2_forged) { .flooders = 2, .flags = VENOM_ORDER_ARRIVAL, .forged = true };
FIXTURE_VARIANT_ADD(fair, by_arrival_5_forged_many) { .flooders = 5, .flags = VENOM_ORDER_ARRIVAL, .how = MANY, .forged = true };
FIXTURE_VARIANT_ADD(fair, by_arrival_5_forged_arm) { .flooders = 5, .flags = VENOM_ORDER_ARRIVAL, .how = ARM, .forged = true };
FIXTURE_VARIANT_ADD(fair, by_arrival_40_forged) { .flooders = 40, .flags = VENOM_ORDER_ARRIVAL, .forged = true };
/* clang-format on */

static void set_up(FIXTURE_DATA(fair) * self, int flooders, int idlers, uint32_t flags)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	int at, i, n = 0;

	self->rng = vt_seed();
	cfg.cmd_slots = SLOTS;
	cfg.cmd_size = cfg.resp_size = 16;
	cfg.max_clients = MOST + 1;
	cfg.flags = flags;
	VT_CHECK(!venom_daemon_create(&self->d, vt_name(), &cfg));
	at = (int)(vt_rand(&self->rng) % (uint64_t)(flooders + 1));
	for (i = 0; i <= flooders + idlers; i++) {
		struct venom_shell **s = i == at	? &self->asker
					 : n < flooders ? &self->flood[n++]
							: &self->idle[i - n - 1];

		VT_CHECK(!venom_shell_connect(s, self->d->name));
	}
	for (i = 0; i < n; i++)
		self->of[venom_shell_id(self->flood[i])] = self->flood[i];
}

static void tear_down(FIXTURE_DATA(fair) * self)
{
	for (int i = 0; i < MOST; i++) {
		venom_shell_close(self->flood[i]);
		venom_shell_close(self->idle[i]);
	}
	venom_shell_close(self->asker);
	venom_daemon_destroy(self->d);
}

FIXTURE_SETUP(fair)
{
	set_up(self, variant->flooders, variant->idlers, variant->flags);
}

FIXTURE_TEARDOWN(fair)
{
	tear_down(self);
}

/* Fill the shell's lane. */
static void flood(struct venom_shell *s, bool forged)
{
	int rc;

	while (!(rc = venom_shell_send(s, "flood", 5)))
		if (forged)
			venom_slots_at(&s->out, s->pos - 1)->time_ns[0] = 1;
	VT_CHECK(rc == -EAGAIN);
}

/*
 * Receives in the variant's way, and refills the lanes of the flooders that were served.  Returns how many commands
 * came before the asker's, and sets *ours if that came.
 */
static int take(FIXTURE_DATA(fair) * self, enum how how, bool forged, bool *ours)
{
	int n, ahead = 0;

	do {
		if (how == ARM)
			VT_CHECK(venom_daemon_arm(self->d) == 1);
		if (how == MANY)
			n = venom_daemon_receive_many(self->d, self->cmd, ARRAY_SIZE(self->cmd), 0);
		else
			n = venom_daemon_receive(self->d, self->cmd, 0);
		VT_CHECK(n >= 0);
	} while (!n); /* all lanes are cold, and polls without a pause look at some of them only */
	for (int i = 0; i < n; i++) {
		struct venom_shell *s = self->of[self->cmd[i].client_id];

		*ours |= self->cmd[i].client_id == venom_shell_id(self->asker);
		ahead += !*ours;
		if (s)
			flood(s, forged);
	}
	return ahead;
}

/* Empties all lanes, and polls them in vain until they are cold. */
static void cool(struct venom_daemon *d)
{
	struct venom_command cmd;

	while (venom_daemon_receive(d, &cmd, 0) == 1 || venom_daemon_arm(d) == 1)
		;
	for (int i = 0; i < 2 * VENOM_COLD_AFTER; i++)
		VT_CHECK(venom_daemon_receive(d, &cmd, 0) == 0);
}

TEST_F(fair, a_single_command_waits_for_a_batch_of_each)
{
	/*
	 * By arrival, other shells may have waited for as long.  A cold lane is found when the looks at some cold
	 * lanes, one after each batch, have come round: idle lanes count, too.
	 */
	int bound = VENOM_BATCH * (variant->flooders + (variant->cold ? variant->idlers + 2 : 0)) +
		    (variant->flags & VENOM_ORDER_ARRIVAL ? variant->flooders : 0);
	int trials = (int)vt_scaled(variant->cold ? 50 : 500), most = 0, t;
	uint64_t all = 0;

	/* The asker's turn may have been the next one each time: run more trials until others have come before it. */
	for (t = 0; t < trials || (!most && t < trials + 100); t++) {
		bool ours = false;
		int ahead = 0, i;

		if (variant->cold)
			cool(self->d);
		for (i = 0; i < variant->flooders; i++)
			flood(self->flood[i], variant->forged);
		/* The asker sends at a random moment of the flooders' turns. */
		for (i = (int)(vt_rand(&self->rng) % (2 * VENOM_BATCH * (uint64_t)variant->flooders)); i > 0; i--)
			take(self, variant->how, variant->forged, &ours);
		ASSERT_FALSE(ours);
		ASSERT_EQ(0, venom_shell_send(self->asker, "please", 6));
		while (!ours && ahead <= bound)
			ahead += take(self, variant->how, variant->forged, &ours);
		ASSERT_GE(bound, ahead) TH_LOG("trial %d: still not heard", t);
		most = ahead > most ? ahead : most;
		all += (uint64_t)ahead;
	}
	ksft_print_msg(
		"%d flooders, %d idle: before a single command came %d others at most, %ju on average; bound %d\n",
		variant->flooders, variant->idlers, most, (uintmax_t)(all / (uint64_t)t), bound);
	EXPECT_LT(0, most);
}

/* ---- a crowd ---- */

#define CROWD 50

FIXTURE(crowd)
{
	FIXTURE_DATA(fair) f;
};

FIXTURE_VARIANT(crowd)
{
	enum how how;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(crowd, one) { .how = ONE };
FIXTURE_VARIANT_ADD(crowd, arm) { .how = ARM };
/* clang-format on */

FIXTURE_SETUP(crowd)
{
	set_up(&self->f, 1, CROWD, 0);
}

FIXTURE_TEARDOWN(crowd)
{
	tear_down(&self->f);
}

/* Many shells that turn up all at once must not put the flooder first each time that one of them is found. */
TEST_F(crowd, helps_nobody_to_the_front)
{
	FIXTURE_DATA(fair) *f = &self->f;
	struct venom_shell *first = f->flood[0];
	int trials = (int)vt_scaled(50), most = 0;

	for (int t = 0; t < trials; t++) {
		int ahead = 0, i;
		bool ours = false;

		/* Only the flooder and the asker are hot, in either order. */
		cool(f->d);
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, venom_shell_send(i ^ (t & 1) ? first : f->asker, "hot", 3));
		for (i = 0; i < 2; i++)
			ASSERT_EQ(1, venom_daemon_receive(f->d, f->cmd, -1));
		flood(first, false);
		for (i = (int)(vt_rand(&f->rng) % VENOM_BATCH); i >= 0; i--)
			take(f, variant->how, false, &ours);
		for (i = 0; i < CROWD; i++)
			ASSERT_EQ(0, venom_shell_send(f->idle[i], "crowd", 5));
		ASSERT_EQ(0, venom_shell_send(f->asker, "please", 6));
		while (!ours && ahead <= VENOM_BATCH) {
			take(f, variant->how, false, &ours);
			ahead += f->of[f->cmd[0].client_id] == first;
		}
		most = ahead > most ? ahead : most;
	}
	ksft_print_msg("of one that floods, %d came first at most\n", most);
	EXPECT_GE(VENOM_BATCH, most);
}

/* A poll may skip cold lanes; but not a poll that comes only now and then, as once for each frame. */
TEST_F(crowd, is_seen_by_who_looks_now_and_then)
{
	FIXTURE_DATA(fair) *f = &self->f;

	cool(f->d);
	for (int i = 0; i < CROWD; i++) {
		vt_sleep_ms(1);
		ASSERT_EQ(0, venom_shell_send(f->idle[i], "frame", 5));
		ASSERT_EQ(1, venom_daemon_receive(f->d, f->cmd, 0));
		ASSERT_EQ(venom_shell_id(f->idle[i]), f->cmd[0].client_id);
		cool(f->d);
	}
}

/* ---- a reader beside a writer ---- */

#define WINDOWS	  5
#define WINDOW_MS 100

struct arena {
	char name[VENOM_NAME_MAX + 1];
	uint32_t versions, size;
	uint64_t asked; /* publish up to this version, then wait; UINT64_MAX: no pause; 0: end */
};

FIXTURE(reader)
{
	struct arena *a;
	struct vt_peer writer;
	struct venom_shell *s;
	char *buf;
};

FIXTURE_VARIANT(reader)
{
	uint32_t versions, size;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(reader, versions_1_64B) { .versions = 1, .size = 64 };
FIXTURE_VARIANT_ADD(reader, versions_4_64B) { .versions = 4, .size = 64 };
FIXTURE_VARIANT_ADD(reader, versions_1_4KiB) { .versions = 1, .size = 4096 };
FIXTURE_VARIANT_ADD(reader, versions_4_4KiB) { .versions = 4, .size = 4096 };
FIXTURE_VARIANT_ADD(reader, versions_1_1MiB) { .versions = 1, .size = 1 << 20 };
FIXTURE_VARIANT_ADD(reader, versions_4_1MiB) { .versions = 4, .size = 1 << 20 };
/* clang-format on */

static int writer_main(struct vt_peer *self, void *arg)
{
	struct arena *a = arg;
	struct venom_config cfg = VENOM_CONFIG_INIT;
	char *buf = calloc(1, a->size);
	struct venom_daemon *d;

	vt_pin(0);
	cfg.data_size = a->size;
	cfg.versions = a->versions;
	VT_CHECK(buf && !venom_daemon_create(&d, a->name, &cfg));
	VT_CHECK(!vt_signal(self));
	for (uint64_t asked; (asked = vt_load(&a->asked));)
		if (venom_daemon_version(d) < asked)
			VT_CHECK(!venom_daemon_publish(d, buf, a->size));
	venom_daemon_destroy(d);
	free(buf);
	return 0;
}

FIXTURE_SETUP(reader)
{
	self->a = vt_shared(sizeof(*self->a));
	strcpy(self->a->name, vt_name());
	self->a->versions = variant->versions;
	self->a->size = variant->size;
	vt_store(&self->a->asked, 1);
	self->buf = malloc(variant->size);
	ASSERT_NE(NULL, self->buf);
	vt_spawn(&self->writer, writer_main, self->a);
	vt_pin(1);
	ASSERT_EQ(0, vt_await(&self->writer));
	ASSERT_EQ(0, venom_shell_connect(&self->s, self->a->name));
}

FIXTURE_TEARDOWN(reader)
{
	vt_store(&self->a->asked, 0);
	venom_shell_close(self->s);
	EXPECT_EQ(0, vt_wait(&self->writer));
	free(self->buf);
}

/* Returns how many versions the reader gets in one window beside a writer that does not pause. */
static uint64_t beside(FIXTURE_DATA(reader) * self)
{
	uint64_t end = vt_now() + WINDOW_MS * VT_MS, v = 0, last = 0, n = 0;
	ssize_t len;

	do {
		len = venom_shell_read(self->s, self->buf, self->a->size, &v);
		VT_CHECK(len == (ssize_t)self->a->size || len == -EAGAIN);
		n += v != last;
		last = v;
	} while (vt_now() < end);
	return n;
}

/*
 * Returns how many versions the reader could get: the writer waits while it reads.  It reads each version once: a
 * second read would come from the reader's own cache, and give nothing new.
 */
static uint64_t alone(FIXTURE_DATA(reader) * self)
{
	uint64_t end = vt_now() + WINDOW_MS * VT_MS, v = venom_shell_version(self->s), start, spent = 0, n = 0;

	do {
		vt_store(&self->a->asked, ++v);
		while (venom_shell_version(self->s) < v)
			VT_CHECK(!vt_has_ended(&self->writer));
		start = vt_now();
		VT_CHECK(venom_shell_read(self->s, self->buf, self->a->size, &v) == (ssize_t)self->a->size);
		spent += vt_now() - start;
		n++;
	} while (vt_now() < end);
	return n * WINDOW_MS * VT_MS / spent;
}

/*
 * With one buffer a reader depends on the writer's pauses, and here are none: it is measured to show that.  With more
 * buffers it must get on in each window if both sides have a CPU; if they share one, or are slowed down, in all windows
 * together.
 */
TEST_F(reader, goes_on_beside_a_writer_that_does_not_pause)
{
	bool slow = vt_scale() < 1 || vt_cpus() < 2;
	int windows = (int)vt_scaled(WINDOWS), dry = 0;
	uint64_t solo = 0, with = 0, n;
	struct venom_shell_stats st;

	windows = windows < 2 ? 2 : windows;
	for (int i = 0; i < windows; i++)
		solo += alone(self);
	vt_store(&self->a->asked, UINT64_MAX);
	for (int i = 0; i < windows; i++) {
		n = beside(self);
		with += n;
		dry += !n;
	}
	ASSERT_EQ(0, venom_shell_stats(self->s, &st));
	ksft_print_msg("%u bytes, versions = %u: %ju versions/s if it waits, %ju if it does not: %.3f; "
		       "%ju tries spoiled; %d of %d windows without any\n",
		       variant->size, variant->versions, (uintmax_t)(solo * 1000 / WINDOW_MS / (uint64_t)windows),
		       (uintmax_t)(with * 1000 / WINDOW_MS / (uint64_t)windows), (double)with / (double)solo,
		       (uintmax_t)st.retries, dry, windows);
	if (variant->versions > 1 && !slow)
		EXPECT_EQ(0, dry);
	if (variant->versions > 1)
		EXPECT_LT(0, with);
}

TEST_HARNESS_MAIN

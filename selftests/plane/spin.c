/* SPDX-License-Identifier: MIT */
/*
 * Attacks how a wait spends its time (plane/wait.h), with a fake clock.  It must spin for its budget, must not spin
 * where that would keep the other side from its CPU, and must not read the clock where no time is needed.
 */
#include <stdint.h>

static int64_t time_now, asked;

static int64_t next_tick(void)
{
	asked++;
	return time_now += 100;
}
#define VENOM_CLOCK_NS() next_tick()

#include "plane/wait.h"
#include "lib/harness.h"
#include <venom.h>

struct seen {
	int polls, spun; /* polls; polls before the first sleep */
	int arms, sleeps;
	int ready_after; /* sleeps; -1: never */
	int64_t longest; /* longest time-out of a sleep */
	bool one_cpu;
};

static bool ready(void *p)
{
	struct seen *w = p;

	w->polls++;
	return w->ready_after >= 0 && w->sleeps >= w->ready_after;
}

static bool one_cpu(void *p)
{
	return ((struct seen *)p)->one_cpu;
}

static int beat(void *p, int64_t at)
{
	(void)p;
	return at < 0 ? -1 : 0;
}

static void cancel_point(void *p)
{
	(void)p;
}

static void arm(void *p)
{
	struct seen *w = p;

	if (!w->arms++)
		w->spun = w->polls;
}

static int asleep(void *p, int64_t ns)
{
	struct seen *w = p;

	w->sleeps++;
	w->longest = ns > w->longest ? ns : w->longest;
	time_now += ns < 0 ? 1000 : ns;
	return ns < 0;
}

static const struct venom_wait_ops ops = {
	.ready = ready,
	.one_cpu = one_cpu,
	.beat = beat,
	.cancel_point = cancel_point,
	.arm = arm,
	.disarm = cancel_point,
	.sleep = asleep,
};

FIXTURE(spin)
{
	struct venom_spin sp;
	struct seen w;
};

FIXTURE_SETUP(spin)
{
	time_now = asked = 0;
	self->w.ready_after = 1;
	self->w.longest = INT64_MIN;
	self->sp = (struct venom_spin){.ns = VENOM_SPIN_ADAPTIVE, .budget = VENOM_BUDGET_MAX};
}

FIXTURE_TEARDOWN(spin)
{
}

TEST_F(spin, for_its_budget)
{
	ASSERT_EQ(1, venom_wait_for(&ops, &self->w, &self->sp, -1));
	EXPECT_LE(VENOM_BUDGET_MAX / 100 * VENOM_BEAT_POLLS, self->w.spun);
	EXPECT_EQ(1, self->w.sleeps);
	EXPECT_EQ(-1, self->w.longest);
}

TEST_F(spin, not_on_the_other_ones_cpu)
{
	self->w.one_cpu = true;
	ASSERT_EQ(1, venom_wait_for(&ops, &self->w, &self->sp, -1));
	EXPECT_EQ(1, self->w.spun);
	/* This says nothing of what a spin is worth elsewhere. */
	EXPECT_EQ(VENOM_BUDGET_MAX, self->sp.budget);
}

/* A spin time that the user has set is kept all the same. */
TEST_F(spin, on_the_other_ones_cpu_if_told_to)
{
	self->w.one_cpu = true;
	self->sp.ns = 10000;
	ASSERT_EQ(1, venom_wait_for(&ops, &self->w, &self->sp, -1));
	EXPECT_LE(10000 / 100 * VENOM_BEAT_POLLS, self->w.spun);
}

TEST_F(spin, asks_for_the_time_only_where_it_matters)
{
	self->sp.ns = VENOM_SPIN_NONE;
	self->w.ready_after = 5;
	ASSERT_EQ(1, venom_wait_for(&ops, &self->w, &self->sp, -1));
	EXPECT_EQ(5, self->w.sleeps);
	EXPECT_EQ(0, asked);
}

TEST_F(spin, ends_in_time)
{
	self->sp.ns = VENOM_SPIN_NONE;
	self->w.ready_after = -1;
	time_now = 12345;
	ASSERT_EQ(0, venom_wait_for(&ops, &self->w, &self->sp, 5000));
	EXPECT_LE(12345 + 5000, time_now);
	EXPECT_GE(5000, self->w.longest);
	self->sp.ns = VENOM_SPIN_FOREVER;
	self->w.arms = 0;
	ASSERT_EQ(0, venom_wait_for(&ops, &self->w, &self->sp, 5000));
	EXPECT_EQ(0, self->w.arms);
	/* A time-out that no clock reaches counts as none. */
	self->sp.ns = VENOM_SPIN_NONE;
	self->w.ready_after = self->w.sleeps + 1;
	self->w.longest = INT64_MIN;
	ASSERT_EQ(1, venom_wait_for(&ops, &self->w, &self->sp, INT64_MAX));
	EXPECT_EQ(-1, self->w.longest);
}

TEST_HARNESS_MAIN

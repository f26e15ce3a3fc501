/* SPDX-License-Identifier: MIT */
/*
 * Attacks the lanes: 1, 4 and 16 processes push small lanes through many laps, with one-way commands, one by one and in
 * blocks, requests, and many open requests, mixed, with ever different sizes, in each way to wait.  The daemon checks
 * each lane's order and bytes, the shells check their answers.  A lost, doubled, overtaken or torn command shows as a
 * sequence number or a content other than the expected.
 */
#include <sched.h>
#include "lib/harness.h"
#include "lib/message.h"
#include "lib/watch.h"
#include "venom.h"

#define PRODUCERS 16
#define OPEN_MAX  64

struct tally {
	uint64_t sent, asked, full, again;
};

struct arena {
	struct vt_step step[PRODUCERS + 1];
	struct tally tally[PRODUCERS];
	struct venom_daemon_stats st;
	char name[VENOM_NAME_MAX + 1];
	uint64_t seed;
	uint32_t producers, slots, flags;
	uint32_t size; /* largest size of commands and of answers */
	int64_t spin;
	uint64_t done;
};

static void check_answer(struct arena *a, const char *buf, ssize_t len, uint32_t who, uint64_t seq)
{
	struct vt_message h;

	if (len < 0)
		fprintf(stderr, "# shell %u asked %llu and got errno %zd\n", who, (unsigned long long)seq, len);
	VT_CHECK(len >= 0 && vt_get(buf, (size_t)len, a->size, a->seed, &h));
	if (h.who == who && h.seq == seq && (h.kind & VT_ANSWER))
		return;
	fprintf(stderr, "# shell %u asked %llu and got the answer of shell %u to its %llu\n", who,
		(unsigned long long)seq, h.who, (unsigned long long)h.seq);
	vt_failed(__FILE__, __LINE__, "a wrong answer");
}

static void create(struct arena *a, struct venom_daemon **d)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;

	cfg.cmd_slots = a->slots;
	cfg.cmd_size = a->size;
	cfg.resp_size = a->size;
	cfg.max_clients = a->producers;
	cfg.spin_ns = a->spin;
	cfg.flags = a->flags;
	VT_CHECK(!venom_daemon_create(d, a->name, &cfg));
}

static int consumer(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	struct vt_step *step = &a->step[a->producers];
	uint64_t next[PRODUCERS] = {0}, id[PRODUCERS], n = 0;
	struct venom_command cmd;
	struct venom_daemon *d;
	struct vt_message h;
	uint32_t left = a->producers, len;
	char buf[VT_MESSAGE_MAX];

	if (a->producers == 1)
		vt_pin(0); /* both work at once, even if the scheduler would put them on one CPU */
	create(a, &d);
	VT_CHECK(!vt_signal(self));
	while (left) {
		vt_step(step, "receive", n);
		VT_CHECK(venom_daemon_receive(d, &cmd, -1) == 1);
		VT_CHECK(vt_get(cmd.data, cmd.len, a->size, a->seed, &h));
		VT_CHECK(h.who < a->producers && h.kind <= VT_LAST);
		if (!next[h.who])
			id[h.who] = cmd.client_id;
		if (h.seq != next[h.who])
			fprintf(stderr, "# of shell %u came %llu where %llu was due\n", h.who,
				(unsigned long long)h.seq, (unsigned long long)next[h.who]);
		VT_CHECK(h.seq == next[h.who]++ && cmd.client_id == id[h.who]);
		VT_CHECK(!(cmd.flags & VENOM_CMD_REQUEST) == !h.kind);
		n++;
		left -= h.kind == VT_LAST;
		if (!h.kind) {
			VT_CHECK(venom_daemon_respond(d, &cmd, "", 0) == -EINVAL);
			continue;
		}
		vt_step(step, "respond", n);
		h.kind |= VT_ANSWER;
		len = vt_put(buf, a->size, a->seed, h);
		VT_CHECK(!venom_daemon_respond(d, &cmd, buf, len));
	}
	vt_step(step, "the end", n);
	VT_CHECK(venom_daemon_receive(d, &cmd, 0) == 0); /* nothing twice */
	VT_CHECK(!venom_daemon_stats(d, &a->st) && a->st.commands == n);
	VT_CHECK(VT_UNTIL(vt_load(&a->done) == a->producers));
	venom_daemon_destroy(d);
	return 0;
}

struct open {
	uint64_t tag, seq;
};

/* Waits for one answer to the open requests: to any of them, or to a random one. */
static void complete(struct arena *a, struct venom_shell *s, struct open *o, int *n, uint32_t who, bool any, uint64_t r)
{
	int i = (int)(r % (uint64_t)*n);
	uint64_t tag = any ? VENOM_ANY : o[i].tag;
	char buf[VT_MESSAGE_MAX];
	ssize_t len = venom_shell_complete(s, &tag, buf, sizeof(buf), -1);

	VT_CHECK(len >= 0);
	for (i = 0; i < *n && o[i].tag != tag; i++)
		;
	VT_CHECK(i < *n);
	check_answer(a, buf, len, who, o[i].seq);
	o[i] = o[--*n];
}

#define MANY 8

/* Sends one-way commands, seq and after it, at once. */
static void send_many(struct arena *a, struct venom_shell *s, struct tally *t, uint32_t who, uint64_t seq, unsigned int n)
{
	static char buf[MANY][VT_MESSAGE_MAX];
	struct iovec iov[MANY];
	int rc;

	for (unsigned int i = 0; i < n; i++)
		iov[i] = (struct iovec){buf[i], vt_put(buf[i], a->size, a->seed, (struct vt_message){who, 0, seq + i})};
	for (unsigned int sent = 0; sent < n; sent += rc > 0 ? (unsigned int)rc : 0) {
		rc = venom_shell_send_many(s, iov + sent, n - sent);
		VT_CHECK(rc == -EAGAIN || rc > 0);
		t->again += rc == -EAGAIN;
		if (rc == -EAGAIN)
			VT_CHECK(venom_shell_room(s, -1) == 1);
	}
}

static int producer(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	uint32_t who = ((struct vt_role *)arg)->who, len;
	struct vt_step *step = &a->step[who];
	struct tally *t = &a->tally[who];
	uint64_t rng = a->seed ^ who << 8, seq, end, r;
	struct open open[OPEN_MAX];
	char buf[VT_MESSAGE_MAX], resp[VT_MESSAGE_MAX];
	struct venom_shell_stats st;
	struct venom_shell *s;
	int n_open = 0, err;
	ssize_t n;

	if (a->producers == 1)
		vt_pin(1);
	VT_CHECK(!venom_shell_connect(&s, a->name));
	VT_CHECK(!venom_shell_set_spin(s, a->spin));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	end = vt_now() + (uint64_t)(200 * VT_MS * vt_scale());
	for (seq = 0; seq < 20 * a->slots || vt_now() < end; seq++) {
		r = vt_rand(&rng);
		if (r % 8 < 2) {
			vt_step(step, "send_many", seq);
			send_many(a, s, t, who, seq, 1 + (r >> 9) % MANY);
			seq += (r >> 9) % MANY;
			continue;
		}
		len = vt_put(buf, a->size, a->seed, (struct vt_message){who, r % 8 > 4, seq});
		if (r % 8 <= 4) {
			vt_step(step, "send", seq);
			while ((err = venom_shell_send(s, buf, len)) == -EAGAIN) {
				t->again++;
				if (r & 64)
					sched_yield();
				else
					VT_CHECK(venom_shell_room(s, -1) == 1);
			}
			VT_CHECK(!err);
		} else if (r % 8 == 5) {
			vt_step(step, "request", seq);
			while ((n = venom_shell_request(s, buf, len, resp, sizeof(resp), -1)) == -EAGAIN) {
				VT_CHECK(n_open == (int)a->slots); /* as many requests are open as possible */
				complete(a, s, open, &n_open, who, r & 128, r >> 10);
			}
			check_answer(a, resp, n, who, seq);
		} else {
			vt_step(step, "submit", seq);
			while ((err = venom_shell_submit(s, buf, len, &open[n_open].tag)) == -EAGAIN) {
				vt_step(step, "submit, complete", seq);
				if (n_open)
					complete(a, s, open, &n_open, who, r & 128, r >> 10);
				else
					VT_CHECK(venom_shell_room(s, -1) == 1);
			}
			VT_CHECK(!err);
			open[n_open++].seq = seq;
		}
		while (n_open && (n_open == OPEN_MAX || (r >> 20) % 4 == 0)) {
			vt_step(step, "complete", seq);
			complete(a, s, open, &n_open, who, r & 256, r >> 10);
		}
	}
	while (n_open)
		complete(a, s, open, &n_open, who, true, 0);
	vt_step(step, "the last request", seq);
	len = vt_put(buf, a->size, a->seed, (struct vt_message){who, VT_LAST, seq++});
	n = venom_shell_request(s, buf, len, resp, sizeof(resp), -1);
	check_answer(a, resp, n, who, seq - 1);
	VT_CHECK(!venom_shell_stats(s, &st) && st.commands == seq && st.full >= t->again && !st.timeouts);
	t->sent = seq;
	t->asked = st.answers;
	t->full = st.full;
	venom_shell_close(s);
	vt_add(&a->done, 1);
	return 0;
}

/* ---- the tests ---- */

static struct arena *arena(uint32_t producers, uint32_t slots, int64_t spin)
{
	struct arena *a = vt_shared(sizeof(*a));

	a->seed = vt_seed();
	strcpy(a->name, vt_name());
	a->producers = producers;
	a->slots = slots;
	a->spin = spin;
	return a;
}

static struct tally sum(const struct arena *a)
{
	struct tally s = {0};
	uint32_t i;

	for (i = 0; i < a->producers; i++) {
		s.sent += a->tally[i].sent;
		s.asked += a->tally[i].asked;
		s.full += a->tally[i].full;
	}
	return s;
}

FIXTURE(lane)
{
	int unused;
};

FIXTURE_VARIANT(lane)
{
	uint32_t producers, slots, flags;
	int64_t spin;
	uint32_t size;
};

#define VARIANT(p, s, how, f, ns, z)                                           \
	FIXTURE_VARIANT_ADD(lane, producers_##p##_slots_##s##_##how)           \
	{                                                                      \
		.producers = p, .slots = s, .flags = f, .spin = ns, .size = z, \
	}
#define VARIANTS(p, s, f)                                     \
	VARIANT(p, s, sleeping, f, VENOM_SPIN_NONE, 200);     \
	VARIANT(p, s, adaptive, f, VENOM_SPIN_ADAPTIVE, 200); \
	VARIANT(p, s, spinning_20us, f, 20000, 200);          \
	VARIANT(p, s, spinning, f, VENOM_SPIN_FOREVER, 200)
VARIANT(1, 1, 8KiB, 0, VENOM_SPIN_FOREVER, 8192);
VARIANT(1, 2, 8KiB, 0, VENOM_SPIN_ADAPTIVE, 8192);
VARIANT(4, 7, 8KiB, 0, VENOM_SPIN_ADAPTIVE, 8192);
VARIANTS(1, 1, 0);
VARIANTS(1, 2, 0);
VARIANTS(1, 7, VENOM_ORDER_ARRIVAL);
VARIANTS(1, 64, 0);
VARIANTS(4, 1, 0);
VARIANTS(4, 2, VENOM_ORDER_ARRIVAL);
VARIANTS(4, 7, 0);
VARIANTS(4, 64, 0);
VARIANTS(16, 1, 0);
VARIANTS(16, 2, 0);
VARIANTS(16, 7, 0);
VARIANTS(16, 64, VENOM_ORDER_ARRIVAL);

FIXTURE_SETUP(lane)
{
}

FIXTURE_TEARDOWN(lane)
{
}

TEST_F(lane, in_order)
{
	struct arena *a = arena(variant->producers, variant->slots, variant->spin);
	uint64_t least = UINT64_MAX;
	struct tally s;
	uint32_t i;

	a->flags = variant->flags;
	a->size = variant->size;
	ASSERT_EQ(0, vt_play(a, a->step, consumer, producer, (int)a->producers));
	s = sum(a);
	for (i = 0; i < a->producers; i++)
		least = a->tally[i].sent < least ? a->tally[i].sent : least;
	ksft_print_msg("%ju commands, %ju of them requests; each lane round %ju times or more; full %ju times; "
		       "daemon slept %ju times\n",
		       (uintmax_t)s.sent, (uintmax_t)s.asked, (uintmax_t)(least / a->slots), (uintmax_t)s.full,
		       (uintmax_t)a->st.sleeps);
	EXPECT_EQ(s.sent, a->st.commands);
	EXPECT_EQ(s.asked, a->st.responses);
	EXPECT_EQ(0, a->st.stale);
	EXPECT_GE(least / a->slots, 20);
	EXPECT_GT(s.asked, 0);
}

TEST_HARNESS_MAIN

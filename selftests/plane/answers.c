/* SPDX-License-Identifier: MIT */
/*
 * Attacks the answers: shells give up requests after a very short time, cancel them, close and connect again, and the
 * daemon answers late and in random order.
 *
 * An answer that goes to another request, or to another client, shows by the name and the number in it.  An answer that
 * is lost or counted twice shows by the sums in the end: sent = answered + given up on the shells' side, and = answers
 * written + answers refused as stale on the daemon's.
 */
#include "lib/harness.h"
#include "lib/message.h"
#include "lib/watch.h"
#include "venom.h"

#define CLIENTS	  4
#define CMD_SIZE  200
#define RESP_SIZE 136
#define OPEN_MAX  4

struct tally {
	uint64_t sent, answers, given_up, small;
};

struct arena {
	struct vt_step step[CLIENTS + 1];
	struct tally tally[CLIENTS];
	struct venom_daemon_stats st;
	char name[VENOM_NAME_MAX + 1];
	uint64_t seed;
	uint32_t clients, slots;
	int64_t spin;
	uint64_t done;
	uint64_t answered, stale; /* what respond returned */
};

struct open {
	uint64_t tag, seq;
};

static void check_answer(struct arena *a, const char *buf, ssize_t len, uint32_t who, uint64_t seq)
{
	struct vt_message h;

	if (len < 0)
		fprintf(stderr, "# shell %u asked %llu and got errno %zd\n", who, (unsigned long long)seq, len);
	VT_CHECK(len >= 0 && vt_get(buf, (size_t)len, RESP_SIZE, a->seed, &h));
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
	cfg.cmd_size = CMD_SIZE;
	cfg.resp_size = RESP_SIZE;
	cfg.max_clients = a->clients;
	cfg.spin_ns = a->spin;
	VT_CHECK(!venom_daemon_create(d, a->name, &cfg));
}

#define KEPT 24

static int late_daemon(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	struct vt_step *step = &a->step[a->clients];
	uint64_t rng = a->seed ^ 77, n = 0, gone = 0, r;
	struct {
		struct venom_command cmd;
		struct vt_message h;
	} kept[KEPT];
	struct venom_daemon *d;
	uint32_t len;
	char buf[RESP_SIZE];
	int i, err, n_kept = 0;

	create(a, &d);
	VT_CHECK(!vt_signal(self));
	for (;;) {
		r = vt_rand(&rng);
		vt_step(step, "receive", n);
		err = 0;
		if (n_kept < KEPT)
			err = venom_daemon_receive(d, &kept[n_kept].cmd,
						   n_kept && r % 4 ? 0 : (int64_t)(r >> 8) % 100000);
		VT_CHECK(err >= 0);
		if (err) {
			VT_CHECK(vt_get(kept[n_kept].cmd.data, kept[n_kept].cmd.len, CMD_SIZE, a->seed,
					&kept[n_kept].h));
			VT_CHECK(kept[n_kept].cmd.flags & VENOM_CMD_REQUEST);
			n_kept++;
			n++;
		} else if (!n_kept && vt_load(&a->done) == a->clients) {
			break;
		}
		if (!n_kept || (n_kept < KEPT && (r >> 32) % 3))
			continue;
		if ((r >> 40) % 16 == 0)
			usleep((r >> 48) % 200);
		vt_step(step, "respond", n);
		i = (int)((r >> 50) % (uint64_t)n_kept);
		kept[i].h.kind |= VT_ANSWER;
		len = vt_put(buf, RESP_SIZE, a->seed, kept[i].h);
		err = venom_daemon_respond(d, &kept[i].cmd, buf, len);
		VT_CHECK(err == 0 || err == -ESTALE || err == -EPIPE);
		if (err)
			a->stale++;
		else
			a->answered++;
		if (!err && (r >> 60) == 0) { /* no request is answered twice */
			err = venom_daemon_respond(d, &kept[i].cmd, buf, len);
			VT_CHECK(err == -EALREADY || err == -EPIPE);
			gone += err == -EPIPE;
		}
		kept[i] = kept[--n_kept];
	}
	VT_CHECK(!venom_daemon_stats(d, &a->st) && a->st.commands == n && a->st.responses == a->answered);
	VT_CHECK(a->st.stale == a->stale + gone);
	venom_daemon_destroy(d);
	return 0;
}

static int64_t tiny(uint64_t r)
{
	switch (r % 8) {
	case 0:
		return 0;
	case 1:
		return 20 * VT_MS;
	case 2:
		return (int64_t)(r >> 8) % (2 * VT_MS);
	default:
		return (int64_t)(r >> 8) % 200000;
	}
}

/* Opens many requests, waits for each a while, and gives them up or leaves them for later at random. */
static void several(struct arena *a, struct venom_shell *s, struct tally *t, uint32_t who, uint64_t *seq, uint64_t *rng)
{
	struct open open[OPEN_MAX];
	char buf[CMD_SIZE];
	uint64_t tag, r;
	uint32_t n = 0, i, len;
	ssize_t got;

	while (n < a->slots) {
		len = vt_put(buf, CMD_SIZE, a->seed, (struct vt_message){who, 1, *seq});
		if (venom_shell_submit(s, buf, len, &open[n].tag))
			break; /* the lane is full */
		open[n++].seq = (*seq)++;
	}
	while (n) {
		r = vt_rand(rng);
		i = (uint32_t)(r >> 8) % n;
		tag = r % 4 ? open[i].tag : VENOM_ANY;
		if (r % 4 == 1) {
			VT_CHECK(!venom_shell_cancel(s, tag));
			VT_CHECK(venom_shell_cancel(s, tag) == -EINVAL);
			VT_CHECK(venom_shell_complete(s, &tag, buf, sizeof(buf), 0) == -EINVAL);
			t->given_up++;
			open[i] = open[--n];
			continue;
		}
		got = venom_shell_complete(s, &tag, buf, sizeof(buf), tiny(r >> 40));
		if (got == -ETIMEDOUT)
			continue;
		VT_CHECK(got >= 0);
		for (i = 0; i < n && open[i].tag != tag; i++)
			;
		VT_CHECK(i < n);
		check_answer(a, buf, got, who, open[i].seq);
		t->answers++;
		open[i] = open[--n];
	}
}

static int late_shell(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	uint32_t who = ((struct vt_role *)arg)->who, len;
	struct tally *t = &a->tally[who];
	uint64_t rng = a->seed ^ who << 8, seq = 0, end, r, tag, held = 0, sent;
	struct venom_shell_stats st;
	struct venom_shell *s;
	char buf[CMD_SIZE], resp[RESP_SIZE];
	ssize_t n;
	int err;

	VT_CHECK(!venom_shell_connect(&s, a->name));
	VT_CHECK(!vt_signal(self) && !vt_await(self));
	end = vt_now() + (uint64_t)(2000 * VT_MS * vt_scale());
	while (seq < 200 || vt_now() < end) {
		r = vt_rand(&rng);
		vt_step(&a->step[who], "request, submit, complete, cancel", seq);
		if (r % 256 == 0) { /* another shell, perhaps with this one's id */
			VT_CHECK(!venom_shell_stats(s, &st));
			t->sent += st.commands;
			venom_shell_close(s);
			/* The closed shell keeps its place until its last command is received. */
			VT_CHECK(VT_UNTIL((err = venom_shell_connect(&s, a->name)) != -EUSERS) && !err);
			held = 0;
		}
		if (r % 4 == 0) {
			if (held) /* else complete() of any request might give its answer */
				VT_CHECK(!venom_shell_cancel(s, held));
			held = 0;
			several(a, s, t, who, &seq, &rng);
			continue;
		}
		len = vt_put(buf, CMD_SIZE, a->seed, (struct vt_message){who, 1, seq});
		VT_CHECK(!venom_shell_stats(s, &st));
		held = 0;
		r >>= 8;
		if (r % 8 == 0) { /* the answer does not fit: get it after all, or leave it */
			n = venom_shell_request(s, buf, len, resp, sizeof(struct vt_message) - 1, 200 * VT_MS);
			if (n == -EMSGSIZE) {
				VT_CHECK(venom_shell_needed(s) >= sizeof(struct vt_message));
				t->small++;
				tag = venom_shell_tag(s);
				if (r & 256) {
					n = venom_shell_complete(s, &tag, resp, sizeof(resp), 0);
					VT_CHECK(n == (ssize_t)venom_shell_needed(s));
				} else { /* left: open until the next request */
					held = tag;
					t->given_up++;
					seq++;
					continue;
				}
			}
		} else {
			n = venom_shell_request(s, buf, len, resp, sizeof(resp), tiny(r >> 8));
		}
		if (n == -ETIMEDOUT) {
			/* It was sent and given up, or not sent for want of room: the count of commands tells. */
			sent = st.commands;
			VT_CHECK(!venom_shell_stats(s, &st));
			t->given_up += st.commands - sent;
			seq++;
			continue;
		}
		check_answer(a, resp, n, who, seq++);
		t->answers++;
	}
	VT_CHECK(!venom_shell_stats(s, &st));
	t->sent += st.commands;
	venom_shell_close(s);
	vt_add(&a->done, 1);
	return 0;
}

/* ---- the tests ---- */

static struct arena *arena(uint32_t clients, uint32_t slots, int64_t spin)
{
	struct arena *a = vt_shared(sizeof(*a));

	a->seed = vt_seed();
	strcpy(a->name, vt_name());
	a->clients = clients;
	a->slots = slots;
	a->spin = spin;
	return a;
}

static struct tally sum(const struct arena *a)
{
	struct tally s = {0};
	uint32_t i;

	for (i = 0; i < a->clients; i++) {
		s.sent += a->tally[i].sent;
		s.answers += a->tally[i].answers;
		s.given_up += a->tally[i].given_up;
		s.small += a->tally[i].small;
	}
	return s;
}

FIXTURE(late)
{
	int unused;
};

FIXTURE_VARIANT(late)
{
	uint32_t clients, slots;
	int64_t spin;
};

FIXTURE_VARIANT_ADD(late, two_clients_one_slot){
	.clients = 2,
	.slots = 1,
	.spin = VENOM_SPIN_ADAPTIVE,
};

FIXTURE_VARIANT_ADD(late, two_clients){
	.clients = 2,
	.slots = 4,
	.spin = VENOM_SPIN_NONE,
};

FIXTURE_VARIANT_ADD(late, four_clients){
	.clients = 4,
	.slots = 3,
	.spin = 10000,
};

FIXTURE_SETUP(late)
{
}

FIXTURE_TEARDOWN(late)
{
}

TEST_F_TIMEOUT(late, each_answer_to_its_own_request, 240)
{
	struct arena *a = arena(variant->clients, variant->slots, variant->spin);
	struct tally s;

	ASSERT_EQ(0, vt_play(a, a->step, late_daemon, late_shell, (int)a->clients));
	s = sum(a);
	ksft_print_msg("%ju requests, %ju answered, %ju given up; of these the daemon was told of %ju (stale), "
		       "%ju were dropped by the shell; %ju did not fit at first\n",
		       (uintmax_t)s.sent, (uintmax_t)s.answers, (uintmax_t)s.given_up, (uintmax_t)a->stale,
		       (uintmax_t)(a->answered - s.answers), (uintmax_t)s.small);
	EXPECT_EQ(s.sent, a->st.commands);
	EXPECT_EQ(s.sent, s.answers + s.given_up);
	EXPECT_EQ(s.sent, a->answered + a->stale);
	EXPECT_GT(s.answers, 0);
	EXPECT_GT(s.given_up, 0);
	EXPECT_GT(a->stale, 0);
	EXPECT_GT(a->answered, s.answers);
}

TEST_HARNESS_MAIN

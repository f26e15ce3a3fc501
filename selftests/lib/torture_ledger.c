/* SPDX-License-Identifier: MIT */
/*
 * The ledger of load/torture.c, read at the end of a round: what became of each command of each session, and the sums
 * of a run.
 */
#include "lib/torture.h"

static const char *wrong(const struct t_arena *a, uint32_t no, uint32_t n, const char *what)
{
	const struct t_session *l = &a->session[no];

	fprintf(stderr,
		"# session %u of channel %u (the last is %u), closed as %d, up to the end: %u; last received %d of "
		"%u;\n"
		"# command %u, noted as %d, received %u times\n",
		no, l->chan, a->chan, l->end, l->to_the_end, (int)l->last - 1, l->n, n, l->sent[n], l->got[n]);
	return what;
}

/* taken: the number of commands that daemons may have taken but not noted, because they died. */
static const char *check_session(const struct t_arena *a, uint32_t no, unsigned int daemons, uint32_t *taken,
				 struct t_sums *sums)
{
	const struct t_session *l = &a->session[no];
	bool ended = l->chan != a->chan, told = l->end == T_CLOSED_DEAD;
	bool gone_on = daemons > 1;

	if (l->to_the_end && l->end != (ended ? T_CLOSED_DEAD : T_CLOSED))
		return wrong(a, no, 0, ended ? "its daemon's end was never told" : "it was told of an end that wasn't");
	for (uint32_t n = 0; n < l->n; n++) {
		enum t_sent sent = l->sent[n];
		bool got = l->got[n], due = false;

		if (l->got[n] > 1)
			return wrong(a, no, n, "came more than once");
		switch (sent) {
		case T_TRYING:
			if (l->end != T_KILLED)
				return wrong(a, no, n, "the test has lost its thread");
			break;
		case T_NONE:
		case T_REFUSED:
		case T_PIPE:
			sums->tally.pipe += sent == T_PIPE;
			if (got)
				return wrong(a, no, n, "came, though it was refused");
			break;
		case T_SENT:
			sums->tally.sent++;
			due = true;
			break;
		case T_CANCELLED:
			sums->tally.cancelled++;
			due = !gone_on; /* the next daemon drops requests to the last one */
			break;
		case T_ANSWERED:
			sums->tally.answered++;
			if (!got)
				return wrong(a, no, n, "was answered, but never came");
			break;
		case T_RESET:
			sums->tally.reset++;
			if (!got && !(*taken)--)
				return wrong(a, no, n, "-ECONNRESET, but never came");
			break;
		case T_OPEN:
			sums->tally.open++;
			break;
		case T_TIMEDOUT:
			sums->tally.timedout++;
			break;
		}
		if (!due || got)
			continue;
		/* A dead daemon takes with it the commands that it had not taken, and none before those. */
		if (ended && n >= l->last) {
			if (!told && l->to_the_end)
				return wrong(a, no, n, "was lost, and nobody told");
			sums->tally.lost++;
		} else if (gone_on && *taken) {
			--*taken;
			sums->lost_taken++;
		} else {
			return wrong(a, no, n, "was accepted, but never came");
		}
	}
	return NULL;
}

const char *t_check_ledger(const struct t_arena *a, struct t_sums *sums)
{
	uint32_t daemons[T_DAEMONS] = {0}, taken[T_DAEMONS] = {0};
	uint32_t sessions = a->sessions < T_SESSIONS ? a->sessions : T_SESSIONS;
	const char *what;

	for (uint32_t i = 0; i < a->daemons; i++) {
		if (!a->daemon[i].chan)
			continue;
		daemons[a->daemon[i].chan - 1]++;
		taken[a->daemon[i].chan - 1] += a->daemon[i].taking;
		sums->resumed += a->daemon[i].chan != i + 1;
	}
	for (uint32_t no = 0; no < sessions; no++) {
		const struct t_session *l = &a->session[no];

		what = check_session(a, no, daemons[l->chan], &taken[l->chan], sums);
		if (what)
			return what;
	}
	sums->sessions += sessions;
	return NULL;
}

void t_add_tallies(const struct t_arena *a, struct t_sums *sums)
{
	struct t_tally *s = &sums->tally;

	for (unsigned int i = 0; i <= T_SHELLS; i++) {
		const struct t_tally *p = &a->tally[i];

		s->ops += p->ops;
		s->connects += p->connects;
		s->published += p->published;
		s->reads += p->reads;
		s->in_place += p->in_place;
		s->held += p->held;
		s->in_a_row += p->in_a_row;
		s->refused += p->refused;
		s->cut += p->cut;
		s->missed += p->missed;
		s->received += p->received;
	}
}

#define N(x) ((unsigned long long)(x))

void t_print_sums(const struct t_sums *sums)
{
	const struct t_tally *s = &sums->tally;

	printf("# %llu sessions; %llu times a daemon went on with a channel\n", N(sums->sessions), N(sums->resumed));
	printf("# one-way commands: %llu accepted, %llu of them lost with their daemon, %llu taken by a dying one\n",
	       N(s->sent), N(s->lost), N(sums->lost_taken));
	printf("# requests: %llu answered, %llu timed out, %llu cancelled, %llu -ECONNRESET, %llu -EPIPE, %llu left "
	       "open\n",
	       N(s->answered), N(s->timedout), N(s->cancelled), N(s->reset), N(s->pipe), N(s->open));
	printf("# versions: %llu published; %llu read, %llu in place, %llu missed and counted\n", N(s->published),
	       N(s->reads), N(s->in_place), N(s->missed));
	printf("# held and let go: %llu; read by lossless shells: %llu; publishes refused: %llu, shells cut off: "
	       "%llu\n",
	       N(s->held), N(s->in_a_row), N(s->refused), N(s->cut));
}

/* SPDX-License-Identifier: MIT */
/*
 * A daemon of load/torture.c: publishes in one thread, receives and answers in another, and notes in the ledger what it
 * has taken.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/torture.h"

#define KEPT 32 /* requests to be answered later */
#define MANY 32

struct daemon {
	struct t_arena *a;
	struct t_daemon *me;
	struct t_tally *tally;
	struct vt_step *step;
	struct venom_daemon *d;
	uint32_t chan;
	uint64_t rng;
	int fds; /* open descriptors before create */
	struct {
		struct venom_command cmd;
		struct vt_message m;
	} kept[KEPT];
	unsigned int nkept;
};

/* ---- publishing ---- */

/* Return false if lossless readers or holders leave no free buffer. */
static bool publish(struct daemon *dm, char *buf, uint64_t v, bool in_place)
{
	size_t len = t_len(dm->a, dm->chan, v), capacity;
	uint32_t word = t_word(dm->a, dm->chan, v);
	int rc = 0;

	vt_store(&dm->a->daemon[dm->chan].publishing, v);
	if (in_place) {
		buf = venom_daemon_write_begin(dm->d, &capacity);
		rc = buf ? 0 : -errno;
		if (!rc) {
			VT_CHECK(capacity == dm->a->cfg.data_size);
			vt_fill(buf, len, word);
			VT_CHECK(!venom_daemon_write_commit(dm->d, len));
		}
	} else {
		vt_fill(buf, len, word);
		rc = venom_daemon_publish(dm->d, buf, len);
	}
	VT_CHECK(!rc || (rc == -EAGAIN && dm->a->heed));
	if (rc)
		return false;
	VT_CHECK(dm->a->heed ? venom_daemon_version(dm->d) >= v : venom_daemon_version(dm->d) == v);
	vt_store(&dm->a->daemon[dm->chan].published, v);
	vt_add(&dm->tally->published, 1);
	return true;
}

static void *publisher(void *arg)
{
	struct daemon *dm = arg;
	struct venom_daemon_stats st;
	char *buf = malloc(dm->a->cfg.data_size);
	/*
	 * With skipped numbers, the version number does not count the versions published; the last daemon may not have
	 * noted its last one.
	 */
	uint64_t v = dm->a->heed ? vt_load(&dm->a->daemon[dm->chan].published) + 1 : venom_daemon_version(dm->d) + 1;

	VT_CHECK(buf);
	do { /* at least one: the last daemon may have died in its only version */
		if (publish(dm, buf, v, v % 3 == 0))
			v++;
		else
			vt_add(&dm->tally->refused, 1);
		if (dm->a->pause_us)
			usleep(dm->a->pause_us);
	} while (!vt_load(&dm->me->quit) && vt_load(&dm->a->stop) < 2);
	VT_CHECK(!venom_daemon_stats(dm->d, &st) && !(dm->a->strict && st.cut));
	vt_add(&dm->tally->cut, st.cut);
	if (vt_load(&dm->a->stop) == 2)
		vt_store(&dm->a->final, venom_daemon_version(dm->d) + 1);
	free(buf);
	return NULL;
}

/* ---- serving ---- */

static void answer(struct daemon *dm, const struct venom_command *cmd, struct vt_message m)
{
	char buf[VT_MESSAGE_MAX];
	uint32_t len;
	int rc;

	m.kind |= VT_ANSWER;
	len = vt_put(buf, dm->a->cfg.resp_size, dm->a->seed, m);
	rc = venom_daemon_respond(dm->d, cmd, buf, len);
	VT_CHECK(rc == 0 || rc == -EPIPE || rc == -ESTALE);
	if (vt_rand(&dm->rng) % 8)
		return;
	/* A second answer must be refused. */
	rc = venom_daemon_respond(dm->d, cmd, buf, len);
	VT_CHECK(rc == -EALREADY || rc == -EPIPE || rc == -ESTALE);
}

static void answer_kept(struct daemon *dm, unsigned int i)
{
	answer(dm, &dm->kept[i].cmd, dm->kept[i].m);
	dm->kept[i] = dm->kept[--dm->nkept];
}

/* Note a received command, and check that it is possible. */
static void note(struct daemon *dm, const struct venom_command *cmd, struct vt_message *m)
{
	struct t_arena *a = dm->a;
	struct t_session *l;

	VT_CHECK(vt_get(cmd->data, cmd->len, a->cfg.cmd_size, a->seed, m));
	VT_CHECK(m->who < T_SESSIONS && m->seq < T_COMMANDS);
	l = &a->session[m->who];
	if (m->seq < l->last || l->chan != dm->chan)
		fprintf(stderr, "# of session %u of channel %u came %llu to channel %u, after %u\n", m->who, l->chan,
			(unsigned long long)m->seq, dm->chan, l->last - 1);
	VT_CHECK(m->seq >= l->last);
	VT_CHECK(l->chan == dm->chan && l->id == cmd->client_id && l->pid == cmd->pid);
	VT_CHECK(!(cmd->flags & VENOM_CMD_REQUEST) == !m->kind);
	VT_CHECK(!(a->cfg.flags & VENOM_ORDER_ARRIVAL) == !cmd->time_ns && cmd->time_ns <= vt_now());
	l->got[m->seq]++;
	l->last = (uint32_t)m->seq + 1;
	dm->tally->received++;
}

/* The shell waits for the answer to kind 1, however long it takes; not to kind 3. */
static void serve(struct daemon *dm, const struct venom_command *cmd, struct vt_message m)
{
	uint64_t r = vt_rand(&dm->rng);

	if (!m.kind || (m.kind == 3 && r % 2))
		return;
	if (r / 2 % 4 || dm->nkept == KEPT) {
		answer(dm, cmd, m);
		return;
	}
	dm->kept[dm->nkept].cmd = *cmd;
	dm->kept[dm->nkept++].m = m;
}

/* Make one receive in one of its forms; return the number of commands. */
static int receive(struct daemon *dm)
{
	static const int64_t timeouts[] = {0, 200000, 2 * VT_MS, 5 * VT_MS};
	struct venom_command cmd[MANY];
	struct vt_message m[MANY];
	struct pollfd pfd = {.fd = venom_daemon_fd(dm->d), .events = POLLIN};
	uint64_t r = vt_rand(&dm->rng);
	unsigned int n = r % 4 ? 1 : 1 + (unsigned int)(r >> 8) % MANY;
	int64_t timeout = timeouts[(r >> 16) % 4];
	int rc;

	if ((r >> 20) % 8 == 0) {
		vt_step(dm->step, "arm, poll", 0);
		rc = venom_daemon_arm(dm->d);
		VT_CHECK(rc == 0 || rc == 1);
		if (!rc)
			poll(&pfd, 1, 2);
		timeout = 0;
	}
	if ((r >> 24) % 64 == 0)
		usleep((r >> 32) % 3000); /* lanes fill up */
	vt_step(dm->step, n > 1 ? "receive_many" : "receive", n);
	vt_store(&dm->me->taking, n);
	rc = n > 1 ? venom_daemon_receive_many(dm->d, cmd, n, timeout) : venom_daemon_receive(dm->d, cmd, timeout);
	VT_CHECK(rc >= 0 && rc <= (int)n);
	for (int i = 0; i < rc; i++)
		note(dm, &cmd[i], &m[i]);
	vt_store(&dm->me->taking, 0);
	vt_step(dm->step, "respond", (uint64_t)rc);
	for (int i = 0; i < rc; i++)
		serve(dm, &cmd[i], m[i]);
	while (dm->nkept && (!rc || vt_rand(&dm->rng) % 4 == 0))
		answer_kept(dm, (unsigned int)(vt_rand(&dm->rng) % dm->nkept));
	dm->tally->ops += 1 + (uint64_t)rc;
	return rc;
}

/* All shells have gone, and all that the daemon had for them has been freed. */
static bool deserted(struct daemon *dm)
{
	struct venom_daemon_stats st;

	VT_CHECK(!venom_daemon_stats(dm->d, &st) && !st.evicted);
	return !st.clients && !receive(dm) && vt_count_fds() == dm->fds + dm->a->daemon_fds &&
	       vt_count_areas() == dm->a->daemon_areas;
}

int t_daemon_main(struct vt_peer *self, void *arg)
{
	struct t_role *role = arg;
	struct t_arena *a = role->a;
	struct daemon *dm = calloc(1, sizeof(*dm));
	struct venom_info info;
	pthread_t thread;
	int rc;

	(void)self;
	VT_CHECK(dm);
	dm->a = a;
	dm->me = &a->daemon[role->who];
	dm->tally = &a->tally[T_SHELLS];
	dm->step = &a->step[T_SHELLS];
	dm->rng = role->seed;
	dm->chan = role->who;
	vt_store(&dm->me->pid, (uint32_t)getpid());
	dm->fds = vt_count_fds();
	vt_step(dm->step, "create", role->who);
	rc = venom_daemon_create(&dm->d, a->name, &a->cfg);
	if (rc)
		fprintf(stderr, "# create gave errno %d (%s)\n", rc, venom_errmsg());
	VT_CHECK(!rc && !venom_daemon_info(dm->d, &info));
	if (!role->who) { /* no shell has connected yet */
		a->daemon_fds = vt_count_fds() - dm->fds;
		a->daemon_areas = vt_count_areas();
	}
	if (a->resume && info.epoch > 1)
		dm->chan = vt_load(&a->chan);
	else
		VT_CHECK(venom_daemon_version(dm->d) == 0);
	vt_store(&a->chan, dm->chan);
	vt_store(&dm->me->chan, dm->chan + 1);
	VT_CHECK(!pthread_create(&thread, NULL, publisher, dm));
	vt_store(&dm->me->ready, 1);
	while (!vt_load(&dm->me->quit) && !vt_load(&a->end))
		receive(dm);
	VT_CHECK(!pthread_join(thread, NULL));
	if (vt_load(&a->end))
		VT_CHECK(VT_UNTIL(deserted(dm)));
	vt_step(dm->step, "destroy", role->who);
	venom_daemon_destroy(dm->d);
	free(dm);
	return 0;
}

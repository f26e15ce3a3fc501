/* SPDX-License-Identifier: MIT */
/*
 * The shell's waits: for a newer version, an answer, room in its lane, or several of these.
 *
 *	venom_shell_wait_for	spins, arms the sleeping word, looks again, sleeps (plane/wait.h)
 *	venom_shell_arm		the same in steps, for a shell that sleeps in a poll of its own
 */
#include "calls/shell.h"

#define ARM_NS	    100000000 /* how long venom_shell_arm() waits for the manager, the first time only */
#define UNFENCED_NS 1000000 /* without membarrier(2): a sleeper on a full lane looks again at this interval */
#define CHECK_NS    2000000 /* if a kill is not marked: a spinning shell asks the kernel at this interval */

static bool any_answered(struct shell_wait *w)
{
	struct venom_shell *s = w->s;

	for (uint32_t i = 0, left = s->nopen; left; i++) {
		if (!s->open[i].tag)
			continue;
		left--;
		if (answered(s, &s->open[i])) {
			w->found = &s->open[i];
			return true;
		}
	}
	return false;
}

static inline bool shell_ready(struct shell_wait *w)
{
	struct venom_shell *s = w->s;

	if (w->what & VENOM_WAIT_STATE) {
		uint64_t v = venom_ring_await(&s->ring, w->version);

		/* A read after this must not give an older version, though `latest` may still name one. */
		if (v > s->seen)
			s->seen = v;
		if (v)
			return true;
	}
	if (w->what & VENOM_WAIT_ANSWER) {
		if (w->one ? answered(s, w->one) : any_answered(w))
			return true;
	}
	return (w->what & VENOM_WAIT_ROOM) && venom_lane_room(s);
}

static bool wait_ready(void *w)
{
	return shell_ready(w);
}

static bool wait_one_cpu(void *p)
{
	struct shell_wait *w = p;
	const struct venom_state *st = w->s->state;

	return on_one_cpu(&w->s->cmd->cpu, w->what & VENOM_WAIT_STATE ? &st->publish_cpu : &st->cpu);
}

static int wait_beat(void *p, int64_t now)
{
	struct shell_wait *w = p;
	struct venom_shell *s = w->s;

	if (death_seen(s)) {
		if (venom_shell_gone(s))
			return -EPIPE;
		/* A wait for an answer ends: its caller finds out whether its own request is lost. */
		return (w->what & VENOM_WAIT_ANSWER) && s->nlost ? -ECONNRESET : 0;
	}
	if (!death_is_marked(s) && now > s->next_check) { /* a sleep sees a death without this */
		s->next_check = now + CHECK_NS;
		count_up(&s->cmd->counts.checks, 1);
		return venom_shell_gone(s) ? -EPIPE : 0;
	}
	return 0;
}

/* model: wake, wake-state, wake-module */
static void shell_arm(struct venom_shell *s, uint32_t what)
{
	uint32_t bits = (what & VENOM_WAIT_STATE ? VENOM_ASLEEP_STATE : 0) |
			(what & VENOM_WAIT_ANSWER ? VENOM_ASLEEP_ANSWER : 0) |
			(what & VENOM_WAIT_ROOM ? VENOM_ASLEEP_ROOM : 0);

	s->arm += VENOM_ASLEEP_STEP;
	venom_arm(&s->cmd->sleeping, s->arm | bits);
	s->unarmed = (what & VENOM_WAIT_STATE) && s->be->arm_state && !s->be->arm_state(s);
	/* The daemon takes commands without a fence: a wait for room, which is rare, pays for both sides. */
	if (what & VENOM_WAIT_ROOM)
		s->unfenced = !venom_membarrier_daemons();
}

/* model: wake, wake-state, wake-module */
static void shell_disarm(struct venom_shell *s)
{
	store_relaxed(&s->cmd->sleeping, s->arm);
	if (s->be->disarm_state)
		s->be->disarm_state(s);
}

static void wait_cancel_point(void *p)
{
	(void)p;
	pthread_testcancel();
}

static void wait_arm(void *p)
{
	struct shell_wait *w = p;

	shell_arm(w->s, w->what);
}

static void wait_disarm(void *p)
{
	shell_disarm(((struct shell_wait *)p)->s);
}

int venom_shell_sleep(struct venom_shell *s, int64_t ns)
{
	int rc = epoll_sleep(s->sleep_fd, ns);

	if (rc <= 1)
		return rc;
	return s->be->alive(s) ? 1 : -EPIPE;
}

/* Sleep; if the thread is cancelled in there, disarm.  (A function of its own: the cleanup handler costs a setjmp.) */
static __attribute__((noinline)) int sleep_cancelled(struct shell_wait *w, int64_t ns)
{
	int rc;

	pthread_cleanup_push(wait_disarm, w);
	rc = w->s->be->shell_sleep(w->s, ns);
	pthread_cleanup_pop(0);
	return rc;
}

static int wait_sleep(void *p, int64_t ns)
{
	struct shell_wait *w = p;
	struct venom_shell *s = w->s;
	int rc;

	if (s->unarmed)
		return 1; /* the next beat sees the daemon's death; or another one is here, which would not wake us */
	count_up(&s->cmd->counts.sleeps, 1);
	if ((w->what & VENOM_WAIT_ROOM) && s->unfenced && (ns < 0 || ns > UNFENCED_NS))
		ns = UNFENCED_NS;
	rc = sleep_cancelled(w, ns);
	if (rc == -EPIPE)
		venom_shell_has_died(s);
	return rc;
}

static const struct venom_wait_ops shell_wait_ops = {
	.ready = wait_ready,
	.one_cpu = wait_one_cpu,
	.beat = wait_beat,
	.cancel_point = wait_cancel_point,
	.arm = wait_arm,
	.disarm = wait_disarm,
	.sleep = wait_sleep,
};

/* Make the publisher check our sleeping word; only the first time costs anything.  1, or 0 at time-out. */
static int watch_state(struct venom_shell *s, int64_t timeout_ns)
{
	NO_CANCEL;
	int rc = s->watching ? 1 : s->be->watch(s, timeout_ns);

	if (rc == 1)
		s->watching = true;
	else if (rc == -EPIPE) /* make it known to all calls, also if the kernel marks no owner's death */
		venom_shell_gone(s);
	return rc;
}

/* Undo venom_shell_arm(): disarm, and clear the descriptor, so that the user's next poll of it sleeps. */
/* model: wake */
static void user_disarm(struct venom_shell *s)
{
	if (!s->armed)
		return;
	s->armed = false;
	shell_disarm(s);
	s->be->shell_sleep(s, 0);
}

int venom_shell_wait_for(struct shell_wait *w, int64_t timeout_ns)
{
	struct venom_shell *s = w->s;
	int rc;

	user_disarm(s);
	rc = venom_wait_for(&shell_wait_ops, w, &s->spin, timeout_ns);
	if (rc == 0 && timeout_ns == 0 && !venom_shell_idle(s))
		rc = shell_ready(w) ? 1 : -EPIPE;
	return rc;
}

VENOM_API int venom_shell_wait(struct venom_shell *s, uint64_t version, int64_t timeout_ns)
{
	struct shell_wait w = {.s = s, .what = VENOM_WAIT_STATE, .version = version};
	int64_t start;
	int rc;

	if (timeout_ns != 0 && s->spin.ns != VENOM_SPIN_FOREVER && !s->watching && !shell_ready(&w)) {
		start = now_ns();
		rc = watch_state(s, timeout_ns);
		if (rc <= 0)
			return shell_ready(&w) ? 1 : rc;
		if (timeout_ns > 0) {
			timeout_ns -= now_ns() - start;
			if (timeout_ns < 0)
				timeout_ns = 0;
		}
	}
	return venom_shell_wait_for(&w, timeout_ns);
}

VENOM_API int venom_shell_room(struct venom_shell *s, int64_t timeout_ns)
{
	struct shell_wait w = {.s = s, .what = VENOM_WAIT_ROOM};

	if (!s->may_command)
		return -EACCES;
	if (death_seen(s) && venom_shell_gone(s))
		return -EPIPE;
	return venom_shell_wait_for(&w, timeout_ns);
}

VENOM_API int venom_shell_fd(struct venom_shell *s)
{
	return s->sleep_fd;
}

/* model: wake, takeover */
VENOM_API int venom_shell_arm(struct venom_shell *s, uint32_t what, uint64_t version)
{
	struct shell_wait w = {.s = s, .what = what, .version = version};
	bool ready;
	int rc;

	if (!what || (what & ~(VENOM_WAIT_STATE | VENOM_WAIT_ANSWER | VENOM_WAIT_ROOM)))
		return -EINVAL;
	if (death_seen(s))
		venom_shell_gone(s);
	if ((what & VENOM_WAIT_ANSWER) && s->nlost)
		return 1;
	if (shell_ready(&w))
		return 1;
	/* The first time, the manager notes that we wait; if it is slow (maybe stopped), it signals the descriptor. */
	if ((what & VENOM_WAIT_STATE) || s->watch_asked) {
		rc = watch_state(s, s->watch_asked ? 0 : ARM_NS);
		if (rc < 0)
			return shell_ready(&w) ? 1 : rc;
	}
	do {
		user_disarm(s);
		shell_arm(s, what);
		s->armed = true;
		ready = shell_ready(&w);
		if (!ready && !venom_shell_alive(s))
			return -EPIPE;
		/* If another daemon has come just now, user_disarm may have cleared the last one's death signal. */
		if (ready || ((what & VENOM_WAIT_ANSWER) && s->nlost)) {
			user_disarm(s);
			return 1;
		}
	} while (s->unarmed);
	return s->unfenced && (what & VENOM_WAIT_ROOM) ? -ENOSYS : 0;
}

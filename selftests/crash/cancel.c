/* SPDX-License-Identifier: MIT */
/*
 * Attacks with pthread_cancel().  It must end a thread that waits in the library, and leave the handle usable: the next
 * waiter is woken.  Anywhere else it must take effect only after the call, which leaks nothing and leaves nothing half
 * done.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"

#define SIZE 20

FIXTURE(cancel)
{
	struct vt_peer p;
	struct venom_config *cfg;
	const char *name;
};

FIXTURE_VARIANT(cancel)
{
	int64_t spin_ns;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(cancel, block) { .spin_ns = VENOM_SPIN_NONE };
FIXTURE_VARIANT_ADD(cancel, adaptive) { .spin_ns = VENOM_SPIN_ADAPTIVE };
FIXTURE_VARIANT_ADD(cancel, busy_poll) { .spin_ns = VENOM_SPIN_FOREVER };
/* clang-format on */

/* The test's own process has one end, the peer has the other. */
FIXTURE_SETUP(cancel)
{
	self->cfg = vt_config();
	self->cfg->cmd_slots = 4;
	self->cfg->spin_ns = variant->spin_ns;
	self->name = vt_name();
	vt_start(&self->p);
}

FIXTURE_TEARDOWN(cancel)
{
	pp_end(0, 0, 0);
	EXPECT_EQ(0, vt_call(&self->p, pp_end));
	EXPECT_EQ(0, vt_stop(&self->p));
}

/* Joins a thread for VT_PATIENCE_S at most: returns the thread's result, or &hangs. */
static char hangs;

static void *end_of(pthread_t t)
{
	struct timespec until;
	void *result = &hangs;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += VT_PATIENCE_S;
	return pthread_timedjoin_np(t, &result, &until) ? &hangs : result;
}

#define CANCELLED(t) (pthread_cancel(t) ? &hangs : end_of(t))

/* A wait that is not woken ends at its time-out only: WOKEN says that the wait ended well before that. */
static uint64_t started;
#define WOKEN (vt_now() - started < (uint64_t)VT_PATIENCE_S * VT_S / 2)

/* Long enough for a thread to enter its wait.  If it has not yet, the cancellation is pending when it gets there. */
static void let_it_wait(void)
{
	vt_sleep_ms(20);
}

/* ---- calls for the peer ---- */

static long request_later(long ms, long v, long c)
{
	vt_sleep_ms((int)ms);
	return ps_request(v, SIZE, c - 1);
}

static long echo_later(long ms, long b, long c)
{
	vt_sleep_ms((int)ms);
	return pd_echo(1, b, c);
}

/* Receives all commands that are there. */
static long drain(long a, long b, long c)
{
	struct venom_command cmd;

	while (venom_daemon_receive(pd, &cmd, 0) == 1)
		;
	return a + b + c;
}

/* ---- a thread that waits ---- */

#ifdef VT_ASAN
#define unwinds() SKIP(return, "the address sanitizer doesn't know of the frames that a cancelled thread leaves")
#else
#define unwinds()
#endif

static void *t_receive(void *arg)
{
	struct venom_command cmd;

	return (void *)(long)venom_daemon_receive(arg, &cmd, -1);
}

static void *t_receive_timed(void *arg)
{
	struct venom_command cmd;

	return (void *)(long)venom_daemon_receive(arg, &cmd, 1000 * VT_S);
}

static void *t_receive_many(void *arg)
{
	struct venom_command cmds[8];

	return (void *)(long)venom_daemon_receive_many(arg, cmds, 8, -1);
}

static int no_handler(struct venom_daemon *d, const struct venom_command *cmd, void *user)
{
	(void)d;
	(void)cmd;
	(void)user;
	return 1;
}

static void *t_run(void *arg)
{
	return (void *)(long)venom_daemon_run(arg, no_handler, NULL);
}

static void *(*const receivers[])(void *) = {t_receive, t_receive_timed, t_receive_many, t_run};

TEST_F(cancel, who_receives)
{
	struct venom_command cmd;
	pthread_t t;

	unwinds();
	ASSERT_EQ(0, pd_create((long)self->name, (long)self->cfg, 0));
	ASSERT_EQ(0, vt_call(&self->p, ps_connect, self->name));
	for (unsigned int i = 0; i < 3 * ARRAY_SIZE(receivers); i++) {
		ASSERT_EQ(0, pthread_create(&t, NULL, receivers[i % ARRAY_SIZE(receivers)], pd));
		let_it_wait();
		ASSERT_EQ(PTHREAD_CANCELED, CANCELLED(t)) TH_LOG("receiver %u", i);
		/* The next receiver sleeps, is woken, and answers. */
		started = vt_now();
		vt_post(&self->p, request_later, 20, i + 1);
		ASSERT_EQ(1, venom_daemon_receive(pd, &cmd, VT_PATIENCE_S * VT_S)) TH_LOG("after receiver %u", i);
		ASSERT_TRUE(WOKEN) TH_LOG("after receiver %u", i);
		ASSERT_TRUE(vt_is(cmd.data, SIZE, i + 1));
		ASSERT_EQ(0, venom_daemon_respond(pd, &cmd, cmd.data, cmd.len));
		ASSERT_EQ(i + 1, vt_result(&self->p));
	}
}

static uint64_t tag;

static void *t_wait(void *arg)
{
	return (void *)(long)venom_shell_wait(arg, venom_shell_version(arg), -1);
}

static void *t_request(void *arg)
{
	char buf[SIZE];

	return (void *)venom_shell_request(arg, "x", 1, buf, sizeof(buf), -1);
}

static void *t_complete(void *arg)
{
	char buf[SIZE];

	return (void *)venom_shell_complete(arg, &tag, buf, sizeof(buf), -1);
}

static void *t_room(void *arg)
{
	while (!venom_shell_send(arg, "x", 1))
		;
	return (void *)(long)venom_shell_room(arg, -1);
}

static const struct {
	const char *what;
	void *(*wait)(void *);
} waiters[] = {{"wait", t_wait}, {"request", t_request}, {"complete", t_complete}, {"room", t_room}};

TEST_F(cancel, who_waits_as_a_shell)
{
	char buf[SIZE];
	pthread_t t;
	long v = 0;

	unwinds();
	ASSERT_EQ(0, vt_call(&self->p, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, ps_connect((long)self->name, 0, 0));
	ASSERT_EQ(0, venom_shell_set_spin(ps, variant->spin_ns));
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(waiters); i++) {
		const char *what = waiters[i % ARRAY_SIZE(waiters)].what;

		if (waiters[i % ARRAY_SIZE(waiters)].wait == t_complete) {
			ASSERT_EQ(0, venom_shell_submit(ps, "x", 1, &tag));
		}
		ASSERT_EQ(0, pthread_create(&t, NULL, waiters[i % ARRAY_SIZE(waiters)].wait, ps));
		let_it_wait();
		ASSERT_EQ(PTHREAD_CANCELED, CANCELLED(t)) TH_LOG("%s", what);
		/* A publish wakes the next waiter. */
		v++;
		started = vt_now();
		vt_post(&self->p, pd_publish_later, 20, v, SIZE);
		ASSERT_EQ(1, venom_shell_wait(ps, (uint64_t)v - 1, VT_PATIENCE_S * VT_S)) TH_LOG("after %s", what);
		ASSERT_TRUE(WOKEN) TH_LOG("after %s", what);
		ASSERT_EQ(0, vt_result(&self->p));
		ASSERT_EQ(SIZE, venom_shell_read(ps, buf, sizeof(buf), NULL));
		ASSERT_TRUE(vt_is(buf, SIZE, (uint32_t)v));
		/* An answer does, too, once the daemon has taken the earlier commands. */
		ASSERT_EQ(0, vt_call(&self->p, drain));
		vt_fill(buf, SIZE, 7);
		started = vt_now();
		vt_post(&self->p, echo_later, 20);
		ASSERT_EQ(SIZE, venom_shell_request(ps, buf, SIZE, buf, SIZE, VT_PATIENCE_S * VT_S))
		TH_LOG("after %s: the request got no answer", what);
		ASSERT_TRUE(WOKEN) TH_LOG("after %s", what);
		ASSERT_TRUE(vt_is(buf, SIZE, 7));
		ASSERT_EQ(0, vt_result(&self->p));
	}
}

/* ---- a thread that is cancelled while it does not wait ---- */

/* Calls fn with a cancellation pending; `done` is set if fn returned. */
struct pending {
	int (*fn)(void *arg);
	void *arg;
	int rc;
	bool done;
};

static void *t_pending(void *arg)
{
	struct pending *p = arg;
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	p->rc = p->fn(p->arg);
	__atomic_store_n(&p->done, true, __ATOMIC_RELEASE);
	pthread_testcancel();
	return NULL;
}

/* Returns 0 or fn's own errno; 1: fn hangs; 2: cancelled inside fn; 3: not cancelled after fn, either. */
static int with_pending(int (*fn)(void *), void *arg)
{
	static struct pending p; /* static: a thread that hangs goes on with it */
	pthread_t t;
	void *end;

	p = (struct pending){.fn = fn, .arg = arg};
	if (pthread_create(&t, NULL, t_pending, &p))
		return -EAGAIN;
	end = end_of(t);
	if (end == &hangs)
		return 1;
	if (!__atomic_load_n(&p.done, __ATOMIC_ACQUIRE))
		return 2;
	return end == PTHREAD_CANCELED ? p.rc : 3;
}

static int c_create(void *name)
{
	return venom_daemon_create(&pd, name, NULL);
}

static int c_destroy(void *arg)
{
	venom_daemon_destroy(arg);
	return 0;
}

static int c_connect(void *name)
{
	return venom_shell_connect(&ps, name);
}

static int c_close(void *arg)
{
	venom_shell_close(arg);
	return 0;
}

static int count_one(const struct venom_info *info, void *n)
{
	++*(int *)n;
	return info->alive > 1;
}

static int c_list(void *arg)
{
	int n = 0;

	(void)arg;
	return venom_list(count_one, &n) > 0 ? 0 : -ENOENT;
}

static int c_stat(void *name)
{
	return venom_stat(name, NULL, NULL, NULL, NULL);
}

static int c_stop(void *arg)
{
	return venom_daemon_stop(arg);
}

static int c_publish(void *arg)
{
	char buf[SIZE];

	vt_fill(buf, SIZE, 3);
	return venom_daemon_publish(arg, buf, SIZE);
}

static int c_send(void *arg)
{
	char buf[SIZE];

	vt_fill(buf, SIZE, 4);
	return venom_shell_send(arg, buf, SIZE);
}

static struct venom_command taken;

static int c_respond(void *arg)
{
	return venom_daemon_respond(arg, &taken, taken.data, taken.len);
}

static int c_arm(void *arg)
{
	int rc = venom_shell_arm(arg, VENOM_WAIT_STATE, venom_shell_version(arg));

	return rc == 1 ? 0 : rc;
}

TEST_F(cancel, in_the_middle_of_a_life)
{
	int fds, areas, one;

	/* The first thread of a process and the first look at a channel each leave something open for good. */
	ASSERT_EQ(0, c_create((char *)self->name));
	c_list(NULL);
	venom_daemon_destroy(pd);
	pd = NULL;
	fds = vt_count_fds();
	areas = vt_count_areas();
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, with_pending(c_create, (char *)self->name)) TH_LOG("create, %s", venom_errmsg());
		ASSERT_EQ(0, with_pending(c_connect, (char *)self->name)) TH_LOG("connect");
		one = vt_count_fds();
		EXPECT_EQ(0, with_pending(c_list, NULL)) TH_LOG("list");
		EXPECT_EQ(0, with_pending(c_stat, (char *)self->name)) TH_LOG("stat");
		EXPECT_TRUE(VT_UNTIL(vt_count_fds() <= one)) TH_LOG("list or stat: %d descriptors, %d before", vt_count_fds(), one);
		ASSERT_EQ(0, with_pending(c_arm, ps)) TH_LOG("arm");
		ASSERT_EQ(0, with_pending(c_publish, pd)) TH_LOG("publish");
		ASSERT_EQ(3, ps_read(0, 0, 0));
		ASSERT_EQ(0, with_pending(c_send, ps)) TH_LOG("send");
		ASSERT_EQ(4, pd_receive(0, 0, 0));
		ASSERT_EQ(0, with_pending(c_stop, pd)) TH_LOG("stop");
		ASSERT_EQ(0, with_pending(c_close, ps)) TH_LOG("close");
		ps = NULL;
		ASSERT_EQ(0, with_pending(c_destroy, pd)) TH_LOG("destroy");
		pd = NULL;
		EXPECT_EQ(fds, vt_count_fds());
		EXPECT_EQ(areas, vt_count_areas());
		EXPECT_EQ(-ENOENT, vt_call(&self->p, ps_connect, self->name));
	}
}

/* A wake is a point at which the waking thread could be cancelled with its work half done. */
TEST_F(cancel, who_wakes)
{
	struct venom_shell *other;

	ASSERT_EQ(0, pd_create((long)self->name, (long)self->cfg, 0));
	ASSERT_EQ(0, vt_call(&self->p, ps_connect, self->name));
	ASSERT_EQ(0, vt_call(&self->p, ps_set_spin, variant->spin_ns));
	for (int i = 0; i < 5; i++) {
		vt_post(&self->p, ps_wait, i, -1);
		let_it_wait();
		ASSERT_EQ(0, with_pending(c_publish, pd)) TH_LOG("publish %d", i);
		ASSERT_EQ(1, vt_result(&self->p));
		vt_post(&self->p, ps_request, 9, SIZE, -1);
		ASSERT_EQ(1, venom_daemon_receive(pd, &taken, VT_PATIENCE_S * VT_S));
		let_it_wait();
		ASSERT_EQ(0, with_pending(c_respond, pd)) TH_LOG("respond %d", i);
		ASSERT_EQ(9, vt_result(&self->p));
	}
	/* Other shells connect, work and close as before. */
	ASSERT_EQ(0, venom_shell_connect(&other, self->name)) TH_LOG("%s", venom_errmsg());
	venom_shell_close(other);
	ASSERT_EQ(0, with_pending(c_destroy, pd));
	pd = NULL;
	EXPECT_EQ(-EPIPE, vt_call(&self->p, ps_wait, 5, -1));
}

TEST_F(cancel, who_wakes_the_daemon)
{
	ASSERT_EQ(0, vt_call(&self->p, pd_create, self->name, self->cfg));
	ASSERT_EQ(0, ps_connect((long)self->name, 0, 0));
	for (int i = 0; i < 5; i++) {
		vt_post(&self->p, pd_receive, -1);
		let_it_wait();
		ASSERT_EQ(0, with_pending(c_send, ps)) TH_LOG("send %d", i);
		ASSERT_EQ(4, vt_result(&self->p));
	}
}

TEST_HARNESS_MAIN

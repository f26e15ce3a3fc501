/* SPDX-License-Identifier: MIT */
/*
 * What the module costs against what a program would do without it, as ratios measured in one run: a wake against a
 * write to an eventfd, one call that wakes many against a write for each, a channel and a shell against memfds of the
 * same sizes, and a spinning request through either backend. The two are measured in turns, many times; a ratio is the
 * median over the turns. The figures are printed; the test only asserts that they could be measured, and no time.
 */
#include <sched.h>
#include <signal.h>

#include <time.h>

#include "lib/harness.h"
#include "lib/peer.h"
#include "kmod/common.h"

#define TURNS_MAX 101

/* Two things measured in turns: ns each, by turn. */
struct pair {
	double a[TURNS_MAX], b[TURNS_MAX];
	int turns;
};

static double median(const double *v, int n)
{
	double sorted[TURNS_MAX];

	memcpy(sorted, v, (size_t)n * sizeof(*v));
	vt_sort(sorted, (size_t)n);
	return sorted[n / 2];
}

static void add(struct pair *p, uint64_t a, uint64_t b, uint64_t n)
{
	p->a[p->turns] = (double)a / (double)n;
	p->b[p->turns++] = (double)b / (double)n;
}

/* Print both medians and the ratio; return the ratio. */
static double show(const struct pair *p, const char *what)
{
	double ratio[TURNS_MAX];
	int i;

	for (i = 0; i < p->turns; i++)
		ratio[i] = p->a[i] / p->b[i];
	printf("# %s: %.2f (%.0f ns / %.0f ns, %d turns)\n", what, median(ratio, p->turns), median(p->a, p->turns),
	       median(p->b, p->turns), p->turns);
	return median(ratio, p->turns);
}

/* ns that n executions of `what` take */
#define timed(n, what)                  \
	({                              \
		uint64_t t_ = vt_now(); \
		int left_ = (int)(n);   \
		while (left_--)         \
			what;           \
		vt_now() - t_;          \
	})

static void ring(int efd)
{
	uint64_t one = 1;

	VT_CHECK(write(efd, &one, sizeof(one)) == sizeof(one));
}

/* Skip on a kernel whose clock counts in ticks: it measures nothing here. */
#define need_a_clock()                                                                          \
	do {                                                                                    \
		struct timespec res_;                                                           \
                                                                                                \
		if (clock_getres(CLOCK_MONOTONIC, &res_) || res_.tv_sec || res_.tv_nsec > 1000) \
			SKIP(return, "this kernel's clock is too coarse");                      \
	} while (0)

TEST(wake_and_write)
{
	struct venom_ioc_create c = dev_create_init(vt_name());
	int n = (int)km_rounds(100000, 500), bell = km_efd(), other = km_efd();
	struct pair p = {.turns = 0};
	struct km_daemon d;
	struct km_shell s;
	uint64_t a, b;

	need_a_clock();
	ASSERT_EQ(0, km_daemon_make(&d, &c));
	ASSERT_EQ(0, km_shell_make(&s, c.name));
	ASSERT_EQ(0, dev_bell(d.fd, VENOM_BELL_WAKE, bell));
	while (p.turns < 31) {
		a = timed(n, VT_CHECK(!dev_wake(s.fd, VENOM_WAKE_DAEMON, 0)));
		b = timed(n, ring(other));
		add(&p, a, b, (uint64_t)n);
		ASSERT_EQ(n, km_signals(bell));
		ASSERT_EQ(n, km_signals(other));
	}
	EXPECT_LT(0, show(&p, "WAKE / write(2) to an eventfd"));
	km_shell_close(&s);
	km_daemon_close(&d);
}

FIXTURE(sleepers)
{
	struct venom_ioc_create c;
	struct km_daemon d;
	struct km_crowd crowd;
	int efd[VENOM_CLIENTS_MAX];
};

FIXTURE_VARIANT(sleepers)
{
	unsigned int n;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(sleepers, of_16) { .n = 16 };
FIXTURE_VARIANT_ADD(sleepers, of_1000) { .n = 1000 };
/* clang-format on */

FIXTURE_SETUP(sleepers)
{
	struct rlimit many = {4096, 4096};
	const char *name = vt_name();
	unsigned int i;

	self->c = dev_create_init(name);
	self->c.geo.max_clients = VENOM_CLIENTS_MAX;
	ASSERT_EQ(0, km_daemon_make(&self->d, &self->c));
	ASSERT_TRUE(km_crowd_start(&self->crowd, name, variant->n));
	setrlimit(RLIMIT_NOFILE, &many);
	for (i = 0; i < variant->n; i++) {
		self->efd[i] = km_efd();
		ASSERT_LE(0, self->efd[i]);
	}
}

FIXTURE_TEARDOWN(sleepers)
{
	km_crowd_end(&self->crowd);
	km_daemon_close(&self->d);
}

TEST_F(sleepers, woken_by_one_call_and_one_by_one)
{
	struct pair p = {.turns = 0};
	uint64_t a, b, word;
	char what[80];
	unsigned int i;

	need_a_clock();
	while (p.turns < 21) {
		ASSERT_EQ(variant->n, km_crowd_call(&self->crowd, km_crowd_sleep, VENOM_SLEEP_ARM));
		a = timed(1, VT_CHECK(dev_wake(self->d.fd, VENOM_WAKE_STATE, 0) == (int)variant->n));
		i = 0;
		b = timed(variant->n, ring(self->efd[i++]));
		add(&p, a, b, 1);
		for (i = 0; i < variant->n; i++) {
			ASSERT_EQ(sizeof(word), read(self->efd[i], &word, sizeof(word)));
		}
		ASSERT_EQ(variant->n, km_crowd_call(&self->crowd, km_crowd_rung, 0));
	}
	snprintf(what, sizeof(what), "WAKE_STATE of %u sleepers / as many write(2)", variant->n);
	EXPECT_LT(0, show(&p, what));
}

/* ---- a channel beside memfds ---- */

#define STATE_BYTES (1 << 20)

struct memfd {
	int fd;
	void *p;
	size_t size;
};

static void memfd_make(struct memfd *m, size_t size)
{
	m->size = size;
	m->fd = memfd_create("figures", MFD_CLOEXEC);
	VT_CHECK(m->fd >= 0 && !ftruncate(m->fd, (off_t)size) && !fallocate(m->fd, 0, 0, (off_t)size));
	m->p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	VT_CHECK(m->p != MAP_FAILED);
}

static void memfd_end(struct memfd *m)
{
	munmap(m->p, m->size);
	close(m->fd);
}

static void *map_again(const struct memfd *m)
{
	void *p = mmap(NULL, m->size, PROT_READ, MAP_SHARED, m->fd, 0);

	VT_CHECK(p != MAP_FAILED);
	return p;
}

TEST(create_and_memfd)
{
	struct venom_ioc_create c = dev_create_init(vt_name());
	struct pair p = {.turns = 0};
	struct memfd state, status;
	struct km_daemon d;
	uint64_t a, b;

	need_a_clock();
	c.geo.versions = 1;
	c.geo.data_size = STATE_BYTES - 2 * VENOM_PAGE;
	while (p.turns < 51) {
		a = timed(1, VT_CHECK(!km_daemon_make(&d, &c)));
		b = timed(1, (memfd_make(&state, d.c.state_size), memfd_make(&status, d.c.status_size)));
		add(&p, a, b, 1);
		memfd_end(&state);
		memfd_end(&status);
		km_daemon_close(&d);
	}
	EXPECT_LT(0, show(&p, "open, CREATE and maps / memfds of the same sizes (1 MiB, base pages)"));
}

TEST(connect_and_memfd)
{
	struct venom_ioc_create c = dev_create_init(vt_name());
	struct memfd state, status, commands, responses;
	struct pair p = {.turns = 0};
	void *state_map, *status_map;
	struct km_daemon d;
	struct km_shell s;
	uint64_t a, b;

	need_a_clock();
	c.geo.versions = 1;
	c.geo.data_size = STATE_BYTES - 2 * VENOM_PAGE;
	c.geo.cmd_slots = 64;
	c.geo.cmd_size = c.geo.resp_size = 256;
	ASSERT_EQ(0, km_daemon_make(&d, &c));
	memfd_make(&state, d.c.state_size);
	memfd_make(&status, d.c.status_size);
	while (p.turns < 51) {
		a = timed(1, VT_CHECK(!km_shell_make(&s, c.name)));
		b = timed(1, (memfd_make(&commands, s.c.commands_size), memfd_make(&responses, s.c.responses_size),
			      state_map = map_again(&state), status_map = map_again(&status)));
		add(&p, a, b, 1);
		memfd_end(&commands);
		memfd_end(&responses);
		munmap(state_map, state.size);
		munmap(status_map, status.size);
		km_shell_close(&s);
		ASSERT_EQ(0, dev_lane(d.fd, s.c.id, s.c.generation, VENOM_LANE_FREE));
	}
	EXPECT_LT(0, show(&p, "open, CONNECT and maps / memfds of the same sizes (2 lanes of 20 KiB)"));
	memfd_end(&state);
	memfd_end(&status);
	km_daemon_close(&d);
}

/* ---- a request through either backend ---- */

#define REQUESTS_MAX 4096

static struct {
	double p50, p99;
} * found; /* of the last turn; in memory that all processes share */

static long p_backend(long name, long cpu, long c)
{
	vt_pin((int)cpu);
	return setenv("VENOM_BACKEND", (const char *)name, 1) + c;
}

static long p_requests(long n, long b, long c)
{
	static double ns[REQUESTS_MAX];
	char msg[64] = {1}, answer[64];
	uint64_t t;
	long i;

	for (i = 0; i < n; i++) {
		t = vt_now();
		if (venom_shell_request(ps, msg, sizeof(msg), answer, sizeof(answer), -1) != sizeof(answer))
			return -1;
		ns[i] = (double)(vt_now() - t);
	}
	vt_sort(ns, (size_t)n);
	found->p50 = ns[n / 2];
	found->p99 = ns[n * 99 / 100];
	return b + c;
}

static long p_serve(long n, long b, long c)
{
	struct venom_command cmd;

	while (n--) {
		if (venom_daemon_receive(pd, &cmd, -1) != 1)
			return -1;
		if (venom_daemon_respond(pd, &cmd, cmd.data, cmd.len))
			return -2;
	}
	return b + c;
}

TEST(spinning_requests_on_both_backends)
{
	static const char *const backend[] = {"dev", "memfd"};
	long n = (long)km_rounds(20000, 200), i;
	struct pair p50 = {.turns = 0}, p99 = {.turns = 0};
	struct vt_peer dm[2], sh[2];
	struct venom_config *cfg = vt_config();
	double q50[2], q99[2];

	need_a_clock();
	if (vt_cpus() < 2)
		SKIP(return, "two that spin want two CPUs");
	n = n < REQUESTS_MAX ? n : REQUESTS_MAX;
	found = vt_shared(sizeof(*found));
	cfg->cmd_size = cfg->resp_size = 64;
	cfg->spin_ns = VENOM_SPIN_FOREVER;
	cfg->huge = VENOM_HUGE_NEVER;
	for (i = 0; i < 2; i++) {
		const char *name = vt_name();

		vt_start(&dm[i]);
		vt_start(&sh[i]);
		ASSERT_EQ(0, vt_call(&dm[i], p_backend, backend[i], 0));
		ASSERT_EQ(0, vt_call(&sh[i], p_backend, backend[i], 1));
		ASSERT_EQ(0, vt_call(&dm[i], pd_create, name, cfg)) TH_LOG("%s: %s", backend[i], vt_errmsg);
		ASSERT_EQ(0, vt_call(&sh[i], ps_connect, name)) TH_LOG("%s: %s", backend[i], vt_errmsg);
		ASSERT_EQ(0, vt_call(&sh[i], ps_set_spin, VENOM_SPIN_FOREVER));
	}
	while (p50.turns < 31) {
		for (i = 0; i < 2; i++) {
			vt_post(&dm[i], p_serve, n);
			ASSERT_EQ(0, vt_call(&sh[i], p_requests, n));
			ASSERT_EQ(0, vt_result(&dm[i]));
			q50[i] = found->p50;
			q99[i] = found->p99;
		}
		add(&p50, (uint64_t)q50[0], (uint64_t)q50[1], 1);
		add(&p99, (uint64_t)q99[0], (uint64_t)q99[1], 1);
	}
	EXPECT_LT(0, show(&p50, "spinning request of 64 bytes, p50, /dev/venom / embedded"));
	EXPECT_LT(0, show(&p99, "spinning request of 64 bytes, p99, /dev/venom / embedded"));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, vt_call(&sh[i], ps_close));
		EXPECT_EQ(0, vt_call(&dm[i], pd_destroy));
		EXPECT_EQ(0, vt_stop(&sh[i]));
		EXPECT_EQ(0, vt_stop(&dm[i]));
	}
}

TEST_HARNESS_MAIN

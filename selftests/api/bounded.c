/* SPDX-License-Identifier: MIT */
/*
 * Attacks the promptness of calls: under a timer's signals, beside a daemon that is stopped, and in a connect to a
 * daemon that spins for ever at real-time priority.  No call may take long, and each must end.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "internal.h" /* first: the harness takes ARRAY_SIZE from it */
#include "lib/harness.h"
#include "lib/peer.h"
#include "lib/watch.h"

#define MIB	(1ull << 20)
#define PROMPT	(5 * VT_S) /* the limit, where the fault takes 10 s */

/* ---- signals ---- */

static __thread volatile sig_atomic_t ticks; /* of this thread: a thread with blocked signals has none */

static void tick(int sig)
{
	(void)sig;
	ticks++;
}

static void timer(bool on, int flags)
{
	struct itimerval every = {.it_interval.tv_usec = on ? 1000 : 0, .it_value.tv_usec = on ? 1000 : 0};
	struct sigaction sa = {.sa_handler = tick, .sa_flags = flags};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

/*
 * As on a kernel before 6.10, or with huge pages, fallocate() ends with EINTR at a signal, and gives back what it had
 * so far.  (The library is linked to this function.)
 */
static bool fragile;
#define STEP ((off_t)(2 * MIB)) /* a huge page at least */

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	sig_atomic_t before = ticks;

	if (!fragile || mode)
		return (int)syscall(SYS_fallocate, fd, mode, offset, len);
	for (off_t done = 0; done < len; done += STEP) {
		off_t n = len - done < STEP ? len - done : STEP;

		if (syscall(SYS_fallocate, fd, 0, offset + done, n))
			return -1;
		if (ticks == before)
			continue;
		syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, done + n);
		errno = EINTR;
		return -1;
	}
	return 0;
}

FIXTURE(signals)
{
	struct venom_config cfg;
	const char *name;
};

FIXTURE_VARIANT(signals)
{
	int flags;
	bool fragile;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(signals, plain) { .flags = 0 };
FIXTURE_VARIANT_ADD(signals, restart) { .flags = SA_RESTART };
FIXTURE_VARIANT_ADD(signals, old_kernel) { .flags = 0, .fragile = true };
FIXTURE_VARIANT_ADD(signals, old_kernel_restart) { .flags = SA_RESTART, .fragile = true };
/* clang-format on */

FIXTURE_SETUP(signals)
{
	self->cfg = (struct venom_config)VENOM_CONFIG_INIT;
	self->cfg.huge = VENOM_HUGE_NEVER;
	self->name = vt_name();
	fragile = variant->fragile && !vt_on_dev();
}

FIXTURE_TEARDOWN(signals)
{
	timer(false, 0);
	pp_end(0, 0, 0);
}

/* Large enough that many signals come meanwhile. */
static uint64_t large(void)
{
	uint64_t size = vt_scaled(256) * MIB;

	return size < 32 * MIB ? 32 * MIB : size;
}

TEST_F(signals, create_of_much)
{
	struct venom_info info;
	long rc;

	self->cfg.versions = 1;
	self->cfg.data_size = large();
	timer(true, variant->flags);
	rc = pd_create((long)self->name, (long)&self->cfg, 0);
	timer(false, 0);
	EXPECT_LT(0, ticks);
	ASSERT_EQ(0, rc) TH_LOG("%s", venom_errmsg());
	ASSERT_EQ(0, venom_daemon_info(pd, &info));
	EXPECT_LE(self->cfg.data_size, info.state_bytes);
}

TEST_F(signals, connect_to_large_lanes)
{
	long rc;

	self->cfg.cmd_size = (uint32_t)(large() / 128);
	self->cfg.resp_size = (uint32_t)(large() / 128);
	ASSERT_EQ(0, pd_create((long)self->name, (long)&self->cfg, 0)) TH_LOG("%s", venom_errmsg());
	timer(true, variant->flags);
	rc = ps_connect((long)self->name, 0, 0);
	timer(false, 0);
	EXPECT_EQ(0, rc) TH_LOG("%s", venom_errmsg());
}

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static long pool(const char *file, long set)
{
	char path[100], text[32] = "";
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), POOL "%s", file);
	fd = open(path, (set >= 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (set >= 0)
		n = write(fd, text, (size_t)snprintf(text, sizeof(text), "%ld", set));
	else
		n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? atol(text) : -1;
}

/* Pages of the pool are cleared as they are taken: that takes long, and ends at a signal. */
TEST_F(signals, create_on_huge_pages)
{
	long had = pool("nr_hugepages", -1), pages = 64, rc = 0;
	struct venom_info info = {.page_size = 0};
	int fd;

	fd = memfd_create("probe", MFD_CLOEXEC | MFD_HUGETLB);
	if (had < 0 || fd < 0)
		SKIP(return, "no pool of huge pages");
	close(fd);
	if (pool("free_hugepages", -1) < pages + 8)
		pool("nr_hugepages", had + pages + 8);
	/* Other processes may take some of them. */
	if (pool("free_hugepages", -1) >= pages + 8) {
		self->cfg.versions = 1;
		self->cfg.data_size = (uint64_t)(pages - 1) * 2 * MIB;
		self->cfg.huge = VENOM_HUGE_REQUIRE;
		timer(true, variant->flags);
		rc = pd_create((long)self->name, (long)&self->cfg, 0);
		timer(false, 0);
		if (!rc)
			venom_daemon_info(pd, &info);
		pp_end(0, 0, 0);
	} else {
		pages = 0;
	}
	if (pool("nr_hugepages", -1) != had)
		pool("nr_hugepages", had);
	if (!pages)
		SKIP(return, "no huge pages to be had");
	EXPECT_EQ(0, rc) TH_LOG("%s", venom_errmsg());
	EXPECT_EQ(2 * MIB, info.page_size);
}

/* ---- a daemon that is stopped ---- */

/*
 * All clocks of this program run faster, so that time-outs of 10 s need not be waited for; a wait that a signal ends
 * every ms still looks at the clock as often.
 */
static unsigned int clock_speed = 1;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	static uint64_t since;
	uint64_t ns;

	if (syscall(SYS_clock_gettime, clock, ts))
		return -1;
	if (clock_speed == 1 || clock != CLOCK_MONOTONIC)
		return 0;
	ns = (uint64_t)ts->tv_sec * VT_S + (uint64_t)ts->tv_nsec;
	if (!since)
		since = ns;
	ns = since + (ns - since) * clock_speed;
	ts->tv_sec = (time_t)(ns / VT_S);
	ts->tv_nsec = (long)(ns % VT_S);
	return 0;
}

FIXTURE(stopped)
{
	struct vt_peer dm;
	struct venom_config *cfg;
	const char *name;
	uint64_t start;
	struct venom_shell *s;
	bool ready;
};

FIXTURE_SETUP(stopped)
{
	embedded_only();
	self->cfg = vt_config();
	self->name = vt_name();
	vt_start(&self->dm);
	ASSERT_EQ(0, vt_call(&self->dm, pd_create, self->name, self->cfg)) TH_LOG("%s", vt_errmsg);
	self->ready = true;
}

FIXTURE_TEARDOWN(stopped)
{
	if (!self->ready)
		return;
	kill(self->dm.pid, SIGCONT);
	venom_shell_close(self->s);
	EXPECT_EQ(0, vt_call(&self->dm, pp_end));
	EXPECT_EQ(0, vt_stop(&self->dm));
}

struct found {
	const char *name;
	struct venom_info info;
	int n;
};

static int find(const struct venom_info *info, void *arg)
{
	struct found *f = arg;

	if (!strcmp(info->name, f->name)) {
		f->info = *info;
		f->n++;
	}
	return 0;
}

TEST_F(stopped, is_listed_at_once)
{
	struct found f = {.name = self->name};

	vt_halt(&self->dm);
	self->start = vt_now();
	ASSERT_LT(0, venom_list(find, &f)) TH_LOG("%s", venom_errmsg());
	EXPECT_GT(PROMPT, vt_now() - self->start);
	ASSERT_EQ(1, f.n);
	EXPECT_EQ(1, f.info.alive);
	EXPECT_EQ(0, f.info.abi);
	EXPECT_EQ(self->dm.pid, f.info.pid);
	EXPECT_EQ(getuid(), f.info.uid);
	kill(self->dm.pid, SIGCONT);
	EXPECT_TRUE(VT_UNTIL(venom_list(find, &f) > 0 && f.info.abi == VENOM_ABI));
}

/* Ten stopped daemons take no longer than one. */
TEST_F(stopped, ten_are_listed_at_once)
{
	struct found f = {.name = self->name};
	struct vt_peer p[10];
	int n;

	for (int i = 0; i < 10; i++) {
		vt_start(&p[i]);
		ASSERT_EQ(0, vt_call(&p[i], pd_create, vt_name(), self->cfg)) TH_LOG("%s", vt_errmsg);
		vt_halt(&p[i]);
	}
	self->start = vt_now();
	n = venom_list(find, &f);
	EXPECT_GT(PROMPT, vt_now() - self->start);
	EXPECT_LE(11, n);
	EXPECT_EQ(1, f.n);
	EXPECT_EQ(1, f.info.alive);
	for (int i = 0; i < 10; i++) {
		kill(p[i].pid, SIGCONT);
		ASSERT_EQ(0, vt_call(&p[i], pp_end));
		ASSERT_EQ(0, vt_stop(&p[i]));
	}
}

TEST_F(stopped, arms_at_once)
{
	struct pollfd p = {.events = POLLIN};

	ASSERT_EQ(0, venom_shell_connect(&self->s, self->name)) TH_LOG("%s", venom_errmsg());
	p.fd = venom_shell_fd(self->s);
	vt_halt(&self->dm);
	self->start = vt_now();
	EXPECT_EQ(0, venom_shell_arm(self->s, VENOM_WAIT_STATE, 0));
	EXPECT_GT(PROMPT, vt_now() - self->start);
	EXPECT_EQ(0, poll(&p, 1, 0));
	vt_post(&self->dm, pd_publish, 1, 20);
	EXPECT_EQ(0, poll(&p, 1, 20));
	kill(self->dm.pid, SIGCONT);
	EXPECT_EQ(1, poll(&p, 1, VT_PATIENCE_S * 1000));
	EXPECT_EQ(0, vt_result(&self->dm));
	EXPECT_TRUE(VT_UNTIL(venom_shell_arm(self->s, VENOM_WAIT_STATE, 0) == 1));
	/* All is as before once the manager has answered the first arm, which also makes the descriptor readable. */
	ASSERT_TRUE(VT_UNTIL(venom_shell_arm(self->s, VENOM_WAIT_STATE, 1) == 0 && poll(&p, 1, 20) == 0));
	ASSERT_EQ(0, vt_call(&self->dm, pd_publish, 2, 20));
	EXPECT_EQ(1, poll(&p, 1, VT_PATIENCE_S * 1000));
}

/* Fills a backlog from which no connection is taken; returns how many fit into it. */
static int fill_backlog(const char *name, int *socks, int max)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", getenv("VENOM_RUNTIME_DIR"), name);
	for (n = 0; n < max; n++) {
		socks[n] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(socks[n], (struct sockaddr *)&addr, sizeof(addr))) {
			close(socks[n]);
			return errno == EAGAIN ? n : -errno;
		}
	}
	return n;
}

TEST_F(stopped, and_its_backlog_full_under_signals)
{
	static int socks[5000];
	int n, err;

	vt_halt(&self->dm);
	n = fill_backlog(self->name, socks, ARRAY_SIZE(socks));
	ASSERT_LT(0, n) TH_LOG("%s", strerror(-n));
	for (int flags = 0; flags < 2; flags++) {
		clock_speed = 50;
		timer(true, flags ? SA_RESTART : 0);
		err = venom_shell_connect(&self->s, self->name);
		timer(false, 0);
		clock_speed = 1;
		EXPECT_EQ(-ETIMEDOUT, err) TH_LOG("%s", venom_errmsg());
		EXPECT_NE(0, strlen(venom_errmsg()));
		if (err)
			self->s = NULL;
	}
	while (n)
		close(socks[--n]);
}

/* ---- a daemon that never yields its CPU ---- */

struct spinner {
	char name[VENOM_NAME_MAX + 1];
	int rc; /* of its own setup */
	bool stop, spins;
};

#define SPIN_S 8

static int spins_for_ever(struct vt_peer *self, void *arg)
{
	/* If the test dies, this limit ends the spinner, too. */
	struct rlimit lim = {.rlim_cur = 2 * SPIN_S * 1000000, .rlim_max = 2 * SPIN_S * 1000000};
	struct sched_param param = {.sched_priority = 1};
	struct spinner *w = arg;
	struct venom_daemon *d;
	uint64_t end;

	vt_pin(1);
	if (setrlimit(RLIMIT_RTTIME, &lim) || sched_setscheduler(0, SCHED_FIFO, &param)) {
		w->rc = -errno;
		vt_signal(self);
		return 0;
	}
	VT_CHECK(!venom_daemon_create(&d, w->name, NULL));
	vt_signal(self);
	end = vt_now() + SPIN_S * VT_S;
	vt_store(&w->spins, true);
	while (!vt_load(&w->stop) && vt_now() < end)
		;
	vt_store(&w->spins, false);
	param.sched_priority = 0;
	sched_setscheduler(0, SCHED_OTHER, &param);
	venom_daemon_destroy(d);
	return 0;
}

TEST(connect_to_one_that_spins_at_real_time)
{
	struct spinner *w = vt_shared(sizeof(*w));
	struct venom_shell *s = NULL;
	struct vt_peer p;
	bool spun;
	int err;

	embedded_only();
	if (vt_cpus() < 2)
		SKIP(return, "needs two CPUs");
	strcpy(w->name, vt_name());
	vt_spawn(&p, spins_for_ever, w);
	ASSERT_EQ(0, vt_await(&p));
	if (w->rc) {
		vt_wait(&p);
		SKIP(return, "no real-time priority to be had here (%s)", strerror(-w->rc));
	}
	vt_pin(0);
	EXPECT_TRUE(VT_UNTIL(vt_load(&w->spins)));
	err = venom_shell_connect(&s, w->name);
	spun = vt_load(&w->spins);
	EXPECT_EQ(0, err) TH_LOG("%s", venom_errmsg());
	EXPECT_TRUE(spun) TH_LOG("only after it had stopped to spin");
	if (!err)
		venom_shell_close(s);
	vt_store(&w->stop, true);
	EXPECT_EQ(0, vt_wait(&p));
}

TEST_HARNESS_MAIN

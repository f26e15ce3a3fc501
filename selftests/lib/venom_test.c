/* SPDX-License-Identifier: MIT */
#include "lib/venom_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef VT_ASAN
#include <sanitizer/lsan_interface.h>
#endif

char *vt_box;
static char own_dir[] = "/tmp/venom-test.XXXXXX";
static pid_t own_dir_pid;

static void die(const char *what)
{
	fprintf(stderr, "# venom_test: %s: %s\n", what, strerror(errno));
	abort();
}

static void remove_own_dir(void)
{
	struct dirent *e;
	DIR *dir;

	if (getpid() != own_dir_pid || !(dir = opendir(own_dir)))
		return;
	while ((e = readdir(dir)))
		unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
	rmdir(own_dir);
}

/* Without run.sh, too, channels go to a folder of this process. */
__attribute__((constructor)) static void set_up(void)
{
	vt_box = vt_shared(VT_BOX);
	vt_name();
	signal(SIGPIPE, SIG_IGN);
	if (getenv("VENOM_RUNTIME_DIR"))
		return;
	if (!mkdtemp(own_dir))
		die("mkdtemp");
	own_dir_pid = getpid();
	setenv("VENOM_RUNTIME_DIR", own_dir, 1);
	atexit(remove_own_dir);
}

/* ---- processes ---- */

/* Run the peer's main function, and exit with its status. */
static void run_peer(int fd, int (*fn)(struct vt_peer *self, void *arg), void *arg)
{
	struct vt_peer self = {.fd = fd};

	vt_exit(fn(&self, arg));
}

/*
 * GCC's address sanitizer takes no lock at a fork: while another thread, such as a daemon's manager, is in its allocator,
 * the child may hang, or report that thread's memory as leaked. So fork while all other threads sleep.
 */
static void let_threads_sleep(void)
{
#ifdef VT_ASAN
	char path[64], stat[256], *state;
	struct dirent *e;
	DIR *dir;
	int awake;

	do {
		awake = 0;
		dir = opendir("/proc/self/task");
		if (!dir)
			die("/proc/self/task");
		while ((e = readdir(dir))) {
			int fd, n;

			snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", e->d_name);
			if (atoi(e->d_name) <= 0 || atoi(e->d_name) == gettid() || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
				continue;
			n = (int)read(fd, stat, sizeof(stat) - 1);
			close(fd);
			stat[n > 0 ? n : 0] = 0;
			state = strrchr(stat, ')'); /* "TID (NAME) STATE ..." */
			awake += state && state[2] == 'R';
		}
		closedir(dir);
	} while (awake && !usleep(100));
#endif
}

pid_t vt_fork(void)
{
	let_threads_sleep();
	return fork();
}

void vt_spawn(struct vt_peer *p, int (*fn)(struct vt_peer *self, void *arg), void *arg)
{
	pid_t parent = getpid();
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		die("socketpair");
	fflush(NULL);
	p->pid = vt_fork();
	if (p->pid < 0)
		die("fork");
	if (!p->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(sv[0]);
		run_peer(sv[1], fn, arg);
	}
	close(sv[1]);
	p->fd = sv[0];
}

static int wait_readable(int fd, int ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	int n;

	do
		n = poll(&pfd, 1, ms);
	while (n < 0 && errno == EINTR);
	return n;
}

int vt_wait(struct vt_peer *p)
{
	int status, fd, hung = 0;

	if (p->pid <= 0)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (fd < 0)
		die("pidfd_open");
	if (wait_readable(fd, VT_PATIENCE_S * 1000) <= 0) {
		fprintf(stderr, "# venom_test: process %d hangs, killed\n", p->pid);
		kill(p->pid, SIGKILL);
		hung = 1;
	}
	close(fd);
	while (waitpid(p->pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	close(p->fd);
	p->pid = 0;
	p->fd = -1;
	if (hung)
		return -ETIMEDOUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void vt_halt(struct vt_peer *p)
{
	int status;

	VT_CHECK(!kill(p->pid, SIGSTOP));
	VT_CHECK(waitpid(p->pid, &status, WUNTRACED) == p->pid && WIFSTOPPED(status));
}

void vt_kill(struct vt_peer *p, int sig)
{
	if (p->pid <= 0)
		return;
	kill(p->pid, sig);
	vt_wait(p);
}

int vt_signal(struct vt_peer *p)
{
	return send(p->fd, "!", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int vt_await(struct vt_peer *p)
{
	char c;

	if (wait_readable(p->fd, VT_PATIENCE_S * 1000) <= 0)
		return -1;
	return recv(p->fd, &c, 1, 0) == 1 ? 0 : -1;
}

struct call {
	vt_fn fn;
	long args[3];
};

static int serve(struct vt_peer *self, void *arg)
{
	struct call c;
	long ret;

	(void)arg;
	for (;;) {
		if (recv(self->fd, &c, sizeof(c), 0) != sizeof(c))
			return 1;
		if (!c.fn)
			return 0;
		ret = c.fn(c.args[0], c.args[1], c.args[2]);
		if (send(self->fd, &ret, sizeof(ret), MSG_NOSIGNAL) != sizeof(ret))
			return 1;
	}
}

void vt_start(struct vt_peer *p)
{
	vt_spawn(p, serve, NULL);
}

void vt_post4(struct vt_peer *p, vt_fn fn, long a, long b, long c)
{
	struct call call = {.fn = fn, .args = {a, b, c}};

	if (p->pid > 0)
		send(p->fd, &call, sizeof(call), MSG_NOSIGNAL);
}

bool vt_has_result(struct vt_peer *p, int within_ms)
{
	return wait_readable(p->fd, within_ms) > 0;
}

long vt_result(struct vt_peer *p)
{
	long ret;

	if (p->pid <= 0 || wait_readable(p->fd, VT_PATIENCE_S * 1000) <= 0)
		return VT_DEAD;
	return recv(p->fd, &ret, sizeof(ret), 0) == sizeof(ret) ? ret : VT_DEAD;
}

long vt_call4(struct vt_peer *p, vt_fn fn, long a, long b, long c)
{
	vt_post4(p, fn, a, b, c);
	return vt_result(p);
}

int vt_stop(struct vt_peer *p)
{
	vt_post4(p, NULL, 0, 0, 0);
	return vt_wait(p);
}

void vt_exit(int status)
{
	fflush(NULL);
#ifdef VT_ASAN
	if (!status && __lsan_do_recoverable_leak_check())
		status = 23;
#endif
	_exit(status);
}

void vt_failed(const char *file, int line, const char *cond)
{
	fprintf(stderr, "# %s:%d: in process %d: %s (errno %d)\n", file, line, getpid(), cond, errno);
	vt_exit(1);
}

void *vt_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* ---- payloads ---- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* Word 0 is v and a check of v; the others follow from v and their position. */
static uint64_t word0(uint32_t v)
{
	return v | (mix(v) << 32);
}

static uint64_t word(uint32_t v, size_t i)
{
	return ((uint64_t)v + 0x9e3779b97f4a7c15ull) * (2 * i + 1);
}

void vt_fill(void *buf, size_t len, uint32_t v)
{
	unsigned char *p = buf;
	uint64_t w = word0(v);
	size_t i;

	if (len < 8) {
		memset(p, (unsigned char)v, len);
		return;
	}
	for (i = 0; i < len / 8; i++, w = word(v, i))
		memcpy(p + 8 * i, &w, 8);
	memcpy(p + 8 * i, &w, len % 8);
}

bool vt_is(const void *buf, size_t len, uint32_t v)
{
	const unsigned char *p = buf;
	uint64_t w = word0(v);
	size_t i;

	if (len < 8)
		return vt_all(p, (unsigned char)v, len);
	for (i = 0; i < len / 8; i++, w = word(v, i))
		if (memcmp(p + 8 * i, &w, 8))
			return false;
	return !memcmp(p + 8 * i, &w, len % 8);
}

bool vt_whole(const void *buf, size_t len, uint32_t *v)
{
	uint32_t x = 0;

	memcpy(&x, buf, len < 8 ? (len > 0) : 4);
	if (!vt_is(buf, len, x))
		return false;
	if (v)
		*v = x;
	return true;
}

bool vt_all(const void *buf, int byte, size_t len)
{
	const unsigned char *p = buf;

	while (len--)
		if (*p++ != (unsigned char)byte)
			return false;
	return true;
}

/* ---- the rest ---- */

bool vt_on_dev(void)
{
	const char *backend = getenv("VENOM_BACKEND");

	return backend && *backend ? !strcmp(backend, "dev") : !access("/dev/venom", R_OK | W_OK);
}

bool vt_takes_advice(void)
{
	return madvise(vt_box, VT_BOX, 12345) == -1;
}

const char *vt_name(void)
{
	/* Shared memory: the test can pass a name to peers that run already. */
	static struct {
		unsigned int n;
		char name[1000][40];
	} * names;
	unsigned int n;

	if (!names)
		names = vt_shared(sizeof(*names));
	n = __atomic_fetch_add(&names->n, 1, __ATOMIC_RELAXED);
	snprintf(names->name[n % 1000], 40, "test-%d-%u", getpid(), n);
	return names->name[n % 1000];
}

int vt_patience_s(void)
{
	const char *s = getenv("VENOM_TEST_PATIENCE");
	int patience = s ? atoi(s) : 0;

	return patience > 0 ? patience : 60;
}

bool vt_is_area(const char *line)
{
	return strstr(line, "memfd:venom:") || strstr(line, "/dev/venom") || strstr(line, "/venom:state");
}

double vt_scale(void)
{
	const char *s = getenv("VENOM_TEST_SCALE");
	double scale = s ? atof(s) : 1;

	return scale > 0 ? scale : 1;
}

uint64_t vt_scaled(uint64_t n)
{
	uint64_t scaled = (uint64_t)((double)n * vt_scale());

	return scaled ? scaled : 1;
}

uint64_t vt_seed(void)
{
	static uint64_t seed;
	const char *s = getenv("VENOM_TEST_SEED");

	if (!seed) {
		seed = s ? strtoull(s, NULL, 0) : mix(vt_now() + (uint64_t)getpid());
		fprintf(stderr, "# VENOM_TEST_SEED=%#llx\n", (unsigned long long)seed);
	}
	return seed;
}

uint64_t vt_rand(uint64_t *state)
{
	return mix(*state += 0x9e3779b97f4a7c15ull);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void vt_sort(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_size);
}

uint64_t vt_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t vt_cpu(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void vt_sleep_ms(int ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

int vt_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
}

void vt_pin(int n)
{
	cpu_set_t set, one;
	int cpu;

	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	n %= CPU_COUNT(&set);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set) || n-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

int vt_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -1; /* -1: the folder's own descriptor does not count */

	if (!dir)
		die("/proc/self/fd");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2; /* . and .. */
}

int vt_count_areas(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	if (!f)
		die("/proc/self/maps");
	while (fgets(line, sizeof(line), f))
		n += vt_is_area(line);
	fclose(f);
	return n;
}

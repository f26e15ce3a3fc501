/* SPDX-License-Identifier: MIT */
/*
 * See venom_test.h; the processes are in process.c.
 */
#include "lib/venom_test.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

char *vt_box;
static char own_dir[] = "/tmp/venom-test.XXXXXX";
static pid_t own_dir_pid;

void vt_die(const char *what)
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
		vt_die("mkdtemp");
	own_dir_pid = getpid();
	setenv("VENOM_RUNTIME_DIR", own_dir, 1);
	atexit(remove_own_dir);
}

void *vt_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		vt_die("mmap");
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

static int count_fds(const char *path)
{
	DIR *dir = opendir(path);
	int n = -2; /* . and .. */

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int count_areas(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[512];
	int n = 0;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		n += vt_is_area(line);
	fclose(f);
	return n;
}

int vt_count_fds(void)
{
	int n = count_fds("/proc/self/fd");

	if (n < 0)
		vt_die("/proc/self/fd");
	return n - 1; /* the folder's own descriptor does not count */
}

int vt_count_areas(void)
{
	int n = count_areas("/proc/self/maps");

	if (n < 0)
		vt_die("/proc/self/maps");
	return n;
}

int vt_count_fds_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	return count_fds(path);
}

int vt_count_areas_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	return count_areas(path);
}

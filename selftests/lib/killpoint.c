/* SPDX-License-Identifier: MIT */
#include "lib/killpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/venom_test.h"

extern const struct vt_point __start_vt_points[] __attribute__((weak)), __stop_vt_points[] __attribute__((weak));

struct vt_fate *vt_fate;
static bool victim;

void vt_killpoints_init(void)
{
	vt_fate = vt_shared(sizeof(*vt_fate));
}

void vt_victim(void)
{
	__atomic_store_n(&victim, true, __ATOMIC_RELAXED); /* relaxed atomic: threads may run already */
}

unsigned int vt_points_of_stores(void)
{
	return (unsigned int)(__stop_vt_points - __start_vt_points);
}

unsigned int vt_points(void)
{
	unsigned int n = vt_points_of_stores();

	while (n < VT_POINTS_MAX && __atomic_load_n(&vt_fate->call[n].from, __ATOMIC_ACQUIRE))
		n++;
	return n;
}

const char *vt_point_file(unsigned int i)
{
	const char *src = strstr(__start_vt_points[i].file, "/src/");

	return src ? src + 5 : __start_vt_points[i].file;
}

const char *vt_point_what(unsigned int i)
{
	return __start_vt_points[i].what;
}

unsigned int vt_point_of(const char *what)
{
	unsigned int i = 0;

	while (i < vt_points_of_stores() && strcmp(vt_point_what(i), what))
		i++;
	VT_CHECK(i < vt_points_of_stores());
	return i;
}

const char *vt_point_name(unsigned int i, enum vt_moment when, char *buf, size_t size)
{
	static const char *const moment[] = {"before", "after", "in the middle of"};
	extern char __executable_start;

	if (i < vt_points_of_stores())
		snprintf(buf, size, "%s %s:%d %s", moment[when], vt_point_file(i), __start_vt_points[i].line,
			 vt_point_what(i));
	else /* where: addr2line -e PROGRAM tells */
		snprintf(buf, size, "%s %s, called at 0x%lx", moment[when], vt_fate->call[i].name,
			 (unsigned long)(vt_fate->call[i].from - (uintptr_t)&__executable_start));
	return buf;
}

static void pass(unsigned int i, enum vt_moment when)
{
	uint32_t n;

	if (!__atomic_load_n(&victim, __ATOMIC_RELAXED) || i >= VT_POINTS_MAX)
		return;
	n = __atomic_add_fetch(&vt_fate->passed[i][when], 1, __ATOMIC_SEQ_CST);
	if (i != vt_fate->point || when != vt_fate->when || n != vt_fate->nth)
		return;
	__atomic_store_n(&vt_fate->died, vt_now(), __ATOMIC_SEQ_CST);
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static void pass_store(const struct vt_point *p, enum vt_moment when)
{
	pass((unsigned int)(p - __start_vt_points), when);
}

/* ---- stores ---- */

static struct {
	char *p;
	size_t size;
} guarded[64];
static int nguarded;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The writer holds the lock, so that no other thread's store goes through while the page is writable. */
static int guard_of(const void *to)
{
	for (int i = 0; i < nguarded; i++)
		if ((const char *)to >= guarded[i].p && (const char *)to < guarded[i].p + guarded[i].size)
			return i;
	return -1;
}

static void let_write(const void *to, int prot)
{
	int i = guard_of(to);

	if (i >= 0)
		VT_CHECK(!mprotect(guarded[i].p, guarded[i].size, prot));
}

void vt_store_begin(const struct vt_point *p, void *to)
{
	pass_store(p, VT_BEFORE);
	pthread_mutex_lock(&lock);
	let_write(to, PROT_READ | PROT_WRITE);
}

void vt_store_end(const struct vt_point *p, void *to)
{
	let_write(to, PROT_READ);
	pthread_mutex_unlock(&lock);
	pass_store(p, VT_AFTER);
}

void vt_store_copy(const struct vt_point *p, void *dst, const void *src, size_t len)
{
	size_t half = len / 2;

	vt_store_begin(p, dst);
	memcpy(dst, src, half);
	pass_store(p, VT_MIDDLE);
	memcpy((char *)dst + half, (const char *)src + half, len - half);
	vt_store_end(p, dst);
}

static void crash(int sig, siginfo_t *info, void *context)
{
	static const char text[] =
		"# a store to shared pages that is no kill point: it does not go through barrier.h\n";

	(void)context;
	if (guard_of(info->si_addr) >= 0 && write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		return;
	signal(sig, SIG_DFL);
}

void vt_guard(void *p, size_t size)
{
	struct sigaction sa = {.sa_sigaction = crash, .sa_flags = SA_SIGINFO};

	pthread_mutex_lock(&lock);
	if (guard_of(p) < 0) {
		VT_CHECK(nguarded < 64 && !mprotect(p, size, PROT_READ));
		guarded[nguarded].p = p;
		guarded[nguarded].size = size;
		nguarded++;
	}
	pthread_mutex_unlock(&lock);
	sigaction(SIGSEGV, &sa, NULL);
}

/* ---- calls into the kernel ---- */

/* The kill point of the call that returns to `from`. */
static unsigned int call_point(void *from, const char *name)
{
	uintptr_t at = (uintptr_t)from, was;

	if (!__atomic_load_n(&victim, __ATOMIC_RELAXED))
		return VT_POINTS_MAX;
	for (unsigned int i = vt_points_of_stores(); i < VT_POINTS_MAX; i++) {
		was = 0;
		if (__atomic_compare_exchange_n(&vt_fate->call[i].from, &was, at, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			vt_fate->call[i].name = name;
		if (!was || was == at)
			return i;
	}
	return VT_POINTS_MAX;
}

#define CALL(type, name, params, args)                                           \
	type vt_sys_##name params;                                               \
	type vt_sys_##name params                                                \
	{                                                                        \
		unsigned int i = call_point(__builtin_return_address(0), #name); \
		type ret;                                                        \
		int err;                                                         \
                                                                                 \
		pass(i, VT_BEFORE);                                              \
		ret = name args;                                                 \
		err = errno;                                                     \
		pass(i, VT_AFTER);                                               \
		errno = err;                                                     \
		return ret;                                                      \
	}

CALL(int, accept4, (int s, struct sockaddr *a, socklen_t *l, int f), (s, a, l, f))
CALL(int, bind, (int s, const struct sockaddr *a, socklen_t l), (s, a, l))
CALL(int, close, (int fd), (fd))
CALL(int, connect, (int s, const struct sockaddr *a, socklen_t l), (s, a, l))
CALL(int, epoll_ctl, (int e, int op, int fd, struct epoll_event *ev), (e, op, fd, ev))
CALL(int, eventfd, (unsigned int n, int f), (n, f))
CALL(int, fallocate, (int fd, int m, off_t o, off_t l), (fd, m, o, l))
CALL(int, fchmodat, (int d, const char *p, mode_t m, int f), (d, p, m, f))
CALL(int, fcntl, (int fd, int c, long a), (fd, c, a))
CALL(int, ftruncate, (int fd, off_t l), (fd, l))
CALL(int, inotify_add_watch, (int fd, const char *p, uint32_t m), (fd, p, m))
CALL(int, ioctl, (int fd, unsigned long c, void *a), (fd, c, a))
CALL(int, listen, (int s, int n), (s, n))
CALL(int, memfd_create, (const char *n, unsigned int f), (n, f))
CALL(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m))
CALL(void *, mmap, (void *p, size_t l, int pr, int f, int fd, off_t o), (p, l, pr, f, fd, o))
CALL(int, munmap, (void *p, size_t l), (p, l))
CALL(int, open, (const char *p, int f, mode_t m), (p, f, m))
CALL(int, openat, (int d, const char *p, int f, mode_t m), (d, p, f, m))
CALL(ssize_t, pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o))
CALL(ssize_t, recvmsg, (int s, struct msghdr *m, int f), (s, m, f))
CALL(int, renameat, (int d, const char *a, int e, const char *b), (d, a, e, b))
CALL(ssize_t, sendmsg, (int s, const struct msghdr *m, int f), (s, m, f))
CALL(int, shutdown, (int s, int h), (s, h))
CALL(int, socket, (int d, int t, int p), (d, t, p))
CALL(long, syscall, (long n, long a, long b, long c, long d, long e, long f), (n, a, b, c, d, e, f))
CALL(int, unlinkat, (int d, const char *p, int f), (d, p, f))
CALL(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n))

/* SPDX-License-Identifier: MIT */
/*
 * The library's descriptors.  Every one of them passes through venom_own(), and ends in close_fd():
 *
 * - None is 0, 1 or 2: a program that was started with those closed still writes its messages there.
 * - A child made by fork() has none of them, so it can't hide a death, or keep a name, an id or memory in use.  (The
 *   kernel itself closes them at exec.)  A child made by a direct clone(2) has them until it calls exec.
 */
#include <fcntl.h>
#include "internal.h"

#define FDS_MAX (1U << 20) /* Linux's own limit for a process, fs.nr_open, unless it was raised */

/*
 * Held from a descriptor's creation to its mark, and from its unmark to its close: a fork in between would leak it to
 * the child.  A fork waits only FORK_WAITS_NS for it: it may run in a signal handler of the thread that holds the lock.
 */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool held; /* this thread's fork holds `making` */
#define FORK_WAITS_NS 100000000

static uint64_t owned[FDS_MAX / 64]; /* a bit for each descriptor */
static uint32_t words; /* how many words of `owned` have been used */
static uint32_t forks; /* in this process's ancestry; see venom_forks() */

static void mark(int fd)
{
	uint32_t word = (uint32_t)fd / 64;

	if ((uint32_t)fd >= FDS_MAX)
		return;
	owned[word] |= 1ULL << fd % 64;
	if (words <= word)
		words = word + 1;
}

static void unmark(int fd)
{
	if ((uint32_t)fd < FDS_MAX)
		owned[fd / 64] &= ~(1ULL << fd % 64);
}

void venom_fds_begin(void)
{
	pthread_mutex_lock(&making);
}

void venom_fds_end(void)
{
	pthread_mutex_unlock(&making);
}

static void before_fork(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += FORK_WAITS_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	held = !pthread_mutex_timedlock(&making, &until);
}

static void in_parent(void)
{
	if (held)
		pthread_mutex_unlock(&making);
	held = false;
}

static void in_child(void)
{
	for (uint32_t i = 0; i < words; i++)
		for (; owned[i]; owned[i] &= owned[i] - 1)
			close((int)(i * 64) + __builtin_ctzll(owned[i]));
	words = 0;
	forks++;
	if (held)
		pthread_mutex_unlock(&making);
	else
		pthread_mutex_init(&making, NULL); /* the child may not have the thread that held it */
	held = false;
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, in_parent, in_child);
}

uint32_t venom_forks(void)
{
	return forks;
}

int venom_mark(int fd)
{
	int low = fd, err;

	if (fd >= 0 && fd <= STDERR_FILENO) {
		fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		err = errno;
		close(low);
		errno = err;
	}
	if (fd >= 0)
		mark(fd);
	return fd;
}

/* Unmark before the close: after it, another thread may get the same number. */
void close_fd(int *fd)
{
	int err = errno;

	if (*fd >= 0) {
		venom_fds_begin();
		unmark(*fd);
		close(*fd);
		venom_fds_end();
	}
	*fd = -1;
	errno = err;
}

/* SPDX-License-Identifier: MIT */
/* Bells: eventfds, watched by epolls; and the threads of ours that sleep on them. */
#include <signal.h>
#include <sys/epoll.h>
#include "internal.h"

int epoll_watch(int epfd, int fd, uint32_t events, void *data)
{
	struct epoll_event ev = {.events = events, .data.ptr = data};

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

int epoll_sleep(int epfd, int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	struct epoll_event ev[16];
	int n = epoll_pwait2(epfd, ev, ARRAY_SIZE(ev), ns < 0 ? NULL : &ts, NULL);

	if (n < 0 && errno == ENOSYS) { /* before Linux 5.11 */
		int64_t ms = ns / 1000000 + (ns % 1000000 > 0);

		n = epoll_wait(epfd, ev, ARRAY_SIZE(ev), ns < 0 ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms);
	}
	for (int i = 0; i < n; i++)
		if (ev[i].data.ptr)
			return 2;
	return n != 0;
}

/* Eventfds are edge-triggered in the sleeper's epoll and never read: a write is all it takes, and never blocks. */
void ring(int bell)
{
	uint64_t one = 1;
	ssize_t n = write(bell, &one, sizeof(one));

	(void)n;
}

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int venom_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

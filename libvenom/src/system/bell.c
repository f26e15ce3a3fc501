/* SPDX-License-Identifier: MIT */
/* Bells: eventfds, watched by epolls. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "internal.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* Linux 5.11 */
#endif
#ifndef pwait2 /* tests may have their own */
#define pwait2(epfd, ev, n, ts) syscall(SYS_epoll_pwait2, epfd, ev, n, ts, NULL, 0)
#endif

int epoll_watch(int epfd, int fd, uint32_t events, void *data)
{
	struct epoll_event ev = {.events = events, .data.ptr = data};

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

/* C libraries before glibc 2.35 have no epoll_pwait2(), and older seccomp filters fail it with EPERM, not ENOSYS. */
int epoll_next(int epfd, struct epoll_event *ev, int n, int64_t ns)
{
	static uint32_t no_pwait2;
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	int64_t ms = ns / 1000000 + (ns % 1000000 > 0);
	long rc;

	if (!load_relaxed(&no_pwait2)) {
		rc = pwait2(epfd, ev, n, ns < 0 ? NULL : &ts);
		if (rc >= 0 || (errno != ENOSYS && errno != EPERM))
			return (int)rc;
		fetch_or(&no_pwait2, 1);
	}
	return epoll_wait(epfd, ev, n, ns < 0 ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms);
}

int epoll_sleep(int epfd, int64_t ns)
{
	struct epoll_event ev[16];
	int type = PTHREAD_CANCEL_DEFERRED, n;

	/*
	 * syscall() is no cancellation point, so make cancellation asynchronous for this call.  Nothing is lost by it:
	 * what the thread slept for is in shared words, and the next wait looks there first.
	 */
	if (ns)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	n = epoll_next(epfd, ev, ARRAY_SIZE(ev), ns);
	if (ns)
		pthread_setcanceltype(type, NULL);
	if (n < 0)
		return errno == EINTR ? 1 : venom_fail(-errno, "it can't sleep on its descriptor: %s", strerror(errno));
	for (int i = 0; i < n; i++)
		if (ev[i].data.ptr)
			return 2;
	return n != 0;
}

int sleeper_open(struct venom_sleeper *s, void *data)
{
	s->epfd = venom_own(epoll_create1(EPOLL_CLOEXEC));
	s->bell = venom_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (s->epfd < 0 || s->bell < 0)
		return -errno;
	return epoll_watch(s->epfd, s->bell, EPOLLIN | EPOLLET, data);
}

void sleeper_close(struct venom_sleeper *s)
{
	close_fd(&s->epfd);
	close_fd(&s->bell);
}

int sleeper_sleep(const struct venom_sleeper *s, int64_t ns)
{
	int rc = epoll_sleep(s->epfd, ns);

	return rc < 0 ? rc : rc != 0;
}

/* Eventfds are edge-triggered in the sleeper's epoll and never read: one write signals, and it never blocks. */
void bell_signal(int bell)
{
	uint64_t one = 1;
	NO_CANCEL;
	ssize_t n = write(bell, &one, sizeof(one));

	if (n < 0 && errno == EPERM) /* a seccomp filter's; without the signal a stop or an end would hang */
		n = writev(bell, &(struct iovec){.iov_base = &one, .iov_len = sizeof(one)}, 1);
	(void)n;
}

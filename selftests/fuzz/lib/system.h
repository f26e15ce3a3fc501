/* SPDX-License-Identifier: MIT */
/*
 * The functions that the library calls instead of the system's and of its own loads, after looks.h has replaced them.
 */
#ifndef VENOM_FUZZ_SYSTEM_H
#define VENOM_FUZZ_SYSTEM_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void fuzz_look(const volatile void *p, size_t size); /* p NULL: at nothing in particular */
void fuzz_copy(void *dst, const void *src, size_t len);
int fuzz_clock(clockid_t clock, struct timespec *ts);
int fuzz_nap(useconds_t us);
int fuzz_ppoll(struct pollfd *p, nfds_t n, const struct timespec *ts, const sigset_t *mask);
int fuzz_epoll(int epfd, struct epoll_event *ev, int n, const struct timespec *ts);
void *fuzz_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int fuzz_munmap(void *p, size_t size);

#endif /* VENOM_FUZZ_SYSTEM_H */

/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "fuzz.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#define MANY  16 /* descriptors in a message */

static int memfd(size_t size, bool whole, int seals)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	FUZZ_CHECK(fd >= 0 && !ftruncate(fd, (off_t)size));
	FUZZ_CHECK(!whole || !fallocate(fd, 0, 0, (off_t)size));
	FUZZ_CHECK(!fcntl(fd, F_ADD_SEALS, seals));
	return fd;
}

/* A memfd of one huge page, which is allocated if the pool has one. */
static int huge(void)
{
	size_t size = 2UL << 20;
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	if (fd < 0)
		return memfd(1UL << 40, false, SEALS);
	FUZZ_CHECK(!ftruncate(fd, (off_t)size));
	FUZZ_CHECK(!fallocate(fd, 0, 0, (off_t)size) || errno == ENOSPC);
	FUZZ_CHECK(!fcntl(fd, F_ADD_SEALS, SEALS));
	return fd;
}

void files_make(struct fuzz_files *f, size_t size)
{
	static const uint64_t most = UINT64_MAX - 1;
	int pipe_fd[2], sockets[2];
	char kb[1024] = {0};

	f->fd[FILE_EPOLL] = epoll_create1(EPOLL_CLOEXEC);
	f->fd[FILE_EVENTFD] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->fd[FILE_FULL_EVENTFD] = eventfd(0, EFD_CLOEXEC);
	FUZZ_CHECK(write(f->fd[FILE_FULL_EVENTFD], &most, sizeof(most)) == sizeof(most));
	FUZZ_CHECK(!pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK));
	f->fd[FILE_PIPE] = pipe_fd[1]; /* the read end stays open */
	while (write(pipe_fd[1], kb, sizeof(kb)) > 0)
		;
	FUZZ_CHECK(!fcntl(pipe_fd[1], F_SETFL, 0));
	FUZZ_CHECK(!pipe2(pipe_fd, O_CLOEXEC));
	f->fd[FILE_BROKEN_PIPE] = pipe_fd[1];
	close(pipe_fd[0]);
	FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
	f->fd[FILE_SOCKET] = sockets[0];
	f->fd[FILE_REGULAR] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	f->fd[FILE_FOLDER] = open("/", O_RDONLY | O_CLOEXEC);
	f->fd[FILE_ZERO] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	f->fd[FILE_TIMER] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	f->fd[FILE_UNSEALED] = memfd(size, true, 0);
	f->fd[FILE_HALF_SEALED] = memfd(size, true, SEALS & ~F_SEAL_FUTURE_WRITE);
	f->fd[FILE_HOLES] = memfd(size, false, SEALS);
	f->fd[FILE_SHORT] = memfd(100, true, SEALS);
	f->fd[FILE_HUGE] = huge();
	f->fd[FILE_ZEROS] = memfd(size, true, SEALS);
	for (int i = 0; i < FILES; i++)
		FUZZ_CHECK(f->fd[i] >= 0);
}

int files_send(int sock, const void *msg, size_t size, const int *fds, int n)
{
	char control[CMSG_SPACE(sizeof(int) * MANY)] = {0};
	struct iovec iov = {.iov_base = (void *)msg, .iov_len = size};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	int real[MANY], nreal = 0;
	struct cmsghdr *c;

	for (int i = 0; i < n && nreal < MANY; i++)
		if (fds[i] >= 0)
			real[nreal++] = fds[i];
	if (nreal) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nreal);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nreal);
		memcpy(CMSG_DATA(c), real, sizeof(int) * (size_t)nreal);
	}
	return sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size ? 0 : -errno;
}

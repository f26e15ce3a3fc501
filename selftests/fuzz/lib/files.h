/* SPDX-License-Identifier: MIT */
/* Descriptors of every kind, for a hostile peer to hand out. */
#ifndef VENOM_FUZZ_FILES_H
#define VENOM_FUZZ_FILES_H

#include <stddef.h>
#include <sys/types.h>

enum {
	FILE_EPOLL,
	FILE_EVENTFD,
	FILE_FULL_EVENTFD, /* a write to it would block */
	FILE_PIPE, /* full, too */
	FILE_BROKEN_PIPE, /* without a reader */
	FILE_SOCKET,
	FILE_REGULAR,
	FILE_FOLDER,
	FILE_ZERO,
	FILE_TIMER,
	FILE_UNSEALED, /* memfds of the right size, but... */
	FILE_HALF_SEALED,
	FILE_HOLES,
	FILE_SHORT,
	FILE_HUGE, /* one huge page; on a kernel without huge pages, a very large file with holes */
	FILE_ZEROS, /* valid, but all bytes are zero */
	FILES,
};

struct fuzz_files {
	int fd[FILES];
};

void files_make(struct fuzz_files *f, size_t size);
/* Send one message with n descriptors; those that are -1 are skipped: 0, or -errno. */
int files_send(int sock, const void *msg, size_t size, const int *fds, int n);

#endif /* VENOM_FUZZ_FILES_H */

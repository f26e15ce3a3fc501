/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: taking a name.
 *
 *	name_take	lock .NAME.lock: who has the lock has the name; the kernel drops it when the process dies
 *	name_listen	put the listening socket there as NAME, in the place of what a dead daemon may have left
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "proto.h"

/*
 * Names taken by this process: the lock is a process's, and would not tell its own threads apart.
 * (It is that kind because a forked child must not hold on to it.)
 */
static struct name *names;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

/* Take the lock file of the name. */
static int lock_file(struct name *n)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat st, now;

	for (;;) {
		n->lock_fd = open(n->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (n->lock_fd < 0)
			return venom_fail(errno == EROFS ? -EACCES : -errno, "%s can't be opened: %s", n->lock_path,
					  strerror(errno));
		if (fcntl(n->lock_fd, F_SETLK, &lock)) {
			int err = errno;

			close_fd(&n->lock_fd);
			if (err == EACCES || err == EAGAIN)
				return venom_fail(-EBUSY, "a living daemon has the name");
			return -err;
		}
		/* Its last owner may have removed it between our open and our lock. */
		if (!fstat(n->lock_fd, &st) && !lstat(n->lock_path, &now) && st.st_ino == now.st_ino)
			break;
		close_fd(&n->lock_fd);
	}
	n->dev = st.st_dev;
	n->ino = st.st_ino;
	return 0;
}

/* The epoch is kept in the lock file: that stays when a daemon is killed, and goes when it ends. */
static int count_epoch(struct name *n, uint64_t *epoch)
{
	if (pread(n->lock_fd, epoch, sizeof(*epoch), 0) != sizeof(*epoch))
		*epoch = 0;
	++*epoch;
	return pwrite(n->lock_fd, epoch, sizeof(*epoch), 0) == sizeof(*epoch) ? 0 : -errno;
}

int name_take(struct name *n, const char *name, uint32_t mode, uint64_t *epoch)
{
	char dir[VENOM_PATH_MAX];
	struct stat st;
	int rc;

	rc = path_own(dir, sizeof(dir), mode & 077);
	if (!rc)
		rc = path_join(n->path, dir, name, "");
	if (!rc)
		rc = path_join(n->lock_path, dir, name, ".lock");
	if (!rc)
		rc = path_join(n->new_path, dir, name, ".new");
	if (rc)
		return rc;
	pthread_mutex_lock(&names_lock);
	for (struct name *o = names; o; o = o->next)
		if (!lstat(n->lock_path, &st) && st.st_dev == o->dev && st.st_ino == o->ino)
			rc = venom_fail(-EBUSY, "a living daemon has the name: it is in this process");
	if (!rc)
		rc = lock_file(n);
	if (!rc)
		rc = count_epoch(n, epoch);
	if (!rc) {
		n->next = names;
		names = n;
	}
	pthread_mutex_unlock(&names_lock);
	return rc;
}

void name_give_back(struct name *n)
{
	if (n->lock_fd < 0)
		return;
	pthread_mutex_lock(&names_lock);
	for (struct name **p = &names; *p; p = &(*p)->next) {
		if (*p == n) {
			*p = n->next;
			break;
		}
	}
	unlink(n->lock_path);
	close_fd(&n->lock_fd);
	pthread_mutex_unlock(&names_lock);
}

/* The socket appears under its name only when it listens; what a dead daemon left there is replaced in the same step. */
int name_listen(struct name *n, uint32_t mode, int *listener)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	/* To connect takes w on the socket: whoever may do anything gets that, and what he may is asked at HELLO. */
	mode_t bits = 0600 | (mode & 060 ? 0060 : 0) | (mode & 006 ? 0006 : 0);
	struct stat st;
	int rc;

	strcpy(addr.sun_path, n->new_path);
	*listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*listener < 0)
		return -errno;
	unlink(n->new_path);
	if (bind(*listener, (struct sockaddr *)&addr, sizeof(addr)) || chmod(n->new_path, bits) ||
	    listen(*listener, 128) || stat(n->new_path, &st) || rename(n->new_path, n->path)) {
		rc = -errno;
		unlink(n->new_path);
		return venom_fail(rc, "%s can't be made: %s", n->path, strerror(-rc));
	}
	n->gid = st.st_gid;
	return 0;
}

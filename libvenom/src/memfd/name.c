/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: taking a name, in the place of this user (memfd/path.c).
 *
 *	name_take	check that no daemon serves it; lock .NAME.lock; remove dead daemons' files from the place
 *	name_listen	put the listening socket there as NAME, instead of a dead daemon's; check once more
 *	name_restore	put both back if they were removed, as cleaners of /tmp do
 *
 * Two checks decide which daemon has a name:
 *
 * - Between processes of one user: which process has the lock.  The kernel drops it when the process ends.  It is an
 *   open file description lock: a close of another descriptor of the file in the process does not drop it, and a second
 *   copy of this library in the process does not get it.
 * - Between all users: whether a living process listens on the socket.  If two users take a name at the same time, each
 *   makes its socket first and then checks all others, so at least one of them sees the other and gives up.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "memfd/proto.h"

/* ---- the lock ---- */

/* 1 if the entry is this file, 0 if it is another one or none, or an errno. */
static int entry_is(int dir, const char *entry, ino_t ino)
{
	struct stat st;

	if (fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -errno;
	return st.st_ino == ino;
}

static bool same_file(int dir, const char *entry, ino_t ino)
{
	return entry_is(dir, entry, ino) == 1;
}

/* Lock this file of the place: its descriptor, or -EBUSY. */
static int lock_file(const struct place *p, const char *entry, int flags, ino_t *ino)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat st;
	int fd, rc;

	for (;;) {
		fd = venom_own(openat(p->fd, entry, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600));
		if (fd < 0 && (errno == ELOOP || errno == EISDIR || errno == ENXIO)) /* a link, a folder, a socket */
			return venom_fail(-EACCES, "%s/%s is no lock file of venom's: remove it", p->path, entry);
		if (fd < 0)
			return venom_fail(errno == EROFS ? -EACCES : -errno, "%s/%s can't be opened: %s", p->path, entry,
					  venom_reason(errno));
		if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink > 1) {
			rc = venom_fail(-EACCES, "%s/%s is no lock file of venom's: remove it", p->path, entry);
			break;
		}
		if (fcntl(fd, F_OFD_SETLK, &lock)) {
			rc = errno;
			rc = rc == EACCES || rc == EAGAIN
				     ? venom_fail(-EBUSY, "a living daemon has the name")
				     : venom_fail(-rc, "%s/%s can't be locked: %s", p->path, entry, venom_reason(rc));
			break;
		}
		/* Its last owner may have removed it between our open and our lock. */
		rc = entry_is(p->fd, entry, st.st_ino);
		if (rc == 1) {
			*ino = st.st_ino;
			return fd;
		}
		if (rc < 0) {
			venom_fail(rc, "%s/%s can't be looked at: %s", p->path, entry, venom_reason(-rc));
			break;
		}
		close_fd(&fd);
	}
	close_fd(&fd);
	return rc;
}

/* The lock file keeps the epoch: it stays when a daemon is killed, and is removed when a daemon ends normally. */
static int write_epoch(struct name *n)
{
	int rc = venom_file_for("lock file", sizeof(n->epoch));

	if (!rc && pwrite(n->lock_fd, &n->epoch, sizeof(n->epoch), 0) != sizeof(n->epoch))
		rc = venom_fail(-errno, "%s/%s can't be written: %s", n->place.path, n->lock, venom_reason(errno));
	return rc;
}

/* ---- other daemons with the name ---- */

struct others {
	const struct name *n;
	bool all; /* other users' places, too */
};

static int busy_in(const struct place *p, void *user)
{
	struct others *o = user;
	uid_t uid;

	if (p->owner != geteuid() && !o->all)
		return 0;
	if (o->n->sock_ino && !strcmp(p->path, o->n->place.path))
		return 0; /* that is us */
	if (!name_lives(p, o->n->name, &uid))
		return 0;
	return venom_fail(-EBUSY, "a living daemon has the name: user %u's, in %s", uid, p->path);
}

/* Check other users' places only for a shared channel or in a forced folder: else no other user can block the name. */
static int busy(const struct name *n)
{
	struct others o = {.n = n, .all = n->shared || place_forced()};

	if (place_each(busy_in, &o) == -EBUSY)
		return -EBUSY;
	venom_errmsg_clear(); /* a folder that can't be read does not block the name */
	return 0;
}

bool memfd_lives(const char *name)
{
	struct name n = {.sock_ino = 0};
	struct others o = {.n = &n, .all = true};
	bool lives;

	snprintf(n.name, sizeof(n.name), "%s", name);
	lives = place_each(busy_in, &o) == -EBUSY;
	venom_errmsg_clear();
	return lives;
}

/* ---- files of dead daemons ---- */

/* Extract NAME from .NAME.lock; false if the entry is no lock file. */
static bool lock_of(const char *entry, char name[VENOM_NAME_MAX + 1])
{
	size_t len = strlen(entry), tail = strlen(".lock");

	if (*entry != '.' || len <= 1 + tail || len - 1 - tail > VENOM_NAME_MAX || strcmp(entry + len - tail, ".lock"))
		return false;
	memcpy(name, entry + 1, len - 1 - tail);
	name[len - 1 - tail] = 0;
	return true;
}

static void remove_dead(const struct place *p, const char *name, const char *lock)
{
	char fresh[VENOM_NAME_MAX + 8];
	ino_t ino;
	uid_t uid;
	int fd = lock_file(p, lock, 0, &ino);

	if (fd < 0)
		return;
	if (!name_lives(p, name, &uid)) {
		snprintf(fresh, sizeof(fresh), ".%s.new", name);
		unlinkat(p->fd, fresh, 0);
		unlinkat(p->fd, name, 0);
		unlinkat(p->fd, lock, 0);
	}
	close_fd(&fd);
}

/* Remove the files of all dead daemons but this name's, whose epoch continues. */
static void sweep(const struct name *n)
{
	char name[VENOM_NAME_MAX + 1];
	struct dirent *e;
	DIR *d = opendir(n->place.path);

	while (d && (e = readdir(d)))
		if (lock_of(e->d_name, name) && strcmp(name, n->name))
			remove_dead(&n->place, name, e->d_name);
	if (d)
		closedir(d);
	venom_errmsg_clear();
}

/* ---- taking the name ---- */

/* Lock the name, if no living daemon serves it. */
static int take_lock(struct name *n)
{
	uid_t uid;
	int rc = busy(n);

	if (rc)
		return rc;
	n->lock_fd = lock_file(&n->place, n->lock, O_CREAT, &n->lock_ino);
	if (n->lock_fd < 0)
		return n->lock_fd;
	/* A living daemon's lock file may have been removed: check its socket, too. */
	if (!name_lives(&n->place, n->name, &uid))
		return 0;
	close_fd(&n->lock_fd);
	return venom_fail(-EBUSY, "a living daemon has the name: user %u's, in %s", uid, n->place.path);
}

#define BUSY_NS	 100000000
#define BUSY_NAP 2000 /* us */

int name_take(struct name *n, const char *name, uint32_t mode, uint64_t *epoch)
{
	int64_t start = now_ns();
	char path[VENOM_PATH_MAX];
	int rc;

	snprintf(n->name, sizeof(n->name), "%s", name);
	snprintf(n->lock, sizeof(n->lock), ".%s.lock", name);
	snprintf(n->fresh, sizeof(n->fresh), ".%s.new", name);
	n->shared = mode & 077;
	rc = place_make(&n->place, n->shared);
	if (!rc)
		rc = path_join(path, &n->place, n->fresh);
	/*
	 * Retry for a moment if the name is taken.  A daemon that has died or called exec keeps it until the kernel has
	 * closed all its files, which may be after its shells have noticed.  And a create of another name locks this
	 * one's file while it checks whether its daemon is dead.
	 */
	while (!rc && (rc = take_lock(n)) == -EBUSY && now_ns() - start < BUSY_NS) {
		usleep(BUSY_NAP);
		rc = 0;
	}
	if (rc) {
		close_fd(&n->place.fd);
		return rc;
	}
	if (pread(n->lock_fd, &n->epoch, sizeof(n->epoch), 0) != sizeof(n->epoch))
		n->epoch = 0;
	*epoch = ++n->epoch;
	rc = write_epoch(n);
	if (rc) {
		name_give_back(n);
		return rc;
	}
	sweep(n);
	flock(n->place.fd, LOCK_SH | LOCK_NB); /* systemd-tmpfiles leaves a locked folder alone; else see name_restore */
	return 0;
}

/* Remove our own files only: if ours were removed before, another daemon may have its files there by now. */
void name_hide(struct name *n)
{
	if (n->sock_ino && same_file(n->place.fd, n->lock, n->lock_ino) &&
	    same_file(n->place.fd, n->name, n->sock_ino))
		unlinkat(n->place.fd, n->name, 0);
	n->sock_ino = 0;
}

void name_give_back(struct name *n)
{
	name_hide(n);
	if (n->lock_fd >= 0 && same_file(n->place.fd, n->lock, n->lock_ino))
		unlinkat(n->place.fd, n->lock, 0);
	close_fd(&n->lock_fd);
	close_fd(&n->place.fd);
}

/* The socket gets its name only when it listens, by a rename that also replaces a dead daemon's socket. */
int name_listen(struct name *n, uint32_t mode, int *listener)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	/* connect(2) needs w on the socket: a user with any right gets it, and HELLO checks which rights. */
	mode_t bits = 0600 | (mode & 060 ? 0060 : 0) | (mode & 006 ? 0006 : 0);
	int dir = n->place.fd, sock, rc;
	struct stat st;

	rc = path_join(addr.sun_path, &n->place, n->fresh);
	if (rc)
		return rc;
	sock = venom_own(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (sock < 0)
		return -errno;
	unlinkat(dir, n->fresh, 0);
	/* bind(2) takes only a path.  fstatat() finds the socket in our place: so the path led there. */
	if (bind(sock, (struct sockaddr *)&addr, sizeof(addr)) || fchmodat(dir, n->fresh, bits, 0) || listen(sock, 128) ||
	    fstatat(dir, n->fresh, &st, AT_SYMLINK_NOFOLLOW) || renameat(dir, n->fresh, dir, n->name)) {
		rc = venom_fail(-errno, "%s/%s can't be made: %s", n->place.path, n->name, venom_reason(errno));
		unlinkat(dir, n->fresh, 0);
		close_fd(&sock);
		return rc;
	}
	n->gid = st.st_gid;
	n->sock_ino = st.st_ino;
	rc = busy(n);
	if (rc) {
		close_fd(&sock);
		return rc;
	}
	close_fd(listener);
	*listener = sock;
	return 0;
}

/* ---- keeping the name ---- */

bool name_is_ours(const struct name *n, const char *entry)
{
	return !strcmp(entry, n->name) || !strcmp(entry, n->lock);
}

static int restore_lock(struct name *n)
{
	int fd;

	if (same_file(n->place.fd, n->lock, n->lock_ino))
		return 0;
	fd = lock_file(&n->place, n->lock, O_CREAT, &n->lock_ino);
	if (fd < 0)
		return fd;
	close_fd(&n->lock_fd);
	n->lock_fd = fd;
	return write_epoch(n);
}

int name_restore(struct name *n, uint32_t mode, int *listener)
{
	struct place again;
	struct stat st;
	uid_t uid;
	int rc;

	if (!fstat(n->place.fd, &st) && !st.st_nlink) {
		rc = place_make(&again, n->shared);
		if (rc)
			return rc;
		close_fd(&n->place.fd);
		n->place = again;
		flock(n->place.fd, LOCK_SH | LOCK_NB);
	}
	rc = restore_lock(n);
	if (rc || same_file(n->place.fd, n->name, n->sock_ino))
		return rc;
	if (name_lives(&n->place, n->name, &uid))
		return venom_fail(-EBUSY, "user %u's daemon has the name now", uid);
	return name_listen(n, mode, listener) ?: 1;
}

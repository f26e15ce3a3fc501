/* SPDX-License-Identifier: MIT */
/*
 * Eclipse iceoryx: chunks of shared memory are published and taken.  iceoryx copies nothing, and a side that waits
 * spins on the try calls.  The copy into the chunk and the copy out of it are the user's: venom's rows do both too.
 *
 * iceoryx has a daemon, RouDi, and fixed names in /dev/shm and /tmp.  For the processes of one measurement both folders
 * are mounted anew, empty.  So a RouDi of this machine is not disturbed, and nothing is left behind: the mounts and
 * their contents go with the last of these processes, and RouDi dies with its parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "transport.h"

#if __has_include(<iceoryx_posh/popo/untyped_publisher.hpp>)
#include "peer_iceoryx.h"
#include "spin.h"


/* ---- a machine of its own ------------------------------------------------------------ */

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* A user other than root needs a user namespace to mount; the ids in it are the same. */
static bool own_users(void)
{
	unsigned int uid = geteuid(), gid = getegid();
	char users[64], groups[64];

	snprintf(users, sizeof(users), "%u %u 1", uid, uid);
	snprintf(groups, sizeof(groups), "%u %u 1", gid, gid);
	return !unshare(CLONE_NEWUSER | CLONE_NEWNS) && write_text("/proc/self/setgroups", "deny") &&
	       write_text("/proc/self/uid_map", users) && write_text("/proc/self/gid_map", groups);
}

static bool own_folders(void)
{
	return (!unshare(CLONE_NEWNS) || own_users()) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") &&
	       !mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
}

static int try_folders(void *arg)
{
	(void)arg;
	return own_folders() ? 0 : errno;
}

static const char *cannot(void)
{
	static char why[96];
	static bool tried;
	int status = 0;
	pid_t pid;

	if (tried)
		return why[0] ? why : NULL;
	tried = true;
	pid = child(try_folders, NULL);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		snprintf(why, sizeof(why), "no process could be started to try");
	else if (WEXITSTATUS(status))
		snprintf(why, sizeof(why), "no /dev/shm and /tmp of its own: %s", strerror(WEXITSTATUS(status)));
	return why[0] ? why : NULL;
}

/* ---- the transport --------------------------------------------------------------------- */

static const void *held; /* the chunk that was taken last */

static unsigned int queue_of(const struct stage *st)
{
	return st->latest ? 1 : st->size > 4096 ? 2 : 64;
}

/* Chunks: those in the queue, one held by each side, one that iceoryx keeps for the next publish, and one more. */
static unsigned int chunks_of(const struct stage *st)
{
	return queue_of(st) + 4;
}

static int be_roudi(void *arg)
{
	struct stage *st = arg;

	iceoryx_daemon(st->size, chunks_of(st));
	return 1;
}

static int make(struct stage *st)
{
	if (!own_folders())
		return bad("iceoryx: no /dev/shm and /tmp of its own: %s", strerror(errno));
	st->helper = child(be_roudi, st);
	return st->helper < 0 ? bad("fork: %s", strerror(errno)) : 0;
}

/* One way: only side 0 sends. */
static int open_side(struct stage *st, int side)
{
	static const char *const topic[] = {"from-0", "from-1"}, *const name[] = {"side-0", "side-1"};
	bool one_way = st->stream || st->latest;
	uint64_t deadline;

	iceoryx_open(name[side], one_way && side ? NULL : topic[side], one_way && !side ? NULL : topic[!side],
		     queue_of(st), st->latest);
	deadline = now_ns() + PATIENCE;
	while (!iceoryx_connected()) {
		if (now_ns() > deadline)
			return bad("iceoryx: the other side is not there");
		nap(1000000);
	}
	return 0;
}

/* Side 0 closes first: it has its answer, while side 1 may still be in the call that sent it. */
static void close_side(struct stage *st, int side)
{
	if (side == 0)
		atomic_store(&st->ready, 1);
	else
		wait_flag(&st->ready, 1);
	if (held)
		iceoryx_release(held);
	iceoryx_close();
}

static int send(struct stage *st, const void *msg)
{
	struct spin s = {0};

	while (!iceoryx_send(msg, st->size))
		if (!spin_on(&s))
			return bad("iceoryx: nobody takes");
	return 0;
}

/* The next message; for the latest value the newest one, which may be the one of the previous call. */
static const void *look(struct stage *st)
{
	const void *next;
	struct spin s = {0};

	while (!(next = iceoryx_take())) {
		if (st->latest && held)
			return held;
		if (!spin_on(&s))
			return bad("iceoryx: nothing comes"), NULL;
	}
	if (held)
		iceoryx_release(held);
	return held = next;
}

static int take(struct stage *st, void *msg)
{
	const void *chunk = look(st);

	if (!chunk)
		return 1;
	memcpy(msg, chunk, st->size);
	return 0;
}
#endif

const struct transport via_iceoryx = {
	.name = "iceoryx",
	.who = PEER,
#if __has_include(<iceoryx_posh/popo/untyped_publisher.hpp>)
	.cannot = cannot,
	.make = make,
	.open = open_side,
	.send = send,
	.take = take,
	.look = look,
	.close = close_side,
#else
	.missing = "built without iceoryx: apt-get install libiceoryx-posh-dev libacl1-dev",
#endif
};

/* SPDX-License-Identifier: MIT */
/*
 * venom: state and commands between processes of one host.
 *
 * The story.  A daemon owns a named channel:
 *
 *	venom_daemon_create()
 *	venom_daemon_publish()			state, for any number of readers
 *	venom_daemon_receive(), _respond()	commands, and an answer to each
 *
 * A shell attaches to it:
 *
 *	venom_shell_connect()
 *	venom_shell_read(), _wait()		the latest state, or newer state
 *	venom_shell_send()			an order that needs no answer
 *	venom_shell_request()			an order and its own answer
 *
 * All of it happens on mapped pages; a system call is made only to sleep, and
 * to wake one who sleeps.
 *
 * Conventions, unless a function says otherwise:
 *
 * - Returns 0 or a count; on failure a negative errno, and the outputs are
 *   as they were before the call (but a buffer to copy state into may hold anything after -EAGAIN,
 *   -EOVERFLOW and -EOWNERDEAD).  venom_errmsg() explains the last failure of
 *   the calling thread in a sentence, where there is more to say than the errno.
 * - Sizes are bytes, times are nanoseconds.  timeout_ns < 0 waits for ever,
 *   0 doesn't wait.  Waits measure CLOCK_MONOTONIC and go on after a signal.
 * - A daemon handle may be used by two threads at once: one that publishes
 *   (write_begin, write_commit, publish) and one that serves (receive, respond,
 *   run, arm).  A shell handle is used by one thread at a time; threads that want
 *   to work at once connect once each.  Different handles are independent.
 * - Progress: "wait-free" ends in a bounded number of its own steps whatever
 *   others do; "lock-free" may retry, a bounded number of times, only because
 *   another got on; "blocking" may sleep.  Sleeps and waits end when the peer
 *   dies, whatever the time-out.
 * - fork(): the child has neither its parent's areas nor its descriptors, so it hides no death and holds no memory.
 *   It connects or creates for itself; of its parent's handles it may only free the memory, by close or destroy.
 *   A child made by clone(2) without the C library keeps the descriptors until it execs.
 * - pthread_cancel(): a thread is cancelled only while it waits in receive, wait, room, request or complete,
 *   asleep or spinning.  The handle stays good for another thread; a request that was waited for is given up with
 *   the shell's next request().  All other calls end first.  Cancellation must be deferred, as it is by default.
 * - Time stamps are CLOCK_MONOTONIC of the process that makes them.  Between processes in different time namespaces
 *   (time_namespaces(7)) they differ by the namespaces' offset, and VENOM_ORDER_ARRIVAL does not see which came first.
 * - Errors of the kernel: where a call fails with an errno that is not listed, a system call was refused to the process
 *   (-EPERM, -ENOSYS, -EACCES: seccomp, a security module) or its descriptors were closed under the library (-EBADF).
 */
#ifndef VENOM_H
#define VENOM_H

#if !defined(__LP64__)
#error "venom needs a 64-bit program: sizes, versions and positions are 64-bit words that both sides store at once"
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VENOM_API __attribute__((visibility("default")))

struct venom_daemon;
struct venom_shell;
struct venom_schema;	/* venom_schema.h */

/* Longest name of a channel, without the terminating zero. */
#define VENOM_NAME_MAX		63
#define VENOM_CLIENTS_MAX	1024
#define VENOM_VERSIONS_MAX	65536
#define VENOM_SLOTS_MAX		(1u << 20)

/* venom_config.flags */
#define VENOM_STAMP		(1u << 0)  /* stamp each version: CLOCK_MONOTONIC at commit, about 20 ns each */
#define VENOM_ORDER_ARRIVAL	(1u << 1)  /* serve the oldest command first, not round robin; costs a look at every lane */
#define VENOM_LOSSLESS		(1u << 2)  /* a shell may ask to miss no version: see venom_shell_lossless() */
/* From here on not what a channel is, but how it is made. */
#define VENOM_RESUME		(1u << 8)  /* module: go on with the channel that a dead daemon left, see create */

/* venom_config.huge */
#define VENOM_HUGE_PREFER	0  /* huge pages where the pool has them, else base pages */
#define VENOM_HUGE_REQUIRE	1  /* huge pages, or -ENOMEM */
#define VENOM_HUGE_NEVER	2

/* venom_config.spin_ns, venom_shell_set_spin(): how long a wait spins before it sleeps */
#define VENOM_SPIN_ADAPTIVE	(-2)  /* learns from what came of the last waits; sleeps at once where there is one CPU only */
#define VENOM_SPIN_FOREVER	(-1)  /* busy-poll, never sleep */
#define VENOM_SPIN_NONE		0     /* sleep at once */

/*
 * What a channel is made of.  Start from VENOM_CONFIG_INIT and change what
 * you need; fields may be added at the end, `size` tells which you know.
 *
 * Memory: the state takes versions * (data_size + a header of at most 4096); each
 * shell takes cmd_slots * (cmd_size + resp_size + 32), in lines of 64, and a page or two.
 */
struct venom_config {
	uint32_t size;		/* sizeof(struct venom_config) */
	uint32_t flags;		/* VENOM_STAMP, VENOM_ORDER_ARRIVAL, VENOM_LOSSLESS, VENOM_RESUME */
	uint64_t data_size;	/* largest state, 1 byte to what memory holds */
	uint32_t versions;	/* buffers in the version ring, 1 to VENOM_VERSIONS_MAX; 1 is the classic seqlock */
	uint32_t cmd_slots;	/* commands a lane holds, 1 to VENOM_SLOTS_MAX; also the requests a shell may have open */
	uint32_t cmd_size;	/* largest command, at least 1 */
	uint32_t resp_size;	/* largest answer, at least 1 */
	uint32_t max_clients;	/* shells at once, 1 to VENOM_CLIENTS_MAX */
	uint32_t mode;		/* like a file's: r may attach and read, w may command; owner, group, others; 0600.
				 * x bits are refused.  Anything for group or others puts the channel where they
				 * can find it, see venom(7). */
	uint32_t huge;		/* VENOM_HUGE_*: pages of the state area */
	uint32_t reserved;	/* 0 */
	uint64_t huge_size;	/* size of a huge page: 2 MiB or 1 GiB in bytes; 0 is 2 MiB */
	int64_t  spin_ns;	/* the daemon's waits: VENOM_SPIN_* or a time */
	int32_t  node;		/* NUMA node of the daemon's areas; VENOM_NODE_ANY: by the thread's memory policy */
	uint32_t max_holders;	/* shells that may hold a version in place at once; VENOM_HOLDERS_*.  With more than
				 * versions - 2, which takes 2 versions at least, they can make publish give -EAGAIN */
	int64_t  full_ns;	/* VENOM_LOSSLESS: how long a publish waits for shells that have not read what it would
				 * overwrite; then it gives -EAGAIN.  < 0: as long as it takes, 0: at once */
	int64_t  limit_ns;	/* VENOM_LOSSLESS: a shell in the way that has read nothing for so long no longer counts
				 * until it reads again; > 0 */
	const struct venom_schema *schema;	/* what the bytes of a version mean, for those that attach; NULL: it
				 * is not said.  Copied: it need not stay */
};

#define VENOM_HOLDERS_AUTO	0		/* versions - 2: holders never stop a publish; none if versions is 2 or less */
#define VENOM_HOLDERS_NONE	UINT32_MAX

#define VENOM_NODE_ANY		(-1)

/* Without designators, which C++ has only since C++20. */
#define VENOM_CONFIG_INIT {							\
	sizeof(struct venom_config),	/* size */				\
	0,				/* flags */				\
	4096,				/* data_size */				\
	4,				/* versions */				\
	64,				/* cmd_slots */				\
	256,				/* cmd_size */				\
	256,				/* resp_size */				\
	64,				/* max_clients */			\
	0600,				/* mode */				\
	VENOM_HUGE_PREFER,		/* huge */				\
	0,				/* reserved */				\
	0,				/* huge_size */				\
	VENOM_SPIN_ADAPTIVE,		/* spin_ns */				\
	VENOM_NODE_ANY,			/* node */				\
	VENOM_HOLDERS_AUTO,		/* max_holders */			\
	-1,				/* full_ns */				\
	1000000000,			/* limit_ns */				\
	NULL				/* schema */				\
}

/* venom_command.flags */
#define VENOM_CMD_REQUEST	(1u << 0)  /* an answer is awaited */

/*
 * A command as the daemon receives it.  `data` is the daemon's own copy: its
 * sender can't change it any more.  It is good until the next receive; the rest
 * of the struct may be kept as long as one likes, to respond later.
 */
struct venom_command {
	const void *data;
	size_t   len;
	uint32_t client_id;	/* venom_shell_id() of the sender; reused after it has gone, see generation */
	uint32_t generation;	/* tells the users of one client_id apart */
	uint32_t flags;		/* VENOM_CMD_* */
	uint32_t slot;		/* for respond */
	uint32_t pid;		/* of the sender, as the kernel told when it connected; pid is 0 where */
	uint32_t uid;		/* it can't be seen from the daemon's pid namespace */
	uint32_t gid;
	uint32_t reserved;
	uint64_t tag;		/* venom_shell_submit()'s, 0 for a one-way command */
	uint64_t time_ns;	/* sender's CLOCK_MONOTONIC, with VENOM_ORDER_ARRIVAL; else 0 */
};

/* ---- daemon ------------------------------------------------------------- */

/*
 * Create the channel `name` and own it.
 *
 * A name has 1 to VENOM_NAME_MAX bytes, none of them '/', a space or a control
 * character, and does not start with '.'.  cfg NULL means VENOM_CONFIG_INIT.  What a
 * dead daemon left of the name is replaced.  Blocking: allocates and clears the areas.
 * The caller owns *d until venom_daemon_destroy().
 *
 * With VENOM_RESUME, on the module, and where shells still hold the channel of a daemon that died: it goes on.
 * venom_daemon_version() then is the last one's, its state can be read, commands that it had not taken come
 * from receive, its shells send again; their requests have failed.  cfg must be the same (but for spin_ns,
 * huge and node).  Where there is nothing to resume, and always on the embedded backend, it is a new channel, with
 * version 0; so a daemon that can go on may always ask for it.
 *
 * The library's own thread, one for each daemon, is of the class SCHED_OTHER and runs on any CPU that the cpuset allows,
 * whatever its maker's scheduling is: a daemon may spin for ever on its CPU, under SCHED_FIFO too.  That thread lets shells
 * in and notes their deaths; where no CPU is left to it, nobody can connect.
 *
 * venom_errmsg() explains each failure.
 *
 *	-EINVAL		name, a field of cfg or its schema is invalid; venom_errmsg() says which
 *	-EBUSY		a living daemon has the name, on this backend or on the other
 *	-EEXIST		the module keeps the name for a daemon of another user, or RESUME's cfg is another
 *	-EPROTO		RESUME: what the dead daemon left of the state is invalid
 *	-EACCES		this user can't make channels in that place; /dev/venom is there, and can't be opened
 *	-ENAMETOOLONG	the path of the place and the name is longer than a socket's can be
 *	-ENOSPC		no room for a small file in the place's file system
 *	-ENOMEM		not enough memory; not enough huge pages and huge is REQUIRE; a limit on memory, locked memory, threads or
 *			the size of files (memfds count for it), or the memory cgroup's
 *	-EDQUOT		the module's limit for this user is reached
 *	-EMFILE, -ENFILE  out of descriptors; a daemon needs 11 embedded (13 with VENOM_LOSSLESS), and 4 for each shell
 *	-ENODEV		VENOM_BACKEND names a backend that isn't here
 */
VENOM_API int venom_daemon_create(struct venom_daemon **d, const char *name, const struct venom_config *cfg);

/*
 * End the channel: shells learn of it at once and go on reading the last version.
 * Not while another thread is in a call on d.  NULL is fine.
 */
VENOM_API void venom_daemon_destroy(struct venom_daemon *d);

/*
 * Publish len bytes as the next version: copies, wait-free, and without a
 * system call unless shells sleep waiting for state.  Blocking only where lossless shells have to read first.
 *
 * A buffer whose version a shell holds is passed over, and so is its version number: venom_daemon_version() may grow by
 * more than 1.
 *
 *	-EMSGSIZE	len is larger than data_size; nothing was published
 *	-EBUSY		between write_begin and write_commit
 *	-EAGAIN		nothing was published: a lossless shell has not read what would be overwritten, for full_ns; or
 *			shells hold every buffer but the latest's, which takes more than versions - 2 of them.
 *			venom_daemon_stats counts both
 *	-ECANCELED	venom_daemon_stop() was called while it waited for a lossless shell; nothing was published
 *	-EBADF		its descriptors were closed by somebody else in the process, while it waited
 */
VENOM_API int venom_daemon_publish(struct venom_daemon *d, const void *data, size_t len);

/*
 * The same without the copy: write into the returned buffer (data_size bytes, *capacity if
 * not NULL; aligned to 4096 where data_size >= 4096, to 64 where it is over 48, or 32 with VENOM_STAMP, else to 16), by stores of any kind, then
 * commit the first len bytes.  The buffer holds an old version's bytes.  With versions == 1
 * readers wait from begin to commit; with more they read the version before.  A second begin
 * gives the same buffer.  Both wait-free, but begin blocks where publish does; it returns NULL where publish fails with
 * -EAGAIN, -ECANCELED or -EBADF, which then is in errno (as EAGAIN, ...).
 *
 *	write_commit: -EMSGSIZE  len > data_size: still open, commit again
 *		      -EINVAL    no write_begin
 */
VENOM_API void *venom_daemon_write_begin(struct venom_daemon *d, size_t *capacity);
VENOM_API int venom_daemon_write_commit(struct venom_daemon *d, size_t len);

/* Number of the last published version; 0 before the first. */
VENOM_API uint64_t venom_daemon_version(const struct venom_daemon *d);

/*
 * Take the next command: from each shell in the order in which it was sent;
 * between shells round robin with a bounded batch, or by VENOM_ORDER_ARRIVAL.
 * Returns 1 and fills *cmd, or 0 on time-out.  Wait-free with timeout_ns 0, else blocking.
 * Commands of a shell that has since closed or died are still delivered.  Where many are connected, a call with
 * timeout_ns 0 may leave out such as have been silent for long, if the last one in vain was less than 10 us ago.
 *
 *	-ECANCELED	venom_daemon_stop() was called
 *	-EBADF		its descriptors were closed by somebody else in the process
 */
VENOM_API int venom_daemon_receive(struct venom_daemon *d, struct venom_command *cmd, int64_t timeout_ns);

/*
 * The same for up to n commands at once: waits for the first, and takes with it what is there already, in the same
 * order.  Returns how many, at most n and 32 (fewer where cmd_size is over 8 KiB: they share a buffer of 256 KiB).  The
 * data of all of them stay until the next receive.  Errors as receive, and -EINVAL if n is 0.
 */
VENOM_API int venom_daemon_receive_many(struct venom_daemon *d, struct venom_command *cmds, unsigned int n,
					int64_t timeout_ns);

/*
 * Answer a request: at once or later, in any order, from the receiving thread, once.
 * Wait-free, and without a system call unless the shell sleeps.
 *
 *	-EINVAL		cmd is one-way, or was never received
 *	-EALREADY	it has been answered
 *	-EMSGSIZE	len is larger than resp_size; not answered yet
 *	-EPIPE		the shell has gone
 *	-ESTALE		the shell gave the request up (its time-out ran out) and has used its slot again; not sent
 */
VENOM_API int venom_daemon_respond(struct venom_daemon *d, const struct venom_command *cmd, const void *data, size_t len);

/*
 * Receive for ever and call fn for each command.  Returns 0 after
 * venom_daemon_stop(), or the first non-zero value that fn returns.
 */
typedef int (*venom_handler)(struct venom_daemon *d, const struct venom_command *cmd, void *user);
VENOM_API int venom_daemon_run(struct venom_daemon *d, venom_handler fn, void *user);

/*
 * Make receive return -ECANCELED and run return 0, now and from now on.  From any
 * thread, and async-signal-safe.
 */
VENOM_API int venom_daemon_stop(struct venom_daemon *d);

/*
 * A descriptor for poll, epoll or io_uring's IORING_OP_POLL_ADD.  Before each sleep on it call
 * venom_daemon_arm(): 1 means there is something to receive, don't sleep; 0 means armed: the
 * descriptor turns readable with the next command or stop.  receive() disarms and clears it.
 * Don't read, write or close it; it is the handle's.
 */
VENOM_API int venom_daemon_fd(struct venom_daemon *d);
VENOM_API int venom_daemon_arm(struct venom_daemon *d);

/* As venom_config.spin_ns; from the receiving thread. -EINVAL if it is none of these. */
VENOM_API int venom_daemon_set_spin(struct venom_daemon *d, int64_t spin_ns);

/* ---- shell -------------------------------------------------------------- */

/*
 * Attach to the channel `name`.  Blocking: gets an answer from the daemon's
 * process (not from the thread that serves), which takes it 100 us or so.
 *
 * venom_errmsg() explains each failure, and says whose limit it is where one is reached.
 *
 *	-EINVAL		name is invalid; see venom_daemon_create()
 *	-ENOENT		no living daemon has the name
 *	-EEXIST		two living daemons have the name, of two users other than this one and root
 *	-EACCES		the channel's mode does not let this user read; a folder where channels are can't be searched;
 *			/dev/venom is there, and can't be opened
 *	-EUSERS		max_clients shells are attached; one that has gone counts until its commands have been received, and
 *			on the module until the manager has noted that, a moment later.
 *			Or this user's have half of max_clients, and it is neither root nor the daemon's user
 *	-EPROTO		the other side speaks another ABI version, or what it gave is invalid; venom_errmsg() names the field
 *	-ETIMEDOUT	the daemon's process did not answer for 10 s (it may be stopped)
 *	-EDQUOT		the module's limit for this user is reached
 *	-EMFILE, -ENFILE, -ENOMEM  out of descriptors (a shell needs 4), out of memory or over a limit on it, on either side
 *	-EIO		the daemon's process failed at a call of its own
 *	-ENAMETOOLONG, -ENODEV  see venom_daemon_create()
 *
 * With the module a daemon that dies may be followed by one that resumes the channel (VENOM_RESUME): until then calls
 * fail with -EPIPE as below, and then they work again; nothing needs to be done here.  Requests that were open
 * have failed, with -ECONNRESET or -EPIPE, and one that failed so is not executed later; one-way commands that had
 * been accepted are.  venom_shell_info() tells the epoch.
 */
VENOM_API int venom_shell_connect(struct venom_shell **s, const char *name);

/* How to attach; start from VENOM_CONNECT_INIT. */
struct venom_connect {
	uint32_t size;		/* sizeof(struct venom_connect) */
	uint32_t flags;		/* VENOM_CONNECT_* */
	const struct venom_schema *schema;	/* as venom_shell_expect(); NULL: any */
};
#define VENOM_CONNECT_LOSSLESS	(1u << 0)  /* as venom_shell_lossless(), before the daemon counts this shell as attached */
#define VENOM_CONNECT_INIT	{ sizeof(struct venom_connect), 0, NULL }

/*
 * The same as venom_shell_connect(), and what *how says (NULL: nothing more).
 *
 *	-EINVAL		size, flags or schema is invalid
 *	-EPROTO		the channel's schema is not that one; venom_errmsg() names both
 *	-EPERM		VENOM_CONNECT_LOSSLESS: the channel was made without VENOM_LOSSLESS
 */
VENOM_API int venom_shell_connect_with(struct venom_shell **s, const char *name, const struct venom_connect *how);

/* Detach.  Commands already sent are still delivered; open requests are given up.  NULL is fine. */
VENOM_API void venom_shell_close(struct venom_shell *s);

/*
 * What the channel's messages mean: the schema that its daemon gave, checked against its hash.  Its strings and text are the
 * handle's, until close.  expect compares its hash with another schema's (venom_type_schema() makes one of a struct).  Both
 * without a system call.
 *
 *	schema: -ENODATA   the channel has none
 *		-EPROTO    what the daemon wrote is invalid
 *		-ENOMEM
 *	expect: -EPROTO    the channel has another one, or none; venom_errmsg() names both
 *		-EINVAL    `want` is invalid
 */
VENOM_API int venom_shell_schema(struct venom_shell *s, struct venom_schema *schema);
VENOM_API int venom_shell_expect(struct venom_shell *s, const struct venom_schema *want);

/* This shell's id: 0 to max_clients - 1, unique among the attached. */
VENOM_API uint32_t venom_shell_id(const struct venom_shell *s);

/*
 * Copy the latest whole version into buf.  Returns its length; *version (may be
 * NULL) gets its number.  Lock-free, bounded, no system call.  Works after the daemon's death too: from the call that
 * told this shell of it (-EPIPE, or venom_shell_alive()) on it is the last that was committed, the same one in every shell.
 * venom_inline.h has the same for small versions without a call.
 *
 *	-ENODATA	nothing has been published yet
 *	-EMSGSIZE	it has more than `size` bytes: venom_shell_needed() tells how many
 *	-EAGAIN		the writer was in the way at every try; venom_shell_stats tells how many tries
 *	-EOWNERDEAD	versions == 1, and the daemon died while it wrote the only one
 *	-EPROTO		what the daemon wrote can't be
 */
VENOM_API ssize_t venom_shell_read(struct venom_shell *s, void *buf, size_t size, uint64_t *version);

/*
 * Copy the version after *version: each in its order.  On success *version
 * is moved to it.  Start with 0 for the oldest there is, or venom_shell_version() for news only.
 * As read, and:
 *
 *	-EAGAIN		not published yet: venom_shell_wait()
 *	-EOVERFLOW	the writer has lapped the ring.  *version is moved so that the next call gives the oldest
 *			version still there: it has grown by how many numbers were missed
 *	-EPIPE		not published, and never will be: the daemon has gone
 */
VENOM_API ssize_t venom_shell_read_next(struct venom_shell *s, void *buf, size_t size, uint64_t *version);

/*
 * The latest version in place.  begin gives a pointer into the (read-only) area;
 * look at the bytes there, then retry says 0: what you saw was whole, or -EAGAIN: it was
 * overwritten meanwhile, forget it.  Until retry says 0 the bytes may be anything, and may
 * change while you look.  No matching "end" is needed.  Errors of begin as of read.
 * Both lock-free, bounded, no system call.
 */
struct venom_view {
	const void *data;
	size_t   len;
	uint64_t version;
	uint64_t time_ns;	/* CLOCK_MONOTONIC at commit, with VENOM_STAMP; else 0 */
	uint64_t seq;		/* for retry */
};
VENOM_API int venom_shell_read_begin(struct venom_shell *s, struct venom_view *view);
VENOM_API int venom_shell_read_retry(struct venom_shell *s, const struct venom_view *view);

/*
 * Hold a version in place: like read_begin, but what is seen stays whole until venom_shell_release(), however long that
 * takes.  `version` 0 holds the latest, else that one, if it is still there.  A shell holds one version at a time; the
 * daemon never waits for it, but passes over the buffer.  The first hold asks the daemon's process, and is blocking; the
 * others make no system call: lock-free and bounded; release is wait-free.  When the shell dies, the hold ends.  After the
 * daemon's death what is held stays.
 *
 * Errors as read, and:
 *
 *	-EBUSY		it holds one already: release it first
 *	-EUSERS		max_holders shells have held a version already: they keep the right until they close
 *	-ESTALE		`version` is overwritten, or was passed over
 *	-EAGAIN		`version` is not published yet, or as read
 *	-EPIPE		the daemon has gone, and this shell had not held anything before
 *	-ETIMEDOUT	the first hold: the daemon's process did not answer for 10 s (it may be stopped)
 *	release: -EINVAL  nothing is held
 */
VENOM_API int venom_shell_hold(struct venom_shell *s, uint64_t version, struct venom_view *view);
VENOM_API int venom_shell_release(struct venom_shell *s);

/*
 * With `on`, this shell misses no version that is published after the call returns, if it reads by
 * venom_shell_read_next(): before the daemon overwrites one that this shell has not read, its publish waits, or fails.
 * A shell that is in the way and reads nothing for the channel's limit_ns no longer counts: its next read_next gives
 * -EOVERFLOW, and *version tells how many it missed; from then on it counts again.  The wait of a publish ends at
 * once when the shell dies, closes or turns this off.  Blocking: asks the daemon's process, each time.  To miss nothing from
 * the daemon's first version on: venom_shell_connect_with().
 *
 *	-EPERM		the channel was made without VENOM_LOSSLESS
 *	-EPIPE		the daemon has gone
 *	-ETIMEDOUT	the daemon's process did not answer for 10 s (it may be stopped)
 */
VENOM_API int venom_shell_lossless(struct venom_shell *s, int on);

/* Number of the latest version, 0 if there is none. Wait-free. */
VENOM_API uint64_t venom_shell_version(const struct venom_shell *s);

/*
 * Wait until a version newer than `version` is there.  Returns 1, or 0 on time-out.
 * Blocking.
 *
 *	-EPIPE		there is none, and never will be: the daemon has gone
 *	-EPROTO		what the daemon says is invalid
 *	-EBADF		the shell's descriptors were closed by somebody else in the process; so also of all other waits
 */
VENOM_API int venom_shell_wait(struct venom_shell *s, uint64_t version, int64_t timeout_ns);

/*
 * Send a one-way command.  Wait-free, and without a system call unless the daemon sleeps.  Where the lane was full, it
 * lets a daemon that is taking commands get ahead first: 128 pauses of the CPU at most, some microseconds.
 *
 *	-EACCES		the channel's mode does not let this user command
 *	-EMSGSIZE	len is larger than cmd_size
 *	-EAGAIN		the lane is full: the daemon has not taken the last cmd_slots commands yet
 *	-EPIPE		the daemon has gone
 */
VENOM_API int venom_shell_send(struct venom_shell *s, const void *cmd, size_t len);

/*
 * Send n one-way commands, in this order; cheaper than one by one.  Returns how many were sent, or, if not even the first
 * one, why: errors as send.  Wait-free, and one system call at most.  Neighbours of one length go together, up to 32 of
 * them (not with VENOM_ORDER_ARRIVAL, nor where one of them fills its slot): they need fewer slots, so
 * that the lane has room for more than cmd_slots of them, and the daemon sees the first when the last is there, too.
 */
VENOM_API int venom_shell_send_many(struct venom_shell *s, const struct iovec *cmds, unsigned int n);

/*
 * Send a command and wait for its own answer, whose length is returned.  Blocking.
 * An answer that comes after the time-out is dropped, never given to another request.
 * As send, and:
 *
 *	-EAGAIN		cmd_slots requests are open already: complete or cancel one
 *	-ETIMEDOUT	no answer in time; or no room in the lane for all that time (with timeout_ns 0, too: to
 *			start without waiting use venom_shell_submit())
 *	-EMSGSIZE	the answer is larger than `size`: venom_shell_needed() tells by how much, and
 *			venom_shell_complete() with the tag venom_shell_tag() still gets it, until the next request
 *	-ECONNRESET	the daemon had taken the command, and has gone without an answer
 *	-EPIPE		the daemon has gone and never took it
 */
VENOM_API ssize_t venom_shell_request(struct venom_shell *s, const void *cmd, size_t len,
				      void *resp, size_t size, int64_t timeout_ns);

/*
 * The same in two steps, for many requests at once.  submit sends and gives a tag
 * (never 0); it is wait-free and fails as send does, with -EAGAIN also when cmd_slots requests are open.
 * complete waits for the answer of one tag, or, with *tag VENOM_ANY, for any; *tag is then set.
 * cancel gives a request up: its answer will be dropped.
 *
 *	complete: as request; -ETIMEDOUT and -EMSGSIZE leave the request open, all else ends it
 *		  -EINVAL    no such open request (any: none is open)
 *	cancel:   -EINVAL    no such open request
 */
#define VENOM_ANY 0
VENOM_API int venom_shell_submit(struct venom_shell *s, const void *cmd, size_t len, uint64_t *tag);
VENOM_API ssize_t venom_shell_complete(struct venom_shell *s, uint64_t *tag, void *resp, size_t size, int64_t timeout_ns);
VENOM_API int venom_shell_cancel(struct venom_shell *s, uint64_t tag);

/*
 * Wait until the lane has room for a command: for who got -EAGAIN.  Returns 1, or 0 on time-out.  Blocking.
 * -EACCES and -EPIPE as send.
 */
VENOM_API int venom_shell_room(struct venom_shell *s, int64_t timeout_ns);

/* The size that the last -EMSGSIZE of this shell wanted; the tag of the last request(). */
VENOM_API size_t venom_shell_needed(const struct venom_shell *s);
VENOM_API uint64_t venom_shell_tag(const struct venom_shell *s);

/* 1 while the daemon lives, else 0.  One system call at most. */
VENOM_API int venom_shell_alive(struct venom_shell *s);

/*
 * A descriptor for poll, epoll or IORING_OP_POLL_ADD; see venom_daemon_fd().  Arm with what
 * you wait for, before each sleep.  The first arm for state asks the daemon's process, and waits 100 ms at most for it;
 * where it answers later, the descriptor turns readable then, too.  arm returns 1 if it is there already (a version newer than `version`,
 * an answer to any open request, room for a command), 0 when armed, -EPIPE when the daemon has gone: the descriptor
 * then stays readable.  -EPROTO as wait; -ENOSYS: VENOM_WAIT_ROOM needs membarrier(2); use venom_shell_room().
 * Any wait or complete disarms and clears it.
 */
#define VENOM_WAIT_STATE	(1u << 0)
#define VENOM_WAIT_ANSWER	(1u << 1)
#define VENOM_WAIT_ROOM		(1u << 2)
VENOM_API int venom_shell_fd(struct venom_shell *s);
VENOM_API int venom_shell_arm(struct venom_shell *s, uint32_t what, uint64_t version);

/* How this shell's waits spin; VENOM_SPIN_* or a time.  -EINVAL if it is none of these. */
VENOM_API int venom_shell_set_spin(struct venom_shell *s, int64_t spin_ns);

/* ---- looking ------------------------------------------------------------ */

/* What a channel is; the same seen from both sides. */
struct venom_info {
	char     name[VENOM_NAME_MAX + 1];
	char     backend[8];	/* "memfd", "dev" */
	uint32_t abi;		/* version of the shared layout */
	uint32_t flags;		/* venom_config.flags */
	uint32_t mode;
	uint32_t versions;
	uint32_t cmd_slots;
	uint32_t cmd_size;
	uint32_t resp_size;
	uint32_t max_clients;
	uint64_t data_size;
	uint64_t page_size;	/* of the state area, as got: 4096, 2 MiB, 1 GiB */
	uint64_t state_bytes;	/* size of the state area */
	uint64_t lane_bytes;	/* memory for each shell: its commands and its answers */
	uint64_t epoch;		/* 1, and one more for each daemon that took the name over from a dead one */
	uint32_t pid, uid, gid;	/* the daemon's, as the kernel tells */
	uint32_t alive;		/* 1: its process lives */
	uint64_t schema_hash;	/* 0: it has no schema; in venom_list() also where the module has the channel */
	char     schema_name[64];
	char     schema_encoding[16];
};
VENOM_API int venom_daemon_info(const struct venom_daemon *d, struct venom_info *info);
VENOM_API int venom_shell_info(struct venom_shell *s, struct venom_info *info);

/* Counters since the handle was made; they never go back. */
struct venom_daemon_stats {
	uint64_t versions;	/* published */
	uint64_t commands;	/* received */
	uint64_t responses;	/* sent */
	uint64_t stale;		/* answers dropped: their request was given up (-ESTALE), or their shell gone (-EPIPE) */
	uint64_t wakes;		/* system calls to wake shells */
	uint64_t sleeps;	/* times receive went to sleep */
	uint64_t refused;	/* shells not let in, for whatever reason */
	uint64_t evicted;	/* shells thrown out: they broke the protocol */
	uint64_t passed;	/* version numbers passed over, as a shell held what was in their buffers */
	uint64_t held_up;	/* publishes refused: shells held all buffers but the latest's */
	uint64_t full;		/* publishes that a lossless shell was in the way of */
	uint64_t cut;		/* times that a lossless shell had read nothing for limit_ns and no longer counted */
	uint32_t clients;	/* attached now */
	uint32_t reserved;
};
VENOM_API int venom_daemon_stats(const struct venom_daemon *d, struct venom_daemon_stats *st);

struct venom_shell_stats {
	uint64_t reads;		/* versions read whole; seen by others (venom_stat()) 255 reads later at most */
	uint64_t retries;	/* tries of reads that the writer spoiled */
	uint64_t last_tries;	/* tries that the last read took, or took in vain */
	uint64_t overruns;	/* versions missed by read_next */
	uint64_t commands;	/* sent, one-way and requests */
	uint64_t answers;	/* got */
	uint64_t full;		/* sends refused, requests delayed: lane full */
	uint64_t timeouts;	/* requests given up */
	uint64_t wakes;		/* system calls to wake the daemon */
	uint64_t sleeps;	/* times a wait went to sleep */
	uint64_t checks;	/* system calls to see whether the daemon lives, while spinning */
};
VENOM_API int venom_shell_stats(const struct venom_shell *s, struct venom_shell_stats *st);

/*
 * The channels that this user can see, each given to fn; those whose daemon is dead too (alive 0, the rest of info 0
 * but for the name), until a daemon of the same user removes what it left.  Of a daemon that does not answer within 0.3 s (it
 * may be stopped) alive is 1, abi 0, and only name, pid, uid and gid are known.  fn returns 0 to go on; it must not
 * leave by longjmp or an exception.  Blocking, 0.3 s for each 64 channels at most.
 * Returns how many were given, or fn's value; or, after all others were given, a negative errno where a folder or the
 * device can't be read: venom_errmsg() names it.
 */
VENOM_API int venom_list(int (*fn)(const struct venom_info *info, void *user), void *user);

/*
 * Counters of a channel and of each shell on it, without attaching.  fn is called once for each shell
 * attached; NULL is fine.  Errors as venom_shell_connect().
 */
struct venom_peer {
	uint32_t client_id, generation;
	uint32_t pid, uid, gid;
	uint32_t reserved;
	/* From here on the module tells root and the channel's owner only; others get zeros. */
	struct venom_shell_stats shell;	/* what the shell says of itself */
	uint64_t received;		/* commands the daemon took from it */
	uint64_t responses;		/* answers the daemon gave it */
};
VENOM_API int venom_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
			 int (*fn)(const struct venom_peer *peer, void *user), void *user);

/* The last failure of this thread, explained in a sentence; "" if there is nothing to add to the errno. */
VENOM_API const char *venom_errmsg(void);

/*
 * Where the library reports what no return value can: a shell refused, a peer that
 * broke the rules.  NULL (the default) drops them; the environment's VENOM_LOG=1 puts
 * them on stderr.  fn may be called from the library's own thread.
 */
VENOM_API void venom_set_log(void (*fn)(const char *line));

/* "0.1.0" */
VENOM_API const char *venom_version(void);

#ifdef __cplusplus
}
#endif
#endif /* VENOM_H */

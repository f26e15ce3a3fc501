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
 *	venom_shell_send()			a command that needs no answer
 *	venom_shell_request()			a command and its own answer
 *
 * All of it happens on mapped pages; a system call is made only to sleep, and
 * to wake a sleeper.
 *
 * Conventions, unless a function says otherwise:
 *
 * - A call returns 0 or a count; on failure a negative errno, and the outputs are
 *   as they were before the call (but a buffer to copy state into may hold anything after -EAGAIN,
 *   -EOVERFLOW and -EOWNERDEAD).  venom_errmsg() explains the last failure of
 *   the calling thread in a sentence, if there is more to say than the errno.
 * - Sizes are bytes, times are nanoseconds.  timeout_ns < 0 waits for ever,
 *   0 doesn't wait.  Waits measure CLOCK_MONOTONIC and continue after a signal.
 * - A daemon handle may be used by two threads at once: a publisher
 *   (write_begin, write_commit, publish) and a server (receive, respond,
 *   run, arm).  A shell handle is used by one thread at a time; threads that are to
 *   work at the same time connect once each.  Different handles are independent.
 * - Progress: a "wait-free" call ends in a bounded number of its own steps, whatever
 *   other threads do; a "lock-free" call may retry, a bounded number of times, only because
 *   another thread made progress; a "blocking" call may sleep.  Sleeps and waits end when the peer
 *   dies, whatever the time-out.
 * - fork(): the child has neither the areas nor the descriptors of its parent, so it hides no death and keeps no memory
 *   in use.  It must connect or create for itself; with its parent's handles it may only call close or destroy, which
 *   free their memory.  A child made by clone(2) without the C library keeps the descriptors until it execs.
 * - pthread_cancel(): a thread is cancelled only while it waits, asleep or spinning, in receive, wait, room, request or
 *   complete.  The handle stays valid for other threads; a request that was being waited for is given up with
 *   the shell's next request().  All other calls complete first.  Cancellation must be deferred, the default.
 * - Time stamps are CLOCK_MONOTONIC of the process that makes them.  Between processes in different time namespaces
 *   (time_namespaces(7)) they differ by the namespaces' offset, and VENOM_ORDER_ARRIVAL cannot tell which came first.
 * - Errors of the kernel: if a call fails with an errno that is not listed, the process was refused a system call
 *   (-EPERM, -ENOSYS, -EACCES: seccomp, a security module), or other code closed the library's descriptors (-EBADF).
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
/* The flags from here on say how a channel is made, not what it is. */
#define VENOM_RESUME		(1u << 8)  /* module: resume the channel that a dead daemon left, see create */

/* venom_config.huge */
#define VENOM_HUGE_PREFER	0  /* huge pages where the pool has them, else base pages */
#define VENOM_HUGE_REQUIRE	1  /* huge pages, or -ENOMEM */
#define VENOM_HUGE_NEVER	2

/* venom_config.spin_ns, venom_shell_set_spin(): how long a wait spins before it sleeps */
#define VENOM_SPIN_ADAPTIVE	(-2)  /* adapts to how the last waits went; sleeps at once if there is only one CPU */
#define VENOM_SPIN_FOREVER	(-1)  /* busy-poll, never sleep */
#define VENOM_SPIN_NONE		0     /* sleep at once */

/*
 * Configuration of a channel.  Start from VENOM_CONFIG_INIT and change what
 * you need; fields may be added at the end, `size` tells which the caller knows.
 *
 * Memory: the state takes versions * (data_size + a header of at most 4096); each
 * shell takes cmd_slots * (cmd_size + resp_size + 32), in lines of 64, and a page or two.
 */
struct venom_config {
	uint32_t size;		/* sizeof(struct venom_config) */
	uint32_t flags;		/* VENOM_STAMP, VENOM_ORDER_ARRIVAL, VENOM_LOSSLESS, VENOM_RESUME */
	uint64_t data_size;	/* largest state, 1 byte or more, as far as memory suffices */
	uint32_t versions;	/* buffers in the version ring, 1 to VENOM_VERSIONS_MAX; 1 is the classic seqlock */
	uint32_t cmd_slots;	/* commands a lane holds, 1 to VENOM_SLOTS_MAX; also the requests a shell may have open */
	uint32_t cmd_size;	/* largest command, at least 1 */
	uint32_t resp_size;	/* largest answer, at least 1 */
	uint32_t max_clients;	/* shells at once, 1 to VENOM_CLIENTS_MAX */
	uint32_t mode;		/* like a file's: r may attach and read, w may command; owner, group, others; 0600.
				 * x bits are refused.  A bit for group or others puts the channel where they
				 * can find it, see venom(7). */
	uint32_t huge;		/* VENOM_HUGE_*: pages of the state area */
	uint32_t reserved;	/* 0 */
	uint64_t huge_size;	/* size of a huge page: 2 MiB or 1 GiB in bytes; 0 is 2 MiB */
	int64_t  spin_ns;	/* the daemon's waits: VENOM_SPIN_* or a time */
	int32_t  node;		/* NUMA node of the daemon's areas; VENOM_NODE_ANY: by the thread's memory policy */
	uint32_t max_holders;	/* shells that may hold a version in place at once; VENOM_HOLDERS_*.  With more than
				 * versions - 2 (versions must be 2 at least), they can make publish fail with -EAGAIN
				 * */
	int64_t  full_ns;	/* VENOM_LOSSLESS: how long a publish waits for shells that have not read what it would
				 * overwrite; then it fails with -EAGAIN.  < 0: no time-out, 0: fails at once */
	int64_t  limit_ns;	/* VENOM_LOSSLESS: a shell that blocks a publish and has read nothing for so long is
				 * ignored until it reads again; > 0 */
	const struct venom_schema *schema;	/* what the bytes of a version mean, for the shells; NULL: not
				 * specified.  Copied: the caller's need not stay */
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
 * sender can't change it any more.  It is valid until the next receive; the rest
 * of the struct may be kept for any time, to respond later.
 */
struct venom_command {
	const void *data;
	size_t   len;
	uint32_t client_id;	/* venom_shell_id() of the sender; reused after it has gone, see generation */
	uint32_t generation;	/* tells successive users of one client_id apart */
	uint32_t flags;		/* VENOM_CMD_* */
	uint32_t slot;		/* for respond */
	uint32_t pid;		/* of the sender, as the kernel reported at connect; pid is 0 if the */
	uint32_t uid;		/* sender is not visible in the daemon's pid namespace */
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
 * dead daemon left under the name is replaced.  Blocking: allocates and clears the areas.
 * The caller owns *d until venom_daemon_destroy().
 *
 * With VENOM_RESUME, on the module, if shells are still attached to the channel of a daemon that died, create resumes
 * that channel: venom_daemon_version() is the dead daemon's, its state can be read, receive gives the commands that it
 * had not taken, and its shells can send again; their open requests have failed.  cfg must be the same (but for
 * spin_ns, huge and node).  If there is nothing to resume, and always on the embedded backend, create makes a new
 * channel, with version 0; so a daemon that can resume may always set the flag.
 *
 * The library has one thread of its own for each daemon, which lets shells in and notes their deaths.  It is of the
 * class SCHED_OTHER and runs on any CPU that the cpuset allows, whatever the scheduling of its creator: a daemon may
 * spin for ever on its CPU, under SCHED_FIFO, too.  If no CPU is left to that thread, no shell can connect.
 *
 * venom_errmsg() explains each failure.
 *
 *	-EINVAL		name, a field of cfg or its schema is invalid; venom_errmsg() says which
 *	-EBUSY		a living daemon has the name, on this backend or on the other
 *	-EEXIST		the module keeps the name for a daemon of another user, or RESUME: cfg is different
 *	-EPROTO		RESUME: what the dead daemon left of the state is invalid
 *	-EACCES		this user can't make channels in that place; /dev/venom exists but can't be opened
 *	-ENAMETOOLONG	the path of the place and the name is longer than a socket's path may be
 *	-ENOSPC		no room for a small file in the place's file system
 *	-ENOMEM		not enough memory; not enough huge pages and huge is REQUIRE; a limit on memory, locked memory,
 *			threads or the size of files (memfds count for it), or the memory cgroup's
 *	-EDQUOT		the module's limit for this user is reached
 *	-EMFILE, -ENFILE  out of descriptors; a daemon needs 11 embedded (13 with VENOM_LOSSLESS), and 4 for each shell
 *	-ENODEV		VENOM_BACKEND names a backend that isn't available
 */
VENOM_API int venom_daemon_create(struct venom_daemon **d, const char *name, const struct venom_config *cfg);

/*
 * End the channel: shells see it at once and may still read the last version.
 * Don't call it while another thread is in a call on d.  NULL is fine.
 */
VENOM_API void venom_daemon_destroy(struct venom_daemon *d);

/*
 * Copy and publish len bytes as the next version.  Wait-free, and without a
 * system call unless shells sleep waiting for state.  Blocking only if lossless shells have to read first.
 *
 * A buffer whose version a shell holds is passed over, and so is its version number: venom_daemon_version() may grow by
 * more than 1.
 *
 *	-EMSGSIZE	len is larger than data_size; nothing was published
 *	-EBUSY		between write_begin and write_commit
 *	-EAGAIN		nothing was published: for full_ns, a lossless shell has not read what would be overwritten; or
 *			shells hold every buffer but the latest's (possible with more than versions - 2 holders).
 *			venom_daemon_stats counts both
 *	-ECANCELED	venom_daemon_stop() was called while it waited for a lossless shell; nothing was published
 *	-EBADF		other code in the process closed the handle's descriptors while it waited
 */
VENOM_API int venom_daemon_publish(struct venom_daemon *d, const void *data, size_t len);

/*
 * The same without the copy: write into the returned buffer, by stores of any kind, then commit the first len bytes.
 * The buffer has data_size bytes (also in *capacity, if not NULL) and is aligned to 4096 if data_size >= 4096, to 64 if
 * it is over 48, or 32 with VENOM_STAMP, else to 16.  It holds an old version's bytes.  With versions == 1 readers wait
 * from begin to commit; with more they read the previous version.  A second begin gives the same buffer.  Both are
 * wait-free, but begin blocks if publish would.  It returns NULL if publish would fail with -EAGAIN, -ECANCELED or
 * -EBADF, which is then in errno (as EAGAIN, ...).
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
 * Commands of a shell that has since closed or died are still delivered.  If many shells are connected, a call with
 * timeout_ns 0 may skip those silent for long, if the last call that found nothing was less than 10 us ago.
 *
 *	-ECANCELED	venom_daemon_stop() was called
 *	-EBADF		other code in the process closed the handle's descriptors
 */
VENOM_API int venom_daemon_receive(struct venom_daemon *d, struct venom_command *cmd, int64_t timeout_ns);

/*
 * The same for up to n commands at once: waits for the first, and takes with it those that are there already, in the
 * same order.  Returns how many, at most n and 32 (fewer if cmd_size is over 8 KiB: they share a buffer of 256 KiB).
 * The data of all of them are valid until the next receive.  Errors as receive, and -EINVAL if n is 0.
 */
VENOM_API int venom_daemon_receive_many(struct venom_daemon *d, struct venom_command *cmds, unsigned int n,
					int64_t timeout_ns);

/*
 * Answer a request, once, from the server thread: at once or later, in any order.
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
 * Don't read, write or close it; it belongs to the handle.
 */
VENOM_API int venom_daemon_fd(struct venom_daemon *d);
VENOM_API int venom_daemon_arm(struct venom_daemon *d);

/* Set spin_ns as in venom_config; from the server thread.  -EINVAL if it is invalid. */
VENOM_API int venom_daemon_set_spin(struct venom_daemon *d, int64_t spin_ns);

/* ---- shell -------------------------------------------------------------- */

/*
 * Attach to the channel `name`.  Blocking: the answer comes from the daemon's
 * process (the manager, not the server), which takes about 100 us.
 *
 * venom_errmsg() explains each failure, and says whose limit it is if a limit is reached.
 *
 *	-EINVAL		name is invalid; see venom_daemon_create()
 *	-ENOENT		no living daemon has the name
 *	-EEXIST		two living daemons have the name, of two users other than this one and root
 *	-EACCES		the channel's mode does not let this user read; a folder where channels are can't be searched;
 *			/dev/venom exists but can't be opened
 *	-EUSERS		max_clients shells are attached; a shell that has gone counts until its commands have been
 *			received, and on the module until the manager has noted that, a moment later.
 *			Or this user's shells are half of max_clients, and the user is neither root nor the daemon's
 *	-EPROTO		the peer has another ABI version, or what it sent is invalid; venom_errmsg() names the field
 *	-ETIMEDOUT	the daemon's process did not answer for 10 s (it may be stopped)
 *	-EDQUOT		the module's limit for this user is reached
 *	-EMFILE, -ENFILE, -ENOMEM  out of descriptors (a shell needs 4), out of memory or over a limit on it, on either side
 *	-EIO		a system call failed in the daemon's process
 *	-ENAMETOOLONG, -ENODEV  see venom_daemon_create()
 *
 * With the module another daemon may resume the channel of a daemon that died (VENOM_RESUME).  Until then calls
 * fail with -EPIPE as below, afterwards they work again; the shell need not do anything.  Requests that were open
 * have failed, with -ECONNRESET or -EPIPE, and are not executed later; one-way commands that had
 * been accepted are executed.  venom_shell_info() gives the epoch.
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
 * The same as venom_shell_connect(), with the options in *how (NULL: none).
 *
 *	-EINVAL		size, flags or schema is invalid
 *	-EPROTO		the channel's schema is not that one; venom_errmsg() names both
 *	-EPERM		VENOM_CONNECT_LOSSLESS: the channel was made without VENOM_LOSSLESS
 */
VENOM_API int venom_shell_connect_with(struct venom_shell **s, const char *name, const struct venom_connect *how);

/* Detach.  Commands already sent are still delivered; open requests are given up.  NULL is fine. */
VENOM_API void venom_shell_close(struct venom_shell *s);

/*
 * Get the schema that the channel's daemon gave, checked against its hash: what the messages mean.  Its strings and
 * text belong to the handle, until close.  expect compares the schema's hash with that of `want` (venom_type_schema()
 * makes a schema of a struct).  Both make no system call.
 *
 *	schema: -ENODATA   the channel has no schema
 *		-EPROTO    the schema that the daemon wrote is invalid
 *		-ENOMEM
 *	expect: -EPROTO    the channel has another schema, or none; venom_errmsg() names both
 *		-EINVAL    `want` is invalid
 */
VENOM_API int venom_shell_schema(struct venom_shell *s, struct venom_schema *schema);
VENOM_API int venom_shell_expect(struct venom_shell *s, const struct venom_schema *want);

/* This shell's id: 0 to max_clients - 1, unique among the attached. */
VENOM_API uint32_t venom_shell_id(const struct venom_shell *s);

/*
 * Copy the latest whole version into buf.  Returns its length; *version (may be
 * NULL) gets its number.  Lock-free, bounded, no system call.  Works after the daemon's death, too: once a call has
 * reported the death to this shell (-EPIPE, or venom_shell_alive()), it gives the last committed version, the same in
 * every shell.  venom_inline.h has the same for small versions without a call.
 *
 *	-ENODATA	nothing has been published yet
 *	-EMSGSIZE	it has more than `size` bytes: venom_shell_needed() tells how many
 *	-EAGAIN		the writer interfered with every try; venom_shell_stats tells how many tries
 *	-EOWNERDEAD	versions == 1, and the daemon died while it wrote the only version
 *	-EPROTO		the length that the daemon wrote is invalid
 */
VENOM_API ssize_t venom_shell_read(struct venom_shell *s, void *buf, size_t size, uint64_t *version);

/*
 * Copy the version after *version, to read each version in order.  On success *version
 * is moved to it.  Start with 0 for the oldest there is, or venom_shell_version() for new versions only.
 * Errors as read, and:
 *
 *	-EAGAIN		not published yet: venom_shell_wait()
 *	-EOVERFLOW	the writer has overwritten that version.  *version is moved so that the next call gives the
 *			oldest version still there: it grows by the count of numbers that were missed
 *	-EPIPE		not published, and never will be: the daemon has gone
 */
VENOM_API ssize_t venom_shell_read_next(struct venom_shell *s, void *buf, size_t size, uint64_t *version);

/*
 * Read the latest version in place.  begin gives a pointer into the (read-only) area; read
 * the bytes there, then call retry.  It returns 0 if the bytes read were whole, or -EAGAIN if they
 * were overwritten meanwhile: discard them.  Until retry returns 0 the bytes may be anything, and may
 * change during the read.  No matching "end" is needed.  Errors of begin as of read.
 * Both are lock-free and bounded, and make no system call.
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
 * Hold a version in place: like read_begin, but the bytes stay whole until venom_shell_release(), for any length of
 * time.  `version` 0 holds the latest version, else the given one, if it is still there.  A shell holds one version at
 * a time; the daemon never waits for it, but passes over the buffer.  The first hold asks the daemon's process, and is
 * blocking; later holds make no system call and are lock-free and bounded; release is wait-free.  When the shell dies,
 * the hold ends.  After the daemon's death a held version stays.
 *
 * Errors as read, and:
 *
 *	-EBUSY		the shell holds a version already: release it first
 *	-EUSERS		max_holders shells have held a version already: they keep the right until they close
 *	-ESTALE		`version` was overwritten, or was passed over
 *	-EAGAIN		`version` is not published yet, or as read
 *	-EPIPE		the daemon has gone, and this shell had not held anything before
 *	-ETIMEDOUT	the first hold: the daemon's process did not answer for 10 s (it may be stopped)
 *	release: -EINVAL  nothing is held
 */
VENOM_API int venom_shell_hold(struct venom_shell *s, uint64_t version, struct venom_view *view);
VENOM_API int venom_shell_release(struct venom_shell *s);

/*
 * With `on`, this shell misses no version that is published after the call returns, if it reads with
 * venom_shell_read_next(): a publish that would overwrite a version that this shell has not read waits, or fails.
 * A shell that blocks a publish and reads nothing for the channel's limit_ns is ignored: its next read_next gives
 * -EOVERFLOW, and *version tells how many it missed; from then on it counts again.  The wait of a publish ends at
 * once when the shell dies, closes or turns this off.  Blocking: asks the daemon's process each time.  To miss nothing
 * from the daemon's first version on, use venom_shell_connect_with().
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
 *	-EBADF		other code in the process closed the shell's descriptors; all other waits may fail so, too
 */
VENOM_API int venom_shell_wait(struct venom_shell *s, uint64_t version, int64_t timeout_ns);

/*
 * Send a one-way command.  Wait-free, and without a system call unless the daemon sleeps.  If the lane was full, send
 * first lets a daemon that is taking commands get ahead: 128 pauses of the CPU at most, some microseconds.
 *
 *	-EACCES		the channel's mode does not let this user command
 *	-EMSGSIZE	len is larger than cmd_size
 *	-EAGAIN		the lane is full: the daemon has not taken the last cmd_slots commands yet
 *	-EPIPE		the daemon has gone
 */
VENOM_API int venom_shell_send(struct venom_shell *s, const void *cmd, size_t len);

/*
 * Send n one-way commands, in this order; cheaper than one by one.  Returns how many were sent, or, if none was, the
 * error of the first, as send.  Wait-free, and one system call at most.  Neighbours of equal length go together, up to
 * 32 of them (not with VENOM_ORDER_ARRIVAL, nor if one of them fills its slot): they need fewer slots, so that the lane
 * has room for more than cmd_slots of them, and the daemon sees the first only when the last is there, too.
 */
VENOM_API int venom_shell_send_many(struct venom_shell *s, const struct iovec *cmds, unsigned int n);

/*
 * Send a command and wait for its own answer, whose length is returned.  Blocking.
 * An answer that comes after the time-out is dropped, never given to another request.
 * Errors as send, and:
 *
 *	-EAGAIN		cmd_slots requests are open already: complete or cancel one
 *	-ETIMEDOUT	no answer in time; or no room in the lane for all that time (also with timeout_ns 0: to
 *			send without waiting use venom_shell_submit())
 *	-EMSGSIZE	the answer is larger than `size`: venom_shell_needed() tells its size, and
 *			venom_shell_complete() with the tag venom_shell_tag() still gets it, until the next request
 *	-ECONNRESET	the daemon took the command, and has gone without an answer
 *	-EPIPE		the daemon has gone and never took the command
 */
VENOM_API ssize_t venom_shell_request(struct venom_shell *s, const void *cmd, size_t len,
				      void *resp, size_t size, int64_t timeout_ns);

/*
 * The same in two steps, for many requests at once.  submit sends and gives a tag
 * (never 0); it is wait-free and fails as send does, with -EAGAIN also when cmd_slots requests are open.
 * complete waits for the answer of one tag, or, with *tag VENOM_ANY, for any; *tag is then set.
 * cancel gives a request up: its answer will be dropped.
 *
 *	complete: as request; -ETIMEDOUT and -EMSGSIZE leave the request open, every other result ends it
 *		  -EINVAL    no such open request (any: none is open)
 *	cancel:   -EINVAL    no such open request
 */
#define VENOM_ANY 0
VENOM_API int venom_shell_submit(struct venom_shell *s, const void *cmd, size_t len, uint64_t *tag);
VENOM_API ssize_t venom_shell_complete(struct venom_shell *s, uint64_t *tag, void *resp, size_t size, int64_t timeout_ns);
VENOM_API int venom_shell_cancel(struct venom_shell *s, uint64_t tag);

/*
 * Wait until the lane has room for a command, after -EAGAIN.  Returns 1, or 0 on time-out.  Blocking.
 * -EACCES and -EPIPE as send.
 */
VENOM_API int venom_shell_room(struct venom_shell *s, int64_t timeout_ns);

/* The size that was needed at this shell's last -EMSGSIZE; the tag of the last request(). */
VENOM_API size_t venom_shell_needed(const struct venom_shell *s);
VENOM_API uint64_t venom_shell_tag(const struct venom_shell *s);

/* 1 while the daemon lives, else 0.  One system call at most. */
VENOM_API int venom_shell_alive(struct venom_shell *s);

/*
 * A descriptor for poll, epoll or IORING_OP_POLL_ADD; see venom_daemon_fd().  Before each sleep, arm it for
 * `what`.  The first arm for state asks the daemon's process, and waits 100 ms at most for its answer; if that comes
 * later, the descriptor turns readable then, too.  arm returns 1 if `what` is there already (a version newer than
 * `version`, an answer to any open request, room for a command), 0 when armed, -EPIPE when the daemon has gone: the
 * descriptor then stays readable.  -EPROTO as wait; -ENOSYS: VENOM_WAIT_ROOM needs membarrier(2); use
 * venom_shell_room().  Any wait or complete disarms and clears it.
 */
#define VENOM_WAIT_STATE	(1u << 0)
#define VENOM_WAIT_ANSWER	(1u << 1)
#define VENOM_WAIT_ROOM		(1u << 2)
VENOM_API int venom_shell_fd(struct venom_shell *s);
VENOM_API int venom_shell_arm(struct venom_shell *s, uint32_t what, uint64_t version);

/* How this shell's waits spin; VENOM_SPIN_* or a time.  -EINVAL if it is invalid. */
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
	uint64_t page_size;	/* of the state area, as allocated: 4096, 2 MiB, 1 GiB */
	uint64_t state_bytes;	/* size of the state area */
	uint64_t lane_bytes;	/* memory for each shell: its commands and its answers */
	uint64_t epoch;		/* 1, plus 1 for each daemon that took the name over from a dead one */
	uint32_t pid, uid, gid;	/* the daemon's, as the kernel reports */
	uint32_t alive;		/* 1: the daemon's process lives */
	uint64_t schema_hash;	/* 0: no schema; in venom_list() also 0 for each channel of the module */
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
	uint64_t refused;	/* shells not let in, for any reason */
	uint64_t evicted;	/* shells thrown out: they broke the protocol */
	uint64_t passed;	/* version numbers passed over, as a shell held what was in their buffers */
	uint64_t held_up;	/* publishes refused: shells held all buffers but the latest's */
	uint64_t full;		/* publishes that a lossless shell blocked */
	uint64_t cut;		/* times that a lossless shell was ignored, having read nothing for limit_ns */
	uint32_t clients;	/* attached now */
	uint32_t reserved;
};
VENOM_API int venom_daemon_stats(const struct venom_daemon *d, struct venom_daemon_stats *st);

struct venom_shell_stats {
	uint64_t reads;		/* versions read whole; venom_stat() sees them 255 reads later at most */
	uint64_t retries;	/* tries of reads that failed, as the writer overwrote the version */
	uint64_t last_tries;	/* tries of the last read, successful or not */
	uint64_t overruns;	/* versions missed by read_next */
	uint64_t commands;	/* sent, one-way and requests */
	uint64_t answers;	/* received */
	uint64_t full;		/* sends refused, requests delayed: lane full */
	uint64_t timeouts;	/* requests given up */
	uint64_t wakes;		/* system calls to wake the daemon */
	uint64_t sleeps;	/* times a wait went to sleep */
	uint64_t checks;	/* system calls to see whether the daemon lives, while spinning */
};
VENOM_API int venom_shell_stats(const struct venom_shell *s, struct venom_shell_stats *st);

/*
 * Call fn for each channel that this user can see.  A channel whose daemon is dead is listed, too (alive 0, the rest of
 * info 0 but for the name), until a daemon of the same user removes what is left of it.  If a daemon does not answer
 * within 0.3 s (it may be stopped), alive is 1, abi 0, and only name, pid, uid and gid are known.  fn returns 0 to go
 * on; it must not leave by longjmp or an exception.  Blocking, 0.3 s for each 64 channels at most.  Returns how many
 * were listed, or fn's value; or, after all others were listed, a negative errno if a folder or the device can't be
 * read: venom_errmsg() names it.
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
	/* From here on the module tells only root and the channel's owner; other users get zeros. */
	struct venom_shell_stats shell;	/* as the shell itself reports */
	uint64_t received;		/* commands the daemon took from it */
	uint64_t responses;		/* answers the daemon gave it */
};
VENOM_API int venom_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
			 int (*fn)(const struct venom_peer *peer, void *user), void *user);

/* The last failure of this thread, explained in a sentence; "" if there is nothing to add to the errno. */
VENOM_API const char *venom_errmsg(void);

/*
 * Set the function that gets the library's reports that no return value can carry: a shell
 * was refused, a peer broke the protocol.  NULL (the default) drops them; the environment's
 * VENOM_LOG=1 puts them on stderr.  fn may be called from the library's own thread.
 */
VENOM_API void venom_set_log(void (*fn)(const char *line));

/* "0.1.0" */
VENOM_API const char *venom_version(void);

#ifdef __cplusplus
}
#endif
#endif /* VENOM_H */

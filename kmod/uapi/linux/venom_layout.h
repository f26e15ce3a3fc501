/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * The shared layout of a channel: what is where on the mapped pages, and which process writes it.
 *
 * A channel is a set of areas; each is a run of pages with one writer, and mapped read-only by every other process
 * (the MMU enforces that):
 *
 *   area            written by          read by     holds
 *   --------------  ------------------  ----------  ---------------------------------------------------
 *   status          kernel, or embedded all         is the daemon alive; attached shells; state waiters
 *                   the daemon
 *   state           daemon              all         geometry, daemon's sleeping word, the version ring
 *   commands[i]     shell i             daemon      shell's sleeping word, its counters, the version that it holds,
 *                                                   the versions that it has read, command slots
 *   responses[i]    daemon              shell i     daemon's command cursor, answer slots
 *
 *	  daemon                                    shell i                         observer, module only
 *	 +----------------------+                  +----------------------+        +----------------------+
 *	 | state         rw ----|---- publish ---->| state         r      |        | state         r      |
 *	 | commands[i]   r <----|---- command -----| commands[i]   rw     |        | commands[i]   r (1)  |
 *	 | responses[i]  rw ----|---- answer ----->| responses[i]  r      |        | responses[i]  r (1)  |
 *	 | status        r (2)  |                  | status        r      |        | status        r      |
 *	 +---------------^------+                  +---------------^------+        +---------------^------+
 *	                 |                                         |                               |
 *	 kernel ---------+---- daemon and shells: alive or gone ---+-------------------------------+
 *
 *	(1) only for root and the daemon's user    (2) rw if embedded: the daemon's manager does what the kernel does
 *
 * A shell maps no lane but its own.  An observer of an embedded channel maps nothing: it asks the manager.  The module
 * allocates all areas, and clears VM_MAYWRITE in every read-only map (kmod/mmap.c).  Embedded, an area is a memfd of
 * its writer, sealed with F_SEAL_FUTURE_WRITE before another process gets it (area_make).
 *
 * Every area starts with struct venom_area_head, so that a reader of a core file or of a memfd can identify it.  All
 * words are in the machine's byte order; a reader that finds VENOM_MAGIC reversed is on a machine of the other order.
 *
 * [K] kernel (embedded: daemon's manager thread)   [P] daemon's publisher thread
 * [S] daemon's server thread   [M] its manager thread   [C] the shell
 * [1] written once, before the area is handed out
 *
 * Code that reads a word of another process reads it once, checks the value, and uses only that value.
 */
#ifndef _UAPI_LINUX_VENOM_LAYOUT_H
#define _UAPI_LINUX_VENOM_LAYOUT_H

#include <linux/types.h>

#if !defined(__KERNEL__) && __BITS_PER_LONG != 64
#error "venom needs a 64-bit user space: an area may be larger than 32 bits can say"
#endif

#ifdef __cplusplus
#define VENOM_ASSERT(what) static_assert(what, #what)
#else
#define VENOM_ASSERT(what) _Static_assert(what, #what)
#endif
#define VENOM_AT(type, field, offset) VENOM_ASSERT(__builtin_offsetof(type, field) == (offset))

#define VENOM_MAGIC		0x6d6f6e65562e3a00ULL	/* "\0:.Venom" in memory on a little-endian machine */
#define VENOM_ABI		2U	/* an area of another ABI can't be read at all */

/*
 * Features that an area may have beyond this ABI.  Each side says which it knows (venom_area_head.features, and the
 * ioctls'), and both use those that both know.  A reader may ignore an unknown bit of the low half; an unknown bit of
 * the high half changes what the reader knows, and the reader must refuse the area: -EPROTO.
 */
#define VENOM_FEATURE_BLOCKS	(1ULL << 0)	/* of a daemon: it takes blocks of commands (VENOM_SLOT_BLOCK) */
#define VENOM_FEATURES		VENOM_FEATURE_BLOCKS	/* known to this header */
#define VENOM_FEATURES_NEEDED	0xffffffff00000000ULL

/* Features that the other side needs and this side lacks. */
static __inline__ __u64 venom_features_missing(__u64 theirs)
{
	return theirs & VENOM_FEATURES_NEEDED & ~VENOM_FEATURES;
}

#define VENOM_LINE		64U	/* cache line; two writers must not share one */

/* A CPU's number plus 1; 0 while it is unknown.  A wait for a thread on the waiter's own CPU does not spin. */
#define VENOM_CPU_WORD(cpu)	((__u32)(cpu) + 1)

/* venom_area_head.kind */
#define VENOM_AREA_STATUS	1U
#define VENOM_AREA_STATE	2U
#define VENOM_AREA_COMMANDS	3U
#define VENOM_AREA_RESPONSES	4U

struct venom_area_head {
	__u64 magic;		/* [1] VENOM_MAGIC */
	__u32 abi;		/* [1] VENOM_ABI; everything below may differ with another one */
	__u32 kind;		/* [1] VENOM_AREA_* */
	__u64 size;		/* [1] bytes of the whole area */
	__u64 epoch;		/* [1] counts the daemons of this name */
	__u32 id;		/* [1] lanes: the shell's id */
	__u32 generation;	/* [1] lanes: distinguishes the shells that use one id in turn */
	__u64 features;		/* [1] of the area's writer */
	__u8  reserved[16];
};
VENOM_ASSERT(sizeof(struct venom_area_head) == VENOM_LINE);
VENOM_AT(struct venom_area_head, abi, 8);
VENOM_AT(struct venom_area_head, kind, 12);
VENOM_AT(struct venom_area_head, size, 16);
VENOM_AT(struct venom_area_head, epoch, 24);
VENOM_AT(struct venom_area_head, id, 32);
VENOM_AT(struct venom_area_head, generation, 36);
VENOM_AT(struct venom_area_head, features, 40);

/* ---- status ------------------------------------------------------------- */

/* venom_status.daemon */
#define VENOM_DAEMON_NONE	0U	/* not started yet */
#define VENOM_DAEMON_ALIVE	1U
#define VENOM_DAEMON_GONE	2U	/* ended or died; can write no more */

#define VENOM_OWNER_DIED	0x40000000U	/* FUTEX_OWNER_DIED */

/* venom_status_shell.life */
#define VENOM_SHELL_NONE	0U	/* no shell has this id */
#define VENOM_SHELL_ALIVE	1U
#define VENOM_SHELL_GONE	2U	/* module: closed or died, its lanes are kept until the daemon has read them */
#define VENOM_SHELL_ARMED	4U	/* module: a flag beside ALIVE: the next publish will wake it */

/* A cache line each: the module writes `life` whenever the shell sleeps for state, and another shell reads its own. */
struct venom_status_shell {
	__u32 generation;	/* [K] */
	__u32 life;		/* [K] VENOM_SHELL_* */
	__u8  pad[56];
};

struct venom_status {
	struct venom_area_head head;
	__u32 daemon;		/* [K] VENOM_DAEMON_* */
	__u32 state_waiters;	/* [K] shells that may sleep until a publish; 0: the publisher checks nothing else */
	__u64 epoch;		/* [K] of the daemon that is alive now, or was last */
	__u32 shells;		/* [1] length of shell[] */
	__u32 attached;		/* [K] how many of them are alive */
	__u32 owner;		/* [K] 0: the daemon's death is not marked.  Embedded: thread id of the manager; the
				 *     kernel sets VENOM_OWNER_DIED when it dies (a robust futex word without
				 *     waiters).  Module: 1, it marks `daemon` itself */
	__u32 changes;		/* [K] counts up when a shell comes or goes */
	__u64 robust_next;	/* [K] embedded: the daemon's robust list, an address valid only in the daemon */
	__u64 refused;		/* [K] shells refused */
	__u8  reserved[16];

	__u32 state_sleepers;	/* [K] module: shells that are armed now; in a line of its own, as it changes often */
	__u8  pad0[60];

	struct venom_status_shell shell[];
};
VENOM_AT(struct venom_status, daemon, 64);
VENOM_AT(struct venom_status, state_waiters, 68);
VENOM_AT(struct venom_status, epoch, 72);
VENOM_AT(struct venom_status, shells, 80);
VENOM_AT(struct venom_status, attached, 84);
VENOM_AT(struct venom_status, owner, 88);
VENOM_AT(struct venom_status, changes, 92);
VENOM_AT(struct venom_status, robust_next, 96);
VENOM_AT(struct venom_status, refused, 104);
VENOM_AT(struct venom_status, state_sleepers, 128);
VENOM_AT(struct venom_status, shell, 192);
VENOM_ASSERT(sizeof(struct venom_status_shell) == VENOM_LINE);

/* ---- state -------------------------------------------------------------- */

/*
 *	0	head
 *	64	geometry
 *	192	latest					publisher's line
 *	256	sleeping				server's line
 *	320	counters of the publisher
 *	384	counters of the server
 *	448	name
 *	512	waiting, awaited			publisher's line, while lossless readers keep it waiting
 *	576	schema
 *	704	the schema's text, geometry.schema_size bytes
 *	first	buffer 0: struct venom_version, payload at +payload
 *	first + stride
 *		buffer 1 ...
 *
 * Version v lives in buffer v % versions.
 */

#define VENOM_NAME_LEN		64	/* of a channel, with the terminating zero */

/* geometry.flags; venom.h has the same */
#define VENOM_GEO_STAMP		(1U << 0)	/* versions have a time stamp */
#define VENOM_GEO_ORDER_ARRIVAL	(1U << 1)	/* commands have a time stamp */
#define VENOM_GEO_LOSSLESS	(1U << 2)	/* a shell may ask to miss no version */

#define VENOM_GEO_FLAGS		(VENOM_GEO_STAMP | VENOM_GEO_ORDER_ARRIVAL | VENOM_GEO_LOSSLESS)

struct venom_geometry {
	__u32 flags;		/* VENOM_GEO_* */
	__u32 mode;		/* venom_config.mode */
	__u32 versions;		/* buffers in the ring */
	__u32 cmd_slots;	/* commands that a lane may hold unread, and requests open at once */
	__u32 cmd_size;		/* largest command */
	__u32 resp_size;	/* largest answer */
	__u32 max_clients;
	__u32 payload;		/* offset of the payload in a buffer */
	__u64 data_size;	/* largest payload */
	__u64 stride;		/* from one buffer to the next */
	__u64 first;		/* offset of buffer 0 in the area */
	__u64 page_size;	/* of the pages that the area is made of */
	__u32 schema_size;	/* bytes of the schema's text */
	__u32 max_holders;	/* shells that may hold a version in place */
	__u64 lossless_limit_ns;	/* with LOSSLESS: a reader that does not move for so long is ignored */
	__u8  reserved[48];
};
VENOM_ASSERT(sizeof(struct venom_geometry) == 2 * VENOM_LINE);
VENOM_AT(struct venom_geometry, data_size, 32);
VENOM_AT(struct venom_geometry, schema_size, 64);
VENOM_AT(struct venom_geometry, lossless_limit_ns, 72);

/* What the bytes of a version mean. */
#define VENOM_SCHEMA_NAME	64U
#define VENOM_SCHEMA_ENCODING	16U
struct venom_schema_block {
	__u64 hash;		/* of name, encoding and text; 0: there is no schema */
	__u8  reserved[8];
	char  encoding[VENOM_SCHEMA_ENCODING];	/* zero-terminated, as the name */
	char  name[VENOM_SCHEMA_NAME];
	__u8  reserved2[32];
};
VENOM_ASSERT(sizeof(struct venom_schema_block) == 2 * VENOM_LINE);

struct venom_state {
	struct venom_area_head head;
	struct venom_geometry geo;	/* [1] */

	__u64 latest;		/* [P] last committed version, 0 before the first; unused with versions == 1 */
	__u8  pad0[56];

	__u32 sleeping;		/* [S] odd: the server sleeps or is about to, signal it; counts up with each change */
	__u32 cpu;		/* [S] VENOM_CPU_WORD: where its last wait began */
	__u8  pad1[56];

	__u64 state_wakes;	/* [P] system calls made to wake sleepers */
	__u64 passed;		/* [P] version numbers passed over because a shell held the version in their buffer */
	__u64 held_up;		/* [P] publishes refused: every buffer but the latest's was held */
	__u64 full;		/* [P] publishes that a lossless reader blocked */
	__u64 cut;		/* [P] times that a lossless reader did not move for lossless_limit_ns */
	__u32 publish_cpu;	/* [P] VENOM_CPU_WORD: where it last woke a sleeper */
	__u8  pad2[20];

	__u64 commands;		/* [S] received */
	__u64 responses;	/* [S] sent */
	__u64 stale;		/* [S] answers that came too late for their request or their shell */
	__u64 answer_wakes;	/* [S] system calls made to wake sleepers */
	__u64 sleeps;		/* [S] */
	__u64 evicted;		/* [S] shells evicted because they broke the protocol */
	__u8  pad3[16];

	char  name[VENOM_NAME_LEN];	/* [1] zero-terminated */

	__u32 waiting;		/* [P] odd: asleep until a reader reaches `awaited`; counts up with each change */
	__u32 reserved;
	__u64 awaited;		/* [P] the version that a lossless reader must reach */
	__u8  pad4[48];

	struct venom_schema_block schema;	/* [1] */
};
VENOM_AT(struct venom_state, geo, 64);
VENOM_AT(struct venom_state, latest, 192);
VENOM_AT(struct venom_state, sleeping, 256);
VENOM_AT(struct venom_state, cpu, 260);
VENOM_AT(struct venom_state, state_wakes, 320);
VENOM_AT(struct venom_state, publish_cpu, 360);
VENOM_AT(struct venom_state, commands, 384);
VENOM_AT(struct venom_state, name, 448);
VENOM_AT(struct venom_state, waiting, 512);
VENOM_AT(struct venom_state, schema, 576);
VENOM_ASSERT(sizeof(struct venom_state) == 704);
#define VENOM_SCHEMA_TEXT	704U

/*
 * The header of a buffer.  The low two bits of seq say what the buffer holds, the others the version:
 *
 *	4 v		version v, whole
 *	4 v - 1		version v is being written; what was there before is gone
 *	4 v + 2		number v was passed over: a shell holds the payload that an earlier version left here.  There
 *			is no version v; the next one is v + 1 or later
 *	0		nothing yet
 *
 * A small payload follows in the header's own cache line, so that one line carries both.
 */
struct venom_version {
	__u64 seq;		/* [P] */
	__u64 len;		/* [P] */
	__u64 time_ns[];	/* [P] VENOM_GEO_STAMP: CLOCK_MONOTONIC at commit */
};
VENOM_ASSERT(sizeof(struct venom_version) == 16);

#define VENOM_SEQ_WHOLE(v)	((__u64)(v) << 2)
#define VENOM_SEQ_WRITING(v)	(((__u64)(v) << 2) - 1)
#define VENOM_SEQ_PASSED(v)	((__u64)(v) << 2 | 2)
#define VENOM_SEQ_IS_WHOLE(seq)		(!((seq) & 3))
#define VENOM_SEQ_IS_WRITING(seq)	(!!((seq) & 1))
#define VENOM_SEQ_IS_PASSED(seq)	(((seq) & 3) == 2)
/* The newest version that a reader can get once it has seen this seq; v - 1 while v is being written. */
#define VENOM_SEQ_VERSION(seq)	((seq) >> 2)
/* The version number that the buffer is for now; v while v is being written. */
#define VENOM_SEQ_NUMBER(seq)	VENOM_SEQ_VERSION((seq) + ((seq) & 1))

/* ---- lanes -------------------------------------------------------------- */

/*
 * commands[i]: the p-th command of shell i (from 0) is in slot p % n, with seq p + 1, where n is cmd_slots rounded up
 * to a power of two.  The daemon polls the seq of the slot that it expects next; no index is shared in this direction.
 *
 * responses[i]: a request's tag is the seq of its command.  The shell chooses the answer slot and the command names it,
 * so that no two open requests share one: answers come in any order and never block or overwrite each other.  The
 * answer has the tag as its seq.  The daemon writes into a slot only for the newest tag that it has seen for that slot.
 */
struct venom_slot {
	__u64 seq;		/* written last; a poll of it fetches the first bytes, too */
	__u32 len;
	__u32 word;		/* commands: REQUEST, EPOCH, AT; answers: PASSED */
	__u64 time_ns[];	/* commands: CLOCK_MONOTONIC, with VENOM_GEO_ORDER_ARRIVAL */
};
VENOM_ASSERT(sizeof(struct venom_slot) == 16);
#define VENOM_SLOT_REQUEST	(1U << 31)
/* An answer without content: the request was passed over (see EPOCH), and no daemon has taken it. */
#define VENOM_SLOT_PASSED	(1U << 30)
/*
 * The low bits of the epoch of the daemon that the request is for.  A daemon that resumed the channel passes over
 * requests for an earlier one, which have failed at their shell; it takes commands without an answer.
 */
#define VENOM_SLOT_EPOCH(epoch)	(((__u32)(epoch) & 0x3ffU) << 20)
/*
 * A block: this slot and the next ones hold VENOM_SLOT_COUNT(word) commands of `len` bytes without an answer.  Each
 * uses venom_round_up(len, 16) bytes of the space after the slots' headers, slot by slot; the headers after the first
 * mean nothing.  A block must not wrap around the end of the slots, and is invalid with ORDER_ARRIVAL.
 */
#define VENOM_SLOT_BLOCK	(1U << 30)
#define VENOM_SLOT_COUNT(word)	((word) & 0xfffffU)
/* The answer slot of a request. */
#define VENOM_SLOT_AT(word)	((word) & 0xfffffU)

/* venom_commands.sleeping: what the sleeper waits for; the bits above count arms, so that each arm is signalled once */
#define VENOM_ASLEEP_STATE	(1U << 0)
#define VENOM_ASLEEP_ANSWER	(1U << 1)
#define VENOM_ASLEEP_ROOM	(1U << 2)	/* room in a full lane of commands */
#define VENOM_ASLEEP_STEP	(1U << 3)

struct venom_shell_counts {
	__u64 reads;		/* versions read whole */
	__u64 retries;		/* tries that were torn by the writer */
	__u64 last_tries;	/* tries of the last read */
	__u64 overruns;		/* versions missed by read_next */
	__u64 commands;		/* sent */
	__u64 answers;		/* got */
	__u64 full;		/* sends refused, requests delayed: lane full */
	__u64 timeouts;		/* requests given up */
	__u64 wakes;		/* system calls to wake the daemon */
	__u64 sleeps;		/* times a wait went to sleep */
	__u64 checks;		/* system calls, while spinning, to see whether the daemon lives */
};
VENOM_ASSERT(sizeof(struct venom_shell_counts) == 88);

/*
 * venom_commands.wants: the roles that the shell asks for, and the number of this request.  venom_responses.granted:
 * the number of the last request that was handled, and the roles that the publisher heeds from now on.
 */
#define VENOM_ROLE_HOLDER	(1U << 0)	/* the publisher heeds `held` */
#define VENOM_ROLE_LOSSLESS	(1U << 1)	/* the publisher heeds `cursor` */
#define VENOM_ROLES		3U
#define VENOM_ROLES_ASK(roles, n)	((roles) | (__u32)(n) << 8)
#define VENOM_ROLES_NUMBER(word)	((word) >> 8)

struct venom_commands {
	struct venom_area_head head;

	__u32 sleeping;		/* [C] VENOM_ASLEEP_* */
	__u32 cpu;		/* [C] VENOM_CPU_WORD: where its last wait began */
	__u8  pad0[56];

	struct venom_shell_counts counts;	/* [C] */
	__u8  pad1[40];

	__u64 held;		/* [C] HOLDER: the version that the shell holds in place; 0: none */
	__u8  pad2[56];

	__u64 cursor;		/* [C] LOSSLESS: the last version that has been read */
	__u8  pad3[56];

	__u32 wants;		/* [C] VENOM_ROLES_ASK() */
	__u8  pad4[60];

	__u8  pad5[64];
	/* at 512: slots, each of VENOM_SLOT_STRIDE(cmd_size) */
};
VENOM_AT(struct venom_commands, sleeping, 64);
VENOM_AT(struct venom_commands, cpu, 68);
VENOM_AT(struct venom_commands, counts, 128);
VENOM_AT(struct venom_commands, held, 256);
VENOM_AT(struct venom_commands, cursor, 320);
VENOM_AT(struct venom_commands, wants, 384);
VENOM_ASSERT(sizeof(struct venom_commands) == 512);

struct venom_responses {
	struct venom_area_head head;

	__u64 cursor;		/* [S] commands taken: slots before it may be used again; the shell reads it when
				 *     the lane seems full, and after the daemon's death */
	__u64 responses;	/* [S] answers written */
	__u64 taken;		/* [S] VENOM_TAKEN(): how many commands of the block at `cursor` have been taken */
	__u8  pad0[40];

	__u32 granted;		/* [M] */
	__u8  pad1[60];

	__u8  pad2[320];
	/* at 512: slots, each of VENOM_SLOT_STRIDE(resp_size) */
};
VENOM_AT(struct venom_responses, cursor, 64);
VENOM_AT(struct venom_responses, granted, 128);
VENOM_ASSERT(sizeof(struct venom_responses) == 512);

/* For the next daemon.  The word is valid only for a block at position `pos`. */
#define VENOM_TAKEN(pos, n)		((__u64)(pos) << 20 | (n))
#define VENOM_TAKEN_OF(word, pos)	((word) >> 20 == (__u64)(pos) << 20 >> 20 ? (word) & 0xfffffU : 0)

#define VENOM_LANE_FIRST	512U
#define VENOM_SLOT_STRIDE(head, size) \
	(((__u64)(size) + (head) + VENOM_LINE - 1) & ~(__u64)(VENOM_LINE - 1))

/* ---- sizes ---------------------------------------------------------------- */

/*
 * The sizes and offsets of a geometry, for the kernel and the library alike.  All are computed in 64 bits: a 32-bit
 * field is widened before anything is added to it or multiplied with it.  The fields that a user chooses (all up to
 * data_size, except payload) must be in bounds: then nothing here overflows.
 */
#define VENOM_PAGE		4096U
#define VENOM_VERSIONS_MAX	65536
#define VENOM_SLOTS_MAX		(1u << 20)
#define VENOM_CLIENTS_MAX	1024
#define VENOM_SCHEMA_MAX	(1u << 20)	/* bytes of text */
#define VENOM_AREA_MAX		(1ULL << 46)	/* bytes: half of the user address space of x86-64 */

static __inline__ __u64 venom_round_up(__u64 n, __u64 power_of_two)
{
	return (n + power_of_two - 1) & ~(power_of_two - 1);
}

/* Bytes before a message in its slot, and before a small payload in its buffer: a multiple of 16. */
static __inline__ __u32 venom_command_head(__u32 flags)
{
	return sizeof(struct venom_slot) + (flags & VENOM_GEO_ORDER_ARRIVAL ? 16 : 0);
}

static __inline__ __u32 venom_version_head(__u32 flags)
{
	return sizeof(struct venom_version) + (flags & VENOM_GEO_STAMP ? 16 : 0);
}

/* Where the payload starts: in the header's cache line if it fits there, else on the next; large ones on a page. */
static __inline__ __u32 venom_payload_offset(__u32 flags, __u64 data_size)
{
	__u32 head = venom_version_head(flags);

	if (data_size <= VENOM_LINE - head)
		return head;
	return data_size < VENOM_PAGE ? VENOM_LINE : VENOM_PAGE;
}

/* Compute the other fields from those that a user chooses. */
static __inline__ void venom_geometry_fill(struct venom_geometry *geo, __u64 page_size)
{
	geo->payload = venom_payload_offset(geo->flags, geo->data_size);
	geo->stride = venom_round_up(geo->payload + geo->data_size,
				     geo->payload == VENOM_PAGE ? VENOM_PAGE : VENOM_LINE);
	geo->first = venom_round_up(VENOM_SCHEMA_TEXT + (__u64)geo->schema_size, VENOM_PAGE);
	geo->page_size = page_size;
}

static __inline__ __u64 venom_state_bytes(const struct venom_geometry *geo)
{
	return venom_round_up(geo->first + (__u64)geo->versions * geo->stride, geo->page_size);
}

/* How many slots a lane for n messages has. */
static __inline__ __u32 venom_slots_ring(__u32 n)
{
	return n <= 1 ? 1 : 1U << (32 - __builtin_clz(n - 1));
}

static __inline__ __u64 venom_commands_bytes(const struct venom_geometry *geo)
{
	return venom_round_up(VENOM_LANE_FIRST +
				      (__u64)venom_slots_ring(geo->cmd_slots) *
					      VENOM_SLOT_STRIDE(venom_command_head(geo->flags), geo->cmd_size),
			      VENOM_PAGE);
}

static __inline__ __u64 venom_responses_bytes(const struct venom_geometry *geo)
{
	return venom_round_up(VENOM_LANE_FIRST +
				      (__u64)venom_slots_ring(geo->cmd_slots) *
					      VENOM_SLOT_STRIDE(sizeof(struct venom_slot), geo->resp_size),
			      VENOM_PAGE);
}

static __inline__ __u64 venom_status_bytes(__u32 max_clients)
{
	return venom_round_up(sizeof(struct venom_status) + (__u64)max_clients * sizeof(struct venom_status_shell),
			      VENOM_PAGE);
}

/* ---- checks ---------------------------------------------------------------- */

/* What is invalid in a geometry: a field, or an area that is too large to map. */
enum venom_geometry_fault {
	VENOM_GEO_VALID,
	VENOM_GEO_BAD_FLAGS,
	VENOM_GEO_BAD_MODE,
	VENOM_GEO_BAD_VERSIONS,
	VENOM_GEO_BAD_CMD_SLOTS,
	VENOM_GEO_BAD_CMD_SIZE,
	VENOM_GEO_BAD_RESP_SIZE,
	VENOM_GEO_BAD_MAX_CLIENTS,
	VENOM_GEO_BAD_DATA_SIZE,
	VENOM_GEO_BAD_SCHEMA_SIZE,
	VENOM_GEO_BAD_MAX_HOLDERS,
	VENOM_GEO_BAD_LIMIT,
	VENOM_GEO_LARGE_STATE,		/* versions * data_size */
	VENOM_GEO_LARGE_COMMANDS,	/* cmd_slots * cmd_size */
	VENOM_GEO_LARGE_RESPONSES,	/* cmd_slots * resp_size */
};

/*
 * Check the fields that a user chooses.  If they are valid, nothing above overflows.  The computed ones (payload to
 * page_size) are not looked at: compare them with those of venom_geometry_fill().
 */
static __inline__ enum venom_geometry_fault venom_geometry_fault(const struct venom_geometry *geo)
{
	if (geo->flags & ~VENOM_GEO_FLAGS)
		return VENOM_GEO_BAD_FLAGS;
	if (geo->mode & ~0666U)
		return VENOM_GEO_BAD_MODE;
	if (!geo->data_size || geo->data_size > VENOM_AREA_MAX)
		return VENOM_GEO_BAD_DATA_SIZE;
	if (!geo->versions || geo->versions > VENOM_VERSIONS_MAX)
		return VENOM_GEO_BAD_VERSIONS;
	if (!geo->cmd_slots || geo->cmd_slots > VENOM_SLOTS_MAX)
		return VENOM_GEO_BAD_CMD_SLOTS;
	if (!geo->cmd_size)
		return VENOM_GEO_BAD_CMD_SIZE;
	if (!geo->resp_size)
		return VENOM_GEO_BAD_RESP_SIZE;
	if (!geo->max_clients || geo->max_clients > VENOM_CLIENTS_MAX)
		return VENOM_GEO_BAD_MAX_CLIENTS;
	if (geo->schema_size > VENOM_SCHEMA_MAX)
		return VENOM_GEO_BAD_SCHEMA_SIZE;
	if (geo->max_holders > VENOM_CLIENTS_MAX || (geo->max_holders && geo->versions == 1))
		return VENOM_GEO_BAD_MAX_HOLDERS;
	/* The limit is a time, signed in the library. */
	if ((geo->flags & VENOM_GEO_LOSSLESS ? !geo->lossless_limit_ns : !!geo->lossless_limit_ns) ||
	    geo->lossless_limit_ns >> 63)
		return VENOM_GEO_BAD_LIMIT;
	if (geo->data_size + 2 * VENOM_PAGE > VENOM_AREA_MAX / geo->versions)
		return VENOM_GEO_LARGE_STATE;
	if (geo->cmd_slots > VENOM_AREA_MAX / 2 / VENOM_SLOT_STRIDE(venom_command_head(geo->flags), geo->cmd_size))
		return VENOM_GEO_LARGE_COMMANDS;
	if (geo->cmd_slots > VENOM_AREA_MAX / 2 / VENOM_SLOT_STRIDE(sizeof(struct venom_slot), geo->resp_size))
		return VENOM_GEO_LARGE_RESPONSES;
	return VENOM_GEO_VALID;
}

/*
 * Check the name of a channel: -1 if it is valid, else the index of its first invalid byte: a control character, a
 * space, '/', a '.' at the start; the terminating zero if the name is empty; VENOM_NAME_LEN - 1 if the name is longer.
 */
static __inline__ int venom_name_fault(const char *name)
{
	int i;

	for (i = 0; i < VENOM_NAME_LEN - 1 && name[i]; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c <= ' ' || c == '/' || c == 127 || (c == '.' && !i))
			return i;
	}
	return i && !name[i] ? -1 : i;
}

#endif /* _UAPI_LINUX_VENOM_LAYOUT_H */

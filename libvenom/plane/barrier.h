/* SPDX-License-Identifier: MIT */
/*
 * Memory orders: beside venom_arch.h and venom_inline.h, which programs include, the only file that names them; and the
 * list of all pairs of barriers.
 *
 * The plane (ring.h, lane.h, wake.h on top of this file and arch.h) is the hot path: inline functions on plain structs.
 * It needs no C library, makes no system call and allocates nothing; the library, the tests and the fuzzers use this one
 * piece.  Its user may define, before the first include: VENOM_COPY_FROM and _TO, for large copies (arch.h).
 *
 * Each barrier has a label, FUNCTION:LETTER, at its line and here; what it pairs with stands on the same line of this
 * list.  Writer's side left, reader's right.  Orders are those that the C11 model needs, not what x86 forgives.
 *
 * 1. A version's bytes (ring.h)
 *	venom_ring_begin			venom_ring_check
 *	  seq = writing v			  s1 = seq, acquire
 *	  fence_release		ring_begin:A	  copy or look at the payload
 *	  payload				  fence_acquire		ring_check:A
 *	venom_ring_commit			  s2 = seq
 *	  seq = v, release	ring_commit:A	venom_ring_claim
 *						  s1 = seq, acquire	ring_claim:A
 *    A reader that saw a byte of the next version saw it after "writing": ring_check:A pairs with
 *    ring_begin:A, so s2 differs from s1.  ring_claim:A pairs with ring_commit:A: the payload is not
 *    older than s1 says.  Where its stores may be non-temporal ones, fence_stores is on both sides of it.
 *
 *    In line (venom_inline.h) the writer is the same, in one piece, and a reader that has had the latest looks at the next
 *    one's buffer instead of its own, as that is opened before any other:
 *
 *	venom_inline_publish			venom_inline_copy, venom_inline_whole
 *	  seq = writing v	inline_publish:B  copy or look at version v - 1
 *	  fence_release		inline_publish:A  fence_acquire		inline_copy:A, inline_whole:A
 *	  payload				  seq of v's buffer (whole: of its own)
 *	  seq = v, release	inline_publish:C
 *	  latest = v, release	inline_publish:D
 *
 * 2. Which version is the latest (ring.h)
 *	venom_ring_commit			venom_ring_latest
 *	  seq = v, release	ring_commit:A	  v = latest, acquire	ring_latest:A, ring_pick:A
 *	  latest = v, release	ring_commit:B	  look at buffer v % versions
 *	venom_ring_begin			venom_ring_newer
 *	  seq = writing v	ring_begin:B	  v = seq, acquire	ring_newer:A
 *	  (latest was stored before)		  then latest
 *    The buffer is at least as new as `latest` says, never older.  A reader that keeps up looks at the seq of the next
 *    buffer instead (venom_ring_newer): if that has no newer version, there is none.  So does a reader that knows that the
 *    daemon has died (venom_ring_last, ring_last:A): that may have been between the two stores.  With one buffer there is
 *    no `latest`, and its seq says it (ring_latest:B).
 *
 * 3. A message (lane.h), commands and answers alike
 *	venom_slot_fill				venom_slot_ready
 *	  len, word, payload			  seq, acquire		slot_ready:A
 *	  seq, release		slot_fill:A	  len, word, payload
 *	venom_block_show			(a block's payload goes over the slots behind it)
 *	  seq, release		block_show:A
 *
 * 4. A slot given back (lane.h)
 *	venom_lane_advance			venom_lane_taken
 *	  (daemon_take has copied it)		  cursor, acquire	lane_taken:A
 *	  cursor = p + 1, release lane_advance:A  writes into the slot
 *    Answer slots need no cursor: the daemon writes one only when the shell has asked anew, see 3.
 *
 * 5. Sleep and wake (wake.h); X is what the sleeper waits for: a version, a command, an answer
 *	venom_must_wake				venom_arm
 *	  X, release				  sleeping = armed
 *	  fence_full		must_wake:A	  fence_full		arm:A
 *	  sleeping?  wake			  X?  don't sleep
 *    Without either fence both may read the old word: nobody wakes, one sleeps.  With both that is impossible:
 *
 *	X  ........ fence .... reads 0 (not armed yet)
 *			sleeping = 1 .. fence .. sees X			may happen
 *	sleeping = 1 .. fence .. misses X
 *			X .. fence .. reads 1, wakes			may happen
 *	X .. fence .. reads 0     and     sleeping = 1 .. fence .. misses X	impossible
 *
 *    Room in a full lane is the same but for the waker's fence (venom_lane_advance), which would cost every command:
 *    the sleeper's membarrier(2) puts it there (shell_arm: venom_membarrier_daemons).
 *
 * 6. State waiters: the publisher skips fence and look of 5 as long as nobody ever waited
 *	venom_daemon_write_commit		conn_watch
 *	  X, release				  state_waiters++
 *	  state_waiters?			  venom_membarrier: a full fence in the publisher too
 *						  answer the shell, which only then looks for X and sleeps
 *
 * 7. Within the daemon's process: lanes appear and vanish (manager.c, lanes.c, memfd_daemon.c)
 *	venom_manager_add			venom_lanes_sync
 *	  all that is in the lane		  changes, acquire
 *	  lanes[id] = lane, release		  lanes[id], acquire
 *	  changes++, release			  changes_seen = changes, release
 *    A server that sees the new count sees the new table, and a lane that it finds there is whole.
 *
 *	retire, venom_manager_tidy		serve_enter
 *	  lanes[id] = NULL			  serving = 1
 *	  changes++				  (compiler barrier)
 *	  venom_fence_all: membarrier			  changes?  venom_lanes_sync
 *	is_over					serve_leave
 *	  serving, changes_seen, acquire	  serving = 0, release
 *	  still inside and not synced?  later
 *    Either the manager sees that the server is inside, or the server sees the new count before it follows a pointer.  The
 *    publisher is the same, with its lists of lanes:
 *
 *	venom_readers_remove			wake_state
 *	  at[i] = NULL				  walks++: odd, release
 *	  venom_fence_all			  fence_full
 *	  walks, acquire			  at[i], acquire
 *	is_over					  use the lane
 *	  odd, and the same since?  later	  walks++: even, release
 *
 *	is_done					lane_advance
 *	  gone = 1				  cursor, release
 *	  venom_fence_all			  (compiler barrier)
 *	  cursor, acquire: the last?		  gone?  the last: wake the manager
 *    Either the manager sees that all is taken, or the server sees that it has to say so.
 *
 *	venom_manager_add			daemon_arm
 *	  lanes[id], changes			  sleeping = armed
 *	  fence_full				  fence_full
 *	  lane_add: a command?  wake the server	  changes?  look at the lanes
 *    The module's shells may send before their lane is there: see 5; the shell's wake may end a sleep, or a look, that did
 *    not know of the lane, and the next sleep would miss the command.
 *
 *    Where membarrier(2) is missing (hot_fence), venom_fence_all is a fence_full, and so is each compiler barrier here.
 *
 * 8. Another daemon goes on with the channel (the module's; kmod/channel.c, shell.c)
 *	venom_channel_die			venom_shell_gone
 *	  daemon = GONE, release		  daemon alive?  acquire
 *	daemon_comes_locked			  epoch, acquire: is it another one?
 *	  epoch, release			  then daemon, acquire: that one alive?
 *	  daemon = ALIVE, release
 *    And a request to the one before, passed over: lane_pass answers so before it moves the cursor, and who sees the cursor
 *    (4) sees that answer.
 *
 * 9. Versions held in place (readers.h)
 *	venom_ring_open				venom_ring_hold
 *	  seq = writing v	ring_open:B	  held = w, release	ring_hold:B
 *	  fence_full		ring_open:A	  fence_full		ring_hold:A
 *	  held == w?  pass over			  seq as claimed?  it is held
 *    Either the writer sees that w is held, or the reader sees that w's buffer is being written.  ring_open:B is ring_begin:B
 *    in this place, and ring_open:A also ring_begin:A.
 *
 *	venom_ring_held				venom_ring_release
 *	  held, acquire		ring_held:A	  all looks at the bytes
 *	  writes into the buffer		  held = 0, release	ring_release:A
 *
 * 10. Readers that miss nothing (readers.h)
 *	venom_ring_owed				venom_cursor_move
 *	  cursor, acquire	ring_owed:A	  copies the version
 *	  writes into its buffer		  cursor = v, release	cursor_move:A
 *    A publisher that sleeps until a reader has moved is as a shell that sleeps until there is room (5): the reader has no
 *    fence between cursor and waiting word, and arm_publish puts one there.
 *
 * 11. Which readers the writer heeds (readers.c)
 *	venom_ring_held, venom_ring_owed	venom_readers_add
 *	  at[i], acquire	ring_held:B	  all that is in the reader
 *				ring_owed:B	  at[i] = reader, release	readers_add:A
 *	venom_inline_publish
 *	  version = v, release	inline_publish:E  version, acquire		set_roles:A
 *						  heeded++, nholders++ for a holder, venom_fence_all
 *						  tell the shell, which only then counts on it
 *    A publisher that found nobody to heed opens a buffer and looks once more (open_next): either it sees the new reader, or
 *    the reader sees that the buffer is being written.  It does the same where only lossless readers are heeded and all of
 *    them have read what is in the buffer.  The second look is for holders: a new lossless reader is owed nothing that is
 *    in a buffer by then.
 */
#ifndef VENOM_BARRIER_H
#define VENOM_BARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <venom_arch.h>

#define load_relaxed(p)		__atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store_relaxed(p, v)	__atomic_store_n(p, v, __ATOMIC_RELAXED)
#define store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
/* Within one process only: between processes no word has two writers. */
#define fetch_add(p, v)		__atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define fetch_or(p, v)		__atomic_fetch_or(p, v, __ATOMIC_SEQ_CST)

/* A word with one writer, which may add to it without a locked instruction. */
#define count_up(p, n)		store_relaxed(p, load_relaxed(p) + (n))

#define compiler_barrier()	venom_compiler_barrier()
#define fence_full()		venom_fence_full()
#define fence_acquire()		venom_fence_acquire()
#define fence_release()		venom_fence_release()

#include "arch.h"

/* Tests that stand between a process and the shared pages wrap all of the above here. */
#ifdef VENOM_HOOKS
#include VENOM_HOOKS
#endif

#endif /* VENOM_BARRIER_H */

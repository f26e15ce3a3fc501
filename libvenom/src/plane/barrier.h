/* SPDX-License-Identifier: MIT */
/*
 * Memory ordering.  Only this file, and venom_arch.h and venom_inline.h, which programs include, name memory orders.
 * This comment lists all pairs of barriers.
 *
 * The plane (ring.h, lane.h, wake.h on top of this file and arch.h) is the hot path: inline functions on plain structs.
 * It needs no C library, makes no system call and allocates nothing; the library, the tests and the fuzzers share this
 * code.  They may define VENOM_COPY_FROM and _TO, for large copies (arch.h), before the first include.
 *
 * Each barrier has a label, FUNCTION:LETTER, at its line of code and in this list; its partner is in the other column.
 * The left column is the writer's side, the right one the reader's.  The orders are those that the C11 memory model
 * needs; x86 alone would need less.
 *
 * 1. A version's bytes (ring.h)
 *	venom_ring_begin			venom_ring_check
 *	  seq = writing v			  s1 = seq, acquire
 *	  fence_release		ring_begin:A	  copy or look at the payload
 *	  payload				  fence_acquire		ring_check:A
 *	venom_ring_commit			  s2 = seq
 *	  seq = v, release	ring_commit:A	venom_ring_claim
 *						  s1 = seq, acquire	ring_claim:A
 *    A reader that has read a byte of the next version then reads "writing", or newer, as s2: ring_check:A pairs with
 *    ring_begin:A, so s2 differs from s1.  ring_claim:A pairs with ring_commit:A: the payload is not
 *    older than s1 says.  If the payload's stores may be non-temporal, fence_stores is on both sides of them.
 *
 *    The inline writer (venom_inline.h) does the same in one function.  An inline reader that has the latest version
 *    checks the buffer of the next version instead of its own, since the writer opens that buffer before any other:
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
 *    The buffer holds the version that `latest` names, or a newer one, never an older one.  A reader that keeps up
 *    checks the seq of the next buffer instead (venom_ring_newer): if that shows no newer version, there is none.  A
 *    reader that knows that the daemon has died does so, too (venom_ring_last, ring_last:A): the daemon may have died
 *    between the two stores.  With one buffer `latest` is unused, and the buffer's seq tells the version
 *    (ring_latest:B).
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
 *    Answer slots need no cursor: the daemon writes into one only after the shell has sent a new request for it, see 3.
 *
 * 5. Sleep and wake (wake.h); X is what the sleeper waits for: a version, a command, an answer
 *	venom_must_wake				venom_arm
 *	  X, release				  sleeping = armed
 *	  fence_full		must_wake:A	  fence_full		arm:A
 *	  sleeping?  wake			  X?  don't sleep
 *    If either fence is missing, both sides may read the old word: the sleeper sleeps, and the waker does not signal
 *    it.  With both fences that is impossible:
 *
 *	X  ........ fence .... reads 0 (not armed yet)
 *			sleeping = 1 .. fence .. sees X			may happen
 *	sleeping = 1 .. fence .. misses X
 *			X .. fence .. reads 1, wakes			may happen
 *	X .. fence .. reads 0     and     sleeping = 1 .. fence .. misses X	impossible
 *
 *    A wait for room in a full lane is the same, but the waker has no fence (venom_lane_advance), since every command
 *    would pay for it: the sleeper's membarrier(2) executes it in the waker (shell_arm: venom_membarrier_daemons).
 *
 * 6. State waiters: the publisher skips the fence and the look of 5 while no attached shell has ever waited for state
 *	venom_daemon_write_commit		conn_watch
 *	  X, release				  state_waiters++
 *	  state_waiters?			  venom_membarrier: a full fence in the publisher too
 *						  answer the shell, which only then looks for X and sleeps
 *
 * 7. Within the daemon's process: lanes are added and removed (manager.c, lanes.c, memfd/daemon.c)
 *	venom_manager_add			venom_lanes_sync
 *	  all that is in the lane		  changes, acquire
 *	  lanes[id] = lane, release		  lanes[id], acquire
 *	  changes++, release			  changes_seen = changes, release
 *    A server that sees the new count sees the new table, and each lane in that table is fully initialized.
 *
 *	retire, venom_manager_tidy		serve_enter
 *	  lanes[id] = NULL			  serving = 1
 *	  changes++				  (compiler barrier)
 *	  venom_fence_all: membarrier			  changes?  venom_lanes_sync
 *	is_over					serve_leave
 *	  serving, changes_seen, acquire	  serving = 0, release
 *	  still inside and not synced?  later
 *    Either the manager sees that the server is inside, or the server sees the new count before it follows a pointer.  The
 *    publisher does the same with its lists of lanes:
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
 *    Either the manager sees that all commands have been taken, or the server sees `gone` and wakes the manager.
 *
 *	venom_manager_add			daemon_arm
 *	  lanes[id], changes			  sleeping = armed
 *	  fence_full				  fence_full
 *	  lane_add: a command?  wake the server	  changes?  look at the lanes
 *    With the module a shell may send before the manager has added its lane, see 5.  The shell's wake may then end a
 *    sleep, or a look, of a server that did not know the lane; without this pair its next sleep would miss the command.
 *
 *    Where membarrier(2) is missing (hot_fence), venom_fence_all is a fence_full, and so is each compiler barrier here.
 *
 * 8. Another daemon resumes the channel (the module's; kmod/channel.c, control/shell.c)
 *	venom_channel_die			venom_shell_gone
 *	  daemon = GONE, release		  daemon alive?  acquire
 *	daemon_comes_locked			  epoch, acquire: is it another one?
 *	  epoch, release			  then daemon, acquire: that one alive?
 *	  daemon = ALIVE, release
 *    A request to the previous daemon is passed over: lane_pass writes the answer that says so before it moves the
 *    cursor, so a shell that sees the cursor (4) sees that answer.
 *
 * 9. Versions held in place (readers.h)
 *	venom_ring_open				venom_ring_hold
 *	  seq = writing v	ring_open:B	  held = w, release	ring_hold:B
 *	  fence_full		ring_open:A	  fence_full		ring_hold:A
 *	  held == w?  pass over			  seq as claimed?  it is held
 *    Either the writer sees that w is held, or the reader sees that w's buffer is being written.  ring_open:B also does
 *    what ring_begin:B does, and ring_open:A what ring_begin:A does.
 *
 *	venom_ring_held				venom_ring_release
 *	  held, acquire		ring_held:A	  all looks at the bytes
 *	  writes into the buffer		  held = 0, release	ring_release:A
 *
 * 10. Lossless readers (readers.h)
 *	venom_ring_owed				venom_cursor_move
 *	  cursor, acquire	ring_owed:A	  copies the version
 *	  writes into its buffer		  cursor = v, release	cursor_move:A
 *    A publisher that sleeps until a reader has moved its cursor is like a shell that waits for room (5): the reader
 *    has no fence between cursor and waiting word, so the membarrier(2) in arm_publish executes one in the reader.
 *
 * 11. Which readers the writer heeds: it checks these before it overwrites a buffer (readers.c)
 *	venom_ring_held, venom_ring_owed	venom_readers_add
 *	  at[i], acquire	ring_held:B	  all that is in the reader
 *				ring_owed:B	  at[i] = reader, release	readers_add:A
 *	venom_inline_publish
 *	  version = v, release	inline_publish:E  version, acquire		set_roles:A
 *						  heeded++, nholders++ for a holder, venom_fence_all
 *						  tell the shell, which only then counts on it
 *    A publisher that has no reader to heed opens a buffer and then looks again (open_next): either it sees the new
 *    reader, or the reader sees that the buffer is being written.  The publisher does the same if it heeds lossless
 *    readers only and all of them have read the version in the buffer.  The second look is for holders: a new lossless
 *    reader may miss the versions that are in the buffers by then.
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

/* Add to a word that has one writer: no locked instruction is needed. */
#define count_up(p, n)		store_relaxed(p, load_relaxed(p) + (n))

#define compiler_barrier()	venom_compiler_barrier()
#define fence_full()		venom_fence_full()
#define fence_acquire()		venom_fence_acquire()
#define fence_release()		venom_fence_release()

#include "arch.h"

/* Tests that intercept the accesses to shared pages wrap all of the above here. */
#ifdef VENOM_HOOKS
#include VENOM_HOOKS
#endif

#endif /* VENOM_BARRIER_H */

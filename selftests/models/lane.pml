/* SPDX-License-Identifier: MIT */
/*
 * A lane of commands, for any number of laps: every command is taken once, in order and whole, and none is overwritten
 * before it has been copied (barrier.h 3 and 4).
 *
 * models: venom_slot_fill venom_slot_ready put venom_lane_room room_known room_now venom_lane_left venom_lane_taken
 * models: daemon_take lane_advance venom_lane_advance venom_block_fits venom_block_put venom_block_get venom_block_show
 * models: put_block block_begin block_take
 *
 * A message may be a block, whose bytes span several slots.  The seqs of the slots after the first keep their old
 * numbers, which never recur in the code; as numbers recur here, these seqs are NEVER.
 *
 * Positions are counted modulo MOD: the two sides are never more than SLOTS apart (asserted), so four laps (MOD) are
 * enough to tell any two positions apart that are compared.  A message is one word beside its seq: the code writes and
 * reads all words of a message between the same stores and loads, so each of them is as safe as this one.
 * SLOTS is cmd_slots, RING is the number that venom_slots_ring() returns for it.
 *
 * check: -DSLOTS=1 -DRING=1
 * check: -DSLOTS=2 -DRING=2
 * check: -DSLOTS=3 -DRING=4
 */
#define MOD		(4 * RING)
#define NEVER		MOD
#define SEQ(pos)	(3 * ((pos) % RING))
#define BODY(pos)	(3 * ((pos) % RING) + 1)
#define SLOTS_OF(pos)	(3 * ((pos) % RING) + 2)	/* number of slots that the message takes */
#define CURSOR		(3 * RING)
#define WORDS		(3 * RING + 1)
#define THREADS		2
#define BELLS		1
#define LOCKS		1
#define DEPTH		6
#include "memory.pml"

#define used		((pos + MOD - cursor) % MOD)
#define next		((pos + 1) % MOD)

active proctype shell()
{
	byte pos, cursor, n, i;

end:	do
	:: true ->
		if				/* venom_lane_room, room_now */
		:: used < SLOTS
		:: else ->
			load(CURSOR, ACQUIRE, cursor);
			assert(used <= SLOTS)
		fi;
		if
		:: used < SLOTS ->		/* broken :: true ->: into a full lane */
			n = 1;
			do			/* venom_block_fits */
			:: used + n < SLOTS && pos % RING + n < RING -> n++	/* broken :: n < RING && pos % RING + n < RING -> n++: a block into a full lane */
			:: break
			od;
			i = 1;
			do
			:: i < n ->
				store(SEQ(pos + i), NEVER, RELAXED);
				store(BODY(pos + i), (pos + i + 1) % MOD, RELAXED);
				i++
			:: else -> break
			od;
			store(SLOTS_OF(pos), n, RELAXED);
			store(BODY(pos), next, RELAXED);	/* swapped: shown before it is written */
			store(SEQ(pos), next, RELEASE);		/* relaxed: shown before it is written */
			pos = (pos + n) % MOD;
			n = 0; i = 0
		:: else
		fi
	od
}

active proctype daemon()
{
	byte pos, seq, body, n, i;

end:	do
	:: true ->
		load(SEQ(pos), ACQUIRE, seq);	/* relaxed: a message older than its seq */
		if
		:: seq == next ->		/* broken :: seq != 0 ->: any message for the next one */
			load(SLOTS_OF(pos), RELAXED, n);
			i = n;
			do
			:: i > 1 -> i--; load(BODY(pos + i), RELAXED, body); assert(body == (pos + i + 1) % MOD)
			:: else -> break
			od;
			load(BODY(pos), RELAXED, body); assert(body == next);	/* swapped: given back before it is copied */
			store(CURSOR, (pos + n) % MOD, RELEASE);
			pos = (pos + n) % MOD;
			n = 0; i = 0
		:: else
		fi
	od
}

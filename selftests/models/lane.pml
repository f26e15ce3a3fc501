/* SPDX-License-Identifier: MIT */
/*
 * A lane of commands, for any number of laps: every command is taken once, in order and whole, and none is overwritten
 * before it has been copied (barrier.h 3 and 4).
 *
 * models: venom_slot_fill venom_slot_ready put lane_room room_known room_now venom_lane_left venom_lane_taken
 * models: daemon_take lane_advance venom_lane_advance
 *
 * Positions are counted modulo MOD: the two sides are never more than SLOTS apart (asserted), so MOD = 4 rings tell all
 * apart that may meet.  A message is one word beside its seq; the code's words are written and read between the same
 * stores and loads, and each on its own is as right as this one.  cmd_slots = SLOTS, ring as venom_slots_ring() has it.
 *
 * check: -DSLOTS=1 -DRING=1
 * check: -DSLOTS=2 -DRING=2
 * check: -DSLOTS=3 -DRING=4
 */
#define MOD		(4 * RING)
#define SEQ(pos)	(2 * ((pos) % RING))
#define BODY(pos)	(2 * ((pos) % RING) + 1)
#define CURSOR		(2 * RING)
#define WORDS		(2 * RING + 1)
#define THREADS		2
#define BELLS		1
#define LOCKS		1
#define DEPTH		6
#include "memory.pml"

#define used		((pos + MOD - cursor) % MOD)
#define next		((pos + 1) % MOD)

active proctype shell()
{
	byte pos, cursor;

end:	do
	:: true ->
		if				/* lane_room, room_now */
		:: used < SLOTS
		:: else ->
			load(CURSOR, ACQUIRE, cursor);
			assert(used <= SLOTS)
		fi;
		if
		:: used < SLOTS ->		/* broken :: true ->: into a full lane */
			store(BODY(pos), next, RELAXED);	/* swapped: shown before it is written */
			store(SEQ(pos), next, RELEASE);		/* relaxed: shown before it is written */
			pos = next
		:: else
		fi
	od
}

active proctype daemon()
{
	byte pos, seq, body;

end:	do
	:: true ->
		load(SEQ(pos), ACQUIRE, seq);	/* relaxed: a message older than its seq */
		if
		:: seq == next ->		/* broken :: seq != 0 ->: any message for the next one */
			load(BODY(pos), RELAXED, body); assert(body == next);	/* swapped: given back before it is copied */
			store(CURSOR, next, RELEASE);
			pos = next
		:: else
		fi
	od
}

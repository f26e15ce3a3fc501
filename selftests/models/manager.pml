/* SPDX-License-Identifier: MIT */
/*
 * A lane is added and removed (barrier.h 7): the server takes every command of the lane's shell, also one that was sent
 * before the lane was added, and those of a dead shell; the server follows no pointer to a lane that the manager has
 * freed; and the manager frees the lane in the end.
 *
 * models: venom_manager_add venom_lanes_sync serve_enter serve_leave lane_advance is_done retire is_over
 * models: venom_manager_tidy
 *
 * The shell uses the module, so it may send before the manager has mapped its lane.  LANE stands for what the manager
 * writes into the lane before it publishes it.  The server begins and ends calls, spins and sleeps at any time; when no
 * process can move, the server sleeps, all commands are taken, and a dead shell's lane is freed.
 *
 * COMES and GOES are the model's two halves, as both at once have too many states: with COMES the server sleeps
 * between its calls, and the shell stays; with GOES the server never sleeps, and the shell dies.  HOT_FENCE is a
 * daemon that could not register for membarrier(2).
 *
 * check: -DMEMBARRIER -DCOMES
 * check: -DHOT_FENCE -DCOMES
 * check: -DMEMBARRIER -DGOES
 * check: -DHOT_FENCE -DGOES
 */
#define TABLE		0	/* lanes[id] */
#define CHANGES		1
#define SERVING		2
#define SEEN		3	/* changes_seen */
#define SLOT		4	/* the newest command */
#define CURSOR		5
#define GONE		6
#define SLEEPING	7
#define LANE		8
#define WORDS		9
#define THREADS		3
#define SERVER		0	/* a process and its bell */
#define MANAGER		1
#define BELLS		2
#define LOCKS		1
#define DEPTH		3
#define BOUNDED
#include "memory.pml"

#ifdef COMES
#define COMMANDS	1
#else
#define COMMANDS	2
#endif

byte sent, taken;
bool dead, freed;

inline venom_fence_all()
{
#ifdef MEMBARRIER
	membarrier(SERVER)
#else
	fence_full()
#endif
}

inline hot_fence()
{
#ifdef HOT_FENCE
	fence_full()
#else
	skip
#endif
}

/* ---- the server ---- */

inline sync_if_changed()
{
	atomic { load(CHANGES, RELAXED, got); moved = got != seen; got = 0 }
	if
	:: moved ->
		moved = false;
		load(CHANGES, ACQUIRE, seen);		/* relaxed: the count before the table */
		load(TABLE, ACQUIRE, served);		/* relaxed: a lane before what is in it */
		store(SEEN, seen, RELEASE)
	:: else
	fi
}

inline enter()
{
	store(SERVING, 1, RELAXED);			/* swapped: inside, after it has looked whether lanes have gone */
	hot_fence();
	sync_if_changed()				/* removed: uses a lane that has gone since its last call */
}

inline look()
{
	ready = false;
	if
	:: served ->
		atomic { assert(!freed); load(LANE, RELAXED, got); assert(got == 1); got = 0 };
		atomic { assert(!freed); load(SLOT, ACQUIRE, got); ready = got > taken; got = 0 }
	:: else
	fi
}

inline take()
{
	atomic { assert(!freed); taken++; store(CURSOR, taken, RELEASE) };
	hot_fence();
	atomic { assert(!freed); load(GONE, RELAXED, got); gone = got; got = 0 };
	if
	:: gone ->
		gone = false;
		atomic { load(SLOT, ACQUIRE, got); last = got == taken; got = 0 };
		if
		:: last -> ring_bell(MANAGER)		/* broken :: last -> skip: the last command of the dead, and nobody says so */
		:: else
		fi;
		last = false
	:: else
	fi
}

active proctype server()
{
	byte seen, got, served;
	bool ready, moved, gone, last;

	do
	:: enter();
		look();
		if
		:: ready -> take()
		:: !ready -> sync_if_changed(); look()	/* spins */
#ifdef COMES
		:: !ready ->
			store(SLEEPING, 1, RELAXED);
			fence_full();
			sync_if_changed();		/* removed: sleeps without a look whether a lane has come */
			look();
			if
			:: ready
			:: else ->
				store(SERVING, 0, RELEASE);
end:				sleep_on(SERVER);
				enter()
			fi;
			store(SLEEPING, 0, RELAXED)
#else
		:: dead && taken == sent -> goto out	/* the server makes no more calls */
#endif
		fi;
		store(SERVING, 0, RELEASE)		/* broken store(SERVING, 0, RELEASE); look(): looks once more after it has left */
	od;
out:	store(SERVING, 0, RELEASE)
}

/* ---- the manager ---- */

inline look_if_done()
{
	load(CURSOR, ACQUIRE, pos);
	atomic {
		load(SLOT, ACQUIRE, got);
		done = got == pos;			/* broken done = true;: frees what has commands left */
		got = 0; pos = 0
	}
}

active proctype manager()
{
	byte got, pos;
	bool done;

	store(CHANGES, 1, RELEASE);			/* for another lane */
	store(LANE, 1, RELAXED);			/* venom_manager_add */
	store(TABLE, 1, RELEASE);			/* relaxed: a lane before what is in it */
	store(CHANGES, 2, RELEASE);			/* removed: the server does not look */
	fence_full();					/* removed: the look for a command before the lane */
	load(SLOT, ACQUIRE, got);
	if
	:: got -> got = 0; ring_bell(SERVER)		/* broken :: got -> got = 0: a command from before the lane, and the server sleeps */
	:: else
	fi;
#ifdef GOES
end_alive:
	sleep_on(MANAGER);
	store(GONE, 1, RELAXED);			/* removed: the server does not know of the death */
	look_if_done();					/* is_done */
	if
	:: !done ->
		venom_fence_all();				/* removed: the look at the cursor before the word of the death */
		look_if_done()
	:: else
	fi;
	do
	:: done -> break
	:: else ->
end_kept:	sleep_on(MANAGER);
		look_if_done()
	od;
	store(TABLE, 0, RELEASE);			/* removed: a freed lane in the table */
	store(CHANGES, 3, RELEASE);			/* removed: the server does not look again */
	venom_fence_all();					/* removed: the look at the server before the removal */
	do						/* is_over */
	:: load(SERVING, ACQUIRE, got);
		if
		:: got == 0 -> break			/* broken :: true -> break: does not wait for the server */
		:: else
		fi;
		load(SEEN, ACQUIRE, got);
		if
		:: got == 3 -> break			/* broken :: got -> break: any sync will do */
		:: else
		fi
	od;
	atomic { assert(taken == sent); freed = true }
#endif
}

/* ---- the shell ---- */

active proctype shell()
{
	byte got;

	do
	:: sent < COMMANDS ->
		sent++;
		store(SLOT, sent, RELEASE);
#ifdef COMES
		fence_full();
		load(SLEEPING, RELAXED, got);
		if
		:: got -> ring_bell(SERVER)
		:: else
		fi;
		got = 0
#endif
	:: true -> break
	od;
#ifdef GOES
	dead = true;
	ring_bell(MANAGER)				/* hangs up */
#endif
}

active proctype at_rest()
{
	timeout -> assert(taken == sent && freed == dead)
}

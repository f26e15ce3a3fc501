/* SPDX-License-Identifier: MIT */
/*
 * Sleep and wake on state, embedded (barrier.h 5 and 6): the publisher skips the fence and the look while no shell has
 * asked to be woken.  Even so no shell sleeps while a newer version is there; and the manager frees no lane that the
 * publisher still looks at.
 *
 * models: commit wake_state conn_watch venom_readers_add venom_readers_remove venom_manager_tidy is_over memfd_watch shell_arm
 * models: shell_disarm venom_arm venom_asleep walk_begin
 *
 * One shell asks the manager at any time, waits for version after version, and may die at any step; the manager then
 * takes it off the list and gives its lane to another shell.  A lane is two words here: LANE, which the manager writes
 * before it puts the lane on the list, and RUNG, the publisher's signalled_state.  Spin reports a lost wake as an
 * invalid end state.
 *
 * HOT_FENCE is a daemon that could not register for membarrier(2): its state_waiters is never 0.
 *
 * check: -DMEMBARRIER
 * check: -DHOT_FENCE
 */
#define VERSION		0
#define STATE_WAITERS	1
#define WAITER		2	/* waiters[0] */
#define NWAITERS	3
#define WALKS		4
#define LANE		5
#define RUNG		6
#define SLEEPS		7	/* commands.sleeping */
#define WORDS		8
#define THREADS		3
#define SHELL		0	/* a process and its bell; and the socket's two ends */
#define PUBLISHER	1
#define MANAGER		2
#define TO_MANAGER	1
#define TO_SHELL	2
#define BELLS		3
#define LOCKS		1
#define DEPTH		8
#include "memory.pml"

#define VERSIONS	2
#define FOR_STATE	1
#define STEP		2

bool killed;

inline shell_ready() { atomic { load(VERSION, ACQUIRE, got); ready = got > seen; seen = got; got = 0 } }

inline venom_fence_all()
{
#ifdef MEMBARRIER
	membarrier(PUBLISHER)
#else
	fence_full()
#endif
}

active proctype shell()
{
	byte seen, arm, got;
	bool ready, watching;

	do
	:: seen == VERSIONS -> break
	:: true -> break				/* dies */
	:: seen < VERSIONS ->
		shell_ready();
		if
		:: !ready && !watching ->		/* memfd_watch: once */
			ring_bell(TO_MANAGER);
			sleep_on(TO_SHELL);
			watching = true;
			shell_ready()
		:: else
		fi;
		do
		:: ready -> break
		:: else ->
			arm = arm + STEP;		/* removed: one arm is like another */
			store(SLEEPS, arm + FOR_STATE, RELAXED);	/* removed: never says that it sleeps */
			fence_full();			/* removed: its word after its look */
			shell_ready();			/* broken ready = false;: does not look again */
			if
			:: ready
			:: !ready -> sleep_on(SHELL)
			:: !ready -> goto gone		/* is killed */
			fi;
			store(SLEEPS, arm, RELAXED);
			if
			:: ready
			:: else -> shell_ready()
			fi
		od;
		ready = false
	od;
gone:	killed = true;
	ring_bell(TO_MANAGER)				/* hangs up */
}

inline publisher_wake()
{
	store(WALKS, walks + 1, RELEASE);		/* relaxed: the walk before has ended, and what it wrote is unknown */
	fence_full();					/* removed: the look at its word before the version */
	load(NWAITERS, ACQUIRE, got);
	if
	:: got != 0 ->
		load(WAITER, ACQUIRE, got);		/* relaxed: a lane before what is in it */
		if
		:: got != 0 ->
			load(LANE, RELAXED, got);
			assert(got == 1);
			load(SLEEPS, RELAXED, got);
			if
			:: (got & FOR_STATE) && got != rung ->
				rung = got;
				store(RUNG, 1, RELAXED);
				ring_bell(SHELL)
			:: else
			fi
		:: else
		fi
	:: else
	fi;
	got = 0;
	walks = walks + 2;
	store(WALKS, walks, RELEASE)			/* relaxed: a lane that has been written to is freed */
}

active proctype publisher()
{
	byte version, rung, got, walks;

	do
	:: version < VERSIONS ->
		version++;
		store(VERSION, version, RELEASE);
		load(STATE_WAITERS, RELAXED, got);
#ifdef HOT_FENCE
		got = 1;
#endif
		if
		:: got != 0 -> publisher_wake()		/* broken :: false: never looks */
		:: else
		fi
	:: else -> break
	od
}

active proctype manager()
{
	byte got, walk;
	bool watching, used;

	if
	:: store(NWAITERS, 1, RELEASE); used = true	/* another shell used the entry before */
	:: true
	fi;
	store(LANE, 1, RELAXED);
end:	do
	:: sleep_on(TO_MANAGER);
		if
		:: !killed && !watching ->		/* conn_watch */
			store(WAITER, 1, RELEASE);	/* relaxed: a lane before what is in it */
			if
			:: !used -> store(NWAITERS, 1, RELEASE)
			:: else
			fi;
			watching = true;
			store(STATE_WAITERS, 1, RELEASE);	/* removed: never says that one waits */
#ifdef MEMBARRIER
			membarrier(PUBLISHER);		/* swapped: the shell told too early */
			ring_bell(TO_SHELL)
#else
			ring_bell(TO_SHELL)
#endif
		:: killed ->				/* venom_readers_remove, venom_manager_tidy */
			if
			:: watching ->
				store(WAITER, 0, RELEASE);	/* removed: a freed lane in the list */
				store(STATE_WAITERS, 0, RELAXED);
			:: else
			fi;
			venom_fence_all();			/* removed: a walk unseen, and the lane's removal too */
			load(WALKS, ACQUIRE, walk);	/* relaxed: a lane that has been written to is freed */
			if
			:: walk % 2 ->			/* broken :: false ->: a lane that is looked at is freed; is_over */
				do
				:: load(WALKS, ACQUIRE, got);	/* relaxed: a lane that has been written to is freed */
					if
					:: got == walk
					:: else -> break
					fi
				od
			:: else
			fi;
			store(LANE, 2, RELAXED);
			store(RUNG, 2, RELAXED);	/* asserts that the manager knows the publisher's store */
			break
		fi
	od
}

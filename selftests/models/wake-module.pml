/* SPDX-License-Identifier: MIT */
/*
 * Sleep and wake on state, with the module (kmod/wake.c, barrier.h 6): the publisher makes no system call while no
 * shell has asked to be woken, or none sleeps.  Even so no shell sleeps while a newer version is there.
 *
 * models: commit wake_state dev_watch dev_arm_state dev_disarm_state shell_arm shell_disarm
 * models: venom_sleep arm_locked venom_disarm_locked venom_arm
 *
 * SHELLS shells ask the kernel at any time and wait for version after version.  The calling process writes the kernel's
 * words, with the channel's lock held.  Spin reports a lost wake as an invalid end state.
 *
 * check: -DSHELLS=1 -DVERSIONS=3
 * check: -DSHELLS=2 -DVERSIONS=1
 */
#define VERSION		0
#define STATE_WAITERS	1
#define STATE_SLEEPERS	2
#define LIFE(s)		(3 + (s))	/* shell[].life: whether it is ARMED */
#define WORDS		(3 + SHELLS)
#define THREADS		(SHELLS + 1)
#define PUBLISHER	SHELLS
#define BELLS		SHELLS
#define LOCKS		1
#define DEPTH		8
#include "memory.pml"

/* The kernel's own data, under the lock. */
chan sleepers = [SHELLS] of { byte };
byte nwaiters;

inline shell_ready() { atomic { load(VERSION, ACQUIRE, got); ready = got > seen; seen = got; got = 0 } }

inline sleep_arm()
{
	lock(0);
	if
	:: !(sleepers??[eval(_pid)]) ->
		sleepers!_pid;
		store(LIFE(_pid), 1, RELAXED);
		store(STATE_SLEEPERS, len(sleepers), RELAXED)	/* removed: never says that one sleeps */
	:: else
	fi;
	unlock(0);
	fence_full()						/* removed: the kernel's word after the shell's look */
}

inline disarm_locked(s)
{
	store(LIFE(s), 0, RELAXED);
	store(STATE_SLEEPERS, len(sleepers), RELAXED)
}

inline sleep_disarm()
{
	load(LIFE(_pid), RELAXED, got);
	if
	:: got ->
		lock(0);
		if
		:: sleepers??[eval(_pid)] -> sleepers??eval(_pid); disarm_locked(_pid)
		:: else
		fi;
		unlock(0);
		fence_full()
	:: else
	fi;
	got = 0
}

active [SHELLS] proctype shell()
{
	byte seen, got;
	bool ready, watching;

	do
	:: seen == VERSIONS -> break
	:: else ->
		shell_ready();
		if
		:: !ready && !watching ->		/* dev_watch: once */
			lock(0);
			nwaiters++;
			store(STATE_WAITERS, nwaiters, RELAXED);	/* removed: never says that one waits */
			unlock(0);
			membarrier(PUBLISHER);		/* removed: a publish that sees no waiter, and that the shell does not see */
			watching = true;
			shell_ready()
		:: else
		fi;
		do
		:: ready -> break
		:: else ->
			sleep_arm();
			shell_ready();			/* broken ready = false;: does not look again */
			if
			:: ready
			:: else -> sleep_on(_pid)
			fi;
			sleep_disarm();
			if
			:: ready
			:: else -> shell_ready()
			fi
		od;
		ready = false
	od
}

active proctype publisher()
{
	byte version, got, left, s;

	do
	:: version < VERSIONS ->
		version++;
		store(VERSION, version, RELEASE);
		load(STATE_WAITERS, RELAXED, got);
		if
		:: got ->				/* wake_state */
			fence_full();			/* removed: the look at who sleeps before the version */
			load(STATE_SLEEPERS, RELAXED, got);
			if
			:: got ->
				lock(0);		/* the kernel's wake_state */
				left = len(sleepers);	/* broken left = (len(sleepers) > 0);: wakes one only */
				unlock(0);
				do
				:: left > 0 ->
					lock(0);
					if
					:: sleepers?s -> disarm_locked(s); ring_bell(s); left--
					:: empty(sleepers) -> left = 0
					fi;
					unlock(0)
				:: else -> break
				od
			:: else
			fi
		:: else
		fi
	:: else -> break
	od
}

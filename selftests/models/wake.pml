/* SPDX-License-Identifier: MIT */
/*
 * Sleep and wake on a lane: no process sleeps while what it waits for is there, be it a command, room or an answer,
 * whether it sleeps in a call or polls the descriptor itself (barrier.h 5).
 *
 * models: daemon_arm daemon_disarm wake_daemon shell_arm shell_disarm lane_advance wake_for_answer venom_daemon_respond
 * models: venom_daemon_arm venom_shell_arm user_disarm venom_arm venom_asleep venom_must_wake venom_lane_advance
 *
 * One shell sends MESSAGES commands through a lane of one slot, so that it waits for room, and asks for an answer to
 * the last one.  Each side depends on the other's progress: a lost wake leaves it asleep forever, which Spin reports
 * as an invalid end state.  Spinning before a sleep only adds looks, and a time-out only adds wakes, so neither is
 * here.  Other shells have their own words and counts, and a signal for another shell only ends a sleep too early.
 *
 * HOT_FENCE is a daemon that could not register for membarrier(2).
 *
 * check: -DMESSAGES=3
 * check: -DMESSAGES=2 -DHOT_FENCE
 */
#define COMMAND		0	/* seq of the slot */
#define CURSOR		1
#define ANSWER		2	/* seq of the slot */
#define DAEMON_SLEEPS	3	/* state.sleeping */
#define SHELL_SLEEPS	4	/* commands.sleeping */
#define WORDS		5
#define THREADS		2
#define SHELL		0
#define DAEMON		1
#define BELLS		2
#define LOCKS		1
#define DEPTH		8
#include "memory.pml"

#define FOR_ANSWER	1
#define FOR_ROOM	2
#define STEP		4

/* ---- the shell ---- */

inline shell_ready(what)
{
	atomic {
		if
		:: what == FOR_ROOM -> load(CURSOR, ACQUIRE, got); ready = sent - got < 1
		:: what == FOR_ANSWER -> load(ANSWER, ACQUIRE, got); ready = got == MESSAGES
		fi;
		got = 0
	}
}

inline shell_arm(what)
{
	arm = arm + STEP;				/* removed: one arm is like another */
	store(SHELL_SLEEPS, arm + what, RELAXED);	/* removed: never says that it sleeps */
	fence_full();					/* removed: its word after its look */
#ifndef HOT_FENCE
	if
	:: what == FOR_ROOM -> membarrier(DAEMON)	/* broken :: what == FOR_ROOM -> skip: no fence in the daemon */
	:: else
	fi
#endif
}

inline shell_wait(what)
{
	shell_ready(what);
	do
	:: atomic { ready -> ready = false; break }
	:: !ready ->					/* asleep in a call */
		shell_arm(what);
		shell_ready(what);			/* broken ready = false;: does not look again */
		if
		:: ready
		:: else -> sleep_on(SHELL)
		fi;
		store(SHELL_SLEEPS, arm, RELAXED);
		shell_ready(what)
	:: !ready ->					/* venom_shell_arm, poll, and the next call's user_disarm */
		shell_arm(what);
		shell_ready(what);			/* broken ready = false;: does not look again, before a poll */
		if
		:: ready
		:: else -> bells[SHELL].set
		fi;
		store(SHELL_SLEEPS, arm, RELAXED);
		clear_bell(SHELL);
		shell_ready(what)
	od
}

inline wake_daemon()
{
	fence_full();					/* removed: the look at its word before the command */
	atomic { load(DAEMON_SLEEPS, RELAXED, got); ready = (got & 1) && got != rung; rung = (ready -> got : rung); got = 0 };
	if
	:: ready -> ready = false; ring_bell(DAEMON)
	:: else
	fi
}

active proctype shell()
{
	byte sent, arm, rung, got;
	bool ready;

	do
	:: sent < MESSAGES ->
		shell_wait(FOR_ROOM);
		sent++;
		store(COMMAND, sent, RELEASE);
		wake_daemon()
	:: else -> break
	od;
	shell_wait(FOR_ANSWER)
}

/* ---- the daemon ---- */

inline daemon_ready() { atomic { load(COMMAND, ACQUIRE, got); ready = got == taken + 1; got = 0 } }

inline daemon_arm()
{
	asleep++;
	store(DAEMON_SLEEPS, asleep, RELAXED);		/* removed: never says that it sleeps */
	fence_full()					/* removed: its word after its look */
}

inline daemon_disarm() { asleep++; store(DAEMON_SLEEPS, asleep, RELAXED) }

inline daemon_wait()
{
	daemon_ready();
	do
	:: atomic { ready -> ready = false; break }
	:: !ready ->
		daemon_arm();
		daemon_ready();				/* broken ready = false;: does not look again */
		if
		:: ready
		:: else -> sleep_on(DAEMON)
		fi;
		daemon_disarm();
		daemon_ready()
	:: !ready ->					/* venom_daemon_arm, poll, and the next call's user_disarm */
		daemon_arm();
		daemon_ready();				/* broken ready = false;: does not look again, before a poll */
		if
		:: ready
		:: else -> bells[DAEMON].set
		fi;
		daemon_disarm();
		clear_bell(DAEMON);
		daemon_ready()
	od
}

inline wake_shell(what)
{
	atomic { load(SHELL_SLEEPS, RELAXED, got); ready = got % STEP == what && got != rung; rung = (ready -> got : rung); got = 0 };
	if
	:: ready -> ready = false; ring_bell(SHELL)
	:: else
	fi
}

active proctype daemon()
{
	byte taken, asleep, rung, got;
	bool ready;

	do
	:: taken < MESSAGES ->
		daemon_wait();
		taken++;
		store(CURSOR, taken, RELEASE);		/* lane_advance */
#ifdef HOT_FENCE
		fence_full();				/* removed: the look at its word before the cursor */
#endif
		wake_shell(FOR_ROOM)			/* removed: nobody tells that there is room */
	:: else -> break
	od;
	store(ANSWER, MESSAGES, RELEASE);		/* venom_daemon_respond */
	fence_full();					/* removed: the look at its word before the answer */
	wake_shell(FOR_ANSWER)
}

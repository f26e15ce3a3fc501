/* SPDX-License-Identifier: MIT */
/*
 * Lossless readers (barrier.h 10 and 11): once the role is granted, a reader misses no version that is published from
 * then on, and has copied each version before its buffer is overwritten.  The publisher does not sleep forever once
 * that reader has moved, or died.
 *
 * models: venom_cursor_move venom_cursor_set venom_ring_owed arm_publish open_heeded open_next venom_readers_add set_roles
 *
 * One reader joins at any time, and reads until it has all versions, or dies.  The reader's process also does what the
 * manager does for the reader, since the reader waits for the manager anyway.  A version is one word here; model ring
 * checks that a version is read whole or not at all.
 *
 * check: -DNUMBERS=4
 */
#define VERSIONS	2
#define SEQ(v)		((v) % VERSIONS)
#define CURSOR		2
#define AT		3	/* the publisher's list of readers */
#define FLOOR		4	/* in the reader */
#define HEEDED		5
#define VERSION		6	/* the daemon's own word */
#define WAITING		7
#define COPIED		8	/* not in the code: shows which of the reader's copies the publisher knows */
#define WORDS		9
#define THREADS		2
#define PUBLISHER	0
#define READER		1
#define BELLS		1
#define LOCKS		1
#define DEPTH		8
#include "memory.pml"

#define NOT_YET		1
#define floor_of(v)	((v) + 2)
#define floor_is(word)	((word) - 2)

byte published;		/* the last version */
byte granted;		/* the last version at the grant: the reader must get all later ones */
bool joined;

/* ---- the publisher ---- */

/* owed: the reader has not read `needed` yet; all: the last version that has been read */
inline ring_owed()
{
	atomic {
		all = version;
		owed = false;
		load(AT, ACQUIRE, got);				/* relaxed: a reader before what is in it */
		if
		:: got != 0 ->
			load(FLOOR, RELAXED, floor);
			assert(floor != 0);
			load(CURSOR, ACQUIRE, got);		/* relaxed: writes there before the copy */
			if
			:: floor != NOT_YET ->
				got = (got > floor_is(floor) -> got : floor_is(floor));
				all = (got < all -> got : all);
				owed = got < needed
			:: else ->				/* a look before the grant, even if later in time */
				granted = (joined && mem[FLOOR].val[mem[FLOOR].newest] == NOT_YET -> granted : version)
			fi
		:: else
		fi;
		got = 0; floor = 0
	}
}

inline wait_for_readers()
{
	do
	:: true ->
		arm = arm + 1;
		store(WAITING, arm, RELAXED);			/* removed: never says that it waits */
		fence_full();
		membarrier(READER);				/* removed: no fence in the reader */
		ring_owed();					/* broken owed = true;: does not look again */
		if
		:: owed -> sleep_on(PUBLISHER)
		:: else
		fi;
		arm = arm + 1;
		store(WAITING, arm, RELAXED);
		ring_owed();
		if
		:: !owed -> break
		:: else
		fi
	od
}

active proctype publisher()
{
	byte version, all, needed, got, floor, arm;
	bool owed;

	do
	:: version < NUMBERS ->
		atomic {
			needed = (version + 1 > VERSIONS -> version + 1 - VERSIONS : 0);
			load(HEEDED, RELAXED, got)
		}
		if
		:: got != 0 && needed > all ->			/* broken :: false ->: never asks */
			ring_owed();
			if
			:: owed -> wait_for_readers()
			:: else
			fi
		:: else
		fi;
		atomic {
			got = 0;
			/* The version that is overwritten has been copied, and the publisher knows that. */
			assert(!joined || needed <= granted || mem[COPIED].val[known(COPIED)] >= needed);
			needed = 0;
			version++;
			store(SEQ(version), version, RELEASE);
			published = version
		}
		store(VERSION, version, RELEASE)
	:: else -> break
	od
}

/* ---- the reader, and what the manager does for it ---- */

inline cursor_set()
{
	store(CURSOR, seen, RELEASE);				/* relaxed: moved before the copy */
	atomic {
		load(WAITING, RELAXED, got);
		wake = got % 2 && got != rung;
		rung = (wake -> got : rung);
		got = 0
	};
	if
	:: atomic { wake -> wake = false }; ring_bell(PUBLISHER)	/* broken :: wake: nobody says that it has moved */
	:: else
	fi
}

active proctype reader()
{
	byte seen, rung, got;
	bool wake, dies;

	if
	:: dies = true
	:: true
	fi;
	store(FLOOR, NOT_YET, RELAXED);				/* removed: what is in the reader is another's */
	store(AT, 1, RELEASE);					/* relaxed: a reader before what is in it */
	store(HEEDED, 1, RELAXED);				/* removed: the publisher never asks */
	membarrier(PUBLISHER);					/* removed: the publisher asks too late */
	load(VERSION, ACQUIRE, seen);
	atomic {
		store(FLOOR, floor_of(seen), RELAXED);		/* removed: nothing is owed to it */
		granted = published;
		joined = true
	}
	do
	:: seen == NUMBERS -> break
	:: dies ->						/* now or later; or it needs no more versions */
		joined = false;
		store(AT, 0, RELAXED);				/* removed: the dead one is heeded */
		membarrier(PUBLISHER);
		ring_bell(PUBLISHER);				/* removed: nobody says that it is dead */
		break
	:: published > seen ->
		load(SEQ(seen + 1), ACQUIRE, got);
		atomic {
			if
			:: got == seen + 1 -> seen = got; store(COPIED, seen, RELAXED)
			:: got > seen + 1 -> assert(seen < granted); seen = got - 1
			:: else -> got = 0; goto not_yet
			fi;
			got = 0
		}
		cursor_set();
not_yet:	skip
	od
}

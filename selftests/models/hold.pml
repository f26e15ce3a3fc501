/* SPDX-License-Identifier: MIT */
/*
 * Versions held in place (barrier.h 9 and 11): a version never changes while a reader holds it, and the reader's last
 * look precedes the writer's next store to that buffer.  The writer finds a free buffer if there are two more buffers
 * than holders.  A reader that reads version after version misses none because of the numbers that are passed over.
 *
 * models: venom_ring_hold venom_ring_release venom_ring_held venom_ring_next venom_ring_open open_heeded open_next read_next
 * models: venom_readers_add set_roles
 *
 * HOLDER is one holder, heeded from the start; it holds any version that it finds, and dies at any step.  JOINS is a
 * reader that becomes a holder while the writer is at work: the writer looks at `nholders` again after it has stored
 * "writing" (here at HEEDED, which is the same without lossless readers).  READER is a reader that holds nothing: the
 * writer then finds any of the buffers held, which stands for any number of holders.
 *
 * check: -DHOLDER -DHOLDS=2 -DNUMBERS=7
 * check: -DHOLDER -DJOINS -DHOLDS=1 -DNUMBERS=7
 * check: -DREADER -DNUMBERS=6
 */
#define VERSIONS	3
#define SEQ(v)		((v) % VERSIONS)
#define BODY(v)		(VERSIONS + (v) % VERSIONS)
#define LATEST		6
#ifdef HOLDER
#define HELD		6
#define LOOKS		7	/* not in the code: shows which of the holder's looks the writer knows */
#define AT		8	/* the writer's list of readers */
#define ROLES		9	/* in the reader */
#define HEEDED		10
#ifdef JOINS
#define WORDS		11
#else
#define WORDS		8
#endif
#else
#define WORDS		7
#endif
#define THREADS		2
#define WRITER		0
#define BELLS		1
#define LOCKS		1
#ifdef READER
#define DEPTH		3
#else
#define DEPTH		4
#endif
#define BOUNDED
#include "memory.pml"

#define whole(v)	(4 * (v))
#define writing(v)	(4 * (v) - 1)
#define passed(v)	(4 * (v) + 2)
#define number(seq)	(((seq) + ((seq) & 1)) / 4)

byte opened;			/* the last number that the writer has opened */
bool committed[NUMBERS + 1], finished;
byte looked[VERSIONS];		/* the holder's last look at this buffer */
byte moves;			/* stores to `held` */
bool gone;

/* ---- the writer ---- */

inline ring_held(v)
{
	atomic {
#ifdef READER
		if
		:: held = true
		:: held = false
		fi
#else
		got = 1;
#ifdef JOINS
		load(AT, ACQUIRE, got);				/* relaxed: a reader before what is in it */
		if
		:: got != 0 -> load(ROLES, RELAXED, got); assert(got == 1)
		:: else
		fi;
#endif
		if
		:: got != 0 -> load(HELD, ACQUIRE, got)		/* relaxed: writes there before the last look */
		:: gone -> got = 0				/* the manager has taken it off the list */
		:: else
		fi;
		held = got != 0 && SEQ(got) == SEQ(v);
		got = 0
#endif
	}
}

inline ring_next()
{
	next = version + 1;
#ifdef READER
	if
	:: true
	:: next++
	fi
#else
	do
	:: next < version + VERSIONS ->				/* broken :: next < version + VERSIONS - 1 ->: not all buffers */
		ring_held(next);
		atomic {
			if
			:: held -> held = false; next++
			:: else -> break
			fi
		}
	:: else -> next = 0; break
	od
#endif
}

/* Afterwards `next` is open, unless `held`. */
inline ring_open()
{
	opened = (next > opened -> next : opened);
	v = version + 1;
	do
	:: v < next ->
		store(SEQ(v), passed(v), RELAXED);		/* removed: the reader waits for a number that never comes */
		v++
	:: else -> v = 0; break
	od;
	store(SEQ(next), writing(next), RELEASE);		/* relaxed: who sees it does not see `latest` of the one before */
	fence_full();						/* removed: the look at `held` before "writing" */
	ring_held(next);					/* broken held = false;: does not look again */
	if
	:: held -> store(SEQ(next), passed(next), RELAXED)
	:: else
	fi
}

inline commit()
{
	atomic {
#ifdef HOLDER
		/* The holder's earlier looks at this buffer are over, and the writer knows that. */
		assert(gone || mem[LOOKS].val[known(LOOKS)] >= looked[SEQ(next)]);
#endif
		store(BODY(next), next, RELAXED);
	}
	d_step { committed[next] = true }
	store(SEQ(next), whole(next), RELEASE);			/* relaxed: shown before it is written */
#ifdef READER
	store(LATEST, next, RELEASE);
#endif
	atomic { version = next; next = 0 }
}

active proctype writer()
{
	byte version, next, v, got, fails;
	bool held;

	do
	:: version + VERSIONS > NUMBERS -> break
#ifdef HOLDER
	:: true -> break
#endif
	:: version + VERSIONS <= NUMBERS ->
#ifdef JOINS
		load(HEEDED, RELAXED, got);
		if
		:: got == 0 ->
			next = version + 1;
			opened = next;
			store(SEQ(next), writing(next), RELEASE);
			fence_release();
			load(HEEDED, RELAXED, got);		/* broken skip;: one that joins between the look and "writing" */
			if
			:: got != 0 -> goto heeded
			:: else
			fi;
			commit();
			goto next_one
		:: else
		fi;
heeded:		got = 0;
#endif
#ifdef READER
		atomic { ring_next(); ring_open() }		/* the reader may still see each store late */
#else
		ring_next();
		if
		:: next != 0 -> ring_open()
		:: else -> fails++; assert(fails <= moves); held = true	/* only if the holder moves between two looks */
		fi;
#endif
		if
		:: atomic { held -> held = false; next = 0 }
#ifdef READER
		:: atomic { !held -> commit() }
#else
		:: else -> commit()
#endif
		fi;
next_one:	skip
	od;
	finished = true
}

/* ---- the holder ---- */

#ifdef HOLDER
active proctype holder()
{
	byte s1, s2, body, holds;

#ifdef JOINS
	/* The manager adds the holder, which continues when the manager answers. */
	store(ROLES, 1, RELAXED);
	store(AT, 1, RELEASE);					/* relaxed: a reader before what is in it */
	store(HEEDED, 1, RELAXED);				/* removed: the writer does not look */
	membarrier(WRITER);					/* removed: the writer looks too late */
#endif
	do
	:: atomic { holds < HOLDS -> holds++ };
		if
		:: load(SEQ(0), ACQUIRE, s1)		/* acquire for the length (not here); the fence for the bytes */
		:: load(SEQ(1), ACQUIRE, s1)
		:: load(SEQ(2), ACQUIRE, s1)
		fi;
		if
		:: s1 != 0 && s1 % 4 == 0 ->
			atomic { store(HELD, s1 / 4, RELEASE); moves++ };	/* relaxed: the look at the one before unknown */
			fence_full();				/* removed: the look at seq before `held` */
			load(SEQ(s1 / 4), RELAXED, s2);		/* broken s2 = s1;: does not look again */
			if
			:: s1 == s2 ->
				atomic {
					load(BODY(s1 / 4), RELAXED, body);
					assert(body == s1 / 4);
					body = 0;
					looked[SEQ(s1 / 4)] = holds;
					store(LOOKS, holds, RELAXED)
				}
			:: s1 == s2 -> break			/* dies */
			:: else
			fi;
			atomic { store(HELD, 0, RELEASE); moves++ }	/* relaxed: released before the last look */
		:: else
		fi;
		s1 = 0; s2 = 0
	:: true -> break
	od;
	gone = true
}
#endif

/* ---- the reader ---- */

#ifdef READER
/* No version that is still there is missed. */
inline goes_to(to, assertion)
{
	atomic {
		want = version + 1;
		do
		:: want < to -> assert(!committed[want] || assertion); want++
		:: else -> break
		od;
		want = 0
	}
}

inline lapped()
{
	atomic {
		assert(opened > version + VERSIONS);		/* the reader has not kept up */
		load(LATEST, ACQUIRE, latest);
		again = latest <= version;
		want = (latest > version + VERSIONS -> latest - VERSIONS : version) + 1
	}
	if
	:: !again -> atomic {
			do
			:: want <= latest ->
				load(SEQ(want), ACQUIRE, s1);
				if
				:: s1 == whole(want) -> break
				:: else -> want++
				fi
			:: else -> break
			od;
			latest = want - 1;
			again = latest == version;
			goes_to(latest + 1, want + VERSIONS <= opened);
			version = latest;
			latest = 0
		}
	:: else -> latest = 0
	fi
}

/* again: the reader has read nothing, and has not moved. */
inline read_next()
{
	want = version;
	do
	:: atomic {
			want++;
			load(SEQ(want), ACQUIRE, s1);		/* relaxed: bytes older than the seq */
			if
			:: s1 == passed(want) && want - version < VERSIONS -> s1 = 0
			:: else -> break
			fi
		}
	od;
	if
	:: number(s1) > want -> lapped()
	:: s1 != whole(want) && number(s1) <= want -> again = true
	:: s1 == whole(want) ->
		from = version + 1;
		do						/* broken do :: break;: a number may have been opened after all */
		:: atomic {
				from < want ->
				load(SEQ(from), RELAXED, s2);
				if
				:: s2 == passed(from) -> from++
				:: else -> again = true; break
				fi;
				s2 = 0
			}
		:: else -> break
		od;
		if
		:: atomic { !again -> from = 0; s2 = 0; load(BODY(want), RELAXED, body) };
			atomic {
				fence_acquire();		/* removed: the second look at seq before the bytes */
				load(SEQ(want), RELAXED, s2)	/* broken s2 = s1: no second look */
			}
			if
			:: s1 != s2 -> lapped()
			:: else ->
				atomic {
					assert(body == want);
					from = want;
					goes_to(from, false);
					version = from
				}
			fi
		:: else
		fi
	fi;
	atomic { s1 = 0; s2 = 0; body = 0; from = 0; want = 0 }
}

/* A wait: if it reports a newer version, there is one. */
inline ring_newer()
{
	atomic {
		load(SEQ(version + 1), ACQUIRE, s1);
		if
		:: s1 % 2 && number(s1) > version + 1 ->
			load(LATEST, ACQUIRE, latest);
			assert(latest > version)
		:: else
		fi;
		s1 = 0; latest = 0
	}
}

active proctype reader()
{
	byte version, want, from, s1, s2, body, latest;
	bool again;

	do
	:: atomic { finished -> break }
	:: read_next(); again = false
	:: ring_newer()
	od;
	skip;
	d_step { me = _pid; c_code { now.cur[me] = now.acq[me] = now.cur[0]; tidy(); } };
	do
	:: again -> break
	:: else -> read_next()
	od;
	/* All has been read. */
	version++;
	goes_to(NUMBERS + 1, false)
}
#endif

/* SPDX-License-Identifier: MIT */
/*
 * The version ring, for any number of laps: a version that a reader accepts as whole is whole (barrier.h 1), and a
 * reader never goes back to an older version (2).  If the writer dies at any step, the last whole version stays
 * readable (with two buffers or more), all readers read the same one, and the next writer gets its number.
 *
 * models: venom_ring_begin venom_ring_commit venom_ring_latest venom_ring_newer venom_ring_pick venom_ring_claim
 * models: venom_ring_check venom_ring_last venom_shell_has_died resume_state settle venom_inline_copy venom_inline_publish
 *
 * The state space is finite for any number of laps: the writer paints one version, any, red, and the model knows of
 * all others only their buffer, and whether they are before or after the red one.  Every error concerns some version,
 * and any version may be the red one, so it is enough to find the errors of the red one.  Where the code compares two
 * numbers of the same colour that are not red, the model tries both results, which is more than the code can do.  A
 * reader may be DEPTH - 1 stores behind in each word (BOUNDED): three stores are a lap and a half of a buffer's seq.
 *
 * check: -DVERSIONS=2
 * check: -DVERSIONS=1
 */
#define SEQ(v)		(2 * ((v) % VERSIONS))
#define BODY(v)		(2 * ((v) % VERSIONS) + 1)
#define LATEST		(2 * VERSIONS)
#define WORDS		(2 * VERSIONS + 1)
#define THREADS		2
#define BELLS		1
#define LOCKS		1
#ifndef DEPTH
#define DEPTH		3
#endif
#define BOUNDED
#include "memory.pml"

/* A version's number: its colour, and its buffer. */
#define NONE		0
#define BEFORE		1
#define RED		2
#define AFTER		3
#define colour(v)	((v) / VERSIONS)
#define number(c, v)	((c) * VERSIONS + (v) % VERSIONS)

#define writing(v)	(2 * (v) + 1)	/* v is being written */
#define whole(v)	(2 * (v))

byte version, next;	/* the writer's: the last version, and the one that it writes */
bool committed;		/* next's seq says that it is whole */
bool dead, finished;
#define last_one	(committed -> next : version)

/* to = a > b */
inline newer_than(a, b, to)
{
	if
	:: colour(a) > colour(b) -> to = true
	:: colour(a) < colour(b) || colour(a) == colour(b) && (colour(a) == NONE || colour(a) == RED) -> to = false
	:: colour(a) == colour(b) && (colour(a) == BEFORE || colour(a) == AFTER) -> to = true
	:: colour(a) == colour(b) && (colour(a) == BEFORE || colour(a) == AFTER) -> to = false
	fi
}

#define or_die	if :: true :: true -> goto died fi

active proctype writer()
{
	byte latest;

end:	atomic {
		!finished;
		if
		:: colour(version) <= BEFORE -> next = number(BEFORE, version + 1)
		:: colour(version) <= BEFORE -> next = number(RED, version + 1)
		:: colour(version) >= RED -> next = number(AFTER, version + 1)
		fi;
		committed = false;
		store(SEQ(next), writing(version), RELEASE);	/* relaxed: who sees it doesn't see the version before */
		or_die;
		fence_release();				/* removed: bytes of the next version before its odd seq */
		store(BODY(next), colour(next) == RED, RELAXED);	/* swapped: shown before it is written */
		store(SEQ(next), whole(next), RELEASE);		/* relaxed: shown before it is written */
		committed = true;
		or_die;
#if VERSIONS > 1
		store(LATEST, next, RELEASE);			/* relaxed: latest before the version */
#endif
		version = next
	}
	goto end;

died:
	if
	:: dead = true; !dead || finished
	:: true		/* the next writer takes over at once */
	fi;
#if VERSIONS > 1
	load(LATEST, ACQUIRE, latest);
	assert(latest == version || latest == next);
	latest = 0;
	if
	:: committed && version != next -> store(LATEST, next, RELEASE)	/* broken :: false: nobody goes on where it died */
	:: else
	fi;
#endif
	if
	:: committed -> version = next
	:: else
	fi;
	goto end
}

#define PICK_WHOLE	0
#define PICK_NONE	1
#define PICK_BUSY	2

/* newer = the number of a version newer than base, or 0 */
inline ring_newer(base)
{
	atomic {
		load(SEQ(base + 1), ACQUIRE, seq);
		newer_than(seq / 2, base, is);
		newer = (is -> seq / 2 : 0);
		seq = 0; is = false
	}
}

inline ring_latest()
{
	atomic {
#if VERSIONS > 1
		load(LATEST, ACQUIRE, v);		/* relaxed: a version older than latest says */
#else
		load(SEQ(0), ACQUIRE, v);
		v = v / 2;
#endif
	}
}

inline ring_claim()
{
	atomic {
		load(SEQ(v), ACQUIRE, s1);		/* relaxed: bytes older than the seq */
		assert(VERSIONS == 1 || colour(v) != RED || colour(s1 / 2) >= RED);	/* nor is v half-written */
		v = 0;
		pick = (s1 == 0 -> PICK_NONE : (s1 & 1 -> PICK_BUSY : PICK_WHOLE))	/* broken pick = PICK_WHOLE: takes an odd seq */
	}
}

inline ring_pick()
{
#if VERSIONS > 1
	v = seen;
	newer = 1;
	if
	:: seen != 0 -> ring_newer(seen)		/* broken :: seen != 0 -> newer = 0: does not look for a newer one */
	:: else
	fi;
	if
	:: newer != 0 -> newer = 0; ring_latest();
		assert(colour(seen) != RED || colour(v) >= RED)	/* the code's v = seen: only for hostile daemons */
	:: else
	fi;
	if
	:: v == 0 -> pick = PICK_NONE
	:: else -> ring_claim()
	fi
#else
	ring_claim()
#endif
}

/* Only if the last version is red: of two versions of another colour the model does not know which is newer. */
inline has_died()
{
	if
	:: colour(last_one) == RED ->
		ring_latest();
		ring_newer(v);				/* broken skip: takes `latest` for the last */
		v = (newer != 0 -> newer : v);
		newer = 0;
		newer_than(v, seen, is);
		seen = (is -> v : seen);
		v = 0; is = false
	:: else
	fi
}

inline read()
{
	ring_pick();
	assert(!last || VERSIONS == 1 || pick == PICK_WHOLE || version == 0 && (!committed || colour(next) != RED));
	if
	:: pick == PICK_WHOLE ->
		load(BODY(s1 / 2), RELAXED, body);
		atomic {
			fence_acquire();		/* removed: the second look at seq before the bytes */
			load(SEQ(s1 / 2), RELAXED, s2);	/* broken s2 = s1: no second look */
			if
			:: s1 == s2 ->
				assert(colour(s1 / 2) != RED || body);
				assert(colour(seen) != RED || colour(s1 / 2) >= RED);
				assert(!last || s1 / 2 == version || committed && s1 / 2 == next);
				assert(!last || colour(last_one) != RED || s1 / 2 == last_one);
				seen = s1 / 2;
				got = colour(seen) == RED
			:: else -> assert(!last || VERSIONS == 1)
			fi;
			s2 = 0; body = 0
		}
	:: else
	fi;
	s1 = 0; pick = 0
}

/*
 * Inline: while the seq of the next version's buffer is unchanged, the red version is whole.  (Not checked while the
 * next version is being written: the model cannot distinguish the numbers after the red one.)
 */
inline settle()
{
	atomic {
		load(SEQ(seen + 1), RELAXED, was);
		settled = (VERSIONS == 1 -> was == whole(seen) : colour(was / 2) < RED)	/* broken settled = true: the next one may be there */
	}
}

inline inline_copy()
{
	load(BODY(seen), RELAXED, body);
	atomic {
		fence_acquire();			/* removed: the look at the next one before the bytes */
		load(SEQ(seen + 1), RELAXED, s2);
		assert(s2 != was || body);
		settled = (s2 == was);
		s2 = 0; body = 0
	}
}

active proctype reader()
{
	byte seen, v, newer, seq, s1, s2, body, pick, was;
	bool is, last, got, settled;

	/* What the reader has read before the red version does not matter: any version, or none. */
	atomic {
		select(seen : 0 .. number(BEFORE, VERSIONS - 1));
		seen = (colour(seen) == NONE -> 0 : seen)
	}
	do
	:: true ->				/* a wait has seen a newer version */
		ring_newer(seen);
		atomic {
			seen = (newer != 0 -> newer : seen);
			newer = 0;
			if
			:: colour(seen) == RED
			:: else -> break
			fi
		}
	:: true ->
		read();
		if
		:: colour(seen) == RED
		:: else -> break
		fi
	:: got && !settled -> settle()
	:: settled -> inline_copy()
	:: dead && (seen == 0 || colour(seen) == RED) ->	/* reported by the kernel: all its stores are visible */
		d_step { me = _pid; c_code { now.cur[me] = now.acq[me] = now.cur[0]; tidy(); } };
		has_died();
		last = true;
		read();
		last = false;
		break
	od;
	finished = true;
	dead = false
}

/* SPDX-License-Identifier: MIT */
/*
 * A daemon dies at any step, and another one resumes the channel (the module's): each request ends in exactly one way,
 * none is executed twice or after it has failed, -EPIPE means that no daemon took the request, and -ECONNRESET that a
 * daemon did.
 *
 * models: death_seen venom_shell_gone dev_alive resumed abandoned collect venom_shell_complete venom_shell_arm
 * models: daemon_take lane_pass lane_map daemon_comes_locked venom_channel_die
 *
 * Two requests, and DAEMONS daemons, one after the other: each but the last may die, also after it has resumed the
 * channel.  A command is one word here, the epoch that it was sent to; model lane checks that a message arrives whole.
 * The next daemon and the kernel know what a daemon wrote: a process dies after its last store, and the kernel's lock
 * is between the two.  So all daemons, and what the kernel does in their place, are one thread here.  The shell waits
 * with venom_shell_arm() and a poll, which may lose more wakes than a sleep in a call.  Each answer signals the bell:
 * model wake checks that each answer that a shell sleeps for does so.
 *
 * check: -DDAEMONS=2
 * check: -DDAEMONS=3
 */
#define CMD(r)		(r)
#define ANSWER(r)	(2 + (r))
#define CURSOR		4
#define DAEMON		5
#define EPOCH		6
#define WORDS		7
#define THREADS		2
#define BELLS		1
#define LOCKS		1
#define DEPTH		6
#include "memory.pml"

#define ALIVE		0
#define GONE		1
#define epoch_word(e)	((e) - 1)	/* words begin as 0 */

/* How a request ended, and which requests the daemons took, gave to the user's code, and answered. */
#define ANSWERED	1
#define EPIPE		2
#define ECONNRESET	3
byte end_of[2];
bool taken[2], answered[2];

inline finish(r, how)
{
	atomic {
		assert(end_of[r] == 0);
		assert(how != ANSWERED || answered[r]);
		assert(how != EPIPE || !taken[r]);
		assert(how != ECONNRESET || taken[r] && !answered[r]);
		end_of[r] = how
	}
}

inline death_seen()
{
	load(DAEMON, ACQUIRE, got);
	told = dead || got != ALIVE;
	if
	:: !told -> load(EPOCH, RELAXED, got); told = got + 1 != epoch
	:: else
	fi
}

inline lose(r)
{
	if
	:: sent > r && end_of[r] == 0 && lost[r] == 0 ->
		load(ANSWER(r), ACQUIRE, got);
		lost[r] = (got -> 0 : (cursor > r -> ECONNRESET : EPIPE))
	:: else
	fi
}

inline resumed()
{
	load(CURSOR, ACQUIRE, cursor);			/* relaxed: passed over, seen without the word on it */
	lose(0);
	lose(1);
	epoch = new_epoch
}

inline alive() { load(DAEMON, ACQUIRE, got); dead = got != ALIVE; got = 0 }

inline shell_gone()
{
	alive();
	if
	:: !dead ->
		load(EPOCH, ACQUIRE, new_epoch);	/* relaxed: another daemon, and the end of the one before unseen */
		new_epoch++;
		if
		:: new_epoch != epoch ->
			alive();			/* removed: the one before was alive, which the next one is not yet */
			if
			:: !dead -> resumed()
			:: else
			fi
		:: else
		fi;
		new_epoch = 0
	:: else
	fi
}

#define any_lost	(lost[0] != 0 && end_of[0] == 0 || lost[1] != 0 && end_of[1] == 0)

/* ready = the request is answered, or is known to have failed */
inline look(r)
{
	load(ANSWER(r), ACQUIRE, got);
	ready = got != 0;
	got = 0
}

/* venom_shell_arm, and a poll */
inline poll(r)
{
	death_seen();
	if
	:: told -> shell_gone()
	:: else
	fi;
	ready = any_lost;
	if
	:: !ready -> look(r)
	:: else
	fi;
	if
	:: !ready ->
		clear_bell(0);
		fence_full();				/* shell_arm */
		look(r);
		shell_gone();				/* removed: a death before the bell was cleared */
		ready = ready || dead || any_lost;	/* broken ready = ready || dead;: or that, and another one there */
		if
		:: ready
		:: else -> bells[0].set
		fi
	:: else
	fi;
	ready = false
}

/* venom_shell_complete */
inline complete(r)
{
	death_seen();
	if
	:: told -> shell_gone()
	:: else
	fi;
	if
	:: lost[r] != 0 -> finish(r, lost[r])
	:: else ->
		load(ANSWER(r), ACQUIRE, got);
		if
		:: got -> finish(r, got)
		:: !got && dead ->			/* abandoned */
			load(CURSOR, ACQUIRE, cursor);	/* swapped: passed over, seen without the word on it */
			load(ANSWER(r), ACQUIRE, got);
			finish(r, (cursor > r && !got -> ECONNRESET : EPIPE))
		:: else -> got = 0; poll(r)
		fi
	fi;
	got = 0; cursor = 0; told = false
}

active proctype shell()
{
	byte sent, epoch = 1, new_epoch, got, cursor, lost[2];
	bool told, dead, ready;

	do
	:: sent < 2 ->				/* submit */
		death_seen();
		if
		:: told -> shell_gone()
		:: else
		fi;
		if
		:: !dead -> store(CMD(sent), epoch, RELEASE); sent++
		:: else -> break
		fi
	:: sent > 0 && end_of[0] == 0 -> complete(0)
	:: sent > 1 && end_of[1] == 0 -> complete(1)
	:: end_of[0] != 0 && (sent == 1 || end_of[1] != 0) -> break
	od
}

#define or_die	if :: true :: mine < DAEMONS -> goto died fi

/* Take the command, or pass over it. */
inline take(pos)
{
	load(CMD(pos), ACQUIRE, got);
	if
	:: got == mine ->			/* broken :: got != 0 ->: requests to the one before, too */
		or_die;
		atomic {
			store(CURSOR, pos + 1, RELEASE);
			assert(end_of[pos] == 0 && !taken[pos]);
			taken[pos] = true;
			can_answer[pos] = true
		}
	:: got != mine && got != 0 ->
		store(ANSWER(pos), EPIPE, RELEASE);	/* broken store(CURSOR, pos + 1, RELEASE); store(ANSWER(pos), EPIPE, RELEASE);: told too late */
		fence_full();
		ring_bell(0);				/* removed: passed over, and nobody told */
		store(CURSOR, pos + 1, RELEASE)
	:: else
	fi;
	at = (got != 0 -> pos + 1 : at)
}

inline respond(r)
{
	atomic {
		store(ANSWER(r), 1, RELEASE);
		answered[r] = true;
		can_answer[r] = false
	};
	fence_full();
	ring_bell(0)
}

active proctype daemon()
{
	byte mine = 1, at, got;
	bool can_answer[2];

end:	do
	:: at == 0 -> take(0)
	:: at == 1 -> take(1)
	:: can_answer[0] -> respond(0)
	:: can_answer[1] -> respond(1)
	:: mine < DAEMONS ->
died:		mine < DAEMONS;
		store(DAEMON, GONE, RELEASE);	/* relaxed: what it did, too late */
		ring_bell(0);		/* removed: nobody tells of the death */
		can_answer[0] = false; can_answer[1] = false;
		mine++;
		store(EPOCH, epoch_word(mine), RELEASE);	/* relaxed: another daemon, and the end of the one before unseen */
		store(DAEMON, ALIVE, RELEASE);	/* relaxed: alive, and its epoch too late */
		load(CURSOR, RELAXED, at)	/* lane_map */
	od
}

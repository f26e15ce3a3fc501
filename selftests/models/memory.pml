/* SPDX-License-Identifier: MIT */
/*
 * The memory that all other models use: C11's orders, for words that have one writer at a time (I1, or a lock).
 *
 * Every word has its own store buffer, which holds the stores to that word, oldest first.  Each thread sees each buffer
 * drain independently: cur[thread].at[word] is the oldest store that the thread may still read, and a load returns that
 * store or any later one.  So stores to different words become visible in any order, which may differ between readers,
 * and a load may be as old as the order of its word allows.  The only limits are those of C11, none that x86 adds:
 *
 *	store, RELEASE	carries the view of its thread (with); an ACQUIRE load that reads the store learns that view
 *	fence_release	later stores carry the thread's view at the fence
 *	fence_acquire	the thread learns the views carried by all stores that it has read
 *	fence_full	both, and the threads that fence learn from each other, one after the other
 *	membarrier	a fence_full in another thread
 *
 * The model does not show a load that takes effect after a later store of its own thread.  Where the code forbids that
 * by a release after the loads, one of the model's mutations swaps the two lines.
 *
 * A store is dropped once every thread knows a later store to that word, and all views count from the oldest store
 * left: so a model may run forever in a finite state space.  A buffer holds DEPTH stores, and an assertion checks that
 * this is enough.  BOUNDED removes the assertion: a full buffer drops its oldest store for all threads to make room
 * for a new one, so no load is older than the last DEPTH stores.
 *
 * Define before the include: WORDS, THREADS (the first processes, by _pid), BELLS, LOCKS, DEPTH.
 *
 * Mutations.  check.sh breaks each line that has one of these comments, and expects that the model is rejected:
 *	removed: WHY	the line is removed
 *	relaxed: WHY	the line's RELEASE or ACQUIRE becomes RELAXED
 *	swapped: WHY	this line and the next one are exchanged
 *	broken CODE: WHY	CODE replaces the line
 */
#define RELAXED	0
#define ACQUIRE	1
#define RELEASE	2

typedef view { byte at[WORDS] };
typedef buffer { byte newest; byte val[DEPTH]; view with[DEPTH] };
typedef kernel_object { bool set; view with };

buffer mem[WORDS];
view cur[THREADS];	/* the thread's view */
view acq[THREADS];	/* its view after a fence_acquire */
view rel[THREADS];	/* its view at the last fence_release */
view sc;		/* the view that each fence_full passes on to the next one */
kernel_object bells[BELLS], locks[LOCKS];

hidden byte me, word, value, order, depth_is_enough, knows_last;	/* arguments and results, within one step */

c_code {
typedef struct view view;
typedef struct kernel_object object;

static void learn(view *v, const view *from)
{
	for (int y = 0; y < WORDS; y++)
		if (v->at[y] < from->at[y])
			v->at[y] = from->at[y];
}

static void sink(view *v, int x)
{
	v->at[x] -= v->at[x] > 0;
}

/* The oldest store of x leaves its buffer. */
static void drop(int x)
{
	struct buffer *b = &now.mem[x];
	int n = b->newest--;

	memmove(b->val, b->val + 1, n * sizeof(b->val[0]));
	memmove(b->with, b->with + 1, n * sizeof(b->with[0]));
	b->val[n] = 0;
	memset(&b->with[n], 0, sizeof(view));
	for (int t = 0; t < THREADS; t++) {
		sink(&now.cur[t], x);
		sink(&now.acq[t], x);
		sink(&now.rel[t], x);
	}
	sink(&now.sc, x);
	for (int y = 0; y < WORDS; y++)
		for (int i = 0; i <= now.mem[y].newest; i++)
			sink(&now.mem[y].with[i], x);
	for (int i = 0; i < BELLS; i++)
		sink(&now.bells[i].with, x);
	for (int i = 0; i < LOCKS; i++)
		sink(&now.locks[i].with, x);
}

static void tidy(void)
{
	for (int x = 0; x < WORDS; x++) {
		int known = DEPTH;

		for (int t = 0; t < THREADS; t++)
			if (known > now.cur[t].at[x])
				known = now.cur[t].at[x];
		while (known--)
			drop(x);
	}
}

static void load_nth(int n)
{
	struct buffer *b = &now.mem[word];

	value = b->val[n];
	learn(&now.acq[me], &b->with[n]);
	if (order == 1)
		learn(&now.cur[me], &b->with[n]);
	if (now.cur[me].at[word] < n)
		now.cur[me].at[word] = n;
	learn(&now.acq[me], &now.cur[me]);
	tidy();
}

static int has_room(void)
{
#ifdef BOUNDED
	return 1;
#else
	return now.mem[word].newest < DEPTH - 1;
#endif
}

static int may_store(void)
{
	return now.cur[me].at[word] == now.mem[word].newest;
}

static void store_last(void)
{
	struct buffer *b = &now.mem[word];
	int n;

	if (b->newest == DEPTH - 1)
		drop(word);
	n = ++b->newest;
	b->val[n] = value;
	now.cur[me].at[word] = now.acq[me].at[word] = n;
	b->with[n] = order == 2 ? now.cur[me] : now.rel[me];
	b->with[n].at[word] = n;
	tidy();
}

static void fence_in(int t)
{
	learn(&now.sc, &now.acq[t]);
	now.cur[t] = now.acq[t] = now.rel[t] = now.sc;
}

static void tell(object *o)
{
	learn(&o->with, &now.cur[me]);
}

static void be_told(object *o)
{
	learn(&now.cur[me], &o->with);
	learn(&now.acq[me], &o->with);
	memset(&o->with, 0, sizeof(view));
	tidy();
}
};

#define known(x)	cur[_pid].at[x]
#define load_if(x, n, how, to) \
	d_step { \
		known(x) <= n && n <= mem[x].newest -> \
		me = _pid; word = x; order = how; c_code { load_nth(n); }; to = value \
	}

inline load(x, how, to)
{
	if
	:: load_if(x, 0, how, to)
	:: load_if(x, 1, how, to)
#if DEPTH > 2
	:: load_if(x, 2, how, to)
#endif
#if DEPTH > 3
	:: load_if(x, 3, how, to)
#endif
#if DEPTH > 4
	:: load_if(x, 4, how, to)
#endif
#if DEPTH > 5
	:: load_if(x, 5, how, to)
#endif
#if DEPTH > 6
	:: load_if(x, 6, how, to)
#endif
#if DEPTH > 7
	:: load_if(x, 7, how, to)
#endif
#if DEPTH > 8
#error "load() knows of eight stores at most"
#endif
	fi
}

inline store(x, v, how)
{
	d_step {
		me = _pid; word = x; value = v; order = how;
		c_code { depth_is_enough = has_room(); knows_last = may_store(); };
		assert(depth_is_enough);
		assert(knows_last);	/* one writer at a time, which knows the last store */
		c_code { store_last(); }
	}
}

inline fence_release()	{ d_step { me = _pid; c_code { now.rel[me] = now.cur[me]; } } }
inline fence_acquire()	{ d_step { me = _pid; c_code { now.cur[me] = now.acq[me]; tidy(); } } }
inline fence_full()	{ d_step { me = _pid; c_code { fence_in(me); tidy(); } } }
inline membarrier(thread)
{
	d_step { me = _pid; word = thread; c_code { fence_in(me); fence_in(word); fence_in(me); tidy(); } }
}

/* As the kernel uses locks, a woken thread knows what its waker did, and a lock's holder what the last holder did. */

/* A bell is an eventfd: once signalled it ends one sleep, the current or the next one. */
inline ring_bell(b)	{ d_step { me = _pid; word = b; bells[b].set = true; c_code { tell(&now.bells[word]); } } }
inline sleep_on(b)
{
	d_step { bells[b].set -> me = _pid; word = b; bells[b].set = false; c_code { be_told(&now.bells[word]); } }
}
inline clear_bell(b)	/* a read that does not block */
{
	d_step { me = _pid; word = b; bells[b].set = false; c_code { be_told(&now.bells[word]); } }
}

inline lock(l)
{
	d_step { !locks[l].set -> me = _pid; word = l; locks[l].set = true; c_code { be_told(&now.locks[word]); } }
}
inline unlock(l)	{ d_step { me = _pid; word = l; locks[l].set = false; c_code { tell(&now.locks[word]); } } }

/* SPDX-License-Identifier: MIT */
/*
 * Attacks the version ring: a daemon publishes without pause, by publish() and by write_begin() and write_commit() in
 * turn, with stores of all kinds, in lengths that change, and readers in other processes read in every way there is.
 *
 * Length and bytes follow from the version's number.  A torn read shows as a payload that is not the whole of its
 * version; so does a wrong barrier or a wrong re-check.  A version that comes back after a newer one, a miscounted
 * loss, and a reader that starves beside a busy writer have checks of their own.
 */
#ifdef __x86_64__
#include <emmintrin.h>
#endif

#include "lib/harness.h"
#include "lib/watch.h"
#include "venom.h"
#include "venom_inline.h"

#define READERS 3
#define WAYS	5 /* to read */

struct tally {
	uint64_t reads, looks, waits; /* whole versions got by read or read_next, in place, after a wait */
	uint64_t again, spoiled; /* -EAGAIN of read or begin, of retry */
	uint64_t overflows, missed, passed; /* read_next */
};

struct arena {
	struct vt_step step[READERS + 1];
	struct tally tally[READERS];
	char name[VENOM_NAME_MAX + 1];
	uint32_t versions, size;
	uint64_t seed;
	uint64_t final; /* the last version; 0: the writer is at work */
	uint64_t done; /* readers that have seen it */
};

/* The length of version v in this run. */
static size_t len_of(const struct arena *a, uint64_t v)
{
	uint64_t r = a->seed + v;

	r = vt_rand(&r);
	return r % 4 ? a->size : 1 + (r >> 8) % a->size;
}

/*
 * Each reader must get on beside a writer at full speed.  In place, the whole look must fit between two rounds of the
 * writer, however slow the reader is: with 2 buffers, or 1, that is not guaranteed.
 */
static bool all_fed(const struct arena *a)
{
	int i;

	for (i = 0; i < READERS && a->versions > 1; i++)
		if (!vt_load(&a->tally[i].reads) ||
		    (i < READERS - 1 && a->versions > 2 && !vt_load(&a->tally[i].looks)))
			return false;
	return true;
}

/* Copies by stores that keep no order among the others, as memcpy() does with much, or a decoder with its frames. */
static void copy_streaming(char *dst, const char *src, size_t len)
{
#ifdef __x86_64__
	for (; len >= 8; len -= 8, dst += 8, src += 8)
		_mm_stream_si64((long long *)dst, *(const long long *)src);
#endif
	memcpy(dst, src, len);
}

static void pause_for(uint64_t ns)
{
	uint64_t until = vt_now() + ns;

	while (vt_now() < until)
		;
}

static int writer(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_inline_publisher p;
	struct venom_daemon *d;
	char *buf = malloc(a->size), *in_place;
	uint64_t v = 0, end, patience, rng = a->seed;
	size_t capacity;

	cfg.versions = a->versions;
	cfg.data_size = a->size;
	VT_CHECK(buf);
	VT_CHECK(!venom_daemon_create(&d, a->name, &cfg));
	venom_inline_publisher_init(d, &p);
	VT_CHECK(!vt_signal(self));
	VT_CHECK(!vt_await(self)); /* readers are there */
	end = vt_now() + (uint64_t)(700 * VT_MS * vt_scale());
	patience = end + (uint64_t)VT_PATIENCE_S * VT_S;
	do {
		vt_step(&a->step[READERS], "publish", ++v);
		/* Each way is used some times in a row: an inline publish after another way goes to the library. */
		if (v / 8 % 3) {
			vt_fill(buf, len_of(a, v), (uint32_t)v);
			VT_CHECK(!(v / 8 % 2 ? venom_daemon_publish(d, buf, len_of(a, v))
					     : venom_inline_publish(d, &p, buf, len_of(a, v))));
		} else {
			in_place = venom_daemon_write_begin(d, &capacity);
			VT_CHECK(in_place && capacity == a->size);
			if (v % 2) {
				vt_fill(in_place, len_of(a, v), (uint32_t)v);
			} else {
				vt_fill(buf, len_of(a, v), (uint32_t)v);
				copy_streaming(in_place, buf, len_of(a, v));
			}
			VT_CHECK(!venom_daemon_write_commit(d, len_of(a, v)));
		}
		VT_CHECK(venom_daemon_version(d) == v);
		/*
		 * Pause now and then, so that a read finds the same version, and only checks whether it is the latest.
		 */
		if (vt_rand(&rng) % 64 == 0)
			pause_for(vt_rand(&rng) % 4096);
	} while (v < 64 || v % 16 || vt_now() < end || (!all_fed(a) && vt_now() < patience));
	VT_CHECK(all_fed(a));
	vt_store(&a->final, v);
	vt_step(&a->step[READERS], "pause, for the readers to see the last version", v);
	VT_CHECK(VT_UNTIL(vt_load(&a->done) == READERS));
	venom_daemon_destroy(d);
	free(buf);
	return 0;
}

static void is_whole(const struct arena *a, const void *data, ssize_t len, uint64_t v)
{
	if (len == (ssize_t)len_of(a, v) && vt_is(data, (size_t)len, (uint32_t)v))
		return;
	fprintf(stderr, "# version %llu torn: %zd bytes, should have %zu\n", (unsigned long long)v, len, len_of(a, v));
	vt_failed(__FILE__, __LINE__, "a torn read");
}

/* Looks at the latest version in place, by the inline functions. */
static uint64_t look(struct arena *a, struct venom_shell *s, struct tally *t, struct venom_inline_reader *r,
		     uint64_t least)
{
	int err = venom_inline_look(s, r);
	uint64_t v;
	bool whole;

	VT_CHECK(err == 0 || err == -EAGAIN || (err == -ENODATA && !least));
	if (err) {
		t->again += err == -EAGAIN;
		return 0;
	}
	v = r->version;
	VT_CHECK(v >= least && r->len <= a->size);
	whole = r->len == len_of(a, v) && vt_is(r->data, r->len, (uint32_t)v);
	if (!venom_inline_whole(r)) {
		t->spoiled++;
		return 0;
	}
	VT_CHECK(whole);
	t->looks++;
	return v;
}

/* Reads the latest version: copied, in place, or copied after a wait, in turn.  Returns its number, or 0 for none. */
static uint64_t latest(struct arena *a, struct venom_shell *s, struct tally *t, struct venom_inline_reader *r, int how,
		       char *buf, uint64_t last)
{
	struct venom_view view;
	uint64_t v = ~0ull, least = venom_shell_version(s);
	bool whole;
	ssize_t n;
	int err;

	VT_CHECK(least >= last);
	if (how == 3)
		return look(a, s, t, r, least);
	if (how == 1) {
		err = venom_shell_read_begin(s, &view);
		VT_CHECK(err == 0 || err == -EAGAIN || (err == -ENODATA && !least));
		if (err) {
			t->again += err == -EAGAIN;
			return 0;
		}
		v = view.version;
		VT_CHECK(v >= least && view.len <= a->size);
		whole = view.len == len_of(a, v) && vt_is(view.data, view.len, (uint32_t)v);
		err = venom_shell_read_retry(s, &view);
		VT_CHECK(err == 0 || err == -EAGAIN);
		if (err) {
			t->spoiled++;
			return 0;
		}
		VT_CHECK(whole);
		t->looks++;
		return v;
	}
	if (how == 2 && !vt_load(&a->final)) {
		err = venom_shell_wait(s, last, 50 * VT_MS);
		VT_CHECK(err == 1 || err == 0); /* 0 near the end of the run */
	}
	if (how == 4) {
		n = venom_inline_read(s, r, buf, a->size);
		v = n < 0 ? v : r->version;
	} else {
		n = venom_shell_read(s, buf, a->size, &v);
	}
	if (n < 0) {
		VT_CHECK(n == -EAGAIN || (n == -ENODATA && !least));
		VT_CHECK(v == ~0ull);
		t->again += n == -EAGAIN;
		return 0;
	}
	VT_CHECK(v >= least && v != ~0ull);
	is_whole(a, buf, n, v);
	t->reads++;
	t->waits += how == 2;
	return v;
}

/* The writer has finished: reads all that the ring holds, from the oldest, and checks how many are gone before it. */
static void in_order(struct arena *a, struct venom_shell *s, char *buf)
{
	uint64_t v = 0, last = a->final, oldest = last > a->versions ? last - a->versions + 1 : 1;
	struct venom_shell_stats st;
	uint64_t overruns;

	is_whole(a, buf, venom_shell_read_next(s, buf, a->size, &v), oldest);
	VT_CHECK(v == oldest);
	VT_CHECK(!venom_shell_stats(s, &st));
	overruns = st.overruns;
	if (oldest > 2) {
		v = 1;
		VT_CHECK(venom_shell_read_next(s, buf, a->size, &v) == -EOVERFLOW && v == oldest - 1);
		overruns += v - 1;
	}
	for (v = oldest - 1; v < last;) {
		ssize_t n = venom_shell_read_next(s, buf, a->size, &v);

		VT_CHECK(v == oldest);
		is_whole(a, buf, n, oldest++);
	}
	VT_CHECK(venom_shell_read_next(s, buf, a->size, &v) == -EAGAIN && v == last);
	VT_CHECK(!venom_shell_stats(s, &st) && st.overruns == overruns);
}

/* Reads the latest version in all ways by turns; each for some time, so that it finds the same version again. */
static int by_turns(struct vt_peer *self, void *arg)
{
	static const char *const way[] = {"read", "read_begin, read_retry", "wait, read", "look in line",
					  "read in line"};
	struct arena *a = ((struct vt_role *)arg)->arena;
	int how = 0, i = ((struct vt_role *)arg)->who;
	struct tally *t = &a->tally[i];
	struct venom_shell *s;
	struct venom_inline_reader r;
	struct venom_shell_stats st;
	char *buf = malloc(a->size);
	uint64_t v, last = 0, turn = 0;

	venom_inline_reader_init(&r);
	VT_CHECK(buf && !venom_shell_connect(&s, a->name) && !vt_signal(self));
	while (!vt_load(&a->final)) {
		vt_step(&a->step[i], way[how], last);
		v = latest(a, s, t, &r, how, buf, last);
		VT_CHECK(!v || v >= last);
		last = v ? v : last;
		if (++turn % 8 == 0)
			how = (how + 1) % WAYS;
	}
	/* The writer has finished: each way gives the last version at the first try. */
	for (how = 0; how < 2 * WAYS; how++)
		VT_CHECK(latest(a, s, &(struct tally){0}, &r, how % WAYS, buf, last) == a->final);
	VT_CHECK(!venom_shell_stats(s, &st) && st.reads + r.reads >= t->reads);
	in_order(a, s, buf);
	venom_shell_close(s);
	free(buf);
	vt_add(&a->done, 1);
	return 0;
}

/* Reads every version in order: the versions read and the versions missed must be all that there were. */
static int follower(struct vt_peer *self, void *arg)
{
	struct arena *a = ((struct vt_role *)arg)->arena;
	int i = ((struct vt_role *)arg)->who;
	struct tally *t = &a->tally[i];
	struct venom_shell *s;
	struct venom_shell_stats st;
	char *buf = malloc(a->size);
	uint64_t v = 0, was, first = 0, before = 0, final = 0, newest;
	ssize_t n;

	VT_CHECK(buf && !venom_shell_connect(&s, a->name) && !vt_signal(self));
	while (!final || v < final) {
		final = vt_load(&a->final);
		if (final && v == final)
			break;
		vt_step(&a->step[i], "read_next", v);
		was = v;
		n = venom_shell_read_next(s, buf, a->size, &v);
		newest = venom_shell_version(s);
		if (n >= 0) {
			VT_CHECK(v == was + 1 || !was);
			is_whole(a, buf, n, v);
			t->reads += !final;
			t->passed++;
			if (!first) {
				first = v;
				VT_CHECK(!venom_shell_stats(s, &st));
				before = st.overruns;
			}
		} else if (n == -EOVERFLOW) {
			/* Only versions that the writer has overwritten are gone: it is at newest + 1 at most. */
			VT_CHECK(v > was && v + a->versions <= newest + 1);
			t->overflows++;
			if (first)
				t->missed += v - was;
		} else {
			/*
			 * It is not published yet, or the writer was in the way: neither is possible when it is done.
			 */
			VT_CHECK(n == -EAGAIN && (v == was || !first) && !final);
			t->again++;
		}
	}
	VT_CHECK(venom_shell_read_next(s, buf, a->size, &v) == -EAGAIN && v == final);
	VT_CHECK(t->passed + t->missed == final - first + 1);
	VT_CHECK(!venom_shell_stats(s, &st) && st.overruns - before == t->missed);
	venom_shell_close(s);
	free(buf);
	vt_add(&a->done, 1);
	return 0;
}

static int reader(struct vt_peer *self, void *arg)
{
	return ((struct vt_role *)arg)->who == READERS - 1 ? follower(self, arg) : by_turns(self, arg);
}

FIXTURE(torn)
{
	struct arena *a;
};

FIXTURE_VARIANT(torn)
{
	uint32_t versions, size;
};

#define VARIANT(v, s, label)                              \
	FIXTURE_VARIANT_ADD(torn, versions_##v##_##label) \
	{                                                 \
		.versions = v, .size = s,                 \
	}
VARIANT(1, 8, 8B);
VARIANT(1, 64, 64B);
VARIANT(1, 4096, 4KiB);
VARIANT(1, 1 << 20, 1MiB);
VARIANT(2, 8, 8B);
VARIANT(2, 64, 64B);
VARIANT(2, 4096, 4KiB);
VARIANT(2, 1 << 20, 1MiB);
VARIANT(8, 8, 8B);
VARIANT(8, 64, 64B);
VARIANT(8, 4096, 4KiB);
VARIANT(8, 1 << 20, 1MiB);

FIXTURE_SETUP(torn)
{
	self->a = vt_shared(sizeof(*self->a));
	self->a->versions = variant->versions;
	self->a->size = variant->size;
	self->a->seed = vt_seed();
	strcpy(self->a->name, vt_name());
}

FIXTURE_TEARDOWN(torn)
{
}

TEST_F_TIMEOUT(torn, every_read_is_whole, 240)
{
	struct arena *a = self->a;
	struct tally *t;
	int i;

	ASSERT_EQ(0, vt_play(a, a->step, writer, reader, READERS));
	ksft_print_msg("%ju versions of up to %u bytes in %u buffers\n", (uintmax_t)a->final, a->size, a->versions);
	for (i = 0; i < READERS - 1; i++) {
		t = &a->tally[i];
		ksft_print_msg("reader %d: %ju copied (%ju after a wait), %ju in place, %ju -EAGAIN, %ju spoiled\n", i,
			       (uintmax_t)t->reads, (uintmax_t)t->waits, (uintmax_t)t->looks, (uintmax_t)t->again,
			       (uintmax_t)t->spoiled);
	}
	t = &a->tally[i];
	ksft_print_msg("follower: %ju read (%ju beside the writer), %ju missed in %ju -EOVERFLOW, %ju -EAGAIN\n",
		       (uintmax_t)t->passed, (uintmax_t)t->reads, (uintmax_t)t->missed, (uintmax_t)t->overflows,
		       (uintmax_t)t->again);
}

TEST_HARNESS_MAIN

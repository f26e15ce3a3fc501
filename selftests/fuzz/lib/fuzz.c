/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "system.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/venom_layout.h>

#define AREAS 64 /* the lanes of fuzz/lane.c, and as many again that are about to be freed */
#define LUCKY 8
#define TICK  20000 /* ns that pass between two reads of the clock */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

void fuzz_failed(const char *file, int line, const char *what)
{
	dprintf(STDERR_FILENO, "%s:%d: %s (errno %d)\n", file, line, what, errno);
	abort();
}

uint64_t fuzz_met[16];

static void tell(void)
{
	dprintf(STDERR_FILENO, "met:");
	for (int i = 0; fuzz_goals[i]; i++)
		dprintf(STDERR_FILENO, "%s %s %llu", i ? "," : "", fuzz_goals[i], (unsigned long long)fuzz_met[i]);
	dprintf(STDERR_FILENO, "\n");
}

__attribute__((constructor)) static void tell_at_the_end(void)
{
	atexit(tell);
}

/* ---- the input ---- */

static const uint8_t *front, *back, *end; /* [front, back) is not consumed yet, [back, end) were changes */
static bool storm;

uint32_t fuzz_byte(void)
{
	return front < back ? *front++ : 0;
}

bool fuzz_more(void)
{
	return front < back;
}

uint32_t fuzz_half(void)
{
	uint32_t low = fuzz_byte();

	return low | fuzz_byte() << 8;
}

size_t fuzz_bytes(void *to, size_t max)
{
	size_t n = (size_t)(back - front) < max ? (size_t)(back - front) : max;

	memcpy(to, front, n);
	front += n;
	return n;
}

static const uint64_t nasty[] = {
	0,	    1,		UINT64_MAX, UINT64_MAX - 1, 1ULL << 63, (1ULL << 63) - 1, 1ULL << 32,
	UINT32_MAX, 1ULL << 31, INT32_MAX,  4096,	    4097,	1ULL << 46,	  VENOM_MAGIC,
};
static uint64_t lucky[LUCKY];
static unsigned int luck;

void fuzz_lucky(uint64_t v)
{
	lucky[luck++ % LUCKY] = v;
}

uint64_t fuzz_word(void)
{
	uint32_t how = fuzz_byte();
	uint64_t v = 0;

	switch (how & 7) {
	case 0:
	case 1:
		return how >> 3;
	case 2:
		return lucky[how >> 3 & (LUCKY - 1)];
	case 3:
		return lucky[how >> 3 & (LUCKY - 1)] + (uint64_t)(int8_t)fuzz_byte();
	case 4:
		return nasty[(how >> 3) % ARRAY_SIZE(nasty)];
	case 5:
		return (1ULL << (how >> 2 & 63)) + (uint64_t)(int8_t)fuzz_byte();
	case 6:
		return fuzz_half();
	default:
		fuzz_bytes(&v, 8);
		return v;
	}
}

/* ---- changes ---- */

/* One change, as encoded in the input. */
struct change {
	uint8_t gap; /* looks before it */
	uint8_t how; /* bits 0-1 where, 2-4 what, 5-6 how wide, 7 for one look only */
	uint8_t at[2], value[2];
};
enum { AT_LOOK, NEAR_LOOK, IN_HEAD, ANYWHERE };

static struct fuzz_area areas[AREAS];
static unsigned int nareas;

static _Thread_local bool on; /* off in the library's own threads */
static uint64_t left; /* looks that this call may still make */
static struct change due;
static bool is_due;
static uint32_t gap;

static uint64_t *undo_at;
static uint64_t undo;

static void next_change(void)
{
	static const uint8_t *round;

	is_due = true;
	if (back - front >= (long)sizeof(due)) {
		back -= sizeof(due);
		memcpy(&due, back, sizeof(due));
		round = end;
	} else if (storm && end - back >= (long)sizeof(due)) {
		if (round - back < (long)sizeof(due))
			round = end;
		round -= sizeof(due);
		memcpy(&due, round, sizeof(due));
	} else {
		is_due = false;
		return;
	}
	gap = due.gap < 192 ? due.gap : (due.gap - 191U) * 32;
}

void fuzz_start(const uint8_t *data, size_t size)
{
	front = data;
	back = end = data + size;
	storm = fuzz_byte() & 128;
	nareas = 0;
	on = false;
	undo_at = NULL;
	luck = 0;
	memset(lucky, 0, sizeof(lucky));
	next_change();
}

void fuzz_hostile(const struct fuzz_area *a)
{
	FUZZ_CHECK(nareas < AREAS);
	areas[nareas++] = *a;
}

void fuzz_peaceful(const void *seen)
{
	undo_at = NULL;
	for (unsigned int i = 0; i < nareas; i++) {
		if (areas[i].seen == seen) {
			areas[i] = areas[--nareas];
			return;
		}
	}
}

static struct fuzz_area *area_of(const volatile void *p)
{
	for (unsigned int i = 0; i < nareas; i++)
		if ((uintptr_t)p - (uintptr_t)areas[i].seen < areas[i].size)
			return &areas[i];
	return NULL;
}

uint64_t (*fuzz_wanted)(const void *area, size_t at);

static uint64_t value_of(const struct fuzz_area *a, size_t at, uint64_t old)
{
	uint32_t v = due.value[0] | (uint32_t)due.value[1] << 8;

	switch (due.how >> 2 & 7) {
	case 0:
		return v;
	case 1:
		return (uint64_t)(int16_t)v;
	case 2:
		return old + (uint64_t)(int16_t)v;
	case 3:
		return lucky[due.value[0] % LUCKY] + (uint64_t)(int8_t)due.value[1];
	case 4:
		return nasty[v % ARRAY_SIZE(nasty)];
	case 5:
		return old ^ 1ULL << (v & 63);
	case 6:
		return (uint64_t)v << 48;
	default:
		return fuzz_wanted ? fuzz_wanted(a->seen, at) + (uint64_t)(int8_t)due.value[1] : 0;
	}
}

static void put_back(void)
{
	if (undo_at)
		*undo_at = undo;
	undo_at = NULL;
}

static void change(const struct fuzz_area *a, size_t look)
{
	uint32_t at = due.at[0] | (uint32_t)due.at[1] << 8;
	size_t words = a->size / 8, width = 1UL << (due.how >> 5 & 3), word;
	uint64_t *w, value;

	switch (due.how & 3) {
	case AT_LOOK:
		word = look / 8;
		break;
	case NEAR_LOOK:
		word = look / 8 + (size_t)(int8_t)due.at[0];
		break;
	case IN_HEAD:
		word = at % 64;
		break;
	default:
		word = at;
	}
	word %= words;
	w = (uint64_t *)a->bytes + word;
	value = value_of(a, word * 8, *w);
	if (due.how & 128) {
		undo_at = w;
		undo = *w;
	}
	/* A narrow change hits the bytes that are being loaded. */
	memcpy((char *)w + (look & 7 & ~(width - 1)), &value, width);
}

static void change_if_due(const struct fuzz_area *a, size_t look)
{
	put_back();
	if (!is_due || !a->size)
		return;
	if (gap) {
		gap--;
		return;
	}
	change(a, look);
	next_change();
}

void fuzz_look(const volatile void *p, size_t size)
{
	struct fuzz_area *a;
	size_t look;

	if (!on)
		return;
	a = p ? area_of(p) : nareas ? &areas[0] : NULL;
	if (!a)
		return;
	if (!left--)
		fuzz_failed(__FILE__, __LINE__, "a call that does not end");
	look = p ? (uintptr_t)p - (uintptr_t)a->seen : 0;
	FUZZ_CHECK(look + size <= a->size);
	change_if_due(a, look);
}

void fuzz_meanwhile(void)
{
	if (nareas && is_due)
		change_if_due(&areas[due.at[1] % nareas], 0);
}

void fuzz_on(uint64_t most)
{
	left = most;
	on = true;
}

void fuzz_off(void)
{
	on = false;
	put_back();
}

void fuzz_copy(void *dst, const void *src, size_t len)
{
	struct fuzz_area *a = on ? area_of(src) : NULL;

	if (a && a->stride && len) {
		size_t at = (uintptr_t)src - (uintptr_t)a->seen - a->first;

		/* The copy must start after the head of a slot, and end within that slot. */
		FUZZ_CHECK(at % a->stride >= a->head && at % a->stride + len <= a->stride && len <= a->max);
		FUZZ_CHECK(a->first + at + len <= a->size);
	}
	for (size_t n; len; len -= n) {
		n = len > 64 ? len / 2 : len;
		fuzz_look(src, 1);
		memcpy(dst, src, n);
		dst = (char *)dst + n;
		src = (const char *)src + n;
	}
}

/* ---- time and sleep ---- */

bool (*fuzz_slept)(void);
static uint64_t now = 1000000000;

uint64_t fuzz_now(void)
{
	return now;
}

int fuzz_clock(clockid_t clock, struct timespec *ts)
{
	if (!on)
		return (int)syscall(SYS_clock_gettime, clock, ts);
	now += TICK;
	*ts = (struct timespec){.tv_sec = (time_t)(now / 1000000000), .tv_nsec = (long)(now % 1000000000)};
	return 0;
}

void fuzz_sleep(uint64_t ns)
{
	fuzz_meanwhile();
	now += ns;
}

/* A sleep: the others run, then the time is up or something has arrived. */
static bool others(const struct timespec *ts)
{
	bool came;

	fuzz_meanwhile();
	on = false;
	came = fuzz_slept && fuzz_slept();
	on = true;
	if (!came && ts)
		now += (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;
	if (!left--)
		fuzz_failed(__FILE__, __LINE__, "a call that sleeps for ever");
	return came;
}

/* A caller that naps checks in a loop: each nap takes 100 ms, so that its time-out passes in few naps. */
int fuzz_nap(useconds_t us)
{
	static const struct timespec long_nap = {.tv_nsec = 100000000};

	if (!on)
		return usleep(us);
	if (others(&long_nap))
		now += (uint64_t)long_nap.tv_nsec; /* the nap takes its full time */
	return 0;
}

int fuzz_ppoll(struct pollfd *p, nfds_t n, const struct timespec *ts, const sigset_t *mask)
{
	static const struct timespec none;

	if (!on)
		return ppoll(p, n, ts, mask);
	others(ts);
	return ppoll(p, n, &none, mask);
}

int fuzz_epoll(int epfd, struct epoll_event *ev, int n, const struct timespec *ts)
{
	static const struct timespec none;

	if (!on)
		return epoll_pwait2(epfd, ev, n, ts, NULL);
	others(ts);
	return epoll_pwait2(epfd, ev, n, &none, NULL);
}

/* ---- mappings ---- */

static size_t pages(size_t size)
{
	return (size + 4095) & ~4095UL;
}

/* The size of the unmapped pages before and after a mapping, and its alignment: it may be of huge pages. */
static size_t guard(size_t size)
{
	return size < 2UL << 20 ? 65536 : 2UL << 20;
}

/* Map with unmapped pages on both sides: an access past the end is a fault, and does not hit a neighbour's bytes. */
void *fuzz_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	size_t room = guard(size), all = pages(size) + 3 * room;
	char *from, *p;

	FUZZ_CHECK(!at);
	from = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (from == MAP_FAILED)
		return from;
	p = (char *)(((uintptr_t)from + 2 * room - 1) & ~(room - 1));
	if (p - room > from)
		munmap(from, (size_t)(p - room - from));
	if (p + pages(size) + room < from + all)
		munmap(p + pages(size) + room, (size_t)(from + all - (p + pages(size) + room)));
	if (mmap(p, size, prot, flags | MAP_FIXED, fd, offset) != MAP_FAILED)
		return p;
	fuzz_munmap(p, size);
	return MAP_FAILED;
}

int fuzz_munmap(void *p, size_t size)
{
	return munmap((char *)p - guard(size), pages(size) + 2 * guard(size));
}

bool fuzz_one_of(long rc, ...)
{
	bool found = false;
	va_list ap;
	int e;

	va_start(ap, rc);
	while ((e = va_arg(ap, int)) && !found)
		found = e == rc;
	va_end(ap);
	if (!found)
		dprintf(STDERR_FILENO, "returned %ld, which it may not\n", rc);
	return found;
}

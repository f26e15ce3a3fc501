/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share. A fuzzer is selftests/fuzz/NAME.c with an LLVMFuzzerTestOneInput(); `make fuzz` says how they
 * run.
 *
 * An input is consumed from both ends. At its front are the calls that the target makes, one byte after the other; at
 * its back are changes: what the hostile peer writes to which word, and before which of the library's looks at shared
 * pages (looks.h). If the first byte's high bit is set, the changes repeat for ever, so that the peer never rests.
 */
#ifndef VENOM_FUZZ_H
#define VENOM_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_CHECK(cond)                                         \
	do {                                                     \
		if (!(cond))                                     \
			fuzz_failed(__FILE__, __LINE__, #cond);  \
	} while (0)
void fuzz_failed(const char *file, int line, const char *what) __attribute__((noreturn));

/*
 * What a run should reach, else it has proven little: a target's names, up to a NULL, and how often each was reached,
 * which is printed at the end.
 */
extern const char *const fuzz_goals[];
extern uint64_t fuzz_met[16];

/* ---- the input ---- */

void fuzz_start(const uint8_t *data, size_t size); /* returns with looks off */
bool fuzz_more(void); /* are there calls left? */
uint32_t fuzz_byte(void); /* 0 at the end of the input */
uint32_t fuzz_half(void); /* two bytes */
uint64_t fuzz_word(void); /* a kind byte: small, a power of two, a lucky or a nasty one, or eight bytes */
size_t fuzz_bytes(void *to, size_t max);

/* ---- looks ---- */

/*
 * An area that the hostile peer writes: where the library sees it, and where it is writable (the same place, or another
 * mapping of it). Messages of at most `max` bytes lie at first + i * stride + head: a copy from the area must be within
 * one message.
 */
struct fuzz_area {
	const void *seen;
	void *bytes;
	size_t size;
	size_t first, stride, head, max;
};
void fuzz_hostile(const struct fuzz_area *a);
void fuzz_peaceful(const void *seen); /* it is no longer hostile */

/* A number that matters now, such as the expected sequence: changes pick from the last few of them. */
void fuzz_lucky(uint64_t v);
/* A target's hook: the value that the library expects in this word of an area; random input seldom finds it. */
extern uint64_t (*fuzz_wanted)(const void *area, size_t at);

/*
 * From here on this thread's looks count, and may meet changes: for one call into the library. The run fails if the
 * call makes more than `most` looks.
 */
void fuzz_on(uint64_t most);
void fuzz_off(void);
/* FUZZ_CALL(call): the call's value. */
#define FUZZ_MOST 300000
#define FUZZ_CALL(call)                       \
	({                                    \
		__typeof__(call) rc_;         \
		fuzz_on(FUZZ_MOST);           \
		rc_ = (call);                 \
		fuzz_off();                   \
		rc_;                          \
	})

/* Apply the change that is due, outside of a look: for sleeps and the like. */
void fuzz_meanwhile(void);

/* A backend's sleep: a change may come, and the time passes. */
void fuzz_sleep(uint64_t ns);

/*
 * What the library's sleeps do; a target sets it, looks are off in it. Return true if something has arrived for the
 * library.
 */
extern bool (*fuzz_slept)(void);
uint64_t fuzz_now(void);

/* Is rc one of these? The list ends with 0. */
bool fuzz_one_of(long rc, ...);
#define FUZZ_ERRNO(rc, ...)                                                      \
	do {                                                                     \
		long errno_ = (rc);                                              \
		FUZZ_CHECK(errno_ >= 0 || fuzz_one_of(errno_, __VA_ARGS__, 0)); \
	} while (0)

#endif /* VENOM_FUZZ_H */

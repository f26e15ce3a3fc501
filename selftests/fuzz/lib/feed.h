/* SPDX-License-Identifier: MIT */
/*
 * Standard input for a verb of the tool: any bytes, in pieces of any size, with an interruption, an error or the end at
 * any place. Include it before the verb's own file, so that read() and await_input() are replaced there.
 *
 *	byte 0		the target's: how it is read
 *	1, 2		a trouble, and before which read it comes
 *	3 to 6		sizes of the pieces, by turns; 0: all there is
 *	7...		standard input
 */
#ifndef VENOM_FUZZ_FEED_H
#define VENOM_FUZZ_FEED_H

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/tool.h"
#include "fuzz/lib/fuzz.h"

#define NAME	  "fuzz"
#define SIZE	  16 /* of a line, a frame, a command, an answer */
#define FEED_HEAD 7

enum { WELL, INTERRUPTED, NOT_YET, BROKEN, STOPPED, TROUBLES };

static struct {
	const uint8_t *from, *p, *end;
	const uint8_t *cut;
	unsigned int reads;
	uint8_t trouble, at;
} in;

static inline bool await_feed(void)
{
	if (in.trouble == STOPPED && in.reads == in.at)
		stopped = 1;
	return !stopped;
}

static inline ssize_t feed(void *buf, size_t size)
{
	unsigned int turn = in.reads++;
	size_t n = (size_t)(in.end - in.p);

	if (turn == in.at && in.trouble >= INTERRUPTED && in.trouble <= BROKEN) {
		errno = in.trouble == INTERRUPTED ? EINTR : in.trouble == NOT_YET ? EAGAIN : EIO;
		return -1;
	}
	if (n > size)
		n = size;
	if (in.cut[turn % 4] && n > in.cut[turn % 4])
		n = in.cut[turn % 4];
	memcpy(buf, in.p, n);
	in.p += n;
	return (ssize_t)n;
}

/* How many bytes have been read. */
static inline size_t fed(void)
{
	return (size_t)(in.p - in.from);
}

static inline bool broken(void)
{
	return in.trouble == BROKEN && in.reads > in.at;
}

/* Return false if the input is too short. */
static inline bool feed_start(const uint8_t *data, size_t size)
{
	if (size < FEED_HEAD)
		return false;
	stopped = 0;
	in.from = in.p = data + FEED_HEAD;
	in.end = data + size;
	in.cut = data + 3;
	in.reads = 0;
	in.trouble = data[1] % TROUBLES;
	in.at = data[2];
	return true;
}

/* A daemon for a verb to work on; the verb's messages are discarded. */
static inline struct venom_daemon *feed_daemon(uint32_t versions)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_daemon *dm;

	setenv("VENOM_BACKEND", "memfd", 1);
	cfg.data_size = cfg.cmd_size = cfg.resp_size = SIZE;
	cfg.versions = versions;
	cfg.huge = VENOM_HUGE_NEVER;
	FUZZ_CHECK(!venom_daemon_create(&dm, NAME, &cfg));
	stderr = fopen("/dev/null", "we");
	FUZZ_CHECK(stderr);
	return dm;
}

#define await_input(fd)	    await_feed()
#define read(fd, buf, size) feed(buf, size)

#endif /* VENOM_FUZZ_FEED_H */

/* SPDX-License-Identifier: MIT */
/*
 * What `venom pub` makes of standard input (feed.h), with its own code and a real daemon: the published versions are
 * compared with what a few lines here make of the same bytes. Byte 0: the size of a frame, or 0 for lines.
 */
#include "fuzz/lib/feed.h"

#include "../../tools/pub.c"

#define VERSIONS 8192 /* more than an input has lines */

const struct verb *verb = &verb_pub;

enum { LINES, FRAMES, TOO_LONG, HALF };
const char *const fuzz_goals[] = {"lines", "frames", "lines too long", "half frames", NULL};

static struct venom_daemon *d;
static struct venom_shell *s;
static uint64_t seen;

static void is_published(const uint8_t *data, size_t len)
{
	char buf[SIZE];
	ssize_t n = venom_shell_read_next(s, buf, sizeof(buf), &seen);

	FUZZ_CHECK(n == (ssize_t)len && !memcmp(buf, data, len));
}

/* The verb has read up to in.p, or to a line that is too long. */
static void check_lines(int status)
{
	uint64_t before = seen;
	const uint8_t *line = in.from, *nl;
	bool whole = true; /* read to the end, without an error */

	while ((nl = memchr(line, '\n', (size_t)(in.p - line))) && nl - line <= SIZE) {
		is_published(line, (size_t)(nl - line));
		line = nl + 1;
	}
	fuzz_met[LINES] += seen - before;
	if (nl || in.p - line > SIZE)
		whole = false, fuzz_met[TOO_LONG]++;
	else if (broken())
		whole = false;
	else if (line < in.p && !stopped)
		is_published(line, (size_t)(in.p - line));
	FUZZ_CHECK(status == !whole);
}

static void check_frames(size_t size, int status)
{
	const uint8_t *frame = in.from;

	for (; in.p - frame >= (ssize_t)size; frame += size)
		is_published(frame, size), fuzz_met[FRAMES]++;
	FUZZ_CHECK(status == (frame < in.p || broken()));
	/* The write of the last frame was begun. */
	if (frame < in.p) {
		FUZZ_CHECK(!venom_daemon_write_commit(d, 0));
		seen++;
		fuzz_met[HALF]++;
	}
}

static void pub(size_t frame)
{
	struct pub p = {.name = NAME, .d = d, .size = frame ? frame : SIZE};
	uint64_t before = venom_daemon_version(d);
	int status;

	seen = before;
	status = frame ? pub_frames(&p) : pub_lines(&p);
	FUZZ_CHECK(venom_daemon_version(d) == before + p.count);
	if (frame)
		check_frames(frame, status);
	else
		check_lines(status);
	FUZZ_CHECK(seen == venom_daemon_version(d));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!d) {
		d = feed_daemon(VERSIONS);
		FUZZ_CHECK(!venom_shell_connect(&s, NAME));
	}
	if (size > VERSIONS / 2 || !feed_start(data, size))
		return -1;
	pub(data[0] % (SIZE + 1));
	return 0;
}

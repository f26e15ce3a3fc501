/* SPDX-License-Identifier: MIT */
/*
 * A shell whose daemon may send anything: in its messages, with the descriptors it hands out, in the areas' headers,
 * and in every byte of state, status and answers, while the shell reads them.
 *
 * The shell is the library's own, on the embedded backend. The daemon is lib/hostile.c, in the same thread: it runs
 * when the shell waits (fuzz_slept), and at the shell's loads from its mappings (the input's changes).
 */
#include <signal.h>
#include <string.h>

#include "fuzz/lib/fuzz.h"
#include "fuzz/lib/hostile.h"
#include "lib/venom_test.h"

#define NAME "fuzz"

enum { ATTACHED, REFUSED, VERSIONS, SPOILED, LAPPED, ANSWERS, GONE, INVALID, HELD };
const char *const fuzz_goals[] = {"attached", "refused", "versions", "spoiled", "lapped",
				  "answers",  "gone",	 "invalid",  "held",	NULL};

static const struct shape *shape;
static struct venom_shell *s;

static uint64_t version;
static uint64_t tags[8];
static unsigned int ntags;

static uint64_t wanted(const void *area, size_t at)
{
	if (!s)
		return 0;
	if (area == s->state && at >= shape->geo.first)
		return VENOM_SEQ_WHOLE(s->seen + 1);
	if (area == s->rsp && at >= VENOM_LANE_FIRST)
		return s->pos;
	return area == s->rsp ? s->pos : s->seen + 1;
}

/* A buffer of just that size, so that an access past its end is detected. */
static void *exactly(size_t size)
{
	static void *buf;

	free(buf);
	buf = malloc(size);
	FUZZ_CHECK(buf);
	return buf;
}

static size_t some_size(size_t max)
{
	return fuzz_byte() % 4 == 3 ? fuzz_half() % (max + 2) : max;
}

static int64_t patience(void)
{
	uint32_t how = fuzz_byte() % 4;

	return how * 200000;
}

static void note(long rc, int good)
{
	fuzz_met[GONE] += rc == -EPIPE || rc == -ECONNRESET;
	fuzz_met[INVALID] += rc == -EPROTO;
	if (rc >= 0)
		fuzz_met[good]++;
}

static void see(const void *data, size_t len)
{
	FUZZ_CHECK(len <= shape->data_size);
	for (size_t i = 0; i < len; i++)
		(void)((const volatile char *)data)[i];
}

/* Calls that read in place, and calls that ask something of the publisher. */
static void special(void)
{
	static struct venom_inline_reader in_line;
	static const struct venom_shell *of;
	struct venom_view view = {0};
	bool holding = s->holding;
	int rc;

	switch (fuzz_byte() % 8) {
	case 0:
	case 1:
		rc = FUZZ_CALL(venom_shell_hold(s, fuzz_byte() % 4 ? 0 : version, &view));
		FUZZ_CHECK(rc <= 0 && (rc == -EBUSY) == holding);
		FUZZ_ERRNO(rc, -EBUSY, -EUSERS, -EPERM, -ESTALE, -EAGAIN, -ENODATA, -EPIPE, -ETIMEDOUT, -EOWNERDEAD,
			   -EPROTO);
		if (!rc)
			see(view.data, view.len);
		note(rc, HELD);
		break;
	case 2:
	case 3:
		rc = FUZZ_CALL(venom_shell_release(s));
		FUZZ_CHECK(rc == (holding ? 0 : -EINVAL));
		break;
	case 4:
		rc = FUZZ_CALL(venom_shell_lossless(s, fuzz_byte() & 1));
		FUZZ_CHECK(rc <= 0);
		FUZZ_ERRNO(rc, -EPERM, -EUSERS, -EPIPE, -ETIMEDOUT);
		break;
	case 5:
	case 6:
		if (of != s)
			venom_inline_reader_init(&in_line);
		of = s;
		rc = FUZZ_CALL(venom_inline_look(s, &in_line));
		FUZZ_CHECK(rc <= 0);
		FUZZ_ERRNO(rc, -ENODATA, -EAGAIN, -EOWNERDEAD, -EPROTO);
		if (rc)
			break;
		see(in_line.data, in_line.len);
		FUZZ_CALL(venom_inline_whole(&in_line));
		break;
	default:
		FUZZ_CALL(venom_shell_version(s));
	}
}

static void read_state(void)
{
	size_t size = some_size(shape->data_size);
	uint64_t before = version;
	struct venom_view view = {0};
	ssize_t n;
	int rc;

	switch (fuzz_byte() % 4) {
	case 0:
		n = FUZZ_CALL(venom_shell_read(s, exactly(size), size, &version));
		FUZZ_ERRNO(n, -ENODATA, -EMSGSIZE, -EAGAIN, -EOWNERDEAD, -EPROTO);
		FUZZ_CHECK(n <= (ssize_t)size && (n >= 0 || version == before));
		note(n, VERSIONS);
		break;
	case 1:
		version = fuzz_byte() % 4 == 3 ? fuzz_word() : version;
		before = version;
		n = FUZZ_CALL(venom_shell_read_next(s, exactly(size), size, &version));
		FUZZ_ERRNO(n, -ENODATA, -EMSGSIZE, -EAGAIN, -EOWNERDEAD, -EPROTO, -EOVERFLOW, -EPIPE);
		FUZZ_CHECK(n <= (ssize_t)size && (n >= 0 || n == -EOVERFLOW || version == before || !before));
		note(n, VERSIONS);
		fuzz_met[LAPPED] += n == -EOVERFLOW;
		break;
	case 2:
		rc = FUZZ_CALL(venom_shell_read_begin(s, &view));
		FUZZ_CHECK(rc <= 0);
		FUZZ_ERRNO(rc, -ENODATA, -EAGAIN, -EOWNERDEAD, -EPROTO);
		if (rc)
			break;
		see(view.data, view.len);
		rc = FUZZ_CALL(venom_shell_read_retry(s, &view));
		FUZZ_CHECK(rc == 0 || rc == -EAGAIN);
		fuzz_met[SPOILED] += rc == -EAGAIN;
		break;
	default:
		special();
	}
	fuzz_lucky(2 * version + 2);
}

static void complete(void)
{
	uint64_t tag =
		ntags && fuzz_byte() % 4 < 3 ? tags[(ntags - 1 - fuzz_byte() % ntags) % ARRAY_SIZE(tags)] : fuzz_word();
	size_t size = some_size(shape->resp_size);
	uint32_t open = s->nopen;
	ssize_t n = FUZZ_CALL(venom_shell_complete(s, &tag, exactly(size), size, patience()));

	FUZZ_ERRNO(n, -EINVAL, -ETIMEDOUT, -EMSGSIZE, -ECONNRESET, -EPIPE, -EPROTO);
	FUZZ_CHECK(n <= (ssize_t)size);
	note(n, ANSWERS);
	FUZZ_CHECK(s->nopen == open - !(n == -EINVAL || n == -ETIMEDOUT || n == -EMSGSIZE));
}

static void step(void)
{
	size_t size, resp;
	uint64_t tag = 0;
	struct venom_info info;
	struct iovec iov[4];
	uint32_t n;
	long rc;

	switch (fuzz_byte() % 16) {
	case 0:
	case 1:
	case 2:
		read_state();
		break;
	case 3:
		size = some_size(shape->cmd_size);
		rc = FUZZ_CALL(venom_shell_send(s, memset(exactly(size), 1, size), size));
		FUZZ_ERRNO(rc, -EACCES, -EMSGSIZE, -EAGAIN, -EPIPE);
		break;
	case 4:
		size = some_size(shape->cmd_size);
		rc = FUZZ_CALL(venom_shell_submit(s, memset(exactly(size), 2, size), size, &tag));
		FUZZ_ERRNO(rc, -EACCES, -EMSGSIZE, -EAGAIN, -EPIPE);
		FUZZ_CHECK(!rc == !!tag);
		if (!rc)
			tags[ntags++ % ARRAY_SIZE(tags)] = tag;
		fuzz_lucky(tag);
		break;
	case 5:
		complete();
		break;
	case 6:
		size = some_size(shape->cmd_size);
		resp = some_size(shape->resp_size);
		tags[0] = 0;
		rc = FUZZ_CALL(
			venom_shell_request(s, "12345678", size < 8 ? size : 8, exactly(resp), resp, patience()));
		FUZZ_ERRNO(rc, -EACCES, -EMSGSIZE, -EAGAIN, -EPIPE, -ETIMEDOUT, -ECONNRESET, -EPROTO);
		FUZZ_CHECK(rc <= (long)resp);
		break;
	case 7:
		rc = FUZZ_CALL(venom_shell_wait(s, fuzz_byte() % 4 == 3 ? fuzz_word() : version, patience()));
		FUZZ_CHECK(rc <= 1);
		FUZZ_ERRNO(rc, -EPIPE, -EPROTO);
		break;
	case 8:
		rc = FUZZ_CALL(venom_shell_room(s, patience()));
		FUZZ_CHECK(rc <= 1);
		FUZZ_ERRNO(rc, -EACCES, -EPIPE);
		break;
	case 9:
		rc = FUZZ_CALL(venom_shell_arm(s, 1 + fuzz_byte() % 7, version));
		FUZZ_CHECK(rc <= 1);
		FUZZ_ERRNO(rc, -EPIPE, -EPROTO, -ENOSYS, -ETIMEDOUT);
		break;
	case 10:
		FUZZ_CALL(venom_shell_alive(s));
		FUZZ_CHECK(!FUZZ_CALL(venom_shell_info(s, &info)) && info.data_size == shape->data_size);
		break;
	case 11:
		n = fuzz_byte() % ARRAY_SIZE(iov);
		for (uint32_t i = 0; i < n; i++)
			iov[i] = (struct iovec){.iov_base = (void *)"12345678", .iov_len = fuzz_byte() % 10};
		rc = FUZZ_CALL(venom_shell_send_many(s, iov, n));
		FUZZ_CHECK(rc <= (long)n);
		FUZZ_ERRNO(rc, -EACCES, -EMSGSIZE, -EAGAIN, -EPIPE);
		break;
	case 12:
		rc = FUZZ_CALL(
			venom_shell_cancel(s, ntags ? tags[fuzz_byte() % ntags % ARRAY_SIZE(tags)] : fuzz_word()));
		FUZZ_CHECK(rc == 0 || rc == -EINVAL);
		break;
	case 13:
		hostile_publish();
		break;
	case 14:
		hostile_answer();
		break;
	default:
		hostile_scribble();
	}
}

/* ---- */

static void killed(int sig)
{
	(void)sig;
	fuzz_failed(__FILE__, __LINE__, "a daemon's descriptor gave its shell a SIGPIPE");
}

static void init(void)
{
	setenv("VENOM_BACKEND", "memfd", 1);
	signal(SIGPIPE, killed);
	hostile_init(NAME);
	fuzz_wanted = wanted;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	int rc, fds;

	if (!ready)
		init();
	ready = true;
	fds = vt_count_fds();
	fuzz_start(data, size);
	s = NULL;
	version = ntags = 0;
	shape = hostile_begin(fuzz_byte());
	rc = FUZZ_CALL(venom_shell_connect(&s, NAME));
	FUZZ_CHECK(rc <= 0);
	FUZZ_ERRNO(rc, -ENOENT, -EACCES, -EUSERS, -EPROTO, -ETIMEDOUT, -EMFILE, -ENFILE, -ENOMEM);
	fuzz_met[rc ? REFUSED : ATTACHED]++;
	if (!rc) {
		/* A million tries of a small version would end, too, but find nothing more. */
		if (s->max_tries > 1000)
			s->max_tries = 1000;
		hostile_attached(s);
		for (int i = 0; i < 200 && fuzz_more(); i++)
			step();
		venom_shell_close(s);
	}
	hostile_end();
	FUZZ_CHECK(vt_count_fds() == fds);
	return 0;
}

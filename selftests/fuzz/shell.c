/* SPDX-License-Identifier: MIT */
/*
 * A shell whose daemon may send anything: in its messages, with the descriptors it hands out, in the areas' headers,
 * and in every byte of state, status and answers, while the shell reads them.
 *
 * The shell is the library's own, on the embedded backend. The daemon is this file, in the same thread: it runs when
 * the shell waits (fuzz_slept), and at the shell's loads from its mappings (the input's changes).
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "memfd/proto.h"

#include "fuzz/lib/fuzz.h"
#include "fuzz/lib/files.h"
#include "lib/venom_test.h"

#define NAME "fuzz"

/* Areas can't be unsealed: those of each geometry are made once, and reused. */
static struct shape {
	uint32_t versions, cmd_slots, max_clients;
	uint64_t data_size;
	uint32_t cmd_size, resp_size;
	struct venom_geometry geo;
	struct venom_map map[3]; /* FD_STATUS, FD_STATE, FD_RESPONSES */
	int fd[3];
} shapes[] = {
	{.versions = 4, .cmd_slots = 8, .max_clients = 4, .data_size = 64, .cmd_size = 64, .resp_size = 64},
	{.versions = 1, .cmd_slots = 1, .max_clients = 1, .data_size = 8, .cmd_size = 8, .resp_size = 8},
	{.versions = 2, .cmd_slots = 3, .max_clients = 2, .data_size = 200, .cmd_size = 100, .resp_size = 1000},
	{.versions = 3, .cmd_slots = 4, .max_clients = 1, .data_size = 4096, .cmd_size = 24, .resp_size = 33},
	{.versions = 8, .cmd_slots = 16, .max_clients = 64, .data_size = 32, .cmd_size = 256, .resp_size = 256},
};
static struct shape *shape;
static struct venom_state *state;
static struct venom_status *status;
static struct venom_responses *responses;

enum { ATTACHED, REFUSED, VERSIONS, SPOILED, LAPPED, ANSWERS, GONE, CANT_BE, HELD };
const char *const fuzz_goals[] = {"attached", "refused", "versions", "spoiled", "lapped",
				  "answers",  "gone",	 "can't be", "held",	NULL};

static int listener, conn = -1;
static struct venom_shell *s;
static struct fuzz_files files;

static void make_shape(struct shape *sh)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;

	cfg.versions = sh->versions;
	cfg.data_size = sh->data_size;
	cfg.cmd_slots = sh->cmd_slots;
	cfg.cmd_size = sh->cmd_size;
	cfg.resp_size = sh->resp_size;
	cfg.max_clients = sh->max_clients;
	venom_geometry_make(&sh->geo, &cfg, VENOM_PAGE);
	FUZZ_CHECK(
		!area_make(&sh->map[FD_STATUS], &sh->fd[FD_STATUS], "status", venom_status_bytes(sh->max_clients), 0));
	FUZZ_CHECK(!area_make(&sh->map[FD_STATE], &sh->fd[FD_STATE], "state", venom_state_bytes(&sh->geo), 0));
	FUZZ_CHECK(!area_make(&sh->map[FD_RESPONSES], &sh->fd[FD_RESPONSES], "responses",
			      venom_responses_bytes(&sh->geo), 0));
}

/* Make the areas as an honest daemon does, with one version published. */
static void make_good(struct shape *sh)
{
	struct venom_version *b;

	shape = sh;
	for (int i = 0; i < 3; i++)
		memset(sh->map[i].p, 0, sh->map[i].size);
	status = sh->map[FD_STATUS].p;
	state = sh->map[FD_STATE].p;
	responses = sh->map[FD_RESPONSES].p;
	venom_head_make(&status->head, VENOM_AREA_STATUS, sh->map[FD_STATUS].size, 1, 0, 0);
	venom_head_make(&state->head, VENOM_AREA_STATE, sh->map[FD_STATE].size, 1, 0, 0);
	venom_head_make(&responses->head, VENOM_AREA_RESPONSES, sh->map[FD_RESPONSES].size, 1, 0, 1);
	status->daemon = VENOM_DAEMON_ALIVE;
	status->owner = 1;
	status->epoch = 1;
	status->shells = sh->max_clients;
	status->shell[0].life = VENOM_SHELL_ALIVE;
	state->geo = sh->geo;
	state->latest = 1;
	b = (struct venom_version *)((char *)state + sh->geo.first + 1 % sh->versions * sh->geo.stride);
	b->seq = VENOM_SEQ_WHOLE(1);
	b->len = 8;
}

/* ---- what the daemon does ---- */

/* Overwrite some words anywhere in the daemon's areas. */
static void scribble(void)
{
	struct venom_map *m = &shape->map[fuzz_byte() % 3];
	size_t at = fuzz_half() * 8U, n = fuzz_byte() % 8;

	while (n--) {
		*(uint64_t *)((char *)m->p + at % m->size) = fuzz_word();
		at += 8;
	}
}

/* Publish version v, valid or nearly. */
static void publish(void)
{
	static const int8_t next[] = {1, 0, 2, 7};
	uint64_t v = state->latest + (uint64_t)next[fuzz_byte() % 4];
	struct venom_version *b =
		(struct venom_version *)((char *)state + shape->geo.first + v % shape->versions * shape->geo.stride);

	switch (fuzz_byte() % 8) {
	case 6:
		b->seq = VENOM_SEQ_PASSED(v);
		break;
	case 7:
		b->seq = VENOM_SEQ_WRITING(v);
		break;
	default:
		b->seq = VENOM_SEQ_WHOLE(v);
	}
	b->len = fuzz_byte() % 4 == 3 ? fuzz_word() : 8;
	state->latest = v;
}

/* Answer the request with this tag, validly or nearly. */
static void answer(void)
{
	static const int8_t off[] = {0, 1, -1, -2};
	uint64_t tag = s ? s->pos + (uint64_t)off[fuzz_byte() % 4] : 1, ring = venom_slots_ring(shape->cmd_slots);
	struct venom_slot *slot = (struct venom_slot *)((char *)responses + VENOM_LANE_FIRST +
							tag % ring * VENOM_SLOT_STRIDE(sizeof(struct venom_slot), shape->resp_size));

	slot->len = fuzz_byte() % 4 == 3 ? (uint32_t)fuzz_word() : 8;
	slot->seq = tag;
	responses->cursor = fuzz_byte() % 4 == 3 ? fuzz_word() : tag;
}

static void hang_up(void)
{
	close_fd(&conn);
}

/* Send an honest answer to a message, with the input's change. */
static void reply(enum proto_type type)
{
	struct proto_welcome w = {.generation = 1, .may_command = 1, .epoch = 1};
	int fd[8] = {shape->fd[FD_STATUS], shape->fd[FD_STATE], shape->fd[FD_RESPONSES], -1, -1}, n = 0;
	uint32_t lie = fuzz_byte();
	char msg[sizeof(union proto_any) + 64] = {0};
	size_t size = sizeof(struct proto_head);

	w.head = (struct proto_head){.magic = PROTO_MAGIC, .abi = VENOM_ABI, .type = type};
	if (type == PROTO_WELCOME) {
		size = sizeof(w);
		n = PROTO_FDS;
		fd[FD_BELL] = files.fd[FILE_EPOLL];
		fd[FD_THEIR_BELL] = files.fd[FILE_EVENTFD];
	}
	memcpy(msg, &w, size);
	switch (lie & 15) {
	case 1:
		return hang_up();
	case 2:
		return; /* send nothing */
	case 3: /* replace one descriptor */
		if (n)
			fd[(lie >> 4) % n] = files.fd[fuzz_byte() % FILES];
		break;
	case 4: /* more or fewer descriptors */
		while (n < 8)
			fd[n++] = files.fd[fuzz_byte() % FILES];
		n = (lie >> 4) % 9;
		break;
	case 5: /* more or fewer bytes */
		size = fuzz_half() % sizeof(msg);
		break;
	case 6: /* an error */
		((struct proto_head *)msg)->error = (int32_t)fuzz_word();
		break;
	case 7: /* any word */
		((uint32_t *)msg)[fuzz_byte() % (sizeof(w) / 4)] = (uint32_t)fuzz_word();
		break;
	case 8: /* any bytes */
		fuzz_bytes(msg, fuzz_byte());
		break;
	case 9: /* an area that is being spoiled */
		for (uint32_t i = lie >> 4; i--;)
			scribble();
		break;
	case 10: /* any word of a geometry */
		((uint32_t *)&state->geo)[fuzz_byte() % (sizeof(state->geo) / 4)] = (uint32_t)fuzz_word();
		break;
	}
	files_send(conn, msg, size, fd, n);
}

/* The shell waits: the daemon's turn. Return false if nothing came of it. */
static bool turn(void)
{
	int fd[PROTO_FDS], n;
	union proto_any msg;
	ssize_t size;

	if (conn < 0)
		conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (conn < 0)
		return false;
	size = proto_recv_any(conn, &msg, fd, &n);
	while (n > 0)
		close(fd[--n]);
	if (size > 0 && msg.head.type == PROTO_ROLES && s) {
		responses->granted = fuzz_byte() % 4 ? s->cmd->wants : (uint32_t)fuzz_word();
		return true;
	}
	if (size > 0) {
		reply(msg.head.type == PROTO_HELLO ? PROTO_WELCOME : PROTO_READY);
		return true;
	}
	if (size != -EAGAIN) {
		hang_up(); /* the shell has hung up */
		return false;
	}
	switch (fuzz_byte() % 8) {
	case 1:
		hang_up();
		return true;
	case 2:
		publish();
		return true;
	case 3:
		answer();
		return true;
	case 4: /* a message that was not asked for */
		reply((enum proto_type)(fuzz_byte() % 9));
		return true;
	case 5:
		scribble();
		return false;
	default:
		return false;
	}
}

/* ---- what the shell does ---- */

static uint64_t version;
static uint64_t tags[8];
static unsigned int ntags;

static void hostile_areas(void)
{
	fuzz_hostile(&(struct fuzz_area){.seen = s->state,
					 .bytes = state,
					 .size = shape->map[FD_STATE].size,
					 .first = shape->geo.first,
					 .stride = shape->geo.stride,
					 .head = shape->geo.payload,
					 .max = shape->data_size});
	fuzz_hostile(&(struct fuzz_area){.seen = s->status, .bytes = status, .size = shape->map[FD_STATUS].size});
	fuzz_hostile(&(struct fuzz_area){.seen = s->rsp,
					 .bytes = responses,
					 .size = shape->map[FD_RESPONSES].size,
					 .first = VENOM_LANE_FIRST,
					 .stride = s->in.stride,
					 .head = sizeof(struct venom_slot),
					 .max = shape->resp_size});
}

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
	fuzz_met[CANT_BE] += rc == -EPROTO;
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
		FUZZ_ERRNO(rc, -EBUSY, -EUSERS, -EPERM, -ESTALE, -EAGAIN, -ENODATA, -EPIPE, -ETIMEDOUT, -EOWNERDEAD, -EPROTO);
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
		publish();
		break;
	case 14:
		answer();
		break;
	default:
		scribble();
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
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	setenv("VENOM_BACKEND", "memfd", 1);
	signal(SIGPIPE, killed);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		make_shape(&shapes[i]);
	files_make(&files, shapes[0].map[FD_STATE].size);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", getenv("VENOM_RUNTIME_DIR"), NAME);
	FUZZ_CHECK(!bind(listener, (struct sockaddr *)&addr, sizeof(addr)) && !listen(listener, 8));
	fuzz_slept = turn;
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
	make_good(&shapes[fuzz_byte() % ARRAY_SIZE(shapes)]);
	rc = FUZZ_CALL(venom_shell_connect(&s, NAME));
	FUZZ_CHECK(rc <= 0);
	FUZZ_ERRNO(rc, -ENOENT, -EACCES, -EUSERS, -EPROTO, -ETIMEDOUT, -EMFILE, -ENFILE, -ENOMEM);
	fuzz_met[rc ? REFUSED : ATTACHED]++;
	if (!rc) {
		/* A million tries of a small version would end, too, but find nothing more. */
		if (s->max_tries > 1000)
			s->max_tries = 1000;
		hostile_areas();
		for (int i = 0; i < 200 && fuzz_more(); i++)
			step();
		venom_shell_close(s);
	}
	hang_up();
	/* Close the connections left in the listener's backlog. */
	while ((conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		hang_up();
	FUZZ_CHECK(vt_count_fds() == fds);
	return 0;
}

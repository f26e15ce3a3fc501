/* SPDX-License-Identifier: MIT */
/*
 * See hostile.h.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz/lib/files.h"
#include "fuzz/lib/fuzz.h"
#include "fuzz/lib/hostile.h"

static struct shape shapes[] = {
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

static int listener, conn = -1;
static struct venom_shell *shell; /* once it is attached */
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
const struct shape *hostile_begin(unsigned int which)
{
	struct shape *sh = &shapes[which % ARRAY_SIZE(shapes)];
	struct venom_version *b;

	shape = sh;
	shell = NULL;
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
	return sh;
}

/* Overwrite some words anywhere in the daemon's areas. */
void hostile_scribble(void)
{
	struct venom_map *m = &shape->map[fuzz_byte() % 3];
	size_t at = fuzz_half() * 8U, n = fuzz_byte() % 8;

	while (n--) {
		*(uint64_t *)((char *)m->p + at % m->size) = fuzz_word();
		at += 8;
	}
}

/* Publish version v, valid or nearly. */
void hostile_publish(void)
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
void hostile_answer(void)
{
	static const int8_t off[] = {0, 1, -1, -2};
	uint64_t tag = shell ? shell->pos + (uint64_t)off[fuzz_byte() % 4] : 1;
	uint64_t ring = venom_slots_ring(shape->cmd_slots);
	uint64_t stride = VENOM_SLOT_STRIDE(sizeof(struct venom_slot), shape->resp_size);
	struct venom_slot *slot = (struct venom_slot *)((char *)responses + VENOM_LANE_FIRST + tag % ring * stride);

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
		fd[FD_SLEEP] = files.fd[FILE_EPOLL];
		fd[FD_DAEMON_BELL] = files.fd[FILE_EVENTFD];
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
			hostile_scribble();
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
	if (size > 0 && msg.head.type == PROTO_ROLES && shell) {
		responses->granted = fuzz_byte() % 4 ? shell->cmd->wants : (uint32_t)fuzz_word();
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
		hostile_publish();
		return true;
	case 3:
		hostile_answer();
		return true;
	case 4: /* a message that was not asked for */
		reply((enum proto_type)(fuzz_byte() % 9));
		return true;
	case 5:
		hostile_scribble();
		return false;
	default:
		return false;
	}
}

void hostile_attached(struct venom_shell *s)
{
	shell = s;
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

void hostile_init(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		make_shape(&shapes[i]);
	files_make(&files, shapes[0].map[FD_STATE].size);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", getenv("VENOM_RUNTIME_DIR"), name);
	FUZZ_CHECK(!bind(listener, (struct sockaddr *)&addr, sizeof(addr)) && !listen(listener, 8));
	fuzz_slept = turn;
}

void hostile_end(void)
{
	hang_up();
	/* Close the connections left in the listener's backlog. */
	while ((conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		hang_up();
}

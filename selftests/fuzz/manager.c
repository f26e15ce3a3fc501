/* SPDX-License-Identifier: MIT */
/*
 * The embedded backend's manager, whose socket gets any messages with any descriptors, from peers that stop half-way.
 *
 * One daemon lives through all inputs, and one honest shell with it. Each input is some hostile connections: what they
 * send, in what order, and what they then write to their lanes. After each message the manager has answered or hung up;
 * after each input the honest shell's state and answers are correct, another shell can connect, and the daemon holds no
 * more than before.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "memfd/proto.h"

#include "fuzz/lib/files.h"
#include "fuzz/lib/fuzz.h"
#include "lib/venom_test.h"

#define NAME	 "fuzz"
#define PEERS	 4
#define CLIENTS	 (PEERS + 2)
#define CMD_SIZE 64
#define SLOTS	 4

enum { ATTACHED, REFUSED, HUNG_UP, LOOKED, COMMANDS, EVICTED, ROLES, HEEDED };
const char *const fuzz_goals[] = {"attached", "refused", "hung up", "looked", "commands", "evicted",
				  "roles",    "heeded",	 NULL};

static struct venom_daemon *d;
static struct venom_shell *honest;
static struct fuzz_files files;
static uint64_t n_inputs;

/* ---- hostile peers ---- */

static struct peer {
	int sock; /* -1: not connected */
	int fd[PROTO_FDS], nfds; /* what the manager handed out */
	struct venom_map cmd;
	int cmd_fd;
	uint32_t id, generation;
	uint64_t sent;
	bool hung_up;
} peers[PEERS];

static void dial(struct peer *p)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	p->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", getenv("VENOM_RUNTIME_DIR"), NAME);
	FUZZ_CHECK(p->sock >= 0 && !connect(p->sock, (struct sockaddr *)&addr, sizeof(addr)));
	p->hung_up = false;
	p->sent = 0;
}

static void leave(struct peer *p)
{
	close_fd(&p->sock);
	close_fd(&p->cmd_fd);
	area_unmap(&p->cmd);
	while (p->nfds)
		close(p->fd[--p->nfds]);
}

/* Wait for the manager's answer: it must send one, or hang up. */
static void listen_to(struct peer *p)
{
	struct pollfd pfd = {.fd = p->sock, .events = POLLIN};
	int fd[PROTO_FDS], n;
	union proto_any msg;
	ssize_t size;
	int came;

	while ((came = poll(&pfd, 1, 10000)) < 0 && errno == EINTR)
		; /* interrupted by the fuzzer's own alarm */
	FUZZ_CHECK(came == 1);
	size = proto_recv_any(p->sock, &msg, fd, &n);
	if (size == -EPIPE) {
		p->hung_up = true;
		fuzz_met[HUNG_UP]++;
		return;
	}
	FUZZ_CHECK(size > 0);
	FUZZ_CHECK(msg.head.type == PROTO_WELCOME || msg.head.type == PROTO_READY || msg.head.type == PROTO_OBSERVED);
	FUZZ_CHECK(!msg.head.error || fuzz_one_of(msg.head.error, -EPROTO, -EACCES, -EUSERS, -EMFILE, -ENOMEM, 0));
	FUZZ_CHECK(n == (msg.head.type == PROTO_WELCOME && !msg.head.error ? PROTO_FDS : 0));
	if (n) {
		FUZZ_CHECK(!p->nfds && msg.welcome.id < CLIENTS);
		p->id = msg.welcome.id;
		p->generation = msg.welcome.generation;
		memcpy(p->fd, fd, sizeof(fd));
		p->nfds = n;
	}
	fuzz_met[msg.head.error			 ? REFUSED
		 : msg.head.type == PROTO_OBSERVED ? LOOKED
						 : ATTACHED] += msg.head.error || msg.head.type != PROTO_WELCOME;
	/* The manager sends an error, and then hangs up. */
	if (msg.head.error)
		listen_to(p);
}

/* Make a valid command area for this peer. */
static int good_area(struct peer *p)
{
	if (p->cmd_fd < 0) {
		FUZZ_CHECK(!area_make(&p->cmd, &p->cmd_fd, "commands", venom_commands_bytes(&d->geo), 0));
		venom_head_make(p->cmd.p, VENOM_AREA_COMMANDS, p->cmd.size, d->epoch, p->id, p->generation);
	}
	return p->cmd_fd;
}

static void scribble(struct peer *p)
{
	size_t at = fuzz_half() * 8U, n = fuzz_byte() % 16;
	struct venom_slot *slot;

	if (p->cmd.p && n >= 8) {
		/* Write its next command, valid or nearly. */
		slot = (struct venom_slot *)((char *)p->cmd.p + VENOM_LANE_FIRST +
					     p->sent % SLOTS * VENOM_SLOT_STRIDE(sizeof(struct venom_slot), CMD_SIZE));
		slot->len = (uint32_t)fuzz_word();
		slot->word = ((uint32_t)fuzz_word() & ~VENOM_SLOT_EPOCH(~0u)) | VENOM_SLOT_EPOCH(d->epoch);
		slot->seq = ++p->sent;
		return;
	}
	while (p->cmd.p && n--) {
		*(uint64_t *)((char *)p->cmd.p + at % p->cmd.size) = fuzz_word();
		at += 8;
	}
}

/* Ask for roles, any; the answer is in the lane only, once the manager has read the request, or it is a hang-up. */
static void ask(struct peer *p)
{
	struct proto_head head = {.magic = PROTO_MAGIC, .abi = VENOM_ABI, .type = PROTO_ROLES};
	struct pollfd pfd = {.fd = p->sock, .events = POLLIN};
	struct venom_commands *cmd = p->cmd.p;
	const struct venom_lane *l;

	cmd->wants = VENOM_ROLES_ASK(fuzz_byte() & 3, fuzz_byte());
	cmd->held = fuzz_byte();
	cmd->cursor = fuzz_byte();
	if (files_send(p->sock, &head, sizeof(head), NULL, 0))
		p->hung_up = true;
	if (p->hung_up)
		return;
	FUZZ_CHECK(VT_UNTIL(poll(&pfd, 1, 0) == 1 || ((l = load_acquire(&d->lanes[p->id])) && l->cmd_map.p &&
						      load_relaxed(&l->roles_seen) == cmd->wants)));
	fuzz_met[ROLES] += poll(&pfd, 1, 0) == 0;
}

/* Send a message, mostly one of the protocol's, or nearly. */
static void say(struct peer *p)
{
	struct proto_observe msg = {.head = {.magic = PROTO_MAGIC, .abi = VENOM_ABI}};
	uint32_t how = fuzz_byte(), lie = fuzz_byte();
	size_t size = sizeof(msg.head);
	int fd[16], n = 0;
	char raw[8192] = {0};

	msg.head.type = how % 16;
	if (how % 16 == 8 || how % 16 == 9)
		msg.head.type = PROTO_HELLO;
	if (how % 16 >= 10)
		msg.head.type = PROTO_ATTACH;
	if (how % 16 == 15 && p->cmd.p)
		return ask(p);
	if (msg.head.type == PROTO_OBSERVE) {
		size = sizeof(msg);
		msg.first = (uint32_t)fuzz_word();
	}
	if (msg.head.type == PROTO_ATTACH)
		fd[n++] = lie % 4 ? good_area(p) : files.fd[fuzz_byte() % FILES];
	memcpy(raw, &msg, sizeof(msg));
	switch (lie >> 4) {
	case 1:
		size = fuzz_half() % sizeof(raw);
		break;
	case 2:
		((uint32_t *)raw)[fuzz_byte() % 6] = (uint32_t)fuzz_word();
		break;
	case 3:
		fuzz_bytes(raw, fuzz_byte());
		break;
	case 4:
		for (n = 0; n < (int)(how >> 4); n++)
			fd[n] = files.fd[fuzz_byte() % FILES];
		break;
	case 5: /* the area spoiled */
		good_area(p);
		scribble(p);
		break;
	}
	/* The manager treats a message of no bytes like the end of the connection. */
	if (files_send(p->sock, raw, size, fd, n))
		p->hung_up = true;
	else if (!p->hung_up)
		listen_to(p);
}

/* ---- the honest shell ---- */

static void serve(void)
{
	struct venom_command cmd;
	int rc;

	while ((rc = venom_daemon_receive(d, &cmd, 0)) == 1) {
		FUZZ_CHECK(cmd.len <= CMD_SIZE && cmd.pid == (uint32_t)getpid());
		fuzz_met[COMMANDS] += cmd.client_id != honest->id && cmd.len != CMD_SIZE;
		if (cmd.flags & VENOM_CMD_REQUEST)
			FUZZ_ERRNO(venom_daemon_respond(d, &cmd, cmd.data, cmd.len), -EPIPE);
	}
	FUZZ_CHECK(!rc);
}

static void unharmed(struct venom_shell *s)
{
	uint32_t v = (uint32_t)++n_inputs;
	char buf[CMD_SIZE];
	uint64_t tag;

	vt_fill(buf, sizeof(buf), v);
	FUZZ_CHECK(!venom_daemon_publish(d, buf, sizeof(buf)));
	memset(buf, 0, sizeof(buf));
	FUZZ_CHECK(venom_shell_read(s, buf, sizeof(buf), NULL) == sizeof(buf) && vt_is(buf, sizeof(buf), v));
	FUZZ_CHECK(!venom_shell_submit(s, buf, sizeof(buf), &tag));
	serve();
	memset(buf, 0, sizeof(buf));
	FUZZ_CHECK(venom_shell_complete(s, &tag, buf, sizeof(buf), 0) == sizeof(buf) && vt_is(buf, sizeof(buf), v));
}

static uint32_t clients(void)
{
	struct venom_daemon_stats st;

	FUZZ_CHECK(!venom_daemon_stats(d, &st));
	fuzz_met[EVICTED] = st.evicted;
	return st.clients;
}

static void init(void)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;

	setenv("VENOM_BACKEND", "memfd", 1);
	cfg.data_size = cfg.cmd_size = cfg.resp_size = CMD_SIZE;
	cfg.cmd_slots = SLOTS;
	cfg.max_clients = CLIENTS;
	cfg.huge = VENOM_HUGE_NEVER;
	cfg.flags = VENOM_LOSSLESS; /* so that a reader blocks the publisher for a moment only */
	cfg.limit_ns = 10000;
	FUZZ_CHECK(!venom_daemon_create(&d, NAME, &cfg));
	FUZZ_CHECK(!venom_shell_connect(&honest, NAME));
	files_make(&files, venom_commands_bytes(&d->geo));
	for (int i = 0; i < PEERS; i++)
		peers[i].sock = peers[i].cmd_fd = -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct venom_shell *other;
	struct venom_info info;
	int fds, rc;

	if (!d)
		init();
	fds = vt_count_fds();
	fuzz_start(data, size);
	for (int i = 0; i < 64 && fuzz_more(); i++) {
		uint32_t what = fuzz_byte();
		struct peer *p = &peers[what % PEERS];

		if (p->sock < 0)
			dial(p);
		switch (what / PEERS % 8) {
		case 0:
			leave(p);
			break;
		case 1:
			scribble(p);
			break;
		case 2:
			serve();
			break;
		case 3:
			fuzz_met[HEEDED] += !!load_relaxed(&d->heeded);
			FUZZ_CHECK(!venom_daemon_publish(d, "publishd", 8));
			break;
		default:
			say(p);
		}
	}
	unharmed(honest);
	/* One place is always free, once the commands of dead shells have been served. */
	FUZZ_CHECK(VT_UNTIL((serve(), (rc = venom_shell_connect(&other, NAME)) != -EUSERS)));
	FUZZ_CHECK(!rc);
	unharmed(other);
	venom_shell_close(other);
	for (int i = 0; i < PEERS; i++)
		leave(&peers[i]);
	FUZZ_CHECK(!venom_stat(NAME, &info, NULL, NULL, NULL));
	FUZZ_CHECK(VT_UNTIL(clients() == 1));
	serve(); /* the commands that are left in their lanes; then the lanes are freed */
	FUZZ_CHECK(VT_UNTIL(vt_count_fds() <= fds));
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * A daemon that serves lanes whose bytes may be anything and change while it reads them, beside an honest shell.
 *
 * The daemon and the honest shell are the library's own, on a backend that is plain memory, all in one thread; a
 * hostile shell is nothing but the bytes of its lane. Whatever these are, each call on the daemon ends, returns what
 * its header promises, and names the right sender; the honest shell's commands and answers arrive whole, in order,
 * once.
 */
#include <string.h>

#include "internal.h"

#include "fuzz/lib/fuzz.h"
#include "fuzz/lib/memory.h"
#include "lib/venom_test.h"

#define CLIENTS 24 /* more than HOT_MIN in lanes.c: idle ones go cold */
#define KEPT	8
#define SENT	64 /* honest commands that are on their way, at most */

enum { COMMANDS = MEMORY_GOALS, REQUESTS, SEVERAL, LATE_ANSWERS, HONEST_ANSWERS, ROLES, HEEDED, REFUSED, BLOCKS };
const char *const fuzz_goals[] = {MEMORY_GOAL_NAMES,  "commands",	"requests", "taken at once",
				  "answers too late", "honest answers", "roles",    "heeded",
				  "publishes refused", "blocks",	NULL};

static struct venom_daemon *d;
static struct venom_shell *honest;

/* What the honest shell has sent, by number. */
static uint64_t sent, taken; /* one-way and requests alike */
static uint64_t tag_of[SENT]; /* 0: none, or its answer has been received */

/* ---- in place of backend.c ---- */

int venom_backend_pick(const struct venom_backend **be)
{
	*be = &memory_backend;
	return 0;
}

int venom_backend_taken(const char *name, const struct venom_backend *but)
{
	(void)name;
	(void)but;
	return 0;
}

int venom_backend_connect(struct venom_shell *s)
{
	struct venom_lane *l = memory_lane(d, HONEST, true);

	s->be = &memory_backend;
	s->id = HONEST;
	s->generation = l->generation;
	s->may_command = true;
	s->epoch = d->epoch;
	s->geo = d->geo;
	s->status = d->status;
	s->state = d->state;
	s->cmd = l->cmd_map.p;
	s->rsp = l->rsp;
	return 0;
}

/* ---- hostile shells ---- */

static void join(uint32_t id, bool may_command)
{
	struct venom_lane *l = memory_lane(d, id, may_command);

	fuzz_hostile(&(struct fuzz_area){
		.seen = l->cmd_map.p,
		.bytes = l->cmd_map.p,
		.size = l->cmd_map.size,
		.first = VENOM_LANE_FIRST,
		.stride = l->in.stride,
		.head = l->in.head,
		.max = l->in.size,
	});
}

/* The value that the daemon expects in the next slot of that lane; in every second lane that of the previous daemon. */
static uint64_t wanted(const void *area, size_t at)
{
	for (uint32_t i = 0; i < d->geo.max_clients; i++) {
		const struct venom_lane *l = d->lanes[i];

		if (!l || l->cmd_map.p != area)
			continue;
		if (at < VENOM_LANE_FIRST)
			return 0;
		switch ((at - VENOM_LANE_FIRST) % l->in.stride) {
		case offsetof(struct venom_slot, seq):
			return l->pos + 1;
		case offsetof(struct venom_slot, len): /* and word */
			return (uint64_t)(VENOM_SLOT_REQUEST | VENOM_SLOT_EPOCH(d->epoch - i % 2)) << 32;
		default:
			return 1;
		}
	}
	return 0;
}

/* Any lane but the honest one, whatever the input says. */
static struct venom_lane *hostile_lane(void)
{
	uint32_t id = 1 + fuzz_byte() % (d->geo.max_clients - 1);

	if (!d->lanes[id])
		join(id, fuzz_byte() % 8 < 7);
	return d->lanes[id];
}

static void leave(struct venom_lane *l)
{
	if (l->gone)
		return;
	d->status->shell[l->id].life = VENOM_SHELL_NONE;
	venom_manager_gone(d, l);
}

/* Overwrite some words of its lane. */
static void scribble(struct venom_lane *l)
{
	size_t at = fuzz_half() * 8U, n = fuzz_byte() % 16;

	while (n--) {
		*(uint64_t *)((char *)l->cmd_map.p + at % l->cmd_map.size) = fuzz_word();
		at += 8;
	}
}

/* Write a valid command, or nearly. */
static void command(struct venom_lane *l)
{
	uint64_t pos = l->pos + fuzz_byte() % 4;
	struct venom_slot *slot = venom_slots_at(&l->in, pos);

	slot->len = fuzz_byte() % 4 == 3 ? (uint32_t)fuzz_word() : l->in.size;
	slot->word = ((uint32_t)fuzz_word() & ~VENOM_SLOT_EPOCH(~0u)) |
		     VENOM_SLOT_EPOCH(fuzz_byte() % 8 == 7 ? fuzz_word() : d->epoch);
	if (fuzz_byte() % 4 == 1) {
		slot->len = fuzz_half() % (l->in.size + 2);
		slot->word = VENOM_SLOT_BLOCK | fuzz_byte() % 40;
	}
	if (l->in.head > sizeof(*slot))
		slot->time_ns[0] = fuzz_word();
	slot->seq = fuzz_byte() % 4 == 3 ? fuzz_word() : pos + 1;
}

/* ---- the honest shell ---- */

static size_t length(uint64_t n)
{
	return 8 + n * 7 % (d->geo.cmd_size - 7);
}

static void honest_send(bool request)
{
	char buf[1024];
	uint64_t tag = 0;
	int rc;

	vt_fill(buf, length(sent), (uint32_t)sent);
	if (request)
		rc = venom_shell_submit(honest, buf, length(sent), &tag);
	else
		rc = venom_shell_send(honest, buf, length(sent));
	FUZZ_CHECK(rc == 0 || rc == -EAGAIN);
	if (rc)
		return;
	FUZZ_CHECK(!request == !tag);
	tag_of[sent++ % SENT] = tag;
}

/* Complete the requests in flight, as far as the answers have arrived. */
static void honest_complete(bool all)
{
	char buf[1024];

	for (uint64_t n = sent > SENT ? sent - SENT : 0; n < sent; n++) {
		uint64_t *tag = &tag_of[n % SENT];
		ssize_t len;

		if (!*tag)
			continue;
		len = venom_shell_complete(honest, tag, buf, sizeof(buf), 0);
		if (len == -ETIMEDOUT && !all)
			continue;
		FUZZ_CHECK(len == (ssize_t)length(n) && vt_is(buf, (size_t)len, (uint32_t)n));
		*tag = 0;
		fuzz_met[HONEST_ANSWERS]++;
	}
}

/* ---- the daemon ---- */

static struct venom_command kept[KEPT];
static unsigned int nkept;

static void respond(const struct venom_command *cmd, const void *data, size_t len)
{
	int rc = FUZZ_CALL(venom_daemon_respond(d, cmd, data, len));

	FUZZ_ERRNO(rc, -EINVAL, -EALREADY, -EMSGSIZE, -EPIPE, -ESTALE);
	FUZZ_CHECK(rc <= 0);
	fuzz_met[LATE_ANSWERS] += rc == -ESTALE || rc == -EPIPE;
}

static void look_at(const struct venom_command *cmd)
{
	const struct venom_lane *l;

	FUZZ_CHECK(cmd->client_id < d->geo.max_clients && cmd->len <= d->geo.cmd_size);
	FUZZ_CHECK(cmd->pid == 1000 + cmd->client_id && cmd->uid == cmd->client_id && cmd->gid == cmd->client_id);
	FUZZ_CHECK(!(cmd->flags & ~VENOM_CMD_REQUEST) && !cmd->tag == !(cmd->flags & VENOM_CMD_REQUEST));
	l = d->lanes[cmd->client_id];
	/* The lane of a shell that has gone may have been freed by now, after its last command. */
	FUZZ_CHECK(!l || (l->generation == cmd->generation && l->may_command));
	/* All of its bytes must be readable. */
	for (size_t i = 0; i < cmd->len; i++)
		(void)((const volatile char *)cmd->data)[i];
	if (cmd->client_id != HONEST) {
		fuzz_met[BLOCKS] += l && l->block.left;
		kept[nkept++ % KEPT] = *cmd;
		fuzz_met[cmd->tag ? REQUESTS : COMMANDS]++;
		return;
	}
	FUZZ_CHECK(taken < sent && cmd->len == length(taken) && vt_is(cmd->data, cmd->len, (uint32_t)taken));
	FUZZ_CHECK(cmd->tag == tag_of[taken % SENT] && cmd->generation == honest->generation);
	taken++;
	if (cmd->tag)
		FUZZ_CHECK(!FUZZ_CALL(venom_daemon_respond(d, cmd, cmd->data, cmd->len)));
}

static int receive(int64_t timeout_ns)
{
	struct venom_command cmd;
	int rc = FUZZ_CALL(venom_daemon_receive(d, &cmd, timeout_ns));

	FUZZ_CHECK(rc == 0 || rc == 1);
	if (rc)
		look_at(&cmd);
	return rc;
}

static void receive_many(unsigned int n, int64_t timeout_ns)
{
	struct venom_command cmds[40];
	int rc = FUZZ_CALL(venom_daemon_receive_many(d, cmds, n, timeout_ns));

	FUZZ_CHECK(rc == (n ? rc : -EINVAL) && rc <= (int)n && rc <= 32);
	for (int i = 0; i < rc; i++)
		look_at(&cmds[i]);
	fuzz_met[SEVERAL] += rc > 1;
}

/* As the manager would handle a message: the request stands in the shell's page. */
static void ask(struct venom_lane *l)
{
	struct venom_commands *cmd = l->cmd_map.p;

	if (l->gone)
		return;
	cmd->wants = VENOM_ROLES_ASK(fuzz_byte() & 3, fuzz_byte());
	fuzz_lucky(d->version);
	cmd->held = fuzz_word();
	cmd->cursor = fuzz_word();
	FUZZ_CALL((venom_readers_serve(d, l), 0));
	FUZZ_CHECK(!(load_relaxed(&l->reader.roles) & ~VENOM_ROLES) && d->nholders <= d->geo.max_holders);
	fuzz_met[ROLES] += !!l->reader.roles;
}

/* A publish must end, whichever readers are heeded, and the version number grows by less than the number of buffers. */
static void publish(const void *buf, size_t len)
{
	uint64_t before = venom_daemon_version(d), after;
	int rc = FUZZ_CALL(venom_daemon_publish(d, buf, len));

	FUZZ_CHECK(rc == 0 || (rc == -EAGAIN && d->heeded));
	after = venom_daemon_version(d);
	FUZZ_CHECK(rc ? after == before :
			after > before && after < before + (d->cfg.versions > 1 ? d->cfg.versions : 2));
	fuzz_met[HEEDED] += d->heeded && !rc;
	fuzz_met[REFUSED] += rc == -EAGAIN;
}

static int64_t patience(void)
{
	return fuzz_byte() % 4 * 100000;
}

static void step(void)
{
	struct venom_daemon_stats st;
	struct venom_lane *l;
	struct venom_peer p;
	char buf[1024] = {0};
	int rc;

	/* What the manager does in between. */
	venom_manager_evict(d);
	venom_manager_tidy(d);
	switch (fuzz_byte() % 18) {
	case 0:
	case 1:
		receive(patience());
		break;
	case 2:
		receive_many(fuzz_byte() % 40, patience());
		break;
	case 3:
		if (nkept)
			respond(&kept[fuzz_byte() % (nkept < KEPT ? nkept : KEPT)], buf, fuzz_half() % sizeof(buf));
		break;
	case 4:
		/* a command that was never received */
		respond(&(struct venom_command){.client_id = (uint32_t)fuzz_word(),
						.generation = (uint32_t)fuzz_word(),
						.flags = fuzz_byte() & 1,
						.slot = (uint32_t)fuzz_word(),
						.tag = fuzz_word()},
			buf, 8);
		break;
	case 5:
	case 6:
		scribble(hostile_lane());
		break;
	case 7:
	case 8:
		l = hostile_lane();
		fuzz_lucky(l->pos + 1);
		command(l);
		break;
	case 9:
		leave(hostile_lane());
		break;
	case 10:
		if (sent - taken < SENT / 2 && !tag_of[sent % SENT])
			honest_send(fuzz_byte() & 1);
		break;
	case 11:
		honest_complete(false);
		break;
	case 12:
		publish(buf, fuzz_byte() % 64);
		break;
	case 16:
		ask(hostile_lane());
		break;
	case 17: /* as many as it takes to wrap around */
		for (uint32_t n = fuzz_byte() % 16; n; n--)
			publish(buf, n);
		break;
	case 13:
		l = hostile_lane();
		FUZZ_CALL((venom_peer_counts(&p, l->cmd, l->rsp), 0));
		FUZZ_CHECK(!FUZZ_CALL(venom_daemon_stats(d, &st)));
		break;
	case 14:
		rc = FUZZ_CALL(venom_daemon_arm(d));
		FUZZ_CHECK(rc == 0 || rc == 1);
		break;
	default:
		FUZZ_CHECK(!venom_daemon_set_spin(d, fuzz_byte() % 2 ? VENOM_SPIN_ADAPTIVE : fuzz_byte() * 1000));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t sizes[] = {8, 24, 32, 33, 100, 300};
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_daemon_stats st;
	uint32_t left = 0;

	fuzz_wanted = wanted;
	fuzz_start(data, size);
	cfg.cmd_slots = 1 + fuzz_byte() % 9;
	cfg.cmd_size = sizes[fuzz_byte() % ARRAY_SIZE(sizes)];
	cfg.resp_size = cfg.cmd_size;
	cfg.max_clients = 2 + fuzz_byte() % (CLIENTS - 1);
	cfg.data_size = 64;
	cfg.flags = fuzz_byte() & (VENOM_ORDER_ARRIVAL | VENOM_STAMP | VENOM_LOSSLESS);
	cfg.versions = 1 + fuzz_byte() % 8;
	cfg.max_holders = cfg.versions > 1 && fuzz_byte() % 2 ? cfg.versions - 1 : VENOM_HOLDERS_AUTO;
	cfg.full_ns = fuzz_byte() % 2 * 300000;
	cfg.limit_ns = 1 + fuzz_byte() % 4 * 100000;
	cfg.spin_ns = VENOM_SPIN_NONE;
	FUZZ_CHECK(!venom_daemon_create(&d, "fuzz", &cfg));
	FUZZ_CHECK(!venom_shell_connect(&honest, "fuzz"));
	sent = taken = nkept = 0;
	memset(tag_of, 0, sizeof(tag_of));
	for (int i = 0; i < 500 && fuzz_more(); i++)
		step();

	/*
	 * Now no peer writes: the number of commands is finite, and the daemon must have received all of the honest
	 * shell's.
	 */
	fuzz_start((const uint8_t *)"", 0);
	honest_complete(false);
	honest_send(true);
	while (receive(0) || (fuzz_sleep(1000000), receive(0))) /* cold lanes are only checked now and then */
		FUZZ_CHECK(left++ < CLIENTS * 16 + SENT);
	FUZZ_CHECK(taken == sent);
	honest_complete(true);
	FUZZ_CHECK(!honest->nopen && !d->lanes[HONEST]->broken);
	FUZZ_CHECK(!venom_daemon_stats(d, &st) && st.commands >= taken);
	venom_shell_close(honest);
	venom_daemon_destroy(d);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * The daemon and the shells of `venom demo`, each a process.
 *
 * The daemon publishes this machine's figures as text, written in place into the version's buffer.  The text ends in a
 * checksum over all before it.  A second thread answers.  A shell waits for a new version, reads it many times while
 * the next one is being written, and sends an order.  The answer can be right only if it is the answer to this very
 * order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"
#include "figures.h"

#define SUM_LINE "sum %016llx\n"
#define SUM_LEN	 21
#define READS	 64 /* of each version: a shell that only waits would never read during a write */

struct order { /* also the answer, as changed by obey() */
	uint64_t number, word;
	uint32_t shell, client;
	uint64_t fill[5];
};
_Static_assert(sizeof(struct order) == DEMO_ORDER, "the demo's orders are 64 bytes");

static uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 32) * 0x9e3779b97f4a7c15;
	return v ^ v >> 29;
}

static uint64_t checksum(const char *text, size_t len)
{
	uint64_t sum = len, word;

	for (; len >= 8; text += 8, len -= 8) {
		memcpy(&word, text, 8);
		sum = mix(sum + word);
	}
	word = 0;
	memcpy(&word, text, len);
	return mix(sum + word);
}

bool demo_state_good(const char *text, size_t len, uint64_t version)
{
	char sum[SUM_LEN + 1], *end;

	if (len <= SUM_LEN || strncmp(text, "seq ", 4) || strtoull(text + 4, &end, 10) != version || *end != '\n')
		return false;
	snprintf(sum, sizeof(sum), SUM_LINE, (unsigned long long)checksum(text, len - SUM_LEN));
	return !memcmp(text + len - SUM_LEN, sum, SUM_LEN);
}

static void bump(_Atomic uint64_t *count) /* called by its only writer */
{
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Change an order into its answer. */
static void obey(struct order *o, uint32_t client)
{
	o->client = client;
	o->word = mix(o->word + client);
	for (size_t i = 0; i < ARRAY_SIZE(o->fill); i++)
		o->fill[i] = ~o->fill[i];
}

static int answer(struct venom_daemon *d, const struct venom_command *cmd, void *user)
{
	struct order o;

	(void)user;
	if (cmd->len != sizeof(o))
		return venom_daemon_respond(d, cmd, "?", 1); /* the shell counts this as a wrong answer */
	memcpy(&o, cmd->data, sizeof(o));
	obey(&o, cmd->client_id);
	/* If this fails, the shell counts a lost answer. */
	venom_daemon_respond(d, cmd, &o, sizeof(o));
	return 0;
}

int demo_daemon(void *arg)
{
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct board *b = arg;
	struct service *service;
	struct figures *figures;
	struct venom_daemon *d;
	struct pace pace;
	int rc, end;

	cfg.data_size = DEMO_STATE;
	cfg.cmd_size = cfg.resp_size = DEMO_ORDER;
	cfg.max_clients = DEMO_SHELLS_MAX + 8; /* 8 more, for observers */
	cfg.flags |= VENOM_STAMP;
	rc = figures_open(&figures);
	if (rc)
		return complain(b->name, "the machine's figures can't be read from /proc: %s", strerror(-rc));
	rc = venom_daemon_create(&d, b->name, &cfg);
	if (rc)
		return fail(b->name, rc);
	if (service_start(&service, d, answer, NULL)) {
		venom_daemon_destroy(d);
		return 1;
	}
	b->ready = 1;
	pace = pace_start(b->rate);
	do {
		char *buf = venom_daemon_write_begin(d, NULL);
		size_t len = figures_text(figures, venom_daemon_version(d) + 1, buf, DEMO_STATE - SUM_LEN - 1);

		snprintf(buf + len, SUM_LEN + 1, SUM_LINE, (unsigned long long)checksum(buf, len));
		rc = venom_daemon_write_commit(d, len + SUM_LEN);
	} while (!rc && pace_wait(&pace) && !b->stop_daemon);
	end = service_end(service);
	venom_daemon_stats(d, &b->daemon);
	venom_daemon_destroy(d);
	figures_close(figures);
	return rc ? complain(b->name, "no version can be published: %s", strerror(-rc)) : end;
}

/* Read the latest version; check that it is whole and not older than *seen. */
static int look(struct venom_shell *s, struct party *me, uint64_t *seen)
{
	char text[DEMO_STATE + 1];
	uint64_t version;
	ssize_t len = venom_shell_read(s, text, DEMO_STATE, &version);

	if (len == -EAGAIN) /* each try met a write; the shell's own counters tell how often */
		return 0;
	if (len < 0)
		return len;
	text[len] = 0;
	bump(&me->reads);
	if (!demo_state_good(text, len, version))
		bump(&me->torn);
	if (version < *seen)
		bump(&me->back);
	if (version > *seen) {
		bump(&me->versions);
		*seen = version;
	}
	return 0;
}

static int order(struct venom_shell *s, struct party *me, unsigned int nr)
{
	struct order o = {.number = me->requests + 1, .shell = nr, .client = ~0u}, got;
	uint64_t start;
	ssize_t n;

	o.word = mix(o.number << 8 | nr);
	for (size_t i = 0; i < ARRAY_SIZE(o.fill); i++)
		o.fill[i] = mix(o.word + i);
	start = now_ns();
	n = venom_shell_request(s, &o, sizeof(o), &got, sizeof(got), 5 * NSEC_PER_SEC);
	bump(&me->requests);
	if (n < 0) {
		bump(&me->lost);
		return n;
	}
	hist_add(&me->latency, now_ns() - start);
	obey(&o, venom_shell_id(s));
	if (n != sizeof(got) || memcmp(&o, &got, sizeof(o)))
		bump(&me->wrong);
	return 0;
}

int demo_shell(void *arg)
{
	const struct part *part = arg;
	struct board *b = part->board;
	struct party *me = &b->party[part->nr];
	struct venom_shell *s;
	uint64_t seen = 0;
	char name[24];
	int rc = venom_shell_connect(&s, b->name);

	snprintf(name, sizeof(name), "shell %u", part->nr + 1);
	if (rc)
		return fail(name, rc);
	me->ready = 1;
	while (!b->stop_shells) {
		rc = venom_shell_wait(s, seen, NSEC_PER_SEC / 10);
		for (int i = 0; rc == 1 && i < READS; i++)
			rc = look(s, me, &seen) ?: 1;
		if (rc >= 0)
			rc = order(s, me, part->nr);
		if (rc < 0)
			return fail_attached(name, rc);
	}
	venom_shell_close(s);
	return 0;
}

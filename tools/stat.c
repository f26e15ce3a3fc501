/* SPDX-License-Identifier: MIT */
/*
 * venom stat: what a channel is and what it has done, in total and for each shell; with --interval repeatedly, with
 * rates.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <venom_schema.h>
#include "tool.h"

struct look { /* one look at the channel */
	uint64_t time_ns;
	struct venom_info info;
	struct venom_daemon_stats daemon;
	struct fields *fields; /* of its schema; NULL: none that can be printed */
	void *state; /* the latest version at that time */
	ssize_t len; /* its length, or -errno */
	unsigned int peers;
	struct venom_peer peer[VENOM_CLIENTS_MAX];
};

static int keep(const struct venom_peer *peer, void *user)
{
	struct look *l = user;

	if (l->peers < VENOM_CLIENTS_MAX)
		l->peer[l->peers++] = *peer;
	return 0;
}

/* Read the latest version, to print it by its fields' names: only for this do we attach. */
static void look_state(struct look *l, const char *name)
{
	struct venom_schema schema;
	char why[FIELDS_WHY];
	struct venom_shell *s;

	fields_free(l->fields);
	free(l->state);
	l->fields = NULL;
	l->state = NULL;
	if (!l->info.schema_hash || venom_shell_connect(&s, name))
		return;
	if (!venom_shell_schema(s, &schema))
		l->fields = fields_parse(&schema, why);
	if (l->fields)
		l->state = malloc(l->info.data_size);
	if (l->state)
		l->len = venom_shell_read(s, l->state, l->info.data_size, NULL);
	venom_shell_close(s);
}

static bool has_state(const struct look *l)
{
	return l->state && l->len >= 0 && (size_t)l->len >= fields_size(l->fields);
}

/* The same shell in an earlier look; NULL if it has connected since then. */
static const struct venom_peer *same(const struct look *was, const struct venom_peer *peer)
{
	for (unsigned int i = 0; was && i < was->peers; i++)
		if (was->peer[i].client_id == peer->client_id && was->peer[i].generation == peer->generation)
			return &was->peer[i];
	return NULL;
}

static double rate(const struct counter *c, const void *now, const void *was, double seconds)
{
	return was && seconds > 0 ? (counter(c, now) - counter(c, was)) / seconds : 0;
}

static void text(const struct look *l, const struct look *was)
{
	const struct venom_info *i = &l->info;
	double seconds = was ? (l->time_ns - was->time_ns) / 1e9 : 0;
	char name[ESCAPED(sizeof(i->name))], backend[ESCAPED(sizeof(i->backend))];

	escape(name, i->name, sizeof(i->name));
	escape(backend, i->backend, sizeof(i->backend));
	printf("%s: %s, %s, daemon pid %u, epoch %llu; state %llu bytes, %u versions, pages of %llu; %u of %u shells\n",
	       name, i->alive ? "alive" : "dead", backend, i->pid, (unsigned long long)i->epoch,
	       (unsigned long long)i->data_size, i->versions, (unsigned long long)i->page_size, l->daemon.clients,
	       i->max_clients);
	if (i->schema_hash) {
		char type[ESCAPED(sizeof(i->schema_name))], encoding[ESCAPED(sizeof(i->schema_encoding))];

		escape(type, i->schema_name, sizeof(i->schema_name));
		escape(encoding, i->schema_encoding, sizeof(i->schema_encoding));
		printf("schema %s, %s, hash %016llx\n", type, encoding, (unsigned long long)i->schema_hash);
	}
	if (has_state(l)) {
		printf("state ");
		fields_text(l->fields, l->state, (size_t)l->len);
		putchar('\n');
	}
	for (const struct counter *c = daemon_counters; c->name; c++) {
		printf("%-10s %14llu", c->name, (unsigned long long)counter(c, &l->daemon));
		if (was)
			printf("  %12.1f/s", rate(c, &l->daemon, &was->daemon, seconds));
		putchar('\n');
	}
	if (!l->peers)
		return;
	printf("\n%5s %8s %6s", "SHELL", "PID", "UID");
	for (const struct counter *c = shell_counters; c->name; c++)
		printf(" %10s", c->name);
	putchar('\n');
	for (unsigned int n = 0; n < l->peers; n++) {
		const struct venom_peer *p = &l->peer[n], *old = same(was, p);

		printf("%5u %8u %6u", p->client_id, p->pid, p->uid);
		for (const struct counter *c = shell_counters; c->name; c++)
			printf(" %10llu", (unsigned long long)counter(c, p));
		if (old) {
			printf("\n%5s %8s %6s", "", "", "/s");
			for (const struct counter *c = shell_counters; c->name; c++)
				printf(" %10.1f", rate(c, p, old, seconds));
		}
		putchar('\n');
	}
}

static void object(const struct counter *counters, const void *now, const void *was, double seconds)
{
	for (const struct counter *c = counters; c->name; c++)
		printf("\"%s\": %llu, ", c->name, (unsigned long long)counter(c, now));
	if (!was)
		return;
	printf("\"rates\": {");
	for (const struct counter *c = counters; c->name; c++)
		printf("%s\"%s\": %.1f", c == counters ? "" : ", ", c->name, rate(c, now, was, seconds));
	printf("}, ");
}

static void json(const struct look *l, const struct look *was)
{
	const struct venom_info *i = &l->info;
	double seconds = was ? (l->time_ns - was->time_ns) / 1e9 : 0;

	printf("{\"name\": ");
	json_field(i->name, sizeof(i->name));
	printf(", \"alive\": %s, \"backend\": ", i->alive ? "true" : "false");
	json_field(i->backend, sizeof(i->backend));
	printf(", \"pid\": %u, \"uid\": %u, \"epoch\": %llu, \"data_size\": %llu, "
	       "\"versions_kept\": %u, \"page_size\": %llu, \"clients\": %u, \"max_clients\": %u, ",
	       i->pid, i->uid, (unsigned long long)i->epoch, (unsigned long long)i->data_size, i->versions,
	       (unsigned long long)i->page_size, l->daemon.clients, i->max_clients);
	if (i->schema_hash) {
		printf("\"schema\": {\"name\": ");
		json_field(i->schema_name, sizeof(i->schema_name));
		printf(", \"encoding\": ");
		json_field(i->schema_encoding, sizeof(i->schema_encoding));
		printf(", \"hash\": \"%016llx\"}, ", (unsigned long long)i->schema_hash);
	}
	if (has_state(l)) {
		printf("\"state\": ");
		fields_json(l->fields, l->state, (size_t)l->len);
		printf(", ");
	}
	if (was)
		printf("\"seconds\": %.3f, ", seconds);
	object(daemon_counters, &l->daemon, was ? &was->daemon : NULL, seconds);
	printf("\"shells\": [");
	for (unsigned int n = 0; n < l->peers; n++) {
		const struct venom_peer *p = &l->peer[n];

		printf("%s{", n ? ", " : "");
		object(shell_counters, p, same(was, p), seconds);
		printf("\"id\": %u, \"pid\": %u, \"uid\": %u}", p->client_id, p->pid, p->uid);
	}
	printf("]}\n");
}

static int run(int argc, char **argv)
{
	static const struct option opts[] = {{"help", no_argument, NULL, 'h'},
					     {"json", no_argument, NULL, 'j'},
					     {"interval", required_argument, NULL, 'i'},
					     {"count", required_argument, NULL, 'c'},
					     AWAIT_OPTION,
					     {0}};
	static struct look looks[2];
	uint64_t count = 0, deadline = 0;
	int64_t interval = 0;
	bool as_json = false;
	const char *name;
	int c;

	while ((c = option(argc, argv, opts)) != -1) {
		if (c == 'i')
			interval = opt_real(0.001, 1e9) * NSEC_PER_SEC;
		else if (c == 'a')
			deadline = now_ns() + opt_seconds();
		else if (c == 'c')
			count = opt_number(1, UINT64_MAX);
		else
			as_json = true;
	}
	name = take_name(argc, argv, false);
	if (count && !interval)
		usage("--count needs --interval");
	if (!interval)
		count = 1;

	for (uint64_t n = 0;;) {
		struct look *l = &looks[n % 2], *was = n ? &looks[(n + 1) % 2] : NULL;
		int rc;

		do {
			l->peers = 0;
			l->time_ns = now_ns();
			rc = venom_stat(name, &l->info, &l->daemon, keep, l);
		} while (!n && await_daemon(rc, deadline));
		if (rc < 0)
			return fail(name, rc);
		look_state(l, name);
		(as_json ? json : text)(l, was);
		if (++n == count || !flush_out())
			return 0; /* finish() prints why a write failed */
		nap(interval);
		if (!as_json)
			putchar('\n');
	}
}

const struct verb verb_stat = {
	.name = "stat",
	.summary = "show a channel's counters, in all and for each shell",
	.help = "stat [OPTIONS] NAME\n\n"
		"Show what a channel is and its counters, the daemon's and each shell's.  Where it has a\n"
		"schema, the latest version's fields by name too: for these it attaches for a moment.\n\n"
		"  --interval S      again every S seconds, with what each counter grew by in a second\n"
		"  --count N         end after N times\n" AWAIT_HELP "  --json            an object a line",
	.run = run,
};

/* SPDX-License-Identifier: MIT */
/*
 * venom serve: a daemon for demonstrations and experiments.  One thread publishes this machine's live figures, the
 * other one answers commands.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "figures.h"
#include "tool.h"

#define WORDS 1024 /* longest command, and longest answer */

static int reply(struct venom_daemon *d, const struct venom_command *cmd, const void *text, size_t len)
{
	int rc = venom_daemon_respond(d, cmd, text, len);

	/* It is no error of the daemon if the shell has gone or no longer waits; `stale` counts it. */
	return rc == -EPIPE || rc == -ESTALE ? 0 : rc;
}

static size_t counters_text(struct venom_daemon *d, char *buf, size_t size)
{
	struct venom_daemon_stats stats;
	size_t len = 0;

	if (venom_daemon_stats(d, &stats))
		return 0;
	for (const struct counter *c = daemon_counters; c->name && len < size; c++)
		len += snprintf(buf + len, size - len, "%s %llu\n", c->name, (unsigned long long)counter(c, &stats));
	if (len < size)
		len += snprintf(buf + len, size - len, "clients %u\n", stats.clients);
	return len < size ? len : size;
}

static int answer(struct venom_daemon *d, const struct venom_command *cmd, void *user)
{
	const char *words = cmd->data;
	const char *space = memchr(words, ' ', cmd->len);
	size_t verb_len = space ? (size_t)(space - words) : cmd->len;
	char text[WORDS];
	size_t len = 0;

	(void)user;
	if (!(cmd->flags & VENOM_CMD_REQUEST)) /* received and counted; no shell waits for an answer */
		return 0;
#define IS(word) (verb_len == strlen(word) && !memcmp(words, word, verb_len))
	if (IS("ping")) {
		len = snprintf(text, sizeof(text), "pong");
	} else if (IS("echo")) {
		return reply(d, cmd, space ? space + 1 : "", space ? cmd->len - verb_len - 1 : 0);
	} else if (IS("time")) {
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		len = snprintf(text, sizeof(text), "%llu", (unsigned long long)(ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec));
	} else if (IS("stats")) {
		len = counters_text(d, text, sizeof(text));
	} else {
		len = snprintf(text, sizeof(text), "error: unknown command '%.*s'; there are: ping, echo, time, stats",
			       verb_len < 64 ? (int)verb_len : 64, words);
	}
	return reply(d, cmd, text, len);
}

static int run(int argc, char **argv)
{
	static const struct option opts[] = {
		{"help", no_argument, NULL, 'h'}, {"rate", required_argument, NULL, 'r'}, CONFIG_OPTIONS, {0}};
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct venom_daemon *d;
	struct service *service;
	struct figures *figures;
	struct pace pace;
	double rate = 1000;
	const char *name;
	int c, rc, status = 1;

	while ((c = option(argc, argv, opts)) != -1)
		if (!config_option(c, &cfg))
			rate = opt_real(0.001, 1e6);
	name = take_name(argc, argv, false);

	cfg.data_size = FIGURES_MAX;
	cfg.cmd_size = cfg.resp_size = WORDS;
	cfg.flags |= VENOM_STAMP;
	hold_signals();
	rc = figures_open(&figures);
	if (rc)
		return complain(name, "the machine's figures can't be read from /proc: %s", strerror(-rc));
	if (daemon_create(&d, name, &cfg)) {
		figures_close(figures);
		return 1;
	}
	if (!service_start(&service, d, answer, NULL)) {
		pace = pace_start(rate);
		do {
			size_t size;
			char *buf = venom_daemon_write_begin(d, &size);

			rc = venom_daemon_write_commit(d,
						       figures_text(figures, venom_daemon_version(d) + 1, buf, size));
		} while (!rc && pace_wait(&pace));
		status = service_end(service);
		if (rc)
			status = complain(name, "no version can be published: %s", strerror(-rc));
	}
	venom_daemon_destroy(d);
	figures_close(figures);
	return status;
}

const struct verb verb_serve = {
	.name = "serve",
	.summary = "a daemon that publishes this machine's live figures and answers commands",
	.help = "serve [OPTIONS] NAME\n\n"
		"Publish this machine's live figures as lines of 'name value', the first of them 'seq NUMBER',\n"
		"and answer the commands\n"
		"  ping              pong\n"
		"  echo WORDS        WORDS\n"
		"  time              the time of day in nanoseconds\n"
		"  stats             this daemon's counters\n"
		"until SIGINT or SIGTERM.\n\n"
		"  --rate HZ         versions a second; default 1000\n" CONFIG_HELP,
	.run = run,
};

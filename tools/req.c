/* SPDX-License-Identifier: MIT */
/*
 * venom req: send a command, print its answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hist.h"
#include "tool.h"

struct req {
	const char *name;
	struct venom_shell *s;
	bool one_way, json;
	int64_t timeout;
	uint64_t count;
	const char *cmd;
	size_t len, room; /* of the command; of the answer */
	char *answer;
	struct hist hist;
};

static int req_request(struct req *r)
{
	uint64_t start = now_ns();
	ssize_t n = venom_shell_request(r->s, r->cmd, r->len, r->answer, r->room, r->timeout);
	uint64_t took = now_ns() - start;

	if (n < 0)
		return fail_attached(r->name, n);
	hist_add(&r->hist, took);
	if (r->json) {
		printf("{\"latency_ns\": %llu, \"length\": %zd, ", (unsigned long long)took, n);
		json_data(r->answer, n);
		printf("}\n");
	} else {
		fwrite(r->answer, 1, n, stdout);
		if (!n || r->answer[n - 1] != '\n')
			putchar('\n');
	}
	return !out_good(); /* finish() prints the reason */
}

static int req_send(struct req *r)
{
	int rc;

	while ((rc = venom_shell_send(r->s, r->cmd, r->len)) == -EAGAIN) {
		rc = venom_shell_room(r->s, r->timeout);
		if (rc <= 0)
			return rc ? fail_attached(r->name, rc)
				  : complain(r->name, "the lane is full, and the daemon took nothing in time");
	}
	return rc ? fail_attached(r->name, rc) : 0;
}

static void summary(const struct req *r)
{
	static const double q[] = {0.5, 0.9, 0.99, 0.999, 1};
	char t[ARRAY_SIZE(q)][16];

	for (size_t i = 0; i < ARRAY_SIZE(q); i++)
		human_ns(t[i], hist_quantile(&r->hist, q[i]));
	flush_out();
	fprintf(stderr, "%llu answers; p50 %s, p90 %s, p99 %s, p99.9 %s, max %s\n", (unsigned long long)r->hist.count,
		t[0], t[1], t[2], t[3], t[4]);
}

/*
 * Join all words with spaces; for "-", read all of standard input.  At most max + 1 bytes: the last one tells that the
 * command is too long.
 */
static char *command(int argc, char **argv, size_t max, size_t *len)
{
	char *cmd = malloc(max + 1);

	*len = 0;
	if (!cmd)
		return NULL;
	if (argc == 1 && !strcmp(argv[0], "-")) {
		*len = fread(cmd, 1, max + 1, stdin);
		return cmd;
	}
	for (int i = 0; i < argc; i++) {
		size_t n = strlen(argv[i]), space = i > 0;

		if (n + space > max - *len) {
			*len = max + 1;
			break;
		}
		if (space)
			cmd[(*len)++] = ' ';
		memcpy(cmd + *len, argv[i], n);
		*len += n;
	}
	return cmd;
}

static int talk(struct req *r, int argc, char **argv)
{
	struct venom_info info;
	int rc = venom_shell_info(r->s, &info);
	char *cmd;

	if (rc)
		return fail(r->name, rc);
	r->room = info.resp_size;
	r->answer = malloc(r->room);
	r->cmd = cmd = command(argc, argv, info.cmd_size, &r->len);
	if (!r->answer || !cmd)
		rc = complain(r->name, "no memory for a command of %u bytes and an answer of %zu", info.cmd_size,
			      r->room);
	else if (ferror(stdin))
		rc = complain(r->name, "standard input: %s", strerror(errno));
	else if (r->len > info.cmd_size)
		rc = complain(r->name, "the command is too long; this channel takes %u bytes", info.cmd_size);
	for (uint64_t i = 0; !rc && i < r->count; i++)
		rc = r->one_way ? req_send(r) : req_request(r);
	if (r->count > 1 && r->hist.count)
		summary(r);
	free(cmd);
	free(r->answer);
	return rc;
}

static int run(int argc, char **argv)
{
	static const struct option opts[] = {{"help", no_argument, NULL, 'h'},
					     {"timeout", required_argument, NULL, 't'},
					     {"count", required_argument, NULL, 'c'},
					     {"one-way", no_argument, NULL, 'o'},
					     {"json", no_argument, NULL, 'j'},
					     {"spin", required_argument, NULL, 's'},
					     AWAIT_OPTION,
					     {0}};
	static struct req r = {.timeout = 5 * NSEC_PER_SEC, .count = 1};
	int64_t spin = VENOM_SPIN_ADAPTIVE;
	uint64_t deadline = 0;
	int c, rc;

	while ((c = option(argc, argv, opts)) != -1) {
		if (c == 't')
			r.timeout = opt_seconds();
		else if (c == 'c')
			r.count = opt_number(1, UINT64_MAX);
		else if (c == 'a')
			deadline = now_ns() + opt_seconds();
		else if (c == 's')
			spin = opt_spin();
		else if (c == 'o')
			r.one_way = true;
		else
			r.json = true;
	}
	r.name = take_name(argc, argv, true);
	if (optind == argc)
		usage("the WORDS of the command are missing");

	do
		rc = venom_shell_connect(&r.s, r.name);
	while (await_daemon(rc, deadline));
	if (rc)
		return fail(r.name, rc);
	rc = venom_shell_set_spin(r.s, spin);
	rc = rc ? fail(r.name, rc) : talk(&r, argc - optind, argv + optind);
	venom_shell_close(r.s);
	return rc;
}

const struct verb verb_req = {
	.name = "req",
	.summary = "send a command and print its answer",
	.help = "req [OPTIONS] NAME WORDS...\n\n"
		"Send the words, a space between them, as one command, and print the daemon's answer; a newline\n"
		"is added where there is none.  '-' as the only word sends standard input, up to its end.  Words\n"
		"that begin with '-' go after '--'.\n\n"
		"  --timeout S       fail without an answer in S seconds; default 5\n" AWAIT_HELP
		"  --count N         do it N times, and tell the latencies on stderr\n"
		"  --one-way         await no answer\n"
		"  --json            an object for each answer: latency_ns, length, data or base64\n"
		"  --spin HOW        adaptive (default), forever, none, or nanoseconds to spin before a sleep\n\n"
		"Exit status: 0 if there was an answer, whatever it says; 1 if there was none.",
	.run = run,
};

/* SPDX-License-Identifier: MIT */
/*
 * venom pub: publish standard input, each line or each frame of fixed size a version.
 *
 * No input is cut or dropped silently: a line that does not fit and a frame that is not whole are errors that name the
 * place.  Commands are answered, so that no shell waits in vain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <venom_schema.h>
#include "tool.h"

#define LIMIT_NS 10000000000

struct pub {
	const char *name;
	struct venom_daemon *d;
	size_t size; /* of a frame, or of the longest line */
	double rate;
	struct pace pace;
	uint64_t count; /* of lines or frames published */
};

/* Like read(0), but a signal ends the wait, and the result is then 0. */
static ssize_t input(void *buf, size_t size)
{
	for (;;) {
		ssize_t n;

		if (!await_input(STDIN_FILENO))
			return 0;
		n = read(STDIN_FILENO, buf, size);
		if (n >= 0 || (errno != EINTR && errno != EAGAIN))
			return n;
	}
}

static int input_failed(struct pub *p)
{
	return complain(p->name, "standard input: %s", strerror(errno));
}

static int pub_failed(struct pub *p, int err)
{
	return complain(p->name, "version %llu can't be published: %s", (unsigned long long)p->count + 1,
			strerror(-err));
}

/* Wait for the next beat, except before the first version; false when it is time to stop. */
static bool beat(struct pub *p)
{
	if (p->rate <= 0)
		return true; /* signals are let in while we wait for input */
	if (p->count)
		return pace_wait(&p->pace);
	p->pace = pace_start(p->rate);
	return true;
}

/* Publish one line.  Return 0, 1 after an error message, or -1 when it is time to stop. */
static int pub_line(struct pub *p, const char *line, size_t len)
{
	int rc;

	if (!beat(p))
		return -1;
	rc = venom_daemon_publish(p->d, line, len);
	if (rc)
		return pub_failed(p, rc);
	p->count++;
	return 0;
}

static int pub_lines(struct pub *p)
{
	/* A line and its newline always fit; more room lets the input come in larger pieces. */
	size_t room = p->size + 1 < 65536 ? 65536 : p->size + 1;
	char *buf = malloc(room);
	size_t have = 0;
	int rc = 0;

	if (!buf)
		return complain(p->name, "no memory for a line of %zu bytes", p->size);
	while (!rc) {
		ssize_t n = input(buf + have, room - have);
		char *line = buf, *scan = buf + have, *nl;

		if (n < 0)
			rc = input_failed(p);
		if (n <= 0)
			break;
		have += n;
		while (!rc && (nl = memchr(scan, '\n', buf + have - scan)) && (size_t)(nl - line) <= p->size) {
			rc = pub_line(p, line, nl - line);
			line = scan = nl + 1;
		}
		have -= line - buf;
		memmove(buf, line, have);
		if (!rc && (nl || have > p->size)) {
			rc = complain(p->name,
				      "line %llu has %s%zu bytes, a version at most %zu; --data-size makes room",
				      (unsigned long long)p->count + 1, nl ? "" : "more than ",
				      nl ? (size_t)(nl - line) : p->size, p->size);
		}
	}
	if (!rc && have && !stopped) /* the last line may lack its newline */
		rc = pub_line(p, buf, have);
	free(buf);
	return rc > 0;
}

static int pub_frames(struct pub *p)
{
	for (;;) {
		ssize_t have, n;
		char first, *buf;
		int rc;

		/*
		 * Read one byte before write_begin(): that takes the oldest version from the readers, so do it only for
		 * real input.
		 */
		have = beat(p) ? input(&first, 1) : 0;
		if (have < 0)
			return input_failed(p);
		if (!have)
			return 0;
		buf = venom_daemon_write_begin(p->d, NULL);
		if (!buf)
			return pub_failed(p, -errno);
		*buf = first;
		for (n = have; n > 0 && (size_t)have < p->size; have += n)
			n = input(buf + have, p->size - have);
		if (n < 0)
			return input_failed(p);
		if (!n)
			return complain(
				p->name,
				"the input ends inside frame %llu, after %zd of its %zu bytes; it is not published",
				(unsigned long long)p->count + 1, have, p->size);
		rc = venom_daemon_write_commit(p->d, p->size);
		if (rc)
			return pub_failed(p, rc);
		p->count++;
	}
}

static int refuse(struct venom_daemon *d, const struct venom_command *cmd, void *user)
{
	static const char text[] = "error: this daemon only publishes";

	(void)user;
	/* Ignore the error: the shell may have gone or stopped waiting.  An answer that fits has no other error. */
	if (cmd->flags & VENOM_CMD_REQUEST)
		venom_daemon_respond(d, cmd, text, sizeof(text) - 1);
	return 0;
}

static void await_shells(struct venom_daemon *d, uint64_t wanted)
{
	struct venom_daemon_stats st = {0};

	while (!venom_daemon_stats(d, &st) && st.clients < wanted && nap(NSEC_PER_SEC / 500))
		;
}

/* Load a ros2msg definition; the name of its type is that of the file, unless it is given. */
static int load_schema(struct venom_schema *schema, const char *file, const char *type)
{
	static char name[VENOM_SCHEMA_NAME_MAX + 1];
	const char *base = strrchr(file, '/');
	FILE *f = fopen(file, "re");
	char *text = malloc(VENOM_SCHEMA_TEXT_MAX + 1);
	size_t len = f && text ? fread(text, 1, VENOM_SCHEMA_TEXT_MAX + 1, f) : 0;
	bool bad = !f || !text || ferror(f);

	if (f)
		fclose(f);
	if (bad || len > VENOM_SCHEMA_TEXT_MAX) {
		free(text);
		return bad ? complain(file, "the schema can't be read: %s", strerror(errno))
			   : complain(file, "the schema is larger than %u bytes", VENOM_SCHEMA_TEXT_MAX);
	}
	base = base ? base + 1 : file;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(base, "."), base);
	*schema = (struct venom_schema){.name = type ? type : name, .encoding = "ros2msg", .text = text, .text_len = len};
	schema->hash = venom_schema_hash(schema);
	return 0;
}

static int run(int argc, char **argv)
{
	static const struct option opts[] = {{"help", no_argument, NULL, 'h'},
					     {"rate", required_argument, NULL, 'r'},
					     {"frame-size", required_argument, NULL, 'f'},
					     {"data-size", required_argument, NULL, 'd'},
					     {"wait", required_argument, NULL, 'w'},
					     {"linger", required_argument, NULL, 'l'},
					     {"limit", required_argument, NULL, 'L'},
					     {"schema", required_argument, NULL, 's'},
					     {"type", required_argument, NULL, 't'},
					     CONFIG_OPTIONS,
					     {0}};
	struct venom_config cfg = VENOM_CONFIG_INIT;
	struct pub p = {0};
	const char *schema_file = NULL, *type = NULL;
	struct venom_schema schema = {0};
	struct service *service;
	uint64_t frame = 0, line = 0, wait = 0;
	int64_t linger = 0;
	int c, status = 1;

	cfg.limit_ns = LIMIT_NS;
	cfg.versions = 0;

	while ((c = option(argc, argv, opts)) != -1) {
		if (c == 'r')
			p.rate = opt_real(0.001, 1e9);
		else if (c == 'f')
			frame = opt_number(1, INT64_MAX);
		else if (c == 'd')
			line = opt_number(1, INT64_MAX);
		else if (c == 'w')
			wait = opt_number(0, VENOM_CLIENTS_MAX);
		else if (c == 'L')
			cfg.limit_ns = opt_seconds();
		else if (c == 's')
			schema_file = optarg;
		else if (c == 't')
			type = optarg;
		else if (c == 'l')
			linger = strcmp(optarg, "forever") ? opt_seconds() : INT64_MAX;
		else
			config_option(c, &cfg);
	}
	p.name = take_name(argc, argv, false);
	if (wait > cfg.max_clients)
		usage("--wait: %llu shells will never be there, --clients allows %u", (unsigned long long)wait,
		      cfg.max_clients);
	if (frame && line)
		usage("--frame-size and --data-size exclude each other");
	if (frame || line)
		cfg.data_size = frame ? frame : line;
	p.size = cfg.data_size;
	if (!cfg.versions) /* many small versions, since that makes --every faster */
		cfg.versions = p.size <= 4096 ? 64 : 4;

	cfg.flags |= VENOM_STAMP | VENOM_LOSSLESS;
	if (schema_file && load_schema(&schema, schema_file, type))
		return 1;
	if (type && !schema_file)
		usage("--type is the name of a --schema");
	cfg.schema = schema_file ? &schema : NULL;
	hold_signals();
	if (daemon_create(&p.d, p.name, &cfg))
		return 1;
	if (!service_start(&service, p.d, refuse, NULL)) {
		await_shells(p.d, wait);
		status = stopped ? 0 : frame ? pub_frames(&p) : pub_lines(&p);
		if (linger)
			nap(linger);
		status |= service_end(service);
	}
	venom_daemon_destroy(p.d);
	free((void *)schema.text);
	return status;
}

const struct verb verb_pub = {
	.name = "pub",
	.summary = "publish standard input: each line, or each frame of fixed size, a version",
	.help = "pub [OPTIONS] NAME\n\n"
		"Publish standard input till its end: each line, without its newline, is a version.\n"
		"Requests are answered with an error.\n\n"
		"  --frame-size N    the input is frames of N bytes, not lines\n"
		"  --data-size N     longest line; default 4096\n"
		"  --rate HZ         versions a second; default as they come\n"
		"  --wait N          publish nothing before N shells are attached\n"
		"  --limit S         wait so long for a 'sub --every' that reads nothing; then it misses versions; default 10\n"
		"  --schema FILE     the ros2msg definition of the frames, for the shells\n"
		"  --type NAME       its name; default the file's\n"
		"  --linger SECONDS  go on answering after the input's end; 'forever': till a signal\n" CONFIG_HELP,
	.run = run,
};

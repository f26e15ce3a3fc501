/* SPDX-License-Identifier: MIT */
/*
 * venom sub: print a channel's state: whenever it changes, or every version in its order.
 *
 * For scripts, status 0 means that the caller got what it asked for.  With --every, a gap makes it 1, and the daemon's
 * end is a success.  Without --every, the state has no end to be followed to, so the daemon's end makes it 1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <venom_schema.h>
#include "tool.h"

#define AWAIT_NS 2000000000 /* --every: how long to wait for a daemon that is not there */

enum form { TEXT, RAW, JSON };

struct sub {
	const char *name;
	struct venom_shell *s;
	enum form form;
	bool every, news; /* news: nothing was published before we connected */
	int64_t timeout;
	uint64_t count; /* to print; 0 is no limit */
	uint64_t printed, missed;
	uint64_t version; /* the last one read */
	size_t size;
	char *buf;
	struct fields *fields; /* of the channel's schema; NULL: the payload is shown as bytes */
};

/* The library gives the stamp of the latest version only, not of an older one. */
static uint64_t stamp(struct sub *s)
{
	struct venom_view view;

	if (venom_shell_read_begin(s->s, &view) || venom_shell_read_retry(s->s, &view))
		return 0;
	return view.version == s->version ? view.time_ns : 0;
}

static void print(struct sub *s, size_t len)
{
	uint64_t time_ns;

	switch (s->form) {
	case JSON:
		printf("{\"version\": %llu, \"length\": %zu, ", (unsigned long long)s->version, len);
		time_ns = stamp(s);
		if (time_ns)
			printf("\"time_ns\": %llu, ", (unsigned long long)time_ns);
		if (s->fields && len >= fields_size(s->fields)) {
			printf("\"fields\": ");
			fields_json(s->fields, s->buf, len);
		} else {
			json_data(s->buf, len);
		}
		printf("}\n");
		break;
	case TEXT:
	case RAW:
		fwrite(s->buf, 1, len, stdout);
		if (s->form == TEXT && (!len || s->buf[len - 1] != '\n'))
			putchar('\n');
	}
	s->printed++;
}

static void missed(struct sub *s, uint64_t from, uint64_t to)
{
	s->missed += to - from + 1;
	complain(s->name, "missed %llu version%s (%llu to %llu)", (unsigned long long)(to - from + 1),
		 to == from ? "" : "s", (unsigned long long)from, (unsigned long long)to);
}

/* Read and print one version.  Return 1 if one was printed, 0 if there is nothing new, or an error. */
static int take(struct sub *s)
{
	uint64_t version = s->version;
	ssize_t n = s->every ? venom_shell_read_next(s->s, s->buf, s->size, &version)
			     : venom_shell_read(s->s, s->buf, s->size, &version);

	if (n == -EOVERFLOW) /* a gap, counted below by the next version's number; continue from there */
		n = venom_shell_read_next(s->s, s->buf, s->size, &version);
	if (n == -EAGAIN || n == -ENODATA || n == -EOVERFLOW || (n >= 0 && version == s->version))
		return 0;
	if (n < 0)
		return n;
	/* Versions from before we connected are not missed. */
	if (s->every && version != s->version + 1 && (s->version || s->news))
		missed(s, s->version + 1, version - 1);
	s->version = version;
	print(s, n);
	return 1;
}

static int follow(struct sub *s)
{
	for (bool waited = false;;) {
		int rc = take(s);

		if (rc == 1 && s->count && s->printed >= s->count)
			return s->missed > 0;
		if (rc == 1 && !out_good())
			return 1; /* finish() prints the reason */
		if (rc == 1 && s->every) /* there may be more: read on, without reading the clock */
			continue;
		if (rc >= 0) {
			/* Flush before we sleep, so that the reader of our output has all of it. */
			if (!flush_out())
				return 1;
			/*
			 * The wait reported a new version, but it could not be read: the publisher takes long to fill
			 * its only buffer.
			 */
			if (waited && !rc)
				nap(100000);
			rc = venom_shell_wait(s->s, s->version, s->timeout);
			waited = rc == 1;
			if (rc == 0)
				return complain(s->name, "nothing new for %g s", s->timeout / 1e9);
		}
		if (rc == -EPIPE && s->every) {
			complain(s->name, "the daemon has gone; its last version, %llu, was read",
				 (unsigned long long)s->version);
			return s->count || s->missed;
		}
		if (rc < 0)
			return fail_attached(s->name, rc);
	}
}

/* The table of the channel's schema; NULL if there is no schema that can be printed by name. */
static struct fields *find_fields(const char *name, struct venom_shell *s)
{
	struct venom_schema schema;
	char why[FIELDS_WHY];
	struct fields *t;
	int rc = venom_shell_schema(s, &schema);

	if (rc == -ENODATA)
		return NULL;
	if (rc) {
		complain(name, "note: the schema can't be read: %s", *venom_errmsg() ? venom_errmsg() : strerror(-rc));
		return NULL;
	}
	t = fields_parse(&schema, why);
	if (!t)
		complain(name, "note: payloads are shown as bytes: %s", why);
	return t;
}

static int run(int argc, char **argv)
{
	static const struct option opts[] = {{"help", no_argument, NULL, 'h'},
					     {"every", no_argument, NULL, 'e'},
					     {"once", no_argument, NULL, 'o'},
					     {"count", required_argument, NULL, 'c'},
					     {"timeout", required_argument, NULL, 't'},
					     {"raw", no_argument, NULL, 'r'},
					     {"json", no_argument, NULL, 'j'},
					     {"spin", required_argument, NULL, 's'},
					     AWAIT_OPTION,
					     {0}};
	struct sub s = {.timeout = -1};
	int64_t spin = VENOM_SPIN_ADAPTIVE;
	struct venom_connect how = VENOM_CONNECT_INIT;
	uint64_t deadline = 0;
	bool awaited = false;
	struct venom_info info;
	int c, rc;

	while ((c = option(argc, argv, opts)) != -1) {
		switch (c) {
		case 'e':
			s.every = true;
			break;
		case 'o':
			s.count = 1;
			break;
		case 'c':
			s.count = opt_number(1, UINT64_MAX);
			break;
		case 't':
			s.timeout = opt_seconds();
			break;
		case 'a':
			deadline = now_ns() + opt_seconds();
			awaited = true;
			break;
		case 's':
			spin = opt_spin();
			break;
		default:
			if (s.form != TEXT && s.form != (c == 'r' ? RAW : JSON))
				usage("--raw and --json exclude each other");
			s.form = c == 'r' ? RAW : JSON;
		}
	}
	s.name = take_name(argc, argv, false);

	/* --every must miss nothing, so we wait for a daemon that is just being started. */
	if (s.every && !awaited)
		deadline = now_ns() + AWAIT_NS;
	how.flags = s.every ? VENOM_CONNECT_LOSSLESS : 0;
	do {
		rc = venom_shell_connect_with(&s.s, s.name, &how);
		if (rc == -EPERM && how.flags) { /* the channel does not allow it: gaps are reported */
			how.flags = 0;
			rc = venom_shell_connect_with(&s.s, s.name, &how);
		}
	} while (await_daemon(rc, deadline));
	if (rc)
		return fail(s.name, rc);
	s.news = !venom_shell_version(s.s);
	rc = venom_shell_info(s.s, &info);
	if (!rc)
		rc = venom_shell_set_spin(s.s, spin);
	s.size = rc ? 0 : info.data_size;
	s.buf = malloc(s.size ?: 1);
	if (s.form == JSON)
		s.fields = find_fields(s.name, s.s);
	if (rc)
		rc = fail(s.name, rc);
	else
		rc = s.buf ? follow(&s) : complain(s.name, "no memory for a state of %zu bytes", s.size);
	fields_free(s.fields);
	free(s.buf);
	venom_shell_close(s.s);
	return rc;
}

const struct verb verb_sub = {
	.name = "sub",
	.summary = "print a channel's state whenever it changes, or every version of it",
	.help = "sub [OPTIONS] NAME\n\n"
		"Print the state of a channel, now and whenever it changes; a newline is added where there\n"
		"is none.  A state that changes faster than it is printed is skipped over.\n\n"
		"  --every           every version in order, from the oldest still there: where the channel allows it\n"
		"                    its daemon waits for us, else gaps are reported on stderr; a daemon that is\n"
		"                    not there is waited for, 2 seconds if --await doesn't say how long\n"
		"  --count N         end after N versions\n"
		"  --once            the same as --count 1\n"
		"  --timeout S       fail when there is nothing new for S seconds\n" AWAIT_HELP
		"  --raw             the bytes as they are, nothing added\n"
		"  --json            an object a line: version, length, time_ns if known, and fields by name where\n"
		"                    the channel has a schema, else data or base64\n"
		"  --spin HOW        adaptive (default), forever, none, or nanoseconds to spin before a sleep\n\n"
		"Exit status: 0 after --count versions, and with --every when the daemon has ended and its last\n"
		"version was read.  1 on errors, when the daemon goes before that, and if --every missed any.",
	.run = run,
};

/* SPDX-License-Identifier: MIT */
/*
 * venom: one command, many verbs.  This file only finds the verb; each is in its own file, and tool.h lists them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define VERB(name) &verb_##name,
static const struct verb *const verbs[] = {VERBS(VERB)};

const struct verb *verb;

static int help(void)
{
	printf("usage: venom VERB [OPTIONS] ...\n\n"
	       "State and commands between the processes of one host, over shared memory.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-6s %s\n", verbs[i]->name, verbs[i]->summary);
	printf("\n`venom VERB --help` tells more of a verb, venom(1) of all; `venom --version` the version.\n");
	return finish(0);
}

/*
 * If the parent has closed descriptors 0 to 2, the next opened files would get these numbers: a socket or a lock would
 * be standard output.  An O_PATH descriptor takes the number, and reads and writes of it fail with EBADF as before.
 */
static int reserve_stdio(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_PATH) != fd)
			return complain(NULL, "descriptor %d is closed, and /dev/null can't take its place: %s", fd,
					strerror(errno));
	return 0;
}

/* Set the signals as we need them, whatever the parent has set. */
static void reset_signals(void)
{
	signal(SIGPIPE, SIG_DFL); /* a closed standard output ends us, as it does every filter */
	signal(SIGCHLD, SIG_DFL); /* if ignored, the demo could not learn how its children ended */
	signal(SIGXFSZ, SIG_IGN); /* a file over `ulimit -f` then gives EFBIG, which has an error message */
}

int main(int argc, char **argv)
{
	char name[32];

	if (reserve_stdio())
		return 1;
	reset_signals();
	if (argc < 2)
		usage("a verb is missing");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return help();
	if (!strcmp(argv[1], "--version")) {
		printf("venom %s\n", venom_version());
		return finish(0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(argv[1], verbs[i]->name))
			continue;
		verb = verbs[i];
		snprintf(name, sizeof(name), "venom %s", verb->name);
		argv[1] = name; /* getopt begins its messages with it */
		return finish(verb->run(argc - 1, argv + 1));
	}
	usage("there is no verb '%s'", argv[1]);
}

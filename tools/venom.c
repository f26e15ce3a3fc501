/* SPDX-License-Identifier: MIT */
/*
 * venom: one command, many verbs.  This file only finds the verb; each is in its own file.
 */
#include <signal.h>
#include <string.h>

#include "tool.h"

static const struct verb *const verbs[] = {
	&verb_serve, &verb_pub, &verb_sub, &verb_req, &verb_ls, &verb_stat, &verb_demo, &verb_bench,
};

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

int main(int argc, char **argv)
{
	char name[32];

	/* Who closes our stdout wants no more: end as every filter does, even where a parent had it ignored. */
	signal(SIGPIPE, SIG_DFL);

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

/* SPDX-License-Identifier: MIT */
/*
 * venom bench: runs venom-bench, a separate program (tools/bench/), linked with the libraries it compares venom to.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

static int run(int argc, char **argv)
{
	/* beside this program in a build tree; else where it is installed */
	static const char *const places[] = {"venom-bench", "../lib/venom/venom-bench"};
	char self[4096], path[sizeof(self) + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	(void)argc;
	self[n > 0 ? n : 0] = 0;
	slash = strrchr(self, '/');
	if (!slash)
		return complain(NULL, "/proc is needed: %s", strerror(errno));
	slash[1] = 0;
	fflush(stdout);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s%s", self, places[i]);
		execv(path, argv);
		if (errno != ENOENT)
			break;
	}
	return complain(NULL, "%s: %s%s", path, strerror(errno), errno == ENOENT ? "; `make bench` builds it" : "");
}

const struct verb verb_bench = {
	.name = "bench",
	.summary = "measure it, beside the machine's limit and beside others",

	.run = run,
};

/* SPDX-License-Identifier: MIT */
/*
 * venom ls: the channels that this user can see.
 *
 * Each daemon is asked once.  The rows are printed after the last answer, since only then the table's width is known.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>

#include "tool.h"

struct ls {
	bool all; /* the dead, too */
	size_t n, room;
	struct venom_info *info;
};

static int keep(const struct venom_info *info, void *user)
{
	struct ls *ls = user;

	if (!info->alive && !ls->all)
		return 0;
	if (ls->n == ls->room) {
		size_t room = ls->room ? 2 * ls->room : 16;
		struct venom_info *more = realloc(ls->info, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		ls->info = more;
		ls->room = room;
	}
	ls->info[ls->n++] = *info;
	return 0;
}

/* A daemon that lives but did not answer at once: only what the kernel knows about it is known. */
static bool silent(const struct venom_info *info)
{
	return info->alive && !info->abi;
}

static const char *human_size(char buf[24], uint64_t size)
{
	int unit = 0;

	while (size >= 1024 && !(size % 1024) && unit < 3) {
		size /= 1024;
		unit++;
	}
	snprintf(buf, 24, "%llu%.*s", (unsigned long long)size, !!unit, &"-KMG"[unit]);
	return buf;
}

static void json(const struct venom_info *info)
{
	printf("{\"name\": ");
	json_field(info->name, sizeof(info->name));
	printf(", \"alive\": %s", info->alive ? "true" : "false");
	if (silent(info)) {
		printf(", \"silent\": true, \"pid\": %u, \"uid\": %u, \"gid\": %u", info->pid, info->uid, info->gid);
	} else if (info->alive) {
		printf(", \"backend\": ");
		json_field(info->backend, sizeof(info->backend));
		printf(", \"pid\": %u, \"uid\": %u, \"gid\": %u, \"mode\": \"%03o\", "
		       "\"data_size\": %llu, \"versions\": %u, \"page_size\": %llu, \"cmd_size\": %u, "
		       "\"resp_size\": %u, \"max_clients\": %u, \"epoch\": %llu",
		       info->pid, info->uid, info->gid, info->mode, (unsigned long long)info->data_size, info->versions,
		       (unsigned long long)info->page_size, info->cmd_size, info->resp_size, info->max_clients,
		       (unsigned long long)info->epoch);
	}
	printf("}\n");
}

static void row(const struct venom_info *info, size_t width)
{
	char name[ESCAPED(sizeof(info->name))], backend[ESCAPED(sizeof(info->backend))];
	size_t shown = escape(name, info->name, sizeof(info->name));
	struct passwd *pw;
	char owner[16], data[24], page[24];

	printf("%s%*s", name, (int)(width - shown), "");
	if (!info->alive) {
		printf("  dead\n");
		return;
	}
	pw = getpwuid(info->uid);
	snprintf(owner, sizeof(owner), "%u", info->uid);
	escape(backend, info->backend, sizeof(info->backend));
	printf("  %-6s  %-7s  %7u  %-8s", silent(info) ? "silent" : "alive", backend, info->pid,
	       pw ? pw->pw_name : owner);
	if (!silent(info))
		printf("  %04o  %6s  %8u  %4s  %5llu", info->mode, human_size(data, info->data_size), info->versions,
		       human_size(page, info->page_size), (unsigned long long)info->epoch);
	putchar('\n');
}

static void table(const struct ls *ls)
{
	size_t width = 4;

	for (size_t i = 0; i < ls->n; i++) {
		char name[ESCAPED(sizeof(ls->info->name))];
		size_t shown = escape(name, ls->info[i].name, sizeof(ls->info->name));

		if (shown > width)
			width = shown;
	}
	if (ls->n)
		printf("%-*s  %-6s  %-7s  %7s  %-8s  %4s  %6s  %8s  %4s  %5s\n", (int)width, "NAME", "STATE", "BACKEND",
		       "PID", "OWNER", "MODE", "DATA", "VERSIONS", "PAGE", "EPOCH");
	for (size_t i = 0; i < ls->n; i++)
		row(&ls->info[i], width);
}

static int run(int argc, char **argv)
{
	static const struct option opts[] = {{"help", no_argument, NULL, 'h'},
					     {"json", no_argument, NULL, 'j'},
					     {"all", no_argument, NULL, 'a'},
					     {0}};
	bool as_json = false;
	struct ls ls = {0};
	int c, rc;

	while ((c = option(argc, argv, opts)) != -1) {
		if (c == 'a')
			ls.all = true;
		else
			as_json = true;
	}
	if (optind < argc)
		usage("'%s' is too much; ls takes no names", argv[optind]);

	/* Show the channels that were found even after an error, for instance in one of several folders. */
	rc = venom_list(keep, &ls);
	if (as_json) {
		for (size_t i = 0; i < ls.n; i++)
			json(&ls.info[i]);
	} else {
		table(&ls);
	}
	free(ls.info);
	return rc < 0 ? fail(NULL, rc) : 0;
}

const struct verb verb_ls = {
	.name = "ls",
	.summary = "list the channels",
	.help = "ls [--all] [--json]\n\n"
		"List the channels that this user can see: whether the daemon is alive, or silent (it lives but does\n"
		"not answer at once; it may be stopped), the backend, the daemon's pid and owner, the access mode, the\n"
		"largest state, how many versions the ring holds, the size of a page of it, and how many daemons the\n"
		"name has had.\n\n"
		"  --all             names whose daemon is dead, too\n"
		"  --json            an object a line\n\n"
		"Exit status: 1 if not all of them could be seen.",
	.run = run,
};

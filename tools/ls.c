/* SPDX-License-Identifier: MIT */
/*
 * venom ls: the channels that this user can see, the dead ones too.
 */
#include <pwd.h>

#include "tool.h"

struct ls {
	int width; /* of the longest name */
	bool json;
};

static int measure(const struct venom_info *info, void *user)
{
	struct ls *ls = user;
	char name[ESCAPED(sizeof(info->name))];
	int n = escape(name, info->name, sizeof(info->name));

	if (n > ls->width)
		ls->width = n;
	return 0;
}

static const char *human_size(char buf[16], uint64_t size)
{
	int unit = 0;

	while (size >= 1024 && !(size % 1024) && unit < 3) {
		size /= 1024;
		unit++;
	}
	snprintf(buf, 16, "%llu%.*s", (unsigned long long)size, !!unit, &"-KMG"[unit]);
	return buf;
}

static int row(const struct venom_info *info, void *user)
{
	struct passwd *pw = info->alive ? getpwuid(info->uid) : NULL;
	struct ls *ls = user;
	char name[ESCAPED(sizeof(info->name))], backend[ESCAPED(sizeof(info->backend))];
	char owner[16], data[16], page[16];
	int n;

	if (ls->json) {
		printf("{\"name\": ");
		json_field(info->name, sizeof(info->name));
		printf(", \"alive\": %s", info->alive ? "true" : "false");
		if (info->alive) {
			printf(", \"backend\": ");
			json_field(info->backend, sizeof(info->backend));
			printf(", \"pid\": %u, \"uid\": %u, \"gid\": %u, \"mode\": \"%03o\", "
			       "\"data_size\": %llu, \"versions\": %u, \"page_size\": %llu, \"cmd_size\": %u, "
			       "\"resp_size\": %u, \"max_clients\": %u, \"epoch\": %llu",
			       info->pid, info->uid, info->gid, info->mode, (unsigned long long)info->data_size,
			       info->versions, (unsigned long long)info->page_size, info->cmd_size, info->resp_size,
			       info->max_clients, (unsigned long long)info->epoch);
		}
		printf("}\n");
		return 0;
	}
	n = escape(name, info->name, sizeof(info->name));
	escape(backend, info->backend, sizeof(info->backend));
	printf("%s%*s", name, ls->width > n ? ls->width - n : 0, "");
	if (!info->alive) {
		printf("  dead\n");
		return 0;
	}
	snprintf(owner, sizeof(owner), "%u", info->uid);
	printf("  %-5s  %-7s  %7u  %-8s  %04o  %6s  %8u  %4s  %5llu\n", "alive", backend, info->pid,
	       pw ? pw->pw_name : owner, info->mode, human_size(data, info->data_size), info->versions,
	       human_size(page, info->page_size), (unsigned long long)info->epoch);
	return 0;
}

static int run(int argc, char **argv)
{
	static const struct option opts[] = {{"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, 'j'}, {0}};
	struct ls ls = {.width = 4};
	int rc;

	while (option(argc, argv, opts) != -1)
		ls.json = true;
	if (optind < argc)
		usage("'%s' is too much; ls takes no names", argv[optind]);

	/* Two looks, as the width of the table must be known first; a name that comes in between is only wider. */
	rc = ls.json ? 0 : venom_list(measure, &ls);
	if (rc > 0)
		printf("%-*s  %-5s  %-7s  %7s  %-8s  %4s  %6s  %8s  %4s  %5s\n", ls.width, "NAME", "STATE", "BACKEND",
		       "PID", "OWNER", "MODE", "DATA", "VERSIONS", "PAGE", "EPOCH");
	if (rc >= 0)
		rc = venom_list(row, &ls);
	return rc < 0 ? fail(NULL, rc) : 0;
}

const struct verb verb_ls = {
	.name = "ls",
	.summary = "list the channels",
	.help = "ls [--json]\n\n"
		"List the channels that this user can see: whether the daemon lives, the backend, the daemon's pid "
		"and\n"
		"owner, who may use it, the largest state, how many versions the ring holds, the size of a page of "
		"it,\n"
		"and how many daemons the name has had.\n\n"
		"  --json            an object a line",
	.run = run,
};

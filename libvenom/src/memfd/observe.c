/* SPDX-License-Identifier: MIT */
/*
 * Embedded backend: observe channels without attaching.
 *
 *	memfd_stat	link_dial -> OBSERVE, again for each part of the list of shells
 *	memfd_list	each place: OBSERVE to all daemons that listen there, then their answers
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include "memfd/proto.h"

static int observe_ask(const struct link *k, uint32_t first)
{
	struct proto_observe out = {.first = first};

	return link_send(k->sock, &out, sizeof(out), PROTO_OBSERVE, -1);
}

/* Receive and check a daemon's answer to OBSERVE. */
static int observe_take(const struct link *k, struct proto_observed *observed, uint32_t first)
{
	int rc = proto_recv(k->sock, observed, sizeof(*observed), PROTO_OBSERVED, NULL, 0);

	if (rc == -EPIPE)
		return venom_fail(-ENOENT, "no living daemon has the name");
	if (!rc)
		rc = venom_geometry_check(&observed->geo, 0);
	if (!rc && (observed->npeers > PROTO_PEERS || (observed->next && observed->next <= first)))
		rc = venom_fail(-EPROTO, "the daemon's list of shells is invalid");
	return rc;
}

static int observe(const struct link *k, struct proto_observed *observed, uint32_t first)
{
	int rc = observe_ask(k, first);

	if (!rc)
		rc = link_wait(k->sock, k->pidfd, VENOM_PATIENCE_NS);
	if (rc == -EPIPE)
		return venom_fail(-ENOENT, "no living daemon has the name");
	if (rc < 0)
		return rc;
	return rc ? observe_take(k, observed, first) : venom_silent();
}

/* The credentials come from the kernel, the name from the socket's path: not from the daemon's message. */
static void observe_info(const struct link *k, const char *name, const struct proto_observed *observed, struct venom_info *info)
{
	venom_info_make(info, "memfd", name, &observed->geo, observed->epoch, &k->daemon, true, &observed->schema);
}

static void observe_peer(const struct proto_peer *from, struct venom_peer *p)
{
	struct venom_cred cred = {.pid = from->pid, .uid = from->uid, .gid = from->gid};

	venom_peer_make(p, from->id, from->generation, &cred);
	venom_peer_numbers(p, &from->counts, from->received, from->responses);
}

int memfd_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
	       int (*fn)(const struct venom_peer *peer, void *user), void *user)
{
	struct proto_observed *observed;
	struct venom_peer peer;
	uint32_t first = 0;
	struct link k;
	int rc = link_dial(&k, name);

	if (rc)
		return rc;
	observed = malloc(sizeof(*observed));
	rc = observed ? observe(&k, observed, 0) : -ENOMEM;
	if (!rc && info)
		observe_info(&k, name, observed, info);
	if (!rc && st)
		*st = (struct venom_daemon_stats){
			.versions = observed->versions,
			.commands = observed->commands,
			.responses = observed->responses,
			.stale = observed->stale,
			.wakes = observed->wakes,
			.sleeps = observed->sleeps,
			.refused = observed->refused,
			.evicted = observed->evicted,
			.passed = observed->passed,
			.held_up = observed->held_up,
			.full = observed->full,
			.cut = observed->cut,
			.clients = observed->clients,
		};
	while (!rc && fn) {
		for (uint32_t i = 0; i < observed->npeers && !rc; i++) {
			observe_peer(&observed->peers[i], &peer);
			rc = fn(&peer, user);
		}
		first = observed->next;
		if (rc || !first)
			break;
		rc = observe(&k, observed, first);
	}
	free(observed);
	link_close(&k);
	return rc;
}

/*
 * First ask all daemons, some dozens at a time, then give them a moment to answer.  Their managers do nothing else, so
 * a daemon that does not answer is stopped or starved, and is listed as silent.
 */
#define ASK_AT_ONCE 64
#define LIST_NS	    300000000

struct asked {
	struct link k; /* sock -1: the daemon is dead */
	bool silent; /* it could not even be asked */
	char name[VENOM_NAME_MAX + 1];
};

struct list {
	int (*fn)(const struct venom_info *info, void *user);
	void *user;
	int *count;
	int err; /* why one place could not be listed */
	struct proto_observed observed;
	unsigned int n;
	struct asked asked[ASK_AT_ONCE];
};

/* Pass one channel to the caller's function.  A channel that this user may not observe is skipped. */
static int list_answer(struct list *l, struct asked *a, int64_t deadline)
{
	struct venom_info info = {.alive = a->silent};
	int64_t left = deadline - now_ns();
	int rc;

	if (a->k.sock >= 0) {
		rc = link_wait(a->k.sock, a->k.pidfd, left > 0 ? left : 0);
		info.alive = rc >= 0;
		if (rc == 1)
			rc = observe_take(&a->k, &l->observed, 0);
		else if (rc == 0)
			a->silent = true;
		if (rc == -ENOENT || rc == -EPIPE)
			info.alive = false;
		else if (rc < 0)
			return 0;
		else if (!a->silent)
			observe_info(&a->k, a->name, &l->observed, &info);
	}
	if (a->silent) {
		info.pid = a->k.daemon.pid;
		info.uid = a->k.daemon.uid;
		info.gid = a->k.daemon.gid;
	}
	snprintf(info.name, sizeof(info.name), "%s", a->name);
	++*l->count;
	return l->fn(&info, l->user);
}

static int list_answers(struct list *l)
{
	int64_t deadline = now_ns() + LIST_NS;
	int rc = 0;

	for (unsigned int i = 0; i < l->n; i++) {
		if (!rc)
			rc = list_answer(l, &l->asked[i], deadline);
		link_close(&l->asked[i].k);
	}
	l->n = 0;
	return rc;
}

static int list_ask(struct list *l, const struct place *p, const char *name)
{
	struct asked *a = &l->asked[l->n];
	char path[VENOM_PATH_MAX];
	struct stat st;
	int rc;

	if (*name == '.' || venom_name_check(name) || path_join(path, p, name))
		return 0;
	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return 0;
	*a = (struct asked){.k = {.sock = -1, .pidfd = -1, .daemon = {.uid = st.st_uid, .gid = st.st_gid}}};
	snprintf(a->name, sizeof(a->name), "%.*s", VENOM_NAME_MAX, name);
	rc = link_dial_place(&a->k, p, name, 0);
	a->silent = rc == -EAGAIN;
	if (!rc)
		rc = observe_ask(&a->k, 0);
	if (rc && rc != -ENOENT && rc != -EAGAIN) {
		link_close(&a->k);
		if (rc != -EACCES)
			l->err = rc;
		return 0;
	}
	return ++l->n == ASK_AT_ONCE ? list_answers(l) : 0;
}

static int list_place(const struct place *p, void *user)
{
	struct list *l = user;
	DIR *dir = opendir(p->path);
	struct dirent *e;
	int rc = 0;

	if (!dir)
		l->err = errno == ENOENT ? l->err : venom_fail(-errno, "%s can't be read: %s", p->path, venom_reason(errno));
	while (dir && !rc && (e = readdir(dir)))
		rc = list_ask(l, p, e->d_name);
	if (dir)
		closedir(dir);
	return rc;
}

int memfd_list(int (*fn)(const struct venom_info *info, void *user), void *user, int *count)
{
	struct list *l = calloc(1, sizeof(*l));
	int rc, last;

	if (!l)
		return -ENOMEM;
	*l = (struct list){.fn = fn, .user = user, .count = count};
	rc = place_each(list_place, l);
	/* List those asked last, also if a folder could not be read; none are left if fn has ended the list. */
	last = list_answers(l);
	rc = last ? last : rc ? rc : l->err;
	free(l);
	return rc;
}

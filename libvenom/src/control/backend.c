/* SPDX-License-Identifier: MIT */
/*
 * The choice of the backend: the module's if it is loaded, else the embedded one; VENOM_BACKEND forces one.  A channel
 * is made on the first usable backend, and searched on all.
 *
 * A user who may not open /dev/venom gets an error where the module is loaded, not the embedded backend: that does not
 * see the module's channels, so a name could be one channel for this user and another one for all others.
 */
#include "internal.h"

static const struct venom_backend *const backends[] = {&venom_backend_dev, &venom_backend_memfd};

static const char *forced(void)
{
	const char *want = secure_getenv("VENOM_BACKEND");

	return want && *want ? want : NULL;
}

/* Fill be[] with the usable backends, in order.  Returns their number, or an errno if there is none. */
static int usable(const struct venom_backend *be[2])
{
	const char *want = forced();
	int n = 0;

	/* Keep a backend that can't be opened: its own error says why, and what can be done. */
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		if (want ? !strcmp(want, backends[i]->name) : backends[i]->check() != -ENODEV)
			be[n++] = backends[i];
	return n ? n : venom_fail(-ENODEV, "VENOM_BACKEND is \"%s\", which isn't here", want);
}

int venom_backend_pick(const struct venom_backend **out)
{
	const struct venom_backend *be[2];
	int n = usable(be);

	if (n < 0)
		return n;
	*out = be[0];
	return 0;
}

int venom_backend_taken(const char *name, const struct venom_backend *but)
{
	if (but == &venom_backend_memfd && !forced())
		return 0; /* it was picked because there is no /dev/venom */
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (backends[i] == but || backends[i]->check() || !backends[i]->lives(name))
			continue;
		return venom_fail(-EBUSY, "a living daemon has the name on the other backend (VENOM_BACKEND=%s)",
				  backends[i]->name);
	}
	venom_errmsg_clear();
	return 0;
}

int venom_backend_connect(struct venom_shell *s)
{
	const struct venom_backend *be[2];
	int n = usable(be), rc = n;

	for (int i = 0; i < n; i++) {
		s->be = be[i];
		rc = s->be->connect(s);
		if (rc != -ENOENT)
			break;
	}
	return rc;
}

VENOM_API int venom_list(int (*fn)(const struct venom_info *info, void *user), void *user)
{
	const struct venom_backend *be[2];
	int n, rc, count = 0;
	NO_CANCEL;

	venom_errmsg_clear();
	n = usable(be);
	if (n < 0)
		return n;
	/* List the module's channels last: if they can't be listed, the caller has had all others before the error. */
	while (n--) {
		rc = be[n]->list(fn, user, &count);
		if (rc)
			return rc;
	}
	return count;
}

VENOM_API int venom_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
			 int (*fn)(const struct venom_peer *peer, void *user), void *user)
{
	const struct venom_backend *be[2];
	NO_CANCEL;
	int n, rc;

	venom_errmsg_clear();
	rc = venom_name_check(name);
	if (rc)
		return rc;
	n = rc = usable(be);
	for (int i = 0; i < n; i++) {
		rc = be[i]->stat(name, info, st, fn, user);
		if (rc != -ENOENT)
			break;
	}
	return rc;
}

/* SPDX-License-Identifier: MIT */
/*
 * Which backend does the work: the module's where it is loaded and may be used, else the embedded one;
 * VENOM_BACKEND forces one.  A channel is made on the first, and looked for on all.
 */
#include "internal.h"

static const struct venom_backend *const backends[] = {&venom_backend_dev, &venom_backend_memfd};

/* Those that may be used here, in this order; returns how many, at least one, or why there is none. */
static int usable(const struct venom_backend *be[2])
{
	const char *want = getenv("VENOM_BACKEND");
	int n = 0, rc;

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (want && *want) {
			/* It will say itself why it can't be used. */
			if (!strcmp(want, backends[i]->name))
				be[n++] = backends[i];
			continue;
		}
		rc = backends[i]->check();
		if (!rc)
			be[n++] = backends[i];
		else if (rc != -ENODEV && rc != -EACCES && rc != -EPERM)
			return rc; /* out of descriptors, say: no reason to go elsewhere */
	}
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

	venom_errmsg_clear();
	n = usable(be);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		rc = be[i]->list(fn, user, &count);
		if (rc)
			return rc;
	}
	return count;
}

VENOM_API int venom_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
			 int (*fn)(const struct venom_peer *peer, void *user), void *user)
{
	const struct venom_backend *be[2];
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

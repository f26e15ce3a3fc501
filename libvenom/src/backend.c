/* SPDX-License-Identifier: MIT */
/* Which backend does the work: the module's where it is loaded, else the embedded one; VENOM_BACKEND forces one. */
#include "internal.h"

static const struct venom_backend *const backends[] = {&venom_backend_memfd};

int venom_backend_pick(const struct venom_backend **be)
{
	const char *want = getenv("VENOM_BACKEND");

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (want && *want && strcmp(want, backends[i]->name))
			continue;
		*be = backends[i];
		return 0;
	}
	return venom_fail(-ENODEV, "VENOM_BACKEND is \"%s\", which isn't here", want);
}

VENOM_API int venom_list(int (*fn)(const struct venom_info *info, void *user), void *user)
{
	const struct venom_backend *be;
	int rc;

	venom_errmsg_clear();
	rc = venom_backend_pick(&be);
	return rc ? rc : be->list(fn, user);
}

VENOM_API int venom_stat(const char *name, struct venom_info *info, struct venom_daemon_stats *st,
			 int (*fn)(const struct venom_peer *peer, void *user), void *user)
{
	const struct venom_backend *be;
	int rc;

	venom_errmsg_clear();
	rc = venom_name_check(name);
	if (!rc)
		rc = venom_backend_pick(&be);
	return rc ? rc : be->stat(name, info, st, fn, user);
}

/* SPDX-License-Identifier: MIT */
/*
 * How much memory is available.
 *
 * The kernel promises the pages of an area before it has them.  If they are missing, or a memory cgroup's limit is
 * reached, its OOM killer kills a process.  And past the limit on file sizes, which also holds for memfds, it sends
 * SIGXFSZ.  So check before: an errno is better than a death.
 */
#include <stdio.h>
#include <sys/resource.h>
#include "internal.h"

#define SMALL	    (256ULL << 10) /* below this no check: it takes tens of microseconds each time a shell connects */
#define SMALL_LIMIT (64ULL << 20) /* below this only cgroup limits are checked */

/* Sum of the values of these keys ("KEY VALUE" or "KEY: VALUE kB" in each line); false if the file isn't there. */
static bool sum_of(const char *path, const char *const *keys, unsigned long long *sum)
{
	unsigned long long value;
	char line[256], key[64], unit[8];
	FILE *f = fopen(path, "re");

	*sum = 0;
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		int n = sscanf(line, "%63s %llu %7s", key, &value, unit);

		for (int i = 0; n >= 2 && keys[i]; i++)
			if (!strcmp(key, keys[i]))
				*sum += n == 3 ? value << 10 : value;
	}
	fclose(f);
	return true;
}

/* The number in DIR/FILE; false if there is none, or "max". */
static bool number_in(const char *dir, const char *file, unsigned long long *value)
{
	char path[4200];
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fscanf(f, "%llu", value);
	fclose(f);
	return n == 1;
}

/* What one cgroup leaves us: its limit less what is used and can't be dropped; UINT64_MAX without a limit. */
static uint64_t left_in(const char *dir, bool v2)
{
	static const char *const file_pages[] = {"inactive_file", "active_file", NULL};
	unsigned long long max, used, file = 0, swap_max, swap = 0;
	char path[4200];

	if (!number_in(dir, v2 ? "memory.max" : "memory.limit_in_bytes", &max) || max > VENOM_AREA_MAX ||
	    !number_in(dir, v2 ? "memory.current" : "memory.usage_in_bytes", &used))
		return UINT64_MAX;
	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	sum_of(path, file_pages, &file);
	if (v2 && number_in(dir, "memory.swap.max", &swap_max) && number_in(dir, "memory.swap.current", &swap))
		max += swap_max > swap ? swap_max - swap : 0;
	used -= file < used ? file : used;
	return used < max ? max - used : 0;
}

/* The smallest amount that any of our memory cgroups leaves us. */
static uint64_t left_in_cgroups(void)
{
	uint64_t least = UINT64_MAX, left;
	char line[4096], dir[4160];
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL, *end;
		bool v2;

		if (!path)
			continue;
		*path++ = 0;
		v2 = !controllers[1];
		if (!v2 && !strstr(controllers, "memory"))
			continue;
		path[strcspn(path, "\n")] = 0;
		/* Check from our cgroup up to the root; in a container only the root may be visible. */
		do {
			end = strrchr(path, '/');
			snprintf(dir, sizeof(dir), "/sys/fs/cgroup%s%s", v2 ? "" : "/memory", path);
			left = left_in(dir, v2);
			if (left < least)
				least = left;
			if (end)
				*end = 0;
		} while (end);
	}
	if (f)
		fclose(f);
	return least;
}

int venom_file_for(const char *what, uint64_t size)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_FSIZE, &most) || size <= most.rlim_cur)
		return 0;
	return venom_fail(-ENOMEM, "the %s takes %llu bytes, and the limit on the size of files is %llu: raise it (ulimit -f)",
			  what, (unsigned long long)size, (unsigned long long)most.rlim_cur);
}

/* Check that the pages are available, so that the OOM killer kills no process. */
static int pages_for(const char *what, uint64_t size)
{
	static const char *const free_keys[] = {"MemAvailable:", "SwapFree:", NULL};
	unsigned long long available;
	uint64_t left;

	if (size < SMALL)
		return 0;
	left = left_in_cgroups();
	if (size > left)
		return venom_fail(-ENOMEM, "the %s takes %llu bytes, and the memory cgroup has %llu left", what,
				  (unsigned long long)size, (unsigned long long)left);
	if (size >= SMALL_LIMIT && sum_of("/proc/meminfo", free_keys, &available) && size > available)
		return venom_fail(-ENOMEM, "the %s takes %llu bytes, and %llu bytes of memory are available", what,
				  (unsigned long long)size, available);
	return 0;
}

int venom_memory_for(const char *what, uint64_t size, bool huge)
{
	char area[32];
	int rc;

	snprintf(area, sizeof(area), "%s area", what);
	rc = venom_file_for(area, size);
	return rc || huge ? rc : pages_for(area, size);
}

void *venom_handle(size_t size)
{
	void *p = aligned_alloc(VENOM_LINE, size);

	return p ? memset(p, 0, size) : NULL;
}

void *venom_zeroes(const char *what, size_t n, size_t size)
{
	char *p = pages_for(what, n * size) ? NULL : calloc(n, size);

	for (size_t i = 0; p && i < n * size; i += VENOM_PAGE)
		*(volatile char *)(p + i) = 0;
	return p;
}

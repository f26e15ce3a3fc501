/* SPDX-License-Identifier: MIT */
/* How long waits spin on this machine. */
#include <sched.h>
#include "internal.h"

/* If there is one CPU only, a spin keeps the peer from running.  The peer of a pinned thread may be on another CPU. */
static bool alone(void)
{
	cpu_set_t set;

	return !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) == 1 && sysconf(_SC_NPROCESSORS_ONLN) == 1;
}

int venom_spin_set(struct venom_spin *sp, int64_t ns)
{
	if (ns < VENOM_SPIN_ADAPTIVE)
		return venom_fail(-EINVAL, "spin_ns is %lld, which is no VENOM_SPIN_* and no time", (long long)ns);
	*sp = (struct venom_spin){
		.ns = ns,
		.budget = ns == VENOM_SPIN_ADAPTIVE && !alone() ? VENOM_BUDGET_MAX : 0,
	};
	return 0;
}

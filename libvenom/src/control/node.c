/* SPDX-License-Identifier: MIT */
/*
 * The NUMA node of the areas.  Both backends allocate an area by the memory policy of the thread that makes it, so this
 * policy is changed for a while, as libnuma does; but without libnuma.
 */
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include "internal.h"

#define BITS (8 * sizeof(long))

int venom_node_prefer(struct venom_policy *old, int node)
{
	unsigned long nodes[ARRAY_SIZE(old->nodes)] = {0};

	*old = (struct venom_policy){0};
	if (node == VENOM_NODE_ANY)
		return 0;
	if (syscall(SYS_get_mempolicy, &old->mode, old->nodes, BITS * ARRAY_SIZE(nodes), NULL, 0))
		return venom_fail(-errno, "node is %d, and this kernel has no memory policies", node);
	nodes[node / BITS] = 1UL << node % BITS;
	if (syscall(SYS_set_mempolicy, MPOL_BIND, nodes, BITS * ARRAY_SIZE(nodes)))
		return venom_fail(-errno, "node is %d: there is no such node, or none that we may use", node);
	old->changed = true;
	return 0;
}

void venom_node_restore(const struct venom_policy *old)
{
	if (old->changed)
		syscall(SYS_set_mempolicy, old->mode, old->nodes, BITS * ARRAY_SIZE(old->nodes));
}

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Which workload acts. The hooks run for the cgroup that a socket was created in; the workload is
// that of the task which acts now, and only when that task is not governed (the socket was handed
// out) the one the socket was created for.
#pragma once

#include "bpf/maps.h"

#include <stdbool.h>

// The deepest registered ancestor of the current task's cgroup; NULL: the task is not governed.
static __always_inline struct chap_workload *workload_of_task(__u64 *cgroup_id)
{
	for (int level = CHAP_MAX_LEVELS - 1; level >= 0; level--) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);
		struct chap_workload *workload;

		if (id == 0)
			continue;
		workload = bpf_map_lookup_elem(&workloads, &id);
		if (workload) {
			*cgroup_id = id;
			return workload;
		}
	}
	return NULL;
}

// Sets whose socket this is. false: nobody's, so nothing may leave through it.
static __always_inline bool claim(struct chap_socket *socket)
{
	struct chap_workload *workload;
	__u64 id = 0;

	workload = workload_of_task(&id);
	if (workload) {
		socket->cgroup_id = id;
		socket->epoch = workload->epoch;
		return true;
	}
	id = socket->cgroup_id;
	workload = bpf_map_lookup_elem(&workloads, &id);
	return workload && workload->epoch == socket->epoch;
}

static __always_inline __u32 dns_mode(void)
{
	__u32 key = 0;
	struct chap_settings *now = bpf_map_lookup_elem(&settings, &key);

	return now ? now->dns : CHAP_DNS_DENY;
}

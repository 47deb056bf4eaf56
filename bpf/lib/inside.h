// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Whether a process, a socket or a cgroup belongs to the workload of the process that acts.
#pragma once

#include "bpf/lib/event.h"
#include "bpf/lib/kern_types.h"
#include "bpf/lib/workload.h"

#include <bpf/bpf_core_read.h>

// Whether the cgroup is this governed one, or below it.
static __always_inline bool is_below(struct cgroup *cgroup, __u64 id)
{
	for (int level = 0; level < CHAP_MAX_LEVELS && cgroup; level++) {
		if (BPF_CORE_READ(cgroup, kn, id) == id)
			return true;
		cgroup = (struct cgroup *)BPF_CORE_READ(cgroup, self.parent);
	}
	return false;
}

static __always_inline bool is_task_below(struct task_struct *task, __u64 id)
{
	return is_below(BPF_CORE_READ(task, cgroups, dfl_cgrp), id);
}

static __always_inline bool is_socket_below(struct sock *sk, __u64 id)
{
	return is_below(BPF_CORE_READ(sk, sk_cgrp_data.cgroup), id);
}

// What was refused; `what` is enum chap_reach.
static __always_inline int refuse_reach(__u64 cgroup_id, enum chap_reach what)
{
	struct chap_event *event;

	count(CHAP_REFUSED_REACHES);
	event = new_event(CHAP_REFUSED_REACHES);
	if (event) {
		event->cgroup_id = cgroup_id;
		event->type = what;
		event->tgid = bpf_get_current_pid_tgid() >> 32;
		event->uid = (__u32)bpf_get_current_uid_gid();
		bpf_get_current_comm(event->comm, sizeof(event->comm));
		bpf_ringbuf_submit(event, 0);
	}
	return -EPERM;
}

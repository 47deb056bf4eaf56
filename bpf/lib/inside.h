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

// 0: the process that acts is not governed.
static __always_inline __u64 who_acts(void)
{
	__u64 id = 0;

	return workload_of_task(&id) ? id : 0;
}

static __always_inline void fill_event(struct chap_event *event, __u64 cgroup_id,
				       enum chap_reach what)
{
	event->cgroup_id = cgroup_id;
	event->type = what;
	event->tgid = bpf_get_current_pid_tgid() >> 32;
	event->uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(event->comm, sizeof(event->comm));
}

static __always_inline void tell_reach(__u64 cgroup_id, enum chap_reach what, __s64 process,
				       int signal)
{
	struct chap_event *event;

	count(CHAP_REFUSED_REACHES);
	event = new_event(CHAP_REFUSED_REACHES);
	if (!event)
		return;
	fill_event(event, cgroup_id, what);
	event->peer = (__u64)process;
	event->protocol = (__u16)signal;
	bpf_ringbuf_submit(event, 0);
}

// What was refused; `what` is enum chap_reach.
static __always_inline int refuse_reach(__u64 cgroup_id, enum chap_reach what)
{
	tell_reach(cgroup_id, what, 0, 0);
	return -EPERM;
}

static __always_inline int refuse_process(__u64 cgroup_id, enum chap_reach what,
					  struct task_struct *task, int signal)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u8 yes = 1;

	bpf_map_update_elem(&told, &thread, &yes, BPF_ANY);
	tell_reach(cgroup_id, what, BPF_CORE_READ(task, tgid), signal);
	return -EPERM;
}

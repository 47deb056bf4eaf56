// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The ways a hook can end. Every early return of a program says which one it takes.
#pragma once

#include "bpf/maps.h"

#define CHAP_PASS 1
#define CHAP_DROP 0
#define CHAP_LOSE 2 // of packets on their way out: dropped, and nobody is told
#define CHAP_REWRITE 2 // of the shared parts: write socket->proxy into the call, then pass

#define EPERM 1
#define ECONNREFUSED 111
#define EPROTONOSUPPORT 93

static __always_inline void count(enum chap_counter which)
{
	__u32 key = which;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		__sync_fetch_and_add(value, 1); // per CPU, but for a softirq in between
}

// Refuses the system call with this errno, and counts it unless an inner cgroup's hook has.
static __always_inline int refuse(enum chap_counter which, int error)
{
	if (bpf_get_retval() == 0)
		count(which);
	bpf_set_retval(-error);
	return CHAP_DROP;
}

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Unix sockets by the name they are called: whether policy lets a workload through that door.
#pragma once

#include "bpf/lib/event.h"
#include "bpf/lib/workload.h"

// The longest entry of the workload's table that the name begins with. The exact name of a path
// ends with a NUL; that of an abstract one has its size before it, as it may hold NULs.
static __always_inline bool is_open_door(void *table, struct chap_door *door, __u32 size)
{
	struct chap_verdict *verdict;
	__u8 kind = door->kind;

	door->length = CHAP_DOOR_BITS;
	if (kind == CHAP_DOOR_ABSTRACT) {
		door->kind = CHAP_DOOR_ABSTRACT_EXACT;
		door->size = (__u8)size;
		verdict = bpf_map_lookup_elem(table, door);
		door->kind = kind;
		door->size = 0;
		if (verdict)
			return verdict->action == CHAP_LET;
	}
	verdict = bpf_map_lookup_elem(table, door);
	return verdict && verdict->action == CHAP_LET;
}

// What was refused, by the name that was called.
static __always_inline void tell_door(__u64 cgroup_id, __u32 type, const struct chap_door *door)
{
	struct chap_door_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(CHAP_UNTOLD);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->head.time_ns = bpf_ktime_get_ns();
	event->head.kind = CHAP_REFUSED_DOORS;
	event->head.cgroup_id = cgroup_id;
	event->head.type = (__u16)type;
	event->head.tgid = bpf_get_current_pid_tgid() >> 32;
	event->head.uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(event->head.comm, sizeof(event->head.comm));
	event->kind = door->kind;
	__builtin_memcpy(event->name, door->name, sizeof(event->name));
	bpf_ringbuf_submit(event, 0);
}

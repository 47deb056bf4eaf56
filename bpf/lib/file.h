// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Files that a governed process may not open, by the name that it asked for.
#pragma once

#include "bpf/lib/event.h"

// In every path of an instance; eight bytes of it are enough.
#define CHAP_OUR_WORD 0x6368617065726f6eULL // "chaperon", read as it stands

static __always_inline bool is_of_ours(const char *name)
{
	__u64 word = 0;

	for (int i = 0; i < CHAP_DOOR_NAME && name[i]; i++) {
		word = word << 8 | (__u8)name[i];
		if (word == CHAP_OUR_WORD)
			return true;
	}
	return false;
}

// Counts it, and tells of those that name something of ours: others find closed files everywhere.
static __always_inline void tell_file(__u64 cgroup_id, const char *asked)
{
	struct chap_door_event *event;

	count(CHAP_REFUSED_REACHES);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(CHAP_UNTOLD);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	if (bpf_probe_read_kernel_str(event->name, sizeof(event->name), asked) < 0 ||
	    !is_of_ours(event->name)) {
		bpf_ringbuf_discard(event, 0);
		return;
	}
	event->head.time_ns = bpf_ktime_get_ns();
	event->head.kind = CHAP_REFUSED_REACHES;
	event->head.cgroup_id = cgroup_id;
	event->head.type = CHAP_REACH_FILE;
	event->head.tgid = bpf_get_current_pid_tgid() >> 32;
	event->head.uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(event->head.comm, sizeof(event->head.comm));
	event->kind = CHAP_DOOR_PATH;
	bpf_ringbuf_submit(event, 0);
}

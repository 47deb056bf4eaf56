// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Tells user space of refusals. That there is no room changes no verdict.
#pragma once

#include "bpf/lib/address.h"
#include "bpf/lib/verdict.h"

// NULL: no room. The caller fills in what it knows and submits.
static __always_inline struct chap_event *new_event(enum chap_counter kind)
{
	struct chap_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(CHAP_UNTOLD);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = bpf_ktime_get_ns();
	event->kind = kind;
	return event;
}

// Of a system call that is being refused, by the hook that refuses it first.
static __always_inline void tell_call(enum chap_counter kind, __u64 cgroup_id, __u32 type,
				      __u32 protocol, const struct address *to, int already)
{
	struct chap_event *event = already ? NULL : new_event(kind);

	if (!event)
		return;
	event->cgroup_id = cgroup_id;
	event->type = (__u16)type;
	event->protocol = (__u16)protocol;
	if (to) {
		copy_ip(event->destination, to->ip);
		event->destination_port = to->port;
	}
	event->tgid = bpf_get_current_pid_tgid() >> 32;
	event->uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
}

// Of a packet. The task that runs now may be any; the record says whose socket it is.
static __always_inline void tell_packet(const struct chap_socket *socket, __u8 protocol,
					const struct address *to)
{
	struct chap_event *event = new_event(CHAP_DROPPED_PACKETS);

	if (!event)
		return;
	event->protocol = protocol;
	copy_ip(event->destination, to->ip);
	event->destination_port = to->port;
	if (socket) {
		event->cgroup_id = socket->cgroup_id;
		event->tgid = socket->tgid;
		event->uid = socket->uid;
		__builtin_memcpy(event->comm, socket->comm, sizeof(event->comm));
	}
	bpf_ringbuf_submit(event, 0);
}

// Of a packet to a listener that takes none from there. `caller`: the record of a governed one;
// `type`: SOCK_STREAM where a connection was accepted already, else 0.
static __always_inline void tell_caller(const struct chap_socket *caller,
					const struct chap_socket *listener, __u8 protocol,
					__u16 type, const struct address *from,
					const struct address *to)
{
	struct chap_event *event = new_event(CHAP_REFUSED_INBOUND);

	if (!event)
		return;
	event->protocol = protocol;
	event->type = type;
	copy_ip(event->destination, from->ip);
	event->destination_port = from->port;
	if (listener) {
		event->peer = listener->cgroup_id;
		event->netns = listener->netns;
	}
	copy_ip(event->local, to->ip);
	event->local_port = to->port;
	if (caller) {
		event->cgroup_id = caller->cgroup_id;
		event->tgid = caller->tgid;
		event->uid = caller->uid;
		__builtin_memcpy(event->comm, caller->comm, sizeof(event->comm));
	}
	bpf_ringbuf_submit(event, 0);
}

#define CHAP_TELL_AGAIN_NS 100000000ULL

// Of a network namespace in which nobody listens for us: user space opens its listeners there, if
// it can before the connect() that is likely to follow.
static __always_inline void tell_stranger(__u64 netns, __u64 cgroup_id)
{
	__u64 *told = bpf_map_lookup_elem(&strangers, &netns);
	__u64 now = bpf_ktime_get_ns();
	struct chap_event *event;

	if (told && now - *told < CHAP_TELL_AGAIN_NS)
		return;
	bpf_map_update_elem(&strangers, &netns, &now, BPF_ANY);
	count(CHAP_STRANGE_NAMESPACES);
	event = new_event(CHAP_STRANGE_NAMESPACES);
	if (!event)
		return;
	event->cgroup_id = cgroup_id;
	event->tgid = (__u32)bpf_get_current_pid_tgid();
	bpf_ringbuf_submit(event, 0);
}

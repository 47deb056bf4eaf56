// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Verdicts that the kernel gives by itself: what policy says of a destination by workload, address
// and port alone. Where none is known, or nobody is there to record what is let through, user space
// is asked.
#pragma once

#include "bpf/lib/address.h"
#include "bpf/lib/event.h"
#include "bpf/lib/verdict.h"

#include <linux/in.h>

static __always_inline struct chap_lease *current_lease(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&lease, &key);
}

// Whether somebody is behind the proxy's listener. A process that is stopped or wedged keeps it, and
// connects would be answered by the kernel and then wait for ever.
static __always_inline bool is_proxy_alive(void)
{
	struct chap_lease *now = current_lease();

	return now && (now->alive_until == 0 ||
		       bpf_ktime_get_ns() / 1000000000 < now->alive_until);
}

// Of an address that the workload was told for a name that some resource has.
static __always_inline struct chap_verdict *look_up_named(__u64 cgroup_id, __u8 protocol,
							  const struct address *to)
{
	struct chap_named_key key = {};
	struct chap_named *found;

	key.cgroup_id = cgroup_id;
	key.protocol = protocol;
	key.port = to->port;
	copy_ip(key.ip, to->ip);
	found = bpf_map_lookup_elem(&named, &key);
	return found && bpf_ktime_get_ns() < found->until_ns ? &found->verdict : NULL;
}

static __always_inline struct chap_verdict *look_up_verdict(__u64 cgroup_id, __u8 protocol,
							    const struct address *to)
{
	struct chap_prefix key = {};
	struct chap_verdict *by_name;
	void *table;

	// connect() takes 0.0.0.0 and :: for this host: another address than the one written.
	if (is_unspecified(to->ip))
		return NULL;
	// Streams to such an address are the proxy's.
	if (protocol == IPPROTO_UDP) {
		by_name = look_up_named(cgroup_id, protocol, to);
		if (by_name)
			return by_name;
	}
	table = bpf_map_lookup_elem(&verdicts, &cgroup_id);
	if (!table)
		return NULL;
	key.length = 8 * (sizeof(key) - sizeof(key.length));
	key.protocol = protocol;
	key.port = to->port;
	copy_ip(key.ip, to->ip);
	return bpf_map_lookup_elem(table, &key);
}

// Whether what is let through now will be written down.
static __always_inline bool is_recordable(const struct chap_lease *now)
{
	if (!now || bpf_ktime_get_ns() >= now->until_ns)
		return false;
	return bpf_ringbuf_query(&directs, BPF_RB_AVAIL_DATA) <
	       bpf_ringbuf_query(&directs, BPF_RB_RING_SIZE) / CHAP_DIRECTS_SHARE;
}

// Whether the daemon is there, or was until a moment ago: it may be starting again.
static __always_inline bool is_daemon_expected(const struct chap_lease *now)
{
	__u64 time = bpf_ktime_get_ns();

	return time < now->until_ns ||
	       (now->alive_until != 0 &&
		time / 1000000000 < (__u64)now->alive_until + CHAP_RESTARTS_WITHIN);
}

// The proxy is told of this network namespace, and listens here in a moment: what is aimed at
// it is sent when it is there. 0: nobody is there to be told.
static __always_inline __u16 await_proxy(const struct chap_socket *socket, __u64 netns)
{
	struct chap_lease *now = current_lease();

	if (!now || !is_daemon_expected(now))
		return 0;
	tell_stranger(netns, socket->cgroup_id);
	return now->port;
}

// Of a packet of a socket that was let through. The tables may have changed since.
static __always_inline bool still_let(struct chap_socket *socket)
{
	struct chap_lease *now = current_lease();
	struct chap_verdict *verdict;
	struct address to = {};

	if (!(socket->flags & CHAP_BY_VERDICT))
		return true; // to a resolver, by the settings
	if (!now)
		return false;
	if (socket->verdicts == now->generation)
		return true;
	copy_ip(to.ip, socket->destination);
	to.port = socket->destination_port;
	verdict = look_up_verdict(socket->cgroup_id, socket->protocol, &to);
	if (!verdict || verdict->action != CHAP_LET)
		return false;
	socket->verdicts = now->generation;
	return true;
}

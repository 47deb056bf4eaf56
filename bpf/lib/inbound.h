// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Whom a governed listener takes. Nobody from outside its workload, but for callers that a table
// names by address or by workload, and the proxy where it calls for a workload that policy has
// decided about. A caller of this network namespace is known by his own socket, which the kernel
// finds; one from elsewhere by his address.
#pragma once

#include "bpf/lib/direct.h"
#include "bpf/lib/event.h"
#include "bpf/lib/packet.h"
#include "bpf/lib/workload.h"

enum caller_kind {
	CALLER_REFUSED = 0,
	CALLER_ADDRESS,	 // from outside, let by his address
	CALLER_WORKLOAD, // governed: its record is the caller's
	CALLER_PROXY,
};

static __always_inline struct chap_verdict *look_up_caller(__u64 listener, struct chap_prefix *key,
							   __u16 port)
{
	void *table = bpf_map_lookup_elem(&inbound, &listener);
	struct chap_verdict *found;

	if (!table)
		return NULL;
	key->length = 8 * (sizeof(*key) - sizeof(key->length));
	key->port = port;
	found = bpf_map_lookup_elem(table, key);
	if (found)
		return found;
	key->port = 0;
	return bpf_map_lookup_elem(table, key);
}

static __always_inline bool takes_address(__u64 listener, __u8 protocol, __u16 port,
					  const __u32 ip[4])
{
	struct chap_prefix key = {};
	struct chap_verdict *verdict;

	key.protocol = protocol;
	key.kind = CHAP_BY_ADDRESS;
	copy_ip(key.ip, ip);
	verdict = look_up_caller(listener, &key, port);
	return verdict && verdict->action == CHAP_LET;
}

static __always_inline bool takes_workload(__u64 listener, __u8 protocol, __u16 port, __u64 caller)
{
	struct chap_prefix key = {};
	struct chap_verdict *verdict;

	if (caller == listener)
		return true; // the same workload
	key.protocol = protocol;
	key.kind = CHAP_BY_WORKLOAD;
	key.ip[0] = (__u32)caller;
	key.ip[1] = (__u32)(caller >> 32);
	verdict = look_up_caller(listener, &key, port);
	return verdict && verdict->action == CHAP_LET;
}

// The workload of a socket that has no record: the deepest governed ancestor of its cgroup.
static __always_inline struct chap_workload *workload_of_sock(struct bpf_sock *sk, __u64 *cgroup_id)
{
	for (int level = CHAP_MAX_LEVELS - 1; level >= 0; level--) {
		__u64 id = bpf_sk_ancestor_cgroup_id(sk, level);
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

// The record of a socket that packets come to. One that was made before its cgroup was governed gets
// it here, so that what it accepts inherits it. NULL: nobody's; nothing may come in.
static __always_inline struct chap_socket *receiver_of(struct bpf_sock *sk)
{
	struct chap_socket *socket = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct chap_workload *workload;
	__u64 id;

	if (!socket)
		return NULL;
	id = socket->cgroup_id;
	workload = id ? bpf_map_lookup_elem(&workloads, &id) : NULL;
	if (workload && workload->epoch == socket->epoch)
		return socket;
	workload = workload_of_sock(sk, &id);
	if (!workload)
		return NULL;
	socket->cgroup_id = id;
	socket->epoch = workload->epoch;
	return socket;
}

// The sender's own socket, where it is of this network namespace. To be released.
static __always_inline struct bpf_sock *find_sender(struct __sk_buff *skb,
						    const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size;

	if (is_v4(packet->from.ip)) {
		tuple.ipv4.saddr = packet->to.ip[3];
		tuple.ipv4.daddr = packet->from.ip[3];
		tuple.ipv4.sport = packet->to.port;
		tuple.ipv4.dport = packet->from.port;
		size = sizeof(tuple.ipv4);
	} else {
		copy_ip(tuple.ipv6.saddr, packet->to.ip);
		copy_ip(tuple.ipv6.daddr, packet->from.ip);
		tuple.ipv6.sport = packet->to.port;
		tuple.ipv6.dport = packet->from.port;
		size = sizeof(tuple.ipv6);
	}
	if (packet->protocol == IPPROTO_TCP)
		return bpf_sk_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	return bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

static __always_inline bool is_core(struct bpf_sock *sk)
{
	__u32 key = 0;
	struct chap_settings *now = bpf_map_lookup_elem(&settings, &key);

	return now && now->core != 0 && bpf_sk_cgroup_id(sk) == now->core;
}

// The proxy may reach the one workload that it has decided about, and no other.
static __always_inline enum caller_kind take_proxy(const struct chap_dial *dial,
						   const struct chap_socket *listener)
{
	if (dial->cgroup_id == CHAP_ANY_WORKLOAD)
		return CALLER_PROXY;
	if (dial->cgroup_id == listener->cgroup_id && dial->epoch == listener->epoch)
		return CALLER_PROXY;
	return CALLER_REFUSED;
}

// Whether somebody of this host calls, and may; `known` is false where it is nobody of whom more
// than the address is known.
static __always_inline enum caller_kind judge_sender(struct bpf_sock *sender,
						     const struct packet *packet,
						     const struct chap_socket *listener,
						     struct chap_socket **record, bool *known)
{
	struct chap_socket *from;
	struct chap_dial *dial;

	*known = true;
	if (packet->protocol == IPPROTO_TCP) {
		// Else it is a listener that happens to have the port.
		if (sender->state == BPF_TCP_LISTEN || sender->dst_port != packet->to.port) {
			*known = false;
			return CALLER_REFUSED;
		}
		dial = bpf_sk_storage_get(&dialled, sender, 0, 0);
		if (dial)
			return take_proxy(dial, listener);
	}
	from = bpf_sk_storage_get(&sockets, sender, 0, 0);
	if (from) {
		*record = from;
		if (from->state != CHAP_DIRECT || !(from->flags & CHAP_BY_VERDICT))
			return CALLER_REFUSED;
		return takes_workload(listener->cgroup_id, packet->protocol, packet->to.port,
				      from->cgroup_id)
			       ? CALLER_WORKLOAD
			       : CALLER_REFUSED;
	}
	if (is_core(sender))
		return CALLER_REFUSED; // it says for whom, or it does not call
	*known = false;
	return CALLER_REFUSED;
}

static __always_inline enum caller_kind judge_caller(struct __sk_buff *skb,
						     const struct packet *packet,
						     const struct chap_socket *listener,
						     struct chap_socket **record)
{
	struct bpf_sock *sender = find_sender(skb, packet);
	enum caller_kind kind = CALLER_REFUSED;
	bool known = false;

	if (sender) {
		kind = judge_sender(sender, packet, listener, record, &known);
		bpf_sk_release(sender);
	}
	if (known)
		return kind;
	if (takes_address(listener->cgroup_id, packet->protocol, packet->to.port,
			  packet->from.ip) &&
	    is_recordable(current_lease()))
		return CALLER_ADDRESS;
	return CALLER_REFUSED;
}

// Of a connection that was accepted, and a sender that was let in: the tables may have changed.
static __always_inline bool still_taken(struct chap_socket *socket, const __u32 ip[4], __u16 port)
{
	struct chap_lease *now = current_lease();
	bool taken;

	if (socket->flags & CHAP_CARRIED)
		return true; // the proxy ends it
	if (!now)
		return false;
	if (socket->verdicts == now->generation)
		return true;
	taken = socket->peer ? takes_workload(socket->cgroup_id, socket->protocol, port,
					      socket->peer)
			     : takes_address(socket->cgroup_id, socket->protocol, port, ip);
	if (taken)
		socket->verdicts = now->generation;
	return taken;
}

static __always_inline void set_caller_flow(struct chap_flow *flow, __u64 netns,
					    const struct address *client,
					    const struct address *listener)
{
	flow->netns = netns;
	copy_ip(flow->client, client->ip);
	copy_ip(flow->proxy, listener->ip);
	flow->client_port = client->port;
	flow->proxy_port = listener->port;
	flow->protocol = IPPROTO_TCP;
}

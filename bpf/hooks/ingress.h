// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Each packet to a governed socket, on its way in. What comes to a listener or to a datagram socket
// from outside the workload comes in only where policy says so; what comes back from whom the socket
// called does. Datagrams of peers that a verdict lets a socket speak with are counted.
#pragma once

#include "bpf/hooks/egress.h"
#include "bpf/lib/inbound.h"

static __always_inline int refuse_caller(const struct chap_socket *listener,
					 const struct chap_socket *caller,
					 const struct packet *packet)
{
	count(CHAP_REFUSED_INBOUND);
	tell_caller(caller, listener, packet->protocol, 0, &packet->from, &packet->to);
	return CHAP_DROP;
}

// The handshake. Who was let is known again when it ends (sockops).
static __always_inline int call_listener(struct __sk_buff *skb, struct bpf_sock *sk,
					 const struct packet *packet)
{
	struct chap_socket *listener = receiver_of(sk), *record = NULL;
	struct chap_socket carried = {};
	struct chap_flow flow = {};
	enum caller_kind kind = CALLER_REFUSED;

	if (listener)
		kind = judge_caller(skb, packet, listener, &record);
	if (!listener || kind == CALLER_REFUSED)
		return refuse_caller(listener, record, packet);
	set_caller_flow(&flow, listener->netns, &packet->from, &packet->to);
	if (kind == CALLER_ADDRESS) {
		// Of whoever had the port before, and gave up: he is not this one.
		bpf_map_delete_elem(&callers, &flow);
		return CHAP_PASS;
	}
	if (kind == CALLER_WORKLOAD && record) {
		bpf_map_update_elem(&callers, &flow, record, BPF_ANY);
		return CHAP_PASS;
	}
	carried.flags = CHAP_CARRIED;
	bpf_map_update_elem(&callers, &flow, &carried, BPF_ANY);
	return CHAP_PASS;
}

static __always_inline int receive_stream(struct __sk_buff *skb, struct bpf_sock *sk,
					  const struct packet *packet)
{
	struct chap_socket *socket;

	if (sk->state == BPF_TCP_LISTEN)
		return call_listener(skb, sk, packet);
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	// Without storage: connected before its cgroup was governed.
	if (!socket || socket->state == CHAP_SHUT) {
		count(CHAP_DROPPED_PACKETS);
		return CHAP_DROP;
	}
	if (socket->state != CHAP_ACCEPTED ||
	    still_taken(socket, packet->from.ip, packet->to.port))
		return CHAP_PASS;
	return refuse_caller(socket, NULL, packet);
}

// Whether these are the answers of a resolver: the proxy's, or as the settings say anybody's.
static __always_inline bool is_resolver(const struct packet *packet, __u64 netns)
{
	struct chap_listener *at = bpf_map_lookup_elem(&listeners, &netns);

	if (packet->from.port == bpf_htons(53) && dns_mode() == CHAP_DNS_DIRECT)
		return true;
	return at && is_loopback(packet->from.ip) &&
	       packet->from.port == (is_v4(packet->from.ip) ? at->dns4 : at->dns6);
}

// A governed sender: the talk that he is in shows that his own verdicts let him, and learns whom it
// is with.
static __always_inline bool meet_sender(const struct chap_socket *from, const struct packet *packet,
					__u64 listener)
{
	struct chap_talk_key key = {};
	struct chap_talk *talk;

	set_talk_key(&key, from, &packet->to);
	talk = bpf_map_lookup_elem(&talks, &key);
	if (!talk)
		return false;
	talk->socket.peer = listener;
	return true;
}

static __always_inline int receive_datagram(struct __sk_buff *skb, struct bpf_sock *sk,
					    const struct packet *packet)
{
	struct chap_socket *socket = receiver_of(sk), *record = NULL;
	__u32 bytes = payload_of(skb, packet);

	if (!socket)
		return refuse_caller(socket, NULL, packet);
	if (socket->cookie == 0)
		socket->cookie = bpf_get_socket_cookie(skb);
	if (note_received(socket, packet, bytes) || is_resolver(packet, socket->netns))
		return CHAP_PASS;
	switch (judge_caller(skb, packet, socket, &record)) {
	case CALLER_WORKLOAD:
		if (record && meet_sender(record, packet, socket->cgroup_id) &&
		    begin_inbound(socket, sk, packet, bytes, record->cgroup_id))
			return CHAP_PASS;
		break;
	case CALLER_ADDRESS:
		if (begin_inbound(socket, sk, packet, bytes, 0))
			return CHAP_PASS;
		break;
	case CALLER_PROXY:
	case CALLER_REFUSED:
		break;
	}
	return refuse_caller(socket, record, packet);
}

SEC("cgroup_skb/ingress")
int chap_ingress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct packet packet = {};

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || !read_packet(skb, &packet)) {
		count(CHAP_DROPPED_PACKETS);
		return CHAP_DROP;
	}
	if (packet.protocol == IPPROTO_UDP)
		return receive_datagram(skb, sk, &packet);
	return receive_stream(skb, sk, &packet);
}

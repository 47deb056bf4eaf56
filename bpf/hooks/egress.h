// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Each packet of a governed socket, on its way out. Rewriting an address is not enough: routing
// headers, source routes and sockets bound to a device take a packet "to 127.0.0.1" elsewhere.
// Passed is only plain TCP and UDP to the one peer that the socket's state names, or on loopback.
#pragma once

#include "bpf/lib/direct.h"
#include "bpf/lib/event.h"
#include "bpf/lib/inbound.h"
#include "bpf/lib/talk.h"

// The proxy's resolver learns by its peer's address who asks.
static __always_inline void note_sender(const struct packet *packet, struct chap_socket *socket)
{
	struct chap_flow flow = {};

	flow.netns = socket->netns;
	copy_ip(flow.client, packet->from.ip);
	copy_ip(flow.proxy, packet->to.ip);
	flow.client_port = packet->from.port;
	flow.proxy_port = packet->to.port;
	flow.protocol = IPPROTO_UDP;
	bpf_map_update_elem(&datagrams, &flow, socket, BPF_ANY);
}

// Whether the proxy that the socket was aimed at has come.
static __always_inline bool has_proxy(struct chap_socket *socket, bool tcp)
{
	__u64 netns = socket->netns;
	struct chap_listener *at = bpf_map_lookup_elem(&listeners, &netns);
	bool v4 = is_v4(socket->proxy);
	__u16 port;

	if (!at)
		return false;
	port = tcp ? (v4 ? at->tcp4 : at->tcp6) : (v4 ? at->dns4 : at->dns6);
	if (port != socket->proxy_port)
		return false;
	socket->state = CHAP_REDIRECTED;
	return true;
}

// What waits for the proxy is sent again soon: a SYN by the kernel, a question by who asks it, who
// is told that it was sent.
static __always_inline bool is_early(const struct packet *packet, struct chap_socket *socket,
				     bool inside)
{
	return socket->state == CHAP_WAITING && inside &&
	       packet->to.port == socket->proxy_port && same_ip(packet->to.ip, socket->proxy) &&
	       !has_proxy(socket, packet->protocol == IPPROTO_TCP);
}

// Answers to who called. On the host's own wire those that its listener took; elsewhere only where
// his address is let.
static __always_inline bool may_answer(const struct packet *packet, struct chap_socket *socket,
				       const struct bpf_sock *sk, bool on_lo)
{
	const struct address *to = &packet->to;

	if (sk->bound_dev_if != 0 && !on_lo)
		return false;
	if (socket->flags & CHAP_CARRIED || socket->peer)
		return on_lo && still_taken(socket, to->ip, packet->from.port);
	return (socket->flags & CHAP_INBOUND) && to->port == socket->destination_port &&
	       same_ip(to->ip, socket->destination) &&
	       still_taken(socket, to->ip, packet->from.port);
}

// A listener sends nothing but answers to handshakes, which came to it because it takes them.
static __always_inline bool may_greet(const struct packet *packet, struct bpf_sock *sk,
				      bool inside, bool on_lo)
{
	struct chap_socket *socket;
	struct chap_flow flow = {};

	if (inside)
		return true;
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!socket)
		return false;
	if (on_lo) {
		set_caller_flow(&flow, socket->netns, &packet->to, &packet->from);
		if (bpf_map_lookup_elem(&callers, &flow))
			return true;
	} else if (sk->bound_dev_if != 0) {
		return false;
	}
	return takes_address(socket->cgroup_id, IPPROTO_TCP, packet->from.port, packet->to.ip);
}

static __always_inline bool may_leave(const struct packet *packet, struct chap_socket *socket,
				      struct bpf_sock *sk, bool inside, bool on_lo)
{
	const struct address *to = &packet->to;
	bool tcp = packet->protocol == IPPROTO_TCP;

	switch (socket->state) {
	case CHAP_REDIRECTED:
		if (!inside || to->port != socket->proxy_port || !same_ip(to->ip, socket->proxy))
			return false;
		if (!tcp)
			note_sender(packet, socket);
		return true;
	case CHAP_DIRECT:
		if (!tcp && (socket->flags & CHAP_BY_VERDICT))
			return may_talk(socket, sk, to);
		if (to->port != socket->destination_port || !same_ip(to->ip, socket->destination))
			return false;
		if ((socket->flags & CHAP_BY_VERDICT) && sk->bound_dev_if != 0)
			return false; // bound since
		return still_let(socket);
	case CHAP_ACCEPTED:
		return tcp && may_answer(packet, socket, sk, on_lo);
	case CHAP_NEW:
		return tcp && inside;
	default:
		return false;
	}
}

// Of a connection that is not let any more the other side hears so: a reset to who it was with.
static __always_inline bool may_reset(struct __sk_buff *skb, const struct packet *packet,
				      const struct chap_socket *socket, const struct bpf_sock *sk)
{
	if (packet->protocol != IPPROTO_TCP || !(socket->flags & CHAP_BY_VERDICT) ||
	    sk->bound_dev_if != 0)
		return false;
	if (socket->state != CHAP_DIRECT && socket->state != CHAP_ACCEPTED)
		return false;
	return packet->to.port == socket->destination_port &&
	       same_ip(packet->to.ip, socket->destination) && is_bare_reset(skb, packet);
}

SEC("cgroup_skb/egress")
int chap_egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct chap_socket *socket = NULL;
	struct packet packet = {};
	bool inside, on_lo;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || !read_packet(skb, &packet))
		goto drop;
	on_lo = skb->ifindex == LOOPBACK_IFINDEX;
	inside = on_lo && is_loopback(packet.to.ip);
	// It may be older than its governing.
	if (sk->state == BPF_TCP_LISTEN && packet.protocol == IPPROTO_TCP) {
		if (may_greet(&packet, sk, inside, on_lo))
			return CHAP_PASS;
		goto drop;
	}
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (socket && is_early(&packet, socket, inside))
		return packet.protocol == IPPROTO_TCP ? CHAP_DROP : CHAP_LOSE;
	// Without storage: connected before its cgroup was governed. That way out ends here.
	if (!socket)
		goto drop;
	if (!may_leave(&packet, socket, sk, inside, on_lo)) {
		if (may_reset(skb, &packet, socket, sk))
			return CHAP_PASS;
		goto drop;
	}
	if (packet.protocol == IPPROTO_UDP && (socket->flags & CHAP_BY_VERDICT) &&
	    !note_sent(socket, sk, &packet.from, &packet.to, payload_of(skb, &packet)))
		goto drop;
	return CHAP_PASS;
drop:
	count(CHAP_DROPPED_PACKETS);
	tell_packet(socket, packet.protocol, &packet.to);
	return CHAP_DROP;
}

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Each packet of a governed socket, on its way out. Rewriting an address is not enough: routing
// headers, source routes and sockets bound to a device take a packet "to 127.0.0.1" elsewhere.
// Passed is only plain TCP and UDP to the one peer that the socket's state names, or on loopback.
#pragma once

#include "bpf/lib/direct.h"
#include "bpf/lib/event.h"
#include "bpf/lib/talk.h"

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define LOOPBACK_IFINDEX 1 // in every network namespace
#define PLAIN_IHL 5	   // an IPv4 header without options
#define IP_FRAGMENT 0x3fff // more fragments, or an offset

struct packet {
	struct address from;
	struct address to;
	__u8 protocol;
};

static __always_inline bool read_ip(struct __sk_buff *skb, struct packet *packet, __u32 *size)
{
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) != 0)
			return false;
		if (ip.version != 4 || ip.ihl != PLAIN_IHL || ip.frag_off & bpf_htons(IP_FRAGMENT))
			return false;
		set_v4(packet->from.ip, ip.saddr);
		set_v4(packet->to.ip, ip.daddr);
		packet->protocol = ip.protocol;
		*size = sizeof(ip);
		return true;
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) != 0 || ip.version != 6)
			return false;
		copy_ip(packet->from.ip, ip.saddr.in6_u.u6_addr32);
		copy_ip(packet->to.ip, ip.daddr.in6_u.u6_addr32);
		packet->protocol = ip.nexthdr; // an extension header is none of ours: dropped
		*size = sizeof(ip);
		return true;
	}
	return false;
}

static __always_inline bool read_packet(struct __sk_buff *skb, struct packet *packet)
{
	__u16 ports[2]; // source and destination stand first in TCP and in UDP
	__u32 size = 0;

	if (!read_ip(skb, packet, &size))
		return false;
	if (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP)
		return false;
	if (bpf_skb_load_bytes(skb, size, ports, sizeof(ports)) != 0)
		return false;
	packet->from.port = ports[0];
	packet->to.port = ports[1];
	return true;
}

#define UDP_HEADER 8

// Of a datagram, in bytes.
static __always_inline __u32 payload_of(const struct __sk_buff *skb, const struct packet *packet)
{
	__u32 headers = UDP_HEADER + (is_v4(packet->to.ip) ? (__u32)sizeof(struct iphdr)
							   : (__u32)sizeof(struct ipv6hdr));

	return skb->len > headers ? skb->len - headers : 0;
}

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

static __always_inline bool may_leave(const struct packet *packet, struct chap_socket *socket,
				      const struct bpf_sock *sk, bool inside)
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
	case CHAP_NEW:
	case CHAP_ACCEPTED:
		return tcp && inside;
	default:
		return false;
	}
}

SEC("cgroup_skb/egress")
int chap_egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct chap_socket *socket = NULL;
	struct packet packet = {};
	bool inside;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || !read_packet(skb, &packet))
		goto drop;
	inside = skb->ifindex == LOOPBACK_IFINDEX && is_loopback(packet.to.ip);
	// A listener sends nothing but answers to handshakes, and may be older than its governing.
	if (sk->state == BPF_TCP_LISTEN && packet.protocol == IPPROTO_TCP && inside)
		return CHAP_PASS;
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	// Without storage: connected before its cgroup was governed. That way out ends here.
	if (!socket || !may_leave(&packet, socket, sk, inside))
		goto drop;
	if (packet.protocol == IPPROTO_UDP && (socket->flags & CHAP_BY_VERDICT) &&
	    !note_sent(socket, &packet.from, &packet.to, payload_of(skb, &packet)))
		goto drop;
	return CHAP_PASS;
drop:
	count(CHAP_DROPPED_PACKETS);
	tell_packet(socket, packet.protocol, &packet.to);
	return CHAP_DROP;
}

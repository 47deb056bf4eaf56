// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What a packet says of itself, as far as the packet hooks look at it. Only plain TCP and UDP is
// read: anything else could go elsewhere than its addresses say.
#pragma once

#include "bpf/lib/address.h"

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define LOOPBACK_IFINDEX 1 // in every network namespace
#define PLAIN_IHL 5	   // an IPv4 header without options
#define IP_FRAGMENT 0x3fff // more fragments, or an offset
#define UDP_HEADER 8
#define TCP_LENGTH_AND_FLAGS 12
#define TCP_RST 4

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

// Whether it is a reset and nothing else: no payload, so that it carries nothing to anybody.
static __always_inline bool is_bare_reset(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 ip = is_v4(packet->to.ip) ? (__u32)sizeof(struct iphdr)
					: (__u32)sizeof(struct ipv6hdr);
	__u8 ends[2]; // the header's length in words of four bytes, and the flags

	if (bpf_skb_load_bytes(skb, ip + TCP_LENGTH_AND_FLAGS, ends, sizeof(ends)) != 0)
		return false;
	return (ends[1] & TCP_RST) && skb->len == ip + (ends[0] >> 4) * 4;
}

// Of a datagram, in bytes.
static __always_inline __u32 payload_of(const struct __sk_buff *skb, const struct packet *packet)
{
	__u32 headers = UDP_HEADER + (is_v4(packet->to.ip) ? (__u32)sizeof(struct iphdr)
							   : (__u32)sizeof(struct ipv6hdr));

	return skb->len > headers ? skb->len - headers : 0;
}

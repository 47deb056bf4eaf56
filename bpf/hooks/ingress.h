// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Datagrams on their way in, of peers that a verdict lets a socket speak with: counted.
#pragma once

#include "bpf/hooks/egress.h"

SEC("cgroup_skb/ingress")
int chap_ingress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct chap_socket *socket;
	struct packet packet = {};

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->protocol != IPPROTO_UDP)
		return CHAP_PASS;
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!socket || !(socket->flags & CHAP_BY_VERDICT) || !read_packet(skb, &packet))
		return CHAP_PASS;
	note_received(socket, &packet.from, payload_of(skb, &packet));
	return CHAP_PASS;
}

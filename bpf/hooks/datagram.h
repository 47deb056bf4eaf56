// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// UDP. Nothing leaves but to peers that a verdict of policy lets, and questions to a resolver, as
// the settings say: not at all, directly, or to the proxy's resolver. A connect to anywhere else
// passes, since libraries use it to ask for routes; what is then sent, the egress hook drops.
#pragma once

#include "bpf/lib/record.h"
#include "bpf/lib/talk.h"

static __always_inline int resolve(struct bpf_sock_addr *ctx, struct chap_socket *socket,
				   const struct address *to, __u32 mode)
{
	__u64 netns = bpf_get_netns_cookie(ctx);
	struct chap_listener *at = bpf_map_lookup_elem(&listeners, &netns);
	__u16 port;

	if (mode == CHAP_DNS_DIRECT) {
		record(ctx, socket, to, CHAP_DIRECT);
		count(CHAP_DIRECTS);
		return CHAP_PASS;
	}
	if (mode != CHAP_DNS_REDIRECT)
		return refuse(CHAP_REFUSED_DATAGRAMS, EPERM);
	port = !at ? await_proxy(socket, netns) : is_v4(to->ip) ? at->dns4 : at->dns6;
	if (port == 0 || (at && !is_proxy_alive()))
		return refuse(CHAP_REFUSED_DATAGRAMS, ECONNREFUSED);
	record(ctx, socket, to, at ? CHAP_REDIRECTED : CHAP_WAITING);
	aim(socket, to, port);
	// Stays set: a datagram socket is aimed anew by each call that names an address.
	socket->flags = CHAP_PENDING;
	count(CHAP_REDIRECTS);
	return CHAP_REWRITE;
}

static __always_inline int connect_udp(struct bpf_sock_addr *ctx, struct chap_socket *socket,
				       const struct address *to)
{
	__u32 mode = dns_mode();

	if (is_rewritten(socket, to))
		return CHAP_PASS;
	if (decide_datagram(ctx, socket, to) == CHAP_LET)
		return CHAP_PASS;
	if (to->port == bpf_htons(53) && mode != CHAP_DNS_DENY)
		return resolve(ctx, socket, to, mode);
	socket->state = CHAP_NEW;
	socket->flags = 0;
	return CHAP_PASS;
}

static __always_inline int send_to(struct bpf_sock_addr *ctx, struct chap_socket *socket,
				   const struct address *to)
{
	if (ctx->type != SOCK_DGRAM || ctx->protocol != IPPROTO_UDP)
		return refuse(CHAP_REFUSED_DATAGRAMS, EPERM);
	// A connected socket that sends with control data names no address; egress decides.
	if (to->port == 0 && is_unspecified(to->ip))
		return CHAP_PASS;
	if (is_rewritten(socket, to))
		return CHAP_PASS;
	if (!claim(socket))
		return refuse(CHAP_REFUSED_DATAGRAMS, EPERM);
	switch (decide_datagram(ctx, socket, to)) {
	case CHAP_LET:
		return CHAP_PASS;
	case CHAP_REFUSE:
	case CHAP_ASK:
		break;
	}
	if (to->port != bpf_htons(53))
		return refuse(CHAP_REFUSED_DATAGRAMS, EPERM);
	return resolve(ctx, socket, to, dns_mode());
}

SEC("cgroup/sendmsg4")
int chap_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct chap_socket *socket = socket_of(ctx);
	struct address to;
	int verdict, already;

	if (!socket)
		return refuse(CHAP_REFUSED_DATAGRAMS, EPERM);
	read_user4(&to, ctx);
	already = bpf_get_retval();
	verdict = send_to(ctx, socket, &to);
	if (verdict == CHAP_DROP)
		tell_call(CHAP_REFUSED_DATAGRAMS, socket->cgroup_id, ctx->type, ctx->protocol, &to,
			  already);
	if (verdict != CHAP_REWRITE)
		return verdict;
	write_user4(ctx, socket->proxy, socket->proxy_port);
	return CHAP_PASS;
}

SEC("cgroup/sendmsg6")
int chap_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct chap_socket *socket = socket_of(ctx);
	struct address to;
	int verdict, already;

	if (!socket)
		return refuse(CHAP_REFUSED_DATAGRAMS, EPERM);
	read_user6(&to, ctx);
	already = bpf_get_retval();
	verdict = send_to(ctx, socket, &to);
	if (verdict == CHAP_DROP)
		tell_call(CHAP_REFUSED_DATAGRAMS, socket->cgroup_id, ctx->type, ctx->protocol, &to,
			  already);
	if (verdict != CHAP_REWRITE)
		return verdict;
	write_user6(ctx, socket->proxy, socket->proxy_port);
	return CHAP_PASS;
}

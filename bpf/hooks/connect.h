// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// connect() and MSG_FASTOPEN: a TCP connect is written down and sent to the proxy; a UDP connect
// passes unchanged unless it is to a resolver, since libraries use it to ask for routes, and the
// egress hook drops what is then sent. What policy decides by address and port alone is decided
// here: let through, or EPERM.
#pragma once

#include "bpf/hooks/datagram.h"
#include "bpf/lib/direct.h"
#include "bpf/lib/record.h"

#define SOL_SOCKET 1
#define SO_BINDTODEVICE 25

// A socket bound to a device would take "to 127.0.0.1" out on that device.
static __always_inline bool keep_on_loopback(struct bpf_sock_addr *ctx)
{
	char device[] = "lo";
	struct bpf_sock *sk = ctx->sk;

	if (!sk || sk->bound_dev_if == 0)
		return true;
	return bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, device, sizeof(device)) == 0;
}

// CHAP_LET and written down so, CHAP_REFUSE, or CHAP_ASK.
static __always_inline enum chap_action decide_here(struct bpf_sock_addr *ctx,
						    struct chap_socket *socket,
						    const struct address *to)
{
	struct chap_verdict *verdict = look_up_verdict(socket->cgroup_id, IPPROTO_TCP, to);
	struct chap_lease *now = current_lease();
	struct bpf_sock *sk = ctx->sk;

	if (!verdict || verdict->action == CHAP_ASK)
		return CHAP_ASK;
	if (verdict->action != CHAP_LET)
		return CHAP_REFUSE;
	// Bound to a device, the address may be another host's than the one that policy means.
	if (!now || !is_recordable(now) || !sk || sk->bound_dev_if != 0)
		return CHAP_ASK;
	// The pass of an outer cgroup's hook over the same call.
	if (socket->state == CHAP_DIRECT && socket->flags == (CHAP_PENDING | CHAP_BY_VERDICT) &&
	    socket->destination_port == to->port && same_ip(socket->destination, to->ip))
		return CHAP_LET;
	record(ctx, socket, to, CHAP_DIRECT);
	socket->flags = CHAP_PENDING | CHAP_BY_VERDICT;
	socket->verdicts = now->generation;
	socket->tag = verdict->tag;
	count(CHAP_LET_THROUGH);
	return CHAP_LET;
}

static __always_inline int connect_tcp(struct bpf_sock_addr *ctx, struct chap_socket *socket,
				       const struct address *to)
{
	__u64 netns = bpf_get_netns_cookie(ctx);
	struct chap_listener *at = bpf_map_lookup_elem(&listeners, &netns);
	__u16 port;

	if (is_rewritten(socket, to))
		return CHAP_PASS;
	if (to->port == 0)
		return refuse(CHAP_REFUSED_CONNECTS, ECONNREFUSED);
	if (!at) {
		port = await_proxy(socket, netns);
		if (port == 0)
			return refuse(CHAP_REFUSED_CONNECTS, ECONNREFUSED);
		if (!keep_on_loopback(ctx))
			return refuse(CHAP_REFUSED_CONNECTS, EPERM);
		record(ctx, socket, to, CHAP_WAITING);
		goto aim;
	}
	if (is_door(to, at))
		return refuse(CHAP_REFUSED_CONNECTS, EPERM);
	switch (decide_here(ctx, socket, to)) {
	case CHAP_LET:
		return CHAP_PASS;
	case CHAP_REFUSE:
		return refuse(CHAP_REFUSED_CONNECTS, EPERM);
	case CHAP_ASK:
		break;
	}
	if (to->port == bpf_htons(53) && dns_mode() == CHAP_DNS_DIRECT) {
		record(ctx, socket, to, CHAP_DIRECT);
		count(CHAP_DIRECTS);
		return CHAP_PASS;
	}
	port = is_v4(to->ip) ? at->tcp4 : at->tcp6;
	if (port == 0 || !is_proxy_alive())
		return refuse(CHAP_REFUSED_CONNECTS, ECONNREFUSED);
	if (!keep_on_loopback(ctx))
		return refuse(CHAP_REFUSED_CONNECTS, EPERM);
	record(ctx, socket, to, CHAP_REDIRECTED);
aim:
	aim(socket, to, port);
	socket->flags = CHAP_PENDING;
	count(CHAP_REDIRECTS);
	return CHAP_REWRITE;
}

static __always_inline int connect_to(struct bpf_sock_addr *ctx, struct chap_socket *socket,
				      const struct address *to)
{
	if (!claim(socket))
		return refuse(CHAP_REFUSED_CONNECTS, EPERM);
	if (ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP)
		return connect_tcp(ctx, socket, to);
	if (ctx->type == SOCK_DGRAM && ctx->protocol == IPPROTO_UDP)
		return connect_udp(ctx, socket, to);
	return refuse(CHAP_REFUSED_CONNECTS, EPERM);
}

SEC("cgroup/connect4")
int chap_connect4(struct bpf_sock_addr *ctx)
{
	struct chap_socket *socket = socket_of(ctx);
	struct address to;
	int verdict, already;

	if (!socket)
		return refuse(CHAP_REFUSED_CONNECTS, EPERM);
	read_user4(&to, ctx);
	already = bpf_get_retval();
	verdict = connect_to(ctx, socket, &to);
	if (verdict == CHAP_DROP)
		tell_call(CHAP_REFUSED_CONNECTS, socket->cgroup_id, ctx->type, ctx->protocol, &to,
			  already);
	if (verdict != CHAP_REWRITE)
		return verdict;
	write_user4(ctx, socket->proxy, socket->proxy_port);
	return CHAP_PASS;
}

SEC("cgroup/connect6")
int chap_connect6(struct bpf_sock_addr *ctx)
{
	struct chap_socket *socket = socket_of(ctx);
	struct address to;
	int verdict, already;

	if (!socket)
		return refuse(CHAP_REFUSED_CONNECTS, EPERM);
	read_user6(&to, ctx);
	already = bpf_get_retval();
	verdict = connect_to(ctx, socket, &to);
	if (verdict == CHAP_DROP)
		tell_call(CHAP_REFUSED_CONNECTS, socket->cgroup_id, ctx->type, ctx->protocol, &to,
			  already);
	if (verdict != CHAP_REWRITE)
		return verdict;
	write_user6(ctx, socket->proxy, socket->proxy_port);
	return CHAP_PASS;
}

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// getpeername() and recvfrom() show the agent the peer it meant. Only the address that was written
// into this socket's record is turned back, so a record that has grown old changes nothing.
// These hooks cannot refuse: they must return CHAP_PASS.
#pragma once

#include "bpf/lib/address.h"
#include "bpf/lib/verdict.h"

// The record of the socket when `from` is where it was redirected to.
static __always_inline struct chap_socket *redirected(struct bpf_sock_addr *ctx,
						      const struct address *from)
{
	struct bpf_sock *sk = ctx->sk;
	struct chap_socket *socket = sk ? bpf_sk_storage_get(&sockets, sk, 0, 0) : NULL;

	if (!socket || socket->state != CHAP_REDIRECTED)
		return NULL;
	if (from->port != socket->proxy_port || !same_ip(from->ip, socket->proxy))
		return NULL;
	return socket;
}

static __always_inline int show4(struct bpf_sock_addr *ctx)
{
	struct chap_socket *socket;
	struct address from;

	read_user4(&from, ctx);
	socket = redirected(ctx, &from);
	if (socket)
		write_user4(ctx, socket->destination, socket->destination_port);
	return CHAP_PASS;
}

static __always_inline int show6(struct bpf_sock_addr *ctx)
{
	struct chap_socket *socket;
	struct address from;

	read_user6(&from, ctx);
	socket = redirected(ctx, &from);
	if (socket)
		write_user6(ctx, socket->destination, socket->destination_port);
	return CHAP_PASS;
}

SEC("cgroup/getpeername4")
int chap_getpeername4(struct bpf_sock_addr *ctx)
{
	return show4(ctx);
}

SEC("cgroup/getpeername6")
int chap_getpeername6(struct bpf_sock_addr *ctx)
{
	return show6(ctx);
}

SEC("cgroup/recvmsg4")
int chap_recvmsg4(struct bpf_sock_addr *ctx)
{
	return show4(ctx);
}

SEC("cgroup/recvmsg6")
int chap_recvmsg6(struct bpf_sock_addr *ctx)
{
	return show6(ctx);
}

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Writes down who is going where, in the socket's own storage.
#pragma once

#include "bpf/lib/address.h"
#include "bpf/lib/event.h"
#include "bpf/lib/workload.h"

#include <linux/in.h>

// A socket made before its cgroup was governed has no storage yet: it gets it here.
static __always_inline struct chap_socket *socket_of(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk ? bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : NULL;
}

static __always_inline void record(struct bpf_sock_addr *ctx, struct chap_socket *socket,
				   const struct address *to, enum chap_state state)
{
	socket->cookie = bpf_get_socket_cookie(ctx);
	socket->netns = bpf_get_netns_cookie(ctx);
	socket->time_ns = bpf_ktime_get_ns();
	socket->tgid = bpf_get_current_pid_tgid() >> 32;
	socket->uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(socket->comm, sizeof(socket->comm));
	copy_ip(socket->destination, to->ip);
	socket->destination_port = to->port;
	socket->family = (__u8)ctx->family;
	socket->protocol = (__u8)ctx->protocol;
	socket->state = state;
	socket->flags = 0;
	socket->generation++;
}

// Points the record at the proxy. The caller writes socket->proxy into the system call's address.
static __always_inline void aim(struct chap_socket *socket, const struct address *to, __u16 port)
{
	set_loopback(socket->proxy, is_v4(to->ip));
	socket->proxy_port = port;
}

// The proxy's own door, by whatever name the agent calls it.
static __always_inline bool is_door(const struct address *to, const struct chap_listener *at)
{
	if (!is_loopback(to->ip) && !is_unspecified(to->ip))
		return false;
	return to->port == at->tcp4 || to->port == at->tcp6 || to->port == at->dns4 ||
	       to->port == at->dns6;
}

// Whether a hook of an inner cgroup has sent this very call to the proxy already.
static __always_inline bool is_rewritten(const struct chap_socket *socket, const struct address *to)
{
	return (socket->flags & CHAP_PENDING) && socket->proxy_port == to->port &&
	       same_ip(socket->proxy, to->ip);
}

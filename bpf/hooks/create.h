// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// socket(AF_INET | AF_INET6, …): only what the other hooks can follow may be created.
#pragma once

#include "bpf/lib/event.h"
#include "bpf/lib/workload.h"

#include <linux/in.h>

static __always_inline int check_kind(struct bpf_sock *ctx)
{
	// Programs that ask for MPTCP go on with TCP when the kernel has no MPTCP.
	if (ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_MPTCP)
		return refuse(CHAP_REFUSED_SOCKETS, EPROTONOSUPPORT);
	// Raw, ping, SCTP, UDP-Lite and L2TP sockets send without passing the connect hooks.
	if (!(ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP) &&
	    !(ctx->type == SOCK_DGRAM && ctx->protocol == IPPROTO_UDP))
		return refuse(CHAP_REFUSED_SOCKETS, EPERM);
	return CHAP_PASS;
}

SEC("cgroup/sock_create")
int chap_create(struct bpf_sock *ctx)
{
	int already = bpf_get_retval();
	struct chap_socket *socket;
	__u64 netns, id = 0;

	if (check_kind(ctx) != CHAP_PASS) {
		workload_of_task(&id);
		tell_call(CHAP_REFUSED_SOCKETS, id, ctx->type, ctx->protocol, NULL, already);
		return CHAP_DROP;
	}
	socket = bpf_sk_storage_get(&sockets, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!socket)
		return refuse(CHAP_REFUSED_SOCKETS, EPERM);
	if (!claim(socket))
		return refuse(CHAP_REFUSED_SOCKETS, EPERM);
	netns = bpf_get_netns_cookie(ctx);
	socket->netns = netns;
	if (!bpf_map_lookup_elem(&listeners, &netns))
		tell_stranger(netns, socket->cgroup_id);
	return CHAP_PASS;
}

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// bind(): an agent may not sit down at the proxy's port while the proxy is away. That nobody
// outside this host hears what it serves is the egress hook's work.
#pragma once

#include "bpf/lib/event.h"
#include "bpf/lib/workload.h"

static __always_inline int bind_to(struct bpf_sock_addr *ctx)
{
	__u64 netns = bpf_get_netns_cookie(ctx);
	struct chap_listener *at = bpf_map_lookup_elem(&listeners, &netns);
	__u16 port = (__u16)ctx->user_port;
	__u64 id = 0;

	if (!at || port == 0)
		return CHAP_PASS; // no proxy in this namespace; or a port of the kernel's choice
	if (port != at->tcp4 && port != at->tcp6 && port != at->dns4 && port != at->dns6)
		return CHAP_PASS;
	workload_of_task(&id);
	tell_call(CHAP_REFUSED_BINDS, id, ctx->type, ctx->protocol, NULL, bpf_get_retval());
	return refuse(CHAP_REFUSED_BINDS, EPERM);
}

SEC("cgroup/bind4")
int chap_bind4(struct bpf_sock_addr *ctx)
{
	return bind_to(ctx);
}

SEC("cgroup/bind6")
int chap_bind6(struct bpf_sock_addr *ctx)
{
	return bind_to(ctx);
}

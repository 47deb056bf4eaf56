// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The hand-over. On the agent's side, when the source port is known and the SYN not yet sent, the
// record goes into the flows map; on the proxy's side, when the handshake ends, it moves into the
// storage of the accepted socket. So it is there before accept() can return, and it lives exactly
// as long as that socket. A flow that never reaches the proxy is removed when the agent's socket
// closes. Of a connection that a verdict lets through, beginning and end are told instead.
#pragma once

#include "bpf/lib/address.h"
#include "bpf/lib/direct.h"
#include "bpf/lib/inbound.h"
#include "bpf/lib/verdict.h"

#include <linux/in.h>

// A SYN that waits for the proxy is sent again after 10 to 100 ms, as the kernel counts, and then
// ever later; after some seconds the connect times out.
#define SYN_AGAIN_JIFFIES 10

struct ends {
	__u32 local[4];
	__u32 remote[4];
	__u16 local_port;
	__u16 remote_port;
};

static __always_inline void read_ends(struct bpf_sock_ops *ctx, struct ends *ends, bool v4)
{
	if (v4) {
		__u32 local = ctx->local_ip4;
		__u32 remote;

		chap_barrier(local);
		remote = ctx->remote_ip4;
		chap_barrier(remote);
		set_v4(ends->local, local);
		set_v4(ends->remote, remote);
	} else {
		ends->local[0] = ctx->local_ip6[0];
		ends->local[1] = ctx->local_ip6[1];
		ends->local[2] = ctx->local_ip6[2];
		ends->local[3] = ctx->local_ip6[3];
		ends->remote[0] = ctx->remote_ip6[0];
		ends->remote[1] = ctx->remote_ip6[1];
		ends->remote[2] = ctx->remote_ip6[2];
		ends->remote[3] = ctx->remote_ip6[3];
	}
	ends->local_port = bpf_htons((__u16)ctx->local_port); // host order in this context
	ends->remote_port = bpf_htons((__u16)bpf_ntohl(ctx->remote_port));
}

static __always_inline void set_flow(struct chap_flow *flow, const __u32 client[4],
				     __u16 client_port, const __u32 proxy[4], __u16 proxy_port)
{
	copy_ip(flow->client, client);
	copy_ip(flow->proxy, proxy);
	flow->client_port = client_port;
	flow->proxy_port = proxy_port;
	flow->protocol = IPPROTO_TCP;
}

// The flow of a redirected agent socket. A v4-mapped one keeps its IPv4 addresses in other fields
// of the context; what it was aimed at tells.
static __always_inline bool agent_flow(struct bpf_sock_ops *ctx, const struct chap_socket *socket,
				       struct chap_flow *flow)
{
	struct ends ends;

	read_ends(ctx, &ends, is_v4(socket->proxy));
	if (ends.remote_port != socket->proxy_port || !same_ip(ends.remote, socket->proxy))
		return false;
	flow->netns = socket->netns;
	set_flow(flow, ends.local, ends.local_port, ends.remote, ends.remote_port);
	return true;
}

static __always_inline bool is_redirected(const struct chap_socket *socket)
{
	return socket->state == CHAP_REDIRECTED || socket->state == CHAP_WAITING;
}

static __always_inline void announce(struct bpf_sock_ops *ctx, struct chap_socket *socket)
{
	struct chap_flow flow = {};

	if (!is_redirected(socket) || !(socket->flags & CHAP_PENDING))
		return; // an outer cgroup's hook comes second and finds it done
	if (!agent_flow(ctx, socket, &flow))
		return;
	socket->flags = 0;
	if (bpf_map_update_elem(&flows, &flow, socket, BPF_ANY) != 0) {
		socket->flags = CHAP_ORPHAN;
		count(CHAP_ORPHANS);
		return;
	}
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void withdraw(struct bpf_sock_ops *ctx, const struct chap_socket *socket)
{
	struct chap_flow flow = {};
	struct chap_socket *found;

	if (!is_redirected(socket) || !agent_flow(ctx, socket, &flow))
		return;
	found = bpf_map_lookup_elem(&flows, &flow);
	if (found && found->cookie == socket->cookie) {
		bpf_map_delete_elem(&flows, &flow);
		count(CHAP_UNCLAIMED);
	}
}

// The sequence numbers that TCP acknowledged and received count SYN and FIN as one byte each.
// Whether the peer's FIN came in FIN_WAIT2 is told by what came since that state began.
static __always_inline void count_bytes(struct bpf_sock_ops *ctx, const struct chap_socket *socket,
					struct chap_direct *flow)
{
	__u32 before = ctx->args[0];
	bool called = socket->flags & CHAP_INBOUND; // its SYN was counted with the listener
	__u64 up = ctx->bytes_acked;
	__u64 down = ctx->bytes_received;

	if (up > 0 && !called)
		up--;
	if (up > 0 && (before == BPF_TCP_LAST_ACK || before == BPF_TCP_FIN_WAIT2 ||
		       before == BPF_TCP_CLOSING || before == BPF_TCP_TIME_WAIT))
		up--;
	if (down > 0 && (before == BPF_TCP_LAST_ACK || before == BPF_TCP_CLOSE_WAIT ||
			 before == BPF_TCP_CLOSING ||
			 (before == BPF_TCP_FIN_WAIT2 && (__u32)down != socket->received)))
		down--;
	flow->bytes_up = called ? down : up;
	flow->bytes_down = called ? up : down;
	flow->established = called || ctx->bytes_acked > 0;
}

static __always_inline bool tell_flow(struct bpf_sock_ops *ctx, const struct chap_socket *socket,
				      enum chap_flow_kind kind)
{
	struct chap_direct *flow = bpf_ringbuf_reserve(&directs, sizeof(*flow), 0);

	if (!flow)
		return false;
	__builtin_memcpy(&flow->socket, socket, sizeof(flow->socket));
	flow->time_ns = bpf_ktime_get_ns();
	flow->kind = kind;
	flow->local_port = (__u16)ctx->local_port;
	flow->bytes_up = 0;
	flow->bytes_down = 0;
	flow->established = 0;
	if (kind == CHAP_FLOW_CLOSED)
		count_bytes(ctx, socket, flow);
	bpf_ringbuf_submit(flow, 0);
	return true;
}

static __always_inline void open_direct(struct bpf_sock_ops *ctx, struct chap_socket *socket)
{
	if (socket->flags != (CHAP_PENDING | CHAP_BY_VERDICT))
		return; // told by an inner cgroup's hook, or nothing to tell
	socket->flags = CHAP_BY_VERDICT;
	if (!tell_flow(ctx, socket, CHAP_FLOW_OPENED)) {
		socket->state = CHAP_SHUT; // what nobody hears of does not leave
		count(CHAP_REFUSED_CONNECTS);
		return;
	}
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void close_direct(struct bpf_sock_ops *ctx, struct chap_socket *socket)
{
	if (!(socket->flags & CHAP_BY_VERDICT))
		return;
	if (!tell_flow(ctx, socket, CHAP_FLOW_CLOSED))
		count(CHAP_LOST_FLOWS);
	socket->flags = 0;
}

// Who called is not known any more, or not let: nothing comes in after all.
static __always_inline void shut(struct chap_socket *socket, const struct ends *ends)
{
	struct address from = {}, to = {};

	socket->state = CHAP_SHUT;
	socket->flags = 0;
	count(CHAP_REFUSED_INBOUND);
	copy_ip(from.ip, ends->remote);
	from.port = ends->remote_port;
	copy_ip(to.ip, ends->local);
	to.port = ends->local_port;
	tell_caller(NULL, socket, IPPROTO_TCP, SOCK_STREAM, &from, &to);
}

// A listener of the workload took a caller from outside, whom his address lets in.
static __always_inline void let_in(struct bpf_sock_ops *ctx, struct chap_socket *socket,
				   const struct ends *ends)
{
	struct chap_lease *now = current_lease();

	if (!now || !takes_address(socket->cgroup_id, IPPROTO_TCP,
				   bpf_htons((__u16)ctx->local_port), socket->destination)) {
		shut(socket, ends);
		return;
	}
	socket->verdicts = now->generation;
	socket->flags = CHAP_BY_VERDICT | CHAP_INBOUND;
	if (!tell_flow(ctx, socket, CHAP_FLOW_OPENED)) {
		shut(socket, ends); // what nobody hears of does not come in
		return;
	}
	socket->state = CHAP_ACCEPTED;
	count(CHAP_LET_IN);
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

// The handshake at a governed listener has ended: its record is this socket's by inheritance.
static __always_inline void accept_caller(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct chap_socket *socket =
		bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct chap_socket *caller;
	struct chap_flow flow = {};
	struct chap_socket told;
	struct ends ends;

	if (!socket || socket->cookie == cookie)
		return; // without storage nothing comes or goes; an outer cgroup's hook comes second
	read_ends(ctx, &ends, ctx->family == AF_INET); // mapped ones are in their IPv6 form
	socket->cookie = cookie;
	socket->generation = 0;
	socket->peer = 0;
	socket->flags = 0;
	socket->protocol = IPPROTO_TCP;
	socket->family = (__u8)ctx->family;
	socket->time_ns = bpf_ktime_get_ns();
	copy_ip(socket->destination, ends.remote);
	socket->destination_port = ends.remote_port;
	copy_ip(socket->proxy, ends.local);
	socket->proxy_port = ends.local_port;
	flow.netns = socket->netns;
	set_flow(&flow, ends.remote, ends.remote_port, ends.local, ends.local_port);
	caller = bpf_map_lookup_elem(&callers, &flow);
	if (!caller) {
		let_in(ctx, socket, &ends);
		return;
	}
	socket->state = CHAP_ACCEPTED;
	if (caller->flags & CHAP_CARRIED) {
		socket->flags = CHAP_CARRIED;
	} else {
		__builtin_memcpy(&told, caller, sizeof(told));
		socket->peer = caller->cgroup_id;
		told.peer = socket->cgroup_id;
		if (!tell_flow(ctx, &told, CHAP_FLOW_REACHED)) {
			shut(socket, &ends);
		}
	}
	bpf_map_delete_elem(&callers, &flow);
}

static __always_inline void connecting(struct bpf_sock_ops *ctx, struct chap_socket *socket)
{
	if (socket->state == CHAP_DIRECT)
		open_direct(ctx, socket);
	else
		announce(ctx, socket);
}

static __always_inline void closed(struct bpf_sock_ops *ctx, struct chap_socket *socket)
{
	if (socket->state == CHAP_DIRECT || socket->state == CHAP_ACCEPTED)
		close_direct(ctx, socket);
	else
		withdraw(ctx, socket);
}

// On governed cgroups.
SEC("sockops")
int chap_agent(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct chap_socket *socket;

	if (!sk)
		return CHAP_PASS;
	if (ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		accept_caller(ctx, sk);
		return CHAP_PASS;
	}
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!socket)
		return CHAP_PASS;
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		connecting(ctx, socket);
	else if (ctx->op == BPF_SOCK_OPS_TIMEOUT_INIT && socket->state == CHAP_WAITING)
		ctx->reply = SYN_AGAIN_JIFFIES;
	else if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == BPF_TCP_FIN_WAIT2)
		socket->received = (__u32)ctx->bytes_received;
	else if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == BPF_TCP_CLOSE)
		closed(ctx, socket);
	return CHAP_PASS;
}

// On the proxy's cgroup, for sockets that come out of its listeners.
SEC("sockops")
int chap_proxy(struct bpf_sock_ops *ctx)
{
	struct chap_socket *from, *to;
	struct chap_flow flow = {};
	struct bpf_sock *sk = ctx->sk;
	struct ends ends;

	if (ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || !sk)
		return CHAP_PASS;
	read_ends(ctx, &ends, ctx->family == AF_INET);
	flow.netns = bpf_get_netns_cookie(ctx);
	set_flow(&flow, ends.remote, ends.remote_port, ends.local, ends.local_port);
	from = bpf_map_lookup_elem(&flows, &flow);
	if (!from)
		return CHAP_PASS; // not from a governed agent; the proxy finds no origin
	to = bpf_sk_storage_get(&accepted, sk, from, BPF_SK_STORAGE_GET_F_CREATE);
	count(to ? CHAP_HANDOVERS : CHAP_ORPHANS);
	bpf_map_delete_elem(&flows, &flow);
	return CHAP_PASS;
}

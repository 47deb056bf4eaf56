// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Datagrams that a verdict lets go straight to their peer: counted for each socket and peer, so that
// user space writes down who spoke with whom and how much. What there is no room to count does not
// leave.
#pragma once

#include "bpf/lib/inbound.h"
#include "bpf/lib/record.h"

#include <linux/in.h>

static __always_inline void set_talk_key(struct chap_talk_key *key,
					 const struct chap_socket *socket,
					 const struct address *peer)
{
	key->cookie = socket->cookie;
	copy_ip(key->ip, peer->ip);
	key->port = peer->port;
}

// Whether the peer is one who was let in, and still is: he may be answered.
static __always_inline bool answers_caller(const struct chap_socket *socket,
					   const struct address *to)
{
	struct chap_talk_key key = {};
	struct chap_talk *talk;

	set_talk_key(&key, socket, to);
	talk = bpf_map_lookup_elem(&talks, &key);
	return talk && (talk->socket.flags & CHAP_INBOUND) &&
	       still_taken(&talk->socket, to->ip, bpf_htons(talk->local_port));
}

static __always_inline enum chap_action answer_caller(struct bpf_sock_addr *ctx,
						      struct chap_socket *socket,
						      const struct address *to)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || sk->bound_dev_if != 0)
		return CHAP_REFUSE;
	record(ctx, socket, to, CHAP_DIRECT);
	socket->flags = CHAP_BY_VERDICT | CHAP_INBOUND;
	return CHAP_LET;
}

// CHAP_LET and written down so, CHAP_REFUSE, or CHAP_ASK: no verdict says anything.
static __always_inline enum chap_action decide_datagram(struct bpf_sock_addr *ctx,
							struct chap_socket *socket,
							const struct address *to)
{
	__u64 netns = bpf_get_netns_cookie(ctx);
	struct chap_listener *at = bpf_map_lookup_elem(&listeners, &netns);
	struct chap_verdict *verdict = look_up_verdict(socket->cgroup_id, IPPROTO_UDP, to);
	struct chap_lease *now = current_lease();
	struct bpf_sock *sk = ctx->sk;

	if (answers_caller(socket, to))
		return answer_caller(ctx, socket, to);
	if (!verdict || verdict->action == CHAP_ASK)
		return CHAP_ASK;
	// Of datagrams nobody can be asked. Bound to a device, the address may be another host's.
	if (verdict->action != CHAP_LET || !now || !is_recordable(now) || !sk ||
	    sk->bound_dev_if != 0 || (at && is_door(to, at)))
		return CHAP_REFUSE;
	record(ctx, socket, to, CHAP_DIRECT);
	socket->flags = CHAP_BY_VERDICT;
	socket->verdicts = now->generation;
	socket->tag = verdict->tag;
	return CHAP_LET;
}

// Each governed cgroup that the socket is in has its hooks, and all of them see a datagram.
static __always_inline __u16 count_hooks(struct bpf_sock *sk)
{
	__u16 hooks = 0;

	for (int level = CHAP_MAX_LEVELS - 1; level >= 0; level--) {
		__u64 id = bpf_sk_ancestor_cgroup_id(sk, level);

		if (id && bpf_map_lookup_elem(&workloads, &id))
			hooks++;
	}
	return hooks;
}

// The first datagram to a peer. Its record is the socket's, but for the peer: another thread may
// have aimed the socket elsewhere since.
static __always_inline bool begin_talk(const struct chap_talk_key *key,
				       const struct chap_socket *socket, struct bpf_sock *sk,
				       const struct address *from, const struct address *to,
				       __u32 bytes)
{
	struct chap_talk made = {};

	if (!is_recordable(current_lease()))
		return false;
	__builtin_memcpy(&made.socket, socket, sizeof(made.socket));
	copy_ip(made.socket.destination, to->ip);
	made.socket.destination_port = to->port;
	made.socket.time_ns = bpf_ktime_get_ns();
	made.last_ns = made.socket.time_ns;
	made.bytes_up = bytes;
	made.packets_up = 1;
	made.local_port = bpf_ntohs(from->port);
	made.hooks = count_hooks(sk);
	if (bpf_map_update_elem(&talks, key, &made, BPF_NOEXIST) != 0)
		return false; // full, or begun at this moment by another thread, which may try again
	count(CHAP_LET_THROUGH);
	return true;
}

// `up`: in the direction of who was called.
static __always_inline void count_datagram(struct chap_talk *talk, bool up, __u32 bytes)
{
	talk->last_ns = bpf_ktime_get_ns();
	__sync_fetch_and_add(up ? &talk->bytes_up : &talk->bytes_down, bytes);
	__sync_fetch_and_add(up ? &talk->packets_up : &talk->packets_down, 1);
}

static __always_inline bool note_sent(const struct chap_socket *socket, struct bpf_sock *sk,
				      const struct address *from, const struct address *to,
				      __u32 bytes)
{
	struct chap_talk_key key = {};
	struct chap_talk *talk;

	set_talk_key(&key, socket, to);
	talk = bpf_map_lookup_elem(&talks, &key);
	if (!talk)
		return begin_talk(&key, socket, sk, from, to, bytes);
	count_datagram(talk, !(talk->socket.flags & CHAP_INBOUND), bytes);
	return true;
}

// false: the socket is in no talk with the sender, or in one that is not let any more.
static __always_inline bool note_received(const struct chap_socket *socket,
					  const struct packet *packet, __u32 bytes)
{
	struct chap_talk_key key = {};
	struct chap_talk *talk;

	set_talk_key(&key, socket, &packet->from);
	talk = bpf_map_lookup_elem(&talks, &key);
	if (!talk)
		return false;
	if ((talk->socket.flags & CHAP_INBOUND) &&
	    !still_taken(&talk->socket, packet->from.ip, packet->to.port))
		return false;
	count_datagram(talk, talk->socket.flags & CHAP_INBOUND, bytes);
	return true;
}

// The first datagram from somebody who is let in, so that he can be answered. Its record is the
// receiver's; `peer` is the sender's workload, whose own talk is what is told, or 0.
static __always_inline bool begin_inbound(const struct chap_socket *socket, struct bpf_sock *sk,
					  const struct packet *packet, __u32 bytes, __u64 peer)
{
	struct chap_talk_key key = {};
	struct chap_talk made = {};
	struct chap_lease *now = current_lease();

	if (!now)
		return false;
	set_talk_key(&key, socket, &packet->from);
	__builtin_memcpy(&made.socket, socket, sizeof(made.socket));
	copy_ip(made.socket.destination, packet->from.ip);
	made.socket.destination_port = packet->from.port;
	copy_ip(made.socket.proxy, packet->to.ip);
	made.socket.proxy_port = packet->to.port;
	made.socket.protocol = IPPROTO_UDP;
	made.socket.flags = CHAP_INBOUND;
	made.socket.peer = peer;
	made.socket.verdicts = now->generation;
	made.socket.time_ns = bpf_ktime_get_ns();
	made.last_ns = made.socket.time_ns;
	made.bytes_up = bytes;
	made.packets_up = 1;
	made.local_port = bpf_ntohs(packet->to.port);
	made.hooks = count_hooks(sk);
	if (bpf_map_update_elem(&talks, &key, &made, BPF_NOEXIST) != 0)
		return false;
	if (!peer)
		count(CHAP_LET_IN);
	return true;
}

// Whether a datagram may leave: its own peer counts, whatever the socket was aimed at last.
static __always_inline bool may_talk(struct chap_socket *socket, const struct bpf_sock *sk,
				     const struct address *to)
{
	struct chap_verdict *verdict;

	if (sk->bound_dev_if != 0)
		return false; // bound since
	if (!(socket->flags & CHAP_INBOUND) && to->port == socket->destination_port &&
	    same_ip(to->ip, socket->destination))
		return still_let(socket);
	if (answers_caller(socket, to))
		return true;
	verdict = look_up_verdict(socket->cgroup_id, IPPROTO_UDP, to);
	return verdict && verdict->action == CHAP_LET;
}

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// All maps. The daemon pins them, and they outlive it; none is ever re-created while links live.
#pragma once

#include "bpf/shared/abi.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

// What is known of a governed socket. Lives and dies with the socket, cloned to what it accepts.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct chap_socket);
} sockets SEC(".maps");

// The same, on the proxy's accepted socket: read by the daemon with the accepted descriptor as key.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct chap_socket);
} accepted SEC(".maps");

// Carries a record from the agent's socket to the proxy's. Not LRU: an identity is never evicted;
// when it is full, a connect has no origin and the proxy closes it.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CHAP_MAX_FLOWS);
	__type(key, struct chap_flow);
	__type(value, struct chap_socket);
} flows SEC(".maps");

// Senders of datagrams to the proxy's resolver. LRU is right here: an evicted query is not
// answered, and the one that is sent again writes its entry again.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CHAP_MAX_DATAGRAMS);
	__type(key, struct chap_flow);
	__type(value, struct chap_socket);
} datagrams SEC(".maps");

// By cgroup id.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CHAP_MAX_WORKLOADS);
	__type(key, __u64);
	__type(value, struct chap_workload);
} workloads SEC(".maps");

// By network namespace cookie. A namespace that is not here has no way out at all.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CHAP_MAX_LISTENERS);
	__type(key, __u64);
	__type(value, struct chap_listener);
} listeners SEC(".maps");

// Network namespaces without a proxy, and when that was told last. LRU is right here: what is
// evicted is told again.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CHAP_MAX_LISTENERS);
	__type(key, __u64);
	__type(value, __u64);
} strangers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct chap_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CHAP_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

// Refusals, for the journal.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CHAP_EVENTS_SIZE);
} events SEC(".maps");

// One workload's verdicts. Replaced as a whole, by another trie of this shape.
struct chap_verdict_table {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct chap_prefix));
	__uint(value_size, sizeof(struct chap_verdict));
};

// By cgroup id of the workload. Without a table user space decides everything.
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, CHAP_MAX_WORKLOADS);
	__type(key, __u64);
	__array(values, struct chap_verdict_table);
} verdicts SEC(".maps");

// By the names that a workload was told. Not LRU: what is forgotten could be let by the table.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CHAP_MAX_NAMED);
	__type(key, struct chap_named_key);
	__type(value, struct chap_named);
} named SEC(".maps");

// The same of Unix sockets. Without a table none is open.
struct chap_door_table {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct chap_door));
	__uint(value_size, sizeof(struct chap_verdict));
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, CHAP_MAX_WORKLOADS);
	__type(key, __u64);
	__array(values, struct chap_door_table);
} doors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct chap_lease);
} lease SEC(".maps");

// Whom a workload's listeners take: by cgroup id of that workload, its table. Without one, nobody
// but itself.
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, CHAP_MAX_WORKLOADS);
	__type(key, __u64);
	__array(values, struct chap_verdict_table);
} inbound SEC(".maps");

// On sockets of the proxy's own, by the daemon before it connects.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct chap_dial);
} dialled SEC(".maps");

// Who calls a governed listener, where that is a workload or the proxy, from the SYN to the end of
// the handshake. LRU is right here: of one that is forgotten nothing is let.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CHAP_MAX_CALLERS);
	__type(key, struct chap_flow);
	__type(value, struct chap_socket);
} callers SEC(".maps");

// Datagrams that a verdict lets through. Not LRU: what is forgotten would not be written down.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CHAP_MAX_TALKS);
	__type(key, struct chap_talk_key);
	__type(value, struct chap_talk);
} talks SEC(".maps");

// What was told of as opened and not yet as closed. Written by user space alone, for whoever comes
// after it.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CHAP_MAX_OPEN);
	__type(key, struct chap_open_key);
	__type(value, struct chap_direct);
} opens SEC(".maps");

// Openings and closings of what was let through; apart from events, which an agent can fill.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CHAP_DIRECTS_SIZE);
} directs SEC(".maps");

// Threads whose call the guard has refused and told of: what sees the call's end does not tell again.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u8);
} told SEC(".maps");

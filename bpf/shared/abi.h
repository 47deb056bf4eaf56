// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What the BPF programs and the daemon say to each other: the keys and values of the maps. The only
// file that both sides include. Any change of what is here raises CHAP_ABI, which is part of the pins'
// path; a map that is only added does not.
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
#define CHAP_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size))
#else
#define CHAP_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#endif

#define CHAP_ABI 3

// Levels of the cgroup tree that are searched for a workload; the root is level 0.
#define CHAP_MAX_LEVELS 16
#define CHAP_NAME_SIZE 64
#define CHAP_COMM_SIZE 16
#define CHAP_MAX_WORKLOADS 4096
#define CHAP_MAX_LISTENERS 4096
// Bounds the connects that are on their way: SYN sent, not yet established at the proxy.
#define CHAP_MAX_FLOWS 32768
// Bounds the datagram senders remembered for the resolver proxy.
#define CHAP_MAX_DATAGRAMS 16384
// Bounds the callers between their SYN and the end of the handshake at a governed listener.
#define CHAP_MAX_CALLERS 16384

// The state of a governed socket. Anything but what a state names is dropped on its way out.
enum chap_state {
	CHAP_NEW = 0,	 // created; may listen; TCP may answer on loopback
	CHAP_REDIRECTED, // may speak to `proxy` and nobody else
	CHAP_DIRECT,	 // may speak to `destination` and nobody else
	CHAP_ACCEPTED,	 // came out of a listener; may answer who called, while that is let
	CHAP_WAITING,	 // REDIRECTED once `proxy` is there; nothing leaves before
	CHAP_SHUT,	 // nothing leaves or comes in
};

// In chap_socket.flags: the proxy's address was written by a hook of this very connect(), so an
// outer cgroup's hook that sees it must let it pass.
#define CHAP_PENDING 1
// The flows map was full: the proxy will find no origin, and closes.
#define CHAP_ORPHAN 2
// DIRECT by a verdict of policy, which is asked again when the verdicts change.
#define CHAP_BY_VERDICT 4
// Somebody from outside called, whom a verdict lets in by his address: `destination` is his.
#define CHAP_INBOUND 8
// The proxy called, for a workload that it had decided about.
#define CHAP_CARRIED 16

// Addresses are IPv6 in network order; IPv4 is written ::ffff:a.b.c.d. Ports are in network order.
struct chap_socket {
	__u64 cookie;	 // of the agent's socket
	__u64 netns;	 // cookie of its network namespace
	__u64 cgroup_id; // the workload's cgroup: key of the workloads map
	__u64 epoch;	 // of the workload at that moment
	__u64 peer;	 // cgroup id of the workload at the other end; 0: not known
	__u64 time_ns;	 // CLOCK_MONOTONIC
	__u32 tgid;	 // in the initial pid namespace
	__u32 uid;	 // in the initial user namespace
	__u32 destination[4];
	__u32 proxy[4]; // INBOUND: the address that was called
	__u16 destination_port;
	__u16 proxy_port;
	__u8 family; // of the agent's socket: AF_INET or AF_INET6
	__u8 state;  // enum chap_state
	__u8 flags;
	__u8 protocol;	  // IPPROTO_TCP or IPPROTO_UDP
	__u32 generation; // connects of this socket so far
	__u32 verdicts;	  // chap_lease.generation when it was let through
	char comm[CHAP_COMM_SIZE];
	__u32 tag;	// of the verdict that let it through
	__u32 received; // bytes until it was half closed; the lower half of the number
};
CHAP_ASSERT_SIZE(struct chap_socket, 128);

// One connection as its two ends see it.
struct chap_flow {
	__u64 netns;
	__u32 client[4];
	__u32 proxy[4];
	__u16 client_port;
	__u16 proxy_port;
	__u32 protocol;
};
CHAP_ASSERT_SIZE(struct chap_flow, 48);

// On a socket of the proxy's own: which listening workload it may reach.
struct chap_dial {
	__u64 cgroup_id; // CHAP_ANY_WORKLOAD: any
	__u64 epoch;
};
CHAP_ASSERT_SIZE(struct chap_dial, 16);
#define CHAP_ANY_WORKLOAD (~0ULL)

struct chap_workload {
	__u64 epoch; // differs for each registration, so that a re-used id is not taken for the old
	__u64 reserved;
	char name[CHAP_NAME_SIZE]; // NUL-terminated
};
CHAP_ASSERT_SIZE(struct chap_workload, 80);

// Where the proxy listens in one network namespace: on 127.0.0.1 and ::1. 0: it does not.
struct chap_listener {
	__u16 tcp4;
	__u16 tcp6;
	__u16 dns4;
	__u16 dns6;
};
CHAP_ASSERT_SIZE(struct chap_listener, 8);

// Bounds what is told of refusals and not yet read: some 4500 of them. More are counted, not told.
#define CHAP_EVENTS_SIZE (512 * 1024)

// Something that a governed process tried and was refused.
struct chap_event {
	__u64 time_ns;	 // CLOCK_MONOTONIC
	__u64 cgroup_id; // the workload's; 0: not known
	__u32 destination[4];
	__u16 destination_port; // network order
	__u16 kind;		// enum chap_counter
	__u16 type;		// SOCK_STREAM and its like; 0: not known
	__u16 protocol;
	__u32 tgid; // 0: not known; of CHAP_STRANGE_NAMESPACES the thread
	__u32 uid;
	char comm[CHAP_COMM_SIZE];
	// CHAP_REFUSED_INBOUND: who called is `destination`, and is governed where `cgroup_id` is not 0.
	// CHAP_REACH_SIGNAL and CHAP_REACH_PTRACE: the process as the caller numbers it, negative a
	// group, 0 not known; `protocol` is the signal.
	__u64 peer; // the listening workload's cgroup
	__u64 netns;
	__u32 local[4]; // where it listens
	__u16 local_port;
	__u16 reserved[3];
};
CHAP_ASSERT_SIZE(struct chap_event, 104);

// What the guard refused, in chap_event.type of CHAP_REFUSED_REACHES.
enum chap_reach {
	CHAP_REACH_RECEIVE = 1, // a descriptor of somebody else's socket
	CHAP_REACH_SOCKET,	// to use such a one
	CHAP_REACH_FAMILY,	// a socket of another family
	CHAP_REACH_PTRACE,
	CHAP_REACH_SIGNAL,
	CHAP_REACH_CGROUP,
	CHAP_REACH_BPF,
	CHAP_REACH_FILE, // not by the guard, but by the file's mode: a chap_file_event, with the name
};

// The names of an open that was refused: what was asked, and where that is relative the folders
// that it begins in, from the innermost on, each with its NUL.
#define CHAP_FILE_PARTS 384
#define CHAP_FILE_PART 128 // more of one name is cut

struct chap_file_event {
	struct chap_event head;
	char names[CHAP_FILE_PARTS];
	__u32 size;	// of the names
	__u32 complete; // they begin at the root
};
CHAP_ASSERT_SIZE(struct chap_file_event, 496);

enum chap_dns {
	CHAP_DNS_DENY = 0,
	CHAP_DNS_DIRECT,   // any resolver, port 53, UDP and TCP, reached past the proxy
	CHAP_DNS_REDIRECT, // to the proxy's resolver, as TCP is
};

struct chap_settings {
	__u32 abi;
	__u32 dns;  // enum chap_dns
	__u64 core; // id of the proxy's cgroup
};
CHAP_ASSERT_SIZE(struct chap_settings, 16);

// What policy says of a destination by workload, address and port alone: the key and value of one
// workload's table, a trie in which the longest prefix wins. `length` counts the bits from
// `protocol` on: 32 and those of the address.
struct chap_prefix {
	__u32 length;
	__u8 protocol; // IPPROTO_TCP or IPPROTO_UDP
	__u8 kind;     // enum chap_prefix_kind
	__u16 port;    // network order; of callers the port they call, 0: any
	__u32 ip[4];   // of workloads the cgroup id, in the first two
};
CHAP_ASSERT_SIZE(struct chap_prefix, 24);

// In a table of whom a workload's listeners take.
enum chap_prefix_kind {
	CHAP_BY_ADDRESS = 0, // also of destinations
	CHAP_BY_WORKLOAD,
};

enum chap_action {
	CHAP_ASK = 0, // user space decides: to the proxy
	CHAP_LET,     // straight there
	CHAP_REFUSE,  // EPERM
};

struct chap_verdict {
	__u32 action; // enum chap_action
	__u32 tag;    // what user space knows the verdict's resource by
};
CHAP_ASSERT_SIZE(struct chap_verdict, 8);

// Bounds the addresses that workloads were told for names, times the ports that those are claimed on.
#define CHAP_MAX_NAMED 65536

// What policy says of datagrams to an address because of the name that a workload was told it for.
// Goes before the table.
struct chap_named_key {
	__u64 cgroup_id; // the workload's
	__u32 ip[4];
	__u16 port;    // network order
	__u8 protocol; // IPPROTO_UDP
	__u8 reserved[5];
};
CHAP_ASSERT_SIZE(struct chap_named_key, 32);

struct chap_named {
	struct chap_verdict verdict;
	__u64 until_ns; // CLOCK_MONOTONIC: then the answer is too old
};
CHAP_ASSERT_SIZE(struct chap_named, 16);

// A Unix socket by the name it is called: the key of one workload's table of doors, a trie as above.
#define CHAP_DOOR_NAME 108 // as sun_path
#define CHAP_DOOR_BITS (8 * (2 + CHAP_DOOR_NAME))

enum chap_door_kind {
	CHAP_DOOR_PATH = 1,	  // a whole one ends with NUL
	CHAP_DOOR_ABSTRACT,	  // `name` begins with NUL; entries of this kind are beginnings
	CHAP_DOOR_ABSTRACT_EXACT, // `size` is that of the name
};

struct chap_door {
	__u32 length; // bits from `kind` on
	__u8 kind;    // enum chap_door_kind
	__u8 size;
	char name[CHAP_DOOR_NAME];
	__u8 reserved[2]; // zero
};
CHAP_ASSERT_SIZE(struct chap_door, 116);

// CHAP_REFUSED_DOORS: with the name, cut where longer.
struct chap_door_event {
	struct chap_event head;
	char name[CHAP_DOOR_NAME];
	__u8 kind; // enum chap_door_kind; 0: the name could not be read
	__u8 reserved[3];
};
CHAP_ASSERT_SIZE(struct chap_door_event, 216);

// A daemon that was there so long ago may only be starting again.
#define CHAP_RESTARTS_WITHIN 30 // seconds

// CHAP_LET holds only while somebody is there who writes down what is let through: the daemon
// renews this, and once the time has come, user space is asked, which is then not there.
struct chap_lease {
	__u64 until_ns;	  // CLOCK_MONOTONIC
	__u64 clock_ns;	  // CLOCK_REALTIME less CLOCK_MONOTONIC when the pins were made
	__u32 generation; // raised with each change of any table
	__u32 alive_until; // CLOCK_MONOTONIC, seconds: the proxy answers until then; 0: not known
	__u16 port;	   // network order: where the proxy listens in most network namespaces
	__u16 reserved[3];
};
CHAP_ASSERT_SIZE(struct chap_lease, 32);

enum chap_flow_kind {
	CHAP_FLOW_OPENED = 1, // its SYN is about to leave
	CHAP_FLOW_CLOSED,
	CHAP_FLOW_REACHED, // a governed listener took it: `peer` of the caller's record is whose
};

// The beginning and the end of a connection that went straight to its destination.
struct chap_direct {
	struct chap_socket socket;
	__u64 time_ns; // CLOCK_MONOTONIC
	__u64 bytes_up;
	__u64 bytes_down;
	__u32 kind; // enum chap_flow_kind
	__u16 local_port;
	__u16 established; // the handshake was completed
};
CHAP_ASSERT_SIZE(struct chap_direct, 160);

// One connect of a socket.
struct chap_open_key {
	__u64 cookie;
	__u32 generation;
	__u32 reserved;
};
CHAP_ASSERT_SIZE(struct chap_open_key, 16);

// Bounds what a later process of the daemon knows to be open.
#define CHAP_MAX_OPEN 65536

// Bounds the pairs of a socket and a peer between which datagrams go, by a verdict. More do not.
#define CHAP_MAX_TALKS 16384

struct chap_talk_key {
	__u64 cookie; // of the socket
	__u32 ip[4];
	__u16 port; // network order
	__u16 reserved[3];
};
CHAP_ASSERT_SIZE(struct chap_talk_key, 32);

// Datagrams between a socket and a peer. User space ends it when nothing comes any more.
struct chap_talk {
	struct chap_socket socket; // time_ns and destination are the talk's own
	__u64 last_ns;		   // CLOCK_MONOTONIC
	__u64 bytes_up;		   // payload
	__u64 bytes_down;
	__u64 packets_up;
	__u64 packets_down;
	__u16 local_port;
	__u16 hooks; // that count each datagram: one of each governed cgroup round the socket; 0: one
	__u16 reserved[2];
};
CHAP_ASSERT_SIZE(struct chap_talk, 176);

// Of what is let through and not yet written down: some 6500 openings and closings. When it is half
// full, connects go to the proxy instead, so that there is room for the ends.
#define CHAP_DIRECTS_SIZE (1024 * 1024)
#define CHAP_DIRECTS_SHARE 2 // openings get half of it; their ends need the other

enum chap_counter {
	CHAP_REDIRECTS = 0,	// connects sent to the proxy
	CHAP_HANDOVERS,		// connects whose origin reached the accepted socket
	CHAP_ORPHANS,		// connects for whose origin there was no room
	CHAP_UNCLAIMED,		// connects that ended before the proxy's side was established
	CHAP_DIRECTS,		// connects and datagrams let through to a resolver
	CHAP_REFUSED_SOCKETS,	// socket() of a kind that is not governed
	CHAP_REFUSED_CONNECTS,	// connect() refused
	CHAP_REFUSED_DATAGRAMS, // sendto() and its kind refused
	CHAP_REFUSED_BINDS,	// bind() to the proxy's port
	CHAP_DROPPED_PACKETS,	// at egress
	CHAP_UNTOLD,		// refusals for which there was no room among the events
	CHAP_LET_THROUGH,	// connects that went straight to their destination by a verdict
	CHAP_LOST_FLOWS,	// ends of such connections for which there was no room
	CHAP_STRANGE_NAMESPACES, // met, without a proxy in them
	CHAP_REFUSED_DOORS,	// connects and datagrams to Unix sockets
	CHAP_OPEN_DOORS,	// those let through
	CHAP_REFUSED_REACHES,	// by the guard: sockets, processes and files of others
	CHAP_REFUSED_INBOUND,	// packets to a governed listener from whom it does not take any
	CHAP_LET_IN,		// connections and senders from outside that a verdict let in
	CHAP_COUNTERS,
};

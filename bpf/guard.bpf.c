// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What hooks on cgroups cannot see, because they follow the cgroup that a socket was made in: sockets
// from elsewhere, other kinds of sockets, other processes, the cgroup tree and BPF itself. Programs
// of the BPF LSM, for all processes of the host; those that are not governed leave at the first
// question. An object of its own, loaded only where the kernel takes such programs; it shares the
// maps of redirect.bpf.c.
#include "bpf/lib/door.h"
#include "bpf/lib/inside.h"

#include <linux/bpf.h>

#include <bpf/bpf_tracing.h>

#define AF_UNIX 1
#define AF_NETLINK 16
#define NETLINK_ROUTE 0
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define FMODE_WRITE 2
#define CGROUP2_MAGIC 0x63677270
#define BPFFS_MAGIC 0xcafe4a11
#define NAME_OFFSET 2 // of sun_path in struct sockaddr_un
#define CLONE_INTO_CGROUP 0x200000000ULL

// A socket that leaves the host, made by somebody else.
static __always_inline bool is_foreign(struct sock *sk, __u64 id)
{
	return BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX && !is_socket_below(sk, id);
}

SEC("lsm/file_receive")
int BPF_PROG(chap_file_receive, struct file *file, int before)
{
	__u64 id = who_acts();
	struct socket *socket;

	if (before || !id)
		return before;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	if (is_foreign(BPF_CORE_READ(socket, sk), id))
		return refuse_reach(id, CHAP_REACH_RECEIVE);
	return 0;
}

SEC("lsm/socket_create")
int BPF_PROG(chap_socket_create, int family, int type, int protocol, int kern, int before)
{
	__u64 id = who_acts();

	if (before || !id || kern)
		return before;
	if (family == AF_UNIX || family == AF_INET || family == AF_INET6)
		return 0;
	if (family == AF_NETLINK && protocol == NETLINK_ROUTE)
		return 0;
	return refuse_reach(id, CHAP_REACH_FAMILY);
}

static __always_inline int use_socket(struct socket *socket, int before)
{
	__u64 id = who_acts();

	if (before || !id)
		return before;
	if (is_foreign(BPF_CORE_READ(socket, sk), id))
		return refuse_reach(id, CHAP_REACH_SOCKET);
	return 0;
}

SEC("lsm/socket_connect")
int BPF_PROG(chap_socket_connect, struct socket *socket, void *address, int size, int before)
{
	return use_socket(socket, before);
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(chap_socket_sendmsg, struct socket *socket, void *message, int size, int before)
{
	return use_socket(socket, before);
}

// A listener from elsewhere takes whoever calls: no hook of the workload's cgroup sees it.
SEC("lsm/socket_listen")
int BPF_PROG(chap_socket_listen, struct socket *socket, int backlog, int before)
{
	return use_socket(socket, before);
}

SEC("lsm/socket_accept")
int BPF_PROG(chap_socket_accept, struct socket *socket, struct socket *accepted, int before)
{
	return use_socket(socket, before);
}

// The name that the other end was bound to by whoever made it: a name that the agent cannot forge.
static __always_inline int call_socket(struct sock *other, int type, int before)
{
	struct unix_address *address;
	struct chap_door door = {};
	const char *name;
	__u64 id = who_acts();
	void *table;
	__u32 size;

	if (before || !id || is_socket_below(other, id))
		return before;
	address = BPF_CORE_READ((struct unix_sock *)other, addr);
	size = (__u32)BPF_CORE_READ(address, len) - NAME_OFFSET;
	name = (const char *)address + bpf_core_field_offset(struct unix_address, name);
	table = bpf_map_lookup_elem(&doors, &id);
	if (!address)
		goto refuse;
	size--;
	chap_barrier(size); // so that the verifier sees the bound of what is read
	size &= 127;
	chap_barrier(size);
	if (size >= CHAP_DOOR_NAME)
		goto refuse;
	size++;
	if (bpf_probe_read_kernel(door.name, size, name + NAME_OFFSET) != 0)
		goto refuse;
	door.kind = door.name[0] ? CHAP_DOOR_PATH : CHAP_DOOR_ABSTRACT;
	if (table && is_open_door(table, &door, size)) {
		count(CHAP_OPEN_DOORS);
		return 0;
	}
refuse:
	count(CHAP_REFUSED_DOORS);
	tell_door(id, type, &door);
	return -EPERM;
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(chap_unix_connect, struct sock *sock, struct sock *other, struct sock *newsk,
	     int before)
{
	return call_socket(other, 1, before);
}

SEC("lsm/unix_may_send")
int BPF_PROG(chap_unix_send, struct socket *sock, struct socket *other, int before)
{
	return call_socket(BPF_CORE_READ(other, sk), 2, before);
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(chap_ptrace, struct task_struct *child, unsigned int mode, int before)
{
	__u64 id = who_acts();

	if (before || !id || is_task_below(child, id))
		return before;
	return refuse_process(id, CHAP_REACH_PTRACE, child, 0);
}

SEC("lsm/task_kill")
int BPF_PROG(chap_kill, struct task_struct *task, void *info, int signal, void *cred, int before)
{
	__u64 id = who_acts();

	if (before || !id || signal == 0 || is_task_below(task, id))
		return before;
	return refuse_process(id, CHAP_REACH_SIGNAL, task, signal);
}

// Whether a file of the cgroup tree is of the workload's own part of it.
static __always_inline bool is_own_cgroup_file(struct dentry *dentry, __u64 id)
{
	for (int level = 0; level < CHAP_MAX_LEVELS; level++) {
		if (BPF_CORE_READ(dentry, d_inode, i_ino) == id)
			return true;
		dentry = BPF_CORE_READ(dentry, d_parent);
	}
	return false;
}

SEC("lsm/file_open")
int BPF_PROG(chap_file_open, struct file *file, int before)
{
	__u64 id, magic;

	if (before)
		return before;
	magic = BPF_CORE_READ(file, f_inode, i_sb, s_magic);
	if (magic != CGROUP2_MAGIC && magic != BPFFS_MAGIC)
		return 0;
	if (!(BPF_CORE_READ(file, f_mode) & FMODE_WRITE) && magic == CGROUP2_MAGIC)
		return 0;
	id = who_acts();
	if (!id)
		return 0;
	if (magic == CGROUP2_MAGIC && is_own_cgroup_file(BPF_CORE_READ(file, f_path.dentry), id))
		return 0;
	return refuse_reach(id, CHAP_REACH_CGROUP);
}

// clone3() makes a child in a cgroup that was opened for nothing but its name: no file is written.
// Which one is not to be seen here, so not even those below are taken; programs fall back to
// writing.
SEC("lsm/task_alloc")
int BPF_PROG(chap_task_alloc, struct task_struct *task, unsigned long flags, int before)
{
	__u64 id;

	if (before || !(flags & CLONE_INTO_CGROUP))
		return before;
	id = who_acts();
	return id ? refuse_reach(id, CHAP_REACH_CGROUP) : 0;
}

SEC("lsm/inode_unlink")
int BPF_PROG(chap_unlink, struct inode *folder, struct dentry *dentry, int before)
{
	__u64 id;

	if (before || BPF_CORE_READ(folder, i_sb, s_magic) != BPFFS_MAGIC)
		return before;
	id = who_acts();
	return id ? refuse_reach(id, CHAP_REACH_BPF) : 0;
}

SEC("lsm/bpf")
int BPF_PROG(chap_bpf, int command, void *attributes, unsigned int size, int before)
{
	__u64 id = who_acts();

	return before || !id ? before : refuse_reach(id, CHAP_REACH_BPF);
}

char LICENSE[] SEC("license") = "GPL";

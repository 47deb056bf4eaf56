// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// connect() and sendto() to Unix sockets, which other processes of this host answer: a way out
// through them. Refused but for the names that policy lets the workload call. An object of its own:
// Linux 6.7 and later only. It shares the maps of redirect.bpf.c.
//
// A name is what the agent calls; what it leads to, symbolic links among it, these hooks do not
// see. So a name is let as safely as nobody but its owner can write the folders on its way.
#include "bpf/lib/door.h"

#include <bpf/bpf_core_read.h>

// As far as they are read; the kernel's own are larger.
struct sockaddr {
	unsigned short sa_family;
} __attribute__((preserve_access_index));

struct bpf_sock_addr_kern {
	struct sockaddr *uaddr;
	__u32 uaddrlen;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;

#define NAME_OFFSET 2 // of sun_path in struct sockaddr_un

static __always_inline bool read_door(struct bpf_sock_addr *ctx, struct chap_door *door, __u32 *size)
{
	struct bpf_sock_addr_kern *kern = bpf_cast_to_kern_ctx(ctx);
	const char *address = (const char *)kern->uaddr;
	__u32 length = kern->uaddrlen;

	if (length <= NAME_OFFSET || length > NAME_OFFSET + CHAP_DOOR_NAME)
		return false;
	length -= NAME_OFFSET;
	if (bpf_probe_read_kernel(door->name, length, address + NAME_OFFSET) != 0)
		return false;
	door->kind = CHAP_DOOR_PATH;
	if (door->name[0] == 0) {
		door->kind = CHAP_DOOR_ABSTRACT;
	}
	*size = length;
	return true;
}

static __always_inline int call_door(struct bpf_sock_addr *ctx)
{
	int already = bpf_get_retval();
	struct chap_door door = {};
	void *table = NULL;
	__u32 size = 0;
	__u64 id = 0;

	if (workload_of_task(&id))
		table = bpf_map_lookup_elem(&doors, &id);
	if (read_door(ctx, &door, &size) && table && is_open_door(table, &door, size)) {
		if (!already)
			count(CHAP_OPEN_DOORS);
		return CHAP_PASS;
	}
	if (!already)
		tell_door(id, ctx->type, &door);
	return refuse(CHAP_REFUSED_DOORS, EPERM);
}

// libbpf 1.1 has no name for these attach types: user space sets them.
SEC("cgroup/connect4")
int chap_connect_unix(struct bpf_sock_addr *ctx)
{
	return call_door(ctx);
}

SEC("cgroup/connect4")
int chap_sendmsg_unix(struct bpf_sock_addr *ctx)
{
	return call_door(ctx);
}

char LICENSE[] SEC("license") = "GPL";

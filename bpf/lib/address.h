// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Addresses of both families in one form: IPv6, with IPv4 as ::ffff:a.b.c.d.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2

struct address {
	__u32 ip[4]; // network order
	__u16 port;  // network order
	__u16 pad;
};

// Keeps the compiler from merging reads of different context fields, which the verifier refuses.
#define chap_barrier(value) asm volatile("" : "+r"(value))

static __always_inline void set_v4(__u32 to[4], __u32 ip4)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = ip4;
}

static __always_inline void copy_ip(__u32 to[4], const __u32 from[4])
{
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

static __always_inline bool same_ip(const __u32 a[4], const __u32 b[4])
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

static __always_inline bool is_v4(const __u32 ip[4])
{
	return ip[0] == 0 && ip[1] == 0 && ip[2] == bpf_htonl(0xffff);
}

// 127.0.0.0/8 and ::1.
static __always_inline bool is_loopback(const __u32 ip[4])
{
	if (is_v4(ip))
		return (ip[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return ip[0] == 0 && ip[1] == 0 && ip[2] == 0 && ip[3] == bpf_htonl(1);
}

// 0.0.0.0 and ::, which connect() takes for this host.
static __always_inline bool is_unspecified(const __u32 ip[4])
{
	return ip[0] == 0 && ip[1] == 0 && ip[3] == 0 && (ip[2] == 0 || ip[2] == bpf_htonl(0xffff));
}

// 127.0.0.1 for what goes out as IPv4, ::1 for the rest.
static __always_inline void set_loopback(__u32 to[4], bool v4)
{
	if (v4) {
		set_v4(to, bpf_htonl(0x7f000001));
	} else {
		to[0] = 0;
		to[1] = 0;
		to[2] = 0;
		to[3] = bpf_htonl(1);
	}
}

// The address that connect() or sendto() was given.
static __always_inline void read_user4(struct address *to, struct bpf_sock_addr *ctx)
{
	set_v4(to->ip, ctx->user_ip4);
	to->port = (__u16)ctx->user_port;
	to->pad = 0;
}

static __always_inline void read_user6(struct address *to, struct bpf_sock_addr *ctx)
{
	to->ip[0] = ctx->user_ip6[0];
	to->ip[1] = ctx->user_ip6[1];
	to->ip[2] = ctx->user_ip6[2];
	to->ip[3] = ctx->user_ip6[3];
	to->port = (__u16)ctx->user_port;
	to->pad = 0;
}

static __always_inline void write_user4(struct bpf_sock_addr *ctx, const __u32 ip[4], __u16 port)
{
	ctx->user_ip4 = ip[3];
	ctx->user_port = port;
}

static __always_inline void write_user6(struct bpf_sock_addr *ctx, const __u32 ip[4], __u16 port)
{
	ctx->user_ip6[0] = ip[0];
	ctx->user_ip6[1] = ip[1];
	ctx->user_ip6[2] = ip[2];
	ctx->user_ip6[3] = ip[3];
	ctx->user_port = port;
}

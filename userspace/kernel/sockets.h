// SPDX-License-Identifier: Apache-2.0
// The TCP and UDP sockets of a network namespace, as sock_diag(7) lists them, and ending one from
// outside. Works in the namespace of the calling thread. Stateless; any thread.
#pragma once

#include "userspace/base/error.h"
#include "userspace/kernel/address.h"

#include <cstdint>
#include <string>
#include <vector>

namespace chaperone::kernel {

struct OpenSocket {
    int family = 0;    // AF_INET or AF_INET6
    int protocol = 0;  // IPPROTO_TCP or IPPROTO_UDP
    int state = 0;     // TCP_ESTABLISHED and its like
    Address local{};
    Address remote{};
    std::uint64_t cookie = 0;     // 0, of one that is to be ended: whichever has these addresses
    std::uint64_t cgroup_id = 0;  // that it was made in; 0: the kernel does not tell
    std::uint32_t inode = 0;      // as in /proc/PID/fd
    std::uint32_t uid = 0;
    bool ended = false;  // the kernel only remembers its addresses for a while
};

// Those that have a peer: connected, connecting or being closed.
Result<std::vector<OpenSocket>> list_connected_sockets();

// The TCP socket that would take a connection to this address, which is one of this host's.
// NotFound: nobody listens there. A thread that asks stays in the namespace in which it first did.
Result<OpenSocket> find_listener(const Address& address);

// Its owner sees ECONNABORTED. NotFound: it is gone already. Unsupported: the kernel does not do it
// (CONFIG_INET_DIAG_DESTROY). Needs CAP_NET_ADMIN.
Result<> destroy_socket(const OpenSocket& socket);

// Ends the one connected TCP socket that has these two ends, as destroy_socket() does.
Result<> end_connection(const Address& local, const Address& remote);

// The inodes of the sockets that a process has open. Needs the right to look into the process.
Result<std::vector<std::uint32_t>> socket_inodes_of(int pid);

}  // namespace chaperone::kernel

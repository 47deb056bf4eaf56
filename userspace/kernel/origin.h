// SPDX-License-Identifier: Apache-2.0
// From what the hooks wrote down to an Origin. Stateless; any thread.
#pragma once

#include "userspace/kernel/programs.h"
#include "userspace/kernel/redirector.h"

namespace chaperone::kernel {

// The record that goes with an accepted socket: handed over in the kernel, or, where the listener
// was made in another cgroup than the core's, still in the table of flows. NotFound: neither.
Result<chap_socket> record_of(const Programs& programs, int accepted_fd);

// Expired: the record's workload is not governed any more, or was registered anew since.
Result<Origin> origin_from(const Programs& programs, const chap_socket& record);

Address address_from(const __u32 (&ip)[4], __u16 port);
std::string text_from(const char* field, std::size_t size);  // up to a NUL, if there is one
Time wall_clock(std::uint64_t monotonic_ns);

// Cookie of the network namespace of the calling thread, or of a socket.
Result<std::uint64_t> own_netns();
Result<std::uint64_t> netns_of(int socket_fd);

chap_flow flow_key(std::uint64_t netns, const Address& client, const Address& proxy, int protocol);

}  // namespace chaperone::kernel

// SPDX-License-Identifier: Apache-2.0
// What policy says of destinations by address and port alone, as the table that the hooks look it
// up in. Stateless; any thread.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"
#include "userspace/kernel/address.h"

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace chaperone::kernel {

// Of several that match, the one with the longest prefix holds.
struct Verdict {
    enum class Action : std::uint32_t { Ask, Let, Refuse };

    int protocol = 0;            // IPPROTO_TCP or IPPROTO_UDP
    Address network{};           // with the port
    unsigned prefix = 0;         // bits of the IPv6 form: an IPv4 prefix has 96 more
    Action action{};             // Ask: user space decides, as where nothing is known
    std::uint32_t tag = 0;       // comes back in Direct: what the caller knows the verdict by
    std::uint64_t workload = 0;  // of callers: this governed cgroup, in place of a network

    friend auto operator<=>(const Verdict&, const Verdict&) = default;
};

// Of datagrams to an address that a workload was told for a name: holds before those of networks.
struct NamedVerdict {
    Address address{};           // with the port
    Verdict::Action action{};    // Ask is Refuse: of datagrams nobody can be asked
    std::uint32_t tag = 0;       // as in Verdict
    std::uint64_t until_ns = 0;  // CLOCK_MONOTONIC: from then on as if it were not there

    friend auto operator<=>(const NamedVerdict&, const NamedVerdict&) = default;
};

// A Unix socket by the name that is called: the longest that fits holds.
struct Door {
    std::string name{};        // "/a/path", or "@name" for an abstract one; 1 to 108 bytes
    bool beginning = false;    // all names that begin so
    Verdict::Action action{};  // Ask is Refuse: there is nobody to ask
};

// A table of them. Invalid: a name of another form.
Result<UniqueFd> make_door_table(std::span<const Door> doors);

// A table of them. Invalid: a prefix longer than 128 bits.
Result<UniqueFd> make_verdict_table(std::span<const Verdict> verdicts);

}  // namespace chaperone::kernel

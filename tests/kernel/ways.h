// SPDX-License-Identifier: Apache-2.0
// The ways out that ways_out_test.cpp tries, each as root: a process that may less has fewer.
#pragma once

#include "tests/kernel/wire.h"

#include <string>
#include <string_view>
#include <vector>

namespace chaperone::kernel::testing {

// What shows that a way is open.
enum class Proof {
    OnTheWire,  // the payload was seen there
    Made,       // the attempt returned "ok": a socket of a kind that no hook follows
};

struct Way {
    const char* name;
    // Returns how it ended, for the reader of a failure.
    std::string (*attempt)();
    std::string_view governed{};  // how it must end for an agent; empty: in any way
    Proof proof = Proof::OnTheWire;
    bool needs_guard = false;  // open where no BPF LSM runs; the launcher's filter closes it there
    bool may_be_missing = false;  // not every kernel that we support has it
};

std::vector<Way> datagram_ways();
std::vector<Way> stream_ways();
std::vector<Way> socket_ways();

// One operation over io_uring, which no seccomp filter sees: sendmsg() with these flags.
std::string send_by_io_uring(int fd, const Target& to, int flags);

}  // namespace chaperone::kernel::testing

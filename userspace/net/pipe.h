// SPDX-License-Identifier: Apache-2.0
// A pipe through which bytes go from one socket to another without passing through our memory
// (splice(2)). It is filled when it is empty, so that a read that would block means the socket.
#pragma once

#include "userspace/base/unique_fd.h"

#include <sys/types.h>

#include <cstddef>
#include <optional>

namespace chaperone::net {

class Pipe {
public:
    // Nothing: there are no descriptors or no memory for it; relay by reading and writing.
    static std::optional<Pipe> make() noexcept;

    // As read(2) and write(2) that do not block, of the socket. A peer that is gone is EPIPE (the
    // process ignores SIGPIPE, which splice(2) cannot be told to leave out).
    ssize_t fill(int socket) noexcept;   // only while it is empty
    ssize_t drain(int socket) noexcept;  // up to all of what it holds

    std::size_t holds() const noexcept { return holds_; }

private:
    Pipe(UniqueFd out, UniqueFd in, std::size_t room) noexcept
        : out_(std::move(out)), in_(std::move(in)), room_(room) {}

    UniqueFd out_;
    UniqueFd in_;
    std::size_t room_;
    std::size_t holds_ = 0;
};

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace chaperone::net {
namespace {

// What an unprivileged process may ask for (fs/pipe-max-size); a user with many pipes gets less.
constexpr int kRoom = 1 << 20;
constexpr std::size_t kWorthIt = 1 << 16;

}  // namespace

std::optional<Pipe> Pipe::make() noexcept {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return std::nullopt;
    UniqueFd out{ends[0]}, in{ends[1]};
    (void)::fcntl(in.get(), F_SETPIPE_SZ, kRoom);
    const int room = ::fcntl(in.get(), F_GETPIPE_SZ);
    if (room < 0 || static_cast<std::size_t>(room) < kWorthIt) return std::nullopt;
    return Pipe{std::move(out), std::move(in), static_cast<std::size_t>(room)};
}

ssize_t Pipe::fill(int socket) noexcept {
    const ssize_t n =
        ::splice(socket, nullptr, in_.get(), nullptr, room_, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) holds_ += static_cast<std::size_t>(n);
    return n;
}

ssize_t Pipe::drain(int socket) noexcept {
    const ssize_t n =
        ::splice(out_.get(), nullptr, socket, nullptr, holds_, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) holds_ -= static_cast<std::size_t>(n);
    return n;
}

}  // namespace chaperone::net

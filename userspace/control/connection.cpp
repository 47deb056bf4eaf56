// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

namespace chaperone::control {
namespace {

int milliseconds(Duration duration) {
    const auto count = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
    return static_cast<int>(std::clamp<std::int64_t>(count, 0, std::numeric_limits<int>::max()));
}

// Expired when nothing happened.
Result<> wait_for(int fd, short events, Duration most) {
    pollfd waiting{.fd = fd, .events = events, .revents = 0};
    int ready = 0;
    do ready = ::poll(&waiting, 1, milliseconds(most));
    while (ready < 0 && errno == EINTR);
    if (ready < 0) return system_error("wait for the API connection", errno);
    if (ready == 0) return fail(Errc::Expired, "the other side of the API connection is too slow");
    return {};
}

}  // namespace

Result<Connection> Connection::open(const std::filesystem::path& socket) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = socket.string();
    if (path.size() >= sizeof address.sun_path)
        return fail(Errc::Invalid, "the path of the socket is too long: " + path);
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!fd) return system_error("make a socket", errno);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail(Errc::Unavailable, path + ": " + std::strerror(errno));
    return Connection{std::move(fd)};
}

Result<std::string> Connection::read(Duration most) {
    if (auto ready = wait_for(fd_.get(), POLLIN, most); !ready) return fail(ready.error());
    std::array<char, 64 * 1024> space;
    ssize_t got = 0;
    do got = ::recv(fd_.get(), space.data(), space.size(), 0);
    while (got < 0 && errno == EINTR);
    if (got < 0) return system_error("read from the API connection", errno);
    return std::string{space.data(), static_cast<std::size_t>(got)};
}

Result<> Connection::write(std::string_view data, Duration most) {
    while (!data.empty()) {
        const ssize_t sent =
            ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            data.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (auto ready = wait_for(fd_.get(), POLLOUT, most); !ready) return ready;
        } else if (errno != EINTR) {
            return system_error("write to the API connection", errno);
        }
    }
    return {};
}

bool Connection::alive() const {
    pollfd state{.fd = fd_.get(), .events = POLLRDHUP, .revents = 0};
    return ::poll(&state, 1, 0) == 0;
}

}  // namespace chaperone::control

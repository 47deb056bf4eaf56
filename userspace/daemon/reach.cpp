// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/reach.h"

#include "userspace/base/unique_fd.h"
#include "userspace/control/host_checks.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace chaperone::daemon {

using control::check_fail;
using control::check_ok;
using control::check_warn;

namespace {

constexpr int kPatienceMs = 3000;
constexpr std::size_t kMaxTried = 8;  // host and port pairs of one resource

// Empty: a TCP connection was made.
std::string try_connect(const std::string& host, std::uint16_t port,
                        const std::function<void(int)>& before) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
        error != 0)
        return ::gai_strerror(error);
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses{found, ::freeaddrinfo};
    std::string why = "no address";
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
        const UniqueFd fd{::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        if (!fd) continue;
        before(fd.get());
        int error = 0;
        if (::connect(fd.get(), at->ai_addr, at->ai_addrlen) != 0) error = errno;
        if (error == EINPROGRESS) {
            pollfd waiting{.fd = fd.get(), .events = POLLOUT, .revents = 0};
            socklen_t size = sizeof error;
            if (::poll(&waiting, 1, kPatienceMs) <= 0)
                error = ETIMEDOUT;
            else
                ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        }
        if (error == 0) return "";
        why = std::strerror(error);
    }
    return why;
}

bool is_pattern(const std::string& host) {
    return host.find('*') != std::string::npos || host.find('/') != std::string::npos;
}

std::vector<std::string> secrets_of(const policy::bundle::Resource& resource) {
    std::vector<std::string> names;
    if (!resource.upstream.tls.key_secret.empty())
        names.push_back(resource.upstream.tls.key_secret);
    if (!resource.credential) return names;
    for (std::string& name : resource.credential->secrets()) names.push_back(std::move(name));
    return names;
}

}  // namespace

std::vector<v1::DoctorCheck> check_resource(const policy::bundle::Resource& resource,
                                            const credential::SecretStore& secrets,
                                            const std::function<void(int socket)>& before) {
    const std::string name = "resource " + resource.metadata.name;
    std::vector<v1::DoctorCheck> checks;
    for (const std::string& secret : secrets_of(resource))
        if (const auto got = secrets.get(secret); !got)
            checks.push_back(check_fail(name, "secret " + secret + ": " + got.error().message(),
                                        "chaperone secret set " + secret));
    std::vector<std::string> hosts = resource.hosts;
    std::vector<std::uint16_t> ports = resource.ports;
    if (!resource.upstream.host.empty()) hosts = {resource.upstream.host};
    if (resource.upstream.port != 0) ports = {resource.upstream.port};
    std::size_t tried = 0;
    std::string reached;
    for (const std::string& host : hosts)
        for (const std::uint16_t port : ports) {
            if (is_pattern(host) || resource.protocol == "udp" || tried++ >= kMaxTried) continue;
            const std::string at = host + ":" + std::to_string(port);
            const std::string why = try_connect(host, port, before);
            if (why.empty())
                reached += (reached.empty() ? "" : ", ") + at;
            else
                checks.push_back(check_warn(name, at + ": " + why,
                                            "see the resource's hosts and upstream, and the "
                                            "network from this host to there"));
        }
    if (!reached.empty()) checks.push_back(check_ok(name, "reached " + reached));
    if (tried == 0) checks.push_back(check_ok(name, "has no single host that could be tried"));
    return checks;
}

}  // namespace chaperone::daemon

// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/sockets.h"

#include "userspace/base/unique_fd.h"
#include "userspace/kernel/kernel_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace chaperone::kernel {

namespace {

// linux/inet_diag.h of the oldest kernels that we run on has these; libc's copy may be older.
constexpr int kCgroupId = 21;  // INET_DIAG_CGROUP_ID
constexpr std::uint32_t kAllStates = ~(1U << TCP_LISTEN | 1U << TCP_CLOSE | 1U << TCP_TIME_WAIT);
// Of inet_diag_msg.idiag_timer: the socket is gone but for its addresses (sock_diag(7)).
constexpr __u8 kTimeWait = 3;

struct Request {
    nlmsghdr header{};
    inet_diag_req_v2 diag{};
};

Result<UniqueFd> open_netlink() {
    UniqueFd fd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)};
    if (!fd) return system_error("open a netlink socket", errno);
    // The kernel answers in the same call; this is for one that does not.
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

Result<> send(int fd, Request& request) {
    request.header.nlmsg_len = sizeof(request);
    if (::send(fd, &request, sizeof(request), 0) != ssize_t{sizeof(request)})
        return system_error("ask sock_diag", errno);
    return {};
}

Address address_of(int family, const __be32 (&ip)[4], __be16 port) {
    Address address;
    if (family == AF_INET) {
        std::array<std::uint8_t, 4> v4{};
        std::memcpy(v4.data(), ip, v4.size());
        return v4_address(v4[0], v4[1], v4[2], v4[3], ntohs(port));
    }
    std::memcpy(address.ip.data(), ip, address.ip.size());
    address.port = ntohs(port);
    return address;
}

OpenSocket socket_from(const nlmsghdr* header, int protocol) {
    const auto* told = static_cast<const inet_diag_msg*>(NLMSG_DATA(header));
    OpenSocket made{
        .family = told->idiag_family,
        .protocol = protocol,
        .state = told->idiag_state,
        .local = address_of(told->idiag_family, told->id.idiag_src, told->id.idiag_sport),
        .remote = address_of(told->idiag_family, told->id.idiag_dst, told->id.idiag_dport),
        .inode = told->idiag_inode,
        .uid = told->idiag_uid,
        .ended = told->idiag_timer == kTimeWait};
    made.cookie = told->id.idiag_cookie[0] | std::uint64_t{told->id.idiag_cookie[1]} << 32;
    int left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof(*told)));
    for (const auto* part = reinterpret_cast<const rtattr*>(told + 1); RTA_OK(part, left);
         part = RTA_NEXT(part, left))
        if (part->rta_type == kCgroupId && RTA_PAYLOAD(part) == sizeof(made.cgroup_id))
            std::memcpy(&made.cgroup_id, RTA_DATA(part), sizeof(made.cgroup_id));
    return made;
}

Result<> list(int fd, int family, int protocol, std::vector<OpenSocket>& all) {
    Request request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.diag.sdiag_family = static_cast<__u8>(family);
    request.diag.sdiag_protocol = static_cast<__u8>(protocol);
    request.diag.idiag_states = protocol == IPPROTO_UDP ? 1U << TCP_ESTABLISHED : kAllStates;
    if (auto sent = send(fd, request); !sent) return sent;
    alignas(nlmsghdr) std::array<char, 32768> buffer;
    for (;;) {
        const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (size < 0) return system_error("read from sock_diag", errno);
        auto left = static_cast<unsigned>(size);
        for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
             header = NLMSG_NEXT(header, left)) {
            if (header->nlmsg_type == NLMSG_DONE) return {};
            if (header->nlmsg_type == NLMSG_ERROR) {
                const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(header));
                if (error->error == -ENOENT) return {};  // no diagnosis of this kind of socket
                return system_error("list sockets", -error->error);
            }
            all.push_back(socket_from(header, protocol));
        }
    }
}

void put(__be32 (&ip)[4], const Address& address, int family) {
    if (family == AF_INET)
        std::memcpy(ip, address.ip.data() + 12, 4);
    else
        std::memcpy(ip, address.ip.data(), address.ip.size());
}

}  // namespace

Result<std::vector<OpenSocket>> list_connected_sockets() {
    auto fd = open_netlink();
    if (!fd) return fail(fd.error());
    std::vector<OpenSocket> all;
    for (const int protocol : {IPPROTO_TCP, IPPROTO_UDP})
        for (const int family : {AF_INET, AF_INET6})
            if (auto listed = list(fd->get(), family, protocol, all); !listed)
                return fail(listed.error());
    std::erase_if(all, [](const OpenSocket& socket) { return socket.remote.port == 0; });
    return all;
}

Result<> end_connection(const Address& local, const Address& remote) {
    const auto all = list_connected_sockets();
    if (!all) return fail(all.error());
    const auto found = std::ranges::find_if(*all, [&](const OpenSocket& socket) {
        return socket.protocol == IPPROTO_TCP && socket.local == local && socket.remote == remote;
    });
    if (found == all->end()) return fail(Errc::NotFound, "no such connection");
    return destroy_socket(*found);
}

namespace {

// A netlink socket that is asked again and again. The number of a question is in its answer, so
// that what was not waited for is not taken for another's.
struct Line {
    UniqueFd fd{};
    std::uint32_t asked = 0;
};

Result<OpenSocket> find_listener(Line& line, const Address& address) {
    const int family = address.is_v4() ? AF_INET : AF_INET6;
    Request request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST;
    request.diag.sdiag_family = static_cast<__u8>(family);
    request.diag.sdiag_protocol = IPPROTO_TCP;
    request.diag.idiag_states = 1U << TCP_LISTEN;
    request.diag.id.idiag_sport = htons(address.port);
    put(request.diag.id.idiag_src, address, family);
    request.diag.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    request.diag.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    request.header.nlmsg_seq = ++line.asked;
    if (auto sent = send(line.fd.get(), request); !sent) return fail(sent.error());
    alignas(nlmsghdr) std::array<char, 4096> buffer;
    const ssize_t size = ::recv(line.fd.get(), buffer.data(), buffer.size(), 0);
    if (size < 0) return system_error("read from sock_diag", errno);
    const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
    if (!NLMSG_OK(header, static_cast<unsigned>(size)) || header->nlmsg_seq != line.asked)
        return fail(Errc::Malformed, "sock_diag gave no answer");
    if (header->nlmsg_type == NLMSG_ERROR) {
        const int error = -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
        if (error == ENOENT) return fail(Errc::NotFound, "nobody listens there");
        return system_error("look for a listener", error);
    }
    OpenSocket found = socket_from(header, IPPROTO_TCP);
    if (found.state != TCP_LISTEN) return fail(Errc::NotFound, "nobody listens there");
    return found;
}

}  // namespace

Result<OpenSocket> find_listener(const Address& address) {
    static thread_local Line line;
    if (!line.fd) {
        auto fd = open_netlink();
        if (!fd) return fail(fd.error());
        line.fd = std::move(*fd);
    }
    auto found = find_listener(line, address);
    // Whatever went wrong, nothing of it is left in a new one.
    if (!found && found.error().code != Errc::NotFound) line.fd.reset();
    return found;
}

Result<> destroy_socket(const OpenSocket& socket) {
    auto fd = open_netlink();
    if (!fd) return fail(fd.error());
    Request request;
    request.header.nlmsg_type = SOCK_DESTROY;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    request.diag.sdiag_family = static_cast<__u8>(socket.family);
    request.diag.sdiag_protocol = static_cast<__u8>(socket.protocol);
    auto& id = request.diag.id;
    id.idiag_sport = htons(socket.local.port);
    id.idiag_dport = htons(socket.remote.port);
    put(id.idiag_src, socket.local, socket.family);
    put(id.idiag_dst, socket.remote, socket.family);
    const bool any = socket.cookie == 0;
    id.idiag_cookie[0] = any ? INET_DIAG_NOCOOKIE : static_cast<__u32>(socket.cookie);
    id.idiag_cookie[1] = any ? INET_DIAG_NOCOOKIE : static_cast<__u32>(socket.cookie >> 32);
    if (auto sent = send(fd->get(), request); !sent) return sent;
    alignas(nlmsghdr) std::array<char, 4096> buffer;
    const ssize_t size = ::recv(fd->get(), buffer.data(), buffer.size(), 0);
    if (size < 0) return system_error("end a socket", errno);
    const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
    if (static_cast<std::size_t>(size) < NLMSG_LENGTH(sizeof(nlmsgerr)) ||
        header->nlmsg_type != NLMSG_ERROR)
        return fail(Errc::Malformed, "sock_diag gave no answer");
    const int error = -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
    if (error == 0) return {};
    if (error == ENOENT) return fail(Errc::NotFound, "the socket is gone");
    if (error == EOPNOTSUPP)
        return fail(Errc::Unsupported, "this kernel does not end sockets from outside");
    return system_error("end a socket", error);
}

Result<std::vector<std::uint32_t>> socket_inodes_of(int pid) {
    namespace fs = std::filesystem;
    std::vector<std::uint32_t> inodes;
    std::error_code error;
    fs::directory_iterator entry{"/proc/" + std::to_string(pid) + "/fd", error};
    for (; !error && entry != fs::directory_iterator{}; entry.increment(error)) {
        std::error_code ignored;
        const std::string target = fs::read_symlink(entry->path(), ignored).string();
        constexpr std::string_view kPrefix = "socket:[";
        if (!target.starts_with(kPrefix)) continue;
        std::uint32_t inode = 0;
        std::from_chars(target.data() + kPrefix.size(), target.data() + target.size(), inode);
        inodes.push_back(inode);
    }
    if (error)
        return system_error("look at the files of process " + std::to_string(pid), error.value());
    return inodes;
}

}  // namespace chaperone::kernel

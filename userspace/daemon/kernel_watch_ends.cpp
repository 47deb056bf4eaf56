// SPDX-License-Identifier: Apache-2.0
// The half of KernelWatch that ends what went straight: by an operator's word, and where a new
// bundle does not let it any more.
#include "userspace/base/log.h"
#include "userspace/daemon/kernel_watch.h"
#include "userspace/daemon/direct_facts.h"
#include "userspace/kernel/sockets.h"

#include <netinet/in.h>

#include <algorithm>
#include <optional>

namespace chaperone::daemon {
namespace {

constexpr std::string_view kChanged = "policy changed: it is not let any more";

// Whether the socket is one of the connection's two ends. A datagram socket may have other peers:
// only one that is connected to this very one is.
bool is_end_of(const kernel::OpenSocket& socket, const kernel::Direct& direct) {
    const kernel::Address& far = direct.origin.destination;
    if (socket.protocol != direct.protocol) return false;
    if (socket.cookie == direct.origin.socket)
        return direct.protocol == IPPROTO_TCP || socket.remote == far;
    // The other one, where it is in this network namespace; a server that is not governed hears of
    // it by a reset.
    return direct.protocol == IPPROTO_TCP && (direct.inbound || direct.peer.cgroup_id != 0) &&
           socket.local == far &&
           socket.remote.port == (direct.inbound ? direct.called.port : direct.local_port);
}

}  // namespace

void KernelWatch::end_refused() {
    std::vector<kernel::Direct> open;
    open_.with([&](const auto& all) {
        for (const auto& [id, one] : all)
            if (one.reason.empty()) open.push_back(one.direct);
    });
    std::erase_if(open, [&](const kernel::Direct& direct) { return services_.lets(direct); });
    if (open.empty()) return;
    std::map<std::uint64_t, std::vector<kernel::Direct>> refused;  // by network namespace
    open_.with([&](auto& all) {
        for (const kernel::Direct& direct : open)
            if (const auto found = all.find(session_id(direct)); found != all.end())
                found->second.reason = kChanged;
    });
    for (kernel::Direct& direct : open) refused[direct.origin.netns].push_back(std::move(direct));
    for (const auto& [netns, directs] : refused) end_sockets(netns, directs);
    // Connections are closed by their sockets' ends, which are told; talks have none.
    for (const auto& [netns, directs] : refused)
        for (const kernel::Direct& direct : directs)
            if (direct.protocol == IPPROTO_UDP)
                if (const auto ended = services_.redirector->end_talk({.direct = direct}))
                    closed(ended->direct);
}

void KernelWatch::end_sockets(std::uint64_t netns, const std::vector<kernel::Direct>& directs) {
    const auto end = [&]() -> Result<> {
        const auto sockets = kernel::list_connected_sockets();
        if (!sockets) return fail(sockets.error());
        Result<> done;
        for (const kernel::OpenSocket& socket : *sockets) {
            const bool one = std::ranges::any_of(
                directs, [&](const kernel::Direct& direct) { return is_end_of(socket, direct); });
            if (!one) continue;
            auto ended = kernel::destroy_socket(socket);
            if (!ended && ended.error().code != Errc::NotFound) done = ended;
        }
        return done;
    };
    const auto done = services_.inside(netns, end);
    if (!done && done.error().code != Errc::NotFound)
        log::warning("connections that policy stops are not ended, but get nothing through",
                     {{"error", done.error().message()}});
}

Result<> KernelWatch::kill(std::string_view id, std::string_view reason) {
    const auto direct = open_.with([&](auto& open) -> std::optional<kernel::Direct> {
        const auto found = open.find(id);
        if (found == open.end()) return std::nullopt;
        found->second.reason = reason;
        return found->second.direct;
    });
    if (!direct) return fail(Errc::NotFound, "no such session");
    return services_.inside(direct->origin.netns, [&]() -> Result<> {
        const auto sockets = kernel::list_connected_sockets();
        if (!sockets) return fail(sockets.error());
        for (const kernel::OpenSocket& socket : *sockets)
            if (socket.cookie == direct->origin.socket) return kernel::destroy_socket(socket);
        return fail(Errc::NotFound, "its socket is gone");
    });
}

}  // namespace chaperone::daemon

// SPDX-License-Identifier: Apache-2.0
// What the kernel had no room to tell of: refusals are written down as a number, and the sessions
// whose ends are missing are found by their sockets, which are gone. So are those of sockets that
// outlived their cgroup, and with it the hooks that would have told.
#include "userspace/base/log.h"
#include "userspace/daemon/kernel_entries.h"
#include "userspace/daemon/kernel_watch.h"
#include "userspace/kernel/sockets.h"

#include <netinet/in.h>

namespace chaperone::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRepeat = std::chrono::seconds{10};
constexpr const char* kLost =
    "it ended, and the kernel could not tell when: its bytes are not known";

}  // namespace

void KernelWatch::read_losses(bool all) {
    const auto counted = services_.redirector->counters();
    if (!counted || !waiting_.empty()) return;
    if (losses_written_ == Clock::time_point{}) {  // what was lost before us is in the metrics
        untold_ = counted->untold;
        lost_ends_ = counted->lost_flows;
        losses_written_ = Clock::now() - kRepeat;
    }
    if (counted->lost_flows != lost_ends_) behind_ = true;
    lost_ends_ = counted->lost_flows;
    const auto time = Clock::now();
    if (behind_ || time - looked_for_ends_ >= kRepeat) {
        looked_for_ends_ = time;
        behind_ = !end_lost() && behind_;
    }
    if (counted->untold == untold_ || (!all && time - losses_written_ < kRepeat)) return;
    write(
        untold_entry(counted->untold - untold_, "refusals that the kernel had no room to tell of"));
    untold_ = counted->untold;
    losses_written_ = time;
}

// False: some could not be looked at, and are to be looked at again.
bool KernelWatch::end_lost() {
    std::map<std::uint64_t, std::map<std::string, std::uint64_t>> by_netns;
    open_.with([&](const auto& open) {
        for (const auto& [id, one] : open)
            if (one.direct.protocol != IPPROTO_UDP)
                by_netns[one.direct.origin.netns][id] = one.direct.origin.socket;
    });
    bool complete = true;
    for (auto& [netns, sessions] : by_netns) {
        const auto keep_live = [&]() -> Result<> {
            const auto sockets = kernel::list_connected_sockets();
            if (!sockets) return fail(sockets.error());
            std::map<std::uint64_t, bool> live;
            for (const kernel::OpenSocket& socket : *sockets)
                if (!socket.ended) live[socket.cookie] = socket.inode != 0;
            std::erase_if(sessions, [&](const auto& one) {
                const auto found = live.find(one.second);
                // One that nobody holds any more ends soon, and that may have been told already.
                complete = complete && (found == live.end() || found->second);
                return found != live.end();
            });
            return {};
        };
        auto looked = services_.inside(netns, keep_live);
        if (looked || looked.error().code == Errc::NotFound) continue;  // with a namespace all go
        log::warning("sessions whose end the kernel could not tell are not found",
                     {{"error", looked.error().message()}});
        sessions.clear();
        complete = false;
    }
    read_directs();  // ends that were told, but not read yet
    for (const auto& [netns, sessions] : by_netns)
        for (const auto& [id, socket] : sessions) {
            const auto direct = open_.with([&](const auto& open) {
                const auto found = open.find(id);
                return found == open.end() ? kernel::Direct{} : found->second.direct;
            });
            if (direct.origin.socket != socket) continue;
            open_.with([&](auto& open) { open.erase(id); });
            kernel::Direct ended = direct;
            ended.time = now();
            ended.duration = ended.time - direct.origin.time;
            services_.redirector->forget_direct(direct);
            write(end_entry(id, ended, kLost));
        }
    return complete;
}

}  // namespace chaperone::daemon

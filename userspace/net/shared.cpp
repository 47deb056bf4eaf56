// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/shared.h"

#include "userspace/authority/authority.h"
#include "userspace/net/catalogs.h"
#include "userspace/net/tokens.h"
#include "userspace/net/workload_room.h"
#include "userspace/session/http/mcp_streams.h"

namespace chaperone::net {
Shared::Shared() : mcp_streams(std::make_shared<session::McpStreams>()) {}
Shared::~Shared() = default;

Result<> Shared::start_threads() {
    auto made = Catalogs::create(options.connect_timeout);
    if (!made) return fail(made.error());
    catalogs = std::move(*made);
    auto fetched = Tokens::create();
    if (!fetched) return fail(fetched.error());
    tokens = std::move(*fetched);
    if (services.authority == nullptr || !services.authority->blocks()) return {};
    auto thread = IoThread::start(998);
    if (!thread) return fail(thread.error());
    signer = std::move(*thread);
    return {};
}

std::shared_ptr<WorkloadRoom> Shared::room_of(const std::string& workload) {
    return rooms_.with([&](auto& rooms) {
        if (auto there = rooms[workload].lock()) return there;
        std::erase_if(rooms, [](const auto& room) { return room.second.expired(); });
        auto made = std::make_shared<WorkloadRoom>();
        rooms[workload] = made;
        return made;
    });
}

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/shared.h"

#include "userspace/authority/authority.h"
#include "userspace/net/catalogs.h"
#include "userspace/net/tokens.h"
#include "userspace/session/http/body_room.h"
#include "userspace/session/http/mcp_streams.h"

namespace chaperone::net {
namespace {

// 256 of the largest at a time: models are sent such, and answer for minutes.
constexpr std::size_t kBodiesOfWorkload = std::size_t{256} << 20;

}  // namespace

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

std::shared_ptr<session::BodyRoom> Shared::body_room(const std::string& workload) {
    return body_rooms_.with([&](auto& rooms) {
        if (auto there = rooms[workload].lock()) return there;
        std::erase_if(rooms, [](const auto& room) { return room.second.expired(); });
        auto made = std::make_shared<session::BodyRoom>(kBodiesOfWorkload);
        rooms[workload] = made;
        return made;
    });
}

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// What all sessions of a proxy share: immutable, atomic, or guarded by itself.
#pragma once

#include "userspace/base/guarded.h"
#include "userspace/net/io_thread.h"
#include "userspace/net/names.h"
#include "userspace/net/pinned.h"
#include "userspace/net/proxy.h"
#include "userspace/net/registry.h"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace chaperone::session {
class McpStreams;
}  // namespace chaperone::session

namespace chaperone::net {

class Catalogs;
class Tokens;
struct WorkloadRoom;

struct Tally {
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> without_origin{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> requests{0};
    std::atomic<std::uint64_t> denied{0};
    std::atomic<std::uint64_t> held{0};
    std::atomic<std::uint64_t> unrecordable{0};
    // Requests on which shadow rules would have acted, by what they would have come to.
    std::atomic<std::uint64_t> shadow_denied{0};
    std::atomic<std::uint64_t> shadow_held{0};
    std::atomic<std::uint64_t> shadow_allowed{0};
    std::atomic<std::uint64_t> reused{0};  // connections to servers, by another session
    std::atomic<std::size_t> sniffed{0};   // connections whose first bytes are waited for, now
};

struct Shared {
    Shared();
    ~Shared();
    Result<> start_threads();  // of catalogs, tokens and the signer

    Options options{};
    Services services{};
    Registry registry{};
    Tally tally{};
    Names names{};
    std::unique_ptr<Catalogs> catalogs{};
    std::unique_ptr<Tokens> tokens{};
    std::unique_ptr<IoThread> signer{};  // where the authority's key is in a token
    Pinned pinned{};
    std::shared_ptr<session::McpStreams> mcp_streams{};
    std::atomic<std::uint64_t> bundle_generation{0};

    std::shared_ptr<WorkloadRoom> room_of(const std::string& workload);

    Proxy::BundlePtr bundle() const {
        return bundle_.with([](const auto& held) { return held; });
    }
    void set_bundle(Proxy::BundlePtr next) {
        bundle_.with([&](auto& held) { held = std::move(next); });
        ++bundle_generation;
    }

private:
    Guarded<Proxy::BundlePtr> bundle_{};
    Guarded<std::map<std::string, std::weak_ptr<WorkloadRoom>>> rooms_{};
};

}  // namespace chaperone::net

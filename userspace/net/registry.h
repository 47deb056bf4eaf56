// SPDX-License-Identifier: Apache-2.0
// The sessions that are open now, as the rest of the program sees them, and the keys by which
// their clients may cancel. Thread-safe.
#pragma once

#include "policy/decision.h"
#include "userspace/base/bytes.h"
#include "userspace/base/guarded.h"
#include "userspace/net/proxy.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace chaperone::net {

class SessionRunner;

// Written by the session's thread, read by any.
struct LiveSession {
    using Post = std::function<void(std::function<void(SessionRunner&)>)>;

    LiveSession(std::string session_id, Post how,
                std::shared_ptr<const policy::SessionFacts> its_facts)
        : id(std::move(session_id)), post(std::move(how)), facts(std::move(its_facts)) {}

    const std::string id;
    const Post post;  // runs a function on the session's thread, if it is still there then
    Guarded<std::shared_ptr<const policy::SessionFacts>> facts;
    std::atomic<const char*> state{"opening"};
    std::atomic<std::uint64_t> requests{0};
    std::atomic<std::uint64_t> rows{0};
    std::atomic<std::uint64_t> up{0};
    std::atomic<std::uint64_t> down{0};
    std::atomic<policy::Effect> strictest{policy::Effect::Allow};

    SessionSnapshot snapshot() const;
};

using LivePtr = std::shared_ptr<LiveSession>;

// PostgreSQL's BackendKeyData as we make it up: guessing one must be hopeless.
struct CancelKey {
    std::uint32_t pid{};
    std::uint32_t secret{};
    auto operator<=>(const CancelKey&) const = default;
};

class Registry {
public:
    void add(const LivePtr& session);
    void remove(std::string_view id);
    LivePtr find(std::string_view id) const;
    std::vector<LivePtr> all() const;
    std::size_t size() const noexcept { return size_; }

    CancelKey new_key(std::string_view id);
    // The same secret under the server's pid, which is what the client is told. Two servers may
    // have given the same pid; then the secret tells the sessions apart.
    CancelKey rename_key(CancelKey key, std::uint32_t pid);
    void forget_key(CancelKey key);
    // The session of this key; null: nobody's, and the request is dropped in silence, as
    // PostgreSQL does.
    LivePtr find(CancelKey key) const;

private:
    struct Maps {
        std::map<std::string_view, LivePtr> sessions;  // by their own ids
        std::map<CancelKey, std::string> keys;
        std::uint32_t next_pid = 1;
    };
    Guarded<Maps> maps_;
    std::atomic<std::size_t> size_{0};
};

}  // namespace chaperone::net

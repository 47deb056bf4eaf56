// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/registry.h"

#include <openssl/rand.h>

#include <array>
#include <stdexcept>
#include <utility>

namespace chaperone::net {

SessionSnapshot LiveSession::snapshot() const {
    SessionSnapshot now;
    now.facts = facts.with([](const auto& held) { return held; });
    now.state = state.load();
    now.requests = requests.load();
    now.rows = rows.load();
    now.bytes_up = up.load();
    now.bytes_down = down.load();
    now.effect = policy::to_text(strictest.load());
    return now;
}

void Registry::add(const LivePtr& session) {
    maps_.with([&](Maps& maps) {
        maps.sessions.emplace(session->id, session);
        size_ = maps.sessions.size();
    });
}

void Registry::remove(std::string_view id) {
    maps_.with([&](Maps& maps) {
        if (const auto found = maps.sessions.find(id); found != maps.sessions.end())
            maps.sessions.erase(found);
        size_ = maps.sessions.size();
    });
}

LivePtr Registry::find(std::string_view id) const {
    return maps_.with([&](const Maps& maps) -> LivePtr {
        const auto found = maps.sessions.find(id);
        return found == maps.sessions.end() ? nullptr : found->second;
    });
}

std::vector<LivePtr> Registry::all() const {
    return maps_.with([](const Maps& maps) {
        std::vector<LivePtr> sessions;
        sessions.reserve(maps.sessions.size());
        for (const auto& [id, session] : maps.sessions) sessions.push_back(session);
        return sessions;
    });
}

namespace {

// Drawn for many at once, as in new_id().
std::uint32_t new_secret() {
    static thread_local std::array<std::uint32_t, 64> chance;
    static thread_local std::size_t left = 0;
    if (left == 0) {
        if (RAND_bytes(reinterpret_cast<unsigned char*>(chance.data()), sizeof chance) != 1)
            throw std::runtime_error("the system gives no random bytes");
        left = chance.size();
    }
    return std::exchange(chance[--left], 0);
}

}  // namespace

CancelKey Registry::new_key(std::string_view id) {
    const std::uint32_t secret = new_secret();
    return maps_.with([&](Maps& maps) {
        CancelKey key{0, secret};
        do {
            key.pid = maps.next_pid++ & 0x7fffffff;  // clients print it as a signed number
        } while (key.pid == 0 || maps.keys.contains(key));
        maps.keys.emplace(key, id);
        return key;
    });
}

CancelKey Registry::rename_key(CancelKey key, std::uint32_t pid) {
    return maps_.with([&](Maps& maps) {
        const CancelKey renamed{pid, key.secret};
        if (pid == 0 || pid == key.pid) return key;
        auto node = maps.keys.extract(key);
        if (node.empty()) return CancelKey{};
        node.key() = renamed;
        // Taken by one in four billion: cancelling is then not offered, rather than mixed up.
        return maps.keys.insert(std::move(node)).inserted ? renamed : CancelKey{};
    });
}

void Registry::forget_key(CancelKey key) {
    maps_.with([&](Maps& maps) { maps.keys.erase(key); });
}

LivePtr Registry::find(CancelKey key) const {
    return maps_.with([&](const Maps& maps) -> LivePtr {
        const auto owner = maps.keys.find(key);
        if (owner == maps.keys.end()) return nullptr;
        const auto found = maps.sessions.find(owner->second);
        return found == maps.sessions.end() ? nullptr : found->second;
    });
}

}  // namespace chaperone::net

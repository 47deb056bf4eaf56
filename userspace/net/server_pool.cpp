// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/server_pool.h"

#include "policy/request.h"
#include "userspace/net/http_credential.h"
#include "userspace/net/target.h"

#include <algorithm>
#include <utility>

namespace chaperone::net {

namespace {

bool same(const Secret& one, const Secret& other) {
    return one.equals(other.expose());
}

bool same(const policy::Identity& one, const policy::Identity& other) {
    return one.subject == other.subject && one.groups == other.groups &&
           one.issuer == other.issuer && one.actors == other.actors && one.claims == other.claims;
}

bool same(const HttpCredential* one, const HttpCredential* other) {
    if (one == other) return true;
    if (one == nullptr || other == nullptr) return false;
    const bool sources = one->source == other->source ||
                         (one->source && other->source && one->source->key == other->source->key);
    return sources && one->kind == other->kind && one->name == other->name &&
           same(one->value, other->value) && one->access_key == other->access_key &&
           same(one->secret_key, other->secret_key) &&
           same(one->session_token, other->session_token) &&
           one->scope.region == other->scope.region && one->scope.service == other->scope.service;
}

bool same(const tls::ClientOptions& one, const tls::ClientOptions& other) {
    return one.verify == other.verify && one.server_name == other.server_name &&
           one.ca == other.ca && one.alpn == other.alpn && one.certificate.empty() &&
           other.certificate.empty();
}

bool same(const Target& one, const Target& other) {
    return one.port == other.port && one.host == other.host && one.resource == other.resource &&
           one.protocol == other.protocol && one.tls_mode == other.tls_mode &&
           same(one.tls, other.tls) && one.user == other.user &&
           same(one.password, other.password) && one.pass_through == other.pass_through &&
           same(one.http_credential.get(), other.http_credential.get());
}

}  // namespace

bool same_server(const ServerUse& one, const ServerUse& other) {
    return one.generation == other.generation && one.tls == other.tls &&
           one.offers == other.offers && one.facts->workload == other.facts->workload &&
           one.facts->resource == other.facts->resource &&
           one.facts->protocol == other.facts->protocol &&
           same(one.facts->identity, other.facts->identity) && same(*one.target, *other.target);
}

asio::execution_context::id ServerPool::id;

struct ServerPool::Idle final : Poller::Listener {
    Idle(ServerPool& of, ServerUse its, ServerConnection what, Clock::time_point time)
        : pool(&of), use(std::move(its)), connection(std::move(what)), since(time) {}

    void ready() noexcept override {
        if (pool == nullptr || connection.stream.is_quiet()) return;
        connection.stream.finish();
        std::exchange(pool, nullptr)->forget(this);
    }
    // Its stream keeps it alive by watching: what leaves the pool is closed, or moved from.
    void close() noexcept {
        pool = nullptr;
        connection.stream.finish();
    }

    ServerPool* pool;
    ServerUse use;
    ServerConnection connection;
    Clock::time_point since;
};

ServerPool::ServerPool(asio::execution_context& context)
    : service(context),
      context_(static_cast<asio::io_context&>(context)),
      poller_(Poller::of(context_)) {}  // ends behind this one, which has sockets in it

bool ServerPool::allows(const Target& target) {
    return target.tls.certificate.empty() && !target.before_connect;
}

void ServerPool::put(ServerUse use, ServerConnection connection, Clock::time_point time) {
    const auto alike = [&](const auto& one) { return same_server(one->use, use); };
    const bool room = idle_ != Duration{} && idle_ones_.size() < kMost;
    if (!room || !allows(*use.target) || time - connection.made >= kOldest ||
        !(connection.stream.seems_quiet() || connection.stream.is_quiet()) ||
        static_cast<std::size_t>(std::ranges::count_if(idle_ones_, alike)) >= kMostOfOne)
        return connection.stream.finish();
    auto one = std::make_shared<Idle>(*this, std::move(use), std::move(connection), time);
    if (!one->connection.stream.watch(poller_, one)) return one->close();
    idle_ones_.push_back(std::move(one));
}

std::optional<ServerConnection> ServerPool::take(const ServerUse& wanted, Clock::time_point time) {
    for (std::size_t i = idle_ones_.size(); i-- != 0;) {
        if (!same_server(idle_ones_[i]->use, wanted)) continue;
        const std::shared_ptr<Idle> one = std::move(idle_ones_[i]);
        idle_ones_.erase(idle_ones_.begin() + static_cast<std::ptrdiff_t>(i));
        // Its end may have come, and not have been told yet.
        const bool good = time - one->since < idle_ && time - one->connection.made < kOldest &&
                          one->connection.stream.is_quiet();
        if (!good) {
            one->close();
            continue;
        }
        one->pool = nullptr;
        return std::move(one->connection);
    }
    return std::nullopt;
}

void ServerPool::forget(const Idle* one) {
    std::erase_if(idle_ones_, [&](const auto& each) { return each.get() == one; });
}

template <class Which>
void ServerPool::drop_if(const Which& which) {
    std::erase_if(idle_ones_, [&](const auto& one) {
        const bool gone = which(*one);
        if (gone) one->close();
        return gone;
    });
}

void ServerPool::expire(Clock::time_point time) {
    drop_if([&](const Idle& one) {
        return time - one.since >= idle_ || time - one.connection.made >= kOldest;
    });
}

void ServerPool::drop_all() {
    drop_if([](const Idle&) { return true; });
}

void ServerPool::drop_workload(std::string_view workload) {
    drop_if([&](const Idle& one) { return one.use.facts->workload == workload; });
}

void ServerPool::shut() {
    idle_ = {};
    drop_all();
}

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/protocols.h"

#include "policy/bundle/bundle.h"
#include "policy/detect/detector.h"
#include "policy/sql/analyzer.h"
#include "userspace/base/encoding.h"
#include "userspace/base/ids.h"
#include "userspace/base/log.h"
#include "userspace/net/http_credential.h"
#include "userspace/net/other_host.h"
#include "userspace/net/server_pool.h"
#include "userspace/net/workload_room.h"
#include "userspace/session/http/desk.h"
#include "userspace/session/http/masking.h"
#include "userspace/session/http/shapes.h"
#include "userspace/session/http/websocket_machine.h"
#include "userspace/session/http_session.h"
#include "userspace/session/pg_session.h"
#include "userspace/session/tcp_session.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>

namespace chaperone::net {
namespace {

constexpr std::string_view kHttp = "http";
constexpr std::string_view kPostgresql = "postgresql";
constexpr std::string_view kTunnel = "tcp";  // decided as what nobody inspects

const std::string& peer_of(const policy::Destination& destination) {
    return destination.name.empty() ? destination.address : destination.name;
}

std::string new_nonce() {
    std::array<unsigned char, 24> chance;
    if (RAND_bytes(chance.data(), chance.size()) != 1)
        throw std::runtime_error("the system gives no random bytes");
    return to_base64(std::as_bytes(std::span{chance}));
}

Buffer big_endian(std::uint32_t value) {
    Buffer bytes;
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<std::byte>(value >> shift & 0xff));
    return bytes;
}

// The detector for a mask, with the bundle's own recognisers; kept, because making one costs
// milliseconds. Null if the bundle's recognisers cannot be used: everything is masked then.
std::shared_ptr<const detect::Detector> detector_for(const Shared& shared,
                                                     const policy::DetectMask& mask) {
    static constexpr std::size_t kMost = 64;
    static thread_local std::map<std::string, std::shared_ptr<const detect::Detector>> kept;
    const auto bundle = shared.bundle();
    std::string key = bundle ? bundle->digest() : std::string{};
    for (const std::string& kind : mask.kinds) key += "," + kind;
    if (const auto found = kept.find(key); found != kept.end()) return found->second;
    std::span<const detect::CustomRecognizer> custom;
    if (bundle) custom = bundle->recognizers();
    auto made = detect::Detector::make(mask.kinds, custom);
    if (!made) return nullptr;
    if (kept.size() == kMost) kept.clear();
    return kept[key] = std::make_shared<const detect::Detector>(std::move(*made));
}

// Kept, as deriving its key costs more than all else that a session begins with.
std::shared_ptr<const detect::Masker> masker_for(const Shared& shared, const std::string& scope) {
    static constexpr std::size_t kMost = 64;
    struct Kept {
        Buffer key{};
        std::shared_ptr<const detect::Masker> masker{};
    };
    static thread_local std::map<std::string, Kept> kept;  // by scope
    const auto found = kept.find(scope);
    if (found != kept.end() && found->second.key == shared.options.pseudonym_key)
        return found->second.masker;
    if (kept.size() == kMost) kept.clear();
    Kept& made = kept[scope];
    made = {shared.options.pseudonym_key,
            std::make_shared<const detect::Masker>(shared.options.pseudonym_key, scope)};
    return made.masker;
}

std::unique_ptr<session::Machine> make_postgresql(Shared& shared, const Opening& opening,
                                                  const Place& place) {
    const CancelKey key = place.key;
    static thread_local policy::sql::AnalysisCache cache;  // a session stays on its thread
    const Target& target = *opening.target;
    session::PgSessionConfig config;
    config.facts = *opening.facts;
    config.pid = key.pid;
    config.cancel_secret = big_endian(key.secret);
    config.client_tls = true;
    config.server_tls = target.tls_mode != TlsMode::Disable;
    config.credential =
        target.pass_through ? session::Credential::PassThrough : session::Credential::Ours;
    config.user = target.user;
    config.password = target.password.clone();
    config.nonce = new_nonce();
    config.mask_key = shared.options.pseudonym_key;
    config.mask_scope = target.resource;
    config.detectors = [&shared](const policy::DetectMask& mask) {
        return detector_for(shared, mask);
    };
    config.cache = &cache;
    config.limits.statement = shared.options.max_statement;
    config.limits.bind = config.limits.row = shared.options.max_message;
    return session::make_pg_session(std::move(config));
}

session::ServerTls server_tls_of(const Target& target) {
    if (target.tls_mode == TlsMode::Disable) return session::ServerTls::Never;
    return target.tls_given ? session::ServerTls::Always : session::ServerTls::AsClient;
}

bool is_loopback(const std::string& host) {
    return host.starts_with("127.") || host == "::1" || host == "localhost";
}

std::unique_ptr<session::Machine> make_http(Shared& shared, const Opening& opening,
                                            const Place& place) {
    const Target& target = *opening.target;
    session::HttpSessionConfig config;
    config.http.facts = opening.facts;
    if (opening.desk) config.http.desk = shared.services.desk;
    if (opening.bundle)
        config.http.elsewhere = [bundle = opening.bundle, facts = opening.facts](
                                    const std::string& host, std::uint16_t port) {
            return is_other_host(*bundle, *facts, host, port);
        };
    config.http.body_room = {place.room, &place.room->bodies};
    config.http.limits.idle = shared.options.http_idle_timeout;
    config.http.reuse = shared.options.http_reuse_idle != Duration{} && !opening.desk &&
                        opening.refusal.empty() && ServerPool::allows(target);
    config.http.reshape = session::shape_for_agents;
    config.http.streams = shared.mcp_streams;
    config.http.masking = session::make_masking(
        [&shared](const policy::DetectMask& mask) { return detector_for(shared, mask); },
        masker_for(shared, target.resource), target.schema);
    config.server_tls = server_tls_of(target);
    if (target.http_credential) {
        config.http.credential = make_injector(shared, target.http_credential, place.live);
        // Whoever wants it otherwise says `mode: disable`.
        if (target.tls_mode != TlsMode::Disable && !is_loopback(target.host))
            config.only_with_tls = "the credential of resource " + target.resource +
                                   " is not sent without TLS; its upstream.tls.mode may say so";
    }
    config.distrusted = [&shared, facts = opening.facts](std::string_view why) {
        shared.pinned.remember(facts->workload, peer_of(facts->destination));
        log::warning("certificate not accepted", {{"session", facts->id},
                                                  {"workload", facts->workload},
                                                  {"name", peer_of(facts->destination)},
                                                  {"error", std::string{why}}});
    };
    config.http1 = [](session::HttpConfig http) {
        session::enable_websockets(http);
        return session::make_http1_machine(std::move(http));
    };
    config.http2 = session::make_http2_machine;
    return session::make_http_session(std::move(config));
}

std::unique_ptr<session::Machine> make_tcp(Shared&, const Opening& opening, const Place&) {
    // Nobody's port: reset at once.
    if (!opening.refusal.empty()) return nullptr;
    return session::make_tcp_session(opening.facts);
}

struct Protocol {
    std::string_view name;
    std::uint16_t
        port;  // its own; where no resource claims a connection, it is refused in these words
    std::unique_ptr<session::Machine> (*make)(Shared&, const Opening&, const Place&);
};

constexpr std::array kProtocols{
    Protocol{kPostgresql, 5432, make_postgresql},
    Protocol{kHttp, 443, make_http},
    Protocol{kHttp, 80, make_http},
    Protocol{"tcp", 0, make_tcp},
};

const Protocol* by_name(std::string_view name) {
    for (const Protocol& protocol : kProtocols)
        if (protocol.name == name) return &protocol;
    return nullptr;
}

// What the bundle speaks on this port elsewhere, or whose own port it is.
std::string guess_protocol(const policy::bundle::Bundle* bundle, std::uint16_t port) {
    if (bundle != nullptr)
        for (const auto& resource : bundle->resources())
            for (const std::uint16_t known : resource.ports)
                if (known == port) return resource.protocol;
    for (const Protocol& protocol : kProtocols)
        if (protocol.port == port) return std::string{protocol.name};
    return "tcp";
}

// Which resource a connection is for, and by what.
struct Claim {
    const policy::bundle::Resource* resource = nullptr;
    std::string name{};    // that the agent asked for
    bool by_name = false;  // nothing but the asked name tells: what it dialled may be anybody's
    bool ambiguous = false;
};

// A name that the agent says outweighs what its address was resolved from, but only together with
// our own resolution or a claim on the address itself. A claimed name that another was resolved to
// does not open the way to a name that nobody claims (domain fronting).
Claim claim_of(const policy::bundle::Bundle* bundle, const Origin& origin, const AskedName& asked) {
    if (bundle == nullptr) return {};
    const policy::Destination& destination = origin.destination;
    if (asked.name.empty()) {
        auto found = bundle->resource_for(destination, origin.names);
        return {found.resource, std::move(found.name), false, found.ambiguous};
    }
    const bool resolved = std::ranges::find(origin.names, asked.name) != origin.names.end();
    policy::Destination by_address = destination;
    by_address.name.clear();
    const auto* there = bundle->resource_for(by_address);
    const auto* named = bundle->resource_for({.port = destination.port, .name = asked.name});
    if (named != nullptr && named->protocol == kHttp)
        return {named, asked.name, named != there && !resolved};
    if (there != nullptr && there->protocol == kHttp) return {there, asked.name};
    return {.name = asked.name};
}

std::string describe(const policy::Destination& destination) {
    return (destination.name.empty() ? destination.address : destination.name) + " port " +
           std::to_string(destination.port);
}

// The other addresses of the name by which a connection was found.
std::vector<std::string> elsewhere(const Shared& shared, const Origin& origin,
                                   const std::string& name) {
    if (name.empty()) return {};
    auto all = shared.names.addresses(origin.workload, name, Names::Clock::now());
    std::erase(all, origin.destination.address);
    return all;
}

std::optional<Listening> listening_at(const Shared& shared, const policy::Destination& upstream) {
    if (!shared.services.listening) return std::nullopt;
    auto found = shared.services.listening(upstream.address, upstream.port);
    if (!found) return std::nullopt;
    return *std::move(found);
}

// Whether the listening workload takes this one: it may always call itself.
bool takes(const policy::bundle::Bundle& bundle, const Listening& peer,
           const policy::SessionFacts& facts, const policy::bundle::Resource& resource) {
    if (peer.workload == facts.workload) return true;
    const auto* document = bundle.workload(peer.workload);
    const std::uint16_t port = upstream_of(resource, facts.destination).port;
    return document != nullptr && document->takes(facts.workload, "tcp", port);
}

}  // namespace

bool wants_asked_name(const Shared& shared, const Origin& origin) {
    const auto bundle = shared.bundle();
    if (!bundle) return false;
    const policy::Destination& destination = origin.destination;
    if (destination.address == session::Desk::kAddress) return false;
    const auto* claimed = bundle->resource_for(destination, origin.names).resource;
    if (claimed != nullptr) return claimed->protocol == kHttp;
    return std::ranges::any_of(bundle->resources(), [&](const auto& resource) {
        return resource.protocol == kHttp &&
               std::ranges::find(resource.ports, destination.port) != resource.ports.end();
    });
}

Opening open_session(Shared& shared, const Origin& origin, const AskedName& asked) {
    auto facts = std::make_shared<policy::SessionFacts>();
    facts->start = now();
    facts->id = new_id(facts->start);
    facts->workload = origin.workload;
    facts->workload_labels = origin.labels;
    facts->destination = origin.destination;
    facts->pid = origin.pid;
    facts->uid = origin.uid;
    facts->comm = origin.comm;
    facts->cgroup = origin.cgroup;

    Opening opening;
    opening.generation = shared.bundle_generation;  // before the bundle is looked at
    const auto bundle = opening.bundle = shared.bundle();
    if (auto identity = shared.services.identity(origin.workload))
        facts->identity = std::move(*identity);
    else
        opening.refusal = "the identity of workload " + origin.workload +
                          " is not established: " + identity.error().message();

    if (origin.destination.address == session::Desk::kAddress && shared.services.desk) {
        facts->destination.name = session::Desk::kName;
        facts->resource = session::Desk::kName;
        facts->protocol = kHttp;
        opening.desk = true;
        opening.target = std::make_shared<Target>();
        opening.facts = std::move(facts);
        return opening;
    }
    const Claim claim = claim_of(bundle.get(), origin, asked);
    const auto* resource = claim.resource;
    // By address, or by a name that nobody claims: it is shown, and proves nothing.
    facts->destination.name = claim.name;
    if (claim.name.empty() && !origin.names.empty()) facts->destination.name = origin.names.front();
    if (resource == nullptr) {
        facts->protocol = asked.tls || !asked.name.empty()
                              ? std::string{kHttp}
                              : guess_protocol(bundle.get(), origin.destination.port);
        if (opening.refusal.empty() && claim.ambiguous)
            opening.refusal = "several resources of the bundle have a name for " +
                              describe(origin.destination) + ": which is meant cannot be told";
        if (opening.refusal.empty())
            opening.refusal = "no resource of the bundle claims " + describe(facts->destination);
    } else {
        facts->resource = resource->metadata.name;
        facts->protocol = resource->protocol;
        facts->resource_labels = resource->metadata.labels;
        if (const auto* workload = bundle->workload(origin.workload))
            facts->workload_labels = workload->metadata.labels;
        // The server must prove a name only where it was found by that.
        policy::Destination dialled = origin.destination;
        dialled.name = claim.name;
        if (claim.by_name) dialled.address = claim.name;
        if (asked.tls && resource->tls.on_pinned == policy::bundle::OnPinned::Tunnel &&
            shared.pinned.knows(origin.workload, peer_of(facts->destination)))
            facts->protocol = kTunnel;
        std::vector<std::string> others;
        if (!claim.by_name) others = elsewhere(shared, origin, claim.name);
        std::function<Result<>(int)> before_connect;
        if (const auto peer = listening_at(shared, upstream_of(*resource, dialled))) {
            facts->peer = peer->workload;
            if (opening.refusal.empty() && !takes(*bundle, *peer, *facts, *resource))
                opening.refusal = "workload " + peer->workload +
                                  " takes no connections from workload " + facts->workload +
                                  " on this port";
            before_connect = [&shared, listener = *peer](int socket) {
                return shared.services.reach(socket, listener);
            };
        }
        if (auto target = make_target(*resource, dialled, *shared.services.secrets,
                                      std::move(others), std::move(before_connect)))
            opening.target = std::move(*target);
        else if (opening.refusal.empty())
            opening.refusal = "the credential for resource " + facts->resource +
                              " cannot be used: " + target.error().message();
    }
    if (!opening.target) opening.target = std::make_shared<Target>();
    opening.facts = std::move(facts);
    return opening;
}

bool may_cancel(const Opening& opening) {
    return opening.facts->protocol == kPostgresql;
}

std::unique_ptr<session::Machine> make_machine(Shared& shared, const Opening& opening,
                                               const Place& place) {
    // What is not looked into cannot be refused in its own words either.
    if (opening.target && !opening.target->inspect) return make_tcp(shared, opening, place);
    const Protocol* protocol = by_name(opening.facts->protocol);
    return protocol != nullptr ? protocol->make(shared, opening, place) : nullptr;
}

}  // namespace chaperone::net

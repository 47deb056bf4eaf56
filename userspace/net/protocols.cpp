// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/protocols.h"

#include "policy/bundle/bundle.h"
#include "policy/detect/detector.h"
#include "policy/sql/analyzer.h"
#include "userspace/base/encoding.h"
#include "userspace/base/ids.h"
#include "userspace/session/pg_session.h"

#include <openssl/rand.h>

#include <array>
#include <map>
#include <span>
#include <stdexcept>

namespace chaperone::net {
namespace {

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

std::unique_ptr<session::Machine> make_postgresql(Shared& shared, const Opening& opening,
                                                  CancelKey key) {
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

struct Protocol {
    std::string_view name;
    std::uint16_t
        port;  // its own; where no resource claims a connection, it is refused in these words
    std::unique_ptr<session::Machine> (*make)(Shared&, const Opening&, CancelKey);
};

constexpr std::array kProtocols{
    Protocol{"postgresql", 5432, make_postgresql},
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

std::string describe(const policy::Destination& destination) {
    return (destination.name.empty() ? destination.address : destination.name) + " port " +
           std::to_string(destination.port);
}

}  // namespace

Opening open_session(Shared& shared, const Origin& origin) {
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
    opening.target = std::make_shared<Target>();
    const auto bundle = shared.bundle();
    if (auto identity = shared.services.identity(origin.workload))
        facts->identity = std::move(*identity);
    else
        opening.refusal = "the identity of workload " + origin.workload +
                          " is not established: " + identity.error().message();

    const auto* resource = bundle ? bundle->resource_for(origin.destination) : nullptr;
    if (resource == nullptr) {
        facts->protocol = guess_protocol(bundle.get(), origin.destination.port);
        if (opening.refusal.empty())
            opening.refusal = "no resource of the bundle claims " + describe(origin.destination);
    } else {
        facts->resource = resource->metadata.name;
        facts->protocol = resource->protocol;
        facts->resource_labels = resource->metadata.labels;
        if (const auto* workload = bundle->workload(origin.workload))
            facts->workload_labels = workload->metadata.labels;
        if (auto target = make_target(*resource, origin.destination, *shared.services.secrets))
            opening.target = std::move(*target);
        else if (opening.refusal.empty())
            opening.refusal = "the credential for resource " + facts->resource +
                              " cannot be used: " + target.error().message();
    }
    opening.facts = std::move(facts);
    return opening;
}

std::unique_ptr<session::Machine> make_machine(Shared& shared, const Opening& opening,
                                               CancelKey key) {
    const Protocol* protocol = by_name(opening.facts->protocol);
    return protocol != nullptr ? protocol->make(shared, opening, key) : nullptr;
}

}  // namespace chaperone::net

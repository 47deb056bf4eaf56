// SPDX-License-Identifier: Apache-2.0
#include "policy/names.h"

#include "policy/bundle/hosts.h"
#include "policy/engine/session_policy.h"

#include <algorithm>

namespace chaperone::policy {
namespace {

std::vector<std::string_view> labels_of(std::string_view name) {
    std::vector<std::string_view> all;
    while (true) {
        const std::size_t dot = name.find('.');
        all.push_back(name.substr(0, dot));
        if (dot == std::string_view::npos) return all;
        name.remove_prefix(dot + 1);
    }
}

std::optional<std::string> canonical(const std::string& text) {
    const auto address = bundle::Address::parse(text);
    if (!address) return std::nullopt;
    return address->text();
}

// "*" claims every name, so that it says nothing of what was searched.
bool claims_by_name(const bundle::Resource& resource) {
    return std::ranges::any_of(resource.hosts, [](const std::string& host) {
        const auto pattern = bundle::HostPattern::parse(host);
        return pattern && (pattern->kind == bundle::HostPattern::Kind::Exact ||
                           pattern->kind == bundle::HostPattern::Kind::Wildcard);
    });
}

}  // namespace

std::optional<std::string> reverse_address(std::string_view name) {
    constexpr std::string_view kV4 = ".in-addr.arpa", kV6 = ".ip6.arpa";
    std::string text;
    if (name.ends_with(kV4)) {
        const auto labels = labels_of(name.substr(0, name.size() - kV4.size()));
        if (labels.size() != 4) return std::nullopt;
        for (std::size_t i = 4; i-- != 0;) text.append(labels[i]).append(i == 0 ? "" : ".");
        return canonical(text);
    }
    if (!name.ends_with(kV6)) return std::nullopt;
    const auto labels = labels_of(name.substr(0, name.size() - kV6.size()));
    if (labels.size() != 32) return std::nullopt;
    for (std::size_t i = 32; i-- != 0;) {
        if (labels[i].size() != 1) return std::nullopt;
        text.append(labels[i]).append(i % 4 == 0 && i != 0 ? ":" : "");
    }
    return canonical(text);
}

std::vector<const bundle::Resource*> claimants_of(const bundle::Bundle& bundle,
                                                  std::string_view name) {
    if (const auto address = reverse_address(name)) return bundle.resources_at(*address);
    return bundle.resources_named(name);
}

bool may_open(const std::shared_ptr<const bundle::Bundle>& bundle, const SessionFacts& who,
              const bundle::Resource& resource, std::string_view name, Time now) {
    auto facts = std::make_shared<SessionFacts>(who);
    facts->resource = resource.metadata.name;
    facts->protocol = resource.protocol;
    facts->resource_labels = resource.metadata.labels;
    facts->destination = {.port = resource.ports.empty() ? std::uint16_t{0} : resource.ports[0],
                          .name = std::string{name}};
    if (!resource.databases.empty()) facts->database = resource.databases.front();
    const Request opening{.session = facts, .now = now};
    SessionPolicy policy{bundle, std::move(facts)};
    return policy.decide(opening)->effect != Effect::Deny;
}

bool is_searched(const bundle::Bundle& bundle, std::string_view name) {
    for (std::size_t dot = name.rfind('.'); dot != std::string_view::npos && dot != 0;
         dot = name.rfind('.', dot - 1)) {
        const auto claimed = bundle.resources_named(name.substr(0, dot));
        if (std::ranges::any_of(claimed, [](const auto* one) { return claims_by_name(*one); }))
            return true;
    }
    return false;
}

}  // namespace chaperone::policy

// SPDX-License-Identifier: Apache-2.0
#include "userspace/identity/claims.h"

#include "userspace/identity/strict_json.h"
#include "userspace/identity/token_verifier.h"

#include <boost/json/serialize.hpp>

#include <chrono>
#include <cmath>

namespace chaperone::identity {
namespace {

namespace json = boost::json;

// RFC 7519 "NumericDate". Later than this is as good as never, and nanoseconds end in 2262.
constexpr std::int64_t kFarFuture = 9'000'000'000;

std::unexpected<Error> malformed(std::string_view claim) {
    return fail(Errc::Malformed, "claim " + std::string{claim});
}

const json::value* member(const json::object& object, std::string_view name) {
    return object.if_contains({name.data(), name.size()});
}

bool usable(std::string_view text) {
    return !text.empty() && text.size() <= kMaxClaimText &&
           text.find('\0') == std::string_view::npos;
}

Result<std::string> required_text(const json::object& claims, std::string_view name) {
    const auto text = text_of(claims, name);
    if (!text || !usable(*text)) return malformed(name);
    return std::string{*text};
}

// Absent is fine; present must be a number of seconds from 1970 on.
Result<std::optional<Time>> date(const json::object& claims, std::string_view name) {
    const json::value* value = member(claims, name);
    if (value == nullptr) return std::optional<Time>{};
    std::int64_t seconds = 0;
    if (value->is_int64()) {
        seconds = value->get_int64();
    } else if (value->is_uint64()) {
        seconds = kFarFuture;
    } else if (value->is_double()) {
        const double exact = value->get_double();
        if (!std::isfinite(exact) || exact < 0) return malformed(name);
        seconds =
            exact > static_cast<double>(kFarFuture) ? kFarFuture : static_cast<std::int64_t>(exact);
    } else {
        return malformed(name);
    }
    if (seconds < 0) return malformed(name);
    return Time{std::chrono::seconds{std::min(seconds, kFarFuture)}};
}

// One string, or a list of them.
Result<std::vector<std::string>> texts(const json::value& value, std::string_view name,
                                       std::size_t most) {
    std::vector<std::string> list;
    const auto add = [&](const json::value& item) {
        if (!item.is_string()) return false;
        const std::string_view text{item.get_string().data(), item.get_string().size()};
        if (!usable(text)) return false;
        list.emplace_back(text);
        return true;
    };
    if (!value.is_array()) {
        if (!add(value)) return malformed(name);
        return list;
    }
    if (value.get_array().size() > most) return malformed(name);
    for (const json::value& item : value.get_array())
        if (!add(item)) return malformed(name);
    return list;
}

// The member of this name, else what a dotted path leads to, else null.
const json::value* at_path(const json::object& claims, std::string_view path) {
    if (const json::value* exact = member(claims, path)) return exact;
    const json::object* object = &claims;
    for (;;) {
        const auto dot = path.find('.');
        const json::value* value = member(*object, path.substr(0, dot));
        if (dot == std::string_view::npos || value == nullptr) return value;
        if (!value->is_object()) return nullptr;
        object = &value->get_object();
        path.remove_prefix(dot + 1);
    }
}

Result<std::vector<std::string>> actors(const json::object& claims) {
    std::vector<std::string> chain;
    const json::value* act = member(claims, "act");
    while (act != nullptr) {
        if (!act->is_object() || chain.size() == kMaxActors) return malformed("act");
        auto subject = required_text(act->get_object(), "sub");
        if (!subject) return malformed("act");
        chain.push_back(std::move(*subject));
        act = member(act->get_object(), "act");
    }
    return chain;
}

Result<> read_dates(const json::object& object, Claims& claims) {
    const auto expires = date(object, "exp"), not_before = date(object, "nbf"),
               issued = date(object, "iat");
    if (!expires) return fail(expires.error());
    if (!*expires) return malformed("exp is missing");
    if (!not_before) return fail(not_before.error());
    if (!issued) return fail(issued.error());
    claims.expires_at = **expires;
    claims.not_before = *not_before;
    claims.issued_at = *issued;
    return {};
}

}  // namespace

Result<Claims> read_claims(std::string_view text, std::string_view groups_claim) {
    const auto object = parse_object(text, kMaxToken, "claims set");
    if (!object) return fail(object.error());
    Claims claims;
    auto subject = required_text(*object, "sub");
    if (!subject) return fail(subject.error());
    claims.subject = std::move(*subject);
    auto issuer = required_text(*object, "iss");
    if (!issuer) return fail(issuer.error());
    claims.issuer = std::move(*issuer);
    if (const json::value* audience = member(*object, "aud")) {
        auto list = texts(*audience, "aud", kMaxAudience);
        if (!list) return fail(list.error());
        claims.audience = std::move(*list);
    }
    if (const json::value* groups =
            groups_claim.empty() ? nullptr : at_path(*object, groups_claim)) {
        auto list = texts(*groups, groups_claim, kMaxGroups);
        if (!list) return fail(list.error());
        claims.groups = std::move(*list);
    }
    if (auto dates = read_dates(*object, claims); !dates) return fail(dates.error());
    if (member(*object, "jti") != nullptr) {
        auto id = required_text(*object, "jti");
        if (!id) return fail(id.error());
        claims.token_id = std::move(*id);
    }
    auto chain = actors(*object);
    if (!chain) return fail(chain.error());
    claims.actors = std::move(*chain);
    claims.json = json::serialize(*object);
    return claims;
}

}  // namespace chaperone::identity

// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/http.h"

#include <array>

namespace chaperone::http {
namespace {

constexpr auto kNever = std::to_array<std::string_view>({"authorization",
                                                         "connection",
                                                         "content-encoding",
                                                         "content-length",
                                                         "content-range",
                                                         "content-type",
                                                         "cookie",
                                                         "expect",
                                                         "forwarded",
                                                         "host",
                                                         "max-forwards",
                                                         "private-token",
                                                         "proxy-authorization",
                                                         "range",
                                                         "set-cookie",
                                                         "te",
                                                         "trailer",
                                                         "transfer-encoding",
                                                         "upgrade",
                                                         "x-access-token",
                                                         "x-amz-security-token",
                                                         "x-api-key",
                                                         "x-auth-token",
                                                         "x-http-method",
                                                         "x-http-method-override",
                                                         "x-method-override",
                                                         "x-override-method",
                                                         "x-override-url",
                                                         "x-real-ip"});
// What proxies tell servers of a request, and servers believe.
constexpr auto kFamilies =
    std::to_array<std::string_view>({"x-forwarded-", "x-original-", "x-rewrite-"});

}  // namespace

bool may_trail(std::string_view name) noexcept {
    return std::ranges::none_of(kNever, [&](auto never) { return same(never, name); }) &&
           std::ranges::none_of(
               kFamilies, [&](auto family) { return same(family, name.substr(0, family.size())); });
}

}  // namespace chaperone::http

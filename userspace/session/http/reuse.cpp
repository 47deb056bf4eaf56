// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/reuse.h"

#include <algorithm>
#include <array>

namespace chaperone::session {

bool is_safe_method(std::string_view method) noexcept {
    return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

bool binds_connection(const http::Fields& request) noexcept {
    constexpr std::array<std::string_view, 7> kOfOneRequest{
        "basic", "bearer", "token", "apikey", "digest", "aws4-hmac-sha256", "dpop"};
    return std::ranges::any_of(request, [&](const http::Field& field) {
        if (!http::same(field.name, "authorization") &&
            !http::same(field.name, "proxy-authorization"))
            return false;
        const std::string_view value = http::trim(field.value);
        const std::string_view scheme = value.substr(0, value.find(' '));
        return std::ranges::none_of(kOfOneRequest,
                                    [&](auto known) { return http::same(known, scheme); });
    });
}

bool spoils_connection(int status) noexcept {
    switch (status) {
    case 400:
    case 401:
    case 407:
    case 408:
    case 411:
    case 413:
    case 414:
    case 417:
    case 421:
    case 426:
    case 431: return true;
    default: return status < 200 || status >= 500;
    }
}

}  // namespace chaperone::session

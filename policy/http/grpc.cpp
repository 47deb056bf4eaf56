// SPDX-License-Identifier: Apache-2.0
#include "policy/http/grpc.h"

namespace chaperone::policy::http {

bool is_grpc(const Facts& facts) noexcept {
    std::string_view type = facts.content_type();
    constexpr std::string_view kGrpc = "application/grpc";
    if (!type.starts_with(kGrpc)) return false;
    type.remove_prefix(kGrpc.size());
    if (type.starts_with("-web-text")) type.remove_prefix(9);
    if (type.starts_with("-web")) type.remove_prefix(4);
    return type.empty() || type.front() == '+';
}

GrpcCall grpc_call(const Facts& facts) noexcept {
    if (!is_grpc(facts)) return {};
    std::string_view path = facts.raw_path();
    const auto slash = path.rfind('/');
    if (path.empty() || path.front() != '/' || slash == 0 || slash == std::string_view::npos)
        return {};
    return {.service = path.substr(1, slash - 1), .method = path.substr(slash + 1)};
}

}  // namespace chaperone::policy::http

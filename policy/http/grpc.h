// SPDX-License-Identifier: Apache-2.0
// What a gRPC call is (PROTOCOL-HTTP2): the path names service and method, the content type says
// that it is one. gRPC-Web calls are the same.
#pragma once

#include "policy/http/facts.h"

#include <string_view>

namespace chaperone::policy::http {

struct GrpcCall {
    std::string_view service{};  // "shop.v1.Orders"; empty: it is no call
    std::string_view method{};   // "Drop"
};

// application/grpc or application/grpc-web, with or without a suffix.
bool is_grpc(const Facts& facts) noexcept;
// Views of the facts' text. Servers compare the path as sent, and so does this.
GrpcCall grpc_call(const Facts& facts) noexcept;

}  // namespace chaperone::policy::http

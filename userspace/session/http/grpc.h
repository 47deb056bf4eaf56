// SPDX-License-Identifier: Apache-2.0
// gRPC over HTTP/2 as the protocol's specification has it (PROTOCOL-HTTP2): what a call is, how
// long it may take, and how it is refused: 200 with a status in the head, and no body.
#pragma once

#include "policy/http/facts.h"
#include "userspace/base/clock.h"
#include "userspace/session/http/refusal.h"

#include <optional>
#include <string>
#include <string_view>

namespace chaperone::session {

// "100m", "5S": at most eight digits and a unit H M S m u n. nullopt: it is none.
std::optional<Duration> parse_grpc_timeout(std::string_view text);

// The status of a refusal: 7 PERMISSION_DENIED, 9 FAILED_PRECONDITION while a person has not
// decided, 14 UNAVAILABLE only for a server that cannot be reached, for clients retry that.
int grpc_status(const Refusal& refusal);
// Bytes that are not printable ASCII, and '%', as %XX.
std::string encode_grpc_message(std::string_view text);

// `type`: the call's own content type, which its answer has, too.
void reshape_grpc(const Refusal& refusal, std::string_view type, LocalResponse& response);

}  // namespace chaperone::session

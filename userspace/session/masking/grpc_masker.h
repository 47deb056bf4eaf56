// SPDX-License-Identifier: Apache-2.0
// Masks the messages of a gRPC call on their way (PROTOCOL-HTTP2: Length-Prefixed-Message). Each is
// held until it is whole, and goes on uncompressed.
#pragma once

#include "userspace/session/masking/body_masker.h"
#include "userspace/session/masking/proto_masker.h"

#include <cstddef>
#include <memory>
#include <string_view>

namespace chaperone::session {

// A message, as it came and decompressed: what gRPC's own receivers take unless told otherwise.
// Each stream of a connection may hold as much.
inline constexpr std::size_t kMaxGrpcMessage = std::size_t{4} << 20;

// `encoding`: the call's grpc-encoding. feed() fails with what ProtoMasker says; Unsupported: a
// message is compressed in a way that is not spoken here; TooLarge: more than kMaxGrpcMessage;
// Malformed: no frame of gRPC. finish(): Truncated within a message.
std::unique_ptr<TextFilter> make_grpc_masker(ProtoMasker masker, std::string_view encoding);

}  // namespace chaperone::session

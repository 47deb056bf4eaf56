// SPDX-License-Identifier: Apache-2.0
// One body under masks, with the trailers behind it, and what its fields are masked by.
#pragma once

#include "policy/proto/schema.h"
#include "userspace/session/http/body_filter.h"
#include "userspace/session/masking/body_masker.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace chaperone::session {

// What vouches for bytes that are no longer those that were sent (RFC 9110, 8.8; RFC 9530).
inline constexpr std::array<std::string_view, 5> kOfTheBytes{"etag", "content-md5", "digest",
                                                             "content-digest", "repr-digest"};

// These, and the same of object stores.
bool is_of_the_bytes(std::string_view name);

// A field or a trailer; `count` grows by the values replaced. nullopt: nothing was found.
std::optional<std::string> masked_value(const TextMasks& masks, std::string_view name,
                                        std::string_view value, std::uint64_t& count);

// gRPC itself; gRPC-Web frames its trailers, too, and Connect has other envelopes.
bool is_grpc_type(std::string_view content_type);
// Base64 of whatever a server puts there (google.rpc.Status, for one).
bool is_binary_metadata(std::string_view name);

struct MaskedBody {
    std::string type;      // of media
    std::string coding;    // Content-Encoding
    std::string encoding;  // grpc-encoding
    std::shared_ptr<const policy::proto::Schema> schema;
    const google::protobuf::Descriptor* message;  // of gRPC; null: not known
};

class MaskFilter final : public BodyFilter {
public:
    MaskFilter(std::unique_ptr<const TextMasks> masks, MaskedBody body);

    // Now, so that what cannot be masked is known before anything has gone out.
    Result<> prepare();
    Result<> push(Bytes data, bool last, Buffer& out) override;
    std::optional<std::string> trailer(std::string_view name, std::string_view value) override;
    std::uint64_t masked() const override;

private:
    Result<std::unique_ptr<BodyMasker>> make() const;

    std::unique_ptr<const TextMasks> masks_;
    MaskedBody body_;
    std::unique_ptr<BodyMasker> masker_;
    std::uint64_t in_trailers_ = 0;
};

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// Masks protobuf messages as their JSON form would be masked (proto3's JSON mapping): paths name
// fields, as declared or as in JSON, keys of maps and places in lists; what they mean is replaced
// with all that is in it, everything else is put to the detectors. What the schema does not know is
// left out, since nobody can tell what it holds.
#pragma once

#include "policy/proto/schema.h"
#include "userspace/session/masking/text_stream.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace chaperone::session {

class ProtoMasker {
public:
    // Messages in one another, whatever packs them.
    static constexpr int kMaxDepth = 100;

    // The masks outlive it.
    ProtoMasker(std::shared_ptr<const policy::proto::Schema> schema,
                const google::protobuf::Descriptor& type, const TextMasks& masks);

    // The message encoded anew. Malformed: it is none of this type. Unsupported: an Any of a type
    // that the schema does not have. TooLarge: deeper than kMaxDepth.
    Result<std::string> mask(std::string_view message);
    std::uint64_t masked() const noexcept { return masked_; }

private:
    class Walk;

    std::shared_ptr<const policy::proto::Schema> schema_;
    const google::protobuf::Descriptor& type_;
    const TextMasks& masks_;
    std::uint64_t masked_ = 0;
};

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// Masks as a decision would have them, put together in a line of a table.
#pragma once

#include "userspace/session/masking/text_stream.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace chaperone::testing {

using detect::With;
using session::TextMasks;

struct Masks {
    policy::MaskSet set{};
    std::shared_ptr<TextMasks> made{};

    Masks& path(const char* text, With with = With::Redact) {
        set.json.push_back({*policy::JsonPath::parse(text), with, "rule"});
        return *this;
    }
    Masks& detect(std::vector<std::string> kinds, With with = With::Redact) {
        set.detectors.push_back({std::move(kinds), with, "rule"});
        return *this;
    }
    const TextMasks& get() {
        const auto source = [](const policy::DetectMask& mask) {
            return std::make_shared<const detect::Detector>(*detect::Detector::make(mask.kinds));
        };
        made = std::make_shared<TextMasks>(
            set, source, std::make_shared<const detect::Masker>(as_bytes("key"), "scope"));
        return *made;
    }
};

}  // namespace chaperone::testing

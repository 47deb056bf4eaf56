// SPDX-License-Identifier: Apache-2.0
// Masks server-sent events one by one: an event goes out when its blank line has come, never later.
// Its data is masked as JSON where it is JSON, else as text; a value that is spread over several
// events is not seen as one.
#pragma once

#include "userspace/session/masking/event_text.h"
#include "userspace/session/masking/text_stream.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace chaperone::session {

class EventMasker {
public:
    explicit EventMasker(const TextMasks& masks) : masks_(masks) {}

    Result<> feed(std::string_view piece, std::string& out);  // TooLarge: an event
    Result<> finish(std::string&) { return {}; }  // what has no blank line is no event: dropped
    std::uint64_t masked() const noexcept { return masked_; }

private:
    std::string masked_data(const std::string& data);

    const TextMasks& masks_;
    EventText events_;
    std::uint64_t masked_ = 0;
};

}  // namespace chaperone::session

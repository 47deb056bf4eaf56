// SPDX-License-Identifier: Apache-2.0
// Masks server-sent events one by one: an event goes out when its blank line has come, never later.
// Its data is masked as JSON where it is JSON, else as text. A value that is spread over several
// events is seen as one in models' streams (delta_masker), in others it is not.
#pragma once

#include "userspace/session/masking/delta_masker.h"
#include "userspace/session/masking/event_text.h"
#include "userspace/session/masking/text_stream.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace chaperone::session {

class EventMasker {
public:
    explicit EventMasker(const TextMasks& masks) : masks_(masks), deltas_(masks) {}

    Result<> feed(std::string_view piece, std::string& out);  // TooLarge: an event
    Result<> finish(std::string& out);  // what has no blank line is no event: dropped
    std::uint64_t masked() const noexcept { return masked_ + deltas_.masked(); }

private:
    Result<> take(EventText::Event& event, std::string& out);
    std::string masked_data(const std::string& data);

    const TextMasks& masks_;
    EventText events_;
    DeltaMasker deltas_;
    std::uint64_t masked_ = 0;
};

}  // namespace chaperone::session

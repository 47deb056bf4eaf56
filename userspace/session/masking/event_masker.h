// SPDX-License-Identifier: Apache-2.0
// Masks server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) one by
// one: an event goes out when its blank line has come, never later. Its data is masked as JSON
// where it is JSON, else as text; a value that is spread over several events is not seen as one.
#pragma once

#include "userspace/session/masking/text_stream.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::session {

class EventMasker {
public:
    static constexpr std::size_t kMaxEvent = std::size_t{4} << 20;  // bytes of one event

    explicit EventMasker(const TextMasks& masks) : masks_(masks) {}

    Result<> feed(std::string_view piece, std::string& out);  // TooLarge: an event
    Result<> finish(std::string& out);  // what has no blank line is no event, and is dropped
    std::uint64_t masked() const noexcept { return masked_; }

private:
    void line_done(std::string& out);
    void event_done(std::string& out);
    std::string masked_data(const std::string& data);

    const TextMasks& masks_;
    std::string line_;
    std::vector<std::string> fields_;  // lines of the event at hand that are not data
    std::string data_;
    bool has_data_ = false;
    bool after_cr_ = false;
    std::size_t size_ = 0;
    std::uint64_t masked_ = 0;
};

}  // namespace chaperone::session

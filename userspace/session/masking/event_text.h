// SPDX-License-Identifier: Apache-2.0
// A stream of server-sent events, event by event, and back
// (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).
#pragma once

#include "userspace/base/error.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::session {

class EventText {
public:
    static constexpr std::size_t kMaxEvent = std::size_t{8} << 20;  // bytes of one event

    struct Event {
        std::vector<std::string> fields{};  // lines that are not data, as they came
        std::optional<std::string> data{};  // its data lines, joined by line feeds
    };
    using Take = std::function<void(Event&)>;

    // Calls `take` with each event that ended. TooLarge: an event; nothing more can be told then.
    // What has no blank line behind it is no event.
    Result<> feed(std::string_view piece, const Take& take);

    static void append(std::string& out, const Event& event);

private:
    void line_done(const Take& take);

    std::string line_;
    Event event_;
    bool after_cr_ = false;
    bool first_ = true;  // no line was read yet
    std::size_t size_ = 0;
};

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/event_text.h"

#include <utility>

namespace chaperone::session {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

Result<> EventText::feed(std::string_view piece, const Take& take) {
    while (!piece.empty()) {
        if (after_cr_ && piece.front() == '\n') piece.remove_prefix(1);
        after_cr_ = false;
        const auto end = piece.find_first_of("\r\n");
        const std::string_view part = piece.substr(0, end);
        line_ += part;
        size_ += part.size();
        if (size_ > kMaxEvent) return fail(Errc::TooLarge, "a server-sent event");
        if (end == std::string_view::npos) break;
        after_cr_ = piece[end] == '\r';
        piece.remove_prefix(end + 1);
        line_done(take);
    }
    return {};
}

void EventText::line_done(const Take& take) {
    if (std::exchange(first_, false) && line_.starts_with(kByteOrderMark))
        line_.erase(0, kByteOrderMark.size());  // as clients do
    if (line_.empty()) {
        take(event_);
        event_ = {};
        size_ = 0;
        return;
    }
    const auto colon = line_.find(':');
    if (std::string_view{line_}.substr(0, colon) == "data") {
        std::string_view value;
        if (colon != std::string::npos) value = std::string_view{line_}.substr(colon + 1);
        if (value.starts_with(' ')) value.remove_prefix(1);
        if (event_.data)
            *event_.data += '\n';
        else
            event_.data.emplace();
        *event_.data += value;
    } else {
        event_.fields.push_back(line_);
    }
    line_.clear();
}

void EventText::append(std::string& out, const Event& event) {
    for (const std::string& field : event.fields) (out += field) += '\n';
    if (event.data) {
        std::string_view rest = *event.data;
        for (;;) {
            const auto end = rest.find('\n');
            ((out += "data: ") += rest.substr(0, end)) += '\n';
            if (end == std::string_view::npos) break;
            rest.remove_prefix(end + 1);
        }
    }
    out += '\n';
}

}  // namespace chaperone::session

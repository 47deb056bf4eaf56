// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/event_masker.h"

#include "userspace/session/masking/json_masker.h"

namespace chaperone::session {
namespace {

constexpr std::string_view kData = "data";
constexpr std::string_view kDone = "[DONE]";  // how OpenAI's streams end; it is no JSON

}  // namespace

Result<> EventMasker::feed(std::string_view piece, std::string& out) {
    for (const char c : piece) {
        const bool crlf = after_cr_ && c == '\n';
        after_cr_ = c == '\r';
        if (crlf) continue;
        if (c == '\r' || c == '\n') {
            line_done(out);
            continue;
        }
        line_ += c;
        if (++size_ > kMaxEvent) return fail(Errc::TooLarge, "a server-sent event");
    }
    return {};
}

Result<> EventMasker::finish(std::string&) {
    line_.clear();
    fields_.clear();
    data_.clear();
    has_data_ = false;
    return {};
}

void EventMasker::line_done(std::string& out) {
    if (line_.empty()) return event_done(out);
    const auto colon = line_.find(':');
    if (std::string_view{line_}.substr(0, colon) == kData) {
        std::string_view value;
        if (colon != std::string::npos) value = std::string_view{line_}.substr(colon + 1);
        if (value.starts_with(' ')) value.remove_prefix(1);
        if (has_data_) data_ += '\n';
        data_ += value;
        has_data_ = true;
    } else {
        fields_.push_back(line_);
    }
    line_.clear();
}

void EventMasker::event_done(std::string& out) {
    for (const std::string& field : fields_) {
        const auto instead = masks_.empty() ? std::nullopt : masks_.replace(field, {}, masked_);
        out += instead ? *instead : field;
        out += '\n';
    }
    if (has_data_) {
        const std::string data = masked_data(data_);
        std::string_view rest = data;
        for (;;) {
            const auto end = rest.find('\n');
            (out += "data: ") += rest.substr(0, end);
            out += '\n';
            if (end == std::string_view::npos) break;
            rest.remove_prefix(end + 1);
        }
    }
    out += '\n';
    fields_.clear();
    data_.clear();
    has_data_ = false;
    size_ = 0;
}

std::string EventMasker::masked_data(const std::string& data) {
    if (data.empty() || data == kDone) return data;
    const bool looks_like = data.front() == '{' || data.front() == '[' || data.front() == '"';
    if (looks_like || !masks_.json().empty()) {
        JsonMasker json{masks_};
        std::string out;
        if (json.feed(data, out) && json.finish(out)) {
            masked_ += json.masked();
            return out;
        }
        if (!masks_.json().empty()) {  // which of its values are meant cannot be told
            ++masked_;
            return masks_.masker().value(data, detect::With::Redact).value_or("");
        }
    }
    const auto instead = masks_.empty() ? std::nullopt : masks_.replace(data, {}, masked_);
    return instead ? *instead : data;
}

}  // namespace chaperone::session

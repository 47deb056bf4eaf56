// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/event_masker.h"

#include "userspace/session/masking/json_masker.h"

namespace chaperone::session {
namespace {

constexpr std::string_view kDone = "[DONE]";  // how OpenAI's streams end; it is no JSON

}  // namespace

Result<> EventMasker::feed(std::string_view piece, std::string& out) {
    Result<> taken;
    auto fed = events_.feed(piece, [&](EventText::Event& event) {
        if (taken) taken = take(event, out);
    });
    return fed ? taken : fed;
}

Result<> EventMasker::take(EventText::Event& event, std::string& out) {
    for (std::string& field : event.fields)
        if (!masks_.empty())
            if (auto instead = masks_.replace(field, {}, masked_)) field = *std::move(instead);
    if (event.data && !masks_.empty()) {
        auto made = deltas_.event(*event.data);
        if (!made) return fail(made.error());
        if (*made) {
            for (const EventText::Event& before : (*made)->before) EventText::append(out, before);
            event.data = std::move((*made)->data);
            EventText::append(out, event);
            return {};
        }
    }
    if (event.data) event.data = masked_data(*event.data);
    EventText::append(out, event);
    return {};
}

Result<> EventMasker::finish(std::string& out) {
    for (const EventText::Event& rest : deltas_.finish()) EventText::append(out, rest);
    return {};
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

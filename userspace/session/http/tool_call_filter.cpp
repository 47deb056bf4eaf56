// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/tool_call_filter.h"

#include "userspace/base/sha256.h"
#include "userspace/session/http/shapes.h"
#include "userspace/session/http/tool_call_reader.h"
#include "userspace/session/masking/body_masker.h"
#include "userspace/session/masking/event_text.h"

#include <set>
#include <string>
#include <utility>

namespace chaperone::session {
namespace {

constexpr std::size_t kMaxDocument = std::size_t{8} << 20;
constexpr std::size_t kMaxHeld = std::size_t{8} << 20;  // bytes of a call's events
constexpr std::size_t kMaxCalls = 1024;                 // of an answer

// What became of the answer; of the text filter and of the body filter around it.
struct Fate {
    std::optional<Refusal> refusal{};
    bool over = false;  // nothing of it goes on any more
};

Refusal cannot_tell(const Error& why) {
    Refusal made = upstream_failed(502, "http_response_transform_error",
                                   "the answer's tool calls cannot be told: " + why.message());
    made.title = "The answer cannot be examined";
    return made;
}

class Decisions {
public:
    Decisions(ToolCallDecider decide, Fate& fate) : decide_(std::move(decide)), fate_(fate) {}

    // False: one may not be seen, and `fate` says why. Streams say calls twice; one is asked about
    // once.
    bool allow(WrittenCalls& calls) {
        for (WrittenCall& call : calls) {
            if (call.name.empty() && call.arguments.empty()) continue;  // the end of a piece
            if (call.name.empty()) {
                fate_.refusal = cannot_tell({Errc::Malformed, "a tool call without a name"});
                return false;
            }
            if (!seen_.insert(digest(call)).second) continue;
            if (seen_.size() > kMaxCalls) {
                fate_.refusal = cannot_tell({Errc::TooLarge, "tool calls of an answer"});
                return false;
            }
            policy::http::ToolCall made{.name = std::move(call.name),
                                        .type = std::move(call.type),
                                        .id = std::move(call.id)};
            made.arguments = call.free_text ? policy::http::call_text(call.arguments)
                                            : policy::http::call_arguments(call.arguments);
            fate_.refusal = decide_(std::move(made));
            if (fate_.refusal) return false;
        }
        return true;
    }

private:
    static Digest digest(const WrittenCall& call) {
        std::string all;
        for (const std::string* part : {&call.name, &call.type, &call.id, &call.arguments})
            (all += std::to_string(part->size()) + ':') += *part;
        return sha256(as_bytes(all));
    }

    ToolCallDecider decide_;
    Fate& fate_;
    std::set<Digest> seen_;
};

class DocumentCalls final : public TextFilter {
public:
    DocumentCalls(ToolCallDecider decide, Fate& fate) : decisions_(std::move(decide), fate) {}

    Result<> feed(std::string_view piece, std::string&) override {
        if (piece.size() > kMaxDocument - text_.size())
            return fail(Errc::TooLarge, "an answer of a model");
        text_ += piece;
        return {};
    }
    Result<> finish(std::string& out) override {
        auto calls = ToolCallReader::document(text_);
        if (!calls) return fail(calls.error());
        if (!decisions_.allow(*calls)) return fail(Errc::Denied, "a tool call");
        out += text_;
        return {};
    }

private:
    Decisions decisions_;
    std::string text_;
};

class EventCalls final : public TextFilter {
public:
    EventCalls(ErrorEvents say, ToolCallDecider decide, Fate& fate)
        : say_(say), fate_(fate), decisions_(std::move(decide), fate) {}

    Result<> feed(std::string_view piece, std::string& out) override {
        if (fate_.over) return {};
        return events_.feed(piece, [&](EventText::Event& event) {
            if (!fate_.over) take(event, out);
        });
    }
    Result<> finish(std::string& out) override {
        if (fate_.over) return {};
        WrittenCalls calls = reader_.end();
        if (!decisions_.allow(calls)) {
            end(out);
            return {};
        }
        out += std::exchange(held_, {});
        return {};
    }

private:
    void take(const EventText::Event& event, std::string& out) {
        // Comments and pings keep connections alive; they wait for nothing.
        if (!event.data || event.data->empty()) return EventText::append(out, event);
        auto calls = reader_.event(*event.data);
        if (!calls) {
            fate_.refusal = cannot_tell(calls.error());
            return end(out);
        }
        if (!decisions_.allow(*calls)) return end(out);
        if (!reader_.open()) {
            out += std::exchange(held_, {});
            return EventText::append(out, event);
        }
        EventText::append(held_, event);
        if (held_.size() <= kMaxHeld) return;
        fate_.refusal = cannot_tell({Errc::TooLarge, "a tool call"});
        end(out);
    }

    void end(std::string& out) {
        out += say_(*fate_.refusal);
        held_ = {};
        fate_.over = true;
    }

    ErrorEvents say_;
    Fate& fate_;
    Decisions decisions_;
    ToolCallReader reader_;
    EventText events_;
    std::string held_;  // of a call that is not whole yet
};

class Filter final : public ToolCallFilter {
public:
    Filter(std::unique_ptr<Fate> fate, std::unique_ptr<BodyMasker> inner, bool whole)
        : fate_(std::move(fate)), inner_(std::move(inner)), whole_(whole) {}

    Result<> push(Bytes data, bool last, Buffer& out) override {
        if (auto done = inner_->feed(data, out); !done || !last) return done;
        return inner_->finish(out);
    }
    bool over() const override { return fate_->over; }
    std::optional<std::string> trailer(std::string_view, std::string_view value) override {
        return std::string{value};
    }
    bool whole() const noexcept override { return whole_; }
    const std::optional<Refusal>& refusal() const noexcept override { return fate_->refusal; }

private:
    std::unique_ptr<Fate> fate_;  // outlives what points to it
    std::unique_ptr<BodyMasker> inner_;
    bool whole_;
};

}  // namespace

Result<std::unique_ptr<ToolCallFilter>> make_tool_call_filter(const policy::http::Facts& request,
                                                              std::string_view content_type,
                                                              std::string_view content_encoding,
                                                              ToolCallDecider decide) {
    auto fate = std::make_unique<Fate>();
    std::unique_ptr<TextFilter> text;
    const BodyForm form = body_form(content_type);
    if (form == BodyForm::Json)
        text = std::make_unique<DocumentCalls>(std::move(decide), *fate);
    else if (form == BodyForm::Events)
        text = std::make_unique<EventCalls>(error_events(request), std::move(decide), *fate);
    else
        return fail(Errc::Unsupported, "an answer of a model that is neither JSON nor events");
    auto coded = make_coded(content_encoding, std::move(text));
    if (!coded) return fail(coded.error());
    return std::make_unique<Filter>(std::move(fate), *std::move(coded), form == BodyForm::Json);
}

}  // namespace chaperone::session

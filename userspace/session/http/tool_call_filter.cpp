// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/tool_call_filter.h"

#include "userspace/base/sha256.h"
#include "userspace/session/http/shapes.h"
#include "userspace/session/http/tool_call_reader.h"
#include "userspace/session/masking/body_masker.h"
#include "userspace/session/masking/event_text.h"

#include <cstdint>
#include <deque>
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
    bool over = false;   // nothing of it goes on any more
    bool waits = false;  // for the answer to a call
};

Refusal cannot_tell(const Error& why) {
    Refusal made = upstream_failed(502, "http_response_transform_error",
                                   "the answer's tool calls cannot be told: " + why.message());
    made.title = "The answer cannot be examined";
    return made;
}

class Decisions {
public:
    enum class Said : std::uint8_t { Yes, No, Waits };

    Decisions(ToolCallDecider decide, Fate& fate) : decide_(std::move(decide)), fate_(fate) {}

    void add(WrittenCalls calls) {
        for (WrittenCall& call : calls) calls_.push_back(std::move(call));
    }
    // About all that was added. No: one may not be seen, and `fate` says why. Streams say calls
    // twice; one is asked about once.
    Said go() {
        while (!fate_.refusal && !fate_.waits && !calls_.empty()) {
            WrittenCall call = std::move(calls_.front());
            calls_.pop_front();
            ask(std::move(call));
        }
        if (fate_.refusal) return Said::No;
        return fate_.waits ? Said::Waits : Said::Yes;
    }

private:
    void ask(WrittenCall call) {
        if (call.name.empty() && call.arguments.empty()) return;  // the end of a piece
        if (call.name.empty()) {
            fate_.refusal = cannot_tell({Errc::Malformed, "a tool call without a name"});
            return;
        }
        if (!seen_.insert(digest(call)).second) return;
        if (seen_.size() > kMaxCalls) {
            fate_.refusal = cannot_tell({Errc::TooLarge, "tool calls of an answer"});
            return;
        }
        policy::http::ToolCall made{
            .name = std::move(call.name), .type = std::move(call.type), .id = std::move(call.id)};
        made.arguments = call.free_text ? policy::http::call_text(call.arguments)
                                        : policy::http::call_arguments(call.arguments);
        made.written = std::move(call.arguments);
        CallAnswer answer = decide_(std::move(made));
        fate_.refusal = std::move(answer.refusal);
        fate_.waits = !fate_.refusal && answer.waits;
    }
    static Digest digest(const WrittenCall& call) {
        std::string all;
        for (const std::string* part : {&call.name, &call.type, &call.id, &call.arguments})
            (all += std::to_string(part->size()) + ':') += *part;
        return sha256(as_bytes(all));
    }

    ToolCallDecider decide_;
    Fate& fate_;
    std::deque<WrittenCall> calls_;
    std::set<Digest> seen_;
};
using Said = Decisions::Said;

class CallText : public TextFilter {
public:
    virtual void settle() = 0;
    virtual void say_waiting(std::string_view /*approval*/) {}
};

class DocumentCalls final : public CallText {
public:
    DocumentCalls(ToolCallDecider decide, Fate& fate)
        : fate_(fate), decisions_(std::move(decide), fate) {}

    Result<> feed(std::string_view piece, std::string&) override {
        if (piece.size() > kMaxDocument - text_.size())
            return fail(Errc::TooLarge, "an answer of a model");
        text_ += piece;
        return {};
    }
    void settle() override {
        if (!read_) {
            read_ = text_.size();
            if (auto calls = ToolCallReader::document(text_))
                decisions_.add(*std::move(calls));
            else
                fault_ = calls.error();
        }
        if (!fault_) (void)decisions_.go();
    }
    Result<> finish(std::string& out) override {
        settle();
        if (fault_) return fail(*fault_);
        if (fate_.refusal || fate_.waits || read_ != text_.size())
            return fail(Errc::Denied, "a tool call");
        out += text_;
        return {};
    }

private:
    Fate& fate_;
    Decisions decisions_;
    std::string text_;
    std::optional<std::size_t> read_;  // of the text
    std::optional<Error> fault_;
};

class EventCalls final : public CallText {
public:
    EventCalls(ErrorEvents say, ToolCallDecider decide, Fate& fate)
        : say_(say), fate_(fate), decisions_(std::move(decide), fate) {}

    Result<> feed(std::string_view piece, std::string& out) override {
        if (fate_.over) return {};
        go_on(out);
        if (fate_.waits) out += comment_;
        comment_.clear();
        return events_.feed(piece, [&](EventText::Event& event) {
            if (fate_.over) return;
            // Comments and pings keep connections alive; they wait for nothing.
            if (!event.data || event.data->empty()) return EventText::append(out, event);
            if (fate_.waits) return keep(event, out);
            take(std::move(event), out);
        });
    }
    void say_waiting(std::string_view approval) override {
        ((comment_ = ": chaperone waits for approval ") += approval) += "\n\n";
    }
    void settle() override {
        if (fate_.over || fate_.waits) return;
        decisions_.add(reader_.end());
        (void)decisions_.go();
    }
    Result<> finish(std::string& out) override {
        if (fate_.over) return {};
        settle();
        if (fate_.waits) return fail(Errc::Denied, "a tool call that nobody has decided");
        if (fate_.refusal)
            end(out);
        else
            out += std::exchange(held_, {});
        return {};
    }

private:
    // From where a call had to wait, if it has its answer.
    void go_on(std::string& out) {
        if (fate_.waits) return;
        if (fate_.refusal) return end(out);
        if (taken_) conclude(out);
        while (!later_.empty() && !fate_.waits && !fate_.over) {
            EventText::Event event = std::move(later_.front());
            later_.pop_front();
            take(std::move(event), out);
        }
        if (later_.empty()) later_size_ = 0;
    }
    void take(EventText::Event event, std::string& out) {
        auto calls = reader_.event(*event.data);
        if (!calls) {
            fate_.refusal = cannot_tell(calls.error());
            return end(out);
        }
        decisions_.add(*std::move(calls));
        taken_ = std::move(event);
        conclude(out);
    }
    void conclude(std::string& out) {
        const Said said = decisions_.go();
        if (said == Said::Waits) return;
        if (said == Said::No) return end(out);
        const EventText::Event event = *std::exchange(taken_, std::nullopt);
        if (!reader_.open()) {
            out += std::exchange(held_, {});
            return EventText::append(out, event);
        }
        EventText::append(held_, event);
        if (held_.size() > kMaxHeld) too_large(out);
    }
    void keep(EventText::Event& event, std::string& out) {
        later_size_ += event.data->size() + sizeof event;
        later_.push_back(std::move(event));
        if (later_size_ > kMaxHeld) too_large(out);
    }
    void too_large(std::string& out) {
        fate_.refusal = cannot_tell({Errc::TooLarge, "a tool call"});
        end(out);
    }
    void end(std::string& out) {
        out += say_(*fate_.refusal);
        held_ = {};
        later_.clear();
        taken_.reset();
        fate_.over = true;
        fate_.waits = false;
    }

    ErrorEvents say_;
    Fate& fate_;
    Decisions decisions_;
    ToolCallReader reader_;
    EventText events_;
    std::string held_;                       // of a call that is not whole yet
    std::optional<EventText::Event> taken_;  // whose calls are decided
    std::deque<EventText::Event> later_;     // behind it
    std::size_t later_size_ = 0;
    std::string comment_;  // to be said, if a call still waits
};

class Filter final : public ToolCallFilter {
public:
    Filter(std::unique_ptr<Fate> fate, CallText& text, std::unique_ptr<BodyMasker> inner,
           bool whole)
        : fate_(std::move(fate)), text_(text), inner_(std::move(inner)), whole_(whole) {}

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
    bool waits() const noexcept override { return fate_->waits; }
    void decide(std::optional<Refusal> why) override {
        fate_->waits = false;
        fate_->refusal = std::move(why);
    }
    void say_waiting(std::string_view approval) override { text_.say_waiting(approval); }
    void settle() override { text_.settle(); }

private:
    std::unique_ptr<Fate> fate_;  // outlives what points to it
    CallText& text_;              // in inner_
    std::unique_ptr<BodyMasker> inner_;
    bool whole_;
};

}  // namespace

Result<std::unique_ptr<ToolCallFilter>> make_tool_call_filter(const policy::http::Facts& request,
                                                              std::string_view content_type,
                                                              std::string_view content_encoding,
                                                              ToolCallDecider decide) {
    auto fate = std::make_unique<Fate>();
    std::unique_ptr<CallText> text;
    const BodyForm form = body_form(content_type);
    if (form == BodyForm::Json)
        text = std::make_unique<DocumentCalls>(std::move(decide), *fate);
    else if (form == BodyForm::Events)
        text = std::make_unique<EventCalls>(error_events(request), std::move(decide), *fate);
    else
        return fail(Errc::Unsupported, "an answer of a model that is neither JSON nor events");
    CallText& within = *text;
    auto coded = make_coded(content_encoding, std::move(text));
    if (!coded) return fail(coded.error());
    return std::make_unique<Filter>(std::move(fate), within, *std::move(coded),
                                    form == BodyForm::Json);
}

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// One request and its response, whatever version carries them: from a parsed head to facts, to the
// question, to what goes on and how it is changed, to the outcome in the journal. The front frames.
//
//   Asking ──▶ NeedsBody ──▶ Asking ──▶ Preparing ──▶ Go
//      └──────────────────────────────────▶ Refused ◀──┘
//
// Nothing of the request may go up before Go. One thread; the config outlives it.
#pragma once

#include "policy/http/facts.h"
#include "policy/http/mcp.h"
#include "userspace/session/http/config.h"
#include "userspace/session/http/mcp_streams.h"
#include "userspace/session/http/model_usage.h"
#include "userspace/session/http/tool_call_filter.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace chaperone::session {

class Exchange {
public:
    enum class State {
        Asking,     // perhaps for a person: nothing of the body need be read
        NeedsBody,  // give the body to buffer()
        Preparing,  // a credential is fetched, or the desk waits
        Go,         // the request goes up: request_edits(), request_filter(), body()
        Refused,    // response() is the answer; the rest of the request is dropped
    };

    Exchange(const HttpConfig& config, Tag tag);
    Exchange(const Exchange&) = delete;  // its filters point to it
    Exchange& operator=(const Exchange&) = delete;

    // For another request, where nobody holds the facts of the last one any more; else false.
    bool restart(Tag tag);

    // Asks. `body_follows`: the head says that there is one (its length is not 0). `refused`: the
    // front cannot do what is asked for, for this reason; asked all the same, for the record.
    void begin(const http::RequestHead& head, bool body_follows, Time now, Actions& out,
               std::string_view refused = {});
    // What is malformed: recorded, and answered so.
    void reject(const Refusal& refusal, Actions& out);
    // Without being asked about: what cannot go on.
    void refuse(const Refusal& refusal) { deny(refusal); }

    Tag tag() const noexcept { return tag_; }
    State state() const noexcept { return state_; }
    const policy::http::Facts& facts() const noexcept { return *facts_; }
    std::shared_ptr<const policy::http::Facts> shared_facts() const { return facts_; }
    const Answer& answer() const noexcept { return answer_; }

    // The body as it is read, in NeedsBody; transfer codings taken off.
    void buffer(Bytes data, bool last, Time now, Actions& out);
    // What was read of it, for the front to send when it goes; `body_complete`: it is all of it.
    const std::string& body() const noexcept { return facts_->body.data; }
    bool body_complete() const noexcept { return body_complete_; }

    void on_decided(const Answer& answer, Time now, Actions& out);
    void on_held(std::string_view approval, Time now, Actions& out);
    // A person is not waited for any longer: the client is told to come again. True: it was.
    bool hurry(Actions& out);
    // Waits are over, a token may be there. True: the state has changed.
    bool on_tick(Time now, Actions& out);

    // --- Go
    const HeadEdits& request_edits() const noexcept { return request_edits_; }
    BodyFilter* request_filter() const noexcept { return request_filter_.get(); }
    // The final response's head. An error: it must not be seen; refuse() was called.
    Result<> on_response(const http::ResponseHead& head, Actions& out);
    // 101, or a stream that has become a tunnel: no body follows, but what the tunnel says.
    void on_opened(const http::ResponseHead& head);
    // Masks are on what comes back: of an interim response, and of a status line, only the number
    // goes on.
    bool masks_answer() const noexcept {
        return answer_.decision != nullptr && !answer_.decision->masks.empty();
    }
    // The answer's head must wait until its whole body was pushed through the filter; where that
    // fails, refuse_answer() makes the refusal that is said instead of them.
    bool holds_answer() const noexcept { return calls_ != nullptr && calls_->whole(); }
    void refuse_answer();
    // Whether the answer's tool calls are decided: before its last piece, when all else was pushed
    // through the filter, settle_calls() is to be called.
    bool decides_calls() const noexcept { return calls_ != nullptr; }
    void settle_calls() { calls_->settle(); }
    // A person decides on one: nothing more is to be read of the answer. Whenever resumes() says
    // so, once, an empty piece is to be pushed: it was decided, or there is something of ours to
    // say.
    bool answer_waits() const noexcept { return calls_ != nullptr && calls_->waits(); }
    bool resumes() noexcept { return std::exchange(resumes_, false); }
    const HeadEdits& response_edits() const noexcept { return response_edits_; }
    BodyFilter* response_filter() const noexcept { return response_filter_.get(); }
    std::uint64_t up() const noexcept { return up_; }
    void count_up(std::uint64_t bytes) noexcept { up_ += bytes; }
    void count_down(std::uint64_t bytes) noexcept { down_ += bytes; }

    // --- Refused
    const LocalResponse& response() const noexcept { return response_; }

    // The end, once: everything was passed on, or the answer of our own was given (`ok` is whether
    // the exchange came to its end), or one side broke it off.
    void finish(bool ok, Actions& out);

private:
    void ask(Time now, Actions& out, std::string_view refused = {});
    void prepare(Time now, Actions& out);
    void deny(const Refusal& refusal);
    void ask_desk();
    void release_body();
    Result<> filter_response(const http::ResponseHead& head, Actions& out);
    policy::DecisionPtr decide_message(std::shared_ptr<const policy::http::McpMessage> message,
                                       bool record, Actions& out) const;
    CallAnswer decide_call(policy::http::ToolCall call, Actions& out);
    Refusal refusal_of_call(const Answer& answer) const;
    void call_decided(std::optional<Refusal> why);
    void wait_no_longer(bool async, Actions& out);
    bool sign_of_life(Time now);

    const HttpConfig& config_;
    Tag tag_;
    State state_ = State::Asking;
    std::shared_ptr<policy::http::Facts> facts_;
    Answer answer_{};
    bool begun_ = false;  // the facts are those of this request
    bool open_ = false;   // a question is
    bool finished_ = false;
    bool body_expected_ = false;
    bool body_complete_ = true;
    std::string approval_{};  // held
    Time now_{};              // as last told
    Time hold_until_{};
    Time sign_at_{};  // when the client is next told that its stream waits
    Time since_{};    // when it came, for the desk
    ModelUsage usage_{};
    Time body_until_{};
    BodyRoom::Share room_;  // of what is kept of the body
    bool body_for_credential_ = false;
    HeadEdits request_edits_{};
    HeadEdits response_edits_{};
    std::unique_ptr<BodyFilter> request_filter_{};
    std::unique_ptr<BodyFilter> response_filter_{};
    ToolCallFilter* calls_ = nullptr;  // in it; null: none
    std::string call_{};               // the tool of a call that is asked about; empty: none
    std::optional<CallAnswer> call_answer_{};  // given from within ask()
    bool resumes_ = false;
    std::shared_ptr<McpStreams::Inbox> inbox_{};  // what the answer, a stream, is to tell
    LocalResponse response_{};
    int status_ = 0;
    std::uint64_t up_ = 0;
    std::uint64_t down_ = 0;
};

}  // namespace chaperone::session

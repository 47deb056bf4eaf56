// SPDX-License-Identifier: Apache-2.0
// Answers of model APIs where rules look at tool calls: what the agent gets of them is what policy
// allows. A document goes on when all its calls were decided. Of a stream, events go on as they
// come until a call begins; that call's are held back until it is whole and decided. Where one is
// denied, where a call cannot be told, or where it is longer than the limit, the stream ends there
// with the vendor's error event. Where one waits for a person, so does all behind it.
#pragma once

#include "policy/http/facts.h"
#include "policy/http/tool_call.h"
#include "userspace/session/http/body_filter.h"
#include "userspace/session/http/refusal.h"

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace chaperone::session {

// Why the agent must not see the call; nullopt: it may. Or nobody has decided yet.
struct CallAnswer {
    CallAnswer(std::optional<Refusal> why) : refusal(std::move(why)) {}
    CallAnswer(std::nullopt_t) {}
    CallAnswer(Refusal why) : refusal(std::move(why)) {}
    static CallAnswer waiting() {
        CallAnswer made{std::nullopt};
        made.waits = true;
        return made;
    }

    std::optional<Refusal> refusal{};
    bool waits = false;  // ToolCallFilter::decide() will tell
};
using ToolCallDecider = std::function<CallAnswer(policy::http::ToolCall)>;

class ToolCallFilter : public BodyFilter {
public:
    // The head must wait, too, until the body's last piece was pushed: instead of them there may
    // be a refusal.
    virtual bool whole() const noexcept = 0;
    // After push() has failed: what to say instead, where policy said so.
    virtual const std::optional<Refusal>& refusal() const noexcept = 0;

    // A call has no answer yet. What is pushed meanwhile is kept, up to a limit, and the last piece
    // must not be: push an empty one when decide() has told, and go on from there.
    virtual bool waits() const noexcept = 0;
    virtual void decide(std::optional<Refusal> why) = 0;
    // Of a stream whose call waits: the next piece, an empty one, gives a comment that says so,
    // which keeps connections and clients' patience alive.
    virtual void say_waiting(std::string_view approval) = 0;
    // Before the last piece, when all else was pushed: what is still to be decided is.
    virtual void settle() = 0;
};

// Unsupported: a type of body or a coding in which calls cannot be told.
Result<std::unique_ptr<ToolCallFilter>> make_tool_call_filter(const policy::http::Facts& request,
                                                              std::string_view content_type,
                                                              std::string_view content_encoding,
                                                              ToolCallDecider decide);

}  // namespace chaperone::session

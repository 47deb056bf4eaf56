// SPDX-License-Identifier: Apache-2.0
// What the server answers: what filters it, and how what is in it is decided.
#include "policy/http/model_api.h"
#include "userspace/base/steady.h"
#include "userspace/session/http/blotter.h"
#include "userspace/session/http/exchange.h"
#include "userspace/session/http/filter_chain.h"
#include "userspace/session/http/masking.h"
#include "userspace/session/http/mcp_filter.h"

#include <utility>

namespace chaperone::session {
namespace {

constexpr std::size_t kMaxToolName = 256;  // bytes of it that are recorded and said

std::string codings_of(const http::ResponseHead& head) {
    std::string codings;
    for (const http::Field& field : head.fields)
        if (http::same(field.name, "content-encoding"))
            codings += (codings.empty() ? "" : ", ") + std::string{field.value};
    return codings;
}

}  // namespace

Result<> Exchange::on_response(const http::ResponseHead& head, Actions& out) {
    status_ = head.status;
    if (head.status == 401 && config_.credential) config_.credential->rejected();
    auto filtered = filter_response(head, out);
    if (!filtered)
        deny(upstream_failed(502, "http_response_transform_error",
                             "the response cannot be masked: " + filtered.error().message()));
    return filtered;
}

void Exchange::on_opened(const http::ResponseHead& head) {
    status_ = head.status;
    if (masks_answer() && config_.masking) {
        http::ResponseHead bare = head;
        bare.status = 101;  // no body of its own follows
        (void)config_.masking->response(answer_.decision->masks, facts_->head(), bare,
                                        response_edits_);
    }
    if (config_.credential) (void)config_.credential->response(head, response_edits_);
}

Result<> Exchange::filter_response(const http::ResponseHead& head, Actions& out) {
    std::unique_ptr<BodyFilter> reader;
    if (head.status == 200 && policy::http::model_api(*facts_) != policy::http::ModelApi::None &&
        may_have_body(facts_->head(), head))
        reader =
            make_usage_reader(http::find(head.fields, "content-type").value_or(""),
                              http::find(head.fields, "content-encoding").value_or(""), usage_);
    std::unique_ptr<ToolCallFilter> calls;
    if (answer_.decision->tool_calls && head.status < 400 && may_have_body(facts_->head(), head)) {
        if (head.status == 206) return fail(Errc::Unsupported, "a part of a model's answer");
        auto made =
            make_tool_call_filter(*facts_, http::find(head.fields, "content-type").value_or(""),
                                  codings_of(head), [this, &out](policy::http::ToolCall call) {
                                      return decide_call(std::move(call), out);
                                  });
        if (!made) return fail(made.error());
        calls = *std::move(made);
        reframe_body(response_edits_);
    }
    std::unique_ptr<BodyFilter> messages;
    if (answer_.decision->mcp && may_have_body(facts_->head(), head)) {
        McpOpener opened;
        if (config_.streams)
            opened = [this](std::string_view endpoint) {
                return inbox_ = config_.streams->open(*config_.facts, *facts_, endpoint);
            };
        auto made = make_mcp_filter(
            http::find(head.fields, "content-type").value_or(""), codings_of(head),
            [this, &out](auto message, bool record) {
                return decide_message(std::move(message), record, out);
            },
            std::move(opened));
        if (!made) return fail(made.error());
        messages = *std::move(made);
        if (messages) reframe_body(response_edits_);
    }
    const policy::MaskSet& masks = answer_.decision->masks;
    std::unique_ptr<BodyFilter> masker;
    if (!masks.empty()) {
        auto made = config_.masking->response(masks, facts_->head(), head, response_edits_);
        if (!made) return fail(made.error());
        masker = *std::move(made);
    }
    std::unique_ptr<BodyFilter> blotter;
    if (config_.credential) blotter = config_.credential->response(head, response_edits_);
    if (!may_have_body(facts_->head(), head)) blotter.reset();
    calls_ = calls.get();
    response_filter_ =
        chain(chain(std::move(reader), std::unique_ptr<BodyFilter>{std::move(calls)}),
              chain(chain(std::move(messages), std::move(masker)), std::move(blotter)));
    return {};
}

void Exchange::refuse_answer() {
    if (calls_ != nullptr && calls_->refusal()) return deny(*calls_->refusal());
    deny(upstream_failed(502, "http_response_transform_error", "the answer cannot be examined"));
}

// It is recorded as a request of its own, whatever becomes of it.
CallAnswer Exchange::decide_call(policy::http::ToolCall call, Actions& out) {
    const std::string name = call.name.substr(0, kMaxToolName);
    const std::string statement = "tool call " + name;
    policy::Request request;
    request.session = config_.facts;
    request.stage = policy::Stage::Message;
    request.statement = statement;
    request.http = facts_;
    request.tool_call = std::make_shared<const policy::http::ToolCall>(std::move(call));
    request.now = to_wall(now_);
    call_ = name;
    const policy::DecisionPtr first = out.probe(request, false);
    if (first && first->effect == policy::Effect::Approve) {
        approval_.clear();
        call_answer_.reset();
        open_ = true;
        out.ask(request, tag_);
        return call_answer_ ? *std::exchange(call_answer_, std::nullopt) : CallAnswer::waiting();
    }
    Answer answer{.verdict = Verdict::Denied, .decision = out.probe(request, true)};
    if (!answer.decision)
        answer.verdict = Verdict::Unavailable;
    else if (answer.decision->effect == policy::Effect::Allow)
        return std::nullopt;
    Refusal made = refusal_of_call(answer);
    made.decision.clear();  // that is the request's, which was allowed
    return made;
}

Refusal Exchange::refusal_of_call(const Answer& answer) const {
    Refusal made = refusal_of(answer, *facts_, config_.facts->id);
    if (answer.verdict == Verdict::Denied)
        made = {
            .detail = made.detail, .rule = made.rule, .hint = made.hint, .decision = made.decision};
    made.detail += " (the model's call of tool \"" + call_ + "\")";
    return made;
}

void Exchange::call_decided(std::optional<Refusal> why) {
    if (!answer_waits()) {
        call_answer_ = std::move(why);
        return;
    }
    call_.clear();
    calls_->decide(std::move(why));
    resumes_ = true;
}

policy::DecisionPtr Exchange::decide_message(
    std::shared_ptr<const policy::http::McpMessage> message, bool record, Actions& out) const {
    const std::string statement = message->method;
    policy::Request request;
    request.session = config_.facts;
    request.stage = record ? policy::Stage::Message : policy::Stage::Prepare;
    request.statement = statement;
    request.http = facts_;
    request.mcp = std::move(message);
    request.now = to_wall(now_);
    return out.probe(request, record);
}

}  // namespace chaperone::session

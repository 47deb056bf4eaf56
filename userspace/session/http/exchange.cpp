// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/exchange.h"

#include "policy/http/grpc.h"
#include "userspace/base/steady.h"
#include "userspace/session/http/grpc.h"
#include "userspace/session/http/masking.h"
#include "userspace/session/http/shapes.h"
#include "userspace/session/http/websocket_handshake.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace chaperone::session {

using policy::http::Body;

namespace {

// Ticks come once a second; what is said at a deadline comes this much before it.
constexpr Duration kHeadStart = std::chrono::milliseconds{1500};

// How often a client is told that the stream it reads waits for a person: often enough for any
// timeout between two pieces of a body.
constexpr Duration kSignOfLife = std::chrono::seconds{5};

bool prefers_async(const policy::http::Facts& facts) {
    return http::lists(facts.head().fields, "prefer", "respond-async");
}

// Prefer: wait=N (RFC 7240, 4.3): how long the client is ready to wait.
std::optional<unsigned> prefers_wait(const policy::http::Facts& facts) {
    const auto prefer = facts.field("prefer");
    if (!prefer) return std::nullopt;
    std::string_view rest = *prefer;
    while (const auto element = http::next_element(rest)) {
        if (!http::lower(*element).starts_with("wait=")) continue;
        unsigned seconds = 0;
        const std::string_view number = element->substr(5);
        const auto [end, error] =
            std::from_chars(number.data(), number.data() + number.size(), seconds);
        if (error == std::errc{} && end != number.data()) return seconds;
    }
    return std::nullopt;
}

// The longest that is registered has 17 letters.
constexpr std::size_t kMaxMethod = 32;

// What no rule can allow, as method or as what the method is said to be. Empty: any other.
std::string_view unwanted_method(const policy::http::Facts& facts) {
    for (const policy::http::Reading& reading : facts.readings()) {
        const std::string_view method = reading.method;
        if (http::same(method, "trace") || http::same(method, "track"))
            return "TRACE is not offered here: it shows what others put into a request";
        if (method == "PRI") return "PRI is no method of a request";
        if (method.size() > kMaxMethod) return "the method is too long";
        if (method == "CONNECT" && facts.head().method != method)
            return "CONNECT is not offered here: connections are made directly";
    }
    return {};
}

std::string statement_of(const policy::http::Facts& facts) {
    return std::string{facts.head().method} + " " + facts.url();
}

}  // namespace

Exchange::Exchange(const HttpConfig& config, Tag tag)
    : config_(config),
      tag_(tag),
      facts_(std::make_shared<policy::http::Facts>()),
      room_(config.body_room) {}

bool Exchange::restart(Tag tag) {
    if (facts_.use_count() != 1) return false;
    tag_ = tag;
    state_ = State::Asking;
    answer_ = {};
    begun_ = open_ = finished_ = body_for_credential_ = false;
    approval_.clear();
    room_.reset();
    request_edits_.clear();
    response_edits_.clear();
    request_filter_.reset();
    response_filter_.reset();
    calls_ = nullptr;
    call_.clear();
    call_answer_.reset();
    resumes_ = false;
    inbox_.reset();
    status_ = 0;
    up_ = down_ = 0;
    usage_ = {};
    return true;
}

void Exchange::begin(const http::RequestHead& head, bool body_follows, Time now, Actions& out,
                     std::string_view refused) {
    now_ = now;
    begun_ = true;
    body_expected_ = body_follows;
    body_complete_ = !body_follows;
    const policy::Destination& to = config_.facts->destination;
    facts_->assign(head, to.name, body_follows);
    if (to.name.empty() && config_.elsewhere && !facts_->host().empty() &&
        facts_->host() != to.address && config_.elsewhere(facts_->host(), facts_->port()))
        facts_->set_fronted();
    if (config_.refuse_all) return deny(*config_.refuse_all);
    since_ = now;
    if (config_.desk) return ask_desk();
    if (refused.empty()) refused = unwanted_method(*facts_);
    if (!refused.empty()) return ask(now, out, refused);
    if (facts_->host().empty() && !facts_->head().authority.empty())
        return reject(malformed(400, "the authority is not a host and a port"), out);
    ask(now, out);
}

void Exchange::ask(Time now, Actions& out, std::string_view refused) {
    state_ = State::Asking;
    open_ = true;
    const std::string statement = statement_of(*facts_);
    policy::Request request;
    request.session = config_.facts;
    request.stage = policy::Stage::Http;
    request.statement = statement;
    request.http = facts_;
    request.refused = refused;
    request.now = to_wall(now);
    out.ask(request, tag_);
}

void Exchange::on_decided(const Answer& answer, Time now, Actions& out) {
    now_ = now;
    if (!open_) return;
    open_ = false;
    if (!call_.empty()) {
        const bool allowed = answer.verdict == Verdict::Allowed && answer.decision;
        if (answer.request != 0) out.record({.request = answer.request, .ok = allowed});
        return call_decided(allowed ? std::nullopt : std::optional{refusal_of_call(answer)});
    }
    answer_ = answer;
    if (answer.verdict == Verdict::NeedsBody && facts_->body.state == Body::State::NotSeen) {
        state_ = State::NeedsBody;
        body_until_ = now + config_.limits.body_time;
        return;
    }
    // A decision that is missing allows nothing.
    if (answer.verdict == Verdict::Allowed && answer.decision) return prepare(now, out);
    deny(refusal_of(answer, *facts_, config_.facts->id));
}

void Exchange::buffer(Bytes data, bool last, Time now, Actions& out) {
    if (state_ != State::NeedsBody) return;
    facts_->body.data += as_text(data);
    body_complete_ = last;
    const bool room = room_.take(data.size());
    if (facts_->body.data.size() > config_.limits.body || !room) {
        // What rules ask for cannot be told: they count closed. A credential is not policy.
        facts_->body.state = Body::State::TooLarge;
        if (body_for_credential_) return deny(malformed(413, "the body is too long to be signed"));
        return ask(now, out);
    }
    if (!last) return;
    facts_->body.state = Body::State::Whole;
    if (body_for_credential_) return prepare(now, out);
    ask(now, out);
}

void Exchange::prepare(Time now, Actions&) {
    const policy::MaskSet& masks = answer_.decision->masks;
    const policy::MaskSet& requests = answer_.decision->request_masks;
    request_edits_.clear();
    if (is_websocket(*facts_)) {
        // What a model says there nobody reads for calls, and rules are about them.
        if (answer_.decision->tool_calls)
            return deny(malformed(
                403, "tool calls of a model's answers cannot be told within a WebSocket"));
        if (answer_.decision->mcp && names_mcp(facts_->head().fields))
            return deny(malformed(403, "messages of MCP cannot be told within a WebSocket"));
        edit_offers(*facts_, request_edits_);
    }
    if (config_.credential) {
        auto step = config_.credential->inject(*facts_, now, request_edits_);
        if (!step)
            return deny(upstream_failed(
                502, "proxy_configuration_error",
                "the credential of this resource cannot be used: " + step.error().message()));
        if (*step == CredentialInjector::Step::Done)
            request_filter_ = config_.credential->request();
        if (*step == CredentialInjector::Step::Wait) {
            state_ = State::Preparing;
            return;
        }
        if (*step == CredentialInjector::Step::NeedBody) {
            body_for_credential_ = true;
            body_until_ = now + config_.limits.body_time;
            state_ = State::NeedsBody;
            if (facts_->body.state != Body::State::NotSeen)
                deny(upstream_failed(502, "proxy_internal_error", "the request cannot be signed"));
            return;
        }
    }
    if (answer_.decision->mcp || answer_.decision->tool_calls)
        accept_spoken_codings(facts_->head(), request_edits_);
    if (!masks.empty() || !requests.empty()) {
        if (!config_.masking)
            return deny(upstream_failed(502, "proxy_internal_error", "nothing here masks this"));
        config_.masking->prepare(masks, facts_->head(), request_edits_);
        auto filter = config_.masking->request(requests, facts_->head(), request_edits_);
        if (!filter)
            return deny(
                malformed(403, "the request's body cannot be masked: " + filter.error().message()));
        if (*filter != nullptr && request_filter_ != nullptr)
            return deny(malformed(403, "a body that is signed in pieces cannot be masked"));
        if (*filter != nullptr) request_filter_ = *std::move(filter);
    }
    state_ = State::Go;
}

// Nothing of it goes anywhere, so that no answer is waited for; but it happened.
void Exchange::reject(const Refusal& refusal, Actions& out) {
    policy::Request request;
    request.session = config_.facts;
    request.stage = policy::Stage::Http;
    request.statement = "malformed request";
    if (begun_) request.http = facts_;
    request.refused = refusal.detail;
    request.now = to_wall(now_);
    (void)out.probe(request, true);
    deny(refusal);
}

void Exchange::ask_desk() {
    auto answer = config_.desk->answer(*config_.facts, *facts_, since_, now_);
    state_ = answer ? State::Refused : State::Preparing;
    if (!answer) return;
    response_ = *std::move(answer);
    status_ = response_.status;
}

void Exchange::deny(const Refusal& refusal) {
    state_ = State::Refused;
    response_ = render(refusal);
    if (config_.reshape) config_.reshape(*facts_, refusal, response_);
    if (config_.streams)
        if (auto said = answer_in_stream(*facts_, refusal);
            said && config_.streams->deliver(*config_.facts, *facts_, *std::move(said)))
            response_ = {
                .status = 202, .fields = {{"Content-Type", "text/plain"}}, .body = "Accepted"};
    status_ = response_.status;
    release_body();
}

// Nobody looks at it any more; others of the workload may need the room.
void Exchange::release_body() {
    if (facts_.use_count() == 1) std::string{}.swap(facts_->body.data);
    room_.reset();
}

void Exchange::on_held(std::string_view approval, Time now, Actions& out) {
    if (!open_) return;
    approval_ = approval;
    Duration wait = config_.limits.hold;
    const bool async = prefers_async(*facts_);
    if (const auto seconds = prefers_wait(*facts_))
        wait = std::min<Duration>(wait, std::chrono::seconds{*seconds});
    else if (async)
        wait = Duration::zero();
    // A call that is given up at its deadline would not hear what it waits for.
    if (const auto text = facts_->field("grpc-timeout"); text && policy::http::is_grpc(*facts_))
        if (const auto deadline = parse_grpc_timeout(*text))
            wait = std::min(wait, std::max(*deadline - kHeadStart, Duration::zero()));
    hold_until_ = now + wait;
    sign_at_ = now;
    if (wait == Duration::zero()) wait_no_longer(async, out);
}

void Exchange::wait_no_longer(bool async, Actions& out) {
    open_ = false;
    out.leave(tag_);
    if (call_.empty()) return deny(pending(approval_, nullptr, async));
    // Of a stream the client has the head: nothing else can be said there.
    Refusal made = pending(approval_, nullptr, async && holds_answer());
    made.detail += " (the model's call of tool \"" + call_ + "\")";
    call_decided(std::move(made));
}

bool Exchange::sign_of_life(Time now) {
    if (!answer_waits() || holds_answer() || now < sign_at_) return false;
    sign_at_ = now + kSignOfLife;
    calls_->say_waiting(approval_);
    resumes_ = true;
    return true;
}

bool Exchange::hurry(Actions& out) {
    if ((state_ != State::Asking && call_.empty()) || !open_ || approval_.empty()) return false;
    wait_no_longer(prefers_async(*facts_), out);
    return true;
}

bool Exchange::on_tick(Time now, Actions& out) {
    now_ = now;
    switch (state_) {
    case State::Asking:
        if (!open_ || approval_.empty() || now < hold_until_) return false;
        wait_no_longer(prefers_async(*facts_), out);
        return true;
    case State::NeedsBody:
        if (now < body_until_) return false;
        reject(malformed(408, "the request's body took too long"), out);
        return true;
    case State::Preparing:
        if (config_.desk)
            ask_desk();
        else
            prepare(now, out);
        return state_ != State::Preparing;
    case State::Go:
        if (inbox_ && !inbox_->empty()) return resumes_ = true;
        if (!open_ || approval_.empty()) return false;
        if (now < hold_until_) return sign_of_life(now);
        wait_no_longer(prefers_async(*facts_), out);
        return true;
    case State::Refused: return false;
    }
    return false;
}

void Exchange::finish(bool ok, Actions& out) {
    if (finished_) return;
    finished_ = true;
    if (inbox_) std::exchange(inbox_, {})->close();  // the filter may have it for long
    if (open_) out.withdraw(tag_);
    open_ = false;
    release_body();
    if (answer_.request == 0) return;
    out.record({.request = answer_.request,
                .ok = ok && state_ == State::Go && status_ < 400,
                .sqlstate = status_ == 0 ? std::string{} : std::to_string(status_),
                .tag = usage_.text(),
                .bytes_up = up_,
                .bytes_down = down_});
}

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// What a machine wants done, and what the gate answers later.
#include "userspace/net/session_runner.h"

#include "userspace/net/shared.h"

#include <algorithm>

namespace chaperone::net {

using session::Side;

namespace {

constexpr std::size_t kUsualHead = 512;  // bytes

}  // namespace

void SessionRunner::forward(Side to, Bytes range) {
    auto& pieces = leg(to).pieces;
    if (!pieces.empty() && pieces.back().at != nullptr &&
        pieces.back().at + pieces.back().size == range.data()) {
        pieces.back().size += range.size();
        return;
    }
    if (!range.empty()) pieces.push_back({range.data(), 0, range.size()});
}

void SessionRunner::send(Side to, Bytes data) {
    Leg& its = leg(to);
    const std::size_t offset = its.own.size();
    if (its.own.capacity() == 0) its.own.reserve(kUsualHead);
    append(its.own, data);
    if (!its.pieces.empty() && its.pieces.back().at == nullptr &&
        its.pieces.back().offset + its.pieces.back().size == offset)
        its.pieces.back().size += data.size();
    else
        its.pieces.push_back({nullptr, offset, data.size()});
}

void SessionRunner::ask(const policy::Request& request, session::Tag tag) {
    if (auto answer = gate_.ask(request, tag)) answers_.push_back(std::move(*answer));
}

void SessionRunner::withdraw(session::Tag tag) {
    const auto [first, last] = std::ranges::remove(answers_, tag, &session::Answer::tag);
    answers_.erase(first, last);
    gate_.withdraw(tag);
}

void SessionRunner::leave(session::Tag tag) {
    gate_.leave(tag);
}

policy::DecisionPtr SessionRunner::probe(const policy::Request& request, bool record) {
    return gate_.probe(request, record);
}

void SessionRunner::record(const session::Outcome& outcome) {
    gate_.record(outcome);
}

void SessionRunner::start_tls(Side side, const session::TlsWants& wants) {
    leg(side).tls_wanted = true;
    leg(side).tls_wants = wants;
    changed();
}

void SessionRunner::connect() {
    connect_wanted_ = true;  // the machine is still asking
}

void SessionRunner::opened() {
    live_->state = "open";
}

void SessionRunner::close_write(Side to) {
    leg(to).last = leg(to).shut = true;
}

void SessionRunner::need_catalog(std::string_view database, bool fresh) {
    catalog_asked_ = true;
    spawn(fetch_catalog(std::string{database}, fresh));
}

void SessionRunner::server_key(std::uint32_t pid, Bytes secret) {
    upstream_pid_ = pid;
    upstream_secret_ = copy(secret);
    cancel_key_ = shared_.registry.rename_key(cancel_key_, pid);
    live_->state = "open";
}

void SessionRunner::cancel_server() {
    if (!upstream_secret_.empty()) spawn(cancel_upstream(std::exchange(canceller_, nullptr)));
}

void SessionRunner::cancel_session(std::uint32_t pid, Bytes secret) {
    CancelKey key{pid, 0};
    if (secret.size() != sizeof key.secret) return;
    for (const std::byte b : secret)
        key.secret = key.secret << 8 | std::to_integer<std::uint32_t>(b);
    const LivePtr session = shared_.registry.find(key);
    // A key that was seen in another workload must be of no use here.
    if (!session || session->snapshot().facts->workload != facts_->workload) return;
    cancelling_ = true;
    session->post([by = live_](SessionRunner& runner) { runner.cancel(by); });
}

void SessionRunner::end(std::string_view reason) {
    if (ended_) return;
    ended_ = true;
    end_reason_ = reason;
}

void SessionRunner::drop(std::string_view reason) {
    dropped_ = true;
    end(reason);
}

void SessionRunner::end_untold(std::string_view reason) {
    untold_ = true;
    end(reason);
}

// ---- what the gate says later

void SessionRunner::held(session::Tag tag, const std::string& approval, Time expires) {
    if (ended_) return;
    live_->state = "held";
    machine_->on_held(tag, approval, expires, *this);
    settle();
}

void SessionRunner::answered(session::Answer answer) {
    if (ended_) return;
    if (gate_.holding() == 0) live_->state = "open";
    machine_->on_decided(answer, *this);
    resume();
}

}  // namespace chaperone::net

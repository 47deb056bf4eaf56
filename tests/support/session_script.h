// SPDX-License-Identifier: Apache-2.0
// A scripted dialogue with a session machine: what each side sends, what the gate answers, and what
// the machine must do about it. It keeps unconsumed bytes and gives them again, as the runner does,
// and can cut everything into pieces.
#pragma once

#include "userspace/session/machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::session::test {

// What was asked, with views made into texts.
struct Asked {
    policy::Stage stage{};
    std::string statement{};
    std::shared_ptr<const policy::sql::Facts> facts{};
    std::vector<policy::Parameter> parameters{};
    std::string refused{};
    Tag tag = 0;
};

class SessionScript final : public Actions {
public:
    using Gate = std::function<std::optional<Answer>(const policy::Request&)>;

    explicit SessionScript(Machine& machine, std::size_t piece = SIZE_MAX)
        : machine_(machine), piece_(piece) {}

    // --- events
    SessionScript& client_sends(std::string_view bytes) { return arrive(Side::Client, bytes); }
    SessionScript& server_sends(std::string_view bytes) { return arrive(Side::Server, bytes); }
    SessionScript& decided(Answer answer) {
        machine_.on_decided(answer, *this);
        return pump();
    }
    // The server's bytes are seen between the answer and the message that it allows.
    SessionScript& decided_behind(Answer answer, std::string_view server) {
        machine_.on_decided(answer, *this);
        server_ += server;
        offer(Side::Server);
        return pump();
    }
    SessionScript& held(std::string_view approval, Time expires = {}, Tag tag = 0) {
        machine_.on_held(tag, approval, expires, *this);
        return pump();
    }
    SessionScript& connected(Result<> result = {}) {
        if (std::exchange(renewing_, false)) server_.clear();  // of the connection before
        machine_.on_connected(std::move(result), *this);
        return pump();
    }
    SessionScript& tls_started(Side side, Result<TlsInfo> info = TlsInfo{}) {
        machine_.on_tls_started(side, std::move(info), *this);
        return pump();
    }
    SessionScript& starts() {
        machine_.on_opened(*this);
        return pump();
    }
    SessionScript& catalog(std::shared_ptr<const policy::sql::Catalog> catalog) {
        machine_.on_catalog(std::move(catalog), *this);
        return pump();
    }
    SessionScript& no_catalog() {
        machine_.on_catalog(fail(Errc::Unavailable, "the catalog"), *this);
        return pump();
    }
    SessionScript& cancelled() {
        machine_.on_cancel(*this);
        return pump();
    }
    SessionScript& closed(Side by) {
        machine_.on_closed(by, *this);
        return pump();
    }
    SessionScript& terminated(std::string_view reason) {
        machine_.on_terminate(reason, *this);
        return pump();
    }
    // Answers questions at once from now on, from within ask().
    SessionScript& drained(std::string_view reason) {
        machine_.on_drain(reason, *this);
        return pump();
    }
    // Answers questions at once from now on, from within ask().
    SessionScript& gate(Gate gate) {
        gate_ = std::move(gate);
        return *this;
    }

    // --- expectations; each takes what it expects away
    SessionScript& sends(Side to, std::string_view bytes) {
        std::string& got = to == Side::Client ? to_client : to_server;
        EXPECT_EQ(got, bytes);
        got.clear();
        return *this;
    }
    SessionScript& asks(std::string_view statement) {
        EXPECT_FALSE(asked.empty()) << "nothing was asked";
        if (asked.empty()) return *this;
        EXPECT_EQ(asked.front().statement, statement);
        last = asked.front();
        asked.pop_front();
        return *this;
    }
    SessionScript& does(std::string_view what) {
        EXPECT_FALSE(events.empty()) << "expected: " << what;
        if (events.empty()) return *this;
        EXPECT_EQ(events.front(), what);
        events.pop_front();
        return *this;
    }
    SessionScript& nothing_more() {
        EXPECT_EQ(to_client, "");
        EXPECT_EQ(to_server, "");
        EXPECT_TRUE(asked.empty());
        EXPECT_TRUE(events.empty()) << events.front();
        return *this;
    }
    SessionScript& forget() {
        to_client.clear();
        to_server.clear();
        asked.clear();
        events.clear();
        outcomes.clear();
        return *this;
    }

    // --- Actions
    void forward(Side to, Bytes range) override {
        EXPECT_GE(range.data(), present_.data()) << "a range that is not of this event";
        EXPECT_LE(range.data() + range.size(), present_.data() + present_.size());
        (to == Side::Client ? to_client : to_server) += as_text(range);
    }
    void send(Side to, Bytes data) override {
        (to == Side::Client ? to_client : to_server) += as_text(data);
    }
    void ask(const policy::Request& request, Tag tag) override {
        asked.push_back({request.stage, std::string{request.statement}, request.sql,
                         request.parameters, std::string{request.refused}, tag});
        if (!gate_) return;
        auto answer = gate_(request);
        if (!answer) return;
        answer->tag = tag;
        machine_.on_decided(*answer, *this);
    }
    void withdraw(Tag tag) override { events.push_back(tagged("withdraw", tag)); }
    void leave(Tag tag) override { events.push_back(tagged("leave", tag)); }
    void record(const Outcome& outcome) override { outcomes.push_back(outcome); }
    policy::DecisionPtr probe(const policy::Request& request, bool record) override {
        if (record) recorded.emplace_back(request.refused);
        return probed;
    }
    void start_tls(Side side, const TlsWants& wants) override {
        std::string event = side == Side::Client ? "tls client" : "tls server";
        for (const std::string& name : wants.alpn) event += ' ' + name;
        events.push_back(std::move(event));
    }
    void connect() override { events.emplace_back("connect"); }
    std::optional<TlsInfo> reuse(bool tls, const TlsWants& wants) override {
        if (idle.has_value()) events.emplace_back(tls ? "reuse tls" : "reuse");
        for (const std::string& name : wants.alpn)
            if (idle.has_value()) events.back() += ' ' + name;
        return std::exchange(idle, std::nullopt);
    }
    void reconnect(bool unused) override {
        events.emplace_back(unused ? "reconnect, unused" : "reconnect");
        renewing_ = true;
    }
    void keep_server() override { events.emplace_back("keep server"); }
    void opened() override { events.emplace_back("opened"); }
    void close_write(Side to) override {
        events.emplace_back(to == Side::Client ? "finish client" : "finish server");
    }
    void drop(std::string_view reason) override {
        events.emplace_back("drop");
        end(reason);
    }
    void end_untold(std::string_view reason) override {
        events.emplace_back("end untold");
        end(reason);
    }
    void need_catalog(std::string_view database, bool fresh) override {
        events.push_back("catalog " + std::string{database} + (fresh ? " fresh" : ""));
    }
    void server_key(std::uint32_t pid, Bytes) override {
        events.push_back("key " + std::to_string(pid));
    }
    void cancel_server() override { events.emplace_back("cancel server"); }
    void cancel_session(std::uint32_t pid, Bytes) override {
        events.push_back("cancel " + std::to_string(pid));
    }
    void end(std::string_view reason) override {
        ended = true;
        end_reason = reason;
    }

    std::optional<TlsInfo> idle{};  // the connection that another session has left
    std::string to_client{};
    std::string to_server{};
    std::deque<Asked> asked{};
    Asked last{};
    std::deque<std::string> events{};
    std::vector<Outcome> outcomes{};
    policy::DecisionPtr probed{};         // what probe() answers
    std::vector<std::string> recorded{};  // why, of what was written down without being asked about
    bool ended = false;
    std::string end_reason{};

private:
    SessionScript& arrive(Side from, std::string_view bytes) {
        while (!bytes.empty()) {
            const std::size_t n = std::min(piece_, bytes.size());
            waiting(from) += bytes.substr(0, n);
            bytes.remove_prefix(n);
            pump();
        }
        return *this;
    }
    static std::string tagged(std::string what, Tag tag) {
        return tag == 0 ? what : what + " " + std::to_string(tag);
    }
    std::string& waiting(Side from) { return from == Side::Client ? client_ : server_; }
    bool offer(Side from) {
        if (ended || waiting(from).empty() || !machine_.wants(from)) return false;
        // A copy of exactly this size, so that reading behind its end is seen.
        const std::vector<char> data(waiting(from).begin(), waiting(from).end());
        present_ = std::as_bytes(std::span{data});
        const std::size_t used = machine_.on_received(from, present_, *this);
        present_ = {};
        EXPECT_LE(used, data.size());
        waiting(from).erase(0, used);
        return used != 0;
    }
    SessionScript& pump() {
        while (offer(Side::Client) || offer(Side::Server)) {
        }
        return *this;
    }

    Machine& machine_;
    std::size_t piece_;
    Gate gate_;
    std::string client_, server_;
    bool renewing_ = false;
    Bytes present_{};
};

}  // namespace chaperone::session::test

// SPDX-License-Identifier: Apache-2.0
// The machine of HTTP/2 between two connections that speak it, over wires that can be cut anywhere.
#pragma once

#include "policy/http/facts.h"
#include "policy/http/message.h"
#include "userspace/session/http/config.h"
#include "userspace/wire/http2/connection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::session::test {

using Lines = std::vector<std::string>;

// Writes down what one end sees, in one line each.
class EndLog final : public wire::http2::Events {
public:
    using StreamId = wire::http2::StreamId;
    void on_head(StreamId id, Kind kind, wire::http2::Fields&& fields, bool end,
                 bool too_large) override {
        static constexpr std::string_view kKinds[] = {"request", "informational", "response",
                                                      "trailers"};
        std::string line =
            std::to_string(id) + " " + std::string{kKinds[static_cast<std::size_t>(kind)]};
        for (const auto& field : fields) line += " " + field.name + "=" + field.value;
        lines.push_back(line + (too_large ? " too large" : "") + (end ? " end" : ""));
    }
    void on_data(StreamId id, Bytes data) override {
        bodies[id] += as_text(data);
        if (take) connection->taken(id, data.size());
    }
    void on_end(StreamId id) override {
        if (!server) lines.push_back(std::to_string(id) + " ended");
    }
    void on_closed(StreamId id, wire::http2::Code code) override {
        if (server && code == wire::http2::Code::NoError) return;
        lines.push_back(std::to_string(id) + " closed " + std::string{to_text(code)});
    }
    void on_sent(StreamId) override {}
    void on_settings() override {}
    void on_goaway(StreamId last, wire::http2::Code code) override {
        lines.push_back("goaway " + std::to_string(last) + " " + std::string{to_text(code)});
    }
    Lines took() { return std::exchange(lines, {}); }

    Lines lines;
    std::map<StreamId, std::string> bodies;
    wire::http2::Connection* connection = nullptr;
    bool server = false;
    bool take = true;
};

class Http2Fixture : public Actions {
public:
    using StreamId = wire::http2::StreamId;
    using Connection = wire::http2::Connection;

    explicit Http2Fixture(std::size_t piece = SIZE_MAX, HttpConfig config = {}) : piece_(piece) {
        server.server = true;
        at_agent = *Connection::make(Connection::Role::Client, {}, agent);
        at_server = *Connection::make(Connection::Role::Server, {}, server);
        agent.connection = at_agent.get();
        server.connection = at_server.get();
        at_agent->begin(false, 0);
        at_server->begin(true, 100);
        auto facts = std::make_shared<policy::SessionFacts>();
        facts->id = "S";
        facts->destination.name = "a.test";
        config.facts = facts;
        config.scheme = "https";
        machine = make_http2_machine(config);
        machine->on_tick(now, *this);
        talk();
    }

    static std::optional<Answer> answer(Verdict verdict) {
        auto decision = std::make_shared<policy::Decision>();
        decision->reason = "no, never";
        decision->effect =
            verdict == Verdict::Allowed ? policy::Effect::Allow : policy::Effect::Deny;
        return Answer{.verdict = verdict, .decision = decision, .request = 1};
    }
    std::function<std::optional<Answer>(const policy::Request&)> gate = [](const policy::Request&) {
        return answer(Verdict::Allowed);
    };

    // --- the agent
    StreamId request(const wire::http2::Fields& fields) {
        const StreamId id = *at_agent->request(fields, true);
        talk();
        return id;
    }
    StreamId get(std::string path, wire::http2::Fields more = {}) {
        wire::http2::Fields fields{{":method", "GET"},
                                   {":scheme", "https"},
                                   {":authority", "a.test"},
                                   {":path", std::move(path)}};
        fields.insert(fields.end(), more.begin(), more.end());
        return request(fields);
    }
    StreamId post(std::string path, std::string_view body, wire::http2::Fields more = {}) {
        wire::http2::Fields fields{{":method", "POST"},
                                   {":scheme", "https"},
                                   {":authority", "a.test"},
                                   {":path", std::move(path)}};
        fields.insert(fields.end(), more.begin(), more.end());
        const StreamId id = *at_agent->request(fields, false);
        talk();  // the head first, as one that waits for 100 (Continue) would
        at_agent->data(id, as_bytes(body));
        at_agent->finish(id);
        talk();
        return id;
    }
    StreamId connect_websocket(const wire::http2::Fields& more) {
        wire::http2::Fields fields{{":method", "CONNECT"}, {":protocol", "websocket"},
                                   {":scheme", "https"},   {":authority", "a.test"},
                                   {":path", "/chat"},     {"sec-websocket-version", "13"}};
        fields.insert(fields.end(), more.begin(), more.end());
        const StreamId id = *at_agent->request(fields, false);
        talk();
        return id;
    }
    void decided(StreamId id, Verdict verdict) {
        Answer made = *answer(verdict);
        made.tag = static_cast<Tag>(id);
        machine->on_decided(made, *this);
        talk();
    }
    void tick(Duration later) {
        now += later;
        machine->on_tick(now, *this);
        talk();
    }

    // Until nobody has anything to say.
    void talk() {
        for (bool more = true; more;) {
            more = carry(*at_agent, Side::Client);
            more = carry(*at_server, Side::Server) || more;
            more = deliver(to_agent_, *at_agent) || more;
            more = deliver(to_server_, *at_server) || more;
        }
    }
    // What went in from the agent and did not come out.
    std::size_t memory_up() const { return from_agent_ - std::min(from_agent_, into_server_); }

    // --- Actions
    void forward(Side to, Bytes range) override { send(to, range); }
    void send(Side to, Bytes data) override {
        append(to == Side::Client ? to_agent_ : to_server_, data);
    }
    void ask(const policy::Request& request, Tag tag) override {
        asked.emplace_back(request.statement);
        auto given = gate(request);
        if (!given) return;
        given->tag = tag;
        machine->on_decided(*given, *this);
    }
    void withdraw(Tag tag) override { events.push_back("withdraw " + std::to_string(tag)); }
    void leave(Tag tag) override { events.push_back("leave " + std::to_string(tag)); }
    policy::DecisionPtr probe(const policy::Request&, bool) override { return probed; }
    policy::DecisionPtr probed{};  // what probe() answers
    void record(const Outcome& outcome) override { outcomes.push_back(outcome); }
    void start_tls(Side, const TlsWants&) override { ADD_FAILURE() << "TLS"; }
    void connect() override { ADD_FAILURE() << "connect"; }
    void need_catalog(std::string_view, bool) override { ADD_FAILURE() << "catalog"; }
    void server_key(std::uint32_t, Bytes) override {}
    void cancel_server() override {}
    void cancel_session(std::uint32_t, Bytes) override {}
    void close_write(Side side) override { ended = ended || side == Side::Client; }
    void end(std::string_view) override { ended = over = true; }

    EndLog agent, server;
    std::unique_ptr<Connection> at_agent, at_server;
    std::unique_ptr<Machine> machine;
    Lines asked, events;
    std::vector<Outcome> outcomes;
    Time now{std::chrono::seconds{1'000'000}};
    bool ended = false;  // all is said to the agent
    bool over = false;   // and it is not heard any more

private:
    bool carry(Connection& from, Side side) {
        Buffer& bytes = side == Side::Client ? from_agent_bytes_ : from_server_bytes_;
        const std::size_t had = bytes.size();
        for (Bytes more = from.next(); !more.empty(); more = from.next()) append(bytes, more);
        if (side == Side::Client) from_agent_ += bytes.size() - had;
        std::size_t used = 0;
        while (used != bytes.size() && !ended && machine->wants(side)) {
            const auto n = std::min(piece_, bytes.size() - used);
            used += machine->on_received(side, Bytes{bytes}.subspan(used, n), *this);
        }
        bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(used));
        return used != 0;
    }
    bool deliver(Buffer& wire, Connection& to) {
        if (wire.empty()) return false;
        const Buffer bytes = std::exchange(wire, {});
        if (&to == at_server.get()) into_server_ += bytes.size();
        EXPECT_TRUE(to.receive(bytes));
        return true;
    }

    std::size_t piece_;
    Buffer to_agent_, to_server_, from_agent_bytes_, from_server_bytes_;
    std::size_t from_agent_ = 0, into_server_ = 0;
};

}  // namespace chaperone::session::test

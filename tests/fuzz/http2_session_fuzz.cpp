// SPDX-License-Identifier: Apache-2.0
// layer: session
// Both sides of an open HTTP/2 session, any frames, any cut: the machine neither crashes nor stops
// answering, what it sends up is HTTP/2, and no request goes up that was refused or not asked
// about.
#include "policy/http/facts.h"
#include "userspace/session/http/config.h"
#include "userspace/wire/http2/connection.h"

#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

namespace chaperone::session {
namespace {

constexpr std::string_view kForbidden = "forbidden";
constexpr std::string_view kMagic{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33};
constexpr std::string_view kSettings{"\0\0\0\4\0\0\0\0\0", 9};

// Reads what goes up as a server would.
class Judge final : public wire::http2::Events {
public:
    void on_head(wire::http2::StreamId, Kind kind, wire::http2::Fields&& fields, bool,
                 bool) override {
        if (kind != Kind::Request) return;
        const auto path = wire::http2::find(fields, ":path");
        if (path.find(kForbidden) != std::string_view::npos || allowed == 0) std::abort();
        --allowed;
    }
    void on_data(wire::http2::StreamId id, Bytes data) override { leg->taken(id, data.size()); }
    void on_end(wire::http2::StreamId) override {}
    void on_closed(wire::http2::StreamId, wire::http2::Code) override {}
    void on_sent(wire::http2::StreamId) override {}
    void on_settings() override {}
    void on_goaway(wire::http2::StreamId, wire::http2::Code) override {}

    wire::http2::Connection* leg = nullptr;
    std::size_t allowed = 0;
};

class Play final : public Actions {
public:
    explicit Play(std::size_t piece) : piece_(piece) {
        leg_ = *wire::http2::Connection::make(wire::http2::Connection::Role::Server, {}, judge_);
        judge_.leg = leg_.get();
        leg_->begin(true, 100);
        HttpConfig config;
        config.facts = std::make_shared<policy::SessionFacts>();
        config.limits.body = 512;
        machine_ = make_http2_machine(std::move(config));
        machine_->on_tick(Time{std::chrono::seconds{1}}, *this);
        arrive(Side::Server, kSettings);
        arrive(Side::Client, kMagic);
    }

    // Each step: a byte that says whose turn it is and how long, then the bytes; length 0: time.
    void run(std::string_view input) {
        Time now{std::chrono::seconds{1}};
        while (!input.empty() && !ended_) {
            const auto head = static_cast<unsigned char>(input.front());
            input.remove_prefix(1);
            const auto bytes = input.substr(0, std::min<std::size_t>(head & 0x7f, input.size()));
            input.remove_prefix(bytes.size());
            if (bytes.empty()) machine_->on_tick(now += std::chrono::seconds{7}, *this);
            arrive(head & 0x80 ? Side::Server : Side::Client, bytes);
        }
        if (!ended_) machine_->on_closed(Side::Server, *this);
        if (!ended_) machine_->on_closed(Side::Client, *this);
        if (!ended_ || !open_.empty()) std::abort();  // questions that nobody waits for
    }

    void forward(Side to, Bytes range) override { send(to, range); }
    void send(Side to, Bytes data) override {
        if (to == Side::Server && !leg_->receive(data)) std::abort();
        while (!leg_->next().empty()) {
        }
    }
    void ask(const policy::Request& request, Tag tag) override {
        if (!open_.insert(tag).second) std::abort();
        using State = policy::http::Body::State;
        Answer answer{.verdict = Verdict::Allowed, .request = 1, .tag = tag};
        answer.decision = decision_;
        if (request.statement.find(kForbidden) != std::string_view::npos)
            answer.verdict = Verdict::Denied;
        else if (request.statement.find("held") != std::string_view::npos)
            return;
        else if (request.statement.find("body") != std::string_view::npos &&
                 request.http->body.state == State::NotSeen)
            answer.verdict = Verdict::NeedsBody;
        else
            ++judge_.allowed;
        answers_.push_back(answer);
    }
    void withdraw(Tag tag) override {
        if (open_.erase(tag) == 0) std::abort();
        std::erase_if(answers_, [&](const Answer& answer) { return answer.tag == tag; });
    }
    void leave(Tag tag) override { withdraw(tag); }
    policy::DecisionPtr probe(const policy::Request&, bool) override { return nullptr; }
    void record(const Outcome&) override {}
    void start_tls(Side, const TlsWants&) override {}
    void connect() override {}
    void need_catalog(std::string_view, bool) override {}
    void server_key(std::uint32_t, Bytes) override {}
    void cancel_server() override {}
    void cancel_session(std::uint32_t, Bytes) override {}
    void end(std::string_view) override { ended_ = true; }

private:
    void arrive(Side from, std::string_view bytes) {
        while (!bytes.empty() && !ended_) {
            const std::size_t n = std::min(piece_, bytes.size());
            if (machine_->on_received(from, as_bytes(bytes.substr(0, n)), *this) != n) std::abort();
            bytes.remove_prefix(n);
            while (!answers_.empty() && !ended_) {
                const Answer answer = answers_.back();
                answers_.pop_back();
                open_.erase(answer.tag);
                machine_->on_decided(answer, *this);
            }
        }
    }

    std::size_t piece_;
    Judge judge_;
    std::unique_ptr<wire::http2::Connection> leg_;
    std::unique_ptr<Machine> machine_;
    policy::DecisionPtr decision_ = [] {
        policy::Decision made;
        made.effect = policy::Effect::Allow;
        made.messages = true;
        return std::make_shared<const policy::Decision>(made);
    }();
    std::vector<Answer> answers_;
    std::set<Tag> open_;
    bool ended_ = false;
};

}  // namespace
}  // namespace chaperone::session

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    chaperone::session::Play{SIZE_MAX}.run(input);
    chaperone::session::Play{1}.run(input);
    return 0;
}

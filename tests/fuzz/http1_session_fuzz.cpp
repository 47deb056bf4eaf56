// SPDX-License-Identifier: Apache-2.0
// layer: session
// Both sides of an HTTP/1 session over any bytes, whole and byte by byte: the same must come of it,
// and nothing of a refused request may reach the server. A NUL changes the side that speaks.
#include "policy/http/facts.h"
#include "userspace/session/http/config.h"

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <utility>

namespace chaperone::session {
namespace {

constexpr std::string_view kForbidden = "forbidden";

class Sink final : public Actions {
public:
    void forward(Side to, Bytes range) override { seen(to) += as_text(range); }
    void send(Side to, Bytes data) override { seen(to) += as_text(data); }
    void ask(const policy::Request& request, Tag tag) override {
        const auto& facts = *request.http;
        Answer answer{.verdict = Verdict::Allowed,
                      .decision = std::make_shared<const policy::Decision>(),
                      .request = 1,
                      .tag = tag};
        if (request.statement.find(kForbidden) != std::string_view::npos ||
            !request.refused.empty())
            answer.verdict = Verdict::Denied;
        else if (facts.raw_path().starts_with("/b") &&
                 facts.body.state == policy::http::Body::State::NotSeen)
            answer.verdict = Verdict::NeedsBody;
        questions.push_back(std::move(answer));
    }
    void withdraw(Tag) override { questions.clear(); }
    void leave(Tag) override { questions.clear(); }
    policy::DecisionPtr probe(const policy::Request&, bool) override { return nullptr; }
    void record(const Outcome&) override {}
    void start_tls(Side, const TlsWants&) override {}
    void connect() override {}
    void reconnect(bool) override { reconnecting = true; }
    void need_catalog(std::string_view, bool) override {}
    void server_key(std::uint32_t, Bytes) override {}
    void cancel_server() override {}
    void cancel_session(std::uint32_t, Bytes) override {}
    void end(std::string_view) override { ended = true; }
    std::string& seen(Side side) { return side == Side::Client ? client : server; }

    std::string client, server;
    std::deque<Answer> questions;
    bool ended = false;
    bool reconnecting = false;
};

class Play {
public:
    explicit Play(std::size_t piece, bool reused = false) : piece_(piece) {
        HttpConfig config;
        config.reuse = config.reused = reused;
        config.facts = std::make_shared<policy::SessionFacts>();
        machine_ = make_http1_machine(std::move(config));
    }
    void run(std::string_view input) {
        Side side = Side::Client;
        while (!input.empty()) {
            const std::size_t end = input.find('\0');
            std::string_view said = input.substr(0, end);
            input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
            while (!said.empty()) {
                const std::size_t n = std::min(piece_, said.size());
                waiting(side) += said.substr(0, n);
                said.remove_prefix(n);
                settle();
            }
            side = side == Side::Client ? Side::Server : Side::Client;
        }
    }
    Sink& sink() { return sink_; }

private:
    std::string& waiting(Side from) { return from == Side::Client ? client_ : server_; }
    bool offer(Side from) {
        if (sink_.ended || waiting(from).empty() || !machine_->wants(from)) return false;
        const std::vector<char> data(waiting(from).begin(), waiting(from).end());
        const std::size_t used = machine_->on_received(from, std::as_bytes(std::span{data}), sink_);
        if (used > data.size()) std::abort();
        waiting(from).erase(0, used);
        return used != 0;
    }
    void settle() {
        for (bool more = true; more && !sink_.ended;) {
            more = offer(Side::Client) || offer(Side::Server);
            while (!sink_.questions.empty() && !sink_.ended) {
                const Answer answer = std::move(sink_.questions.front());
                sink_.questions.pop_front();
                machine_->on_decided(answer, sink_);
                more = true;
            }
            if (std::exchange(sink_.reconnecting, false) && !sink_.ended) {
                server_.clear();
                machine_->on_connected({}, sink_);
                more = true;
            }
        }
    }

    std::size_t piece_;
    Sink sink_;
    std::unique_ptr<Machine> machine_;
    std::string client_, server_;
};

}  // namespace
}  // namespace chaperone::session

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    chaperone::session::Play whole{SIZE_MAX}, bytes{1};
    whole.run(input);
    bytes.run(input);
    auto& one = whole.sink();
    auto& other = bytes.sink();
    if (!one.ended && !other.ended && (one.server != other.server || one.client != other.client))
        std::abort();
    // Over a connection that was another's: what comes of it hangs on when the server speaks.
    chaperone::session::Play reused{SIZE_MAX, true}, slowly{1, true};
    reused.run(input);
    slowly.run(input);
    return 0;
}

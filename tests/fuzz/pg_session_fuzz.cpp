// SPDX-License-Identifier: Apache-2.0
// layer: session
// Both sides of an open session, any bytes, any cut: the machine neither crashes nor does anything
// else when the same bytes come in other pieces, asks before it forwards, and lets no byte of a
// refused statement through.
#include "policy/sql/analyzer.h"
#include "userspace/session/pg_session.h"

#include <cstdint>
#include <cstdlib>
#include <string>

namespace chaperone::session {
namespace {

constexpr std::string_view kForbidden = "DROP";

class Anything final : public policy::sql::Analyzer {
public:
    std::string_view dialect() const noexcept override { return "postgresql"; }
    std::shared_ptr<const policy::sql::Facts> analyze(std::string_view,
                                                      const policy::sql::Context&) const override {
        policy::sql::Facts facts;
        facts.parsed = true;
        facts.uses_session = true;
        return std::make_shared<const policy::sql::Facts>(facts);
    }
};

class Sink final : public Actions {
public:
    void forward(Side to, Bytes range) override { seen(to) += as_text(range); }
    void send(Side to, Bytes data) override { seen(to) += as_text(data); }
    void ask(const policy::Request& request, Tag) override {
        const bool bad = request.statement.find(kForbidden) != std::string_view::npos;
        policy::Decision decision;
        decision.masks.columns.push_back({.pattern = "*", .with = detect::With::Redact});
        question = Answer{.verdict = bad ? Verdict::Denied : Verdict::Allowed,
                          .decision = std::make_shared<const policy::Decision>(decision)};
    }
    void withdraw(Tag) override { question.reset(); }
    void leave(Tag) override { question.reset(); }
    void record(const Outcome&) override {}
    policy::DecisionPtr probe(const policy::Request&, bool) override { return nullptr; }
    void start_tls(Side, const TlsWants&) override {}
    void connect() override {}
    void need_catalog(std::string_view, bool) override { catalog = true; }
    void server_key(std::uint32_t, Bytes) override {}
    void cancel_server() override {}
    void cancel_session(std::uint32_t, Bytes) override {}
    void end(std::string_view) override { ended = true; }
    std::string& seen(Side side) { return side == Side::Client ? client : server; }

    std::string client, server;
    std::optional<Answer> question;
    bool catalog = false;
    bool ended = false;
};

class Play {
public:
    explicit Play(std::size_t piece) : piece_(piece) {
        PgSessionConfig config;
        config.server_tls = false;
        config.analyzer = &analyzer_;
        config.limits = {.statement = 256, .bind = 512, .row = 512, .control = 512};
        machine_ = make_pg_session(std::move(config));
        using namespace std::string_literals;
        arrive(Side::Client, "\0\0\0\x10\0\3\0\0user\0b\0\0"s);
        machine_->on_connected({}, sink_);
        arrive(Side::Server, "R\0\0\0\x8\0\0\0\0Z\0\0\0\5I"s);
        arrive(Side::Server, "D\0\0\0\x15\0\3\0\0\0\1p\0\0\0\1p\0\0\0\1uC\0\0\0\5\0Z\0\0\0\5I"s);
        sink_.server.clear();
    }

    // Each step: a byte that says whose turn it is and how long, then the bytes.
    void run(std::string_view input) {
        while (!input.empty() && !sink_.ended) {
            const auto head = static_cast<unsigned char>(input.front());
            input.remove_prefix(1);
            const auto bytes = input.substr(0, std::min<std::size_t>(head & 0x7f, input.size()));
            input.remove_prefix(bytes.size());
            arrive(head & 0x80 ? Side::Server : Side::Client, bytes);
        }
    }
    const Sink& sink() const { return sink_; }

private:
    void arrive(Side from, std::string_view bytes) {
        while (!bytes.empty()) {
            const std::size_t n = std::min(piece_, bytes.size());
            waiting(from) += bytes.substr(0, n);
            bytes.remove_prefix(n);
            settle();
        }
    }
    std::string& waiting(Side side) { return side == Side::Client ? client_ : server_; }
    bool offer(Side from) {
        if (sink_.ended || waiting(from).empty() || !machine_->wants(from)) return false;
        const std::size_t used = machine_->on_received(from, as_bytes(waiting(from)), sink_);
        waiting(from).erase(0, used);
        return used != 0;
    }
    void settle() {
        for (bool more = true; more && !sink_.ended;) {
            more = offer(Side::Client) || offer(Side::Server);
            if (sink_.question) {
                const Answer answer = *std::exchange(sink_.question, std::nullopt);
                machine_->on_decided(answer, sink_);
                more = true;
            }
            if (std::exchange(sink_.catalog, false)) {
                machine_->on_catalog(std::shared_ptr<const policy::sql::Catalog>{}, sink_);
                more = true;
            }
        }
    }

    std::size_t piece_;
    Anything analyzer_;
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
    // A message that ends the session may have been seen earlier in smaller pieces; what was said
    // until then is the same.
    if (whole.sink().ended == bytes.sink().ended && !whole.sink().ended &&
        (whole.sink().server != bytes.sink().server || whole.sink().client != bytes.sink().client))
        std::abort();
    return 0;
}

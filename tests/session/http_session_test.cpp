// SPDX-License-Identifier: Apache-2.0
// From the first byte to the machine of the right version, and what is told where it does not come
// to that.
#include "userspace/session/http_session.h"

#include "tests/support/session_script.h"

#include <gtest/gtest.h>

#include <fstream>

namespace chaperone::session {
namespace {

using test::SessionScript;
using Events = std::deque<std::string>;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a.b\r\n\r\n";
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Stands for the machine of a version: says what it was made with, then echoes what it is given.
class Inner final : public Machine {
public:
    Inner(std::string name, HttpConfig config)
        : name_(std::move(name)), config_(std::move(config)) {}
    std::size_t on_received(Side from, Bytes data, Actions& out) override {
        std::string text = name_ + ' ' + config_.scheme;
        if (config_.refuse_all)
            text += ' ' + std::to_string(config_.refuse_all->status) + ' ' +
                    config_.refuse_all->proxy_status + ' ' + config_.refuse_all->detail;
        if (from == Side::Server) text += " server";
        out.send(Side::Client, as_bytes("[" + text + "]"));
        return data.size();
    }
    void on_closed(Side, Actions& out) override { out.end("inner closed"); }
    void on_connected(Result<>, Actions&) override {}
    void on_tls_started(Side, Result<TlsInfo>, Actions&) override {}
    void on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>>, Actions&) override {}
    void on_held(Tag, std::string_view, Time, Actions&) override {}
    void on_decided(const Answer&, Actions&) override {}
    void on_cancel(Actions&) override {}
    void on_terminate(std::string_view reason, Actions& out) override { out.end(reason); }
    void on_tick(Time, Actions&) override {}
    bool wants(Side) const override { return true; }

private:
    std::string name_;
    HttpConfig config_;
};

std::string hello() {
    std::ifstream file{CHAPERONE_SOURCE_DIR "/tests/fuzz/corpus/client_hello/tls13",
                       std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

Answer allowed() {
    return {.verdict = Verdict::Allowed, .decision = std::make_shared<policy::Decision>()};
}
Answer denied() {
    auto decision = std::make_shared<policy::Decision>();
    decision->reason = "not for agents";
    return {.verdict = Verdict::Denied, .decision = decision};
}
TlsInfo speaking(std::string alpn) {
    TlsInfo info;
    info.alpn = std::move(alpn);
    return info;
}

class Nobody final : public Desk {
    std::optional<LocalResponse> answer(const policy::SessionFacts&, const policy::http::Facts&,
                                        Time, Time) override {
        return std::nullopt;
    }
};

class HttpSessionTest : public testing::Test {
protected:
    explicit HttpSessionTest(std::size_t piece = SIZE_MAX) : piece_(piece) {}

    SessionScript& start(ServerTls server_tls = ServerTls::AsClient) {
        HttpSessionConfig config;
        config.http.facts = std::make_shared<policy::SessionFacts>();
        config.http.desk = desk_;
        config.server_tls = server_tls;
        config.only_with_tls = only_with_tls_;
        config.distrusted = [this](std::string_view why) { distrusted_ = why; };
        config.http1 = [](HttpConfig c) { return std::make_unique<Inner>("h1", std::move(c)); };
        config.http2 = [](HttpConfig c) { return std::make_unique<Inner>("h2", std::move(c)); };
        machine_ = make_http_session(std::move(config));
        return script_.emplace(*machine_, piece_);
    }

    std::size_t piece_;
    std::string only_with_tls_;
    std::string distrusted_;
    std::shared_ptr<Desk> desk_;
    std::unique_ptr<Machine> machine_;
    std::optional<SessionScript> script_;
};

TEST_F(HttpSessionTest, InClearTextGoesOnInTheClientsVersion) {
    for (const auto& [sent, version] : {std::pair{kGet, "[h1 http]"}, {kPreface, "[h2 http]"}}) {
        auto& script = start();
        script.client_sends(sent).decided(allowed()).connected();
        EXPECT_EQ(script.events, (Events{"connect", "opened"}));
        EXPECT_EQ(script.to_client, version);
        EXPECT_EQ(script.asked.front().stage, policy::Stage::Connect);
    }
}

// Nothing else comes that it could go on with.
TEST_F(HttpSessionTest, AtTheDeskTheFirstBytesAreTakenAtOnce) {
    desk_ = std::make_shared<Nobody>();
    auto& script = start();
    EXPECT_EQ(machine_->on_received(Side::Client, as_bytes(kGet), script), kGet.size());
    EXPECT_EQ(script.to_client, "[h1 http]");
    EXPECT_TRUE(script.asked.empty());
}

TEST_F(HttpSessionTest, SpeaksWhatTheServerChose) {
    for (const std::string chosen : {"h2", "http/1.1", ""}) {
        auto& script = start();
        script.client_sends(hello()).decided(allowed()).connected();
        EXPECT_EQ(script.events, (Events{"connect", "tls server h2 http/1.1"}));
        script.tls_started(Side::Server, speaking(chosen));
        EXPECT_EQ(script.events.back(), chosen.empty() ? "tls client" : "tls client " + chosen);
        script.tls_started(Side::Client, speaking(chosen)).client_sends("x");
        EXPECT_TRUE(script.to_client.ends_with(chosen == "h2" ? "[h2 https]" : "[h1 https]"));
    }
}

TEST_F(HttpSessionTest, IsTheSameHoweverItIsCut) {
    piece_ = 1;
    auto& script = start();
    script.client_sends(hello()).decided(allowed()).connected();
    script.tls_started(Side::Server, speaking("h2"));
    EXPECT_EQ(script.events, (Events{"connect", "tls server h2 http/1.1", "tls client h2"}));
    for (const auto sent : {kGet, kPreface}) {
        auto& clear = start();
        clear.client_sends(sent);
        EXPECT_EQ(clear.asked.size(), 1U);
        clear.decided(allowed()).connected();
        EXPECT_TRUE(clear.to_client.starts_with(sent == kGet ? "[h1" : "[h2"));
    }
}

TEST_F(HttpSessionTest, TellsARefusalInHttpAfterTheHandshake) {
    auto& script = start();
    script.client_sends(hello()).decided(denied());
    EXPECT_EQ(script.events, (Events{"tls client http/1.1"}));  // nothing was dialled
    script.tls_started(Side::Client, speaking("http/1.1")).client_sends("x");
    EXPECT_NE(script.to_client.find("[h1 https 403 http_request_denied"), std::string::npos);

    auto& clear = start();
    clear.client_sends(kGet).decided(denied());
    EXPECT_EQ(clear.events, (Events{"opened"}));  // and not dialled
    EXPECT_NE(clear.to_client.find("[h1 http 403"), std::string::npos);
}

TEST_F(HttpSessionTest, TellsWhyTheServerIsNotThere) {
    for (const auto& [code, words] : {std::pair{Errc::NotFound, "502 dns_error"},
                                      {Errc::Denied, "502 connection_refused"},
                                      {Errc::Expired, "504 connection_timeout"},
                                      {Errc::Unavailable, "502 destination_unavailable"}}) {
        auto& script = start();
        script.client_sends(kGet).decided(allowed()).connected(fail(code, "a.b port 1"));
        EXPECT_NE(script.to_client.find(words), std::string::npos) << script.to_client;
        EXPECT_NE(script.to_client.find("a.b port 1"), std::string::npos);
    }
}

TEST_F(HttpSessionTest, TellsThatTheServerCannotBeTrusted) {
    for (const auto& [code, words] : {std::pair{Errc::Invalid, "502 tls_certificate_error"},
                                      {Errc::Denied, "502 tls_certificate_error"},
                                      {Errc::Unavailable, "502 tls_protocol_error"}}) {
        auto& script = start();
        script.client_sends(hello()).decided(allowed()).connected();
        script.tls_started(Side::Server, fail(code, "certificate: hostname mismatch"));
        script.tls_started(Side::Client, speaking("http/1.1")).client_sends("x");
        EXPECT_NE(script.to_client.find(words), std::string::npos) << script.to_client;
        const auto before = script.to_client;
        script.server_sends("what it still sends").closed(Side::Server);
        EXPECT_EQ(script.to_client, before);
        EXPECT_FALSE(script.ended);
    }
}

TEST_F(HttpSessionTest, RecognisesAClientThatDoesNotAcceptOurCertificate) {
    auto& script = start();
    script.client_sends(hello()).decided(allowed()).connected();
    script.tls_started(Side::Server, speaking("h2"));
    script.tls_started(Side::Client, fail(Errc::Denied, "unknown CA"));
    EXPECT_EQ(distrusted_, "unknown CA");
    EXPECT_TRUE(script.ended);
    EXPECT_NE(script.end_reason.find("unknown CA"), std::string::npos);
}

TEST_F(HttpSessionTest, SpeaksTlsToTheServerAsTheResourceSays) {
    auto& always = start(ServerTls::Always);
    always.client_sends(kGet).decided(allowed()).connected();
    EXPECT_EQ(always.events, (Events{"connect", "tls server http/1.1"}));
    always.tls_started(Side::Server, speaking("http/1.1"));
    EXPECT_EQ(always.to_client, "[h1 http]");

    auto& never = start(ServerTls::Never);
    never.client_sends(hello()).decided(allowed()).connected();
    EXPECT_EQ(never.events, (Events{"connect", "tls client http/1.1"}));
}

TEST_F(HttpSessionTest, DoesNotDialInClearTextWithWhatMustNotBeSeen) {
    only_with_tls_ = "a credential of ours";
    auto& script = start();
    script.client_sends(kGet).decided(allowed());
    EXPECT_EQ(script.events, (Events{"opened"}));  // and not dialled
    EXPECT_NE(script.to_client.find("502 proxy_configuration_error"), std::string::npos);
    EXPECT_NE(script.to_client.find("a credential of ours"), std::string::npos);
}

TEST_F(HttpSessionTest, HeldTellsTheClientToComeAgain) {
    auto& script = start();
    const Time begin = now();
    machine_->on_tick(begin, script);
    script.client_sends(kGet).held("A1");
    machine_->on_tick(begin + std::chrono::seconds{29}, script);
    EXPECT_TRUE(script.events.empty());
    machine_->on_tick(begin + std::chrono::seconds{31}, script);
    EXPECT_EQ(script.events, (Events{"leave", "opened"}));
    script.client_sends("x");
    EXPECT_NE(script.to_client.find("[h1 http 403"), std::string::npos) << script.to_client;
}

TEST_F(HttpSessionTest, EndsWithTheClient) {
    auto& waiting = start();
    waiting.client_sends("GE").closed(Side::Client);
    EXPECT_TRUE(waiting.ended);
    auto& asking = start();
    asking.client_sends(kGet).closed(Side::Client);
    EXPECT_EQ(asking.events, (Events{"withdraw"}));
    auto& broken = start();
    broken.client_sends("\x16\x03\x01\x40\x01");
    EXPECT_TRUE(broken.ended);
    EXPECT_TRUE(broken.asked.empty());
}

}  // namespace
}  // namespace chaperone::session

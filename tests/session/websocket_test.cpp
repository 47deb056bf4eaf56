// SPDX-License-Identifier: Apache-2.0
// A WebSocket with rules and masks in the middle: what passes, waits, is masked, refused or broken.
#include "userspace/session/http/websocket_relay.h"

#include "policy/http/grpc.h"
#include "userspace/session/http/grpc.h"
#include "userspace/session/http/websocket_handshake.h"

#include <gtest/gtest.h>

namespace chaperone::session::test {
namespace {

using namespace std::string_literals;
using namespace wire::websocket;

constexpr MaskKey kKey{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};

std::string frame(FrameHead head, std::string_view payload) {
    Buffer out;
    encode_frame(out, head, as_bytes(payload));
    return std::string{as_text(out)};
}
std::string up(std::string_view text) {
    return frame({.mask = kKey}, text);
}
std::string down(std::string_view text) {
    return frame({}, text);
}
std::string close_of(std::uint16_t code, std::string_view reason) {
    Buffer out;
    encode_close(out, code, reason);
    return frame({.opcode = Opcode::Close}, as_text(out));
}

// Puts stars over digits.
class Stars final : public BodyFilter {
    Result<> push(Bytes data, bool, Buffer& out) override {
        for (const char c : as_text(data))
            out.push_back(static_cast<std::byte>(c >= '0' && c <= '9' ? '*' : c));
        return {};
    }
};
class StarMasking final : public Masking {
    void prepare(const policy::MaskSet&, const http::RequestHead&, HeadEdits&) const override {}
    Result<std::unique_ptr<BodyFilter>> request(const policy::MaskSet&, const http::RequestHead&,
                                                HeadEdits&) const override {
        return std::make_unique<Stars>();
    }
    Result<std::unique_ptr<BodyFilter>> response(const policy::MaskSet&, const http::RequestHead&,
                                                 const http::ResponseHead&,
                                                 HeadEdits&) const override {
        return std::make_unique<Stars>();
    }
};

class Relay : public testing::TestWithParam<std::size_t>,
              protected Actions,
              protected WebSocketRelay::Port {
protected:
    void open(bool asks, bool masks, std::optional<DeflateParameters> deflate = {}) {
        auto session = std::make_shared<policy::SessionFacts>();
        session->id = "S";
        config.facts = session;
        config.masking = std::make_shared<StarMasking>();
        config.limits.body = 1000;
        auto facts = std::make_shared<policy::http::Facts>();
        facts->assign(
            {.method = "GET", .scheme = "https", .authority = "a.test", .target = "/chat"},
            "a.test", false);
        decision = std::make_shared<policy::Decision>();
        decision->messages = asks;
        if (masks) decision->masks.detectors.push_back({});
        decision->request_masks = decision->masks;
        for (std::string& waiting : waiting_) waiting.clear();
        relay = std::make_unique<WebSocketRelay>(
            config, WebSocketRelay::Opening{facts, decision, deflate, 1, 2});
    }
    void arrives(Side from, std::string_view bytes) {
        std::string& waiting = waiting_[from == Side::Server];
        while (!bytes.empty()) {
            waiting += bytes.substr(0, GetParam());
            bytes.remove_prefix(std::min(GetParam(), bytes.size()));
            again(from);
        }
    }
    void again(Side from) {
        std::string& waiting = waiting_[from == Side::Server];
        while (relay->wants(from) && !waiting.empty()) {
            const std::size_t used = relay->on_received(from, as_bytes(waiting), {}, *this, *this);
            waiting.erase(0, used);
            if (used == 0) break;
        }
    }
    void decide(Tag tag, Verdict verdict) {
        auto made = std::make_shared<policy::Decision>(*decision);
        made->reason = "no secrets";
        EXPECT_TRUE(relay->on_decided(
            {.verdict = verdict, .decision = made, .request = 9, .tag = tag}, *this, *this));
        again(tag == 1 ? Side::Client : Side::Server);
    }

    void pass(Side to, Bytes range) override { write(to, range); }
    void write(Side to, Bytes bytes) override {
        (to == Side::Client ? agent : server) += as_text(bytes);
    }
    void ask(const policy::Request& request, Tag tag) override {
        asked.push_back(std::to_string(tag) + " " + request.message->data);
    }
    void withdraw(Tag tag) override { asked.push_back("withdraw " + std::to_string(tag)); }
    policy::DecisionPtr probe(const policy::Request&, bool) override { return nullptr; }
    void record(const Outcome& outcome) override { bytes_up += outcome.bytes_up; }
    void forward(Side, Bytes) override {}
    void send(Side, Bytes) override {}
    void leave(Tag) override {}
    void start_tls(Side, const TlsWants&) override {}
    void connect() override {}
    void need_catalog(std::string_view, bool) override {}
    void server_key(std::uint32_t, Bytes) override {}
    void cancel_server() override {}
    void cancel_session(std::uint32_t, Bytes) override {}
    void end(std::string_view) override {}

    HttpConfig config;
    std::shared_ptr<policy::Decision> decision;
    std::unique_ptr<WebSocketRelay> relay;
    std::string agent, server;
    std::vector<std::string> asked;
    std::uint64_t bytes_up = 0;

private:
    std::string waiting_[2];
};

using Asked = std::vector<std::string>;

TEST_P(Relay, FramesPassUntouchedWhereNobodyLooks) {
    open(false, false);
    const std::string big =
        frame({.fin = false, .opcode = Opcode::Binary, .mask = kKey}, std::string(5000, 'b')) +
        frame({.opcode = Opcode::Ping, .mask = kKey}, "ping") +
        frame({.opcode = Opcode::Continuation, .mask = kKey}, "end");
    arrives(Side::Client, big);
    EXPECT_EQ(server, big);
    arrives(Side::Server, down("hello") + close_of(1000, "bye"));
    EXPECT_EQ(agent, down("hello") + close_of(1000, "bye"));
    EXPECT_FALSE(relay->over());
    arrives(Side::Client, frame({.opcode = Opcode::Close, .mask = kKey}, "\x03\xe8"));
    EXPECT_TRUE(relay->over());
    EXPECT_EQ(asked, Asked{});
}

TEST_P(Relay, AMessageIsAskedAboutWholeAndHoldsOnlyItsSide) {
    open(true, false);
    arrives(Side::Client, frame({.fin = false, .mask = kKey}, "he") +
                              frame({.opcode = Opcode::Ping, .mask = kKey}, "x") +
                              frame({.opcode = Opcode::Continuation, .mask = kKey}, "llo") +
                              up("second"));
    EXPECT_EQ(asked, Asked{"1 hello"});
    EXPECT_EQ(server, "");
    EXPECT_EQ(agent, frame({.opcode = Opcode::Pong}, "x"));  // pings are answered here
    agent.clear();
    arrives(Side::Server, down("news"));
    EXPECT_EQ(asked.back(), "2 news");
    decide(2, Verdict::Allowed);
    EXPECT_EQ(agent, down("news"));
    decide(1, Verdict::Allowed);
    EXPECT_EQ(server, up("hello"));
    EXPECT_EQ(asked.back(), "1 second");
    relay->finish(*this);
    EXPECT_EQ(asked.back(), "withdraw 1");
    EXPECT_EQ(bytes_up, 5U);
}

TEST_P(Relay, ARefusalClosesBothSidesAndNothingOfItPasses) {
    open(true, false);
    arrives(Side::Client, up("a secret"));
    decide(1, Verdict::Denied);
    EXPECT_EQ(agent, close_of(kPolicyViolation, "chaperone: no secrets"));
    EXPECT_EQ(server.size(), 8U);
    EXPECT_TRUE(relay->over());
    arrives(Side::Client, up("more"));
    EXPECT_EQ(server.size(), 8U);
}

TEST_P(Relay, MessagesAreMaskedBothWays) {
    open(false, true);
    arrives(Side::Client, up("card 4111"));
    arrives(Side::Server,
            down("{\"n\":12}") + down("{n 5") + frame({.opcode = Opcode::Binary}, "34"));
    EXPECT_EQ(server, up("card ****"));
    EXPECT_EQ(agent, down("{\"n\":**}") + down("{n *") + frame({.opcode = Opcode::Binary}, "**"));
}

TEST_P(Relay, CompressedMessagesAreMaskedAndCompressedAgain) {
    const DeflateParameters agreed{};
    open(false, true, agreed);
    Deflater deflater{true, 15};
    for (int i = 0; i != 3; ++i) {
        Buffer packed;
        ASSERT_TRUE(deflater.message(as_bytes("number 12345 number 12345"), packed));
        arrives(Side::Server, frame({.rsv1 = true}, as_text(packed)));
    }
    MessageReader reader{{.watch = true, .deflate = agreed}};
    Bytes rest = as_bytes(agent);
    for (int i = 0; i != 3; ++i) {
        const auto got = reader.read(rest);
        ASSERT_TRUE(got && *got);
        EXPECT_EQ(as_text((*got)->content), "number ***** number *****");
        EXPECT_TRUE((*got)->compressed);
        rest = rest.subspan((*got)->size);
    }
    EXPECT_TRUE(rest.empty());
}

TEST_P(Relay, WhatBreaksTheProtocolEndsIt) {
    const std::tuple<std::string, std::uint16_t> table[] = {
        {down("not masked"), kProtocolError},
        {frame({.mask = kKey}, "\xff"), kInvalidData},
        {up(std::string(2000, 'x')), kTooBig},
        {frame({.opcode = Opcode::Close, .mask = kKey}, "\x03"), kProtocolError},
        {"\xb1\x80"s, kProtocolError},
    };
    for (const auto& [bytes, code] : table) {
        open(true, false);
        agent.clear();
        arrives(Side::Client, bytes);
        EXPECT_TRUE(relay->over());
        ASSERT_GE(agent.size(), 4U);
        EXPECT_EQ(static_cast<unsigned char>(agent[2]) * 256 + static_cast<unsigned char>(agent[3]),
                  code);
    }
}

INSTANTIATE_TEST_SUITE_P(Cuts, Relay, testing::Values(SIZE_MAX, 1, 3));

policy::http::Facts& grpc_facts(policy::http::Facts& facts, std::string_view path,
                                std::string_view type) {
    facts.assign({.method = "POST",
                  .scheme = "https",
                  .authority = "a.test",
                  .target = path,
                  .version = "2",
                  .fields = {{"content-type", type}}},
                 "a.test", true);
    return facts;
}

TEST(Grpc, CallsAreNamedByPathAndType) {
    const std::tuple<std::string_view, std::string_view, std::string_view, std::string_view>
        table[] = {{"/shop.v1.Orders/Drop", "application/grpc", "shop.v1.Orders", "Drop"},
                   {"/shop.v1.Orders/Drop", "application/grpc+proto", "shop.v1.Orders", "Drop"},
                   {"/a/b/C/M", "application/grpc-web-text+proto", "a/b/C", "M"},
                   {"/shop.v1.Orders/Drop", "application/grpcx", "", ""},
                   {"/shop.v1.Orders/Drop", "application/json", "", ""},
                   {"/nothing", "application/grpc", "", ""}};
    for (const auto& [path, type, service, method] : table) {
        policy::http::Facts facts;
        const auto call = policy::http::grpc_call(grpc_facts(facts, path, type));
        EXPECT_EQ(call.service, service) << path << type;
        EXPECT_EQ(call.method, method) << path << type;
    }
}

TEST(Grpc, TimeoutsAreReadAsTheSpecificationHasThem) {
    using namespace std::chrono;
    EXPECT_EQ(parse_grpc_timeout("100m"), milliseconds{100});
    EXPECT_EQ(parse_grpc_timeout("1H"), hours{1});
    EXPECT_EQ(parse_grpc_timeout("2M"), minutes{2});
    EXPECT_EQ(parse_grpc_timeout("30S"), seconds{30});
    EXPECT_EQ(parse_grpc_timeout("5u"), microseconds{5});
    EXPECT_EQ(parse_grpc_timeout("99999999n"), nanoseconds{99'999'999});
    EXPECT_GT(parse_grpc_timeout("99999999H"), hours{1000});
    for (const std::string_view bad : {"", "S", "100", "1x", "-1S", "123456789S", "1.5S"})
        EXPECT_EQ(parse_grpc_timeout(bad), std::nullopt) << bad;
}

TEST(Grpc, RefusalsAreTrailersOnly) {
    LocalResponse response = render({.detail = "100% \xc3\xa4"});
    reshape_grpc({.detail = "100% \xc3\xa4"}, "application/grpc", response);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "");
    const auto has = [&](std::string_view name, std::string_view value) {
        return std::ranges::any_of(response.fields, [&](const auto& field) {
            return field.first == name && field.second == value;
        });
    };
    EXPECT_TRUE(has("grpc-status", "7"));
    EXPECT_TRUE(has("grpc-message", "100%25 %C3%A4"));
    EXPECT_TRUE(has("content-type", "application/grpc"));
    EXPECT_EQ(grpc_status({.type = "approval-pending"}), 9);
    EXPECT_EQ(grpc_status({.status = 502}), 14);
    EXPECT_EQ(grpc_status({.status = 503}), 13);
}

TEST(Handshake, OnlyExtensionsThatCanBeReadAreOffered) {
    policy::http::Facts facts;
    facts.assign({.method = "GET",
                  .scheme = "https",
                  .authority = "a",
                  .target = "/",
                  .protocol = "WebSocket",
                  .fields = {{"Sec-WebSocket-Extensions", "x-odd"},
                             {"sec-websocket-extensions", "permessage-deflate"}}},
                 "a", false);
    EXPECT_TRUE(is_websocket(facts));
    HeadEdits edits;
    edit_offers(facts, edits);
    const auto fields = edits.apply(facts.head().fields);
    ASSERT_EQ(fields.size(), 1U);
    EXPECT_EQ(fields[0].value, "permessage-deflate");
    EXPECT_FALSE(agreed_deflate({.fields = {{"sec-websocket-extensions", "x-odd"}}}));
    EXPECT_TRUE(agreed_deflate({.fields = {{"sec-websocket-extensions", "permessage-deflate"}}})
                    ->has_value());
}

}  // namespace
}  // namespace chaperone::session::test

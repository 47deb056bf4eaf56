// SPDX-License-Identifier: Apache-2.0
#include "tests/net/wires.h"
#include "userspace/authority/authority.h"
#include "userspace/net/tls.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <boost/asio/read.hpp>

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace chaperone::net {
namespace {

class TlsStream : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "caXXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        auto made = authority::Authority::load_or_create(folder_, now());
        ASSERT_TRUE(made) << made.error().message();
        authority_ = std::move(*made);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    // Both handshakes; what each side says of it.
    std::pair<Result<session::TlsInfo>, Result<session::TlsInfo>> shake(
        Wire& wire, const tls::ClientOptions& options) {
        Result<session::TlsInfo> client = fail(Errc::Unavailable, "did not end");
        Result<session::TlsInfo> server = fail(Errc::Unavailable, "did not end");
        spawn(context_, one(wire.ours, tls::client(options), {}, client));
        spawn(context_, one(wire.theirs, tls::server(*authority_, serving_), {}, server));
        context_.run();
        context_.restart();
        return {std::move(client), std::move(server)};
    }

    static asio::awaitable<void> one(Stream& stream, Result<SslPtr> ssl, Buffer early,
                                     Result<session::TlsInfo>& result) {
        if (!ssl) {
            result = fail(ssl.error());
            co_return;
        }
        result = co_await stream.handshake(std::move(*ssl), std::move(early));
        if (!result) stream.close();
    }

    tls::ClientOptions trusting(std::string name) {
        tls::ClientOptions options;
        options.ca = authority_->bundle_pem();
        options.server_name = std::move(name);
        return options;
    }

    std::filesystem::path folder_;
    tls::ServerOptions serving_{.fallback = "127.0.0.1", .alpn = {"h2", "http/1.1"}};
    std::unique_ptr<authority::Authority> authority_;
    asio::io_context context_{1};
};

TEST_F(TlsStream, ShowsACertificateForTheNameThatWasAsked) {
    Wire wire = connected(context_);
    const auto [client, server] = shake(wire, trusting("db.internal"));
    ASSERT_TRUE(client) << client.error().message();
    ASSERT_TRUE(server) << server.error().message();
    EXPECT_EQ(server->server_name, "db.internal");
    EXPECT_EQ(client->server_end_point.size(), 32U);
}

TEST_F(TlsStream, ShowsACertificateForTheAddressWhereNoNameWasAsked) {
    Wire wire = connected(context_);
    const auto [client, server] = shake(wire, trusting("127.0.0.1"));
    EXPECT_TRUE(client) << client.error().message();
    EXPECT_TRUE(server && server->server_name.empty());
}

TEST_F(TlsStream, RefusesAnotherAddressAndAnUnknownAuthority) {
    Wire wire = connected(context_);
    const auto [client, server] = shake(wire, trusting("127.0.0.2"));
    ASSERT_FALSE(client);
    EXPECT_NE(client.error().detail.find("IP address mismatch"), std::string::npos)
        << client.error().detail;
    EXPECT_FALSE(server);

    Wire other = connected(context_);
    tls::ClientOptions options;
    options.server_name = "db.internal";
    const auto [doubting, refused] = shake(other, options);
    EXPECT_FALSE(doubting);
}

TEST_F(TlsStream, AgreesOnTheServersChoiceOfProtocol) {
    for (const auto& [offered, chosen] :
         std::vector<std::pair<std::vector<std::string>, std::string>>{
             {{"http/1.1", "h2"}, "h2"}, {{"http/1.1"}, "http/1.1"}, {{"h3"}, ""}, {{}, ""}}) {
        Wire wire = connected(context_);
        auto options = trusting("db.internal");
        options.alpn = offered;
        const auto [client, server] = shake(wire, options);
        ASSERT_TRUE(client && server);
        EXPECT_EQ(client->alpn, chosen);
        EXPECT_EQ(server->alpn, chosen);
    }
}

// A byte each way brings the tickets of TLS 1.3, too.
class Resumption : public TlsStream {
protected:
    bool resumed(const tls::ClientOptions& options) {
        Wire wire = connected(context_);
        const auto [client, server] = shake(wire, options);
        EXPECT_TRUE(client && server);
        const auto exchange = [](Stream& from, Stream& to) -> asio::awaitable<void> {
            const Buffer byte(1, std::byte{'x'});
            EXPECT_TRUE(co_await write_all(from, byte));
            const Buffer got = co_await read_up_to(to, 1);
            EXPECT_EQ(got.size(), 1U);
        };
        spawn(context_, exchange(wire.theirs, wire.ours));
        context_.run();
        context_.restart();
        EXPECT_EQ(client->resumed, server->resumed);
        return client->resumed;
    }
    void SetUp() override {
        TlsStream::SetUp();
        serving_.resumption = "agent\nresource";
    }
    tls::ClientOptions sharing(const std::string& what) {
        auto options = trusting("db.internal");
        options.resumption = what + folder_.string();
        return options;
    }
};

TEST_F(Resumption, TakesUpASessionAgainWhereAllIsTheSame) {
    EXPECT_FALSE(resumed(sharing("a")));
    for (int i = 0; i != 12; ++i) EXPECT_TRUE(resumed(sharing("a"))) << i;
}

TEST_F(Resumption, IsOfOneResourceNameAndCredential) {
    EXPECT_FALSE(resumed(sharing("a")));
    EXPECT_FALSE(resumed(sharing("b")));
    auto other = sharing("a");
    other.server_name = "other.internal";
    EXPECT_FALSE(resumed(other));
    other = sharing("a");
    other.alpn = {"h2"};
    EXPECT_FALSE(resumed(other));
    other = sharing("a");
    other.resumption.clear();
    EXPECT_FALSE(resumed(other));
    EXPECT_TRUE(resumed(sharing("a")));
}

TEST_F(Resumption, EndsWithTheScopeAndTheAuthority) {
    EXPECT_FALSE(resumed(sharing("a")));
    serving_.resumption = "another agent\nresource";
    EXPECT_FALSE(resumed(sharing("a")));
    EXPECT_TRUE(resumed(sharing("a")));
    const auto trusted = authority_->bundle_pem();
    ASSERT_TRUE(authority_->rotate(now()));
    auto both = sharing("a");
    EXPECT_FALSE(resumed(both));  // other authorities to trust
    EXPECT_TRUE(resumed(both));
    serving_.resumption.clear();
    EXPECT_FALSE(resumed(both));
}

TEST_F(TlsStream, TellsAClientThatDoesNotAcceptOurCertificate) {
    Wire wire = connected(context_);
    tls::ClientOptions options;
    options.server_name = "db.internal";
    const auto [client, server] = shake(wire, options);
    ASSERT_FALSE(client || server);
    EXPECT_EQ(client.error().code, Errc::Invalid);
    EXPECT_EQ(server.error().code, Errc::Denied) << server.error().message();
}

TEST_F(TlsStream, TellsAClientThatLeavesAtOurCertificateFromOneThatLeavesBefore) {
    for (const bool hello : {true, false}) {
        Wire wire = connected(context_);
        Result<session::TlsInfo> server = fail(Errc::Corrupt, "did not end");
        spawn(context_, one(wire.theirs, tls::server(*authority_, serving_), {}, server));
        const auto leave = [&]() -> asio::awaitable<void> {
            Buffer got;
            auto ssl = tls::client(trusting("db.internal"));
            if (hello) {
                BIO* out = BIO_new(BIO_s_mem());
                SSL_set_bio(ssl->get(), BIO_new(BIO_s_mem()), out);
                SSL_do_handshake(ssl->get());
                char* text = nullptr;
                const long size = BIO_get_mem_data(out, &text);
                const Buffer first = copy(as_bytes({text, static_cast<std::size_t>(size)}));
                EXPECT_TRUE(co_await write_all(wire.ours, first));
                got = co_await read_up_to(wire.ours, 100);
            }
            wire.ours.close();
        };
        spawn(context_, leave());
        context_.run();
        context_.restart();
        ASSERT_FALSE(server);
        EXPECT_EQ(server.error().code, hello ? Errc::Denied : Errc::Unavailable)
            << server.error().message();
    }
}

TEST_F(TlsStream, CarriesMuchBothWaysAtOnce) {
    Wire wire = connected(context_);
    ASSERT_TRUE(shake(wire, trusting("db.internal")).first);
    const Buffer much(std::size_t{5} << 20, std::byte{'x'});
    Buffer up, down;
    const auto send = [](Stream& to, const Buffer& data) -> asio::awaitable<void> {
        EXPECT_TRUE(co_await write_all(to, data));
    };
    const auto receive = [](Stream& from, std::size_t size, Buffer& to) -> asio::awaitable<void> {
        to = co_await read_up_to(from, size);
    };
    spawn(context_, send(wire.ours, much));
    spawn(context_, send(wire.theirs, much));
    spawn(context_, receive(wire.ours, much.size(), down));
    spawn(context_, receive(wire.theirs, much.size(), up));
    context_.run();
    EXPECT_EQ(up, much);
    EXPECT_EQ(down, much);
}

// Also where nothing more comes on the socket behind the last bytes.
TEST_F(TlsStream, TellsHowItEnded) {
    using session::Cut;
    for (const auto& [how, cut] : {std::pair{"told", std::optional<Cut>{}},
                                   {"untold", Cut::Untold},
                                   {"reset", Cut::Reset}}) {
        Wire wire = connected(context_);
        const auto [client, server] = shake(wire, trusting("127.0.0.1"));
        ASSERT_TRUE(client && server);
        std::string word = "word";
        const iovec piece{word.data(), word.size()};
        ASSERT_EQ(wire.theirs.write(std::span{&piece, 1}).state, Stream::State::Done);
        if (how == std::string_view{"told"}) wire.theirs.finish();
        if (how == std::string_view{"untold"}) wire.theirs.finish_untold();
        std::array<std::byte, 64> room{};
        const auto first = wire.ours.read(room);
        EXPECT_EQ(first.bytes, word.size()) << how;
        EXPECT_EQ(wire.ours.is_over(), how != std::string_view{"reset"}) << how;
        if (how == std::string_view{"reset"}) wire.theirs.reset();
        EXPECT_EQ(wire.ours.read(room).state, Stream::State::Closed) << how;
        EXPECT_EQ(wire.ours.cut(), cut) << how;
    }
}

TEST_F(TlsStream, TakesTheHelloThatWasReadBefore) {
    Wire wire = connected(context_);
    Result<session::TlsInfo> client = fail(Errc::Unavailable, "did not end");
    Result<session::TlsInfo> server = fail(Errc::Unavailable, "did not end");
    spawn(context_, one(wire.ours, tls::client(trusting("db.internal")), {}, client));
    const auto late = [&]() -> asio::awaitable<void> {
        Buffer early = co_await read_up_to(wire.theirs, 16);  // cut within the ClientHello
        auto ssl = tls::server(*authority_, serving_);
        co_await one(wire.theirs, std::move(ssl), std::move(early), server);
    };
    spawn(context_, late());
    context_.run();
    EXPECT_TRUE(client) << client.error().message();
    EXPECT_TRUE(server) << server.error().message();
}

TEST(Stream, DoesNotPaceWhatStaysWithinTheHost) {
    using asio::ip::tcp;
    asio::io_context context{1};
    tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
    tcp::socket ours{context}, theirs{context};
    ours.connect(acceptor.local_endpoint());
    acceptor.accept(theirs);
    const int fd = ours.native_handle();
    const Stream stream{std::move(ours)};
    std::array<char, 16> name{};
    socklen_t size = name.size();
    ASSERT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &size), 0);
    EXPECT_STREQ(name.data(), "reno");
}

// The end of a connection that is closed behind its last bytes travels with them.
TEST(Stream, EndsWithItsLastBytes) {
    using asio::ip::tcp;
    for (const bool last : {true, false}) {
        asio::io_context context{1};
        tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
        tcp::socket ours{context}, theirs{context};
        ours.connect(acceptor.local_endpoint());
        acceptor.accept(theirs);
        Stream stream{std::move(theirs)};
        std::string words = "the last words";
        const iovec pieces[] = {{words.data(), 4}, {words.data() + 4, words.size() - 4}};
        ASSERT_EQ(stream.write(pieces, last).bytes, words.size());
        EXPECT_EQ(ours.available(), last ? 0 : words.size());  // it waits for the end
        stream.finish();
        std::string got(64, '\0');
        boost::system::error_code error;
        got.resize(asio::read(ours, asio::buffer(got), error));
        EXPECT_EQ(error, asio::error::eof);
        EXPECT_EQ(got, words);
    }
}

// Also where the peer has sent what nobody reads, so that it is reset behind them.
TEST(Stream, LosesNoLastBytesOverWhatWasNotRead) {
    for (const bool last : {true, false}) {
        asio::io_context context{1};
        Wire wire = connected(context);
        std::string word = "unread", words = "the last words";
        const iovec theirs{word.data(), word.size()}, ours{words.data(), words.size()};
        ASSERT_EQ(wire.theirs.write({&theirs, 1}).bytes, word.size());
        ASSERT_EQ(wire.ours.write({&ours, 1}, last).bytes, words.size());
        wire.ours.finish();
        std::array<std::byte, 64> room{};
        EXPECT_EQ(wire.theirs.read(room).bytes, words.size()) << last;
    }
}

TEST(Stream, KnowsWhetherAllWasRead) {
    asio::io_context context{1};
    Wire wire = connected(context);
    struct Nobody final : Poller::Listener {
        void ready() noexcept override {}
    };
    EXPECT_FALSE(wire.ours.seems_quiet());  // nobody would be told
    EXPECT_TRUE(wire.ours.is_quiet());
    ASSERT_TRUE(wire.ours.watch(Poller::of(context), std::make_shared<Nobody>()));
    EXPECT_FALSE(wire.ours.seems_quiet());  // it was not looked yet
    std::array<std::byte, 8> room{};
    EXPECT_EQ(wire.ours.read(room).state, Stream::State::WouldBlock);
    EXPECT_TRUE(wire.ours.seems_quiet());
    std::string word = "word";
    const iovec piece{word.data(), word.size()};
    ASSERT_EQ(wire.theirs.write({&piece, 1}).bytes, word.size());
    EXPECT_TRUE(wire.ours.seems_quiet());  // the listener hears of it
    EXPECT_FALSE(wire.ours.is_quiet());
    wire.ours.close();
    EXPECT_FALSE(wire.ours.seems_quiet());
}

TEST(Stream, TellsTheEndFromNothingYet) {
    asio::io_context context{1};
    Wire wire = connected(context);
    std::array<std::byte, 8> room;
    EXPECT_EQ(wire.theirs.read(room).state, Stream::State::WouldBlock);
    wire.ours.shutdown_write();
    spawn(context, wire.theirs.readable());
    context.run();
    EXPECT_EQ(wire.theirs.read(room).state, Stream::State::Closed);
}

}  // namespace
}  // namespace chaperone::net

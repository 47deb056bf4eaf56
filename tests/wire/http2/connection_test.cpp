// SPDX-License-Identifier: Apache-2.0
// Both sides of a connection against each other, at any cut: messages, flow control, resets, and
// what a hostile peer sends.
#include "userspace/wire/http2/connection.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

namespace chaperone::wire::http2 {
namespace {

using namespace std::string_literals;

// Writes down what happens, in one line each.
class Log final : public Events {
public:
    void on_head(StreamId stream, Kind kind, Fields&& fields, bool end, bool too_large) override {
        static constexpr std::string_view kKinds[] = {"request", "informational", "response",
                                                      "trailers"};
        std::string line =
            std::to_string(stream) + " " + std::string{kKinds[static_cast<std::size_t>(kind)]};
        for (const Field& field : fields)
            if (!too_large) line += " " + field.name + "=" + field.value;
        lines.push_back(line + (too_large ? " too large" : "") + (end ? " end" : ""));
    }
    void on_data(StreamId stream, Bytes data) override {
        bodies[stream] += as_text(data);
        if (take) connection->taken(stream, data.size());
    }
    void on_end(StreamId stream) override { lines.push_back(std::to_string(stream) + " ended"); }
    void on_closed(StreamId stream, Code code) override {
        lines.push_back(std::to_string(stream) + " closed " + std::string{to_text(code)});
    }
    void on_sent(StreamId) override { ++sent; }
    void on_settings() override { ++settings; }
    void on_goaway(StreamId last, Code code) override {
        lines.push_back("goaway " + std::to_string(last) + " " + std::string{to_text(code)});
    }
    std::vector<std::string> took() { return std::exchange(lines, {}); }

    std::vector<std::string> lines;
    std::map<StreamId, std::string> bodies;
    Connection* connection = nullptr;
    bool take = true;
    int sent = 0;
    int settings = 0;
};

class Pair : public testing::TestWithParam<std::size_t> {
protected:
    explicit Pair(const Limits& limits = {}) {
        client = std::move(*Connection::make(Connection::Role::Client, {}, at_client));
        server = std::move(*Connection::make(Connection::Role::Server, limits, at_server));
        at_client.connection = client.get();
        at_server.connection = server.get();
        client->begin(false, 100);
        server->begin(true, 100);
    }
    // Everything that either has to say, in pieces of the parameter's size.
    void talk() {
        for (bool more = true; more;) more = pass(*client, *server) || pass(*server, *client);
    }
    bool pass(Connection& from, Connection& to) {
        bool any = false;
        for (;;) {
            const Buffer bytes = copy(from.next());
            if (bytes.empty()) return any;
            any = true;
            for (Bytes rest = bytes; !rest.empty();) {
                const auto n = std::min(GetParam(), rest.size());
                if (!to.receive(rest.first(n))) return false;
                rest = rest.subspan(n);
            }
        }
    }
    StreamId ask(const Fields& more = {}, bool end = true, std::string path = "/") {
        Fields fields{{":method", end ? "GET" : "POST"},
                      {":scheme", "https"},
                      {":authority", "a.test"},
                      {":path", std::move(path)}};
        fields.insert(fields.end(), more.begin(), more.end());
        return *client->request(fields, end);
    }

    Log at_client, at_server;
    std::unique_ptr<Connection> client, server;
};

using Lines = std::vector<std::string>;
const std::string kGet = " request :method=GET :scheme=https :authority=a.test :path=/ end";

TEST_P(Pair, MessagesWithTrailersAndInformationalOnes) {
    ask();
    const StreamId post = ask({{"x", "y"}}, false);
    client->data(post, as_bytes("hello"));
    client->finish(post, {{"t", "1"}});
    talk();
    EXPECT_EQ(at_server.took(),
              (Lines{"1" + kGet, "1 ended",
                     "3 request :method=POST :scheme=https :authority=a.test :path=/ x=y",
                     "3 trailers t=1 end", "3 ended"}));
    EXPECT_EQ(at_server.bodies[3], "hello");
    server->informational(1, {{":status", "103"}, {"link", "x"}});
    server->respond(1, {{":status", "200"}}, false);
    server->data(1, as_bytes("body"));
    server->finish(1, {{"grpc-status", "0"}});
    server->respond(3, {{":status", "204"}}, true);
    talk();
    const auto got = at_client.took();
    EXPECT_EQ(Lines(got.begin(), got.begin() + 2),
              (Lines{"1 informational :status=103 link=x", "1 response :status=200"}));
    EXPECT_EQ(std::count(got.begin(), got.end(), "1 trailers grpc-status=0 end"), 1);
    EXPECT_EQ(std::count(got.begin(), got.end(), "1 closed NO_ERROR"), 1);
    EXPECT_EQ(std::count(got.begin(), got.end(), "3 response :status=204 end"), 1);
    EXPECT_EQ(at_client.bodies[1], "body");
    EXPECT_EQ(at_server.took().size(), 2U);  // both closed
    EXPECT_TRUE(client->peer_allows_extended_connect());
    EXPECT_EQ(client->peer_streams(), 100U);
}

TEST_P(Pair, ABodyWaitsForTheWindowAndForWhoTakesIt) {
    at_server.take = false;
    const StreamId slow = ask({}, false);
    client->data(slow, as_bytes(std::string(200'000, 'x')));
    client->finish(slow);
    talk();
    EXPECT_EQ(at_server.bodies[slow].size(), 65'535U);
    EXPECT_EQ(client->queued(slow), 200'000U - 65'535U);
    // Another stream is not stalled by it.
    const StreamId other = ask({}, false);
    client->data(other, as_bytes("quick"));
    client->finish(other);
    talk();
    EXPECT_EQ(at_server.bodies[other], "quick");
    server->widen(slow, 150'000);
    talk();
    EXPECT_EQ(at_server.bodies[slow].size(), 150'000U);
    server->taken(slow, 150'000);
    talk();
    EXPECT_EQ(at_server.bodies[slow].size(), 200'000U);
    EXPECT_EQ(at_server.lines.back(), "1 ended");
}

TEST_P(Pair, ResetsAreSeenOnceAndBytesOfAResetStreamAreGivenBack) {
    const StreamId id = ask({}, false);
    talk();
    at_server.took();
    client->reset(id, Code::Cancel);
    talk();
    EXPECT_EQ(at_server.took(), Lines{"1 closed CANCEL"});
    EXPECT_EQ(at_client.took(), Lines{});
    // More than the connection's window, all reset; byte by byte that would take long.
    const int most = GetParam() < 100 ? 3 : 300;
    for (int i = 0; i != most; ++i) {
        const StreamId more = ask({}, false);
        client->data(more, as_bytes(std::string(65'000, 'x')));
        pass(*client, *server);
        server->reset(more, Code::RefusedStream);
        talk();
        ASSERT_EQ(at_client.took(), Lines{std::to_string(more) + " closed REFUSED_STREAM"}) << i;
    }
}

TEST_P(Pair, GoingAwayLeavesWhatIsOpenAndRefusesWhatIsNot) {
    ask();
    talk();
    server->go_away(Code::NoError, true);
    talk();
    EXPECT_EQ(at_client.took(), Lines{"goaway 2147483647 NO_ERROR"});
    server->go_away(Code::NoError);
    const StreamId late = ask();
    talk();
    const auto got = at_client.took();
    EXPECT_EQ(std::count(got.begin(), got.end(), "goaway 1 NO_ERROR"), 1);
    EXPECT_EQ(std::count(got.begin(), got.end(), std::to_string(late) + " closed REFUSED_STREAM"),
              1);
    server->respond(1, {{":status", "200"}}, true);
    talk();
    EXPECT_EQ(at_client.took(),
              (Lines{"1 response :status=200 end", "1 ended", "1 closed NO_ERROR"}));
    EXPECT_TRUE(server->finished());
    EXPECT_TRUE(client->finished());
}

TEST_P(Pair, HeadsOverTheLimitAreSaidToBe) {
    ask({{"big", std::string(40'000, 'a')}, {"too", std::string(40'000, 'b')}});
    ask();
    talk();
    EXPECT_EQ(at_server.took(),
              (Lines{"1 request too large end", "1 ended", "3" + kGet, "3 ended"}));
}

TEST_P(Pair, MalformedRequestsAreResetUnseen) {
    const Fields base{
        {":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}};
    const auto with = [&](Field field) {
        Fields fields = base;
        fields.push_back(std::move(field));
        return fields;
    };
    const std::vector<Fields> table{
        with({"connection", "close"}),
        with({"te", "gzip"}),
        with({"transfer-encoding", "chunked"}),
        with({"keep-alive", "1"}),
        with({"proxy-connection", "1"}),
        with({"upgrade", "h2c"}),
        with({"x", "a\r\nb"}),
        with({"x", "a\0b"s}),
        with({"x", " a"}),
        with({"bad name", "x"}),
        with({"", "x"}),
        with({":path", "/two"}),
        with({":status", "200"}),
        with({":unknown", "x"}),
        with({"content-length", "1"}),
        with({"content-length", "x"}),
        {{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}},
        {{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", ""}},
        {{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", "x"}},
        {{":method", "GET"}, {"x", "y"}, {":scheme", "https"}, {":path", "/"}},
        {{":method", "G T"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}},
    };
    for (const Fields& fields : table) {
        const auto id = std::to_string(*client->request(fields, true));
        talk();
        EXPECT_EQ(at_client.took(), Lines{id + " closed PROTOCOL_ERROR"}) << fields.back().name;
        for (const std::string& line : at_server.took())
            EXPECT_EQ(line.find("request"), std::string::npos) << line;
    }
    ask();
    talk();
    EXPECT_EQ(at_server.took().size(), 2U);  // and the connection lives on
}

TEST_P(Pair, ABodyThatIsNotAsLongAsItSaidIsReset) {
    for (const std::string_view body : {"four", "sixsix"}) {
        const StreamId id = ask({{"content-length", "5"}}, false);
        client->data(id, as_bytes(body));
        client->finish(id);
        talk();
        EXPECT_EQ(at_client.took(), Lines{std::to_string(id) + " closed PROTOCOL_ERROR"});
        for (const std::string& line : at_server.took())
            EXPECT_EQ(line.find("ended"), std::string::npos) << line;
    }
}

INSTANTIATE_TEST_SUITE_P(Cuts, Pair, testing::Values(SIZE_MAX, 1, 9, 1000));

// Frames that a well-behaved client would not send.
class Victim {
public:
    Victim() {
        server = std::move(*Connection::make(Connection::Role::Server, {}, log));
        log.connection = server.get();
        server->begin(false, 100);
        send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"s + frame(4, 0, 0, ""));
    }
    static std::string frame(char type, char flags, std::uint32_t stream,
                             std::string_view payload) {
        std::string out;
        for (const int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift);
        out += type;
        out += flags;
        for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
        return out.append(payload);
    }
    // GET / of a.test: static table entries, and a literal authority.
    static std::string get(std::uint32_t stream, bool end = true) {
        return frame(1, end ? 5 : 4, stream, "\x82\x87\x84\x41\x06"s + "a.test");
    }
    bool send(std::string_view bytes) {
        const bool good = server->receive(as_bytes(bytes)).has_value();
        for (Bytes out = server->next(); !out.empty(); out = server->next()) said += as_text(out);
        return good;
    }
    // Repeats until the connection is over; -1: it never was.
    int sends_until_over(const std::function<std::string(int)>& make, int most) {
        for (int i = 0; i != most; ++i)
            if (!send(make(i)) || server->finished()) return i;
        return -1;
    }
    Log log;
    std::string said;
    std::unique_ptr<Connection> server;
};

class Hostile : public testing::Test, protected Victim {};

// What a server pushes nobody has asked for and nobody decides on (RFC 9113, 8.4).
TEST(Push, IsOffAndEndsTheConnectionThatTriesIt) {
    Log log;
    const auto client = std::move(*Connection::make(Connection::Role::Client, {}, log));
    log.connection = client.get();
    client->begin(false, 0);
    const auto id = client->request(
        {{":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/"}}, true);
    ASSERT_TRUE(id);
    std::string said;
    for (Bytes out = client->next(); !out.empty(); out = client->next()) said += as_text(out);
    EXPECT_NE(said.find("\0\2\0\0\0\0"s), std::string::npos) << "SETTINGS_ENABLE_PUSH = 0";
    (void)client->receive(as_bytes(Victim::frame(4, 0, 0, "") + Victim::frame(4, 1, 0, "")));
    const std::string promise = Victim::frame(5, 4, 1, "\0\0\0\2\x82\x87\x84\x41\x06"s + "a.test");
    const bool good = client->receive(as_bytes(promise)).has_value();
    for (Bytes out = client->next(); !out.empty(); out = client->next()) {
    }
    EXPECT_TRUE(!good || client->finished());
    for (const std::string& line : log.took())
        EXPECT_EQ(line.find("2 "), std::string::npos) << line;
}

TEST_F(Hostile, PingFloodsEnd) {
    EXPECT_NE(sends_until_over([](int) { return frame(6, 0, 0, "12345678"); }, 5000), -1);
}
TEST_F(Hostile, SettingsFloodsEnd) {
    EXPECT_NE(sends_until_over([](int) { return frame(4, 0, 0, ""); }, 5000), -1);
}
TEST_F(Hostile, PriorityFloodsEnd) {
    EXPECT_NE(sends_until_over([](int) { return frame(2, 0, 1, "\0\0\0\3\1"s); }, 5000), -1);
}
TEST_F(Hostile, EmptyDataFloodsEnd) {
    send(get(1, false));
    EXPECT_NE(sends_until_over([](int) { return frame(0, 0, 1, ""); }, 5000), -1);
}
TEST_F(Hostile, RapidResetsEnd) {
    const auto id = [](int i) { return static_cast<std::uint32_t>(2 * i + 1); };
    const int at = sends_until_over(
        [&](int i) { return get(id(i)) + frame(3, 0, id(i), "\0\0\0\x8"s); }, 5000);
    EXPECT_GE(at, 400);
    EXPECT_LE(at, 700);
}
TEST_F(Hostile, StreamsThatWeMustResetEnd) {  // "MadeYouReset": the peer provokes our resets
    const auto id = [](int i) { return static_cast<std::uint32_t>(2 * i + 1); };
    EXPECT_NE(sends_until_over(
                  [&](int i) { return get(id(i), false) + frame(8, 0, id(i), "\0\0\0\0"s); }, 5000),
              -1);
}
TEST_F(Hostile, ContinuationsWithoutEndEnd) {
    send(frame(1, 1, 1, "\x82\x87\x84"));
    const int at = sends_until_over([](int) { return frame(9, 0, 1, ""); }, 100);
    EXPECT_NE(at, -1);
    EXPECT_LE(at, 70);
}
// Without its last CONTINUATION, and cut within its frame.
TEST_F(Hostile, AHeadThatDoesNotEndInTimeEndsTheConnection) {
    for (const std::string& begun : {frame(1, 1, 1, "\x82\x87\x84"), get(1).substr(0, 12)}) {
        Victim one;
        Time now{std::chrono::hours{1}};
        one.server->tick(now);
        ASSERT_TRUE(one.send(begun));
        one.server->tick(now += std::chrono::seconds{59});
        if (begun[4] == 1) one.send(frame(9, 0, 1, ""));  // goes on, and does not end
        EXPECT_FALSE(one.server->finished());
        one.server->tick(now += std::chrono::seconds{2});
        one.send("");
        EXPECT_TRUE(one.server->finished());
        EXPECT_NE(one.said.find("\x07\0\0\0\0\0"s), std::string::npos) << "a GOAWAY";
    }
}
TEST_F(Hostile, AnIdleConnectionIsNoHeadThatDoesNotEnd) {
    Time now{std::chrono::hours{1}};
    server->tick(now);
    ASSERT_TRUE(send(get(1)));
    ASSERT_TRUE(send(frame(1, 5, 3, "\x82\x87\x84\x40\x01X\x01y"s)));  // malformed, and whole
    server->tick(now += std::chrono::hours{1});
    EXPECT_FALSE(server->finished());
}
TEST_F(Hostile, ACompressionBombStaysSmall) {
    // One entry of 3 KiB in the table, then referred to 12,000 times in one block: 37 MB of fields.
    std::string block = "\x82\x87\x84\x41\x06"s + "a.test" + "\x40\x01x\x7f\x81\x17"s;
    block += std::string(127 + 0x81 - 0x80 + (0x17 << 7), 'y');
    send(frame(1, 5, 1, block));
    EXPECT_EQ(log.took().front().substr(0, 10), "1 request ");
    send(frame(1, 5, 3, "\x82\x87\x84\xbf"s + std::string(60, '\xbe')));
    EXPECT_EQ(log.took(), (Lines{"3 request too large end", "3 ended"}));
    // The codec looks through each of them: whoever goes on so is left.
    EXPECT_FALSE(send(frame(1, 5, 5, "\x82\x87\x84\xbf"s + std::string(12'000, '\xbe'))));
    EXPECT_TRUE(log.took().empty());
}
// RFC 9113, 5.1 and 5.1.1: nothing follows what a client has ended, and what it has left out stays
// so. At any cut, because the codec passes over such frames.
TEST_F(Hostile, FramesOnStreamsThatWereLeftEndTheConnection) {
    const std::string reset = frame(3, 0, 1, "\0\0\0\x8"s);
    const std::string data = frame(0, 0, 1, "late");
    const std::vector<std::pair<std::string, std::string>> cases{
        {get(1, false) + reset + data, "\5"},
        {get(1, false) + reset + get(1), "\5"},
        {get(5) + get(3), "\1"},
        {get(5) + data, "\1"},
        {frame(2, 0, 0, "\0\0\0\0\1"s), "\1"},
        {get(1, false) + data + data, ""},
        {get(1, false) + reset + get(3), ""},
    };
    const auto expect = [](const std::string& bytes, const std::string& code, std::size_t first,
                           std::size_t piece) {
        Victim fresh;
        bool good = fresh.send(bytes.substr(0, first));
        for (std::size_t at = first; at < bytes.size() && good; at += piece)
            good = fresh.send(bytes.substr(at, piece));
        EXPECT_EQ(good, code.empty()) << testing::PrintToString(bytes) << first << ' ' << piece;
        if (!code.empty()) EXPECT_EQ(fresh.said.back(), code.front());
    };
    for (const auto& [bytes, code] : cases)
        for (std::size_t cut = 1; cut <= bytes.size(); ++cut) {
            expect(bytes, code, cut, bytes.size());  // in two pieces
            expect(bytes, code, cut, cut);           // in pieces of a size
        }
}
TEST_F(Hostile, DataOnAStreamThatIsDoneWithEndsTheConnection) {
    send(get(1));
    server->respond(1, {{":status", "200"}}, true);
    EXPECT_TRUE(send(""));
    EXPECT_FALSE(send(frame(0, 1, 1, "late")));
    EXPECT_EQ(said.back(), '\5');
}
TEST_F(Hostile, DataBehindTheEndOfItsStreamInOnePieceEndsTheConnection) {
    send(get(1, false));
    server->respond(1, {{":status", "200"}}, true);
    EXPECT_TRUE(send(""));
    EXPECT_FALSE(send(frame(0, 1, 1, "all of it") + frame(0, 1, 1, "more")));
    EXPECT_EQ(said.back(), '\5');
}
TEST_F(Hostile, DataOnAStreamThatWeHaveResetIsPassedOver) {
    send(get(1, false));
    server->reset(1, Code::Cancel);
    EXPECT_TRUE(send(frame(0, 0, 1, "on its way") + frame(1, 5, 1, "\x40\1t\1x") + get(3)));
    EXPECT_EQ(log.took().back(), "3 ended");
}
TEST_F(Hostile, NamesInUpperCaseAreReset) {
    send(frame(1, 5, 1, "\x82\x87\x84\x40\x05Upper\1x"));
    EXPECT_EQ(log.took(), Lines{"1 closed PROTOCOL_ERROR"});
}
TEST_F(Hostile, RequestsOverTheNumberOfStreamsAreRefused) {
    for (std::uint32_t i = 0; i != 140; ++i) send(get(2 * i + 1));
    EXPECT_LE(server->streams(), 128U);
}
TEST_F(Hostile, BrokenFramesEndTheConnection) {
    for (const std::string& bytes :
         {frame(0, 0, 0, "x"), frame(1, 5, 2, "\x82"), frame(6, 0, 0, "1"),
          frame(6, 0, 1, "12345678"), frame(4, 1, 0, "123456"), frame(4, 0, 0, "12345"),
          frame(8, 0, 0, "\0\0\0\0"s), frame(9, 4, 1, ""), frame(5, 4, 1, "\0\0\0\2"s),
          frame(1, 5, 1, "\xff\xff\xff\xff\xff\xff"), frame(0, 0, 5, "idle"),
          frame(3, 0, 7, "\0\0\0\0"s), std::string(20, '\xff')}) {
        Victim fresh;
        fresh.send(bytes);
        EXPECT_TRUE(fresh.server->finished()) << testing::PrintToString(bytes);
    }
    Log other;
    auto no_preface = std::move(*Connection::make(Connection::Role::Server, {}, other));
    EXPECT_FALSE(no_preface->receive(as_bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n")));
}

}  // namespace
}  // namespace chaperone::wire::http2

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/dns_upstream.h"

#include "userspace/session/dns/exchange.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace chaperone::net {

using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;
using wire::dns::Message;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr std::uint16_t kPort = 53;
constexpr std::size_t kMostServers = 3;  // MAXNS of libc
constexpr int kRounds = 2;
constexpr std::size_t kDatagram = 4096;
// Datagrams that are no answer to us, from one who can send in a server's name: then it is given
// up.
constexpr int kMostStrays = 32;

std::string lower(std::string_view text) {
    std::string made{text};
    for (char& c : made)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    return made;
}

// A word off the front of a line; empty at its end.
std::string_view word_of(std::string_view& line) {
    const std::size_t from = line.find_first_not_of(" \t\r");
    if (from == std::string_view::npos) return line = {};
    line.remove_prefix(from);
    const std::string_view word = line.substr(0, line.find_first_of(" \t\r"));
    line.remove_prefix(word.size());
    return word;
}

// Closes a socket when its time is up. Must be stopped before what it refers to is gone.
template <class Socket>
class Limit {
public:
    Limit(asio::io_context& context, Socket& socket, Clock::time_point until)
        : context_(context), timer_(context, until) {
        timer_.async_wait([this, &socket](error_code cancelled) {
            done_ = true;
            if (cancelled) return;
            late_ = true;
            error_code ignored;
            socket.close(ignored);
        });
    }
    // Returns when the handler has run.
    asio::awaitable<void> stop() {
        timer_.cancel();
        while (!done_) co_await asio::post(context_, kNoThrow);
    }
    bool late() const { return late_; }

private:
    asio::io_context& context_;
    asio::steady_timer timer_;
    bool done_ = false;
    bool late_ = false;
};

std::unexpected<Error> no_answer(bool late, const error_code& error) {
    if (late) return fail(Errc::NotFound, "no answer in time");
    return fail(Errc::Unavailable, error.message());
}

asio::awaitable<Result<Message>> ask_udp(asio::io_context& context, udp::endpoint server,
                                         const Message& query, Clock::time_point until) {
    udp::socket socket{context};
    error_code error;
    socket.open(server.protocol(), error);
    // Connected: nobody else's datagrams arrive, the port is one of chance, and that nobody listens
    // there is heard of at once.
    if (!error) socket.connect(server, error);
    if (error) co_return fail(Errc::Unavailable, error.message());
    const Buffer asked = wire::dns::encode(query, wire::dns::kMostUdp);
    Limit limit{context, socket, until};
    auto [send_error, sent] = co_await socket.async_send(asio::buffer(asked), kNoThrow);
    Buffer room(kDatagram);
    Result<Message> got = no_answer(false, send_error);
    for (int strays = 0; !send_error && strays != kMostStrays; ++strays) {
        const auto [failed, size] = co_await socket.async_receive(asio::buffer(room), kNoThrow);
        if (failed) {
            got = no_answer(limit.late(), failed);
            break;
        }
        got = wire::dns::decode(Bytes{room}.first(size));
        if (got && session::dns::answers(query, *got)) break;
        got = fail(Errc::Malformed, "what came is no answer");
    }
    co_await limit.stop();
    co_return got;
}

asio::awaitable<Result<Message>> ask_tcp(asio::io_context& context, tcp::endpoint server,
                                         const Message& query, Clock::time_point until) {
    tcp::socket socket{context};
    Limit limit{context, socket, until};
    const Buffer message = wire::dns::encode(query, wire::dns::kMostMessage);
    Buffer asked{static_cast<std::byte>(message.size() >> 8),
                 static_cast<std::byte>(message.size() & 0xff)};
    append(asked, Bytes{message});
    std::array<std::byte, 2> length{};
    Buffer room;
    auto [error] = co_await socket.async_connect(server, kNoThrow);
    if (!error) {
        const auto [failed, n] = co_await asio::async_write(socket, asio::buffer(asked), kNoThrow);
        error = failed;
    }
    if (!error) {
        const auto [failed, n] = co_await asio::async_read(socket, asio::buffer(length), kNoThrow);
        error = failed;
        room.resize(std::to_integer<std::size_t>(length[0]) << 8 |
                    std::to_integer<std::size_t>(length[1]));
    }
    if (!error) {
        const auto [failed, n] = co_await asio::async_read(socket, asio::buffer(room), kNoThrow);
        error = failed;
    }
    Result<Message> got = no_answer(limit.late(), error);
    if (!error) {
        got = wire::dns::decode(room);
        if (!got || !session::dns::answers(query, *got))
            got = fail(Errc::Malformed, "what came is no answer");
    }
    co_await limit.stop();
    co_return got;
}

asio::awaitable<Result<Message>> ask_one(asio::io_context& context, udp::endpoint server,
                                         Message query, Clock::time_point until) {
    auto got = co_await ask_udp(context, server, query, until);
    if (got && query.edns &&
        (got->rcode == wire::dns::kFormErr || got->rcode == wire::dns::kNotImp)) {
        query.edns.reset();  // one that does not know EDNS (RFC 6891, 7)
        query.id = random_dns_id();
        got = co_await ask_udp(context, server, query, until);
    }
    if (got && got->truncated) {
        query.id = random_dns_id();
        const tcp::endpoint same{server.address(), server.port()};
        got = co_await ask_tcp(context, same, query, until);
    }
    co_return got;
}

// Another may know better.
bool is_final(const Message& got) {
    return got.rcode == wire::dns::kNoError || got.rcode == wire::dns::kNxDomain;
}

}  // namespace

Result<udp::endpoint> parse_dns_server(std::string_view text) {
    const auto bad = [&] {
        return fail(Errc::Invalid, "\"" + std::string{text} + "\" is no address of a resolver");
    };
    std::string_view host = text;
    std::uint16_t port = kPort;
    const bool bracket = text.starts_with('[');
    const std::size_t colon = text.rfind(':');
    const bool has_port = bracket ? text.rfind("]:") + 1 == colon && colon != 0
                                  : colon != std::string_view::npos && text.find(':') == colon;
    if (has_port) {
        const std::string_view digits = text.substr(colon + 1);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), port);
        if (error != std::errc{} || end != digits.data() + digits.size() || port == 0) return bad();
        host = text.substr(0, colon);
    }
    if (bracket) {
        if (!host.ends_with(']')) return bad();
        host = host.substr(1, host.size() - 2);
    }
    error_code error;
    const auto address = asio::ip::make_address(std::string{host}, error);
    if (error) return bad();
    return udp::endpoint{address, port};
}

ResolvConf parse_resolv_conf(std::string_view text) {
    ResolvConf made;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::string_view key = word_of(line);
        if (key == "nameserver" && made.servers.size() < kMostServers) {
            if (const auto server = parse_dns_server(word_of(line)))
                made.servers.push_back(*server);
        } else if (key == "search" || key == "domain") {
            made.search.clear();  // the last line holds
            for (auto word = word_of(line); !word.empty(); word = word_of(line)) {
                while (word.starts_with('.')) word.remove_prefix(1);
                while (word.ends_with('.')) word.remove_suffix(1);
                if (!word.empty()) made.search.push_back(lower(word));
            }
        }
    }
    return made;
}

std::uint16_t random_dns_id() {
    std::array<unsigned char, 2> chance;
    if (RAND_bytes(chance.data(), chance.size()) != 1)
        throw std::runtime_error("the system gives no random bytes");
    return static_cast<std::uint16_t>(chance[0] << 8 | chance[1]);
}

asio::awaitable<Result<Message>> ask_resolvers(asio::io_context& context, DnsServers servers,
                                               std::size_t first, Message query, Duration timeout) {
    if (servers.empty()) co_return fail(Errc::Unavailable, "no resolver is configured");
    const auto whole = std::chrono::duration_cast<Clock::duration>(timeout);
    const Clock::time_point end = Clock::now() + whole;
    const auto turns = static_cast<Clock::rep>(servers.size() * kRounds);
    Result<Message> best = fail(Errc::NotFound, "no answer in time");
    for (Clock::rep turn = 0; turn != turns; ++turn) {
        const auto now = Clock::now();
        if (now >= end) break;
        // What is left is shared by those who are still to be asked.
        const auto until = now + (end - now) / (turns - turn);
        const auto& server = servers[(first + static_cast<std::size_t>(turn)) % servers.size()];
        query.id = random_dns_id();
        auto got = co_await ask_one(context, server, query, until);
        if (got && is_final(*got)) co_return got;
        // An answer that is an error says more than silence.
        if (got || !best) best = std::move(got);
        // A second round is for lost datagrams, not for those who said no.
        if (best && turn + 1 >= static_cast<Clock::rep>(servers.size())) break;
    }
    co_return best;
}

}  // namespace chaperone::net

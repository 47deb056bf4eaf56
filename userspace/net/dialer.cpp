// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/dialer.h"

#include "userspace/net/stream.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <vector>

namespace chaperone::net {

using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

std::chrono::steady_clock::duration steady(Duration duration) {
    return std::chrono::duration_cast<std::chrono::steady_clock::duration>(duration);
}

asio::awaitable<Result<std::vector<tcp::endpoint>>> resolve(asio::io_context& context,
                                                            const Target& target) {
    std::vector<tcp::endpoint> endpoints;
    error_code bad;
    const auto numeric = asio::ip::make_address(target.host, bad);
    if (!bad) {
        endpoints.emplace_back(numeric, target.port);
        for (const std::string& other : target.elsewhere)
            if (const auto address = asio::ip::make_address(other, bad); !bad)
                endpoints.emplace_back(address, target.port);
        co_return endpoints;
    }
    tcp::resolver resolver{context};
    const std::string port = std::to_string(target.port);
    const auto [error, found] = co_await resolver.async_resolve(target.host, port, kNoThrow);
    if (error) co_return fail(Errc::NotFound, target.host + ": " + error.message());
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    co_return endpoints;
}

std::string name_of(const Target& target) {
    return target.host + " port " + std::to_string(target.port);
}

}  // namespace

asio::awaitable<Result<tcp::socket>> dial(asio::io_context& context, const Target& target,
                                          Duration timeout) {
    auto endpoints = co_await resolve(context, target);
    if (!endpoints) co_return fail(endpoints.error());
    tcp::socket socket{context};
    asio::steady_timer limit{context};
    limit.expires_after(steady(timeout));
    bool late = false;
    limit.async_wait([&socket, &late](error_code cancelled) {
        if (cancelled) return;
        late = true;
        error_code ignored;
        socket.close(ignored);
    });
    error_code last = asio::error::host_not_found;
    for (const tcp::endpoint& endpoint : *endpoints) {
        if (late) break;
        error_code ignored;
        socket.close(ignored);
        socket.open(endpoint.protocol(), ignored);
        // A listener that is governed takes nobody who does not say for whom he comes: an error
        // here ends as one there.
        if (target.before_connect) (void)target.before_connect(socket.native_handle());
        const auto [error] = co_await socket.async_connect(endpoint, kNoThrow);
        last = error;
        if (!error) break;
    }
    // The handler refers to this frame: it must have run, or be cancelled, before we leave.
    if (!late && limit.cancel() == 0) co_await asio::post(context, kNoThrow);
    if (late) {
        const std::string after =
            std::to_string(std::chrono::duration_cast<std::chrono::seconds>(timeout).count());
        co_return fail(Errc::Expired, name_of(target) + ": no answer after " + after + " s");
    }
    const bool refused = last == asio::error::connection_refused;
    if (last)
        co_return fail(refused ? Errc::Denied : Errc::Unavailable,
                       name_of(target) + ": " + last.message());
    co_return socket;
}

namespace {

asio::awaitable<bool> write_all(Stream& stream, Bytes data) {
    while (!data.empty()) {
        const iovec piece{const_cast<std::byte*>(data.data()), data.size()};
        const Stream::Moved moved = stream.write({&piece, 1});
        data = data.subspan(moved.bytes);
        if (moved.state == Stream::State::Closed) co_return false;
        if (moved.state == Stream::State::WouldBlock) co_await stream.writable();
    }
    co_return true;
}

asio::awaitable<bool> begin_tls(Stream& stream, const Target& target) {
    static constexpr std::array<unsigned char, 8> kSslRequest{0, 0, 0, 8, 4, 210, 22, 47};
    if (!co_await write_all(stream, std::as_bytes(std::span{kSslRequest}))) co_return false;
    std::array<std::byte, 1> answer{};
    Stream::Moved moved = stream.read(answer);
    while (moved.state == Stream::State::WouldBlock) {
        co_await stream.readable();
        moved = stream.read(answer);
    }
    if (moved.state != Stream::State::Done || answer[0] != std::byte{'S'}) co_return false;
    auto ssl = tls::client(target.tls);
    if (!ssl) co_return false;
    Buffer nothing;
    const auto started = co_await stream.handshake(std::move(*ssl), std::move(nothing));
    co_return started.has_value();
}

}  // namespace

asio::awaitable<void> send_cancel(asio::io_context& context, std::shared_ptr<const Target> target,
                                  std::uint32_t pid, Buffer secret, Duration timeout) {
    auto socket = co_await dial(context, *target, timeout);
    if (!socket) co_return;
    Stream stream{std::move(*socket)};
    asio::steady_timer limit{context};
    limit.expires_after(steady(timeout));
    limit.async_wait([&stream](error_code cancelled) {
        if (!cancelled) stream.close();
    });
    bool ready = true;
    if (target->tls_mode != TlsMode::Disable) ready = co_await begin_tls(stream, *target);
    if (ready) {
        const auto size = static_cast<std::uint32_t>(12 + secret.size());
        Buffer packet;
        for (const std::uint32_t word : {size, std::uint32_t{80877102}, pid})
            for (int shift = 24; shift >= 0; shift -= 8)
                packet.push_back(static_cast<std::byte>(word >> shift & 0xff));
        append(packet, Bytes{secret});
        if (co_await write_all(stream, packet)) {
            stream.shutdown_write();
            // The server closes once it has acted; until then the cancel may be lost.
            std::array<std::byte, 64> rest{};
            Stream::Moved moved = stream.read(rest);
            while (moved.state != Stream::State::Closed) {
                co_await stream.readable();
                moved = stream.read(rest);
            }
        }
    }
    limit.cancel();
    co_await asio::post(context, kNoThrow);  // the limit's handler refers to this frame
}

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/dialer.h"

#include "userspace/net/stream.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
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

// Without the category's own words where the kernel's will do: nothing is looked up for them, so
// that they can be had where there are no descriptors left.
std::string text_of(const error_code& error) {
    const bool of_kernel = error.category() == boost::system::system_category();
    return of_kernel ? std::strerror(error.value()) : error.message();
}

std::string name_of(const Target& target) {
    return target.host + " port " + std::to_string(target.port);
}

}  // namespace

namespace {

error_code error_of(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    return {error, boost::system::system_category()};
}

Attempt begin(const tcp::endpoint& to, const Target& target) {
    Attempt made{.begun = true};
    made.fd.reset(::socket(to.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!made.fd) {
        made.error = {errno, boost::system::system_category()};
        return made;
    }
    const int fd = made.fd.get();
    Stream::set_options(fd, to.address().is_loopback());
    // A listener that is governed takes nobody who does not say for whom he comes: an error here
    // ends as one there.
    if (target.before_connect) (void)target.before_connect(fd);
    made.made = ::connect(fd, to.data(), static_cast<socklen_t>(to.size())) == 0;
    if (made.made) return made;
    if (errno != EINPROGRESS) {
        made.error = {errno, boost::system::system_category()};
        return made;
    }
    // Who has a peer is connected. One that was refused has none, and is waited for no time.
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    made.made = ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
    return made;
}

}  // namespace

Attempt dial_at_once(const Target& target) {
    error_code bad;
    const auto numeric = asio::ip::make_address(target.host, bad);
    return bad ? Attempt{} : begin({numeric, target.port}, target);
}

Stream connected(asio::io_context& context, const Target& target, Attempt made) {
    error_code never;
    const tcp::endpoint peer{asio::ip::make_address(target.host, never), target.port};
    return {context, peer, std::move(made.fd)};
}

asio::awaitable<Result<Stream>> dial(asio::io_context& context, const Target& target,
                                     Duration timeout, Attempt first) {
    auto endpoints = co_await resolve(context, target);
    if (!endpoints) co_return fail(endpoints.error());
    tcp::socket socket{context};  // of the attempt that is waited for
    asio::steady_timer limit{context};
    bool limited = false;
    bool late = false;
    error_code last;
    std::optional<Stream> made;
    for (const tcp::endpoint& endpoint : *endpoints) {
        if (late) break;
        const bool begun = std::exchange(first.begun, false);
        Attempt attempt = begun ? std::move(first) : begin(endpoint, target);
        if (!attempt.made && !attempt.error) {
            if (!std::exchange(limited, true)) {
                limit.expires_after(steady(timeout));
                limit.async_wait([&socket, &late](error_code cancelled) {
                    if (cancelled) return;
                    late = true;
                    error_code ignored;
                    socket.close(ignored);
                });
            }
            error_code ignored;
            socket.close(ignored);
            socket.assign(endpoint.protocol(), attempt.fd.get(), last);
            if (last) continue;
            const int fd = attempt.fd.release();
            co_await socket.async_wait(tcp::socket::wait_write, kNoThrow);
            if (late) break;
            attempt.error = error_of(fd);
            if (!attempt.error) attempt.fd.reset(socket.release(attempt.error));
        }
        last = attempt.error;
        if (last) continue;
        made.emplace(context, endpoint, std::move(attempt.fd));
        break;
    }
    // The handler refers to this frame: it must have run, or be cancelled, before we leave.
    if (limited && !late && limit.cancel() == 0) co_await asio::post(context, kNoThrow);
    if (late) {
        const std::string after =
            std::to_string(std::chrono::duration_cast<std::chrono::seconds>(timeout).count());
        co_return fail(Errc::Expired, name_of(target) + ": no answer after " + after + " s");
    }
    if (endpoints->empty()) co_return fail(Errc::Unavailable, name_of(target) + ": no address");
    const bool refused = last == asio::error::connection_refused;
    if (last)
        co_return fail(refused ? Errc::Denied : Errc::Unavailable,
                       name_of(target) + ": " + text_of(last));
    co_return *std::move(made);
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

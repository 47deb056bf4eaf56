// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/stream.h"

#include "userspace/base/ip_text.h"
#include "userspace/net/tls.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace chaperone::net {

using asio::ip::tcp;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

bool would_block(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

// Within the host there is nothing to be fair to, and an algorithm that paces what it sends (BBR, a
// common default) only makes it wait. Reno is built into every kernel.
void send_at_once(int fd) {
    constexpr std::string_view kPlain = "reno";
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kPlain.data(), kPlain.size());
}

}  // namespace

// A BIO over the socket's descriptor that first gives out the bytes that were read before TLS.
struct Stream::Wire {
    int fd;
    Buffer early;
    Poller::Slot* slot = nullptr;  // once it is watched
    std::size_t given = 0;
    bool was_reset = false;

    static int read(BIO* bio, char* to, int size) {
        auto& wire = *static_cast<Wire*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        if (wire.given != wire.early.size()) {
            const std::size_t n =
                std::min(static_cast<std::size_t>(size), wire.early.size() - wire.given);
            std::memcpy(to, wire.early.data() + wire.given, n);
            wire.given += n;
            if (wire.given == wire.early.size()) {
                wire.early = {};
                wire.given = 0;
            }
            return static_cast<int>(n);
        }
        const std::span room{reinterpret_cast<std::byte*>(to), static_cast<std::size_t>(size)};
        const ssize_t n = receive(wire.fd, wire.slot, room);
        if (n < 0 && would_block(errno))
            BIO_set_retry_read(bio);
        else
            wire.was_reset = n < 0;
        return static_cast<int>(n);
    }

    static int write(BIO* bio, const char* from, int size) {
        auto& wire = *static_cast<Wire*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        const ssize_t n = ::send(wire.fd, from, static_cast<std::size_t>(size), MSG_NOSIGNAL);
        if (n < 0 && would_block(errno)) BIO_set_retry_write(bio);
        return static_cast<int>(n);
    }

    static long control(BIO*, int command, long, void*) {
        return command == BIO_CTRL_FLUSH ? 1 : 0;
    }

    static BIO_METHOD* method() {
        static BIO_METHOD* const made = [] {
            BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "chaperone");
            BIO_meth_set_read(m, &Wire::read);
            BIO_meth_set_write(m, &Wire::write);
            BIO_meth_set_ctrl(m, &Wire::control);
            return m;
        }();
        return made;
    }
};

void FreeSsl::operator()(ssl_st* ssl) const noexcept {
    // Else a connection that was closed without its last words would spoil its session for others;
    // after a fatal alert OpenSSL does so by itself.
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
}

Stream::Stream(tcp::socket socket) : socket_(std::move(socket)) {
    boost::system::error_code ignored;
    peer_ = socket_->remote_endpoint(ignored);
    fd_ = socket_->native_handle();
    socket_->native_non_blocking(true, ignored);
    set_options(fd_, peer_.address().is_loopback());
}

Stream::Stream(asio::io_context& context, const tcp::endpoint& peer, UniqueFd fd)
    : context_(&context), peer_(peer), watched_(std::move(fd)), fd_(watched_.get()) {}

void Stream::set_options(int fd, bool within) noexcept {
    constexpr int kOn = 1;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof kOn);
    (void)::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &kOn, sizeof kOn);
    if (within) send_at_once(fd);
}

Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

ssize_t Stream::receive(int fd, Poller::Slot* slot, std::span<std::byte> to) noexcept {
    if (slot != nullptr && !slot->readable) {
        errno = EAGAIN;
        return -1;
    }
    for (;;) {
        const ssize_t n = ::recv(fd, to.data(), to.size(), 0);
        if (n < 0 && errno == EINTR) continue;
        // A read that left room has taken all that was there; what comes later is told anew.
        if (slot != nullptr && !slot->hangup)
            slot->readable = n >= 0 && static_cast<std::size_t>(n) == to.size();
        return n;
    }
}

Stream::Moved Stream::read(std::span<std::byte> to) noexcept {
    if (ssl_) return read_tls(to);
    const ssize_t n = receive(fd_, slot_.get(), to);
    if (n > 0) return {State::Done, static_cast<std::size_t>(n)};
    if (n < 0 && would_block(errno)) return {State::WouldBlock, 0};
    if (n < 0) cut_ = session::Cut::Reset;
    return {State::Closed, 0};
}

Stream::Moved Stream::read_tls(std::span<std::byte> to) noexcept {
    std::size_t total = 0;
    if (over_) return {State::Closed, 0};
    read_wants_write_ = false;
    while (total != to.size()) {
        std::size_t n = 0;
        ERR_clear_error();
        const int ok = SSL_read_ex(ssl_.get(), to.data() + total, to.size() - total, &n);
        if (ok == 1) {
            total += n;
            continue;
        }
        const int why = SSL_get_error(ssl_.get(), ok);
        read_wants_write_ = why == SSL_ERROR_WANT_WRITE;
        over_ = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
        if (why == SSL_ERROR_SSL) alert_ = tls::why_ended(ssl_.get());
        if (over_ && why != SSL_ERROR_ZERO_RETURN)
            cut_ = wire_->was_reset ? session::Cut::Reset : session::Cut::Untold;
        if (total != 0) break;
        return {over_ ? State::Closed : State::WouldBlock, 0};
    }
    return {State::Done, total};
}

Stream::Moved Stream::write(std::span<const iovec> pieces, bool last) noexcept {
    if (ssl_) return write_tls(pieces);
    const int flags = MSG_NOSIGNAL | (last ? MSG_MORE : 0);
    std::size_t total = 0;
    while (!pieces.empty()) {
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(pieces.data());
        message.msg_iovlen = std::min<std::size_t>(pieces.size(), 64);
        std::size_t wanted = 0;
        for (std::size_t i = 0; i != message.msg_iovlen; ++i) wanted += pieces[i].iov_len;
        const ssize_t n = message.msg_iovlen == 1
                              ? ::send(fd_, pieces.front().iov_base, pieces.front().iov_len, flags)
                              : ::sendmsg(fd_, &message, flags);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return {would_block(errno) ? State::WouldBlock : State::Closed, total};
        total += static_cast<std::size_t>(n);
        if (static_cast<std::size_t>(n) != wanted) return {State::WouldBlock, total};
        pieces = pieces.subspan(message.msg_iovlen);
    }
    waits_for_end_ = last;
    return {State::Done, total};
}

Stream::Moved Stream::read(Pipe& into) noexcept {
    if (slot_ && !slot_->readable) return {State::WouldBlock, 0};
    ssize_t n = 0;
    do n = into.fill(fd_);
    while (n < 0 && errno == EINTR);
    if (n > 0) return {State::Done, static_cast<std::size_t>(n)};
    if (n < 0 && !would_block(errno)) cut_ = session::Cut::Reset;
    if (n == 0 || !would_block(errno)) return {State::Closed, 0};
    if (slot_ && !slot_->hangup) slot_->readable = false;
    return {State::WouldBlock, 0};
}

Stream::Moved Stream::write(Pipe& from) noexcept {
    std::size_t total = 0;
    while (from.holds() != 0) {
        const ssize_t n = from.drain(fd_);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return {n < 0 && would_block(errno) ? State::WouldBlock : State::Closed, total};
        total += static_cast<std::size_t>(n);
    }
    return {State::Done, total};
}

Stream::Moved Stream::write_tls(std::span<const iovec> pieces) noexcept {
    // Small pieces are gathered, so that a message does not become a record each for its parts.
    static thread_local std::array<std::byte, 16 * 1024> record;
    std::size_t total = 0;
    std::size_t piece = 0, within = 0;
    while (piece != pieces.size()) {
        std::size_t filled = 0;
        std::size_t p = piece, w = within;
        const auto bytes = [&](std::size_t i) {
            return static_cast<const std::byte*>(pieces[i].iov_base);
        };
        while (p != pieces.size() && filled != record.size()) {
            const std::size_t n = std::min(pieces[p].iov_len - w, record.size() - filled);
            std::memcpy(record.data() + filled, bytes(p) + w, n);
            filled += n;
            w += n;
            if (w == pieces[p].iov_len) ++p, w = 0;
        }
        if (filled == 0) break;
        std::size_t n = 0;
        ERR_clear_error();
        const int ok = SSL_write_ex(ssl_.get(), record.data(), filled, &n);
        if (ok != 1) {
            const int why = SSL_get_error(ssl_.get(), ok);
            const bool later = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
            return {later ? State::WouldBlock : State::Closed, total};
        }
        total += n;
        for (std::size_t left = n; left != 0;) {
            const std::size_t step = std::min(left, pieces[piece].iov_len - within);
            within += step;
            left -= step;
            if (within == pieces[piece].iov_len) ++piece, within = 0;
        }
        while (piece != pieces.size() && pieces[piece].iov_len == 0) ++piece;
    }
    return {State::Done, total};
}

bool Stream::waits_in_asio() {
    return in_asio() || (watched_ && !slot_ && to_asio());
}

asio::awaitable<void> Stream::readable() {
    if (!waits_in_asio()) co_return;
    const auto what = read_wants_write_ ? tcp::socket::wait_write : tcp::socket::wait_read;
    co_await socket_->async_wait(what, kNoThrow);
}

asio::awaitable<void> Stream::writable() {
    if (!waits_in_asio()) co_return;
    co_await socket_->async_wait(tcp::socket::wait_write, kNoThrow);
}

Result<> Stream::watch(Poller& poller, std::shared_ptr<Poller::Listener> listener) {
    if (in_asio()) {
        boost::system::error_code error;
        watched_.reset(socket_->release(error));
        if (error) return fail(Errc::System, "watch a connection: " + error.message());
    }
    if (slot_) {
        slot_->hand_over(std::move(listener));
        return {};
    }
    auto slot = poller.add(fd_, std::move(listener));
    if (!slot) {
        (void)to_asio();
        return fail(slot.error());
    }
    slot_ = std::move(*slot);
    if (wire_) wire_->slot = slot_.get();
    return {};
}

// Ends the watching; coroutines may wait for it again.
Result<> Stream::to_asio() {
    slot_.reset();
    boost::system::error_code error;
    if (!socket_) socket_.emplace(*context_);
    socket_->assign(peer_.protocol(), watched_.get(), error);
    if (error) return fail(Errc::System, "hand over a connection: " + error.message());
    (void)watched_.release();
    return {};
}

void Stream::wake() noexcept {
    boost::system::error_code ignored;
    if (socket_) socket_->cancel(ignored);
}

bool Stream::has_buffered() const noexcept {
    return ssl_ && SSL_has_pending(ssl_.get()) == 1;
}

bool Stream::seems_quiet() const noexcept {
    return is_open() && alert_.empty() && !may_have_more() && !(wire_ && !wire_->early.empty());
}

bool Stream::is_quiet() noexcept {
    if (!is_open() || !alert_.empty() || has_buffered() || (wire_ && !wire_->early.empty()))
        return false;
    std::byte one{};
    const ssize_t n = ::recv(fd_, &one, sizeof one, MSG_PEEK | MSG_DONTWAIT);
    if (n >= 0 || !would_block(errno)) return false;
    if (slot_ && !slot_->hangup) slot_->readable = false;
    return true;
}

asio::awaitable<Result<session::TlsInfo>> Stream::handshake(SslPtr ssl, Buffer early) {
    if (!slot_) {
        if (!waits_in_asio()) co_return fail(Errc::Unavailable, "the connection was closed");
        co_return co_await shake(std::move(ssl), std::move(early));
    }
    Poller& poller = slot_->poller();
    const std::shared_ptr<Poller::Listener> listener = slot_->listener();
    if (auto done = to_asio(); !done) co_return fail(done.error());
    auto info = co_await shake(std::move(ssl), std::move(early));
    if (!in_asio()) co_return fail(Errc::Unavailable, "the connection was closed");
    if (auto done = watch(poller, listener); !done) co_return fail(done.error());
    co_return info;
}

asio::awaitable<Result<session::TlsInfo>> Stream::shake(SslPtr ssl, Buffer early) {
    wire_ = std::make_unique<Wire>(fd_, std::move(early));
    BIO* bio = BIO_new(Wire::method());
    BIO_set_data(bio, wire_.get());
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl.get(), bio, bio);
    SSL_set_read_ahead(ssl.get(), 1);  // one recv(2) for a record's head and body
    for (;;) {
        ERR_clear_error();
        const int ok = SSL_do_handshake(ssl.get());
        if (ok == 1) break;
        const int why = SSL_get_error(ssl.get(), ok);
        if (why == SSL_ERROR_WANT_READ) {
            co_await socket_->async_wait(tcp::socket::wait_read, kNoThrow);
        } else if (why == SSL_ERROR_WANT_WRITE) {
            co_await socket_->async_wait(tcp::socket::wait_write, kNoThrow);
        } else if (why == SSL_ERROR_WANT_X509_LOOKUP) {
            co_await tls::await_certificate(ssl.get());
        } else {
            co_return fail(tls::why_handshake_failed(ssl.get()));
        }
        if (!in_asio()) co_return fail(Errc::Unavailable, "the connection was closed");
    }
    session::TlsInfo info = tls::describe(ssl.get());
    ssl_ = std::move(ssl);
    co_return info;
}

void Stream::shutdown_write() noexcept {
    if (ssl_) SSL_shutdown(ssl_.get());
    if (is_open()) ::shutdown(fd_, SHUT_WR);
}

void Stream::finish() noexcept {
    if (ssl_ && is_open()) SSL_shutdown(ssl_.get());
    // What waits would be lost where the peer has sent what was not read: close() then resets.
    if (waits_for_end_ && is_open()) ::shutdown(fd_, SHUT_WR);
    close();
}

void Stream::finish_untold() noexcept {
    if (is_open()) ::shutdown(fd_, SHUT_WR);
    close();
}

void Stream::close() noexcept {
    slot_.reset();
    if (wire_) wire_->slot = nullptr;
    watched_.reset();
    boost::system::error_code ignored;
    if (socket_) socket_->close(ignored);
}

void Stream::reset() noexcept {
    const linger now{.l_onoff = 1, .l_linger = 0};
    if (is_open()) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    // Here: the destructor of a socket would take the linger back.
    close();
}

std::string Stream::peer_host() const {
    const auto address = peer_.address();
    return address.is_v4() ? ip_text(address.to_v4().to_bytes()) : address.to_string();
}

bool Stream::is_open() const noexcept {
    return watched_ || in_asio();
}

}  // namespace chaperone::net

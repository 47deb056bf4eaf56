// SPDX-License-Identifier: Apache-2.0
// A TCP connection that may turn into TLS at any point: non-blocking reads and writes into buffers
// of the caller's, so that an idle connection holds no buffer of ours. Lives on one thread. It is
// waited for by a coroutine (readable(), writable()) until it is watched, and then by a Listener.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"
#include "userspace/net/pipe.h"
#include "userspace/net/poller.h"
#include "userspace/session/machine.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <sys/uio.h>

#include <memory>
#include <optional>
#include <span>
#include <string>

struct ssl_st;  // OpenSSL's SSL

namespace chaperone::net {

namespace asio = boost::asio;

struct FreeSsl {
    void operator()(ssl_st* ssl) const noexcept;
};
using SslPtr = std::unique_ptr<ssl_st, FreeSsl>;

class Stream {
public:
    enum class State { Done, WouldBlock, Closed };
    struct Moved {
        State state{};
        std::size_t bytes{};
    };

    explicit Stream(asio::ip::tcp::socket socket);
    // Of a descriptor that does not block, has its options (see set_options) and is connected to
    // `peer`. The context hears of it only if somebody waits before it is watched.
    Stream(asio::io_context& context, const asio::ip::tcp::endpoint& peer, UniqueFd fd);
    // What every connection has; those that are accepted have it of whoever listens. `within`: the
    // other end is on this host's loopback.
    static void set_options(int fd, bool within) noexcept;
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    ~Stream();

    // Done: bytes > 0 were read. Closed: end of stream or an error; what came before was given out.
    Moved read(std::span<std::byte> to) noexcept;
    // Done: all was written. WouldBlock: `bytes` of it were; go on with the rest when writable.
    // `last`: where it is Done, the caller ends the stream at once; its end then needs no packet of
    // its own, unless it is told within TLS.
    Moved write(std::span<const iovec> pieces, bool last = false) noexcept;

    // The same through a pipe, where what is sent is what is on the wire: not within TLS.
    bool is_plain() const noexcept { return !ssl_ && is_open(); }
    Moved read(Pipe& into) noexcept;   // into an empty one
    Moved write(Pipe& from) noexcept;  // all that it holds

    asio::awaitable<void> readable();  // also returns after close()
    asio::awaitable<void> writable();
    // From now on `listener` is told when reading or writing may have become possible, until
    // close(); not while a handshake is under way. Who was told before is not told any more. An
    // error: it is as it was.
    Result<> watch(Poller& poller, std::shared_ptr<Poller::Listener> listener);
    void wake() noexcept;  // who waits in readable() or writable() looks again
    // Decrypted bytes wait inside TLS: read() before waiting.
    bool has_buffered() const noexcept;

    // Turns the connection into TLS; `early` are bytes that were read before and belong to it.
    // An error says what the peer or its certificate did wrong; the connection is of no more use.
    asio::awaitable<Result<session::TlsInfo>> handshake(SslPtr ssl, Buffer early);

    // False: watched, and there is nothing to read until the listener is told.
    bool may_have_more() const noexcept {
        return !slot_ || slot_->readable || over_ || has_buffered();
    }
    // Behind what was read, TLS has come to its end: nothing on the socket will tell of it, and the
    // next read() does.
    bool is_over() const noexcept { return over_; }

    // It is open both ways, and nothing has come that was not read. Asks the kernel.
    bool is_quiet() noexcept;
    // The same as far as is known here: what has come since is yet to be told to the listener.
    bool seems_quiet() const noexcept;

    // What the peer says of TLS as it ends it, behind the handshake; empty: nothing.
    const std::string& alert() const noexcept { return alert_; }
    // How it ended, where reading said Closed and that was no ordinary end.
    std::optional<session::Cut> cut() const noexcept { return cut_; }

    void shutdown_write() noexcept;  // close_notify where it is TLS, then FIN
    void finish() noexcept;          // the same, and closes it
    void finish_untold() noexcept;   // the same without close_notify
    void close() noexcept;
    void reset() noexcept;  // closes it so that the peer sees an error at once
    bool is_open() const noexcept;
    const asio::ip::tcp::endpoint& peer() const noexcept { return peer_; }
    std::string peer_host() const;  // its address in letters

private:
    struct Wire;

    Moved read_tls(std::span<std::byte> to) noexcept;
    Moved write_tls(std::span<const iovec> pieces) noexcept;

    // A recv(2) that knows whether anything can be there.
    static ssize_t receive(int fd, Poller::Slot* slot, std::span<std::byte> to) noexcept;
    Result<> to_asio();
    bool waits_in_asio();  // false: the connection is of no use
    asio::awaitable<Result<session::TlsInfo>> shake(SslPtr ssl, Buffer early);

    bool in_asio() const noexcept { return socket_ && socket_->is_open(); }

    asio::io_context* context_ = nullptr;            // for a socket_, where there is none
    std::optional<asio::ip::tcp::socket> socket_{};  // closed while watched; none until one waits
    asio::ip::tcp::endpoint peer_;
    UniqueFd watched_;  // the descriptor, then
    int fd_ = -1;       // the descriptor
    std::unique_ptr<Poller::Slot> slot_;
    std::unique_ptr<Wire> wire_;  // the socket as TLS sees it
    SslPtr ssl_;
    bool read_wants_write_ = false;
    bool over_ = false;
    bool waits_for_end_ = false;  // what was written last
    std::string alert_;
    std::optional<session::Cut> cut_;
};

}  // namespace chaperone::net

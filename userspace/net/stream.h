// SPDX-License-Identifier: Apache-2.0
// A TCP connection that may turn into TLS at any point: non-blocking reads and writes into buffers
// of the caller's, so that an idle connection holds no buffer of ours. Lives on one thread.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/session/machine.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <sys/uio.h>

#include <memory>
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
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    ~Stream();

    // Done: bytes > 0 were read. Closed: end of stream or an error; what came before was given out.
    Moved read(std::span<std::byte> to) noexcept;
    // Done: all was written. WouldBlock: `bytes` of it were; go on with the rest when writable.
    Moved write(std::span<const iovec> pieces) noexcept;

    asio::awaitable<void> readable();  // also returns after close()
    asio::awaitable<void> writable();
    // Decrypted bytes wait inside TLS: read() before waiting.
    bool has_buffered() const noexcept;

    // Turns the connection into TLS; `early` are bytes that were read before and belong to it.
    // An error says what the peer or its certificate did wrong; the connection is of no more use.
    asio::awaitable<Result<session::TlsInfo>> handshake(SslPtr ssl, Buffer early);

    void shutdown_write() noexcept;  // close_notify where it is TLS, then FIN
    void close() noexcept;
    asio::ip::tcp::socket& socket() noexcept { return socket_; }

private:
    struct Wire;

    Moved read_tls(std::span<std::byte> to) noexcept;
    Moved write_tls(std::span<const iovec> pieces) noexcept;

    asio::ip::tcp::socket socket_;
    std::unique_ptr<Wire> wire_;  // the socket as TLS sees it
    SslPtr ssl_;
    bool read_wants_write_ = false;
};

}  // namespace chaperone::net

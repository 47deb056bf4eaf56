// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/pg_client.h"

#include "userspace/base/encoding.h"
#include "userspace/net/dialer.h"
#include "userspace/session/pg_upstream_login.h"
#include "userspace/wire/pg/decoder.h"

#include <boost/asio/steady_timer.hpp>

#include <openssl/rand.h>

#include <array>
#include <utility>
#include <vector>

namespace chaperone::net {

using session::UpstreamLogin;

namespace {

// The catalog of a large database; what is larger is not a catalog.
constexpr std::size_t kMaxInput = std::size_t{256} << 20;

std::string new_nonce() {
    std::array<unsigned char, 24> chance;
    if (RAND_bytes(chance.data(), chance.size()) != 1)
        throw std::runtime_error("the system gives no random bytes");
    return to_base64(std::as_bytes(std::span{chance}));
}

Buffer query_message(std::string_view sql) {
    Buffer message{std::byte{'Q'}};
    const auto size = static_cast<std::uint32_t>(sql.size() + 5);
    for (int shift = 24; shift >= 0; shift -= 8)
        message.push_back(static_cast<std::byte>(size >> shift & 0xff));
    append(message, sql);
    message.push_back(std::byte{0});
    return message;
}

Result<> give_row(Bytes body, const PgClient::OnRow& on_row) {
    wire::pg::Row row;
    if (auto decoded = wire::pg::decode_row(body, row); !decoded) return decoded;
    std::vector<std::optional<std::string_view>> fields;
    fields.reserve(row.size());
    for (const auto& field : row)
        fields.push_back(field ? std::optional{as_text(*field)} : std::nullopt);
    return on_row(fields);
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<PgClient>>> PgClient::connect(
    asio::io_context& context, std::shared_ptr<const Target> target, std::string database,
    Duration timeout) {
    auto socket = co_await dial(context, *target, timeout);
    if (!socket) co_return fail(socket.error());
    Stream stream{std::move(*socket)};
    std::unique_ptr<PgClient> client{new PgClient{std::move(stream)}};
    auto in = co_await client->log_in(std::move(target), std::move(database));
    if (!in) co_return fail(in.error());
    client->usable_ = true;
    co_return std::move(client);
}

asio::awaitable<bool> PgClient::fill() {
    std::array<std::byte, 16 * 1024> piece;
    for (;;) {
        const Stream::Moved moved = stream_.read(piece);
        if (moved.state == Stream::State::Done) {
            if (moved.bytes > kMaxInput - std::min(kMaxInput, in_.size())) co_return false;
            append(in_, Bytes{piece}.first(moved.bytes));
            co_return true;
        }
        if (moved.state == Stream::State::Closed) co_return false;
        co_await stream_.readable();
    }
}

asio::awaitable<bool> PgClient::write(Buffer data) {
    std::size_t done = 0;
    while (done != data.size()) {
        const iovec rest{data.data() + done, data.size() - done};
        const Stream::Moved moved = stream_.write({&rest, 1});
        done += moved.bytes;
        if (moved.state == Stream::State::Closed) co_return false;
        if (moved.state == Stream::State::WouldBlock) co_await stream_.writable();
    }
    co_return true;
}

asio::awaitable<Result<>> PgClient::log_in(std::shared_ptr<const Target> target,
                                           std::string database) {
    session::LoginConfig config;
    config.tls = target->tls_mode != TlsMode::Disable;
    config.user = target->user;
    config.database = std::move(database);
    config.password = target->password.clone();
    config.nonce = new_nonce();
    config.parameters.emplace_back("application_name", "chaperone");
    config.parameters.emplace_back("client_encoding", "UTF8");
    UpstreamLogin login{std::move(config)};
    Buffer send;
    UpstreamLogin::Step step = login.start(send);
    for (;;) {
        Buffer now = std::exchange(send, {});
        if (!now.empty() && !co_await write(std::move(now)))
            co_return fail(Errc::Unavailable, "the server closed the connection");
        if (step == UpstreamLogin::Step::Done) co_return Result<>{};
        if (step == UpstreamLogin::Step::Failed) co_return fail(login.error());
        if (step == UpstreamLogin::Step::StartTls) {
            auto ssl = tls::client(target->tls);
            if (!ssl) co_return fail(ssl.error());
            Buffer early = std::exchange(in_, {});
            auto started = co_await stream_.handshake(std::move(*ssl), std::move(early));
            if (!started) co_return fail(started.error());
            step = login.on_tls_started(*started, send);
            continue;
        }
        if (!co_await fill()) co_return fail(Errc::Unavailable, "the server closed the connection");
        std::size_t consumed = 0;
        step = login.on_received(in_, consumed, send);
        in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(consumed));
    }
}

asio::awaitable<Result<>> PgClient::query(std::string sql, OnRow on_row) {
    usable_ = false;  // until ReadyForQuery
    Result<> outcome{};
    if (!co_await write(query_message(sql)))
        co_return fail(Errc::Unavailable, "the connection is lost");
    std::size_t done = 0;
    for (;;) {
        auto header = wire::pg::peek(Bytes{in_}.subspan(done));
        if (!header) co_return fail(header.error());
        if (!*header || (*header)->size > in_.size() - done) {
            in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(done));
            done = 0;
            if (!co_await fill()) co_return fail(Errc::Unavailable, "the connection is lost");
            continue;
        }
        const std::size_t size = (*header)->size;
        const Bytes body = Bytes{in_}.subspan(done, size).subspan(wire::pg::kHeaderSize);
        const char tag = (*header)->tag;
        done += size;
        if (tag == 'D' && outcome) {
            outcome = give_row(body, on_row);
        } else if (tag == 'E') {
            const auto error = wire::pg::decode_diagnostic(body);
            outcome = fail(Errc::Unavailable,
                           error ? std::string{error->field('M')} : "an error of the server");
        } else if (tag == 'Z') {
            in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(done));
            usable_ = true;
            co_return outcome;
        }
    }
}

}  // namespace chaperone::net

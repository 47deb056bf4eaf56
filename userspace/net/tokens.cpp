// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/tokens.h"

#include "userspace/base/log.h"
#include "userspace/base/steady.h"
#include "userspace/net/dialer.h"
#include "userspace/net/stream.h"
#include "userspace/net/tls.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace chaperone::net {
namespace http = boost::beast::http;
namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMaxAnswer = 256 * 1024;

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

struct Answer {
    int status = 0;
    std::string body{};
};

asio::awaitable<Result<Answer>> read_answer(Stream& stream) {
    http::response_parser<http::string_body> parser;
    parser.eager(true);
    parser.body_limit(kMaxAnswer);
    std::string waiting;
    Buffer room(16 * 1024);
    while (!parser.is_done()) {
        const Stream::Moved moved = stream.read(room);
        if (moved.state == Stream::State::WouldBlock) {
            co_await stream.readable();
            continue;
        }
        boost::beast::error_code error;
        waiting += as_text(Bytes{room}.first(moved.bytes));
        if (waiting.size() > kMaxAnswer) co_return fail(Errc::TooLarge, "its answer");
        while (!error && !waiting.empty() && !parser.is_done()) {
            const std::size_t used =
                parser.put(boost::asio::const_buffer(waiting.data(), waiting.size()), error);
            waiting.erase(0, used);
            if (used == 0) break;
        }
        const bool ended = moved.state == Stream::State::Closed;
        if (ended && !parser.is_done()) parser.put_eof(error);
        if (error && error != http::error::need_more)
            co_return fail(Errc::Malformed, "its answer cannot be read");
        if (ended && !parser.is_done()) co_return fail(Errc::Unavailable, "its answer ends early");
    }
    co_return Answer{static_cast<int>(parser.get().result_int()), std::move(parser.get().body())};
}

asio::awaitable<Result<credential::OauthToken>> exchange(asio::io_context& context, Stream& stream,
                                                         const TokenSource& source) {
    tls::ClientOptions options;
    options.ca = source.ca;
    options.server_name = source.url.host;
    options.alpn = {"http/1.1"};
    auto ssl = tls::client(options);
    if (!ssl) co_return fail(ssl.error());
    asio::steady_timer limit{context, Tokens::kPatience};
    limit.async_wait([&stream](boost::system::error_code cancelled) {
        if (!cancelled) stream.close();
    });
    Buffer nothing;
    const auto started = co_await stream.handshake(std::move(*ssl), std::move(nothing));
    Result<Answer> answer = fail(Errc::Unavailable, "it does not listen");
    if (started) {
        const Secret request = credential::token_request(source.client, source.url);
        const Bytes bytes = as_bytes(request.expose());
        const bool sent = co_await write_all(stream, bytes);
        if (sent) answer = co_await read_answer(stream);
    } else {
        answer = fail(started.error());
    }
    limit.cancel();
    co_await asio::post(context, kNoThrow);  // the limit's handler refers to the stream
    if (!answer) co_return fail(answer.error());
    co_return credential::read_token_answer(answer->status, answer->body, steady_now());
}

asio::awaitable<Result<credential::OauthToken>> fetch(asio::io_context& context,
                                                      std::shared_ptr<const TokenSource> source) {
    Target target;
    target.host = source->url.host;
    target.port = source->url.port;
    auto socket = co_await dial(context, target, Tokens::kPatience);
    if (!socket) co_return fail(socket.error());
    Stream stream{std::move(*socket)};
    co_return co_await exchange(context, stream, *source);
}

}  // namespace

std::shared_ptr<const TokenSource> make_token_source(credential::OauthClient client,
                                                     credential::OauthUrl url, std::string ca) {
    Sha256 hash;
    const auto add = [&](std::string_view text) { hash.add(sha256(as_bytes(text))); };
    add(client.token_url);
    add(client.client_id);
    add(client.client_secret.expose());
    add(client.audience);
    add(client.secret_in_body ? "body" : "basic");
    add(ca);
    for (const std::string& scope : client.scopes) add(scope);
    const Digest key = hash.finish();
    return std::make_shared<const TokenSource>(std::move(client), std::move(url), std::move(ca),
                                               key);
}

Result<std::unique_ptr<Tokens>> Tokens::create() {
    auto thread = IoThread::start(0);
    if (!thread) return fail(thread.error());
    return std::unique_ptr<Tokens>{new Tokens{std::move(*thread)}};
}

Tokens::~Tokens() {
    thread_->join();
}

Result<std::optional<std::string>> Tokens::get(const std::shared_ptr<const TokenSource>& source,
                                               Time now, std::function<void()> wake) {
    bool first = false;
    auto found = entries_.with([&](auto& entries) -> Result<std::optional<std::string>> {
        if (entries.size() >= kMostSources && !entries.contains(source->key))
            std::erase_if(entries, [](const auto& entry) { return !entry.second.fetching; });
        Entry& entry = entries[source->key];
        const bool there = !entry.token.empty() && now < entry.expires;
        const bool fresh = there && (entry.expires == Time::max() || entry.expires - now > kMargin);
        if (fresh) return std::optional{entry.token};
        const bool just_failed = entry.failed && now - entry.failed_at < kAfterFailure;
        if (!entry.fetching && !just_failed) first = entry.fetching = true;
        if (there) return std::optional{entry.token};  // while it is renewed
        if (just_failed) return fail(*entry.failed);
        entry.waiting.push_back(std::move(wake));
        return std::optional<std::string>{};
    });
    if (first) begin(source);
    return found;
}

void Tokens::begin(std::shared_ptr<const TokenSource> source) {
    auto& context = thread_->context();
    asio::co_spawn(
        context, fetch(context, source),
        [this, source](const std::exception_ptr& broken, Result<credential::OauthToken> result) {
            if (broken) result = fail(Errc::System, "the fetch broke");
            ended(*source, std::move(result));
        });
}

void Tokens::ended(const TokenSource& source, Result<credential::OauthToken> result) {
    if (!result)
        log::warning("access token not fetched",
                     {{"host", source.url.host}, {"error", result.error().message()}});
    std::vector<std::function<void()>> waiting;
    entries_.with([&](auto& entries) {
        Entry& entry = entries[source.key];
        entry.fetching = false;
        waiting.swap(entry.waiting);
        if (result) {
            entry.failed.reset();
            entry.token = result->token.expose();
            entry.expires = result->expires;
        } else {
            entry.failed = result.error();
            entry.failed_at = steady_now();
        }
    });
    for (const auto& wake : waiting) wake();
}

void Tokens::reject(const TokenSource& source, const std::string& token) {
    entries_.with([&](auto& entries) {
        const auto entry = entries.find(source.key);
        if (entry != entries.end() && entry->second.token == token) entry->second.token.clear();
    });
}

}  // namespace chaperone::net

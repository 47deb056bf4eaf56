// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/http.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <array>
#include <charconv>

namespace chaperone::control {
namespace http = boost::beast::http;
namespace {

bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

Result<std::string> unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        unsigned value = 0;
        if (text.size() - i < 3) return fail(Errc::Malformed, "escape in the request target");
        const char* end = text.data() + i + 3;
        const auto [stop, error] = std::from_chars(text.data() + i + 1, end, value, 16);
        if (error != std::errc{} || stop != end || value == 0)
            return fail(Errc::Malformed, "escape in the request target");
        out += static_cast<char>(value);
        i += 2;
    }
    return out;
}

Result<> parse_query(std::string_view text, HttpRequest& into) {
    while (!text.empty()) {
        const auto end = std::min(text.find('&'), text.size());
        const std::string_view pair = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const auto equals = std::min(pair.find('='), pair.size());
        auto key = unescape(pair.substr(0, equals));
        auto value = unescape(equals < pair.size() ? pair.substr(equals + 1) : "");
        if (!key) return fail(key.error());
        if (!value) return fail(value.error());
        into.query.emplace_back(*std::move(key), *std::move(value));
    }
    return {};
}

}  // namespace

Result<> parse_target(std::string_view target, HttpRequest& into) {
    if (!target.starts_with('/')) return fail(Errc::Malformed, "request target without a path");
    const auto question = std::min(target.find('?'), target.size());
    std::string_view path = target.substr(1, question - 1);
    while (!path.empty()) {
        const auto end = std::min(path.find('/'), path.size());
        auto segment = unescape(path.substr(0, end));
        path.remove_prefix(std::min(end + 1, path.size()));
        if (!segment) return fail(segment.error());
        if (segment->empty() || *segment == "." || *segment == "..")
            return fail(Errc::Malformed, "empty or dot segment in the request target");
        into.path.push_back(*std::move(segment));
    }
    return parse_query(question < target.size() ? target.substr(question + 1) : "", into);
}

std::string escape(std::string_view text) {
    static constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (is_unreserved(c)) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
    return out;
}

struct RequestReader::State {
    http::request_parser<http::string_body> parser{};
    std::string buffer{};
    bool started = false;
};

RequestReader::RequestReader(HttpLimits limits) : state_(std::make_unique<State>()) {
    state_->parser.eager(true);
    state_->parser.header_limit(static_cast<std::uint32_t>(limits.head));
    state_->parser.body_limit(limits.body);
}

RequestReader::~RequestReader() = default;

bool RequestReader::started() const noexcept {
    return state_->started;
}

std::string RequestReader::rest() const {
    return state_->buffer;
}

Result<std::optional<HttpRequest>> RequestReader::feed(Bytes bytes) {
    auto& [parser, buffer, started] = *state_;
    buffer += as_text(bytes);
    started = started || !buffer.empty();
    while (!buffer.empty() && !parser.is_done()) {
        boost::beast::error_code error;
        const std::size_t used =
            parser.put(boost::asio::const_buffer{buffer.data(), buffer.size()}, error);
        buffer.erase(0, used);
        if (error == http::error::need_more) break;
        if (error == http::error::header_limit || error == http::error::body_limit)
            return fail(Errc::TooLarge, error.message());
        if (error) return fail(Errc::Malformed, error.message());
        if (used == 0) break;
    }
    if (!parser.is_done()) return std::nullopt;

    auto& message = parser.get();
    // Beast reads an unknown coding as no body at all: the next request would begin in this one.
    if (message.find(http::field::transfer_encoding) != message.end())
        return fail(Errc::Unsupported, "Transfer-Encoding in a request; send Content-Length");
    if (message.count(http::field::host) > 1)
        return fail(Errc::Malformed, "more than one Host field");
    // Browsers send it, our clients never do: a page must not reach the socket through a forwarder.
    if (message.find(http::field::origin) != message.end())
        return fail(Errc::Denied, "requests of web pages are not answered here");
    HttpRequest request{.method = std::string{message.method_string()},
                        .body = std::move(message.body()),
                        .keep_alive = message.keep_alive()};
    if (auto target = parse_target(message.target(), request); !target) return fail(target.error());
    return request;
}

std::string_view status_text(int status) noexcept {
    return http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status)));
}

std::string make_response(int status, std::string_view type, std::string_view body,
                          bool keep_alive) {
    std::string out = "HTTP/1.1 " + std::to_string(status) + ' ';
    out.append(status_text(status));
    out.append("\r\nContent-Type: ").append(type);
    out.append("\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff");
    out.append("\r\nContent-Length: ").append(std::to_string(body.size()));
    if (!keep_alive) out.append("\r\nConnection: close");
    return out.append("\r\n\r\n").append(body);
}

std::string make_stream_head(std::string_view type) {
    std::string out = "HTTP/1.1 200 OK\r\nContent-Type: ";
    out.append(type).append("\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked");
    return out.append("\r\nConnection: close\r\n\r\n");
}

std::string make_chunk(std::string_view data) {
    std::array<char, 16> size{};
    const auto [end, error] = std::to_chars(size.begin(), size.end(), data.size(), 16);
    std::string out{size.begin(), error == std::errc{} ? end : size.begin()};
    return out.append("\r\n").append(data).append("\r\n");
}

}  // namespace chaperone::control

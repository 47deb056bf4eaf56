// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/http1/chunks.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>

namespace chaperone::wire::http1 {
namespace {

constexpr std::size_t kMostDigits = 15;  // of a size: sums stay in 64 bits

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

ChunkReader::Step broken(std::string_view what) {
    return {.fault = {400, what}};
}

// ";name=value;name=\"quoted\"", checked for its characters only by take_line.
bool is_extension(std::string_view text) {
    if (text.empty()) return true;
    if (!text.starts_with(';') || text.size() == 1) return false;
    const std::string_view name = text.substr(1, text.find_first_of("=;", 1) - 1);
    return is_token(name);
}

}  // namespace

ChunkReader::Step ChunkReader::next(Bytes coded) {
    switch (state_) {
    case State::Size: return size_line(coded);
    case State::Data: {
        const std::size_t n =
            static_cast<std::size_t>(std::min<std::uint64_t>(left_, coded.size()));
        left_ -= n;
        if (left_ == 0) state_ = State::DataEnd;
        return {.used = n, .data = coded.first(n)};
    }
    case State::DataEnd:
        if (coded.empty()) return {};
        if (coded[0] != std::byte{'\r'}) return broken("a chunk is longer than its size");
        if (coded.size() < 2) return {};
        if (coded[1] != std::byte{'\n'}) return broken("a chunk is longer than its size");
        state_ = State::Size;
        return {.used = 2};
    case State::Trailer: return trailer_line(coded);
    case State::Done: break;
    }
    return {.done = true};
}

ChunkReader::Step ChunkReader::size_line(Bytes coded) {
    Bytes rest = coded;
    std::string_view line;
    switch (take_line(rest, line)) {
    case Line::NeedMore:
        if (line.size() > limits_.line) return broken("a chunk's size is malformed");
        if (!line.empty() && digit(line[0]) < 0) return broken("a chunk's size is malformed");
        return {};
    case Line::Bad: return broken("a chunk's size is malformed");
    case Line::Whole: break;
    }
    if (line.size() > limits_.line) return broken("a chunk's size is malformed");
    std::size_t digits = 0;
    std::uint64_t size = 0;
    for (; digits != line.size() && digit(line[digits]) >= 0; ++digits) {
        if (digits == kMostDigits) return broken("a chunk's size is malformed");
        size = size * 16 + static_cast<unsigned>(digit(line[digits]));
    }
    const std::string_view extension = line.substr(digits);
    if (digits == 0 || !is_extension(extension)) return broken("a chunk's size is malformed");
    extensions_ += extension.size();
    if (extensions_ > limits_.extensions) return broken("there are too many chunk extensions");
    left_ = size;
    state_ = size == 0 ? State::Trailer : State::Data;
    return {.used = coded.size() - rest.size()};
}

ChunkReader::Step ChunkReader::trailer_line(Bytes coded) {
    Bytes rest = coded;
    std::string_view line;
    switch (take_line(rest, line)) {
    case Line::NeedMore:
        if (trailer_bytes_ + coded.size() > limits_.trailers)
            return broken("the trailers are too large");
        return {};
    case Line::Bad: return broken("a trailer is malformed");
    case Line::Whole: break;
    }
    const std::size_t used = coded.size() - rest.size();
    trailer_bytes_ += used;
    if (trailer_bytes_ > limits_.trailers) return broken("the trailers are too large");
    if (line.empty()) {
        state_ = State::Done;
        return {.used = used, .done = true};
    }
    const auto field = parse_field(line);
    if (!field || !http::may_trail(field->name)) return broken("a trailer is malformed");
    if (trailers_.size() == limits_.fields) return broken("there are too many trailers");
    trailers_.emplace_back(field->name, field->value);
    return {.used = used};
}

void write_chunk_head(Buffer& to, std::size_t size) {
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16).ptr;
    append(to, std::string_view{digits.data(), end});
    append(to, std::string_view{"\r\n"});
}

namespace {

// A line, fields and the empty line behind them, in one go: a head has dozens of pieces.
void write_lines(Buffer& to, std::initializer_list<std::string_view> line,
                 const http::Fields& fields) {
    const auto each = [&](const auto& take) {
        for (const std::string_view text : line) take(text);
        for (const http::Field& field : fields)
            for (const std::string_view text :
                 {std::string_view{"\r\n"}, field.name, std::string_view{": "}, field.value})
                take(text);
        take(std::string_view{"\r\n\r\n"});
    };
    std::size_t size = to.size();
    each([&](std::string_view text) { size += text.size(); });
    auto at = static_cast<std::ptrdiff_t>(to.size());
    to.resize(size);
    each([&](std::string_view text) {
        std::ranges::copy(as_bytes(text), to.begin() + at);
        at += static_cast<std::ptrdiff_t>(text.size());
    });
}

}  // namespace

void write_last_chunk(Buffer& to,
                      const std::vector<std::pair<std::string, std::string>>& trailers) {
    http::Fields fields;
    for (const auto& [name, value] : trailers) fields.push_back({name, value});
    write_lines(to, {"0"}, fields);
}

void write_request_head(Buffer& to, const http::RequestHead& head, std::string_view target,
                        const http::Fields& fields) {
    write_lines(to, {head.method, " ", target, " HTTP/", head.version}, fields);
}

void write_response_head(Buffer& to, int status, std::string_view version, std::string_view reason,
                         const http::Fields& fields) {
    write_lines(to, {"HTTP/", version, " ", std::to_string(status), " ", reason}, fields);
}

std::string_view reason_of(int status) noexcept {
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "";
    }
}

}  // namespace chaperone::wire::http1

// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/http1/parser.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace chaperone::wire::http1 {

using http::Field;
using http::Fields;
using http::same;

namespace {

constexpr unsigned char kToken = 1;   // RFC 9110, 5.6.2
constexpr unsigned char kText = 2;    // of a field's value
constexpr unsigned char kTarget = 4;  // of a request target; what clients do send, not RFC 3986

constexpr std::array<unsigned char, 256> kClasses = [] {
    std::array<unsigned char, 256> made{};
    for (unsigned c = 0; c != 256; ++c) {
        const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        if (alpha || digit ||
            (c < 128 && c > 32 &&
             std::string_view{"!#$%&'*+-.^_`|~"}.find(static_cast<char>(c)) !=
                 std::string_view::npos))
            made[c] |= kToken;
        if ((c >= 32 && c != 127) || c == '\t') made[c] |= kText;
        if (c > 32 && c != 127 && c != '#') made[c] |= kTarget;
    }
    return made;
}();

bool all(std::string_view text, unsigned char wanted) {
    return std::ranges::all_of(
        text, [=](char c) { return (kClasses[static_cast<unsigned char>(c)] & wanted) != 0; });
}

constexpr Fault fault(std::string_view what, int status = 400) {
    return {status, what};
}

constexpr std::size_t kUsualFields = 16;

// All lines up to the empty one.
Parsed parse_fields(Bytes whole, Bytes rest, const Limits& limits, Fields& fields) {
    fields.clear();
    fields.reserve(kUsualFields);
    while (true) {
        std::string_view line;
        switch (take_line(rest, line)) {
        case Line::NeedMore:
            if (whole.size() >= limits.head) return {0, fault("the head is too large", 431)};
            return {};
        case Line::Bad: return {0, fault("a line does not end in CRLF")};
        case Line::Whole: break;
        }
        if (whole.size() - rest.size() > limits.head)
            return {0, fault("the head is too large", 431)};
        if (line.empty()) return {whole.size() - rest.size(), {}};
        if (fields.size() == limits.fields) return {0, fault("there are too many fields", 431)};
        const auto field = parse_field(line);
        if (!field) return {0, fault("a field line is malformed")};
        fields.push_back(*field);
    }
}

// Of fields as they were parsed, in a head in order: CRLF follows each value.
bool has_odd_space(const Fields& fields) {
    static constexpr std::array<std::string_view, 6> kFrame{
        "content-length", "transfer-encoding", "host", "connection", "upgrade", "expect"};
    return std::ranges::any_of(fields, [](const Field& field) {
        if (std::ranges::none_of(kFrame, [&](auto one) { return same(one, field.name); }))
            return false;
        const char* const colon = field.name.data() + field.name.size();
        const std::ptrdiff_t gap = field.value.data() - colon - 1;
        return gap > 1 || (gap == 1 && colon[1] != ' ') ||
               field.value.data()[field.value.size()] != '\r';
    });
}

// What says how long the body is. RFC 9112, 6.
struct Lengths {
    std::size_t lengths = 0;
    std::size_t codings = 0;
    std::uint64_t length = 0;
    bool chunked = false;
    bool padded = false;  // with zeros: no client does so, and some read it as octal
    Fault fault{};
};

Lengths lengths_of(const Fields& fields) {
    Lengths made;
    for (const Field& field : fields) {
        if (same(field.name, "content-length")) {
            ++made.lengths;
            made.padded = field.value.starts_with('0') && field.value.size() != 1;
            if (field.value.empty() || field.value.size() > 18 ||
                !std::ranges::all_of(field.value, [](char c) { return c >= '0' && c <= '9'; })) {
                made.fault = fault("Content-Length is no number");
                return made;
            }
            made.length = 0;
            for (const char c : field.value)
                made.length = made.length * 10 + static_cast<unsigned>(c - '0');
        } else if (same(field.name, "transfer-encoding")) {
            ++made.codings;
            made.chunked = same(field.value, "chunked");
        } else if (same(field.name, "content_length") || same(field.name, "transfer_encoding")) {
            // Some gateways take an underscore for a hyphen.
            made.fault = fault("a field's name may be taken for another's");
            return made;
        }
    }
    if (made.lengths > 1)
        made.fault = fault("Content-Length is there twice");
    else if (made.codings != 0 && made.lengths != 0)
        made.fault = fault("both Content-Length and Transfer-Encoding are there");
    else if (made.codings > 1 || (made.codings == 1 && !made.chunked))
        made.fault = fault("a transfer coding other than chunked", made.codings > 1 ? 400 : 501);
    return made;
}

bool keeps_alive(const Fields& fields, std::string_view version) {
    if (!http::find(fields, "connection")) return version == "1.1";
    if (http::lists(fields, "connection", "close")) return false;
    return version == "1.1" || http::lists(fields, "connection", "keep-alive");
}

// "HTTP/1.1" -> "1.1".
Fault version_of(std::string_view text, std::string_view& version) {
    if (text == "HTTP/1.1" || text == "HTTP/1.0") {
        version = text.substr(5);
        return {};
    }
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (text.size() == 8 && text.starts_with("HTTP/") && digit(text[5]) && text[6] == '.' &&
        digit(text[7]))
        return fault("this version of HTTP is not spoken here", 505);
    return fault("the version is malformed");
}

// An authority that a URI may have; no user information.
bool is_authority(std::string_view text) {
    return !text.empty() && text.find_first_of("@/?#\\, \"<>") == std::string_view::npos;
}

Fault take_target(std::string_view target, std::string_view scheme, http::RequestHead& head,
                  std::string_view& named) {
    head.target = target;
    if (head.method == "CONNECT") {
        if (!is_authority(target) || target.find(':') == std::string_view::npos)
            return fault("CONNECT names no host and port");
        named = target;
        head.target = {};
        return {};
    }
    if (target.starts_with('/')) return {};
    if (target == "*") return head.method == "OPTIONS" ? Fault{} : fault("the target is malformed");
    const std::size_t mark = target.find("://");
    if (mark == std::string_view::npos) return fault("the target is malformed");
    if (!same(target.substr(0, mark), scheme))
        return fault("the target's scheme is not the connection's");
    const std::string_view rest = target.substr(mark + 3);
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    named = rest.substr(0, end);
    if (!is_authority(named)) return fault("the target's authority is malformed");
    head.target = rest.substr(end);
    if (head.target.empty()) head.target = "/";
    if (!head.target.starts_with('/')) return fault("the target has no path");
    return {};
}

// Which host is meant. RFC 9112, 3.2.
Fault take_host(std::string_view named, http::RequestHead& head) {
    std::size_t hosts = 0;
    for (const Field& field : head.fields)
        if (same(field.name, "host")) {
            ++hosts;
            head.authority = field.value;
        }
    if (hosts > 1) return fault("Host is there twice");
    if (hosts == 0) {
        head.authority = named;
        return head.version == "1.0" ? Fault{} : fault("there is no Host");
    }
    if (!is_authority(head.authority)) return fault("Host is malformed");
    if (!named.empty() && !same(named, head.authority))
        return fault("Host is not the target's authority");
    return {};
}

}  // namespace

bool is_token(std::string_view text) noexcept {
    return !text.empty() && all(text, kToken);
}

Line take_line(Bytes& rest, std::string_view& line) {
    const std::string_view text = as_text(rest);
    const std::size_t end = text.find('\n');
    line = text.substr(0, end);
    const bool open = end == std::string_view::npos;
    if (open && line.ends_with('\r')) line.remove_suffix(1);
    if (!open) {
        if (!line.ends_with('\r')) return Line::Bad;
        line.remove_suffix(1);
    }
    if (!all(line, kText)) return Line::Bad;
    if (open) return Line::NeedMore;
    rest = rest.subspan(end + 1);
    return Line::Whole;
}

std::optional<Field> parse_field(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const Field field{line.substr(0, colon), http::trim(line.substr(colon + 1))};
    if (!is_token(field.name)) return std::nullopt;
    return field;
}

Parsed parse_request(Bytes data, std::string_view scheme, const Limits& limits,
                     http::RequestHead& head, Framing& framing) {
    Bytes rest = data;
    std::string_view line;
    switch (take_line(rest, line)) {
    case Line::NeedMore:
        if (line.size() > limits.target + 64) return {0, fault("the target is too long", 414)};
        return {};
    case Line::Bad: return {0, fault("the first line is malformed")};
    case Line::Whole: break;
    }
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last)
        return {0, fault("the first line is malformed")};
    const std::string_view target = line.substr(first + 1, last - first - 1);
    if (target.size() > limits.target) return {0, fault("the target is too long", 414)};
    head = {};
    head.scheme = scheme;
    head.method = line.substr(0, first);
    if (!is_token(head.method) || !all(target, kTarget) || target.empty())
        return {0, fault("the first line is malformed")};
    if (const Fault bad = version_of(line.substr(last + 1), head.version); bad.status != 0)
        return {0, bad};

    const Parsed parsed = parse_fields(data, rest, limits, head.fields);
    if (parsed.size == 0) return parsed;
    std::string_view named;
    if (const Fault bad = take_target(target, scheme, head, named); bad.status != 0)
        return {0, bad};
    if (const Fault bad = take_host(named, head); bad.status != 0) return {0, bad};

    const Lengths lengths = lengths_of(head.fields);
    if (lengths.fault.status != 0) return {0, lengths.fault};
    if (lengths.padded) return {0, fault("Content-Length begins with a zero")};
    if (lengths.codings != 0 && head.version == "1.0")
        return {0, fault("HTTP/1.0 has no transfer codings")};
    framing = {};
    framing.keep_alive = keeps_alive(head.fields, head.version);
    framing.odd_space = has_odd_space(head.fields);
    if (lengths.chunked) {
        framing.body = BodyKind::Chunked;
    } else if (lengths.length != 0) {
        framing.body = BodyKind::Length;
        framing.length = lengths.length;
    }
    for (const Field& field : head.fields)
        if (same(field.name, "expect") && !field.value.empty()) {
            if (!same(field.value, "100-continue"))
                return {0, fault("an expectation that cannot be met", 417)};
            framing.continue_100 = head.version == "1.1" && framing.body != BodyKind::None;
        }
    if (http::lists(head.fields, "connection", "upgrade") && head.version == "1.1")
        if (const auto protocol = http::find(head.fields, "upgrade")) {
            framing.upgrade = true;
            head.protocol = *protocol;
        }
    return parsed;
}

Parsed parse_response(Bytes data, std::string_view method, bool asked_upgrade, const Limits& limits,
                      http::ResponseHead& head, Framing& framing) {
    Bytes rest = data;
    std::string_view line;
    switch (take_line(rest, line)) {
    case Line::NeedMore:
        if (line.size() > limits.head) return {0, fault("the head is too large", 502)};
        return {};
    case Line::Bad: return {0, fault("the status line is malformed", 502)};
    case Line::Whole: break;
    }
    head = {};
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (line.size() < 12 || line[8] != ' ' || !std::ranges::all_of(line.substr(9, 3), digit) ||
        line[9] == '0' || (line.size() > 12 && line[12] != ' '))
        return {0, fault("the status line is malformed", 502)};
    if (const Fault bad = version_of(line.substr(0, 8), head.version); bad.status != 0)
        return {0, fault(bad.what, 502)};
    head.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    if (line.size() > 13) head.reason = line.substr(13);

    Parsed parsed = parse_fields(data, rest, limits, head.fields);
    if (parsed.fault.status != 0) parsed.fault.status = 502;
    if (parsed.size == 0) return parsed;
    if (head.status == 101 && !asked_upgrade)
        return {0, fault("the server switches protocols unasked", 502)};
    const Lengths lengths = lengths_of(head.fields);
    if (lengths.fault.status != 0) return {0, fault(lengths.fault.what, 502)};
    if (lengths.codings != 0 && head.version == "1.0")
        return {0, fault("HTTP/1.0 has no transfer codings", 502)};
    framing = {};
    framing.keep_alive = keeps_alive(head.fields, head.version);
    framing.odd_space = has_odd_space(head.fields);
    const bool bodyless =
        method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304;
    if (bodyless) return parsed;
    if (lengths.chunked) {
        framing.body = BodyKind::Chunked;
    } else if (lengths.lengths != 0) {
        framing.body = lengths.length != 0 ? BodyKind::Length : BodyKind::None;
        framing.length = lengths.length;
    } else {
        framing.body = BodyKind::UntilClose;
        framing.keep_alive = false;
    }
    return parsed;
}

}  // namespace chaperone::wire::http1

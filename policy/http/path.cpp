// SPDX-License-Identifier: Apache-2.0
#include "policy/http/path.h"

#include <algorithm>

namespace chaperone::policy::http {
namespace {

// Decoding again and again ends: each time the text gets shorter. Nobody decodes more often.
constexpr int kMostDecodings = 4;

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// The byte that an escape at this place means; -1: it is none.
int escape_at(std::string_view text, std::size_t at) {
    if (text[at] != '%' || text.size() - at < 3) return -1;
    const int high = digit(text[at + 1]);
    const int low = digit(text[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// How a server goes about it.
struct Manner {
    bool open_slashes = true;     // an escaped slash separates segments
    bool drop_parameters = true;  // of segments, before anything else is done
    bool merge = true;            // empty segments
    bool resolve = true;          // dot segments
    bool decode_again = false;    // what is still escaped after decoding
    bool backslash = false;       // separates segments
};

std::string without_parameters(std::string_view raw) {
    std::string made;
    for (std::size_t at = 0; at != raw.size(); ++at) {
        if (raw[at] == ';') at = std::min(raw.find('/', at), raw.size());
        if (at == raw.size()) break;
        made += raw[at];
    }
    return made;
}

// A slash that stays escaped is shown as "%2F", so that it is no separator in the reading either.
std::string decode(std::string_view raw, bool open_slashes) {
    std::string made;
    made.reserve(raw.size());
    for (std::size_t at = 0; at != raw.size(); ++at) {
        const int byte = escape_at(raw, at);
        if (byte < 0) {
            made += raw[at];
            continue;
        }
        at += 2;
        if (byte == '/' && !open_slashes)
            made += "%2F";
        else
            made += static_cast<char>(byte);
    }
    return made;
}

std::string arrange(std::string_view path, const Manner& manner) {
    std::vector<std::string_view> kept;
    bool folder = false;  // the path ends in a slash
    std::string_view rest = path.substr(path.starts_with('/') ? 1 : 0);
    while (true) {
        const std::size_t slash = rest.find('/');
        const std::string_view segment = rest.substr(0, slash);
        const bool last = slash == std::string_view::npos;
        if (manner.resolve && segment == "..") {
            if (!kept.empty()) kept.pop_back();
            folder = true;
        } else if (manner.resolve && segment == ".") {
            folder = true;
        } else if (segment.empty() && (manner.merge || last)) {
            folder = true;
        } else {
            kept.push_back(segment);
            folder = false;
        }
        if (last) break;
        rest.remove_prefix(slash + 1);
    }
    std::string made;
    for (const std::string_view segment : kept) made.append("/").append(segment);
    if (folder || made.empty()) made += '/';
    return made;
}

std::string read(std::string_view raw, const Manner& manner) {
    std::string path = manner.drop_parameters ? without_parameters(raw) : std::string{raw};
    path = decode(path, manner.open_slashes);
    for (int i = 1; manner.decode_again && i != kMostDecodings; ++i)
        path = decode(path, manner.open_slashes);
    if (manner.backslash) std::ranges::replace(path, '\\', '/');
    return arrange(path, manner);
}

// What no server reads in two ways: no escape, parameter, empty or dot segment, backslash.
bool plain(std::string_view raw) {
    for (std::size_t at = 0; at != raw.size(); ++at) {
        const char c = raw[at];
        if (c == '%' || c == ';' || c == '\\') return false;
        if (c == '/' && at + 1 != raw.size() && (raw[at + 1] == '/' || raw[at + 1] == '.'))
            return false;
    }
    return true;
}

// The points on which servers may differ here.
enum Question : unsigned {
    kSlash = 1,
    kParameter = 2,
    kEmpty = 4,
    kDots = 8,
    kAgain = 16,
    kBackslash = 32,
};

unsigned questions(std::string_view raw) {
    const std::string once = decode(raw, true);
    const bool again = once.find('%') != std::string::npos;
    if (again) return 63;
    unsigned open = 0;
    if (raw.find(';') != std::string_view::npos) open |= kParameter | kDots;
    if (once.find('\\') != std::string::npos) open |= kBackslash | kDots;
    if (std::ranges::count(once, '/') != std::ranges::count(raw, '/')) open |= kSlash;
    if (once.find("/.") != std::string::npos) open |= kDots;
    if (once.find("//") != std::string::npos || open != 0) open |= kEmpty;
    return open;
}

}  // namespace

std::vector<std::string> path_readings(std::string_view raw) {
    std::vector<std::string> made;
    if (plain(raw)) {
        made.emplace_back(raw);
        return made;
    }
    const auto add = [&](const Manner& manner) {
        std::string path = read(raw, manner);
        if (std::ranges::find(made, path) == made.end()) made.push_back(std::move(path));
    };
    add({});
    const unsigned open = questions(raw);
    for (unsigned bits = 1; bits != 64; ++bits)
        if ((bits & ~open) == 0)
            add({.open_slashes = (bits & kSlash) == 0,
                 .drop_parameters = (bits & kParameter) == 0,
                 .merge = (bits & kEmpty) == 0,
                 .resolve = (bits & kDots) == 0,
                 .decode_again = (bits & kAgain) != 0,
                 .backslash = (bits & kBackslash) != 0});
    return made;
}

std::vector<std::string> segments_of(std::string_view path) {
    std::vector<std::string> made;
    if (!path.starts_with('/')) return made;
    path.remove_prefix(1);
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        made.emplace_back(path.substr(0, slash));
        if (slash == std::string_view::npos) break;
        path.remove_prefix(slash + 1);
    }
    return made;
}

bool has_bad_escape(std::string_view raw) {
    for (std::size_t at = 0; at != raw.size(); ++at) {
        if (static_cast<unsigned char>(raw[at]) < 0x20 || raw[at] == 0x7f) return true;
        if (raw[at] != '%') continue;
        const int byte = escape_at(raw, at);
        if (byte < 0x20 || byte == 0x7f) return true;
    }
    // Who decodes again finds control characters, and some end a path at a zero. What is no escape
    // then was a percent sign that was meant.
    std::string text{raw};
    for (int i = 0; i != kMostDecodings && text.contains('%'); ++i) {
        text = decode(text, true);
        if (std::ranges::any_of(
                text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
            return true;
    }
    return false;
}

std::string unescape(std::string_view text, bool form) {
    std::string made;
    made.reserve(text.size());
    for (std::size_t at = 0; at != text.size(); ++at) {
        const int byte = escape_at(text, at);
        if (byte >= 0) at += 2;
        made += byte >= 0 ? static_cast<char>(byte) : form && text[at] == '+' ? ' ' : text[at];
    }
    return made;
}

}  // namespace chaperone::policy::http

// SPDX-License-Identifier: Apache-2.0
// HTTP's messages as every version carries them (RFC 9110): heads as views, and what is done with
// field names and list values. No framing: that is wire/http1's and nghttp2's. Views live as long
// as the buffer that was parsed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::http {

struct Field {
    std::string_view name{};  // as sent, in any case
    std::string_view value{};
};
using Fields = std::vector<Field>;

struct RequestHead {
    std::string_view method{};
    std::string_view scheme{};     // "http" or "https"
    std::string_view authority{};  // "host" or "host:port", of :authority or Host
    std::string_view target{};     // "/path?query", or "*"; with CONNECT empty or :path
    std::string_view version{};    // "1.0", "1.1", "2"
    std::string_view protocol{};   // :protocol of extended CONNECT (RFC 8441), or Upgrade
    Fields fields{};               // without pseudo-fields; Host is one of them in version 1
};

struct ResponseHead {
    int status = 0;
    std::string_view version{};
    std::string_view reason{};
    Fields fields{};
};

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
inline std::string lower(std::string_view text) {
    std::string made{text};
    for (char& c : made) c = lower(c);
    return made;
}
// Names, tokens and hosts compare without regard to the case of ASCII letters.
inline bool same(std::string_view a, std::string_view b) noexcept {
    return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}
inline std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// The first field of this name.
inline std::optional<std::string_view> find(std::span<const Field> fields, std::string_view name) {
    for (const Field& field : fields)
        if (same(field.name, name)) return field.value;
    return std::nullopt;
}

// Whether a field may stand behind a body: none that frames, routes, proves or decides, since no
// rule has seen it, and a server may add trailers to the fields before the body (RFC 9110, 6.5.1).
bool may_trail(std::string_view name) noexcept;

// Takes the next element off a comma-separated list; quoted strings hold no separators. Empty
// elements are skipped; nullopt at the end. RFC 9110, 5.6.1.
inline std::optional<std::string_view> next_element(std::string_view& list) {
    while (!list.empty()) {
        std::size_t end = 0;
        for (bool quoted = false; end != list.size(); ++end) {
            if (quoted && list[end] == '\\' && end + 1 != list.size()) {
                ++end;
                continue;
            }
            if (list[end] == '"') quoted = !quoted;
            if (list[end] == ',' && !quoted) break;
        }
        const std::string_view element = trim(list.substr(0, end));
        list.remove_prefix(std::min(end + 1, list.size()));
        if (!element.empty()) return element;
    }
    return std::nullopt;
}

// Whether some field of this name lists this token, parameters of the element left aside.
inline bool lists(std::span<const Field> fields, std::string_view name, std::string_view token) {
    for (const Field& field : fields) {
        if (!same(field.name, name)) continue;
        std::string_view rest = field.value;
        while (const auto element = next_element(rest))
            if (same(trim(element->substr(0, element->find(';'))), token)) return true;
    }
    return false;
}

}  // namespace chaperone::http

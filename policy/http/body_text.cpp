// SPDX-License-Identifier: Apache-2.0
#include "policy/http/body_text.h"

#include <algorithm>
#include <array>

namespace chaperone::policy::http {
namespace {

using chaperone::http::lower;
using chaperone::http::same;
using chaperone::http::trim;

constexpr std::string_view kOddCharset = "a body in another charset than UTF-8";
constexpr std::string_view kCoded = "a body under a content coding";

bool is_one(std::string_view name, auto const& names) noexcept {
    return std::ranges::any_of(names, [&](std::string_view one) { return same(name, one); });
}

// Wherever the word stands, however a reader takes the line apart: a charset that is known must
// follow it.
bool names_odd_charset(std::string_view type, bool ascii) noexcept {
    static constexpr std::array<std::string_view, 4> kUtf8{"utf-8", "utf8", "us-ascii", "ascii"};
    static constexpr std::array<std::string_view, 5> kOfAscii{"iso-8859-1", "latin1", "iso-8859-15",
                                                              "windows-1252", "cp1252"};
    constexpr std::string_view kName = "charset";
    for (std::size_t at = 0; at + kName.size() <= type.size(); ++at) {
        if (!same(type.substr(at, kName.size()), kName)) continue;
        std::string_view rest = trim(type.substr(at + kName.size()));
        if (!rest.starts_with('=')) return true;
        rest = trim(rest.substr(1));
        const bool quoted = rest.starts_with('"');
        if (quoted) rest.remove_prefix(1);
        const std::size_t end = rest.find_first_of(quoted ? "\"" : ";, \t");
        const std::string_view value = rest.substr(0, end);
        if (!is_one(value, kUtf8) && !(ascii && is_one(value, kOfAscii))) return true;
    }
    return false;
}

}  // namespace

std::string_view body_text_fault(const Facts& facts) noexcept {
    const std::string_view data = facts.body.data;
    if (data.empty()) return {};
    const bool ascii = std::ranges::all_of(data, [](char c) { return (c & 0x80) == 0; });
    for (const Field& field : facts.head().fields) {
        if (field.name == "content-type" && names_odd_charset(field.value, ascii))
            return kOddCharset;
        if (field.name != "content-encoding") continue;
        std::string_view rest = field.value;
        while (const auto coding = chaperone::http::next_element(rest))
            if (!same(*coding, "identity")) return kCoded;
    }
    return {};
}

}  // namespace chaperone::policy::http

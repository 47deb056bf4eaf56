// SPDX-License-Identifier: Apache-2.0
// The string functions of the language and of its strings extension. Indices count code points.
#include "policy/cel/functions/library.h"
#include "policy/cel/utf8.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace chaperone::cel {
namespace {

Value out_of_range(std::int64_t index) {
    return Value::own_error("index out of range: " + std::to_string(index));
}

// Byte offset of a code point's index; npos if the index is not in [0, count].
std::size_t at_index(std::string_view text, std::int64_t index) {
    if (index < 0 || static_cast<std::uint64_t>(index) > text.size()) return text.npos;
    const auto wanted = static_cast<std::size_t>(index);
    const std::size_t offset = utf8::offset(text, wanted);
    if (offset == text.size() && utf8::count(text) != wanted) return text.npos;
    return offset;
}

template <bool (*Test)(std::string_view, std::string_view)>
Value tests(Call& call, Arguments a) {
    if (!call.spend(a[0].as_text().size() / 64)) return steps_used_up();
    return Value::boolean(Test(a[0].as_text(), a[1].as_text()));
}
// memmem() is linear in the text whatever the part is, string_view::find() is not.
bool contains(std::string_view text, std::string_view part) {
    return memmem(text.data(), text.size(), part.data(), part.size()) != nullptr || part.empty();
}
bool starts(std::string_view text, std::string_view part) {
    return text.starts_with(part);
}
bool ends(std::string_view text, std::string_view part) {
    return text.ends_with(part);
}

Value char_at(Call& call, Arguments a) {
    const std::string_view text = a[0].as_text();
    if (!call.spend(text.size() / 16)) return steps_used_up();
    const std::size_t offset = at_index(text, a[1].as_int());
    if (offset == text.npos) return out_of_range(a[1].as_int());
    if (offset == text.size()) return Value::text("");
    std::size_t end = offset;
    utf8::next(text, end);
    return Value::own_text(text.substr(offset, end - offset));
}

Value index_from(std::string_view text, std::string_view part, std::size_t from) {
    const std::size_t found = text.find(part, from);
    if (found == text.npos) return Value::integer(-1);
    return Value::integer(static_cast<std::int64_t>(utf8::count(text.substr(0, found))));
}
// find() is quadratic for crafted text.
bool afford_search(Call& call, std::string_view text, std::string_view part) {
    return call.spend(text.size() / 16 + text.size() * part.size() / 1024);
}
Value index_of(Call& call, Arguments a) {
    const std::string_view text = a[0].as_text();
    if (!afford_search(call, text, a[1].as_text())) return steps_used_up();
    const std::int64_t start = a.size() == 3 ? a[2].as_int() : 0;
    const std::size_t from = at_index(text, start);
    if (from == text.npos) return out_of_range(start);
    return index_from(text, a[1].as_text(), from);
}
Value last_index_of(Call& call, Arguments a) {
    const std::string_view text = a[0].as_text();
    if (!afford_search(call, text, a[1].as_text())) return steps_used_up();
    std::size_t from = text.npos;
    if (a.size() == 3) {
        from = at_index(text, a[2].as_int());
        if (from == text.npos) return out_of_range(a[2].as_int());
    }
    const std::size_t found = text.rfind(a[1].as_text(), from);
    if (found == text.npos) return Value::integer(-1);
    return Value::integer(static_cast<std::int64_t>(utf8::count(text.substr(0, found))));
}

template <char From, char To, int Shift>
Value ascii(Call& call, Arguments a) {
    std::string text{a[0].as_text()};
    for (char& c : text)
        if (c >= From && c <= To) c = static_cast<char>(c + Shift);
    return made_text(call, text);
}

Value replace(Call& call, Arguments a) {
    const std::string_view text = a[0].as_text();
    const std::string_view from = a[1].as_text();
    const std::string_view to = a[2].as_text();
    std::int64_t left = a.size() == 4 ? a[3].as_int() : -1;
    if (!afford_search(call, text, from)) return steps_used_up();
    std::string made;
    std::size_t at = 0;
    // An empty pattern is found before each code point and at the end.
    for (; left != 0; --left) {
        const std::size_t found = text.find(from, at);
        if (found == text.npos) break;
        made.append(text.substr(at, found - at)).append(to);
        if (made.size() > call.limits().value_size) return made_text(call, made);
        at = found + from.size();
        if (!from.empty()) continue;
        if (at == text.size()) break;
        const std::size_t begin = at;
        utf8::next(text, at);
        made.append(text.substr(begin, at - begin));
    }
    if (at <= text.size()) made.append(text.substr(at));
    return made_text(call, made);
}

Value split(Call& call, Arguments a) {
    const std::string_view text = a[0].as_text();
    const std::string_view separator = a[1].as_text();
    const std::int64_t limit = a.size() == 3 ? a[2].as_int() : -1;
    if (!afford_search(call, text, separator)) return steps_used_up();
    std::vector<Value> parts;
    if (limit == 0) return made_list(call, {});
    std::size_t at = 0;
    while (limit < 0 || static_cast<std::int64_t>(parts.size()) + 1 < limit) {
        std::size_t end = text.find(separator, at);
        if (separator.empty()) {
            if (at >= text.size()) break;
            end = at;
            utf8::next(text, end);
            if (end == text.size()) break;
        } else if (end == text.npos) {
            break;
        }
        parts.push_back(Value::own_text(text.substr(at, end - at)));
        at = end + separator.size();
    }
    if (!separator.empty() || at < text.size()) parts.push_back(Value::own_text(text.substr(at)));
    return made_list(call, std::move(parts));
}

Value substring(Call& call, Arguments a) {
    const std::string_view text = a[0].as_text();
    if (!call.spend(text.size() / 16)) return steps_used_up();
    const std::size_t begin = at_index(text, a[1].as_int());
    if (begin == text.npos) return out_of_range(a[1].as_int());
    if (a.size() == 2) return Value::own_text(text.substr(begin));
    const std::size_t end = at_index(text, a[2].as_int());
    if (end == text.npos) return out_of_range(a[2].as_int());
    if (end < begin)
        return Value::own_error("invalid substring range. start: " + std::to_string(a[1].as_int()) +
                                ", end: " + std::to_string(a[2].as_int()));
    return Value::own_text(text.substr(begin, end - begin));
}

// Unicode's White_Space property.
bool is_space(char32_t c) {
    constexpr std::array<char32_t, 9> kSingle{0x20,   0x85,   0xA0,   0x1680, 0x2028,
                                              0x2029, 0x202F, 0x205F, 0x3000};
    return (c >= 9 && c <= 13) || (c >= 0x2000 && c <= 0x200A) ||
           std::ranges::find(kSingle, c) != kSingle.end();
}
Value trim(Call& call, Arguments a) {
    const std::string_view text = a[0].as_text();
    std::size_t begin = text.size();
    std::size_t end = text.size();
    bool inside = false;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t from = at;
        if (is_space(utf8::next(text, at))) continue;
        if (!inside) begin = from;
        inside = true;
        end = at;
    }
    return made_text(call, text.substr(begin, end - begin));
}

Value join(Call& call, Arguments a) {
    const List& list = a[0].as_list();
    const std::string_view separator = a.size() == 2 ? a[1].as_text() : "";
    std::string made;
    for (std::size_t i = 0; i != list.size(); ++i) {
        const Value part = list.at(i);
        if (!part.is(Kind::String)) return Value::error("no such overload: join needs strings");
        if (i != 0) made += separator;
        made += part.as_text();
        if (made.size() > call.limits().value_size || !call.spend(1)) break;
    }
    return made_text(call, made);
}

Value reverse(Call& call, Arguments a) {
    const std::string_view text = a[0].as_text();
    std::string made;
    made.resize(text.size());
    std::size_t to = text.size();
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at;
        utf8::next(text, at);
        to -= at - begin;
        text.copy(made.data() + to, at - begin, begin);
    }
    return made_text(call, made);
}

Value quoted(Call& call, Arguments a) {
    std::string made = "\"";
    for (const char c : utf8::repaired(a[0].as_text())) {
        constexpr std::string_view kFrom = "\a\b\f\n\r\t\v\\\"";
        constexpr std::string_view kTo = "abfnrtv\\\"";
        const auto escape = kFrom.find(c);
        if (escape == kFrom.npos)
            made += c;
        else
            made.append({'\\', kTo[escape]});
    }
    return made_text(call, made + '"');
}

}  // namespace

void add_strings(Environment::Builder& to) {
    to.function("string.contains(string) -> bool", tests<contains>)
        .function("string.startsWith(string) -> bool", tests<starts>)
        .function("string.endsWith(string) -> bool", tests<ends>)
        .function("string.charAt(int) -> string", char_at)
        .function("string.indexOf(string) -> int", index_of)
        .function("string.indexOf(string, int) -> int", index_of)
        .function("string.lastIndexOf(string) -> int", last_index_of)
        .function("string.lastIndexOf(string, int) -> int", last_index_of)
        .function("string.lowerAscii() -> string", ascii<'A', 'Z', 32>)
        .function("string.upperAscii() -> string", ascii<'a', 'z', -32>)
        .function("string.replace(string, string) -> string", replace)
        .function("string.replace(string, string, int) -> string", replace)
        .function("string.split(string) -> list(string)", split)
        .function("string.split(string, int) -> list(string)", split)
        .function("string.substring(int) -> string", substring)
        .function("string.substring(int, int) -> string", substring)
        .function("string.trim() -> string", trim)
        .function("string.reverse() -> string", reverse)
        .function("list(string).join() -> string", join)
        .function("list(string).join(string) -> string", join)
        .function("strings.quote(string) -> string", quoted);
}

}  // namespace chaperone::cel

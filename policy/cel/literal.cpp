// SPDX-License-Identifier: Apache-2.0
// String and bytes literals: prefixes, quotes and escapes.
#include "policy/cel/lexer.h"
#include "policy/cel/utf8.h"

#include <cctype>

namespace chaperone::cel {
namespace {

struct Literal {
    bool raw = false;
    bool bytes = false;
    std::string_view body;
};

Literal take_apart(std::string_view literal) {
    Literal parts;
    while (literal.front() != '\'' && literal.front() != '"') {
        if (literal.front() == 'r' || literal.front() == 'R') parts.raw = true;
        if (literal.front() == 'b' || literal.front() == 'B') parts.bytes = true;
        literal.remove_prefix(1);
    }
    const bool triple = literal.size() >= 6 && literal[1] == literal[0] && literal[2] == literal[0];
    const std::size_t quotes = triple ? 3 : 1;
    parts.body = literal.substr(quotes, literal.size() - 2 * quotes);
    return parts;
}

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

class Unescaper {
public:
    explicit Unescaper(const Literal& literal) : body_(literal.body), bytes_(literal.bytes) {}

    Value run() {
        while (at_ < body_.size()) {
            if (body_[at_] != '\\') {
                out_ += body_[at_++];
                continue;
            }
            ++at_;
            if (const char* wrong = escape(); wrong != nullptr) return Value::error(wrong);
        }
        return bytes_ ? Value::own_bytes(out_) : Value::own_text(out_);
    }

private:
    const char* escape() {
        if (at_ == body_.size()) return "a backslash ends the literal";
        const char c = body_[at_++];
        constexpr std::string_view kFrom = "abfnrtv\\'\"`?";
        constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\'\"`?";
        if (const auto simple = kFrom.find(c); simple != kFrom.npos) {
            out_ += kTo[simple];
            return nullptr;
        }
        if (c == 'x' || c == 'X') return number(2, 16);
        if (c == 'u') return number(4, 16);
        if (c == 'U') return number(8, 16);
        if (c >= '0' && c <= '3') {
            --at_;
            return number(3, 8);
        }
        return bytes_ ? "no such escape in a bytes literal" : "no such escape in a string literal";
    }

    const char* number(std::size_t digits, int base) {
        if (body_.size() - at_ < digits) return "an escape is cut short";
        std::uint32_t value = 0;
        for (std::size_t i = 0; i != digits; ++i) {
            const int next = digit(body_[at_++]);
            if (next >= base) return "an escape has a wrong digit";
            value = value * static_cast<std::uint32_t>(base) + static_cast<std::uint32_t>(next);
        }
        // \x and octal name a byte there; \u and \U a code point everywhere.
        if (bytes_ && digits < 4) {
            out_ += static_cast<char>(value);
            return nullptr;
        }
        if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
            return "an escape names no Unicode code point";
        utf8::append(out_, value);
        return nullptr;
    }

    std::string_view body_;
    bool bytes_;
    std::size_t at_ = 0;
    std::string out_;
};

}  // namespace

Value decode_text_literal(std::string_view literal) {
    const Literal parts = take_apart(literal);
    if (!parts.raw) return Unescaper{parts}.run();
    return parts.bytes ? Value::own_bytes(parts.body) : Value::own_text(parts.body);
}

}  // namespace chaperone::cel

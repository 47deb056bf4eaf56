// SPDX-License-Identifier: Apache-2.0
// CEL source to tokens.
#include "policy/cel/lexer.h"

#include "policy/cel/number.h"
#include "policy/cel/utf8.h"

#include <array>
#include <charconv>

namespace chaperone::cel {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
// '@' begins the names that macros and optimisers make (@index0); no declaration has one.
bool begins_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '@';
}
bool continues_name(char c) {
    return (begins_name(c) && c != '@') || is_digit(c);
}

class Lexer {
public:
    Lexer(const Source& source, Issues& issues) : text_(source.text()), issues_(issues) {}

    std::vector<Lexeme> run() {
        for (skip_blank(); at_ < text_.size(); skip_blank()) {
            begin_ = at_;
            one();
        }
        begin_ = at_;
        put(Token::End);
        return std::move(out_);
    }

private:
    char peek(std::size_t ahead = 0) const {
        return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    }

    void skip_blank() {
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == '/' && peek(1) == '/') {
                while (at_ < text_.size() && text_[at_] != '\n') ++at_;
            } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
                ++at_;
            } else {
                return;
            }
        }
    }

    Lexeme& put(Token kind) {
        return out_.emplace_back(Lexeme{kind,
                                        static_cast<std::uint32_t>(begin_),
                                        static_cast<std::uint32_t>(at_),
                                        text_.substr(begin_, at_ - begin_),
                                        {}});
    }
    void bad(std::string message) {
        if (at_ == begin_) ++at_;
        issues_.error(static_cast<std::uint32_t>(begin_), static_cast<std::uint32_t>(at_),
                      std::move(message));
        put(Token::Bad);
    }

    void one() {
        const char c = peek();
        if (const std::size_t prefix = text_prefix(); prefix != std::string_view::npos)
            return text_literal(prefix);
        if (begins_name(c)) return name();
        if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
        if (c == '`') return quoted();
        constexpr std::array<std::string_view, 6> kTwo{"==", "!=", "<=", ">=", "&&", "||"};
        for (const std::string_view two : kTwo)
            if (text_.substr(at_, 2) == two) {
                at_ += 2;
                put(Token::Punctuation);
                return;
            }
        if (std::string_view{"<>+-*/%!?:.,()[]{}"}.contains(c)) {
            ++at_;
            put(Token::Punctuation);
            return;
        }
        std::size_t end = at_;
        utf8::next(text_, end);
        at_ = end;
        bad(c == '='
                ? "'=' is no operator; equality is '=='"
                : "unexpected character '" + std::string{text_.substr(begin_, at_ - begin_)} + "'");
    }

    // The length of a prefix (r, b, rb, br, in any case) if a quote follows; npos if none does.
    std::size_t text_prefix() const {
        std::size_t length = 0;
        bool raw = false;
        bool bytes = false;
        for (; length != 3; ++length) {
            const char c = peek(length);
            if (c == '\'' || c == '"') return length;
            bool& seen = (c == 'r' || c == 'R') ? raw : bytes;
            if (!std::string_view{"rRbB"}.contains(c) || c == '\0' || seen) break;
            seen = true;
        }
        return std::string_view::npos;
    }

    void text_literal(std::size_t prefix) {
        const std::string_view letters = text_.substr(at_, prefix);
        const bool raw = letters.find_first_of("rR") != letters.npos;
        at_ += prefix;
        const char quote = peek();
        const bool triple = peek(1) == quote && peek(2) == quote;
        at_ += triple ? 3 : 1;
        for (;; ++at_) {
            if (at_ >= text_.size() || (!triple && (peek() == '\n' || peek() == '\r')))
                return bad("the literal is not closed");
            if (peek() == '\\' && !raw && at_ + 1 < text_.size()) {
                ++at_;
                if (!triple && (peek() == '\n' || peek() == '\r')) --at_;
            } else if (peek() == quote && (!triple || (peek(1) == quote && peek(2) == quote))) {
                break;
            }
        }
        at_ += triple ? 3 : 1;
        Value value = decode_text_literal(text_.substr(begin_, at_ - begin_));
        if (value.is(Kind::Error)) return bad(std::string{value.as_text()});
        put(Token::Literal).value = std::move(value);
    }

    void name() {
        ++at_;
        while (continues_name(peek())) ++at_;
        put(Token::Identifier);
    }

    void quoted() {
        ++at_;
        const std::size_t from = at_;
        while (at_ < text_.size() && (continues_name(peek()) || peek() == '.' || peek() == '-' ||
                                      peek() == '/' || peek() == ' '))
            ++at_;
        const std::size_t length = at_ - from;
        if (peek() != '`' || length == 0)
            return bad("a quoted field name is not closed or has a foreign character");
        ++at_;
        put(Token::Quoted).text = text_.substr(from, length);
    }

    void number() {
        if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'X') && is_hex(peek(2))) {
            at_ += 2;
            while (is_hex(peek())) ++at_;
            return integer(16, begin_ + 2);
        }
        while (is_digit(peek())) ++at_;
        bool real = false;
        if (peek() == '.' && is_digit(peek(1))) {
            real = true;
            for (++at_; is_digit(peek());) ++at_;
        }
        const std::size_t sign = (peek(1) == '+' || peek(1) == '-') ? 2 : 1;
        if ((peek() == 'e' || peek() == 'E') && is_digit(peek(sign))) {
            real = true;
            for (at_ += sign; is_digit(peek());) ++at_;
        }
        if (!real) return integer(10, begin_);
        double value = 0;
        const auto text = text_.substr(begin_, at_ - begin_);
        if (read_double(text, value).ec != std::errc{})
            return bad("the number does not fit a double");
        put(Token::Literal).value = Value::real(value);
    }

    void integer(int base, std::size_t from) {
        const std::string_view digits = text_.substr(from, at_ - from);
        std::uint64_t value = 0;
        const auto got = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
        const bool natural = peek() == 'u' || peek() == 'U';
        if (natural) ++at_;
        constexpr std::uint64_t kTop = std::uint64_t{1} << 63;
        if (got.ec != std::errc{} || (!natural && value > kTop))
            return bad(natural ? "the number does not fit a uint"
                               : "the number does not fit an int");
        Lexeme& made = put(Token::Literal);
        if (natural)
            made.value = Value::unsigned_integer(value);
        else if (value == kTop)
            made.value = Value::error("the number does not fit an int");  // unless negated
        else
            made.value = Value::integer(static_cast<std::int64_t>(value));
    }

    std::string_view text_;
    Issues& issues_;
    std::size_t at_ = 0;
    std::size_t begin_ = 0;
    std::vector<Lexeme> out_;
};

}  // namespace

std::vector<Lexeme> lex(const Source& source, Issues& issues) {
    return Lexer{source, issues}.run();
}

}  // namespace chaperone::cel

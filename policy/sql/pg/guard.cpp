// SPDX-License-Identifier: Apache-2.0
#include "policy/sql/pg/guard.h"

#include <array>
#include <cstdint>
#include <utility>

namespace chaperone::policy::sql::pg {
namespace {

constexpr std::size_t kMaxBrackets = 400;  // open at once; far beyond what people write
// The tree takes some 600 bytes a token while it lives; a statement of 65,535 parameters has
// 130,000.
constexpr std::size_t kMaxTokens = 200'000;

bool is_space(char c) noexcept {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool is_word(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

// Walks over tokens as PostgreSQL's scanner (src/backend/parser/scan.l) cuts them, roughly: every
// difference must lie on the side of more tokens.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    // The next token's first byte, 0 at the end; the token is text_[start_, at_).
    char next() noexcept {
        skip_blank();
        if (at_ >= text_.size()) return 0;
        start_ = at_;
        const char c = text_[at_];
        if (c == '\'')
            quoted('\'', false);
        else if (c == '"')
            quoted('"', false);
        else if (c == '$' && dollar_quoted())
            return c;
        else if (is_word(c))
            word();
        else
            ++at_;
        return c;
    }

    std::string_view token() const noexcept { return text_.substr(start_, at_ - start_); }

private:
    void skip_blank() noexcept {
        for (;;) {
            while (at_ < text_.size() && is_space(text_[at_])) ++at_;
            if (text_.substr(at_).starts_with("--")) {
                while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') ++at_;
            } else if (text_.substr(at_).starts_with("/*")) {
                comment();
            } else {
                return;
            }
        }
    }

    void comment() noexcept {
        std::size_t depth = 0;
        do {
            const std::string_view rest = text_.substr(at_);
            if (rest.starts_with("/*")) {
                ++depth;
                at_ += 2;
            } else if (rest.starts_with("*/")) {
                --depth;
                at_ += 2;
            } else {
                ++at_;
            }
        } while (depth != 0 && at_ < text_.size());
    }

    void quoted(char quote, bool backslash) noexcept {
        for (++at_; at_ < text_.size(); ++at_) {
            if (backslash && text_[at_] == '\\')
                ++at_;
            else if (text_[at_] == quote && (at_ + 1 >= text_.size() || text_[at_ + 1] != quote))
                break;
            else if (text_[at_] == quote)
                ++at_;
        }
        if (at_ < text_.size())
            ++at_;
        else
            at_ = text_.size();
    }

    void word() noexcept {
        const char c = text_[at_];
        if ((c == 'e' || c == 'E') && at_ + 1 < text_.size() && text_[at_ + 1] == '\'') {
            ++at_;
            quoted('\'', true);
            return;
        }
        while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    }

    bool dollar_quoted() noexcept {
        std::size_t end = at_ + 1;
        while (end < text_.size() && is_word(text_[end]) && text_[end] != '$') ++end;
        if (end >= text_.size() || text_[end] != '$') return word(), false;
        if (end > at_ + 1 && text_[at_ + 1] >= '0' && text_[at_ + 1] <= '9') return word(), false;
        const std::string_view tag = text_.substr(at_, end - at_ + 1);
        const std::size_t close = text_.find(tag, end + 1);
        at_ = close == std::string_view::npos ? text_.size() : close + tag.size();
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t start_ = 0;
};

bool opens_block(std::string_view token) noexcept {
    if (token.size() < 2 || token.size() > 5) return false;
    char lower[5];
    for (std::size_t i = 0; i < token.size(); ++i) lower[i] = static_cast<char>(token[i] | 0x20);
    const std::string_view word{lower, token.size()};
    return word == "begin" || word == "if" || word == "loop" || word == "case" || word == "for" ||
           word == "while" || word == "elsif";
}

enum class Word : unsigned char { Other, Case, When, Or, End };

// The words of an expression after which the parser goes on in a list, and which it never takes for
// names there: all are reserved, and after a dot or AS they are names.
Word word_of(std::string_view token, std::string_view before) noexcept {
    if (token.size() < 2 || token.size() > 4) return Word::Other;
    char lower[4];
    const auto lowered = [&lower](std::string_view from) {
        for (std::size_t i = 0; i < from.size(); ++i) lower[i] = static_cast<char>(from[i] | 0x20);
        return std::string_view{lower, from.size()};
    };
    if (before == "." || (before.size() == 2 && lowered(before) == "as")) return Word::Other;
    const std::string_view word = lowered(token);
    if (word == "case") return Word::Case;
    if (word == "when" || word == "then" || word == "else") return Word::When;
    if (word == "or") return Word::Or;
    return word == "end" ? Word::End : Word::Other;
}

std::string_view scan(std::string_view text, std::size_t max_bytes, std::size_t chain,
                      bool body) noexcept {
    if (text.size() > max_bytes) return "too large to inspect";
    if (text.find('\0') != std::string_view::npos) return "holds a zero byte";
    if (!is_utf8(text)) return "is not UTF-8";
    std::array<std::uint32_t, kMaxBrackets + 1> level{};  // tokens since the last comma, by bracket
    std::array<bool, kMaxBrackets + 1> is_case{};         // the bracket is CASE … END
    std::size_t depth = 0, total = 0, blocks = 0, tokens = 0;
    std::string_view before;
    Scanner scanner{text};
    for (char c = scanner.next(); c != 0; c = scanner.next()) {
        if (++tokens > kMaxTokens) return "too large to inspect";
        // OR binds loosest of all operators and makes one flat list, as WHEN does within its CASE.
        // The texts of functions have other ENDs and CASEs.
        const Word word =
            body ? Word::Other : word_of(scanner.token(), std::exchange(before, scanner.token()));
        if (c == ',' || c == ';' || word == Word::Or || (word == Word::When && is_case[depth])) {
            total -= level[depth];
            level[depth] = 0;
            continue;
        }
        ++level[depth];
        if (++total > chain) return "nests too deep to inspect";
        if (body && opens_block(scanner.token()) && ++blocks > kMaxBrackets)
            return "nests too deep to inspect";
        if (c == '(' || c == '[' || word == Word::Case) {
            if (++depth > kMaxBrackets) return "nests too deep to inspect";
            level[depth] = 0;
            is_case[depth] = word == Word::Case;
        } else if (depth > 0 && (is_case[depth] ? word == Word::End : c == ')' || c == ']')) {
            total -= level[depth];
            --depth;
        }
    }
    return {};
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    const auto* const end = p + text.size();
    while (p < end) {
        if (*p < 0x80) {
            ++p;
            continue;
        }
        const std::size_t more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
        if (*p < 0xc2 || *p > 0xf4 || static_cast<std::size_t>(end - p) <= more) return false;
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
            (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
            return false;
        for (std::size_t i = 1; i <= more; ++i)
            if ((p[i] & 0xc0) != 0x80) return false;
        p += more + 1;
    }
    return true;
}

std::string_view refuse(std::string_view text, std::size_t max_bytes, std::size_t chain) noexcept {
    return scan(text, max_bytes, chain, false);
}

std::string_view refuse_body(std::string_view text, std::size_t max_bytes,
                             std::size_t chain) noexcept {
    return scan(text, max_bytes, chain, true);
}

}  // namespace chaperone::policy::sql::pg

// SPDX-License-Identifier: Apache-2.0
#include "policy/shell/facts.h"
#include "policy/shell/parser.h"

#include <algorithm>

namespace chaperone::policy::shell {
namespace {

constexpr std::string_view kMeta = " \t\n;&|<>()";

bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// What one letter behind a backslash means in $'…'; 0: not one of these.
char escape(char c) {
    switch (c) {
    case 'a': return '\a';
    case 'b': return '\b';
    case 'e':
    case 'E': return '\x1b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    case '\\':
    case '"':
    case '?': return c;
    default: return '\0';
    }
}

}  // namespace

bool Parser::word(Word& made) {
    const std::size_t from = at_;
    bool brace = false, many = false;
    if (here() == '~' && here(1) != '/' && kMeta.find(here(1)) == std::string_view::npos &&
        at_ + 1 < text_.size())
        made.known = false;  // another user's home
    const bool alone = here(1) == ' ' || here(1) == '\t';
    if (here() == '=' && !alone) made.known = false;  // zsh: where a program lies
    while (!end()) {
        const char c = here();
        if ((c == '<' || c == '>') && here(1) == '(' && at_ == from) {
            at_ += 2;
            if (!substitution(made, at_ - 2)) return false;
            continue;
        }
        if (kMeta.find(c) != std::string_view::npos) break;
        if (starts("\\\n")) {
            at_ += 2;
        } else if (c == '\\') {
            if (at_ + 1 == text_.size()) return bad("a backslash at the end");
            made.text += here(1);
            at_ += 2;
        } else if (c == '\'') {
            const std::size_t close = text_.find('\'', at_ + 1);
            if (close == std::string_view::npos) return bad("a quote without its end");
            made.text += text_.substr(at_ + 1, close - at_ - 1);
            at_ = close + 1;
        } else if (c == '"') {
            if (!double_quotes(made)) return false;
        } else if (c == '$') {
            if (!dollar(made, false)) return false;
        } else if (c == '`') {
            if (!backquotes(made)) return false;
        } else {
            // Names of files; the command [ stands alone.
            const bool opens = c == '[' && !(at_ == from && alone);
            if (c == '*' || c == '?' || opens) made.known = false;
            brace = brace || c == '{';
            many = many || (brace && (c == ',' || (c == '.' && here(1) == '.')));
            if (c == '}' && many) made.known = false;  // several words
            made.text += c;
            ++at_;
        }
    }
    return at_ != from || bad("a word is missing");
}

bool Parser::double_quotes(Word& made) {
    for (++at_; !end() && here() != '"';) {
        const char c = here();
        if (c == '\\') {
            const char next = here(1);
            if (next == '\n') {
                at_ += 2;
                continue;
            }
            if (next == '$' || next == '`' || next == '"' || next == '\\') ++at_;
            made.text += here();
            ++at_;
        } else if (c == '$') {
            if (!dollar(made, true)) return false;
        } else if (c == '`') {
            if (!backquotes(made)) return false;
        } else {
            made.text += c;
            ++at_;
        }
    }
    if (end()) return bad("a quote without its end");
    ++at_;
    return true;
}

bool Parser::dollar(Word& made, bool quoted) {
    const std::size_t from = at_;
    const char next = here(1);
    if (next == '\'' && !quoted) return ansi_c(made);
    if (next == '"' && !quoted) {
        ++at_;
        made.known = false;
        return double_quotes(made);
    }
    if (starts("$((")) {
        const std::size_t close = text_.find("))", at_ + 3);
        if (close == std::string_view::npos) return bad("$((…)) without its end");
        made.known = false;
        at_ += 3;
        if (!arithmetic(close)) return false;
    } else if (next == '(') {
        at_ += 2;
        return substitution(made, from);
    } else if (next == '{') {
        at_ += 2;
        made.known = false;
        if (!braces()) return false;
    } else if (next == '[') {
        return bad("$[…]");
    } else if (is_name(next)) {
        made.known = false;
        ++at_;
        // One digit, or a name.
        if (next >= '0' && next <= '9')
            ++at_;
        else
            while (is_name(here())) ++at_;
    } else if (std::string_view{"@*#?-$!"}.find(next) != std::string_view::npos && next != '\0') {
        made.known = false;
        at_ += 2;
    } else {
        ++at_;  // a plain dollar
    }
    made.text += text_.substr(from, at_ - from);
    return true;
}

// ${NAME}, ${#NAME}, and those with an operator; what stands behind it may run commands.
bool Parser::braces() {
    if (++depth_ > kDeepest) return bad("nested too deeply");
    if (here() == '#' && here(1) != '}') ++at_;
    // What the variable names may be a[$(command)].
    if (here() == '!' && here(1) != '}') return bad("an indirect ${…}");
    if (is_name(here()))
        while (is_name(here())) ++at_;
    else if (std::string_view{"@*#?-$!"}.find(here()) != std::string_view::npos && !end())
        ++at_;
    else
        return bad("an odd ${…}");
    --depth_;
    if (here() == '}') return ++at_, true;
    if (std::string_view{":-+=?#%/^,"}.find(here()) == std::string_view::npos || end())
        return bad("an odd ${…}");
    ++at_;
    // ${NAME:OFFSET:LENGTH} is arithmetic.
    if (text_[at_ - 1] == ':' && std::string_view{"-+=?"}.find(here()) == std::string_view::npos) {
        while (std::string_view{"0123456789: -"}.find(here()) != std::string_view::npos && !end())
            ++at_;
        return here() == '}' ? (++at_, true) : bad("arithmetic that cannot be followed");
    }
    ++depth_;
    Word part;
    while (!end() && here() != '}') {
        const char c = here();
        if (c == '\\')
            at_ += 2;
        else if (c == '\'' || c == '{' || c == '@')
            return bad("an odd ${…}");
        else if (c == '"'   ? !double_quotes(part)
                 : c == '$' ? !dollar(part, true)
                 : c == '`' ? !backquotes(part)
                            : (++at_, false))
            return false;
    }
    if (end()) return bad("${…} without its end");
    --depth_;
    ++at_;
    return true;
}

// Up to `close`, where "))" stands. Whatever could run a command, or hide where it ends, is not
// taken: nor are variables, whose values are arithmetic themselves and may hold a[$(command)].
bool Parser::arithmetic(std::size_t close) {
    static constexpr std::string_view kPlain = " \t\n+-*/%<>=!&|^~?:,;";
    int open = 0;
    for (; at_ < close; ++at_) {
        const char c = here();
        if (c == '(') ++open;
        if (c == ')' && --open < 0) return bad("arithmetic that cannot be followed");
        const bool digit = c >= '0' && c <= '9';
        if (!digit && c != '(' && c != ')' && kPlain.find(c) == std::string_view::npos)
            return bad("arithmetic that cannot be followed");
    }
    // "))" may close brackets of its own: the last two do it.
    while (open > 0 && here() == ')') {
        --open;
        ++at_;
    }
    if (open != 0 || !starts("))")) return bad("arithmetic that cannot be followed");
    at_ += 2;
    return true;
}

// Some shells take $'…' for a dollar and a quoted text, which ends at the first quote.
bool Parser::ansi_c(Word& made) {
    made.known = false;
    for (at_ += 2; !end() && here() != '\'';) {
        if (here() != '\\') {
            made.text += here();
            ++at_;
            continue;
        }
        const char c = here(1);
        at_ += 2;
        if (const char one = escape(c); one != '\0') {
            made.text += one;
        } else if (c >= '0' && c <= '7') {
            int value = c - '0';
            for (int i = 0; i != 2 && here() >= '0' && here() <= '7'; ++i, ++at_)
                value = value * 8 + (here() - '0');
            if ((value & 0xff) == 0) return bad("a NUL");
            made.text += static_cast<char>(value);
        } else if (c == 'x') {
            int value = 0, digits = 0;
            for (; digits != 2 && hex(here()) >= 0; ++digits, ++at_)
                value = value * 16 + hex(here());
            if (digits == 0 || value == 0) return bad("an odd escape");
            made.text += static_cast<char>(value);
        } else {
            return bad("an odd escape");  // \u, \U and \c hang on the locale
        }
    }
    if (end()) return bad("a quote without its end");
    ++at_;
    return true;
}

// Behind "$(", "<(" or ">(".
bool Parser::substitution(Word& made, std::size_t from) {
    if (!pending_.empty()) return bad("a substitution between a here-document and its text");
    if (++depth_ > kDeepest) return bad("commands nested too deeply");
    ++level_;
    if (!list()) return false;
    --level_;
    --depth_;
    if (end() || here() != ')') return bad("a substitution without its end");
    ++at_;
    if (!pending_.empty()) return bad("a here-document without its end");
    made.known = false;
    made.text += text_.substr(from, at_ - from);
    return true;
}

bool Parser::backquotes(Word& made) {
    const std::size_t from = at_;
    std::string inner;
    for (++at_; !end() && here() != '`'; ++at_) {
        if (here() == '\\' && (here(1) == '`' || here(1) == '\\' || here(1) == '$')) ++at_;
        inner += here();
    }
    if (end()) return bad("a backquote without its end");
    ++at_;
    made.known = false;
    made.text += text_.substr(from, at_ - from);
    return Parser{inner, script_, level_ + 1, depth_ + 1}.whole();
}

bool Parser::inside_here_text(std::string_view body) {
    Parser inner{body, script_, level_ + 1, depth_ + 1};
    Word ignored;
    while (!inner.end()) {
        const char c = inner.here();
        if (c == '\\')
            inner.at_ += 2;
        else if (c == '$' ? !inner.dollar(ignored, true) : c == '`' && !inner.backquotes(ignored))
            return false;
        else if (c != '$' && c != '`')
            ++inner.at_;
    }
    return true;
}

}  // namespace chaperone::policy::shell

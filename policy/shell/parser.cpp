// SPDX-License-Identifier: Apache-2.0
#include "policy/shell/parser.h"

#include "policy/shell/facts.h"

#include <algorithm>
#include <array>
#include <utility>

namespace chaperone::policy::shell {
namespace {

constexpr std::array<std::string_view, 24> kReserved{
    "if",   "then",  "elif",  "else",   "fi",     "do", "done",     "case",
    "esac", "while", "until", "for",    "select", "in", "function", "time",
    "{",    "}",     "!",     "coproc", "[[",     "]]", "repeat",   "foreach"};
constexpr std::array<std::string_view, 8> kStops{"then", "elif", "else", "fi",
                                                 "do",   "done", "esac", "}"};

bool is_meta(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == ';' || c == '&' || c == '|' || c == '<' ||
           c == '>' || c == '(' || c == ')';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}
bool stops(std::string_view word) {
    return std::ranges::find(kStops, word) != kStops.end();
}

}  // namespace

bool Parser::bad(std::string_view why) {
    if (script_.error.empty())
        script_.error = std::string{why} + " at byte " + std::to_string(at_ + 1);
    return false;
}

bool Parser::keep(SimpleCommand made) {
    if (script_.commands.size() >= kMostCommands) return bad("too many commands");
    script_.commands.push_back(std::move(made));
    return true;
}

void Parser::blanks() {
    for (;;) {
        if (here() == ' ' || here() == '\t')
            ++at_;
        else if (starts("\\\n"))
            at_ += 2;
        else
            break;
    }
    if (here() == '#')
        while (!end() && here() != '\n') ++at_;
}

bool Parser::newline() {
    ++at_;
    return read_here_texts();
}

bool Parser::blank_lines() {
    for (blanks(); here() == '\n'; blanks())
        if (!newline()) return false;
    return true;
}

std::string_view Parser::reserved() const {
    std::size_t length = 0;
    while (at_ + length < text_.size() && !is_meta(here(length))) ++length;
    const std::string_view word = text_.substr(at_, length);
    return std::ranges::find(kReserved, word) != kReserved.end() ? word : std::string_view{};
}

bool Parser::take(std::string_view word) {
    if (reserved() != word) return false;
    at_ += word.size();
    return true;
}

bool Parser::whole() {
    if (depth_ > kDeepest) return bad("commands nested too deeply");
    if (!list()) return false;
    if (!end()) return bad("unexpected text");
    return pending_.empty() || bad("a here-document without its end");
}

// Up to what closes it, which the caller looks at.
bool Parser::list() {
    if (level_ > kDeepest) return bad("commands nested too deeply");
    Join join = level_ == 0 && depth_ == 0 ? Join::First : Join::Sequence;
    bool wanted = false;  // a command must follow
    for (;;) {
        if (!blank_lines()) return false;
        const bool over = end() || here() == ')' || starts(";;") || stops(reserved());
        if (over) return !wanted || bad("a command is missing");
        if (!pipeline(join)) return false;
        blanks();
        wanted = starts("&&") || starts("||");
        if (wanted) {
            join = here() == '&' ? Join::And : Join::Or;
            at_ += 2;
            continue;
        }
        join = Join::Sequence;
        if (starts(";;") || end() || here() == ')' || stops(reserved())) return true;
        if (here() == ';' || here() == '&')
            ++at_;
        else if (here() == '\n' ? !newline() : !bad("unexpected text"))
            return false;
    }
}

bool Parser::pipeline(Join join) {
    while (reserved() == "!" || reserved() == "time") {
        at_ += reserved().size();
        blanks();
        if (starts("-p ")) at_ += 3;
        blanks();
    }
    if (!command(join, false)) return false;
    for (blanks(); here() == '|' && !starts("||"); blanks()) {
        at_ += starts("|&") ? 2 : 1;
        if (!blank_lines() || !command(Join::Pipe, true)) return false;
    }
    return true;
}

bool Parser::command(Join join, bool fed) {
    blanks();
    bool taken = false;
    if (here() == '(') {
        // Arithmetic to one shell, a command in brackets to another.
        if (starts("((")) return bad("((");
        taken = true;
        if (!group()) return false;
    } else if (const auto word = reserved(); !word.empty() && word != "in") {
        taken = true;
        if (!compound(word)) return false;
    }
    SimpleCommand made{.join = join, .fed = fed, .level = level_};
    bool any = false;
    if (!taken) return simple(made, any) && (any || bad("a command is missing"));
    if (!redirects(made, any)) return false;
    return !any || keep(std::move(made));
}

bool Parser::group() {
    ++at_;
    ++level_;
    if (!list()) return false;
    --level_;
    if (here() != ')') return bad("a bracket without its end");
    ++at_;
    return true;
}

// The list up to this reserved word.
bool Parser::until_word(std::string_view word) {
    ++level_;
    if (!list()) return false;
    --level_;
    return take(word) || bad("a compound command without its end");
}

bool Parser::compound(std::string_view word) {
    at_ += word.size();
    if (word == "{") return until_word("}");
    if (word == "while" || word == "until") return until_word("do") && until_word("done");
    if (word == "for" || word == "select") return for_loop();
    if (word == "case") return case_choice();
    if (word == "[[") return test_brackets();
    if (word == "function") {
        Word name;
        blanks();
        if (!this->word(name) || !name.known) return bad("a function without a name");
        script_.functions.push_back(name.text);
        blanks();
        if (starts("()")) at_ += 2;
        return function_body();
    }
    if (word != "if") return bad("a reserved word where a command should be");
    if (!until_word("then")) return false;
    for (;;) {
        ++level_;
        if (!list()) return false;
        --level_;
        if (take("fi")) return true;
        if (take("else")) return until_word("fi");
        if (!take("elif")) return bad("an if without its end");
        if (!until_word("then")) return false;
    }
}

bool Parser::function_body() {
    ++level_;
    if (!blank_lines()) return false;
    if (here() != '(' && reserved().empty()) return bad("a function without a body");
    const bool good = command(Join::Sequence, false);
    --level_;
    return good;
}

bool Parser::for_loop() {
    blanks();
    Word name;
    if (!word(name) || !name.known) return bad("a loop without a variable");
    if (!keep({.assigned = {name.text}, .level = level_ + 1})) return false;
    if (!blank_lines()) return false;
    if (take("in"))
        for (blanks(); !end() && here() != ';' && here() != '\n'; blanks()) {
            Word item;
            if (!word(item)) return false;
        }
    blanks();
    if (here() == ';') ++at_;
    if (!blank_lines()) return false;
    if (!take("do")) return bad("a loop without do");
    return until_word("done");
}

bool Parser::case_choice() {
    Word subject;
    blanks();
    if (!word(subject) || !blank_lines()) return false;
    if (!take("in")) return bad("case without in");
    for (;;) {
        if (!blank_lines()) return false;
        if (take("esac")) return true;
        if (here() == '(') ++at_;
        for (;;) {
            Word pattern;
            blanks();
            if (!word(pattern)) return false;
            blanks();
            if (here() != '|') break;
            ++at_;
        }
        if (here() != ')') return bad("a pattern without )");
        ++at_;
        ++level_;
        if (!list()) return false;
        --level_;
        if (starts(";;&"))
            at_ += 3;
        else if (starts(";;"))
            at_ += 2;
        else if (reserved() != "esac")
            return bad("case without its end");
    }
}

// [[ … ]]: nothing in it runs but substitutions. Its operators are those of commands to a shell
// that does not know it: they are not taken. Nor are those that evaluate what they compare.
bool Parser::test_brackets() {
    static constexpr std::array<std::string_view, 8> kEvaluate{"-eq", "-ne", "-lt", "-le",
                                                               "-gt", "-ge", "-v",  "-R"};
    for (;;) {
        blanks();
        if (take("]]")) return true;
        Word part;
        if (!word(part) || std::ranges::find(kEvaluate, part.text) != kEvaluate.end())
            return bad("[[ that cannot be followed");
    }
}

bool Parser::redirects(SimpleCommand& made, bool& any) {
    for (;;) {
        blanks();
        std::size_t digits = 0;
        while (is_digit(here(digits))) ++digits;
        const char next = here(digits);
        const bool all = digits == 0 && starts("&>");
        if (!all && next != '<' && next != '>') return true;
        if (!all && digits == 0 && here(1) == '(') return true;  // <(…) and >(…) are words
        at_ += digits;
        any = true;
        if (!redirect(made)) return false;
    }
}

bool Parser::redirect(SimpleCommand& made) {
    using Kind = Redirect::Kind;
    if (starts("<<<")) {
        at_ += 3;
        Word text;
        blanks();
        made.fed = true;
        return word(text);
    }
    if (starts("<<")) {
        const bool tabs = here(2) == '-';
        at_ += tabs ? 3 : 2;
        return here_text(made, tabs);
    }
    Kind kind = Kind::Write;
    bool copies = false;  // of another descriptor, perhaps
    if (starts("&>>") || starts("&>")) {
        at_ += starts("&>>") ? 3 : 2;
    } else if (here() == '<') {
        kind = here(1) == '>' ? Kind::ReadWrite : Kind::Read;
        copies = here(1) == '&';
        at_ += here(1) == '>' || copies ? 2 : 1;
    } else {
        copies = here(1) == '&';
        at_ += copies || here(1) == '>' || here(1) == '|' ? 2 : 1;
    }
    Word target;
    blanks();
    if (!word(target)) return false;
    const bool descriptor =
        target.known && (target.text == "-" || std::ranges::all_of(target.text, is_digit));
    if (!(copies && descriptor)) made.redirects.push_back({kind, std::move(target)});
    if (kind != Kind::Write) made.fed = true;
    return true;
}

bool Parser::here_text(SimpleCommand& made, bool tabs) {
    blanks();
    const std::size_t from = at_;
    Word end_word;
    if (!word(end_word)) return false;
    if (!end_word.known || end_word.text.contains('\n')) return bad("a here-document's odd end");
    const std::string_view raw = text_.substr(from, at_ - from);
    pending_.push_back({end_word.text, raw.find_first_of("'\"\\") != std::string_view::npos, tabs});
    made.fed = true;
    return true;
}

bool Parser::read_here_texts() {
    for (const HereText& one : std::exchange(pending_, {})) {
        std::string body;
        for (;;) {
            if (end()) return bad("a here-document without its end");
            const std::size_t stop = std::min(text_.find('\n', at_), text_.size());
            std::string_view line = text_.substr(at_, stop - at_);
            at_ = std::min(stop + 1, text_.size());
            if (one.tabs) line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
            if (line == one.end) break;
            body.append(line).append("\n");
        }
        if (!one.quoted && !inside_here_text(body)) return false;
    }
    return true;
}

// NAME=value, NAME+=value, NAME[…]=value or NAME=(…), before the command's name.
bool Parser::assignment(SimpleCommand& made, bool& taken) {
    std::size_t length = 0;
    while (is_name(here(length))) ++length;
    if (length == 0 || is_digit(here())) return true;
    const std::size_t equals = length + (here(length) == '+' ? 1 : 0);
    if (here(length) == '[') return bad("an array's element");
    if (here(equals) != '=') return true;
    taken = true;
    made.assigned.emplace_back(text_.substr(at_, length));
    at_ += equals + 1;
    if (here() == '(') {
        ++at_;
        for (;;) {
            if (!blank_lines()) return false;
            if (end()) return bad("an array without its end");
            if (here() == ')') return ++at_, true;
            Word item;
            if (!word(item)) return false;
        }
    }
    Word value;
    return end() || is_meta(here()) || word(value);
}

bool Parser::simple(SimpleCommand& made, bool& any) {
    for (;;) {
        if (!redirects(made, any)) return false;
        const char c = here();
        const bool substitution = (c == '<' || c == '>') && here(1) == '(';
        if (end() || (is_meta(c) && !substitution)) break;
        bool taken = false;
        if (made.words.empty() && !assignment(made, taken)) return false;
        any = true;
        if (taken) continue;
        Word next;
        if (!word(next)) return false;
        if (made.words.empty() && made.assigned.empty() && made.redirects.empty()) {
            blanks();
            if (here() == '(') {
                ++at_;
                blanks();
                if (here() != ')' || !next.known) return bad("unexpected (");
                ++at_;
                script_.functions.push_back(next.text);
                return function_body();
            }
        }
        made.words.push_back(std::move(next));
    }
    return !any || keep(std::move(made));
}

Script parse(std::string_view text, int depth) {
    Script script;
    Parser{text, script, 0, depth}.whole();
    return script;
}

}  // namespace chaperone::policy::shell

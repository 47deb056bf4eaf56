// SPDX-License-Identifier: Apache-2.0
// The recursive descent behind parse(). Every method returns false once the script has an error.
#pragma once

#include "policy/shell/script.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::shell {

class Parser {
public:
    Parser(std::string_view text, Script& to, int level, int depth)
        : text_(text), script_(to), level_(level), depth_(depth) {}

    bool whole();

private:
    struct HereText {
        std::string end;
        bool quoted = false;  // no expansions in it
        bool tabs = false;    // <<-
    };

    // parser.cpp: lists and commands
    bool list();
    bool pipeline(Join join);
    bool command(Join join, bool fed);
    bool compound(std::string_view word);
    bool until_word(std::string_view end);
    bool for_loop();
    bool case_choice();
    bool test_brackets();
    bool function_body();
    bool simple(SimpleCommand& made, bool& any);
    bool group();
    bool redirects(SimpleCommand& made, bool& any);
    bool redirect(SimpleCommand& made);
    bool here_text(SimpleCommand& made, bool tabs);
    bool read_here_texts();
    bool assignment(SimpleCommand& made, bool& taken);
    bool keep(SimpleCommand made);

    // words.cpp: words and what expands in them
    bool word(Word& made);
    bool dollar(Word& made, bool quoted);
    bool braces();
    bool arithmetic(std::size_t close);
    bool double_quotes(Word& made);
    bool ansi_c(Word& made);
    bool backquotes(Word& made);
    bool substitution(Word& made, std::size_t from);
    bool inside_here_text(std::string_view body);

    bool bad(std::string_view why);
    bool end() const { return at_ >= text_.size(); }
    char here(std::size_t ahead = 0) const {
        return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    }
    bool starts(std::string_view with) const { return text_.substr(at_).starts_with(with); }
    void blanks();
    bool blank_lines();
    bool newline();
    std::string_view reserved() const;  // the reserved word that stands here, or ""
    bool take(std::string_view word);

    std::string_view text_;
    Script& script_;
    std::size_t at_ = 0;
    int level_;
    int depth_;
    std::vector<HereText> pending_{};
};

}  // namespace chaperone::policy::shell

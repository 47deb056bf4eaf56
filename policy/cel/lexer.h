// SPDX-License-Identifier: Apache-2.0
// CEL source to tokens (language definition, section "Syntax").
#pragma once

#include "policy/cel/source.h"
#include "policy/cel/value.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::cel {

enum class Token : std::uint8_t {
    End,
    Identifier,
    Quoted,
    Literal,
    Punctuation,
    Bad,
};

struct Lexeme {
    Token kind = Token::End;
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    std::string_view text;  // of the source; of a quoted identifier, without its backquotes
    Value value;            // of a literal; an int that needs its minus sign is kept as text
};

// All tokens, the last being End. Malformed ones are reported and become Bad.
std::vector<Lexeme> lex(const Source& source, Issues& issues);

// The value of a string or bytes literal, prefix and quotes included; an error's text if malformed.
Value decode_text_literal(std::string_view literal);

}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// What programs do with their operands, as the manual pages of POSIX, GNU coreutils, findutils and
// procps say. A program that is not listed is one whose doings are not known.
#pragma once

#include "policy/shell/facts.h"

#include <optional>
#include <string_view>

namespace chaperone::policy::shell {

struct Program {
    std::string_view name;
    // What is done to each operand; Run: nothing.
    EffectKind operands = EffectKind::Run;
    std::string_view valued = "";      // short options that take a value
    std::string_view files = "";       // those of them whose value is a file that is read
    std::size_t skip = 0;              // operands that are no files (a pattern, a mode)
    std::string_view risky = "";       // short options that make it do something else
    std::string_view risky_long = "";  // and long ones, by a space between
    // Not a file but the last operand is written; those before it are read.
    bool last_is_written = false;
};

const Program* find_program(std::string_view name) noexcept;

// A program that runs what its arguments say, after options of its own.
struct Wrapper {
    std::string_view name;
    std::string_view valued = "";      // short options that take a value
    std::size_t skip = 0;              // operands before the command
    bool assigns = false;              // NAME=value may stand before the command
    bool feeds = false;                // gives the command arguments that it reads
    std::optional<EffectKind> also{};  // of its own
    std::string_view risky = "";       // short options that make it do something else
};

const Wrapper* find_wrapper(std::string_view name) noexcept;

bool is_shell(std::string_view name) noexcept;        // sh, bash …
bool is_interpreter(std::string_view name) noexcept;  // python3, perl, awk …

}  // namespace chaperone::policy::shell

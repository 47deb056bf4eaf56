// SPDX-License-Identifier: Apache-2.0
// A shell text as a flat list of the simple commands that it may run: those in pipelines, compound
// commands, functions and substitutions too. Which of them run is not told.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::policy::shell {

struct Word {
    std::string text{};  // its value; parts known only when it runs stand as written
    bool known = true;
};

struct Redirect {
    enum class Kind : std::uint8_t { Read, Write, ReadWrite };
    Kind kind = Kind::Read;
    Word target{};
};

// How a command follows what stands before it at the same level.
enum class Join : std::uint8_t { First, And, Or, Sequence, Pipe };

struct SimpleCommand {
    std::vector<Word> words{};
    std::vector<std::string> assigned{};  // names of variables
    std::vector<Redirect> redirects{};
    Join join = Join::First;
    bool fed = false;  // its standard input is a pipe or a text of the script
    int level = 0;     // 0: of the text itself, in no compound command or substitution
};

struct Script {
    std::vector<SimpleCommand> commands{};
    std::vector<std::string> functions{};  // that it defines
    std::string error{};                   // not empty: it cannot be read
};

Script parse(std::string_view text, int depth = 0);

}  // namespace chaperone::policy::shell

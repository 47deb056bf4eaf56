// SPDX-License-Identifier: Apache-2.0
// What a shell command does, as far as its text tells: the commands in it, wherever they stand, and
// their effects. README.md is the taxonomy. What cannot be read, or hangs on values that are known
// only when it runs, has the effect `unknown`: nothing allows that by accident. Plain values.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::shell {

// A text longer than this, or of more commands, is not analysed.
constexpr std::size_t kMostBytes = std::size_t{64} << 10;
constexpr std::size_t kMostCommands = 1'000;
constexpr int kDeepest = 24;  // of commands in commands

enum class EffectKind : std::uint8_t {
    Run,         // a program or builtin; object: its name without the folder
    Read,        // a file
    Write,       // a file is made or changed
    Delete,      // a file
    Permission,  // a file's mode, owner or attributes
    Network,     // object: the host; empty: not told
    Privilege,   // becomes another user; object: which
    Signal,      // processes are signalled
    System,      // services, devices, users, schedules, firewall, power
    Install,     // packages
    Other,       // a program, or a way to call one, whose doings are not known here
    Unknown,     // cannot be read, or is known only when it runs
};

// "run", "read" …; the names that policies use.
std::string_view to_text(EffectKind kind) noexcept;

// object: a path is as written but for dot segments and doubled slashes; "~/x" is in the home.
struct Effect {
    EffectKind kind = EffectKind::Unknown;
    std::string object{};
    auto operator<=>(const Effect&) const = default;
};

// One simple command. arguments: their values, without quotes; where one is known only when it runs
// it stands as written and the text has the effect `unknown` where that matters.
struct Command {
    std::string name{};  // without the folder; empty: known only when it runs
    std::string path{};  // as written
    std::vector<std::string> arguments{};
    bool certain = true;  // false: a name or an argument is known only when it runs
    auto operator<=>(const Command&) const = default;
};

struct Facts {
    bool parsed = false;               // false: effects is one Unknown
    std::string error{};               // why not; never holds bytes of the text
    std::vector<Command> commands{};   // in the order of the text, those inside wrappers after them
    std::vector<std::string> names{};  // of commands; sorted, distinct
    std::vector<Effect> effects{};     // sorted, distinct

    bool does(EffectKind kind) const noexcept;
};

// By the grammar of POSIX.1-2017 XCU 2 with bash's additions. Never null, never throws but for
// memory.
std::shared_ptr<const Facts> analyze(std::string_view text);

}  // namespace chaperone::policy::shell

// SPDX-License-Identifier: Apache-2.0
// The effects of a script's commands, those inside wrappers (sudo, env, sh -c, find -exec …) too.
#pragma once

#include "policy/shell/facts.h"
#include "policy/shell/programs.h"
#include "policy/shell/script.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace chaperone::policy::shell {

class Doings {
public:
    explicit Doings(Facts& to) : facts_(to) {}

    // facts.error is set if a text, or one inside it, cannot be read.
    void add(std::string_view text, int depth);

private:
    using Words = std::span<const Word>;

    void command(const SimpleCommand& one, const Script& script, int depth);
    // `fed`: it reads from a pipe; `more`: further arguments come from somewhere.
    void run(Words words, bool fed, bool more, int depth);
    bool special(std::string_view name, Words arguments, bool more, int depth);
    void wrapped(const Wrapper& wrapper, Words arguments, bool fed, bool more, int depth);
    void program(const Program& program, Words arguments, bool more);
    void shell(Words arguments, bool fed, bool more, int depth);
    void su(Words arguments, int depth);
    void joined(Words words, int depth);  // words that a shell reads as one text
    void find(Words arguments, int depth);
    void web(Words arguments);
    void assigned(std::string_view name);
    void names(Words arguments);  // of variables that a builtin sets
    void change_folder(const SimpleCommand& one);
    void redirect(const Redirect& one);

    void effect(EffectKind kind, std::string object = {});
    void on(EffectKind kind, const Word& what);  // a file, or a host
    void unknown() { effect(EffectKind::Unknown); }
    std::string located(std::string path) const;

    Facts& facts_;
    // Where relative paths lie: as long as one cd at the beginning tells, from "/"; empty: where
    // the command begins.
    std::string folder_{};
    bool lost_ = false;   // in a folder that is known only when it runs
    bool first_ = true;   // no command was seen yet
    bool moved_ = false;  // by a cd, just now
};

}  // namespace chaperone::policy::shell

// SPDX-License-Identifier: Apache-2.0
// The variable ssh.
#include "policy/engine/declarations.h"

namespace chaperone::policy::engine {
namespace {

using cel::Type;
using cel::TypeKind;
using cel::Value;

std::string kinds() {
    std::string text = "What is done:";
    for (int i = 0; i <= static_cast<int>(shell::EffectKind::Unknown); ++i)
        text += " " + std::string{shell::to_text(static_cast<shell::EffectKind>(i))};
    return text + ". policy/shell/README.md says what is what.";
}

}  // namespace

// clang-format off
template <>
const Declared<shell::Effect>& declared<shell::Effect>() {
    static const Declared<shell::Effect> made{"ShellEffect", {
        {"kind", TypeKind::String, [](const shell::Effect& e) { return Value::text(shell::to_text(e.kind)); }, kinds()},
        {"object", TypeKind::String, [](const shell::Effect& e) { return text_value(e.object); }, "On what: a path, a host, a user, a program's name; empty: nothing that can be named."},
    }};
    return made;
}

template <>
const Declared<shell::Command>& declared<shell::Command>() {
    static const Declared<shell::Command> made{"ShellCommand", {
        {"name", TypeKind::String, [](const shell::Command& c) { return text_value(c.name); }, "The program's name without its folder; empty: known only when it runs."},
        {"path", TypeKind::String, [](const shell::Command& c) { return text_value(c.path); }, "The program as written."},
        {"arguments", strings(), [](const shell::Command& c) { return texts(c.arguments); }, "Its arguments, without quotes."},
        {"certain", TypeKind::Bool, [](const shell::Command& c) { return Value::boolean(c.certain); }, "False: the name or an argument is known only when it runs."},
    }};
    return made;
}

template <>
const Declared<SshPart>& declared<SshPart>() {
    static const Declared<SshPart> made{"Ssh", {
        {"command", TypeKind::String, [](const SshPart& s) { return text_value(s.request.statement); }, "The text as sent. Ask for effects instead: text can be written in many ways."},
        {"parsed", TypeKind::Bool, [](const SshPart& s) { return Value::boolean(s.facts.parsed); }, "False: the text could not be analysed, effects is one unknown."},
        {"programs", strings(), [](const SshPart& s) { return texts(s.facts.names); }, "The names of all that runs, inside sudo, sh -c, find -exec and substitutions too."},
        {"commands", Type::list(object_type<shell::Command>()), [](const SshPart& s) { return objects(s.facts.commands); }, "Each command with its arguments."},
        {"effects", Type::list(object_type<shell::Effect>()), [](const SshPart& s) { return objects(s.facts.effects); }, "What the text does, one for each kind and object."},
    }};
    return made;
}
// clang-format on

}  // namespace chaperone::policy::engine

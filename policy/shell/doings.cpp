// SPDX-License-Identifier: Apache-2.0
#include "policy/shell/doings.h"

#include <algorithm>
#include <array>

namespace chaperone::policy::shell {
namespace {

std::string base_of(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

// Dot segments and doubled slashes go, as the kernel takes them where no link lies in between.
std::string plain(std::string_view path) {
    const bool rooted = path.starts_with('/');
    std::vector<std::string_view> parts;
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view part = path.substr(at, end - at);
        at = end + 1;
        if (part.empty() || part == ".") continue;
        if (part == ".." && !parts.empty() && parts.back() != ".." && parts.back() != "~")
            parts.pop_back();
        else if (part != ".." || !rooted)
            parts.push_back(part);
    }
    std::string made = rooted ? "/" : "";
    for (std::size_t i = 0; i != parts.size(); ++i) made.append(i == 0 ? "" : "/").append(parts[i]);
    return made.empty() ? "." : made;
}

// Variables that change no program but in what it prints.
bool is_harmless(std::string_view name) {
    static constexpr std::array<std::string_view, 9> kPlain{
        "LANG", "LANGUAGE", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR", "DEBIAN_FRONTEND", "_"};
    const bool lower = std::ranges::all_of(
        name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
    // zsh ties path to PATH, and so on.
    static constexpr std::array<std::string_view, 6> kTied{"path",    "fpath",       "cdpath",
                                                           "manpath", "module_path", "prompt"};
    if (lower) return std::ranges::find(kTied, name) == kTied.end();
    return name.starts_with("LC_") || std::ranges::find(kPlain, name) != kPlain.end();
}

bool is_device(std::string_view path) {
    return path == "/dev/null" || path == "/dev/stdout" || path == "/dev/stderr" ||
           path == "/dev/stdin" || path == "/dev/zero" || path.starts_with("/dev/fd/");
}

bool is_option(const Word& word) {
    return word.text.size() > 1 && word.text.front() == '-';
}

}  // namespace

void Doings::effect(EffectKind kind, std::string object) {
    facts_.effects.push_back({kind, std::move(object)});
}

std::string Doings::located(std::string path) const {
    if (path.empty()) return path;
    const bool fixed = path.starts_with('/') || path == "~" || path.starts_with("~/");
    return plain(fixed || lost_ || folder_.empty() ? path : folder_ + "/" + path);
}

void Doings::on(EffectKind kind, const Word& what) {
    if (!what.known) {
        effect(kind);
        unknown();
        return;
    }
    if (kind == EffectKind::Network || kind == EffectKind::Signal || kind == EffectKind::System ||
        kind == EffectKind::Install || kind == EffectKind::Privilege) {
        effect(kind, what.text);
        return;
    }
    if (what.text == "-" || is_device(what.text)) return;
    const std::string where = located(what.text);
    if (lost_ && !where.starts_with('/') && !where.starts_with('~')) unknown();
    effect(kind, where);
}

void Doings::add(std::string_view text, int depth) {
    const Script script =
        depth > kDeepest ? Script{.error = "commands nested too deeply"} : parse(text, depth);
    if (!script.error.empty()) facts_.error = script.error;
    for (const SimpleCommand& one : script.commands) {
        if (!facts_.error.empty()) return;
        command(one, script, depth);
    }
    if (facts_.commands.size() > kMostCommands) facts_.error = "too many commands";
}

void Doings::command(const SimpleCommand& one, const Script& script, int depth) {
    // What is not joined to the cd by && may run elsewhere.
    if (moved_ && one.join != Join::And && one.join != Join::Pipe) lost_ = true;
    for (const std::string& name : one.assigned) assigned(name);
    for (const Redirect& other : one.redirects) redirect(other);
    if (one.words.empty()) {
        first_ = false;
        return;
    }
    const Word& name = one.words.front();
    // A function may stand before a program of its name: what it does is in the list.
    if (name.known && std::ranges::find(script.functions, name.text) != script.functions.end()) {
        facts_.commands.push_back({name.text, name.text, {}, false});
        effect(EffectKind::Run, name.text);
        effect(EffectKind::Other, name.text);
    } else {
        const bool folders =
            name.known && (name.text == "cd" || name.text == "pushd" || name.text == "popd");
        run(one.words, one.fed, false, depth);
        if (folders) change_folder(one);
    }
    first_ = false;
}

// One cd as the very first thing tells where all that is joined to it by && runs. Of any other it
// is not known whether it was run, and whether what follows it runs there.
void Doings::change_folder(const SimpleCommand& one) {
    const bool plain_cd = one.words.front().text == "cd" && one.words.size() == 2 &&
                          one.words[1].known && one.words[1].text.starts_with('/');
    if (first_ && plain_cd && one.level == 0 && one.join == Join::First) {
        folder_ = plain(one.words[1].text);
        moved_ = true;
    } else {
        lost_ = true;
    }
}

void Doings::redirect(const Redirect& one) {
    using Kind = Redirect::Kind;
    const std::string& path = one.target.text;
    if (one.target.known && (path.starts_with("/dev/tcp/") || path.starts_with("/dev/udp/"))) {
        const std::string rest = path.substr(9);
        effect(EffectKind::Network, rest.substr(0, rest.find('/')));  // of bash
        return;
    }
    if (one.kind != Kind::Write) on(EffectKind::Read, one.target);
    if (one.kind != Kind::Read) on(EffectKind::Write, one.target);
}

void Doings::assigned(std::string_view name) {
    if (!is_harmless(name)) unknown();
}

void Doings::names(Words arguments) {
    for (const Word& one : arguments) {
        if (!one.known) return unknown();
        if (!is_option(one)) assigned(std::string_view{one.text}.substr(0, one.text.find('=')));
    }
}

void Doings::run(Words words, bool fed, bool more, int depth) {
    if (depth > kDeepest) {
        facts_.error = "commands nested too deeply";
        return;
    }
    const Word& called = words.front();
    const Words arguments = words.subspan(1);
    Command made{.path = called.text, .certain = !more};
    for (const Word& one : words) made.certain = made.certain && one.known;
    for (const Word& one : arguments) made.arguments.push_back(one.text);
    if (!called.known || called.text.empty()) {
        made.path.clear();
        facts_.commands.push_back(std::move(made));
        return unknown();
    }
    made.name = base_of(called.text);
    const std::string name = made.name;
    facts_.commands.push_back(std::move(made));
    if (name.empty()) return unknown();  // a folder
    effect(EffectKind::Run, name);
    // A program that lies where anybody may put one is not what its name says.
    const std::string where = plain(called.text);
    if (called.text.contains('/') && !where.starts_with("/bin/") && !where.starts_with("/sbin/") &&
        !where.starts_with("/usr/bin/") && !where.starts_with("/usr/sbin/"))
        return effect(EffectKind::Other, name);
    if (is_shell(name)) return shell(arguments, fed, more, depth);
    if (const Wrapper* wrapper = find_wrapper(name))
        return wrapped(*wrapper, arguments, fed, more, depth);
    if (special(name, arguments, more, depth)) return;
    if (const Program* known = find_program(name)) return program(*known, arguments, more);
    effect(EffectKind::Other, name);
    if (is_interpreter(name)) unknown();  // it runs a text of its own
}

bool Doings::special(std::string_view name, Words arguments, bool more, int depth) {
    if (more &&
        (name == "eval" || name == "su" || name == "find" || name == "command" || name == "trap"))
        return unknown(), true;
    if (name == "cd" || name == "pushd" || name == "popd") return true;  // seen by the caller
    if (name == "export" || name == "declare" || name == "typeset" || name == "local" ||
        name == "readonly" || name == "read" || name == "mapfile" || name == "readarray" ||
        name == "unset") {
        names(arguments);
    } else if (name == "test" || name == "[") {
        // -v evaluates the subscript of what it is given.
        if (more || std::ranges::any_of(arguments, [](const Word& one) {
                return !one.known || one.text == "-v" || one.text == "-R";
            }))
            unknown();
    } else if (name == "eval") {
        joined(arguments, depth);
    } else if (name == "watch") {
        std::size_t at = 0;
        for (; at != arguments.size() && is_option(arguments[at]); ++at)
            if (arguments[at].text == "-n" || arguments[at].text == "--interval") ++at;
        if (at >= arguments.size()) return unknown(), true;
        joined(arguments.subspan(at), depth);
    } else if (name == "trap") {
        if (!arguments.empty()) joined(arguments.first(1), depth);
    } else if (name == "." || name == "source") {
        if (!arguments.empty()) on(EffectKind::Read, arguments.front());
        unknown();
    } else if (name == "command") {
        const bool asks = !arguments.empty() && (arguments.front().text.starts_with("-v") ||
                                                 arguments.front().text.starts_with("-V"));
        if (asks) return true;
        std::size_t at = 0;
        while (at != arguments.size() && (arguments[at].text == "-p" || arguments[at].text == "--"))
            ++at;
        if (at != arguments.size()) run(arguments.subspan(at), false, more, depth + 1);
    } else if (name == "su" || name == "runuser" || name == "pkexec") {
        su(arguments, depth);
    } else if (name == "find") {
        find(arguments, depth);
    } else if (name == "curl" || name == "wget") {
        web(arguments);
        if (more) unknown();
    } else if (name == "ssh" || name == "scp" || name == "sftp" || name == "rsync" ||
               name == "nc" || name == "ncat" || name == "socat" || name == "telnet" ||
               name == "ftp") {
        effect(EffectKind::Network);
        effect(EffectKind::Other, std::string{name});
    } else if (name == "systemctl") {
        static constexpr std::array<std::string_view, 9> kLooks{
            "status",    "show",       "cat",       "list-units",     "list-timers",
            "is-active", "is-enabled", "is-failed", "list-unit-files"};
        const auto verb = std::ranges::find_if_not(arguments, is_option);
        if (more || verb == arguments.end() || !verb->known ||
            std::ranges::find(kLooks, verb->text) == kLooks.end())
            effect(EffectKind::System, verb == arguments.end() || !verb->known ? "" : verb->text);
    } else {
        return false;
    }
    return true;
}

void Doings::joined(Words words, int depth) {
    std::string text;
    for (const Word& one : words) {
        if (!one.known) return unknown();
        text.append(text.empty() ? "" : " ").append(one.text);
    }
    // Where it runs is not followed into it.
    const bool lost = std::exchange(lost_, lost_ || !folder_.empty());
    add(text, depth + 1);
    lost_ = lost_ || lost;
}

}  // namespace chaperone::policy::shell

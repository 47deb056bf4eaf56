// SPDX-License-Identifier: Apache-2.0
// Programs that run what their arguments say, and programs whose operands are files.
#include "policy/shell/doings.h"

#include <algorithm>
#include <utility>

namespace chaperone::policy::shell {
namespace {

bool has(std::string_view letters, char c) {
    return letters.find(c) != std::string_view::npos;
}

// "--out", "--output=x" for "output": programs take the beginning of a long option for it.
bool names_one_of(std::string_view option, std::string_view longs) {
    const std::string_view name = option.substr(2, option.find('=') - 2);
    while (!longs.empty()) {
        const std::size_t end = std::min(longs.find(' '), longs.size());
        if (longs.substr(0, end).starts_with(name)) return true;
        longs.remove_prefix(std::min(end + 1, longs.size()));
    }
    return false;
}

bool is_assignment(std::string_view word) {
    const std::size_t equals = word.find('=');
    return equals != std::string_view::npos && equals != 0 && word.front() != '-';
}

}  // namespace

void Doings::wrapped(const Wrapper& wrapper, Words arguments, bool fed, bool more, int depth) {
    if (wrapper.also) effect(*wrapper.also, *wrapper.also == EffectKind::Privilege ? "root" : "");
    std::size_t at = 0;
    for (; at != arguments.size(); ++at) {
        const Word& one = arguments[at];
        if (!one.known) break;
        if (one.text == "--") {
            ++at;
            break;
        }
        if (one.text.starts_with("--")) {
            // Which of them take a value, and what they do, is not told here.
            effect(EffectKind::Other, std::string{wrapper.name});
            if (!one.text.contains('=')) return unknown();
            continue;
        }
        if (one.text.size() < 2 || one.text.front() != '-') break;
        for (std::size_t i = 1; i != one.text.size(); ++i) {
            if (has(wrapper.risky, one.text[i]))
                effect(EffectKind::Other, std::string{wrapper.name});
            if (!has(wrapper.valued, one.text[i])) continue;
            const bool apart = i + 1 == one.text.size();
            if (one.text[i] == 'u' && wrapper.also && apart && at + 1 != arguments.size())
                on(EffectKind::Privilege, {arguments[at + 1].text, arguments[at + 1].known});
            if (apart) ++at;
            break;
        }
        if (at == arguments.size()) return unknown();
    }
    while (wrapper.assigns && at != arguments.size() && is_assignment(arguments[at].text)) {
        const std::string& text = arguments[at++].text;
        assigned(std::string_view{text}.substr(0, text.find('=')));
    }
    at = std::min(at + wrapper.skip, arguments.size());
    more = more || wrapper.feeds;
    if (at != arguments.size())
        return run(arguments.subspan(at), fed && !wrapper.feeds, more, depth + 1);
    // Without a command: sudo -s and the like, xargs that echoes, exec that only redirects.
    if (wrapper.also || more) unknown();
}

void Doings::program(const Program& program, Words arguments, bool more) {
    bool options = true;
    // Whether the first operand is no file: not where an option says in its place what it would.
    bool skips = true;
    std::vector<Word> operands;
    const auto risk = [&] { effect(EffectKind::Other, std::string{program.name}); };
    for (std::size_t at = 0; at != arguments.size(); ++at) {
        const Word& one = arguments[at];
        const bool dashed = one.text.size() > 1 && one.text.front() == '-';
        if (!one.known && options) {
            // It may be an option.
            if (program.operands == EffectKind::Run && program.risky.empty()) continue;
            unknown();
        }
        if (!options || !dashed || !one.known) {
            operands.push_back(one);
        } else if (one.text == "--") {
            options = false;
        } else if (one.text.starts_with("--")) {
            if (names_one_of(one.text, program.risky_long)) risk();
            skips = skips && !names_one_of(one.text, "regexp file from-file reference");
        } else {
            for (std::size_t i = 1; i != one.text.size(); ++i) {
                const char c = one.text[i];
                if (has(program.risky, c)) risk();
                // chmod -w FILE: a mode.
                skips = skips && c != 'e' && !has(program.files, c) &&
                        (program.operands != EffectKind::Permission || has("Rvcf", c));
                if (!has(program.valued, c) && !has(program.files, c)) continue;
                Word value{one.text.substr(i + 1), true};
                if (value.text.empty() && at + 1 != arguments.size()) value = arguments[++at];
                if (has(program.files, c)) on(EffectKind::Read, value);
                break;
            }
        }
    }
    if (more) {
        if (program.operands != EffectKind::Run) effect(program.operands);
        if (program.operands != EffectKind::Run || !program.risky.empty()) unknown();
    }
    if (program.operands == EffectKind::Run) return;
    const std::size_t from = skips ? std::min(program.skip, operands.size()) : 0;
    const bool about_files =
        program.operands == EffectKind::Read || program.operands == EffectKind::Write ||
        program.operands == EffectKind::Delete || program.operands == EffectKind::Permission;
    if (!about_files && operands.empty()) effect(program.operands, std::string{program.name});
    for (std::size_t i = from; i != operands.size(); ++i) {
        const bool last = i + 1 == operands.size();
        if (program.last_is_written)
            on(last                                     ? EffectKind::Write
               : program.operands == EffectKind::Delete ? EffectKind::Delete
                                                        : EffectKind::Read,
               operands[i]);
        else
            on(program.operands, operands[i]);
        if (program.last_is_written && !last) on(EffectKind::Read, operands[i]);
    }
}

// sh -c TEXT, sh FILE, or what comes in.
void Doings::shell(Words arguments, bool, bool more, int depth) {
    if (more) return unknown();
    for (std::size_t at = 0; at != arguments.size(); ++at) {
        const Word& one = arguments[at];
        if (!one.known) return unknown();
        if (one.text == "--norc" || one.text == "--noprofile" || one.text == "--posix") continue;
        const bool letters =
            one.text.size() > 1 && one.text.front() == '-' &&
            std::ranges::all_of(one.text.substr(1), [](char c) { return has("celuxnfv", c); });
        if (!letters) {
            if (one.text.front() != '-') on(EffectKind::Read, one);
            break;
        }
        if (!one.text.contains('c')) continue;
        // The words behind the text are its $0, $1 …, which are not known inside.
        if (at + 1 != arguments.size()) return joined(arguments.subspan(at + 1, 1), depth);
        break;
    }
    unknown();
}

void Doings::su(Words arguments, int depth) {
    bool said = false;
    for (std::size_t at = 0; at != arguments.size(); ++at) {
        const Word& one = arguments[at];
        if (one.known && (one.text == "-c" || one.text == "--command") &&
            at + 1 != arguments.size()) {
            joined(arguments.subspan(++at, 1), depth);
            said = true;
        } else if (one.known && !one.text.starts_with('-')) {
            effect(EffectKind::Privilege, one.text);
        } else if (one.text != "-" && one.text != "-l") {
            unknown();
        }
    }
    effect(EffectKind::Privilege, "root");
    if (!said) unknown();
}

// The expression's actions; what is found is below the paths, so that they stand for it.
void Doings::find(Words arguments, int depth) {
    std::size_t at = 0;
    std::vector<Word> roots;
    for (; at != arguments.size() && !arguments[at].text.starts_with('-') &&
           arguments[at].text != "!" && arguments[at].text != "(";
         ++at)
        roots.push_back(arguments[at]);
    if (roots.empty()) roots.push_back({"."});
    for (const Word& root : roots) on(EffectKind::Read, root);
    while (at != arguments.size()) {
        const Word& one = arguments[at++];
        const bool runs = one.text == "-exec" || one.text == "-execdir" || one.text == "-ok" ||
                          one.text == "-okdir";
        if (!one.known && one.text.starts_with('$')) unknown();
        if (one.text == "-delete")
            for (const Word& root : roots) on(EffectKind::Delete, root);
        if (one.text.starts_with("-fprint") || one.text == "-fls" || one.text == "-files0-from")
            effect(EffectKind::Other, "find");
        if (!runs) continue;
        std::vector<Word> inner;
        for (; at != arguments.size() && arguments[at].text != ";" && arguments[at].text != "+";
             ++at) {
            inner.push_back(arguments[at]);
            if (inner.back().text.contains("{}")) inner.back() = {roots.front().text, false};
        }
        if (inner.empty()) return unknown();
        run(inner, false, false, depth + 1);
    }
}

void Doings::web(Words arguments) {
    for (const Word& one : arguments) {
        const std::string& text = one.text;
        if (!one.known) {
            effect(EffectKind::Network);
            unknown();
        } else if (text.size() > 1 && text.front() == '-') {
            // Others write files, read them, or take a configuration.
            const bool quiet =
                !text.starts_with("--") &&
                std::ranges::all_of(text.substr(1), [](char c) { return has("sSfLIkviq46", c); });
            if (!quiet) effect(EffectKind::Other, "curl");
        } else {
            const std::size_t scheme = text.find("://");
            const std::size_t from = scheme == std::string::npos ? 0 : scheme + 3;
            std::string host = text.substr(from, text.find_first_of("/?#", from) - from);
            host = host.substr(host.rfind('@') + 1);
            effect(EffectKind::Network,
                   host.starts_with('[') ? host : host.substr(0, host.find(':')));
        }
    }
}

}  // namespace chaperone::policy::shell

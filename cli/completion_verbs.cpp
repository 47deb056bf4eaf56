// SPDX-License-Identifier: Apache-2.0
// Completions for shells, from the same words as the parser.
#include "cli/verb.h"

#include <array>
#include <map>
#include <ostream>

namespace chaperone::cli {
namespace {

// Notes the flags of a verb.
class FlagNames final : public Flags {
public:
    struct Flag {
        std::string name{};
        std::string help{};
        std::vector<std::string> choices{};
        bool takes_value = true;
    };
    std::vector<Flag> all{{"--output", "How to print", {"table", "json", "yaml"}, true}};

    void argument(std::string, std::string&, std::string, bool) override {}
    void arguments(std::string, std::vector<std::string>&, std::string) override {}
    void text(std::string name, std::string&, std::string help, bool) override {
        add(std::move(name), std::move(help));
    }
    void choice(std::string name, std::string&, std::vector<std::string> choices,
                std::string help) override {
        add(std::move(name), std::move(help));
        all.back().choices = std::move(choices);
    }
    void texts(std::string name, std::vector<std::string>&, std::string help) override {
        add(std::move(name), std::move(help));
    }
    void number(std::string name, std::uint32_t&, std::string help) override {
        add(std::move(name), std::move(help));
    }
    void toggle(std::string name, bool&, std::string help) override {
        add(std::move(name), std::move(help));
        all.back().takes_value = false;
    }

private:
    void add(std::string name, std::string help) {
        const auto comma = name.find(',');
        if (comma != std::string::npos) name.erase(0, comma + 1);
        all.push_back({.name = std::move(name), .help = std::move(help)});
    }
};

std::vector<FlagNames::Flag> flags_of(const VerbEntry& entry) {
    FlagNames names;
    entry.make()->flags(names);
    return names.all;
}

// What may follow each noun; "" is the program itself.
std::map<std::string, std::vector<std::pair<std::string, std::string>>> words() {
    std::map<std::string, std::vector<std::pair<std::string, std::string>>> out;
    for (const Noun& noun : nouns()) out[""].emplace_back(noun.name, noun.help);
    for (const VerbEntry& entry : all_verbs()) {
        const std::string path{entry.path};
        const auto space = path.find(' ');
        if (space == std::string::npos)
            out[""].emplace_back(path, entry.help);
        else
            out[path.substr(0, space)].emplace_back(path.substr(space + 1), entry.help);
    }
    return out;
}

std::string in_quotes(std::string_view text) {
    std::string out = "'";
    for (const char c : text) c == '\'' ? out += "'\\''" : out += c;
    return out + "'";
}

std::string joined(const std::vector<std::string>& texts) {
    std::string out;
    for (const std::string& text : texts) out += (out.empty() ? "" : " ") + text;
    return out;
}

void print_bash(std::ostream& out) {
    out << "# bash completion for chaperone\n"
           "_chaperone() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= i\n"
           "    for ((i = 1; i < COMP_CWORD && i < 3; ++i)); do\n"
           "        [[ ${COMP_WORDS[i]} == -* ]] && break\n"
           "        path+=${path:+ }${COMP_WORDS[i]}\n"
           "    done\n"
           "    case \"$path|$prev\" in\n";
    for (const VerbEntry& entry : all_verbs())
        for (const auto& flag : flags_of(entry))
            if (!flag.choices.empty())
                out << "    " << in_quotes(std::string{entry.path} + "|" + flag.name)
                    << ") COMPREPLY=($(compgen -W " << in_quotes(joined(flag.choices))
                    << " -- \"$cur\")); return ;;\n";
    out << "    esac\n    case \"$path\" in\n";
    for (const VerbEntry& entry : all_verbs()) {
        std::vector<std::string> names;
        for (const auto& flag : flags_of(entry)) names.push_back(flag.name);
        out << "    " << in_quotes(entry.path) << "|" << in_quotes(std::string{entry.path} + " ")
            << "*) [[ $cur == -* ]] && COMPREPLY=($(compgen -W " << in_quotes(joined(names))
            << " -- \"$cur\")) || COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n";
    }
    for (const auto& [noun, verbs] : words()) {
        std::vector<std::string> names;
        for (const auto& [name, help] : verbs) names.push_back(name);
        out << "    " << in_quotes(noun) << ") COMPREPLY=($(compgen -W " << in_quotes(joined(names))
            << " -- \"$cur\")) ;;\n";
    }
    out << "    esac\n}\ncomplete -o default -F _chaperone chaperone\n";
}

void print_zsh(std::ostream& out) {
    const auto described = [](std::string_view name, std::string_view help) {
        return in_quotes(std::string{name} + ":" + std::string{help});
    };
    out << "#compdef chaperone\n_chaperone() {\n"
           "    local -a found\n"
           "    local path=${(j: :)${words[2,CURRENT-1]:#-*}}\n"
           "    case $path in\n";
    for (const auto& [noun, verbs] : words()) {
        out << "    " << in_quotes(noun) << ") found=(";
        for (const auto& [name, help] : verbs) out << described(name, help) << ' ';
        out << "); _describe 'chaperone' found ;;\n";
    }
    for (const VerbEntry& entry : all_verbs()) {
        out << "    " << in_quotes(entry.path) << "*) found=(";
        for (const auto& flag : flags_of(entry)) out << described(flag.name, flag.help) << ' ';
        out << "); _describe 'flags' found; _files ;;\n";
    }
    out << "    esac\n}\n_chaperone \"$@\"\n";
}

void print_fish(std::ostream& out) {
    out << "# fish completion for chaperone\n";
    for (const auto& [noun, verbs] : words())
        for (const auto& [name, help] : verbs) {
            out << "complete -c chaperone -f -n ";
            if (noun.empty()) {
                out << "__fish_use_subcommand";
            } else {
                std::vector<std::string> names;
                for (const auto& verb : verbs) names.push_back(verb.first);
                out << in_quotes("__fish_seen_subcommand_from " + noun +
                                 "; and not __fish_seen_subcommand_from " + joined(names));
            }
            out << " -a " << name << " -d " << in_quotes(help) << '\n';
        }
    for (const VerbEntry& entry : all_verbs()) {
        const auto space = entry.path.find(' ');
        std::string seen =
            "__fish_seen_subcommand_from " + std::string{entry.path.substr(0, space)};
        if (space != std::string_view::npos)
            seen +=
                "; and __fish_seen_subcommand_from " + std::string{entry.path.substr(space + 1)};
        for (const auto& flag : flags_of(entry)) {
            out << "complete -c chaperone -n " << in_quotes(seen) << " -l " << flag.name.substr(2)
                << (flag.takes_value ? " -r" : "");
            if (!flag.choices.empty()) out << " -f -a " << in_quotes(joined(flag.choices));
            out << " -d " << in_quotes(flag.help) << '\n';
        }
    }
}

struct Completion : Verb {
    std::string shell{};

    void flags(Flags& flags) override { flags.argument("shell", shell, "bash, zsh or fish"); }
    int run(Context& context) override {
        if (shell == "bash") return print_bash(context.out), kOk;
        if (shell == "zsh") return print_zsh(context.out), kOk;
        if (shell == "fish") return print_fish(context.out), kOk;
        context.err << "chaperone: completion: there are bash, zsh and fish\n";
        return kUsage;
    }
};

}  // namespace

std::span<const VerbEntry> completion_verbs() {
    static constexpr std::array<VerbEntry, 1> kVerbs{
        {{"completion", "Print a shell's completion script", make_verb<Completion>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

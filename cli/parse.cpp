// SPDX-License-Identifier: Apache-2.0
// From words to a verb that runs: the only file that knows CLI11.
#include "cli/verb.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <map>
#include <ostream>

namespace chaperone::cli {
namespace {

class AppFlags final : public Flags {
public:
    explicit AppFlags(CLI::App& app) : app_(app) {}

    void argument(std::string name, std::string& to, std::string help, bool required) override {
        app_.add_option(std::move(name), to, std::move(help))->required(required);
    }
    void arguments(std::string name, std::vector<std::string>& to, std::string help) override {
        app_.add_option(std::move(name), to, std::move(help));
    }
    void text(std::string name, std::string& to, std::string help, bool required) override {
        app_.add_option(std::move(name), to, std::move(help))->required(required);
    }
    void choice(std::string name, std::string& to, std::vector<std::string> choices,
                std::string help) override {
        app_.add_option(std::move(name), to, std::move(help))->check(CLI::IsMember(choices));
    }
    void texts(std::string name, std::vector<std::string>& to, std::string help) override {
        // One value each time, so that a following word is not taken for one.
        app_.add_option(std::move(name), to, std::move(help))
            ->expected(1)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
    void number(std::string name, std::uint32_t& to, std::string help) override {
        app_.add_option(std::move(name), to, std::move(help));
    }
    void toggle(std::string name, bool& to, std::string help) override {
        app_.add_flag(std::move(name), to, std::move(help));
    }

private:
    CLI::App& app_;
};

struct Added {
    CLI::App* app;
    std::unique_ptr<Verb> verb;
};

std::vector<Added> add_verbs(CLI::App& app, std::string& output) {
    std::map<std::string_view, CLI::App*> below;
    for (const Noun& noun : nouns()) {
        CLI::App* added = app.add_subcommand(std::string{noun.name}, std::string{noun.help});
        added->require_subcommand(1);
        below[noun.name] = added;
    }
    std::vector<Added> all;
    for (const VerbEntry& entry : all_verbs()) {
        const auto space = entry.path.find(' ');
        CLI::App* parent =
            space == std::string_view::npos ? &app : below[entry.path.substr(0, space)];
        const std::string_view name =
            space == std::string_view::npos ? entry.path : entry.path.substr(space + 1);
        CLI::App* sub = parent->add_subcommand(std::string{name}, std::string{entry.help});
        auto verb = entry.make();
        AppFlags flags{*sub};
        verb->flags(flags);
        sub->add_option("-o,--output", output, "How to print: table, json or yaml")
            ->check(CLI::IsMember({"table", "json", "yaml"}));
        all.push_back({sub, std::move(verb)});
    }
    return all;
}

// `run` takes the agent's command as it is: what follows "--", or else what follows the first word
// that is no flag of its own. CLI11 would read the agent's flags as ours.
void split_command(std::vector<std::string>& words, Context& context) {
    const auto dashes = std::ranges::find(words, "--");
    if (dashes != words.end()) {
        context.rest.assign(dashes + 1, words.end());
        words.erase(dashes, words.end());
        return;
    }
    if (words.empty() || words.front() != "run") return;
    for (auto word = words.begin() + 1; word != words.end(); ++word) {
        if (word->starts_with('-')) {
            const bool has_value = *word == "--workload" || *word == "--token-file" ||
                                   *word == "--user" || *word == "-w" || *word == "-u";
            if (has_value && word + 1 != words.end()) ++word;
            continue;
        }
        context.rest.assign(word, words.end());
        words.erase(word, words.end());
        return;
    }
}

}  // namespace

int run(std::vector<std::string> words, Context& context) {
    split_command(words, context);
    CLI::App app{"Governs what AI agents on this host may reach and do", "chaperone"};
    app.require_subcommand(1);
    app.set_version_flag("--version", CHAPERONE_VERSION);
    std::string output = "table";
    const std::vector<Added> verbs = add_verbs(app, output);
    std::ranges::reverse(words);  // CLI11 takes them from the back
    try {
        app.parse(words);
    } catch (const CLI::ParseError& error) {
        return app.exit(error, context.out, context.err) == 0 ? kOk : kUsage;
    }
    if (output == "json") context.output = Output::Json;
    if (output == "yaml") context.output = Output::Yaml;
    for (const Added& one : verbs)
        if (one.app->parsed()) return one.verb->run(context);
    return kUsage;
}

}  // namespace chaperone::cli

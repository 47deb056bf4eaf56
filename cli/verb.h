// SPDX-License-Identifier: Apache-2.0
// A verb of the command line: its flags are its members, and run() is what it does. A verb reads
// and prints the streams it is given and returns its exit status, so a test calls it like a
// function. Flags are told to an interface, so that CLI11 is compiled once (parse.cpp) and the
// completions (completion.cpp) come from the same words.
#pragma once

#include "userspace/control/client.h"

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::cli {

enum Exit { kOk = 0, kFoundSomething = 1, kUsage = 2, kDaemonUnreachable = 3 };

enum class Output : std::uint8_t { Table, Json, Yaml };

struct Context {
    std::istream& in;
    std::ostream& out;  // what was asked for
    std::ostream& err;  // everything else
    std::filesystem::path root = "/";
    Output output = Output::Table;
    bool out_is_terminal = false;
    bool err_is_terminal = false;     // progress is shown there
    std::vector<std::string> rest{};  // what follows "--"

    control::Client client() const { return control::Client{root}; }
};

class Flags {
public:
    virtual ~Flags() = default;
    // Positional; `required` ones come first.
    virtual void argument(std::string name, std::string& to, std::string help,
                          bool required = true) = 0;
    virtual void arguments(std::string name, std::vector<std::string>& to, std::string help) = 0;
    virtual void text(std::string name, std::string& to, std::string help,
                      bool required = false) = 0;
    virtual void choice(std::string name, std::string& to, std::vector<std::string> choices,
                        std::string help) = 0;
    virtual void texts(std::string name, std::vector<std::string>& to, std::string help) = 0;
    virtual void number(std::string name, std::uint32_t& to, std::string help) = 0;
    virtual void toggle(std::string name, bool& to, std::string help) = 0;
};

class Verb {
public:
    virtual ~Verb() = default;
    virtual void flags(Flags&) {}
    virtual int run(Context& context) = 0;
};

struct VerbEntry {
    std::string_view path;  // "session list"
    std::string_view help;
    std::unique_ptr<Verb> (*make)();
};

template <class V>
std::unique_ptr<Verb> make_verb() {
    return std::make_unique<V>();
}

// Each file of verbs has one of these; verbs.cpp puts them together.
std::span<const VerbEntry> session_verbs();
std::span<const VerbEntry> approval_verbs();
std::span<const VerbEntry> workload_verbs();
std::span<const VerbEntry> policy_verbs();
std::span<const VerbEntry> policy_ask_verbs();
std::span<const VerbEntry> policy_bundle_verbs();
std::span<const VerbEntry> journal_verbs();
std::span<const VerbEntry> admin_verbs();
std::span<const VerbEntry> ca_verbs();
std::span<const VerbEntry> run_verbs();
std::span<const VerbEntry> completion_verbs();
std::vector<VerbEntry> all_verbs();

struct Noun {
    std::string_view name;
    std::string_view help;
};
std::span<const Noun> nouns();

// The whole program: words after its name in, exit status out.
int run(std::vector<std::string> words, Context& context);

}  // namespace chaperone::cli

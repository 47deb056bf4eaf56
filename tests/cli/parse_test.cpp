// SPDX-License-Identifier: Apache-2.0
// The whole program as a function: words in, text and exit status out. No daemon runs here.
#include "cli/verb.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace chaperone::cli {
namespace {

namespace fs = std::filesystem;

struct Cli : testing::Test {
    fs::path root = fs::temp_directory_path() / ("chaperone-cli-" + std::to_string(::getpid()));
    std::istringstream in;
    std::ostringstream out, err;

    Cli() { fs::create_directories(root); }
    ~Cli() override { fs::remove_all(root); }

    int cli(std::vector<std::string> words) {
        out.str("");
        err.str("");
        Context context{.in = in, .out = out, .err = err, .root = root};
        return run(std::move(words), context);
    }
};

TEST_F(Cli, TellsUsageFromAnUnreachableDaemon) {
    EXPECT_EQ(cli({}), kUsage);
    EXPECT_EQ(cli({"session"}), kUsage);
    EXPECT_EQ(cli({"session", "nothing"}), kUsage);
    EXPECT_EQ(cli({"session", "list", "--effect", "maybe"}), kUsage);
    EXPECT_EQ(cli({"session", "list", "-o", "xml"}), kUsage);
    EXPECT_EQ(cli({"approval", "refuse", "1"}), kUsage);
    EXPECT_EQ(cli({"workload", "add", "w"}), kUsage);
    EXPECT_EQ(cli({"run", "--workload", "w"}), kUsage);
    EXPECT_EQ(cli({"status", "--help"}), kOk);
    EXPECT_EQ(cli({"status"}), kDaemonUnreachable);
    EXPECT_NE(err.str().find("CHAPERONE_ROOT"), std::string::npos);
    EXPECT_EQ(cli({"session", "list", "-o", "json"}), kDaemonUnreachable);
    EXPECT_EQ(cli({"run", "--workload", "w", "--", "true", "--output", "x"}), kDaemonUnreachable);
    EXPECT_EQ(cli({"run", "-w", "w", "true", "-c", "x"}), kDaemonUnreachable);
}

TEST_F(Cli, PrintsItsVersion) {
    EXPECT_EQ(cli({"version", "-o", "json"}), kOk);
    EXPECT_EQ(out.str(), R"({"version":")" CHAPERONE_VERSION "\"}\n");
}

TEST_F(Cli, ExaminesTheHostWithoutADaemon) {
    EXPECT_EQ(cli({"doctor"}), kFoundSomething);  // the daemon is missing
    EXPECT_NE(out.str().find("kernel"), std::string::npos);
    EXPECT_NE(out.str().find("daemon"), std::string::npos);
}

TEST_F(Cli, VerifiesNothingWithoutAKey) {
    EXPECT_EQ(cli({"journal", "verify", root.string()}), kFoundSomething);
    EXPECT_NE(err.str().find("--key"), std::string::npos);
}

TEST_F(Cli, EvaluatesLinesOfCel) {
    in.str("{\"id\":\"a\",\"expr\":\"1 + 1\"}\nnonsense\n");
    EXPECT_EQ(cli({"policy", "eval", "--stdin"}), kOk);
    std::istringstream lines{out.str()};
    std::string first, second, third;
    std::getline(lines, first);
    std::getline(lines, second);
    EXPECT_EQ(first, R"({"id":"a","value":{"int":"2"}})");
    EXPECT_TRUE(second.starts_with(R"({"id":null,"error":)")) << second;
    EXPECT_FALSE(std::getline(lines, third));
}

TEST_F(Cli, ChecksABundleWithoutADaemon) {
    std::ofstream{root / "w.yaml"} << "apiVersion: chaperone.dev/v1\nkind: Workload\n"
                                      "metadata: {name: w}\nspec: {identiti: {subject: s}}\n";
    EXPECT_EQ(cli({"policy", "check", root.string()}), kFoundSomething);
    EXPECT_NE(out.str().find("w.yaml:4:"), std::string::npos) << out.str();
    EXPECT_NE(out.str().find("identity"), std::string::npos) << out.str();
}

TEST_F(Cli, CompletesEveryVerb) {
    for (const char* shell : {"bash", "zsh", "fish"}) {
        EXPECT_EQ(cli({"completion", shell}), kOk);
        for (const VerbEntry& entry : all_verbs()) {
            const auto name = entry.path.substr(entry.path.find(' ') + 1);
            EXPECT_NE(out.str().find(name), std::string::npos) << shell << ": " << entry.path;
        }
    }
    EXPECT_EQ(cli({"completion", "tcsh"}), kUsage);
}

TEST(Verbs, HaveNamesOfTheirOwnAndHelp) {
    std::set<std::string_view> seen;
    for (const VerbEntry& entry : all_verbs()) {
        EXPECT_TRUE(seen.insert(entry.path).second) << entry.path;
        EXPECT_FALSE(entry.help.empty()) << entry.path;
    }
    EXPECT_EQ(seen.size(), 41U);
}

}  // namespace
}  // namespace chaperone::cli

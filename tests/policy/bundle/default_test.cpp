// SPDX-License-Identifier: Apache-2.0
// The policies that are shipped to begin with: they load, nothing drifts, their tests pass and meet
// every rule.
#include "policy/bundle/check.h"
#include "policy/testing/run_tests.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

namespace chaperone::policy {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> folders() {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator{CHAPERONE_SOURCE_DIR "/policy/default"})
        if (entry.is_directory()) all.push_back(entry.path().filename().string());
    std::ranges::sort(all);
    return all;
}

class Default : public ::testing::TestWithParam<std::string> {};

TEST_P(Default, ChecksAndPassesItsTests) {
    const fs::path folder = fs::path{CHAPERONE_SOURCE_DIR "/policy/default"} / GetParam();
    const bundle::Loaded checked = bundle::check(folder);
    ASSERT_TRUE(checked.bundle) << bundle::to_text(checked.issues);
    for (const bundle::Issue& issue : checked.issues)
        EXPECT_EQ(issue.id, "no-rule-test") << bundle::to_text(issue);
    const testing::Report report = testing::run_tests(checked.bundle);
    EXPECT_FALSE(report.cases.empty());
    EXPECT_EQ(report.failed(), 0U) << to_table(report);
    EXPECT_EQ(report.rules_matched(), report.coverage.size()) << to_table(report);
}

INSTANTIATE_TEST_SUITE_P(Policies, Default, ::testing::ValuesIn(folders()), [](const auto& info) {
    std::string name = info.param;
    std::ranges::replace(name, '-', '_');
    return name;
});

TEST(Installed, BundleLoads) {
    const auto loaded = bundle::load(fs::path{CHAPERONE_SOURCE_DIR "/packaging/etc/bundle"});
    EXPECT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
}

}  // namespace
}  // namespace chaperone::policy

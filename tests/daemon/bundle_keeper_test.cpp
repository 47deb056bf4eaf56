// SPDX-License-Identifier: Apache-2.0
// How the bundle in force is replaced, refused, numbered and put back.
#include "userspace/daemon/bundle_keeper.h"

#include "userspace/base/file.h"

#include <gtest/gtest.h>

#include <stdlib.h>

namespace chaperone::daemon {
namespace {

namespace fs = std::filesystem;

std::string policy(const std::string& rule) {
    return "apiVersion: chaperone.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  rules:\n"
           "  - {id: " +
           rule + ", allow: {}}\n";
}

class Keeper : public ::testing::Test {
protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "bundleXXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        fs::create_directories(folder_ / "bundle");
        places_ = {.directory = folder_ / "bundle", .history = folder_ / "history"};
        write("one");
    }
    void TearDown() override { fs::remove_all(folder_); }

    void write(const std::string& rule) const {
        ASSERT_TRUE(write_file(places_.directory / "p.yaml", policy(rule)));
    }
    std::unique_ptr<BundleKeeper> open() const {
        auto opened = BundleKeeper::open(places_);
        EXPECT_TRUE(opened) << opened.error().detail;
        return opened ? *std::move(opened) : nullptr;
    }
    static std::string rule_of(const BundleKeeper& keeper) {
        return keeper.bundle()->policies().front().rules.front().id;
    }
    static BundleKeeper::Files files(const std::string& rule) { return {{"p.yaml", policy(rule)}}; }
    void shell(const std::string& command) const {
        const std::string whole = "cd '" + folder_.string() + "' && " + command;
        ASSERT_EQ(std::system(whole.c_str()), 0) << command;
    }
    void sign(const BundleKeeper::BundlePtr& bundle) const {
        ASSERT_TRUE(write_file(folder_ / "digest", bundle->digest() + "\n"));
        shell(
            "rm -f digest.sig; ssh-keygen -q -Y sign -n chaperone-bundle -f key digest "
            "2>/dev/null");
    }

    fs::path folder_;
    BundleKeeper::Places places_;
};

TEST_F(Keeper, NumbersEachChangeAndGoesOnAfterARestart) {
    auto keeper = open();
    ASSERT_TRUE(keeper);
    EXPECT_EQ(keeper->bundle()->provenance().generation, 1U);
    ASSERT_TRUE(keeper->apply(files("two"), "abc123"));
    EXPECT_EQ(keeper->bundle()->provenance().generation, 2U);
    EXPECT_EQ(keeper->bundle()->provenance().commit, "abc123");
    ASSERT_TRUE(keeper->apply(files("three"), ""));
    // The same again is no change.
    ASSERT_TRUE(keeper->reload());
    EXPECT_EQ(keeper->state().generation.number, 3U);
    keeper = open();
    ASSERT_TRUE(keeper);
    EXPECT_EQ(keeper->state().generation.number, 3U);
    EXPECT_EQ(keeper->state().history.size(), 3U);
}

TEST_F(Keeper, RollsBackAsANewGeneration) {
    auto keeper = open();
    ASSERT_TRUE(keeper);
    EXPECT_EQ(keeper->roll_back(0).error().code, Errc::NotFound);
    ASSERT_TRUE(keeper->apply(files("two"), "c2"));
    ASSERT_TRUE(keeper->apply(files("three"), "c3"));
    ASSERT_TRUE(keeper->roll_back(0));
    EXPECT_EQ(rule_of(*keeper), "two");
    EXPECT_EQ(keeper->bundle()->provenance().commit, "c2");
    EXPECT_EQ(keeper->state().generation.number, 4U);
    ASSERT_TRUE(keeper->roll_back(1));
    EXPECT_EQ(rule_of(*keeper), "one");
    EXPECT_EQ(keeper->roll_back(99).error().code, Errc::NotFound);
    // What is in force is what the directory holds.
    EXPECT_EQ(rule_of(*open()), "one");
}

TEST_F(Keeper, KeepsTheOldOneWhereTheNewOneFails) {
    auto keeper = open();
    ASSERT_TRUE(keeper);
    write("[");
    EXPECT_EQ(keeper->reload().error().code, Errc::Invalid);
    EXPECT_EQ(rule_of(*keeper), "one");
    EXPECT_FALSE(keeper->apply({{"p.yaml", "kind: Nothing"}}, ""));
    EXPECT_FALSE(keeper->apply({{"../p.yaml", policy("x")}}, ""));
    const BundleKeeper::State state = keeper->state();
    EXPECT_EQ(state.refused, 2U);
    EXPECT_NE(state.error, "");
    EXPECT_EQ(state.generation.number, 1U);
    ASSERT_TRUE(keeper->apply(files("two"), ""));
    EXPECT_EQ(keeper->state().error, "");
}

TEST_F(Keeper, OldGenerationsGo) {
    auto keeper = open();
    ASSERT_TRUE(keeper);
    for (std::size_t i = 0; i != BundleHistory::kKept + 3; ++i)
        ASSERT_TRUE(keeper->apply(files("r" + std::to_string(i)), ""));
    const auto history = keeper->state().history;
    EXPECT_EQ(history.size(), BundleHistory::kKept);
    EXPECT_FALSE(fs::exists(places_.history / "1"));
    EXPECT_TRUE(fs::exists(places_.history / std::to_string(history.front().number)));
}

TEST_F(Keeper, AsksForSignaturesWhereSignersAreSet) {
    shell("ssh-keygen -q -t ed25519 -N '' -C '' -f key && (printf 'ann '; cat key.pub) > signers");
    auto keeper = open();
    ASSERT_TRUE(keeper);
    keeper->set_signers(folder_ / "signers");
    const auto refused = keeper->reload();
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().detail.find("is not signed"), std::string::npos);
    places_.signers = folder_ / "signers";
    EXPECT_EQ(BundleKeeper::open(places_).error().code, Errc::Denied);

    sign(keeper->bundle());
    shell("cp digest.sig bundle/bundle.sig");
    ASSERT_TRUE(keeper->reload());
    EXPECT_EQ(keeper->state().generation.signer, "ann");
    // One character more, and the signature is of something else.
    write("one2");
    EXPECT_EQ(keeper->reload().error().code, Errc::Denied);
    EXPECT_EQ(rule_of(*keeper), "one");
    EXPECT_EQ(keeper->apply(files("two"), "").error().code, Errc::Denied);

    sign(policy::bundle::load(files("two")).bundle);
    auto two = files("two");
    two.push_back({"bundle.sig", read_file(folder_ / "digest.sig").value_or("")});
    ASSERT_TRUE(keeper->apply(two, ""));
    EXPECT_EQ(rule_of(*keeper), "two");
    // Its signature goes back with it.
    ASSERT_TRUE(keeper->roll_back(0));
    EXPECT_EQ(rule_of(*keeper), "one");
    EXPECT_EQ(keeper->state().generation.signer, "ann");
    // Who may sign cannot be read: nobody may.
    fs::remove(folder_ / "signers");
    EXPECT_EQ(keeper->reload().error().code, Errc::Denied);
}

}  // namespace
}  // namespace chaperone::daemon

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/names_file.h"

#include "userspace/base/file.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace chaperone::net {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using List = std::vector<std::string>;

constexpr Names::Moment kNow{std::chrono::hours{100}};

class NamesFileTest : public ::testing::Test {
protected:
    NamesFileTest() {
        std::string pattern = "/tmp/chaperone-names-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
    }
    ~NamesFileTest() override { std::filesystem::remove_all(folder_); }

    // What a process leaves that learnt these.
    void learn(Names& names, NamesFile& file, const char* name, const char* address,
               Names::Moment now = kNow) {
        file.note(names.learn("w", name, address, minutes{10}, now), now);
    }
    // What the next one knows of an address, and why not.
    List of(const char* address, Names::Moment now = kNow, const char* boot = "boot") {
        Names names;
        NamesFile file{path(), boot, names};
        const auto loaded = file.load(now);
        said_ = loaded ? "" : loaded.error().detail;
        return names.of("w", address, now);
    }
    std::filesystem::path path() const { return folder_ / "names"; }
    std::string text() const { return read_file(path()).value_or(""); }
    void put(const std::string& text) { ASSERT_TRUE(write_file(path(), text, 0600)); }

    std::filesystem::path folder_;
    std::string said_;
};

TEST_F(NamesFileTest, IsKnownToTheNextProcessAsItWas) {
    Names names;
    NamesFile file{path(), "boot", names};
    ASSERT_TRUE(file.load(kNow));
    learn(names, file, "a.x", "10.0.0.1");
    learn(names, file, "b.x", "10.0.0.1");
    learn(names, file, "a.x", "10.0.0.1");
    learn(names, file, "a.x", "fd00::1");
    EXPECT_EQ(of("10.0.0.1"), (List{"a.x", "b.x"}));
    EXPECT_EQ(of("fd00::1"), List{"a.x"});
    EXPECT_EQ(of("10.0.0.1"), (List{"a.x", "b.x"})) << "and to the one after it";
    EXPECT_EQ(std::filesystem::status(path()).permissions(), std::filesystem::perms{0600});
}

TEST_F(NamesFileTest, HoldsNoLongerThanItsTime) {
    Names names;
    NamesFile file{path(), "boot", names};
    ASSERT_TRUE(file.load(kNow));
    learn(names, file, "a.x", "10.0.0.1");
    EXPECT_EQ(of("10.0.0.1", kNow + minutes{10} - seconds{1}), List{"a.x"});
    EXPECT_EQ(of("10.0.0.1", kNow + minutes{10}), List{});
    EXPECT_EQ(of("10.0.0.1", kNow), List{}) << "it was written anew without it";
}

TEST_F(NamesFileTest, OfATimeThatCannotBeIsNotTakenOver) {
    put("chaperone names 1 boot\n" +
        names_line({"w", "10.0.0.1", "a.x", kNow + Names::kMost + seconds{1}}));
    EXPECT_EQ(of("10.0.0.1"), List{});
    EXPECT_EQ(said_, "");
}

TEST_F(NamesFileTest, OfAnotherBootIsNotTakenOver) {
    Names names;
    NamesFile file{path(), "boot", names};
    ASSERT_TRUE(file.load(kNow));
    learn(names, file, "a.x", "10.0.0.1");
    EXPECT_EQ(of("10.0.0.1", kNow, "another"), List{});
    EXPECT_EQ(said_, "");
    EXPECT_EQ(of("10.0.0.1"), List{}) << "it was begun anew";
    EXPECT_EQ(of("10.0.0.1", kNow, ""), List{});
    EXPECT_NE(said_, "");
}

// Cut anywhere, as a crash does it: what stands whole holds, half a line is none, nothing is
// invented.
TEST_F(NamesFileTest, AtEveryCut) {
    const std::string one = names_line({"w", "10.0.0.1", "a.x", kNow + minutes{5}});
    const std::string two = names_line({"w", "10.0.0.2", "b.x", kNow + minutes{5}});
    const std::string head = "chaperone names 1 boot\n";
    const std::string whole = head + one + two;
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        put(whole.substr(0, size));
        EXPECT_EQ(of("10.0.0.1").size(), size >= head.size() + one.size() ? 1U : 0U) << size;
        put(whole.substr(0, size));
        EXPECT_EQ(of("10.0.0.2").size(), size == whole.size() ? 1U : 0U) << size;
    }
}

TEST_F(NamesFileTest, WithAnyByteOfItChangedNothingIsTakenOver) {
    const std::string head = "chaperone names 1 boot\n";
    const std::string whole = head + names_line({"w", "10.0.0.1", "a.x", kNow + minutes{5}});
    for (std::size_t at = 0; at != whole.size(); ++at) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        put(damaged);
        EXPECT_EQ(of("10.0.0.1"), List{}) << at;
    }
}

TEST_F(NamesFileTest, OneDamagedLineCostsTheWholeFileAndIsTold) {
    put("chaperone names 1 boot\n" + names_line({"w", "10.0.0.1", "a.x", kNow + minutes{5}}) +
        "nonsense\n");
    EXPECT_EQ(of("10.0.0.1"), List{});
    EXPECT_EQ(said_, "a damaged line");
    EXPECT_EQ(text(), "chaperone names 1 boot\n");
}

TEST_F(NamesFileTest, IsWrittenAnewBeforeItGrowsTooMuch) {
    Names names;
    NamesFile file{path(), "boot", names};
    ASSERT_TRUE(file.load(kNow));
    const std::string name(200, 'n');
    for (std::size_t i = 0; i != NamesFile::kMost / 200; ++i)
        learn(names, file, name.c_str(), "10.0.0.1");
    EXPECT_LE(std::filesystem::file_size(path()), NamesFile::kMost);
    EXPECT_EQ(of("10.0.0.1"), List{name});
}

TEST(NamesLine, TakesNoByteThatALineCannotHold) {
    for (const char* bad : {"", "a\tb", "a\nb", "\r"}) {
        EXPECT_EQ(names_line({bad, "10.0.0.1", "a.x", kNow}), "");
        EXPECT_EQ(names_line({"w", bad, "a.x", kNow}), "");
        EXPECT_EQ(names_line({"w", "10.0.0.1", bad, kNow}), "");
    }
}

TEST(NamesLine, IsReadAsWhatWasWritten) {
    const std::string line = names_line({"w", "fd00::1", "\xc3\xa4 b", kNow});
    const auto known = parse_names_line(std::string_view{line}.substr(0, line.size() - 1));
    ASSERT_TRUE(known) << known.error().detail;
    EXPECT_EQ(known->workload, "w");
    EXPECT_EQ(known->address, "fd00::1");
    EXPECT_EQ(known->name, "\xc3\xa4 b");
    EXPECT_EQ(known->until, kNow);
    for (const char* bad : {"", "\t", "\t\t\t\t", "1\tw\ta\tn\t", "1\tw\ta\tn\t0011223344556677"})
        EXPECT_FALSE(parse_names_line(bad)) << bad;
    EXPECT_FALSE(parse_names_line(line)) << "with its end";
}

}  // namespace
}  // namespace chaperone::net

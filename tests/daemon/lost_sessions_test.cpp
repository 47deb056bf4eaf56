// SPDX-License-Identifier: Apache-2.0
// Sessions whose daemon was killed have an end in the journal once another one has started.
#include "userspace/daemon/lost_sessions.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace chaperone::daemon {
namespace {

namespace fs = std::filesystem;

class LostSessions : public ::testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "chaperone-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder = name;
        auto opened = record::Writer::open({.state = folder});
        ASSERT_TRUE(opened) << opened.error().message();
        journal = *std::move(opened);
        auto made = record::Index::open(folder / "index.db");
        ASSERT_TRUE(made);
        index = *std::move(made);
    }
    void TearDown() override {
        index.reset();
        journal.reset();
        fs::remove_all(folder);
    }
    void starts(const std::string& session) {
        record::Entry entry;
        entry.set_time(1'000);
        entry.mutable_session_start()->set_session(session);
        ASSERT_TRUE(journal->append(entry));
    }
    void ends(const std::string& session) {
        record::Entry entry;
        entry.set_time(2'000);
        entry.mutable_session_end()->set_session(session);
        entry.mutable_session_end()->set_reason("closed");
        ASSERT_TRUE(journal->append(entry));
    }
    void daemon_starts() {
        record::Entry entry;
        entry.set_time(5'000);
        entry.mutable_admin()->set_action(record::AdminEntry::DAEMON_START);
        ASSERT_TRUE(journal->append(entry));
    }
    std::size_t close(const std::set<std::string>& living = {}) {
        EXPECT_TRUE(index->catch_up(journal->journal()));
        auto closed = close_lost_sessions(*index, *journal, living);
        EXPECT_TRUE(closed);
        EXPECT_TRUE(index->catch_up(journal->journal()));
        return closed.value_or(0);
    }
    std::string reason(const std::string& session) {
        const auto found = index->session(session);
        return found ? found->end_reason : "none";
    }

    fs::path folder;
    std::unique_ptr<record::Writer> journal;
    std::unique_ptr<record::Index> index;
};

TEST_F(LostSessions, GetAnEndOnce) {
    starts("a");
    starts("b");
    ends("b");
    daemon_starts();
    starts("c");
    EXPECT_EQ(close(), 1U);
    EXPECT_EQ(reason("a"), "the daemon ended before the session's end was written");
    EXPECT_EQ(reason("b"), "closed");
    EXPECT_EQ(reason("c"), "");
    EXPECT_EQ(close(), 0U);
    daemon_starts();
    EXPECT_EQ(close(), 1U);  // c
}

TEST_F(LostSessions, AreNotThoseThatLiveOn) {
    starts("a");
    daemon_starts();
    EXPECT_EQ(close({"a"}), 0U);
    daemon_starts();
    EXPECT_EQ(close(), 1U);
}

TEST_F(LostSessions, SayWhatIsKnown) {
    const record::SessionSummary known{.id = "x",
                                       .start_time = Time{std::chrono::nanoseconds{1'000}},
                                       .end_time = Time{std::chrono::nanoseconds{5'000}},
                                       .requests = 3,
                                       .rows = 4,
                                       .bytes_up = 5,
                                       .bytes_down = 6,
                                       .peer = "server"};
    const auto entry = lost_entry(known, Time{std::chrono::nanoseconds{9'000}});
    EXPECT_EQ(entry.time(), 9'000);
    const auto& end = entry.session_end();
    EXPECT_EQ(end.session(), "x");
    EXPECT_EQ(end.requests(), 3U);
    EXPECT_EQ(end.rows(), 4U);
    EXPECT_EQ(end.bytes_up(), 5U);
    EXPECT_EQ(end.bytes_down(), 6U);
    EXPECT_EQ(end.peer(), "server");
    EXPECT_EQ(end.duration(), 4'000);
}

}  // namespace
}  // namespace chaperone::daemon

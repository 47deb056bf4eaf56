// SPDX-License-Identifier: Apache-2.0
#include "tests/record/support.h"
#include "userspace/record/feed.h"
#include "userspace/record/reader.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <array>
#include <condition_variable>
#include <csignal>
#include <set>
#include <thread>

namespace chaperone::record {
namespace {

class WriterTest : public JournalTest {
protected:
    std::vector<Stored> all() const {
        std::vector<Stored> found;
        auto reader = Reader::open(journal());
        EXPECT_TRUE(reader);
        for (;;) {
            auto next = reader->next();
            EXPECT_TRUE(next) << next.error().message();
            if (!next || !next->has_value()) return found;
            found.push_back(**next);
        }
    }
};

TEST_F(WriterTest, GivesIndicesInOrderAndKeepsThemOverARestart) {
    {
        const auto writer = open();
        EXPECT_EQ(*writer->append(entry("a")), 0u);
        const std::vector<Entry> two{entry("b"), entry("c")};
        EXPECT_EQ(*writer->append(two), 1u);
        EXPECT_EQ(writer->position().size, 3u);
    }
    EXPECT_EQ(*open()->append(entry("d")), 3u);
    const auto entries = all();
    ASSERT_EQ(entries.size(), 4u);
    EXPECT_EQ(entries[3].entry.request().statement(), "d");
    EXPECT_EQ(entries[3].index, 3u);
    EXPECT_TRUE(verified().ok()) << verified().findings.front().message();
}

TEST_F(WriterTest, OneWriterOnly) {
    const auto writer = open();
    const auto second = Writer::open({.state = state_});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::Unavailable);
}

TEST_F(WriterTest, ALostKeyIsNotMadeAnewBesideItsJournal) {
    write(1);
    const auto before = read_file(state_ / "journal.pub").value();
    const auto key = read_file(state_ / "journal.key").value();
    std::filesystem::remove(state_ / "journal.key");
    const auto writer = Writer::open({.state = state_});
    ASSERT_FALSE(writer);
    EXPECT_EQ(writer.error().code, Errc::Corrupt);
    EXPECT_EQ(read_file(state_ / "journal.pub").value(), before);
    ASSERT_TRUE(write_file(state_ / "journal.key", key, 0600));
    EXPECT_TRUE(Writer::open({.state = state_}));
}

TEST_F(WriterTest, FilesAreForTheOwnerOnlyButTheirKeyIsPublic) {
    write(1);
    using std::filesystem::perms;
    const auto mode = [](const auto& path) { return std::filesystem::status(path).permissions(); };
    EXPECT_EQ(mode(state_ / "journal.key"), perms{0600});
    EXPECT_EQ(mode(state_ / "journal.pub"), perms{0644});
    EXPECT_EQ(mode(journal()), perms{0700});
    EXPECT_EQ(mode(segment()), perms{0600});
}

TEST_F(WriterTest, BeginsSegmentsAndAllVerifyTogether) {
    write(200, {.segment_size = 2000});
    const auto segments = list_segments(journal());
    EXPECT_GT(segments->size(), 3u);
    EXPECT_EQ(all().size(), 200u);
    const auto result = verified();
    EXPECT_TRUE(result.ok()) << result.findings.front().message();
    EXPECT_EQ(result.entries, 200u);
    EXPECT_EQ(result.unsigned_entries(), 0u);
}

TEST_F(WriterTest, ManyThreadsLoseNothing) {
    constexpr int kThreads = 8;
    constexpr int kEach = 250;
    std::set<std::uint64_t> indices;
    {
        const auto writer = open({.segment_size = 20'000, .checkpoint_entries = 100});
        std::mutex mutex;
        std::vector<std::thread> threads;
        for (int t = 0; t != kThreads; ++t)
            threads.emplace_back([&, t] {
                for (int i = 0; i != kEach; ++i) {
                    const auto index = writer->append(entry(std::to_string(t * kEach + i)));
                    const std::lock_guard lock{mutex};
                    indices.insert(*index);
                }
            });
        for (auto& thread : threads) thread.join();
    }
    EXPECT_EQ(indices.size(), std::size_t{kThreads * kEach});
    std::set<std::string> statements;
    for (const auto& stored : all()) statements.insert(stored.entry.request().statement());
    EXPECT_EQ(statements.size(), std::size_t{kThreads * kEach});
    EXPECT_TRUE(verified().ok()) << verified().findings.front().message();
}

TEST_F(WriterTest, AnAppendThatReturnedSurvivesKill) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        WriterOptions options{.state = state_, .checkpoint_interval = std::chrono::hours{1}};
        auto writer = Writer::open(options);
        for (int i = 0; i != 10; ++i) (void)(*writer)->append(entry("kept"));
        (void)!::write(pipe_ends[1], "x", 1);
        ::pause();
        ::_exit(1);
    }
    char byte = 0;
    ASSERT_EQ(::read(pipe_ends[0], &byte, 1), 1);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);

    const auto before = verified();
    EXPECT_TRUE(before.ok());
    EXPECT_EQ(before.unsigned_entries(), 10u);
    open();
    const auto entries = all();
    ASSERT_EQ(entries.size(), 11u);
    const auto& recovery = entries.back().entry.recovery();
    EXPECT_EQ(recovery.cause(), Recovery::UNSIGNED_TAIL);
    EXPECT_EQ(recovery.unsigned_entries(), 10u);
    EXPECT_TRUE(verified().ok()) << verified().findings.front().message();
    EXPECT_EQ(verified().unsigned_entries(), 0u);
}

// Cuts the segment at every byte of its last entry: always recovered, never silently.
TEST_F(WriterTest, ATornTailIsKeptAsideAndRecorded) {
    write(2);
    const std::string signed_part = content();
    const std::string frame = frame_of(entry("torn"));
    for (std::size_t cut = 1; cut < frame.size(); cut += 7) {
        const auto copy = state_ / ("copy" + std::to_string(cut));
        std::filesystem::create_directory(copy);
        std::filesystem::copy(journal(), copy / "journal",
                              std::filesystem::copy_options::recursive);
        std::filesystem::copy(state_ / "journal.key", copy / "journal.key");
        std::filesystem::copy(state_ / "journal.pub", copy / "journal.pub");
        replace(copy / "journal" / segment_name(0), signed_part + frame.substr(0, cut));
        const auto torn = verify(copy / "journal", key());
        ASSERT_FALSE(torn->ok());
        EXPECT_EQ(torn->findings.front().problem, Problem::TornTail);
        EXPECT_EQ(torn->findings.front().where.offset, signed_part.size());
        ASSERT_TRUE(Writer::open({.state = copy}));
        const auto repaired = verify(copy / "journal", key());
        EXPECT_TRUE(repaired->ok()) << repaired->findings.front().message();
        const auto kept = copy / "journal" / torn_name(0, signed_part.size());
        EXPECT_EQ(*read_file(kept), as_text(without_room(as_bytes(frame).first(cut))));
        std::filesystem::remove(kept);
        EXPECT_FALSE(verify(copy / "journal", key())->ok());
    }
}

TEST_F(WriterTest, RefusesToOpenWhatWasSignedAndIsAltered) {
    write(5);
    const auto good = parts();
    const auto refuses = [&](const std::string& altered) {
        replace(segment(), altered);
        const auto writer = Writer::open({.state = state_});
        ASSERT_FALSE(writer);
        EXPECT_EQ(writer.error().code, Errc::Corrupt) << writer.error().message();
        EXPECT_EQ(content(), altered) << "it must not be touched";
    };
    auto removed = good;
    removed.frames.erase(removed.frames.begin() + 2);
    refuses(removed.joined());
    auto changed = good;
    changed.frames[1] = frame_of(entry("forged"));
    refuses(changed.joined());
    auto cut = good;
    cut.frames.back().pop_back();
    refuses(cut.joined());
    replace(segment(), good.joined());
    EXPECT_TRUE(Writer::open({.state = state_}));
}

// A file size limit keeps more room from being set aside, as a full disk does.
TEST_F(WriterTest, AFailedWriteRefusesAllUntilRecovered) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    {
        const auto writer = open({.checkpoint_interval = std::chrono::hours{1}});
        ASSERT_TRUE(writer->append(entry("first")));
        const auto room = std::filesystem::file_size(segment());
        const rlimit limit{writer->position().end.offset + 20, before.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const auto refused = writer->append(entry(std::string(room, 'x')));
        EXPECT_FALSE(refused);
        EXPECT_FALSE(writer->writable());
        EXPECT_FALSE(writer->append(entry("nor does this")));
        EXPECT_FALSE(writer->recover());
        ::setrlimit(RLIMIT_FSIZE, &before);
        EXPECT_FALSE(writer->append(entry("not before recovery")));
        ASSERT_TRUE(writer->recover());
        EXPECT_TRUE(writer->writable());
        EXPECT_EQ(*writer->append(entry("last")), 2u);
    }
    const auto entries = all();
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(entries[1].entry.recovery().cause(), Recovery::WRITE_FAILED);
    EXPECT_EQ(entries[2].entry.request().statement(), "last");
    EXPECT_TRUE(verified().ok()) << verified().findings.front().message();
}

TEST_F(WriterTest, RoomIsNoEntryForReadersAndNoDamageForTheVerifier) {
    auto writer = open({.checkpoint_interval = std::chrono::hours{1}});
    ASSERT_TRUE(writer->append(entry("one")));
    ASSERT_GT(std::filesystem::file_size(segment()), writer->position().end.offset);
    auto reader = Reader::open(journal());
    ASSERT_TRUE(reader);
    EXPECT_TRUE(reader->next()->has_value());
    EXPECT_FALSE(reader->next()->has_value());
    // What was room when it was read is read anew.
    for (int i = 0; i != 3; ++i) {
        ASSERT_TRUE(writer->append(entry("more")));
        EXPECT_TRUE(reader->next()->has_value());
        EXPECT_FALSE(reader->next()->has_value());
    }
    EXPECT_TRUE(verified().ok());
    const auto end = writer->position().end.offset;
    writer.reset();
    EXPECT_EQ(std::filesystem::file_size(segment()), end);
}

// Room is had in pieces, and brought into memory in smaller ones: entries end anywhere in them.
TEST_F(WriterTest, EntriesOfAllSizesAreReadBackWhole) {
    const std::array<std::size_t, 9> sizes{1,         4'000,     70'000,  65'536,   1,
                                           1'500'000, 1'048'576, 131'000, 3'000'000};
    {
        const auto writer = open({.checkpoint_interval = std::chrono::hours{1}});
        for (const std::size_t size : sizes) {
            ASSERT_TRUE(writer->append(entry(std::string(size, 'x'))));
            for (int i = 0; i != 50; ++i) ASSERT_TRUE(writer->append(entry("small")));
        }
    }
    const auto entries = all();
    ASSERT_EQ(entries.size(), 51 * sizes.size());
    for (std::size_t i = 0; i != sizes.size(); ++i)
        EXPECT_EQ(entries[51 * i].entry.request().statement(), std::string(sizes[i], 'x'));
    EXPECT_TRUE(verified().ok()) << verified().findings.front().message();
}

TEST_F(WriterTest, RoomThatAKilledWriterLeftIsCutOffAndWhatIsInItIsKept) {
    write(2);
    const std::string good = content();
    const std::string room(5000, '\0');
    replace(segment(), good + room);
    EXPECT_TRUE(verified().ok());
    ASSERT_TRUE(open());
    EXPECT_EQ(all().size(), 2u);
    EXPECT_TRUE(verified().ok());

    const std::string again = content();
    std::string half = room;
    half[100] = 'x';  // as of a frame whose length was not yet written
    replace(segment(), again + half);
    const auto torn = verified();
    ASSERT_FALSE(torn.ok());
    EXPECT_EQ(torn.findings.front().problem, Problem::TornTail);
    ASSERT_TRUE(open());
    const auto entries = all();
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(entries.back().entry.recovery().cause(), Recovery::TORN_TAIL);
    EXPECT_EQ(entries.back().entry.recovery().discarded(), 101u);
    EXPECT_EQ(*read_file(journal() / torn_name(0, again.size())), half.substr(0, 101));
    EXPECT_TRUE(verified().ok()) << verified().findings.front().message();
}

TEST_F(WriterTest, ASegmentThatIsCutUnderTheWriterRefusesAllAndKillsNobody) {
    const auto writer = open({.checkpoint_interval = std::chrono::hours{1}});
    ASSERT_TRUE(writer->append(entry("first")));
    ASSERT_TRUE(writer->checkpoint());
    std::filesystem::resize_file(segment(), 10);
    EXPECT_FALSE(writer->append(entry(std::string(8000, 'x'))));
    EXPECT_FALSE(writer->writable());
    EXPECT_FALSE(writer->recover());
    EXPECT_FALSE(writer->append(entry("never")));
}

TEST_F(WriterTest, RefusesEntriesThatAreTooLargeOrEmpty) {
    const auto writer = open();
    const auto large = writer->append(entry(std::string(kMaxEntry, 'x')));
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error().code, Errc::TooLarge);
    EXPECT_FALSE(writer->append(Entry{}));
    EXPECT_EQ(*writer->append(entry("x")), 0u);
}

TEST_F(WriterTest, ReaderSeeksByIndexAndByPlace) {
    write(60, {.segment_size = 1500});
    auto reader = Reader::open(journal());
    for (const std::uint64_t index : {41u, 0u, 59u, 7u}) {
        ASSERT_TRUE(reader->seek(index));
        const auto stored = **reader->next();
        EXPECT_EQ(stored.index, index);
        auto other = Reader::open(journal());
        ASSERT_TRUE(other->seek(index, stored.where));
        EXPECT_EQ((*other->next())->entry.SerializeAsString(), stored.entry.SerializeAsString());
    }
    EXPECT_FALSE(reader->seek(61));
}

TEST_F(WriterTest, AFeedTellsEachEntryOnceInOrderAndDropsWhoCannotFollow) {
    const auto writer = open({.segment_size = 2000});
    ASSERT_TRUE(writer->append(entry("before")));
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::uint64_t> seen;
    int slow = 0;
    {
        Feed feed{*writer};
        feed.subscribe([&](const Stored& stored) {
            const std::lock_guard lock{mutex};
            seen.push_back(stored.index);
            changed.notify_all();
            return true;
        });
        feed.subscribe([&](const Stored&) { return ++slow < 3; });
        for (int i = 0; i != 100; ++i) ASSERT_TRUE(writer->append(entry("x")));
        std::unique_lock lock{mutex};
        ASSERT_TRUE(
            changed.wait_for(lock, std::chrono::seconds{20}, [&] { return seen.size() == 100; }));
    }
    for (std::size_t i = 0; i != seen.size(); ++i) EXPECT_EQ(seen[i], i + 1);
    EXPECT_EQ(slow, 3);
}

}  // namespace
}  // namespace chaperone::record

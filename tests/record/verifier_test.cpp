// SPDX-License-Identifier: Apache-2.0
#include "tests/record/support.h"

#include "userspace/base/encoding.h"

namespace chaperone::record {
namespace {

class VerifierTest : public JournalTest {
protected:
    void expect(Problem problem, std::optional<std::uint64_t> index) {
        const auto result = verified();
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.findings.front().problem, problem) << result.findings.front().message();
        EXPECT_EQ(result.findings.front().index, index) << result.findings.front().message();
    }
};

TEST_F(VerifierTest, FindsEveryFlippedBitOfEveryFile) {
    write(4);
    ASSERT_TRUE(verified().ok());
    for (const auto& name : {segment_name(0), leaf_name(0), checkpoints_name(0)}) {
        const auto path = journal() / name;
        const std::string good = *read_file(path);
        for (std::size_t i = 0; i != good.size(); ++i) {
            std::string bad = good;
            bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
            replace(path, bad);
            EXPECT_FALSE(verified().ok()) << name << " byte " << i;
        }
        replace(path, good);
    }
    EXPECT_TRUE(verified().ok());
}

TEST_F(VerifierTest, NamesTheFirstBadEntryAlsoWhenTheChecksWereMadeAnew) {
    write(9);
    const auto good = parts();
    const auto with = [&](auto change) {
        auto changed = good;
        change(changed.frames);
        replace(segment(), changed.joined());
    };
    with([&](auto& frames) { frames[3] = frame_of(entry("forged")); });
    expect(Problem::AlteredEntry, 3);
    EXPECT_EQ(
        verified().findings.front().where.offset,
        good.header.size() + good.frames[0].size() + good.frames[1].size() + good.frames[2].size());
    with([](auto& frames) { frames.erase(frames.begin() + 5); });
    expect(Problem::MissingEntry, 8);  // nine were signed, eight are there
    with([](auto& frames) { std::swap(frames[2], frames[6]); });
    expect(Problem::ReorderedEntry, 2);
    with([&](auto& frames) { frames.insert(frames.begin() + 4, frame_of(entry("new"))); });
    expect(Problem::InsertedEntry, 4);
    with([&](auto& frames) {
        frames.erase(frames.begin() + 5);
        frames.push_back(frame_of(entry("new")));
    });
    expect(Problem::MissingEntry, 5);
    with([&](auto& frames) { frames.push_back(frame_of(entry("appended"))); });
    expect(Problem::AfterClose, 9);
    with([](auto& frames) { frames.back().pop_back(); });
    expect(Problem::UnreadableEntry, 8);
    with([](auto&) {});
    EXPECT_TRUE(verified().ok());
}

TEST_F(VerifierTest, WithoutTheLeavesItGivesTheRange) {
    write(9);
    auto changed = parts();
    changed.frames[3] = frame_of(entry("forged"));
    replace(segment(), changed.joined());
    std::filesystem::remove(journal() / leaf_name(0));
    const auto finding = verified().findings.front();
    EXPECT_EQ(finding.problem, Problem::AlteredEntry);
    EXPECT_EQ(finding.index, 0u);
    EXPECT_EQ(finding.until, 9u);
}

TEST_F(VerifierTest, FindsMissingAndRolledBackSegments) {
    write(120, {.segment_size = 1500});
    const auto last = list_segments(journal())->back();
    ASSERT_GT(last, 2u);
    for (const std::uint32_t gone : {0u, 1u, last}) {
        const std::string good = content(gone);
        std::filesystem::remove(segment(gone));
        EXPECT_FALSE(verified().ok()) << gone;
        replace(segment(gone), good);
    }
    const std::string good = content(1);
    replace(segment(1), content(2));
    EXPECT_FALSE(verified().ok());
    replace(segment(1), good);
    EXPECT_TRUE(verified().ok());
}

TEST_F(VerifierTest, FindsRemovedAndEditedCheckpoints) {
    {
        const auto writer = open({.checkpoint_interval = std::chrono::hours{1}});
        for (int i = 0; i != 4; ++i) {
            ASSERT_TRUE(writer->append(entry("x")));
            ASSERT_TRUE(writer->checkpoint());
        }
    }
    const auto path = journal() / checkpoints_name(0);
    const std::string good = *read_file(path);
    const auto notes = split_notes(good)->notes;
    ASSERT_EQ(notes.size(), 6u);
    std::string removed;
    for (const std::size_t i : {0u, 1u, 3u, 4u, 5u}) removed += std::string{notes[i]} + "\n";
    replace(path, removed);
    expect(Problem::MissingCheckpoint, std::nullopt);
    std::string edited = good;
    edited.replace(edited.find("\n2\n"), 3, "\n3\n");
    replace(path, edited);
    expect(Problem::BadCheckpoint, std::nullopt);
}

TEST_F(VerifierTest, ACheckpointKeptElsewhereShowsACutJournal) {
    write(3);
    std::filesystem::copy(journal(), state_ / "old", std::filesystem::copy_options::recursive);
    write(3);
    const std::string file = *read_file(journal() / checkpoints_name(0));
    const VerifyOptions options{.at_least = std::string{split_notes(file)->notes.back()}};
    EXPECT_TRUE(verified(options).ok());
    const auto old = verify(state_ / "old", key());
    EXPECT_TRUE(old->ok()) << "by itself it was true once";
    const auto result = verify(state_ / "old", key(), options);
    ASSERT_FALSE(result->ok());
    EXPECT_EQ(result->findings.front().problem, Problem::Behind);
}

TEST_F(VerifierTest, AnotherKeyVerifiesNothing) {
    write(3);
    const auto result = verify(journal(), SigningKey::generate().public_key());
    EXPECT_FALSE(result->ok());
}

TEST_F(VerifierTest, ALivingWriterIsNoDamage) {
    const auto writer = open({.checkpoint_interval = std::chrono::hours{1}});
    ASSERT_TRUE(writer->append(entry("x")));
    const auto result = verified();
    EXPECT_TRUE(result.ok()) << result.findings.front().message();
    EXPECT_TRUE(result.live);
    EXPECT_EQ(result.unsigned_entries(), 1u);
}

TEST_F(VerifierTest, ReportsProgressToTheEnd) {
    write(3);
    std::uint64_t last = 0;
    std::uint64_t all = 0;
    verified({.progress = [&](std::uint64_t done, std::uint64_t of) {
        last = done;
        all = of;
    }});
    EXPECT_EQ(last, std::filesystem::file_size(segment()));
    EXPECT_EQ(all, last);
}

// The roots of RFC 6962's reference implementation (certificate-transparency, merkletree tests).
TEST(Merkle, GivesTheKnownRoots) {
    const char* const leaves[] = {"",
                                  "00",
                                  "10",
                                  "2021",
                                  "3031",
                                  "40414243",
                                  "5051525354555657",
                                  "606162636465666768696a6b6c6d6e6f"};
    const char* const roots[] = {
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    CompactRange tree;
    EXPECT_EQ(to_hex(tree.root()),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (std::size_t i = 0; i != std::size(leaves); ++i) {
        tree.push(leaf_hash(*from_hex(leaves[i])));
        EXPECT_EQ(to_hex(tree.root()), roots[i]) << i;
    }
}

// The example of c2sp.org/signed-note and golang.org/x/mod/sumdb/note.
TEST(Note, OpensTheNoteOfTheSpecification) {
    const auto key =
        VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    ASSERT_TRUE(key) << key.error().message();
    const std::string note =
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "\xe2\x80\x94 PeterNeumann "
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvq"
        "fqdngotpRZb6KE6RyyBwJnAM=\n";
    const auto text = open_note(note, *key);
    ASSERT_TRUE(text) << text.error().message();
    EXPECT_TRUE(text->ends_with("your problem is.\n"));
    std::string bad = note;
    bad[0] = 'i';
    EXPECT_FALSE(open_note(bad, *key));
}

TEST(Note, SignsWhatItVerifiesAndKeysSurviveTheirText) {
    const SigningKey key = SigningKey::generate();
    const std::string note = key.sign("a\nb\n");
    EXPECT_EQ(*open_note(note, key.public_key()), "a\nb\n");
    EXPECT_EQ(*VerifierKey::parse(key.public_key().text() + "\n"), key.public_key());
    EXPECT_FALSE(open_note(note, SigningKey::generate().public_key()));
    for (const char* bad : {"", "a", "a+b", "a+00000000+AAAA", "+00000000+AAAA"})
        EXPECT_FALSE(VerifierKey::parse(bad)) << bad;
}

TEST(Segment, NeedsEveryByteOfHeaderAndFrame) {
    CompactRange before;
    for (int i = 0; i != 7; ++i) before.push(leaf_hash(as_bytes("x")));
    const SegmentHeader header{.number = 3, .first = 7, .before = before};
    const Buffer bytes = encode_header(header);
    for (std::size_t cut = 0; cut != bytes.size(); ++cut)
        EXPECT_FALSE((*decode_header(Bytes{bytes}.first(cut))).has_value()) << cut;
    EXPECT_EQ((*decode_header(bytes))->header, header);
    Buffer frame;
    append_frame(frame, as_bytes("entry"), leaf_hash(as_bytes("entry")));
    for (std::size_t cut = 0; cut != frame.size(); ++cut)
        EXPECT_FALSE((*decode_frame(Bytes{frame}.first(cut))).has_value()) << cut;
    EXPECT_EQ(as_text((*decode_frame(frame))->entry), "entry");
}

}  // namespace
}  // namespace chaperone::record

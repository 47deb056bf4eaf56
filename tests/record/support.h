// SPDX-License-Identifier: Apache-2.0
// A journal in a folder of its own, and ways to damage it.
#pragma once

#include "userspace/base/file.h"
#include "userspace/record/verifier.h"
#include "userspace/record/writer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace chaperone::record {

class JournalTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "journal-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        state_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(state_); }

    std::unique_ptr<Writer> open(WriterOptions options = {}) {
        options.state = state_;
        auto writer = Writer::open(std::move(options));
        EXPECT_TRUE(writer) << writer.error().message();
        return writer ? *std::move(writer) : nullptr;
    }

    static Entry entry(const std::string& statement, const std::string& session = "s1") {
        Entry made;
        made.set_time(1'700'000'000'000'000'000);
        made.mutable_request()->set_session(session);
        made.mutable_request()->set_number(1);
        made.mutable_request()->set_kind("statement");
        made.mutable_request()->set_statement(statement);
        made.mutable_request()->mutable_decision()->set_effect("allow");
        return made;
    }

    // A closed journal with `count` entries, all signed at once.
    void write(int count, WriterOptions options = {}) {
        options.checkpoint_interval = std::chrono::hours{1};
        const auto writer = open(std::move(options));
        for (int i = 0; i != count; ++i)
            ASSERT_TRUE(writer->append(entry("SELECT " + std::to_string(i))));
    }

    VerifierKey key() const { return *VerifierKey::parse(*read_file(state_ / "journal.pub")); }
    Verification verified(const VerifyOptions& options = {}) const {
        auto result = verify(journal(), key(), options);
        EXPECT_TRUE(result) << result.error().message();
        return result ? *std::move(result) : Verification{};
    }
    std::filesystem::path journal() const { return state_ / "journal"; }
    std::filesystem::path segment(std::uint32_t number = 0) const {
        return journal() / segment_name(number);
    }
    std::string content(std::uint32_t number = 0) const { return *read_file(segment(number)); }
    static void replace(const std::filesystem::path& path, std::string_view content) {
        std::ofstream{path, std::ios::binary | std::ios::trunc} << content;
    }

    // The segment's header and its frames, to be put together anew.
    struct Parts {
        std::string header{};
        std::vector<std::string> frames{};
        std::string joined() const {
            std::string all = header;
            for (const auto& frame : frames) all += frame;
            return all;
        }
    };
    Parts parts(std::uint32_t number = 0) const {
        const std::string text = content(number);
        Parts found;
        std::size_t at = (*decode_header(as_bytes(text)))->size;
        found.header = text.substr(0, at);
        while (at != text.size()) {
            const auto frame = *decode_frame(as_bytes(text).subspan(at));
            found.frames.push_back(text.substr(at, frame->size));
            at += frame->size;
        }
        return found;
    }
    static std::string frame_of(const Entry& made) {
        const std::string bytes = made.SerializeAsString();
        Buffer frame;
        append_frame(frame, as_bytes(bytes), leaf_hash(as_bytes(bytes)));
        return std::string{as_text(frame)};
    }

    std::filesystem::path state_;
};

}  // namespace chaperone::record

// SPDX-License-Identifier: Apache-2.0
// Reads entries in order, from an index or from a place. It checks framing, not signatures (that is
// the verifier). Reading beside a living writer is fine. Not thread-safe; make one each.
#pragma once

#include "userspace/base/unique_fd.h"
#include "userspace/record/record.pb.h"
#include "userspace/record/segment.h"

#include <filesystem>
#include <optional>

namespace chaperone::record {

struct Stored {
    std::uint64_t index = 0;
    Location where{};
    Entry entry{};
};

// An entry as it is written.
struct Framed {
    std::uint64_t index = 0;
    Location where{};
    Bytes bytes{};
};

class Reader {
public:
    // `journal` is the folder of the segments. NotFound if there are none.
    static Result<Reader> open(std::filesystem::path journal);

    // The next next() gives the entry with this index; NotFound if it was pruned or is not there.
    Result<> seek(std::uint64_t index);
    // The same for an entry whose place is known, without scanning.
    Result<> seek(std::uint64_t index, Location where);
    // Index of the first entry that was not pruned.
    std::uint64_t first() const noexcept { return first_; }

    // nullopt at the end (for now: it may be called again). A frame that is cut off is the end too,
    // as a writer may be at it.
    Result<std::optional<Stored>> next();
    // The same, unparsed; its bytes are there until the next call of anything.
    Result<std::optional<Framed>> next_framed();

private:
    explicit Reader(std::filesystem::path journal) : journal_(std::move(journal)) {}
    Result<bool> open_segment(std::uint32_t number);
    Result<bool> fill(std::size_t need);

    std::filesystem::path journal_;
    UniqueFd fd_;
    Buffer buffer_;
    std::size_t used_ = 0;         // of buffer_
    std::uint64_t read_from_ = 0;  // file offset of buffer_'s first byte
    std::size_t piece_ = 0;        // how much is read next
    std::uint32_t segment_ = 0;
    std::uint64_t index_ = 0;
    std::uint64_t first_ = 0;
};

}  // namespace chaperone::record

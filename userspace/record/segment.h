// SPDX-License-Identifier: Apache-2.0
// The bytes of a segment: header and frames, as FORMAT.md has them. Pure but for list_segments.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/record/merkle.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace chaperone::record {

constexpr std::size_t kFrameHead = 12;  // length and check
// More than any request that is inspected, and small enough to hold in memory.
constexpr std::size_t kMaxEntry = std::size_t{16} << 20;

// Where a frame begins. Entries are found again by it without scanning.
struct Location {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
    bool operator==(const Location&) const = default;
};

struct SegmentHeader {
    std::uint32_t number = 0;
    std::uint64_t first = 0;  // index of its first entry
    CompactRange before{};    // of all entries before it
    bool operator==(const SegmentHeader&) const = default;
};

Buffer encode_header(const SegmentHeader& header);
struct DecodedHeader {
    SegmentHeader header{};
    std::size_t size = 0;  // bytes it takes
};
// nullopt: `in` ends inside it.
Result<std::optional<DecodedHeader>> decode_header(Bytes in);

void append_frame(Buffer& to, Bytes entry, const Digest& leaf);
// The head alone, before an entry of `size` bytes.
void write_frame_head(std::span<std::byte, kFrameHead> head, std::size_t size, const Digest& leaf);
struct Frame {
    Bytes entry{};  // a view into the input
    Digest leaf{};
    std::size_t size = 0;  // bytes it takes, head included
};
// The frame at the front of `in`. nullopt: `in` ends inside it. Malformed: no such length.
// Corrupt: the check does not fit the entry.
Result<std::optional<Frame>> decode_frame(Bytes in);

// Whether `in` begins with room that was set aside and not yet written: a frame of no length.
bool begins_with_room(Bytes in);
// What follows a segment's last whole frame, up to its last byte that is not zero. Empty: it is
// room.
Bytes without_room(Bytes tail);

std::string segment_name(std::uint32_t number);                     // "00000000.seg"
std::string leaf_name(std::uint32_t number);                        // "00000000.leaf"
std::string checkpoints_name(std::uint32_t number);                 // "00000000.checkpoints"
std::string torn_name(std::uint32_t number, std::uint64_t offset);  // "00000000.torn-4096"
// Numbers of the segments in the folder, ascending.
Result<std::vector<std::uint32_t>> list_segments(const std::filesystem::path& journal);

}  // namespace chaperone::record

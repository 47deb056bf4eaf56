// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/segment.h"

#include "userspace/base/sha256.h"

#include <algorithm>
#include <charconv>

namespace chaperone::record {
namespace {

constexpr std::string_view kMagic = "CHAPJRN1";
constexpr std::size_t kCheck = 8;
constexpr std::size_t kFixed = 8 + 4 + 8 + 4;  // magic, number, first, count
constexpr std::uint32_t kMaxRoots = 64;        // one for each bit of an index

void append_number(Buffer& to, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i != size; ++i) to.push_back(static_cast<std::byte>(value >> 8 * i));
}

std::uint64_t number_at(Bytes in, std::size_t at, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = size; i-- != 0;)
        value = value << 8 | std::to_integer<std::uint64_t>(in[at + i]);
    return value;
}

std::string padded(std::uint32_t number) {
    const std::string digits = std::to_string(number);
    return std::string(8 - std::min<std::size_t>(8, digits.size()), '0') + digits;
}

Bytes check_of(const Digest& digest) {
    return Bytes{digest}.first(kCheck);
}

}  // namespace

Buffer encode_header(const SegmentHeader& header) {
    Buffer out = copy(as_bytes(kMagic));
    append_number(out, header.number, 4);
    append_number(out, header.first, 8);
    append_number(out, header.before.roots().size(), 4);
    for (const Digest& root : header.before.roots()) append(out, Bytes{root});
    const Digest digest = sha256(out);
    append(out, check_of(digest));
    return out;
}

Result<std::optional<DecodedHeader>> decode_header(Bytes in) {
    if (in.size() < kFixed) return std::nullopt;
    if (as_text(in.first(kMagic.size())) != kMagic)
        return fail(Errc::Malformed, "not a segment of version 1");
    const auto count = number_at(in, 20, 4);
    if (count > kMaxRoots) return fail(Errc::Malformed, "a segment's header");
    const std::size_t covered = kFixed + static_cast<std::size_t>(count) * sizeof(Digest);
    if (in.size() < covered + kCheck) return std::nullopt;
    const Digest digest = sha256(in.first(covered));
    if (!std::ranges::equal(check_of(digest), in.subspan(covered, kCheck)))
        return fail(Errc::Corrupt, "a segment's header does not fit its check");
    std::vector<Digest> roots(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i != roots.size(); ++i)
        std::ranges::copy(in.subspan(kFixed + i * sizeof(Digest), sizeof(Digest)),
                          roots[i].begin());
    DecodedHeader decoded{.size = covered + kCheck};
    decoded.header.number = static_cast<std::uint32_t>(number_at(in, 8, 4));
    decoded.header.first = number_at(in, 12, 8);
    auto before = CompactRange::from(decoded.header.first, std::move(roots));
    if (!before) return fail(before.error());
    decoded.header.before = *std::move(before);
    return decoded;
}

void append_frame(Buffer& to, Bytes entry, const Digest& leaf) {
    const std::size_t before = to.size();
    to.resize(before + kFrameHead);
    write_frame_head(std::span{to}.subspan(before).first<kFrameHead>(), entry.size(), leaf);
    append(to, entry);
}

void write_frame_head(std::span<std::byte, kFrameHead> head, std::size_t size, const Digest& leaf) {
    for (std::size_t i = 0; i != 4; ++i) head[i] = static_cast<std::byte>(size >> 8 * i);
    std::ranges::copy(check_of(leaf), head.begin() + 4);
}

Result<std::optional<Frame>> decode_frame(Bytes in) {
    if (in.size() < kFrameHead) return std::nullopt;
    const auto length = static_cast<std::size_t>(number_at(in, 0, 4));
    if (length == 0 || length > kMaxEntry)
        return fail(Errc::Malformed, "an entry of " + std::to_string(length) + " bytes");
    if (in.size() - kFrameHead < length) return std::nullopt;
    Frame frame{.entry = in.subspan(kFrameHead, length), .size = kFrameHead + length};
    frame.leaf = leaf_hash(frame.entry);
    if (!std::ranges::equal(check_of(frame.leaf), in.subspan(4, kCheck)))
        return fail(Errc::Corrupt, "an entry does not fit its check");
    return frame;
}

bool begins_with_room(Bytes in) {
    return in.size() >= 4 && number_at(in, 0, 4) == 0;
}

Bytes without_room(Bytes tail) {
    std::size_t size = tail.size();
    while (size != 0 && tail[size - 1] == std::byte{}) --size;
    return tail.first(size);
}

std::string segment_name(std::uint32_t number) {
    return padded(number) + ".seg";
}

std::string leaf_name(std::uint32_t number) {
    return padded(number) + ".leaf";
}

std::string checkpoints_name(std::uint32_t number) {
    return padded(number) + ".checkpoints";
}

std::string torn_name(std::uint32_t number, std::uint64_t offset) {
    return padded(number) + ".torn-" + std::to_string(offset);
}

Result<std::vector<std::uint32_t>> list_segments(const std::filesystem::path& journal) {
    std::vector<std::uint32_t> numbers;
    std::error_code error;
    for (std::filesystem::directory_iterator it{journal, error}, end; !error && it != end;
         it.increment(error)) {
        const std::string name = it->path().filename().string();
        std::uint32_t number = 0;
        std::from_chars(name.data(), name.data() + name.size(), number);
        if (name == segment_name(number)) numbers.push_back(number);
    }
    if (error)
        return fail(error == std::errc::no_such_file_or_directory ? Errc::NotFound : Errc::System,
                    journal.string() + ": " + error.message());
    std::ranges::sort(numbers);
    return numbers;
}

}  // namespace chaperone::record

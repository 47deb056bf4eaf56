// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/reader.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace chaperone::record {
namespace {

// Read at a time: more where much follows, little where the writer is near.
constexpr std::size_t kPiece = std::size_t{256} << 10;
constexpr std::size_t kSmallPiece = std::size_t{16} << 10;

}  // namespace

Result<Reader> Reader::open(std::filesystem::path journal) {
    const auto segments = list_segments(journal);
    if (!segments) return fail(segments.error());
    if (segments->empty()) return fail(Errc::NotFound, journal.string() + " has no segments");
    Reader reader{std::move(journal)};
    const auto opened = reader.open_segment(segments->front());
    if (!opened) return fail(opened.error());
    if (!*opened) return fail(Errc::NotFound, reader.journal_.string() + " has no first segment");
    reader.first_ = reader.index_;
    return reader;
}

// Reads more until `need` unused bytes are in the buffer; false at the end of the file.
Result<bool> Reader::fill(std::size_t need) {
    if (used_ != 0) {
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
        read_from_ += used_;
        used_ = 0;
    }
    while (buffer_.size() < need) {
        const std::size_t had = buffer_.size();
        buffer_.resize(had + std::max(piece_, need - had));
        piece_ = std::min(2 * piece_, kPiece);
        const ssize_t n = ::pread(fd_.get(), buffer_.data() + had, buffer_.size() - had,
                                  static_cast<off_t>(read_from_ + had));
        buffer_.resize(had + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_error("read segment " + std::to_string(segment_), errno);
        if (n == 0) return false;
    }
    return true;
}

// False if there is no such segment.
Result<bool> Reader::open_segment(std::uint32_t number) {
    const auto path = journal_ / segment_name(number);
    UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd && errno == ENOENT) return false;
    if (!fd) return system_error("open " + path.string(), errno);
    fd_ = std::move(fd);
    buffer_.clear();
    used_ = 0;
    read_from_ = 0;
    piece_ = kSmallPiece;
    segment_ = number;
    constexpr std::size_t kMostHeader = 4096;
    if (auto filled = fill(kMostHeader); !filled) return fail(filled.error());
    const auto header = decode_header(buffer_);
    if (!header) return fail(Errc::Corrupt, path.string() + ": " + header.error().message());
    if (!header->has_value() || (*header)->header.number != number)
        return fail(Errc::Corrupt, path.string() + " has no header of its own");
    index_ = (*header)->header.first;
    used_ = (*header)->size;
    return true;
}

Result<> Reader::seek(std::uint64_t index) {
    const auto segments = list_segments(journal_);
    if (!segments) return fail(segments.error());
    for (std::size_t i = segments->size(); i-- != 0;) {
        const auto opened = open_segment((*segments)[i]);
        if (!opened) return fail(opened.error());
        if (!*opened || index_ > index) continue;
        while (index_ < index) {
            const auto stored = next();
            if (!stored) return fail(stored.error());
            if (!stored->has_value()) return fail(Errc::NotFound, "entry " + std::to_string(index));
        }
        return {};
    }
    return fail(Errc::NotFound, "entry " + std::to_string(index) + " was pruned");
}

Result<> Reader::seek(std::uint64_t index, Location where) {
    if (segment_ != where.segment || !fd_) {
        const auto opened = open_segment(where.segment);
        if (!opened) return fail(opened.error());
        if (!*opened) return fail(Errc::NotFound, "segment " + std::to_string(where.segment));
    }
    const bool inside = where.offset >= read_from_ && where.offset - read_from_ <= buffer_.size();
    if (inside) {
        used_ = static_cast<std::size_t>(where.offset - read_from_);
    } else {
        buffer_.clear();
        used_ = 0;
        read_from_ = where.offset;
    }
    index_ = index;
    return {};
}

Result<std::optional<Stored>> Reader::next() {
    const auto framed = next_framed();
    if (!framed) return fail(framed.error());
    if (!framed->has_value()) return std::nullopt;
    Stored stored{.index = (*framed)->index, .where = (*framed)->where};
    const Bytes entry = (*framed)->bytes;
    if (!stored.entry.ParseFromArray(entry.data(), static_cast<int>(entry.size())))
        return fail(Errc::Corrupt,
                    "entry " + std::to_string(stored.index) + " is no protobuf entry");
    return stored;
}

Result<std::optional<Framed>> Reader::next_framed() {
    bool looked_again = false;
    for (;;) {
        if (begins_with_room(Bytes{buffer_}.subspan(used_))) {
            // So it was when it was read. It may have been written since, or cut off.
            buffer_.resize(used_);
            piece_ = kSmallPiece;
            if (std::exchange(looked_again, true)) return std::nullopt;
        }
        auto frame = decode_frame(Bytes{buffer_}.subspan(used_));
        if (frame && !frame->has_value()) {
            // The frame says how much it needs once its head is there.
            if (const auto filled = fill(buffer_.size() - used_ + 1); !filled)
                return fail(filled.error());
            else if (*filled)
                continue;
            if (!buffer_.empty()) return std::nullopt;  // the writer is at it, or it is torn
            const auto opened = open_segment(segment_ + 1);
            if (!opened) return fail(opened.error());
            if (!*opened) return std::nullopt;
            continue;
        }
        if (!frame)
            return fail(Errc::Corrupt, "entry " + std::to_string(index_) + " at byte " +
                                           std::to_string(read_from_ + used_) + " of segment " +
                                           std::to_string(segment_) + ": " +
                                           frame.error().message());
        const Framed framed{
            .index = index_, .where = {segment_, read_from_ + used_}, .bytes = (*frame)->entry};
        used_ += (*frame)->size;
        ++index_;
        return framed;
    }
}

}  // namespace chaperone::record

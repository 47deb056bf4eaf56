// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/recovery.h"

#include "userspace/base/file.h"
#include "userspace/base/unique_fd.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace chaperone::record {
namespace {

// A segment is cut at 64 MiB or one batch later; somebody may configure more.
constexpr std::size_t kMaxSegment = std::size_t{4} << 30;

Error corrupt(std::string detail) {
    return Error{Errc::Corrupt, std::move(detail) +
                                    "; run 'chaperone journal verify', then move "
                                    "the journal aside to begin a new one"};
}

// The last checkpoint of one file, and where its whole notes end.
struct LastNote {
    std::optional<Checkpoint> checkpoint{};
    std::uint64_t end = 0;
};

Result<LastNote> last_note(const std::filesystem::path& path, const VerifierKey& key) {
    const auto text = read_file(path, kMaxSegment);
    if (!text && text.error().code == Errc::NotFound) return LastNote{};
    if (!text) return fail(text.error());
    const auto notes = split_notes(*text);
    if (!notes) return fail(corrupt(path.string() + ": " + notes.error().message()));
    LastNote last{.end = text->size() - notes->torn.size()};
    if (notes->notes.empty()) return last;
    const auto body = open_note(notes->notes.back(), key);
    if (!body) return fail(corrupt(path.string() + ": " + body.error().message()));
    auto checkpoint = parse_checkpoint(*body);
    if (!checkpoint) return fail(corrupt(path.string() + ": " + checkpoint.error().message()));
    last.checkpoint = *std::move(checkpoint);
    return last;
}

Result<Recovered> first_segment(const std::filesystem::path& journal) {
    for (std::error_code error;
         const auto& item : std::filesystem::directory_iterator{journal, error})
        if (item.path().extension() == ".checkpoints" || item.path().filename() == "pruned")
            return fail(corrupt(journal.string() + " has checkpoints, but no segments"));
    const auto end = create_segment(journal, SegmentHeader{});
    if (!end) return fail(end.error());
    return Recovered{.end = *end};
}

// Reads the frames of the last segment. Its end is that of the last whole one.
Result<> scan(Bytes segment, const Checkpoint* last, Recovered& found,
              std::vector<Digest>& leaves) {
    const std::uint64_t signed_to = last != nullptr ? last->size : 0;
    const auto signed_root_is_wrong = [&] {
        return last != nullptr && found.tree.size() == signed_to && found.tree.root() != last->root;
    };
    if (signed_root_is_wrong()) return fail(corrupt("the segment's header is not what was signed"));
    for (;;) {
        const auto frame = decode_frame(segment.subspan(found.end));
        const auto* const whole = frame && frame->has_value() ? &**frame : nullptr;
        if (whole == nullptr) break;
        found.tree.push(whole->leaf);
        leaves.push_back(whole->leaf);
        found.end += whole->size;
        if (signed_root_is_wrong())
            return fail(
                corrupt("an entry before number " + std::to_string(signed_to) + " was altered"));
    }
    if (found.tree.size() < signed_to)
        return fail(corrupt("entry " + std::to_string(found.tree.size()) +
                            " was signed and is missing or unreadable, at byte " +
                            std::to_string(found.end) + " of segment " +
                            std::to_string(found.segment)));
    return {};
}

// How much of the .leaf file is right; the rest of `leaves` is still to be written.
Result<> compare_leaves(const std::filesystem::path& path, std::uint64_t signed_here,
                        std::vector<Digest>& leaves, Recovered& found) {
    const auto text = read_file(path, kMaxSegment);
    if (!text && text.error().code != Errc::NotFound) return fail(text.error());
    const Bytes stored = text ? as_bytes(*text) : Bytes{};
    std::size_t good = 0;
    while (good != leaves.size() && stored.size() >= (good + 1) * sizeof(Digest) &&
           std::ranges::equal(stored.subspan(good * sizeof(Digest), sizeof(Digest)), leaves[good]))
        ++good;
    if (good < signed_here)
        return fail(
            corrupt(path.string() + " is not what was signed, at leaf " + std::to_string(good)));
    found.leaf_end = good * sizeof(Digest);
    found.leaves.assign(leaves.begin() + static_cast<std::ptrdiff_t>(good), leaves.end());
    return {};
}

Result<> write_exclusive(const std::filesystem::path& path, Bytes content) {
    const UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (!fd) return system_error("create " + path.string(), errno);
    while (!content.empty()) {
        const ssize_t n = ::write(fd.get(), content.data(), content.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_error("write " + path.string(), errno);
        content = content.subspan(static_cast<std::size_t>(n));
    }
    if (::fsync(fd.get()) != 0) return system_error("fsync " + path.string(), errno);
    return {};
}

// Keeps the bytes under a name that is free.
Result<std::string> keep(const std::filesystem::path& journal, std::uint32_t segment,
                         std::uint64_t end, Bytes tail) {
    for (int attempt = 0; attempt != 1000; ++attempt) {
        std::string name = torn_name(segment, end);
        if (attempt != 0) name += "-" + std::to_string(attempt);
        std::error_code error;
        if (std::filesystem::exists(journal / name, error)) continue;
        if (auto done = write_exclusive(journal / name, tail); !done) {
            std::filesystem::remove(journal / name, error);
            return fail(done.error());
        }
        return name;
    }
    return fail(Errc::Exists, "a thousand torn tails at one place");
}

Result<> keep_tail(const std::filesystem::path& journal, std::uint32_t segment, std::uint64_t end,
                   bool must_keep, Bytes tail, Recovery& entry) {
    const Digest digest = sha256(tail);
    entry.set_discarded_digest(digest.data(), digest.size());
    const auto kept = keep(journal, segment, end, tail);
    if (!kept && must_keep) return fail(kept.error());
    if (kept) entry.set_discarded_file(*kept);
    return {};
}

}  // namespace

Result<std::uint64_t> create_segment(const std::filesystem::path& journal,
                                     const SegmentHeader& header) {
    const Buffer bytes = encode_header(header);
    const auto path = journal / segment_name(header.number);
    if (auto done = write_file(path, as_text(bytes), 0600); !done) return fail(done.error());
    return bytes.size();
}

Result<> cut_tail(const std::filesystem::path& journal, std::uint32_t segment, std::uint64_t end,
                  bool must_keep, Recovery& entry) {
    const auto path = journal / segment_name(segment);
    const UniqueFd fd{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
    if (!fd) return system_error("open " + path.string(), errno);
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0) return system_error("stat " + path.string(), errno);
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size < end) return fail(corrupt(path.string() + " was cut by somebody else"));
    if (size - end > kMaxSegment) return fail(Errc::TooLarge, "the torn tail of " + path.string());
    Buffer tail(static_cast<std::size_t>(size - end));
    for (std::size_t got = 0; got != tail.size();) {
        const ssize_t n =
            ::pread(fd.get(), tail.data() + got, tail.size() - got, static_cast<off_t>(end + got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return system_error("read " + path.string(), n == 0 ? EIO : errno);
        got += static_cast<std::size_t>(n);
    }
    const bool longer = !tail.empty();
    tail.resize(without_room(tail).size());
    entry.set_segment(segment);
    entry.set_offset(end);
    entry.set_discarded(tail.size());
    if (!longer) return {};
    if (!tail.empty()) {
        if (auto done = keep_tail(journal, segment, end, must_keep, tail, entry); !done)
            return done;
    }
    if (::ftruncate(fd.get(), static_cast<off_t>(end)) != 0)
        return system_error("cut " + path.string(), errno);
    return {};
}

Result<Recovered> recover_journal(const std::filesystem::path& journal, const VerifierKey& key) {
    const auto segments = list_segments(journal);
    if (!segments) return fail(segments.error());
    if (segments->empty()) return first_segment(journal);

    Recovered found{.segment = segments->back()};
    auto last = last_note(journal / checkpoints_name(found.segment), key);
    if (!last) return fail(last.error());
    found.checkpoints_end = last->end;
    if (!last->checkpoint && found.segment != 0) {  // it crashed just after it began the segment
        const auto before = last_note(journal / checkpoints_name(found.segment - 1), key);
        if (!before) return fail(before.error());
        last->checkpoint = before->checkpoint;
    }
    found.last = last->checkpoint;

    const auto path = journal / segment_name(found.segment);
    const auto content = read_file(path, kMaxSegment);
    if (!content) return fail(content.error());
    const auto header = decode_header(as_bytes(*content));
    if (!header || !header->has_value() || (*header)->header.number != found.segment)
        return fail(corrupt(path.string() + " has no header of its own"));
    found.first = (*header)->header.first;
    found.tree = (*header)->header.before;
    found.end = (*header)->size;
    const Checkpoint* const checkpoint = found.last ? &*found.last : nullptr;
    const std::uint64_t signed_to = checkpoint != nullptr ? checkpoint->size : 0;
    if (signed_to < found.first)
        return fail(
            corrupt("the last checkpoint is older than segment " + segment_name(found.segment)));

    std::vector<Digest> leaves;
    if (auto done = scan(as_bytes(*content), checkpoint, found, leaves); !done)
        return fail(done.error());
    if (auto done = compare_leaves(journal / leaf_name(found.segment), signed_to - found.first,
                                   leaves, found);
        !done)
        return fail(done.error());

    Recovery entry;
    if (!without_room(as_bytes(*content).subspan(found.end)).empty()) {
        if (auto done = cut_tail(journal, found.segment, found.end, true, entry); !done)
            return fail(done.error());
        entry.set_cause(Recovery::TORN_TAIL);
        found.entry = entry;
    }
    if (found.tree.size() > signed_to) {
        const bool closed = checkpoint != nullptr && checkpoint->state == WriterState::Closed;
        if (closed)
            entry.set_cause(Recovery::AFTER_CLOSE);
        else if (!found.entry)
            entry.set_cause(Recovery::UNSIGNED_TAIL);
        entry.set_unsigned_entries(found.tree.size() - signed_to);
        found.entry = entry;
    }
    if (found.entry) found.entry->set_size(found.tree.size());
    return found;
}

}  // namespace chaperone::record

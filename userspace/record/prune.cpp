// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/prune.h"

#include "userspace/base/file.h"
#include "userspace/record/diagnose.h"
#include "userspace/record/reader.h"

namespace chaperone::record {
namespace {

// The time of a segment's first entry, and with it the latest of what the one before it holds.
Result<std::optional<Time>> first_time(const std::filesystem::path& journal, std::uint32_t number,
                                       SegmentHeader& header) {
    const auto content = read_file(journal / segment_name(number), std::size_t{4} << 30);
    if (!content) return fail(content.error());
    const auto decoded = decode_header(as_bytes(*content));
    if (!decoded || !decoded->has_value())
        return fail(Errc::Corrupt, segment_name(number) + " has no header");
    header = (*decoded)->header;
    const auto frame = decode_frame(as_bytes(*content).subspan((*decoded)->size));
    if (!frame) return fail(Errc::Corrupt, segment_name(number) + ": " + frame.error().message());
    if (!frame->has_value()) return std::nullopt;
    Entry entry;
    const Bytes bytes = (*frame)->entry;
    if (!entry.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return fail(Errc::Corrupt, segment_name(number) + " does not begin with an entry");
    return Time{Duration{entry.time()}};
}

void remove_segment(const std::filesystem::path& journal, std::uint32_t number, Pruned& pruned) {
    std::error_code error;
    const auto size = std::filesystem::file_size(journal / segment_name(number), error);
    if (!error) pruned.bytes += size;
    for (const auto& name : {segment_name(number), leaf_name(number), checkpoints_name(number)})
        std::filesystem::remove(journal / name, error);
    ++pruned.segments;
}

}  // namespace

Result<Pruned> prune(const std::filesystem::path& state, Time before, Time now) {
    const auto journal = state / "journal";
    const auto key = SigningKey::load_or_make(state / "journal.key", state / "journal.pub");
    if (!key) return fail(key.error());
    const auto segments = list_segments(journal);
    if (!segments) return fail(segments.error());

    // Entries are in the order of time: what comes before an old first entry is older still.
    std::optional<SegmentHeader> kept;
    for (std::size_t i = 1; i < segments->size(); ++i) {
        SegmentHeader header;
        const auto time = first_time(journal, (*segments)[i], header);
        if (!time) return fail(time.error());
        const auto& first = *time;
        if (!first.has_value() || *first >= before) break;
        kept = std::move(header);
    }
    Pruned pruned;
    if (!kept) return pruned;
    // The note first: from then on the removed ones are missed by nobody, and what a crash leaves
    // of them is removed the next time.
    const PrunedNote note{kept->first, kept->before.root(), kept->number};
    const std::string text = key->sign(to_text(note, key->public_key().name(), now));
    if (auto done = write_file(journal / "pruned", text, 0600); !done) return fail(done.error());
    pruned.first_kept = kept->first;
    for (const auto number : *segments)
        if (number < kept->number) remove_segment(journal, number, pruned);
    return pruned;
}

}  // namespace chaperone::record

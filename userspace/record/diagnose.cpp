// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/diagnose.h"

#include "userspace/base/encoding.h"
#include "userspace/base/file.h"

#include <algorithm>
#include <charconv>

namespace chaperone::record {
namespace {

// The leaves that were signed, from the segment's first to the checkpoint; empty if the stored ones
// are not they.
std::vector<Digest> signed_leaves(const Difference& d, const CompactRange& before) {
    const auto text = read_file(d.journal / leaf_name(d.segment), std::size_t{4} << 30);
    const std::uint64_t count = d.checkpoint.size - d.first;
    if (!text || text->size() / sizeof(Digest) < count) return {};
    std::vector<Digest> leaves(static_cast<std::size_t>(count));
    CompactRange tree = before;
    for (std::size_t i = 0; i != leaves.size(); ++i) {
        std::ranges::copy(as_bytes(*text).subspan(i * sizeof(Digest), sizeof(Digest)),
                          leaves[i].begin());
        tree.push(leaves[i]);
    }
    return tree.root() == d.checkpoint.root ? leaves : std::vector<Digest>{};
}

Location place_of(const Difference& d, std::size_t header_size, std::size_t position) {
    std::size_t at = header_size;
    for (std::size_t i = 0; i != position; ++i) {
        const auto frame = decode_frame(d.content.subspan(at));
        if (!frame || !frame->has_value()) break;
        at += (*frame)->size;
    }
    return {d.segment, at};
}

// What was done at the first place where the two differ.
Problem kind_of(std::span<const Digest> stored, std::span<const Digest> signed_ones) {
    const auto has = [](std::span<const Digest> list, const Digest& leaf) {
        return std::ranges::find(list, leaf) != list.end();
    };
    const bool known = has(signed_ones, stored.front());        // is elsewhere in what was signed
    const bool still_there = has(stored, signed_ones.front());  // what belongs here is elsewhere
    if (known && still_there) return Problem::ReorderedEntry;
    if (known) return Problem::MissingEntry;
    if (still_there) return Problem::InsertedEntry;
    return Problem::AlteredEntry;
}

}  // namespace

Finding diagnose(const Difference& d) {
    Finding finding{
        .problem = Problem::AlteredEntry,
        .index = d.from,
        .until = d.checkpoint.size,
        .where = {d.segment, 0},
        .detail = "checkpoint " + std::to_string(d.checkpoint.number) + " has another root"};
    const auto header = decode_header(d.content);
    if (!header || !header->has_value()) return finding;
    const std::vector<Digest> expected = signed_leaves(d, (*header)->header.before);
    const auto [stored, wanted] = std::ranges::mismatch(d.leaves, expected);
    if (stored == d.leaves.end() || wanted == expected.end()) return finding;
    const auto position = static_cast<std::size_t>(stored - d.leaves.begin());

    // The entries behind the checkpoint take part: an insertion pushes the last signed one there.
    std::vector<Digest> rest{stored, d.leaves.end()};
    Location where = place_of(d, (*header)->size, d.leaves.size());
    for (std::size_t at = static_cast<std::size_t>(where.offset);;) {
        const auto frame = decode_frame(d.content.subspan(at));
        if (!frame || !frame->has_value()) break;
        rest.push_back((*frame)->leaf);
        at += (*frame)->size;
    }
    // Exact, so the sentence is about one entry.
    finding.until.reset();
    finding.index = d.first + position;
    finding.where = place_of(d, (*header)->size, position);
    finding.problem = kind_of(rest, std::span{wanted, expected.end()});
    return finding;
}

std::string to_text(const PrunedNote& pruned, const std::string& origin, Time time) {
    return origin + "/pruned\n" + std::to_string(pruned.size) + "\n" + to_base64(pruned.root) +
           "\npruned " + std::to_string(pruned.segment) + " " + to_rfc3339(time) + "\n";
}

Result<PrunedNote> open_pruned(std::string_view note, const VerifierKey& key) {
    const auto text = open_note(note, key);
    if (!text) return fail(text.error());
    std::vector<std::string> lines;
    for (std::size_t at = 0, end; (end = text->find('\n', at)) != text->npos; at = end + 1)
        lines.push_back(text->substr(at, end - at));
    if (lines.size() != 4 || lines[0] != key.name() + "/pruned" || !lines[3].starts_with("pruned "))
        return fail(Errc::Malformed, "the note about pruning");
    PrunedNote pruned;
    const auto number = [](std::string_view digits, auto& value) {
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return error == std::errc{} && end == digits.data() + digits.size();
    };
    const std::string rest = lines[3].substr(7);
    const auto root = from_base64(lines[2]);
    if (!number(lines[1], pruned.size) || !number(rest.substr(0, rest.find(' ')), pruned.segment) ||
        !root || root->size() != pruned.root.size())
        return fail(Errc::Malformed, "the note about pruning");
    std::ranges::copy(*root, pruned.root.begin());
    return pruned;
}

}  // namespace chaperone::record

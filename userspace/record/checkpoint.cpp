// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/checkpoint.h"

#include "userspace/base/encoding.h"

#include <algorithm>
#include <charconv>

namespace chaperone::record {
namespace {

std::string_view to_text(WriterState state) {
    switch (state) {
    case WriterState::Open: return "open";
    case WriterState::Running: return "running";
    case WriterState::Closed: return "closed";
    }
    return "unknown";
}

Result<WriterState> parse_state(std::string_view text) {
    for (const auto state : {WriterState::Open, WriterState::Running, WriterState::Closed})
        if (to_text(state) == text) return state;
    return fail(Errc::Malformed, "a checkpoint's state");
}

// Decimal, without a sign or leading zeros.
Result<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || std::to_string(value) != text)
        return fail(Errc::Malformed, "a checkpoint's number");
    return value;
}

// The text before the delimiter, which is consumed with it. The rest, if there is none.
std::string_view take(std::string_view& text, char delimiter) {
    const auto end = text.find(delimiter);
    const std::string_view taken = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    return taken;
}

}  // namespace

std::string to_text(const Checkpoint& checkpoint) {
    return checkpoint.origin + "\n" + std::to_string(checkpoint.size) + "\n" +
           to_base64(checkpoint.root) + "\ncheckpoint " + std::to_string(checkpoint.number) + " " +
           to_rfc3339(checkpoint.time) + " " + std::string{to_text(checkpoint.state)} + "\n";
}

Result<Checkpoint> parse_checkpoint(std::string_view text) {
    if (std::ranges::count(text, '\n') != 4 || !text.ends_with('\n'))
        return fail(Errc::Malformed, "a checkpoint has four lines");
    Checkpoint checkpoint;
    checkpoint.origin = take(text, '\n');
    const auto size = parse_number(take(text, '\n'));
    if (!size) return fail(size.error());
    checkpoint.size = *size;
    const auto root = from_base64(take(text, '\n'));
    if (!root || root->size() != checkpoint.root.size())
        return fail(Errc::Malformed, "a checkpoint's root");
    std::ranges::copy(*root, checkpoint.root.begin());
    std::string_view line = take(text, '\n');
    if (take(line, ' ') != "checkpoint") return fail(Errc::Malformed, "a checkpoint's last line");
    const auto number = parse_number(take(line, ' '));
    if (!number) return fail(number.error());
    checkpoint.number = *number;
    const auto time = parse_rfc3339(take(line, ' '));
    if (!time) return fail(time.error());
    checkpoint.time = *time;
    const auto state = parse_state(line);
    if (!state) return fail(state.error());
    checkpoint.state = *state;
    return checkpoint;
}

Result<Notes> split_notes(std::string_view file) {
    Notes notes;
    while (!file.empty()) {
        // Text, an empty line, signatures, an empty line.
        const auto text_end = file.find("\n\n");
        const auto end = text_end == file.npos ? file.npos : file.find("\n\n", text_end + 2);
        if (end == file.npos) {
            notes.torn = file;
            return notes;
        }
        notes.notes.push_back(file.substr(0, end + 1));
        file.remove_prefix(end + 2);
    }
    return notes;
}

}  // namespace chaperone::record

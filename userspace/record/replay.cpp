// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/replay.h"

#include "userspace/base/clock.h"
#include "userspace/base/encoding.h"
#include "userspace/record/text.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

namespace chaperone::record {
namespace {

namespace json = boost::json;

std::string clock_of(const Entry& entry) {
    const Time time{Duration{entry.time()}};
    const auto whole = std::chrono::time_point_cast<std::chrono::milliseconds>(time);
    return to_rfc3339(whole);
}

std::string joined(const auto& texts) {
    std::string all;
    for (const auto& text : texts) all += (all.empty() ? "" : ", ") + to_visible(text);
    return all;
}

// Each line of a statement on a line of its own, under the first.
std::string indented(std::string_view text) {
    std::string all;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        if (!all.empty()) all += "\n      ";
        all += to_visible(line);
    }
    return all;
}

std::string shown(const Parameter& parameter) {
    std::string text;
    switch (parameter.form()) {
    case Parameter::TEXT: text = "'" + to_visible(parameter.text()) + "'"; break;
    case Parameter::BINARY: text = "0x" + to_hex(as_bytes(parameter.data())); break;
    case Parameter::ABSENT: text = "NULL"; break;
    default: text = "?"; break;  // of a later version
    }
    if (parameter.truncated()) text += "… (" + std::to_string(parameter.size()) + " bytes)";
    return text;
}

std::string lines_of(const SessionStart& start) {
    const Address& to = start.destination();
    std::string text = "session " + to_visible(start.session()) +
                       (start.refused() ? " refused: " + to_visible(start.reason()) : "") + "\n";
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) text += "      " + std::string{name} + " " + to_visible(value) + "\n";
    };
    add("workload ", start.workload());
    add("identity ", start.identity().subject());
    if (start.identity().groups_size() != 0)
        text += "      groups    " + joined(start.identity().groups()) + "\n";
    add("resource ", start.resource() + " (" + start.protocol() + ")");
    add("to       ", to.name() + (to.name().empty() ? "" : " ") + to.address() + " port " +
                         std::to_string(to.port()));
    add("peer     ", start.peer());
    add("process  ", start.process().comm() + ", pid " + std::to_string(start.process().pid()) +
                         ", uid " + std::to_string(start.process().uid()));
    add("bundle   ", start.bundle());
    return text;
}

std::string lines_of(const RequestEntry& request) {
    const Decision& decision = request.decision();
    std::string text = "#" + std::to_string(request.number()) + " " + to_visible(request.kind());
    if (!request.statement().empty()) text += "\n      " + indented(request.statement());
    if (request.statement_truncated()) text += "…";
    for (int i = 0; i != request.parameters_size(); ++i)
        text += "\n      $" + std::to_string(i + 1) + " = " + shown(request.parameters(i));
    if (!decision.effect().empty()) {
        text += "\n   -> " + to_visible(decision.effect());
        if (!decision.rule().empty()) text += " by " + to_visible(decision.rule());
        if (!decision.reason().empty()) text += ": " + to_visible(decision.reason());
        if (decision.masks_size() != 0) text += "; masked: " + joined(decision.masks());
        if (decision.shadow_size() != 0) text += "; in shadow: " + joined(decision.shadow());
    }
    if (!request.approval().empty()) text += "; approval " + to_visible(request.approval());
    return text + "\n";
}

const char* word_of(ApprovalEntry::State state) {
    switch (state) {
    case ApprovalEntry::REQUESTED: return "requested";
    case ApprovalEntry::GRANTED: return "granted";
    case ApprovalEntry::REFUSED: return "refused";
    case ApprovalEntry::EXPIRED: return "expired";
    case ApprovalEntry::CANCELLED: return "cancelled";
    case ApprovalEntry::USED: return "used";
    case ApprovalEntry::VOTED: return "agreed to";
    default: return "changed";  // of a later version
    }
}

std::string lines_of(const ApprovalEntry& approval) {
    std::string text =
        "approval " + to_visible(approval.approval()) + " " + word_of(approval.state());
    if (!approval.by().empty()) text += " by " + to_visible(approval.by());
    if (!approval.reason().empty()) text += ": " + to_visible(approval.reason());
    return text + "\n";
}

std::string lines_of(const ResultEntry& result) {
    std::string text =
        "   <- #" + std::to_string(result.request()) + " " + to_visible(result.status());
    if (!result.code().empty()) text += " " + to_visible(result.code());
    if (!result.command_tag().empty()) text += ", " + to_visible(result.command_tag());
    text += ", " + std::to_string(result.rows()) + (result.rows() == 1 ? " row" : " rows");
    if (result.masked() != 0) text += ", " + std::to_string(result.masked()) + " values masked";
    text += ", " + std::to_string(result.bytes_down()) + " bytes";
    const auto micros =
        std::chrono::duration_cast<std::chrono::microseconds>(Duration{result.duration()});
    return text + ", " + to_text(Duration{micros}) + "\n";
}

std::string lines_of(const SessionEnd& end) {
    return "session ended" + (end.reason().empty() ? "" : ": " + to_visible(end.reason())) + "; " +
           std::to_string(end.requests()) + " requests, " + std::to_string(end.rows()) + " rows, " +
           std::to_string(end.bytes_up()) + " bytes up, " + std::to_string(end.bytes_down()) +
           " bytes down\n";
}

const char* mark_of(StreamEntry::Direction direction) {
    switch (direction) {
    case StreamEntry::INPUT: return "in ";
    case StreamEntry::OUTPUT: return "out";
    case StreamEntry::ERROR: return "err";
    case StreamEntry::RESIZE: return "size";
    default: return "?";  // of a later version
    }
}

std::string lines_of(const Entry& entry) {
    switch (entry.body_case()) {
    case Entry::kSessionStart: return lines_of(entry.session_start());
    case Entry::kRequest: return lines_of(entry.request());
    case Entry::kApproval: return lines_of(entry.approval());
    case Entry::kResult: return lines_of(entry.result());
    case Entry::kSessionEnd: return lines_of(entry.session_end());
    case Entry::kStream:
        return std::string{mark_of(entry.stream().direction())} + " " +
               indented(entry.stream().data()) + "\n";
    case Entry::kRecovery: return "the journal was recovered here\n";
    case Entry::kAdmin: return "admin " + AdminEntry::Action_Name(entry.admin().action()) + "\n";
    case Entry::kEvent: return to_visible(entry.event().kind()) + "\n";
    case Entry::BODY_NOT_SET: return "an entry of a later version\n";
    }
    return {};
}

struct Size {
    int columns = 80;
    int rows = 24;
};

Size parse_size(std::string_view text) {
    Size size;
    const auto x = text.find('x');
    if (x == text.npos) return size;
    Size parsed;
    std::from_chars(text.data(), text.data() + x, parsed.columns);
    std::from_chars(text.data() + x + 1, text.data() + text.size(), parsed.rows);
    constexpr int kMost = 1000;
    const auto fits = [](int value) { return value > 0 && value <= kMost; };
    return fits(parsed.columns) && fits(parsed.rows) ? parsed : size;
}

// "\n" alone would not go back to the first column of a terminal.
std::string for_terminal(std::string_view lines) {
    std::string text;
    for (const char c : lines) text += c == '\n' ? std::string{"\r\n"} : std::string{c};
    return text;
}

// What one entry shows in a player: its kind and text; nothing for an empty kind.
std::pair<const char*, std::string> frame_of(const Entry& entry, bool has_streams) {
    if (!has_streams) return {"o", for_terminal(lines_of(entry))};
    if (!entry.has_stream()) return {nullptr, {}};
    const StreamEntry& stream = entry.stream();
    switch (stream.direction()) {
    case StreamEntry::INPUT: return {"i", to_utf8(stream.data())};
    case StreamEntry::OUTPUT:
    case StreamEntry::ERROR: return {"o", to_utf8(stream.data())};
    case StreamEntry::RESIZE: {
        const Size size = parse_size(stream.data());
        return {"r", std::to_string(size.columns) + "x" + std::to_string(size.rows)};
    }
    default: return {nullptr, {}};
    }
}

}  // namespace

std::string transcript(std::span<const Stored> entries) {
    std::string text;
    for (const Stored& stored : entries)
        text += clock_of(stored.entry) + "  " + lines_of(stored.entry);
    return text;
}

std::string asciicast(std::span<const Stored> entries) {
    const bool has_streams =
        std::ranges::any_of(entries, [](const Stored& s) { return s.entry.has_stream(); });
    Size size;
    for (const Stored& stored : entries)
        if (stored.entry.stream().direction() == StreamEntry::RESIZE) {
            size = parse_size(stored.entry.stream().data());
            break;
        }
    const std::int64_t start = entries.empty() ? 0 : entries.front().entry.time();
    json::object header{{"version", 2},
                        {"width", size.columns},
                        {"height", size.rows},
                        {"timestamp", start / 1'000'000'000}};
    if (!entries.empty() && entries.front().entry.has_session_start())
        header["title"] = "session " + to_utf8(entries.front().entry.session_start().session());
    std::string text = json::serialize(header) + "\n";
    double last = 0;
    for (const Stored& stored : entries) {
        const auto [kind, data] = frame_of(stored.entry, has_streams);
        if (kind == nullptr || data.empty()) continue;
        // A clock that was set back must not make the player go back.
        last = std::max(last, static_cast<double>(stored.entry.time() - start) / 1e9);
        text += json::serialize(json::array{last, kind, data}) + "\n";
    }
    return text;
}

}  // namespace chaperone::record

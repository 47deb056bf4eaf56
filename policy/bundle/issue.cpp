// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/issue.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

namespace chaperone::policy::bundle {
namespace {

constexpr std::size_t kWidest = 160;  // bytes of a source line that are shown

std::string place(const Issue& issue) {
    std::string text = issue.file.empty() ? std::string{"bundle"} : issue.file;
    if (issue.line != 0) text += ":" + std::to_string(issue.line);
    if (issue.line != 0 && issue.column != 0) text += ":" + std::to_string(issue.column);
    return text;
}

bool is_continuation(char byte) noexcept {
    return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U;
}

// The byte at which code point `column` (from 1) begins.
std::size_t byte_of(const std::string& line, std::uint32_t column) {
    std::size_t at = 0;
    for (std::uint32_t i = 1; i < column && at < line.size(); ++i) {
        ++at;
        while (at < line.size() && is_continuation(line[at])) ++at;
    }
    return at;
}

std::string excerpt(const Issue& issue) {
    std::string line = issue.source_line;
    for (char& byte : line)
        if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f) byte = ' ';
    std::uint32_t column = issue.column;
    std::size_t skipped = 0;
    if (const std::size_t at = byte_of(line, column); at > kWidest) {
        skipped = at - kWidest / 2;
        while (skipped < line.size() && is_continuation(line[skipped])) ++skipped;
        const std::string head = line.substr(0, skipped);
        column -= static_cast<std::uint32_t>(
            std::ranges::count_if(head, [](char b) { return !is_continuation(b); }));
        line.erase(0, skipped);
    }
    if (line.size() > kWidest) {
        std::size_t cut = kWidest;
        while (is_continuation(line[cut])) --cut;
        line.resize(cut);
    }
    const std::string number = std::to_string(issue.line);
    const std::string gutter(number.size(), ' ');
    const auto room = static_cast<std::uint32_t>(line.size() + 1);
    std::uint32_t length = std::max<std::uint32_t>(issue.length, 1);
    length = std::min(length, room > column ? room - column : 1);
    return "  " + number + " | " + line + "\n  " + gutter + " | " +
           std::string(column == 0 ? 0 : column - 1, ' ') + "^" + std::string(length - 1, '~') +
           "\n";
}

}  // namespace

std::string to_text(const Issue& issue) {
    std::string text = place(issue);
    text += issue.severity == Severity::Error ? ": error: " : ": warning: ";
    text += issue.message;
    if (!issue.id.empty()) text += " [" + issue.id + "]";
    text += "\n";
    if (issue.line != 0 && issue.column != 0) text += excerpt(issue);
    if (!issue.suggestion.empty()) text += "  " + issue.suggestion + "\n";
    return text;
}

std::string to_text(std::span<const Issue> issues) {
    std::string text;
    for (const Issue& issue : issues) text += to_text(issue);
    return text;
}

std::string to_json(std::span<const Issue> issues) {
    boost::json::array all;
    for (const Issue& issue : issues) {
        boost::json::object one;
        one["severity"] = issue.severity == Severity::Error ? "error" : "warning";
        one["file"] = issue.file;
        one["line"] = issue.line;
        one["column"] = issue.column;
        one["length"] = issue.length;
        one["id"] = issue.id;
        one["message"] = issue.message;
        one["suggestion"] = issue.suggestion;
        all.push_back(std::move(one));
    }
    return boost::json::serialize(all);
}

bool has_errors(std::span<const Issue> issues) noexcept {
    return std::ranges::any_of(issues,
                               [](const Issue& i) { return i.severity == Severity::Error; });
}

}  // namespace chaperone::policy::bundle

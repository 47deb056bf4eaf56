// SPDX-License-Identifier: Apache-2.0
// Positions in a source, and issues at them.
#include "policy/cel/source.h"

#include <algorithm>
#include <tuple>

namespace chaperone::cel {
namespace {

std::uint32_t code_points(std::string_view text) {
    return static_cast<std::uint32_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    }));
}

}  // namespace

Source::Source(std::string text) : text_(std::move(text)), lines_{0} {
    for (std::uint32_t i = 0; i != text_.size(); ++i)
        if (text_[i] == '\n') lines_.push_back(i + 1);
}

SourceRange Source::range(std::uint32_t begin, std::uint32_t end) const {
    const auto size = static_cast<std::uint32_t>(text_.size());
    begin = std::min(begin, size);
    end = std::clamp(end, begin, size);
    const auto line = std::upper_bound(lines_.begin(), lines_.end(), begin) - 1;
    const std::string_view before = std::string_view{text_}.substr(*line, begin - *line);
    return {begin, end, static_cast<std::uint32_t>(line - lines_.begin() + 1),
            code_points(before) + 1};
}

Issue Source::issue(Severity severity, std::uint32_t begin, std::uint32_t end, std::string message,
                    std::string suggestion) const {
    const SourceRange where = range(begin, end);
    const std::string_view text =
        std::string_view{text_}.substr(where.begin, where.end - where.begin);
    const std::uint32_t length = std::max(1U, code_points(text.substr(0, text.find('\n'))));
    return {severity, where.line, where.column, length, std::move(message), std::move(suggestion)};
}

void Issues::error(std::uint32_t begin, std::uint32_t end, std::string message,
                   std::string suggestion) {
    if (issues_.size() > kMaxIssues) return;
    if (issues_.size() == kMaxIssues) message = "too many errors; the rest is not shown";
    Issue made =
        source_.issue(Severity::Error, begin, end, std::move(message), std::move(suggestion));
    issues_.push_back(std::move(made));
}

std::vector<Issue> Issues::take() {
    std::ranges::sort(issues_, [](const Issue& a, const Issue& b) {
        return std::tie(a.line, a.column, a.message) < std::tie(b.line, b.column, b.message);
    });
    return std::move(issues_);
}

}  // namespace chaperone::cel

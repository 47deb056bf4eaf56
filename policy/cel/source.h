// SPDX-License-Identifier: Apache-2.0
// Positions in a source: bytes to lines and columns (in code points).
#pragma once

#include "policy/cel/program.h"

#include <string>
#include <string_view>
#include <vector>

namespace chaperone::cel {

class Source {
public:
    explicit Source(std::string text);
    const std::string& text() const { return text_; }
    SourceRange range(std::uint32_t begin, std::uint32_t end) const;
    Issue issue(Severity severity, std::uint32_t begin, std::uint32_t end, std::string message,
                std::string suggestion = {}) const;

private:
    std::string text_;
    std::vector<std::uint32_t> lines_;  // where each line begins
};

// Collects issues; beyond kMaxIssues the rest only says that there is more.
class Issues {
public:
    static constexpr std::size_t kMaxIssues = 50;  // more help nobody

    explicit Issues(const Source& source) : source_(source) {}
    void error(std::uint32_t begin, std::uint32_t end, std::string message,
               std::string suggestion = {});
    bool failed() const { return !issues_.empty(); }
    std::vector<Issue> take();

private:
    const Source& source_;
    std::vector<Issue> issues_;
};

}  // namespace chaperone::cel

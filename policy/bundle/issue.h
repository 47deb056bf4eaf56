// SPDX-License-Identifier: Apache-2.0
// What is wrong with a bundle, for people and for programs: one Issue a finding, all at once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace chaperone::policy::bundle {

enum class Severity : std::uint8_t { Warning, Error };

struct Issue {
    Severity severity = Severity::Error;
    std::string file{};        // relative to the bundle's directory; empty: the bundle as a whole
    std::uint32_t line = 0;    // from 1; 0: the file as a whole
    std::uint32_t column = 0;  // from 1, in code points
    std::uint32_t length = 1;  // code points to underline
    std::string id{};          // of a warning: what `accept` names, e.g. "never-decides"
    std::string message{};
    std::string suggestion{};   // "did you mean \"action\"?", or empty
    std::string source_line{};  // the text of that line
};

// "rules.yaml:9:7: error: unknown field \"actoin\"", the line, a caret below it, the suggestion.
// Control characters of the source are shown as spaces. Ends with a newline.
std::string to_text(const Issue& issue);
std::string to_text(std::span<const Issue> issues);
// A JSON array of {severity, file, line, column, length, id, message, suggestion}.
std::string to_json(std::span<const Issue> issues);
bool has_errors(std::span<const Issue> issues) noexcept;

}  // namespace chaperone::policy::bundle

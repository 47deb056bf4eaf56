// SPDX-License-Identifier: Apache-2.0
// What an entry says, in the form that all exports share: a stable code, a severity, fields. Pure.
#pragma once

#include "userspace/record/reader.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::record {

enum class Severity { Info, Notice, Warning, Error };

struct Summary {
    std::string_view code{};  // stable, to search for: "CR02W"
    std::string_view name{};  // "request.denied"
    Severity severity = Severity::Info;
    std::vector<std::pair<std::string_view, std::string>> fields{};  // in a fixed order, none empty
};

// `session`: the start of the entry's session, if it is known.
Summary summarize(const Entry& entry, const SessionStart* session);

// The id of the session that the entry belongs to; empty if it belongs to none.
const std::string& session_of(const Entry& entry);

}  // namespace chaperone::record

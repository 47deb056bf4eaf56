// SPDX-License-Identifier: Apache-2.0
// Settings that a client may give when it connects. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::session {

// Whether an agent may give this setting in its startup packet. Settings that make it somebody else
// or load code are refused there, because policy could not see them as it sees SET.
bool may_set_at_startup(std::string_view name);

// The settings of an "options" value ("-c name=value --name=value"), names in lower case with "-"
// as "_"; nullopt for one that holds anything else. Source: process_postgres_switches.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_options(
    std::string_view options);

// A list of identifiers as search_path has it, "$user" replaced by `user`; nullopt if it is not
// one. Source: SplitIdentifierString.
std::optional<std::vector<std::string>> split_identifiers(std::string_view text,
                                                          std::string_view user);

// A boolean setting that says no: off, false, no, 0 and their beginnings (parse_bool).
bool is_false(std::string_view value);

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// Which columns and which kinds of text are masked in an answer, and how. Masks of several rules
// add up; where two meet on one value the stronger wins. Immutable once in a Decision.
#pragma once

#include "policy/detect/mask.h"
#include "policy/json_path.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy {

struct ColumnMask {
    std::string pattern{};  // "schema.table.column", "table.column" or "column"; * in any part
    detect::With with{};
    std::string rule{};
};

struct DetectMask {
    std::vector<std::string> kinds{};  // EMAIL_ADDRESS …
    detect::With with{};
    std::string rule{};
};

// Values of JSON bodies, of the same names in forms, and of query parameters.
struct JsonMask {
    JsonPath path{};
    detect::With with{};
    std::string rule{};
};

struct MaskSet {
    std::vector<ColumnMask> columns{};
    std::vector<DetectMask> detectors{};
    std::vector<JsonMask> json{};

    bool empty() const noexcept { return columns.empty() && detectors.empty() && json.empty(); }

    // The strongest mask on this column; nullopt: none. Names compare as PostgreSQL stores them.
    std::optional<detect::With> column(std::string_view schema, std::string_view relation,
                                       std::string_view column) const;
    // The strongest of all column masks: what applies where the origin of a value is not known.
    std::optional<detect::With> unknown_column() const;
};

// Whether the pattern of a ColumnMask means this column. Letters match in either case unless the
// part of the pattern is in double quotes; a name that is "" or "*" is not known and matches.
bool column_matches(std::string_view pattern, std::string_view schema, std::string_view relation,
                    std::string_view column);

}  // namespace chaperone::policy

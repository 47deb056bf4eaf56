// SPDX-License-Identifier: Apache-2.0
// How the catalog's parts call a type by name: no name has a NUL.
#pragma once

#include <string>
#include <string_view>

namespace chaperone::policy::sql {

inline std::string type_key(std::string_view schema, std::string_view name) {
    std::string result{schema};
    result += '\0';
    result += name;
    return result;
}

}  // namespace chaperone::policy::sql

// SPDX-License-Identifier: Apache-2.0
// The name that PostgreSQL gives to a result column without an alias (FigureColname in
// src/backend/parser/parse_target.c).
#pragma once

#include "policy/sql/pg/tree.h"

#include <string>

namespace chaperone::policy::sql::pg {

std::string column_name(Node expression);

}  // namespace chaperone::policy::sql::pg

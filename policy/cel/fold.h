// SPDX-License-Identifier: Apache-2.0
// Partial evaluation of syntax trees.
#pragma once

#include "policy/cel/ast.h"
#include "policy/cel/program.h"

namespace chaperone::cel {

// The residual of `root` under what the activation knows. New nodes are made in `ast`; untouched
// parts are shared with the original, which must live on.
Expr* fold(Ast& ast, Expr& root, const Environment& environment, const Activation& known,
           const Limits& limits);

// Attribute paths that the expression reads, sorted, without duplicates.
std::vector<std::string> references(const Expr& root, const Environment& environment);

}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// Tokens to the syntax tree, reporting every error it finds, and the macros.
#pragma once

#include "policy/cel/ast.h"
#include "policy/cel/source.h"

namespace chaperone::cel {

// No tree is higher than this: everything after the parser recurses over it. A node's frame stays
// under a kilobyte, so that a thread with 1 MiB of stack is enough.
inline constexpr std::uint16_t kMaxHeight = 600;

// The root is null only if there is nothing to recover; use it only if issues has not failed.
Ast parse(const Source& source, const Options& options, Issues& issues);

// If the call is a macro's, the node that it stands for (an error is reported and any node
// returned); null if it is no macro.
Expr* expand_macro(Ast& ast, Expr& call, Issues& issues);

}  // namespace chaperone::cel

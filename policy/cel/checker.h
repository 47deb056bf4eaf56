// SPDX-License-Identifier: Apache-2.0
// Names to variables, functions and types; and types to every node. Without `check` the names are
// resolved alike, every type is dyn, and what does not resolve fails when it is evaluated.
#pragma once

#include "policy/cel/ast.h"
#include "policy/cel/source.h"

namespace chaperone::cel {

// Annotates the tree in place and gives the type of its root.
Type check(Ast& ast, const Environment& environment, const Options& options, Issues& issues);

// What type{…} makes, if it is one of the well-known types; the names of its fields.
struct MessageType {
    std::string_view name;
    Type type;
    std::vector<Field> fields;
};
const MessageType* find_message_type(std::string_view name);

// The type that an identifier names ("int", "google.protobuf.Timestamp", "net.IP").
const Type* find_type_name(std::string_view name);
// Its runtime name.
std::string_view runtime_name(const Type& type);

// The names to try, most specific first, for a name used inside a container.
std::vector<std::string> candidates(std::string_view container, std::string_view name,
                                    bool leading_dot);

// The closest of the names, if it is close enough to be meant; else empty.
std::string closest(std::string_view name, const std::vector<std::string>& names);

}  // namespace chaperone::cel

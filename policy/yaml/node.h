// SPDX-License-Identifier: Apache-2.0
// A YAML document as a tree of plain values with their places. Scalars are text until somebody
// types them: `yes`, `0o17` and `1e3` mean nothing here.
#pragma once

#include "policy/bundle/mark.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::yaml {

struct Field;

struct Node {
    enum class Kind : std::uint8_t { Null, Scalar, Sequence, Mapping };

    Kind kind = Kind::Null;
    bundle::Mark at{};
    std::string text{};         // Scalar
    std::vector<Node> items;    // Sequence
    std::vector<Field> fields;  // Mapping; names are distinct

    const Field* find(std::string_view name) const noexcept;
};

struct Field {
    std::string name{};
    bundle::Mark at{};  // of the name
    Node value{};
};

// "a mapping", "text", for messages.
std::string_view describe(Node::Kind kind) noexcept;

}  // namespace chaperone::policy::yaml

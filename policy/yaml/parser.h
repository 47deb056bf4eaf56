// SPDX-License-Identifier: Apache-2.0
// YAML 1.2 text to trees, over libfyaml's events. What makes a policy file mean something else than
// it seems to is refused: duplicate keys, tags, anchors and aliases, keys that are not plain text,
// bidirectional control characters, invalid UTF-8. Depth is bounded. No exceptions.
#pragma once

#include "policy/bundle/findings.h"
#include "policy/yaml/node.h"

#include <cstdint>
#include <vector>

namespace chaperone::policy::yaml {

constexpr std::size_t kMaxDepth = 32;  // a bundle's documents need eight

// The documents of findings.files()[file]; what is wrong goes to findings, and then the documents
// up to there are returned. Empty documents are left out.
std::vector<Node> parse(std::uint32_t file, bundle::Findings& findings);

}  // namespace chaperone::policy::yaml

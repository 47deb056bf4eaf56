// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/tag.h"

#include "userspace/base/encoding.h"
#include "userspace/base/sha256.h"

namespace chaperone::control {

std::string tag_of(const std::filesystem::path& root) {
    if (root == "/") return {};
    return to_hex(Bytes{sha256(as_bytes(root.string()))}.first(4));
}

}  // namespace chaperone::control

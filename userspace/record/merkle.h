// SPDX-License-Identifier: Apache-2.0
// The tree of RFC 6962 section 2.1 over entries, kept as its right edge: adding a leaf costs one
// hash on average, the root a few. Not thread-safe.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/base/sha256.h"

#include <cstdint>
#include <span>
#include <vector>

namespace chaperone::record {

Digest leaf_hash(Bytes entry);
Digest node_hash(const Digest& left, const Digest& right);

class CompactRange {
public:
    CompactRange() = default;
    // The roots of the perfect subtrees of the first `size` leaves, largest first. Malformed if
    // their number is not that of size's one bits.
    static Result<CompactRange> from(std::uint64_t size, std::vector<Digest> roots);

    void push(const Digest& leaf);
    Digest root() const;
    std::uint64_t size() const noexcept { return size_; }
    std::span<const Digest> roots() const noexcept { return roots_; }
    bool operator==(const CompactRange&) const = default;

private:
    std::uint64_t size_ = 0;
    std::vector<Digest> roots_;
};

}  // namespace chaperone::record

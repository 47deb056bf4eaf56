// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/merkle.h"

#include <bit>

namespace chaperone::record {
namespace {

Digest hash(std::byte prefix, Bytes first, Bytes second = {}) {
    return sha256(Bytes{&prefix, 1}, first, second);
}

}  // namespace

Digest leaf_hash(Bytes entry) {
    return hash(std::byte{0}, entry);
}

Digest node_hash(const Digest& left, const Digest& right) {
    return hash(std::byte{1}, left, right);
}

Result<CompactRange> CompactRange::from(std::uint64_t size, std::vector<Digest> roots) {
    if (static_cast<std::size_t>(std::popcount(size)) != roots.size())
        return fail(Errc::Malformed, "a compact range of " + std::to_string(size) +
                                         " entries with " + std::to_string(roots.size()) +
                                         " roots");
    CompactRange range;
    range.size_ = size;
    range.roots_ = std::move(roots);
    return range;
}

void CompactRange::push(const Digest& leaf) {
    roots_.push_back(leaf);
    for (std::uint64_t carry = size_++; (carry & 1) != 0; carry >>= 1) {
        const Digest right = roots_.back();
        roots_.pop_back();
        roots_.back() = node_hash(roots_.back(), right);
    }
}

Digest CompactRange::root() const {
    if (roots_.empty()) return sha256({});
    Digest root = roots_.back();
    for (std::size_t i = roots_.size() - 1; i-- != 0;) root = node_hash(roots_[i], root);
    return root;
}

}  // namespace chaperone::record

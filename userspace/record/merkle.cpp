// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/merkle.h"

// The functions of one algorithm cost half of what EVP does for entries as short as ours.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <bit>

namespace chaperone::record {
namespace {

Digest hash(std::byte prefix, Bytes first, Bytes second = {}) {
    SHA256_CTX context;
    Digest digest;
    SHA256_Init(&context);
    SHA256_Update(&context, &prefix, 1);
    SHA256_Update(&context, first.data(), first.size());
    SHA256_Update(&context, second.data(), second.size());
    SHA256_Final(reinterpret_cast<unsigned char*>(digest.data()), &context);
    return digest;
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

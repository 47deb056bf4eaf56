// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/merkle.h"

#include <openssl/evp.h>

#include <bit>
#include <stdexcept>

namespace chaperone::record {
namespace {

// One context a thread, with the algorithm fetched once: EVP_sha256() would be looked up each time.
struct Context {
    EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    EVP_MD_CTX* context = EVP_MD_CTX_new();

    Context() {
        if (algorithm == nullptr || context == nullptr)
            throw std::runtime_error("OpenSSL has no SHA-256");
    }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() {
        EVP_MD_CTX_free(context);
        EVP_MD_free(algorithm);
    }
};

Digest hash(std::byte prefix, Bytes first, Bytes second = {}) {
    thread_local Context context;
    Digest digest;
    if (EVP_DigestInit_ex2(context.context, context.algorithm, nullptr) != 1 ||
        EVP_DigestUpdate(context.context, &prefix, 1) != 1 ||
        EVP_DigestUpdate(context.context, first.data(), first.size()) != 1 ||
        EVP_DigestUpdate(context.context, second.data(), second.size()) != 1 ||
        EVP_DigestFinal_ex(context.context, reinterpret_cast<unsigned char*>(digest.data()),
                           nullptr) != 1)
        throw std::runtime_error("SHA-256 failed");
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

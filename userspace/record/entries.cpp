// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/entries.h"

#include <string>

namespace chaperone::record {
namespace {

constexpr std::size_t kKept = std::size_t{1} << 20;  // of memory, from one bunch to the next

}  // namespace

void Entries::clear() {
    bytes_.clear();
    if (bytes_.capacity() > kKept) bytes_.shrink_to_fit();
    begins_.clear();
    all_.clear();
}

void Entries::take(const Framed& framed) {
    begins_.push_back(bytes_.size());
    append(bytes_, framed.bytes);
    all_.push_back({.index = framed.index, .where = framed.where});
}

Bytes Entries::piece(std::size_t number) const {
    const std::size_t end = number + 1 < begins_.size() ? begins_[number + 1] : bytes_.size();
    return Bytes{bytes_}.subspan(begins_[number], end - begins_[number]);
}

Result<> Entries::view() {
    for (std::size_t i = 0; i != all_.size(); ++i) {
        auto seen = view_entry(piece(i));
        if (!seen)
            return fail(seen.error().code,
                        "entry " + std::to_string(all_[i].index) + ": " + seen.error().message());
        all_[i].entry = *seen;
    }
    return {};
}

Bytes Entries::bytes_of(const Viewed& one) const {
    return piece(static_cast<std::size_t>(&one - all_.data()));
}

}  // namespace chaperone::record

// SPDX-License-Identifier: Apache-2.0
// A bunch of consecutive entries, read to be looked at once. Not thread-safe.
#pragma once

#include "userspace/record/entry_view.h"
#include "userspace/record/reader.h"

#include <cstddef>
#include <vector>

namespace chaperone::record {

class Entries {
public:
    void clear();
    // Copies what was read.
    void take(const Framed& framed);
    std::size_t size() const noexcept { return all_.size(); }
    std::size_t bytes() const noexcept { return bytes_.size(); }
    // Behind the last take(): looks into them. The views are there until the next call of the
    // others. Corrupt: one of them is no entry.
    Result<> view();
    const std::vector<Viewed>& all() const noexcept { return all_; }
    Bytes bytes_of(const Viewed& one) const;

private:
    Bytes piece(std::size_t number) const;

    Buffer bytes_;
    std::vector<std::size_t> begins_;  // of each, in bytes_
    std::vector<Viewed> all_;
};

}  // namespace chaperone::record

// SPDX-License-Identifier: Apache-2.0
// Views and buffers of raw bytes. A Bytes never outlives the call that handed it over.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace chaperone {

using Bytes = std::span<const std::byte>;
using Buffer = std::vector<std::byte>;

inline Bytes as_bytes(std::string_view text) noexcept {
    return std::as_bytes(std::span{text.data(), text.size()});
}

inline std::string_view as_text(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Buffer copy(Bytes bytes) {
    return {bytes.begin(), bytes.end()};
}

inline void append(Buffer& to, Bytes bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

inline void append(Buffer& to, std::string_view text) {
    append(to, as_bytes(text));
}

}  // namespace chaperone

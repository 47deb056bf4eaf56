// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/ids.h"

#include <openssl/rand.h>

#include <array>
#include <stdexcept>

namespace chaperone {

std::string new_id(Time time) {
    // Drawn for many at once: a call costs as much as a hundred of them.
    static thread_local std::array<unsigned char, 64 * 10> chance;
    static thread_local std::size_t left = 0;
    if (left == 0) {
        if (RAND_bytes(chance.data(), chance.size()) != 1)
            throw std::runtime_error("the system gives no random bytes");
        left = chance.size() / 10;
    }
    --left;
    return make_id(time, std::as_bytes(std::span{chance}.subspan(left * 10).first<10>()));
}

std::string make_id(Time time, std::span<const std::byte, 10> bytes) {
    static constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
    const auto since =
        std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
    auto milliseconds = static_cast<std::uint64_t>(since.count());
    std::string id(26, '0');
    for (std::size_t i = 10; i-- != 0; milliseconds >>= 5) id[i] = kAlphabet[milliseconds & 31];

    std::uint64_t bits = 0;
    unsigned held = 0;
    std::size_t at = 10;
    for (const std::byte byte : bytes) {
        bits = bits << 8 | static_cast<unsigned>(byte);
        for (held += 8; held >= 5; held -= 5) id[at++] = kAlphabet[bits >> (held - 5) & 31];
    }
    return id;
}

}  // namespace chaperone

// SPDX-License-Identifier: Apache-2.0
// The built-in recognisers by number and name. Names follow Presidio where it has one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace chaperone::detect {

// Built-ins are numbered from 0 in the order of builtin_kinds(); those of the bundle come after.
using KindId = std::uint16_t;
constexpr KindId kNoKind = 0xffff;

struct KindInfo {
    std::string_view name;         // "CREDIT_CARD"
    std::string_view description;  // "Payment card number, Luhn"
};

std::span<const KindInfo> builtin_kinds() noexcept;
std::optional<KindId> builtin_kind(std::string_view name) noexcept;

}  // namespace chaperone::detect

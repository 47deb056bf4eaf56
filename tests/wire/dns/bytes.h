// SPDX-License-Identifier: Apache-2.0
// DNS messages as tests write them: text with \x bytes, and records made of values.
#pragma once

#include "userspace/wire/dns/record.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace chaperone::wire::dns::testing {

using namespace std::literals;

inline Name name(std::string_view text) {
    auto made = Name::from_text(text);
    EXPECT_TRUE(made) << text;
    return made ? *made : Name{};
}

inline Buffer bytes(std::string_view text) {
    return copy(as_bytes(text));
}

inline Record record(std::string_view owner, std::uint16_t type, std::string_view data,
                     std::uint32_t ttl = 60) {
    return {.name = name(owner), .type = type, .class_ = kIn, .ttl = ttl, .data = bytes(data)};
}

inline Message question(std::string_view owner, std::uint16_t type) {
    Message made{.id = 0x1234, .recursion_desired = true};
    made.questions.push_back({.name = name(owner), .type = type, .class_ = kIn});
    return made;
}

}  // namespace chaperone::wire::dns::testing

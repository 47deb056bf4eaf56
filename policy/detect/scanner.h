// SPDX-License-Identifier: Apache-2.0
// One pass over one text: jumps from anchor to anchor (a digit, @ : = - _ or two capitals; nothing
// that we look for is without one) and asks there what it could be a part of. Work is linear in the
// text: what was looked at once is not walked back over. For .cpp files of this layer only.
#pragma once

#include "policy/detect/detector.h"
#include "policy/detect/plan.h"

#include <cstddef>
#include <string_view>
#include <vector>

namespace chaperone::detect {

class Scanner {
public:
    Scanner(const Builtins& plan, std::uint8_t least, std::string_view text, std::string_view hint,
            std::vector<Match>& out) noexcept
        : plan_(plan), least_(least), text_(text), hint_(hint), out_(out) {}

    // Appends candidates, perhaps overlapping. Stops after the first of them if `only_one`.
    void run(bool only_one = false);

private:
    using Position = std::size_t;

    Position next_anchor(Position from) const noexcept;
    // Each handles the anchor at `at` and tells where to go on, always behind `at`.
    Position at_anchor(Position at);
    Position at_digit(Position at);
    // The end of a number that is too short to be anything and stands for itself, else 0.
    Position short_number(Position at) const noexcept;
    Position at_email(Position at);
    Position at_colon(Position at);
    Position at_dash(Position at);
    Position at_equals(Position at);
    Position at_capitals(Position at);

    // Each tells the end of what it found, or 0.
    Position tokens(Position at, Position reach);
    Position prefixed(Position begin);
    Position jwt(Position begin);
    Position word(Position begin, Position end);
    Position spaced_iban(Position begin);
    Position spaced_nino(Position begin);
    Position numbers(Position begin);
    Position number_window(Position begin, Position end, const Shape& shape, Digits digits);
    Position phone(Position digit);
    Position ipv4(Position begin);
    Position ipv6(Position colon);
    Position mac(Position begin);
    Position hetu(Position begin);
    Position telegram(Position begin);
    Position azure_secret(Position digit);
    Position assignment(Position sign);
    Position base64_secret(Position begin, Position end);
    Position key_block(Position begin);
    Position url(Position colon);

    Position add(Kind kind, Position begin, Position end, unsigned confidence);
    // With the confidence that the words near it justify; 0 if that is too little.
    Position add_by_context(Kind kind, Position begin, Position end, unsigned alone, unsigned near);
    bool has_context(Kind kind, Position begin) const noexcept;

    char at(Position i) const noexcept { return i < text_.size() ? text_[i] : '\0'; }
    Position run_end(Position from, unsigned classes, std::size_t most) const noexcept;
    Position run_begin(Position from, unsigned classes, std::size_t most) const noexcept;
    // Whether a value may begin at i, or end before i: no letter or digit goes on there.
    bool begins(Position i) const noexcept;
    bool ends(Position i) const noexcept { return !is(at(i), kAlnum); }

    const Builtins& plan_;
    std::uint8_t least_;
    std::string_view text_, hint_;
    std::vector<Match>& out_;
    Position tried_ = 0;  // tokens that begin before this were tried
};

}  // namespace chaperone::detect

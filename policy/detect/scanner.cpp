// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/scanner.h"

#include "policy/detect/context.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace chaperone::detect {
namespace {

constexpr std::size_t kBlock = 16;  // what SSE2 and NEON have
using Block = unsigned char __attribute__((vector_size(kBlock)));

constexpr std::array<std::uint8_t, 256> anchors() {
    std::array<std::uint8_t, 256> table{};
    for (std::size_t c = '0'; c <= '9'; ++c) table[c] = kAnchorDigit;
    for (std::size_t c = 'A'; c <= 'Z'; ++c) table[c] = kAnchorUpper;
    table['@'] = kAnchorAt;
    table[':'] = kAnchorColon;
    table['-'] = kAnchorDash;
    table['='] = kAnchorEquals;
    table['_'] = kAnchorUnderscore;
    return table;
}
constexpr auto kAnchors = anchors();

Block load(const char* from) {
    Block block;
    std::memcpy(&block, from, kBlock);
    return block;
}

Block splat(unsigned char c) {
    return Block{} + c;
}

// The first byte that is not zero; kBlock: none.
std::size_t first_of(Block block) {
    std::array<std::uint64_t, kBlock / 8> words{};
    std::memcpy(words.data(), &block, kBlock);
    for (std::size_t i = 0; i != words.size(); ++i)
        if (words[i] != 0) {
            const int zeros = std::endian::native == std::endian::little
                                  ? std::countr_zero(words[i])
                                  : std::countl_zero(words[i]);
            return i * 8 + static_cast<std::size_t>(zeros) / 8;
        }
    return kBlock;
}

// The first anchor in 16 bytes. Whether it is wanted is asked later: rare ones cost little.
std::size_t first_anchor(const char* from) {
    const Block here = load(from), next = load(from + 1);
    const auto upper = [](Block block) { return (Block)((block - splat('A')) < splat(26)); };
    const Block digit = (Block)((here - splat('0')) < splat(11));  // and ':'
    const Block mark = (Block)(here == splat('@')) | (Block)(here == splat('-')) |
                       (Block)(here == splat('=')) | (Block)(here == splat('_'));
    return first_of(digit | mark | (upper(here) & upper(next)));
}

}  // namespace

Scanner::Position Scanner::next_anchor(Position from) const noexcept {
    const unsigned wanted = plan_.anchors;
    while (from < text_.size()) {
        if (text_.size() - from > kBlock) {
            const std::size_t step = first_anchor(text_.data() + from);
            from += step;
            if (step == kBlock) continue;
        }
        const unsigned anchor = kAnchors[static_cast<unsigned char>(text_[from])] & wanted;
        if (anchor != 0 && (anchor != kAnchorUpper || is(at(from + 1), kUpper))) return from;
        ++from;
    }
    return text_.size();
}

void Scanner::run(bool only_one) {
    if (plan_.anchors == 0) return;
    const std::size_t had = out_.size();
    for (Position i = next_anchor(0); i < text_.size(); i = next_anchor(i)) {
        i = at_anchor(i);
        if (only_one && out_.size() != had) return;
        if (out_.size() < Detector::kMaxMatches) continue;
        out_.back().end = text_.size();  // nothing after it passes unseen
        return;
    }
}

Scanner::Position Scanner::at_anchor(Position i) {
    switch (kAnchors[static_cast<unsigned char>(text_[i])]) {
    case kAnchorDigit: return at_digit(i);
    case kAnchorAt: return at_email(i);
    case kAnchorColon: return at_colon(i);
    case kAnchorDash: return at_dash(i);
    case kAnchorEquals: return at_equals(i);
    case kAnchorUpper: return at_capitals(i);
    default: break;
    }
    // An underscore: the word before it may be a token's beginning.
    return std::max(tokens(i, 16), i + 1);
}

Scanner::Position Scanner::run_end(Position from, unsigned classes,
                                   std::size_t most) const noexcept {
    const Position limit = std::min(text_.size(), from + most);
    while (from < limit && is(text_[from], classes)) ++from;
    return from;
}

Scanner::Position Scanner::run_begin(Position from, unsigned classes,
                                     std::size_t most) const noexcept {
    const Position limit = from - std::min(from, most);
    while (from > limit && is(text_[from - 1], classes)) --from;
    return from;
}

bool Scanner::begins(Position i) const noexcept {
    if (i == 0 || !is(text_[i - 1], kAlnum)) return true;
    // The letter of an escape, as in "…\n4111…" inside JSON text, belongs to no word.
    return i >= 2 && text_[i - 2] == '\\' &&
           std::string_view{"ntrbf"}.find(text_[i - 1]) != std::string_view::npos;
}

Scanner::Position Scanner::add(Kind kind, Position begin, Position end, unsigned confidence) {
    if (confidence < least_) return 0;
    out_.push_back({id_of(kind), begin, end, static_cast<std::uint8_t>(confidence)});
    return end;
}

Scanner::Position Scanner::add_by_context(Kind kind, Position begin, Position end, unsigned alone,
                                          unsigned near) {
    if (near < least_) return 0;
    // Where the words can change nothing but the figure, they are not looked for.
    if (alone >= least_ && alone >= 90) return add(kind, begin, end, alone);
    return add(kind, begin, end, has_context(kind, begin) ? near : alone);
}

bool Scanner::has_context(Kind kind, Position begin) const noexcept {
    return context_before(context_of(kind), text_, begin) || context_in(context_of(kind), hint_);
}

}  // namespace chaperone::detect
